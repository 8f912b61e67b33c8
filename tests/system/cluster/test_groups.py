"""What hosts share of an endpoint beside its breaker: model families, marks, the model last served; what is only seen
from one place; operators' words on all hosts and on one."""
import re
import threading
import urllib.error
import urllib.request

import pytest

from client import ask, another
from engine import Engine
from qcc import until
from trial import one_trial
from upstream import error, reply

SECRET = "0123456789abcdef0123456789abcdef"
OPUS, HAIKU = "claude-opus-4-8", "claude-haiku-4-5"
LIMIT = error(429, "rate_limit_error", "no more %s for now" % OPUS, headers=["retry-after: 300"])
UNKNOWN = error(404, "not_found_error", "model: %s" % OPUS)
PAGE = reply(b"<html>welcome</html>", type="text/html")


@pytest.fixture
def engine(tmp_path):
    e = Engine(tmp_path / "engine")
    yield e
    e.close()


class Play:
    """An endpoint that serves, or does what it is told: `says` for all, `of` for a model; counts what comes in."""

    def __init__(self):
        self.says, self.of, self.n, self.delay = reply(), {}, 0, threading.Event()
        self.delay.set()

    def __call__(self, peer, request):
        self.n += 1
        self.delay.wait(20)
        model = request.json().get("model") if request.body else None
        how = self.of.get(model, self.says)
        if how is None:
            peer.reset()
        else:
            peer.send(how)


@pytest.fixture
def plays(raw):
    made = [Play(), Play()]
    made[0].where = raw(made[0]).endpoint("first", priority=1)
    made[1].where = raw(made[1]).endpoint("second", priority=2)
    return made


@pytest.fixture
def host(qcc, engine, plays):
    """host(name, config, **cluster): a QCC of the cluster that is up."""

    def make(name, config=None, endpoints=None, **cluster):
        q = qcc({"endpoints": endpoints or [p.where for p in plays], "workers": 1,
                 "cluster": {"url": engine.url, "secret": SECRET, "name": name, "lease": "2s", **cluster},
                 "breaker": {"failure_threshold": 2, "open_duration": "30s"},
                 "balance": {"use_priority": True}, "failure_queue": {"probe": "off"},
                 "retry": {"transient_delay": "1ms", "max_attempts": 4},
                 "rate_limit": {"max_cooldown": "1h"}, **(config or {})})
        up(q)
        return q

    return make


@pytest.fixture
def asks(client):
    def make(q, model=OPUS, **body):
        c = client(q)
        c.send(ask(messages=another(), model=model, **body))
        r = c.reply()
        return r.header("x-qcc-endpoint")

    return make


def up(q):
    until(lambda: q.ctl_json("cluster")["state"] == "up", "the cluster to be up")


def endpoint(q, name="first"):
    return next(e for e in q.ctl_json("endpoints")["endpoints"] if e["name"] == name)


def cell(q, family="opus", name="first"):
    """What is known of the family there; empty: nothing stands against it."""
    return next((c for c in endpoint(q, name)["cells"] if c["family"] == family), {})


def is_open(q, family="opus"):
    return cell(q, family).get("breaker", {}).get("state") == "open"


def breaker(q, name="first"):
    return endpoint(q, name)["breaker"]["state"]


def marks(q, name="first"):
    return [(m["kind"], m["name"]) for m in endpoint(q, name)["marks"]]


def open_cell(q, play, asks, model=OPUS):
    assert asks(q, model) == "first"
    play.of[model] = error(500)
    until(lambda: asks(q, model) and is_open(q, "opus" if model == OPUS else "haiku"), "the cell to open")
    del play.of[model]


def stored(engine, of):
    """The groups of that kind that the engine has, of all endpoints."""
    groups = {}
    for key in engine.ask("KEYS", "{qcc}:1:e:*"):
        fields = engine.ask("HGETALL", key)
        groups.update({f.decode(): v.decode() for f, v in zip(fields[::2], fields[1::2]) if f.decode().startswith(of)})
    return groups


# ---- cells

def test_a_cell_that_opens_on_one_host_is_open_on_the_other(host, plays, asks, engine):
    """The other host has never seen that model, nor its name."""
    a, b = host("a"), host("b")
    open_cell(a, plays[0], asks)
    until(lambda: is_open(b), "the cell on the other host")
    assert breaker(b) == "closed"
    n = plays[0].n
    assert asks(b) == "second" and plays[0].n == n
    assert asks(b, HAIKU) == "first"
    (name, value), = stored(engine, "b:").items()
    assert re.fullmatch("b:[0-9a-f]{16}", name) and "opus" not in value


def test_a_host_that_comes_later_knows_of_cells_and_marks(host, plays, asks, engine):
    a = host("a")
    open_cell(a, plays[0], asks, HAIKU)
    plays[0].of[OPUS] = UNKNOWN
    until(lambda: asks(a) == "second" and marks(a), "the mark")
    b = host("b")
    until(lambda: is_open(b, "haiku") and marks(b) == marks(a), "all on the host that came later")
    engine.ask("FLUSHALL")
    until(lambda: stored(engine, "b:") and stored(engine, "x:"), "the engine to be filled again")


def test_a_cells_cooldown_goes_to_the_other_host_and_ends_there(host, plays, asks):
    a, b = host("a"), host("b")
    plays[0].of[OPUS] = LIMIT
    assert asks(a) == "second"
    until(lambda: cell(b).get("own_word"), "the cooldown on the other host")
    assert 200 < cell(b)["cooldown_s"] <= 300
    assert asks(b) == "second" and asks(b, HAIKU) == "first"
    assert b.ctl("reset", "first", "--family", "opus").returncode == 0
    until(lambda: not cell(a) and not cell(b), "the reset of the cell on both")


def test_one_trial_of_a_cell_in_the_whole_cluster(host, plays, asks):
    short = {"breaker": {"failure_threshold": 2, "open_duration": "1s", "max_open_duration": "1s"}}
    a, b = host("a", short), host("b", short)
    open_cell(a, plays[0], asks)
    until(lambda: cell(b), "the cell on the other host")
    one_trial(plays[0], (a, b), asks)
    until(lambda: not is_open(a) and not is_open(b) and not cell(a).get("breaker", {}).get("state") == "half_open",
          "the verdict on both")
    until(lambda: asks(a) == "first" and asks(b) == "first", "both to ask it again")


# ---- marks

def test_a_mark_goes_to_the_other_host_and_ends_with_a_success(host, plays, asks, engine):
    a, b = host("a"), host("b")
    plays[0].of[OPUS] = UNKNOWN
    until(lambda: asks(a) == "second" and marks(a) == [("model", OPUS)], "the mark")
    until(lambda: marks(b) == [("model", OPUS)], "the mark on the other host")
    n = plays[0].n
    assert asks(b) == "second" and plays[0].n == n
    (name, value), = stored(engine, "x:").items()
    assert re.fullmatch("x:[0-9a-f]{16}", name) and "opus" not in value
    # where nothing else is left it is asked all the same
    del plays[0].of[OPUS]
    assert b.ctl("disable", "second").returncode == 0
    until(lambda: endpoint(a, "second")["state"] == "disabled", "the word on both")
    assert asks(b) == "first"
    until(lambda: not marks(a) and not marks(b), "the end of the mark on both")


@pytest.mark.parametrize("how", ["one", "all"])
def test_an_operator_ends_marks_on_all_hosts(host, plays, asks, how):
    a, b = host("a"), host("b")
    plays[0].of[OPUS] = UNKNOWN
    until(lambda: asks(a) == "second" and marks(a), "the mark")
    until(lambda: marks(b), "the mark on the other host")
    arguments = ["--mark", OPUS] if how == "one" else []
    assert b.ctl("reset", "first", *arguments, "--here").returncode == 0
    assert marks(a) and not marks(b)
    assert a.ctl("reset", "first", *arguments).returncode == 0
    until(lambda: not marks(a), "the end here")
    c = host("c")
    assert not marks(c)


# ---- the model last served

def test_the_model_last_served_goes_to_hosts_without_traffic(host, plays, asks, engine):
    """So that they can verify: the verification asks for it."""
    a, b = host("a"), host("b")
    assert asks(a, HAIKU) == "first"
    until(lambda: any(HAIKU in v for v in stored(engine, "s").values()), "the model in the engine")
    asked = []
    plays[0].of = {HAIKU: reply()}
    was = plays[0].__class__.__call__

    def watch(self, peer, request):
        if self is plays[0] and request.body:
            asked.append(request.json().get("model"))
        was(self, peer, request)

    plays[0].__class__.__call__ = watch
    try:
        assert b.ctl("verify", "first", "--no-wait").returncode == 0
        until(lambda: HAIKU in asked, "a verification that asks for it")
    finally:
        plays[0].__class__.__call__ = was


# ---- said or seen

def test_what_is_only_seen_from_elsewhere_is_not_followed_where_it_has_just_served(host, plays, asks):
    a, b = host("a"), host("b")
    assert asks(a) == "first"
    plays[0].says = None
    until(lambda: asks(a) and breaker(a) == "open", "the breaker to open")
    plays[0].says = reply()

    def not_followed():
        if endpoint(b)["not_followed"]:
            return True
        asks(b)
        a.ctl("reset", "first")
        until(lambda: breaker(a) == breaker(b) == "closed", "the reset")
        assert asks(b) == "first"
        plays[0].says = None
        until(lambda: asks(a) and breaker(a) == "open", "the breaker to open")
        plays[0].says = reply()
        return endpoint(b)["not_followed"]

    until(not_followed, "it not to be followed", step=0.3)
    assert breaker(b) == "closed" and asks(b) == "first"
    assert not endpoint(a)["not_followed"]
    # its own row is full: then it is open there too
    plays[0].says = None
    until(lambda: asks(b) and breaker(b) != "closed" and not endpoint(b)["not_followed"], "its own row")


def test_a_host_from_which_all_fail_keeps_it_to_itself(host, plays, asks):
    a, b = host("a"), host("b")
    assert asks(b) == "first"
    for p in plays:
        p.says = None
    until(lambda: asks(a) or breaker(a) == breaker(a, "second") == "open", "both to be open")
    a.wait_log("cluster: all endpoints fail from here: kept to this host")
    for p in plays:
        p.says = reply()
    assert asks(b) in ("first", "second")
    assert breaker(b, "second") == "closed"


# ---- operators

def test_a_word_for_one_host_alone(host, plays, asks):
    a, b = host("a"), host("b")
    r = a.ctl("disable", "first", "--here")
    assert r.returncode == 0 and "on this host alone" in r.stdout
    assert asks(a) == "second"
    assert b.ctl("drain", "second").returncode == 0
    until(lambda: endpoint(a, "second")["state"] == "draining", "what was said later on all hosts")
    assert endpoint(b)["state"] != "disabled" and asks(b) == "first"
    assert a.ctl("enable", "first", "--here").returncode == 0
    assert asks(a) == "first"


def test_a_reset_for_one_host_alone(host, plays, asks):
    a, b = host("a"), host("b")
    plays[0].says = reply(b"<html>bad gateway</html>", status=502, type="text/html")
    until(lambda: asks(a) and breaker(a) == "open", "the breaker to open")
    until(lambda: breaker(b) == "open", "the breaker on the other host")
    plays[0].says = reply()
    assert b.ctl("reset", "first", "--here").returncode == 0
    assert breaker(b) == "closed" and asks(b) == "first"
    assert breaker(a) == "open"
    assert a.ctl("reset", "first").returncode == 0
    until(lambda: breaker(a) == "closed", "the reset here")


def test_here_by_http_and_what_is_no_parameter(host):
    a = host("a")
    for target, status in (("first/disable?here=1", 200), ("first/enable?here=1", 200), ("first/enable?here=2", 400),
                           ("first/enable?family=opus", 400), ("first/reset?here=1&mark=", 400),
                           ("first/reset?here=1&family=none", 404), ("none/enable?here=1", 404)):
        asked = urllib.request.Request(a.admin_url + "/api/v1/endpoints/" + target, method="POST")
        try:
            got = urllib.request.urlopen(asked, timeout=20).status
        except urllib.error.HTTPError as e:
            got = e.code
        assert got == status, target


def test_a_queued_endpoint_and_the_last_one(host, plays, asks):
    """A queue entry is taken over; a host for which the endpoint is the last one tries it all the same. One host's
    verification, that an operator asks for, takes it out of the queue on all."""
    config = {"failure_queue": {"probe": "conversational", "verify_interval": "1h"}}
    a, b = host("a", config), host("b", config, [plays[0].where])
    plays[0].says = PAGE
    until(lambda: asks(a) and endpoint(a)["queued"], "the endpoint to be queued")
    until(lambda: endpoint(b)["health"] == "unhealthy", "the other host to follow")
    assert not endpoint(b)["queued"]
    plays[0].says = reply()
    assert asks(b) == "first"
    assert a.ctl("verify", "first", "--no-wait").returncode == 0
    until(lambda: not endpoint(a)["queued"] and endpoint(b)["health"] == "healthy", "the verdict on both")
