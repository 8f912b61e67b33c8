"""Two and three supervisors that share state through one engine: conversations, breakers, operators' words; the
engine stopped, killed, emptied, while requests are served."""
import itertools
import os
import re
import signal
import threading
import time

import pytest

from client import ask, another
from engine import Engine
from qcc import alive, until
from trial import one_trial
from upstream import error, reply

SECRET = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def engine(tmp_path):
    e = Engine(tmp_path / "engine")
    yield e
    e.close()


class Play:
    """An endpoint that serves, or fails as it is told; counts what comes in."""

    def __init__(self):
        self.says = reply()
        self.delay = threading.Event()
        self.delay.set()
        self.n = 0

    def __call__(self, peer, request):
        self.n += 1
        self.delay.wait(20)
        peer.send(self.says)


@pytest.fixture
def plays(raw):
    """Two endpoints: (play, endpoint as configured), the first with the better priority."""
    made = [Play(), Play()]
    made[0].where = raw(made[0]).endpoint("first", priority=1)
    made[1].where = raw(made[1]).endpoint("second", priority=2)
    return made


@pytest.fixture
def host(qcc, engine, plays):
    """host(name, endpoints, **cluster): a QCC of the cluster."""

    def make(name, endpoints=None, config=None, wait=True, **cluster):
        q = qcc({"endpoints": [p.where for p in plays] if endpoints is None else endpoints, "workers": 1,
                 "cluster": {"url": engine.url, "secret": SECRET, "name": name, "lease": "2s", **cluster},
                 "breaker": {"failure_threshold": 2, "open_duration": "30s"},
                 "balance": {"use_priority": True}, "retry": {"transient_delay": "1ms"}, "failure_queue": {"probe": "off"},
                 **(config or {})})
        if wait:
            up(q)
        return q

    return make


@pytest.fixture
def asks(client):
    """asks(qcc, conversation=None): one request; the endpoint that served it."""

    def make(q, conversation=None, status=200):
        c = client(q)
        headers = ["x-conversation-id: %s" % conversation] if conversation else []
        c.send(ask(messages=another(), headers=headers))
        r = c.reply()
        assert r.status == status, r.body
        return r.header("x-qcc-endpoint")

    return make


def cluster(q):
    return q.ctl_json("cluster")


def up(q):
    until(lambda: cluster(q)["state"] == "up", "the cluster to be up")


def test_hosts_see_each_other(host, plays):
    a = host("web-1")
    b = host("web-2", [plays[0].where])
    until(lambda: len(cluster(a)["hosts"]) == 2, "two hosts")
    hosts = {h["name"]: h for h in cluster(a)["hosts"]}
    assert hosts["web-1"]["self"] and not hosts["web-2"]["self"]
    assert hosts["web-1"]["digest"] != hosts["web-2"]["digest"]
    text = a.ctl("cluster").stdout
    assert "web-2" in text and "another configuration" in text and ": up" in text
    assert b.stop() == 0
    until(lambda: len(cluster(a)["hosts"]) == 1, "web-2 to have left")
    a.wait_log("cluster: host web-2 has gone")


# ---- conversations

def equals(plays):
    return [{**p.where, "priority": 1} for p in plays]


def bound(q):
    return q.ctl_json("sessions")["bindings"]


def test_a_conversation_finds_its_endpoint_on_each_host(host, plays, asks):
    a, b = host("a", equals(plays)), host("b", equals(plays))
    # the first choice is the same on both; so the endpoint is changed by a failure at it
    first = asks(a, "talk")
    until(lambda: bound(b) == 1, "the binding on the other host")
    failing = plays[["first", "second"].index(first)]
    failing.says = error(529, "overloaded_error")
    other = asks(a, "talk")
    assert other != first
    failing.says = reply()

    def moved():
        return {e["name"]: e["sessions"] for e in b.ctl_json("endpoints")["endpoints"]}[other] == 1

    until(moved, "the move on the other host")
    assert asks(b, "talk") == other


def test_bindings_of_a_host_that_comes_later(host, plays, asks):
    a = host("a", equals(plays))
    for n in range(20):
        asks(a, "talk-%d" % n)
    b = host("b", equals(plays))
    until(lambda: bound(b) == 20, "all bindings on the host that came later")


def test_an_engine_that_lost_all_is_filled_again(host, plays, asks, engine):
    a, b = host("a", equals(plays)), host("b", equals(plays))
    for n in range(10):
        asks(a, "a-%d" % n)
        asks(b, "b-%d" % n)
    until(lambda: bound(a) == bound(b) == 20, "all bindings on both")

    def stored():
        c = engine.client()
        n = 0
        for bucket in range(0, 65536):
            c.send("HLEN", "{qcc}:1:b:%d" % bucket)
        for bucket in range(0, 65536):
            n += c.read()
        c.close()
        return n

    until(lambda: stored() == 20, "all bindings in the engine")
    engine.ask("FLUSHALL")
    until(lambda: stored() == 20, "all bindings in the engine again")
    assert bound(a) == bound(b) == 20


# ---- endpoints

def breaker(q, name="first"):
    e = next(e for e in q.ctl_json("endpoints")["endpoints"] if e["name"] == name)
    return e["breaker"]["state"]


PAGE = reply(b"<html>bad gateway</html>", status=502, type="text/html")


def trip(q, play, asks):
    play.says = PAGE
    until(lambda: asks(q) and breaker(q) == "open", "the breaker to open")


def test_a_breaker_that_opens_on_one_host_is_open_on_the_other(host, plays, asks):
    a, b = host("a"), host("b")
    assert asks(b) == "first"
    trip(a, plays[0], asks)
    until(lambda: breaker(b) == "open", "the breaker on the other host")
    n = plays[0].n
    assert asks(b) == "second"
    assert plays[0].n == n, "the other host asks it no more"


def test_a_new_host_knows_what_fails_before_it_serves(host, plays, asks):
    a = host("a")
    trip(a, plays[0], asks)
    n = plays[0].n
    b = host("b", wait=False, timeout="10s", lease="20s")
    assert asks(b) == "second"
    assert plays[0].n == n


def test_a_host_serves_soon_where_the_engine_does_not_answer(host, asks, engine):
    engine.pause()
    b = host("b", wait=False, timeout="50ms")
    assert asks(b) == "first"
    engine.go_on()
    up(b)


def test_what_an_operator_says_holds_on_all_hosts(host, plays, asks):
    a, b = host("a"), host("b")
    assert a.ctl("disable", "first").returncode == 0
    until(lambda: asks(b) == "second", "the other host to follow")
    assert b.ctl("enable", "first").returncode == 0
    until(lambda: asks(a) == "first", "the first host to follow")
    trip(a, plays[0], asks)
    until(lambda: breaker(b) == "open", "the breaker on the other host")
    plays[0].says = reply()
    assert b.ctl("reset", "first").returncode == 0
    until(lambda: breaker(a) == "closed" and breaker(b) == "closed", "the reset on both")


def word_of(q, name="first"):
    state = next(e for e in q.ctl_json("endpoints")["endpoints"] if e["name"] == name)["state"]
    return {"healthy": "enabled", "disabled_operator": "disabled", "disabled by operator": "disabled"}.get(state, state)


def test_a_word_spoken_while_the_engine_is_away_is_not_lost(host, engine):
    """Where the engine has an older one, which is read first when it is back; also where the link is another by then."""
    a, b = host("a"), host("b")
    pid = 0
    for word, state in (("disable", "disabled"), ("drain", "draining"), ("enable", "enabled")):
        a.ctl("enable" if word != "enable" else "disable", "first")
        until(lambda: stored_word(engine) not in (None, state), "the older word in the engine")
        engine.pause()
        until(lambda: cluster(a)["state"] == cluster(b)["state"] == "lost", "the loss")
        assert a.ctl(word, "first").returncode == 0
        if word == "drain":
            n = a.count("link started, pid")
            pid = int(a.wait_log("link started, pid (\\d+)", count=n).group(1))
            os.kill(pid, signal.SIGKILL)
            a.wait_log("link started, pid", count=n + 1)
        engine.go_on()
        up(a), up(b)
        until(lambda: stored_word(engine) == state, "the later word in the engine")
        until(lambda: word_of(a) == word_of(b) == state, "the later word on both")


def stored_word(engine):
    words = [engine.ask("HGET", k, "w") for k in engine.ask("KEYS", "{qcc}:1:e:*")]
    return next((w.decode().split()[1] for w in words if w), None)


def test_a_word_of_the_future_does_not_outlive_an_operators(host, engine):
    a, b = host("a"), host("b")
    a.ctl("disable", "first")
    until(lambda: word_of(b) == "disabled", "the word on the other host")
    key, = [k for k in engine.ask("KEYS", "{qcc}:1:e:*") if engine.ask("HGET", k, "w")]
    engine.ask("HSET", key, "w", "%d disabled" % ((time.time() + 3600) * 1000))
    assert b.ctl("enable", "first").returncode == 0
    until(lambda: stored_word(engine) == "enabled", "the word in the engine")
    until(lambda: word_of(a) == word_of(b) == "enabled", "the word on both")


def test_one_trial_in_the_whole_cluster(host, plays, asks):
    short = {"breaker": {"failure_threshold": 2, "open_duration": "1s", "max_open_duration": "1s"},
             "failure_queue": {"probe": "off", "verify_interval": "100ms"}}
    a, b = host("a", config=short), host("b", config=short)
    trip(a, plays[0], asks)
    until(lambda: breaker(b) != "closed", "the breaker on the other host")
    plays[0].says = reply()
    one_trial(plays[0], (a, b), asks)
    until(lambda: breaker(a) == "closed" and breaker(b) == "closed", "the verdict on both")


# ---- places

def limited(plays, n):
    return [{**plays[0].where, "max_concurrent": n}, plays[1].where]


def busy(q, asks, n):
    """n requests at once; their threads."""
    threads = [threading.Thread(target=asks, args=(q,)) for _ in range(n)]
    for t in threads:
        t.start()
    return threads


def test_max_concurrent_holds_over_all_hosts(host, plays, asks):
    a, b = host("a", limited(plays, 6)), host("b", limited(plays, 6))
    until(lambda: len(cluster(a)["hosts"]) == 2, "both hosts")
    plays[0].delay.clear()
    threads = []
    for _ in range(5):
        threads += busy(a, asks, 2) + busy(b, asks, 2)
        until(lambda: plays[0].n + plays[1].n == len(threads), "all at an endpoint")
    assert 2 <= plays[0].n <= 6

    def shares():
        return [next(p for p in cluster(q)["places"]) for q in (a, b)]

    assert sum(p["have"] for p in shares()) <= 6
    plays[0].delay.set()
    for t in threads:
        t.join()
    # one host alone can have them all again
    plays[0].delay.clear()
    plays[0].n = plays[1].n = 0
    threads = busy(b, asks, 6)
    until(lambda: plays[0].n + plays[1].n == 6, "all at an endpoint")
    until(lambda: threads.extend(busy(b, asks, 1)) or plays[0].n >= 5, "the places of the other host", step=0.3)
    assert plays[0].n <= 6
    plays[0].delay.set()
    for t in threads:
        t.join()


def places(q):
    return cluster(q)["places"][0]


def test_an_idle_host_gets_its_place_back(host, plays, asks):
    """What went to others while they asked for it comes back when they need it no more."""
    a, b = host("a", limited(plays, 4)), host("b", limited(plays, 4))
    until(lambda: len(cluster(a)["hosts"]) == len(cluster(b)["hosts"]) == 2, "both hosts")
    plays[0].delay.clear()
    threads = busy(b, asks, 4)
    until(lambda: threads.extend(busy(b, asks, 1)) or plays[0].n == 4, "all places on the one", step=0.3)
    until(lambda: places(a)["have"] == 0, "none on the other")
    plays[0].delay.set()
    [t.join() for t in threads]
    until(lambda: places(a)["have"] >= 1, "a place on the other host")
    served = plays[0].n
    assert asks(a) == "first" and plays[0].n == served + 1


def test_a_host_that_starts_takes_no_place_above_the_limit(host, plays, asks):
    b = host("b", limited(plays, 4), lease="3s")
    plays[0].delay.clear()
    threads = busy(b, asks, 4)
    until(lambda: threads.extend(busy(b, asks, 1)) or plays[0].n == 4, "all places in use", step=0.3)
    for name in ("a", "c"):
        q = host(name, limited(plays, 4), lease="3s")
        until(lambda: len(cluster(q)["hosts"]) >= 2 and places(q)["hosts"], "the answer for the places")
        shown = places(q)
        assert (shown["have"], shown["in_use"]) == (0, 0), shown
        before = plays[0].n + plays[1].n
        threads += busy(q, asks, 1)
        until(lambda: plays[0].n + plays[1].n == before + 1, "the request at an endpoint")
        assert plays[0].n == 4
    plays[0].delay.set()
    [t.join() for t in threads]


def test_a_place_that_is_idle_is_not_stated_at_the_join(host, plays, asks, engine):
    """What a worker has kept of a request from before the first join is free: stated as in use it would be above the limit."""
    b = host("b", limited(plays, 4), lease="20s")
    plays[0].delay.clear()
    threads = busy(b, asks, 4)
    until(lambda: threads.extend(busy(b, asks, 1)) or plays[0].n == 4, "all places in use", step=0.3)
    monitor = engine.client()
    assert monitor.ask("MONITOR") == b"OK"
    engine.pause()
    held, plays[0].delay = plays[0].delay, threading.Event()
    plays[0].delay.set()
    a = host("a", limited(plays, 4), wait=False, lease="20s", timeout="200ms")
    assert asks(a) == "first" and plays[0].n == 5
    engine.go_on()
    up(a)
    until(lambda: places(a)["all"] >= 4, "the answer for the places")
    shown = places(a)
    assert (shown["have"], shown["in_use"], shown["all"]) == (0, 0, 4), shown
    assert asks(a) == "second" and plays[0].n == 5
    engine.ask("ECHO", "all is seen")
    seen = iter(monitor.read, None)
    of_a = '"HSET" "{qcc}:1:c:%s" "%s"' % ("[0-9a-f]{16}", cluster(a)["host"]["id"])
    said = [re.search(of_a + ' "([0-9]+) ', line.decode()) for line in itertools.takewhile(lambda x: b"all is seen" not in x, seen)]
    said = [m.group(1) for m in said if m]
    assert said and set(said) == {"0"}, said
    monitor.close()
    held.set()
    [t.join() for t in threads]


def test_places_without_the_engine_are_the_hosts_part(host, plays, asks, engine):
    a, b = host("a", limited(plays, 4)), host("b", limited(plays, 4))
    until(lambda: len(cluster(a)["hosts"]) == len(cluster(b)["hosts"]) == 2, "both hosts")
    engine.kill()
    until(lambda: cluster(a)["state"] == cluster(b)["state"] == "lost", "the loss")
    plays[0].delay.clear()
    time.sleep(2.5)  # a lease
    threads = busy(a, asks, 4) + busy(b, asks, 4)
    until(lambda: plays[0].n + plays[1].n == 8, "all at an endpoint")
    assert plays[0].n == 4
    plays[0].delay.set()
    for t in threads:
        t.join()


# ---- the engine away

def test_requests_are_served_whatever_the_engine_does(host, plays, asks, engine):
    a, b = host("a"), host("b")
    for away, back in ((engine.pause, engine.go_on), (engine.kill, engine.start)):
        away()
        until(lambda: cluster(a)["state"] == "lost" and asks(a) and asks(b), "the loss to be seen")
        trip(a, plays[0], asks)
        assert asks(b) in ("first", "second")
        back()
        up(a), up(b)
        until(lambda: breaker(b) == "open", "what was found out meanwhile on the other host")
        plays[0].says = reply()
        a.ctl("reset", "first")
        until(lambda: breaker(a) == "closed" and breaker(b) == "closed", "the reset on both")
    assert a.count("cluster: the engine is lost") == 2


def test_the_link_killed(host, asks):
    a = host("a")
    pid = int(a.wait_log("link started, pid (\\d+)").group(1))
    os.kill(pid, signal.SIGKILL)
    a.wait_log("link started, pid", count=2)
    up(a)
    assert asks(a) == "first"


def test_a_host_without_a_cluster_starts_no_link(qcc, plays):
    q = qcc({"endpoints": [p.where for p in plays]})
    assert q.ctl_json("cluster") == {"enabled": False}
    assert q.count("link started") == 0
    q.reload({"cluster": {"url": "redis://127.0.0.1:9", "secret": SECRET, "share": ["endpoints"]}})
    q.wait_log("link started")
    q.reload({"cluster": None})
    until(lambda: q.ctl_json("cluster") == {"enabled": False}, "the cluster to be off")


def test_an_upgrade(host, asks):
    a = host("a")
    b = host("b")
    old = a.upgrade()
    up(a)
    assert asks(a) == "first"
    until(lambda: len(cluster(b)["hosts"]) == 2, "both hosts")
    until(lambda: not alive(old), "the old supervisor to end")
    assert cluster(a)["state"] == "up"


def test_a_host_stays_itself_over_an_upgrade(host, plays, asks):
    """Also without a state_dir; what its old workers hold stays its own."""
    a, b = host("a", limited(plays, 2)), host("b", limited(plays, 2))
    until(lambda: len(cluster(a)["hosts"]) == len(cluster(b)["hosts"]) == 2, "both hosts")
    first = cluster(a)["host"]["id"]
    plays[0].delay.clear()
    threads = busy(a, asks, 1)
    until(lambda: plays[0].n == 1, "a request at the endpoint")
    a.upgrade()
    threads += busy(b, asks, 3)
    until(lambda: plays[0].n + plays[1].n == 4, "all at an endpoint")
    until(lambda: cluster(a)["state"] == "up", "the cluster to be up")
    assert plays[0].n <= 2
    assert cluster(a)["host"]["id"] == first
    assert b.count("cluster: host a has gone") == 0
    plays[0].delay.set()
    for t in threads:
        t.join()


def test_two_hosts_with_one_id(host, tmp_path, asks):
    """A disk that was copied: the two do not throw each other out for ever."""
    folders = [tmp_path / "state-a", tmp_path / "state-b"]
    for folder in folders:
        folder.mkdir(mode=0o700)
        (folder / "host").write_text("00000000000000aa")
    a, b = (host(name, config={"state_dir": str(folder)}) for name, folder in zip("ab", folders))
    until(lambda: len(cluster(a)["hosts"]) == len(cluster(b)["hosts"]) == 2, "both hosts")
    ids = {cluster(q)["host"]["id"] for q in (a, b)}
    assert len(ids) == 2 and "00000000000000aa" in ids
    assert a.count("another host has the id") + b.count("another host has the id") == 1
    assert asks(a) == asks(b) == "first"


def test_of_two_hosts_with_one_id_the_later_takes_another(host, tmp_path):
    folders = [tmp_path / "state-a", tmp_path / "state-b"]
    for folder in folders:
        folder.mkdir(mode=0o700)
        (folder / "host").write_text("00000000000000aa")
    a = host("a", config={"state_dir": str(folders[0])})
    time.sleep(5.5)  # what tells the one that has been there
    b = host("b", config={"state_dir": str(folders[1])})
    b.wait_log("another host has the id")
    until(lambda: len(cluster(a)["hosts"]) == len(cluster(b)["hosts"]) == 2, "both hosts")
    assert cluster(a)["host"]["id"] == "00000000000000aa" and a.count("this one takes another") == 0


def test_lines_of_hosts_that_come_and_go(host, engine):
    a, b = host("a"), host("b")
    a.wait_log("cluster: host b has come")
    engine.ask("FLUSHALL")
    until(lambda: len(cluster(a)["hosts"]) == 2 and cluster(a)["epoch"], "both hosts again")
    time.sleep(3)
    assert a.count("cluster: host b has gone") == 0
    os.kill(int(b.wait_log("link started, pid (\\d+)").group(1)), signal.SIGSTOP)
    a.wait_log("cluster: host b has gone")
    os.kill(int(b.wait_log("link started, pid (\\d+)").group(1)), signal.SIGCONT)
    a.wait_log("cluster: host b has come", count=2)


def test_an_engine_of_another_address_is_said_to_be_up(host, tmp_path):
    a = host("a")
    other = Engine(tmp_path / "other")
    try:
        a.reload({"cluster": {"url": other.url}})
        a.wait_log("cluster: up, 1 host", count=2)
        assert a.count("the engine is lost") == 0
    finally:
        other.close()


def test_a_clock_that_was_set_back(host, tmp_path, engine):
    """The engine knows a session of this host that is far ahead."""
    a = host("a", config={"state_dir": str(tmp_path / "state")})
    a.stop()
    c = engine.client()
    key = (tmp_path / "state/host").read_text()
    c.ask("HSET", "{qcc}:1:h", key, "99999999999999 0 a 1.0 d")
    c.close()
    a.start(wait=False)
    a.wait_serving(2)
    up(a)
    assert cluster(a)["host"]["id"] == key
    assert a.count("another host has the id") == 0


def test_the_id_of_a_host_lasts(qcc, host, tmp_path):
    a = host("a", config={"state_dir": str(tmp_path / "state")})
    first = cluster(a)["host"]["id"]
    a.upgrade()
    up(a)
    assert cluster(a)["host"]["id"] == first
