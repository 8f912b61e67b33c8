"""Trials of a breaker that is half open, the last resort, and what becomes of a trial whose holder goes
(behaviour: sections 4 and 5)."""
import concurrent.futures
import json
import os
import re
import signal
import time

import pytest

from client import BODY, Client
from house import (answer, ask, broken, connect_ok, crowd, house, loses_its_endpoint, open_exactly, seconds_between, seconds_between_nth,
                   sites, slowly, went)
from qcc import until
from upstream import reply

HALF = {"breaker": {"open_duration": "400ms"}}
BUSY = reply(b"<html>busy</html>", 503, type="text/html")  # a page concerns the endpoint, not a model


def test_one_trial_over_all_workers_and_the_duration_doubles(house, sites):
    a, b = sites("ab")
    q = house([a, b], HALF)
    at = open_exactly(q, a)
    a.how = slowly(BUSY, 0.5)
    for turn in (1, 2):
        q.wait_log("endpoint a: breaker open -> half_open", turn)
        a.peak = 0
        end = time.monotonic() + 20
        while q.count("endpoint a: breaker half_open -> open: the trial failed") < turn:
            assert all(r.status == 200 for r in crowd(q, 12))  # a failed trial is repaired like any other
            assert time.monotonic() < end
        assert a.peak == 1 and a.n == at + turn
    q.wait_log("endpoint a: breaker open -> half_open", 3)
    spans = [seconds_between_nth(q, n) for n in range(3)]
    assert spans[0] >= 0.39 and spans[1] >= 0.79 and spans[2] >= 1.59, spans


def test_the_duration_has_a_ceiling(house, sites):
    a, b = sites("ab")
    q = house([a, b], {"breaker": {"open_duration": "100ms", "max_open_duration": "150ms"}})
    open_exactly(q, a)
    a.how = broken
    until(lambda: ask(q) and q.count("endpoint a: breaker open -> half_open") >= 8, "the eighth time")
    assert seconds_between_nth(q, 7) < 5  # 12.8 s, were it doubled each time
    assert min(seconds_between_nth(q, n) for n in range(1, 8)) >= 0.14


def test_a_trial_that_succeeds_closes(house, sites):
    a, b = sites("ab")
    q = house([a, b], HALF)
    at = open_exactly(q, a)
    a.how = slowly(answer, 0.3)
    until(lambda: ask(q) and a.n > at, "the trial")
    q.wait_log("endpoint a: breaker half_open -> closed: the trial succeeded")
    assert a.peak == 1
    a.how = answer
    until(lambda: set(went(q, 8)) == {"a"}, "a to be the first choice again")
    assert b.n > 0 and not a.verified


def test_what_may_not_be_repeated_is_no_trial(house, sites):
    """A trial that fails is repaired like any other: that must be possible."""
    a, b = sites("ab")
    q = house([a, b], {"breaker": {"open_duration": "10ms"}})
    at = open_exactly(q, a)
    q.wait_log("endpoint a: breaker open -> half_open")
    assert set(went(q, 24, path="/v1/files")) == {"b"} and a.n == at
    until(lambda: went(q) == ["a"], "a request that may be", timeout=8)


def test_no_trial_while_open(house, sites):
    """With others there, time alone lets one through."""
    a, b = sites("ab")
    q = house([a, b], {"breaker": {"open_duration": "1h", "max_open_duration": "1h"}})
    at = open_exactly(q, a)
    assert {r.status for r in crowd(q, 20)} == {200} and a.n == at


def test_a_trial_that_nobody_needs_becomes_a_verification(house, sites):
    a, b = sites("ab")
    q = house([a, b], {"breaker": {"open_duration": "10ms"}})
    open_exactly(q, a)
    at = a.n
    a.how = answer
    q.wait_log("endpoint a: breaker half_open -> closed: verified")
    assert a.n == at and len(a.verified) == 1
    assert seconds_between(q, "endpoint a: breaker open -> half_open", "endpoint a: breaker half_open -> closed") >= 9.9
    assert went(q) == ["a"]


def test_last_resort_one_at_a_time(house, sites):
    """Nothing else is left: one request tries, the others wait for its verdict."""
    (a,) = sites("a")
    q = house([a], {"breaker": {"open_duration": "1h", "max_open_duration": "1h"}})
    a.how = broken
    assert went(q, 3) == [502, 502, 502]
    q.wait_log("endpoint a: breaker closed -> open")
    at, a.peak = a.n, 0
    a.how = slowly(BUSY, 0.1)
    statuses = [r.status for r in crowd(q, 10)]
    assert set(statuses) == {503} and a.peak == 1
    assert a.n == at + 10  # each had its turn within two seconds
    a.how = slowly(answer, 0.2)
    assert {r.status for r in crowd(q, 10)} == {200}
    assert q.count("endpoint a: breaker open -> closed: the trial succeeded") == 1


def test_last_resort_gives_up_after_two_seconds(house, sites):
    (a,) = sites("a")
    q = house([a], {"breaker": {"open_duration": "1h", "max_open_duration": "1h"}})
    open_exactly(q, a)
    a.how = slowly(answer, 4)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        trial = pool.submit(ask, q)
        until(lambda: a.now == 1, "the trial to run")
        began = time.monotonic()
        r = ask(q)
        assert r.status == 503 and 1.9 < time.monotonic() - began
        assert trial.result().status == 200
    assert went(q) == ["a"]


def test_worker_dies_with_the_trial(house, sites):
    a, b = sites("ab")
    q = house([a, b], HALF)
    at = open_exactly(q, a)
    a.how = lambda peer, _: peer.wait_gone()
    clients = []
    while a.n == at:
        clients.append(Client(q.port))
        clients[-1].send(b"")
        until(lambda: try_one(q, clients, a, at), "the trial to begin", step=0)
    worker = re.findall("worker (\\d+) \\[\\w+\\]: attempt \\d+ at a\\n", q.log())[-1]
    pid = int(re.findall("worker %s started, pid (\\d+)" % worker, q.log())[-1])
    a.how = answer
    os.kill(pid, signal.SIGKILL)
    until(lambda: ask(q) and q.count("endpoint a: breaker half_open -> closed"), "another trial")
    for c in clients:
        c.close()


def test_client_leaves_with_the_trial(house, sites):
    """That is no verdict: another request is the trial."""
    a, b = sites("ab")
    q = house([a, b], HALF)
    at = open_exactly(q, a)
    a.how = lambda peer, _: peer.wait_gone()
    clients = []
    until(lambda: try_one(q, clients, a, at), "the trial to begin", step=0)
    a.how = answer
    for c in clients:
        c.close()
    until(lambda: ask(q) and q.count("endpoint a: breaker half_open -> closed: the trial succeeded"), "another trial")
    assert q.count("endpoint a: breaker half_open -> open") == 0


def try_one(q, clients, a, at):
    """Sends one request and does not wait for its reply where it hangs at a."""
    c = Client(q.port)
    clients.append(c)
    c.sock.settimeout(0.5)
    body = json.dumps(BODY).encode()
    c.send(b"POST /v1/messages HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
    try:
        c.reply()
    except TimeoutError:
        pass
    return a.n > at


def test_reload_and_new_workers_know(house, sites):
    a, b = sites("ab")
    q = house([a, b], {"breaker": {"open_duration": "1h", "max_open_duration": "1h"}})
    at = open_exactly(q, a)
    q.reload({"log": {"access": True}, "workers": 3})
    assert {r.status for r in crowd(q, 12)} == {200} and a.n == at
    pids = q.wait_workers(3)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    until(lambda: len(q.children()) == 3 and not set(pids) & set(q.children()), "new workers")
    until(lambda: connect_ok(q), "somebody to answer")
    assert {r.status for r in crowd(q, 12)} == {200} and a.n == at
    # Another key is another endpoint: nothing is known of it.
    a.endpoint["api_key"] = "sk-another-0123456789"
    q.reload({"endpoints": [a.endpoint, b.endpoint]})
    until(lambda: went(q) == ["a"], "the new one to be used")


@pytest.mark.parametrize("how", ["stop", "fewer workers", "upgrade"])
def test_a_worker_that_drains_is_lent_what_its_request_needs(house, sites, how):
    """A request that loses its endpoint while its worker drains, and has only one left whose breaker is open."""
    a, b = sites("ab")
    q = house([a, b], {"workers": 2, "breaker": {"open_duration": "1h", "max_open_duration": "1h"}})
    at = open_exactly(q, a)
    r, replies = loses_its_endpoint(q, b, how)
    assert (r.status, r.header("x-qcc-endpoint"), r.header("x-qcc-attempts")) == (200, "a", "2")
    q.wait_log("endpoint a: breaker open -> closed: the trial succeeded")
    assert {r.result().status for r in replies} == {200} and a.n == at + len(replies)
