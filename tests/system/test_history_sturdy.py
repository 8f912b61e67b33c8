"""The history when its file is not what it should be, when the recorder ends or hangs amid work, and when names run out."""
import os
import sqlite3
import subprocess
import sys

import pytest

from admin import send
from qcc import until
from test_history import history, kept, rows, stored  # noqa: F401
from test_reply_usage import FIRST, whole

OURS = "PRAGMA application_id=1363362632;"


def folder(tmp_path):
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    return state


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
