"""Compressed requests are read; compressed replies that nobody asked for are judged."""
import gzip
import json
import zlib

import pytest

from client import request
from scripted import CALM, WHOLE
from qcc import until
from upstream import KEY, MESSAGE, STREAM, chunk, error, reply

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
    assert packed.status == 200 and packed.json == plain.json


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
