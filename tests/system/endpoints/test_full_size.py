"""Bad replies and requests of full size: bounded, classified, told; the worker goes on serving others."""
import gzip
import json
import re
import zlib

import pytest

from candidates import endpoints
from client import request
from makers import maker, openai, piece, whole
from qcc import until
from scripted import CALM, PING, WHOLE
from upstream import BLOCK, EVENTS, LAST_CHUNK, MESSAGE, START, STREAM, STREAM_HEAD, Gone, chunk, delta, event, reply

MIB = 1 << 20
# Of both workers and all that is theirs, at most so much more than before; a sanitizer keeps what was freed for a while.
MOST_KIB = 450 * 1024
FAILOVER = {**CALM, "workers": 1, "balance": {"strategy": "priority_failover"}}


def peak_kib(q):
    out = 0
    for pid in q.children():
        with open("/proc/%d/status" % pid) as f:
            out += int(re.search("VmHWM:\\s+(\\d+)", f.read()).group(1))
    return out


def poured(head, pieces):
    """Sends the pieces until the other side has enough."""
    def play(peer, _):
        peer.send(head)
        for p in pieces():
            peer.send(chunk(p))
        peer.send(LAST_CHUNK)
    return play


@pytest.fixture
def two(qcc, raw):
    """two(play, config): QCC before `bad`, which plays that, and `good`. (qcc, bad)"""
    def make(play, config=None, stream=False, how=None):
        bad, good = raw(play), raw(lambda peer, r: peer.send(STREAM if r.json().get("stream") else reply()))
        first = openai(bad, "bad", priority=1) if how == "openai" else bad.endpoint("bad", priority=1)
        q = qcc({**FAILOVER, "endpoints": [first, good.endpoint("good", priority=2)], **(config or {})})
        q.before = peak_kib(q)
        return q, bad
    return make


def bounded(q):
    assert peak_kib(q) - q.before < MOST_KIB
    return True


def first_class(q):
    return until(lambda: q.ctl_json("requests")["requests"], "the row")[0]["attempts"][0]["class"]


JSON_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
ERROR_HEAD = JSON_HEAD.replace(b"200 OK", b"500 X")
GIB_OF_WORDS = lambda: (b"all is well " * 87382 for _ in range(1024))  # noqa: E731


@pytest.mark.parametrize("how", ["anthropic", "openai"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_gibibyte_that_is_no_answer(two, client, how, stream):
    q, bad = two(poured(JSON_HEAD, GIB_OF_WORDS), how=how)
    r = client(q).ask(stream=stream)
    assert r.status == 200 and r.header("x-qcc-endpoint") == "good" and bounded(q)
    assert first_class(q) in ("unknown", "transient")


@pytest.mark.parametrize("how", ["anthropic", "openai"])
def test_a_gibibyte_of_an_error(two, client, how):
    """What it says at its beginning counts."""
    def pieces():
        yield b'{"error":{"type":"overloaded_error","message":"busy '
        yield from GIB_OF_WORDS()

    q, bad = two(poured(ERROR_HEAD, pieces), how=how)
    assert client(q).ask().header("x-qcc-endpoint") == "good" and bounded(q)
    q.ctl("disable", "good")
    r = client(q).ask()
    assert r.status in (500, 502) and len(r.body) < 4 * MIB and bounded(q)


def test_a_message_of_64_mib_in_one_line(two, client):
    """Is an answer, and goes through."""
    def pieces():
        yield b'{"type":"message","content":[{"type":"text","text":"'
        yield from (b"x" * MIB for _ in range(64))
        yield b'"}],"usage":{"input_tokens":7,"output_tokens":9}}'

    q, _ = two(poured(JSON_HEAD, pieces))
    r = client(q).ask()
    assert r.status == 200 and r.header("x-qcc-endpoint") == "bad" and len(r.body) > 64 * MIB and bounded(q)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("most,served", [("16MiB", "good"), ("24MiB", "bad")])
def test_a_whole_answer_of_a_maker_of_16_mib(two, client, most, served, stream):
    """limits.max_body_bytes bounds what is translated as a whole; a slow client gets all of it."""
    def pieces():
        yield b'{"choices":[{"message":{"content":"'
        yield from (b"x" * MIB for _ in range(16))
        yield b'"},"finish_reason":"stop"}]}'

    q, _ = two(poured(JSON_HEAD, pieces), {"limits": {"max_body_bytes": most}}, how="openai")
    r = client(q, rcvbuf=65536).ask(stream=stream)
    assert r.status == 200 and r.header("x-qcc-endpoint") == served
    assert (served == "good") == (len(r.body) < 16 * MIB) and (not stream or b"message_stop" in r.body)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_calls_that_wait_come_all_at_once(two, client, stream):
    """6 MiB of a call's arguments wait behind another call; a slow client gets them."""
    def call(n, args, **more):
        return piece("openai", {"tool_calls": [{"index": n, "function": {"arguments": args, **more}, **({"id": "c%d" % n} if more else {})}]})

    def pieces():
        yield call(0, '{"a":', name="f") + call(1, '{"b":"', name="g")
        yield from (call(1, "y" * MIB) for _ in range(6))
        yield call(1, '"}') + call(0, "1}") + piece("openai", {}, "tool_calls") + b"data: [DONE]\n\n"

    q, _ = two(poured(STREAM_HEAD, pieces), how="openai")
    r = client(q, rcvbuf=65536).ask(stream=stream)
    assert r.header("x-qcc-endpoint") == "bad" and r.body.count(b"y") >= 6 * MIB and b"tool_use" in r.body and bounded(q)
    assert not stream or b"message_stop" in r.body


@pytest.mark.parametrize("where", ["first", "behind content"])
def test_an_event_of_64_mib(two, client, where):
    """No event has to fit anywhere: content goes on as it comes."""
    def pieces():
        if where != "first":
            yield START + BLOCK
        yield b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"'
        yield from (b"x" * MIB for _ in range(64))
        yield b'"}}\n\n'
        yield from EVENTS[-3:]

    q, _ = two(poured(STREAM_HEAD, pieces))
    r = client(q).ask(stream=True)
    assert r.status == 200 and bounded(q)
    assert r.body.endswith(EVENTS[-1]) and (where == "first" or len(r.body) > 64 * MIB)
    assert client(q).ask(stream=True).status == 200


def test_an_event_of_64_mib_of_a_maker(two, client):
    """Over the bound of a line: another endpoint serves, or an error is told."""
    def pieces(front=b""):
        yield front + b'data: {"choices":[{"index":0,"delta":{"content":"'
        yield from (b"x" * MIB for _ in range(64))
        yield b'"}}]}\n\ndata: [DONE]\n\n'

    q, bad = two(poured(STREAM_HEAD, pieces), how="openai")
    assert client(q).ask(stream=True).header("x-qcc-endpoint") == "good" and bounded(q)
    bad.play = poured(STREAM_HEAD, lambda: pieces(piece("openai", {"content": "Hi"})))
    q.ctl("reset", "bad")
    r = client(q).ask(stream=True)
    assert r.header("x-qcc-endpoint") == "bad" and b"event: error\n" in r.body and b"message_stop" not in r.body and bounded(q)


@pytest.mark.parametrize("noise", [PING, b": still here\n\n", b"\n\n\n"], ids=["pings", "comments", "blank lines"])
@pytest.mark.parametrize("how", ["anthropic", "openai"])
def test_a_million_pings_before_content(two, client, how, noise):
    """Say nothing; what follows is served."""
    if how == "openai" and noise is PING:
        noise = b'data: {"choices":[]}\n\n'

    def pieces():
        yield from (noise * 10_000 for _ in range(100))
        yield (piece("openai", {"content": "Hi"}) + piece("openai", {}, "stop") + b"data: [DONE]\n\n") if how == "openai" else WHOLE

    q, _ = two(poured(STREAM_HEAD, pieces), how=how)
    r = client(q).ask(stream=True)
    assert r.status == 200 and r.header("x-qcc-endpoint") == "bad" and bounded(q)
    assert b"message_stop" in r.body and len(r.body) < MIB


@pytest.mark.parametrize("how", ["anthropic", "openai"])
def test_a_million_small_events(two, client, how):
    """Each is passed on; every chunk of the transfer holds a few bytes of one."""
    small = piece("openai", {"content": "x"}) if how == "openai" else delta("x")
    wire = b"".join(chunk(small[i:i + 16]) for i in range(0, len(small), 16))

    def play(peer, _):
        peer.send(STREAM_HEAD + chunk(piece("openai", {"role": "assistant"}) if how == "openai" else START + BLOCK))
        for _ in range(500):
            peer.send(wire * 400)
        peer.send(chunk(piece("openai", {}, "stop") + b"data: [DONE]\n\n" if how == "openai" else b"".join(EVENTS[-3:])) + LAST_CHUNK)

    q, _ = two(play, how=how)
    r = client(q).ask(stream=True)
    assert r.header("x-qcc-endpoint") == "bad" and r.body.count(b"content_block_delta") >= 200_000 and b"message_stop" in r.body and bounded(q)


def bombs():
    """10 KiB that become 10 MB, and gzip in gzip's members that become 10 GB."""
    one = gzip.compress(bytes(10_000_000), mtime=0)
    return {"10 MB": one, "10 GB": one * 1000, "deflate": zlib.compress(bytes(100_000_000))}


@pytest.mark.parametrize("name", ["10 MB", "10 GB", "deflate"])
@pytest.mark.parametrize("how", ["anthropic", "openai"])
@pytest.mark.parametrize("status", [200, 400])
def test_a_bomb_in_a_reply(two, client, name, how, status):
    coding = "deflate" if name == "deflate" else "gzip"
    q, _ = two(reply(bombs()[name], status, headers=["content-encoding: " + coding]), how=how)
    r = client(q).ask()
    assert r.status == 200 and r.header("x-qcc-endpoint") == "good" and bounded(q)


@pytest.mark.parametrize("how", ["anthropic", "openai"])
def test_a_request_of_full_size(qcc, raw, client, how):
    """64 MiB of JSON in one line are sent on, whole; a byte more is 413."""
    got = []

    def play(peer, r):
        got.append(0)
        while got[-1] < int(r.header("content-length")):
            if not peer.buf:
                peer.fill()
            got[-1] += len(peer.buf)
            peer.buf = b""
        peer.send(reply(whole("openai", text="fine")) if how == "openai" else reply())

    up = raw(play, early=True)
    q = qcc({**FAILOVER, "limits": {"max_body_bytes": "64MiB", "max_buffered_bytes": "512MiB"},
             "endpoints": [openai(up, "o") if how == "openai" else up.endpoint("a")]})
    front = b'{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"'
    body = front + b"x" * (64 * MIB - len(front) - 4) + b'"}]}'
    assert client(q).ask(body).status == 200
    assert got[0] > 64 * MIB - 4096
    c = client(q)
    c.send(request("POST", "/v1/messages", ["content-type: application/json", "content-length: %d" % (64 * MIB + 1)]))
    assert c.reply().status == 413


@pytest.mark.parametrize("how", ["anthropic", "openai"])
def test_deep_and_wide_requests(qcc, raw, client, how):
    """A million levels, a million messages, a million members: an answer or a refusal of QCC's own, at once."""
    up = raw(maker("openai", text="fine") if how == "openai" else reply())
    q = qcc({**FAILOVER, "endpoints": [openai(up, "o") if how == "openai" else up.endpoint("a")]})
    front = b'{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"hi"}],"x":'
    for tail in (b"[" * 1_000_000 + b"]" * 1_000_000, b'{"a":' * 1_000_000 + b"1" + b"}" * 1_000_000,
                 json.dumps(dict.fromkeys(map(str, range(1_000_000)))).encode(), b'"\\ud83d' * 1 + b"\\u0000" * 1_000_000 + b'"'):
        r = client(q).ask(front + tail + b"}")
        assert r.status in (200, 400) and (r.status == 200 or r.error["type"] == "invalid_request_error")
    many = json.dumps({"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "a"}] * 200_000}).encode()
    assert client(q).ask(many).status == 200
    assert endpoints(q)["o" if how == "openai" else "a"]["tier"] == "healthy"
