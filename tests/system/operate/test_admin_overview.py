"""GET /api/v1/overview: the whole state in one document (dashboard: API additions)."""
import json
import os
import re
import time

import pytest

from admin import call, endpoint, get, send
from control import done
from qcc import until
from scripted import CALM
from test_history import kept  # noqa: F401  (a fixture)
from test_reply_usage import FIRST, whole
from upstream import error, reply

ISO = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


def overview(q):
    return get(q, "overview")


def test_it_says_what_the_parts_say(qcc, upstream):
    q = qcc({"endpoints": [upstream.endpoint(), upstream.endpoint("/s/status=503", "bad", weight=0)]})
    before = time.time() * 1000
    assert send(q, 3) == [200] * 3
    until(lambda: overview(q)["totals"]["requests"] == 3, "the counts")
    o, status = overview(q), get(q, "status")
    assert o["version"] == status["version"] and o["generation"] == 1 and o["state"] == "serving" and o["pid"] == q.pid
    assert before - 1 <= o["clock_ms"] <= time.time() * 1000 and o["boot"] < o["clock_ms"]
    assert o["config"] == str(q.path)
    assert o["listeners"] == status["listeners"]
    assert o["endpoints_by_state"] == status["endpoints"] and sum(o["endpoints_by_state"].values()) == 2
    assert set(o["totals"]) == set(status["totals"])
    fixed = ("name", "id", "state", "attempts", "ttfb_ms", "tokens", "price_factor", "last_failure")
    for a, b in zip(o["endpoints"], get(q, "endpoints")["endpoints"]):
        assert set(a) == set(b) and [a[k] for k in fixed] == [b[k] for k in fixed]
    assert o["queue"] == get(q, "queue")["queue"] and o["last_reload"] is None
    assert o["history"]["state"] == "off" and o["history"]["free_bytes"] is None and o["history"]["memory_bytes"] is None
    assert q.ctl_json("overview").keys() == o.keys()


def test_times_to_the_first_byte(qcc, upstream):
    q = qcc({"endpoints": [upstream.endpoint("/s/delay_ms=40", "a"), upstream.endpoint("/s/delay_ms=40", "b", api_key="sk-other-0123456789")]})
    assert overview(q)["totals"]["ttfb_ms"] == {"p50": None, "p95": None, "p99": None}
    assert send(q, 6) == [200] * 6
    until(lambda: overview(q)["totals"]["requests"] == 6, "the counts")
    o = overview(q)
    for t in [o["totals"]["ttfb_ms"]] + [e["ttfb_ms"] for e in o["endpoints"] if e["attempts"]["ok"]]:
        assert 0 < t["p50"] <= t["p95"] <= t["p99"]


def test_price_factors(qcc, upstream):
    q = qcc({"endpoints": [upstream.endpoint("/good", "a", price_factor=0.25), upstream.endpoint("/good/b", "b"),
                           upstream.endpoint("/good/c", "c", price_factor=0)]})
    assert [e["price_factor"] for e in overview(q)["endpoints"]] == [0.25, 1, 0]


def test_since_when_an_endpoint_is_in_its_state(qcc, upstream):
    q = qcc({"endpoints": [upstream.endpoint("/good", "a"), upstream.endpoint("/good/b", "b")]})
    first = endpoint(q, "a")
    assert first["state"] == "healthy" and first["state_since_s"] >= 0
    until(lambda: endpoint(q, "a")["state_since_s"] > 0.2, "time to pass")
    done(q.ctl("drain", "a"))
    a, b = endpoint(q, "a"), endpoint(q, "b")
    assert a["state"] == "draining" and a["state_since_s"] < b["state_since_s"]
    done(q.ctl("disable", "a"))
    assert endpoint(q, "a")["state"] == "disabled" and endpoint(q, "a")["state_since_s"] <= a["state_since_s"] + 30
    q.reload()
    assert endpoint(q, "b")["state_since_s"] >= b["state_since_s"], "a reload changes nothing"


def test_since_when_after_a_restart_is_not_known(qcc, upstream, tmp_path):
    q = qcc({"state_dir": str(tmp_path / "state"), "endpoints": [upstream.endpoint("/good", "a"), upstream.endpoint("/good/b", "b")]})
    done(q.ctl("disable", "a"))
    q.stop()
    q.start(wait=False).wait_serving(2)
    assert endpoint(q, "a")["state"] == "disabled" and endpoint(q, "a")["state_since_s"] is None
    done(q.ctl("enable", "a"))
    assert endpoint(q, "a")["state_since_s"] is not None


def test_an_upgrade_keeps_since_when_and_the_last_failure(qcc, raw):
    q = qcc({**CALM, "endpoints": [raw(reply(b"{}", 503)).endpoint("a"), raw(reply(b"{}", 503)).endpoint("b")]})
    send(q)
    done(q.ctl("drain", "a"))
    until(lambda: endpoint(q, "a")["state_since_s"] > 0.2, "time to pass")
    before = {n: endpoint(q, n) for n in "ab"}
    assert before["a"]["state"] == "draining" and before["a"]["last_failure"]["status"] == 503
    q.upgrade()
    until(lambda: all(endpoint(q, n)["last_failure"] for n in "ab"), "what is known of the past")
    for n, e in before.items():
        now = endpoint(q, n)
        assert now["state"] == e["state"] and now["state_since_s"] >= e["state_since_s"]
        assert now["last_failure"] == e["last_failure"]


def test_since_when_after_a_cooldown(qcc, raw):
    """It ends by time alone: the state lasts since then, whenever it is asked for."""
    limited = raw(error(429, "rate_limit_error", "the limit of your account", ["retry-after: 1"]))
    q = qcc({**CALM, "endpoints": [limited.endpoint("a")], "retry": {"max_wait": "0s"}})
    send(q)
    until(lambda: endpoint(q, "a")["state"] == "cooling", "the cooldown")
    began = time.monotonic()
    until(lambda: endpoint(q, "a")["state"] != "cooling", "its end")
    until(lambda: endpoint(q, "a")["state_since_s"] > 0.3, "time to pass")
    assert endpoint(q, "a")["state_since_s"] <= time.monotonic() - began


def test_the_last_failure(qcc, raw):
    q = qcc({**CALM, "endpoints": [raw(reply(b"{}", 503)).endpoint("a", priority=1), raw(whole("m", FIRST)).endpoint("b", priority=2)],
             "balance": {"strategy": "priority_failover"}})
    assert endpoint(q, "a")["last_failure"] is None
    assert send(q) == [200]
    f = until(lambda: endpoint(q, "a")["last_failure"], "the failure")
    assert set(f) == {"at", "class", "reason", "status"}
    assert re.fullmatch(ISO, f["at"]) and f["class"] == "transient" and f["status"] == 503 and f["reason"]
    assert endpoint(q, "b")["last_failure"] is None


def test_a_failure_without_a_status(qcc):
    q = qcc()
    send(q)
    f = until(lambda: endpoint(q, "nobody")["last_failure"], "the failure")
    assert f["status"] is None and f["reason"] == "connection refused"


def test_how_the_last_reload_ended(qcc):
    q = qcc()
    before = time.time()
    q.reload({"workers": 1})
    r = overview(q)["last_reload"]
    assert re.fullmatch(ISO, r["at"]) and r["ok"] is True and r["error"] is None and r["faults"] == []
    good = q.path.read_text()
    q.configure("listen: nowhere\nworkers: -3\nendpoints:\n  - name: a b\n    base_url: ftp://x\n")
    a = call(q, "POST", "/api/v1/reload")
    r = overview(q)["last_reload"]
    assert r["ok"] is False and r["faults"] == a.json()["faults"] and r["error"] == a.error and r["faults_left_out"] == 0
    for f in r["faults"]:
        assert re.match(re.escape(str(q.path)) + ":\\d+:\\d+: .", f), f
    assert overview(q)["generation"] == 2
    q.configure("endpoints:\n" + "".join("  - name: 'a b %d'\n    base_url: ftp://x\n" % i for i in range(30)))
    assert call(q, "POST", "/api/v1/reload").status == 422
    r = overview(q)["last_reload"]
    assert len(r["faults"]) == 20 and r["faults_left_out"] > 0
    q.configure(good)
    assert call(q, "POST", "/api/v1/reload").status == 200
    r = overview(q)["last_reload"]
    assert r["ok"] is True and r["faults"] == [] and time.time() >= before


def test_workers_and_recorder(kept):  # noqa: F811
    q = kept(whole("m", FIRST))
    h = until(lambda: overview(q)["history"]["free_bytes"] and overview(q)["history"], "the recorder's figures")
    st = os.statvfs(q.config["state_dir"])
    assert 0 < h["free_bytes"] <= st.f_blocks * st.f_frsize
    assert h["memory_bytes"] > 1 << 20 and h["age_s"] >= 0
    for w in overview(q)["workers"]:
        assert {"pid", "state", "connections", "requests_open", "requests", "buffered_bytes", "failures"} <= set(w)
        assert w["memory_bytes"] > 1 << 20 and 0 <= w["age_s"] < 600
    assert get(q, "history").keys() == h.keys()


def test_its_size(qcc, upstream):
    many = [upstream.endpoint("/good", "endpoint-with-a-name-%03d" % i, api_key="sk-fake-%010d" % i) for i in range(200)]
    q = qcc({"workers": 1, "endpoints": many})
    a = call(q, "GET", "/api/v1/overview")
    assert len(json.loads(a.body)["endpoints"]) == 200
    print("overview of 200 endpoints: %d bytes" % len(a.body))
    assert len(a.body) < 256 << 10


def test_only_an_operator_reads_it(qcc):
    q = qcc({"admin": {"token": "swordfish-7"}})
    assert call(q, "GET", "/api/v1/overview").status == 401
    assert call(q, "GET", "/api/v1/overview", {"Authorization": "Bearer swordfish-7", "Origin": "http://evil.example"}).status == 403
    a = call(q, "GET", "/api/v1/overview", {"Authorization": "Bearer swordfish-7"})
    assert a.status == 200 and b"swordfish" not in a.body


def test_libraries_of_each_program(kept):  # noqa: F811
    q = kept(whole("m", FIRST))
    libraries = until(lambda: get(q, "status")["libraries"]["recorder"] and get(q, "status")["libraries"], "the recorder to tell")
    assert re.search(r"OpenSSL \d.*, llhttp \d+\.\d+\.\d+, libev \d+\.\d+, .*libseccomp \d", libraries["worker"])
    assert re.search(r"libev \d+\.\d+, libyaml \d+\.\d+\.\d+, msgpack \d", libraries["supervisor"])
    assert re.match(r"SQLite 3\.\d+\.\d+", libraries["recorder"])
