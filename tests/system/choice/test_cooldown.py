"""Rate limits: how long an endpoint is left alone for a model, for all workers, and who may ask it meanwhile. What names
neither an account nor a model concerns the model alone: its cell is `other` as long as it was not served there."""
import concurrent.futures
import datetime
import email.utils
import threading
import time

import pytest

from house import all_hear, answer, ask, crowd, house, sites, went
from qcc import until
from upstream import error


def stamp(seconds):
    return datetime.datetime.fromtimestamp(time.time() + seconds, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.parametrize("make", [
    lambda: error(429, "rate_limit_error", headers=["retry-after: 2"]),
    lambda: error(429, "rate_limit_error", headers=["retry-after: " + email.utils.formatdate(time.time() + 3, usegmt=True)]),
    lambda: error(429, "rate_limit_error", headers=["retry-after-ms: 1500"]),
    lambda: error(429, "rate_limit_error", headers=["anthropic-ratelimit-requests-remaining: 0",
                                                    "anthropic-ratelimit-requests-reset: " + stamp(3)]),
    lambda: error(429, "rate_limit_error", headers=["x-ratelimit-reset-requests: 1.5s"]),
    lambda: error(429, "rate_limit_error", "Please try again in 1.5s."),
    lambda: error(503, "overloaded", headers=["retry-after: 2"], message="rate limit reached, quota exceeded"),
], ids=["seconds", "date", "ms", "anthropic-reset", "x-ratelimit-reset", "words", "503"])
def test_cooldown_by_its_own_word(house, sites, make, request):
    a, b = sites("ab")
    q = house([a, b])
    cell = "" if request.node.callspec.id == "503" else "other: "  # a quota is the account's
    a.how = lambda peer, _: peer.send(make())
    assert went(q) == ["b"]
    q.wait_log("endpoint a: %scooldown told to wait for [1-3]\\." % cell)
    assert a.n == 1
    a.how = answer
    began = a.asked[0][0]
    served = set()
    while time.time() - began < 0.9:
        served |= {r.header("x-qcc-endpoint") for r in crowd(q, 8)}
    assert served == {"b"} and a.n == 1
    until(lambda: went(q) == ["a"], "the cooldown to end")
    assert a.asked[1][0] - began >= 0.9
    assert q.count("breaker") == 0


@pytest.mark.parametrize("reset", ["retry-after: %s", "anthropic-ratelimit-requests-remaining: 0\r\nanthropic-ratelimit-requests-reset: %s",
                                   "x-ratelimit-reset: %s"], ids=["retry-after", "anthropic", "x-ratelimit"])
@pytest.mark.parametrize("away", [-3000, 3000], ids=["behind", "ahead"])
def test_moments_count_from_the_replys_date(house, sites, reset, away):
    """An endpoint whose clock is fifty minutes away names a moment in 40 s."""
    a, b = sites("ab")
    q = house([a, b])
    moment = {"r": email.utils.formatdate(time.time() + away + 40, usegmt=True), "a": stamp(away + 40), "x": "%d" % (time.time() + away + 40)}
    a.how = error(429, "rate_limit_error", headers=["date: " + email.utils.formatdate(time.time() + away, usegmt=True), reset % moment[reset[0]]])
    assert went(q) == ["b"]
    q.wait_log("endpoint a: other: cooldown told to wait for (39|40|41)\\.")


@pytest.mark.parametrize("refuse", [
    error(429, "rate_limit_error", "Your organization has reached its monthly spend limit."),
    error(400, "invalid_request_error", "Your credit balance is too low to access the Anthropic API."),
    error(402, "billing_error", "There is an issue with your billing or payment information.")], ids=["limit", "balance", "billing"])
def test_a_spending_limit_without_a_time(house, sites, refuse):
    """It cools for max_cooldown, but may be asked when nothing else is left: a payment is not announced."""
    a, b = sites("ab")
    q = house([a, b], {"rate_limit": {"max_cooldown": "20m"}})
    a.how = refuse
    assert went(q) == ["b"]
    q.wait_log("endpoint a: cooldown cooling for (1200|1199)\\.")
    assert went(q, 5) == ["b"] * 5 and a.n == 1
    q.ctl("disable", "b")
    a.how = answer
    until(lambda: went(q) == ["a"], "it to be asked again")


@pytest.mark.parametrize("wait,said", [
    ("31536000", "told to wait"), ("99999999999999999999", "(told to wait|cooling)"),
    ("Fri, 31 Dec 9999 23:59:59 GMT", "told to wait"), ("-5", "cooling"), ("0", "cooling"), ("soon", "cooling"), ("", "cooling")])
def test_an_endpoint_that_lies_about_its_wait(house, sites, wait, said):
    """At most rate_limit.max_cooldown; what is no wait is none that was told."""
    a, b = sites("ab")
    q = house([a, b], {"rate_limit": {"max_cooldown": "1s", "default_cooldown": "1s"}})
    a.how = error(429, "rate_limit_error", headers=["retry-after: " + wait])
    assert went(q) == ["b"]
    q.wait_log("endpoint a: other: cooldown %s for 1\\.0 s" % said)
    a.how = answer
    until(lambda: went(q) == ["a"], "the cooldown to end", timeout=10)
    assert a.asked[1][0] - a.asked[0][0] >= 0.9


def test_a_request_waits_no_longer_than_max_cooldown(house, sites):
    """The one that was told a wait of a year knows the ceiling, too."""
    (a,) = sites("a")
    q = house([a], {"rate_limit": {"max_cooldown": "500ms", "default_cooldown": "500ms"},
                    "retry": {"max_wait": "5s", "max_attempts_per_endpoint": 2}})
    a.how = lambda peer, r: answer(peer, r) if a.n > 1 else peer.send(
        error(429, "rate_limit_error", headers=["retry-after: 31536000"]))
    assert went(q) == ["a"] and a.n == 2


def test_told_nothing_is_asked_when_nothing_better_is_left(house, sites):
    (a,) = sites("a")
    q = house([a])
    a.how = error(429, "rate_limit_error")
    assert went(q) == [429]
    q.wait_log("endpoint a: other: cooldown cooling for 2\\.0 s")
    a.how = answer
    assert went(q) == ["a"] and a.asked[1][0] - a.asked[0][0] < 1.9


def test_a_longer_cooldown_is_not_shortened(house, sites):
    a, b = sites("ab")
    q = house([a, b])
    turn = iter(["retry-after: 3", "retry-after: 1", "retry-after: 1"])
    gate = threading.Barrier(2)

    def limited(peer, _):
        gate.wait(20)
        peer.send(error(429, "rate_limit_error", headers=[next(turn)]))

    a.how = limited
    crowd(q, 2)
    a.how = answer
    began = a.asked[0][0]
    until(lambda: went(q) == ["a"], "the cooldown to end")
    assert a.asked[-1][0] - began >= 2.9


def test_who_was_on_the_way_does_not_end_a_cooldown(house, sites):
    """Its success says nothing of a rate limit that came meanwhile."""
    a, b = sites("ab")
    q = house([a, b])
    go = threading.Event()
    a.how = lambda peer, r: (go.wait(20), answer(peer, r))
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        early = pool.submit(ask, q)
        until(lambda: a.now == 1, "the early one to be there")
        a.how = error(429, "rate_limit_error", headers=["retry-after: 30"])
        assert went(q) == ["b"]
        q.wait_log("endpoint a: other: cooldown told to wait")
        a.how = answer
        go.set()
        assert early.result().header("x-qcc-endpoint") == "a"
    assert {r.header("x-qcc-endpoint") for r in crowd(q, 12)} == {"b"} and a.n == 2


def test_told_nothing_two_seconds_then_doubling(house, sites):
    a, b = sites("ab")
    q = house([a, b], {"rate_limit": {"default_cooldown": "3s"}})
    a.how = error(429, "rate_limit_error")
    assert went(q) == ["b"]
    q.wait_log("endpoint a: other: cooldown cooling for 2\\.0 s")
    until(lambda: went(q) == ["b"] and a.n == 2, "the second one")
    q.wait_log("endpoint a: other: cooldown cooling for 3\\.0 s")  # 4 s would be over default_cooldown
    a.how = answer
    until(lambda: went(q) == ["a"], "the cooldown to end")
    a.how = error(429, "rate_limit_error")
    assert went(q) == ["b"]
    q.wait_log("endpoint a: m: cooldown cooling for 2\\.0 s")  # a success has ended the row, and given the model its cell


def test_all_cooling_answers_at_once(house, sites):
    a, b = sites("ab")
    q = house([a, b])
    a.how = error(429, "rate_limit_error", headers=["retry-after: 30"])
    b.how = error(429, "rate_limit_error", headers=["retry-after: 20"])
    with all_hear(q, 2, what="CELL"):
        assert went(q) == [429]
    for r in crowd(q, 8):
        assert r.status == 429 and 10 <= int(r.header("retry-after")) <= 20
    assert (a.n, b.n) == (1, 1)


def test_waits_where_that_is_allowed(house, sites):
    a, b = sites("ab")
    q = house([a, b], {"retry": {"max_wait": "5s", "max_attempts_per_endpoint": 2}})
    limited = error(429, "rate_limit_error", headers=["retry-after: 1"])
    turns = iter([limited])
    a.how = lambda peer, r: peer.send(next(turns)) if a.n == 1 else answer(peer, r)
    b.how = limited
    began = time.monotonic()
    assert went(q) == ["a"] and time.monotonic() - began >= 0.9


def test_a_crowd_waits_for_one_that_cools(house, sites):
    (a,) = sites("a")
    q = house([a], {"retry": {"max_wait": "8s", "max_attempts_per_endpoint": 2}})
    a.how = error(429, "rate_limit_error", headers=["retry-after: 2"])
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        jobs = [pool.submit(ask, q) for _ in range(12)]
        until(lambda: a.n > 0, "the first")
        q.wait_log("endpoint a: other: cooldown told to wait")
        a.how = answer
        assert [job.result().status for job in jobs] == [200] * 12
