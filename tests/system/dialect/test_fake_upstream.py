"""The simulated upstream speaks the makers' dialects (tests/fake_upstream), and QCC understands them."""
import json

import pytest

from makers import MAKERS
from scripted import CALM
from test_makers import TOOLS, answer

ARGUMENTS = "%7B%22path%22%3A%22%2Ftmp%22%7D"


@pytest.mark.parametrize("who", MAKERS)
def test_conversation(qcc, upstream, client, who):
    spec = "/s/openai=%s,tool=Read,think=hm,arguments=%s" % (who, ARGUMENTS)
    q = qcc({**CALM, "endpoints": [upstream.endpoint(spec, "maker", protocol="openai")]})
    c = client(q)
    more = {"tools": TOOLS, "thinking": {"type": "adaptive"}}
    for stream in (True, False):
        a = answer(c.ask(stream=stream, **more), stream)
        call = a["content"][-1]
        assert call["type"] == "tool_use" and call["name"] == "Read" and call["input"] == {"path": "/tmp"}
        assert a["stop_reason"] == "tool_use" and a["usage"]["output_tokens"] == 34
        if stream or who != "mistral":
            assert a["content"][0]["thinking"] == "hm"
        history = [{"role": "user", "content": "what is in /tmp?"}, {"role": "assistant", "content": a["content"]},
                   {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call["id"], "content": "nothing"}]}]
        b = answer(c.ask(stream=stream, messages=history, **more), stream)
        assert b["stop_reason"] == "end_turn" and b["content"][-1]["text"].startswith("what is in /tmp?")


@pytest.mark.parametrize("who", MAKERS)
def test_errors(qcc, upstream, client, who):
    q = qcc({**CALM, "endpoints": [upstream.endpoint("/s/openai=%s,status=503,message=busy" % who, "maker", protocol="openai")]})
    r = client(q).ask(stream=True)
    assert r.status == 503 and r.error == {"type": "api_error", "message": "busy"}


def test_refusal_is_learnt(qcc, upstream, client):
    q = qcc({**CALM, "endpoints": [upstream.endpoint("/s/openai=openai,refuse=max_tokens", "maker", protocol="openai")]})
    c = client(q)
    for n in (2, 3):
        assert c.ask().status == 200
        assert sum(s["requests"] for s in upstream.stats()["sites"].values()) == n


def test_verified(qcc, upstream, client):
    """The answer has the code of a verification."""
    q = qcc({**CALM, "endpoints": [upstream.endpoint("/s/openai=vllm", "maker", protocol="openai")]})
    before = json.loads(q.get("/api/v1/status", port=q.admin_port)[1])
    assert before and client(q).ask().status == 200
    assert q.ctl("verify", "maker").returncode == 0
    q.wait_log("verification of maker: ok")


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_compressed(qcc, upstream, client, stream):
    """A reply that is compressed although nobody asked is inflated, whatever the client accepts."""
    q = qcc({**CALM, "endpoints": [upstream.endpoint("/s/openai=deepseek,gzip,think=hm", "maker", protocol="openai")]})
    r = client(q).ask(stream=stream, headers=["accept-encoding: gzip"], messages=[{"role": "user", "content": "hello"}])
    assert not r.all("content-encoding")
    assert answer(r, stream)["content"][-1]["text"].startswith("hello")
