"""Event streams: each event at once and as it came, pings into silence, back-pressure, breaks that the
client can see, and clients that go away."""
import contextlib
import gzip
import hashlib
import json
import queue
import re
import socket
import struct
import time

import pytest

from client import Client, Cut, Timer, ask, events
from qcc import until
from upstream import (BLOCK, BLOCK_STOP, DELTA_END, EVENTS, LAST_CHUNK, MESSAGE, START, STOP, STREAM, STREAM_HEAD, Gone, chunk,
                      delta, error, event, reply)

CALM = {
    "workers": 1,
    "retry": {"transient_delay": "1ms"},
    "breaker": {"failure_threshold": 1000},
    "health": {"degraded_for": "0s"},
    "failure_queue": {"verify_interval": "100ms", "probe": "off"},
}
WHOLE = b"".join(EVENTS)


class Script:
    """Plays to one request what the test says, when it says so."""

    def __init__(self):
        self.steps = queue.Queue()

    def __call__(self, peer, request):
        for step in iter(self.steps.get, None):
            if callable(step):
                step(peer)
            else:
                peer.send(step)

    def play(self, *steps):
        for step in steps:
            self.steps.put(step)


@pytest.fixture
def script():
    s = Script()
    yield s
    s.play(None)


@pytest.fixture
def one(qcc, raw):
    def make(play, config=None, **kw):
        up = raw(play)
        return qcc({**CALM, "endpoints": [up.endpoint(**kw)], **(config or {})}), up

    return make


def names(body):
    return [name for name, _ in events(body)]


# ---- as it came

def test_events_go_out_as_they_come(one, client, script):
    """None waits for the next: the endpoint goes on only when the client has the one before."""
    q, up = one(script)
    c = client(q)
    c.send(ask(stream=True))
    script.play(STREAM_HEAD, chunk(START + BLOCK))
    r = c.head()
    assert r.status == 200 and r.header("content-type") == "text/event-stream; charset=utf-8"
    assert c.chunk() == START + BLOCK
    for i in range(200):
        script.play(chunk(delta(str(i))))
        assert c.chunk() == delta(str(i))
    script.play(chunk(BLOCK_STOP + DELTA_END + STOP), LAST_CHUNK)
    assert c.chunk() == BLOCK_STOP + DELTA_END + STOP and c.chunk() == b""
    script.play(None)
    assert c.silent()


def test_part_of_an_event_goes_out_too(one, client, script):
    q, up = one(script)
    c = client(q)
    c.send(ask(stream=True))
    script.play(STREAM_HEAD, chunk(START + BLOCK))
    c.head()
    assert c.chunk() == START + BLOCK
    for piece in (b"ev", b"ent: content_block_delta\nda", b'ta: {"type"'):
        script.play(chunk(piece))
        assert c.chunk() == piece


def test_no_trailing_silence_before_the_end(one, client, script):
    """The end goes out when it comes, not when the connection closes."""
    q, up = one(script)
    c = client(q)
    c.send(ask(stream=True))
    script.play(STREAM)
    assert c.reply().body == WHOLE
    assert up.peers[0].closed_at is None


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("split", ["whole", "events", "bytes"])
def test_bytes_pass_unchanged(one, client, end, split):
    """Whatever the line ends, the pieces, and what else stands in a stream."""
    odd = b": comment\n\nid: 7\nretry: 10\nevent: other\ndata: x\ndata:y\ndata\n\n\n\n" + b"data: {\"type\":\"future\"}\n\n"
    body = (b"\xef\xbb\xbf" + odd + WHOLE + b": after\n\n").replace(b"\n", end)

    def play(peer, _):
        peer.send(STREAM_HEAD)
        if split == "whole":
            peer.send(chunk(body))
        else:
            at = [m.end() for m in re.finditer(b"(?:%s){2}" % end, body)] if split == "events" else range(1, len(body))
            last = 0
            out = []
            for i in [*at, len(body)]:
                if i > last:
                    out.append(chunk(body[last:i]))
                last = i
            for i in range(0, len(out), 40):
                peer.send(b"".join(out[i : i + 40]))
        peer.send(LAST_CHUNK)

    q, up = one(play)
    r = client(q).ask(stream=True)
    assert r.status == 200 and r.body == body


@pytest.mark.parametrize("framing", ["counted", "until close"])
def test_other_framings_of_a_stream(one, client, framing):
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"

    def play(peer, _):
        if framing == "counted":
            peer.send(head + b"content-length: %d\r\n\r\n" % len(WHOLE) + WHOLE)
        else:
            peer.send(head + b"\r\n" + WHOLE)
            peer.close()

    q, up = one(play)
    c = client(q)
    for _ in range(2):
        r = c.ask(stream=True)
        assert r.body == WHOLE and r.header("transfer-encoding") == "chunked"


def test_stream_under_another_content_type(one, client, script):
    """Some relays say application/json and stream all the same: it is not held until its end."""
    q, up = one(script)
    c = client(q)
    c.send(ask(stream=True))
    script.play(STREAM_HEAD.replace(b"text/event-stream", b"application/json"), chunk(START + BLOCK))
    c.head()
    assert c.chunk() == START + BLOCK
    script.play(chunk(delta("x")))
    assert c.chunk() == delta("x")


# ---- the head is held back

def test_head_is_held_for_content(one, client, script):
    q, up = one(script, {"retry": {"hold_stream_head": "30s"}})
    c = client(q)
    c.send(ask(stream=True))
    script.play(STREAM_HEAD, chunk(START), chunk(event("ping")))
    assert c.silent(0.3)
    script.play(chunk(BLOCK))
    c.head()
    assert c.chunk() == START + event("ping") + BLOCK


def test_head_is_held_for_so_long(one, client, script):
    q, up = one(script, {"retry": {"hold_stream_head": "200ms"}})
    c = client(q)
    c.send(ask(stream=True))
    with Timer() as t:
        script.play(STREAM_HEAD, chunk(START))
        c.head()
    assert c.chunk() == START and 0.15 < t.s < 4


# ---- pings

PING = b'event: ping\ndata: {"type": "ping"}\n\n'
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
    script.play(reply())
    assert c.reply().body == MESSAGE


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


# ---- breaks

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


def test_break_counts_against_the_endpoint(one, client, script):
    q, up = one(script, {"breaker": {"failure_threshold": 2}})
    for _ in range(2):
        c = client(q)
        c.send(ask(stream=True))
        r = committed(c, script, START + BLOCK)
        script.play(close, None)
        broken(rest(c, r))
    q.wait_log("endpoint raw: breaker closed -> open: failures in a row \\(2: reply cut off\\)")


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
    """Nothing can be put into it: the connection tells."""
    body = gzip.compress(WHOLE)
    q, up = one(script)
    c = client(q)
    c.send(ask(stream=True))
    committed(c, script, body[:40], STREAM_HEAD.replace(b"\r\n\r\n", b"\r\ncontent-encoding: gzip\r\n\r\n"))
    script.play(close, None)
    with pytest.raises((Cut, ConnectionResetError)):
        c.chunk()


# ---- back-pressure

def memory_kb(q):
    out = 0
    for pid in q.children():
        with open("/proc/%d/status" % pid) as f:
            out += int(re.search("VmRSS:\\s+(\\d+)", f.read()).group(1))
    return out


BIG = delta("x" * 8000)


@pytest.mark.parametrize("stream", [True, False])
def test_slow_client_slows_its_endpoint(one, client, stream):
    """What the client does not take stays with the endpoint; others are served; then it goes on,
    complete."""
    total, count = [0], 8000  # 64 MB

    def play(peer, request):
        if not request.json().get("slow"):
            peer.send(STREAM)
            return
        peer.send(STREAM_HEAD if stream else b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        peer.send(chunk(START + BLOCK))
        for _ in range(count):
            peer.send(chunk(BIG))
            total[0] += len(BIG)
        peer.send(chunk(BLOCK_STOP + DELTA_END + STOP) + LAST_CHUNK)

    q, up = one(play, {"limits": {"write_timeout": "60s"}, "upstream": {"idle_timeout": "500ms"}})
    c = client(q, rcvbuf=8192)
    assert client(q).ask(stream=True).body == WHOLE
    before = memory_kb(q)
    c.send(ask(stream=stream, slow=True))
    c.head()
    last = [-1, 0]

    def stalled():
        if total[0] != last[0]:
            last[:] = [total[0], time.monotonic()]
        return total[0] and time.monotonic() - last[1] > 0.8  # longer than the idle timeout: that is not the endpoint's silence

    until(stalled, "the endpoint to stand still", step=0.05)
    assert total[0] < 30_000_000  # what the kernel holds on both sides
    assert memory_kb(q) - before < 8_000
    assert client(q).ask(stream=True).body == WHOLE
    digest = hashlib.sha256()
    got = 0
    for piece in iter(c.chunk, b""):
        digest.update(piece)
        got += len(piece)
    whole = hashlib.sha256(START + BLOCK)
    for _ in range(count):
        whole.update(BIG)
    whole.update(BLOCK_STOP + DELTA_END + STOP)
    assert digest.digest() == whole.digest()


# ---- clients that go away

def leave_by_fin(c):
    c.sock.shutdown(socket.SHUT_RDWR)
    c.sock.close()


def leave_by_reset(c):
    c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    c.sock.close()


LEAVE = {"close": leave_by_fin, "reset": leave_by_reset}


def ended(q, up, c, how):
    """The exchange with the endpoint ends within a second, and nobody is charged for it."""
    peer = up.peers[-1]
    LEAVE[how](c)
    with Timer() as t:
        until(lambda: peer.closed_at, "the exchange to end")
    assert t.s < 1.0
    q.wait_log('end="?client gone')
    assert not q.count("(transient|rate_limit|auth|permanent|unknown), (fault|status)")
    up.play = STREAM
    r = Client(q.port).ask(stream=True)
    assert r.body == WHOLE and r.header("x-qcc-attempts") == "1"


@pytest.mark.parametrize("how", LEAVE)
@pytest.mark.parametrize("sent", ["nothing", "part of the head", "held", "streaming", "in an event", "after a ping", "reply held",
                                  "reply relayed"])
def test_leaving(one, client, how, sent):
    """In each phase of a reply."""
    half = reply(b"x" * 4000)
    data = {"nothing": b"", "part of the head": b"HTTP/1.1 200 O", "held": STREAM_HEAD + chunk(START),
            "streaming": STREAM_HEAD + chunk(START + BLOCK), "in an event": STREAM_HEAD + chunk(START + BLOCK) + chunk(delta("x")[:9]),
            "after a ping": b"", "reply held": half[:3000], "reply relayed": half[:3000]}[sent]

    def play(peer, _):
        peer.send(data)
        peer.wait_gone()
        raise Gone()

    q, up = one(play, {"stream_ping": "100ms" if sent == "after a ping" else "15s",
                       "retry": {"hold_reply": "1KiB" if sent == "reply relayed" else "1MiB", "hold_stream_head": "30s"}})
    c = client(q)
    c.send(ask(stream="reply" not in sent))
    up.wait_requests(1)
    if sent == "after a ping":
        c.until(PING)
    elif sent in ("streaming", "in an event", "reply relayed"):
        c.head()
        assert c.buf or c.fill()
    else:
        assert c.silent(0.1)
    ended(q, up, c, how)


@pytest.mark.parametrize("how", LEAVE)
def test_leaving_while_paused(one, client, how):
    """The client has taken nothing for a while, the endpoint waits: the same."""

    def play(peer, _):
        peer.send(STREAM_HEAD + chunk(START + BLOCK))
        with contextlib.suppress(Gone):
            while True:
                peer.send(chunk(BIG))
        raise Gone()

    q, up = one(play)
    c = client(q, rcvbuf=8192)
    c.send(ask(stream=True))
    c.head()
    time.sleep(0.3)
    ended(q, up, c, how)


def sockets_to(port):
    """States of this machine's TCP sockets that are connected, or connecting, to this port."""
    with open("/proc/net/tcp") as f:
        rows = [line.split() for line in f.read().splitlines()[1:]]
    return [row[3] for row in rows if row[2].endswith(":%04X" % port)]


@pytest.mark.parametrize("how", LEAVE)
def test_leaving_while_connecting(qcc, client, how):
    with contextlib.ExitStack() as stack:
        full = stack.enter_context(socket.socket())
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        own = 0
        for _ in range(8):
            s = stack.enter_context(socket.socket())
            s.setblocking(False)
            s.connect_ex(("127.0.0.1", port))
        own = len(sockets_to(port))
        q = qcc({**CALM, "endpoints": [{"name": "full", "base_url": "http://127.0.0.1:%d" % port}]})
        c = client(q)
        c.send(ask())
        until(lambda: len(sockets_to(port)) > own, "the attempt to connect")
        with Timer() as t:
            LEAVE[how](c)
            until(lambda: len(sockets_to(port)) == own, "its end")
        assert t.s < 1.0
        q.wait_log('end="?client gone')


@pytest.mark.parametrize("how", LEAVE)
def test_leaving_between_two_attempts(one, client, how):
    q, up = one(lambda peer, _: peer.close(), {"retry": {"transient_delay": "60s"}})
    c = client(q)
    c.send(ask())
    up.wait_requests(1)
    q.wait_log("raw: transient")
    LEAVE[how](c)
    q.wait_log('end="?client gone', timeout=1.5)
    assert len(up.requests) == 1


def test_leaving_after_a_half_close(one, client):
    """Half-closed, the client is still waited for; closed, it is not."""
    q, up = one(lambda peer, _: peer.wait_gone())
    c = client(q)
    c.send(ask())
    c.half_close()
    up.wait_requests(1)
    assert c.silent(0.8) and up.peers[0].closed_at is None
    with Timer() as t:
        c.close()
        until(lambda: up.peers[0].closed_at, "the exchange to end")
    assert t.s < 1.0


def test_leaving_a_unix_listener(qcc, raw, client, tmp_path):
    path = str(tmp_path / "s")
    up = raw(lambda peer, _: peer.wait_gone())
    q = qcc({**CALM, "endpoints": [up.endpoint()], "listen": "unix:" + path}, start=False)
    q.start()
    c = client(path)
    c.send(ask())
    up.wait_requests(1)
    with Timer() as t:
        c.close()
        until(lambda: up.peers[0].closed_at, "the exchange to end")
    assert t.s < 1.0


def test_half_closed_client_gets_its_stream(one, client, script):
    q, up = one(script)
    c = client(q)
    c.send(ask(stream=True))
    c.half_close()
    script.play(STREAM_HEAD, chunk(START + BLOCK))
    c.head()
    assert c.chunk() == START + BLOCK
    time.sleep(1.2)  # looked after twice meanwhile
    script.play(chunk(b"".join(EVENTS[2:])), LAST_CHUNK)
    body = b"".join(iter(c.chunk, b""))
    assert body == b"".join(EVENTS[2:]) and c.closed(5)
