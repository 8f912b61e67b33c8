"""Models: who serves which one, and under which name an endpoint is asked for it."""
import json

import pytest

from candidates import THREE, counts, some
from client import BODY, request
from upstream import error, reply


def test_allow_list(some, client):
    q, ups = some(THREE, endpoint={"a": {"models": {"allow": ["claude-a", "gpt-*"]}}, "b": {"models": {"allow": ["claude-*"]}},
                                   "c": {"models": {"allow": ["*-mini"]}}})
    c = client(q)
    for model, name in [("claude-a", "a"), ("claude-b", "b"), ("gpt-4", "a"), ("gpt-", "a"), ("claude-ab", "b"), ("o4-mini", "c"),
                        ("gpt-mini", "a")]:
        assert c.ask(model=model).header("x-qcc-endpoint") == name, model
    r = c.ask(model="llama")
    assert r.status == 503 and r.error["type"] == "api_error" and "a: model not offered" in r.error["message"]
    before = counts(ups)
    c.send(request())  # what names no model may go anywhere
    assert c.reply().status == 200 and counts(ups) == {**before, "a": before["a"] + 1}


def test_allow_list_and_failover(some, client):
    """An endpoint that does not offer the model is no way out."""
    q, ups = some({"a": error(503), "b": reply(), "c": reply()}, endpoint={"b": {"models": {"allow": ["other"]}}})
    assert client(q).ask().header("x-qcc-endpoint") == "c"
    assert counts(ups)["b"] == 0


def test_escaped_model(some, client):
    """Compared by what it means, forwarded as it was written."""
    q, ups = some(THREE, endpoint={"a": {"models": {"allow": ["claude-x"]}}, "b": {"models": {"allow": ["m"]}}, "c": {"enabled": False}})
    body = b'{"mod\\u0065l" : "cl\\u0061ude-x", "messages":[]}'
    assert client(q).ask(body).header("x-qcc-endpoint") == "a"
    assert ups["a"].requests[0].body == body


ODD = (b'{\n\t"system":"say \\"model\\": \\"no\\" \xf0\x9f\x98\x80",  "metadata" : {"model":"no"}, "messages":[{"model":"no"}],"n":1.0e5,'
       b' "model"\t:\r\n"%s" ,"stream":false , "tail":[ ] }\n')


@pytest.mark.parametrize(
    "config,endpoint,asked,sent",
    [
        ({}, {"map": {"m": "vendor/m-1"}}, "m", "vendor/m-1"),
        ({}, {"map": {"other": "x"}}, "m", "m"),
        ({}, {"allow": ["n*"], "map": {"m": "alias"}}, "m", "alias"),  # known there by another name: offered
        ({"models": {"map": {"m": "big"}}}, {}, "m", "big"),
        ({"models": {"map": {"m": "big"}}}, {"map": {"big": "bigger"}}, "m", "bigger"),
        ({"models": {"override": "forced"}}, {}, "m", "forced"),
        ({"models": {"override": "forced", "map": {"m": "big"}}}, {"map": {"forced": "really", "m": "no"}}, "m", "really"),
        ({}, {"map": {"m": 'qu"ote\\ \u00e4'}}, "m", 'qu"ote\\ \u00e4'),
    ],
)
def test_alias_is_spliced(some, client, config, endpoint, asked, sent):
    """The model alone changes: every other byte stays."""
    q, ups = some({"a": reply()}, config, {"a": {"models": endpoint}})
    body = ODD % asked.encode()
    assert client(q).ask(body).status == 200
    got = ups["a"].requests[0]
    before, _, after = ODD.partition(b"%s")
    assert got.body.startswith(before) and got.body.endswith(after)
    assert json.loads(b'"' + got.body[len(before) : len(got.body) - len(after)] + b'"') == sent


def test_last_of_repeated_members(some, client):
    """As most parsers read it: routed and replaced is the last."""
    q, ups = some({"a": reply()}, endpoint={"a": {"models": {"allow": ["two"], "map": {"two": "three"}}}})
    client(q).ask(b'{"model":"one","messages":[],"model":"two"}')
    assert ups["a"].requests[0].body == b'{"model":"one","messages":[],"model":"three"}'


def test_each_endpoint_gets_its_own_words(some, client):
    """After a failure the next one is asked with its own name of the model, key, path and host."""
    q, ups = some({"a": error(503), "b": reply()},
                  endpoint={"a": {"models": {"map": {"m": "long-name-at-a"}}, "api_key": "sk-key-of-a"},
                            "b": {"models": {"map": {"m": "b"}}, "api_key": "sk-key-of-b", "auth": "x-api-key"}})
    assert client(q).ask().header("x-qcc-endpoint") == "b"
    a, b = ups["a"].requests[0], ups["b"].requests[0]
    assert a.json() == {**BODY, "model": "long-name-at-a"} and b.json() == {**BODY, "model": "b"}
    assert a.header("x-api-key") == "sk-key-of-a" and b.header("x-api-key") == "sk-key-of-b"
    assert b.header("authorization") is None and b"sk-key-of-a" not in b.head
    assert b.header("host") == "127.0.0.1:%d" % ups["b"].port


@pytest.mark.parametrize("body", [b"", b"not json", b'{"model":"m"', b'[1]', b'{"model":1}', b'{"model":"m"} {}', b"\xff\xfe"])
def test_what_is_no_json_passes(some, client, body):
    q, ups = some({"a": reply()}, {"models": {"override": "forced"}})
    assert client(q).ask(body).status == 200
    if body != b'{"model":"m"' and body != b'{"model":"m"} {}':
        assert ups["a"].requests[0].body == body
