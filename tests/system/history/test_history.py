"""The history: what outlives a restart of every request, in state_dir/history.db."""
import os
import pathlib
import signal
import sqlite3
import threading
import time

import pytest

from admin import call, get, send
from client import Client, ask
from control import done
from qcc import PATIENCE, until
from scripted import CALM
from test_reply_usage import FIRST, LAST, message, stream, whole
from upstream import BLOCK, LAST_CHUNK, STREAM_HEAD, Gone, chunk, delta, event, reply

KEY = "sk-fake-0123456789"


def history(q):
    return get(q, "history")


def stored(q, n):
    return until(lambda: history(q)["requests"] == n and history(q), "%d requests in the history" % n)


def rows(q, sql, *arguments):
    with sqlite3.connect("file:%s?mode=ro" % history(q)["path"], uri=True, timeout=5) as db:
        db.row_factory = sqlite3.Row
        return [dict(r) for r in db.execute(sql, arguments)]


REQUESTS = """SELECT request.*, e.text AS endpoint_name, m.text AS asked, s.text AS sent_name, v.text AS served_name,
    c.text AS client_name, p.text AS path_name, x.text AS end_name FROM request
    LEFT JOIN name e ON e.id=endpoint LEFT JOIN name m ON m.id=model LEFT JOIN name s ON s.id=sent
    LEFT JOIN name v ON v.id=served LEFT JOIN name c ON c.id=client LEFT JOIN name p ON p.id=path
    LEFT JOIN name x ON x.id=end ORDER BY k"""


@pytest.fixture
def kept(qcc, raw, tmp_path):
    """kept(*plays, config): an instance with a history, in front of one scripted endpoint for each play."""

    def make(*plays, config=None, history=None, **kw):
        endpoints = [raw(p).endpoint("e%d" % i, priority=i + 1) for i, p in enumerate(plays)]
        return qcc({**CALM, "state_dir": str(tmp_path / "state"), "endpoints": endpoints,
                    "balance": {"strategy": "priority_failover"}, "history": {"min_free": 0, **(history or {})},
                    **(config or {})}, **kw)

    return make


def test_a_request_is_stored(kept):
    q = kept(stream("claude-x-20250929", FIRST, LAST),
             config={"clients": [{"name": "alice", "token": "alices-token-1"}]})
    before = time.time() * 1000
    send(q, headers={"authorization": "Bearer alices-token-1"}, model="claude-x", stream=True)
    h = stored(q, 1)
    assert h["state"] == "storing" and h["why"] is None and h["dropped"] == 0 and h["restarts"] == 0
    assert h["path"].endswith("/state/history.db") and h["size_bytes"] > 0 and h["oldest"] == h["newest"]
    row, = rows(q, REQUESTS)
    seen = get(q, "requests")["requests"][0]
    assert row["id"].hex() == seen["id"] and before - 1 <= row["k"] >> 12 <= time.time() * 1000
    assert [row[k + "_name"] for k in ("endpoint", "sent", "served", "client", "path", "end")] == [
        "e0", "claude-x", "claude-x-20250929", "alice", "/v1/messages", "ok"]
    assert row["asked"] == "claude-x" and row["status"] == 200 and row["attempts"] == 1
    assert [row[k] for k in ("input", "output", "cache_read", "write_5m", "write_1h", "web")] == [3, 7, 4, 20, 10, 2]
    assert row["flags"] == 1 and row["rate"] == 4 | 16 | 32
    assert row["total_ms"] == seen["total_ms"] and row["bytes_out"] == seen["bytes_out"]
    for table, seconds in (("usage_15", 900), ("usage_60", 3600)):
        u, = rows(q, "SELECT * FROM " + table)
        assert u["q"] == (row["k"] >> 12) // 1000 // seconds
        assert (u["requests"], u["ok"], u["failed"], u["cancelled"], u["untold"]) == (1, 1, 0, 0, 0)
        assert [u[k] for k in ("input", "output", "cache_read", "write_5m", "write_1h", "web")] == [3, 7, 4, 20, 10, 2]
        assert u["endpoint"] == row["endpoint"] and u["model"] == row["served"] and u["rate"] == row["rate"]
    assert os.stat(h["path"]).st_mode & 0o777 == 0o600
    assert rows(q, "PRAGMA application_id")[0]["application_id"] == 0x51434348
    assert rows(q, "PRAGMA user_version")[0]["user_version"] == 1
    out = done(q.ctl("history"))
    assert out.startswith("history storing\nfile %s, " % h["path"]) and "\nrequests 1, from 2" in out
    assert q.ctl_json("history")["requests"] == 1


def test_it_is_confined(kept):
    """Under a filter of system calls, with no right to any other file; what `off` does is said."""
    q = kept(whole("m", FIRST))
    send(q)
    status = pathlib.Path("/proc/%d/status" % stored(q, 1)["pid"]).read_text()
    assert "Seccomp:\t2\n" in status and "NoNewPrivs:\t1\n" in status
    q.env["QCC_SANDBOX"] = "off"
    q.stop()
    q.start(wait=False).wait_serving(2)
    assert q.wait_log("history: the recorder runs without a sandbox: QCC_SANDBOX=off")
    assert "Seccomp:\t0\n" in pathlib.Path("/proc/%d/status" % stored(q, 1)["pid"]).read_text()


@pytest.mark.parametrize("how", ["error event", "error event later", "broke off"])
def test_a_stream_that_ends_badly(kept, how):
    """It has failed, what it told of its usage is kept, and that this is not all."""
    began = event("message_start", message={**message("claude-served", FIRST)})
    failure = event("error", error={"type": "overloaded_error", "message": "x"})
    begin = STREAM_HEAD + chunk(began) + chunk(BLOCK) + chunk(delta("a" * 3000))

    def play(peer, _):
        if how == "error event":
            peer.send(begin + chunk(failure) + LAST_CHUNK)
            return
        peer.send(begin)
        got.wait(PATIENCE)
        if how == "broke off":
            peer.close()
            raise Gone
        peer.send(chunk(failure) + LAST_CHUNK)

    got = threading.Event()
    q = kept(play)
    with Client(q.port) as c:
        c.send(ask(stream=True))
        if how != "error event":
            c.until(b"aaaa")
        got.set()
        c.until(b"event: error")
    stored(q, 1)
    row, = rows(q, REQUESTS)
    assert row["end_name"] != "ok" and row["status"] == 200
    assert row["served_name"] == "claude-served" and [row[k] for k in ("input", "output", "write_1h")] == [3, 1, 10]
    u, = rows(q, "SELECT * FROM usage_60")
    assert (u["ok"], u["failed"], u["untold"], u["input"]) == (0, 1, 1, 3)
    assert len(get(q, "requests?status=failed")["requests"]) == 1


def test_sums_are_of_all_rows(kept):
    """Failures, second attempts, clients that leave: each request is one row and counted once."""
    answers = [reply(b"{}", 503), whole("m-1", {"input_tokens": 5, "output_tokens": 6})]
    q = kept(*answers, config={"workers": 3})
    assert send(q, 40, model="m-1") == [200] * 40
    assert send(q, 20, model="m-2", stream=False) == [200] * 20
    stored(q, 60)
    all_rows = rows(q, REQUESTS)
    assert len({r["k"] for r in all_rows}) == 60 and {r["endpoint_name"] for r in all_rows} == {"e1"}
    for table in ("usage_15", "usage_60"):
        total, = rows(q, "SELECT sum(requests) n, sum(ok) ok, sum(ok + failed + cancelled) ends, sum(input) input,"
                         " sum(output) output, sum(bytes_in) b, sum(retried) retried FROM " + table)
        assert total["n"] == total["ok"] == total["ends"] == 60
        assert total["input"] == sum(r["input"] for r in all_rows) == 300
        assert total["output"] == 360 and total["b"] == sum(r["bytes_in"] for r in all_rows)
        assert total["retried"] == sum(r["attempts"] > 1 for r in all_rows) > 0
    differs = [r for r in all_rows if r["flags"] & 16]
    assert len(differs) == 20 and {r["asked"] for r in differs} == {"m-2"}
    tries = {(r["text"], r["class"]): r for r in rows(
        q, "SELECT text, class, sum(n) n, sum(charged) charged FROM tries_60 JOIN name ON id=endpoint GROUP BY 1, 2")}
    assert tries["e1", "ok"]["n"] == 60 and tries["e1", "ok"]["charged"] == 0
    assert tries["e0", "transient"]["n"] == sum(r["attempts"] for r in all_rows) - 60
    hist = rows(q, "SELECT hist FROM speed_60")
    assert sum(int.from_bytes(h["hist"][i:i + 4], "little") for h in hist for i in range(0, 140, 4)) == 60


def test_it_outlives_a_restart_and_a_crash(kept):
    q = kept(whole("m", FIRST))
    send(q, 3)
    stored(q, 3)
    q.stop()
    q.start(wait=False).wait_serving(2)
    assert stored(q, 3)["state"] == "storing"
    send(q, 2)
    stored(q, 5)
    first = history(q)["pid"]
    os.kill(first, signal.SIGKILL)
    send(q, 4)
    h = stored(q, 9)
    assert h["pid"] not in (0, first) and h["restarts"] == 1 and h["dropped"] == 0
    assert q.wait_log(r"the recorder \(pid \d+\) ended unexpectedly: signal 9")
    assert q.wait_log("checked after an unclean end: it is whole")
    q.stop()
    assert rows_of(q, "SELECT count(*) FROM request") == [(9,)]


def rows_of(q, sql):
    path = pathlib.Path(q.config["state_dir"]) / "history.db"
    with sqlite3.connect(path) as db:
        return db.execute(sql).fetchall()


def test_all_is_stored_at_a_stop(kept):
    """What workers have not sent yet, and what the recorder has not committed, at the moment of SIGTERM."""
    q = kept(whole("m", FIRST), config={"workers": 2})
    send(q, 25)
    q.stop()
    assert rows_of(q, "SELECT count(*) FROM request") == [(25,)]
    assert rows_of(q, "SELECT sum(requests) FROM usage_60") == [(25,)]
    assert rows_of(q, "PRAGMA integrity_check") == [("ok",)]


def test_a_stop_of_the_whole_process_group(kept):
    """As `timeout` and a terminal's hang-up send it: the recorder ends when the supervisor says so."""
    q = kept(whole("m", FIRST))
    send(q, 5)
    os.kill(q.ctl_json("history")["pid"], signal.SIGTERM)
    send(q, 5)
    q.stop()
    assert q.count("ended unexpectedly") == 0
    assert rows_of(q, "SELECT count(*) FROM request") == [(10,)]


def test_a_recorder_that_stands_still_slows_nobody(kept):
    q = kept(whole("m", FIRST), config={"workers": 2})
    send(q)
    pid = stored(q, 1)["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        assert send(q, 300) == [200] * 300
        time.sleep(1)
        assert send(q, 10) == [200] * 10
    finally:
        os.kill(pid, signal.SIGCONT)
    h = stored(q, 311)
    assert h["dropped"] == 0 and h["restarts"] == 0


def test_what_is_kept_is_configured(kept, tmp_path):
    def play(peer, request):
        peer.send(whole("m", FIRST) if b"fine" in request.body else reply(b"{}", 400))

    q = kept(play, history={"requests": "failed", "clients": False},
             config={"clients": [{"name": "alice", "token": "alices-token-1"}]})
    token = {"authorization": "Bearer alices-token-1"}
    send(q, 5, headers=token, model="fine")
    send(q, 2, headers=token, model="odd")
    stored(q, 2)
    assert rows(q, "SELECT sum(requests) n, sum(ok) ok, sum(failed) failed FROM usage_15") == [
        {"n": 7, "ok": 5, "failed": 2}]
    assert {r["client"] for r in rows(q, "SELECT client FROM request UNION SELECT client FROM usage_15")} <= {None, 0}
    q.reload({"history": {"requests": "off"}})
    send(q, 3, headers=token, model="odd")
    until(lambda: rows(q, "SELECT sum(requests) n FROM usage_60")[0]["n"] == 10, "the sums")
    assert history(q)["requests"] == 2
    q.reload({"history": {"enabled": False}})
    until(lambda: history(q)["state"] == "off", "the end of the history")
    send(q, 3, headers=token, model="odd")
    assert history(q)["why"] == "history.enabled is false" and history(q)["pid"] == 0
    q.reload({"history": {"enabled": None, "requests": None}})
    send(q, 4, headers=token, model="odd")
    stored(q, 6)


def test_without_state_dir(qcc, upstream):
    q = qcc({"endpoints": [upstream.endpoint()]})
    send(q)
    h = history(q)
    assert h["state"] == "off" and h["why"] == "state_dir is not set" and h["path"] is None and h["pid"] == 0
    assert done(q.ctl("history")) == "history off: state_dir is not set\n"
    q.reload({"history": {"enabled": True}}, wait="refused")
    assert q.wait_log("history.enabled: needs a state_dir")


def test_what_is_no_message_is_not_kept(kept):
    q = kept(reply(b'{"data": []}'), config={"clients": [{"name": "a", "token": "token-of-a-1"}]})
    token = {"authorization": "Bearer token-of-a-1"}
    send(q, path="/v1/messages/count_tokens", headers=token)
    send(q, path="/v1/nothing", headers=token)
    assert send(q) == [401]
    assert call(q, "GET", "/").status == 200
    send(q, headers=token)
    assert stored(q, 1)["stored"] == 1


@pytest.mark.parametrize("content", [b"", b"no database" * 1000, b"SQLite format 3\0" + b"\xff" * 8000],
                         ids=["empty", "text", "damaged"])
def test_a_file_that_is_none(kept, tmp_path, content):
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    (state / "history.db").write_bytes(content)
    q = kept(whole("m", FIRST))
    send(q)
    assert stored(q, 1)["state"] == "storing"
    bad = [p for p in state.iterdir() if p.name.startswith("history.db.bad-")]
    assert len(bad) == (1 if content else 0)
    if content:
        assert bad[0].read_bytes() == content and q.wait_log("set aside as history.db.bad-")


def test_pages_that_are_damaged(kept, tmp_path):
    q = kept(whole("m", FIRST))
    send(q, 50)
    stored(q, 50)
    q.stop()
    path = tmp_path / "state" / "history.db"
    with path.open("r+b") as f:
        f.seek(4096)
        f.write(b"\xaa" * (path.stat().st_size - 4096))
    q.start(wait=False).wait_serving(2)
    send(q, 2)
    until(lambda: history(q)["state"] == "storing" and history(q)["requests"] == 2, "a new file")
    assert q.wait_log("set aside as history.db.bad-")


def test_a_file_of_a_newer_qcc(kept, tmp_path):
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    with sqlite3.connect(state / "history.db") as db:
        db.executescript("PRAGMA application_id=1363362632; PRAGMA user_version=2; CREATE TABLE t(x)")
    was = (state / "history.db").read_bytes()
    q = kept(whole("m", FIRST))
    assert send(q, 3) == [200] * 3
    h = until(lambda: history(q)["dropped"] == 3 and history(q), "what is dropped is counted")
    assert h["state"] == "newer" and "newer QCC" in h["why"] and h["requests"] == 0
    assert q.wait_log("nothing is stored: history.db is of a newer QCC")
    q.stop()
    assert (state / "history.db").read_bytes() == was


def test_somebody_holds_a_lock(kept):
    q = kept(whole("m", FIRST))
    send(q)
    h = stored(q, 1)
    db = sqlite3.connect(h["path"], isolation_level=None)
    db.execute("BEGIN IMMEDIATE")
    send(q, 5)
    h = until(lambda: history(q)["state"] == "locked" and history(q), "that the lock is seen")
    assert "locked" in h["why"]
    db.execute("COMMIT")
    db.close()
    assert stored(q, 6)["dropped"] == 0
    assert q.wait_log("requests are stored again")


def test_a_disk_that_is_too_full(kept):
    q = kept(whole("m", FIRST), history={"min_free": "1TiB"})
    send(q, 4)
    h = until(lambda: history(q)["state"] == "paused" and history(q), "that nothing is stored")
    assert "history.min_free" in h["why"] and h["requests"] == 0
    q.reload({"history": {"min_free": 0}})
    assert stored(q, 4)["dropped"] == 0


def test_nothing_private_is_kept(kept, tmp_path):
    """A canary in each place that holds what is the client's or the operator's."""
    def play(peer, _):
        peer.send(whole("m", {**FIRST, "note": "canary-usage"}).replace(b'"content": []', b'"content": ["canary-out"]'))

    q = kept(play, config={"clients": [{"name": "alice", "token": "canary-token-1"}]})
    q.reload({"endpoints": [{**q.config["endpoints"][0], "api_key": "canary-key"}]})
    send(q, headers={"authorization": "Bearer canary-token-1", "user-agent": "canary-agent", "x-odd": "canary-header",
                     "x-claude-code-session-id": "canary-session", "x-forwarded-for": "203.0.113.77",
                     "x-conversation-id": "canary-conversation"},
         path="/v1/messages?beta=canary-query", model="m", system="canary-system",
         metadata={"user_id": "canary-user_account__session_canary-account"})
    stored(q, 1)
    q.stop()
    files = [p for p in (tmp_path / "state").iterdir() if p.name.startswith("history.db")]
    assert files
    for path in files:
        text = path.read_bytes()
        assert b"canary" not in text and b"203.0.113" not in text and b"hello" not in text


def test_names_of_clients_making(kept):
    """A thousand and more models that a client makes up, and one of 64 KB with control characters."""
    q = kept(whole("m", FIRST))
    send(q, model="\x1b\x00\n" * 300)
    send(q, model="x" * 65536)
    stored(q, 2)
    models = [r["text"] for r in rows(q, "SELECT text FROM name WHERE kind=1")]
    assert all(len(m.encode()) <= 64 for m in models)


def test_a_question_to_the_recorder(kept):
    """The recorder answers between two batches; a file that is damaged fails the command."""
    q = kept(whole("m", FIRST))
    send(q)
    stored(q, 1)
    assert q.ctl_json("history", "check").items() >= {"whole": True, "rows_only": False, "faults": []}.items()
    assert q.ctl("history", "check").stdout == "the file is whole\n"


def test_no_history_to_ask(qcc, raw):
    q = qcc({**CALM, "endpoints": [raw(whole("m", FIRST)).endpoint("a")]})
    said = q.ctl("history", "check")
    assert said.returncode == 1 and "set state_dir" in said.stderr


def test_a_query_that_is_too_long(kept):
    """Refused, never cut."""
    q = kept(whole("m", FIRST))
    assert call(q, "GET", "/api/v1/requests?limit=" + "0" * 1015 + "1").status == 200
    a = call(q, "GET", "/api/v1/requests?limit=" + "0" * 1018 + "1")
    assert a.status == 414 and "1,024 bytes" in a.error
