"""Places (max_concurrent) over all workers, also while workers die."""
import concurrent.futures
import contextlib
import json
import os
import random
import signal
import threading
import time

import pytest

from client import BODY, Client, Cut
from house import answer, ask, broken, connect_ok, crowd, house, page, sites, slowly, went, workers_of
from qcc import until


@pytest.mark.parametrize("most", [1, 2, 3])
def test_max_concurrent_holds_over_all_workers(house, sites, most):
    (a,) = sites("a")
    a.endpoint["max_concurrent"] = most
    a.how = slowly(answer, 0.02)
    q = house([a], {"retry": {"max_wait": "25s"}})
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        replies = list(pool.map(lambda _: ask(q).status, range(120)))
    assert set(replies) == {200}
    assert a.peak == most, (a.peak, most)
    assert len(workers_of(q, a)) > 1


def test_a_full_one_is_passed_over(house, sites):
    a, b = sites("ab")
    a.endpoint["max_concurrent"] = 2
    a.how = slowly(answer, 0.5)
    q = house([a, b])
    where = [r.header("x-qcc-endpoint") for r in crowd(q, 12)]
    assert where.count("a") == 2 and where.count("b") == 10
    # one after the other: there is always a place, whoever had it last
    a.how = answer
    assert went(q, 24) == ["a"] * 24


def test_a_full_house_answers_503_after_a_second(house, sites):
    (a,) = sites("a")
    a.endpoint["max_concurrent"] = 1
    a.how = slowly(answer, 3)
    q = house([a])
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        first = pool.submit(ask, q)
        until(lambda: a.now == 1, "the first one")
        began = time.monotonic()
        for r in crowd(q, 4):
            assert r.status == 503 and r.header("retry-after") == "1"
        assert time.monotonic() - began >= 0.95
        assert first.result().status == 200
    assert a.peak == 1


def test_worker_dies_with_places(house, sites):
    (a,) = sites("a")
    a.endpoint["max_concurrent"] = 2
    a.how = lambda peer, _: peer.wait_gone()
    q = house([a], {"retry": {"max_wait": "20s"}})
    clients = [Client(q.port) for _ in range(2)]
    body = json.dumps(BODY).encode()
    for c in clients:
        c.send(b"POST /v1/messages HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
    until(lambda: a.now == 2, "both places to be taken")
    a.how = answer
    pids = q.children()
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    until(lambda: len(q.children()) == 4 and not set(pids) & set(q.children()), "new workers")
    until(lambda: connect_ok(q), "a request to be served")
    assert set(went(q, 12)) == {"a"}
    for c in clients:
        c.close()


def kill_one(q):
    """Any of the workers, at any moment; returns when there are four again."""
    pids = q.wait_workers(4)
    os.kill(random.choice(pids), signal.SIGKILL)
    until(lambda: len(q.children()) == 4 and set(q.children()) != set(pids), "a new worker")


def asker(q, stop):
    """Asks on until it is stopped; a connection that dies with its worker is no matter."""
    def run():
        while not stop.is_set():
            with contextlib.suppress(OSError, Cut):
                ask(q)

    return run


@pytest.mark.limit(240)
def test_workers_die_at_any_moment(house, sites):
    """No place is lost, no trial hangs, no verification, no binding."""
    a, b = sites("ab")
    a.endpoint["max_concurrent"] = 2
    a.how = slowly(answer, 0.01)
    q = house([a, b], {"breaker": {"open_duration": "100ms", "max_open_duration": "200ms"}, "log": {"level": "info"},
                       "failure_queue": {"verify_interval": "100ms"}})
    def home():
        with Client(q.port) as c:
            return c.ask(headers=["x-conversation-id: one"]).header("x-qcc-endpoint")

    until(lambda: home() == "a", "a conversation at a")
    stop = threading.Event()
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        jobs = [pool.submit(asker(q, stop)) for _ in range(6)]
        try:
            for turn in range(12):
                # well; failing, until a trial is out; answering rubbish, until it is queued
                a.how = [slowly(answer, 0.01), slowly(broken, 0.02), slowly(page, 0.01)][turn % 3]
                n = a.n
                until(lambda: a.n > n, "somebody to ask a", timeout=20)
                kill_one(q)
        finally:
            a.how = answer
            stop.set()
        for job in jobs:
            job.result()

    def well():
        with contextlib.suppress(OSError, Cut):
            return went(q, 8) == ["a"] * 8

    until(well, "a to be well")
    assert {home() for _ in range(12)} in ({"a"}, {"b"})
    # Both places are there, and no third.
    go = threading.Event()
    a.how = lambda peer, r: (go.wait(20), answer(peer, r))
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        jobs = [pool.submit(ask, q) for _ in range(8)]
        until(lambda: a.now == 2 and b.now == 0 and sum(job.done() for job in jobs) == 6, "two of eight to be at a")
        go.set()
        assert [job.result().status for job in jobs] == [200] * 8


def test_reload_changes_the_limit(house, sites):
    (a,) = sites("a")
    a.how = slowly(answer, 0.05)
    q = house([a], {"retry": {"max_wait": "25s"}})
    for most in (3, 1, 2):
        q.reload({"endpoints": [{**a.endpoint, "max_concurrent": most}]})
        a.peak = 0
        assert {r.status for r in crowd(q, 16)} == {200}
        assert a.peak == most


def test_one_not_yet_known_is_as_good_as_a_healthy_one(house, sites):
    a, b = sites("ab")
    q = house([b])
    assert went(q, 4) == ["b"] * 4
    q.reload({"endpoints": [a.endpoint, b.endpoint]})
    until(lambda: went(q) == ["a"], "the first choice", timeout=5)
