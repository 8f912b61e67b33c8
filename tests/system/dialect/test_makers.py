"""Each maker's dialect through the whole of QCC: text, thinking, tool calls, streamed and whole."""
import json
import re

import pytest

from client import events
from makers import MAKERS, maker, openai, tool_id
from scripted import CALM

TOOLS = [{"name": "Read", "description": "reads", "input_schema": {"type": "object", "properties": {"path": {"type": "string"}}}},
         {"name": "Bash", "input_schema": {"type": "object"}}]
CALLS = [("Read", {"path": "/tmp/ä", "n": 12345678901234567890}), ("Bash", {"command": "ls -l", "x": [1, {"y": None}]})]
THINKS = {"deepseek", "qwen", "glm", "kimi", "openrouter", "vllm", "groq", "mistral"}


def collect(body):
    """The message that the events of a stream make; their order is checked on the way."""
    message, open_at, stopped = None, None, False
    for name, event in events(body):
        assert name == event["type"] and not stopped
        if name == "ping":
            continue
        if name == "message_start":
            assert message is None
            message = event["message"]
            assert message["content"] == [] and message["usage"]["input_tokens"] > 0
        elif name == "content_block_start":
            assert open_at is None and event["index"] == len(message["content"])
            open_at = event["index"]
            message["content"].append({**event["content_block"], "json": ""})
        elif name == "content_block_delta":
            assert event["index"] == open_at
            block, delta = message["content"][open_at], event["delta"]
            kind = delta["type"]
            if kind == "text_delta":
                block["text"] += delta["text"]
            elif kind == "thinking_delta":
                block["thinking"] += delta["thinking"]
            elif kind == "signature_delta":
                block["signature"] += delta["signature"]
            else:
                assert kind == "input_json_delta"
                block["json"] += delta["partial_json"]
        elif name == "content_block_stop":
            assert event["index"] == open_at
            block, open_at = message["content"][open_at], None
            text = block.pop("json")
            if block["type"] == "tool_use":
                assert block["input"] == {}
                block["input"] = json.loads(text)
        elif name == "message_delta":
            assert open_at is None
            message.update(event["delta"])
            message["usage"].update(event["usage"])
        else:
            assert name == "message_stop", name
            stopped = True
    assert stopped, body
    return message


def answer(reply, stream):
    assert reply.status == 200, reply.body
    kind = reply.header("content-type")
    assert kind.startswith("text/event-stream") if stream else kind == "application/json"
    return collect(reply.body) if stream else reply.json()


@pytest.fixture
def one(qcc, raw):
    def make(play, config=None, **more):
        up = raw(play)
        return qcc({**CALM, "endpoints": [openai(up, **more)], **(config or {})}), up

    return make


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("who", MAKERS)
def test_tool_calls(one, client, who, stream):
    q, up = one(maker(who, calls=CALLS))
    a = answer(client(q).ask(stream=stream, tools=TOOLS, model="claude-x"), stream)
    assert [b["type"] for b in a["content"]] == ["tool_use", "tool_use"]
    assert [(b["name"], b["input"]) for b in a["content"]] == CALLS
    assert a["stop_reason"] == "tool_use" and a["model"] == "claude-x" and a["role"] == "assistant"
    ids = [b["id"] for b in a["content"]]
    assert len(set(ids)) == 2 and all(re.fullmatch("[a-zA-Z0-9_-]{1,64}", i) for i in ids)
    assert re.fullmatch("msg_[0-9a-f]{24}", a["id"])
    told = a["usage"]
    assert told["input_tokens"] + told["cache_read_input_tokens"] == 100 and told["output_tokens"] == 20
    sent = up.requests[0]
    assert sent.line == "POST /v1/chat/completions HTTP/1.1"
    assert [t["function"]["name"] for t in sent.json()["tools"]] == ["Read", "Bash"]


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("who", MAKERS)
def test_text_and_thinking(one, client, who, stream):
    thinking = "I think so." if who in THINKS else ""
    q, up = one(maker(who, text="Good day, äöü \U0001f600.", thinking=thinking))
    c = client(q)
    a = answer(c.ask(stream=stream, thinking={"type": "adaptive"}), stream)
    assert a["stop_reason"] == "end_turn"
    if thinking:
        assert a["content"][0]["type"] == "thinking" and a["content"][0]["thinking"] == thinking
        assert re.fullmatch("qcc1\\.[0-9a-f]{8}\\.[cr]", a["content"][0]["signature"])
    assert a["content"][-1] == {"type": "text", "text": "Good day, äöü \U0001f600."}
    b = answer(c.ask(stream=stream), stream)
    assert [x["type"] for x in b["content"]] == ["text"]


@pytest.mark.parametrize("who", MAKERS)
def test_ids_come_back(one, client, who):
    """What a maker's tool call was called, the maker sees again."""
    q, up = one(maker(who, calls=CALLS))
    c = client(q)
    a = answer(c.ask(tools=TOOLS), False)
    results = [{"type": "tool_result", "tool_use_id": b["id"], "content": "done"} for b in reversed(a["content"])]
    answer(c.ask(tools=TOOLS, messages=[{"role": "user", "content": "go"}, {"role": "assistant", "content": a["content"]},
                                        {"role": "user", "content": results}]), False)
    sent = up.requests[1].json()["messages"]
    ids = [t["id"] for t in sent[1]["tool_calls"]]
    assert [m["tool_call_id"] for m in sent[2:4]] == ids
    wanted = [tool_id(who, name, n) for n, (name, _) in enumerate(CALLS)]
    if all(wanted) and all(len(w) <= 40 for w in wanted):
        assert ids == wanted
