"""Hosts whose engine, link or supervisor stands still or ends, and hosts whose clocks differ: what is said of it, and what
they may do meanwhile."""
import os
import signal
import threading
import time

from qcc import until
from test_hosts import PAGE, asks, breaker, busy, cluster, engine, equals, host, limited, plays, trip, up  # noqa: F401 (fixtures)
from upstream import reply
from wall import YEAR, Clock


def link_of(q):
    return int(q.wait_log("link started, pid (\\d+)", count=q.count("link started, pid")).group(1))


# ---- the end

def test_a_clean_end_is_no_loss(host, asks):
    """Neither a stop, nor an upgrade, nor a reload that changes the cluster says that the engine was lost."""
    a = host("a")
    assert asks(a) == "first"
    a.upgrade()
    up(a)
    n = a.count("link started, pid")
    a.reload({"cluster": {"name": "other"}})
    until(lambda: a.count("link started, pid") > n, "another link")
    up(a)
    assert cluster(a)["host"]["name"] == "other"
    assert a.stop() == 0
    assert a.count("the engine is lost") == a.count("link has ended") == 0
    assert a.count("ended unexpectedly") == 0


# ---- standing still

def test_a_link_that_stands_still_and_one_that_is_killed_meanwhile(host, plays, asks):
    a, b = host("a"), host("b")
    pid = link_of(a)
    os.kill(pid, signal.SIGSTOP)
    until(lambda: cluster(a)["state"] == "lost" and asks(a) == "first", "the loss to be seen")
    trip(a, plays[0], asks)
    assert asks(b) in ("first", "second")
    os.kill(pid, signal.SIGCONT)
    up(a)
    until(lambda: breaker(b) == "open", "what was found out meanwhile on the other host")
    os.kill(pid, signal.SIGSTOP)
    plays[0].says = reply()
    a.ctl("reset", "first")
    os.kill(pid, signal.SIGKILL)
    up(a)
    assert a.count("the engine is lost") == 2


def test_a_supervisor_that_stands_still(host, plays, asks):
    """Its link goes on for a moment, but not its beats' meaning; it joins again by itself, with all that it missed."""
    a, b = host("a"), host("b")
    until(lambda: len(cluster(b)["hosts"]) == 2, "both hosts")
    os.kill(a.pid, signal.SIGSTOP)
    trip(b, plays[0], asks)
    time.sleep(3)  # more than a lease
    assert asks(b) == "second"
    os.kill(a.pid, signal.SIGCONT)
    until(lambda: breaker(a) == "open" and cluster(a)["state"] == "up", "what it missed")
    assert asks(a) == "second"


def test_a_verdict_comes_before_the_end_of_its_lease(host, plays, asks, engine):
    """Also where the link that had both was killed: another host would be given the lease for what has been tried."""
    short = {"breaker": {"failure_threshold": 2, "open_duration": "1s", "max_open_duration": "1s"}}
    a = host("a", config=short, lease="5s")
    trip(a, plays[0], asks)
    plays[0].delay.clear()
    n, threads = plays[0].n, []

    def tried():
        threads.append(threading.Thread(target=asks, args=(a,)))
        threads[-1].start()
        return plays[0].n > n

    until(tried, "a trial", step=0.2)
    until(lambda: cluster(a)["leases"], "its lease")
    key, = [k for k in engine.ask("KEYS", "{qcc}:1:e:*") if engine.ask("HEXISTS", k, "b")]
    pid = link_of(a)
    os.kill(pid, signal.SIGSTOP)
    was = engine.ask("HGET", key, "b")
    last = engine.ask("XREVRANGE", "{qcc}:1:l", "+", "-", "COUNT", 1)[0][0]
    plays[0].delay.set()  # the trial fails
    [t.join() for t in threads]
    time.sleep(0.5)
    os.kill(pid, signal.SIGKILL)
    a.wait_log("link started, pid", count=2)
    until(lambda: engine.ask("HGET", key, "b") != was, "the verdict")

    def told():
        entries = engine.ask("XRANGE", "{qcc}:1:l", "(" + last.decode(), "+")
        kinds = [dict(zip(f[::2], f[1::2])) for _, f in entries]
        return [(e[b"k"], e[b"v"].split()[1]) for e in kinds if (e[b"k"], e[b"v"].split()[1:2]) in ((b"g", [b"b"]), (b"f", [b"t"]))]

    until(lambda: (b"f", b"t") in told(), "the end of the lease")
    assert told()[0] == (b"g", b"b")


# ---- the part of a host

def test_the_hosts_last_seen_are_known_after_a_restart(host, plays, asks, engine, tmp_path):
    """Without the engine a host that had another beside it takes its part alone, one that never had takes all."""
    a, b = (host(n, limited(plays, 4), {"state_dir": str(tmp_path / n)}) for n in "ab")
    until(lambda: len(cluster(a)["hosts"]) == len(cluster(b)["hosts"]) == 2, "both hosts")
    until(lambda: (tmp_path / "a/hosts").read_text() == "2\n", "the number to be kept")
    engine.pause()
    a.stop()
    a.start(wait=False)
    a.wait_serving(2)
    plays[0].delay.clear()
    threads = busy(a, asks, 4)
    until(lambda: plays[0].n + plays[1].n == 4, "all at an endpoint")
    assert plays[0].n == 2
    plays[0].delay.set()
    [t.join() for t in threads]
    c = host("c", limited(plays, 4), wait=False, timeout="50ms")
    plays[0].n = plays[1].n = 0
    plays[0].delay.clear()
    threads = busy(c, asks, 4)
    until(lambda: plays[0].n + plays[1].n == 4, "all at an endpoint")
    assert plays[0].n == 4
    plays[0].delay.set()
    [t.join() for t in threads]
    engine.go_on()
    up(a), up(c)


# ---- clocks

def test_clocks_a_year_off(qcc, plays, asks, engine, tmp_path):
    """One host is a year ahead, one a year behind: what they tell each other is of the engine's time."""
    made = []
    for name, off in (("ahead", YEAR), ("behind", -YEAR), ("right", 0)):
        folder = tmp_path / name
        folder.mkdir()
        clock = Clock(folder)
        clock.set(off)
        q = qcc({"endpoints": equals(plays), "workers": 1,
                 "cluster": {"url": engine.url, "secret": "0123456789abcdef0123456789abcdef", "name": name, "lease": "2s"},
                 "breaker": {"failure_threshold": 2, "open_duration": "2s", "max_open_duration": "2s"},
                 "retry": {"transient_delay": "1ms"}, "failure_queue": {"probe": "off"}}, env=clock.env)
        up(q)
        made.append((q, clock))
    hosts = [q for q, _ in made]
    until(lambda: all(len(cluster(q)["hosts"]) == 3 for q in hosts), "three hosts")
    assert all(h["beat_ms"] < 60000 for q in hosts for h in cluster(q)["hosts"])
    for q in hosts:
        first = asks(q, "talk-" + str(hosts.index(q)))
        until(lambda: all(o.ctl_json("sessions")["bindings"] == hosts.index(q) + 1 for o in hosts), "the binding on all")
        play = plays[["first", "second"].index(first)]
        for other in hosts:
            assert asks(other, "talk-" + str(hosts.index(q))) == first
        play.says = PAGE
        until(lambda: asks(q) and breaker(q, first) == "open", "the breaker to open")
        until(lambda: all(breaker(o, first) != "closed" for o in hosts), "the breaker on all")
        key = [k for k in engine.ask("KEYS", "{qcc}:1:e:*") if (engine.ask("HGET", k, "b") or b"").split()[1:2] == [b"open"]]
        stamp, _, since = engine.ask("HGET", key[0], "b").split()[:3] if key else (str(int(time.time() * 1000)),) * 3
        assert abs(int(stamp) / 1000 - time.time()) < 60 and abs(int(since) / 1000 - time.time()) < 60
        play.says = reply()
        until(lambda: [asks(o) for o in hosts] and all(breaker(o, first) == "closed" for o in hosts), "a trial that ends it on all", step=0.2)
    # and a clock that jumps while it runs changes nothing
    made[0][1].set(-YEAR)
    time.sleep(1.5)
    assert all(cluster(q)["state"] == "up" and len(cluster(q)["hosts"]) == 3 for q in hosts)
    assert hosts[0].count("the engine is lost") == 0


def test_a_session_after_the_clock_was_set_back(qcc, plays, asks, engine, tmp_path):
    """The engine knows a session of this host from a year ahead; the link is started anew."""
    clock = Clock(tmp_path)
    clock.set(YEAR)
    q = qcc({"endpoints": equals(plays), "workers": 1, "state_dir": str(tmp_path / "state"),
             "cluster": {"url": engine.url, "secret": "0123456789abcdef0123456789abcdef", "name": "a", "lease": "2s"}}, env=clock.env)
    up(q)
    first = cluster(q)["host"]["id"]
    clock.set(0)
    os.kill(link_of(q), signal.SIGKILL)
    q.wait_log("link started, pid", count=2)
    up(q)
    assert cluster(q)["host"]["id"] == first
    q.stop()
    q.start(wait=False)
    q.wait_serving(2)
    up(q)
    assert cluster(q)["host"]["id"] == first and q.count("another host has the id") == 0
