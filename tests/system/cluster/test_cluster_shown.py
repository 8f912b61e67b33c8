"""What operators see of a cluster: qccctl, the admin API, metrics, the log; and that a host that is alone has none of it."""
import os
import pathlib
import re
import signal
import threading

import yaml

from admin import call
from qcc import ROOT, until
from test_hosts import SECRET, PAGE, asks, breaker, cluster, engine, host, limited, plays, trip, up  # noqa: F401 (fixtures)
from upstream import Gone, reply


def metrics(q):
    """The samples by name and labels."""
    lines = call(q, "GET", "/metrics").body.decode().splitlines()
    return {name: float(v) for name, v in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))}


def row(q, name="first"):
    return next(e for e in q.ctl_json("endpoints")["endpoints"] if e["name"] == name)


def beat(engine, host_id):
    return engine.ask("HGET", "{qcc}:1:h", host_id).split()[1]


def test_the_list_of_hosts(host, plays, asks, engine):
    a, b = host("web-1"), host("web-2", [plays[0].where])
    for n in range(3):
        asks(a, "talk-%d" % n)

    def told():
        lines = [line.split() for line in a.ctl("cluster").stdout.splitlines()]
        return len(lines) == 4 and [line[4] for line in lines[2:]] == ["3", "3"] and lines

    head, columns, first, second = until(told, "both hosts with their bindings")
    text = a.ctl("cluster").stdout.splitlines()
    assert re.fullmatch(r"cluster qcc, engine %s \([\d.]+, master\): up for \S+, round trip \d+\.\dms \(p99 \d+\.\dms\)" % engine.url, text[0])
    assert columns == ["HOST", "BEAT", "VERSION", "CONFIG", "BINDINGS", "NOTE"]
    assert re.search(r"^web-1 +\d\.\ds +\S+ +[0-9a-f]{4} +3 +this host$", text[2]), text
    assert re.search(r"^web-2 +\d\.\ds +\S+ +[0-9a-f]{4} +3 +another configuration$", text[3]), text
    n = b.count("link started, pid")
    os.kill(int(b.wait_log("link started, pid (\\d+)", count=n).group(1)), signal.SIGKILL)
    b.wait_log("link started, pid", count=n + 1)
    up(b)
    for _ in range(3):  # what a has heard of it since
        beats = {h["name"]: beat(engine, h["id"]) for h in cluster(a)["hosts"]}
        until(lambda: all(beat(engine, h["id"]) != beats[h["name"]] for h in cluster(a)["hosts"]), "beats")
    until(told, "the bindings where the link is another")
    engine.kill()
    until(lambda: cluster(b)["state"] == "lost", "the loss")
    text = b.ctl("cluster").stdout
    assert re.match(r"cluster qcc, engine \S+ \([\d.]+\): lost for \S+: .+\n", text), text
    assert "This host serves on its own knowledge" in text and "web-1" in text


def test_the_documents(host, plays, asks, engine):
    a, b = host("web-1", limited(plays, 4)), host("web-2", limited(plays, 4))
    d = until(lambda: len(cluster(a)["hosts"]) == 2 and cluster(a), "both hosts")
    assert set(d) == {"enabled", "prefix", "state", "since", "since_s", "engine", "reason", "rtt_ms", "host", "hosts", "epoch", "log", "queue",
                      "leases", "places"}
    assert d["engine"] == {"url": engine.url, "version": d["engine"]["version"], "role": "master", "maxmemory_policy": "noeviction"}
    assert 0 < d["rtt_ms"]["p50"] <= d["rtt_ms"]["p99"] < 10000
    assert set(d["log"]) == {"n", "lag_ms", "resyncs"} and set(d["queue"]) == {"bytes", "dropped"}
    assert {h["name"]: h["self"] for h in d["hosts"]} == {"web-1": True, "web-2": False}
    until(lambda: all(h["bindings"] is not None for h in cluster(a)["hosts"]), "how many bindings each has")
    until(lambda: cluster(a)["places"][0]["hosts"] == 2 or asks(a) is None, "places on both")
    place = cluster(a)["places"][0]
    assert place["endpoint"] == "first" and place["limit"] == 4 and 1 <= place["have"] <= place["all"] <= 4 and place["in_use"] == 0
    assert a.ctl_json("status")["cluster"] == "up"
    first, second = row(a), row(a, "second")
    assert first["places"]["limit"] == 4 and second["places"] is None
    assert first["lease"] is None and first["not_followed"] is False
    engine.pause()
    d = until(lambda: cluster(a)["state"] == "lost" and cluster(a), "the loss")
    assert d["reason"] and d["engine"]["role"] is None and a.ctl_json("status")["cluster"] == "lost"
    engine.go_on()


def test_no_password_is_shown(host, engine):
    engine.ask("CONFIG", "SET", "requirepass", "open-sesame-1")
    a = host("a", url=engine.url.replace("//", "//:open-sesame-1@"))
    assert cluster(a)["engine"]["url"].startswith("redis://")
    assert "open-sesame-1" not in str(cluster(a)) + a.ctl("cluster").stdout + a.log()


def test_the_holder_of_a_lease_is_named_on_each_host(host, plays, asks):
    short = {"breaker": {"failure_threshold": 2, "open_duration": "1s", "max_open_duration": "1s"}}
    a, b = host("a", config=short), host("b", config=short)
    trip(a, plays[0], asks)
    until(lambda: breaker(b) != "closed", "the breaker on the other host")
    plays[0].says = reply()

    plays[0].delay.clear()
    threads = []

    def seen():
        threads.append(threading.Thread(target=asks, args=(a,)))
        threads[-1].start()
        lists = [cluster(q)["leases"] for q in (a, b)]
        return lists[0] and lists[0] == lists[1] and lists[0][0]

    lease = until(seen, "a lease that both know", step=0.1)
    assert lease["endpoint"] == "first" and lease["kind"] == "trial" and lease["host"] in ("a", "b")
    assert row(a)["lease"] == row(b)["lease"] == lease["host"]
    plays[0].delay.set()
    for t in threads:
        t.join()
    # a verdict, on whichever host the next trial is
    until(lambda: asks(a) and asks(b) and breaker(a) == breaker(b) == "closed", "the verdict on both", step=0.2)
    until(lambda: not cluster(a)["leases"] and not cluster(b)["leases"], "that nobody has a lease")


class Cut:
    """In the place of a play's delay: the connection is closed without an answer."""

    def wait(self, _):
        raise Gone()


def test_what_is_not_followed(host, plays, asks):
    """What one host alone has seen, and another was served by a moment ago."""
    a, b = host("a"), host("b")
    assert asks(b) == "first"
    plays[0].delay = Cut()
    until(lambda: asks(a) and breaker(a) == "open", "the breaker of a host")
    until(lambda: row(b)["not_followed"], "that the other does not follow")
    assert breaker(b) == "closed" and row(a)["not_followed"] is False


def test_the_log_tells_each_change_once(host, plays, asks, engine):
    a, b = host("web-1"), host("web-2")
    a.wait_log(r"cluster: up, 1 host, engine [\d.]+")
    a.wait_log("cluster: host web-2 has come")
    engine.pause()
    a.wait_log(r"cluster: the engine is lost: .+; this host serves on its own knowledge")
    trip(a, plays[0], asks)
    asks(a, "talk")
    engine.go_on()
    back = a.wait_log(r"cluster: up again after (\d+)\.\ds, \d hosts?, engine [\d.]+; merged: \d+ states? taken over, (\d+) states? "
                      r"and (\d+) bindings? of this host told")
    assert int(back.group(2)) >= 1 and int(back.group(3)) >= 1
    until(lambda: breaker(b) == "open", "what was told on the other host")
    engine.ask("FLUSHALL")
    a.wait_log(r"cluster: all was read anew \(the engine had lost its data, or is another\): 2 endpoints, \d+ bindings?")
    b.stop()
    a.wait_log("cluster: host web-2 has gone")
    assert a.count("cluster: the engine is lost") <= 2  # the second time for the lost data


def test_the_log_tells_why_an_engine_refuses_or_is_full(host, engine):
    a = host("a", wait=False, url=engine.url.replace("//", "//:wrong@"))
    a.wait_log(r"cluster: the engine refuses this host: .+; this host serves on its own knowledge")
    b = host("b")
    engine.ask("CONFIG", "SET", "maxmemory", "1")
    b.wait_log(r"cluster: the engine is full: .+; this host serves on its own knowledge")
    assert "full for" in b.ctl("cluster").stdout
    engine.ask("CONFIG", "SET", "maxmemory", "0")
    b.wait_log("cluster: up again after")


def test_an_engine_that_may_drop_what_is_shared(host, engine):
    engine.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    a = host("a")
    a.wait_log("cluster: maxmemory-policy of the engine is allkeys-lru: it may drop what hosts share; set it to noeviction")
    assert "maxmemory-policy of the engine is allkeys-lru" in a.ctl("cluster").stdout
    assert metrics(a)["qcc_cluster_engine_evicts"] == 1


def test_the_metrics(host, plays, asks, engine):
    a, b = host("web-1"), host("web-2", [plays[0].where])
    until(lambda: metrics(a)["qcc_cluster_hosts"] == 2, "both hosts")
    m = metrics(a)
    assert m["qcc_cluster_up"] == m['qcc_cluster_state{state="up"}'] == 1
    assert sum(v for k, v in m.items() if k.startswith("qcc_cluster_state{")) == 1
    assert m["qcc_cluster_differing_hosts"] == 1 and m["qcc_cluster_engine_evicts"] == 0
    assert m["qcc_cluster_rtt_seconds_count"] > 0 and m["qcc_cluster_rtt_seconds_sum"] > 0
    assert m['qcc_cluster_resyncs_total{reason="first"}'] == 1 and m['qcc_cluster_resyncs_total{reason="epoch"}'] == 0
    assert m['qcc_cluster_leases_total{kind="trial",result="granted"}'] == 0 and m["qcc_cluster_stale_total"] == 0
    engine.ask("FLUSHALL")
    until(lambda: metrics(a)['qcc_cluster_resyncs_total{reason="epoch"}'] == 1, "that all was read anew")
    engine.kill()
    until(lambda: metrics(a)['qcc_cluster_state{state="lost"}'] == 1, "the loss")
    assert metrics(a)["qcc_cluster_up"] == 0 and metrics(a)["qcc_cluster_enabled"] == 1


def with_hiredis(q):
    """How many of its processes have that library, and how many there are."""
    children = pathlib.Path("/proc/%d/task/%d/children" % (q.pid, q.pid)).read_text().split()
    maps = [pathlib.Path("/proc/%s/maps" % pid).read_text() for pid in [q.pid, *children]]
    return sum("hiredis" in m for m in maps), len(maps)


def test_a_host_alone_has_no_link_and_no_hiredis(qcc, plays, engine, tmp_path):
    q = qcc({"endpoints": [p.where for p in plays], "state_dir": str(tmp_path / "state"), "workers": 1})
    assert with_hiredis(q) == (0, 3)  # with a worker and the recorder
    assert "places" not in row(q) and "lease" not in row(q) and q.ctl_json("status")["cluster"] == "off"
    assert q.ctl("cluster").stdout == "this host is alone: cluster.url is not set\n"
    # with a cluster there is one process that has it
    q.reload({"cluster": {"url": engine.url, "secret": SECRET, "share": ["endpoints"]}})
    up(q)
    assert with_hiredis(q) == (1, 4)


def test_alerts_say_what_metrics_say():
    """The alerts that the contract of the cluster names, with their times."""
    groups = yaml.safe_load((ROOT / "packaging/prometheus/qcc-rules.yaml").read_text())["groups"]
    rules = {r["alert"]: r for g in groups for r in g["rules"]}
    assert rules["QccClusterDown"]["for"] == "2m" and rules["QccClusterConfigsDiffer"]["for"] == "15m"
    assert "qcc_cluster_differing_hosts" in rules["QccClusterConfigsDiffer"]["expr"]
    assert "qcc_cluster_engine_evicts" in rules["QccClusterEngineEvicts"]["expr"]
