"""Clients that want more than an answer: what is another's, or what a proxy must not do."""
import pytest

from client import Timer, ask, request
from upstream import KEY, MESSAGE, STOP, STREAM, reply


@pytest.fixture
def up(raw):
    return raw(reply())


@pytest.fixture
def q(qcc, up):
    return qcc({"endpoints": [up.endpoint()], "workers": 1})


@pytest.mark.parametrize("method", ["TRACE", "TRACK", "trace"])
def test_no_echo_of_the_request(q, up, client, method):
    """An endpoint that echoes would show its key."""
    up.play = lambda peer, r: peer.send(reply(r.head, type="message/http"))
    c = client(q)
    c.send(request(method, "/v1/messages"))
    r = c.reply()
    assert r.status == 405 and r.error["message"] and KEY not in r.body.decode()
    assert "GET" in r.header("allow") and "TRACE" not in r.header("allow") and r.header("x-should-retry") == "false"
    assert up.requests == [] and c.closed(5)


@pytest.mark.parametrize("target", ["*", "http://localhost:80"])
def test_star_is_no_path(qcc, up, client, target):
    """It stands alone, whatever the endpoint's path."""
    q = qcc({"endpoints": [up.endpoint(path="/gw/a", paths={"allow": ["*"]})]})
    c = client(q)
    c.send(request("OPTIONS", target))
    assert c.reply().status == 200
    assert up.requests[0].line == "OPTIONS * HTTP/1.1"


@pytest.mark.parametrize("target", ["//v1/messages", "/v1/./messages/../x", "/v1/%2e%2e/%2F%zz", "/v1/m?a=/../b//&c=%00", "/?", "/v1/a;b=c/"])
def test_paths_are_not_touched(qcc, up, client, target):
    """Decoded or normalised, a path would not be what the client and the endpoint agreed on. (With the
    client's own key: QCC's does not go to all of these.)"""
    c = client(qcc({"endpoints": [up.endpoint(api_key=None)]}))
    c.send(request("GET", target))
    assert c.reply().status == 200
    assert up.requests[0].target == target


def test_slash_too_many(qcc, raw, client):
    """A base URL that ends with one: forwarded as it is, and repaired like any message."""
    bad, good = raw(lambda peer, _: peer.close()), raw(STREAM)
    q = qcc({"endpoints": [bad.endpoint("bad", priority=1), good.endpoint("good", priority=2)], "workers": 1,
             "balance": {"strategy": "priority_failover"}, "retry": {"transient_delay": "1ms"}})
    r = client(q).ask(path="//v1/messages", stream=True)
    assert r.status == 200 and r.header("x-qcc-endpoint") == "good" and r.body.endswith(STOP)
    assert good.requests[0].target == "//v1/messages"


@pytest.mark.parametrize("lines", [
    ["connection: upgrade", "upgrade: websocket", "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==", "sec-websocket-version: 13"],
    ["connection: upgrade, http2-settings", "upgrade: h2c", "http2-settings: AAMAAABkAAQAAP__"],
])
def test_no_tunnel(q, up, client, lines):
    """An upgrade is not offered to the endpoint: what follows are requests as before."""
    c = client(q)
    c.send(request(headers=lines) + request(target="/v1/second"))
    assert [c.reply().body, c.reply().body] == [MESSAGE, MESSAGE]
    assert [r.target for r in up.requests] == ["/v1/models", "/v1/second"]
    for name in ("upgrade", "connection", "http2-settings"):
        assert up.requests[0].header(name) is None


def test_tunnel_that_the_endpoint_opens(q, up, client):
    """A 101 that nobody asked for is no reply."""
    up.play = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"
    c = client(q)
    c.send(request(headers=["connection: upgrade", "upgrade: websocket"]))
    assert c.reply().status == 502


def test_http2_preface(q, up, client):
    c = client(q)
    c.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9))
    assert c.reply().status == 505 and c.closed(5)
    assert up.requests == []


def test_version_cannot_be_taken_off(q, up, client):
    """Named by Connection the client's is not forwarded: then there is ours."""
    c = client(q)
    c.send(ask(headers=["connection: anthropic-version", "anthropic-version: 1999-01-01"]))
    assert c.reply().status == 200
    assert up.requests[0].header("anthropic-version") == "2023-06-01"


def test_fifty_with_a_bad_one_in_the_middle(q, up, client):
    """Those before it are answered in order, nothing behind it reaches anybody."""
    c = client(q)
    good = [ask(b'{"model":"m","n":%d}' % i) for i in range(50)]
    good[25] = request("POST", "/v1/messages", ["content-length: 3", "transfer-encoding: chunked"]) + b"0\r\n\r\n"
    c.send(b"".join(good))
    assert [c.reply().status for _ in range(26)] == [200] * 25 + [400]
    assert c.closed(5)
    assert [r.json()["n"] for r in up.requests] == list(range(25))


def test_empty_lines_without_end(q, up, client):
    """They are overlooked, and what follows is a request."""
    c = client(q)
    c.send(b"\r\n" * 50000 + request("HEAD", "/"))
    assert c.reply("HEAD").status == 200


def test_body_of_what_has_none(q, up, client):
    """It is no request of its own."""
    c = client(q)
    c.send(request("HEAD", "/", body=request(target="/v1/smuggled")) + request("HEAD", "/api/hello?x=1"))
    assert c.reply("HEAD").status == 200 and c.reply("HEAD").status == 200
    assert c.silent() and up.requests == []


def test_telemetry_of_any_framing(qcc, up, client):
    """Taken and thrown away, without a token."""
    q = qcc({"endpoints": [up.endpoint()], "clients": [{"name": "a", "token": "tok-1"}]})
    c = client(q)
    path = "/api/event_logging/batch"
    c.send(request("POST", path, ["transfer-encoding: chunked"]) + b"5\r\nhello\r\n0\r\n\r\n" + request("POST", path, body=b"x" * 300_000))
    for _ in range(2):
        r = c.reply()
        assert r.status == 200 and r.body == b"{}"
    assert up.requests == []


def test_ids_are_never_the_same(qcc, up, client):
    """Over workers and restarts."""
    q = qcc({"endpoints": [up.endpoint()], "workers": 2})
    ids = [client(q).ask().header("x-qcc-request-id") for _ in range(20)]
    q.stop()
    q.start(wait=False)
    q.wait_serving(2)
    ids += [client(q).ask().header("x-qcc-request-id") for _ in range(20)]
    assert len(set(ids)) == 40


@pytest.mark.parametrize("word", ["200-ok", "100-continue, x", ""])
def test_other_expectation(q, up, client, word):
    c = client(q)
    c.send(request("POST", "/v1/messages", ["expect: " + word], b"{}"))
    r = c.reply()
    assert r.status == 417 and r.interim == [] and r.header("x-should-retry") == "false" and c.closed(5)
    assert up.requests == []


@pytest.mark.parametrize("data", [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET /v1/models\r\n", b"SSH-2.0-OpenSSH_9.2p1\r\n", b'{"model":'])
def test_what_is_no_request_is_refused_at_once(q, up, client, data):
    """Somebody speaks TLS to a plain listener, or has no version to say: no end of a head is waited for."""
    c = client(q)
    with Timer() as t:
        c.send(data)
        assert c.reply().status == 400 and c.closed(5)
    assert t.s < 5


def test_request_line_byte_by_byte(q, up, client):
    """What may still become a request is waited for."""
    c = client(q)
    for byte in request(target="/v1/models"):
        c.send(bytes([byte]))
    assert c.reply().status == 200
