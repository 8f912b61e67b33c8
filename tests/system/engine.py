"""An engine that hosts share state through: Debian's redis-server (or ENGINE=valkey-server), on a free port and a
Unix socket of its own, never the system's service; and a plain client of it."""
import hashlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time

from qcc import ROOT, free_port, until

PROGRAM = os.environ.get("ENGINE") or shutil.which("redis-server") or shutil.which("valkey-server")
LUA = ROOT / "supervisor/link/lua"


class Refused(Exception):
    """An error that the engine answered with."""


class Resp:
    """A connection that speaks RESP2. ask(b"GET", "k") gives bytes, numbers, None or lists."""

    def __init__(self, address, timeout=10):
        if isinstance(address, tuple):
            self.sock = socket.create_connection(address, timeout)
        else:
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.settimeout(timeout)
            self.sock.connect(str(address))
        self.file = self.sock.makefile("rb")

    def close(self):
        self.file.close()
        self.sock.close()

    def send(self, *words):
        parts = [w if isinstance(w, bytes) else str(w).encode() for w in words]
        self.sock.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts))

    def read(self):
        line = self.file.readline()
        if not line:
            raise ConnectionError("the engine has closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest
        if kind == b"-":
            raise Refused(rest.decode())
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == b"-1" else self.file.read(int(rest) + 2)[:-2]
        return None if rest == b"-1" else [self.read() for _ in range(int(rest))]

    def ask(self, *words):
        self.send(*words)
        return self.read()


class Engine:
    """A running engine. `address` is for Resp and `url` for cluster.url, by TCP; `local` its Unix socket."""

    def __init__(self, folder, *options, port=None):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = port or free_port()
        self.local = self.folder / "s"
        self.options = options
        self.pid = None
        self.start()

    @property
    def address(self):
        return ("127.0.0.1", self.port)

    @property
    def url(self):
        return "redis://127.0.0.1:%d" % self.port

    def start(self):
        self.log = open(self.folder / "log", "ab")
        self.process = subprocess.Popen(
            [PROGRAM, "--port", str(self.port), "--bind", "127.0.0.1", "--unixsocket", str(self.local), "--save", "",
             "--appendonly", "no", "--dir", str(self.folder), *self.options],
            stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL)
        self.pid = self.process.pid
        until(self.answers, "the engine to answer")

    def answers(self):
        try:
            c = self.client()
        except OSError:
            assert self.process.poll() is None, (self.folder / "log").read_text()
            return False
        try:
            return c.ask("PING") == b"PONG"
        except Refused as e:
            return "NOAUTH" in str(e)
        finally:
            c.close()

    def client(self):
        return Resp(self.local)

    def ask(self, *words):
        c = self.client()
        try:
            return c.ask(*words)
        finally:
            c.close()

    def pause(self):
        os.kill(self.pid, signal.SIGSTOP)

    def go_on(self):
        os.kill(self.pid, signal.SIGCONT)

    def kill(self):
        """SIGKILL: connections break, memory is lost."""
        if self.process.poll() is None:
            os.kill(self.pid, signal.SIGCONT)
            self.process.kill()
            self.process.wait()
        self.log.close()

    close = kill


def script(name):
    """The text of a script as the link has it."""
    parts = ["ours", name] if name == "join" else ["ours", "enter", name]
    return "".join((LUA / (part + ".lua")).read_text() for part in parts)


class Session:
    """A host as the engine sees it: joins, and runs the scripts of supervisor/link/lua."""
    conns = int(time.time() * 1000)

    def __init__(self, engine, host, prefix="qcc", print_="p", lease=10000, conn=None):
        self.client = engine.client()
        self.host, self.prefix, self.print, self.lease = host, prefix, print_, lease
        self.conn = conn
        self.epoch = None

    def close(self):
        self.client.close()

    def key(self, name):
        return "{%s}:1:%s" % (self.prefix, name)

    def run(self, name, keys, args):
        keys = [self.key(k) for k in ("m", "h", "l", *keys)]
        return self.client.ask("EVAL", script(name), len(keys), *keys, *args)

    def join(self, *restated, keys=(), conn=None, position=""):
        """restated: (number of the key, from 1, kind, fence or places). position: the entry that was read last."""
        if conn is None:
            Session.conns += 1
            conn = Session.conns
        self.conn = conn
        flat = [x for key, kind, n in restated for x in (key + 3, kind, n)]
        reply = self.run("join", keys, [self.print, self.host, conn, self.lease, "name-" + self.host, "1.0", "d",
                                        hashlib.md5(os.urandom(8)).hexdigest(), position, *flat])
        if reply[0] == b"OK":
            self.epoch = reply[3]
        return reply

    def call(self, name, keys=(), args=()):
        return self.run(name, keys, [self.epoch or "none", self.host, self.conn or 0, self.lease, *args])

    def beat(self):
        return self.call("beat", (), ["name-" + self.host, "1.0", "d"])

    def put(self, cid, group, stamp, value="", how="n", fence=0):
        """Gives whether it was taken, and what is stored."""
        reply = self.call("put", ["e:" + cid], [4, cid, group, "%d%s" % (stamp, how), fence, value])
        assert reply[0] == b"OK", reply
        return reply[3][0] == b"1", reply[3][1].decode()

    def lend(self, cid, kind, group, stamp, last=0):
        reply = self.call("lease", ["e:" + cid], [cid, kind, group, stamp, last])
        assert reply[0] == b"OK", reply
        return [x.decode() for x in reply[3:]]

    def places(self, cid, limit, have, want):
        """Gives what the host has now, what all have, and whether another waits."""
        reply = self.call("places", ["c:" + cid], [cid, limit, have, want])
        assert reply[0] == b"OK", reply
        return int(reply[3]), int(reply[4]), reply[5] == b"1"

    def bind(self, *records, ttl=3600, cap=16):
        """records: (conversation of 16 bytes, from, to, used in s). Gives what the engine says of each."""
        keys, args = [], []
        for conversation, old, new, used in records:
            keys.append("b:%d" % int.from_bytes(conversation[:2], "big"))
            args += [len(keys) + 3, conversation + old + new + used.to_bytes(4, "big")]
        reply = self.call("bind", keys, [ttl, cap, *args])
        assert reply[0] == b"OK", reply
        return reply[3]

    def log(self):
        """All entries: (n, writer, kind, value)."""
        found = []
        for _, fields in self.client.ask("XRANGE", self.key("l"), "-", "+"):
            f = dict(zip(fields[::2], fields[1::2]))
            found.append((int(f[b"n"]), f[b"h"].decode(), f[b"k"].decode(), f[b"v"]))
        return found
