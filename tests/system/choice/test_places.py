"""Full counts as out: an endpoint whose places (max_concurrent) are taken is passed over at once, for every
strategy, bound conversation and repeat, as long as another one could serve."""
import concurrent.futures
import json
import os
import signal
import threading
import time

import pytest

from client import ask
from qcc import until
from upstream import error, reply

STRATEGIES = ["weighted", "round_robin", "random", "least_connections", "priority_failover", "least_latency"]


class Slow:
    """An endpoint that answers after some time, and knows how many it served at once."""

    def __init__(self, raw, name, seconds=0.0, **more):
        self.name, self.seconds, self.lock = name, seconds, threading.Lock()
        self.now = self.most = self.served = 0
        self.statuses = []  # to be answered first, before it is well
        self.raw = raw(self.play)
        self.endpoint = self.raw.endpoint(name, **more)

    def play(self, peer, request):
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
            status = self.statuses.pop(0) if self.statuses else 200
        time.sleep(self.seconds)
        with self.lock:
            self.now -= 1
            self.served += status == 200
        peer.send(reply() if status == 200 else error(status))


@pytest.fixture
def slow(raw):
    return lambda name, seconds=0.0, **more: Slow(raw, name, seconds, **more)


def crowd(client, q, clients, each, **more):
    """That many clients at once with so many requests one after the other: [(status, endpoint)]."""
    start = threading.Barrier(clients)

    def one(_):
        start.wait()
        out = []
        for _ in range(each):
            r = client(q).ask(**more)
            out.append((r.status, r.header("x-qcc-endpoint")))
        return out

    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        return [x for part in pool.map(one, range(clients)) for x in part]


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_nobody_waits_beside_an_idle_endpoint(qcc, slow, client, strategy, workers):
    a = slow("a", 0.2, priority=1, max_concurrent=2, weight=1000)
    b = slow("b", 0.2, priority=2, weight=1)
    q = qcc({"workers": workers, "balance": {"strategy": strategy, "use_priority": True}, "affinity": {"enabled": False},
             "endpoints": [a.endpoint, b.endpoint]})
    got = crowd(client, q, 10, 3)
    assert {status for status, _ in got} == {200}
    assert a.most <= 2
    assert a.served > 0 and b.served > 0
    if strategy == "priority_failover":
        assert a.most == 2
    # whoever had to wait would have found the other one idle
    assert q.count("all full") == 0 and "all full" not in json.dumps(q.ctl_json("requests"))


def test_bound_conversations_go_elsewhere_and_come_back(qcc, slow, client):
    a, b = slow("a", max_concurrent=1), slow("b")
    q = qcc({"workers": 2, "balance": {"strategy": "priority_failover"},
             "endpoints": [{**a.endpoint, "priority": 1}, {**b.endpoint, "priority": 2}]})
    mine = ["x-conversation-id: mine"]
    # the only place may lie with the worker that had another request, whose answer is waited for 20 ms at most
    until(lambda: client(q).ask(headers=mine).header("x-qcc-endpoint") == "a", "a's place")
    a.seconds = 1.0
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        busy = pool.submit(lambda: client(q).ask())
        until(lambda: a.now == 1, "the place to be taken")
        for _ in range(3):
            assert client(q).ask(headers=mine).header("x-qcc-endpoint") == "b"
        assert a.now == 1
        assert busy.result().status == 200
    a.seconds = 0.0
    # the place may lie with the other worker, whose answer is waited for 20 ms at most
    until(lambda: client(q).ask(headers=mine).header("x-qcc-endpoint") == "a", "it to come back")


def test_a_repeat_goes_elsewhere_when_the_place_is_taken(qcc, slow, client):
    """While the request pauses, another one takes the only place."""
    a, b = slow("a", max_concurrent=1, priority=1), slow("b", priority=2)
    q = qcc({"workers": 1, "balance": {"strategy": "priority_failover"}, "retry": {"transient_delay": "400ms"},
             "endpoints": [a.endpoint, b.endpoint]})
    a.statuses = [500]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        first = pool.submit(lambda: client(q).ask())
        until(lambda: a.statuses == [] and a.now == 0, "the first failure")
        a.seconds = 2.0
        second = pool.submit(lambda: client(q).ask())
        until(lambda: a.now == 1, "the place to be taken")
        r = first.result()
        assert a.now == 1, "it came before the place was free"
        assert (r.status, r.header("x-qcc-endpoint")) == (200, "b")
        assert second.result().header("x-qcc-endpoint") == "a"


@pytest.mark.parametrize("status", [429, 503])
def test_a_repeat_waits_for_a_place_where_nobody_else_is_left(qcc, slow, client, status):
    """Another request gets the place that the failed attempt gave back."""
    a = slow("a", max_concurrent=1)
    q = qcc({"workers": 1, "retry": {"transient_delay": "1ms", "max_wait": "0s"}, "endpoints": [a.endpoint]})
    a.statuses, a.seconds = [status], 0.5
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        first = pool.submit(lambda: client(q).ask())
        until(lambda: a.now == 1, "the first to be asked")
        second = pool.submit(lambda: client(q).ask())
        assert (first.result().status, second.result().status) == (200, 200)
    assert a.most == 1 and a.served == 2


@pytest.mark.parametrize("workers", [1, 2])
def test_a_limit_lowered_while_its_places_are_in_use(qcc, slow, client, workers):
    a = slow("a", 0.5)
    b = slow("b")
    q = qcc({"workers": workers, "balance": {"strategy": "priority_failover"},
             "endpoints": [{**a.endpoint, "priority": 1, "max_concurrent": 3}, {**b.endpoint, "priority": 2}]})
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        first = [pool.submit(lambda: client(q).ask()) for _ in range(3)]
        until(lambda: a.now == 3, "three places to be taken")
        over = pool.submit(lambda: client(q).ask())  # and somebody wants one more
        assert over.result().header("x-qcc-endpoint") == "b"
        q.reload({"endpoints": [{**a.endpoint, "priority": 1, "max_concurrent": 2}, {**b.endpoint, "priority": 2}]})
        assert {f.result().status for f in first} == {200}
    a.most = 0
    got = crowd(client, q, 6, 4)
    assert {status for status, _ in got} == {200}
    assert a.most == 2
    assert "all full" not in json.dumps(q.ctl_json("requests"))


def test_a_process_that_hangs_with_idle_places_holds_nobody_up(qcc, slow, client):
    """One worker has the only place, idle, and does not answer when the other one wants it."""
    a, b = slow("a", priority=1, max_concurrent=1), slow("b", priority=2)
    q = qcc({"workers": 2, "balance": {"strategy": "priority_failover"}, "endpoints": [a.endpoint, b.endpoint]})
    connections = []

    def spread():
        """The kernel may give many in a row to one worker; how many each has is told once a second."""
        connections.extend(client(q) for _ in range(4))
        return all(w["connections"] for w in q.ctl_json("status")["workers"])

    until(spread, "connections to both workers", step=0.3)
    for pid in [w["pid"] for w in q.ctl_json("status")["workers"]]:
        for c in connections:
            assert c.ask().status == 200
        os.kill(pid, signal.SIGSTOP)
        try:
            for c in connections:
                c.send(ask())
            # those that the other worker has are answered; the supervisor would end the one that hangs after 2 s
            until(lambda: any(not c.silent(0.001) for c in connections), "an answer")
        finally:
            os.kill(pid, signal.SIGCONT)
        assert {c.reply().status for c in connections} == {200}


def test_when_all_are_full_a_trial_comes_before_waiting(qcc, slow, client):
    a, b = slow("a", max_concurrent=1), slow("b")
    q = qcc({"workers": 1, "endpoints": [a.endpoint, b.endpoint], "retry": {"max_attempts_per_endpoint": 1},
             "breaker": {"failure_threshold": 1, "open_duration": "60s"}, "balance": {"strategy": "round_robin"},
             "affinity": {"enabled": False}})
    b.statuses = [500]
    until(lambda: client(q).ask().status == 200 and not b.statuses, "the failure of b")
    until(lambda: q.count("breaker closed -> open"), "the open breaker")
    a.seconds = 2.0
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        busy = pool.submit(lambda: client(q).ask())
        until(lambda: a.now == 1, "the place to be taken")
        r = client(q).ask()
        assert a.now == 1, "it came before the place was free"
        assert (r.status, r.header("x-qcc-endpoint")) == (200, "b")
        assert busy.result().status == 200


def test_all_full_is_503_after_a_second(qcc, slow, client):
    a = slow("a", 3.0, max_concurrent=1)
    q = qcc({"workers": 1, "endpoints": [a.endpoint]})
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        busy = pool.submit(lambda: client(q).ask())
        until(lambda: a.now == 1, "the place to be taken")
        r = client(q).ask()
        assert a.now == 1
        assert (r.status, r.header("retry-after")) == (503, "1")
        assert busy.result().status == 200


def test_a_second_opinion_waits_for_a_place(qcc, slow, client):
    a, b = slow("a", priority=1), slow("b", priority=2, max_concurrent=1)
    q = qcc({"workers": 1, "balance": {"strategy": "priority_failover"}, "endpoints": [a.endpoint, b.endpoint],
             "retry": {"max_wait": "20s"}})
    b.seconds = 1.0
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        a.statuses = [500, 500]
        busy = pool.submit(lambda: client(q).ask())
        until(lambda: b.now == 1, "b's place to be taken")
        a.statuses = [400]
        r = client(q).ask()
        assert (r.status, r.header("x-qcc-endpoint")) == (200, "b")
        assert busy.result().header("x-qcc-endpoint") == "b"
    assert b.most == 1 and b.served == 2


def test_a_refusal_goes_back_when_no_place_for_another_opinion_comes(qcc, slow, client):
    a, b = slow("a", priority=1), slow("b", 6.0, priority=2, max_concurrent=1)
    q = qcc({"workers": 1, "balance": {"strategy": "priority_failover"}, "endpoints": [a.endpoint, b.endpoint]})
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        a.statuses = [500, 500]
        busy = pool.submit(lambda: client(q).ask())
        until(lambda: b.now == 1, "b's place to be taken")
        a.statuses = [400]
        r = client(q).ask()
        assert b.now == 1, "it came after the place was free"
        assert (r.status, r.header("x-qcc-endpoint")) == (400, "a")
        assert busy.result().header("x-qcc-endpoint") == "b"


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_who_has_waited_longest_gets_the_place(qcc, slow, client, workers):
    """Whatever worker the others are at: with 14 clients and 40 ms a request nobody waits near a second."""
    a = slow("a", 0.04, max_concurrent=1)
    q = qcc({"workers": workers, "affinity": {"enabled": False}, "endpoints": [a.endpoint]})
    got = crowd(client, q, 14, 8)
    assert {status for status, _ in got} == {200}
    assert a.most == 1


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("between", [{"without": True}, {"max_concurrent": 0}])
def test_a_limit_holds_for_what_began_before_it_was_out(qcc, slow, client, workers, between):
    """An endpoint that reloads take out and bring back, and a limit that they switch off and on."""
    a, b = slow("a", 3.0, max_concurrent=2, priority=1), slow("b", priority=2)
    q = qcc({"workers": workers, "balance": {"strategy": "priority_failover"}, "endpoints": [a.endpoint, b.endpoint]})
    less = [b.endpoint] if "without" in between else [{**a.endpoint, **between}, b.endpoint]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        first = [pool.submit(lambda: client(q).ask()) for _ in range(2)]
        until(lambda: a.now == 2, "both places to be taken")
        q.reload({"endpoints": less})
        q.reload({"endpoints": [a.endpoint, b.endpoint]})
        where = {client(q).ask().header("x-qcc-endpoint") for _ in range(8)}
        assert a.now == 2, "they came before a place was free"
        assert where == {"b"} and a.most == 2
        assert {f.result().status for f in first} == {200}
    a.seconds = 0.0
    until(lambda: client(q).ask().header("x-qcc-endpoint") == "a", "its places to be free")
    until(lambda: [e["open_requests"] for e in q.ctl_json("endpoints")["endpoints"] if e["name"] == "a"] == [0],
          "the counts to be zero")


@pytest.mark.parametrize("how", ["fewer workers", "upgrade", "out of the file"])
def test_a_limit_holds_for_what_workers_that_drain_have_open(qcc, slow, client, how):
    """They hear of no further configuration; their requests began without a limit."""
    a, b = slow("a", 6.0, priority=1), slow("b", priority=2)
    limited = {**a.endpoint, "max_concurrent": 2}
    q = qcc({"workers": 4, "balance": {"strategy": "priority_failover"}, "endpoints": [a.endpoint, b.endpoint]})
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        first = [pool.submit(lambda: client(q).ask()) for _ in range(2)]
        until(lambda: a.now == 2, "both requests to be open")
        if how == "fewer workers":
            q.reload({"workers": 1})
            until(lambda: len(q.ctl_json("status")["workers"]) < 5, "the workers to drain")
        else:
            if how == "out of the file":
                q.reload({"endpoints": [limited, b.endpoint]})
                q.reload({"endpoints": [b.endpoint]})
            q.upgrade()
        q.reload({"endpoints": [limited, b.endpoint]})
        where = {client(q).ask().header("x-qcc-endpoint") for _ in range(6)}
        assert a.now == 2, "they came before a place was free"
        assert where == {"b"} and a.most == 2
        assert {f.result().status for f in first} == {200}
    a.seconds = 0.0
    until(lambda: client(q).ask().header("x-qcc-endpoint") == "a", "its places to be free")


@pytest.mark.parametrize("workers", [1, 2])
def test_the_wait_for_a_place_begins_after_that_for_a_trial(qcc, slow, client, workers):
    """The breaker of the only endpoint is open, the trial takes long, and then there is one place for all."""
    a = slow("a", 1.5, max_concurrent=1)
    a.statuses = [500]
    q = qcc({"workers": workers, "retry": {"max_attempts_per_endpoint": 1}, "affinity": {"enabled": False},
             "breaker": {"failure_threshold": 1, "open_duration": "60s"}, "endpoints": [a.endpoint]})
    assert client(q).ask().status == 500
    until(lambda: q.count("breaker closed -> open"), "the open breaker")
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        got = [pool.submit(lambda: client(q).ask().status) for _ in range(8)]
        until(lambda: a.now == 1, "the trial")
        a.seconds = 0.05
        assert {g.result() for g in got} == {200}
    assert a.most == 1


def test_workers_that_drain_get_places_of_an_endpoint_that_is_out(qcc, slow, client):
    a = slow("a", 1.5, max_concurrent=1)
    b = slow("b")
    b.endpoint["models"] = {"allow": ["other"]}
    q = qcc({"workers": 3, "retry": {"max_wait": "60s"}, "endpoints": [a.endpoint, b.endpoint]})
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        got = [pool.submit(lambda: client(q).ask().status) for _ in range(6)]
        until(lambda: a.now == 1, "the place to be taken")
        q.reload({"workers": 1})
        q.reload({"endpoints": [b.endpoint]})
        a.seconds = 0.05
        done, late = concurrent.futures.wait(got, timeout=30)
    # those at the worker that stays find no endpoint any more
    assert {g.result() for g in done} <= {200, 503} and not late and a.most == 1
