"""The history when its file is not what it should be, when the recorder ends or hangs amid work, and when names run out."""
import os
import signal
import sqlite3
import subprocess
import sys

import pytest

from admin import call, get, send
from control import done
from qcc import BUILD, ROOT, until
from test_history import history, kept, rows, stored  # noqa: F401
from test_reply_usage import FIRST, whole
from upstream import reply

OURS = "PRAGMA application_id=1363362632;"


def folder(tmp_path):
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    return state


def metric(q, name):
    text = q.get("/metrics", port=q.admin_port)[1].decode()
    return float([line.split()[-1] for line in text.splitlines() if line.startswith(name + " ")][0])


# ---- the file

@pytest.mark.parametrize("sql", [
    OURS + "PRAGMA user_version=-1; CREATE TABLE t(x)", OURS + "PRAGMA user_version=0; CREATE TABLE t(x)",
    OURS + "PRAGMA user_version=1; CREATE TABLE t(x)",
    OURS + "PRAGMA user_version=1; CREATE TABLE request(k INTEGER PRIMARY KEY)", "CREATE TABLE t(x)"],
    ids=["negative", "zero", "no-tables", "no-columns", "somebody-elses"])
def test_a_file_that_is_none_of_ours(kept, tmp_path, sql):  # noqa: F811
    state = folder(tmp_path)
    with sqlite3.connect(state / "history.db") as db:
        db.executescript(sql)
    was = (state / "history.db").read_bytes()
    q = kept(whole("m", FIRST))
    send(q, 2)
    h = stored(q, 2)
    assert h["state"] == "storing" and h["restarts"] == 0
    bad, = [p for p in state.iterdir() if p.name.startswith("history.db.bad-")]
    assert bad.read_bytes() == was
    assert q.wait_log(r"it is none of QCC.s\): it is set aside as history.db.bad-")


def test_a_table_that_goes_while_it_is_in_use(kept, tmp_path):  # noqa: F811
    q = kept(whole("m", FIRST))
    send(q)
    with sqlite3.connect(stored(q, 1)["path"]) as db:
        db.execute("DROP TABLE usage_15")
    send(q, 2)
    until(lambda: history(q)["state"] == "storing" and history(q)["requests"] == 2, "a new file")
    assert q.wait_log("set aside as history.db.bad-")


WRITER = """import os, sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
for x in ("application_id=1363362632", *sys.argv[2:]):
    db.execute("PRAGMA " + x)
db.execute("CREATE TABLE t(x)")
os.kill(os.getpid(), 9)"""


@pytest.mark.parametrize("pragmas", [("user_version=9", "journal_mode=wal"), ("journal_mode=wal", "user_version=9")],
                         ids=["in-the-file", "in-the-log"])
def test_a_newer_file_keeps_its_log(kept, tmp_path, pragmas):  # noqa: F811
    """Its log is not worked into it, wherever the version stands."""
    state = folder(tmp_path)
    subprocess.run([sys.executable, "-c", WRITER, str(state / "history.db"), *pragmas], check=False)
    was = {p.name: p.read_bytes() for p in state.iterdir() if not p.name.endswith("-shm")}
    assert len(was) == 2
    q = kept(whole("m", FIRST))
    until(lambda: history(q)["state"] == "newer", "that it is newer")
    assert {p.name: p.read_bytes() for p in state.iterdir() if p.name in was} == was
    q.stop()
    assert {p.name: p.read_bytes() for p in state.iterdir() if p.name in was} == was


@pytest.mark.parametrize("make", [lambda p: p.mkdir(), os.mkfifo, lambda p: p.symlink_to("/nowhere/x.db")],
                         ids=["folder", "fifo", "link"])
def test_a_name_that_is_no_file(kept, tmp_path, make):  # noqa: F811
    state = folder(tmp_path)
    make(state / "history.db")
    q = kept(whole("m", FIRST))
    assert send(q, 2) == [200] * 2
    h = until(lambda: history(q)["state"] == "failed" and history(q), "that it failed")
    assert h["why"] == "history.db is no regular file"
    assert q.wait_log("nothing is stored: history.db is no regular file")
    (state / "history.db").rmdir() if (state / "history.db").is_dir() else (state / "history.db").unlink()
    assert stored(q, 2)["dropped"] == 0


@pytest.mark.parametrize("replace", [False, True], ids=["removed", "replaced"])
def test_the_file_goes_while_it_is_in_use(kept, tmp_path, replace):  # noqa: F811
    q = kept(whole("m", FIRST))
    send(q, 5)
    path = tmp_path / "state" / "history.db"
    stored(q, 5)
    if replace:
        os.rename(path, tmp_path / "moved.db")
        with sqlite3.connect(path) as db:
            db.execute("PRAGMA journal_mode=WAL")
    else:
        path.unlink()
    assert q.wait_log("history.db was removed or replaced")
    send(q, 3)
    h = stored(q, 3)
    assert h["state"] == "storing" and h["restarts"] == 0
    assert len(rows(q, "SELECT k FROM request")) == 3
    if replace:
        with sqlite3.connect(tmp_path / "moved.db") as db:
            assert db.execute("SELECT count(*) FROM request").fetchall() == [(5,)]


# ---- what was read and cannot be stored

def test_switched_off_while_it_is_locked(kept):  # noqa: F811
    q = kept(whole("m", FIRST))
    send(q, 4)
    db = sqlite3.connect(stored(q, 4)["path"], isolation_level=None)
    db.execute("BEGIN IMMEDIATE")
    send(q, 50)
    until(lambda: history(q)["state"] == "locked", "that the lock is seen")
    q.reload({"history": {"enabled": False}})
    until(lambda: history(q)["state"] == "off" and history(q)["pid"] == 0, "the end of the recorder")
    db.execute("ROLLBACK")
    db.close()
    assert q.wait_log("were not stored")
    q.reload({"history": {"enabled": True}})
    until(lambda: history(q)["state"] == "storing", "the history")
    h = history(q)
    assert h["requests"] + h["dropped"] == 54 and h["dropped"] > 0


# ---- jobs

def ctl(q, *words):
    return subprocess.Popen([str(BUILD / "qccctl"), *words], env=q.env, cwd=q.folder, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True)


def test_results_of_earlier_jobs(kept):  # noqa: F811
    """A job that is begun before a qccctl has looked does not take the result of the one before."""
    q = kept(whole("m", FIRST))
    send(q, 3)
    stored(q, 3)
    for _ in range(4):
        both = ctl(q, "history", "prune", "--before", "30d"), ctl(q, "history", "check")
        said = [(p.communicate(timeout=60)[0], p.returncode) for p in both]
        assert all(code == 0 or "is under way" in out for out, code in said), said
        assert any(code == 0 for _, code in said)


def test_prune_of_what_is_not_stored_yet(kept):  # noqa: F811
    q = kept(whole("m", FIRST), config={"clients": [{"name": "alice-person", "token": "alices-token-1"}], "workers": 2})
    alice = {"authorization": "Bearer alices-token-1"}
    for _ in range(2):  # the file does not have the name yet
        assert send(q, 6, headers=alice) == [200] * 6
        out = done(q.ctl("history", "prune", "--client", "alice-person"))
        assert out.startswith("6 requests ") and "nothing of client alice-person is left in the history" in out
    send(q, 1, headers=alice)
    stored(q, 1)  # what came before it is stored by now
    assert rows(q, "SELECT sum(requests) n FROM usage_60") == [{"n": 1}]
    send(q, 5, headers=alice)
    assert done(q.ctl("history", "prune", "--before", "now")).startswith("6 requests ")
    send(q, 1, headers=alice)
    assert stored(q, 1)


FILL = os.path.join(ROOT, "tests", "bench", "history_fill.py")


@pytest.mark.parametrize("how", ["upgrade", "kill", "restart"])
def test_a_prune_outlives_its_recorder(kept, how):  # noqa: F811
    q = kept(whole("m", FIRST), config={"workers": 1})
    until(lambda: history(q)["state"] == "storing", "the history")
    q.stop()
    subprocess.run([sys.executable, FILL, q.config["state_dir"] + "/history.db", "--requests", "60000", "--days", "30"],
                   check=True, stdout=subprocess.DEVNULL)
    q.start(wait=False).wait_serving(2)
    until(lambda: history(q)["state"] == "storing", "the history")
    client = rows(q, "SELECT text FROM name WHERE kind=2 LIMIT 1")[0]["text"]
    os.kill(history(q)["pid"], signal.SIGSTOP)
    pid = history(q)["pid"]
    p = ctl(q, "history", "prune", "--client", client)
    assert q.wait_log("says prune")
    os.kill(pid, signal.SIGCONT)
    until(lambda: len(rows(q, "SELECT 1 FROM request JOIN name ON name.id=client WHERE text=? LIMIT 1", client)) == 0
          or p.poll() is not None, "a part of it")
    assert p.poll() is None  # it looks once more 1.5 s after its begin
    if how == "upgrade":
        q.upgrade()
    elif how == "kill":
        os.kill(pid, signal.SIGKILL)
    else:
        q.stop()
        q.start(wait=False).wait_serving(3)
    out = p.communicate(timeout=60)[0]
    assert p.returncode == 0, out
    assert "nothing of client %s is left in the history" % client in out
    assert "begun anew" in out
    until(lambda: history(q)["state"] == "storing", "the history")
    assert rows(q, "SELECT 1 FROM name WHERE text=?", client) == []


# ---- names

def test_names_of_what_was_never_served(kept):  # noqa: F811
    def play(peer, request):
        model = request.json()["model"]
        odd = b'{"type":"error","error":{"type":"invalid_request_error","message":"no such model"}}'
        peer.send(reply(odd, 400) if model.startswith("junk") else whole(model, FIRST))

    q = kept(play)
    send(q, 1, model="claude-opus-4-5")
    for i in range(520):
        send(q, 1, model="junk-%d" % i)
    send(q, 2, model="claude-opus-5")
    stored(q, 523)
    row = get(q, "requests?limit=1&since=1h")["requests"][0]
    assert row["model"] == row["sent"] == row["served"] == "claude-opus-5"
    assert 400 < len(rows(q, "SELECT 1 FROM name WHERE kind=1 AND text LIKE 'junk-%'")) <= 500


# ---- a recorder that hangs

def test_a_recorder_that_hangs_is_seen(kept):  # noqa: F811
    q = kept(whole("m", FIRST))
    send(q)
    pid = stored(q, 1)["pid"]
    assert metric(q, "qcc_history_up") == 1 and metric(q, "qcc_history_enabled") == 1
    os.kill(pid, signal.SIGSTOP)
    try:
        send(q, 3)
        h = until(lambda: history(q)["state"] == "not answering" and history(q), "that it hangs")
        assert metric(q, "qcc_history_up") == 0 and metric(q, "qcc_history_behind_seconds") >= 15
        until(lambda: history(q)["behind_ms"] > h["behind_ms"], "that it grows")
        assert q.wait_log(r"the recorder \(pid %d\) has not answered for 15 s" % pid)
        a = call(q, "GET", "/api/v1/usage")
        assert a.status == 503 and "does not answer" in a.error
        assert "history not answering" in q.ctl("history").stdout
    finally:
        os.kill(pid, signal.SIGCONT)
    h = stored(q, 4)
    assert h["state"] == "storing" and h["restarts"] == 0 and h["pid"] == pid
    until(lambda: history(q)["behind_ms"] == 0, "that all is stored")
    assert q.wait_log("the recorder answers again")
    assert q.log().count("has not answered") == 1 and metric(q, "qcc_history_up") == 1


# ---- no room

def test_only_sums_for_want_of_room(kept):  # noqa: F811
    q = kept(whole("m", FIRST), config={"workers": 1}, history={"max_size": "1GiB"})
    until(lambda: history(q)["state"] == "storing", "the history")
    q.stop()
    subprocess.run([sys.executable, FILL, q.config["state_dir"] + "/history.db", "--requests", "300000", "--days", "6"],
                   check=True, stdout=subprocess.DEVNULL)
    q.configure({"history": {"max_size": "16MiB"}})
    q.start(wait=False).wait_serving(2)
    h = until(lambda: history(q)["state"] == "sums only" and history(q), "that there is no room")
    assert "history.max_size" in h["why"] and "since 20" in h["why"]
    assert q.wait_log("only sums are stored")
    n = h["requests"]
    send(q, 3)
    until(lambda: "3 requests without a row" in history(q)["why"], "that it says what is missing")
    assert history(q)["requests"] == n and metric(q, "qcc_history_up") == 1
    out = done(q.ctl("history"))
    assert out.startswith("history sums only: ") and "days of requests" in out
