"""One conversation over both protocols: failover in both directions, tool loops that change sides."""
import json

import pytest

from candidates import endpoints
from makers import maker, openai, played, piece, told
from client import another, ask
from scripted import CALM, script  # noqa: F401
from test_makers import CALLS, TOOLS, answer
from upstream import EVENTS, LAST_CHUNK, STREAM_HEAD, chunk, error, reply

ANTHROPIC_STREAM = STREAM_HEAD + b"".join(map(chunk, EVENTS)) + LAST_CHUNK
THINKING = {"thinking": {"type": "adaptive"}}


def anthropic(peer, request):
    peer.send(ANTHROPIC_STREAM if request.json().get("stream") else reply())


def page(peer, request):
    peer.send(reply(b"<html>hello</html>", type="text/html"))


def empty(peer, request):
    peer.send(reply(b"", type="application/json"))


BAD_MAKER = {
    "503": told("openai", "overloaded", kind="server_error", status=503),
    "429": told("openai", "Rate limit reached", "rate_limit_exceeded", "requests", 429),
    "401": told("openai", "Incorrect API key provided", "invalid_api_key", status=401),
    "402": told("deepseek", "Insufficient Balance", status=402),
    "error first": played([b'data: {"error":{"message":"boom","type":"server_error","code":500}}\n\n']),
    "cut": STREAM_HEAD + chunk(piece("openai", {"role": "assistant", "content": ""})) + LAST_CHUNK,
    "page": page,
    "empty": empty,
    "done alone": played([]),
    "failed": played([piece("glm", {"content": ""}, "network_error")]),
}


@pytest.fixture
def two(qcc, raw):
    """two(openai's play, anthropic's play, first): the first is preferred."""

    def make(maker_play, anthropic_play, first, config=None, **more):
        ups = {"o": raw(maker_play), "a": raw(anthropic_play)}
        list_ = [openai(ups["o"], "o", priority=1 if first == "o" else 2, **more),
                 ups["a"].endpoint("a", priority=1 if first == "a" else 2)]
        return qcc({**CALM, "balance": {"strategy": "priority_failover"}, "endpoints": list_, **(config or {})}), ups

    return make


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("name", BAD_MAKER)
def test_maker_fails(two, client, name, stream):
    """The Anthropic endpoint gets the client's bytes as they came."""
    q, ups = two(BAD_MAKER[name], anthropic, "o")
    body = json.dumps({"model": "m", "max_tokens": 5, "stream": stream, "messages": [{"role": "user", "content": "a\u00e4"}],
                       "x": 1.0}).encode()
    r = client(q).ask(body)
    assert r.status == 200 and r.header("x-qcc-endpoint") == "a", r.body
    assert ups["a"].requests[0].body == body


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("name", ["503", "429", "401", "error first", "page", "empty"])
def test_anthropic_fails(two, client, name, stream):
    plays = {"503": error(503), "429": error(429, "rate_limit_error"), "401": error(401, "authentication_error"),
             "error first": STREAM_HEAD + chunk(b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error",'
                                                b'"message":"o"}}\n\n') + LAST_CHUNK, "page": page, "empty": empty}
    q, ups = two(maker("openai", text="here"), plays[name], "a")
    r = client(q).ask(stream=stream)
    assert answer(r, stream)["content"] == [{"type": "text", "text": "here"}]
    assert r.header("x-qcc-endpoint") == "o"


@pytest.mark.parametrize("who", ["kimi", "deepseek", "vllm"])
def test_tool_loop_changes_sides(two, client, who):
    """Called at the maker, answered at Anthropic's, and on at the maker."""
    q, ups = two(maker(who, thinking="hm", calls=CALLS), anthropic, "o")
    c = client(q)
    first = answer(c.ask(tools=TOOLS, **THINKING), False)
    assert first["content"][0]["type"] == "thinking"
    history = [{"role": "user", "content": "go"}, {"role": "assistant", "content": first["content"]},
               {"role": "user", "content": [{"type": "tool_result", "tool_use_id": b["id"], "content": "ok"}
                                            for b in first["content"] if b["type"] == "tool_use"]}]
    q.ctl("disable", "o")
    second = c.ask(tools=TOOLS, messages=history, **THINKING)
    assert second.status == 200 and second.header("x-qcc-endpoint") == "a"
    seen = ups["a"].requests[0].json()["messages"]
    assert b"qcc1." not in ups["a"].requests[0].body
    assert seen[1]["content"] == [b for b in first["content"] if b["type"] == "tool_use"]
    history += [{"role": "assistant", "content": [{"type": "thinking", "thinking": "secret", "signature": "EqQB"},
                                                  *second.json()["content"]]},
                {"role": "user", "content": "and now?"}]
    q.ctl("enable", "o")
    q.ctl("disable", "a")
    third = c.ask(tools=TOOLS, messages=history, **THINKING)
    assert third.header("x-qcc-endpoint") == "o" and answer(third, False)
    sent = ups["o"].requests[-1]
    assert b"secret" not in sent.body and b"EqQB" not in sent.body
    turn = sent.json()["messages"][1]
    assert turn.get("reasoning_content", turn.get("reasoning")) == "hm"


def test_bound_to_the_maker(two, client):
    """A conversation stays where its cache is warm, whatever protocol that is."""
    down = [True]
    q, ups = two(maker("openai", text="x"), lambda peer, r: peer.send(error(503) if down[0] else reply()), "a")
    c = client(q)
    head = ["x-claude-code-session-id: one"]
    assert c.ask(headers=head).header("x-qcc-endpoint") == "o"
    down[0] = False
    assert c.ask(headers=head).header("x-qcc-endpoint") == "o"
    assert c.ask().header("x-qcc-endpoint") == "a"


@pytest.mark.parametrize("how", ["end", "error", "finish", "reset"])
def test_after_the_commit_point(two, client, script, how):
    """What breaks behind content is an error event, and no other endpoint is asked."""
    q, ups = two(script, anthropic, "o")
    c = client(q)
    c.send(ask(stream=True))
    script.play(STREAM_HEAD + chunk(piece("openai", {"content": "half"})))
    while b"half" not in c.buf:
        c.fill()
    script.play({"end": LAST_CHUNK, "error": chunk(b'data: {"error":{"message":"boom"}}\n\n'), "reset": lambda p: p.reset(),
                 "finish": chunk(piece("glm", {}, "network_error"))}[how], None)
    r = c.reply()
    assert r.status == 200 and r.body.count(b"event: error") == 1 and b"message_stop" not in r.body
    assert b'"api_error"' in r.body.rpartition(b"event: error")[2] and not ups["a"].requests


def test_prompt_too_long_is_not_beyond_doubt(two, client):
    text = "This model's maximum context length is 65536 tokens. However, your messages resulted in 90000 tokens."
    q, ups = two(told("deepseek", text, "context_length_exceeded"), anthropic, "o")
    c = client(q)
    for n in range(5):  # of as many conversations
        head = ["x-claude-code-session-id: %d" % n]
        assert c.ask(headers=head, messages=another()).header("x-qcc-endpoint") == "a"
    assert len(ups["o"].requests) == 5
    o = endpoints(q)["o"]
    assert not o["charged"] and not o["queued"] and not o["marks"] and o["state"] == "healthy", o


def test_both_refuse(two, client):
    q, ups = two(told("openai", "no such thing"), error(400, "invalid_request_error", "no"), "o")
    r = client(q).ask()
    assert r.status == 400 and r.error == {"type": "invalid_request_error", "message": "no such thing"}
    assert not endpoints(q)["o"]["charged"] and not endpoints(q)["a"]["charged"]
