"""The client's side of HTTP/1: what is accepted, what is refused and how, what an endpoint gets of it,
and who may ask."""
import hashlib
import json
import os
import signal
import socket
import threading
import time

import pytest

from client import BODY, Client, ask, own_type, request
from qcc import until
from scripted import CALM
from upstream import KEY, LAST_CHUNK, MESSAGE, chunk, reply

GOOD = json.dumps(BODY).encode()


@pytest.fixture
def up(raw):
    """An endpoint that answers everything well and remembers it."""
    return raw(reply())


@pytest.fixture
def q(qcc, up):
    return qcc({"endpoints": [up.endpoint()], "workers": 1})


def head(*lines, end=b"\r\n"):
    return end.join(line if isinstance(line, bytes) else line.encode() for line in lines) + end + end


# ---- what is refused

POST = "POST /v1/messages HTTP/1.1"
HOST = "Host: localhost"

AMBIGUOUS = {
    "no host": head("GET / HTTP/1.1"),
    "two hosts": head("GET /v1/models HTTP/1.1", HOST, HOST),
    "host list": head("GET /v1/models HTTP/1.1", "Host: a, b"),
    "empty host": head("GET /v1/models HTTP/1.1", "Host:"),
    "host with path": head("GET /v1/models HTTP/1.1", "Host: a/b"),
    "host with user": head("GET /v1/models HTTP/1.1", "Host: u@a"),
    "host with bad port": head("GET /v1/models HTTP/1.1", "Host: a:99999"),
    "two lengths": head(POST, HOST, "Content-Length: 5", "Content-Length: 6") + b"12345",
    "two equal lengths": head(POST, HOST, "Content-Length: 5", "Content-Length: 5") + b"12345",
    "list of lengths": head(POST, HOST, "Content-Length: 5, 5") + b"12345",
    "length with sign": head(POST, HOST, "Content-Length: +5") + b"12345",
    "negative length": head(POST, HOST, "Content-Length: -1"),
    "hexadecimal length": head(POST, HOST, "Content-Length: 0x5") + b"12345",
    "length over 64 bits": head(POST, HOST, "Content-Length: 18446744073709551621") + b"12345",
    "empty length": head(POST, HOST, "Content-Length:"),
    "length and chunked": head(POST, HOST, "Content-Length: 5", "Transfer-Encoding: chunked") + b"0\r\n\r\n",
    "chunked and length": head(POST, HOST, "Transfer-Encoding: chunked", "Content-Length: 5") + b"0\r\n\r\n",
    "two codings": head(POST, HOST, "Transfer-Encoding: chunked", "Transfer-Encoding: chunked") + b"0\r\n\r\n",
    "empty coding": head(POST, HOST, "Transfer-Encoding:") + b"0\r\n\r\n",
    "chunked in 1.0": head("POST /v1/messages HTTP/1.0", HOST, "Transfer-Encoding: chunked") + b"0\r\n\r\n",
    "blank before colon": head(POST, HOST, "Content-Length : 5") + b"12345",
    "coding with blank before colon": head(POST, HOST, "Transfer-Encoding : chunked") + b"0\r\n\r\n",
    "folded line": head("GET /v1/models HTTP/1.1", HOST, "X-A: b", " c"),
    "folded first line": head("GET /v1/models HTTP/1.1", " X-A: b", HOST),
    "line without colon": head("GET /v1/models HTTP/1.1", HOST, "nothing"),
    "empty name": head("GET /v1/models HTTP/1.1", HOST, ": x"),
    "blank in name": head("GET /v1/models HTTP/1.1", HOST, "X A: b"),
    "bare LF": head("GET /v1/models HTTP/1.1", HOST, end=b"\n"),
    "one bare LF": b"GET /v1/models HTTP/1.1\r\nHost: localhost\nX-A: b\r\n\r\n",
    "bare CR": head("GET /v1/models HTTP/1.1", HOST, "X-A: b\rX-B: c"),
    "NUL in value": head("GET /v1/models HTTP/1.1", HOST, b"X-A: a\0b"),
    "control in value": head("GET /v1/models HTTP/1.1", HOST, b"X-A: a\x01b"),
    "DEL in value": head("GET /v1/models HTTP/1.1", HOST, b"X-A: a\x7fb"),
    "fragment": head("GET /v1/models#a HTTP/1.1", HOST),
    "control in target": head(b"GET /v1/mo\x01dels HTTP/1.1", HOST),
    "8 bit in target": head(b"GET /v1/mo\xc3\xa4dels HTTP/1.1", HOST),
    "blank in target": head("GET /v1/a b HTTP/1.1", HOST),
    "two blanks": head("GET  /v1/models HTTP/1.1", HOST),
    "tab": head("GET\t/v1/models HTTP/1.1", HOST),
    "no path": head("GET v1/models HTTP/1.1", HOST),
    "star": head("GET * HTTP/1.1", HOST),
    "authority": head("CONNECT example.org:443 HTTP/1.1", HOST),
    "ftp": head("GET ftp://a/b HTTP/1.1", HOST),
    "no version": head("GET /v1/models", HOST),
    "no such version": head("GET /v1/models HTTP/1.", HOST),
    "lower case version": head("GET /v1/models http/1.1", HOST),
    "no method": head(" /v1/models HTTP/1.1", HOST),
    "method that is no token": head("G(T /v1/models HTTP/1.1", HOST),
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
}


def refused(q, up, data, status):
    """The refusal: in Anthropic's form, and the end. Nothing reaches an endpoint."""
    with Client(q.port) as c:
        c.send(data)
        r = c.reply()
        assert r.status == status, r.body
        assert r.error["type"] == own_type(status) and r.error["message"]
        assert r.header("connection") == "close"
        assert r.header("x-qcc-request-id") and r.header("x-qcc-attempts") == "0"
        assert c.closed(5)
    # The instance goes on, and the endpoint has seen this one only.
    assert Client(q.port).ask().status == 200
    assert [r.target for r in up.requests] == ["/v1/messages"]
    return r


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_ambiguous_is_refused(q, up, name):
    r = refused(q, up, AMBIGUOUS[name], 400)
    assert r.header("x-should-retry") == "false"


CHUNKED = head(POST, HOST, "Transfer-Encoding: chunked")
BAD_CHUNKS = {
    "bare LF": b"5\nhello\r\n0\r\n\r\n",
    "no size": b"\r\nhello\r\n0\r\n\r\n",
    "no number": b"x\r\nhello\r\n0\r\n\r\n",
    "sign": b"+5\r\nhello\r\n0\r\n\r\n",
    "0x": b"0x5\r\nhello\r\n0\r\n\r\n",
    "blank before": b" 5\r\nhello\r\n0\r\n\r\n",
    "over 64 bits": b"10000000000000005\r\nhello\r\n0\r\n\r\n",
    "longer than said": b"4\r\nhello\r\n0\r\n\r\n",
    "no CRLF behind": b"5\r\nhello0\r\n\r\n",
    "CR in extension": b"5;a\rb\r\nhello\r\n0\r\n\r\n",
    "endless extension": b"5;" + b"a" * 8000,
    "endless trailers": b"0\r\n" + b"a: b\r\n" * 8000,
    "folded trailer": b"0\r\na: b\r\n c\r\n\r\n",
}


@pytest.mark.parametrize("name", BAD_CHUNKS)
def test_malformed_chunks_are_refused(q, up, name):
    refused(q, up, CHUNKED + BAD_CHUNKS[name], 400)


@pytest.mark.parametrize(
    "line,status",
    [("HTTP/2.0", 505), ("HTTP/1.2", 505), ("HTTP/0.9", 505), ("HTTP/3.0", 505)],
)
def test_other_versions(q, up, line, status):
    refused(q, up, head("GET /v1/models " + line, HOST), status)


@pytest.mark.parametrize("coding,status", [
    ("gzip, chunked", 501), ("x, gzip, Chunked", 501),
    # no known end of the body (RFC 9112 6.3)
    ("chunked, gzip", 400), ("gzip", 400), ("identity", 400), ("xchunked", 400), ("chunked, chunked", 400), ("chunked;q=1", 400),
])
def test_other_codings(q, up, coding, status):
    refused(q, up, head(POST, HOST, "Transfer-Encoding: " + coding) + b"0\r\n\r\n", status)


def test_smuggled_request_is_not_seen(q, up):
    """What stands behind a refused request is no request."""
    inner = request("GET", "/v1/smuggled")
    data = head(POST, HOST, "Content-Length: %d" % (len(inner) + 5), "Transfer-Encoding: chunked") + b"0\r\n\r\n" + inner
    refused(q, up, data, 400)


def test_refused_while_the_client_still_sends(q):
    """The reply arrives although much of the request was never read: no reset destroys it."""
    with Client(q.port) as c:
        c.send(head(POST, HOST, "Content-Length: 5", "Content-Length: 6"))
        try:
            for _ in range(200):
                c.send(b"x" * 10000)
        except ConnectionError:
            pass
        assert c.reply().status == 400


# ---- what is accepted

ACCEPTED = {
    "lower case": head("GET /v1/models HTTP/1.1", "host: localhost"),
    "host with port": head("GET /v1/models HTTP/1.1", "Host: localhost:8080"),
    "host v6": head("GET /v1/models HTTP/1.1", "Host: [::1]:80"),
    "1.0 without host": head("GET /v1/models HTTP/1.0"),
    "blanks around value": head("GET /v1/models HTTP/1.1", "Host: \t localhost \t"),
    "empty line in front": b"\r\n" + head("GET /v1/models HTTP/1.1", HOST),
    "absolute target": head("GET http://localhost:80/v1/models HTTP/1.1", "Host: localhost:80"),
    "8 bit in value": head("GET /v1/models HTTP/1.1", HOST, b"X-A: \xc3\xa4"),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepted(q, up, client, name):
    c = client(q)
    c.send(ACCEPTED[name])
    r = c.reply()
    assert r.status == 200 and r.body == MESSAGE
    assert up.requests[0].line == "GET /v1/models HTTP/1.1"
    assert up.requests[0].all("host") == ["127.0.0.1:%d" % up.port]


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW", "HEAD"])
def test_any_method(q, up, client, method):
    c = client(q)
    if method == "HEAD":
        up.play = lambda peer, r: peer.send(reply(b"x" * (77 if r.method == "GET" else 0), headers=["x-a: b"]).replace(b": 0", b": 77"))
    c.send(request(method, "/v1/files?x=1%20&y=/..;a"))
    r = c.reply(method)
    assert r.status == 200
    assert up.requests[0].line == "%s /v1/files?x=1%%20&y=/..;a HTTP/1.1" % method
    if method == "HEAD":
        assert r.header("content-length") == "77" and r.body == b""
    c.send(request())
    assert c.reply().status == 200


def test_base_path(qcc, up, client):
    """The endpoint's path stands before the client's."""
    q = qcc({"endpoints": [up.endpoint(path="/gw/a/")]})
    assert client(q).ask(path="/v1/messages?beta=true").status == 200
    assert up.requests[0].target == "/gw/a/v1/messages?beta=true"


def test_chunked_body(q, up, client):
    """Extensions and trailers are skipped; the endpoint gets a counted body."""
    c = client(q)
    half = len(GOOD) // 2
    c.send(
        head(POST, HOST, "transfer-encoding: CHUNKED", "trailer: x-t")
        + b"%x;a=b;c=\"d\"\r\n%s\r\n" % (half, GOOD[:half])
        + b"0%X\r\n%s\r\n" % (len(GOOD) - half, GOOD[half:])
        + b"0\r\nx-t: smuggled\r\nhost: evil\r\n\r\n"
        + ask()
    )
    assert c.reply().status == 200 and c.reply().status == 200
    first, second = up.requests
    assert first.body == GOOD and first.header("content-length") == str(len(GOOD))
    assert first.header("x-t") is None and first.header("trailer") is None
    assert second.body == GOOD


def test_request_byte_by_byte(q, up, client):
    c = client(q)
    for data in (ask(), CHUNKED + b"%x\r\n%s\r\n0\r\n\r\n" % (len(GOOD), GOOD)):
        for i in range(len(data)):
            c.send(data[i : i + 1])
        assert c.reply().status == 200
    assert [r.body for r in up.requests] == [GOOD, GOOD]


@pytest.mark.parametrize("chunked", [False, True])
def test_large_body(q, up, client, chunked):
    """Byte for byte, however large."""
    body = json.dumps({**BODY, "pad": "x" * 3_000_000, "tail": "\u00e4\U0001f600"}).encode()
    c = client(q)
    if chunked:
        pieces = [body[i : i + 70001] for i in range(0, len(body), 70001)]
        c.send(CHUNKED + b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces) + b"0\r\n\r\n")
    else:
        c.send(ask(body))
    assert c.reply().status == 200
    got = up.requests[0].body
    assert hashlib.sha256(got).digest() == hashlib.sha256(body).digest()


def test_expect_continue(q, up, client):
    c = client(q)
    c.send(head(POST, HOST, "Content-Length: %d" % len(GOOD), "Expect: 100-Continue"))
    assert c.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    c.send(GOOD)
    assert c.reply().status == 200
    assert up.requests[0].header("expect") is None


def test_expect_continue_of_1_0_is_overlooked(q, client):
    c = client(q)
    c.send(head("POST /v1/messages HTTP/1.0", "Content-Length: %d" % len(GOOD), "Expect: 100-continue") + GOOD)
    assert c.reply().interim == []


def test_expect_continue_of_what_is_refused(qcc, up, client):
    """The refusal comes instead of the invitation."""
    q = qcc({"endpoints": [up.endpoint()], "limits": {"max_body_bytes": 1024}})
    c = client(q)
    c.send(head(POST, HOST, "Content-Length: 5000", "Expect: 100-continue"))
    r = c.reply()
    assert r.status == 413 and r.interim == [] and c.closed(5)


# ---- one connection after the other

def test_keep_alive(q, up, client):
    c = client(q)
    for _ in range(5):
        r = c.ask()
        assert r.status == 200 and r.header("connection") is None
    assert len(up.requests) == 5


@pytest.mark.parametrize("word", ["close", "Close", "keep-alive, close", "x, close"])
def test_connection_close(q, client, word):
    c = client(q)
    c.send(request(headers=["Connection: " + word]))
    r = c.reply()
    assert r.status == 200 and r.header("connection") == "close" and c.closed(5)


def test_1_0_closes(q, client):
    c = client(q)
    c.send(request(version="1.0"))
    r = c.reply()
    assert r.header("connection") == "close" and r.header("transfer-encoding") is None and c.closed(5)


def test_1_0_keep_alive(q, client):
    c = client(q)
    for _ in range(3):
        c.send(request(version="1.0", headers=["Connection: Keep-Alive"]))
        r = c.reply()
        assert r.header("connection") == "keep-alive" and r.header("content-length")


def test_1_0_gets_no_chunks(qcc, upstream, client):
    q = qcc({"endpoints": [upstream.endpoint("/s/framing=chunked,events=3")]})
    c = client(q)
    c.send(ask(stream=True, version="1.0", headers=["Connection: keep-alive"]))
    r = c.reply()
    assert r.header("transfer-encoding") is None and r.header("connection") == "close"
    assert r.body.endswith(b"\n\n") and b"message_stop" in r.body


def test_pipelining(q, up, client):
    """Answered in order, each once; those of our own among them."""
    c = client(q)
    targets = ["/v1/models?n=%d" % i for i in range(20)]
    c.send(b"".join(request("HEAD", "/") if i % 5 == 4 else request(target=t) for i, t in enumerate(targets)))
    for i in range(20):
        assert c.reply("HEAD" if i % 5 == 4 else "GET").status == 200
    assert [r.target for r in up.requests] == [t for i, t in enumerate(targets) if i % 5 != 4]
    assert c.silent()


def test_pipelined_bodies(q, up, client):
    c = client(q)
    bodies = [json.dumps({**BODY, "n": i, "pad": "x" * (i * 7001)}).encode() for i in range(8)]
    c.send(b"".join(ask(b) for b in bodies))
    for _ in bodies:
        assert c.reply().status == 200
    assert [r.body for r in up.requests] == bodies


def test_large_request_behind_a_chunked_one(qcc, raw, client):
    up = raw(reply())
    q = qcc({**CALM, "endpoints": [up.endpoint()]})
    body = json.dumps({"model": "m", "x": "y" * (4 << 20)}).encode()
    c = client(q)
    head = request("POST", "/v1/messages", ["transfer-encoding: chunked"])
    q_worker = q.children()[0]
    os.kill(q_worker, signal.SIGSTOP)
    t = threading.Thread(target=lambda: c.send(head + chunk(body) + LAST_CHUNK + ask(body)), daemon=True)
    t.start()
    time.sleep(0.3)
    os.kill(q_worker, signal.SIGCONT)
    assert c.reply().status == 200
    assert c.reply().status == 200
    assert [len(r.body) for r in up.requests] == [len(body)] * 2


def test_pipelined_behind_a_bad_one(q, up, client):
    """What came before is answered, what comes behind is not."""
    c = client(q)
    c.send(request(target="/v1/a") + head("GET /v1/b HTTP/1.1") + request(target="/v1/c"))
    assert c.reply().status == 200 and c.reply().status == 400 and c.closed(5)
    assert [r.target for r in up.requests] == ["/v1/a"]


def test_half_closed_client_gets_its_reply(raw, qcc, client):
    go = []
    up = raw(lambda peer, _: (until(lambda: go), peer.send(reply())))
    q = qcc({"endpoints": [up.endpoint()]})
    c = client(q)
    c.send(ask())
    c.half_close()
    up.wait_requests(1)
    assert c.silent(0.8)  # longer than a look at the other end takes to come round
    go.append(1)
    r = c.reply()
    assert r.status == 200 and r.body == MESSAGE and c.closed(5)


def test_half_closed_client_gets_all_replies(q, up, client):
    c = client(q)
    c.send(request(target="/v1/a") + request(target="/v1/b") + request(target="/v1/c"))
    c.half_close()
    assert [c.reply().status for _ in range(3)] == [200, 200, 200]
    assert c.closed(5)


@pytest.mark.parametrize("data", [b"", b"GET /v1/mod", head(POST, HOST, "Content-Length: 100") + b"12345"])
def test_client_that_ends_in_the_middle(q, up, client, data):
    c = client(q)
    c.send(data)
    c.half_close()
    assert c.closed(5)
    assert up.requests == []


def test_unix_and_v6_listeners(qcc, up, client, tmp_path):
    path = str(tmp_path / "qcc.sock")
    q = qcc({"endpoints": [up.endpoint()], "listen": ["unix:" + path]}, start=False)
    addresses = ["unix:" + path]
    if socket.has_ipv6:
        addresses.append("[::1]:%d" % q.port)
    q.configure({"listen": addresses})
    q.start()
    c = client(path)
    assert c.ask().status == 200
    c.send(ask())
    c.half_close()
    assert c.reply().status == 200
    if socket.has_ipv6:
        with socket.create_connection(("::1", q.port)) as s:
            s.sendall(ask())
            assert s.recv(15) == b"HTTP/1.1 200 X\r"


# ---- what is forwarded

def test_headers_to_the_endpoint(q, up, client):
    """All end-to-end lines as they stand, in order; nothing hop-by-hop, nothing of the connection's."""
    c = client(q)
    kept = ["User-Agent: claude-cli/2 (x)", "x-app: cli", "anthropic-beta: a-1,b-2", "X-Stainless-Retry-Count: 0",
            "X-Odd:   two  blanks  ", "x-dup: 1", "X-DUP: 2", "cookie: a=b", "anthropic-version: 2099-01-01", "x-empty:"]
    dropped = ["Connection: keep-alive, x-hop-a, X-Hop-B", "x-hop-a: 1", "X-HOP-B: 2", "Keep-Alive: timeout=5",
               "Proxy-Connection: keep-alive", "Proxy-Authorization: Basic eDp5", "TE: trailers", "Trailer: x-t",
               "Upgrade: h2c", "Accept-Encoding: gzip, br", "Authorization: Bearer sk-clients-own", "X-Api-Key: sk-clients-own"]
    lines = [line for pair in zip(kept, dropped) for line in pair] + dropped[len(kept) :]
    c.send(request("POST", "/v1/messages", lines, GOOD))
    assert c.reply().status == 200
    sent = up.requests[0].head.split(b"\r\n")[1:-2]
    for line in kept:
        assert line.encode() in sent
    order = [line for line in sent if line.decode() in kept]
    assert order == [line.encode() for line in kept]
    ours = {b"host: 127.0.0.1:%d" % up.port, b"content-length: %d" % len(GOOD), b"x-api-key: " + KEY.encode(),
            b"authorization: Bearer " + KEY.encode()}
    assert set(sent) - set(order) == ours and len(sent) == len(order) + len(ours)


def test_version_is_added(q, up, client):
    assert client(q).ask().status == 200
    assert up.requests[0].header("anthropic-version") == "2023-06-01"


def test_content_length_cannot_be_taken_off(q, up, client):
    """Naming a line of the framing in Connection does not make it go."""
    c = client(q)
    c.send(ask(headers=["Connection: content-length, host, keep-alive"]) + ask())
    assert c.reply().status == 200 and c.reply().status == 200
    assert [r.body for r in up.requests] == [GOOD, GOOD]
    assert up.requests[0].header("host")


@pytest.mark.parametrize(
    "auth,lines",
    [("x-api-key", ["x-api-key"]), ("bearer", ["authorization"]), ("both", ["authorization", "x-api-key"]),
     ("auto", ["authorization", "x-api-key"])],
)
def test_credentials(qcc, up, client, auth, lines):
    q = qcc({"endpoints": [up.endpoint(auth=auth)]})
    client(q).ask(headers=["x-api-key: mine", "authorization: Bearer mine"])
    r = up.requests[0]
    assert r.header("x-api-key") == (KEY if "x-api-key" in lines else None)
    assert r.header("authorization") == ("Bearer " + KEY if "authorization" in lines else None)


def test_own_credentials_pass_without_a_key(qcc, up, client):
    q = qcc({"endpoints": [up.endpoint(api_key=None)]})
    client(q).ask(headers=["x-api-key: mine", "Authorization: Bearer mine"])
    assert up.requests[0].header("x-api-key") == "mine"
    assert up.requests[0].header("authorization") == "Bearer mine"


def test_endpoint_headers_are_added(qcc, up, client):
    q = qcc({"endpoints": [up.endpoint(headers={"X-Extra": "yes", "user-agent": "other/1", "anthropic-version": "2000-01-01"})]})
    client(q).ask(headers=["User-Agent: mine/1", "x-extra: no"])
    r = up.requests[0]
    assert r.header("x-extra") == "yes" and r.header("user-agent") == "other/1"
    assert r.header("anthropic-version") == "2000-01-01"


# ---- who may ask

TOKENS = [{"name": "alice", "token": "tok-alice-secret"},
          {"name": "bob", "token_sha256": hashlib.sha256(b"tok-bob-secret").hexdigest()}]


@pytest.mark.parametrize(
    "line", ["authorization: Bearer tok-alice-secret", "Authorization: bearer  tok-alice-secret", "X-API-Key: tok-bob-secret"]
)
def test_client_token(qcc, up, client, line):
    """Known tokens pass, and are never forwarded: not even to an endpoint without a key."""
    q = qcc({"endpoints": [up.endpoint(api_key=None)], "clients": TOKENS})
    assert client(q).ask(headers=[line]).status == 200
    assert b"tok-" not in up.requests[0].head


def test_either_of_two_credentials(qcc, up, client):
    q = qcc({"endpoints": [up.endpoint()], "clients": TOKENS})
    assert client(q).ask(headers=["authorization: Bearer other", "x-api-key: tok-bob-secret"]).status == 200


@pytest.mark.parametrize(
    "lines",
    [[], ["x-api-key: tok-alice-secre"], ["x-api-key: tok-alice-secrett"], ["x-api-key:"], ["authorization: Bearer"],
     ["authorization: Basic tok-alice-secret"], ["authorization: tok-alice-secret"], ["x-token: tok-alice-secret"]],
)
def test_unknown_client(qcc, up, client, lines):
    q = qcc({"endpoints": [up.endpoint()], "clients": TOKENS})
    c = client(q)
    r = c.ask(headers=lines)
    assert r.status == 401 and r.error["type"] == "authentication_error"
    assert r.header("x-should-retry") == "false" and r.header("connection") == "close" and c.closed(5)
    assert up.requests == []


def test_unknown_client_is_refused_before_its_body(qcc, up, client):
    q = qcc({"endpoints": [up.endpoint()], "clients": TOKENS})
    c = client(q)
    c.send(head(POST, HOST, "Content-Length: 1000000", "Expect: 100-continue"))
    r = c.reply()
    assert r.status == 401 and r.interim == []


def test_our_token_in_both_headers_goes_nowhere(qcc, raw, client):
    up = raw(reply())
    token = "t-0123456789"
    q = qcc({**CALM, "clients": [{"name": "alice", "token": token}], "endpoints": [up.endpoint(api_key=None)]})
    c = client(q)
    for headers in (["x-api-key: " + token, "authorization: Bearer " + token],
                    ["authorization: Bearer " + token, "x-api-key: " + token],
                    ["x-api-key: " + token, "X-Api-Key: " + token]):
        assert c.ask(headers=headers).status == 200
        assert token not in up.requests[-1].head.decode()
    # what is not ours goes on
    assert c.ask(headers=["x-api-key: " + token, "authorization: Bearer theirs"]).status == 200
    assert up.requests[-1].header("authorization") == "Bearer theirs"


# ---- what QCC answers itself

@pytest.mark.parametrize("method,target", [("HEAD", "/"), ("HEAD", "/api/hello"), ("POST", "/api/event_logging/batch")])
def test_local_answers(qcc, up, client, method, target):
    """Without authentication and without an endpoint."""
    q = qcc({"endpoints": [up.endpoint()], "clients": TOKENS})
    c = client(q)
    c.send(request(method, target, body=b"{\"events\":[]}" if method == "POST" else None))
    r = c.reply(method)
    assert r.status == 200 and r.body == (b"{}" if method == "POST" else b"")
    c.send(request(method, target))  # and the connection lives
    assert c.reply(method).status == 200
    assert up.requests == []


@pytest.mark.parametrize("method,target", [("GET", "/"), ("HEAD", "/v1"), ("GET", "/api/hello"), ("GET", "/api/event_logging/batch"),
                                           ("HEAD", "/api/hello/"), ("POST", "/")])
def test_others_are_forwarded(qcc, up, client, method, target):
    up.play = lambda peer, r: peer.send(reply(b"" if r.method == "HEAD" else b"x"))
    c = client(qcc({"endpoints": [up.endpoint(paths={"allow": ["/*"]})]}))
    c.send(request(method, target))
    assert c.reply(method).status == 200
    assert up.requests[0].target == target


# ---- what is added to the reply

def test_own_headers(q, client):
    c = client(q)
    ids = set()
    for _ in range(3):
        r = c.ask()
        assert r.header("x-qcc-endpoint") == "raw" and r.header("x-qcc-attempts") == "1"
        ids.add(r.header("x-qcc-request-id"))
    assert len(ids) == 3


def test_own_headers_off(qcc, up, client):
    q = qcc({"endpoints": [up.endpoint()], "expose_headers": False})
    c = client(q)
    assert not [k for k, _ in c.ask().headers if k.startswith("x-qcc")]
    assert not [k for k, _ in c.ask(b"{}", path="/api/event_logging/batch").headers if k.startswith("x-qcc")]
    c.send(head("GET / HTTP/1.1"))
    assert not [k for k, _ in c.reply().headers if k.startswith("x-qcc")]
