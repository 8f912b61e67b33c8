"""A stream without content is given up for an endpoint that could serve (upstream.first_content_timeout)."""
import concurrent.futures
import time

import pytest

from client import ask, request
from qcc import until
from scripted import CALM, PING, WHOLE
from upstream import BLOCK, START, STREAM, STREAM_HEAD, chunk, delta, error, reply

FAST = {**CALM, "balance": {"strategy": "priority_failover"}, "upstream": {"first_content_timeout": "300ms"}}

# How far an endpoint comes before it is silent.
SILENT = {
    "nothing": b"",
    "half a head": b"HTTP/1.1 200 OK\r\ncontent-ty",
    "the head": STREAM_HEAD,
    "half an event": STREAM_HEAD + chunk(START[:30]),
    "the first event": STREAM_HEAD + chunk(START),
    "half of JSON": b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{",
    "half an error": b"HTTP/1.1 503 Busy\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{",
    "pings": STREAM_HEAD + chunk(START + PING + b": still here\n\n"),
}


def silent(what):
    def play(peer, _):
        peer.send(what)
        peer.wait_hangup()

    return play


def pinging(first=b""):
    """Pings and comments for ever."""

    def play(peer, _):
        peer.send(STREAM_HEAD + (chunk(first) if first else b""))
        while not peer.closed_at:
            try:
                peer.send(chunk(PING + b": still here\n\n"))
            except OSError:
                return
            time.sleep(0.05)

    return play


def rows(q):
    return until(lambda: q.ctl_json("requests")["requests"], "the request's row")


def charged(q, name):
    return next(e for e in q.ctl_json("endpoints")["endpoints"] if e["name"] == name)["charged"]


def make(qcc, raw, first, config=None, second=STREAM, **more):
    a, b = raw(first), raw(second)
    q = qcc({**FAST, **(config or {}), "endpoints": [a.endpoint("silent", priority=1, **more), b.endpoint("good", priority=2)]})
    return q, a, b


@pytest.mark.parametrize("what", SILENT)
def test_given_up(qcc, raw, client, what):
    q, a, b = make(qcc, raw, silent(SILENT[what]))
    r = client(q).ask(stream=True)
    assert r.body == WHOLE and r.header("x-qcc-endpoint") == "good" and r.header("x-qcc-attempts") == "2"
    assert len(a.requests) == 1
    (row,) = rows(q)
    assert [t["class"] for t in row["attempts"]][0] == "transient" and row["attempts"][0]["reason"] == "no content in the stream"
    assert 300 <= row["attempts"][0]["ms"]
    assert row["first_byte_ms"] < 300 + 2000


def test_a_hundred_silent_at_any_byte(qcc, raw, client):
    """Each of a hundred endpoints falls silent at a byte of its own before content; every request is served by the other."""
    front = STREAM_HEAD + chunk(START)
    ups = [raw(silent(front[:i * len(front) // 99])) for i in range(100)]
    good = raw(STREAM)
    q = qcc({**FAST, "endpoints": [up.endpoint("s%d" % i, priority=1, models={"allow": ["m%d" % i]}) for i, up in enumerate(ups)]
             + [good.endpoint("good", priority=2)]})

    def one(i):
        c = client(q)
        r = c.ask(model="m%d" % i, stream=True)
        return r.status, r.header("x-qcc-endpoint"), r.body == WHOLE

    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        assert set(pool.map(one, range(100))) == {(200, "good", True)}
    assert [len(up.requests) for up in ups] == [1] * 100 and len(good.requests) == 100


@pytest.mark.parametrize("first", [b"", START], ids=["pings alone", "pings after the start"])
def test_pings_are_no_content(qcc, raw, client, first):
    q, a, b = make(qcc, raw, pinging(first))
    assert client(q).ask(stream=True).body == WHOLE


def test_pings_of_ours_go_on(qcc, raw, client):
    q, a, b = make(qcc, raw, silent(b""), {"stream_ping": "100ms"})
    r = client(q).ask(stream=True)
    assert r.body.startswith(PING) and r.body.replace(PING, b"") == WHOLE


def test_per_endpoint(qcc, raw, client):
    q, a, b = make(qcc, raw, silent(STREAM_HEAD), {"upstream": {"first_content_timeout": "1h"}}, first_content_timeout="200ms")
    assert client(q).ask(stream=True).body == WHOLE


@pytest.mark.parametrize("key", ["first_byte_timeout", "idle_timeout"])
def test_other_timeouts_per_endpoint(qcc, raw, client, key):
    q, a, b = make(qcc, raw, silent(b"" if key == "first_byte_timeout" else STREAM_HEAD), {"upstream": {"first_content_timeout": "0s"}}, **{key: "200ms"})
    assert client(q).ask(stream=True).body == WHOLE
    assert len(a.requests) == 1


def test_not_for_json(qcc, raw, client):
    """A reply that is no stream comes when it is whole."""

    def late(peer, _):
        time.sleep(0.8)
        peer.send(reply())

    q, a, b = make(qcc, raw, late, second=reply())
    assert client(q).ask().header("x-qcc-endpoint") == "silent"


@pytest.mark.parametrize("other", ["none", "disabled", "cooling"])
def test_nobody_else(qcc, raw, client, other):
    """No other endpoint could serve: the stream is waited for, and what has begun is passed on."""

    def late(peer, _):
        peer.send(STREAM_HEAD + chunk(START))
        time.sleep(1)
        peer.send(STREAM[len(STREAM_HEAD) + len(chunk(START)):])

    q, a, b = make(qcc, raw, late, second=error(429, "rate_limit_error", headers=["retry-after: 600"]))
    if other == "disabled":
        q.ctl("disable", "good")
    elif other == "cooling":
        q.ctl("disable", "silent")
        assert client(q).ask().status == 429
        q.ctl("enable", "silent")
    else:
        q.reload({"endpoints": [a.endpoint("silent")]})
    r = client(q).ask(stream=True)
    assert r.body == WHOLE and r.header("x-qcc-endpoint") == "silent" and r.header("x-qcc-attempts") == "1"


def test_one_that_comes_back_meanwhile(qcc, raw, client):
    q, a, b = make(qcc, raw, silent(STREAM_HEAD))
    q.ctl("disable", "good")
    c = client(q)
    c.send(ask(stream=True))
    a.wait_requests(1)
    time.sleep(0.6)
    q.ctl("enable", "good")
    assert c.reply().body == WHOLE


def test_held_while_another_could_serve(qcc, raw, client):
    """Longer than retry.hold_stream_head: what breaks then is repaired."""

    def breaks(peer, _):
        peer.send(STREAM_HEAD + chunk(START))
        time.sleep(1)
        peer.close()

    q, a, b = make(qcc, raw, breaks, {"upstream": {"first_content_timeout": "30s"},
                                      "retry": {"hold_stream_head": "100ms", "max_attempts_per_endpoint": 1}})
    assert client(q).ask(stream=True).body == WHOLE


def test_charged_when_another_has_brought_content(qcc, raw, client):
    q, a, b = make(qcc, raw, silent(STREAM_HEAD))
    assert client(q).ask(stream=True).body == WHOLE
    until(lambda: charged(q, "silent") == 1, "the charge")


def test_charged_to_nobody(qcc, raw, client):
    """The last one is waited for until first_byte_timeout; no one has brought content."""
    q, a, b = make(qcc, raw, silent(b""), {"upstream": {"first_content_timeout": "200ms", "first_byte_timeout": "600ms"}, "retry": {"max_attempts": 5}},
                   second=silent(b""))
    r = client(q).ask(stream=True)
    assert r.status in (502, 504)
    assert len(a.requests) == 1 and len(b.requests) == 1  # silent ones are not asked again
    assert charged(q, "silent") == 0


def test_a_slow_start_is_no_silence(qcc, raw, client):
    """Content within the time: the deadline is over for good."""

    def slow(peer, _):
        peer.send(STREAM_HEAD + chunk(START + BLOCK + delta("a")))
        time.sleep(0.8)
        peer.send(STREAM[len(STREAM_HEAD) + len(chunk(START) + chunk(BLOCK) + chunk(delta("a"))):])

    q, a, b = make(qcc, raw, slow)
    r = client(q).ask(stream=True)
    assert r.body == WHOLE and r.header("x-qcc-endpoint") == "silent"


# ---- replies that are no streams

JSON_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
STALLS = {
    "the head": JSON_HEAD + b"content-length: 100\r\n\r\n",
    "half of it": reply()[:-9],
    "half a chunk": JSON_HEAD + b"transfer-encoding: chunked\r\n\r\n20\r\n{",
    "no length": JSON_HEAD + b"connection: close\r\n\r\n{",
    "in a coding": JSON_HEAD + b"content-encoding: br\r\ncontent-length: 100\r\n\r\n{",
    "the head of an error": b"HTTP/1.1 503 Busy\r\ncontent-length: 100\r\n\r\n",
    "half an error": SILENT["half an error"],
}
FOUR = {"upstream": {"idle_timeout": "200ms"}, "retry": {"transient_delay": "1ms", "max_attempts": 4, "max_attempts_per_endpoint": 4}}


@pytest.mark.parametrize("what", STALLS)
def test_asked_once_for_one_silence(qcc, raw, client, what):
    """A reply that stalls is waited for once at an endpoint, and the next one is asked."""
    q, a, b = make(qcc, raw, silent(STALLS[what]), FOUR, second=reply())
    r = client(q).ask()
    assert r.header("x-qcc-endpoint") == "good" and r.header("x-qcc-attempts") == "2" and len(a.requests) == 1
    q.ctl("disable", "good")
    assert client(q).ask().status in (502, 504)
    assert len(a.requests) == 2


@pytest.mark.parametrize("path", ["/v1/files", "/v1/messages/count_tokens"])
def test_asked_once_on_a_side_path(qcc, raw, client, path):
    q, a, b = make(qcc, raw, silent(STALLS["half of it"]), FOUR, second=reply(b'{"input_tokens":5}'))
    c = client(q)
    c.send(request("GET", path) if path == "/v1/files" else ask(path=path))
    r = c.reply()
    assert r.body == b'{"input_tokens":5}' and len(a.requests) == 1


def test_one_that_does_not_read_is_asked_once(qcc, raw, client):
    a, b = raw(lambda peer, _: until(lambda: peer.sock.fileno() == -1), early=True), raw(reply())
    q = qcc({**FAST, **FOUR, "endpoints": [a.endpoint("silent", priority=1), b.endpoint("good", priority=2)]})
    assert client(q).ask(pad="x" * 12_000_000).header("x-qcc-endpoint") == "good"
    assert len(a.peers) == 1
    a.close()
