#!/usr/bin/python3
"""A worker that speaks the supervisor's wire and nothing else: for tests of the supervisor alone.

It answers each HTTP request with its process id, and does what the path says: /rubbish sends bytes
that are no frame, /wrong a frame of the wrong direction, /crash dies, /leave exits with 0, /mute
closes its channel and lives on, /outcome reports a class that does not exist.
Files in the folder STUB_DIR change what it does: `nack` refuses configurations (its text says
why), `die` ends it at once (its text may be
the exit code), `die-of-it` when a configuration comes, `stay` makes it ignore DRAIN.
It writes what it hears into STUB_DIR/heard.PID.
"""
import os
import selectors
import socket
import struct
import sys

HELLO, CONF, LISTEN, UNLISTEN, START, DRAIN, PING, LOG_FILE, ENDPOINT = range(1, 10)
READY, CONF_ACK, PONG, OUTCOME, RETIRED = range(32, 37)
LOG_RING = 22
NAMES = {LOG_RING: "LOG_RING",
         **dict(enumerate("? HELLO CONF LISTEN UNLISTEN START DRAIN PING LOG_FILE ENDPOINT".split()))}
FOLDER = os.environ["STUB_DIR"]


def flagged(name):
    path = os.path.join(FOLDER, name)
    if not os.path.exists(path):
        return None
    with open(path) as f:
        return f.read().strip() or "yes"


def pack(v):
    if v is True or v is False:
        return b"\xc3" if v else b"\xc2"
    if isinstance(v, int):
        return struct.pack(">BQ", 0xCF, v) if v >= 0 else struct.pack(">Bq", 0xD3, v)
    if isinstance(v, str):
        b = v.encode()
        return struct.pack(">BH", 0xDA, len(b)) + b
    if isinstance(v, bytes):
        return struct.pack(">BH", 0xC5, len(v)) + v
    return struct.pack(">BH", 0xDC, len(v)) + b"".join(pack(x) for x in v)


def unpack(b, i):
    """One value of the kinds that the supervisor sends, and where the next begins."""
    c = b[i]
    if c < 0x80:
        return c, i + 1
    if c >= 0xE0:
        return c - 256, i + 1
    if c in (0xC2, 0xC3):
        return c == 0xC3, i + 1
    for first, signed in ((0xCC, False), (0xD0, True)):
        if first <= c < first + 4:
            n = 1 << (c - first)
            return int.from_bytes(b[i + 1 : i + 1 + n], "big", signed=signed), i + 1 + n
    if 0xA0 <= c < 0xC0:
        n, at = c - 0xA0, i + 1
    elif 0xC4 <= c <= 0xC6 or 0xD9 <= c <= 0xDB:
        w = 1 << (c - (0xC4 if c <= 0xC6 else 0xD9))
        n, at = int.from_bytes(b[i + 1 : i + 1 + w], "big"), i + 1 + w
    elif 0x90 <= c < 0xA0 or c == 0xDC:
        values, at = [], i + (3 if c == 0xDC else 1)
        for _ in range(int.from_bytes(b[i + 1 : i + 3], "big") if c == 0xDC else c - 0x90):
            v, at = unpack(b, at)
            values.append(v)
        return values, at
    else:
        raise ValueError("type %#x" % c)
    return b[at : at + n], at + n


class Stub:
    def __init__(self):
        self.chan = socket.socket(fileno=3)
        self.sel = selectors.DefaultSelector()
        self.sel.register(self.chan, selectors.EVENT_READ, self.readable)
        self.rx = b""
        self.fds = []
        self.listeners = {}
        self.started = False
        self.gen = 0
        self.heard_file = open(os.path.join(FOLDER, "heard.%d" % os.getpid()), "w")

    def send(self, kind, *fields):
        body = pack([kind, self.gen, *fields])
        try:
            self.chan.sendall(struct.pack(">I", len(body)) + body)
        except OSError:
            sys.exit(0)

    def readable(self):
        data, fds, _, _ = socket.recv_fds(self.chan, 65536, 8)
        self.fds += fds
        if not data:
            sys.exit(0)
        self.rx += data
        while len(self.rx) >= 4:
            n = struct.unpack(">I", self.rx[:4])[0]
            size = n & 0x7FFFFFFF
            if len(self.rx) < 4 + size:
                break
            body, self.rx = self.rx[4 : 4 + size], self.rx[4 + size :]
            self.frame(unpack(body, 0)[0], self.fds.pop(0) if n >> 31 else -1)

    def frame(self, values, fd):
        kind, gen, fields = values[0], values[1], values[2:]
        name = NAMES.get(kind, str(kind))
        self.heard_file.write("%s %d %s\n" % (name, gen, fields if kind != CONF else ""))
        self.heard_file.flush()
        if kind == HELLO:
            # The few messages used here have not changed from version to version.
            self.send(READY, int(os.environ.get("STUB_VERSION", fields[0])), os.getpid())
        elif kind == CONF:
            if flagged("die-of-it"):
                sys.exit(9)
            old, self.gen = self.gen, gen
            why = flagged("nack")
            self.send(CONF_ACK, why is None, why or "")
            if why:
                self.gen = old
        elif kind == PING:
            self.send(PONG, fields[0], 0, 0, 0, 0)
        elif kind == LISTEN:
            self.listeners[fields[0]] = s = socket.socket(fileno=fd)
            assert not s.getblocking() or s.setblocking(False) is None
            if self.started:
                self.watch(s)
        elif kind == UNLISTEN:
            self.close(fields[0])
        elif kind == START:
            self.started = True
            for s in self.listeners.values():
                self.watch(s)
        elif kind == LOG_FILE and fd != -1:
            os.write(fd, b"stub %d has the log\n" % os.getpid())
            os.close(fd)
        elif kind == DRAIN:
            for i in list(self.listeners):
                self.close(i)
            if not flagged("stay"):
                self.send(RETIRED, 0)
                sys.exit(0)

    def watch(self, s):
        self.sel.register(s, selectors.EVENT_READ, lambda: self.accept(s))

    def close(self, i):
        s = self.listeners.pop(i)
        if self.started:
            self.sel.unregister(s)
        s.close()

    def accept(self, s):
        try:
            c, _ = s.accept()
        except OSError:
            return  # another worker was faster, or the listener was closed in this turn
        c.settimeout(5)
        body = b"%d" % os.getpid()
        try:
            path = c.recv(4096).split(b" ")[1:2] or [b"/"]
            c.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        except OSError:
            path = [b"/"]
        c.close()
        self.obey(path[0].decode())

    def obey(self, path):
        if path == "/rubbish":
            self.chan.sendall(b"GET / HTTP/1.1\r\n\r\n")
        elif path == "/wrong":
            self.send(PING, 1)
        elif path == "/outcome":
            flags = [False] * 5
            self.send(OUTCOME, "01234567", 77, 0, 0, 200, -1, 1, 1, 1, 0, *flags, 0, 0, 0, "", "", 0, b"", 0, "", "")
        elif path == "/crash":
            os.abort()
        elif path == "/leave":
            sys.exit(0)
        elif path == "/mute":
            self.sel.unregister(self.chan)
            self.chan.close()

    def run(self):
        while True:
            for key, _ in self.sel.select():
                key.data()


if flagged("die"):
    sys.exit(int(flagged("die")) if flagged("die").isdigit() else 9)
Stub().run()
