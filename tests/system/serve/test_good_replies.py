"""A 2xx to a message path is an answer only if it is what was asked; anything else is a failure of class unknown."""
import gzip
import json
import re
import time

import pytest

from client import Cut, events
from qcc import until
from scripted import CALM, PING, WHOLE
from upstream import BLOCK, EVENTS, KEY, LAST_CHUNK, MESSAGE, START, STOP, STREAM, STREAM_HEAD, chunk, reply

CHAT = json.dumps({"id": "c", "object": "chat.completion", "choices": [{"index": 0, "message": {"content": "hi"}}]}).encode()
CHAT_STREAM = b'data: {"choices":[{"index":0,"delta":{"content":"hi"}}]}\n\ndata: [DONE]\n\n'
DONE = b"data: [DONE]\n\n"


def sse(text, type="text/event-stream"):
    return reply(text, type=type)


def two(qcc, raw, first, config=None):
    """A bad endpoint before a good one, which answers what is asked."""

    def play(peer, request):
        peer.send(STREAM if b'"stream": true' in request.body or b'"stream":true' in request.body else reply())

    bad, good = raw(first), raw(play)
    q = qcc({**CALM, "endpoints": [bad.endpoint("bad", priority=1), good.endpoint("good", priority=2)],
             "balance": {"strategy": "priority_failover"}, **(config or {})})
    return q, bad, good


# Replies with 200 that are no answer to a request for JSON.
NO_JSON = {
    "blank": reply(b" "),
    "lines": reply(b"\r\n\n"),
    "text": reply(b"Service is available", type="text/plain"),
    "text as json": reply(b"ok"),
    "object": reply(b"{}"),
    "array": reply(b"[]"),
    "null": reply(b"null"),
    "detail": reply(b'{"detail":"Not Found"}'),
    "page": reply(b"<html>hi</html>", type="text/html"),
    "done behind": reply(MESSAGE + b"\ndata: [DONE]\n\n"),
    "twice": reply(MESSAGE + MESSAGE),
    "another api": reply(CHAT),
    "204": b"HTTP/1.1 204 No Content\r\n\r\n",
    "202": reply(b'{"id":"job_1"}', 202),
    "a stream": STREAM,
    "a stream by its bytes": sse(WHOLE, type="application/json"),
    "done alone": sse(DONE),
    "br without a type": reply(b"\x0b\x02\x80", type="text/plain", headers=["content-encoding: br"]),
}

# And to one for a stream.
NO_STREAM = {
    "json": reply(),
    "json as a stream": sse(MESSAGE),
    "json, chunked": b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n" + chunk(MESSAGE) + LAST_CHUNK,
    "text": sse(b"Service is available\n\n"),
    "blank": sse(b"\n\n"),
    "done alone": sse(DONE),
    "stop alone": sse(STOP),
    "another api": sse(CHAT_STREAM),
    "unknown": sse(b'data: {"detail":"Not Found"}\n\n' + DONE),
    "unknown after pings": sse(PING + b": hi\n\n" + PING + b'event: news\ndata: {}\n\n'),
    "object": reply(b"{}"),
    "null": sse(b"null"),
    "204": b"HTTP/1.1 204 No Content\r\n\r\n",
    "page": sse(b"<html>hi</html>"),
    "br json": reply(b"\x0b\x02\x80", headers=["content-encoding: br"]),
}


def judged(q, name="bad"):
    """Classes of the attempts at an endpoint, as the last requests tell them."""
    rows = until(lambda: q.ctl_json("requests")["requests"], "the request's row")
    return [a["class"] for r in rows for a in r["attempts"] if a["endpoint"] == name]


@pytest.mark.parametrize("stream,what", [(False, w) for w in NO_JSON] + [(True, w) for w in NO_STREAM])
def test_no_answer(qcc, raw, client, stream, what):
    q, bad, good = two(qcc, raw, (NO_STREAM if stream else NO_JSON)[what])
    r = client(q).ask(stream=stream)
    assert r.status == 200 and r.header("x-qcc-endpoint") == "good"
    assert r.body == (WHOLE if stream else MESSAGE)
    assert set(judged(q)) == {"unknown"} and len(bad.requests) == 1


@pytest.mark.parametrize("path,body,good", [
    ("/v1/messages", MESSAGE, True),
    ("/v1/messages", b"\xef\xbb\xbf " + MESSAGE + b"\r\n", True),
    ("/v1/chat/completions", CHAT, True),
    ("/v1/chat/completions", MESSAGE, True),
    ("/v1/chat/completions", b'{"object":"list"}', False),
    ("/v1/responses", b'{"object":"response","output":[]}', True),
    ("/v1/responses", b'{"output":null}', False),
    ("/v1/complete", b'{"completion":" hi","stop_reason":"stop_sequence"}', True),
    ("/v1/complete", b'{"completion":null}', False),
    ("/v1/embeddings", b'{"data":[]}', True),  # a side path: what its answers are is not known
    ("/v1/embeddings", b'{}', True),
])
def test_each_api(qcc, raw, client, path, body, good):
    up = raw(reply(body))
    q = qcc({**CALM, "endpoints": [up.endpoint()]})
    r = client(q).ask(path=path)
    assert (r.status == 200) == good and r.body == body


@pytest.mark.parametrize("what", ["text", "null", "detail", "page", "204"])
def test_alone(qcc, raw, client, what):
    """Without another endpoint it ranks as an error reply: as it came, but not as a success."""
    up = raw(NO_JSON[what])
    q = qcc({**CALM, "endpoints": [up.endpoint()], "retry": {"max_attempts": 1}})
    r = client(q).ask()
    assert r.status == 502 and r.body == NO_JSON[what].partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize("what", ["json", "object", "text", "done alone"])
def test_in_a_stream_that_has_begun(qcc, raw, client, what):
    """As an error event that clients know, whatever came."""
    up = raw(lambda peer, _: (time.sleep(0.3), peer.send(NO_STREAM[what])))
    q = qcc({**CALM, "stream_ping": "60ms", "endpoints": [up.endpoint()], "retry": {"max_attempts": 1}})
    r = client(q).ask(stream=True)
    got = events(r.body)
    assert got[0][0] == "ping" and got[-1][0] == "error"
    assert got[-1][1]["type"] == "error" and got[-1][1]["error"]["type"] == "api_error"


def test_a_ping_of_ours_before_json(qcc, raw, client):
    """The stream has begun with a ping; what comes is no stream, and another endpoint serves."""
    q, bad, good = two(qcc, raw, lambda peer, _: (time.sleep(0.3), peer.send(reply())), {"stream_ping": "60ms"})
    r = client(q).ask(stream=True)
    assert r.body.startswith(PING) and r.body.replace(PING, b"") == WHOLE
    assert judged(q) == ["unknown"]


def test_pings_of_an_endpoint_do_not_commit(qcc, raw, client):
    """However many, before and after one of ours: what fails behind them is repaired."""

    def play(peer, _):
        peer.send(STREAM_HEAD)
        for _ in range(12):
            peer.send(chunk(PING + b": comment\n\n"))
            time.sleep(0.05)
        peer.close()

    q, bad, good = two(qcc, raw, play, {"stream_ping": "200ms", "retry": {"hold_stream_head": "100ms", "max_attempts_per_endpoint": 1}})
    r = client(q).ask(stream=True)
    assert r.header("x-qcc-request-id") and r.body.replace(PING, b"") == WHOLE
    assert judged(q) == ["transient"]


def test_more_pings_than_are_held(qcc, raw, client):
    many = (PING + b"event: keepalive\ndata: {}\n\n") * 20000
    assert len(many) > 1 << 20

    def play(peer, _):
        peer.send(STREAM_HEAD + chunk(many))
        peer.close()

    q, bad, good = two(qcc, raw, play, {"retry": {"max_attempts_per_endpoint": 1}})
    assert client(q).ask(stream=True).body.replace(PING, b"") == WHOLE
    assert judged(q) == ["transient"]


@pytest.mark.parametrize("what", [b"x" * 65536, b'{"a":"' + b"x" * 65536, b"\n" * 65536], ids=["text", "json", "blank"])
def test_long_and_no_json(qcc, raw, client, what):
    """Neither text nor JSON of another kind passes because it is too long to be held."""

    def play(peer, request):
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n")
        kind = what.replace(b'"a"', b'"type":"image","a"')
        try:
            peer.send(chunk(kind))
            for _ in range(80):
                peer.send(chunk(b"x" * 65536 if what[:1] != b"\n" else what))
        except OSError:
            pass
        peer.close()

    q, bad, good = two(qcc, raw, play)
    assert client(q).ask().body == MESSAGE
    assert judged(q) == ["unknown"]


def test_long_answer(qcc, raw, client):
    """One that is longer than what is held goes on, although what tells its kind stands behind."""
    body = json.dumps({"content": [{"type": "text", "text": "x" * 3000000}], "type": "message"}).encode()
    up = raw(reply(body))
    q = qcc({**CALM, "endpoints": [up.endpoint()]})
    assert client(q).ask().body == body


def deep(levels):
    """A message with a value so deep; and the same as a stream."""
    value = b"[" * levels + b'{"a":' * levels + b"{}" + b"}" * levels + b"]" * levels
    block = BLOCK.replace(b'"text": ""', b'"text": "", "x": ' + value)
    return MESSAGE[:-1] + b', "x": ' + value + b"}", WHOLE.replace(BLOCK, block)


def escaped(text):
    """The same JSON, with letters of its names and values written as escapes."""
    for name in (b"type", b"message", b"message_start", b"content_block_start", b"message_stop", b"choices", b"usage", b"input_tokens", b"finish_reason"):
        text = text.replace(b'"' + name + b'"', b'"\\u%04x' % name[0] + name[1:] + b'"')
    return text


def unnamed(stream):
    """Its events without names: their data tells what they are."""
    return re.sub(b"event: .*\n", b"", stream)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("levels", [600, 5000, 50000])
def test_deep_json_is_json(qcc, raw, client, stream, levels):
    body = deep(levels)[stream]
    up = raw(sse(body) if stream else reply(body))
    q = qcc({**CALM, "endpoints": [up.endpoint()]})
    assert client(q).ask(stream=stream).body == body
    up.play = sse(unnamed(body)) if stream else reply(body + b"]")
    r = client(q).ask(stream=stream)
    assert r.body == unnamed(body) if stream else r.status == 502
    assert judged(q, "raw") == (["ok", "ok"] if stream else ["unknown"] * 2 + ["ok"])


@pytest.mark.parametrize("path,body", [("/v1/messages", MESSAGE), ("/v1/messages", unnamed(WHOLE)), ("/v1/chat/completions", CHAT),
                                       ("/v1/chat/completions", CHAT_STREAM.replace(DONE, b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'))],
                         ids=["message", "stream", "chat", "chat stream"])
def test_escapes_in_names_and_values(qcc, raw, client, path, body):
    """JSON says the same with them, so it is the same answer."""
    stream = body[:1] != b"{"
    body = escaped(body)
    up = raw(sse(body) if stream else reply(body))
    q = qcc({**CALM, "endpoints": [up.endpoint()]})
    got = client(q).ask(path=path, stream=stream).body
    assert got == body + (DONE if b"finish_r" in body.replace(b"\\u0066", b"f") and stream else b"")
    row = until(lambda: q.ctl_json("requests")["requests"], "the row")[0]
    assert [a["class"] for a in row["attempts"]] == ["ok"]
    if path == "/v1/messages":
        assert row["tokens"]["input"] == 3


def test_errors_with_escapes(qcc, raw, client):
    bad = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    text = escaped(json.dumps(bad).encode()).replace(b'"error"', b'"\\u0065rror"')
    for stream in (False, True):
        q, _, _ = two(qcc, raw, sse(b"data: " + text + b"\n\n") if stream else reply(text), {"retry": {"max_attempts_per_endpoint": 1}})
        assert client(q).ask(stream=stream).header("x-qcc-endpoint") == "good"
        assert judged(q) == ["transient"]


LONG = json.dumps({"type": "message", "content": [{"type": "text", "text": 'with \\ and " and }' * 100000}], "x": [{}]}).encode()
FRAMES = {
    "close": (b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n", lambda data: data, b""),
    "1.0": (b"HTTP/1.0 200 OK\r\ncontent-type: application/json\r\n\r\n", lambda data: data, b""),
    "chunked": (b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n", chunk, LAST_CHUNK),
    "gzip": (b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\n\r\n", gzip.compress, b""),
}


def sends(frame, body, size=100000):
    head, pack, last = FRAMES[frame]

    def play(peer, _):
        peer.send(head)
        if frame == "gzip":
            peer.send(pack(body))
        else:
            for at in range(0, len(body), size):
                peer.send(pack(body[at:at + size]))
        peer.send(last)
        peer.close()

    return play


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("version", ["1.1", "1.0"])
def test_long_and_cut_where_nothing_else_shows_it(qcc, raw, client, frame, version):
    """A reply longer than what is held, whose end is proper but for its JSON: the client can tell, and it is charged."""
    up = raw(sends(frame, LONG[:-3]))
    q = qcc({**CALM, "endpoints": [up.endpoint()]})
    with pytest.raises((Cut, ConnectionError)):
        client(q).ask(version=version)
    assert judged(q, "raw") == ["transient"]
    q.wait_log("reply cut off")


NOISE = json.dumps({"type": "message", "x": [i * i * 7919 % 1000003 for i in range(400000)]}).encode()


@pytest.mark.parametrize("body,wire", [(LONG, gzip.compress(LONG[:-3])), (NOISE, gzip.compress(NOISE[:-3])), (NOISE, gzip.compress(NOISE)[:-300]),
                                       (NOISE, gzip.compress(NOISE)[:600000] + bytes(1000) + gzip.compress(NOISE)[601000:])],
                         ids=["JSON, short", "JSON", "gzip", "damaged"])
@pytest.mark.parametrize("version", ["1.1", "1.0"])
def test_long_and_cut_within_its_coding(qcc, raw, client, body, wire, version):
    """It goes on as it came, and what comes of it tells whether it is whole."""

    def play(peer, _):
        peer.send(FRAMES["gzip"][0])
        peer.send(wire)
        peer.close()

    up = raw(play)
    q = qcc({**CALM, "endpoints": [up.endpoint()], "retry": {"max_attempts": 1}})
    accepts = ["accept-encoding: gzip"]
    with pytest.raises((Cut, ConnectionError)):
        client(q).ask(version=version, headers=accepts)
    assert judged(q, "raw") == ["transient"]
    up.play = FRAMES["chunked"][0].replace(b"\r\n\r\n", b"\r\ncontent-encoding: gzip\r\n\r\n") + chunk(wire) + LAST_CHUNK
    try:
        assert client(q).ask(version=version, headers=accepts).status == 502  # it is all there before the client has any
    except (Cut, ConnectionError):
        pass
    assert judged(q, "raw") == ["transient"] * 2
    wire, up.play = gzip.compress(body), play
    r = client(q).ask(version=version, headers=accepts)
    assert r.body == wire and r.header("content-encoding") == "gzip"
    assert judged(q, "raw") == ["ok", "transient", "transient"]


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("behind", [b"", b"\r\n"])
def test_long_and_whole(qcc, raw, client, frame, behind):
    up = raw(sends(frame, LONG + behind))
    q = qcc({**CALM, "endpoints": [up.endpoint()]})
    for version in ("1.1", "1.0"):
        assert client(q).ask(version=version).body == LONG + behind
    assert judged(q, "raw") == ["ok", "ok"]


@pytest.mark.parametrize("path,body", [("/v1/messages", WHOLE), ("/v1/chat/completions", CHAT_STREAM),
                                       ("/v1/complete", b'event: completion\ndata: {"completion":"a"}\n\n'),
                                       ("/v1/responses", b'event: response.created\ndata: {}\n\nevent: response.completed\ndata: {}\n\n')],
                         ids=["messages", "chat", "complete", "responses"])
@pytest.mark.parametrize("before", [b"", PING, b": comment\n\n", b"event: keepalive\ndata: {}\n\n", b"\xef\xbb\xbf\n\n"],
                         ids=["nothing", "ping", "comment", "keepalive", "mark"])
def test_good_streams(qcc, raw, client, path, body, before):
    up = raw(sse(before + body))
    q = qcc({**CALM, "endpoints": [up.endpoint()]})
    r = client(q).ask(path=path, stream=True)
    assert r.status == 200 and r.body == before + body
