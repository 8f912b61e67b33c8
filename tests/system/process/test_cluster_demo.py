"""What `make cluster-demo` prints and does, once all is built (packaging/cluster-demo.sh)."""
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess

import pytest

from qcc import BUILD, PATIENCE, ROOT, alive, until

pytestmark = pytest.mark.skipif(not (shutil.which("redis-server") or shutil.which("valkey-server")), reason="no redis-server")


@pytest.fixture
def demo(tmp_path):
    """The demonstration, started; a function that gives what it has printed so far."""
    (tmp_path / "tmp").mkdir()
    out = tmp_path / "out"
    p = subprocess.Popen([str(ROOT / "packaging/cluster-demo.sh"), str(BUILD)], cwd=tmp_path, stdin=subprocess.DEVNULL,
                         stdout=open(out, "wb"), stderr=subprocess.STDOUT, start_new_session=True,
                         # A shell cannot trap what it was started to ignore, as jobs in the background are.
                         preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
                         env={**os.environ, "TMPDIR": str(tmp_path / "tmp"), "CLUSTER_DEMO_AGAIN": "1"})
    until(lambda: "The log of both follows here" in out.read_text() or p.poll() is not None, "what it prints")
    assert p.poll() is None, out.read_text()
    yield p, out.read_text
    if p.poll() is None:
        p.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            p.wait(PATIENCE)
    if p.poll() is None:
        p.kill()


def run(command):
    return subprocess.run(["bash", "-c", command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE, text=True).stdout


def breaker(ctl):
    return next(b for b in json.loads(run(ctl + " --json breakers"))["breakers"] if b["name"] == "first")["state"]


def test_what_it_says_can_be_followed(demo, tmp_path):
    p, printed = demo
    steps = re.findall(r"^    (.*)$", printed().split("The log of both follows")[0], re.M)
    one, two, failing, asks, breakers_2, mended, reset, breakers_1, stop, ask, lost, go_on, again, kill = steps
    for step in (one, two):
        until(lambda: "web-1" in run(step) and "web-2" in run(step), "both hosts in " + step)
    assert "round trip" in run(one) and "this host" in run(one)
    ctl_1, ctl_2 = one.rsplit(" ", 1)[0], two.rsplit(" ", 1)[0]
    run(failing)
    until(lambda: run(asks) is not None and breaker(ctl_1) == "open", "the breaker of web-1")
    until(lambda: breaker(ctl_2) == "open", "the breaker of web-2")
    assert "open" in run(breakers_2)
    run(mended)
    run(reset)
    until(lambda: breaker(ctl_1) == "closed", "the reset on web-1")
    assert "closed" in run(breakers_1)
    run(stop)
    until(lambda: ": lost for" in run(lost), "the loss")
    assert '"role":"assistant"' in run(ask)
    run(go_on)
    until(lambda: ": up for" in run(again), "the engine again")
    until(lambda: "web-2: " in printed() and "up again after" in printed(), "what the log says of it")
    run(kill)
    until(lambda: "the engine runs again" in printed(), "another engine")
    until(lambda: ": up for" in run(one) and ": up for" in run(two), "both hosts to be up")
    # Ctrl-C ends all of it
    folder = pathlib.Path(one.split()[2]).parent
    pids = [int((folder / "engine.pid").read_text())] + [json.loads(run(c + " --json status"))["pid"] for c in (ctl_1, ctl_2)]
    p.send_signal(signal.SIGINT)
    assert p.wait(PATIENCE) == 0
    until(lambda: not any(alive(pid) for pid in pids), "the end of all that it has started")
    assert list((tmp_path / "tmp").iterdir()) == []
