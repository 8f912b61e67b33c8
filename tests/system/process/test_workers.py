"""Workers' lives: started, watched, replaced."""
import os
import pathlib
import signal

import pytest

from qcc import alive, until
from stub import stub


def test_a_new_worker_is_told_all_in_order(stub):
    q = stub()
    for pid in q.children():
        heard = (q.folder / ("heard.%d" % pid)).read_text().splitlines()
        words = [line.split()[0] for line in heard if not line.startswith("PING")]
        assert words == ["HELLO", "LOG_FILE", "LOG_RING", "CONF", "ENDPOINT", "LISTEN", "LISTEN", "START"]
        assert all(line.split()[1] == "1" for line in heard)


def killed_replaced(q, kill):
    before = q.children()
    kill(before[0])
    until(lambda: before[0] not in q.children(), "the end of the worker")
    after = q.wait_workers(2)
    assert before[1] in after, "the other worker is none the worse"
    until(lambda: {int(q.get()[1]) for _ in range(20)} <= set(after), "both to serve")
    assert q.stop() == 0


def test_killed_worker_is_replaced(stub):
    q = stub()
    killed_replaced(q, lambda pid: os.kill(pid, signal.SIGKILL))
    assert q.count("signal 9")


def test_stopped_worker_is_replaced(stub):
    q = stub()
    killed_replaced(q, lambda pid: os.kill(pid, signal.SIGSTOP))
    assert q.count("is killed: does not answer") == 1


@pytest.mark.parametrize(
    "path, words",
    [
        ("/rubbish", "a frame of"),
        ("/wrong", "unknown frame"),
        ("/outcome", "class 77"),
        ("/crash", "signal 6"),
        ("/leave", "exit code 0"),
        ("/mute", "does not answer"),
    ],
)
def test_worker_that_errs_is_replaced(stub, path, words):
    q = stub()
    before = set(q.children())
    culprit = int(q.get(path)[1])
    assert culprit in before
    q.wait_log(words)
    until(lambda: culprit not in q.children(), "its end")
    after = set(q.wait_workers(2))
    assert before - {culprit} < after


def test_supervisor_that_was_paused_kills_nobody(stub):
    q = stub()
    before = q.children()
    ping = r"to worker 0 PING"
    q.signal(signal.SIGSTOP)
    until(lambda: "T" in pathlib.Path("/proc/%d/stat" % q.pid).read_text().rpartition(")")[2][:3], "the pause")
    # Longer than a worker may be silent; the one place where time itself is what is tested.
    import time

    time.sleep(7)
    n = q.count(ping)
    q.signal(signal.SIGCONT)
    until(lambda: q.count(ping) >= n + 2, "the heartbeat to go on")
    assert q.children() == before


def test_dying_young_again_and_again_backs_off(stub):
    q = stub({"workers": 1})
    (q.folder / "die").write_text("")
    os.kill(q.children()[0], signal.SIGKILL)
    q.wait_log("next start in 100 ms")
    q.wait_log("next start in 400 ms")
    assert q.running()
    (q.folder / "die").unlink()
    pid = q.wait_workers(1)[0]
    until(lambda: int(q.get()[1]) == pid, "service again", timeout=40)


@pytest.mark.parametrize("code, why", [(4, "it lacks what it needs"), (127, "its program cannot be executed")])
def test_worker_that_cannot_start_any_more(stub, code, why):
    """Tried again at the longest pause, and said once."""
    q = stub({"workers": 1})
    (q.folder / "die").write_text(str(code))
    os.kill(q.children()[0], signal.SIGKILL)
    q.wait_log(r"error supervisor: worker 0 \(pid \d+\) cannot start: %s.*; the next try is in 5000 ms" % why)
    q.wait_log(r"debug supervisor: worker 0 \(pid \d+\) cannot start")
    assert q.count("error supervisor: worker 0 .* cannot start") == 1
    assert q.count("ends too often") == 0 and q.running()
    (q.folder / "die").unlink()
    pid = q.wait_workers(1)[0]
    until(lambda: int(q.get()[1]) == pid, "service again", timeout=40)
    q.wait_log("worker 0 .* could be started again")


def test_workers_end_with_a_killed_supervisor(stub):
    q = stub()
    pids = q.children()
    q.signal(signal.SIGKILL)
    q.process.wait()
    again = stub({"listen": "127.0.0.1:%d" % q.port})
    until(lambda: not any(alive(pid) for pid in pids), "the end of the old workers")
    assert again.stop() == 0


def test_descriptors_do_not_leak_into_workers(stub):
    q = stub({"workers": 3})
    os.kill(q.children()[0], signal.SIGKILL)
    for pid in q.wait_workers(3):
        until(lambda: (q.folder / ("heard.%d" % pid)).exists(), "the worker")
        links = [os.readlink(f.path) for f in os.scandir("/proc/%d/fd" % pid)]
        # its channel, two listeners
        assert len([link for link in links if link.startswith("socket:")]) <= 3, links


def test_number_of_workers_auto(stub):
    q = stub({"workers": None})
    assert len(q.children()) == len(os.sched_getaffinity(0))
