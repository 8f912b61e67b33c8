"""A scriptable endpoint on a raw socket, for what must be right to the byte or wrong on purpose.

    up = raw(b"HTTP/1.1 200 OK\\r\\n...")            # these bytes for each request
    up = raw(lambda peer, request: peer.send(...))  # or as the function plays them
    q = qcc({"endpoints": [up.endpoint()]})

The function runs in a thread of the connection, once for each request; when it returns, the next
request is read, unless it has closed the connection. What fails in it fails the test (`close`).
Where only behaviour counts and no bytes, the simulated upstream (qcc.Upstream) is simpler.
"""
import contextlib
import json
import re
import select
import socket
import struct
import threading
import time
import traceback

from qcc import PATIENCE, until

KEY = "sk-raw-0123456789abcdef"


class Gone(Exception):
    """The other side has closed or reset the connection."""


class Request:
    def __init__(self, head, body):
        self.head, self.body = head, body
        self.at = time.monotonic()
        lines = head.decode("latin-1").split("\r\n")[:-2]
        self.line = lines[0]
        self.method, self.target = lines[0].split(" ")[:2]
        self.headers = [tuple(re.split(": *", line, maxsplit=1)) for line in lines[1:]]

    def all(self, name):
        """Values of all lines of that name."""
        return [v for k, v in self.headers if k.lower() == name.lower()]

    def header(self, name):
        values = self.all(name)
        assert len(values) < 2, "%s is there %d times" % (name, len(values))
        return values[0] if values else None

    def json(self):
        return json.loads(self.body)


class Peer:
    """One connection to the endpoint."""

    def __init__(self, sock):
        self.sock = sock
        self.buf = b""
        self.requests = []
        self.closed_at = None  # when the other side was seen to be gone

    def fill(self):
        try:
            data = self.sock.recv(65536)
        except OSError:
            data = b""
        if not data:
            self.closed_at = self.closed_at or time.monotonic()
            raise Gone()
        self.buf += data

    def take(self, n):
        while len(self.buf) < n:
            self.fill()
        out, self.buf = self.buf[:n], self.buf[n:]
        return out

    def read_head(self):
        while b"\r\n\r\n" not in self.buf:
            self.fill()
        return self.take(self.buf.index(b"\r\n\r\n") + 4)

    def read_request(self, body=True):
        request = Request(self.read_head(), b"")
        # QCC holds every body whole before it asks: it is always counted.
        assert request.header("transfer-encoding") is None
        if body:
            request.body = self.take(int(request.header("content-length") or 0))
        self.requests.append(request)
        return request

    def send(self, data):
        try:
            self.sock.sendall(data)
        except OSError:
            self.closed_at = self.closed_at or time.monotonic()
            raise Gone()

    def close(self):
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()

    def half_close(self):
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def wait_gone(self, timeout=PATIENCE):
        """Until the other side has closed; what it still sends is thrown away."""
        self.sock.settimeout(timeout)
        try:
            while True:
                self.fill()
                self.buf = b""
        except Gone:
            return self.closed_at


    def wait_hangup(self, timeout=PATIENCE):
        """Until the other side has closed; nothing that it still sends is read."""
        watch = select.poll()
        watch.register(self.sock, select.POLLRDHUP)
        if watch.poll(timeout * 1000):
            self.closed_at = self.closed_at or time.monotonic()
        return self.closed_at


def reset(peer, _):
    """Instead of a reply: the connection is reset."""
    peer.reset()
    raise Gone()


class Raw:
    def __init__(self, play, tls=None, early=False, backlog=128, port=0):
        """tls: an ssl.SSLContext. early: play is called when the head of a request is there, and
        reads the body itself if it wants to (peer.take)."""
        self.play, self.tls, self.early = play, tls, early
        self.errors, self.peers, self.threads = [], [], []
        self.open = True
        self.listener = socket.create_server(("127.0.0.1", port), backlog=backlog)
        self.port = self.listener.getsockname()[1]
        self.url = "%s://127.0.0.1:%d" % ("https" if tls else "http", self.port)
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            t = threading.Thread(target=self.serve, args=(sock,), daemon=True)
            self.threads.append(t)
            t.start()

    def serve(self, sock):
        peer = None
        try:
            if self.tls:
                try:
                    sock = self.tls.wrap_socket(sock, server_side=True)
                except OSError:
                    return
            peer = Peer(sock)
            self.peers.append(peer)
            while sock.fileno() != -1:
                request = peer.read_request(body=not self.early)
                if callable(self.play):
                    self.play(peer, request)
                else:
                    peer.send(self.play)
        except Gone:
            pass
        except Exception:
            if self.open:
                self.errors.append(traceback.format_exc())
        finally:
            with contextlib.suppress(OSError):
                sock.close()

    @property
    def requests(self):
        return [request for peer in self.peers for request in peer.requests]

    def wait_requests(self, n):
        until(lambda: len(self.requests) >= n, "%d requests at the endpoint" % n)
        return self.requests

    def endpoint(self, name="raw", path="", **more):
        """One element of `endpoints`; api_key=None: without a key."""
        out = {"name": name, "base_url": self.url + path, "api_key": KEY, **more}
        return {k: v for k, v in out.items() if v is not None}

    def close(self):
        self.open = False
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for peer in self.peers:
            peer.close()
        self.thread.join(PATIENCE)
        for t in self.threads:
            t.join(PATIENCE)
        assert not self.errors, self.errors[0]


# ---- replies

MESSAGE = json.dumps(
    {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [{"type": "text", "text": "hello"}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 3, "output_tokens": 2},
    }
).encode()


def reply(body=MESSAGE, status=200, headers=(), type="application/json"):
    """A counted reply."""
    head = "HTTP/1.1 %d X\r\n" % status
    if type:
        head += "content-type: %s\r\n" % type
    for line in headers:
        head += line + "\r\n"
    return ("%scontent-length: %d\r\n\r\n" % (head, len(body))).encode() + body


def error(status, type="api_error", message="no", headers=()):
    body = json.dumps({"type": "error", "error": {"type": type, "message": message}}).encode()
    return reply(body, status, headers)


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


LAST_CHUNK = b"0\r\n\r\n"

STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)


def event(name, **data):
    return b"event: %s\ndata: %s\n\n" % (name.encode(), json.dumps({"type": name, **data}).encode())


START = event("message_start", message={"id": "msg_1", "type": "message", "role": "assistant", "model": "m",
                                        "content": [], "usage": {"input_tokens": 3, "output_tokens": 1}})
BLOCK = event("content_block_start", index=0, content_block={"type": "text", "text": ""})
BLOCK_STOP = event("content_block_stop", index=0)
DELTA_END = event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 7})
STOP = event("message_stop")


def delta(text):
    return event("content_block_delta", index=0, delta={"type": "text_delta", "text": text})


EVENTS = [START, BLOCK, delta("a"), delta("b"), BLOCK_STOP, DELTA_END, STOP]
STREAM = STREAM_HEAD + b"".join(map(chunk, EVENTS)) + LAST_CHUNK
