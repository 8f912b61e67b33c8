"""class Site, an endpoint whose behaviour may change, and four workers in front of such ones (`house`)."""
import concurrent.futures
import contextlib
import datetime
import json
import re
import signal
import threading
import time

import pytest

from client import Client, another
from qcc import PATIENCE, until
from upstream import error, reply

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


def broken(peer, _request):
    peer.close()


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
        return c.ask(**{"model": model, "messages": another(), **more})


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


@contextlib.contextmanager
def all_hear(q, news=1, what="ENDPOINT"):
    """Around what changes the state of so many endpoints (or what="CELL", cells): goes on when every worker has heard of
    it."""
    line = "worker \\d+: from supervisor %s," % what
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


def seconds_between_nth(q, n, what="a"):
    """From the nth opening of the breaker of an endpoint, or of a cell of it ("a: opus"), to its being half open."""
    opened = re.findall("(?m)^(\\S+)Z .*endpoint %s: breaker \\w+ -> open" % what, q.log())
    half = re.findall("(?m)^(\\S+)Z .*endpoint %s: breaker open -> half_open" % what, q.log())
    return (datetime.datetime.fromisoformat(half[n]) - datetime.datetime.fromisoformat(opened[n])).total_seconds()


def connect_ok(q):
    try:
        return ask(q).status == 200
    except OSError:
        return False


def loses_its_endpoint(q, b, how, **more):
    """Requests wait at b until one of worker 1 does. That worker drains (how: stop, fewer workers, upgrade), and then b fails
    them all, that one first. (its reply, the futures of all replies)"""
    before, go = b.n, [threading.Event() for _ in range(100)]

    def fails_later(peer, _request):
        assert go[b.n - before - 1].wait(PATIENCE)
        peer.send(error(503))

    b.how = fails_later
    held = " \\[\\w+\\]: attempt 1 at b\\n"
    was, all_of_them = q.count("worker 1" + held), q.count(held)
    with concurrent.futures.ThreadPoolExecutor(100) as pool:
        replies = []
        while q.count("worker 1" + held) == was:  # until worker 1, which drains in each case, has one
            replies.append(pool.submit(ask, q, **more))
            until(lambda: b.n == before + len(replies) and q.count(held) == all_of_them + len(replies), "it at b")
        if how == "stop":
            q.signal(signal.SIGTERM)
        elif how == "upgrade":
            q.upgrade()
        else:
            q.reload({"workers": 1})
        q.wait_log("to worker 1 DRAIN")
        go[len(replies) - 1].set()
        r = replies[-1].result()
        for gate in go:
            gate.set()
    return r, replies
