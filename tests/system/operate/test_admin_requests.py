"""The admin listener: the latest requests."""
import contextlib
import http.client
import json
import os
import re
import signal
import socket

import pytest

from admin import call, endpoint, get, send
from client import ask as question
from qcc import PATIENCE, until

KEY = "sk-fake-0123456789"


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
    assert len(get(q, "requests?limit=3")["requests"]) == 3
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
