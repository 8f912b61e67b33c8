"""The last endpoint that could serve is never out of reach (behaviour: section 4, *The last one*)."""
import json

import pytest

from client import Client, another
from qcc import until
from upstream import MESSAGE, error, reply

QUESTION = b"Reply with these six characters and nothing else: "
PAGE = reply(b"<html>sign in</html>", type="text/html")


class Site:
    """An endpoint whose replies to requests and to verifications may change."""

    def __init__(self, raw, name, priority):
        self.how, self.verification = reply(MESSAGE), PAGE
        self.asked = self.verified = 0
        self.up = raw(self.play)
        self.name = name
        self.endpoint = self.up.endpoint(name, priority=priority)

    def play(self, peer, request):
        if QUESTION in request.body:
            self.verified += 1
            peer.send(self.verification)
            return
        self.asked += 1
        if self.how is None:
            peer.close()
        else:
            peer.send(self.how)


@pytest.fixture
def pair(raw, qcc):
    """pair(config): a, that is asked first, and b."""

    def make(config=None, **kw):
        a, b = Site(raw, "a", 1), Site(raw, "b", 2)
        q = qcc({
            "endpoints": [a.endpoint, b.endpoint],
            "balance": {"strategy": "priority_failover"},
            "retry": {"transient_delay": "1ms", "max_attempts_per_endpoint": 1},
            "health": {"degraded_for": "0s"},
            **(config or {}),
        }, **kw)
        return a, b, q

    return make


def ask(q, model="m"):
    with Client(q.port) as c:
        r = c.ask(model=model, messages=another())
    return r.header("x-qcc-endpoint") if r.status == 200 else r.status


def endpoint_of(q, name):
    _, body = q.get("/api/v1/endpoints", port=q.admin_port)
    return next(e for e in json.loads(body)["endpoints"] if e["name"] == name)


def known(q, name, **what):
    """Waits until the supervisor says this of it; the workers have heard it before anybody else can."""
    until(lambda: all(endpoint_of(q, name)[k] == v for k, v in what.items()), "%s of %s" % (what, name))


def cools(q, name):
    """By its own word, for all models or for some."""
    e = endpoint_of(q, name)
    return e["cooldown_own_word"] or any(c["own_word"] for c in e["cells"])


def put_out(q, how, a, b):
    """b is out in a way that leaves it enabled and out of the queue."""
    if how == "draining":
        assert q.ctl("drain", "b").returncode == 0
        known(q, "b", draining=True)
        return
    a_was, a.how = a.how, error(529, "overloaded_error")
    if how == "cooling":
        b.how = error(429, "rate_limit_error", headers=["retry-after: 3000"])
        until(lambda: ask(q) and cools(q, "b"), "b to cool")
    else:
        b.how = None
        until(lambda: ask(q) and endpoint_of(q, "b")["breaker"]["state"] == "open", "b's breaker to open")
    a.how = a_was
    assert q.ctl("reset", "a").returncode == 0
    known(q, "a", health="unknown")


def queued(q, a):
    """A page, while b could serve."""
    was, a.how = a.how, PAGE
    assert ask(q) == "b"
    q.wait_log("endpoint a: failure queue out -> queued")
    q.wait_log("endpoint a: verification 1 failed")
    a.how = was


OUT = ["draining", "cooling", "open"]


@pytest.mark.parametrize("how", OUT)
def test_a_page_of_the_only_usable_one_does_not_queue_it(pair, how):
    a, b, q = pair({"breaker": {"failure_threshold": 3, "open_duration": "1h", "max_open_duration": "1h"}})
    put_out(q, how, a, b)
    a.how = PAGE
    ask(q)
    q.wait_log("endpoint a: health \\w+ -> unhealthy: the last one: still in service")
    a.how = reply(MESSAGE)
    assert ask(q) == "a"
    assert q.count("endpoint a: failure queue out -> queued") == 0


def own_models(raw, qcc, config=None):
    """a alone offers claude-opus-*; both offer m."""
    a, b = Site(raw, "a", 1), Site(raw, "b", 2)
    a.endpoint["models"] = {"allow": ["claude-opus-*", "m"]}
    b.endpoint["models"] = {"allow": ["claude-haiku-*"], "map": {"m": "n"}}
    q = qcc({"endpoints": [a.endpoint, b.endpoint], "balance": {"strategy": "priority_failover"},
             "retry": {"transient_delay": "1ms", "max_attempts_per_endpoint": 1},
             "failure_queue": {"verify_interval": "1h"}, **(config or {})})
    return a, b, q


def test_the_last_one_for_a_model_asked_for(raw, qcc):
    """That b is usable does not help those who ask for claude-opus-4."""
    a, b, q = own_models(raw, qcc)
    assert ask(q, "claude-opus-4") == "a"
    a.how = PAGE
    assert ask(q) == "b"
    q.wait_log("endpoint a: health \\w+ -> unhealthy: the last one: still in service")
    a.how = reply(MESSAGE)
    assert q.count("endpoint a: failure queue out -> queued") == 0
    assert ask(q, "claude-opus-4") == "a" and ask(q, "claude-haiku-4") == "b"
    # it is no longer offered anywhere
    a.endpoint["models"] = {"allow": ["m"]}
    q.reload({"endpoints": [a.endpoint, b.endpoint]})
    a.how = PAGE
    assert ask(q) == "b"
    known(q, "a", state="queued")
    a.how = reply(MESSAGE)
    a.endpoint["models"] = {"allow": ["m", "claude-opus-*"]}
    q.reload({"endpoints": [a.endpoint, b.endpoint]})
    q.wait_log("endpoint a: failure queue out of reach -> in reach: no other is usable for its models")
    until(lambda: ask(q, "claude-opus-4") == "a", "a to be asked")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_model_that_nobody_asks_for_spares_nobody(raw, qcc, workers):
    """The first that asks for it is served, at whatever worker."""
    a, b, q = own_models(raw, qcc, {"workers": workers})
    a.how = PAGE
    assert ask(q) == "b"
    q.wait_log("endpoint a: failure queue out -> queued")
    a.how = reply(MESSAGE)
    assert ask(q) == "b"
    assert ask(q, "claude-opus-4") == "a"
    assert q.count("endpoint a: failure queue out of reach -> in reach: no other is usable for its models") == 1


@pytest.mark.parametrize("workers", [1, 2])
def test_ready_for_what_is_asked_for(raw, qcc, workers):
    """One model that would be served is enough; one that nobody asks for does not count."""
    a, b, q = own_models(raw, qcc, {"workers": workers,
                                    "breaker": {"failure_threshold": 1, "open_duration": "1h", "max_open_duration": "1h"}})

    def ready():
        return q.get("/readyz", port=q.admin_port)[0] == 200

    assert ready()  # nothing was asked for
    assert ask(q, "claude-opus-4") == "a"
    a.how = None
    ask(q, "claude-opus-4")
    known(q, "a", tier="circuit_open")
    assert b.endpoint and not ready()  # b is well, and nobody wants what it has
    assert ask(q, "claude-haiku-4") == "b"
    until(ready, "what b has to be asked for")


def test_ready_for_what_is_asked_for_by_family(raw, qcc):
    """The cell of the only family that is asked for is open; that others would be served does not count."""
    a = Site(raw, "a", 1)
    q = qcc({"workers": 1, "endpoints": [a.endpoint], "retry": {"max_attempts_per_endpoint": 1},
             "breaker": {"failure_threshold": 1, "open_duration": "1h", "max_open_duration": "1h"}})

    def ready():
        return q.get("/readyz", port=q.admin_port)[0] == 200

    assert ask(q, "claude-opus-4") == "a" and ready()
    a.how = error(529, "overloaded_error")
    assert ask(q, "claude-opus-4") == 529
    until(lambda: not ready(), "opus to be out")
    a.how = reply(MESSAGE)
    assert ask(q, "claude-haiku-4") == "a" and ready()


@pytest.mark.parametrize("how", OUT + ["disabled"])
def test_a_queued_one_comes_in_reach(pair, how):
    a, b, q = pair({"breaker": {"failure_threshold": 3, "open_duration": "1h", "max_open_duration": "1h"},
                    "failure_queue": {"verify_interval": "1h"}})
    queued(q, a)
    if how == "draining":
        put_out(q, how, a, b)
    elif how == "disabled":
        assert q.ctl("disable", "b").returncode == 0
    elif how == "cooling":
        b.how = error(429, "rate_limit_error", headers=["retry-after: 3000"])
        a.how = PAGE
        ask(q)
    else:
        b.how, a.how = None, PAGE
        until(lambda: ask(q) and endpoint_of(q, "b")["breaker"]["state"] == "open", "b's breaker to open")
    q.wait_log("endpoint a: failure queue out of reach -> in reach: no other is usable")
    a.how = reply(MESSAGE)
    e = endpoint_of(q, "a")
    if e["queued"]:
        assert e["state"] == "queued" and e["tier"] == "unhealthy" and e["queued"]["in_reach"] is True
        assert q.get("/readyz", port=q.admin_port)[0] == 200
        assert "in reach" in q.ctl("endpoints").stdout and "in reach" in q.ctl("queue").stdout
    until(lambda: ask(q) == "a", "a to be asked")
    q.wait_log("endpoint a: failure queue queued -> out: a success")
    known(q, "a", health="healthy", queued=None)


def test_a_failure_leaves_it_queued_and_its_verifications_go_on(pair):
    a, b, q = pair({"failure_queue": {"verify_interval": "200ms"}, "breaker": {"failure_threshold": 1000}})
    queued(q, a)
    assert q.ctl("disable", "b").returncode == 0
    q.wait_log("endpoint a: failure queue out of reach -> in reach")
    a.how = error(500)
    n, seen = a.asked, a.verified
    assert [ask(q) for _ in range(5)] == [500] * 5
    assert a.asked == n + 5 and endpoint_of(q, "a")["queued"]
    until(lambda: a.verified >= seen + 2, "further verifications")
    # another that is usable takes it out of reach again
    assert q.ctl("enable", "b").returncode == 0
    q.wait_log("endpoint a: failure queue in reach -> out of reach: another is usable")
    n = a.asked
    assert [ask(q) for _ in range(5)] == ["b"] * 5 and a.asked == n


def test_out_of_reach_when_the_others_cooldown_is_over(pair):
    a, b, q = pair({"failure_queue": {"verify_interval": "1h"}})
    queued(q, a)
    a.how, b.how = PAGE, error(429, "rate_limit_error", headers=["retry-after: 2"])
    assert ask(q) == 429
    q.wait_log("endpoint a: failure queue out of reach -> in reach")
    b.how = reply(MESSAGE)
    q.wait_log("endpoint a: failure queue in reach -> out of reach")
    n = a.asked
    assert ask(q) == "b" and a.asked == n


def test_spared_and_queued_when_the_others_cooldown_is_over(pair):
    a, b, q = pair({"failure_queue": {"verify_interval": "1h"}})
    a.how, b.how = error(529, "overloaded_error"), error(429, "rate_limit_error", headers=["retry-after: 2"])
    assert ask(q) == 429
    until(lambda: cools(q, "b"), "b to cool")
    a.how = PAGE
    ask(q)
    q.wait_log("endpoint a: health \\w+ -> unhealthy: the last one: still in service")
    q.wait_log("endpoint a: failure queue out -> queued: no longer the last one")


def test_a_queued_one_that_a_reload_leaves_alone(pair):
    a, b, q = pair({"failure_queue": {"verify_interval": "1h"}})
    queued(q, a)
    q.reload({"endpoints": [a.endpoint]})
    until(lambda: ask(q) == "a", "a to be asked")
    q.wait_log("endpoint a: failure queue queued -> out: a success")


def test_in_reach_after_a_restart(pair, tmp_path):
    a, b, q = pair({"state_dir": str(tmp_path / "state"), "failure_queue": {"verify_interval": "1h"}})
    queued(q, a)
    assert q.ctl("disable", "b").returncode == 0
    assert q.stop() == 0
    q.start(wait=False)
    q.wait_serving(2)
    q.wait_log("endpoint a: queued before the restart")
    assert ask(q) == "a"
    q.wait_log("endpoint a: failure queue queued -> out: a success")


def test_in_reach_after_an_upgrade(pair):
    a, b, q = pair({"failure_queue": {"verify_interval": "1h"}})
    queued(q, a)
    assert q.ctl("disable", "b").returncode == 0
    q.wait_log("endpoint a: failure queue out of reach -> in reach")
    q.upgrade()
    assert endpoint_of(q, "a")["queued"]["in_reach"] is True
    assert ask(q) == "a"
    q.wait_log("endpoint a: failure queue queued -> out: a success")


def test_in_reach_behind_an_open_breaker(pair):
    """One at a time, as the last resort; its success ends both."""
    a, b, q = pair({"failure_queue": {"verify_interval": "1h"},
                    "breaker": {"failure_threshold": 2, "open_duration": "1h", "max_open_duration": "1h"}})
    queued(q, a)
    assert q.ctl("disable", "b").returncode == 0
    q.wait_log("endpoint a: failure queue out of reach -> in reach")
    a.how = None
    until(lambda: ask(q) and q.count("endpoint a: breaker closed -> open"), "a's breaker to open")
    assert endpoint_of(q, "a")["queued"] and endpoint_of(q, "a")["tier"] == "circuit_open"
    a.how = reply(MESSAGE)
    until(lambda: ask(q) == "a", "a to be tried")
    q.wait_log("endpoint a: breaker open -> closed: the trial succeeded")
    q.wait_log("endpoint a: failure queue queued -> out: a success")


def test_coming_back_to_the_queue_is_no_new_beginning(pair):
    """What passes its verifications and fails requests is not verified without a pause."""
    a, b, q = pair({"breaker": {"failure_threshold": 1000}})
    a.how = PAGE
    a.verification = reply(MESSAGE)
    code = {}

    def play(peer, request):
        at = request.body.find(QUESTION)
        if at < 0:
            peer.send(PAGE)
            return
        code["n"] = code.get("n", 0) + 1
        text = request.body[at + len(QUESTION):][:6].decode()
        peer.send(reply(json.dumps({"type": "message", "content": [{"type": "text", "text": text}]}).encode()))

    a.up.play = play
    assert ask(q) == "b"
    q.wait_log("endpoint a: failure queue queued -> out: verified")
    assert ask(q) == "b"
    q.wait_log("endpoint a: failure queue out -> queued", count=2)
    assert 3 < endpoint_of(q, "a")["queued"]["next_in_s"] <= 5
    q.wait_log("endpoint a: failure queue queued -> out: verified", count=2)
    assert code["n"] == 2
