"""qcc-link alone, with the test in the place of the supervisor: frames as of common/ipc/messages.def over a socket
pair."""
import re
import select
import socket
import struct
import subprocess
import time

from qcc import BUILD, PATIENCE, ROOT, until

DEF = (ROOT / "common/ipc/messages.def").read_text().replace("\\\n", " ")
IDS = {low: int(n) for low, n in re.findall(r"MSG\([A-Z_]+, [A-Z_]+, (\w+), (\d+)\)", DEF)}
NAMES = {n: low for low, n in IDS.items()}
FIELDS = {low: re.findall(r"F\((\w+), (\w+), [^)]*\)", rest)
          for low, rest in re.findall(r"#define IPC_FIELDS_(\w+)\(F\)([^\n]*)", DEF)}
VERSION = int(re.search(r"IPC_VERSION = (\d+)", (ROOT / "common/ipc/ipc.h").read_text()).group(1))

CONNECTING, UP, LOST, FULL, REFUSED = range(5)
HELD = struct.Struct("=8s24sQ")
BIND = struct.Struct("=16s8s8sq")


def pack(kind, v):
    if kind == "flag":
        return b"\xc3" if v else b"\xc2"
    if kind in ("u32", "u64", "i64"):
        return b"\xd3" + struct.pack(">q", v) if v < 0 else b"\xcf" + struct.pack(">Q", v)
    data = v if isinstance(v, bytes) else str(v).encode()
    return (b"\xdb" if kind == "text" else b"\xc6") + struct.pack(">I", len(data)) + data


class Unpack:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, n):
        self.at += n
        return self.data[self.at - n:self.at]

    def value(self):
        c = self.take(1)[0]
        if c < 0x80:
            return c
        if c >= 0xe0:
            return c - 256
        if c & 0xf0 == 0x90:
            return [self.value() for _ in range(c & 15)]
        if c & 0xe0 == 0xa0:
            return self.take(c & 31).decode()
        if c in (0xc2, 0xc3):
            return c == 0xc3
        sizes = {0xcc: ">B", 0xcd: ">H", 0xce: ">I", 0xcf: ">Q", 0xd0: ">b", 0xd1: ">h", 0xd2: ">i", 0xd3: ">q"}
        if c in sizes:
            return struct.unpack(sizes[c], self.take(struct.calcsize(sizes[c])))[0]
        lengths = {0xc4: ">B", 0xc5: ">H", 0xc6: ">I", 0xd9: ">B", 0xda: ">H", 0xdb: ">I", 0xdc: ">H", 0xdd: ">I"}
        n = struct.unpack(lengths[c], self.take(struct.calcsize(lengths[c])))[0]
        if c in (0xdc, 0xdd):
            return [self.value() for _ in range(n)]
        return self.take(n) if c < 0xd0 else self.take(n).decode()


class Link:
    """A running qcc-link. It joins by itself, unless join=False; what it sends is kept in `got`, as (name, {field:
    value})."""
    conns = int(time.time() * 1000)

    def __init__(self, url, host="00000000000000aa", join=True, tls=None, cids=(), **conf):
        self.sock, theirs = socket.socketpair()
        self.url, self.host, self.joins, self.conf, self.tls, self.cids = url, host, join, conf, tls, list(cids)
        self.got, self.data, self.held, self.position = [], b"", [], ("", "", 0)
        self.process = subprocess.Popen(
            ["bash", "-c", 'exec "$0" --link 3<&%d' % theirs.fileno(), BUILD / "qcc-link"], pass_fds=[theirs.fileno()],
            stderr=subprocess.PIPE)
        theirs.close()
        if tls:
            self.send("link_tls", **tls)
        self.send("link_own", cids=b"".join(self.cids))
        self.send("link_conf", **{**dict(
            version=VERSION, url=url, password="", sentinels="", prefix="qcc", host=host, print="p", name="n-" + host[-2:],
            build="1.0", digest="d", timeout_ms=500, lease_ms=10000, ttl_s=3600, bindings=1000000, bind=True), **conf})

    def send(self, message, /, **fields):
        name = message
        body = b"\xdc" + struct.pack(">H", 2 + len(FIELDS[name])) + pack("u32", IDS[name]) + pack("u64", 0)
        for kind, field in FIELDS[name]:
            body += pack(kind, fields.pop(field))
        assert not fields, fields
        self.sock.sendall(struct.pack(">I", len(body)) + body)

    def put(self, cid, group, stamp, value="", how="n", fence=0):
        self.send("link_put", cid=cid, group=group, stamp_ms=stamp, how=ord(how), fence=fence, value=value)

    def bind(self, *records):
        self.send("link_bind", records=b"".join(BIND.pack(*r) for r in records))

    def join(self):
        Link.conns += 1
        epoch, entry, n = self.position
        self.send("link_join", conn=Link.conns, epoch=epoch, entry=entry, n=n,
                  held=b"".join(HELD.pack(*h) for h in self.held))

    def look(self, wait=0.0):
        """Takes in what has come."""
        while select.select([self.sock], [], [], wait)[0]:
            wait = 0
            data = self.sock.recv(1 << 20)
            if not data:
                raise AssertionError("qcc-link has ended: %s" % self.process.stderr.read().decode())
            self.data += data
            while len(self.data) >= 4:
                n = struct.unpack(">I", self.data[:4])[0] & 0x7fffffff
                if len(self.data) < 4 + n:
                    break
                words = Unpack(self.data[4:4 + n]).value()
                self.data = self.data[4 + n:]
                name = NAMES[words[0]]
                frame = dict(zip([f for _, f in FIELDS[name]], words[2:]))
                self.got.append((name, frame))
                if name == "link_joined":
                    self.position = frame["epoch"], frame["entry"], frame["n"]
                if name == "link_meet" and self.joins:
                    self.join()

    def all(self, name):
        self.look()
        return [f for n, f in self.got if n == name]

    def wait(self, name, timeout=PATIENCE, after=0, **fields):
        """The first frame of that name, since the `after`-th frame, with these fields."""
        deadline = time.monotonic() + timeout
        at = after
        while True:
            for n, f in self.got[at:]:
                at += 1
                if n == name and all(f[k] == v for k, v in fields.items()):
                    return f
            assert time.monotonic() < deadline, "no %s %s; the last: %s" % (name, fields, self.got[-5:])
            self.look(0.1)

    @property
    def state(self):
        states = self.all("link_state")
        return states[-1]["state"] if states else None

    def up(self, after=0):
        return self.wait("link_state", after=after, state=UP)

    def mark(self):
        self.look()
        return len(self.got)

    def stop(self, keep=False):
        self.send("link_stop", keep=keep)
        until(lambda: self.process.poll() is not None, "qcc-link to end")
        return self.process.returncode

    def close(self):
        if self.process.stderr.closed:
            return
        self.sock.close()
        if self.process.poll() is None:
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        text = self.process.stderr.read().decode()
        self.process.stderr.close()
        assert "ERROR: " not in text and "runtime error" not in text, text
