"""Compressed requests are read; compressed replies that nobody asked for are judged."""
import gzip
import json
import zlib

import pytest

from client import ask, request
from scripted import CALM, WHOLE
from qcc import until
from upstream import EVENTS, KEY, MESSAGE, STREAM, chunk, error, reply

BODY = json.dumps({"model": "claude-x", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}).encode()


def raw_deflate(data):
    c = zlib.compressobj(9, zlib.DEFLATED, -15)
    return c.compress(data) + c.flush()


CODINGS = [("gzip", gzip.compress), ("x-gzip", gzip.compress), ("GZIP", lambda d: gzip.compress(d[:9]) + gzip.compress(d[9:])), ("deflate", zlib.compress), ("deflate", raw_deflate)]
IDS = ["gzip", "x-gzip", "members", "zlib", "raw"]


def post(c, body, coding, path="/v1/messages", headers=()):
    c.send(request("POST", path, ["content-type: application/json", "content-encoding: " + coding, *headers], body=body))
    return c.reply()


@pytest.mark.parametrize("coding,pack", CODINGS, ids=IDS)
def test_goes_on_as_it_came(qcc, raw, client, coding, pack):
    up = raw(reply())
    q = qcc({**CALM, "endpoints": [up.endpoint()]})
    wire = pack(BODY)
    r = post(client(q), wire, coding)
    assert r.status == 200
    (got,) = up.requests
    assert got.body == wire and got.header("content-encoding") == coding and got.header("content-length") == str(len(wire))


@pytest.mark.parametrize("coding,pack", CODINGS, ids=IDS)
@pytest.mark.parametrize("how", ["override", "map", "endpoint"])
def test_model_exchanged(qcc, raw, client, coding, pack, how):
    up = raw(reply())
    models = {"override": {"override": "other"}, "map": {"map": {"claude-x": "other"}}, "endpoint": {}}[how]
    more = {"models": {"map": {"claude-x": "other"}}} if how == "endpoint" else {}
    q = qcc({**CALM, "models": models, "endpoints": [up.endpoint(**more)]})
    assert post(client(q), pack(BODY), coding).status == 200
    (got,) = up.requests
    assert got.header("content-encoding") is None and got.header("content-length") == str(len(got.body))
    assert got.body == BODY.replace(b"claude-x", b"other")


def test_allow_applies(qcc, raw, client):
    """The endpoint that offers the model gets it, and a stream is known to be asked for."""
    no, yes = raw(reply()), raw(STREAM)
    q = qcc({**CALM, "endpoints": [no.endpoint("no", models={"allow": ["gpt-*"]}), yes.endpoint("yes", models={"allow": ["claude-*"]})]})
    r = post(client(q), gzip.compress(BODY[:-1] + b', "stream": true}'), "gzip")
    assert r.header("x-qcc-endpoint") == "yes" and r.body == WHOLE
    assert not no.requests


def test_count_tokens(qcc, raw, client):
    """An endpoint that does not count: the estimate is that of the text."""
    up = raw(error(404, "not_found_error"))
    q = qcc({**CALM, "endpoints": [up.endpoint()]})
    text = json.dumps({"model": "m", "messages": [{"role": "user", "content": " ".join("word%d" % i for i in range(20000))}]}).encode()
    c = client(q)
    plain = c.ask(text, path="/v1/messages/count_tokens")
    packed = post(c, gzip.compress(text), "gzip", "/v1/messages/count_tokens")
    assert packed.status == 200 and packed.json() == plain.json()


@pytest.mark.parametrize("coding", ["br", "zstd", "compress", "gzip, gzip", "nonsense"])
def test_unknown_coding(qcc, raw, client, coding):
    up = raw(reply())
    q = qcc({**CALM, "endpoints": [up.endpoint()]})
    c = client(q)
    r = post(c, b"\x0b\x02\x80", coding)
    assert r.status == 415 and r.error["type"] == "invalid_request_error" and r.header("x-should-retry") == "false"
    assert not up.requests
    assert c.ask().status == 200  # the connection lives
    assert post(c, b"\x0b\x02\x80", coding, "/v1/files").status == 200  # a side path is not read


@pytest.mark.parametrize("what", ["cut", "flipped", "plain", "behind", "empty stream"])
def test_damaged(qcc, raw, client, what):
    wire = gzip.compress(BODY)
    bad = {"cut": wire[:-9], "flipped": wire[:20] + bytes([wire[20] ^ 64]) + wire[21:], "plain": BODY, "behind": wire + b"x", "empty stream": wire[:10]}[what]
    up = raw(reply())
    q = qcc({**CALM, "endpoints": [up.endpoint()]})
    c = client(q)
    r = post(c, bad, "gzip")
    assert r.status == 400 and "content-encoding" in r.error["message"]
    assert not up.requests and c.ask().status == 200


def test_bombs(qcc, raw, client):
    """10 KB that become 10 MB, or 10 GB: bounded before they are there."""
    up = raw(reply())
    q = qcc({**CALM, "endpoints": [up.endpoint()]})
    c = client(q)
    bomb = gzip.compress(b'{"model":"m","x":"' + b"0" * 10_000_000)
    assert len(bomb) < 20_000
    r = post(c, bomb, "gzip")
    assert r.status == 413 and r.error["type"] == "request_too_large"
    many = gzip.compress(bytes(10_000_000)) * 1000  # members: 10 GB, in 10 MB
    assert post(c, many[: 9 << 20], "gzip").status == 413
    assert not up.requests and c.ask().status == 200
    q.reload({"limits": {"max_body_bytes": "64KiB"}})
    assert post(client(q), gzip.compress(json.dumps({"x": list(range(30000))}).encode()), "gzip").status == 413


def test_large_and_others_are_served_meanwhile(qcc, raw, client):
    up = raw(reply())
    q = qcc({**CALM, "endpoints": [up.endpoint(models={"map": {"m": "other"}})]})
    text = b'{"model":"m","x":"' + b"".join(b"%d" % (i * i % 1000003) for i in range(2_000_000)) + b'"}'
    c = client(q)
    c.send(request("POST", "/v1/messages", ["content-encoding: gzip"], body=gzip.compress(text, 1)))
    assert client(q).ask().status == 200
    assert c.reply().status == 200
    got = max((r.body for r in up.requests), key=len)
    assert got == text.replace(b'"m"', b'"other"')


def test_both_forms_count(qcc, raw, client):
    """For limits.max_buffered_bytes."""
    up = raw(reply())
    q = qcc({**CALM, "endpoints": [up.endpoint()], "limits": {"max_buffered_bytes": "1MiB", "max_body_bytes": "1MiB"}})
    text = json.dumps({"model": "m", "x": [i * 7919 % 100003 for i in range(140_000)]}).encode()
    wire = gzip.compress(text)
    assert len(text) < 1 << 20 < len(wire) + len(text)
    r = post(client(q), wire, "gzip")
    assert r.status == 503 and r.header("retry-after") == "1"
    assert client(q).ask().status == 200


# ---- replies

PACKS = [("gzip", lambda data: gzip.compress(data, mtime=0)), ("deflate", zlib.compress), ("deflate", raw_deflate)]
ACCEPTS = ["accept-encoding: gzip, deflate, br"]


def packed(body, coding="gzip", pack=gzip.compress, status=200, type="application/json", chunked=False):
    wire = pack(body)
    if chunked:
        return (b"HTTP/1.1 %d X\r\ncontent-type: %s\r\ncontent-encoding: %s\r\ntransfer-encoding: chunked\r\n\r\n" % (status, type.encode(), coding.encode())
                + b"".join(chunk(wire[i:i + 7]) for i in range(0, len(wire), 7)) + b"0\r\n\r\n")
    return reply(wire, status, ["content-encoding: " + coding], type)


@pytest.mark.parametrize("coding,pack", PACKS, ids=["gzip", "zlib", "raw"])
@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("accepts", [False, True])
def test_answer(qcc, raw, client, coding, pack, chunked, accepts):
    """As it came for a client that takes it, else inflated; its tokens are counted."""
    up = raw(packed(MESSAGE, coding, pack, chunked=chunked))
    q = qcc({**CALM, "endpoints": [up.endpoint()]})
    c = client(q)
    for _ in range(2):
        r = c.ask(headers=ACCEPTS if accepts else [])
        assert r.status == 200 and r.body == (pack(MESSAGE) if accepts else MESSAGE)
        assert r.header("content-encoding") == (coding if accepts else None)
    row = until(lambda: q.ctl_json("requests")["requests"], "the row")[0]
    assert row["tokens"]["input"] == json.loads(MESSAGE)["usage"]["input_tokens"]
    assert [a["class"] for a in row["attempts"]] == ["ok"]


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("accepts", [False, True])
def test_stream(qcc, raw, client, chunked, accepts):
    up = raw(packed(WHOLE, type="text/event-stream", chunked=chunked))
    q = qcc({**CALM, "endpoints": [up.endpoint()]})
    r = client(q).ask(stream=True, headers=ACCEPTS if accepts else [])
    assert r.body == WHOLE and r.header("content-encoding") is None


@pytest.mark.parametrize("accepts", [False, True])
@pytest.mark.parametrize("body,status,cls", [
    (b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}', 200, "transient"),
    (b'{"type":"error","error":{"type":"rate_limit_error","message":"slow"}}', 429, "rate_limit"),
    (b'{"error":{"message":"Your credit balance is too low to access the API"}}', 400, "rate_limit"),
    (b"{}", 200, "unknown"), (b"ok", 200, "unknown"), (MESSAGE[:-5], 200, "transient"),
])
def test_failures(qcc, raw, client, body, status, cls, accepts):
    """Classified by what they say, repaired by another endpoint, and told in plain."""
    bad, good = raw(packed(body, status=status)), raw(reply())
    q = qcc({**CALM, "endpoints": [bad.endpoint("bad", priority=1), good.endpoint("good", priority=2)],
             "balance": {"strategy": "priority_failover"}, "retry": {"max_attempts_per_endpoint": 1}})
    headers = ACCEPTS if accepts else []
    r = client(q).ask(headers=headers)
    assert r.status == 200 and r.body == MESSAGE
    row = until(lambda: q.ctl_json("requests")["requests"], "the row")[0]
    assert row["attempts"][0]["class"] == cls
    q.ctl("disable", "good")
    q.ctl("reset", "bad")
    alone = client(q).ask(headers=headers)
    assert alone.status != 200
    assert alone.header("content-encoding") is None
    if cls not in ("transient",):
        assert alone.body == body


@pytest.mark.parametrize("wire", [b"\x0b\x02\x80", MESSAGE, gzip.compress(MESSAGE)[:-6], gzip.compress(MESSAGE) + b"more"],
                         ids=["brotli", "plain", "cut", "behind"])
def test_wrong_name_or_damaged(qcc, raw, client, wire):
    bad, good = raw(reply(wire, headers=["content-encoding: gzip"])), raw(reply())
    q = qcc({**CALM, "endpoints": [bad.endpoint("bad", priority=1), good.endpoint("good", priority=2)], "balance": {"strategy": "priority_failover"}})
    assert client(q).ask().header("x-qcc-endpoint") == "good"
    assert client(q).ask(headers=ACCEPTS).status == 200


@pytest.mark.parametrize("coding", ["br", "zstd"])
def test_unread_coding(qcc, raw, client, coding):
    """A success if it came whole and its type is what was asked."""
    up = raw(reply(b"\x0b\x02\x80", headers=["content-encoding: " + coding]))
    q = qcc({**CALM, "endpoints": [up.endpoint()], "retry": {"max_attempts": 1}})
    c = client(q)
    r = c.ask()
    assert r.status == 200 and r.body == b"\x0b\x02\x80" and r.header("content-encoding") == coding
    up.play = reply(b"\x0b\x02\x80", headers=["content-encoding: " + coding], type="text/html")
    assert client(q).ask().status == 502
    up.play = lambda peer, _: (peer.send(reply(b"\x0b\x02\x80", headers=["content-encoding: " + coding])[:-1]), peer.close())
    assert client(q).ask().status == 502


def two(qcc, bad, good, config=None):
    return qcc({**CALM, "endpoints": [bad.endpoint("bad", priority=1), good.endpoint("good", priority=2)],
                "balance": {"strategy": "priority_failover"}, "retry": {"transient_delay": "1ms", "max_attempts_per_endpoint": 1}, **(config or {})})


def classes(q):
    return [a["class"] for a in until(lambda: q.ctl_json("requests")["requests"], "the row")[0]["attempts"]]


HEAD = "HTTP/1.1 200 OK\r\ncontent-type: %s\r\ncontent-encoding: %s\r\n"
ENDS = {
    "counted": lambda head: (head + "content-length: 0\r\n\r\n").encode(),
    "chunked": lambda head: (head + "transfer-encoding: chunked\r\n\r\n0\r\n\r\n").encode(),
    "close": lambda head: (head + "connection: close\r\n\r\n").encode(),
}


@pytest.mark.parametrize("coding", ["br", "zstd", "made-up", "gzip", "deflate", "identity", "gzip, gzip"])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("end", ENDS)
def test_empty_is_no_answer_in_any_coding(qcc, raw, client, coding, stream, end):
    """It counts as a broken connection, whatever it is said to be."""
    type = "text/event-stream" if stream else "application/json"

    def play(peer, _):
        peer.send(ENDS[end](HEAD % (type, coding)))
        if end == "close":
            peer.close()

    q = two(qcc, raw(play), raw(STREAM if stream else reply()))
    r = client(q).ask(stream=stream)
    assert r.status == 200 and r.header("x-qcc-endpoint") == "good" and r.body == (WHOLE if stream else MESSAGE)
    assert classes(q) == ["transient", "ok"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("length", ["content-length: 3", "content-length: 5000000", "transfer-encoding: chunked"])
def test_a_head_alone_is_no_answer(qcc, raw, client, stream, length):
    """The first byte of a body that is not read decides, not the head before it."""
    type = "text/event-stream" if stream else "application/json"
    head = (HEAD % (type, "br") + length + "\r\n\r\n").encode()
    q = two(qcc, raw(lambda peer, _: (peer.send(head), peer.close())), raw(STREAM if stream else reply()))
    r = client(q).ask(stream=stream)
    assert r.header("x-qcc-endpoint") == "good" and classes(q) == ["transient", "ok"]


@pytest.mark.parametrize("path", ["/v1/files", "/v1/models"])
@pytest.mark.parametrize("coding", ["br", "gzip", "identity"])
def test_empty_on_a_side_path(qcc, raw, client, path, coding):
    q = two(qcc, raw(ENDS["counted"](HEAD % ("application/json", coding))), raw(reply(b'{"data":[]}')))
    c = client(q)
    c.send(request("GET", path))
    r = c.reply()
    assert r.status == 200 and r.body == b'{"data":[]}' and r.header("x-qcc-endpoint") == "good"


@pytest.mark.parametrize("coding", ["identity", "Identity, identity", ""])
def test_no_coding_by_name(qcc, raw, client, coding):
    """identity is none: what it stands for is judged, and its tokens are counted."""
    bad, good = raw(reply(b"{}", headers=["content-encoding: " + coding])), raw(reply(headers=["content-encoding: " + coding]))
    q = two(qcc, bad, good)
    assert client(q).ask().body == MESSAGE and classes(q) == ["unknown", "ok"]
    assert q.ctl_json("requests")["requests"][0]["tokens"]["input"] == 3


@pytest.mark.parametrize("lines", [["gzip, identity"], ["identity,gzip"], ["gzip,"], ["identity", "gzip"], ["gzip", "identity"]])
@pytest.mark.parametrize("accepts", [False, True])
def test_identity_beside_a_coding(qcc, raw, client, lines, accepts):
    """Says nothing: the body is in the other one."""
    wire = gzip.compress(MESSAGE)
    lines = ["content-encoding: " + line for line in lines]
    bad, good = raw(reply(gzip.compress(b"{}"), headers=lines)), raw(reply(wire, headers=lines))
    q = two(qcc, bad, good)
    r = client(q).ask(headers=ACCEPTS if accepts else [])
    assert r.status == 200 and r.body == (wire if accepts else MESSAGE)
    assert classes(q) == ["unknown", "ok"]
    c = client(q)
    assert post(c, wire, "gzip, identity").status == 200 and good.requests[-1].body == wire


@pytest.mark.parametrize("lines", [["gzip, gzip"], ["gzip", "gzip"], ["deflate, gzip"]])
def test_coded_twice(qcc, raw, client, lines):
    """Is a coding that is not read: a success by its type, as it came."""
    wire = gzip.compress(gzip.compress(MESSAGE))
    up = raw(reply(wire, headers=["content-encoding: " + line for line in lines]))
    q = qcc({**CALM, "endpoints": [up.endpoint()], "retry": {"max_attempts": 1}})
    r = client(q).ask(headers=ACCEPTS)
    assert r.status == 200 and r.body == wire and len(r.all("content-encoding")) == len(lines)


def flushed(*events):
    """Each event as a piece that can be inflated as far as it goes; the end is the last one."""
    z = zlib.compressobj(9, zlib.DEFLATED, 31)
    return [z.compress(e) + z.flush(zlib.Z_SYNC_FLUSH) for e in events] + [z.flush()]


GZIP_STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-encoding: gzip\r\n"


def plays(pieces, framing, begun=None):
    """The pieces as a stream in gzip that ends properly but for its coding. begun: the last one waits for that."""

    def play(peer, _):
        wire = [chunk(p) for p in pieces if p] + [b"0\r\n\r\n"] if framing == "chunked" else pieces
        line = {"chunked": b"transfer-encoding: chunked", "counted": b"content-length: %d" % len(b"".join(pieces)), "close": b"connection: close"}[framing]
        head = GZIP_STREAM + line + b"\r\n\r\n"
        if begun is not None:
            peer.send(head + b"".join(wire[:3]))
            until(lambda: begun, "the client to have begun")
            head, wire = b"", wire[3:]
        peer.send(head + b"".join(wire))
        if framing == "close":
            peer.close()

    return play


@pytest.mark.parametrize("framing", ["chunked", "counted", "close"])
@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("how", ["no trailer", "half a trailer", "wrong sum", "behind"])
def test_a_stream_that_is_whole_but_for_its_coding(qcc, raw, client, framing, apart, how):
    """All its events came: where the client has begun to get them nothing is lost, and nobody is charged."""
    *events, end = flushed(*EVENTS)
    end = {"no trailer": b"", "half a trailer": end[:-3], "wrong sum": end[:-8] + b"12345678", "behind": end + b"more"}[how]
    begun = []
    q = two(qcc, raw(plays([*events, end], framing, begun if apart else None)), raw(STREAM))
    c = client(q)
    c.send(ask(stream=True))
    r = c.head()
    body = c.chunk()
    begun.append(1)
    assert body + b"".join(iter(c.chunk, b"")) == WHOLE
    good = not apart and how in ("wrong sum", "behind")  # damaged, not cut: another is asked while that can be
    assert r.header("x-qcc-endpoint") == ("good" if good else "bad") and classes(q) == (["unknown", "ok"] if good else ["ok"])


@pytest.mark.parametrize("framing", ["chunked", "counted", "close"])
@pytest.mark.parametrize("how", ["flush", "middle"])
def test_a_stream_that_is_cut_in_its_coding(qcc, raw, client, framing, how):
    """As any that is cut: before its content is given on it is repaired, then the client gets what came and the error."""
    pieces = flushed(*EVENTS)[:4]
    if how == "middle":
        pieces[3] = pieces[3][:-8]
    bad = raw(plays(pieces, framing))
    q = two(qcc, bad, raw(STREAM))
    if framing != "close":  # whose end may come later
        r = client(q).ask(stream=True)
        assert r.header("x-qcc-endpoint") == "good" and r.body == WHOLE
        assert classes(q) == ["transient", "ok"]
    begun = []
    bad.play = plays(pieces, framing, begun)
    c = client(q)
    c.send(ask(stream=True))
    c.head()
    body = c.chunk()
    begun.append(1)
    body += b"".join(iter(c.chunk, b""))
    assert body.startswith(b"".join(EVENTS[:3 if how == "middle" else 4])) and b"event: error" in body and b"cut off" in body
    assert classes(q) == ["transient"]


def test_a_translated_stream_that_is_cut_in_its_coding(qcc, raw, client):
    """One that told all is whole there, too."""
    told = [b'data: {"choices":[{"index":0,"delta":{"content":"hi"}}]}\n\n', b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n']
    up = raw(plays(flushed(*told)[:-1], "chunked"))
    q = qcc({**CALM, "endpoints": [up.endpoint(protocol="openai")]})
    assert b"event: message_stop" in client(q).ask(stream=True).body and classes(q) == ["ok"]
    up.play = plays(flushed(*told)[:1], "chunked")
    assert b"event: message_stop" not in client(q).ask(stream=True).body
    assert set(classes(q)) == {"transient"}


@pytest.mark.parametrize("chunked", [False, True])
def test_json_that_is_cut_in_its_coding(qcc, raw, client, chunked):
    bad = raw(packed(MESSAGE, pack=lambda data: gzip.compress(data)[:-9], chunked=chunked))
    q = two(qcc, bad, raw(reply()))
    assert client(q).ask().header("x-qcc-endpoint") == "good" and classes(q) == ["transient", "ok"]


@pytest.mark.parametrize("body", [b"", b"slow down", gzip.compress(b"slow down")[:-4]], ids=["empty", "plain", "cut"])
@pytest.mark.parametrize("accepts", [False, True])
def test_an_error_that_is_not_what_its_coding_says(qcc, raw, client, body, accepts):
    """Its status and lines tell what it is, as those of any error that is cut."""
    bad = raw(reply(body, 429, ["content-encoding: gzip", "retry-after: 30"]))
    q = two(qcc, bad, raw(reply()))
    assert client(q).ask(headers=ACCEPTS if accepts else []).header("x-qcc-endpoint") == "good"
    assert classes(q) == ["rate_limit", "ok"]


@pytest.mark.parametrize("accepts", [False, True])
def test_a_page_on_a_side_path(qcc, raw, client, accepts):
    """Is one though it is compressed: the next endpoint is asked, and its reply goes on as it came."""
    listed = b'{"data":[]}'
    wall = raw(packed(b"<!doctype html><html><body>sign in</body></html>", type="text/html"))
    good = raw(packed(listed))
    q = qcc({**CALM, "endpoints": [wall.endpoint("wall", priority=1), good.endpoint("good", priority=2)], "balance": {"strategy": "priority_failover"}})
    c = client(q)
    c.send(request("GET", "/v1/files", ACCEPTS if accepts else []))
    r = c.reply()
    assert r.status == 200 and r.header("x-qcc-endpoint") == "good" and gzip.decompress(r.body) == listed
    assert len(wall.requests) == 1


@pytest.mark.parametrize("accepts", [False, True])
@pytest.mark.parametrize("stream", [False, True])
def test_bomb_in_a_reply(qcc, raw, client, stream, accepts):
    """A few KB that become 100 MB of what is no answer."""
    text = (b": " if stream else b"") + b"x" * 100_000_000
    bad, good = raw(packed(text, type="text/event-stream" if stream else "application/json")), raw(STREAM if stream else reply())
    q = qcc({**CALM, "endpoints": [bad.endpoint("bad", priority=1), good.endpoint("good", priority=2)], "balance": {"strategy": "priority_failover"}})
    r = client(q).ask(stream=stream, headers=ACCEPTS if accepts else [])
    assert r.body == (WHOLE if stream else MESSAGE)


def test_long_inflated_answer_to_a_slow_client(qcc, raw, client):
    """What comes of a small piece may be much: it waits for the client."""
    text = b'{"type":"message","x":"' + b"y" * 60_000_000 + b'"}'
    up = raw(packed(text))
    q = qcc({**CALM, "endpoints": [up.endpoint()]})
    c = client(q, rcvbuf=8192)
    r = c.ask()
    assert r.status == 200 and r.body == text
