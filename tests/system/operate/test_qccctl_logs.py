"""qccctl logs."""
import json
import re
import subprocess

import pytest

from control import ask, done
from qcc import PATIENCE, QCCCTL, until


def lines(text):
    return [line for line in text.split("\n") if line]


@pytest.mark.parametrize("where", ["stderr", "file", "json"])
def test_logs(qcc, upstream, where):
    log = {"level": "debug"}
    if where == "file":
        log["file"] = "elsewhere.log"
    if where == "json":
        log["format"] = "json"
    q = qcc({"endpoints": [upstream.endpoint("/good", "good")], "log": log}, start=False)
    if where == "file":
        q.log_path = q.folder / "elsewhere.log"
    q.start()
    rid = ask(q)[1]["x-qcc-request-id"]
    written = lambda: [line for line in lines(q.log()) if "worker" in line or "supervisor" in line]  # noqa: E731
    until(lambda: rid in q.log() and any(rid in line for line in lines(done(q.ctl("logs")))), "the access line")
    assert len(lines(done(q.ctl("logs", "-n", "3")))) == 3
    shown = lines(done(q.ctl("logs", "-n", "100000", "--grep", "end=ok" if where != "json" else '"end":"ok"')))
    assert len(shown) == 1 and rid in shown[0] and shown[0] in written()
    assert done(q.ctl("logs", "-n", "0")) == ""
    if where == "json":
        assert all(json.loads(line)["msg"] for line in lines(done(q.ctl("logs"))))
    every = lines(done(q.ctl("logs", "-n", "100000")))
    info = lines(done(q.ctl("logs", "-n", "100000", "--level", "info")))
    assert 0 < len(info) < len(every) and not any(" debug " in line or '"debug"' in line for line in info)
    assert done(q.ctl("logs", "--level=error")) == ""


def test_logs_are_followed(qcc, upstream):
    q = qcc({"endpoints": [upstream.endpoint("/good", "good")], "log": {"level": "info"}})
    p = subprocess.Popen([str(QCCCTL), "logs", "-f", "-n", "1", "--grep", "request "], env=q.env, cwd=q.folder,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    ids = []
    for _ in range(20):
        ids.append(ask(q)[1]["x-qcc-request-id"])
        assert ids[-1] in p.stdout.readline()
    q.stop()
    rest, err = p.communicate(timeout=PATIENCE)
    assert p.returncode == 3 and "the supervisor has ended" in err and rest == ""


def test_logs_end_with_who_reads_them(qcc):
    """`qccctl logs -f | head -1`: also when no further line comes."""
    q = qcc({"log": {"level": "info"}})
    r = subprocess.run(["sh", "-c", "%s logs -f | head -n 1" % QCCCTL], env=q.env, stdout=subprocess.PIPE, text=True,
                       stdin=subprocess.DEVNULL, timeout=PATIENCE)
    assert r.returncode == 0 and r.stdout.count("\n") == 1


def test_logs_by_a_prefix_of_journald(qcc):
    q = qcc(env={"JOURNAL_STREAM": "8:1"})
    out = done(q.ctl("logs", "-n", "1"))
    assert re.match(r"20\d\d-", out), "without the priority in front"


def test_logs_that_cannot_be(qcc):
    q = qcc()
    for wrong in (["--level", "loud"], ["--level"], ["-n", "x"], ["-n"], ["--grep"], ["-x"], ["--json"]):
        assert q.ctl("logs", *wrong).returncode == 2, wrong
