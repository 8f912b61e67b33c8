"""What an operator orders: endpoints off and on, drained, verified, reset."""
import http.client
import itertools
import json

import pytest

from admin import call, endpoint, get, samples, send
from qcc import PATIENCE, until

# Failures of the whole endpoint: a limit whose words name no account, and a 503 as JSON, concern the
# model's cell.
OUT_OF_QUOTA = "status=429,retry_after=300,message=the%20limit%20of%20your%20account"
DOWN = "status=503,body=no%20healthy%20upstream,type=text/plain"


def act(q, action, name, status=200):
    a = call(q, "POST", "/api/v1/endpoints/%s/%s" % (name, action))
    assert a.status == status, a.body
    return a.json()


def sites(upstream, names="ab", **more):
    """Endpoints whose behaviour `behave` changes."""
    return [upstream.endpoint("/n/" + name, name=name, **more) for name in names]


def behave(upstream, name, spec):
    upstream.call("PUT", "/_site/" + name, spec)


def asked(upstream, name):
    """How many requests that endpoint has had."""
    return upstream.stats()["sites"].get("/n/" + name, {"requests": 0})["requests"]


conversations = itertools.count()


def served(q, n=12, conversation=None, status=200):
    """Which endpoints serve n questions, each of a new conversation unless one is given."""
    out = set()
    for _ in range(n):
        c = http.client.HTTPConnection("127.0.0.1", q.port, timeout=PATIENCE)
        body = {"model": "m", "max_tokens": 16, "messages": [{"role": "user", "content": "hello"}]}
        own = conversation or "new-%d" % next(conversations)
        headers = {"content-type": "application/json", "x-conversation-id": own}
        c.request("POST", "/v1/messages", json.dumps(body), headers)
        r = c.getresponse()
        r.read()
        assert r.status == status
        out.add(r.getheader("x-qcc-endpoint"))
        c.close()
    return out


def test_disable_and_enable(qcc, upstream):
    q = qcc({"endpoints": sites(upstream)})
    e = act(q, "disable", "a")
    assert e["name"] == "a" and e["disabled_by"] == "operator"
    assert endpoint(q, "a")["disabled_by"] == "operator"
    until(lambda: served(q) == {"b"}, "nothing to go to a")
    e = act(q, "enable", e["id"])
    assert e["disabled_by"] is None
    until(lambda: served(q, 40) == {"a", "b"}, "a to serve again")
    assert q.count("endpoint a: service enabled -> disabled by operator") == 1
    # One that the configuration has disabled is enabled too.
    q.reload({"endpoints": [{**e, "enabled": e["name"] != "a"} for e in sites(upstream)]})
    assert endpoint(q, "a")["disabled_by"] == "config"
    until(lambda: served(q) == {"b"}, "nothing to go to a")
    assert act(q, "enable", "a")["disabled_by"] is None
    until(lambda: served(q, 40) == {"a", "b"}, "a to serve again")


def test_unknown_endpoints(qcc):
    q = qcc()
    for action in ("enable", "disable", "drain", "verify", "reset"):
        for name in ("no-such", "ffffffff", "nobod", "NOBODY"):
            assert "endpoint" in act(q, action, name, 404)["error"]
    assert endpoint(q, "nobody")["disabled_by"] is None


def test_drain(qcc, upstream):
    q = qcc({"endpoints": sites(upstream)})
    until(lambda: served(q, 1, conversation="old") == {"a"} or act(q, "disable", "b"), "b to be out")
    until(lambda: served(q, 1, conversation="old") == {"a"}, "the conversation to be bound to a")
    act(q, "enable", "b")
    assert act(q, "drain", "a")["draining"] is True
    until(lambda: served(q) == {"b"}, "new conversations to go to b")
    assert served(q, 5, conversation="old") == {"a"}, "a bound one stays"
    assert act(q, "enable", "a")["draining"] is False


def test_what_an_operator_said_lasts(qcc, upstream, tmp_path):
    endpoints = [{**e, "enabled": e["name"] != "d"} for e in sites(upstream, "abcd")]
    q = qcc({"state_dir": str(tmp_path / "state"), "endpoints": endpoints})
    act(q, "disable", "a")
    act(q, "drain", "b")
    act(q, "enable", "d")
    q.reload({"workers": 3})
    assert endpoint(q, "a")["disabled_by"] == "operator" and endpoint(q, "b")["draining"]
    assert q.stop() == 0
    q.start(wait=False)
    q.wait_serving(count=2)
    assert endpoint(q, "a")["disabled_by"] == "operator" and endpoint(q, "b")["draining"]
    assert endpoint(q, "c")["disabled_by"] is None and endpoint(q, "d")["disabled_by"] is None
    until(lambda: served(q, 40) == {"c", "d"}, "both to serve")


def test_verify(qcc, upstream):
    q = qcc({"endpoints": sites(upstream)})
    until(lambda: "a" in served(q, 1) and endpoint(q, "a")["health"] == "healthy", "a to serve")
    before = asked(upstream, "a")
    assert act(q, "verify", "a")["verifying"] is True
    until(lambda: asked(upstream, "a") > before and not endpoint(q, "a")["verifying"], "the verification")
    assert endpoint(q, "a")["health"] == "healthy" and endpoint(q, "a")["queued"] is None
    behave(upstream, "a", "mute")
    act(q, "verify", "a")
    e = until(lambda: endpoint(q, "a")["cells"] and endpoint(q, "a"), "the failed verification")
    assert [(c["family"], c["tier"]) for c in e["cells"]] == [("m", "degraded")], "it concerns the model that was asked"
    assert e["health"] == "healthy" and e["queued"] is None
    behave(upstream, "a", "html")
    act(q, "verify", "a")
    e = until(lambda: endpoint(q, "a")["queued"] and endpoint(q, "a"), "the endpoint to be queued for a page")
    assert e["health"] == "unhealthy"
    queue = get(q, "queue")["queue"]
    assert [x["name"] for x in queue] == ["a"] and queue[0]["reason"] and queue[0]["since_s"] >= 0
    assert served(q) == {"b"}
    behave(upstream, "a", "")
    act(q, "verify", "a")
    until(lambda: not endpoint(q, "a")["queued"], "the way out of the queue")


def test_a_breaker_and_its_reset(qcc, upstream):
    q = qcc({"endpoints": sites(upstream), "retry": {"transient_delay": "1ms", "max_attempts_per_endpoint": 3}})
    behave(upstream, "a", DOWN)
    until(lambda: served(q) and endpoint(q, "a")["breaker"]["state"] == "open", "the breaker to open")
    e = endpoint(q, "a")
    assert e["tier"] == "circuit_open" and e["breaker"]["failures"] >= 3
    assert 0 < e["breaker"]["retry_in_s"] <= 60
    assert next(b for b in get(q, "breakers")["breakers"] if b["name"] == "a")["state"] == "open"
    m = samples(call(q, "GET", "/metrics").body.decode())
    assert m["qcc_endpoint_breaker_state"][(("endpoint", "a"),)] == 2
    assert m["qcc_endpoint_tier"][(("endpoint", "a"),)] == 3
    behave(upstream, "a", "")
    e = act(q, "reset", "a")
    assert e["tier"] == "healthy" and e["breaker"] == {"state": "closed", "failures": 0, "retry_in_s": None}
    until(lambda: served(q) == {"a", "b"}, "a to serve again")


def test_a_cooldown_and_its_reset(qcc, upstream):
    q = qcc({"endpoints": sites(upstream), "balance": {"strategy": "round_robin"}})
    behave(upstream, "a", OUT_OF_QUOTA)
    until(lambda: served(q) and endpoint(q, "a")["cooldown_s"] > 0, "the cooldown")
    e = endpoint(q, "a")
    assert 250 < e["cooldown_s"] <= 300 and e["cooldown_own_word"] is True and e["tier"] == "degraded"
    m = samples(call(q, "GET", "/metrics").body.decode())
    assert 250 < m["qcc_endpoint_cooldown_seconds"][(("endpoint", "a"),)] <= 300
    assert act(q, "reset", "a")["cooldown_s"] == 0


def test_an_endpoint_disabled_by_its_key(qcc, upstream):
    q = qcc({"endpoints": sites(upstream)})
    behave(upstream, "a", "status=401")
    until(lambda: served(q) and endpoint(q, "a")["disabled_by"] == "auth", "a to be disabled")
    behave(upstream, "a", "")
    assert act(q, "enable", "a")["disabled_by"] is None
    until(lambda: served(q, 40) == {"a", "b"}, "a to serve again")


@pytest.mark.parametrize("spec,cell", [(DOWN, False), ("status=503", True)])
def test_not_ready_when_every_breaker_is_open(qcc, upstream, spec, cell):
    """The endpoint's, or that of the only family that is asked for."""
    q = qcc({"endpoints": sites(upstream, "a"), "retry": {"transient_delay": "1ms", "max_attempts_per_endpoint": 3}})
    assert call(q, "GET", "/readyz").status == 200
    behave(upstream, "a", spec)

    def tiers():
        e = endpoint(q, "a")
        return [e["tier"]] + [c["tier"] for c in e["cells"]]

    open_ = ["healthy", "circuit_open"] if cell else ["circuit_open"]
    until(lambda: served(q, 1, status=503) and tiers() == open_, "the breaker to open")
    until(lambda: call(q, "GET", "/readyz").status == 503, "the workers to know")
    act(q, "reset", "a")
    until(lambda: call(q, "GET", "/readyz").status == 200, "the workers to know")


@pytest.mark.parametrize("cell", [False, True])
def test_not_ready_when_all_cool_by_their_own_word(qcc, upstream, cell):
    q = qcc({"endpoints": sites(upstream, "a")})
    behave(upstream, "a", "status=429,retry_after=300" if cell else OUT_OF_QUOTA)
    send(q)
    until(lambda: (endpoint(q, "a")["cells"] if cell else endpoint(q, "a")["cooldown_s"]), "the cooldown")
    until(lambda: call(q, "GET", "/readyz").status == 503, "the workers to know")


def test_what_an_operator_said_outlasts_a_crash(qcc, upstream, tmp_path):
    """It is saved at once."""
    state = tmp_path / "state"
    q = qcc({"state_dir": str(state), "endpoints": [upstream.endpoint("/s/name=" + n, name=n) for n in "ab"]})

    def saved(action):
        before = (state / "state").stat().st_mtime_ns if (state / "state").exists() else 0
        act(q, action, "b")
        until(lambda: (state / "state").exists() and (state / "state").stat().st_mtime_ns != before, "it to be saved")

    for action in ("drain", "enable", "disable", "enable", "drain"):
        saved(action)
    q.process.kill()
    q.wait()
    q.start(wait=False)
    q.wait_serving(2)
    assert endpoint(q, "b")["draining"]
    saved("enable")
    q.process.kill()
    q.wait()
    q.start(wait=False)
    q.wait_serving(3)
    assert not endpoint(q, "b")["draining"] and endpoint(q, "b")["disabled_by"] is None
