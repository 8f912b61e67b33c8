"""Dialects are learnt from refusals: sent again to the same endpoint, no attempt, no failure."""
import json

import pytest

from candidates import endpoints
from client import events
from makers import maker, openai, told
from qcc import until
from scripted import CALM
from test_makers import TOOLS, answer, one  # noqa: F401
from upstream import error, reply

GOOD = maker("openai", text="fine")
SCHEMA = {"type": "json_schema", "schema": {"type": "object", "properties": {"t": {"type": "string"}}}}
IMAGE = [{"role": "user", "content": [{"type": "text", "text": "see"}, {"type": "image", "source": {
    "type": "base64", "media_type": "image/png", "data": "aaaa"}}]}]
CALLED = [{"role": "user", "content": "go"},
          {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "Read", "input": {}}]},
          {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "x"}]}]

# name: what is asked, whether the maker refuses the body, its refusal, whether the body sent next is right
CASES = {
    "max_completion_tokens": ({}, lambda b: "max_tokens" in b, told("openai",
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
        "unsupported_parameter", param="max_tokens"), lambda b: b["max_completion_tokens"] == 16),
    "max_tokens": ({"model": "gpt-5"}, lambda b: "max_completion_tokens" in b, told("vllm",
        "[{'type': 'extra_forbidden', 'loc': ('body', 'max_completion_tokens'), 'msg': 'Extra inputs are not permitted'}]"),
        lambda b: b["max_tokens"] == 16),
    "limit": ({"max_tokens": 64000}, lambda b: b["max_tokens"] > 8192, told("deepseek",
        "Invalid max_tokens value, the valid range of max_tokens is [1, 8192]"), lambda b: b["max_tokens"] == 8192),
    "temperature": ({"temperature": 0.3}, lambda b: "temperature" in b, told("openai",
        "Unsupported value: 'temperature' does not support 0.3 with this model. Only the default (1) value is supported.",
        "unsupported_value", param="temperature"), lambda b: True),
    "stream_options": ({"stream": True}, lambda b: "stream_options" in b, told("mistral",
        "stream_options: Extra inputs are not permitted", status=422), lambda b: b["stream"] is True),
    "tool_choice": ({"tools": TOOLS, "tool_choice": {"type": "any"}}, lambda b: "tool_choice" in b, told("deepseek",
        "deepseek-reasoner does not support this tool_choice"), lambda b: len(b["tools"]) == 2),
    "response_format": ({"output_config": {"format": SCHEMA}}, lambda b: "response_format" in b, told("deepseek",
        "This response_format type is unavailable now"), lambda b: "properties" in b["messages"][0]["content"]),
    "images": ({"messages": IMAGE}, lambda b: "image_url" in json.dumps(b), told("deepseek",
        "Failed to deserialize the JSON body into the target type: messages[0]: unknown variant `image_url`, expected `text`"),
        lambda b: "image left out" in json.dumps(b)),
    "reasoning_effort": ({"thinking": {"type": "enabled", "budget_tokens": 8000}}, lambda b: "reasoning_effort" in b,
        told("groq", "`reasoning_effort` is not supported with this model"), lambda b: True),
    "reasoning_content": ({"messages": CALLED, "tools": TOOLS, "thinking": {"type": "adaptive"}},
        lambda b: "reasoning_content" not in b["messages"][1], told("kimi",
        "thinking is enabled but reasoning_content is missing in assistant tool call message at index 1"),
        lambda b: b["messages"][1]["reasoning_content"] == " "),
    "thought_signature": ({"messages": CALLED, "tools": TOOLS}, lambda b: "extra_content" not in b["messages"][1]["tool_calls"][0],
        told("gemini", "Function call is missing a thought_signature in functionCall parts."), lambda b: True),
}


@pytest.mark.parametrize("name", CASES)
def test_learnt(one, client, name):  # noqa: F811
    more, refuses, refusal, right = CASES[name]

    def play(peer, request):
        peer.send(refusal) if refuses(request.json()) else GOOD(peer, request)

    q, up = one(play)
    c = client(q)
    r = c.ask(**more)
    answer(r, more.get("stream", False))
    assert r.header("x-qcc-attempts") == "1" and len(up.requests) == 2
    assert right(up.requests[1].json()), up.requests[1].json()
    again = c.ask(**more)
    answer(again, more.get("stream", False))
    assert len(up.requests) == 3 and up.requests[2].json() == up.requests[1].json()
    e = until(lambda: endpoints(q)["maker"]["attempts"]["ok"] == 2 and endpoints(q)["maker"], "two attempts")
    assert sum(e["attempts"].values()) == 2 and not e["charged"]


def test_reload_forgets(one, client):  # noqa: F811
    _, refuses, refusal, _ = CASES["max_completion_tokens"]
    q, up = one(lambda peer, r: peer.send(refusal) if refuses(r.json()) else GOOD(peer, r))
    assert client(q).ask().status == 200 and len(up.requests) == 2
    q.reload({"retry": {"max_attempts": 4}})
    assert client(q).ask().status == 200 and len(up.requests) == 4


def test_refuses_whatever_comes(one, client):  # noqa: F811
    """At most four times, then the refusal goes back in Anthropic's form."""
    def play(peer, request):
        body, names = request.json(), ("temperature", "top_p", "stop", "parallel_tool_calls", "max_tokens")
        name = next(n for n in names if n in body)
        peer.send(told("openai", "Unsupported parameter: '%s' is not supported with this model." % name, param=name))

    q, up = one(play)
    r = client(q).ask(temperature=0.5, top_p=0.5, stop_sequences=["x"], tools=TOOLS,
                      tool_choice={"type": "auto", "disable_parallel_tool_use": True})
    assert r.status == 400 and r.error["type"] == "invalid_request_error"
    assert len(up.requests) == 4 and r.header("x-qcc-attempts") == "1"


def test_expected_thinking(qcc, raw, client):
    """A turn at another maker has no thinking of Claude's: the same Anthropic endpoint is asked without."""
    text = "messages.1.content.0.type: Expected `thinking` or `redacted_thinking`, but found `tool_use`."

    def play(peer, request):
        if request.json()["thinking"]["type"] == "disabled":
            peer.send(reply())
        else:
            peer.send(error(400, "invalid_request_error", text))

    up, other = raw(play), raw(GOOD)
    q = qcc({**CALM, "balance": {"strategy": "priority_failover"},
             "endpoints": [up.endpoint("a"), openai(other, "o", priority=2)]})
    c = client(q)
    for _ in range(2):
        r = c.ask(thinking={"type": "enabled", "budget_tokens": 2000}, context_management={"edits": []},
                  messages=CALLED)
        assert r.status == 200 and r.header("x-qcc-endpoint") == "a" and r.header("x-qcc-attempts") == "1"
    assert len(up.requests) == 4 and not other.requests
    assert up.requests[2].json()["thinking"]["type"] == "enabled"  # not remembered
    assert "context_management" not in up.requests[1].json()
    assert not endpoints(q)["a"]["charged"]


def test_all_workers_learn(qcc, raw, client):
    """What one worker has learnt the others know a moment later."""
    _, refuses, refusal, _ = CASES["max_completion_tokens"]
    up = raw(lambda peer, r: peer.send(refusal) if refuses(r.json()) else GOOD(peer, r))
    q = qcc({**CALM, "workers": 3, "endpoints": [openai(up)]})
    assert client(q).ask().status == 200
    q.wait_log("from supervisor LEARNT,", 3)
    for _ in range(12):
        assert client(q).ask().status == 200
    assert len(up.requests) == 14


def test_why_shows_it(one, client):  # noqa: F811
    _, refuses, refusal, _ = CASES["max_completion_tokens"]
    q, up = one(lambda peer, r: peer.send(refusal) if refuses(r.json()) else GOOD(peer, r))
    r = client(q).ask()
    id_ = r.header("x-qcc-request-id")
    assert "refuses a field with status 400: sent again without" in q.log()
    why = until(lambda: q.ctl("why", id_).returncode == 0 and q.ctl("why", id_).stdout, "the trail")
    assert "as its refusal taught" in why, why
    got = q.ctl_json("why", id_)
    assert [c["learnt"] for c in got["choices"]] == [False, True]
    assert "attempts=1" in q.wait_log(r"request method=POST.*").group(0)
