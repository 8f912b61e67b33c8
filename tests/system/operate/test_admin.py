"""The admin listener: how it answers, and what it shows (behaviour: admin listener)."""
import http.client
import os
import re
import signal
import socket

from admin import GETS, call, endpoint, get, samples, send
from client import ask as question
from qcc import PATIENCE, connectable, until


# ---- how it answers

def test_every_address_answers(qcc, upstream):
    q = qcc({"endpoints": [upstream.endpoint()]})
    page = call(q, "GET", "/")
    assert page.status == 200 and page.headers["content-type"].startswith("text/html")
    assert page.headers["x-frame-options"] == "DENY"
    for path in GETS:
        a, head = call(q, "GET", path), call(q, "HEAD", path)
        assert a.status == 200 and head.status == 200, path
        assert head.body == b"" and int(head.headers["content-length"]) > 0
        assert a.headers["cache-control"] == ("no-cache" if path == "/" else "no-store")
        assert path == "/" or path[1:] in page.body.decode()


def test_wrong_methods_and_addresses(qcc):
    q = qcc()
    for path in GETS:
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
            a = call(q, method, path)
            assert a.status == 405 and a.headers["allow"] == "GET, HEAD" and a.error, (method, path)
    for path in ("/api/v1/reload", "/api/v1/endpoints/nobody/enable"):
        for method in ("GET", "HEAD", "PUT"):
            a = call(q, method, path)
            assert a.status == 405 and a.headers["allow"] == "POST", (method, path)
    nowhere = ["/api", "/api/v1", "/api/v1/", "/api/v1/nothing", "/api/v2/status", "/status", "/api/v1/status/"]
    nowhere += ["/api/v1/endpoints/", "/api/v1/endpoints/nobody", "/api/v1/endpoints/nobody/explode"]
    nowhere += ["/api/v1/endpoints//enable", "/api/v1/endpoints/a/b/enable", "/api/v1/endpoints/%s/enable" % ("x" * 65)]
    nowhere += ["/v1/messages", "/%2e%2e/etc/passwd"]
    for path in nowhere:
        for method in ("GET", "POST"):
            a = call(q, method, path)
            assert a.status == 404 and a.error, (method, path)


def test_many_requests_on_one_connection(qcc):
    q = qcc()
    c = http.client.HTTPConnection("127.0.0.1", q.admin_port, timeout=PATIENCE)
    for _ in range(3):
        for path in GETS:
            c.request("GET", path)
            r = c.getresponse()
            assert r.status == 200 and r.read()
    c.close()


def test_bad_http_is_refused(qcc):
    q = qcc()
    two_hosts = b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"
    for bad in (b"GET /\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", two_hosts, b"\x16\x03\x01 rubbish\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", q.admin_port), timeout=PATIENCE) as s:
            s.sendall(bad)
            assert re.match(b"HTTP/1.1 (400|505) ", s.recv(4096)), bad
    assert call(q, "GET", "/healthz").body == b"ok\n"


def test_a_stuck_supervisor_is_no_hang(qcc):
    q = qcc()
    assert call(q, "GET", "/api/v1/status").status == 200
    os.kill(q.pid, signal.SIGSTOP)
    try:
        a = call(q, "GET", "/api/v1/status")
        assert a.status == 504 and "supervisor" in a.error
        assert call(q, "GET", "/healthz").status == 200
    finally:
        os.kill(q.pid, signal.SIGCONT)
    until(lambda: call(q, "GET", "/api/v1/status").status == 200, "the supervisor to answer again")


# ---- what it shows

def test_status(qcc, upstream):
    q = qcc({"workers": 3, "endpoints": [upstream.endpoint("/s/in_tokens=10,out_tokens=7")]})
    assert send(q, 4) == [200] * 4
    assert send(q, path="/v1/nothing/of/the/kind")
    c = socket.create_connection(("127.0.0.1", q.port), timeout=PATIENCE)
    c.sendall(b"rubbish\r\n\r\n")
    assert c.recv(100).startswith(b"HTTP/1.1 400")
    c.close()

    def whole():
        s = get(q, "status")
        t = s["totals"]
        return s if t["requests_by_status"]["4xx"] >= 1 and t["requests"] == 6 else None

    s = until(whole, "all workers to have told")
    assert s["version"] and s["pid"] == q.pid and s["generation"] == 1
    assert s["config"] == str(q.path)
    assert re.fullmatch("\\d{4}-\\d\\d-\\d\\dT[\\d:.]+Z", s["started"]) and s["uptime_s"] >= 0
    assert {(x["address"], x["admin"]) for x in s["listeners"]} == {
        ("127.0.0.1:%d" % q.port, False),
        ("127.0.0.1:%d" % q.admin_port, True),
    }
    assert sorted(w["pid"] for w in s["workers"]) == sorted(q.children())
    assert {w["state"] for w in s["workers"]} == {"serving"}
    t = s["totals"]
    assert t["requests_by_status"]["2xx"] >= 4 and sum(t["requests_by_status"].values()) == 6
    assert t["tokens"]["input"] >= 40 and t["tokens"]["output"] >= 28
    assert t["bytes_in"] > 300 and t["bytes_out"] > 300
    assert (t["restarts"], t["reloads"], t["reloads_refused"]) == (0, 0, 0)


def test_restarts_and_reloads_are_counted(qcc):
    q = qcc()
    q.reload({"log": {"level": "info"}})
    q.reload("rubbish: true\n", wait="refused")
    os.kill(q.children()[0], signal.SIGKILL)
    t = until(lambda: get(q, "status")["totals"]["restarts"] and get(q, "status"), "the death to be seen")["totals"]
    assert (t["restarts"], t["reloads"], t["reloads_refused"]) == (1, 1, 1)


def test_counts_outlive_workers_and_reloads(qcc, upstream):
    q = qcc({"workers": 1, "endpoints": [upstream.endpoint(name="a")]})
    assert send(q, 5) == [200] * 5
    until(lambda: endpoint(q, "a")["attempts"]["ok"] == 5, "the count")
    q.reload({"endpoints": [upstream.endpoint("/s/name=x", name="x"), upstream.endpoint(name="renamed")]})
    assert endpoint(q, "renamed")["attempts"]["ok"] == 5
    os.kill(q.children()[0], signal.SIGKILL)
    until(lambda: get(q, "status")["totals"]["restarts"] == 1, "the new worker")
    assert endpoint(q, "renamed")["attempts"]["ok"] == 5
    assert get(q, "status")["totals"]["requests"] == 5


def test_counts_outlive_a_restart(qcc, upstream, tmp_path):
    q = qcc({"state_dir": str(tmp_path / "state"), "endpoints": [upstream.endpoint(name="a")]})
    assert send(q, 3) == [200] * 3
    until(lambda: get(q, "status")["totals"]["requests"] == 3, "the count")
    assert q.stop() == 0
    q.start(wait=False)
    q.wait_serving(count=2)
    assert get(q, "status")["totals"]["requests"] == 3
    assert endpoint(q, "a")["attempts"]["ok"] == 3
    assert endpoint(q, "a")["tokens"]["output"] > 0


def test_endpoints(qcc, upstream):
    spec = "/s/delay_ms=30,in_tokens=3,out_tokens=4"
    good = upstream.endpoint(spec, name="good", weight=7, priority=2, max_concurrent=9)
    bad = upstream.endpoint("/s/status=429", name="bad", weight=1000000)
    off = upstream.endpoint("/s/name=off", name="off", enabled=False)
    q = qcc({"endpoints": [good, bad, off]})
    assert send(q, 6) == [200] * 6
    e = until(lambda: endpoint(q, "good")["attempts"]["ok"] == 6 and endpoint(q, "good"), "six successes")
    assert re.fullmatch("[0-9a-f]{8}", e["id"]) and e["base_url"] == good["base_url"]
    assert (e["weight"], e["priority"], e["max_concurrent"]) == (7, 2, 9)
    assert e["tokens"] == {"input": 18, "output": 24, "cache_read": 0, "cache_write": 0}
    assert e["success_rate"] == 1 and e["open_requests"] == 0
    assert 30 <= e["ttfb_ms"]["p50"] <= e["ttfb_ms"]["p99"] < 30000
    assert e["breaker"] == {"state": "closed", "failures": 0, "retry_in_s": None}
    assert e["queued"] is None and e["disabled_by"] is None and e["draining"] is False
    b = endpoint(q, "bad")
    assert b["attempts"]["rate_limit"] >= 1 and b["success_rate"] == 0
    assert b["ttfb_ms"] == {"p50": None, "p95": None, "p99": None}
    assert endpoint(q, "off")["disabled_by"] == "config"
    breakers = get(q, "breakers")["breakers"]
    assert [x["name"] for x in breakers] == ["good", "bad", "off"]
    assert {x["state"] for x in breakers} == {"closed"}
    assert get(q, "queue")["queue"] == []


def test_a_clients_fault_is_no_endpoints_failure(qcc, upstream):
    q = qcc({"endpoints": [upstream.endpoint("/s/status=400", name="a")]})
    assert send(q, 3) == [400] * 3
    e = until(lambda: endpoint(q, "a")["attempts"]["permanent"] == 3 and endpoint(q, "a"), "three refusals")
    assert e["charged"] == 0 and e["success_rate"] is None


def test_open_requests_and_streams(qcc, upstream):
    q = qcc({"endpoints": [upstream.endpoint("/s/hang_after_events=4", name="a")]})
    s = socket.create_connection(("127.0.0.1", q.port), timeout=PATIENCE)
    s.sendall(question(stream=True))
    assert s.recv(65536)
    until(lambda: endpoint(q, "a")["open_requests"] == 1, "the open request")
    until(lambda: get(q, "status")["totals"]["streams_open"] == 1, "the open stream")
    s.close()
    until(lambda: endpoint(q, "a")["open_requests"] == 0, "its end")
    until(lambda: get(q, "status")["totals"]["streams_open"] == 0, "the stream's end")


def test_open_requests_of_a_dead_worker_are_gone(qcc, upstream):
    q = qcc({"workers": 1, "endpoints": [upstream.endpoint("/s/hang", name="a")]})
    s = socket.create_connection(("127.0.0.1", q.port), timeout=PATIENCE)
    s.sendall(question())
    until(lambda: endpoint(q, "a")["open_requests"] == 1, "the open request")
    os.kill(q.children()[0], signal.SIGKILL)
    until(lambda: connectable(q.admin_port) and endpoint(q, "a")["open_requests"] == 0, "its end")
    s.close()


def test_sessions(qcc, upstream):
    q = qcc({"endpoints": [upstream.endpoint("/s/name=%s" % n, name=n) for n in "ab"]})
    for i in range(10):
        assert send(q, headers={"x-conversation-id": "c%d" % i}) == [200]
    s = until(lambda: get(q, "sessions")["bindings"] == 10 and get(q, "sessions"), "ten bindings")
    assert sum(e["bindings"] for e in s["endpoints"]) == 10
    assert {e["name"]: e["bindings"] for e in s["endpoints"]} == {
        e["name"]: e["sessions"] for e in get(q, "endpoints")["endpoints"]
    }
    assert s["enabled"] is True and s["max_sessions"] == 1000000


# ---- readiness

def test_ready_as_long_as_something_is_usable(qcc, upstream):
    q = qcc({"endpoints": [upstream.endpoint(name="a")]})
    assert call(q, "GET", "/readyz").status == 200
    q.reload({"endpoints": [upstream.endpoint(name="a", enabled=False)]})
    a = until(lambda: call(q, "GET", "/readyz").status == 503 and call(q, "GET", "/readyz"), "no endpoint")
    assert b"no endpoint" in a.body
    assert call(q, "GET", "/healthz").status == 200
    q.reload({"endpoints": [upstream.endpoint(name="a", enabled=False), upstream.endpoint("/s/name=b", name="b")]})
    until(lambda: call(q, "GET", "/readyz").status == 200, "an endpoint")


# ---- keys

def test_no_key_in_any_answer(qcc, upstream):
    secret = "sk-very-secret-key-0123456789abcdef"
    echo = upstream.endpoint("/s/status=500,message=%s" % secret, name="echo", api_key=secret)
    q = qcc({"endpoints": [echo, upstream.endpoint("/s/key=%s" % secret, name="good", api_key=secret)],
             "clients": [{"name": "a", "token": "clients-own-secret-1"}]})
    send(q, 5, headers={"x-api-key": "clients-own-secret-1"})
    for path in GETS:
        text = call(q, "GET", path).body.decode().replace(echo["base_url"], "")
        assert "clients-own-secret" not in text, path
        for e in get(q, "endpoints")["endpoints"]:
            text = text.replace(e["base_url"], "")
        assert secret not in text, path


# ---- metrics

def test_metrics(qcc, upstream):
    bad = upstream.endpoint("/s/status=429", name="bad", weight=1000000)
    good = upstream.endpoint("/s/in_tokens=3,out_tokens=4", name="good")
    q = qcc({"endpoints": [good, bad]})
    assert send(q, 5) == [200] * 5
    until(lambda: get(q, "status")["totals"]["requests"] == 5, "the count")
    a = call(q, "GET", "/metrics")
    assert a.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    text = a.body.decode()
    m = samples(text)
    assert m["qcc_requests_total"][(("status", "2xx"),)] == 5
    assert m["qcc_attempts_total"][(("endpoint", "good"), ("class", "ok"))] == 5
    assert m["qcc_attempts_total"][(("endpoint", "bad"), ("class", "rate_limit"))] >= 1
    assert m["qcc_tokens_total"][(("endpoint", "good"), ("kind", "output"))] == 20
    assert m["qcc_workers"][()] == 2 and m["qcc_queue_length"][()] == 0
    assert m["qcc_first_byte_seconds_count"][(("endpoint", "good"),)] == 5
    assert m["qcc_first_byte_seconds_bucket"][(("endpoint", "good"), ("le", "+Inf"))] == 5
    assert m["qcc_request_duration_seconds_count"][(("reply", "whole"),)] == 5
    rising = [v for k, v in m["qcc_request_duration_seconds_bucket"].items() if ("reply", "whole") in k]
    assert rising == sorted(rising)
    assert list(m["qcc_build_info"].values()) == [1]
    assert m["qcc_endpoint_breaker_state"][(("endpoint", "good"),)] == 0


def test_metrics_of_many_endpoints(qcc):
    many = [
        {"name": "e%d" % i, "base_url": "http://127.0.0.1:9/%d" % i, "api_key": "sk-test-%010d" % i}
        for i in range(500)
    ]
    q = qcc({"endpoints": many})
    m = samples(call(q, "GET", "/metrics").body.decode())
    assert len(m["qcc_endpoint_tier"]) == 500
    assert len(get(q, "endpoints")["endpoints"]) == 500
