"""The breaker over all workers: when it opens, and who hears of it."""
import concurrent.futures
import datetime
import json
import threading
import time

from client import Client
from house import (answer, ask, broken, crowd, house, open_exactly, seconds_between, seconds_between_nth, sites, went,
                   workers_of)
from qcc import until
from upstream import BLOCK, LAST_CHUNK, START, STOP, STREAM_HEAD, chunk, reply


def cut_stream(peer, _request):
    """Content, and some time later the end of the connection."""
    peer.send(STREAM_HEAD + chunk(START + BLOCK))
    time.sleep(0.05)  # lint: the simulated endpoint takes so long
    peer.close()


def slow_stream(peer, _request):
    """A whole one, whose end comes some time after its beginning."""
    peer.send(STREAM_HEAD + chunk(START + BLOCK))
    time.sleep(0.05)  # lint: the simulated endpoint takes so long
    peer.send(chunk(STOP) + LAST_CHUNK)


def breaker_of(q, name):
    """As the supervisor knows it."""
    status, body = q.get("/api/v1/endpoints", port=q.admin_port)
    assert status == 200
    return next(e["breaker"] for e in json.loads(body)["endpoints"] if e["name"] == name)


def fail(q, site, n):
    """n requests fail there, one after the other. (Which one is asked just after a failure is left to
    how fast the others hear that nothing stands against it any more.)"""
    at = site.n
    until(lambda: ask(q) and site.n >= at + n, "%d failures" % n, step=0)


# ---- transient failures

def test_breaker_opens_after_three_in_a_row_over_workers(house, sites):
    a, b = sites("ab")
    q = house([a, b])
    while len(workers_of(q, a)) < 2:  # until the kernel has used two of them
        a.how = broken
        fail(q, a, 3)
        q.wait_log("endpoint a: breaker closed -> open: failures in a row \\(3: ")
        at = a.n
        assert set(went(q, 20)) == {"b"}
        assert a.n == at == 3
        if len(workers_of(q, a)) < 2:
            q.close()
            a.asked.clear()
            q = house([a, b], folder=q.folder.parent / ("again%d" % time.monotonic_ns()))
    assert q.count("endpoint a: breaker") == 1


def test_a_success_in_between_resets(house, sites):
    a, b = sites("ab")
    q = house([a, b])
    for _ in range(4):
        a.how = broken
        fail(q, a, 2)
        a.how = answer
        until(lambda: went(q) == ["a"], "a to be asked", step=0)
        until(lambda: breaker_of(q, "a")["failures"] == 0, "the success to be heard of")
    assert q.count("endpoint a: breaker") == 0


def test_breaker_opens_after_replies_that_break_off(house, sites):
    """Each had begun well; and beside each other, on all workers."""
    a, b = sites("ab")
    q = house([a, b])
    a.how = cut_stream
    until(lambda: crowd(q, 8, stream=True) and q.count("endpoint a: m: breaker closed -> open"), "the breaker to open",
          timeout=10)
    assert q.count("endpoint a: breaker") == 0  # what breaks after the head concerns the model


def test_a_reply_that_comes_to_its_end_ends_the_row(house, sites):
    a, b = sites("ab")
    q = house([a, b], {"retry": {"max_attempts": 1}})
    for how in [cut_stream, cut_stream, slow_stream] * 3:
        a.how = how
        n = a.n
        until(lambda: ask(q, stream=True) and a.n > n, "a to be asked", step=0)
    assert q.count("endpoint a: .*breaker") == 0
    a.how = cut_stream
    until(lambda: ask(q, stream=True) and q.count("endpoint a: m: breaker closed -> open"), "the breaker to open", step=0)


def test_trial_that_breaks_off_has_failed(house, sites):
    a, b = sites("ab")
    q = house([a, b], {"breaker": {"open_duration": "600ms"}})
    a.how, b.how = cut_stream, slow_stream
    until(lambda: ask(q, stream=True) and q.count("endpoint a: m: breaker closed -> open"), "the breaker to open", step=0)
    at = a.n
    until(lambda: ask(q, stream=True) and a.n > at, "the trial")
    q.wait_log("endpoint a: m: breaker closed -> open: failures in a row", 2)
    q.wait_log("endpoint a: m: breaker open -> half_open", 2)
    assert a.n == at + 1 and seconds_between_nth(q, 1, "a: m") >= 1.19


def test_the_endpoints_trial_that_breaks_off(house, sites):
    """What had opened the breaker concerned the endpoint, and that is over; the break concerns the model."""
    a, b = sites("ab")
    q = house([a, b], {"breaker": {"open_duration": "600ms"}})
    at = open_exactly(q, a)
    a.how, b.how = cut_stream, slow_stream
    until(lambda: ask(q, stream=True) and a.n > at, "the trial")
    q.wait_log("endpoint a: breaker half_open -> closed")
    until(lambda: ask(q, stream=True) and q.count("endpoint a: m: breaker closed -> open"), "the model's breaker to open", step=0)
    assert q.count("endpoint a: breaker closed -> open") == 1


def test_transient_failure_degrades_once_the_request_leaves(house, sites):
    a, b = sites("ab")
    q = house([a, b], {"health": {"degraded_for": "600ms"}, "retry": {"max_attempts_per_endpoint": 2},
                       "breaker": {"failure_threshold": 100}})
    def last(peer, _request):  # no connection stays, on which the next break would be that of a stale one
        peer.send(reply(headers=["connection: close"]))

    turns = iter([broken, last] + [broken, broken])
    a.how = lambda peer, r: next(turns, answer)(peer, r)
    assert went(q) == ["a"]  # repeated there: it has not left
    assert went(q) == ["b"]
    q.wait_log("endpoint a: health healthy -> degraded")
    assert q.count("-> degraded") == 1
    assert set(went(q, 12)) == {"b"}
    until(lambda: went(q) == ["a"], "a to be well again")
    assert q.count("endpoint a: health degraded -> healthy: time is over") == 1
    assert 0.55 <= seconds_between(q, "endpoint a: health healthy -> degraded", "endpoint a: health degraded") < 6
    assert q.count("failure queue") == 0


# ---- agreement

def test_after_it_opens_nobody_begins_there(house, sites):
    """All workers are busy, and hear of it in time."""
    a, b = sites("ab")
    q = house([a, b], {"log": {"level": "info"}})
    stop = threading.Event()

    def load():
        with Client(q.port) as c:
            while not stop.is_set():
                c.ask()

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        jobs = [pool.submit(load) for _ in range(8)]
        until(lambda: a.n > 200, "some load")
        a.how = broken
        q.wait_log("endpoint a: breaker closed -> open")
        at = q.wait_log("(?m)^(\\S+)Z .*endpoint a: breaker closed -> open").group(1)
        opened = datetime.datetime.fromisoformat(at + "+00:00").timestamp()
        until(lambda: b.n > 200, "some more load")
        stop.set()
        for job in jobs:
            job.result()
    late = [t - opened for t, _ in a.asked if t - opened > 0.005]
    # The time is measured by `make drill`; here it is enough that it is soon, and then never again.
    assert len(late) < 20 and max(late, default=0) < 1, late
