"""The ways out through HTTP and SOCKS proxies."""
import base64
import contextlib
import json
import socket
import struct
import threading

import pytest

from authority import CALM, authority, server
from client import request
from qcc import free_port
from upstream import MESSAGE, reply


class Proxy:
    """A proxy that remembers what it was asked, and forwards to one port."""

    def __init__(self, to, answer=b"HTTP/1.1 200 Connected\r\n\r\n", user=None, socks=False):
        self.to, self.answer, self.user, self.socks = to, answer, user, socks
        self.asked, self.seen = [], b""
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                s, _ = self.listener.accept()
                threading.Thread(target=self.serve, args=(s,), daemon=True).start()

    def serve(self, s):
        with contextlib.suppress(OSError, struct.error, IndexError), s:
            good = self.serve_socks(s) if self.socks else self.serve_http(s)
            if not good:
                return
            with socket.create_connection(("127.0.0.1", self.to)) as up:
                back = threading.Thread(target=self.pipe, args=(up, s), daemon=True)
                back.start()
                self.pipe(s, up, True)
                back.join(10)

    def pipe(self, of, to, watch=False):
        with contextlib.suppress(OSError):
            while data := of.recv(65536):
                if watch:
                    self.seen += data
                to.sendall(data)
        with contextlib.suppress(OSError):
            to.shutdown(socket.SHUT_WR)

    def serve_http(self, s):
        head = b""
        while b"\r\n\r\n" not in head:
            data = s.recv(1)
            if not data:
                return False
            head += data
        self.asked.append(head.decode())
        if self.answer is None:
            s.recv(1)  # nothing, until the other side gives up
            return False
        s.sendall(self.answer)
        return b" 200 " in self.answer

    def serve_socks(self, s):
        def take(n):
            out = b""
            while len(out) < n:
                data = s.recv(n - len(out))
                if not data:
                    raise OSError
                out += data
            return out

        methods = take(take(2)[1])
        if self.user:
            assert 2 in methods
            s.sendall(b"\x05\x02")
            name = take(take(2)[1])
            password = take(take(1)[0])
            good = (name + b":" + password).decode() == self.user
            s.sendall(b"\x01\x00" if good else b"\x01\x01")
            if not good:
                return False
        else:
            s.sendall(b"\x05\x00")
        kind = take(4)[3]
        host = socket.inet_ntoa(take(4)) if kind == 1 else take(take(1)[0]).decode() if kind == 3 else socket.inet_ntop(socket.AF_INET6, take(16))
        port = struct.unpack("!H", take(2))[0]
        self.asked.append("%s:%d" % (host, port))
        s.sendall(b"\x05" + self.answer + b"\x00\x01\0\0\0\0\0\0")
        return self.answer == b"\x00"

    def close(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


@pytest.fixture
def proxy():
    made = []

    def make(*args, **kw):
        made.append(Proxy(*args, **kw))
        return made[-1]

    yield make
    for p in made:
        p.close()


def test_http_proxy(qcc, raw, client, proxy):
    """A tunnel, also for http: the proxy sees the endpoint's name only in CONNECT."""
    up = raw(reply())
    p = proxy(up.port)
    q = qcc({**CALM, "endpoints": [{**up.endpoint(), "base_url": "http://api.example:80"}], "upstream": {"proxy": "http://127.0.0.1:%d" % p.port}})
    for _ in range(2):
        assert client(q).ask().body == MESSAGE
    assert len(p.asked) == 1 and p.asked[0].startswith("CONNECT api.example:80 HTTP/1.1\r\n")
    assert "sk-" not in p.asked[0]
    assert up.requests[0].header("host") == "api.example" and up.requests[0].target == "/v1/messages"


def test_https_through_an_http_proxy(qcc, raw, client, proxy, authority):
    """Encrypted from end to end, and the name is checked."""
    up = raw(reply(), tls=server(authority.make("api", "DNS:api.example")))
    p = proxy(up.port)
    q = qcc({**CALM, "endpoints": [{**up.endpoint(), "base_url": "https://api.example"}],
             "upstream": {"proxy": "http://127.0.0.1:%d" % p.port, "ca_file": authority.ca}})
    assert client(q).ask().body == MESSAGE
    assert p.asked[0].startswith("CONNECT api.example:443 ") and b"POST" not in p.seen


def test_credentials_of_a_proxy(qcc, raw, client, proxy):
    up = raw(reply())
    p = proxy(up.port)
    q = qcc({**CALM, "endpoints": [up.endpoint()], "upstream": {"proxy": "http://me:pass-word@127.0.0.1:%d" % p.port}})
    assert client(q).ask().status == 200
    assert "Proxy-Authorization: Basic %s\r\n" % base64.b64encode(b"me:pass-word").decode() in p.asked[0]
    assert up.requests[0].header("proxy-authorization") is None
    assert "pass-word" not in q.log()


@pytest.mark.parametrize("answer", [b"HTTP/1.1 407 Proxy Authentication Required\r\nproxy-authenticate: Basic\r\ncontent-length: 0\r\n\r\n",
                                    b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n", b"HTTP/1.1 502 Bad\r\n\r\nno", b"garbage\r\n\r\n", b""],
                         ids=["407", "403", "502", "garbage", "close"])
def test_proxy_that_refuses(qcc, raw, client, proxy, answer):
    """It is not the endpoint's fault, and the request reaches nobody."""
    up = raw(reply())
    p = proxy(up.port, answer=answer)
    q = qcc({**CALM, "endpoints": [up.endpoint()], "upstream": {"proxy": "http://me:pass-word@127.0.0.1:%d" % p.port}})
    r = client(q).ask()
    assert r.status == 502 and "outgoing proxy failed" in r.error["message"]
    assert not up.requests and b"sk-" not in p.seen
    assert "pass-word" not in q.log() and b"pass-word" not in r.body and b"127.0.0.1" not in r.body


SAID = {"407": "it does not accept user and password (status 407)", "403": "it gave status 403", "502": "it gave status 502",
        "garbage": "no valid reply to CONNECT", "closed": "no valid reply to CONNECT", "refused": "Connection refused",
        "no name": "its name was not found", "hangs": "it did not answer", "socks refused": "SOCKS reply 5, connection refused",
        "socks password": "it does not accept user and password", "socks garbage": "it did not answer"}
DEAD = {"407": lambda proxy, up: "http://me:no@127.0.0.1:%d" % proxy(up.port, answer=b"HTTP/1.1 407 No\r\ncontent-length: 0\r\n\r\n").port,
        "403": lambda proxy, up: "http://127.0.0.1:%d" % proxy(up.port, answer=b"HTTP/1.1 403 No\r\ncontent-length: 0\r\n\r\n").port,
        "502": lambda proxy, up: "http://127.0.0.1:%d" % proxy(up.port, answer=b"HTTP/1.1 502 No\r\ncontent-length: 0\r\n\r\n").port,
        "garbage": lambda proxy, up: "http://127.0.0.1:%d" % proxy(up.port, answer=b"garbage\r\n\r\n").port,
        "closed": lambda proxy, up: "http://127.0.0.1:%d" % proxy(up.port, answer=b"").port,
        "refused": lambda proxy, up: "http://127.0.0.1:%d" % free_port(),
        "no name": lambda proxy, up: "http://proxy.invalid:3128",
        "hangs": lambda proxy, up: "http://127.0.0.1:%d" % proxy(up.port, answer=None).port,
        "socks refused": lambda proxy, up: "socks5h://127.0.0.1:%d" % proxy(up.port, socks=True, answer=b"\x05").port,
        "socks password": lambda proxy, up: "socks5h://me:no@127.0.0.1:%d" % proxy(up.port, socks=True, answer=b"\x00", user="me:yes").port,
        "socks garbage": lambda proxy, up: "socks5://127.0.0.1:%d" % proxy(up.port, answer=b"garbage").port}


@pytest.mark.parametrize("how", DEAD)
def test_a_proxy_that_fails_is_transient(qcc, raw, client, proxy, how):
    """The next endpoint is asked, also for what is not repeated; the endpoint is neither disabled nor queued."""
    up, other = raw(reply()), raw(reply())
    q = qcc({**CALM, "endpoints": [up.endpoint("a", proxy=DEAD[how](proxy, up), priority=1), other.endpoint("b", priority=2)],
             "balance": {"strategy": "priority_failover"}, "upstream": {"connect_timeout": "500ms"}, "breaker": {"failure_threshold": 1000}})
    for _ in range(3):
        assert client(q).ask().header("x-qcc-endpoint") == "b"
    c = client(q)
    c.send(request("POST", "/v1/files", body=b"x"))
    assert c.reply().header("x-qcc-endpoint") == "b"
    a = json.loads(q.get("/api/v1/endpoints", q.admin_port)[1])["endpoints"][0]
    assert a["queued"] is None and a["disabled_by"] is None and a["health"] != "unhealthy", a
    tried = [x for r in json.loads(q.get("/api/v1/requests", q.admin_port)[1])["requests"] for x in r["attempts"] if x["endpoint"] == "a"]
    assert tried and {x["class"] for x in tried} == {"transient"}
    assert not up.requests
    named = "proxy.invalid:3128" if how == "no name" else "127.0.0.1:"
    for x in tried:
        assert ": %s (%s" % (SAID[how], named) in x["reason"] and "me:" not in x["reason"]


def test_no_proxy_there(qcc, raw, client):
    up = raw(reply())
    q = qcc({**CALM, "endpoints": [up.endpoint()], "upstream": {"proxy": "http://127.0.0.1:%d" % free_port()}})
    assert "outgoing proxy failed" in client(q).ask().error["message"]


def test_proxy_that_hangs(qcc, raw, client, proxy):
    up = raw(reply())
    p = proxy(up.port, answer=None)
    q = qcc({**CALM, "endpoints": [up.endpoint()], "upstream": {"proxy": "http://127.0.0.1:%d" % p.port, "connect_timeout": "200ms"}})
    r = client(q).ask()
    assert r.status == 504 and "connect timeout" in r.error["message"]


@pytest.mark.parametrize("scheme,host,asked", [("socks5h", "api.example", "api.example"), ("socks5", "localhost", "127.0.0.1"),
                                               ("socks5", "127.0.0.1", "127.0.0.1")])
def test_socks_proxy(qcc, raw, client, proxy, scheme, host, asked):
    """socks5h leaves names to the proxy."""
    up = raw(reply())
    p = proxy(up.port, socks=True, answer=b"\x00")
    q = qcc({**CALM, "endpoints": [{**up.endpoint(), "base_url": "http://%s:%d" % (host, up.port)}],
             "upstream": {"proxy": "%s://127.0.0.1:%d" % (scheme, p.port)}})
    assert client(q).ask().body == MESSAGE
    assert p.asked[0] in ("%s:%d" % (asked, up.port), "::1:%d" % up.port)


@pytest.mark.parametrize("password,good", [("right", True), ("wrong", False)])
def test_credentials_of_a_socks_proxy(qcc, raw, client, proxy, password, good):
    up = raw(reply())
    p = proxy(up.port, socks=True, answer=b"\x00", user="me:right")
    q = qcc({**CALM, "endpoints": [up.endpoint()], "upstream": {"proxy": "socks5h://me:%s@127.0.0.1:%d" % (password, p.port)}})
    r = client(q).ask()
    assert r.status == (200 if good else 502)
    assert good or "outgoing proxy failed" in r.error["message"]


def test_socks_proxy_that_refuses(qcc, raw, client, proxy):
    up = raw(reply())
    p = proxy(up.port, socks=True, answer=b"\x05")
    q = qcc({**CALM, "endpoints": [up.endpoint()], "upstream": {"proxy": "socks5h://127.0.0.1:%d" % p.port}})
    assert "outgoing proxy failed" in client(q).ask().error["message"]


def test_proxy_of_one_endpoint(qcc, raw, client, proxy):
    """Its own instead of the common one, or none."""
    up, other = raw(reply()), raw(reply())
    common, own = proxy(up.port), proxy(up.port)
    q = qcc({**CALM, "endpoints": [up.endpoint("own", proxy="http://127.0.0.1:%d" % own.port, models={"allow": ["own"]}),
                                   other.endpoint("off", proxy="off", models={"allow": ["off"]}),
                                   {**up.endpoint("common", models={"allow": ["common"]}), "api_key": "sk-another"}],
             "upstream": {"proxy": "http://127.0.0.1:%d" % common.port}})
    for name in ("own", "off", "common"):
        assert client(q).ask(model=name).header("x-qcc-endpoint") == name
    assert len(own.asked) == 1 and len(common.asked) == 1


def test_environment_is_not_asked(qcc, raw, client):
    """Only the file decides."""
    up = raw(reply())
    dead = "http://127.0.0.1:%d" % free_port()
    q = qcc({**CALM, "endpoints": [up.endpoint()]}, env={name: dead for name in ("http_proxy", "https_proxy", "all_proxy", "ALL_PROXY", "HTTPS_PROXY")})
    assert client(q).ask().status == 200
