"""What has happened, for operators: from the supervisor's memory, and from the history."""
import http.client
import os
import pwd
import re
import signal
import socket
import sqlite3
import subprocess
import time

import pytest

from admin import call, get, send
from control import done
from qcc import PATIENCE, QCCCTL, free_port, until
from scripted import CALM
from test_history import history, kept, rows, stored  # noqa: F401
from test_reply_usage import FIRST, whole
from upstream import reply


ME = "user " + pwd.getpwuid(os.geteuid()).pw_name


def events(q, query=""):
    return get(q, "events" + query)["events"]


def texts(q, kind, query=""):
    return [e["text"] for e in events(q, query) if e["kind"] == kind]


def happened(q, kind, pattern, n=1):
    """Until there are n events of that kind whose text has the pattern; the newest."""
    def look():
        a = call(q, "GET", "/api/v1/events")
        if a.status == 503:  # the recorder is being started
            return None
        found = [e for e in a.json()["events"] if e["kind"] == kind and re.search(pattern, e["text"])]
        return found[0] if len(found) >= n else None
    return until(look, "an event %s %r" % (kind, pattern))


@pytest.fixture(params=["memory", "history"])
def source(request, qcc, raw, tmp_path):
    """source(*plays, config): an instance that answers from that source."""
    def make(*plays, config=None):
        endpoints = [raw(p).endpoint("e%d" % i, priority=i + 1) for i, p in enumerate(plays)]
        state = {"state_dir": str(tmp_path / "state"), "history": {"min_free": 0}} if request.param == "history" else {}
        return qcc({**CALM, "endpoints": endpoints, "balance": {"strategy": "priority_failover"}, **state,
                    **(config or {})})
    return make


def test_what_happens_is_told(source):
    """Endpoints' states, operators, reloads, deaths of workers, each once and in order."""
    q = source(reply(b"{}", 503), whole("m", FIRST),
               config={"breaker": {"failure_threshold": 1}})
    assert happened(q, "start", "^qcc .*, pid %d, serves$" % q.pid)
    assert send(q) == [200]
    e = happened(q, "breaker", "^breaker closed -> open")
    assert e["endpoint"] == "e0" and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", e["time"])
    done(q.ctl("disable", "e1"))
    assert happened(q, "operator", "^disable$")["endpoint"] == "e1"
    assert happened(q, "health", "disabled")["endpoint"] == "e1"
    q.reload({"workers": 2})
    assert happened(q, "reload", "^done, generation 2$")["endpoint"] is None
    q.reload({"workers": "many"}, wait="refused")
    assert happened(q, "reload", r"^refused, generation 2 stays in use: 1 fault: \S+:\d+:\d+: workers: ")
    os.kill(q.children()[0], signal.SIGKILL)
    assert happened(q, "worker", r"^worker \d+ \(pid \d+\) ended unexpectedly after .*: signal 9")
    keys = [e["k"] for e in events(q)]
    assert keys == sorted(keys, reverse=True) and len(set(keys)) == len(keys)
    assert all(abs(e["k"] / 4096000 - time.time()) < 3600 for e in events(q))
    assert get(q, "events")["oldest"] == events(q)[-1]["time"]


def test_who_has_ordered_it(source):
    """The user of the control socket, the address at the admin listener, a signal; nobody else."""
    q = source(whole("m", FIRST))
    send(q)
    done(q.ctl("disable", "e0"))
    assert happened(q, "operator", "^disable$")["who"] == ME
    assert happened(q, "health", "disabled")["who"] is None
    assert call(q, "POST", "/api/v1/endpoints/e0/enable").status == 200
    assert happened(q, "operator", "^enable$")["who"] == "127.0.0.1"
    for n, order, who in [(2, lambda: q.signal(signal.SIGHUP), "a signal"),
                          (3, lambda: done(q.ctl("reload")), ME),
                          (4, lambda: call(q, "POST", "/api/v1/reload"), "127.0.0.1")]:
        order()
        assert happened(q, "reload", "^done, generation %d$" % n)["who"] == who
    old = q.pid
    q.upgrade()
    assert happened(q, "upgrade", "^qcc .*, pid %d, serves in place of pid %d, qcc " % (q.pid, old))["who"] == "a signal"
    assert not any(e["who"] for e in events(q) if e["kind"] in ("health", "start", "worker"))


def test_who_has_upgraded_and_stopped(kept):  # noqa: F811
    """What the history has after the end of both supervisors."""
    q = kept(whole("m", FIRST))
    send(q)
    stored(q, 1)
    q.successor = int(re.findall(r"\d+", done(q.ctl("upgrade")))[0])
    assert happened(q, "upgrade", "pid %d, serves in place of" % q.pid)["who"] == ME
    done(q.ctl("history", "prune", "--before", "1h"))
    assert happened(q, "operator", "^history prune asked for$")["who"] == ME
    q.ctl("stop")
    q.wait()
    q.successor = None
    q.start(wait=False).wait_serving(3)
    assert happened(q, "stop", "^what is in flight has")["who"] == ME
    q.stop()
    q.start(wait=False).wait_serving(4)
    happened(q, "stop", "^what is in flight has", 2)
    assert [e["who"] for e in events(q) if e["kind"] == "stop"] == ["a signal", ME]
    assert rows(q, "SELECT text FROM event WHERE kind='operator'") == [{"text": "history prune asked for\x1f" + ME}]


@pytest.mark.parametrize("listen,host,who", [("[::1]:%d", "::1", "::1"), ("unix:%s/admin.sock", None, "a Unix socket")])
def test_operators_addresses(qcc, raw, tmp_path, listen, host, who):
    """Without the port, and the token is nowhere."""
    port = free_port()
    token = "canary-token-0123456789"
    q = qcc({**CALM, "endpoints": [raw(whole("m", FIRST)).endpoint("a")],
             "admin": {"listen": listen % (port if host else tmp_path), "token": token}}, start=False)
    q.start(wait=False)
    until(lambda: q.ctl("status").returncode == 0 and "serving" in q.log(), "the start")
    c = http.client.HTTPConnection(host or "localhost", port, timeout=PATIENCE)
    if not host:
        c.sock = socket.socket(socket.AF_UNIX)
        c.sock.connect(str(tmp_path / "admin.sock"))
    c.request("POST", "/api/v1/endpoints/a/drain", headers={"authorization": "Bearer " + token})
    assert c.getresponse().status == 200
    c.close()
    got = q.ctl_json("events")
    assert [e["who"] for e in got["events"] if e["kind"] == "operator"] == [who] and token not in str(got)


def test_pages_and_parameters(source):
    q = source(whole("m", FIRST), whole("m", FIRST))
    for _ in range(5):
        done(q.ctl("drain", "e0"))
        done(q.ctl("enable", "e0"))
        done(q.ctl("drain", "e1"))
        done(q.ctl("enable", "e1"))
    until(lambda: len(texts(q, "operator")) == 20, "all events")
    every = events(q, "?limit=1000")
    pages, before = [], ""
    while before is not None:
        page = get(q, "events?limit=7" + before)
        assert len(page["events"]) <= 7
        pages += page["events"]
        before = page["next"] and "&before=%d" % page["next"]
    assert pages == every
    of_one = events(q, "?endpoint=e1&limit=1000")
    assert of_one == [e for e in every if e["endpoint"] == "e1"] and len(of_one) >= 10
    assert get(q, "events?endpoint=nobody") == {"events": [], "next": None, "oldest": every[-1]["time"]}
    for query, named in [("limit=0", "limit"), ("limit=1001", "limit"), ("limit=x", "limit"), ("before=-1", "before"),
                         ("before=", "before"), ("endpoint=", "endpoint"), ("endpoint=" + "x" * 65, "endpoint"),
                         ("endpoint=%zz", "endpoint"), ("kind=health", "kind"), ("limit=5&odd", "odd")]:
        a = call(q, "GET", "/api/v1/events?" + query)
        assert a.status == 400 and named in a.error, (query, a.error)


def test_qccctl_events(source):
    q = source(whole("m", FIRST))
    for _ in range(3):
        done(q.ctl("drain", "e0"))
        done(q.ctl("enable", "e0"))
    until(lambda: len(texts(q, "operator")) == 6, "the events")
    out = done(q.ctl("events"))
    lines = out.splitlines()
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ start +qcc .* serves", lines[0])
    assert re.search(r"Z operator e0: enable, by %s$" % ME, [x for x in lines if " operator " in x][-1])
    assert len(done(q.ctl("events", "2")).splitlines()) == 2
    assert all(" e0: " in x for x in done(q.ctl("events", "--endpoint", "e0")).splitlines())
    assert done(q.ctl("events", "--endpoint=other")) == "no event is remembered\n"
    assert q.ctl_json("events", "3") == get(q, "events?limit=3")
    for wrong in (["0"], ["x"], ["--endpoint"], ["-f", "--json"], ["--odd"]):
        assert q.ctl("events", *wrong).returncode == 2, wrong


def test_qccctl_follows_over_an_upgrade(source):
    q = source(whole("m", FIRST))
    happened(q, "start", "serves")
    p = subprocess.Popen([str(QCCCTL), "events", "-f", "1"], env=q.env, cwd=q.folder, stdin=subprocess.DEVNULL,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert "serves" in p.stdout.readline()
        done(q.ctl("drain", "e0"))
        assert p.stdout.readline().endswith("operator e0: drain, by %s\n" % ME)
        assert " e0: " in p.stdout.readline()
        q.upgrade()
        assert re.search("upgrade +qcc .*, pid %d, serves in place of pid" % q.pid, p.stdout.readline())
        done(q.ctl("enable", "e0"))
        assert p.stdout.readline().endswith("operator e0: enable, by %s\n" % ME)
        q.stop()
        _, err = p.communicate(timeout=PATIENCE)
        assert p.returncode == 3 and "the supervisor has ended" in err
    finally:
        p.kill()


def test_memory_is_bounded(qcc, raw):
    q = qcc({**CALM, "endpoints": [raw(whole("m", FIRST)).endpoint("a")]})
    for i in range(150):
        for action in ("drain", "enable"):
            assert call(q, "POST", "/api/v1/endpoints/a/" + action).status == 200
    got = get(q, "events?limit=1000")
    assert len(got["events"]) == 256 and got["next"] is None and got["oldest"] == got["events"][-1]["time"]


def test_events_outlive_restarts_and_deaths(kept):  # noqa: F811
    """What the recorder had not stored when it was killed is sent to the next one, and stored once."""
    q = kept(whole("m", FIRST))
    send(q)
    pid = stored(q, 1)["pid"]
    os.kill(pid, signal.SIGSTOP)
    for _ in range(3):
        done(q.ctl("drain", "e0"))
        done(q.ctl("enable", "e0"))
    os.kill(pid, signal.SIGKILL)
    happened(q, "worker", r"^the recorder \(pid %d\) ended unexpectedly: signal 9" % pid)
    was = [(e["time"], e["kind"], e["text"]) for e in events(q)]
    assert sum(kind == "operator" for _, kind, _ in was) == 6 and len(set(was)) == len(was)
    q.stop()
    q.start(wait=False).wait_serving(2)
    happened(q, "start", "pid %d, serves" % q.pid)
    now = [(e["time"], e["kind"], e["text"]) for e in events(q)]
    assert now[-len(was):] == was
    assert any(kind == "stop" and text.startswith("what is in flight has") for _, kind, text in now)
    assert rows(q, "SELECT count(DISTINCT k) n FROM event")[0]["n"] == len(now)


def test_events_while_nothing_is_stored(kept):  # noqa: F811
    """They come from memory, and are stored as soon as that is possible."""
    q = kept(whole("m", FIRST), history={"min_free": "1TiB"})
    send(q)
    until(lambda: history(q)["state"] == "paused", "that nothing is stored")
    done(q.ctl("drain", "e0"))
    assert "drain" in texts(q, "operator")
    q.reload({"history": {"min_free": 0}})
    stored(q, 1)
    happened(q, "operator", "^drain$")
    assert rows(q, "SELECT count(*) n FROM event WHERE kind='operator'")[0]["n"] == 1


def test_a_lock_at_a_stop(kept):  # noqa: F811
    """Somebody holds one while QCC stops, and lets go a moment later: nothing is lost."""
    q = kept(whole("m", FIRST))
    send(q)
    path = stored(q, 1)["path"]
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("BEGIN IMMEDIATE")
    send(q, 5)
    q.signal(signal.SIGTERM)
    q.wait_log("to recorder REC_STOP")
    time.sleep(0.5)  # longer than busy_timeout
    db.execute("COMMIT")
    q.wait()
    assert db.execute("SELECT count(*) FROM request").fetchall() == [(6,)]
    assert db.execute("SELECT count(*) FROM event WHERE kind='stop'").fetchall() == [(1,)]
    db.close()
