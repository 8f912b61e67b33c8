"""What becomes of endpoints, as all workers see it together (behaviour: sections 4 and 5): breaker,
trials, cooldowns, failure queue, verifications, blocked models, places."""
import concurrent.futures
import contextlib
import datetime
import email.utils
import json
import os
import random
import re
import signal
import threading
import time

import pytest

from client import BODY, Client, Cut
from qcc import until
from upstream import BLOCK, LAST_CHUNK, START, STOP, STREAM_HEAD, chunk, error, reply

QUESTION = b"Reply with these six characters and nothing else: "


class Site:
    """An endpoint whose behaviour (`how`: a function, or bytes) may change. It knows a verification
    from a request, and how many it had at a time."""

    def __init__(self, raw, name, how=None, **more):
        self.how = how or answer
        self.asked, self.verified = [], []  # (time, request)
        self.now = self.peak = 0
        self.lock = threading.Lock()
        self.up = raw(self.play)
        self.name = name
        self.endpoint = self.up.endpoint(name, **more)

    def play(self, peer, request):
        verification = QUESTION in request.body or request.method == "HEAD"
        with self.lock:
            (self.verified if verification else self.asked).append((time.time(), request))
            if not verification:
                self.now += 1
                self.peak = max(self.peak, self.now)
        left = threading.Event()

        def leave():
            """Before the reply's first byte, so that who comes after it is not counted beside it."""
            with self.lock:
                if not verification and not left.is_set():
                    self.now -= 1
            left.set()

        def send(data):
            leave()
            type(peer).send(peer, data)

        peer.send = send
        try:
            if callable(self.how):
                self.how(peer, request)
            else:
                peer.send(self.how)
        finally:
            leave()

    @property
    def n(self):
        return len(self.asked)


def text_of(request):
    """The code of a verification, else a greeting."""
    at = request.body.find(QUESTION)
    return request.body[at + len(QUESTION):][:6].decode() if at >= 0 else "hello"


def answer(peer, request):
    if request.method == "HEAD":
        peer.send(b"HTTP/1.1 404 X\r\ncontent-length: 9\r\n\r\n")
        return
    peer.send(reply(json.dumps({"type": "message", "content": [{"type": "text", "text": text_of(request)}]}).encode()))


def stream(peer, request):
    """A relay that always streams, a letter at a time."""
    events = ['event: message_start\ndata: {"type":"message_start","message":{}}\n\n',
              'event: content_block_start\ndata: {"type":"content_block_start","index":0}\n\n']
    events += ['event: content_block_delta\ndata: %s\n\n' % json.dumps(
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": c}}) for c in text_of(request)]
    events += ['event: message_stop\ndata: {"type":"message_stop"}\n\n']
    peer.send(reply("".join(events).encode(), type="text/event-stream"))


def broken(peer, _request):
    peer.close()


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


def slowly(how, seconds):
    def play(peer, request):
        time.sleep(seconds)  # lint: the simulated endpoint takes so long
        how(peer, request) if callable(how) else peer.send(how)
    return play


def page(peer, _request):
    peer.send(reply(b"<html>sign in</html>", type="text/html"))


def ask(q, model="m", **more):
    """One request on a connection of its own."""
    with Client(q.port) as c:
        return c.ask(model=model, **more)


def crowd(q, n, **more):
    """n requests at once; their replies."""
    with concurrent.futures.ThreadPoolExecutor(n) as pool:
        return list(pool.map(lambda _: ask(q, **more), range(n)))


def went(q, n=1, **more):
    """Where n requests, one after the other, were served; the status where by nobody."""
    out = []
    for _ in range(n):
        r = ask(q, **more)
        out.append(r.header("x-qcc-endpoint") if r.status == 200 else r.status)
    return out


def seconds_between(q, first, second):
    """Between two lines of the log (the last match of `first`, the next one of `second`)."""
    stamp = "(?m)^(\\S+)Z .*"
    a = list(re.finditer(stamp + first, q.log()))[-1]
    b = re.compile(stamp + second).search(q.log(), a.end())
    assert b, second
    at = [datetime.datetime.fromisoformat(m.group(1)) for m in (a, b)]
    return (at[1] - at[0]).total_seconds()


def workers_of(q, site):
    """Which workers have begun attempts there."""
    return set(re.findall("(worker \\d+) \\[\\w+\\]: attempt \\d+ at %s\\n" % site.name, q.log()))


@pytest.fixture
def sites(raw):
    """sites("ab"): that many endpoints, of falling priority."""

    def make(names, **more):
        return [Site(raw, name, priority=i + 1, **more) for i, name in enumerate(names)]

    return make


@pytest.fixture
def house(qcc):
    """house(sites, config): four workers; failures degrade nothing, so that the first one stays the
    first choice."""

    def make(all_sites, config=None, **kw):
        base = {
            "workers": 4,
            "endpoints": [s.endpoint for s in all_sites],
            "balance": {"strategy": "priority_failover"},
            "retry": {"transient_delay": "1ms", "max_attempts_per_endpoint": 1},
            "health": {"degraded_for": "0s"},
        }
        for key, value in (config or {}).items():
            base[key] = {**base[key], **value} if isinstance(value, dict) and key in base else value
        return qcc(base, **kw)

    return make


def breaker_of(q, name):
    """As the supervisor knows it."""
    status, body = q.get("/api/v1/endpoints", port=q.admin_port)
    assert status == 200
    return next(e["breaker"] for e in json.loads(body)["endpoints"] if e["name"] == name)


@contextlib.contextmanager
def all_hear(q, news=1):
    """Around what changes the state of so many endpoints: goes on when every worker has heard of it."""
    line = "worker \\d+: from supervisor ENDPOINT"
    before = q.count(line)
    yield
    until(lambda: q.count(line) >= before + news * q.config["workers"], "all workers to hear")


def open_breaker(q, site, spare=None):
    """Makes it fail until its breaker is open; then it fails no more."""
    was, site.how = site.how, broken
    n = q.count("endpoint %s: breaker \\w+ -> open" % site.name)
    until(lambda: ask(q) and q.count("endpoint %s: breaker \\w+ -> open" % site.name) > n,
          "the breaker of %s to open" % site.name, step=0)
    site.how = was


def open_exactly(q, site):
    open_breaker(q, site)
    return site.n


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
    until(lambda: crowd(q, 8, stream=True) and q.count("endpoint a: breaker closed -> open"), "the breaker to open",
          timeout=10)


def test_a_reply_that_comes_to_its_end_ends_the_row(house, sites):
    a, b = sites("ab")
    q = house([a, b], {"retry": {"max_attempts": 1}})
    for how in [cut_stream, cut_stream, slow_stream] * 3:
        a.how = how
        n = a.n
        until(lambda: ask(q, stream=True) and a.n > n, "a to be asked", step=0)
    assert q.count("endpoint a: breaker") == 0
    a.how = cut_stream
    until(lambda: ask(q, stream=True) and q.count("endpoint a: breaker closed -> open"), "the breaker to open", step=0)


def test_trial_that_breaks_off_has_failed(house, sites):
    a, b = sites("ab")
    q = house([a, b], {"breaker": {"open_duration": "600ms"}})
    at = open_exactly(q, a)
    a.how = cut_stream
    until(lambda: ask(q, stream=True) and a.n > at, "the trial")
    q.wait_log("endpoint a: breaker closed -> open: failures in a row", 2)
    q.wait_log("endpoint a: breaker open -> half_open", 2)
    assert a.n == at + 1 and seconds_between_nth(q, 1) >= 1.19


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


# ---- half open

HALF = {"breaker": {"open_duration": "400ms"}}


def test_one_trial_over_all_workers_and_the_duration_doubles(house, sites):
    a, b = sites("ab")
    q = house([a, b], HALF)
    at = open_exactly(q, a)
    a.how = slowly(error(503), 0.5)
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


def seconds_between_nth(q, n):
    opened = re.findall("(?m)^(\\S+)Z .*endpoint a: breaker \\w+ -> open", q.log())
    half = re.findall("(?m)^(\\S+)Z .*endpoint a: breaker open -> half_open", q.log())
    return (datetime.datetime.fromisoformat(half[n]) - datetime.datetime.fromisoformat(opened[n])).total_seconds()


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
    a.how = slowly(error(503), 0.1)
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


def connect_ok(q):
    try:
        return ask(q).status == 200
    except OSError:
        return False


# ---- rate limits

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
def test_cooldown_by_its_own_word(house, sites, make):
    a, b = sites("ab")
    q = house([a, b])
    a.how = lambda peer, _: peer.send(make())
    assert went(q) == ["b"]
    q.wait_log("endpoint a: cooldown cooling by its own word for [1-3]\\.")
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


@pytest.mark.parametrize("wait,said", [
    ("31536000", "by its own word for 1\\.0 s"), ("99999999999999999999", "(by its own word )?for 1\\.0 s"),
    ("Fri, 31 Dec 9999 23:59:59 GMT", "by its own word for 1\\.0 s"), ("-5", "for 1\\.0 s"), ("0", "for 1\\.0 s"),
    ("soon", "for 1\\.0 s"), ("", "for 1\\.0 s")])
def test_an_endpoint_that_lies_about_its_wait(house, sites, wait, said):
    """At most rate_limit.max_cooldown; what is no wait is none that was told."""
    a, b = sites("ab")
    q = house([a, b], {"rate_limit": {"max_cooldown": "1s", "default_cooldown": "1s"}})
    a.how = error(429, "rate_limit_error", headers=["retry-after: " + wait])
    assert went(q) == ["b"]
    q.wait_log("endpoint a: cooldown cooling " + said)
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
    q.wait_log("endpoint a: cooldown cooling for 2\\.0 s")
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
        q.wait_log("endpoint a: cooldown cooling by its own word")
        a.how = answer
        go.set()
        assert early.result().header("x-qcc-endpoint") == "a"
    assert {r.header("x-qcc-endpoint") for r in crowd(q, 12)} == {"b"} and a.n == 2


def test_told_nothing_two_seconds_then_doubling(house, sites):
    a, b = sites("ab")
    q = house([a, b], {"rate_limit": {"default_cooldown": "3s"}})
    a.how = error(429, "rate_limit_error")
    assert went(q) == ["b"]
    q.wait_log("endpoint a: cooldown cooling for 2\\.0 s")
    until(lambda: went(q) == ["b"] and a.n == 2, "the second one")
    q.wait_log("endpoint a: cooldown cooling for 3\\.0 s")  # 4 s would be over default_cooldown
    a.how = answer
    until(lambda: went(q) == ["a"], "the cooldown to end")
    a.how = error(429, "rate_limit_error")
    assert went(q) == ["b"]
    q.wait_log("endpoint a: cooldown cooling for 2\\.0 s", 2)  # a success has ended the row


def test_all_cooling_answers_at_once(house, sites):
    a, b = sites("ab")
    q = house([a, b])
    a.how = error(429, "rate_limit_error", headers=["retry-after: 30"])
    b.how = error(429, "rate_limit_error", headers=["retry-after: 20"])
    with all_hear(q, 2):
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
        q.wait_log("endpoint a: cooldown cooling by its own word")
        a.how = answer
        assert [job.result().status for job in jobs] == [200] * 12


# ---- auth

def test_auth_disables_until_verified(house, sites):
    a, b = sites("ab")
    q = house([a, b], {"failure_queue": {"verify_disabled_interval": "300ms"}})
    a.how = error(401, "authentication_error", "invalid x-api-key")
    assert went(q) == ["b"]
    q.wait_log("endpoint a: service enabled -> disabled by auth")
    assert {r.status for r in crowd(q, 12)} == {200} and a.n == 1
    until(lambda: len(a.verified) >= 2, "verifications that fail")
    a.how = answer
    q.wait_log("endpoint a: service disabled by auth -> enabled: verified")
    assert went(q) == ["a"]


def test_auth_with_the_clients_own_key_disables_nothing(house, sites):
    a, b = sites("ab")
    for s in (a, b):
        del s.endpoint["api_key"]
    q = house([a, b])
    a.how = error(401, "authentication_error", "invalid x-api-key")
    assert went(q, 3) == ["b"] * 3 and a.n == 3
    assert q.count("disabled") == 0


def test_a_changed_key_is_another_endpoint(house, sites):
    a, b = sites("ab")
    q = house([a, b], {"failure_queue": {"verify_disabled_interval": "0s"}})
    a.how = error(403, "permission_error", "your API key has been revoked")
    assert went(q) == ["b"]
    q.wait_log("disabled by auth")
    a.how = answer
    q.reload({"endpoints": [{**a.endpoint, "api_key": "sk-new-0123456789abcdef"}, b.endpoint]})
    until(lambda: went(q) == ["a"], "the new key to be used")
    assert not a.verified


# ---- permanent

def test_model_blocked_for_all_workers(house, sites):
    a, b = sites("ab")
    q = house([a, b])
    a.how = lambda peer, r: answer(peer, r) if r.json()["model"] == "m" else peer.send(
        error(404, "not_found_error", "model: other"))
    assert went(q, model="other") == ["b"]
    q.wait_log("endpoint a: model open -> blocked")
    assert {r.header("x-qcc-endpoint") for r in crowd(q, 12, model="other")} == {"b"}
    assert a.n == 1
    assert set(went(q, 8)) == {"a"}
    assert q.count("endpoint a: (health \\w+ -> unhealthy|failure queue|breaker)") == 0


def test_a_block_ends(house, sites):
    a, b = sites("ab")
    q = house([a, b], {"rate_limit": {"max_cooldown": "500ms", "default_cooldown": "500ms"}})
    a.how = error(404, "not_found_error", "model: m")
    with all_hear(q):
        assert went(q) == ["b"]
    a.how = answer
    until(lambda: went(q) == ["a"], "the block to end")
    assert a.asked[1][0] - a.asked[0][0] >= 0.45


def test_overruled_refusal_queues(house, sites):
    a, b = sites("ab")
    q = house([a, b])
    a.how = error(400, "invalid_request_error", "something about it")
    assert went(q) == ["b"]
    q.wait_log("endpoint a: failure queue out -> queued")
    assert set(went(q, 12)) == {"b"} and a.n == 1
    a.how = answer
    q.wait_log("endpoint a: failure queue queued -> out: verified")


@pytest.mark.parametrize("refusal", [
    error(400, "invalid_request_error", "something about it"),
    error(404, "not_found_error", "model: m"),
    reply(b"<html><head><title>Just a moment...</title></head></html>", 403, ["server: cloudflare", "cf-mitigated: challenge"],
          type="text/html"),
], ids=["request", "model", "wall"])
def test_a_refusal_of_both_charges_nobody(house, sites, refusal):
    """Not even where its words speak of the endpoint."""
    a, b = sites("ab")
    q = house([a, b])
    a.how = b.how = refusal
    assert [r.status for r in crowd(q, 12)] == [int(refusal.split()[1])] * 12
    assert q.count("endpoint [ab]: ") == q.count("endpoint [ab]: permanent")  # reports, and no change
    assert went(q, model="x") == [int(refusal.split()[1])]


def test_count_tokens_is_known_to_be_lacking(house, sites):
    a, b = sites("ab")
    q = house([a])
    a.how = lambda peer, r: peer.send(error(404)) if "count_tokens" in r.target else answer(peer, r)

    def count(_=None):
        with Client(q.port) as c:
            return c.ask(path="/v1/messages/count_tokens").json()["input_tokens"]

    assert count() > 0
    q.wait_log("endpoint a: count_tokens has it -> lacks it")
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert all(n > 0 for n in pool.map(count, range(16)))
    assert a.n == 1
    assert went(q) == ["a"]


# ---- unknown: the failure queue and verifications

def queued(q, a):
    a.how = page
    assert went(q) == ["b"]
    q.wait_log("endpoint a: failure queue out -> queued")


def test_verified_at_once_and_again_after_five_seconds(house, sites):
    a, b = sites("ab")
    q = house([a, b])
    queued(q, a)
    until(lambda: len(a.verified) == 1, "the first verification")
    q.wait_log("endpoint a: verification 1 failed")
    assert set(went(q, 12)) == {"b"} and a.n == 1
    a.how = answer
    q.wait_log("endpoint a: failure queue queued -> out: verified")
    q.wait_log("endpoint a: health unhealthy -> healthy: verified")
    assert 4.9 <= a.verified[1][0] - a.verified[0][0]
    assert set(went(q, 8)) == {"a"}


def test_a_queued_one_takes_no_traffic(house, sites):
    """Not even when another one fails, as long as that is usable (see test_last_endpoint.py)."""
    a, b = sites("ab")
    q = house([a, b], {"breaker": {"failure_threshold": 1000}})
    queued(q, a)
    b.how = error(500)
    assert went(q, 3) == [500] * 3
    assert {r.status for r in crowd(q, 12)} == {500}
    assert a.n == 1


@pytest.mark.parametrize("how,ok", [
    (answer, True), (stream, True), (reply(), False), (page, False), (broken, False),
    (reply(b'{"type":"error","error":{"type":"api_error","message":"no"}}'), False),
    (error(500), False), (error(401, "authentication_error", "invalid x-api-key"), False),
    # who repeats the question in an error has not answered it
    (lambda peer, r: peer.send(error(400, "invalid_request_error", r.body.decode("latin-1"))), False),
], ids=["json", "stream", "no code", "page", "broken", "error in 200", "500", "401", "echo in an error"])
def test_what_a_verification_takes(house, sites, how, ok):
    a, b = sites("ab")
    q = house([a, b], {"failure_queue": {"verify_interval": "200ms"}})
    a.how = lambda peer, r: page(peer, r) if QUESTION not in r.body else how(peer, r) if callable(how) else peer.send(how)
    assert went(q) == ["b"]
    if ok:
        q.wait_log("endpoint a: failure queue queued -> out: verified")
    else:
        q.wait_log("endpoint a: verification [012] failed")
        assert q.count("verified") == 0
    verification = a.verified[0][1]
    assert verification.method == "POST" and verification.target == "/v1/messages"
    assert verification.header("x-api-key") == a.endpoint["api_key"]
    assert verification.header("anthropic-version") == "2023-06-01"
    assert verification.json()["max_tokens"] <= 64


def test_verification_asks_for_the_model_last_served(house, sites):
    a, b = sites("ab", models={"map": {"mine": "theirs"}})
    q = house([a, b])
    assert went(q, model="mine") == ["a"]
    queued(q, a)
    until(lambda: a.verified, "the verification")
    assert a.verified[0][1].json()["model"] == "theirs"


def test_verification_asks_for_the_configured_model(house, sites):
    a, b = sites("ab")
    q = house([a, b], {"failure_queue": {"probe_model": "small"}})
    assert went(q) == ["a"]
    queued(q, a)
    until(lambda: a.verified, "the verification")
    assert a.verified[0][1].json()["model"] == "small"


def test_verification_has_a_time(house, sites):
    a, b = sites("ab")
    q = house([a, b], {"failure_queue": {"probe_timeout": "200ms"}})
    a.how = lambda peer, r: page(peer, r) if QUESTION not in r.body else peer.wait_gone()
    assert went(q) == ["b"]
    q.wait_log("endpoint a: verification 1 failed: no answer within failure_queue.probe_timeout")


def test_each_verification_has_its_code(house, sites):
    """Six characters that nobody can know before."""
    a, b = sites("ab")
    q = house([a, b], {"failure_queue": {"verify_interval": "100ms"}})
    queued(q, a)
    until(lambda: len(a.verified) >= 5, "verifications")
    asked = [r.json()["messages"][0]["content"].encode() for _, r in a.verified]
    codes = {text.removeprefix(QUESTION) for text in asked}
    assert len(codes) == len(asked) and all(re.fullmatch(b"[a-z0-9]{6}", code) for code in codes)


@pytest.mark.parametrize("status,ok", [(200, True), (404, True), (401, True), (499, True), (500, False), (503, False), (529, False)])
def test_what_a_probe_by_http_takes(house, sites, status, ok):
    a, b = sites("ab")
    q = house([a, b], {"failure_queue": {"probe": "http"}})
    a.how = lambda peer, r: peer.send(b"HTTP/1.1 %d X\r\ncontent-length: 0\r\n\r\n" % status) if r.method == "HEAD" else page(peer, r)
    assert went(q) == ["b"]
    q.wait_log("endpoint a: failure queue queued -> out: verified" if ok else "endpoint a: verification 1 failed: status %d" % status)
    assert (q.count("queued -> out") > 0) == ok


@pytest.mark.parametrize("keyless", [False, True])
def test_probe_http(house, sites, keyless):
    a, b = sites("ab")
    if keyless:
        del a.endpoint["api_key"]
    q = house([a, b], {} if keyless else {"failure_queue": {"probe": "http"}})
    a.how = lambda peer, r: answer(peer, r) if r.method == "HEAD" else page(peer, r)
    assert went(q) == ["b"]
    q.wait_log("endpoint a: failure queue queued -> out: verified")
    assert [r.method for _, r in a.verified] == ["HEAD"]


def test_probe_off_lets_a_trial_through(house, sites):
    a, b = sites("ab")
    q = house([a, b], {"failure_queue": {"probe": "off", "verify_interval": "500ms"}})
    queued(q, a)
    a.how = answer
    q.wait_log("endpoint a: failure queue queued -> out: time is over, the next request is a trial")
    until(lambda: ask(q) and q.count("endpoint a: breaker half_open -> closed: the trial succeeded"), "the trial")
    assert not a.verified and a.asked[1][0] - a.asked[0][0] >= 0.45


def test_the_last_one_is_never_queued(house, sites):
    a, b = sites("ab")
    q = house([a, b], {"breaker": {"failure_threshold": 1000}})
    a.how = b.how = moved = reply(b"", 302, ["location: http://127.0.0.1:1/"])
    assert went(q) == [302]
    q.wait_log("endpoint a: failure queue out -> queued")
    q.wait_log("endpoint b: health unknown -> unhealthy: the last one: still in service")
    assert went(q, 4) == [302] * 4
    assert b.n == 5 and q.count("endpoint b: failure queue") == 0
    b.how = answer
    assert went(q) == ["b"]
    b.how = moved
    went(q)
    a.how = answer
    q.wait_log("endpoint a: failure queue queued -> out: verified")
    q.wait_log("endpoint b: failure queue out -> queued: no longer the last one")


def test_worker_dies_while_it_verifies(house, sites):
    a, b = sites("ab")
    q = house([a, b])
    a.how = lambda peer, r: page(peer, r) if QUESTION not in r.body else peer.wait_gone()
    assert went(q) == ["b"]
    worker = q.wait_log("endpoint a: worker (\\d+) verifies it").group(1)
    until(lambda: a.verified, "the verification")
    a.how = answer
    os.kill(int(re.findall("worker %s started, pid (\\d+)" % worker, q.log())[-1]), signal.SIGKILL)
    q.wait_log("endpoint a: failure queue queued -> out: verified")


# ---- places

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
