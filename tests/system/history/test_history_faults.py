"""The history when something fails: the disk, the file, the process, the clock. No request notices, what was stored
stays, and what is lost is counted."""
import os
import pathlib
import re
import resource
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time

import pytest

from admin import get, send
from control import done
from qcc import until
from test_history import history, kept, rows, rows_of, stored  # noqa: F401
from test_history_upgrade import Load
from test_reply_usage import FIRST, whole
from upstream import reply
from wall import Clock


def agree(path):
    """Counts the requests of a file whose sums are those of its rows."""
    if str(path).startswith("/proc/"):  # of another namespace, where SQLite does not find its way
        with tempfile.TemporaryDirectory() as folder:
            for end in ("", "-wal"):
                shutil.copy(str(path) + end, folder + "/copy" + end)
            return agree(folder + "/copy")
    with sqlite3.connect(path, timeout=5) as db:
        n, tokens = db.execute("SELECT count(*), ifnull(sum(input), 0) FROM request").fetchone()
        for table in ("usage_15", "usage_60"):
            assert db.execute("SELECT ifnull(sum(requests), 0), ifnull(sum(input), 0) FROM " + table).fetchone() == (n, tokens)
    return n


# ---- no room

AS_ROOT = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
MOUNT = ["unshare", *AS_ROOT, "--mount", "sh", "-c", 'mount -t tmpfs -o size=12m,mode=700 none "$0" && exec "$@"']


def mounts(folder):
    return shutil.which("unshare") and subprocess.run([*MOUNT, str(folder), "true"], capture_output=True).returncode == 0


class SmallDisk:
    """A file system of 12 MiB that only this instance sees."""

    def __init__(self, kept, state):  # noqa: F811
        if not mounts(state):
            pytest.skip("no file system can be mounted here: neither as root nor in a namespace of users")
        self.q = kept(whole("m", FIRST), start=False)
        self.q.command = [*MOUNT, str(state), *self.q.command]
        self.q.start()
        self.state = pathlib.Path("/proc/%d/root%s" % (self.q.pid, state))
        self.filler = self.state / "filler"

    def fill(self):
        """Leaves room for a part of a commit."""
        st = os.statvfs(self.state)
        with open(self.filler, "wb") as f:
            os.posix_fallocate(f.fileno(), 0, st.f_bavail * st.f_frsize - 24576)

    def free(self):
        self.filler.unlink()


class ShortFiles:
    """The recorder's files may not grow further: for machines on which nothing can be mounted."""

    def __init__(self, kept, state):  # noqa: F811
        self.q = kept(whole("m", FIRST))
        self.state = state

    def limit(self, size):
        resource.prlimit(history(self.q)["pid"], resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    def fill(self):
        self.limit(max((self.state / ("history.db" + end)).stat().st_size for end in ("", "-wal")) + 24576)

    def free(self):
        self.limit(resource.RLIM_INFINITY)


@pytest.mark.parametrize("disk", [SmallDisk, ShortFiles])
def test_a_disk_that_is_full_in_the_middle_of_a_commit(kept, tmp_path, disk):  # noqa: F811
    """It pauses and goes on by itself; what happened meanwhile waits in memory and is stored."""
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    d = disk(kept, state)
    q, file = d.q, d.state / "history.db"
    send(q, 20)
    stored(q, 20)
    d.fill()
    with Load(q) as load:
        until(lambda: history(q)["state"] == "paused", "that the disk is full")
        load.more(300)
    n = 20 + load.answered
    assert not load.failed
    h = history(q)
    assert h["state"] == "paused" and re.search("full|I/O", h["why"]) and h["dropped"] == 0 and h["restarts"] == 0
    assert h["requests"] == agree(file) < n, "a commit is whole or not at all"
    d.free()
    h = stored(q, n)
    assert h["state"] == "storing" and h["dropped"] == 0 and h["stored"] == n and agree(file) == n
    assert q.count("history: nothing is stored:") == q.count("history: requests are stored again") == 1


def test_min_free(kept, tmp_path):  # noqa: F811
    """Less is left: it pauses; it goes on when there is half as much more than that."""
    q = kept(whole("m", FIRST))
    send(q, 2)
    stored(q, 2)
    st = os.statvfs(tmp_path / "state")
    free = st.f_bavail * st.f_frsize

    def reload(share):
        """Sent again, the recorder looks at once; it has looked when it answers a question."""
        q.reload({"history": {"min_free": int(free * share)}})
        return done(q.ctl("history", "check"))

    reload(10)
    send(q, 3)
    assert "min_free" in until(lambda: history(q)["state"] == "paused" and history(q), "the pause")["why"]
    reload(0.8)
    assert agree(history(q)["path"]) == 2 and history(q)["state"] == "paused"
    reload(0.5)
    assert stored(q, 5)["dropped"] == 0
    assert q.count("history: nothing is stored:") == q.count("history: requests are stored again") == 1
    reload(0.8)
    send(q)
    assert stored(q, 6)["state"] == "storing"


# ---- a process that dies

@pytest.mark.limit(240)
def test_a_recorder_that_is_killed_again_and_again(kept):  # noqa: F811
    """Each time at most what it had read and not committed is lost, and the file is whole."""
    kills = 20
    q = kept(whole("m", FIRST), config={"workers": 1})
    path, ended = history(q)["path"], r"the recorder \(pid \d+\) ended unexpectedly: signal 9"
    sent = lost = 0
    for i in range(kills):
        pid = until(lambda: history(q)["state"] == "storing" and history(q)["pid"], "a recorder")
        with Load(q, 2) as load:
            began = time.monotonic()
            # a life of 2 s is long enough for the next one to start at once
            until(lambda: time.monotonic() - began > 1.6 + i * 0.04 and load.answered, "a load of some time")
            os.kill(pid, signal.SIGKILL)
            at_risk = sent + load.answered - lost - agree(path)
            load.more(5)
        assert not load.failed
        sent += load.answered
        # one worker, one feed: when this one is stored, so is all before it that was not lost
        send(q, model="last-%d" % i)
        sent += 1
        until(lambda: rows(q, "SELECT 1 FROM request JOIN name ON name.id=model WHERE text=?", "last-%d" % i), "the last one")
        now_lost = sent - agree(path)
        # those answered between the kill and the count cannot be told from those before it
        assert lost <= now_lost <= lost + max(at_risk, 0) + 2, "in round %d" % i
        lost = now_lost
    # what the recorder says of itself comes a moment after what it stores
    h = until(lambda: history(q)["requests"] == sent - lost and history(q), "the recorder to have counted")
    assert h["restarts"] == kills and h["dropped"] == 0
    checked = "history: checked after an unclean end: it is whole"
    # whoever counts while no recorder runs has closed the file cleanly
    assert q.count(ended) == kills and 0 < q.count(" info supervisor: " + checked) == q.count(checked) <= kills
    q.stop()
    assert rows_of(q, "PRAGMA integrity_check") == [("ok",)] and agree(path) == sent - lost


# ---- a clock that jumps

HOUR, YEAR = 3600, 365 * 86400


def test_a_clock_that_was_ahead(kept, tmp_path):  # noqa: F811
    """By two years and back: each jump is one event; no block runs until then, and no list ends there."""
    clock = Clock(tmp_path)
    q = kept(whole("m", FIRST), env=clock.env)

    def jumps():
        return [e["text"] for e in get(q, "events?limit=1000")["events"] if e["kind"] == "clock"]

    send(q, 3)
    stored(q, 3)
    for n, ahead in ((1, 2 * YEAR), (2, 0)):
        clock.set(ahead)
        until(lambda n=n: len(jumps()) >= n, "the event")
        send(q, 2)
        until(lambda n=n: history(q)["requests"] == 3 + 2 * n, "two more")
    assert len(jumps()) == 2, jumps()
    got = get(q, "requests?since=1h")["requests"]
    assert 3 <= len(got) <= 6 and all(r["time"] < time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 60))
                                      for r in got)
    assert all(b["start"] <= time.time() for b in get(q, "usage/blocks?since=1d")["blocks"])


def test_a_clock_that_cannot_be(kept, tmp_path):  # noqa: F811
    """Beyond 2100 and before 2020 nothing is stored, and counted; each jump is one event."""
    clock = Clock(tmp_path)
    q = kept(whole("m", FIRST), env=clock.env)

    def jumps():
        return [e["text"] for e in get(q, "events?limit=1000")["events"] if e["kind"] == "clock"]

    def state(word):
        return until(lambda: history(q)["state"] == word and history(q), word)

    send(q, 3)
    stored(q, 3)
    sent = 3
    for ahead in (80 * YEAR, -10 * YEAR):
        was = history(q)
        clock.set(ahead)
        assert "before 2020 or beyond 2100" in state("clock")["why"]
        for _ in range(50):  # a worker may not have looked at the clock yet when it is asked first
            sent += len(send(q))
            if history(q)["dropped"] > was["dropped"]:
                break
            time.sleep(0.2)
        h = history(q)
        assert h["state"] == "clock" and h["dropped"] > was["dropped"] and h["requests"] == was["requests"]
        clock.set(0)
        state("storing")
        time.sleep(0.6)  # as above: the workers' loops look at it each 500 ms
        sent += len(send(q, 2))
        until(lambda: history(q)["requests"] + history(q)["dropped"] == sent, "each one to be stored or counted")
    n = history(q)["requests"]
    until(lambda: len(jumps()) == 2, "what has happened at a time that can be")
    clock.set(5 * HOUR)
    until(lambda: len(jumps()) == 3, "one more")
    send(q)
    h = stored(q, n + 1)
    assert h["retention"]["state"] == "held" and h["restarts"] == 0 and agree(h["path"]) == n + 1
    assert q.count("history: the clock was set 5 h 0 min ahead|history: the clock was set 4 h 59 min ahead") == 1
    assert len(jumps()) == 3 == rows(q, "SELECT count(*) n FROM event WHERE kind='clock'")[0]["n"]


# ---- a file that is none

def test_what_is_set_aside(kept, tmp_path):  # noqa: F811
    """With its log of writes, and only the newest of those that were set aside before is kept."""
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    ends = ("", "-wal", "-shm")
    for stamp in ("20260101T000000000Z", "20260201T000000000Z", "20260301T000000000Z"):
        for end in ends:
            (state / ("history.db.bad-%s%s" % (stamp, end))).write_text(stamp)
    q = kept(whole("m", FIRST), start=False)
    was = {}
    for end in ends:
        was[end] = b"no database%s\n" % end.encode() * 1000
        (state / ("history.db" + end)).write_bytes(was[end])
    q.start()
    send(q, 2)
    h = stored(q, 2)
    bad = sorted(p.name for p in state.iterdir() if ".bad-" in p.name)
    assert len(bad) == 6 and [p[-4:] for p in bad[1:3]] == ["-shm", "-wal"], bad
    assert {p[:33] for p in bad[:3]} == {"history.db.bad-20260301T000000000"}
    name = bad[3]
    assert {end: (state / (name + end)).read_bytes() for end in ("", "-wal")} == {e: was[e] for e in ("", "-wal")}
    assert q.wait_log("warning.*history: history.db cannot be used \\(.*\\): it is set aside as " + name)
    assert q.ctl_json("history")["last_error"].endswith("it is set aside as " + name)
    assert agree(h["path"]) == 2


def test_what_is_damaged_keeps_its_log_of_writes(kept, tmp_path):  # noqa: F811
    """Commits that only the log has are set aside with it: it is not worked into a damaged file."""
    q = kept(whole("m", FIRST))
    send(q, 300)
    stored(q, 300)
    q.stop()  # all is in the file
    q.start(wait=False).wait_serving(2)
    send(q, 5)
    pid = stored(q, 305)["pid"]
    os.kill(q.pid, signal.SIGSTOP)  # it shall not start another one yet
    os.kill(pid, signal.SIGKILL)
    file, log = tmp_path / "state" / "history.db", tmp_path / "state" / "history.db-wal"
    until(lambda: "\nState:\tZ" in pathlib.Path("/proc/%d/status" % pid).read_text(), "its end")
    content = log.read_bytes()
    assert content
    with file.open("r+b") as f:
        f.seek(4096)
        f.write(b"\xaa" * (file.stat().st_size - 4096))
    os.kill(q.pid, signal.SIGCONT)
    send(q, 2)
    until(lambda: history(q)["pid"] not in (0, pid) and history(q)["requests"] == 2, "a new file")
    bad, = [p for p in (tmp_path / "state").iterdir() if p.name.startswith("history.db.bad-") and p.name.endswith("Z")]
    assert bad.read_bytes()[4096:5000] == b"\xaa" * 904 and bad.with_name(bad.name + "-wal").read_bytes() == content


# ---- what is worth its room

def test_an_endpoint_that_is_off_for_good_takes_no_room(kept):  # noqa: F811
    """A trail says what passes; one that is disabled or drains would be in each one."""
    q = kept(whole("m", FIRST), reply(b"{}", 500), whole("m", FIRST))
    done(q.ctl("disable", "e0"))
    done(q.ctl("drain", "e1"))
    send(q, 30)
    stored(q, 30)
    assert rows(q, "SELECT count(*) n, count(trail) trails FROM request") == [{"n": 30, "trails": 0}]
