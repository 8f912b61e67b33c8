"""The admin listener: each address, each guard (behaviour: admin listener)."""
import contextlib
import http.client
import itertools
import json
import os
import re
import signal
import socket
import stat

import pytest

from client import ask as question
from client import request as raw_request
from qcc import PATIENCE, connectable, free_port, until

GETS = ["/healthz", "/readyz", "/metrics", "/"] + [
    "/api/v1/" + what for what in ("status", "endpoints", "breakers", "queue", "sessions", "requests")
]
KEY = "sk-fake-0123456789"


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = {k.lower(): v for k, v in response.getheaders()}
        self.body = response.read()

    def json(self):
        assert self.headers["content-type"] == "application/json"
        return json.loads(self.body)

    @property
    def error(self):
        return self.json()["error"]


def call(to, method, path, headers=None, body=None, timeout=PATIENCE):
    """One request to the admin listener of an instance, or to a port, or a unix path."""
    port = getattr(to, "admin_port", to)
    c = http.client.HTTPConnection("127.0.0.1", port if isinstance(port, int) else 80, timeout=timeout)
    if not isinstance(port, int):
        c.sock = socket.socket(socket.AF_UNIX)
        c.sock.settimeout(timeout)
        c.sock.connect(port)
    try:
        c.request(method, path, body, headers or {})
        return Answer(c.getresponse())
    finally:
        c.close()


def get(to, path, **kw):
    a = call(to, "GET", "/api/v1/" + path, **kw)
    assert a.status == 200, a.body
    return a.json()


def send(q, n=1, **more):
    """n questions, each on a connection of its own; their statuses."""
    out = []
    headers = more.pop("headers", {})
    path = more.pop("path", "/v1/messages")
    for _ in range(n):
        c = http.client.HTTPConnection("127.0.0.1", q.port, timeout=PATIENCE)
        body = {"model": "m", "max_tokens": 16, "messages": [{"role": "user", "content": "hello"}], **more}
        c.request("POST", path, json.dumps(body), {"content-type": "application/json", **headers})
        r = c.getresponse()
        r.read()
        out.append(r.status)
        c.close()
    return out


def endpoint(q, name):
    return next(e for e in get(q, "endpoints")["endpoints"] if e["name"] == name)


# ---- who may ask


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:7861", "localhost.evil.example", "127.0.0.1.evil.example", "1.2.3.4.5"]
)
def test_a_name_of_somebody_elses_is_refused(qcc, host):
    q = qcc()
    for path in GETS:
        a = call(q, "GET", path, {"Host": host})
        assert a.status == 403 and "Host" in a.error


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST:1", "[::1]:7861", "192.168.1.2:80"])
def test_addresses_and_localhost_are_own_names(qcc, host):
    assert call(qcc(), "GET", "/api/v1/status", {"Host": host}).status == 200


def test_pages_of_other_sites_are_refused(qcc):
    q = qcc()
    own = "127.0.0.1:%d" % q.admin_port
    refused = [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "http://" + own + ".evil.example"},
        {"Origin": own},
        {"Sec-Fetch-Site": "cross-site"},
    ]
    posts = refused + [{"Sec-Fetch-Site": "same-site"}, {"Sec-Fetch-Site": "cross-site", "Origin": "http://" + own}]
    for headers in refused:
        assert call(q, "GET", "/api/v1/status", headers).status == 403, headers
    for headers in posts:
        assert call(q, "POST", "/api/v1/reload", headers).status == 403, headers
    assert q.count("reload of") == 0
    own_origin = {"Origin": "http://" + own}
    for headers in (own_origin, {**own_origin, "Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}):
        assert call(q, "GET", "/api/v1/status", headers).status == 200, headers
        assert call(q, "POST", "/api/v1/reload", headers).status == 200, headers


def test_a_link_to_the_page_may_be_followed(qcc):
    q = qcc()
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert call(q, "GET", "/", link).status == 200
    assert call(q, "GET", "/", {**link, "Sec-Fetch-Dest": "iframe"}).status == 403
    assert call(q, "GET", "/api/v1/status", link).status == 403


def test_the_targets_authority_stands_for_host(qcc, client):
    c = client(qcc().admin_port)
    c.send(raw_request("GET", "http://localhost:1/api/v1/status", host="evil.example"))
    assert c.reply().status == 200
    c.send(raw_request("GET", "http://evil.example/api/v1/status", host="localhost"))
    assert c.reply().status == 403


def test_more_than_one_origin_is_refused(qcc, client):
    q = qcc()
    c = client(q.admin_port)
    own = "origin: http://127.0.0.1"
    c.send(raw_request("POST", "/api/v1/reload", [own], b""))
    assert c.reply().status == 200
    c.send(raw_request("POST", "/api/v1/reload", [own, "origin: http://evil.example"], b""))
    assert c.reply().status == 403


def test_what_a_browser_may_do_with_a_reply(qcc, client):
    """Each reply, errors too: not kept, not guessed at, not framed, not taken in by another origin."""
    q = qcc({"admin": {"token": "swordfish-7"}, "limits": {"max_body_bytes": 1024}})
    right = {"Authorization": "Bearer swordfish-7"}
    asked = [("GET", path, right, None, 200) for path in GETS] + [
        ("GET", "/api/v1/status", {}, None, 401),
        ("GET", "/api/v1/status", {"Origin": "http://evil.example"}, None, 403),
        ("GET", "/nowhere", right, None, 404),
        ("GET", "/api/v1/reload", right, None, 405),
        ("TRACE", "/", right, None, 405),
        ("POST", "/api/v1/reload", right, b"x" * 2000, 413),
        ("POST", "/api/v1/reload", right, None, 200),
    ]
    for method, path, headers, body, status in asked:
        a = call(q, method, path, headers, body)
        assert a.status == status, (method, path, a.body)
        h = a.headers
        assert h["cache-control"] == "no-store" and h["x-content-type-options"] == "nosniff", path
        assert h["x-frame-options"] == "DENY" and "frame-ancestors 'none'" in h["content-security-policy"], path
        assert "default-src 'none'" in h["content-security-policy"], path
        assert ("style-src" in h["content-security-policy"]) == (path == "/"), path
        assert h["referrer-policy"] == "no-referrer" and h["cross-origin-resource-policy"] == "same-origin", path
        assert not [k for k in h if k.startswith("access-control-")], path
    c = client(q.admin_port)
    c.send(b"GET / HTTP/1.1\r\n\r\n")
    r = c.reply()
    assert r.status == 400 and r.header("cache-control") == "no-store"


def test_cors_is_not_for_the_admin_listener(qcc):
    """What may ask endpoints may not turn them off."""
    page = {"Origin": "https://app.example"}
    q = qcc({"cors": {"origins": [page["Origin"]]}, "hosts": ["*"]})
    a = call(q, "POST", "/api/v1/reload", page)
    assert a.status == 403 and "access-control-allow-origin" not in a.headers
    a = call(q, "OPTIONS", "/api/v1/reload", {**page, "Access-Control-Request-Method": "POST"})
    assert a.status == 403 and "access-control-allow-origin" not in a.headers
    assert call(q, "GET", "/api/v1/status", {"Host": "evil.example"}).status == 403


def test_the_token(qcc):
    q = qcc({"admin": {"token": "swordfish-7"}})
    for path in GETS[1:]:
        a = call(q, "GET", path)
        assert a.status == 401 and "token" in a.error
        assert a.headers["www-authenticate"].startswith("Bearer")
    for wrong in ("Bearer swordfish", "Bearer swordfish-77", "Basic swordfish-7", "Bearer", "swordfish-7"):
        assert call(q, "GET", "/api/v1/status", {"Authorization": wrong}).status == 401, wrong
    assert call(q, "POST", "/api/v1/reload").status == 401
    assert call(q, "GET", "/healthz").status == 200, "liveness needs no secret"
    right = {"Authorization": "bearer swordfish-7"}
    for path in GETS:
        assert call(q, "GET", path, right).status == 200, path
    assert call(q, "GET", "/api/v1/status", {**right, "Host": "qcc.example"}).status == 200
    assert call(q, "GET", "/api/v1/status", {**right, "Origin": "http://evil.example"}).status == 403
    assert "swordfish" not in q.log()


def test_a_refused_post_is_not_read(qcc):
    """Its body is not taken in, and its connection ends."""
    q = qcc({"admin": {"token": "swordfish-7"}})
    with socket.create_connection(("127.0.0.1", q.admin_port), timeout=PATIENCE) as s:
        s.sendall(b"POST /api/v1/reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n")
        reply = b""
        while True:
            piece = s.recv(65536)
            if not piece:
                break
            reply += piece
    assert reply.startswith(b"HTTP/1.1 401 ") and b"connection: close" in reply.lower()


def test_a_unix_socket(qcc, tmp_path):
    path = tmp_path / "admin.sock"
    q = qcc({"admin": {"listen": "unix:%s" % path}}, start=False)
    q.start()
    assert call(str(path), "GET", "/api/v1/status", {"Host": "anything"}).status == 200
    assert call(str(path), "GET", "/readyz").status == 200
    assert stat.S_ISSOCK(os.stat(path).st_mode)


def test_no_admin_listener(qcc, upstream):
    q = qcc({"admin": {"listen": "off"}, "endpoints": [upstream.endpoint()]})
    assert not connectable(q.admin_port)
    assert send(q) == [200]


def test_the_clients_listener_knows_no_admin_address(qcc, upstream):
    q = qcc({"endpoints": [{**upstream.endpoint("/s/status=404"), "paths": {"allow": ["/api/*"]}}]})
    assert q.get("/api/v1/status")[0] == 404
    until(lambda: "404" in upstream.log(), "the endpoint to have been asked")


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
        assert a.headers["cache-control"] == "no-store"
        assert path == "/" or path in page.body.decode()


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
    assert b["ttfb_ms"] == {"p50": None, "p99": None}
    assert endpoint(q, "off")["disabled_by"] == "config"
    breakers = get(q, "breakers")["breakers"]
    assert [x["name"] for x in breakers] == ["good", "bad", "off"]
    assert {x["state"] for x in breakers} == {"closed"}
    assert get(q, "queue") == {"queue": []}


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


# ---- requests


def test_requests(qcc, upstream):
    bad = upstream.endpoint("/s/status=429", name="bad", weight=1000000)
    good = upstream.endpoint("/s/in_tokens=3,out_tokens=4", name="good")
    q = qcc({"workers": 3, "endpoints": [bad, good], "balance": {"strategy": "priority_failover"},
             "clients": [{"name": "alice", "token": "alices-token-1"}]})
    send(q, headers={"authorization": "Bearer alices-token-1"}, model="claude-x", stream=True)
    r = get(q, "requests")
    assert r["workers_missing"] == 0 and len(r["requests"]) == 1
    r = r["requests"][0]
    assert re.fullmatch("[0-9a-f]{20}", r["id"]) and r["time"].endswith("Z")
    assert (r["client"], r["model"], r["method"], r["path"]) == ("alice", "claude-x", "POST", "/v1/messages")
    assert r["stream"] is True and r["endpoint"] == "good" and r["status"] == 200 and r["end"] == "ok"
    first, last = r["attempts"]
    assert r["attempts_begun"] == 2
    assert first["endpoint"] == "bad" and first["class"] == "rate_limit" and first["status"] == 429 and first["reason"]
    assert last["endpoint"] == "good" and last["class"] == "ok" and last["status"] == 200
    assert 0 <= r["first_byte_ms"] <= r["total_ms"]
    assert r["bytes_in"] > 80 and r["bytes_out"] > 300
    assert r["tokens"]["input"] == 3 and r["tokens"]["output"] == 4
    assert q.wait_log("%s\\]: request " % r["id"])


def test_requests_of_all_workers_newest_first(qcc, upstream):
    q = qcc({"workers": 4, "endpoints": [upstream.endpoint()]})
    send(q, 40)
    whole = get(q, "requests")["requests"]
    assert len(whole) == 40 and len({r["id"] for r in whole}) == 40
    times = [r["time"] for r in whole]
    assert times == sorted(times, reverse=True)
    assert [r["id"] for r in get(q, "requests?limit=7")["requests"]] == [r["id"] for r in whole[:7]]
    assert len(get(q, "requests?limit=1000")["requests"]) == 40
    assert len(get(q, "requests?x=y&limit=3&z")["requests"]) == 3
    send(q, 20)
    assert len(get(q, "requests")["requests"]) == 50


@pytest.mark.parametrize("limit", ["0", "1001", "-1", "x", "", "1e3", "99999999999999999999", "5 "])
def test_a_limit_that_cannot_be(qcc, limit):
    a = call(qcc(), "GET", "/api/v1/requests?limit=" + limit.replace(" ", "%20"))
    assert a.status == 400 and "limit" in a.error


def test_what_is_not_in_requests(qcc, upstream):
    """No conversation, no body, no key; liveness checks and our own questions neither."""
    q = qcc({"endpoints": [upstream.endpoint()]})
    headers = {"x-conversation-id": "conv-1234", "x-api-key": "sk-client-9876543210"}
    send(q, headers=headers, metadata={"user_id": "u-5678"})
    c = http.client.HTTPConnection("127.0.0.1", q.port, timeout=PATIENCE)
    for method, path in (("HEAD", "/"), ("POST", "/api/event_logging/batch")):
        c.request(method, path)
        c.getresponse().read()
    c.close()
    text = json.dumps(get(q, "requests"))
    assert len(get(q, "requests")["requests"]) == 1
    for word in ("conv-1234", "u-5678", "sk-client", "hello", KEY):
        assert word not in text


def test_requests_that_ended_otherwise(qcc, upstream):
    q = qcc({"workers": 1, "endpoints": [upstream.endpoint("/s/hang", name="hangs")],
             "clients": [{"name": "a", "token": "token-of-a-1"}]})
    key = {"authorization": "Bearer token-of-a-1"}
    assert send(q) == [401]
    s = socket.create_connection(("127.0.0.1", q.port), timeout=PATIENCE)
    s.sendall(question(headers=["authorization: Bearer token-of-a-1"]))
    until(lambda: endpoint(q, "hangs")["open_requests"] == 1, "the attempt")
    s.close()
    gone = until(lambda: len(get(q, "requests")["requests"]) == 2 and get(q, "requests")["requests"][0], "its end")
    assert gone["status"] is None and gone["end"] == "client gone" and gone["attempts_begun"] == 1
    assert get(q, "requests")["requests"][1]["status"] == 401
    assert get(q, "status")["totals"]["requests_by_status"]["none"] == 1
    q.reload({"endpoints": [upstream.endpoint("/s/close_after_events=4", name="cuts")]})
    send(q, stream=True, headers=key)
    cut = get(q, "requests")["requests"][0]
    assert cut["status"] == 200 and cut["end"] != "ok"
    assert cut["attempts"][-1]["class"] == "transient" and cut["attempts"][-1]["reason"]


def test_a_worker_that_does_not_answer_is_left_out(qcc, upstream):
    q = qcc({"workers": 2, "endpoints": [upstream.endpoint()]})
    send(q, 10)
    asleep = q.children()[0]
    os.kill(asleep, signal.SIGSTOP)

    def ask():
        """None when the connection has gone to the one that sleeps."""
        with contextlib.suppress(TimeoutError, ConnectionError):
            return call(q, "GET", "/api/v1/requests", timeout=3)

    try:
        a = until(ask, "the other worker to answer, without the one that sleeps")
    finally:
        os.kill(asleep, signal.SIGCONT)
    assert a.status == 200 and a.json()["workers_missing"] == 1


def test_the_ring_is_bounded(qcc, upstream):
    q = qcc({"workers": 1, "endpoints": [upstream.endpoint("/bench/x")], "log": {"access": False}})
    c = http.client.HTTPConnection("127.0.0.1", q.port, timeout=PATIENCE)
    for i in range(300):
        body = {"model": "m%d" % i, "max_tokens": 1, "messages": []}
        c.request("POST", "/v1/messages", json.dumps(body), {"content-type": "application/json"})
        c.getresponse().read()
    c.close()
    r = get(q, "requests?limit=1000")["requests"]
    assert len(r) == 256 and r[0]["model"] == "m299" and r[-1]["model"] == "m44"


# ---- reload


def test_reload_answers_when_it_is_done(qcc):
    q = qcc()
    q.configure({"workers": 3})
    a = call(q, "POST", "/api/v1/reload")
    assert a.status == 200 and a.json() == {"generation": 2}
    assert q.count("reload done, generation 2") == 1 and q.wait_workers(3)
    assert get(q, "status")["generation"] == 2


def test_reload_tells_all_faults(qcc):
    q = qcc()
    q.configure("listen: nowhere\nworkers: -3\nendpoints:\n  - name: a b\n    base_url: ftp://x\n")
    a = call(q, "POST", "/api/v1/reload")
    assert a.status == 422 and a.error
    faults = a.json()["faults"]
    assert len(faults) >= 4
    for f in faults:
        assert re.match(re.escape(str(q.path)) + ":\\d+:\\d+: .", f), f
    assert get(q, "status")["generation"] == 1
    assert call(q, "POST", "/api/v1/reload").status == 422, "and again"


def test_reload_that_only_sockets_refuse(qcc):
    q = qcc()
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        q.configure({"listen": ["127.0.0.1:%d" % q.port, "127.0.0.1:%d" % other.getsockname()[1]]})
        a = call(q, "POST", "/api/v1/reload")
    assert a.status == 422 and "127.0.0.1" in a.json()["faults"][0]


def test_reload_that_removes_the_listener_it_came_by(qcc):
    q = qcc()
    new = free_port()
    q.configure({"admin": {"listen": "127.0.0.1:%d" % new}})
    assert call(q, "POST", "/api/v1/reload").json() == {"generation": 2}
    assert call(new, "GET", "/healthz").status == 200


def test_scrapes_during_reloads(qcc, upstream):
    """None fails, none hangs."""
    q = qcc({"workers": 2, "endpoints": [upstream.endpoint()]})
    for i in range(8):
        q.configure({"workers": 1 + i % 3})
        q.signal(signal.SIGHUP)
        for path in ("/metrics", "/api/v1/endpoints", "/api/v1/requests"):
            # A worker that retires closes connections it has not accepted yet: one more try, as a
            # scraper would.
            for attempt in range(3):
                try:
                    assert call(q, "GET", path).status == 200
                    break
                except (ConnectionError, http.client.BadStatusLine):
                    assert attempt < 2


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


def samples(text):
    """{family: {labels: value}} of the text format, strictly."""
    out, types = {}, {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in types, "family twice: " + name
            types[name] = kind
        elif line.startswith("# HELP "):
            assert len(line.split(" ", 3)) == 4
        else:
            m = re.fullmatch('([a-z_]+)(?:{(.*)})? (\\d+(?:\\.\\d+)?)', line)
            assert m, line
            name = re.sub("_(bucket|sum|count)$", "", m.group(1))
            assert (name if types.get(name) == "histogram" else m.group(1)) in types, line
            labels = tuple(re.findall('([a-z]+)="((?:[^"\\\\]|\\\\.)*)"', m.group(2) or ""))
            family = out.setdefault(m.group(1), {})
            assert labels not in family, line
            family[labels] = float(m.group(3))
    for name, kind in types.items():
        assert kind in ("gauge", "counter", "histogram")
        assert (kind == "counter") == name.endswith("_total"), name
    return out


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


# ---- what an operator says


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
    served(q, 1)
    before = asked(upstream, "a")
    assert act(q, "verify", "a")["verifying"] is True
    until(lambda: asked(upstream, "a") > before and not endpoint(q, "a")["verifying"], "the verification")
    assert endpoint(q, "a")["health"] == "healthy" and endpoint(q, "a")["queued"] is None
    behave(upstream, "a", "mute")
    act(q, "verify", "a")
    e = until(lambda: endpoint(q, "a")["queued"] and endpoint(q, "a"), "the failed verification")
    assert e["health"] == "unhealthy"
    queue = get(q, "queue")["queue"]
    assert [x["name"] for x in queue] == ["a"] and queue[0]["reason"] and queue[0]["since_s"] >= 0
    assert served(q) == {"b"}
    behave(upstream, "a", "")
    act(q, "verify", "a")
    until(lambda: not endpoint(q, "a")["queued"], "the way out of the queue")


def test_a_breaker_and_its_reset(qcc, upstream):
    q = qcc({"endpoints": sites(upstream), "retry": {"transient_delay": "1ms", "max_attempts_per_endpoint": 3}})
    behave(upstream, "a", "status=503")
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
    behave(upstream, "a", "status=429,retry_after=300")
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


def test_not_ready_when_every_breaker_is_open(qcc, upstream):
    q = qcc({"endpoints": sites(upstream, "a"), "retry": {"transient_delay": "1ms", "max_attempts_per_endpoint": 3}})
    assert call(q, "GET", "/readyz").status == 200
    behave(upstream, "a", "status=503")
    until(lambda: served(q, 1, status=503) and endpoint(q, "a")["tier"] == "circuit_open", "the breaker to open")
    until(lambda: call(q, "GET", "/readyz").status == 503, "the workers to know")
    act(q, "reset", "a")
    until(lambda: call(q, "GET", "/readyz").status == 200, "the workers to know")


def test_not_ready_when_all_cool_by_their_own_word(qcc, upstream):
    q = qcc({"endpoints": sites(upstream, "a")})
    behave(upstream, "a", "status=429,retry_after=300")
    send(q)
    until(lambda: call(q, "GET", "/readyz").status == 503, "the workers to know")
