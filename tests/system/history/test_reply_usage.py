"""What a reply says about its model and what it used, as operators see it."""
import json

import pytest

from admin import get, send
from scripted import CALM
from upstream import BLOCK, BLOCK_STOP, LAST_CHUNK, STOP, STREAM_HEAD, chunk, delta, event, reply

SPLIT = {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 10}
FIRST = {"input_tokens": 3, "cache_creation_input_tokens": 30, "cache_read_input_tokens": 4, "cache_creation": SPLIT,
         "output_tokens": 1, "service_tier": "standard", "inference_geo": "us"}
LAST = {"output_tokens": 7, "server_tool_use": {"web_search_requests": 2}, "speed": "fast", "service_tier": "priority"}


def message(model, usage):
    return {"id": "msg_1", "type": "message", "role": "assistant", "model": model, "content": [], "usage": usage}


def whole(model, usage):
    return reply(json.dumps(message(model, usage)).encode())


def stream(model, first, last):
    events = [event("message_start", message=message(model, first)), BLOCK, delta("a"), BLOCK_STOP,
              event("message_delta", delta={"stop_reason": "end_turn"}, usage=last), STOP]
    return STREAM_HEAD + b"".join(map(chunk, events)) + LAST_CHUNK


@pytest.fixture
def asked(qcc, raw):
    """asked(play, endpoint, **request): the record of one request that got that reply, and the instance."""

    def make(play, endpoint=None, config=None, **request):
        q = qcc({**CALM, "endpoints": [raw(play).endpoint(**(endpoint or {}))], **(config or {})})
        send(q, **request)
        return get(q, "requests")["requests"][0], q

    return make


@pytest.mark.parametrize("streams", [False, True], ids=["json", "stream"])
def test_all_that_is_told(asked, streams):
    play = stream("claude-x-20250929", FIRST, LAST) if streams else whole("claude-x-20250929", {**FIRST, **LAST})
    r, q = asked(play, {"models": {"map": {"small": "us.anthropic.claude-x-20250929-v1:0"}}}, model="small",
                 stream=streams)
    assert r["model"] == "small" and r["sent"] == "us.anthropic.claude-x-20250929-v1:0"
    assert r["served"] == "claude-x-20250929" and r["model_differs"] is False
    assert r["tokens"] == {"input": 3, "output": 7, "cache_read": 4, "cache_write": 30, "write_5m": 20, "write_1h": 10}
    assert r["web_searches"] == 2 and r["service_tier"] == "priority"
    assert r["speed"] == "fast" and r["inference_geo"] == "us"
    assert q.ctl_json("requests")["requests"][0] == r
    one = q.ctl_json("why", r["id"])
    assert {k: one[k] for k in r if k not in ("cost", "attempts")} == {k: r[k] for k in r if k not in ("cost", "attempts")}
    assert [{k: a[k] for k in b} for a, b in zip(one["attempts"], r["attempts"], strict=True)] == r["attempts"]
    assert {k: one["cost"][k] for k in r["cost"]} == r["cost"]
    out = q.ctl("why", r["id"]).stdout
    assert "model small, sent as us.anthropic.claude-x-20250929-v1:0, served by claude-x-20250929" in out
    assert "30 cache write tokens (10 for 1 hour), 2 web searches, tier priority, speed fast, geography us, cost unknown: " in out


@pytest.mark.parametrize("streams", [False, True], ids=["json", "stream"])
def test_nothing_is_told(asked, streams):
    usage = {"cache_creation_input_tokens": 5}
    play = stream(None, usage, {}) if streams else whole(None, usage)
    r, q = asked(play, model="claude-y", stream=streams)
    assert r["sent"] == "claude-y" and r["served"] is None and r["model_differs"] is False
    assert r["tokens"] == {"input": None, "output": None, "cache_read": None, "cache_write": 5, "write_5m": 5,
                           "write_1h": 0}
    assert [r[k] for k in ("web_searches", "service_tier", "speed", "inference_geo")] == [None] * 4
    out = q.ctl("why", r["id"]).stdout
    assert "served" not in out and "sent as" not in out and "hour" not in out and "tier" not in out


def test_another_model_served(asked):
    r, q = asked(whole("claude-cheap-1", FIRST), model="claude-dear-9")
    assert r["sent"] == "claude-dear-9" and r["served"] == "claude-cheap-1" and r["model_differs"] is True
    assert "served by claude-cheap-1 (another model)" in q.ctl("why", r["id"]).stdout


def test_no_endpoint_was_asked(qcc):
    q = qcc({**CALM, "endpoints": [{"name": "off", "base_url": "http://127.0.0.1:9", "enabled": False}]})
    assert send(q, model="claude-z") == [503]
    r = get(q, "requests")["requests"][0]
    assert r["model"] == "claude-z" and r["sent"] is None and r["served"] is None and r["model_differs"] is False


@pytest.mark.parametrize("streams", [False, True], ids=["json", "stream"])
def test_names_without_end_and_shape(asked, streams):
    """64 KB of control characters, and texts where a word is expected."""
    odd = "\x1b[31m\x00\u202e" * 8000
    usage = {**FIRST, "service_tier": odd, "speed": 7, "inference_geo": ["us"]}
    play = stream(odd, usage, {"output_tokens": 2}) if streams else whole(odd, usage)
    r, q = asked(play, model="m", stream=streams)
    if not streams or r["served"]:
        assert r["served"].startswith("?[31m?") and len(r["served"].encode()) <= 64 and "\x1b" not in r["served"]
        assert len(r["service_tier"].encode()) <= 16
    assert r["speed"] is None and r["inference_geo"] is None
    assert "\x1b" not in q.ctl("why", r["id"]).stdout
