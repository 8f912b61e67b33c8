"""Replies that break off after the commit point: what the client reads, and what the endpoint is charged."""
import gzip
import json
import time

import pytest

from admin import endpoint
from client import Cut, another, ask, events
from scripted import WHOLE, names, one, script
from upstream import BLOCK, LAST_CHUNK, START, STREAM, STREAM_HEAD, chunk, delta, reply


def broken(r, endpoint="raw"):
    """The client has been told within the stream; returns what it was told."""
    got = events(r.body)
    assert got[-1][0] == "error" and got[-1][1]["type"] == "error"
    assert got[-1][1]["error"]["type"] == "api_error" and endpoint in got[-1][1]["error"]["message"]
    assert "message_stop" not in names(r.body)
    return got[-1][1]["error"]["message"]


def close(peer):
    peer.close()


def reset(peer):
    peer.reset()


def committed(c, script, first, head=STREAM_HEAD):
    """The client has the head and this; what follows is no longer repaired."""
    script.play(head + (chunk(first) if b"chunked" in head else first))
    r = c.head()
    r.body = c.chunk()
    assert r.body == first
    return r


def rest(c, r, part=b""):
    r.body += part + b"".join(iter(c.chunk, b""))
    return r


@pytest.mark.parametrize(
    "how,reason",
    [(close, "reply cut off"), (reset, "connection reset"), (lambda peer: peer.send(LAST_CHUNK), "reply cut off"),
     (lambda peer: peer.send(b"zz\r\n"), "invalid HTTP reply")],
    ids=["close", "reset", "early end", "garbage"],
)
@pytest.mark.parametrize("cut", [0, 1, 10, 30, -2, -1])
def test_break_in_mid_stream(one, client, script, how, reason, cut):
    """All that came is given, then an error event; half an event does no harm to it."""
    part = delta("last")[:cut]

    q, up = one(script)
    c = client(q)
    c.send(ask(stream=True))
    r = committed(c, script, START + BLOCK + delta("a"))
    if part:
        script.play(chunk(part))
        assert c.chunk() == part
    script.play(how, None)
    rest(c, r, part)
    assert r.body.startswith(START + BLOCK + delta("a") + part)
    assert reason in broken(r)
    assert names(r.body)[:3] == ["message_start", "content_block_start", "content_block_delta"]
    assert [n for n in names(r.body)[3:] if n not in ("ping", "error")] in ([], ["content_block_delta"] if cut == -1 else [])
    up.play = STREAM  # only this stream has ended, not its connection
    assert c.ask(stream=True).body == WHOLE


def test_nothing_that_came_is_withheld(one, client, script):
    """What comes in one piece with the end that is too early is given, too."""
    q, up = one(script)
    c = client(q)
    c.send(ask(stream=True))
    r = committed(c, script, START + BLOCK)
    script.play(chunk(delta("a") + delta("b")[:25]) + LAST_CHUNK, None)
    rest(c, r)
    assert r.body.startswith(START + BLOCK + delta("a") + delta("b")[:25])
    broken(r)


def test_break_counts_against_the_cell(one, client, script):
    """What breaks after the head concerns the model's family there, not the endpoint."""
    q, up = one(script, {"breaker": {"failure_threshold": 2}})
    for _ in range(2):
        c = client(q)
        c.send(ask(stream=True, messages=another()))
        r = committed(c, script, START + BLOCK)
        script.play(close, None)
        broken(rest(c, r))
    q.wait_log("endpoint raw: m: breaker closed -> open: failures in a row \\(2: reply cut off\\)")
    found = endpoint(q, "raw")
    assert found["breaker"]["state"] == "closed" and [(x["family"], x["breaker"]["state"]) for x in found["cells"]] == [("m", "open")]


@pytest.mark.parametrize("framing", [b"content-length: 9999\r\n\r\n", b"\r\n"])
def test_break_of_other_framings(one, client, script, framing):
    q, up = one(script)
    c = client(q)
    c.send(ask(stream=True))
    r = committed(c, script, START + BLOCK, b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n" + framing)
    script.play(close, None)
    broken(rest(c, r))


def test_break_for_1_0(one, client, script):
    q, up = one(script)
    c = client(q)
    c.send(ask(stream=True, version="1.0"))
    script.play(STREAM_HEAD + chunk(START + BLOCK))
    r = c.head()
    c.until(BLOCK)
    script.play(close, None)
    r.body = START + BLOCK + c.rest()
    broken(r)


@pytest.mark.parametrize("fault", [b"", LAST_CHUNK, chunk(delta("b")[:20]) + LAST_CHUNK])
def test_break_that_was_seen_in_time(one, client, fault):
    """Content and break came together: nothing had been given yet, and it is repaired."""
    turn = []

    def play(peer, _):
        turn.append(1)
        peer.send(STREAM_HEAD + chunk(START + BLOCK + delta("a")) + fault if len(turn) == 1 and fault else STREAM)

    q, up = one(play)
    r = client(q).ask(stream=True)
    assert r.body == WHOLE and r.header("x-qcc-attempts") == ("2" if fault else "1")


def test_break_behind_the_end(one, client):
    """All of the stream was there: nothing is missing."""
    q, up = one(lambda peer, _: (peer.send(STREAM_HEAD + chunk(WHOLE)), peer.close()))
    assert client(q).ask(stream=True).body == WHOLE


FAULT = b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n'


@pytest.mark.parametrize("then", [lambda peer: peer.send(LAST_CHUNK), close, reset])
def test_error_event_of_the_endpoint(one, client, script, then):
    """In mid-stream: given as it came, and no other behind it; it counts against the endpoint."""
    q, up = one(script)
    c = client(q)
    c.send(ask(stream=True))
    r = committed(c, script, START + BLOCK + delta("a"))
    script.play(chunk(FAULT))
    assert c.chunk() == FAULT
    script.play(then, None)
    assert rest(c, r).body == START + BLOCK + delta("a")
    q.wait_log('end="error event from the endpoint"')
    q.wait_log("endpoint raw: transient, status 200")


def test_error_event_that_was_seen_in_time(one, client):
    turn = []

    def play(peer, _):
        turn.append(1)
        peer.send(STREAM_HEAD + chunk(START + BLOCK + delta("a") + FAULT) + LAST_CHUNK if len(turn) == 1 else STREAM)

    q, up = one(play)
    r = client(q).ask(stream=True)
    assert r.body == WHOLE and r.header("x-qcc-attempts") == "2"


def openai(text):
    return b'data: {"choices":[{"index":0,"delta":{"content":"%s"}}]}\n\n' % text.encode()


def test_stream_of_other_makers(one, client):
    body = openai("a") + openai("b") + b"data: [DONE]\n\n"
    q, up = one(STREAM_HEAD + chunk(body) + LAST_CHUNK)
    assert client(q).ask(stream=True, path="/v1/chat/completions").body == body


def test_break_of_other_makers(one, client, script):
    q, up = one(script)
    c = client(q)
    c.send(ask(stream=True, path="/v1/chat/completions"))
    r = committed(c, script, openai("a"))
    script.play(close, None)
    name, data = events(rest(c, r).body)[-1]
    assert name is None and "cut off" in data["error"]["message"]


LONG = json.dumps({"type": "message", "content": "x" * 300_000}).encode()


@pytest.mark.parametrize("framing", ["counted", "chunked", "until close"])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_cut_reply_that_is_no_stream(one, client, framing, version):
    """Longer than what is held back: cut so that it cannot be taken for a whole one."""

    def play(peer, _):
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
        if framing == "counted":
            peer.send(head + b"content-length: %d\r\n\r\n" % len(LONG) + LONG[:-1])
        elif framing == "chunked":
            peer.send(head + b"transfer-encoding: chunked\r\n\r\n" + chunk(LONG[:-1]))
        else:
            peer.send(head + b"\r\n" + LONG[:-1])
        time.sleep(0.1)
        peer.reset() if framing == "until close" else peer.close()

    q, up = one(play, {"retry": {"hold_reply": "1KiB"}})
    c = client(q)
    c.send(ask(version=version))
    with pytest.raises((Cut, ConnectionResetError)):
        c.reply()
    assert len(up.requests) == 1
    q.wait_log("end=\"?(reply cut off|connection reset)")


def test_cut_reply_that_was_held(one, client):
    """Short enough to be held back: repaired."""
    turn = []

    def play(peer, _):
        turn.append(1)
        if len(turn) == 1:
            peer.send(reply(LONG)[:-1])
            peer.close()
        else:
            peer.send(reply(LONG))

    q, up = one(play)
    r = client(q).ask()
    assert r.body == LONG and r.header("x-qcc-attempts") == "2"


def test_cut_encoded_stream(one, client, script):
    """In a coding that QCC does not read nothing can be put into it: the connection tells."""
    body = gzip.compress(WHOLE)
    q, up = one(script)
    c = client(q)
    c.send(ask(stream=True))
    committed(c, script, body[:40], STREAM_HEAD.replace(b"\r\n\r\n", b"\r\ncontent-encoding: br\r\n\r\n"))
    script.play(close, None)
    with pytest.raises((Cut, ConnectionResetError)):
        c.chunk()
