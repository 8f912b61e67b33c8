"""What the history is asked: requests of the past, why, and the jobs: check, prune, backup."""
import csv
import io
import os
import pathlib
import pty
import signal
import sqlite3
import subprocess
import threading
import time

import pytest

from admin import call, get, send
from control import done
from qcc import PATIENCE, QCCCTL, until
from test_history import history, kept, rows, stored  # noqa: F401  (kept is a fixture)
from test_reply_usage import FIRST, LAST, stream, whole
from upstream import LAST_CHUNK, START, STREAM_HEAD, chunk, error, event, reply

ALICE = {"authorization": "Bearer alices-token-1"}
CLIENTS = {"clients": [{"name": "alice", "token": "alices-token-1"}, {"name": "bob", "token": "bobs-token-11"}]}
BOB = {"authorization": "Bearer bobs-token-11"}
HOUR = 3600 * 1000


def ask(q, **parameters):
    """One page of the history."""
    query = "&".join("%s=%s" % (k, v) for k, v in parameters.items())
    return get(q, "requests?" + query)


def everything(q, **parameters):
    """All pages."""
    v, page = [], ask(q, **parameters)
    v += page["requests"]
    while page["next"]:
        page = ask(q, before=page["next"], **parameters)
        v += page["requests"]
    return v


def restarted(q):
    q.stop()
    q.start(wait=False).wait_serving(2)
    until(lambda: history(q)["state"] == "storing", "the history")
    return q


class Past:
    """Rows written into the file of an instance that does not run."""

    def __init__(self, q):
        self.db = sqlite3.connect(pathlib.Path(q.config["state_dir"]) / "history.db")

    def name(self, kind, text):
        self.db.execute("INSERT OR IGNORE INTO name(kind, text) VALUES(?, ?)", (kind, text))
        return self.db.execute("SELECT id FROM name WHERE kind=? AND text=?", (kind, text)).fetchone()[0]

    def add(self, n, end_ms, step_ms=1000, status=200, total_ms=100, endpoint="old", model="m-old", client="carol",
            end="ok"):
        """n requests, the last of which has ended at end_ms."""
        numbers = [self.name(0, endpoint)] + [self.name(1, model)] * 3 + [self.name(2, client), self.name(3, "/v1/messages"),
                                                                          self.name(4, end)]
        for i in range(n):
            at = end_ms - i * step_ms
            self.db.execute("INSERT INTO request VALUES(%s)" % ",".join("?" * 24),
                            [at << 12, os.urandom(10), *numbers, status, 1, 1, 0, 50, total_ms, 10, 20, 1, 2, 3, 4, 5, 0,
                             None])
            for table, seconds in (("usage_15", 900), ("usage_60", 3600)):
                self.db.execute("INSERT INTO %s(q, endpoint, model, client, rate, requests, ok, failed, cancelled) VALUES"
                                "(?,?,?,?,0,1,1,0,0) ON CONFLICT DO UPDATE SET requests=requests+1, ok=ok+1" % table,
                                (at // 1000 // seconds, numbers[0], numbers[1], numbers[4]))
        return self

    def close(self):
        self.db.commit()
        self.db.close()


@pytest.fixture
def past(kept):  # noqa: F811
    """past(fill, …): an instance whose file has the rows that fill(Past) has written."""

    def make(fill, *plays, **more):
        q = kept(*(plays or [whole("m", FIRST)]), **more)
        until(lambda: history(q)["state"] == "storing" or send(q) and False, "the file")
        q.stop()
        p = Past(q)
        p.db.execute("DELETE FROM request")
        p.db.execute("DELETE FROM usage_15")
        p.db.execute("DELETE FROM usage_60")
        fill(p)
        p.close()
        q.start(wait=False).wait_serving(2)
        until(lambda: history(q)["state"] == "storing", "the file to be open")
        return q

    return make


def now_ms():
    return int(time.time() * 1000)


# ---- requests

def test_pages_hold_each_request_once(past):
    """2,500 of them, of which several ended in the same millisecond; while others are being stored."""
    now = now_ms()

    def fill(p):
        p.add(2000, now - HOUR, step_ms=3)
        for i in range(1, 501):
            p.db.execute("INSERT INTO request SELECT k + ?, randomblob(10), endpoint, model, sent, served, client, path, end,"
                         " status, attempts, flags, rate, ttfb_ms, total_ms, bytes_in, bytes_out, input, output, cache_read,"
                         " write_5m, write_1h, web, trail FROM request WHERE k & 4095 = 0 ORDER BY k LIMIT 1", (i,))

    q = past(fill)
    stop = threading.Event()
    sender = threading.Thread(target=lambda: [send(q) for _ in iter(stop.is_set, True)])
    sender.start()
    try:
        for limit in (1000, 333):
            got = everything(q, limit=limit, endpoint="old")
            assert len(got) == len({r["id"] for r in got}) == 2500
            assert [r["time"] for r in got] == sorted((r["time"] for r in got), reverse=True)
    finally:
        stop.set()
        sender.join()
    page = ask(q, limit=2500 - 1500, endpoint="old")
    assert len(page["requests"]) == 1000 and page["next"] and page["oldest"] < page["requests"][-1]["time"]
    assert ask(q, since=0)["requests"].__len__() == 50
    ids = {r["id"] for r in everything(q, limit=1000, endpoint="old")}
    table = done(q.ctl("requests", "2500", "--endpoint", "old"))
    assert sum(line.split()[2] in ids for line in table.splitlines() if line[:1] == "2") == 2500


def test_the_same_as_from_memory(kept):  # noqa: F811
    """Each member, for one that went right and one that failed at the first endpoint."""
    q = kept(reply(b'{"error": {"message": "canary-upstream"}}', 503),
             stream("claude-x-20250929", {**FIRST, "service_tier": "batch"}, {**LAST, "service_tier": "batch"}), config=CLIENTS)
    send(q, 2, headers=ALICE, model="claude-x", stream=True)
    stored(q, 2)
    memory = get(q, "requests")["requests"]
    one = get(q, "requests/" + memory[0]["id"])
    restarted(q)
    assert get(q, "requests")["requests"] == []
    back = everything(q, client="alice")
    lost = {"method"}  # not stored
    assert len(back) == len(memory) == 2
    for attempt in one["attempts"]:
        attempt.pop("said")  # nor is this, which is in memory alone
    for was, now in zip(memory, back):
        assert was.keys() == now.keys()
        assert {k: was[k] for k in was.keys() - lost} == {k: now[k] for k in now.keys() - lost}
    assert back[1]["attempts"][0]["class"] == "transient" and back[1]["attempts"][0]["status"] == 503
    again = get(q, "requests/" + one["id"])
    assert again["from"] == "history" and again["trail"] is True
    assert {k: again[k] for k in one.keys() - lost} == {k: one[k] for k in one.keys() - lost}


def test_conditions(past):
    now = now_ms()

    def fill(p):
        p.add(10, now - 2 * HOUR, endpoint="a", model="m-1", client="alice")
        p.add(20, now - HOUR, endpoint="b", model="m-2", client="bob", status=529, end="error event", total_ms=9000)
        p.add(5, now - 3 * HOUR, endpoint="a", model="m-2", client="bob", status=200, end="client gone")
        p.add(3, now - 4 * HOUR, endpoint="c", model="odd & = %41[1m]", client="alice", status=404)

    q = past(fill)

    def n(**parameters):
        return len(everything(q, until="30m", **parameters))

    assert n(since=0) == 38
    assert n(endpoint="a") == 15 and n(endpoint="b") == 20 and n(endpoint="nobody") == 0
    assert n(model="m-2") == 25 and n(client="alice") == 13 and n(client="alice", endpoint="c") == 3
    assert n(model="odd+%26%20%3d+%2541%5B1m%5D") == 3
    assert n(status="failed") == 23 and n(status="5xx") == 20 and n(status="404") == 3 and n(status="200") == 15
    assert n(min_ms=9000) == 20 and n(min_ms=9001) == 0
    assert n(since="90m") == 20 and n(since=(now - 2 * HOUR - 30000) // 1000) == 30
    assert n(**{"class": "ok"}) == 10 and n(**{"class": "rate_limit"}) == 0
    assert ask(q, endpoint="nobody") == {"requests": [], "next": None, "oldest": ask(q, since=0)["oldest"]}
    cli = [("--failed",), ("--status", "5xx"), ("--client", "alice"), ("--model=odd & = %41[1m]",), ("--min-ms", "9000"),
           ("--since", "150m", "--until", "90m"), ("--class", "ok"), ("--endpoint", "c", "--client=alice")]
    for words, count in zip(cli, (23, 20, 13, 3, 20, 10, 10, 3)):
        words += () if "--until" in words else ("--until", "30m")
        assert len(q.ctl_json("requests", "1000", *words)["requests"]) == count, words
        assert "TIME" in done(q.ctl("requests", "1000", *words))
    assert done(q.ctl("requests", "--client", "nobody")) == "no request of the history is so\n"
    assert len(q.ctl_json("requests", "--since", "1d")["requests"]) == 20


def test_classes_are_those_of_the_trail(kept):  # noqa: F811
    q = kept(reply(b"{}", 429), whole("m", FIRST))
    send(q)
    send(q, model="other")
    stored(q, 2)
    assert [r["status"] for r in everything(q, **{"class": "rate_limit"})] == [200] * len(
        [r for r in get(q, "requests")["requests"] if any(a["class"] == "rate_limit" for a in r["attempts"])])
    assert everything(q, **{"class": "rate_limit"}) and len(everything(q, **{"class": "ok"})) == 2
    assert everything(q, **{"class": "auth"}) == []


@pytest.mark.parametrize("query, why", [
    ("limit=0&since=0", "limit"), ("limit=1001&since=0", "limit"), ("limit=x&since=0", "limit"), ("before=x", "before"),
    ("before=-1", "before"), ("since=soon", "since"), ("until=1y", "until"), ("since=2000&until=1000", "since"),
    ("status=6xx", "status"), ("status=1000", "status"), ("status=FAILED", "status"), ("class=odd", "class"),
    ("min_ms=-1", "min_ms"), ("client=", "client"), ("model=%zz", "model"), ("endpoint=" + "x" * 200, "endpoint"),
    ("since=0&odd=1", "odd"), ("clients=alice&endpoint=a", "clients")])
def test_bad_parameters(kept, query, why):  # noqa: F811
    q = kept(whole("m", FIRST))
    send(q)
    stored(q, 1)
    a = call(q, "GET", "/api/v1/requests?" + query)
    assert a.status == 400 and why in a.error


def test_without_a_history(qcc, raw):
    q = qcc({"endpoints": [raw(whole("m", FIRST)).endpoint("a")]})
    send(q, 2)
    assert len(get(q, "requests?limit=1")["requests"]) == 1
    a = call(q, "GET", "/api/v1/requests?since=1h")
    assert a.status == 409 and "set state_dir" in a.error
    assert call(q, "GET", "/api/v1/requests/0123").status == 404
    for job in (("check",), ("prune", "--before", "1d"), ("backup", "copy.db")):
        said = q.ctl("history", *job)
        assert said.returncode == 1 and "set state_dir" in said.stderr
    assert not (pathlib.Path(q.folder) / "copy.db").exists()


# ---- why

def test_why_after_a_restart(kept):  # noqa: F811
    q = kept(reply(b"{}", 503), whole("m", FIRST), config=CLIENTS)
    send(q, 1, headers=ALICE)
    until(lambda: history(q)["requests"] == 1, "the first")
    first = get(q, "requests")["requests"][0]
    assert "from" not in q.ctl_json("why", first["id"])
    restarted(q)
    for part in (first["id"], first["id"][:9]):
        one = q.ctl_json("why", part)
        assert one["id"] == first["id"] and one["from"] == "history" and one["client"] == "alice"
        assert {x["endpoint"] for x in one["choices"]} == {"e0", "e1"} and one["attempts"] == first["attempts"]
    out = done(q.ctl("why", first["id"]))
    assert ", from the history\n/v1/messages, model m, " in out and "transient, status 503" in out and "chosen" in out
    end = int(rows(q, "SELECT k FROM request")[0]["k"]) >> 12
    assert get(q, "requests/%s?at=%d" % (first["id"], end))["id"] == first["id"]
    a = call(q, "GET", "/api/v1/requests/%s?at=%d" % (first["id"], end + 61000))
    assert a.status == 404 and "within a minute" in a.error
    for odd in ("?at=", "?at=soon", "?at=-1", "?odd=1"):
        assert call(q, "GET", "/api/v1/requests/" + first["id"] + odd).status == 400
    a = call(q, "GET", "/api/v1/requests/" + "0" * 20)
    assert a.status == 404 and "in the history" in a.error


def test_a_beginning_of_two_ids(past):
    def fill(p):
        p.add(40, now_ms() - HOUR)
        p.db.execute("UPDATE request SET id=x'abcdef00000000000001' WHERE k=(SELECT min(k) FROM request)")
        p.db.execute("UPDATE request SET id=x'abcdef00000000000002' WHERE k=(SELECT max(k) FROM request)")

    q = past(fill)
    a = call(q, "GET", "/api/v1/requests/abcdef000")
    assert a.status == 409 and "more than one" in a.error
    assert get(q, "requests/abcdef00000000000002")["id"] == "abcdef00000000000002"
    assert "no trail was kept: the first attempt went right" in done(q.ctl("why", "abcdef00000000000001"))


# ---- CSV

def test_csv(past):
    """What a spreadsheet would run is made harmless; all pages are one file; a second reading is the same."""
    names = ["=1+1", "+cmd", "-2", "@sum", 'with "quotes", commas\tand\ttabs', "plain", "äöü"]

    def fill(p):
        for i, name in enumerate(names):
            p.add(1, now_ms() - HOUR - i * 1000, model=name, client=name)
        p.add(2100, now_ms() - 2 * HOUR, model="many")

    q = past(fill)
    text = done(q.ctl("requests", "--csv", "--since", "1d", "--until", "30m"))
    table = list(csv.DictReader(io.StringIO(text, newline="")))
    assert len(table) == 2100 + len(names)
    assert [r["model"] for r in table[:len(names)]] == ["'" + n if n[0] in "=+-@" else n for n in names]
    assert [r["client"] for r in table[:7]] == [r["model"] for r in table[:7]]
    api = {r["id"]: r for r in everything(q, limit=1000, until="30m")}
    for r in table:
        one = api.pop(r["id"])
        assert (r["time"], r["endpoint"], r["end"]) == (one["time"], one["endpoint"], one["end"])
        for key in ("status", "total_ms", "first_byte_ms", "bytes_in"):
            assert int(r[key]) == one[key]
        assert [int(r[k]) for k in ("input", "output", "cache_read", "write_5m", "write_1h")] == [1, 2, 3, 4, 5]
    assert not api
    assert len(done(q.ctl("requests", "7", "--csv", "--since", "1d")).splitlines()) == 8
    assert done(q.ctl("requests", "--csv", "--client", "nobody")).count("\n") == 1
    assert len(done(q.ctl("requests", "1500", "--json", "--since", "1d")).splitlines()) == 2
    both = q.ctl("requests", "--csv", "--json")
    assert both.returncode == 2


@pytest.mark.parametrize("words", [("x",), ("0",), ("1", "2"), ("--since",), ("--odd", "1"), ("--failed=yes",), ("-n",),
                                   ("--model", "x" * 2000)])
def test_words_that_are_none(kept, words):  # noqa: F811
    q = kept(whole("m", FIRST))
    assert q.ctl("requests", *words).returncode == 2


# ---- prune

def test_prune_by_time(past):
    now = now_ms()

    def fill(p):
        p.add(3000, now - 48 * HOUR, step_ms=1000, client="alice")
        p.add(2500, now - 10 * HOUR, step_ms=1000, client="bob")

    q = past(fill)
    size = history(q)["size_bytes"]
    n = history(q)["requests"] - 5500  # what the fixture has sent
    said = q.ctl_json("history", "prune", "--before", "24h")
    assert said["requests"] == 3000 and said["sums"] >= 4 and said["state"] == "done"
    h = until(lambda: history(q)["requests"] == 2500 + n and history(q), "the count")
    assert h["oldest"] > time.strftime("%Y-%m-%dT%H", time.gmtime((now - 12 * HOUR) / 1000)) and h["size_bytes"] > 0
    assert rows(q, "SELECT count(*) n FROM request")[0]["n"] == 2500 + n
    assert rows(q, "SELECT sum(requests) n FROM usage_60")[0]["n"] == 2500 + n
    assert rows(q, "PRAGMA freelist_count")[0]["freelist_count"] == 0
    assert rows(q, "PRAGMA integrity_check")[0]["integrity_check"] == "ok"
    assert said["before"] % 3600 == 0 and said["before"] <= now / 1000 - 24 * 3600 + 60
    out = done(q.ctl("history", "prune", "--before", "24h"))
    assert out.startswith("0 requests and 0 sums deleted: what is before 20") and ":00 +" in out
    assert q.wait_log("says prune before=")
    assert size
    send(q, 3)
    stored(q, 2503 + n)


def test_prune_erases_a_client(kept, tmp_path):  # noqa: F811
    """No byte of its name is left in the file or its log; others are untouched, and it may come back."""
    name = "agatha-the-erased"
    q = kept(whole("m", FIRST), config={"clients": [{"name": name[:24], "token": "alices-token-1"}, CLIENTS["clients"][1]]})
    for i in range(10):
        send(q, 5, headers=ALICE, model="m-%d" % i)
        send(q, 5, headers=BOB, model="m-%d" % i)
    stored(q, 100)
    files = [tmp_path / "state" / ("history.db" + end) for end in ("", "-wal", "-shm")]

    def found():
        return any(name.encode() in f.read_bytes() for f in files if f.exists())

    assert found()
    out = done(q.ctl("history", "prune", "--client", name))
    assert out.startswith("50 requests and 2") and out.endswith("nothing of client %s is left in the history\n" % name)
    assert not found()
    assert {r["client"] for r in everything(q, since=0)} == {"bob"}
    stored(q, 50)
    assert rows(q, "SELECT sum(requests) n FROM usage_15")[0]["n"] == 50
    assert everything(q, client=name) == []
    said = q.ctl("history", "prune", "--client", name)
    assert said.returncode == 1 and "no client of that name" in said.stderr
    send(q, 2, headers=ALICE)
    stored(q, 52)
    assert len(everything(q, client=name)) == 2
    assert rows(q, "PRAGMA integrity_check")[0]["integrity_check"] == "ok"


def test_prune_of_a_client_up_to_a_time(past):
    now = now_ms()
    q = past(lambda p: p.add(30, now - 48 * HOUR, client="carol").add(40, now - 2 * HOUR, client="carol"))
    assert "what is later than that is left of client carol" in done(
        q.ctl("history", "prune", "--before", "1d", "--client", "carol"))
    assert len(everything(q, client="carol")) == 40


@pytest.mark.parametrize("words", [(), ("--before", "soon"), ("--before", "2026-13-01"), ("--client",), ("--odd",)])
def test_prune_refuses(kept, words):  # noqa: F811
    q = kept(whole("m", FIRST))
    send(q)
    stored(q, 1)
    assert q.ctl("history", "prune", *words).returncode in (1, 2)
    assert history(q)["requests"] == 1
    assert call(q, "POST", "/api/v1/prune?before=0s").status == call(q, "GET", "/api/v1/prune").status == 404


# ---- backup, check

def test_backup(past, tmp_path):
    """A file of its own with the same rows, while others are being stored; never over an existing one."""
    q = past(lambda p: p.add(4000, now_ms() - HOUR))
    stop = threading.Event()
    sender = threading.Thread(target=lambda: [send(q) for _ in iter(stop.is_set, True)])
    sender.start()
    copy = tmp_path / "copy.db"
    try:
        assert done(q.ctl("history", "backup", str(copy))).endswith(" written to %s\n" % copy)
    finally:
        stop.set()
        sender.join()
    assert copy.stat().st_mode & 0o777 == 0o600
    was = copy.read_bytes()
    with sqlite3.connect("file:%s?mode=ro" % copy, uri=True) as db:
        got = set(db.execute("SELECT k, id FROM request"))
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert db.execute("PRAGMA user_version").fetchone() == (1,)
    there = {(r["k"], r["id"]) for r in rows(q, "SELECT k, id FROM request")}
    assert len(got) >= 4000 and got <= there
    said = q.ctl("history", "backup", str(copy))
    assert said.returncode == 1 and "never replaces a file" in said.stderr and copy.read_bytes() == was
    assert q.ctl("history", "backup", str(tmp_path / "no" / "copy.db")).returncode == 1
    assert sorted(p.name for p in tmp_path.iterdir() if p.name.startswith("copy")) == ["copy.db"]
    assert not [p for p in (tmp_path / "state").iterdir() if "backup" in p.name]
    assert q.wait_log("says backup")


def test_a_backup_is_a_history(past, tmp_path, qcc, raw):
    """It is put back by copying it."""
    q = past(lambda p: p.add(100, now_ms() - HOUR))
    done(q.ctl("history", "backup", str(tmp_path / "copy.db")))
    q.stop()
    state = tmp_path / "state"
    for p in state.iterdir():
        if p.name.startswith("history.db"):
            p.unlink()
    (tmp_path / "copy.db").rename(state / "history.db")
    q.start(wait=False).wait_serving(3)
    send(q)
    until(lambda: history(q)["requests"] >= 101, "the rows")
    assert len(everything(q, client="carol")) == 100


def test_a_backup_without_room(past):
    q = past(lambda p: p.add(10, now_ms() - HOUR))
    q.reload({"history": {"min_free": "1TiB"}})
    said = q.ctl("history", "backup", "copy.db")
    assert said.returncode == 1 and "no room" in said.stderr
    assert not (pathlib.Path(q.folder) / "copy.db").exists()


def test_one_job_at_a_time(past, tmp_path):
    """A second one is refused, and recording goes on beside the first, which a lock keeps from its end."""
    q = past(lambda p: p.add(6000, now_ms() - 3 * HOUR, step_ms=10))
    n = history(q)["requests"]
    db = sqlite3.connect(history(q)["path"], isolation_level=None)
    db.execute("BEGIN IMMEDIATE")
    prune = threading.Thread(target=lambda: out.append(q.ctl_json("history", "prune", "--before", "1h")))
    out = []
    prune.start()
    assert q.wait_log("says prune")
    for words in (("check",), ("backup", str(tmp_path / "copy.db")), ("prune", "--before", "1h")):
        said = until(lambda: (lambda s: s.returncode == 1 and s)(q.ctl("history", *words)), "a refusal")
        assert "a prune is under way" in said.stderr
    db.execute("COMMIT")
    db.close()
    send(q, 20)
    prune.join()
    assert out[0]["requests"] == 6000
    stored(q, n - 6000 + 20)
    assert not (tmp_path / "copy.db").exists()
    assert q.ctl("history", "check").returncode == 0


def on_terminal(q, *words):
    """qccctl with its standard error on a terminal: its process, and the terminal."""
    ours, theirs = pty.openpty()
    p = subprocess.Popen([str(QCCCTL), *words], env=q.env, cwd=q.folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                         stderr=theirs)
    os.close(theirs)
    return p, ours


def locked(q):
    db = sqlite3.connect(history(q)["path"], isolation_level=None)
    db.execute("BEGIN IMMEDIATE")
    return db


def test_progress_on_a_terminal(past):
    q = past(lambda p: p.add(100, now_ms() - 3 * HOUR))
    db = locked(q)
    p, terminal = on_terminal(q, "history", "prune", "--before", "1h")
    shown = b""
    while b"prune: 0%" not in shown:
        shown += os.read(terminal, 1000)
    db.close()
    assert b"100 requests and " in p.communicate(timeout=PATIENCE)[0]
    os.close(terminal)


def test_a_backup_ends_with_its_qccctl(past, tmp_path):
    """Killed amid it: nothing is left, neither of the file nor in state_dir."""
    q = past(lambda p: p.add(100, now_ms() - HOUR))
    pid = history(q)["pid"]
    os.kill(pid, signal.SIGSTOP)
    p, terminal = on_terminal(q, "history", "backup", str(tmp_path / "copy.db"))
    assert q.wait_log("says backup")
    p.kill()
    p.wait()
    os.kill(pid, signal.SIGCONT)
    os.close(terminal)
    state = tmp_path / "state"
    until(lambda: not [p for p in state.iterdir() if "backup" in p.name], "the copy to be removed")
    assert not [p for p in tmp_path.iterdir() if p.name.startswith("copy")]
    done(q.ctl("history", "backup", str(tmp_path / "copy.db")))


def test_what_is_left_of_a_backup(past, tmp_path):
    """By a recorder that was killed: the next one removes it."""
    q = past(lambda p: p.add(10, now_ms() - HOUR))
    state = tmp_path / "state"
    for name in ("history.db.backup", "history.db.backup-part"):
        (state / name).write_bytes(b"left")
    os.kill(history(q)["pid"], signal.SIGKILL)
    until(lambda: not [p for p in state.iterdir() if "backup" in p.name], "what was left to be removed")


def test_check_finds_damage(past, tmp_path):
    q = past(lambda p: p.add(5000, now_ms() - HOUR))
    assert q.ctl_json("history", "check").items() >= {"whole": True, "rows_only": False, "faults": []}.items()
    path = tmp_path / "state" / "history.db"
    with path.open("r+b") as f:
        f.seek(40 * 4096)
        f.write(b"\xaa" * 4096 * 3)
    said = q.ctl("history", "check")
    assert said.returncode == 1 and "malformed" in said.stdout


# ---- privacy

CANARY = "canary-upstream: Bearer sk-canary for user canary@example.org of conversation canary-conv at 203.0.113.77"
FAILURES = [error(s, t, CANARY, ["x-canary: canary-head", "request-id: canary-id", "retry-after: 0"]) for s, t in (
    (400, "canary_error"), (401, "authentication_error"), (402, "billing_error"), (403, "permission_error"),
    (404, "not_found_error"), (413, "canary"), (422, "invalid_request_error"), (429, "rate_limit_error"),
    (500, "api_error"), (503, "overloaded_error"), (529, "overloaded_error"))] + [
    reply(CANARY.encode(), 502, type="text/html"), reply(b"canary" * 99, 418, type=None),
    b"HTTP/1.1 503 canary-reason\r\ncontent-length: 6\r\n\r\ncanary", b"canary is no HTTP\r\n\r\n",
    STREAM_HEAD + chunk(event("error", error={"type": "canary_error", "message": CANARY})) + LAST_CHUNK,
    STREAM_HEAD + chunk(START) + chunk(event("error", error={"type": "api_error", "message": CANARY})) + LAST_CHUNK,
]


def test_nothing_private_is_kept_of_failures(kept, tmp_path):  # noqa: F811
    """The trail has QCC's own words: what an endpoint says of its refusals may hold what nobody may read later. Neither
    the file, nor its log, nor a backup has a byte of it."""

    def play(peer, request):
        at = request.body.find(b"case-")
        peer.send(FAILURES[int(request.body[at + 5:at + 7])])

    q = kept(play, whole("m", FIRST), config={
        "clients": [{"name": "alice", "token": "canary-token-1"}]})
    for i in range(len(FAILURES)):
        done(q.ctl("reset", "e0"))
        send(q, headers={"authorization": "Bearer canary-token-1", "user-agent": "canary-agent", "cookie": "canary=1",
                         "x-claude-code-session-id": "canary-session-%d" % i, "x-forwarded-for": "203.0.113.78",
                         "referer": "http://canary.example/"},
             path="/v1/messages?canary=1", model="case-%02d" % i, stream=i % 2 == 0, system="canary-system",
             metadata={"user_id": "canary-user_account__session_canary-%d" % i},
             tools=[{"name": "canary_tool", "input_schema": {"type": "object"}}])
    stored(q, len(FAILURES))
    done(q.ctl("history", "backup", str(tmp_path / "state" / "history.db.copy")))
    state = tmp_path / "state"
    assert state.stat().st_mode & 0o777 == 0o700

    def look():
        files = [p for p in state.iterdir() if p.name.startswith("history.db")]
        for p in files:
            text = p.read_bytes()
            assert p.stat().st_mode & 0o777 == 0o600
            for word in (b"canary", b"203.0.113", b"hello", b"example.org"):
                assert word not in text, (p.name, word)
        return {p.name for p in files}

    assert look() >= {"history.db", "history.db-wal", "history.db-shm", "history.db.copy"}
    tried = [a for r in everything(q, since=0) for a in r["attempts"]]
    assert len({a["class"] for a in tried}) >= 4 and all("canary" not in (a["reason"] or "") for a in tried)
    q.stop()
    assert look() >= {"history.db", "history.db.copy"}
