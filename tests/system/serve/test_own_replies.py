"""Replies of QCC's own: the error's type is that of the status, and clients are told not to try again where that
is useless (behaviour: when all attempts failed). Claude Code would else try for three minutes in silence."""
import json
import re
import time

import pytest

from client import ask, events, request
from qcc import merged, until
from upstream import error, reply

CALM = {
    "workers": 1,
    "retry": {"transient_delay": "1ms"},
    "breaker": {"failure_threshold": 1000},
    "health": {"degraded_for": "0s"},
    "failure_queue": {"verify_interval": "1h", "verify_disabled_interval": "0s", "probe": "off"},
    "balance": {"strategy": "priority_failover"},
}
BAD_KEY = error(401, "authentication_error", "invalid x-api-key")


@pytest.fixture
def some(qcc, raw):
    def make(plays, config=None, endpoint=None):
        ups = {name: raw(play) for name, play in plays.items()}
        list_ = [up.endpoint(name, **{"priority": i + 1, **(endpoint or {}).get(name, {})}) for i, (name, up) in enumerate(ups.items())]
        return qcc({**merged(CALM, config or {}), "endpoints": list_}), ups

    return make


def endpoints(q):
    return {e["name"]: e for e in json.loads(q.get("/api/v1/endpoints", q.admin_port)[1])["endpoints"]}


def disabled(q, name):
    until(lambda: endpoints(q)[name]["disabled_by"], "%s to be disabled" % name)


def for_good(r, *words):
    """503 that no client tries again, and that says what to do."""
    assert r.status == 503 and r.error["type"] == "api_error", r.body
    assert r.header("x-should-retry") == "false" and r.header("retry-after") is None
    for word in words:
        assert word in r.error["message"], r.error["message"]
    assert "taken" not in r.error["message"]


# ---- nothing will change by itself

@pytest.mark.parametrize("interval", ["0s", "10m"])
def test_a_refused_key(some, client, interval):
    q, ups = some({"only": BAD_KEY}, {"failure_queue": {"verify_disabled_interval": interval, "probe": "conversational"}})
    assert client(q).ask().status == 401
    disabled(q, "only")
    r = client(q).ask()
    for_good(r, "only: its key was refused with status 401 at ", "`qccctl enable only`", "reload")
    at = re.search("at (\\S+Z)", r.error["message"]).group(1)
    e = endpoints(q)["only"]
    assert e["refused_status"] == 401 and e["refused_at"] == at and e["disabled_by"] == "auth"
    assert "key refused with status 401 at " + at in q.ctl("endpoints").stdout
    assert len(ups["only"].requests) == 1
    q.ctl("enable", "only")
    until(lambda: endpoints(q)["only"]["disabled_by"] is None, "it to be enabled")
    assert endpoints(q)["only"]["refused_status"] is None and endpoints(q)["only"]["refused_at"] is None
    assert client(q).ask().status == 401, "it is asked again"


def test_it_outlasts_restart_reload_and_upgrade(some, client, tmp_path):
    q, ups = some({"only": error(403, "permission_error", "key revoked")}, {"state_dir": str(tmp_path / "state")})
    client(q).ask()
    disabled(q, "only")
    at = endpoints(q)["only"]["refused_at"]
    for again in (lambda: q.reload({"log": {"level": "info"}}), lambda: q.upgrade(), lambda: (q.stop(), restart(q))):
        again()
        until(lambda: client(q).ask().header("x-should-retry") == "false", "the workers to know")
        for_good(client(q).ask(), "refused with status 403 at " + at)
    assert len(ups["only"].requests) == 1


def restart(q):
    before = q.count("serving on ")
    q.successor = None
    q.start(wait=False)
    q.wait_serving(before + 1)


def test_all_ways_to_be_disabled(some, client):
    q, ups = some({"key": BAD_KEY, "man": reply(), "conf": reply(), "model": reply()},
                  endpoint={"conf": {"enabled": False}, "model": {"models": {"allow": ["gpt-*"]}}})
    q.ctl("disable", "man")
    assert client(q).ask().status == 401
    disabled(q, "key")
    r = client(q).ask()
    for_good(r, "key: its key was refused with status 401", "man: disabled by the operator; `qccctl enable man`",
             "conf: disabled by the configuration; `enabled: true`", "model: model not offered")
    assert r.header("x-qcc-attempts") == "0"


def test_a_model_that_nobody_offers(some, client):
    q, ups = some({"a": reply(), "b": reply()}, endpoint={n: {"models": {"allow": ["gpt-*"], "map": {"x": "gpt-1"}}} for n in "ab"})
    r = client(q).ask(model='claude-"1"\u00e9')
    for_good(r, 'no endpoint offers the model "claude-"1"\u00e9"', "models.allow", "models.map", "a: model not offered", "b: model not offered")
    assert not ups["a"].requests and client(q).ask(model="x").status == 200


def test_many_endpoints(qcc, client):
    """The sentence has an end."""
    q = qcc({**CALM, "endpoints": [{"name": "e%d" % i, "base_url": "http://127.0.0.1:9/%d" % i, "api_key": "k-%06d" % i, "enabled": False}
                                   for i in range(300)]})
    r = client(q).ask()
    for_good(r, "e0: disabled by the configuration")
    assert len(r.error["message"]) < 4096


def test_in_a_stream_that_has_begun(some, client):
    """Pings were sent while it waited for the only place; then the endpoint was disabled."""
    q, ups = some({"only": lambda peer, _: peer.wait_gone()}, {"stream_ping": "1s", "retry": {"transient_delay": "1ms", "max_wait": "60s"}},
                  {"only": {"max_concurrent": 1}})
    first, second = client(q), client(q)
    first.send(ask())
    ups["only"].wait_requests(1)
    second.send(ask(stream=True))
    assert second.head().status == 200
    body = second.chunk()
    q.ctl("disable", "only")
    body += b"".join(iter(second.chunk, b""))
    name, data = events(body)[-1]
    assert name == "error" and data["error"]["type"] == "api_error"
    assert "only: disabled by the operator; `qccctl enable only`" in data["error"]["message"]


# ---- something may change by itself

@pytest.mark.parametrize("how", ["queued", "open", "full", "cooling"])
def test_not_where_waiting_may_help(some, client, how):
    play = {"queued": reply(b"<html>wall</html>", headers=["content-type: text/html"]), "open": error(503), "full": lambda p, _: p.wait_gone(),
            "cooling": error(429, "rate_limit_error", headers=["retry-after: 50"])}[how]
    q, ups = some({"a": play, "b": reply()}, {"breaker": {"failure_threshold": 1}, "retry": {"max_attempts": 1}},
                  {"a": {"max_concurrent": 1}, "b": {"enabled": False}})
    c = client(q)
    c.send(ask())
    if how == "full":
        ups["a"].wait_requests(1)
    else:
        c.reply()
    r = client(q).ask()
    assert r.header("x-should-retry") is None, r.body
    assert r.status == {"queued": 503, "open": 503, "full": 503, "cooling": 429}.get(how) or r.header("x-qcc-attempts") == "1"
    if r.header("x-qcc-attempts") == "0":
        assert r.error["type"] == ("rate_limit_error" if how == "cooling" else "api_error")
        assert "b: disabled by the configuration" in r.error["message"] and "trying again" not in r.error["message"]


def test_why_each_endpoint_was_not_asked(some, client):
    """Nothing but the truth in the 503 and in what qccctl tells of it: none was taken, none is usable."""
    hang = []
    q, ups = some({"trial": lambda peer, _: peer.wait_gone() if hang else peer.close(), "full": lambda peer, _: peer.wait_gone(),
                   "off": reply(), "model": reply()},
                  {"breaker": {"failure_threshold": 1, "open_duration": "60s"}, "retry": {"max_attempts": 1, "max_wait": "1s"}},
                  {"full": {"max_concurrent": 1}, "off": {"enabled": False}, "model": {"models": {"allow": ["x"]}}})
    assert client(q).ask().status == 502
    until(lambda: endpoints(q)["trial"]["breaker"]["state"] == "open", "the breaker to open")
    hang.append(1)
    first, second = client(q), client(q)
    first.send(ask())
    ups["full"].wait_requests(1)
    second.send(ask())
    ups["trial"].wait_requests(2)
    r = client(q).ask()
    assert r.status == 503 and r.header("x-qcc-attempts") == "0"
    reasons = {"trial": "trial under way", "full": "full", "off": "disabled", "model": "model not offered"}
    for name, reason in reasons.items():
        assert "%s: %s" % (name, reason) in r.error["message"], r.error["message"]
    choices = q.ctl_json("why", r.header("x-qcc-request-id"))["choices"]
    assert {s["endpoint"]: s["reason"] for s in choices[-1]["skipped"]} == reasons
    assert "taken" not in q.ctl("why", r.header("x-qcc-request-id")).stdout


def test_why_an_open_circuit_counts_no_tokens(some, client):
    """count_tokens is never a trial: none is under way."""
    q, ups = some({"a": lambda peer, _: peer.close()}, {"breaker": {"failure_threshold": 1}, "retry": {"max_attempts": 1}})
    client(q).ask()
    until(lambda: endpoints(q)["a"]["breaker"]["state"] == "open", "the breaker to open")
    r = client(q).ask(path="/v1/messages/count_tokens")
    assert r.status == 200 and len(ups["a"].requests) == 1
    (choice,) = q.ctl_json("why", r.header("x-qcc-request-id"))["choices"]
    assert choice["result"] == "none usable" and choice["skipped"] == [{"endpoint": "a", "reason": "circuit open"}]


# ---- the type of each status

def test_types(qcc, raw, client):
    q = qcc({**CALM, "clients": [{"name": "x", "token": "tok-0123456789abcdef"}], "limits": {"max_body_bytes": "1KiB", "max_header_bytes": "4KiB"},
             "endpoints": [raw(reply()).endpoint("a")]})
    own = ["authorization: Bearer tok-0123456789abcdef"]
    cases = [
        (ask(), 401, "authentication_error"),
        (ask(b"x" * 2000, headers=own), 413, "request_too_large"),
        (request("TRACE", "/", headers=own), 405, "invalid_request_error"),
        (request("POST", "/v1/messages", ["content-length: 1", "content-length: 2"]), 400, "invalid_request_error"),
        (request("GET", "/", ["x-a: " + "b" * 5000]), 431, "invalid_request_error"),
        (request("GET", "/", ["expect: tea"]), 417, "invalid_request_error"),
        (request("POST", "/", ["transfer-encoding: gzip, chunked"]), 501, "api_error"),
        (b"GET / HTTP/3.0\r\nhost: x\r\n\r\n", 505, "api_error"),
    ]
    for data, status, type_ in cases:
        c = client(q)
        c.send(data)
        r = c.reply()
        assert (r.status, r.error["type"]) == (status, type_), (data, r.body)
        assert r.header("x-should-retry") == ("false" if status < 500 else None)


def test_type_of_429(some, client):
    q, ups = some({"a": error(429, "rate_limit_error", headers=["retry-after: 50"])})
    assert client(q).ask().status == 429
    until(lambda: [c for c in endpoints(q)["a"]["cells"] if c["cooldown_s"] > 0], "its model to cool")
    r = client(q).ask()
    assert r.status == 429 and r.error["type"] == "rate_limit_error" and 40 < int(r.header("retry-after")) <= 50
    assert r.header("x-should-retry") is None and r.header("x-qcc-attempts") == "0"


def test_type_of_a_body_that_does_not_come(qcc, raw, client):
    q = qcc({**CALM, "limits": {"body_timeout": "1s"}, "endpoints": [raw(reply()).endpoint("a")]})
    c = client(q)
    c.send(request("POST", "/v1/messages", ["content-length: 100"]))
    r = c.reply()
    assert r.status == 408 and r.error["type"] == "invalid_request_error" and r.header("x-should-retry") is None


@pytest.mark.parametrize("answer", [reply(b"", status=302, headers=["location: http://127.0.0.1:9/"]), error(418, "x", "y" * 40000),
                                    error(503, "x", "y" * 40000)], ids=["302", "418", "503"])
def test_type_of_an_error_event_for_a_reply_that_is_none(some, client, answer):
    """Pings were sent, and what the endpoint then said is no error that could be handed on."""
    q, ups = some({"a": lambda peer, _: (time.sleep(1.4), peer.send(answer))}, {"stream_ping": "1s", "retry": {"max_attempts": 1}})
    r = client(q).ask(stream=True)
    name, data = events(r.body)[-1]
    status = int(answer[9:12])
    assert name == "error" and data["error"] == {"type": "invalid_request_error" if status == 418 else "api_error", "message": "upstream error %d" % status}


@pytest.mark.parametrize("play,level,end", [(reply(), "info", "ok"), (error(503, "api_error"), "info", "ok"),
                                            (lambda peer, _: peer.reset(), "warning", "failed")], ids=["good", "theirs", "own"])
def test_own_5xx_are_warnings_and_failed(some, client, play, level, end):
    """A reply of the endpoint's is its own affair, whatever its status."""
    q, ups = some({"a": play}, {"retry": {"max_attempts": 1}, "log": {"format": "json"}})
    assert client(q).ask().status in ((200, 503) if end == "ok" else (502,))
    line = json.loads(q.wait_log('.*"msg":"request".*').group(0))
    assert (line["level"], line["end"]) == (level, end)
    assert json.loads(q.get("/api/v1/requests", q.admin_port)[1])["requests"][0]["end"] == end
