"""A client on a raw socket: what is sent is sent as it stands, what comes is taken apart strictly.

    c = q_client(q)                       # fixture `client`
    c.send(ask(stream=True))
    r = c.reply()                         # r.status, r.header("x-qcc-endpoint"), r.body
"""
import itertools
import json
import re
import socket
import struct
import time

from qcc import PATIENCE

BODY = {"model": "m", "max_tokens": 16, "messages": [{"role": "user", "content": "hello"}]}


NUMBERS = itertools.count(1)


def another():
    """A question of its own: failures with one message that no endpoint serves count once (test_poison.py)."""
    return [{"role": "user", "content": "question %d" % next(NUMBERS)}]


def request(method="GET", target="/v1/models", headers=(), body=None, host="127.0.0.1", version="1.1"):
    """The bytes of a request; headers are whole lines."""
    lines = ["%s %s HTTP/%s" % (method, target, version)]
    if host is not None:
        lines.append("host: %s" % host)
    lines += headers
    if body is not None:
        lines.append("content-length: %d" % len(body))
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + (body or b"")


def ask(body=None, path="/v1/messages", headers=(), version="1.1", **more):
    """The bytes of an ordinary question; what else is given goes into its JSON."""
    if body is None:
        body = json.dumps({**BODY, **more}).encode()
    return request("POST", path, ["content-type: application/json", *headers], body, version=version)


class Cut(Exception):
    """The reply ended before it was complete."""


class Reply:
    def __init__(self, head):
        lines = head.decode("latin-1").split("\r\n")[:-2]
        m = re.fullmatch("HTTP/1\\.1 (\\d{3}) (.*)", lines[0])
        assert m, lines[0]
        self.head = head
        self.status, self.reason = int(m.group(1)), m.group(2)
        self.headers = []
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            assert colon and re.fullmatch("[!#$%&'*+.^_`|~0-9A-Za-z-]+", name), line
            self.headers.append((name.lower(), value.strip()))
        self.body, self.chunks, self.interim = b"", [], []

    def all(self, name):
        return [v for k, v in self.headers if k == name.lower()]

    def header(self, name):
        values = self.all(name)
        assert len(values) < 2, "%s is there %d times" % (name, len(values))
        return values[0] if values else None

    def json(self):
        return json.loads(self.body)

    @property
    def error(self):
        """The error of a body in Anthropic's form."""
        assert self.header("content-type") == "application/json"
        body = self.json()
        assert body["type"] == "error" and set(body) >= {"error"}
        return body["error"]


def own_type(status):
    """The type of an error of QCC's own with that status."""
    types = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 413: "request_too_large", 429: "rate_limit_error"}
    return types.get(status, "invalid_request_error" if status < 500 else "api_error")


class Client:
    def __init__(self, port, host="127.0.0.1", tls=None, server_hostname=None, rcvbuf=None):
        self.sock = socket.socket(socket.AF_UNIX if isinstance(port, str) else socket.AF_INET)
        if rcvbuf:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        self.sock.settimeout(PATIENCE)
        self.sock.connect(port if isinstance(port, str) else (host, port))
        if tls:
            self.sock = tls.wrap_socket(self.sock, server_hostname=server_hostname, suppress_ragged_eofs=False)
        self.buf = b""
        self.eof = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, data):
        self.sock.sendall(data)

    def half_close(self):
        self.sock.shutdown(socket.SHUT_WR)

    def close(self):
        self.sock.close()

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def fill(self):
        """More bytes; False at the end of the connection. A reset is an exception."""
        data = self.sock.recv(65536)
        self.buf += data
        self.eof = not data
        return bool(data)

    def until(self, mark):
        """Everything up to and with these bytes."""
        while mark not in self.buf:
            if not self.fill():
                raise Cut("ended before %r: %r" % (mark, self.buf[-2000:]))
        at = self.buf.index(mark) + len(mark)
        out, self.buf = self.buf[:at], self.buf[at:]
        return out

    def take(self, n):
        while len(self.buf) < n:
            if not self.fill():
                raise Cut("%d of %d bytes" % (len(self.buf), n))
        out, self.buf = self.buf[:n], self.buf[n:]
        return out

    def rest(self):
        """What comes until the other side closes."""
        while self.fill():
            pass
        out, self.buf = self.buf, b""
        return out

    def closed(self, timeout=PATIENCE):
        """Whether nothing more comes but the end, in time."""
        self.sock.settimeout(timeout)
        try:
            return self.buf == b"" and not self.fill()
        except ConnectionError:
            return True
        except socket.timeout:
            return False
        finally:
            self.sock.settimeout(PATIENCE)

    def silent(self, seconds=0.1):
        """Whether nothing comes for so long; the connection stays open."""
        self.sock.settimeout(seconds)
        try:
            return self.buf == b"" and not self.fill() and False
        except socket.timeout:
            return True
        finally:
            self.sock.settimeout(PATIENCE)

    # ---- replies

    def head(self):
        """The next final head (interim ones are in .interim); its body is still to be read."""
        interim = []
        while True:
            r = Reply(self.until(b"\r\n\r\n"))
            if r.status >= 200:
                r.interim = interim
                return r
            interim.append(r.status)

    def chunk(self):
        """The next chunk; b"" is the last."""
        size = self.until(b"\r\n")
        assert re.fullmatch(b"[0-9a-f]+\r\n", size), size
        data = self.take(int(size, 16))
        assert self.take(2) == b"\r\n"
        return data

    def reply(self, method="POST"):
        """A whole reply. Cut when it is not complete."""
        r = self.head()
        coding, length = r.header("transfer-encoding"), r.header("content-length")
        assert coding is None or length is None
        if method == "HEAD" or r.status in (204, 304):
            return r
        if coding is not None:
            assert coding == "chunked"
            while True:
                r.chunks.append(self.chunk())
                if not r.chunks[-1]:
                    break
            r.body = b"".join(r.chunks)
        elif length is not None:
            r.body = self.take(int(length))
        else:
            assert "close" in (r.header("connection") or "")
            r.body = self.rest()
        return r

    def ask(self, *args, **more):
        self.send(ask(*args, **more))
        return self.reply()


def events(body):
    """[(name, data)] of an event stream, by the rules of the HTML standard for these line ends."""
    out = []
    for block in re.split(b"(?:\r\n|\n|\r){2}", body):
        name, data = None, []
        for line in re.split(b"\r\n|\n|\r", block):
            field, _, value = line.partition(b":")
            value = value[1:] if value.startswith(b" ") else value
            if field == b"event":
                name = value.decode()
            elif field == b"data":
                data.append(value)
        if data:
            out.append((name, json.loads(b"\n".join(data))))
    return out


class Timer:
    """with Timer() as t: …; t.s"""

    def __enter__(self):
        self.start = time.monotonic()
        return self

    def __exit__(self, *_):
        self.s = time.monotonic() - self.start
