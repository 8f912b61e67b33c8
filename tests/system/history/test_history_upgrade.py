"""The history over an upgrade: the feed goes on to the next supervisor, and no record is lost."""
import contextlib
import http.client
import json
import os
import pathlib
import signal
import sqlite3
import threading

import pytest

from admin import call, get, send
from qcc import BUILD, PATIENCE, WORKER, alive, recorder, until
from test_events import happened
from test_history import history, kept, rows, stored  # noqa: F401
from test_reply_usage import FIRST, whole
from test_upgrade import Held, gone, lame, open_stream, rest_of


class Load:
    """Clients that ask one question after the other until the block ends."""

    def __init__(self, q, clients=6):
        self.q, self.answered, self.failed = q, 0, []
        self.ended, self.lock = threading.Event(), threading.Lock()
        self.threads = [threading.Thread(target=self.run) for _ in range(clients)]

    def run(self):
        c = None
        while not self.ended.is_set():
            try:
                c = c or http.client.HTTPConnection("127.0.0.1", self.q.port, timeout=PATIENCE)
                c.request("POST", "/v1/messages", json.dumps({"model": "m", "messages": []}),
                          {"content-type": "application/json"})
                r = c.getresponse()
                r.read()
                with self.lock:
                    self.answered += r.status == 200
                    if r.status != 200:
                        self.failed.append(r.status)
                if r.getheader("connection") == "close":
                    c.close()
                    c = None
            except (OSError, http.client.HTTPException) as e:
                self.failed.append(repr(e))
                c = None
        if c:
            c.close()  # one that is idle keeps an old worker

    def more(self, n=60):
        at = self.answered
        until(lambda: self.answered > at + n, "some requests")

    def __enter__(self):
        for t in self.threads:
            t.start()
        self.more()
        return self

    def __exit__(self, *_):
        self.ended.set()
        for t in self.threads:
            t.join(PATIENCE)


def lame_recorded(q, tmp_path, script):
    """`lame`, with a history: its program has no recorder beside it."""
    q.env["QCC_RECORDER"] = str(BUILD / "qcc-recorder")
    return lame(q, tmp_path, script)


def recorders(q):
    """Process ids of the recorders that have this instance's folder open."""
    state = str(pathlib.Path(q.config["state_dir"]))
    found = []
    for p in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if recorder(int(p.name)) and os.readlink(p / "cwd") == state and alive(int(p.name)):
                found.append(int(p.name))
    return found


def counted(q, n):
    """n requests are in the rows and in the sums, and none was dropped anywhere."""
    until(lambda: call(q, "GET", "/api/v1/history").json().get("requests") == n, "%d requests in the history" % n)
    assert rows(q, "SELECT count(*) n, count(DISTINCT id) ids FROM request")[0] == {"n": n, "ids": n}
    assert rows(q, "SELECT sum(requests) n FROM usage_60")[0]["n"] == n
    assert history(q)["dropped"] == 0


def test_an_upgrade_loses_no_record(kept):  # noqa: F811
    """Two in a row under load: each answered request is one row; one recorder runs at a time."""
    q = kept(whole("m", FIRST), config={"workers": 2})
    with Load(q) as load:
        for _ in range(2):
            before = q.upgrade()
            load.more()
            gone(before)
            load.more()
    assert load.failed == []
    counted(q, load.answered)
    assert recorders(q) == [history(q)["pid"]]
    assert len(rows(q, "SELECT * FROM event WHERE kind='upgrade'")) == 2
    q.stop()
    path = pathlib.Path(q.config["state_dir"]) / "history.db"
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_workers_that_drain_are_recorded(kept, client):  # noqa: F811
    """A stream that ends long after the upgrade, in a worker of the one before."""
    play = Held()
    q = kept(play)
    c = open_stream(client, q)
    before = q.upgrade()
    send(q)
    stored(q, 1)
    assert recorders(q) == [history(q)["pid"]]
    play.go.set()
    rest_of(c)
    counted(q, 2)
    gone(before)


def test_a_stop_right_after_an_upgrade(kept, client):  # noqa: F811
    """Both supervisors end; what drains is stored by the recorder of the new one."""
    play = Held()
    q = kept(play)
    c = open_stream(client, q)
    before = q.upgrade()
    q.signal(signal.SIGTERM)
    q.wait_log("stopping: what is in flight", 2)
    play.go.set()
    rest_of(c)
    gone(before)
    gone(q.pid)
    path = pathlib.Path(q.config["state_dir"]) / "history.db"
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT count(*) FROM request").fetchall() == [(1,)]


def test_while_no_recorder_runs_questions_are_refused(kept):  # noqa: F811
    """The old recorder does not end for a while: 503 with retry-after, and the records wait."""
    q = kept(whole("m", FIRST))
    send(q)
    pid = stored(q, 1)["pid"]
    os.kill(pid, signal.SIGSTOP)  # it is killed after 2 s
    q.upgrade()
    a = call(q, "GET", "/api/v1/events")
    assert a.status == 503 and a.headers["retry-after"] == "1"
    assert send(q, 20) == [200] * 20
    counted(q, 21)
    assert call(q, "GET", "/api/v1/events").status == 200 and not alive(pid)


def test_the_first_of_three_ends_late(kept, client):  # noqa: F811
    """The second has handed the history on when it hears that the first has ended: it starts no recorder."""
    play = Held()
    q = kept(play)
    c = open_stream(client, q)
    before = [q.upgrade(), q.upgrade()]
    until(lambda: history(q)["state"] == "storing", "the third recorder")
    play.go.set()
    rest_of(c)
    for pid in before:
        gone(pid)
    counted(q, 1)
    assert recorders(q) == [history(q)["pid"]]
    assert q.count("recorder started, pid") == 3 and not q.count("after an unclean end")


def test_two_upgrades_before_the_first_recorder_ends(kept):  # noqa: F811
    """The third waits for the first one's, too."""
    q = kept(whole("m", FIRST))
    send(q)
    stopped = stored(q, 1)["pid"]
    os.kill(stopped, signal.SIGSTOP)  # it is killed after 2 s
    q.upgrade()
    q.upgrade()
    while alive(stopped):
        assert recorders(q) in ([stopped], []) or not alive(stopped)
    send(q, 5)
    counted(q, 6)
    assert recorders(q) == [history(q)["pid"]]


@pytest.mark.parametrize("fault", ["file", "worker", "program"])
def test_an_upgrade_that_fails(kept, tmp_path, fault):  # noqa: F811
    """Refused before it has the state, with the configuration, by its workers: the history goes on."""
    worker = tmp_path / "worker"
    worker.symlink_to(WORKER)
    q = kept(whole("m", FIRST), worker=worker, start=fault != "program")
    good = q.path.read_text()
    if fault == "program":
        lame_recorded(q, tmp_path, "exit 3")
    elif fault == "file":
        q.configure("workers: many\n")
    else:
        worker.unlink()
        worker.write_text("#!/bin/sh\nexit 1\n")
        worker.chmod(0o755)
    with Load(q) as load:
        q.signal(signal.SIGUSR2)
        q.wait_log("upgrade refused, this supervisor goes on")
        load.more()
    assert load.failed == []
    counted(q, load.answered)
    assert happened(q, "upgrade", "^refused: .{10}")["who"] == "a signal"
    if fault == "file":
        q.configure(good)
        gone(q.upgrade())
        send(q)
        counted(q, load.answered + 1)


# It takes the state, but fails before it serves.
FAILS = """
import os, socket, struct, time
s = socket.socket(fileno=3)
body = b"\\x92" + struct.pack(">BQBQ", 0xCF, 112, 0xCF, 0)  # TAKE
s.sendall(len(body).to_bytes(4, "big") + body)
while not os.path.exists(%r):
    s.settimeout(0.05)
    try:
        s.recv(65536)
    except TimeoutError:
        pass
"""


def test_an_upgrade_that_fails_with_the_state(kept, tmp_path):  # noqa: F811
    """The recorder has ended for the new one's, and is started again."""
    q = kept(whole("m", FIRST), start=False)
    program = lame_recorded(q, tmp_path, "")
    first = until(lambda: history(q)["pid"], "the recorder")
    (tmp_path / "new.py").write_text(FAILS % str(tmp_path / "go"))
    program.write_text("#!/bin/sh\nexec /usr/bin/python3 %s\n" % (tmp_path / "new.py"))
    with Load(q) as load:
        q.signal(signal.SIGUSR2)
        q.wait_log("to the new supervisor UP_GO")
        gone(first)
        load.more()
        assert recorders(q) == [] and get(q, "history")["state"] == "not running"
        (tmp_path / "go").touch()
        q.wait_log("upgrade refused, this supervisor goes on")
        load.more()
    assert load.failed == []
    counted(q, load.answered)
    assert history(q)["pid"] not in (0, first)


def test_the_one_before_is_killed(kept):  # noqa: F811
    """Directly after it has handed over, before its recorder has ended."""
    q = kept(whole("m", FIRST))
    send(q)
    stopped = stored(q, 1)["pid"]
    os.kill(stopped, signal.SIGSTOP)
    before = q.upgrade()
    os.kill(before, signal.SIGKILL)
    send(q, 5)
    until(lambda: history(q)["state"] == "storing", "the next recorder")
    os.kill(stopped, signal.SIGCONT)
    counted(q, 6)
    until(lambda: not alive(stopped), "the orphan to end")


def test_switched_by_the_upgrade(kept):  # noqa: F811
    """The new file has a history or none."""
    q = kept(whole("m", FIRST))
    send(q, 2)
    stored(q, 2)
    q.configure({"history": {"enabled": False}})
    gone(q.upgrade())
    send(q, 3)
    assert history(q)["state"] == "off" and recorders(q) == []
    q.configure({"history": {"enabled": None}})
    gone(q.upgrade())
    send(q, 4)
    counted(q, 6)


def test_off_and_on_by_reloads_after_an_upgrade(kept):  # noqa: F811
    q = kept(whole("m", FIRST))
    gone(q.upgrade())
    send(q, 2)
    stored(q, 2)
    q.reload({"history": {"enabled": False}})
    until(lambda: history(q)["state"] == "off", "the end of the history")
    send(q, 3)
    q.reload({"history": {"enabled": None}})
    send(q, 4)
    counted(q, 6)
    gone(q.upgrade())
    send(q)
    counted(q, 7)
