"""What is no message, verification, and what operators see, with endpoints that speak OpenAI's protocol."""
import json
import os
import re
import subprocess

import pytest

from candidates import endpoints
from client import ask, request
from makers import MAKERS, chunks, maker, openai, piece, played, told, whole
from qcc import ROOT, SUPERVISOR, until
from scripted import CALM, script  # noqa: F401
from test_makers import TOOLS, answer, collect, one  # noqa: F401
from test_sides import anthropic, two  # noqa: F401
from upstream import LAST_CHUNK, STREAM_HEAD, chunk, error, reply

GOOD = maker("openai", text="fine")
SEARCH = {"type": "web_search_20250305", "name": "web_search"}


def test_head_out_and_back(one, client):  # noqa: F811
    def play(peer, r):
        peer.send(reply(whole("openai", text="x"), headers=["x-request-id: req_7", "set-cookie: a=b", "openai-version: 1",
                                                            "x-ratelimit-limit-requests: 5", "retry-after: 3"]))

    q, up = one(play, headers={"x-mine": "yes"})
    r = client(q).ask(path="/v1/messages?beta=true", headers=[
        "x-api-key: sk-client", "authorization: Bearer sk-client", "anthropic-version: 2023-06-01", "anthropic-beta: x",
        "user-agent: claude-cli/2", "x-app: cli", "x-stainless-os: linux", "accept-encoding: gzip", "accept: application/json",
        "x-claude-code-session-id: s", "cookie: c=1"])
    assert r.status == 200
    sent = up.requests[0]
    assert sent.line == "POST /v1/chat/completions HTTP/1.1"
    assert {k.lower() for k, _ in sent.headers} == {"host", "user-agent", "accept", "content-type", "x-mine", "authorization",
                                                    "content-length"}
    assert sent.header("authorization") == "Bearer " + up.endpoint()["api_key"]
    assert sent.header("user-agent") == "claude-cli/2" and sent.header("x-mine") == "yes"
    own = {"content-length", "x-qcc-endpoint", "x-qcc-attempts", "x-qcc-request-id"}
    assert {k for k, _ in r.headers} - own == {"content-type", "retry-after", "request-id"}
    assert r.header("request-id") == "req_7"


def test_no_key_no_credentials(one, client):  # noqa: F811
    q, up = one(GOOD, api_key=None)
    assert client(q).ask(headers=["x-api-key: sk-client", "authorization: Bearer sk-client"]).status == 200
    assert not up.requests[0].all("authorization") and not up.requests[0].all("x-api-key")


def test_query_of_base_url(qcc, raw, client):
    up = raw(GOOD)
    q = qcc({**CALM, "endpoints": [up.endpoint("az", "/openai/deployments/D?api-version=2024-10-21", api_key=None,
                                               protocol="openai", headers={"api-key": "k"})]})
    assert client(q).ask(path="/v1/messages?beta=true").status == 200
    assert up.requests[0].line == "POST /openai/deployments/D/chat/completions?api-version=2024-10-21 HTTP/1.1"
    assert up.requests[0].header("api-key") == "k"


def test_max_tokens_and_patterns(one, client):  # noqa: F811
    q, up = one(GOOD, max_tokens=10, models={"map": {"claude-*": "any", "claude-haiku-*": "never", "claude-haiku-4-5": "small"}})
    c = client(q)
    for model in ("claude-opus-4-1", "claude-haiku-4-5", "claude-haiku-4-5-20251001", "other"):
        assert c.ask(model=model).json()["model"] == model
    assert [r.json()["model"] for r in up.requests] == ["any", "small", "any", "other"]
    assert [r.json()["max_tokens"] for r in up.requests] == [10] * 4


def test_patterns_for_anthropic_endpoints(qcc, raw, client):
    up = raw(reply())
    q = qcc({**CALM, "models": {"map": {"best*": "claude-opus-4-1"}},
             "endpoints": [up.endpoint("a", models={"allow": ["x"], "map": {"claude-*": "relay"}})]})
    c = client(q)
    assert c.ask(model="best of all").status == 200 and up.requests[0].json()["model"] == "relay"
    assert c.ask(model="claude-x").status == 200 and up.requests[1].json()["model"] == "relay"
    assert c.ask(model="gpt").status != 200 and len(up.requests) == 2


@pytest.mark.parametrize("body", [b"no json", b"[]", b"{}", b'{"model":"m","messages":{}}', b'{"model":"m","messages":[{"role":"user"}]}',
                                  b'{"model":"m","messages":[{"role":"user","content":7}]}'])
def test_faulty_body(one, client, body):  # noqa: F811
    q, up = one(GOOD)
    r = client(q).ask(body)
    assert r.status == 400 and r.error["type"] == "invalid_request_error" and not up.requests, r.body
    assert r.header("x-should-retry") == "false"
    assert not endpoints(q)["maker"]["charged"]


@pytest.mark.parametrize("method, path", [("POST", "/v1/complete"), ("POST", "/v1/messages/batches"), ("GET", "/v1/files"),
                                          ("POST", "/v1/files"), ("GET", "/v1/messages/batches/b1"), ("POST", "/v1/embeddings"),
                                          ("POST", "/v1/chat/completions")])
def test_side_paths(one, two, client, method, path):  # noqa: F811
    q, up = one(GOOD)
    c = client(q)
    c.send(request(method, path, ["content-type: application/json"], b"{}" if method == "POST" else None))
    r = c.reply()
    assert r.status == 404 and r.error["type"] == "not_found_error" and not up.requests


@pytest.mark.parametrize("path", ["/v1/complete", "/v1/files"])
def test_side_paths_go_to_anthropic(two, client, path):  # noqa: F811
    q, ups = two(GOOD, reply(), "o")
    assert client(q).ask(path=path).header("x-qcc-endpoint") == "a" and not ups["o"].requests


def test_count_tokens(one, two, client):  # noqa: F811
    q, ups = two(GOOD, lambda p, r: p.send(reply(b'{"input_tokens":42}')), "o")
    assert client(q).ask(path="/v1/messages/count_tokens").json() == {"input_tokens": 42}
    q.ctl("disable", "a")
    assert client(q).ask(path="/v1/messages/count_tokens").json()["input_tokens"] > 0 and not ups["o"].requests
    alone, up = one(GOOD)
    r = client(alone).ask(path="/v1/messages/count_tokens")
    assert r.status == 200 and set(r.json()) == {"input_tokens"} and not up.requests


def get(c, path):
    c.send(request("GET", path))
    return c.reply()


def test_models_by_configuration(one, client):  # noqa: F811
    q, up = one(GOOD, models={"allow": ["deepseek-*", "glm-5"], "map": {"claude-*": "x", "claude-haiku-4-5": "y"}},
                config={"models": {"map": {"best": "glm-5"}}})
    c = client(q)
    got = get(c, "/v1/models").json()
    assert [m["id"] for m in got["data"]] == ["best", "claude-haiku-4-5", "glm-5"]
    assert got["has_more"] is False and got["first_id"] == "best" and got["last_id"] == "glm-5"
    assert set(got["data"][0]) == {"type", "id", "display_name", "created_at", "object", "created"} and got["data"][0]["type"] == "model"
    assert get(c, "/v1/models/glm-5").json()["id"] == "glm-5"
    assert get(c, "/v1/models/none").error["type"] == "not_found_error"
    assert not up.requests


def test_models_of_the_maker(one, client):  # noqa: F811
    made = {"object": "list", "data": [{"id": "a/b", "object": "model", "created": 86400, "owned_by": "x"}, {"id": "c"}]}
    q, up = one(lambda p, r: p.send(reply(json.dumps(made).encode())))
    got = get(client(q), "/v1/models?limit=5").json()
    assert [m["id"] for m in got["data"]] == ["a/b", "c"] and got["data"][0]["created_at"] == "1970-01-02T00:00:00Z"
    assert up.requests[0].line == "GET /v1/models HTTP/1.1" and up.requests[0].header("authorization")


def test_server_tools_prefer_anthropic(two, client):  # noqa: F811
    q, ups = two(GOOD, anthropic, "o")
    c = client(q)
    assert c.ask(tools=TOOLS).header("x-qcc-endpoint") == "o"
    assert c.ask(tools=[*TOOLS, SEARCH]).header("x-qcc-endpoint") == "a"
    assert c.ask(tools=[SEARCH]).header("x-qcc-endpoint") == "a"
    q.ctl("disable", "a")
    r = c.ask(tools=[*TOOLS, SEARCH])
    assert r.status == 200 and [t["function"]["name"] for t in ups["o"].requests[-1].json()["tools"]] == ["Read", "Bash"]
    asked = len(ups["o"].requests)
    for more in ({"tools": [SEARCH]}, {"tools": [*TOOLS, SEARCH], "tool_choice": {"type": "tool", "name": "web_search"}}):
        r = c.ask(**more)
        assert r.status == 400 and r.error["type"] == "invalid_request_error" and "web_search" in r.error["message"]
        assert r.header("x-should-retry") == "false"
    assert len(ups["o"].requests) == asked


ERRORS = {
    "401": (told("openai", "Incorrect API key provided: sk-raw-0123456789abcdef", status=401), 401, "authentication_error", None),
    "402": (told("deepseek", "Insufficient Balance", status=402), 402, "billing_error", "Insufficient Balance"),
    "403": (told("groq", "no access", status=403), 403, "permission_error", "no access"),
    "404": (told("openai", "The model `x` does not exist", "model_not_found", status=404), 404, "not_found_error", None),
    "413": (told("groq", "too large", status=413), 413, "request_too_large", "too large"),
    "422": (told("mistral", "bad", status=422), 422, "invalid_request_error", "bad"),
    "429": (told("qwen", "throttled", "Throttling", status=429, headers=["retry-after: 7"]), 429, "rate_limit_error", "throttled"),
    "500": (told("vllm", "oops", status=500), 500, "api_error", "oops"),
    "529": (told("glm", "busy", status=529), 529, "api_error", "busy"),
    "gemini": (told("gemini", "first of a list"), 400, "invalid_request_error", "first of a list"),
    "fastapi": (reply(json.dumps({"detail": [{"loc": ["body", "x"], "msg": "field required"}]}).encode(), 422), 422,
                "invalid_request_error", None),
    "plain": (reply(b"upstream gone", 503, type="text/plain"), 503, "api_error", "upstream gone"),
    "page": (reply(b"<html>x</html>", 502, type="text/html"), 502, "api_error", "status 502 of maker"),
    "too long": (told("openai", "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.",
                      "context_length_exceeded"), 400, "invalid_request_error", "prompt is too long: 9000 tokens > 8192 maximum"),
    "too long, 413": (told("groq", "Please reduce the length of the messages or completion.", "context_length_exceeded",
                           status=413), 400, "invalid_request_error", None),
}


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("name", ERRORS)
def test_errors(one, client, name, stream):  # noqa: F811
    play, status, kind, message = ERRORS[name]
    q, up = one(play)
    r = client(q).ask(stream=stream)
    assert r.status == status and r.error["type"] == kind, (r.status, r.body)
    assert message is None or r.error["message"] == message
    assert b"sk-raw-0123456789abcdef" not in r.body
    assert not r.all("set-cookie")
    if status == 429:
        assert r.header("retry-after") == "7"


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_error_inside_a_200(one, client, stream):  # noqa: F811
    body = {"error": {"message": "Rate limit exceeded", "code": 429, "type": "rate_limit_error"}}
    play = played([b"data: %s\n\n" % json.dumps(body).encode()]) if stream else reply(json.dumps(body).encode())
    q, up = one(play)
    r = client(q).ask(stream=stream)
    assert r.status == 429 and r.error == {"type": "rate_limit_error", "message": "Rate limit exceeded"}


def test_other_form_than_asked(one, client):  # noqa: F811
    """A JSON body for a stream becomes a stream, an event stream for a whole request is collected."""
    q, up = one(lambda p, r: p.send(reply(whole("openai", text="hi")) if r.json().get("stream") else
                                    played(chunks("openai", text="hi"))))
    c = client(q)
    assert answer(c.ask(stream=True), True)["content"] == [{"type": "text", "text": "hi"}]
    assert answer(c.ask(), False)["content"] == [{"type": "text", "text": "hi"}]


def test_done_does_not_wait_for_the_end(one, client, script):  # noqa: F811
    q, up = one(script)
    c = client(q)
    c.send(ask(stream=True))
    script.play(STREAM_HEAD + b"".join(map(chunk, [*chunks("openai", text="x"), b"data: [DONE]\n\n"])))
    r = c.reply()  # the endpoint's body has no end yet
    assert collect(r.body)["stop_reason"] == "end_turn"
    script.play(None)


def test_no_done_but_silence(one, client, script):  # noqa: F811
    q, up = one(script)
    c = client(q)
    c.send(ask(stream=True))
    script.play(STREAM_HEAD + b"".join(map(chunk, chunks("deepseek", text="x"))))
    assert collect(c.reply().body)["usage"]["output_tokens"] == 20
    script.play(None)


def test_connection_is_used_again(one, client):  # noqa: F811
    q, up = one(GOOD)
    c = client(q)
    for n in range(4):
        answer(c.ask(stream=n % 2 == 0), n % 2 == 0)
    assert len(up.peers) == 1


def test_live(one, client, script):  # noqa: F811
    """A piece is passed on when it has come."""
    q, up = one(script)
    c = client(q)
    c.send(ask(stream=True))
    script.play(STREAM_HEAD)
    for word in (b"alpha", b"beta", b"gamma"):
        script.play(chunk(piece("openai", {"content": word.decode()})))
        until(lambda: word in c.buf or c.fill(), "the piece")
    script.play(chunk(piece("openai", {}, "stop")) + chunk(b"data: [DONE]\n\n") + LAST_CHUNK, None)
    collect(c.reply().body)


@pytest.mark.parametrize("key", ["sk-raw-0123456789abcdef", None])
def test_verification(qcc, raw, client, key):
    """The same small conversation through the same translation, learning on the way."""
    bad = [True]

    def play(peer, r):
        if bad[0]:
            peer.send(reply(b"<html>down</html>", 200, type="text/html"))
        elif "max_tokens" in r.json():
            peer.send(told("openai", "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.", param="max_tokens"))
        else:
            peer.send(reply(whole("openai", text=r.json()["messages"][0]["content"])))

    up, other = raw(play), raw(reply())
    q = qcc({**CALM, "failure_queue": {"verify_interval": "200ms"}, "balance": {"strategy": "priority_failover"},
             "endpoints": [openai(up, "o", models={"map": {"claude-*": "model-x"}}, **({} if key else {"api_key": None})),
                           other.endpoint("a", priority=2)]})
    c = client(q)
    assert c.ask(model="claude-x").header("x-qcc-endpoint") == "a"
    until(lambda: endpoints(q)["o"]["queued"], "the queue")
    bad[0] = False
    until(lambda: not endpoints(q)["o"]["queued"] and endpoints(q)["o"]["health"] == "healthy", "the verification")
    asked = up.requests[-1]
    assert asked.line == "POST /v1/chat/completions HTTP/1.1" and asked.json()["model"] == "model-x"
    assert c.ask(model="claude-x").header("x-qcc-endpoint") == "o"


def buffered(q):
    text = q.get("/metrics", port=q.admin_port)[1].decode()
    return sum(int(n) for n in re.findall(r"(?m)^qcc_worker_buffered_bytes\{.*\} (\d+)$", text))


def test_translated_bodies_are_among_those_held(two, client):  # noqa: F811
    """Beside the client's own, for limits.max_buffered_bytes: another endpoint serves, else 503, soon to be tried again."""
    q, ups = two(GOOD, reply(), "o", {"limits": {"max_buffered_bytes": "1MiB", "max_body_bytes": "1MiB"}})
    pad = [{"role": "user", "content": "x" * 700_000}]
    c = client(q)
    assert c.ask(messages=[{"role": "user", "content": "x" * 300_000}]).header("x-qcc-endpoint") == "o"
    assert c.ask(messages=pad).header("x-qcc-endpoint") == "a"
    q.ctl("disable", "a")
    r = client(q).ask(messages=pad)
    assert r.status == 503 and r.header("retry-after") == "1" and "limits.max_buffered_bytes" in r.error["message"]
    assert client(q).ask().header("x-qcc-endpoint") == "o"
    assert endpoints(q)["o"]["tier"] == "healthy"
    until(lambda: buffered(q) == 0, "no body held")


def test_translated_bodies_are_given_back_when_the_client_leaves(two, client):  # noqa: F811
    q, ups = two(lambda peer, _: peer.wait_hangup(), reply(), "o")
    c = client(q)
    c.send(ask(messages=[{"role": "user", "content": "x" * 300_000}]))
    until(lambda: ups["o"].requests and buffered(q) > 600_000, "both bodies")
    c.close()
    until(lambda: buffered(q) == 0, "no body held")


def test_bodies_cut_for_an_anthropic_endpoint_are_among_those_held(two, client):  # noqa: F811
    """A body that thinking of other makers was cut out of is one more."""
    q, ups = two(GOOD, reply(), "a", {"limits": {"max_buffered_bytes": "1MiB", "max_body_bytes": "1MiB"}})
    q.ctl("disable", "o")

    def talk(n):
        thinking = {"type": "thinking", "thinking": "hm", "signature": "qcc1.00000000.c"}
        return [{"role": "user", "content": "x" * n}, {"role": "assistant", "content": [thinking, {"type": "text", "text": "a"}]},
                {"role": "user", "content": "b"}]

    r = client(q).ask(messages=talk(700_000))
    assert r.status == 503 and r.header("retry-after") == "1" and "limits.max_buffered_bytes" in r.error["message"]
    assert client(q).ask(messages=talk(300_000)).status == 200
    until(lambda: buffered(q) == 0, "no body held")


def test_operators_see_the_protocol(two, client):  # noqa: F811
    q, ups = two(GOOD, reply(), "o")
    assert {n: e["protocol"] for n, e in endpoints(q).items()} == {"o": "openai", "a": "anthropic"}
    assert "openai" in q.ctl("endpoints").stdout
    text = q.get("/metrics", port=q.admin_port)[1].decode()
    assert 'qcc_endpoint_protocol{endpoint="o",protocol="openai"} 1' in text
    assert 'qcc_endpoint_protocol{endpoint="a",protocol="openai"} 0' in text


def test_requests_keep_the_protocol(two, client, tmp_path):  # noqa: F811
    """Of the endpoint that answered: in memory, in the history, and where its error is what the client gets."""
    q, ups = two(GOOD, reply(), "o", {"state_dir": str(tmp_path / "state"), "history": {"min_free": 0}})
    c = client(q)
    assert c.ask().status == 200
    q.ctl("disable", "o")
    assert c.ask().status == 200
    q.ctl("enable", "o")
    q.ctl("disable", "a")
    ups["o"].play = reply(b'{"error":{"message":"no","type":"invalid_request_error"}}', 400)
    assert c.ask().status == 400
    c.send(b"POST /v1/messages HTTP/1.1\r\nhost: h\r\ncontent-length: 0\r\nexpect: what\r\n\r\n")
    assert c.reply().status == 417

    def told(*words):
        return {r["id"]: (r["endpoint"], r["protocol"]) for r in q.ctl_json("requests", *words)["requests"] if r["endpoint"]}

    now = until(lambda: len(told()) == 3 and told(), "the three")
    assert sorted(now.values()) == [("a", "anthropic"), ("o", "openai"), ("o", "openai")]
    assert {r["protocol"] for r in q.ctl_json("requests")["requests"] if not r["endpoint"]} <= {None}
    one = next(i for i, x in now.items() if x[1] == "openai")
    assert " from o (openai) after " in q.ctl("why", one).stdout
    until(lambda: q.ctl_json("history")["requests"] == 3, "three in the history")
    assert told("--since", "1h") == now
    assert {r.split(",")[1]: r.split(",")[-1] for r in q.ctl("requests", "--csv", "--since", "1h").stdout.split()[1:]} == {i: x[1] for i, x in now.items()}


def test_tokens_are_counted(one, client):  # noqa: F811
    q, up = one(maker("openai", text="x"))
    c = client(q)
    for stream in (True, False):
        answer(c.ask(stream=stream), stream)
    tokens = until(lambda: endpoints(q)["maker"]["tokens"]["output"] == 40 and endpoints(q)["maker"]["tokens"], "tokens")
    assert tokens["input"] == 80 and tokens["cache_read"] == 120


def test_manual(tmp_path):
    """The configuration for each maker in qcc(7) is one."""
    page = (ROOT / "packaging/man/qcc.7.md").read_text(encoding="utf-8")
    part = page.split("\n## OTHER MAKERS\n", 1)[1].split("\n## ", 1)[0]
    text = "\n".join(line[4:] for line in part.split("\n") if line.startswith("    "))
    names = set(re.findall("name: ([a-z-]+),", text))
    assert names == {m.replace(".", "-") for m in MAKERS}
    path = tmp_path / "qcc.yaml"
    path.write_text(text)
    path.chmod(0o600)
    env = {**os.environ, **{k: "sk-0123456789" for k in re.findall(r"\$\{(\w+)\}", text)}}
    done = subprocess.run([str(SUPERVISOR), "-t", "-c", str(path)], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0 and "warning" not in done.stdout, done.stdout
