"""The endpoint's side of HTTP/1: what of a reply is passed on, what is no reply, connections that are
kept and dropped, and what a client reads when an endpoint is hostile or fails."""
import contextlib
import gzip
import re
import socket
import time

import pytest

from client import Client, Cut, Timer, ask, events, request
from http_rules import RULES
from qcc import free_port, until
from upstream import (BLOCK, EVENTS, KEY, LAST_CHUNK, MESSAGE, START, STREAM, STREAM_HEAD, chunk,
                      error, reply)

# Failures are wanted here, and none of them is to stand in the way of the next one. A pause between
# two attempts at one endpoint is only waited for.
CALM = {
    "workers": 1,
    "retry": {"transient_delay": "1ms"},
    "breaker": {"failure_threshold": 1000},
    "health": {"degraded_for": "0s"},
}


@pytest.fixture
def one(qcc, raw):
    """one(play, config): an instance in front of one scripted endpoint; (qcc, endpoint)."""

    def make(play, config=None, **kw):
        up = raw(play, **kw)
        return qcc({**CALM, "endpoints": [up.endpoint()], **(config or {})}), up

    return make


def then_close(data):
    def play(peer, _):
        peer.send(data)
        peer.close()

    return play


# ---- what is no reply

H = b"HTTP/1.1 200 OK\r\n"
GARBAGE = {
    "other protocol": b"SSH-2.0-OpenSSH_9.2p1\r\n\r\n",
    "binary": bytes(range(256)) * 8 + b"\r\n\r\n",
    "HTTP/0.9": b"<html>\r\n\r\n",
    "HTTP/2.0": b"HTTP/2.0 200 OK\r\ncontent-length: 2\r\n\r\nhi",
    "status of two digits": b"HTTP/1.1 99 X\r\ncontent-length: 2\r\n\r\nhi",
    "status over 599": b"HTTP/1.1 600 X\r\ncontent-length: 2\r\n\r\nhi",
    "two lengths": H + b"content-length: 2\r\ncontent-length: 3\r\n\r\nhi!",
    "two equal lengths": H + b"content-length: 2\r\ncontent-length: 2\r\n\r\nhi",
    "length and coding": H + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "other coding": H + b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "two codings": H + b"transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "negative length": H + b"content-length: -2\r\n\r\nhi",
    "length with sign": H + b"content-length: +2\r\n\r\nhi",
    "no colon": H + b"nothing\r\ncontent-length: 2\r\n\r\nhi",
    "blank before colon": H + b"content-length : 2\r\n\r\nhi",
    "folded": H + b"x-a: b\r\n c\r\ncontent-length: 2\r\n\r\nhi",
    "bare LF": H.replace(b"\r", b"") + b"content-length: 2\n\nhi",
    "bare CR": H + b"x-a: b\rc\r\ncontent-length: 2\r\n\r\nhi",
    "NUL": H + b"x-a: b\0c\r\ncontent-length: 2\r\n\r\nhi",
    "too many lines": H + b"x-a: b\r\n" * 400 + b"content-length: 2\r\n\r\nhi",
    "long head": H + b"x-a: " + b"b" * 300_000 + b"\r\n\r\n",
    "endless head": H + b"x-a: " + b"b" * 300_000,
    "101": b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n",
    "endless 1xx": b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100,
    "bad chunk": H + b"transfer-encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n",
    "chunk over 64 bits": H + b"transfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\nhello",
    "chunk longer than said": H + b"transfer-encoding: chunked\r\n\r\n4\r\nhello\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage(one, client, name):
    """The client is told, gets none of it, and its connection lives. The operator learns which rule it breaks."""
    q, up = one(then_close(GARBAGE[name]))
    c = client(q)
    r = c.ask()
    assert r.status == 502 and r.error["type"] == "api_error"
    assert r.error["message"] == "all attempts failed: " + ", ".join(2 * ["raw: unknown (invalid HTTP reply)"])
    rule = "invalid HTTP reply: " + RULES[name]
    q.wait_log(r"raw: unknown, fault endpoint \(%s\)" % re.escape(rule))
    assert q.ctl_json("endpoints")["endpoints"][0]["last_failure"]["reason"] == rule
    assert q.ctl_json("why", r.header("x-qcc-request-id"))["attempts"][0]["reason"] == rule
    assert r.header("x-qcc-attempts") == "2"  # an attempt that is left is used
    up.play = reply()
    assert c.ask().body == MESSAGE


@pytest.mark.parametrize(
    "data,reason",
    [
        (b"", "empty reply"),
        (b"HTTP/1.1 20", "reply cut off"),
        (H + b"content-le", "reply cut off"),
        (H + b"content-length: 99\r\n\r\n{}", "reply cut off"),
        (H + b"transfer-encoding: chunked\r\n\r\n5\r\nhel", "reply cut off"),
        (H + b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n", "reply cut off"),
        (H + b"content-length: 0\r\n\r\n", "empty reply"),
        (H + b"connection: close\r\n\r\n", "empty reply"),
        (STREAM_HEAD, "reply cut off"),
        (STREAM_HEAD + LAST_CHUNK, "empty reply"),
        (STREAM_HEAD + chunk(START) + LAST_CHUNK, "reply cut off"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_broken_before_the_commit(one, client, data, reason, stream):
    """Tried twice, then told; nothing of it was given."""
    if not stream and START in data:
        pytest.skip("a stream that nobody asked for is no answer, whole or not")
    q, up = one(then_close(data))
    c = client(q)
    r = c.ask(stream=stream)
    assert r.status == 502
    assert r.error["message"] == "all attempts failed: " + ", ".join(["raw: transient (%s)" % reason] * 2)
    assert r.header("x-qcc-attempts") == "2" and len(up.requests) == 2


def test_reset_before_the_commit(one, client):
    q, up = one(lambda peer, _: peer.reset())
    r = client(q).ask()
    assert r.status == 502 and "raw: transient (connection reset)" in r.error["message"]
    assert len(up.requests) == 2


def test_refused(qcc, client):
    q = qcc({**CALM, "endpoints": [{"name": "dead", "base_url": "http://127.0.0.1:%d" % free_port()}]})
    r = client(q).ask()
    assert r.status == 502 and "dead: transient (connection refused)" in r.error["message"]
    assert "127.0.0.1" not in r.body.decode()


def test_unknown_host(qcc, client):
    q = qcc({**CALM, "endpoints": [{"name": "nowhere", "base_url": "http://no-such-host.invalid"}],
             "upstream": {"connect_timeout": "1s"}})
    r = client(q).ask()
    assert r.status in (502, 504) and "nowhere: transient (" in r.error["message"]
    assert "invalid" not in r.body.decode()


# ---- time

def test_connect_timeout(qcc, client):
    """A host that does not answer: its queue of connections is full."""
    with contextlib.ExitStack() as stack:
        full = stack.enter_context(socket.socket())
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(8):
            s = stack.enter_context(socket.socket())
            s.setblocking(False)
            s.connect_ex(full.getsockname())
        q = qcc({**CALM, "endpoints": [{"name": "full", "base_url": "http://127.0.0.1:%d" % full.getsockname()[1]}],
                 "upstream": {"connect_timeout": "150ms"}})
        r = client(q).ask()
    assert r.status == 504 and "full: transient (connect timeout)" in r.error["message"]


def test_dials_that_wait_for_their_turn_wait_no_longer_than_a_dial(qcc, client):
    with socket.socket() as hole:  # its queue is full: further SYNs are not answered
        hole.bind(("127.0.0.1", 0))
        hole.listen(0)
        fill = [socket.socket() for _ in range(3)]
        for s in fill:
            s.setblocking(False)
            s.connect_ex(hole.getsockname())
        q = qcc({**CALM, "upstream": {"connect_timeout": "1s", "pool": {"max_connections": 1000}},
                 "retry": {"max_attempts": 1},
                 "endpoints": [{"name": "hole", "base_url": "http://127.0.0.1:%d" % hole.getsockname()[1],
                                "api_key": "sk-0123456789"}]})
        clients = [client(q) for _ in range(640)]
        with Timer() as t:
            for c in clients:
                c.send(ask())
            assert {c.reply().status for c in clients} == {504}
        assert t.s < 6
        for s in fill:
            s.close()


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200", b"HTTP/1.1 103 Early Hints\r\n\r\n"])
def test_first_byte_timeout(one, client, sent):
    """It counts until the whole head is there, and such an endpoint is not asked again."""
    q, up = one(lambda peer, _: (peer.send(sent), peer.wait_gone()), {"upstream": {"first_byte_timeout": "150ms"}})
    r = client(q).ask()
    assert r.status == 504 and r.error["message"] == "all attempts failed: raw: transient (first byte timeout)"
    assert len(up.requests) == 1
    until(lambda: up.peers[0].closed_at, "the connection to be closed")


def test_head_that_drips(one, client):
    """A byte now and then is no head: the clock goes on."""

    def play(peer, _):
        for byte in H + b"content-length: 2\r\n\r\nhi" + b"x" * 100:
            peer.send(bytes([byte]))
            time.sleep(0.02)

    q, up = one(play, {"upstream": {"first_byte_timeout": "200ms"}})
    assert client(q).ask().status == 504


def test_body_that_drips(one, client):
    """A slow body is a body, as long as something comes within the idle timeout."""

    def play(peer, _):
        for byte in reply():
            peer.send(bytes([byte]))
            time.sleep(0.002)

    q, up = one(play, {"upstream": {"idle_timeout": "300ms"}})
    assert client(q).ask().body == MESSAGE


def test_idle_timeout_before_the_commit(one, client):
    q, up = one(lambda peer, _: (peer.send(reply()[:-5]), peer.wait_gone()), {"upstream": {"idle_timeout": "100ms"}})
    r = client(q).ask()
    assert r.status == 504 and "raw: transient (idle timeout in the reply)" in r.error["message"]


def test_idle_timeout_in_a_stream(one, client):
    q, up = one(lambda peer, _: (peer.send(STREAM_HEAD + chunk(START + BLOCK)), peer.wait_gone()),
                {"upstream": {"idle_timeout": "100ms"}})
    r = client(q).ask(stream=True)
    name, data = events(r.body)[-1]
    assert name == "error" and "idle timeout in the reply" in data["error"]["message"]


def test_endpoint_that_does_not_read(raw, qcc, client):
    """A request that cannot be sent is no reason to wait for ever."""
    up = raw(lambda peer, _: peer.sock.recv(1) and until(lambda: peer.sock.fileno() == -1), early=True)
    q = qcc({**CALM, "endpoints": [up.endpoint()], "upstream": {"idle_timeout": "200ms"}, "retry": {"max_attempts": 1}})
    r = client(q).ask(pad="x" * 12_000_000)
    assert r.status == 504 and "idle timeout" in r.error["message"]


# ---- connections

def test_reuse(one, client):
    q, up = one(reply())
    for _ in range(3):
        assert client(q).ask().status == 200
    assert len(up.peers) == 1 and len(up.requests) == 3


@pytest.mark.parametrize(
    "data",
    [
        reply(headers=["connection: close"]),
        reply().replace(b"HTTP/1.1", b"HTTP/1.0"),
        reply() + b"x",
        reply() + reply(b"another's"),
        STREAM + b"x",
    ],
)
def test_no_reuse(one, client, data):
    """After what is not beyond doubt; whoever comes next gets its own reply."""
    q, up = one(data)
    c = client(q)
    r = c.ask(stream=data.startswith(STREAM))
    assert r.status == 200 and r.body in (MESSAGE, b"".join(EVENTS))
    up.play = reply(b'{"type":"message","n":2}')
    assert c.ask().body == b'{"type":"message","n":2}'
    assert len(up.peers) == 2


def test_1_0_keep_alive_is_reused(one, client):
    q, up = one(reply(headers=["connection: keep-alive"]).replace(b"HTTP/1.1", b"HTTP/1.0"))
    for _ in range(2):
        assert client(q).ask().body == MESSAGE
    assert len(up.peers) == 1


def test_idle_expiry(one, client):
    q, up = one(reply(), {"upstream": {"pool": {"idle_expiry": "100ms"}}})
    client(q).ask()
    until(lambda: up.peers[0].closed_at, "the connection to be dropped")


def test_max_idle(one, client):
    """Of three connections in use at once, one is kept; the others a second longer, for the next crowd."""
    q, up = one(lambda peer, _: (until(lambda: len(up.requests) >= 3), peer.send(reply())), {"upstream": {"pool": {"max_idle": 1}}})
    clients = [client(q) for _ in range(3)]
    for c in clients:
        c.send(ask())
    for c in clients:
        assert c.reply().status == 200
    until(lambda: sum(p.closed_at is not None for p in up.peers) == 2, "two connections to be dropped")
    assert client(q).ask().status == 200
    assert len(up.peers) == 3


def test_max_connections(one, client):
    """The next one waits for a place, and gets it."""
    go = []
    q, up = one(lambda peer, _: (until(lambda: go), peer.send(reply())), {"upstream": {"pool": {"max_connections": 1}}})
    first, second = client(q), client(q)
    first.send(ask())
    up.wait_requests(1)
    second.send(ask())
    assert second.silent(0.2) and len(up.requests) == 1
    go.append(1)
    assert first.reply().status == 200 and second.reply().status == 200
    assert len(up.peers) == 1


def test_max_connections_for_too_long(one, client):
    """Without a place within a second: 503, and when to come again."""
    q, up = one(lambda peer, _: peer.wait_gone(), {"upstream": {"pool": {"max_connections": 1}}})
    first, second = client(q), client(q)
    first.send(ask())
    up.wait_requests(1)
    r = second.ask()
    assert r.status == 503 and r.header("retry-after") == "1" and r.error["type"] == "api_error"


def test_warm_up(one):
    q, up = one(reply(), {"upstream": {"warm_up": True}})
    until(lambda: up.peers, "a connection before the first request")
    assert Client(q.port).ask().status == 200
    assert len(up.peers) == 1


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("method,path", [("POST", "/v1/messages"), ("POST", "/v1/files"), ("DELETE", "/v1/files/1")])
def test_stale_connection(one, client, how, method, path):
    """A kept connection that is closed instead of answered is replaced: at once, uncounted, also for
    what is not repeated otherwise, as the endpoint did not get it."""

    def play(peer, _):
        if len(up.requests) == 2:
            getattr(peer, how)()
        else:
            peer.send(reply())

    q, up = one(play, {"retry": {"max_attempts": 1}})
    c = client(q)
    assert c.ask().status == 200
    c.send(request(method, path, body=b"{}"))
    r = c.reply()
    assert r.status == 200 and r.header("x-qcc-attempts") == "1"
    assert len(up.peers) == 2 and up.requests[2].body == b"{}"


@pytest.mark.parametrize("method,path,repeated", [
    ("POST", "/v1/messages", True), ("POST", "/v1/messages?beta=true", True), ("POST", "/v1/messages/count_tokens", True),
    ("POST", "/v1/complete", True), ("POST", "/v1/chat/completions", True), ("POST", "/v1/responses", True),
    ("POST", "/v1/embeddings", True), ("GET", "/v1/anything", True), ("HEAD", "/v1/anything", True),
    ("POST", "/v1/files", False), ("POST", "/v1/messages/batches", False), ("PUT", "/v1/messages", False),
    ("DELETE", "/v1/files/1", False), ("PATCH", "/v1/messages", False),
])
def test_who_is_repeated(one, client, method, path, repeated):
    """After a connection that was new and closed without a word: it may have been done."""

    def play(peer, _):
        if len(up.requests) == 1:
            peer.close()
        else:
            peer.send(reply(MESSAGE if method != "HEAD" else b""))

    q, up = one(play)
    c = client(q)
    c.send(request(method, path, body=b"{}" if method == "POST" else None))
    r = c.reply(method)
    assert r.status == (200 if repeated else 502)
    assert len(up.requests) == (2 if repeated else 1)


def test_what_was_not_sent_is_repeated(qcc, raw, client):
    """Nobody listened: that the endpoint did not get it is beyond doubt."""
    up = raw(reply())
    q = qcc({**CALM, "endpoints": [{"name": "dead", "base_url": "http://127.0.0.1:%d" % free_port(), "priority": 1}, up.endpoint(priority=2)],
             "balance": {"strategy": "priority_failover"}})
    c = client(q)
    c.send(request("POST", "/v1/files", body=b"{}"))
    r = c.reply()
    assert r.status == 200 and r.header("x-qcc-endpoint") == "raw" and r.header("x-qcc-attempts") == "2"


# ---- early replies

def test_early_refusal(raw, qcc, client):
    """413 before the body was read, then the end: the client gets it."""

    def play(peer, _):
        peer.send(error(413, "request_too_large", "too large for us", ["connection: close"]))
        peer.half_close()
        peer.wait_gone()

    up = raw(play, early=True)
    q = qcc({**CALM, "endpoints": [up.endpoint()]})
    r = client(q).ask(pad="x" * 8_000_000)
    assert r.status == 413 and r.error["message"] == "too large for us"


def test_early_reply_spoils_the_connection(raw, qcc, client):
    """A complete reply while the request is still being sent: good, but never again this connection."""

    def play(peer, r):
        peer.requests.append(r)
        peer.send(reply())
        if len(up.peers) == 1:
            peer.wait_hangup()
        else:
            peer.take(int(r.header("content-length")))

    up = raw(play, early=True)
    q = qcc({**CALM, "endpoints": [up.endpoint()]})
    c = client(q)
    # more than all socket buffers between the two can hold
    assert c.ask(pad="x" * 24_000_000).body == MESSAGE
    assert c.ask().body == MESSAGE
    assert len(up.peers) == 2


def test_1xx_is_not_passed_on(one, client):
    interim = b"HTTP/1.1 100 Continue\r\n\r\n" + b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" * 3
    q, up = one(interim + reply())
    c = client(q)
    for _ in range(2):
        r = c.ask()
        assert r.interim == [] and r.body == MESSAGE
    assert len(up.peers) == 1


# ---- what of a reply is passed on

def test_headers_to_the_client(one, client):
    kept = ["request-id: req_1", "Anthropic-RateLimit-Requests-Remaining: 7", "X-Odd:   two  blanks ", "set-cookie: a=1",
            "set-cookie: b=2", "date: Thu, 01 Jan 1970 00:00:00 GMT", "server: x", "retry-after-ms: 3", "x-empty:",
            "content-language: en", "cf-ray: 1"]
    dropped = ["Connection: keep-alive, x-hop", "Keep-Alive: timeout=5", "X-Hop: 1", "Proxy-Authenticate: Basic", "Trailer: x",
               "Upgrade: h2c", "Proxy-Connection: keep-alive", "x-qcc-endpoint: forged", "X-QCC-Attempts: 99"]
    lines = [line for i in range(max(len(kept), len(dropped))) for line in kept[i : i + 1] + dropped[i : i + 1]]
    q, up = one(reply(headers=lines).replace(b"200 X", b"201 Made (up)"))
    r = client(q).ask()
    assert (r.status, r.reason, r.body) == (201, "Made (up)", MESSAGE)
    got = r.head.decode().split("\r\n")[1:-2]
    assert [line for line in got if line in kept] == kept
    ours = [line for line in got if line not in kept]
    assert [re.sub(": .*", "", line) for line in ours] == ["content-type", "content-length", "x-qcc-endpoint", "x-qcc-attempts", "x-qcc-request-id"]
    assert r.header("x-qcc-endpoint") == "raw" and r.header("x-qcc-attempts") == "1"


@pytest.mark.parametrize("status", [204, 304])
def test_replies_without_a_body(one, client, status):
    q, up = one(b"HTTP/1.1 %d X\r\netag: 1\r\n\r\n" % status)
    c = client(q)
    for _ in range(2):
        c.send(request())
        r = c.reply()
        assert r.status == status and r.header("etag") == "1"
        assert r.header("transfer-encoding") is None and r.header("content-length") is None


@pytest.mark.parametrize("framing", ["length", "chunked", "eof"])
@pytest.mark.parametrize("size", [40, 70_000, 3_000_000])
def test_body_whatever_its_framing(one, client, framing, size):
    """Also beyond what is held back (retry.hold_reply)."""
    body = b'{"type":"message","x":"' + b"x" * (size - 26) + b'"}\n'

    def play(peer, _):
        if framing == "length":
            peer.send(reply(body))
        elif framing == "chunked":
            peer.send(H + b"transfer-encoding: chunked\r\n\r\n")
            for i in range(0, size, 9999):
                peer.send(chunk(body[i : i + 9999]))
            peer.send(b"0\r\nx-trailer: dropped\r\n\r\n")
        else:
            peer.send(H + b"\r\n" + body)
            peer.close()

    q, up = one(play)
    c = client(q)
    for _ in range(2):
        r = c.ask()
        assert r.status == 200 and r.body == body and r.header("x-trailer") is None


def test_encoded_reply_passes_unchanged(one, client):
    """Not asked for (no accept-encoding goes out), but not ours to undo."""
    body = gzip.compress(MESSAGE)
    q, up = one(reply(body, headers=["content-encoding: gzip"]))
    r = client(q).ask(headers=["accept-encoding: gzip"])
    assert r.body == body and r.header("content-encoding") == "gzip"
    assert up.requests[0].header("accept-encoding") is None


def test_encoded_stream_is_inflated(one, client):
    """Nobody asked for it, and pings could not be inserted."""
    body = gzip.compress(b"".join(EVENTS))
    q, up = one(STREAM_HEAD.replace(b"\r\n\r\n", b"\r\ncontent-encoding: gzip\r\n\r\n") + chunk(body[:20]) + chunk(body[20:]) + LAST_CHUNK)
    assert client(q).ask(stream=True).body == b"".join(EVENTS)


def rss_kb(q):
    """Of all workers, at its highest."""
    out = 0
    for pid in q.children():
        with open("/proc/%d/status" % pid) as f:
            out += int(re.search("VmHWM:\\s+(\\d+)", f.read()).group(1))
    return out


@pytest.mark.parametrize("spec", ["gzip_bomb", "gzip_bomb,status=500", "endless_body", "endless_body,status=500", "endless_headers",
                                  "two_lengths", "html_200", "empty_200", "extra_bytes_after_end", "garbage", "half_head", "close", "reset",
                                  "trickle_ms=20", "early_reply,status=413"])
def test_hostile_endpoint(qcc, upstream, client, spec):
    """Whatever comes: a reply or a cut, others are served, and memory stays bounded."""
    q = qcc({**CALM, "endpoints": [upstream.endpoint("/n/hostile", name="hostile")], "upstream": {"first_byte_timeout": "300ms"},
             "failure_queue": {"probe": "off", "verify_interval": "100ms"}})
    before = rss_kb(q)
    upstream.call("PUT", "/_site/hostile", spec)
    with Client(q.port) as c:
        c.send(ask())
        r = c.head()
        assert 200 <= r.status < 600
        if r.header("content-length"):
            c.take(int(r.header("content-length")))
        else:
            got = 0
            with contextlib.suppress(Cut, ConnectionError):
                while got < 64_000_000:
                    piece = c.chunk()
                    got += len(piece)
                    if not piece:
                        break
    assert rss_kb(q) - before < 60_000  # of an address sanitizer's worker
    upstream.call("PUT", "/_site/hostile", "")
    assert until(lambda: client(q).ask().status == 200, "service afterwards")


@pytest.mark.parametrize("stream", [b"data: " + b"x" * (4 << 20), (START + b'event: content_block_start\ndata: {"x":"') + b"y" * (4 << 20),
                                    b": " + b"c" * (4 << 20)], ids=["data", "content", "comment"])
def test_event_without_end(one, client, stream):
    """Bounded, and no answer: the client is told, the endpoint charged."""
    def play(peer, _):
        peer.send(STREAM_HEAD + chunk(stream))
        peer.close()

    q, up = one(play, {"retry": {"max_attempts": 1}})
    before = rss_kb(q)
    r = client(q).ask(stream=True)
    assert r.status == 502 or b"event: error\n" in r.body[-2000:]
    assert rss_kb(q) - before < 30_000
    q.wait_log("endpoint raw: (transient, status 0|unknown, status 200)")


@pytest.mark.parametrize("nest", [b"[" * 60_000, b'{"error":' * 12_000, b'{"type":"error","error":{"message":' + b"[" * 60_000])
@pytest.mark.parametrize("status", [200, 400, 500])
def test_deep_error(one, client, nest, status):
    q, up = one(reply(nest, status), {"retry": {"max_attempts": 1}})
    assert client(q).ask().status in (200, 400, 500, 502)
    up.play = reply()
    assert client(q).ask().status == 200


# ---- texts

def test_error_reply_passes_byte_for_byte(one, client):
    """Clients match on the wording."""
    body = b'{ "type" : "error", "error": {"type":"invalid_request_error","message":"prompt is too long: 2 tokens > 1 maximum"}}\n\n'
    q, up = one(reply(body, 400, ["request-id: req_9", "x-should-retry: false"]))
    c = client(q)
    r = c.ask()
    assert (r.status, r.reason, r.body) == (400, "X", body)
    assert r.header("request-id") == "req_9" and r.header("x-should-retry") == "false"
    assert r.header("x-qcc-attempts") == "1" and r.header("x-qcc-endpoint") == "raw"
    assert c.ask().status == 400  # the connection lives


@pytest.mark.parametrize("where", ["body", "key twice", "held back"])
def test_key_in_an_error_is_masked(one, client, where):
    """The only change ever made to it."""
    key = KEY
    text = {"body": "bad key %s!", "key twice": "%s and %s", "held back": "x" * 70000 + "%s"}[where]
    text = text.replace("%s", key)
    q, up = one(error(401, "authentication_error", text))
    r = client(q).ask()
    assert r.status == 401 and key not in r.body.decode()
    assert re.sub("sk-[.…]*cdef", key, r.error["message"]) == text
    assert key not in q.log()
