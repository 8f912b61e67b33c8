"""An engine in Python that says what a test tells it: `says[name]` for a command or a script (join, beat, put, …) gives the
bytes of its answer, or a list of pieces, or None for the honest one; it may also write to the connection itself."""
import contextlib
import hashlib
import socket
import threading
import time

from engine import script

SCRIPTS = {hashlib.sha1(script(name).encode()).hexdigest().encode(): name
           for name in ("join", "beat", "leave", "put", "lease", "places", "bind", "pull")}
OK = b"+OK\r\n"
NIL = b"*-1\r\n"


def bulk(b):
    b = b if isinstance(b, bytes) else str(b).encode()
    return b"$%d\r\n%s\r\n" % (len(b), b)


def array(*parts):
    """Of answers as bytes."""
    return b"*%d\r\n" % len(parts) + b"".join(parts)


def now():
    return int(time.time() * 1000)


class Liar:
    def __init__(self, port=0):
        self.server = socket.create_server(("127.0.0.1", port))
        self.port = self.server.getsockname()[1]
        self.url = "redis://127.0.0.1:%d" % self.port
        self.says, self.heard, self.connections, self.n = {}, [], [], 0
        self.epoch, self.hosts, self.open = "liar", [], True
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while self.open:
            try:
                c, _ = self.server.accept()
            except OSError:
                return
            self.connections.append(c)
            threading.Thread(target=self.serve, args=(c,), daemon=True).start()

    def close(self):
        self.open = False
        with contextlib.suppress(OSError):
            self.server.shutdown(socket.SHUT_RDWR)  # who waits for a connection would hold the port
        self.server.close()
        self.cut()

    def cut(self):
        """Breaks all connections."""
        for c in self.connections:
            with contextlib.suppress(OSError):
                c.shutdown(socket.SHUT_RDWR)
        self.connections = []

    def count(self, name):
        return self.heard.count(name)

    def serve(self, c):
        file = c.makefile("rb")
        try:
            while True:
                line = file.readline()
                if not line:
                    return
                words = []
                for _ in range(int(line[1:])):
                    n = int(file.readline()[1:])
                    words.append(file.read(n + 2)[:-2])
                name = words[0].decode()
                if name == "EVALSHA":
                    name = SCRIPTS[words[1]]
                    words = words[3 + int(words[2]):]
                self.heard.append(name)
                said = self.says.get(name)
                answer = said(c, words) if callable(said) else said
                for piece in self.honest(name, words) if answer is None else answer if isinstance(answer, list) else [answer]:
                    c.sendall(piece)
        except (OSError, ValueError):
            pass
        finally:
            c.close()

    def ok(self, *parts):
        return array(bulk("OK"), bulk(self.n), bulk(now()), *parts)

    def honest(self, name, words):
        if name == "ROLE":
            return [array(bulk("master"), b":0\r\n", array())]
        if name == "INFO":
            return [bulk("redis_version:7.0.15\r\nmaxmemory_policy:noeviction\r\n")]
        if name == "SCRIPT":
            return [bulk(hashlib.sha1(words[2]).hexdigest())]
        if name == "join":
            self.hosts = [bulk(words[1]), bulk(b"%s %d n 1.0 d" % (words[2], now()))]
            kept = array(*[bulk("1")] * ((len(words) - 9) // 3))
            return [self.ok(bulk(self.epoch), bulk("0-0"), array(*self.hosts), kept, bulk("0"))]
        if name == "beat":
            return [self.ok(array(*self.hosts))]
        if name == "pull":
            empty = bulk("") if words[4] == b"b" else array()
            return [self.ok(array(*[empty] * (256 if words[4] == b"b" else 1)))]
        if name == "put":
            return [self.ok(array(*[bulk("1"), bulk("")] * ((len(words) - 4) // 6)))]
        if name == "bind":
            return [self.ok(array(*[bulk("")] * ((len(words) - 6) // 2)))]
        if name == "lease":
            return [self.ok(bulk("granted"), bulk("7"))]
        if name == "places":
            have = bulk(int(words[6]) + int(words[7]))
            return [self.ok(have, have, bulk("0"), bulk("1"))]
        if name == "XREAD":
            time.sleep(1)
            return [NIL]
        return [self.ok()] if name == "leave" else [OK]
