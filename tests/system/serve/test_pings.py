"""Pings into the silence of a stream."""
import time

import pytest

from client import ask, events
from qcc import until
from scripted import CALM, PING, WHOLE, names, one, script
from upstream import (BLOCK, BLOCK_STOP, DELTA_END, EVENTS, LAST_CHUNK, MESSAGE, START, STOP, STREAM, STREAM_HEAD,
                      chunk, delta, error, reply)

FAST_PING = {"stream_ping": "60ms"}


def test_ping_between_events(one, client, script):
    q, up = one(script, FAST_PING)
    c = client(q)
    c.send(ask(stream=True))
    script.play(STREAM_HEAD, chunk(START + BLOCK))
    c.head()
    assert c.chunk() == START + BLOCK
    assert c.chunk() == PING and c.chunk() == PING
    script.play(chunk(b"".join(EVENTS[2:])), LAST_CHUNK)
    rest = b""
    for piece in iter(c.chunk, b""):
        rest += piece
    assert rest.replace(PING, b"") == b"".join(EVENTS[2:])


def test_no_ping_within_an_event(one, client, script):
    q, up = one(script, FAST_PING)
    c = client(q)
    c.send(ask(stream=True))
    script.play(STREAM_HEAD + chunk(START + BLOCK))
    c.head()
    assert c.chunk() == START + BLOCK
    script.play(chunk(delta("x")[:20]))
    assert c.chunk() == delta("x")[:20]
    assert c.silent(0.3)
    script.play(chunk(delta("x")[20:]))
    assert c.chunk() == delta("x")[20:]
    assert c.chunk() == PING


def test_no_ping_while_events_flow(one, client):
    def play(peer, _):
        peer.send(STREAM_HEAD + chunk(START + BLOCK))
        for i in range(30):
            peer.send(chunk(delta(str(i))))
            time.sleep(0.02)
        peer.send(chunk(BLOCK_STOP + DELTA_END + STOP) + LAST_CHUNK)

    q, up = one(play, {"stream_ping": "400ms"})
    assert "ping" not in names(client(q).ask(stream=True).body)


@pytest.mark.parametrize("more", [{"config": {"stream_ping": "0s"}}, {"config": FAST_PING, "stream": False},
                                  {"config": FAST_PING, "path": "/v1/messages/count_tokens"}, {"config": FAST_PING, "path": "/v1/other"}])
def test_no_ping(one, client, script, more):
    """Switched off, or not for a stream."""
    q, up = one(script, more["config"])
    c = client(q)
    c.send(ask(stream=more.get("stream", True), path=more.get("path", "/v1/messages")))
    assert c.silent(0.3)
    stream = more.get("stream", True) and "path" not in more
    script.play(STREAM if stream else reply())
    assert c.reply().body == (WHOLE if stream else MESSAGE)


def test_ping_before_the_answer(one, client, script):
    """Nothing has come yet: the answer begins without it, and goes on with it."""
    q, up = one(script, FAST_PING)
    c = client(q)
    c.send(ask(stream=True))
    r = c.head()
    assert r.status == 200 and r.header("content-type").startswith("text/event-stream")
    assert r.header("x-qcc-request-id")
    assert c.chunk() == PING and c.chunk() == PING
    script.play(STREAM)
    body = b"".join(iter(c.chunk, b""))
    assert body.replace(PING, b"") == WHOLE
    script.play(None)
    script.play(STREAM)
    assert c.ask(stream=True).body.replace(PING, b"") == WHOLE  # the connection lives


def test_ping_while_the_head_is_held(one, client, script):
    q, up = one(script, {**FAST_PING, "retry": {"hold_stream_head": "30s"}})
    c = client(q)
    c.send(ask(stream=True))
    script.play(STREAM_HEAD, chunk(START))
    c.head()
    assert c.chunk() == PING
    script.play(chunk(BLOCK))
    until(lambda: START + BLOCK in (c.fill() and c.buf or c.buf), "the events")


def test_ping_for_1_0(one, client, script):
    q, up = one(script, FAST_PING)
    c = client(q)
    c.send(ask(stream=True, version="1.0"))
    r = c.head()
    assert r.header("transfer-encoding") is None and r.header("connection") == "close"
    assert c.until(PING)
    script.play(STREAM)
    assert c.rest().replace(PING, b"") == WHOLE


def test_ping_for_other_makers(one, client, script):
    """A comment: their clients know no event: ping."""
    q, up = one(script, FAST_PING)
    c = client(q)
    c.send(ask(stream=True, path="/v1/chat/completions"))
    c.head()
    assert c.chunk() == b": ping\n\n"


def test_next_endpoint_after_pings(qcc, raw, client):
    """Attempts go on as before although the answer has begun."""
    bad = raw(lambda peer, _: (time.sleep(0.3), peer.send(error(503))))
    good = raw(STREAM)
    q = qcc({**CALM, **FAST_PING, "endpoints": [bad.endpoint("bad", priority=1), good.endpoint("good", priority=2)],
             "balance": {"strategy": "priority_failover"}, "retry": {"max_attempts_per_endpoint": 1}})
    r = client(q).ask(stream=True)
    assert r.body.startswith(PING) and r.body.replace(PING, b"") == WHOLE


@pytest.mark.parametrize(
    "fail,text",
    [
        (lambda peer, _: peer.close(), "all attempts failed: raw: transient (empty reply)"),
        (lambda peer, _: peer.send(error(400, "invalid_request_error", "too odd")), "too odd"),
        (lambda peer, _: peer.send(reply(b"<html>", 500, type="text/html")), "500"),
    ],
)
def test_failure_after_pings(one, client, fail, text):
    """An error event, the end, and nothing that looks like a whole answer."""
    q, up = one(lambda peer, r: (time.sleep(0.2), fail(peer, r)), {**FAST_PING, "retry": {"max_attempts": 1}})
    r = client(q).ask(stream=True)
    got = events(r.body)
    assert r.status == 200 and got[0][0] == "ping" and got[-1][0] == "error"
    assert got[-1][1]["type"] == "error" and text in got[-1][1]["error"]["message"]
    assert "message_stop" not in names(r.body)


def test_answer_without_a_stream_after_pings(one, client):
    """What cannot be given any more is a failure that is told."""
    q, up = one(lambda peer, _: (time.sleep(0.2), peer.send(reply())), FAST_PING)
    assert names(client(q).ask(stream=True).body)[-1] == "error"


@pytest.mark.parametrize("sent", [b"", STREAM_HEAD + chunk(START)])
def test_pings_do_not_hide_a_dead_endpoint(one, client, sent):
    """The endpoint's silence is counted, not ours."""
    q, up = one(lambda peer, _: (peer.send(sent), peer.wait_gone()),
                {"stream_ping": "40ms", "retry": {"max_attempts": 1, "hold_stream_head": "30s"},
                 "upstream": {"first_byte_timeout": "300ms", "idle_timeout": "300ms"}})
    got = names(client(q).ask(stream=True).body)
    assert got[-1] == "error" and got.count("ping") >= 2


def test_error_that_stalls_behind_our_ping(qcc, raw, client):
    """It is judged by its own status, not by the 200 that the client has."""
    half = b"HTTP/1.1 503 Busy\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{"
    bad, good = raw(lambda peer, _: (peer.send(half), peer.wait_gone())), raw(STREAM)
    q = qcc({**CALM, **FAST_PING, "endpoints": [bad.endpoint("bad", priority=1), good.endpoint("good", priority=2)],
             "balance": {"strategy": "priority_failover"}, "retry": {"max_attempts_per_endpoint": 1},
             "upstream": {"idle_timeout": "300ms"}})
    r = client(q).ask(stream=True)
    assert r.body.startswith(PING) and r.body.replace(PING, b"") == WHOLE
    row = until(lambda: q.ctl_json("requests")["requests"], "the request's row")[0]
    assert row["attempts"][0]["class"] == "transient" and row["attempts"][0]["reason"] == "5xx", row["attempts"]


def test_coded_stream_behind_pings(qcc, raw, client):
    def late(peer, request):
        time.sleep(0.6)
        peer.send(STREAM_HEAD.replace(b"\r\n\r\n", b"\r\ncontent-encoding: gzip\r\n\r\n") + chunk(b"\x1f\x8bnot for you") + LAST_CHUNK)

    up = raw(late)
    q = qcc({**CALM, "stream_ping": "200ms", "endpoints": [up.endpoint()]})
    r = client(q).ask(stream=True)
    assert r.status == 200 and b"not for you" not in r.body
    assert b"event: error\n" in r.body
