"""Forty endpoints: choices that look at few of them are as good as those that look at all. (The sanitizer build
makes each choice both ways and ends a worker that finds a difference.)"""
import collections
import concurrent.futures
import http.client
import itertools
import json

import pytest

from qcc import PATIENCE

STRATEGIES = ["weighted", "round_robin", "random", "least_connections", "priority_failover", "least_latency"]


def ask(q, conversation=None, model="m"):
    """The endpoint that served one request on a connection of its own."""
    c = http.client.HTTPConnection("127.0.0.1", q.port, timeout=PATIENCE)
    headers = {"content-type": "application/json"}
    if conversation:
        headers["x-conversation-id"] = conversation
    try:
        c.request("POST", "/v1/messages", json.dumps({"model": model, "max_tokens": 16, "messages": [
            {"role": "user", "content": "hello"}]}), headers)
        r = c.getresponse()
        r.read()
        assert r.status == 200, r.status
        return r.getheader("x-qcc-endpoint")
    finally:
        c.close()


@pytest.fixture
def forty(qcc, upstream):
    """Endpoints e0 to e39 of several weights, with four workers; more: settings of endpoints by their names."""

    def make(config=None, more=None):
        names = ["e%d" % i for i in range(40)]
        return qcc({"workers": 4, **(config or {}), "endpoints": [
            upstream.endpoint("/n/" + name, **{"name": name, "weight": 50 * (1 + i % 3), **(more or {}).get(name, {})})
            for i, name in enumerate(names)]})

    return make


def test_workers_agree_before_the_binding_has_travelled(forty):
    q = forty()
    at = set()
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        for i in range(20):
            seen = set(pool.map(lambda _: ask(q, "new%d" % i), range(12)))
            assert len(seen) == 1, seen
            at |= seen
    assert len(at) > 8, "hardly spread"


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_some_are_ill(forty, upstream, strategy):
    """Every request is served, by many endpoints; one that failed often enough is left alone."""
    for name, spec in (("e3", "status=500"), ("e4", "status=429,retry_after=1"), ("e5", "status=529")):
        upstream.call("PUT", "/_site/" + name, spec)
    q = forty({"balance": {"strategy": strategy}, "retry": {"transient_delay": "1ms"}, "breaker": {"failure_threshold": 1}},
              {"e6": {"max_concurrent": 1}, "e7": {"weight": 0}, "e8": {"enabled": False}, "e9": {"priority": 2},
               "e10": {"models": {"allow": ["other"]}}})
    number = itertools.count()

    def one(i):
        return ask(q, "c%d" % (next(number) % 60) if i % 2 else None, "n" if i % 5 == 0 else "m")

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        got = collections.Counter(pool.map(one, range(400)))
    assert len(got) > 20, got
    assert not {"e3", "e4", "e5", "e8", "e10"} & set(got), got
    if strategy == "priority_failover":
        assert not {"e7", "e9"} & set(got), got


def test_the_trail_tells_of_those_that_are_out_first(forty):
    """Of many endpoints that were not taken it lists some, and counts the others."""
    q = forty({}, {"e%d" % i: {"enabled": False} for i in (11, 22, 33)})
    assert ask(q)
    [choice] = q.ctl_json("why", q.ctl_json("requests")["requests"][0]["id"])["choices"]
    reasons = [s["reason"] for s in choice["skipped"]]
    assert {s["endpoint"] for s in choice["skipped"][:3]} == {"e11", "e22", "e33"}
    assert reasons == 3 * ["disabled"] + 13 * ["strategy chose another"] and choice["others"] == 23
