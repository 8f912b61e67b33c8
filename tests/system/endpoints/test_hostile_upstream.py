"""Endpoints that are worse than those of test_upstream_http: what they say does not fit what they
announce, comes at the wrong moment, or gives away what is not theirs."""
import json
import os
import pathlib
import signal
import time

import pytest

from client import Timer, ask, events, request
from qcc import until
from upstream import (BLOCK, EVENTS, KEY, LAST_CHUNK, MESSAGE, START, STOP, STREAM_HEAD, chunk, delta, error, reply)

CALM = {
    "workers": 1,
    "retry": {"transient_delay": "1ms"},
    "breaker": {"failure_threshold": 1000},
    "health": {"degraded_for": "0s"},
}
WHOLE = b"".join(EVENTS)
JSON_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
BARE_HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.fixture
def one(qcc, raw):
    """one(play, config): an instance in front of one scripted endpoint; (qcc, endpoint)."""

    def make(play, config=None, **kw):
        up = raw(play, **kw)
        return qcc({**CALM, "endpoints": [up.endpoint()], **(config or {})}), up

    return make


@pytest.fixture
def two(qcc, raw):
    """two(play, config): an endpoint that plays, and one that is well behind it."""

    def make(play, config=None):
        bad, good = raw(play), raw(reply())
        q = qcc({**CALM, "endpoints": [bad.endpoint("bad", priority=1), good.endpoint("good", priority=2)],
                 "balance": {"strategy": "priority_failover"}, **(config or {})})
        return q, bad, good

    return make


# ---- what a reply is, whatever its content type says

@pytest.mark.parametrize("head", [BARE_HEAD, JSON_HEAD], ids=["no type", "json"])
@pytest.mark.parametrize("front", [b"", b": hello\n\n", b"\xef\xbb\xbf", b"\r\n\r\n", b"id: 1\n", b"retry: 5\n\n"],
                         ids=["event", "comment", "bom", "empty lines", "id", "retry"])
@pytest.mark.parametrize("size", [1, 4, 10000])
def test_stream_that_is_not_called_one(one, client, head, front, size):
    """It is passed on as it comes, however it begins and wherever it is cut into pieces."""
    go = []

    def play(peer, _):
        data = front + START + BLOCK
        peer.send(head + b"".join(chunk(data[i : i + size]) for i in range(0, len(data), size)))
        until(lambda: go)
        peer.send(chunk(STOP) + LAST_CHUNK)

    q, up = one(play)
    c = client(q)
    c.send(ask(stream=True))
    r = c.head()
    assert r.status == 200 and r.header("transfer-encoding") == "chunked"
    got = b""
    while len(got) < len(front + START + BLOCK):
        got += c.chunk()
    go.append(1)
    assert got == front + START + BLOCK and c.chunk() == STOP and c.chunk() == b""


def test_cut_stream_that_is_not_called_one(one, client):
    """It has the rules of a stream: cut, it ends in an error event."""
    q, up = one(lambda peer, _: (peer.send(JSON_HEAD + chunk(START[:3]) + chunk(START[3:] + BLOCK + delta("a"))), time.sleep(0.1), peer.close()))
    r = client(q).ask(stream=True)
    assert events(r.body)[-1][0] == "error"


LIMIT = b'{"type":"error","error":{"type":"rate_limit_error","message":"slow down"}}'


@pytest.mark.parametrize("size", [1, 10000])
@pytest.mark.parametrize("body,reason", [(LIMIT, "rate_limit"), (b"\n" + LIMIT, "rate_limit"), (b"<html><body>Sign in</body></html>", "unknown")])
def test_no_stream_that_is_called_one(two, client, body, reason, size):
    """An error, or a page, as text/event-stream: of its class, and not an empty stream."""
    q, bad, good = two(STREAM_HEAD + b"".join(chunk(body[i : i + size]) for i in range(0, len(body), size)) + LAST_CHUNK)
    good.play = STREAM_HEAD + b"".join(map(chunk, EVENTS)) + LAST_CHUNK
    r = client(q).ask(stream=True)
    assert r.body == WHOLE and r.header("x-qcc-endpoint") == "good" and r.header("x-qcc-attempts") == "2"
    q.wait_log("failures=bad:%s " % reason)


def test_message_that_is_called_a_stream(one, client):
    q, up = one(STREAM_HEAD + chunk(MESSAGE[:1]) + chunk(MESSAGE[1:]) + LAST_CHUNK)
    r = client(q).ask()
    assert r.status == 200 and r.body == MESSAGE


@pytest.mark.parametrize("framing", ["until close", "chunked", "counted"])
def test_cut_object(two, client, framing):
    """Its framing does not tell that it was cut; the JSON does. Repaired like any cut reply."""

    def play(peer, _):
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
        if framing == "until close":
            peer.send(head + b"\r\n" + MESSAGE[:-1])
            peer.close()
        elif framing == "chunked":
            peer.send(head + b"transfer-encoding: chunked\r\n\r\n" + chunk(MESSAGE[:-20]) + LAST_CHUNK)
        else:
            peer.send(reply(MESSAGE[:-20]))

    q, bad, good = two(play)
    r = client(q).ask()
    assert r.body == MESSAGE and r.header("x-qcc-endpoint") == "good"
    q.wait_log("bad: transient, fault endpoint .reply cut off")


def test_odd_objects_are_none_of_our_business(one, client):
    """Not strictly JSON, but closed, and of the API's kind: they pass."""
    q, up = one(b"")
    c = client(q)
    for body in (b'{"type":"message","p":NaN,"q":-Infinity}', b'{"type":"message",}', b'{"a":"}","type":"message"} '):
        up.play = reply(body)
        r = c.ask()
        assert r.status == 200 and r.body == body


def test_page_is_no_answer(one, client):
    """With nobody else to ask the client is told, and does not get it as if all were well."""
    q, up = one(reply(b"<!doctype html><title>Sign in</title>", type="text/html"))
    r = client(q).ask()
    assert r.status == 502 and r.body == b"<!doctype html><title>Sign in</title>"
    q.wait_log("raw: unknown, fault endpoint")


@pytest.mark.parametrize("type,message,status", [("api_error", "in 200", 502), ("rate_limit_error", "slow down", 429),
                                                 ("authentication_error", "invalid x-api-key", 401), ("invalid_request_error", "too odd", 400)])
@pytest.mark.parametrize("stream", [False, True])
def test_error_within_a_200_is_told_as_one(one, client, type, message, status, stream):
    """Byte for byte, but no client is to take it for an answer."""
    body = json.dumps({"type": "error", "error": {"type": type, "message": message}}, indent=1).encode()
    q, up = one(reply(body, headers=["request-id: req_1"]))
    r = client(q).ask(stream=stream)
    assert (r.status, r.body) == (status, body) and r.header("request-id") == "req_1"
    q.wait_log(" status=%d " % status)


@pytest.mark.parametrize("method,path", [("OPTIONS", "/v1/messages"), ("DELETE", "/v1/files/1"), ("PUT", "/v1/x"), ("POST", "/v1/files")])
def test_nothing_to_say(one, client, method, path):
    """Where an answer without a body is one, and a failure would be wrong: it was done."""
    q, up = one(reply(b"", headers=["request-id: req_1"]))
    c = client(q)
    c.send(request(method, path, body=b"{}" if method in ("PUT", "POST") else None))
    r = c.reply()
    assert r.status == 200 and r.body == b"" and r.header("request-id") == "req_1"


@pytest.mark.parametrize("split", [False, True])
def test_wait_of_a_limit_within_a_200(one, client, split):
    """The headers of such a reply count, in one piece with its body or not."""

    def play(peer, _):
        data = reply(LIMIT, headers=["retry-after: 17"])
        if split:
            peer.send(data[:-10])
            time.sleep(0.05)
        peer.send(data[-10:] if split else data)

    q, up = one(play)
    r = client(q).ask()
    assert r.status == 429 and r.header("retry-after") == "17"


@pytest.mark.parametrize("sent", [b"", chunk(b": welcome\n\n")])
def test_subscription_without_an_event(one, client, sent):
    """The head of a stream that is no answer of a model does not wait for its first event."""
    q, up = one(lambda peer, _: (peer.send(STREAM_HEAD + sent), peer.wait_gone()), {"retry": {"hold_stream_head": "100ms"}})
    c = client(q)
    c.send(request(target="/v1/events"))
    assert c.head().status == 200
    if sent:
        assert c.chunk() == b": welcome\n\n"


# ---- the end of a stream

def test_stream_that_goes_on_behind_its_end(one, client):
    """message_stop was there: the client does not wait for a connection that is never closed."""
    q, up = one(lambda peer, _: (peer.send(STREAM_HEAD + chunk(WHOLE)), peer.wait_gone()))
    with Timer() as t:
        r = client(q).ask(stream=True)
    assert r.body == WHOLE and t.s < 10
    until(lambda: up.peers[0].closed_at, "the upstream transfer to be ended")
    q.wait_log("status=200 .*end=ok")


def test_pings_behind_the_end(one, client):
    """Signs of life do not put it off."""

    def play(peer, _):
        peer.send(STREAM_HEAD + chunk(WHOLE))
        while True:
            peer.send(chunk(b": alive\n\n"))
            time.sleep(0.1)

    q, up = one(play)
    with Timer() as t:
        r = client(q).ask(stream=True)
    assert r.body.startswith(WHOLE) and t.s < 10


PINGS = [b'event: ping\ndata: {"type": "ping"}\n\n', b"event: ping\ndata: {}\n\n", b'data: {"type":"ping"}\n\n']


@pytest.mark.parametrize("ping", PINGS)
def test_pings_before_the_first_event(one, client, ping):
    """The client hears of them in the time that a head is held; nothing of the stream is lost."""
    go = []

    def play(peer, _):
        peer.send(STREAM_HEAD + chunk(ping))
        until(lambda: go)
        peer.send(chunk(ping) + chunk(WHOLE) + LAST_CHUNK)

    q, up = one(play, {"retry": {"hold_stream_head": "100ms"}})
    c = client(q)
    c.send(ask(stream=True))
    r = c.head()
    assert r.status == 200 and c.chunk() == PINGS[0]
    go.append(1)
    got = b""
    while not got.endswith(STOP):
        got += c.chunk()
    assert got.endswith(WHOLE) and c.chunk() == b""
    q.wait_log("status=200 .*end=ok")


@pytest.mark.parametrize("ping", PINGS)
def test_failure_behind_pings(two, client, ping):
    """However long they went on: it is repaired."""

    def play(peer, _):
        peer.send(STREAM_HEAD)
        for i in range(6):
            peer.send(chunk(ping))
            time.sleep(0.05)
        peer.send(chunk(b"event: error\ndata: " + LIMIT + b"\n\n") + LAST_CHUNK)

    q, bad, good = two(play, {"retry": {"hold_stream_head": "100ms"}})
    good.play = STREAM_HEAD + b"".join(map(chunk, EVENTS)) + LAST_CHUNK
    r = client(q).ask(stream=True)
    assert r.status == 200 and r.body.startswith(PINGS[0]) and r.body.endswith(WHOLE) and b"error" not in r.body


def test_pings_where_none_are_to_be_sent(one, client):
    """Then the endpoint's own are held back: they are no sign of an answer."""
    q, up = one(lambda peer, _: (peer.send(STREAM_HEAD + chunk(PINGS[0])), peer.wait_gone()),
                {"retry": {"hold_stream_head": "100ms"}, "stream_ping": "0s"})
    c = client(q)
    c.send(ask(stream=True))
    up.wait_requests(1)
    assert c.silent(0.4)


# ---- an error after pings: its words count

SLOW = {"stream_ping": "60ms"}


@pytest.mark.parametrize("body,type,status", [
    (json.dumps(json.loads(LIMIT), indent=2).encode(), "application/json", 400),
    (b"event: error\ndata: " + LIMIT + b"\n\n", "text/event-stream", 500),
    (b"event: error\r\ndata: " + LIMIT + b"\r\n\r\n", "text/event-stream", 200),
])
def test_words_of_an_error_after_pings(one, client, body, type, status):
    q, up = one(lambda peer, _: (time.sleep(0.2), peer.send(reply(body, status, type=type))), {**SLOW, "retry": {"max_attempts": 1}})
    r = client(q).ask(stream=True)
    got = events(r.body)
    assert got[0][0] == "ping" and got[-1] == ("error", json.loads(LIMIT))
    assert r.body.endswith(b"\n\n")


# ---- the endpoint's key in what it says

def test_key_in_the_head_of_an_error(one, client):
    q, up = one(error(401, "authentication_error", "no", ["www-authenticate: Bearer token=" + KEY, "x-a: b"]))
    r = client(q).ask()
    assert r.status == 401 and KEY.encode() not in r.head and b"cdef" in r.head and r.header("x-a") == "b"


def test_key_in_an_error_event(one, client):
    """In mid-stream, where an error can only be passed on."""
    fault = b'event: error\ndata: {"type":"error","error":{"type":"api_error","message":"key %s is odd"}}\n\n' % KEY.encode()

    def play(peer, _):
        peer.send(STREAM_HEAD + chunk(START + BLOCK))
        time.sleep(0.1)
        peer.send(chunk(fault) + LAST_CHUNK)

    q, up = one(play)
    r = client(q).ask(stream=True)
    name, data = events(r.body)[-1]
    assert name == "error" and KEY not in r.body.decode() and "cdef is odd" in data["error"]["message"]


# ---- bytes that are nobody's

@pytest.mark.parametrize("method,first", [
    ("GET", b"HTTP/1.1 204 X\r\n\r\nGARBAGE"), ("GET", b"HTTP/1.1 304 X\r\n\r\nGARBAGE"), ("HEAD", reply(b"GARBAGE")),
    ("GET", reply() + b"GARBAGE"), ("GET", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\nGARBAGE"),
])
def test_body_where_there_is_none(one, client, method, first):
    """It does not become the next reply on that connection."""
    q, up = one(first)
    c = client(q)
    c.send(request(method, "/v1/a"))
    assert c.reply(method).status in (200, 204, 304)
    up.play = reply(b'{"own":1}')
    c.send(request("GET", "/v1/b"))
    assert c.reply().body == b'{"own":1}' and len(up.peers) == 2


def test_bytes_that_come_late(one, client):
    """They meet the next request: no fault of its own, nor counted, where it may be repeated."""

    def play(peer, r):
        if len(peer.requests) > 1:
            peer.send(b"GARBAGE\r\n\r\n")
        peer.send(reply())

    q, up = one(play)
    c = client(q)
    for _ in range(4):
        r = c.ask()
        assert r.status == 200 and r.header("x-qcc-attempts") == "1"
    c.send(request("POST", "/v1/files", body=b"{}"))
    r = c.reply()
    assert r.status == 502 and "invalid HTTP reply" in r.error["message"]


@pytest.mark.parametrize("bad", [b"HTTP/1.1 101 Switching Protocols\r\nupgrade: foo\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
                                 b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\n{}"])
def test_a_faulty_reply_on_a_used_connection(one, client, bad):
    """It is the reply to this request, which was worked on: an attempt like any other."""
    q, up = one(lambda peer, r: peer.send(bad if len(peer.requests) > 1 else reply()))
    c = client(q)
    assert c.ask().header("x-qcc-attempts") == "1"
    assert c.ask().header("x-qcc-attempts") == "2" and sum(len(p.requests) for p in up.peers) == 3


@pytest.mark.parametrize("first", ["client", "endpoint"])
def test_unasked_reply_on_an_idle_connection(qcc, raw, client, first):
    up = raw(reply())
    q = qcc({**CALM, "endpoints": [up.endpoint()]})
    c = client(q)
    assert c.ask().status == 200
    worker = q.children()[0]
    os.kill(worker, signal.SIGSTOP)
    # it may still run for a moment, and take the question before the endpoint has said anything
    until(lambda: pathlib.Path("/proc/%d/stat" % worker).read_text().rpartition(")")[2].split()[0] == "T", "it to stop")
    if first == "client":
        c.send(ask())
    up.peers[0].send(reply(b'{"not": "yours"}'))
    if first != "client":
        time.sleep(0.05)
        c.send(ask())
    time.sleep(0.05)
    os.kill(worker, signal.SIGCONT)
    r = c.reply()
    assert (r.status, r.body) == (200, MESSAGE)


def test_reply_too_many(one, client):
    """It is nobody's, though it came when all of its own was read."""

    def play(peer, r):
        if r.target == "/v1/a":
            peer.send(reply(b'{"a":1}'))
            peer.send(reply(b'{"stolen":1}'))
        else:
            peer.send(reply(b'{"own":1}'))

    q, up = one(play)
    c = client(q)
    for _ in range(20):
        c.send(request(target="/v1/a"))
        assert c.reply().body == b'{"a":1}'
        until(lambda: not [p for p in up.peers if p.closed_at is None], "the connection to be dropped")
        c.send(request(target="/v1/b"))
        assert c.reply().body == b'{"own":1}'


@pytest.mark.parametrize("how", ["close", "reset"])
def test_closed_behind_each_reply(one, client, how):
    """Though it had promised to stay: each request is answered, none counts more than one attempt."""
    q, up = one(lambda peer, _: (peer.send(reply()), getattr(peer, how)()))
    c = client(q)
    for _ in range(50):
        r = c.ask()
        assert r.status == 200 and r.header("x-qcc-attempts") == "1"


def test_refusal_and_reset_while_the_request_is_sent(one, client):
    """A 413 before the body was read, and no orderly end: the client reads it all the same."""

    def play(peer, _):
        peer.send(error(413, "request_too_large", "too large for us", ["connection: close"]))
        peer.reset()

    q, up = one(play, early=True)
    for _ in range(3):
        r = client(q).ask(pad="x" * 4_000_000)
        assert r.status == 413 and r.error["message"] == "too large for us"


def test_error_that_drips_is_taken_as_it_is(qcc, raw, client):
    def drip(peer, request):
        peer.send(b"HTTP/1.1 500 X\r\ncontent-type: text/plain\r\ncontent-length: 1000\r\n\r\n")
        for _ in range(1000):
            peer.send(b"x")
            time.sleep(0.1)

    bad, good = raw(drip), raw(reply())
    q = qcc({**CALM, "upstream": {"idle_timeout": "1s"}, "retry": {"max_attempts_per_endpoint": 1},
             "balance": {"strategy": "priority_failover"},
             "endpoints": [bad.endpoint("bad"), good.endpoint("good", priority=2)]})
    r = client(q).ask()
    assert (r.status, r.header("x-qcc-endpoint")) == (200, "good")


def test_one_very_large_event(one, client):
    """More than anything holds, within an event and before one has ended."""
    big = delta("x" * (4 << 20))
    q, up = one(STREAM_HEAD + b"".join(map(chunk, [START, big, STOP])) + LAST_CHUNK)
    assert client(q).ask(stream=True).body == START + big + STOP


def test_very_many_small_chunks(one, client):
    body = START + BLOCK + delta("t") * 20000 + STOP
    q, up = one(STREAM_HEAD + b"".join(chunk(body[i : i + 7]) for i in range(0, len(body), 7)) + LAST_CHUNK)
    with Timer() as t:
        assert client(q).ask(stream=True).body == body
    assert t.s < 10


@pytest.mark.parametrize("size", range(1046000, 1048600, 400))
def test_reply_head_that_fills_the_notes(qcc, raw, client, size):
    head = b"HTTP/1.1 400 X\r\ncontent-length: 2\r\nx: "
    up = raw(head + b"y" * (size - len(head) - 4) + b"\r\n\r\n{}")
    good = raw(reply())
    q = qcc({**CALM, "upstream": {"max_response_header_bytes": "1MiB"}, "balance": {"strategy": "priority_failover"},
             "endpoints": [up.endpoint("bad"), good.endpoint("good", priority=2)]})
    assert client(q).ask().status in (200, 400, 502, 503)


# ---- what is no HTTP at all


@pytest.mark.parametrize("said", [b"SSH-2.0-x\r\n", b"220 mail ESMTP\r\n", b"\x15\x03\x01\x00\x02\x02\x28", b"-ERR unknown\r\n", b"<html>\n", b"\n",
                                  b"HTTP/2.0 200 OK\r\n"])
def test_another_protocol_that_stays_open(two, client, said):
    """No head will come of it: nobody waits `first_byte_timeout` for its end."""
    q, _, _ = two(lambda peer, _: (peer.send(said), peer.wait_gone()))
    r = client(q).ask()
    assert (r.status, r.header("x-qcc-endpoint")) == (200, "good")
    q.wait_log(r"bad: unknown, fault endpoint \(invalid HTTP reply: [^)]+\)")
