"""Replies of other makers under other statuses, codings and framings than theirs."""
import gzip
import json
import zlib

import pytest

from client import BODY, request
from makers import chunks, openai, whole
from scripted import CALM
from test_sides import anthropic, two  # noqa: F401

TEXT = b"".join(chunks("openai", text="fine")) + b"data: [DONE]\n\n"
OTHER = [201, 202, 203, 206]


def wire(body, status=200, type="application/json", coding=None, pack=None, close=False):
    body = pack(body) if pack else body
    head = "HTTP/1.1 %d X\r\ncontent-type: %s\r\n" % (status, type)
    if coding:
        head += "content-encoding: %s\r\n" % coding
    head += "connection: close\r\n\r\n" if close else "content-length: %d\r\n\r\n" % len(body)
    return lambda peer, _: (peer.send(head.encode() + body), peer.close() if close else None)


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("status", OTHER)
def test_another_2xx_with_an_answer(two, client, status, stream):  # noqa: F811
    """Is one, as of any endpoint; never passed on in the maker's form."""
    body, type = (TEXT, "text/event-stream") if stream else (whole("openai", text="fine"), "application/json")
    q, _ = two(wire(body, status, type), anthropic, "o")
    r = client(q).ask(stream=stream)
    assert r.status // 100 == 2 and r.header("x-qcc-endpoint") == "o"
    assert b"choices" not in r.body and b"end_turn" in r.body


@pytest.mark.parametrize("status", [200, 201, 204, 205])
def test_a_2xx_without_an_answer(two, client, status):  # noqa: F811
    q, _ = two(lambda peer, _: peer.send(b"HTTP/1.1 %d X\r\n%s\r\n" % (status, b"" if status == 204 else b"content-length: 0\r\n")), anthropic, "o")
    assert client(q).ask().header("x-qcc-endpoint") == "a"
    q.ctl("disable", "a")
    r = client(q).ask()
    assert r.status == 502 and r.error["type"] == "api_error"


@pytest.mark.parametrize("accepts", [False, True])
def test_a_compressed_list_of_models(qcc, raw, client, accepts):
    """The maker's own list, where no names are configured, in Anthropic's form."""
    up = raw(wire(b'{"object":"list","data":[{"id":"m1","object":"model","created":1}]}', coding="gzip", pack=gzip.compress))
    q = qcc({**CALM, "endpoints": [openai(up, "o")]})
    c = client(q)
    c.send(request("GET", "/v1/models", ["accept-encoding: gzip"] if accepts else []))
    r = c.reply()
    assert r.status == 200 and r.header("content-encoding") is None and [m["id"] for m in r.json()["data"]] == ["m1"]


@pytest.mark.parametrize("pack,coding", [(gzip.compress, "gzip"), (zlib.compress, "deflate")])
def test_a_compressed_request_is_translated(two, client, pack, coding):  # noqa: F811
    q, ups = two(wire(whole("openai", text="fine")), anthropic, "o")
    c = client(q)
    c.send(request("POST", "/v1/messages", ["content-type: application/json", "content-encoding: " + coding], pack(json.dumps(BODY).encode())))
    r = c.reply()
    assert r.status == 200 and r.header("x-qcc-endpoint") == "o"
    (sent,) = ups["o"].requests
    assert sent.header("content-encoding") is None and sent.json()["messages"] == BODY["messages"]


@pytest.mark.parametrize("coding,pack", [("gzip", gzip.compress), ("deflate", zlib.compress)])
@pytest.mark.parametrize("close", [False, True])
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_compressed_though_nobody_asked(two, client, stream, coding, pack, close):  # noqa: F811
    body, type = (TEXT, "text/event-stream") if stream else (whole("openai", text="fine"), "application/json")
    q, _ = two(wire(body, 200, type, coding, pack, close), anthropic, "o")
    for accepts in ([], ["accept-encoding: gzip, deflate"]):
        r = client(q).ask(stream=stream, headers=accepts)
        assert r.status == 200 and r.header("x-qcc-endpoint") == "o" and r.header("content-encoding") is None
        assert b"fine" in r.body.replace(b'"}}\n\nevent: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"', b"")
