"""Event streams: each event at once and as it came, the held head, back-pressure."""
import hashlib
import re
import time

import pytest

from client import Timer, ask
from qcc import until
from scripted import BIG, WHOLE, one, script
from upstream import BLOCK, BLOCK_STOP, DELTA_END, LAST_CHUNK, START, STOP, STREAM, STREAM_HEAD, chunk, delta, event


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


# ---- back-pressure

def memory_kb(q):
    out = 0
    for pid in q.children():
        with open("/proc/%d/status" % pid) as f:
            out += int(re.search("VmRSS:\\s+(\\d+)", f.read()).group(1))
    return out


@pytest.mark.parametrize("stream", [True, False])
def test_slow_client_slows_its_endpoint(one, client, stream):
    """What the client does not take stays with the endpoint; others are served; then it goes on,
    complete."""
    total, count = [0], 8000  # 64 MB
    begin, piece, end = b'{"type":"message","content":"', b"x" * len(BIG), b'"}'
    if stream:
        begin, piece, end = START + BLOCK, BIG, BLOCK_STOP + DELTA_END + STOP

    def play(peer, request):
        if not request.json().get("slow"):
            peer.send(STREAM)
            return
        peer.send(STREAM_HEAD if stream else b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        peer.send(chunk(begin))
        for _ in range(count):
            peer.send(chunk(piece))
            total[0] += len(piece)
        peer.send(chunk(end) + LAST_CHUNK)

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
    for got_now in iter(c.chunk, b""):
        digest.update(got_now)
        got += len(got_now)
    whole = hashlib.sha256(begin)
    for _ in range(count):
        whole.update(piece)
    whole.update(end)
    assert digest.digest() == whole.digest()
