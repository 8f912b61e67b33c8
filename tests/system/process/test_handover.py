"""What happens in the middle of an upgrade, or right after it: signals, deaths, operators, other paths."""
import http.client
import itertools
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from client import ask
from qcc import PATIENCE, SUPERVISOR, WORKER, alive, connectable, until
from test_upgrade import Held, admin, endpoint, gone, lame, open_stream, rest_of, talk
from test_state import MANY, hold_the_writer, with_many
from upstream import reply


def supervisors_of(q):
    """Process ids of the supervisors that this instance's configuration has."""
    found = []
    for p in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            args = (p / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if len(args) > 2 and args[2] == str(q.path).encode() and alive(int(p.name)):
            found.append(int(p.name))
    return found


def nobody_serves(q):
    return not supervisors_of(q) and not connectable(q.port)


# A successor that goes the first steps and then waits for `go` (a file), from where it goes on or dies.
SUCCESSOR = """
    #!%(python)s
    import os, signal, socket, struct, sys, time
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    def send(kind):
        body = b"\\x92" + struct.pack(">BQBQ", 0xCF, kind, 0xCF, 0)
        s.sendall(len(body).to_bytes(4, "big") + body)
    s = socket.socket(fileno=3)
    send(112)  # TAKE
    while not os.path.exists(%(folder)r + "/go"):
        s.settimeout(0.05)
        try:
            if not s.recv(65536):
                sys.exit(0)
        except TimeoutError:
            pass
    send(113)  # SERVES
    time.sleep(30)
"""


def half_way(q, tmp_path):
    """The running supervisor has given its state to a successor that does not say that it serves."""
    program = lame(q, tmp_path, "")
    text = SUCCESSOR % {"python": sys.executable, "folder": str(tmp_path)}
    program.write_text(textwrap.dedent(text).lstrip())
    q.signal(signal.SIGUSR2)
    q.wait_log("to the new supervisor UP_GO")
    return int(re.findall("upgrade: .* starts, pid (\\d+)", q.log())[-1])


# ---- stopped meanwhile


def test_a_stop_while_the_new_one_starts_is_a_stop(qcc, raw, client, tmp_path):
    play = Held()
    q = qcc({"endpoints": [raw(play).endpoint()]}, start=False)
    program = lame(q, tmp_path, "")
    program.write_text("#!/bin/sh\nwhile ! test -e %s/go; do sleep 0.05; done\nexec %s \"$@\"\n" % (tmp_path, SUPERVISOR))
    c = open_stream(client, q)
    q.signal(signal.SIGUSR2)
    q.wait_log("upgrade: .* starts, pid")
    q.signal(signal.SIGTERM)
    q.wait_log("stopping: what is in flight")
    (tmp_path / "go").touch()
    q.wait_log("upgrade given up: .*stop")
    play.go.set()
    assert b"message_stop" in rest_of(c)
    assert q.process.wait(PATIENCE) == 0
    until(lambda: nobody_serves(q), "everything to end")
    assert q.count("serving on") == 1


def test_a_stop_after_the_state_was_given_stops_both(qcc, raw, client, tmp_path):
    play = Held()
    q = qcc({"endpoints": [raw(play).endpoint()]}, start=False)
    new = half_way(q, tmp_path)
    c = open_stream(client, q)
    q.signal(signal.SIGTERM)
    gone(new)  # it hears of the stop too
    play.go.set()
    assert b"message_stop" in rest_of(c)
    assert q.process.wait(PATIENCE) == 0


def test_a_new_one_that_is_stopped_before_it_has_the_state_does_not_take_it(qcc, upstream):
    q = qcc({"endpoints": [upstream.endpoint("/good")]})
    q.signal(signal.SIGUSR2)
    new = int(q.wait_log("upgrade: .* starts, pid (\\d+)").group(1))
    q.wait_log("takes the place of pid")
    q.signal(signal.SIGSTOP)
    try:
        q.wait_log("to the running supervisor UP_TAKE")
        os.kill(new, signal.SIGTERM)
        q.wait_log("stopping: what is in flight")
    finally:
        q.signal(signal.SIGCONT)
    q.wait_log("upgrade refused, this supervisor goes on")
    gone(new)
    assert talk(q, "a")[0] == 200 and q.running()


def test_stopping_the_new_one_twice_stops_both_at_once(qcc, raw, client):
    play = Held()
    q = qcc({"endpoints": [raw(play).endpoint()]})
    open_stream(client, q)
    before = q.upgrade()
    os.kill(q.pid, signal.SIGSTOP)
    os.kill(q.pid, signal.SIGTERM)
    os.kill(q.pid, signal.SIGINT)  # another number: two of one would be one
    os.kill(q.pid, signal.SIGCONT)
    for pid in (q.pid, before):
        until(lambda: not alive(pid), "the end", timeout=10)  # and not when the stream has ended
    play.go.set()


@pytest.mark.parametrize("chain", [1, 2])
def test_one_stop_that_reaches_all_of_them_is_one(qcc, raw, client, chain):
    """As Ctrl-C on a terminal does, or killall: what is in flight ends well."""
    play = Held()
    q = qcc({"endpoints": [raw(play).endpoint()]})
    c = open_stream(client, q)
    for _ in range(chain):
        q.upgrade()
    os.killpg(q.process.pid, signal.SIGINT)
    q.wait_log("stopping: what is in flight", 1 + chain)
    until(lambda: not connectable(q.port), "all to stop")
    play.go.set()
    assert b"message_stop" in rest_of(c)
    assert q.process.wait(PATIENCE) == 0
    assert "at once" not in q.log()


# ---- died meanwhile


def test_after_the_death_of_the_new_one_another_can_start_at_once(qcc, raw, client, tmp_path):
    """The one before still drains: it holds neither state_dir nor the control socket nor an address."""
    play = Held()
    q = qcc({"state_dir": str(tmp_path / "state"), "control_socket": str(tmp_path / "c.sock"),
             "listen": "unix:" + str(tmp_path / "l.sock"), "endpoints": [raw(play).endpoint()]}, start=False)
    q.configure({"listen": ["127.0.0.1:%d" % q.port, "unix:" + str(tmp_path / "l.sock")]})
    q.start()
    c = open_stream(client, q)
    before = q.upgrade()
    os.kill(q.pid, signal.SIGKILL)
    gone(q.pid)
    r = q.ctl("-s", str(tmp_path / "c.sock"), "status")
    assert r.returncode == 3, r
    first, q.successor = q.process, None
    try:
        q.start(wait=False)
        q.wait_log("serving on 127", 3)
        assert talk(q, "a")[0] == 200
        r = q.ctl("-s", str(tmp_path / "c.sock"), "status")
        assert r.returncode == 0, r
        assert alive(before)
        play.go.set()
        assert b"message_stop" in rest_of(c)
        gone(before)
    finally:
        play.go.set()
        first.kill()
        first.wait()
    assert os.path.exists(tmp_path / "c.sock") and os.path.exists(tmp_path / "l.sock")


def test_what_a_worker_says_last_is_heard(qcc, raw, client, tmp_path):
    """Its words and its end may come in the same moment."""
    go = threading.Event()

    def play(peer, request):
        assert go.wait(PATIENCE)
        peer.send(reply())

    up = raw(play)
    q = qcc({"state_dir": str(tmp_path / "state"), "workers": 1, "endpoints": [up.endpoint()]})
    c = client(q)
    c.send(ask(headers=["x-conversation-id: late"]))
    up.wait_requests(1)
    worker, = q.children()
    q.signal(signal.SIGTERM)
    q.wait_log("from the supervisor DRAIN|to worker 0 DRAIN")
    until(lambda: not connectable(q.port), "the worker to drain")
    q.signal(signal.SIGSTOP)
    try:
        go.set()
        assert c.reply().status == 200
        gone(worker)
    finally:
        q.signal(signal.SIGCONT)
    assert q.process.wait(PATIENCE) == 0
    q.start(wait=False)
    q.wait_log("1 bindings .* taken up from")


def test_the_lock_says_who_serves(qcc, upstream, tmp_path):
    """Scripts find the one that serves by it, also while another starts, and when that failed."""
    lock = tmp_path / "state" / "lock"
    worker = tmp_path / "worker"
    worker.symlink_to(WORKER)
    q = qcc({"state_dir": str(tmp_path / "state"), "endpoints": [upstream.endpoint("/good")]}, worker=worker)
    worker.unlink()
    worker.write_text("#!/bin/sh\nexit 1\n")
    worker.chmod(0o755)
    q.signal(signal.SIGUSR2)
    q.wait_log("upgrade refused, this supervisor goes on: worker")
    assert int(lock.read_text()) == q.pid
    worker.unlink()
    worker.symlink_to(WORKER)
    gone(q.upgrade())
    assert int(lock.read_text()) == q.pid


# ---- what the one that drains knows


@pytest.mark.parametrize("chain", [1, 2])
@pytest.mark.parametrize("spec", ["status=503,body=no%20healthy%20upstream,type=text/plain", "status=503"],
                         ids=["endpoint", "cell"])
def test_workers_that_drain_hear_what_becomes_of_endpoints(qcc, upstream, client, chain, spec):
    """A client that kept its connection sends one more, and finds what was said and seen meanwhile."""
    upstream.call("PUT", "/_site/a", spec)
    q = qcc({"breaker": {"failure_threshold": 1, "open_duration": "1s"}, "retry": {"transient_delay": "1ms"},
             "balance": {"strategy": "priority_failover"},
             "endpoints": [upstream.endpoint("/n/a", name="a", priority=1),
                           upstream.endpoint("/good", name="b", priority=2)]})
    kept = [client(q) for _ in range(4)]
    for c in kept:
        c.send(ask())
        assert c.reply().header("x-qcc-endpoint") == "b"

    def breakers():
        e = endpoint(q, "a")
        return {e["breaker"]["state"]} | {c["breaker"]["state"] for c in e["cells"]}

    until(lambda: "open" in breakers() or "half_open" in breakers(), "its breaker to open")

    def answers(c):
        c.send(ask())
        r = c.reply()
        return r.status, r.header("x-qcc-endpoint")

    def news(*said):
        """An operator says something, and it has come to all."""
        before = q.count("from the new supervisor UP_TELL")
        assert q.ctl(*said).returncode == 0
        until(lambda: q.count("from the new supervisor UP_TELL") >= before + chain, "the news")

    for _ in range(chain):
        q.upgrade()
    upstream.call("PUT", "/_site/a", "")
    numbers = itertools.count()
    until(lambda: talk(q, "new-%d" % next(numbers))[1] == "a", "a to be well again")
    until(lambda: breakers() == {"closed"}, "its breaker to close")
    news("drain", "b")
    assert answers(kept[0]) == (200, "a")
    news("enable", "b")
    news("disable", "a")
    assert answers(kept[1]) == (200, "b")
    q.reload({"endpoints": [{**e, "enabled": e["name"] == "a"} for e in q.config["endpoints"]]})
    news("enable", "a")
    assert answers(kept[2]) == (200, "a")


def test_places_go_to_whom_they_are_wanted_by(qcc, raw, client):
    """max_concurrent over both supervisors: idle places stay with nobody, and whoever drains gets one too."""
    lock, open_now, most = threading.Lock(), [0], [0]

    def play(peer, request):
        with lock:
            open_now[0] += 1
            most[0] = max(most[0], open_now[0])
        time.sleep(0.02)
        with lock:
            open_now[0] -= 1
        peer.send(reply())

    q = qcc({"endpoints": [raw(play).endpoint(max_concurrent=1)]})
    kept = [client(q) for _ in range(9)]
    for c in kept:
        c.send(ask())
        assert c.reply().status == 200
    q.upgrade()
    assert talk(q, "new")[0] == 200  # the one place was idle in the one before
    for c in kept[:3]:
        c.send(ask())
        assert c.reply().status == 200
    for c in kept[3:6]:
        c.send(ask())
    assert [talk(q, "n%d" % i)[0] for i in range(3)] == [200] * 3
    assert [c.reply().status for c in kept[3:6]] == [200] * 3
    q.upgrade()  # and over three
    for c in kept[6:]:
        c.send(ask())
    assert [c.reply().status for c in kept[6:]] == [200] * 3
    assert talk(q, "newer")[0] == 200
    assert most[0] == 1


# ---- operators


def test_an_operators_word_is_not_lost_in_the_one_that_drains(qcc, upstream):
    q = qcc({"endpoints": [upstream.endpoint("/good")]})
    c = http.client.HTTPConnection("127.0.0.1", q.admin_port, timeout=PATIENCE)
    c.request("GET", "/api/v1/status")
    c.getresponse().read()
    q.upgrade()
    c.request("POST", "/api/v1/endpoints/good/disable")
    r = c.getresponse()
    body = r.read()
    c.close()
    if r.status == 200:
        assert endpoint(q, "good")["disabled_by"] == "operator"
    else:
        assert r.status == 503 and "another supervisor" in json.loads(body)["error"]


def test_a_long_path_of_the_control_socket(qcc, upstream, tmp_path):
    folder = tmp_path / ("x" * 100) / "y"
    folder.mkdir(parents=True)
    path = str(folder / "c.sock")
    q = qcc({"control_socket": path, "endpoints": [upstream.endpoint("/good")]})
    inode = os.stat(path).st_ino
    gone(q.upgrade())
    assert q.ctl("-s", path, "status").returncode == 0
    q.reload({"workers": 1})
    assert q.ctl("-s", path, "status").returncode == 0
    assert os.stat(path).st_ino == inode
    assert "cannot" not in q.log() and "another supervisor" not in q.log()
    q.stop()
    assert not os.path.exists(path)


def test_log_files_are_reopened_in_both(qcc, raw, client, tmp_path):
    play = Held()
    log = tmp_path / "the.log"
    q = qcc({"log": {"file": str(log)}, "endpoints": [raw(play).endpoint()]}, start=False)
    q.log_path = log
    q.start()
    c = open_stream(client, q)
    before = q.upgrade()
    log.rename(tmp_path / "the.log.1")
    q.signal(signal.SIGUSR1)
    until(lambda: log.exists() and q.count("log files reopened") == 2, "both to reopen")
    play.go.set()
    rest_of(c)
    gone(before)
    q.wait_log("path=/v1/messages")  # the line of that request is in the new file


# ---- paths


def test_bindings_go_over_into_a_new_state_dir(qcc, upstream, tmp_path):
    q = qcc({"state_dir": str(tmp_path / "a"), "balance": {"strategy": "random"},
             "endpoints": [upstream.endpoint("/good", name=n, api_key="sk-%s-0123456789" % n) for n in "abc"]})
    home = {str(i): talk(q, str(i))[1] for i in range(20)}
    q.configure({"state_dir": str(tmp_path / "b")})
    gone(q.upgrade())
    assert {c: talk(q, c)[1] for c in home} == home
    held = [os.readlink(p) for p in pathlib.Path("/proc/%d/fd" % q.pid).iterdir()]
    assert not [name for name in held if name.startswith(str(tmp_path / "a"))]
    q.configure({"state_dir": None})
    gone(q.upgrade())
    assert {c: talk(q, c)[1] for c in home} == home
    q.configure({"state_dir": str(tmp_path / "c")})
    gone(q.upgrade())
    assert {c: talk(q, c)[1] for c in home} == home


def test_a_symbolic_link_is_followed_anew(qcc, upstream, tmp_path):
    """As releases in folders of their own have it: `current` points to another one."""
    for n in "12":
        (tmp_path / n).mkdir()
        shutil.copy(SUPERVISOR, tmp_path / n / "qcc-supervisor")
        (tmp_path / n / "qcc-worker").symlink_to(WORKER)
    current = tmp_path / "current"
    current.symlink_to("1")
    q = qcc({"endpoints": [upstream.endpoint("/good")]}, start=False)
    q.command[0] = str(current / "qcc-supervisor")
    q.start()
    current.unlink()
    current.symlink_to("2")
    gone(q.upgrade())
    assert os.readlink("/proc/%d/exe" % q.pid) == str(tmp_path / "2/qcc-supervisor")
    current.unlink()
    current.symlink_to("1")
    gone(q.upgrade())
    assert os.readlink("/proc/%d/exe" % q.pid) == str(tmp_path / "1/qcc-supervisor")


def test_started_from_path_and_with_relative_names(qcc, upstream, tmp_path):
    q = qcc({"state_dir": "state", "control_socket": "c.sock", "endpoints": [upstream.endpoint("/good", api_key="${KEY}")]},
            env={"KEY": "sk-from-the-environment"}, start=False)
    (tmp_path / "bin").mkdir()
    for program in (SUPERVISOR, WORKER):
        shutil.copy(program, tmp_path / "bin" / program.name)
    q.env["PATH"] = "%s:%s" % (tmp_path / "bin", q.env["PATH"])
    q.command = ["env", "qcc-supervisor", "-c", "qcc.yaml"]
    q.start()
    for _ in range(2):
        fresh = tmp_path / "bin" / "fresh"
        shutil.copy(SUPERVISOR, fresh)
        fresh.rename(tmp_path / "bin" / "qcc-supervisor")  # as a package manager does
        gone(q.upgrade())
        assert os.readlink("/proc/%d/exe" % q.pid) == str(tmp_path / "bin/qcc-supervisor")
        assert talk(q, "a")[0] == 200
    assert q.ctl("-s", "c.sock", "status").returncode == 0


# ---- much of it


def test_many_bindings_and_a_save_under_way(qcc, upstream, tmp_path):
    """The table is larger than any channel's buffer, and the process that writes it is held in the middle."""
    folder = tmp_path / "state"
    q = with_many(qcc, upstream, folder)
    assert talk(q, "the last one")[0] == 200
    until(lambda: hold_the_writer(q), "a save to begin", step=0.0005)
    before, many = q.pid, admin(q, "sessions")["bindings"]
    assert many == min(MANY + 1, 1000000)  # affinity.max_sessions
    q.upgrade()
    assert talk(q, "the very last one")[0] == 200
    gone(before)
    many = min(many + 1, 1000000)
    assert admin(q, "sessions")["bindings"] == many
    assert q.stop() == 0
    q.successor = None
    q.start(wait=False)
    q.wait_log("%d bindings and .* taken up from %s" % (many, folder))


# ---- nothing heaps up


def fds(pid):
    return sorted(re.sub("\\d+", "N", os.readlink(p)) for p in pathlib.Path("/proc/%d/fd" % pid).iterdir())


def test_nothing_heaps_up(qcc, upstream, tmp_path):
    q = qcc({"state_dir": str(tmp_path / "state"), "log": {"level": "info", "file": str(tmp_path / "log")},
             "endpoints": [upstream.endpoint("/good")]}, start=False)
    q.log_path = tmp_path / "log"
    q.start()

    def picture():
        until(lambda: not [p for p in all_children(q.pid) if not alive(p)], "no zombie")
        environ = pathlib.Path("/proc/%d/environ" % q.pid).read_bytes()
        return fds(q.pid), [fds(w) for w in q.wait_workers(2)], len(environ)

    assert talk(q, "a")[0] == 200
    gone(q.upgrade())
    was = picture()
    for _ in range(6):
        gone(q.upgrade())
    assert picture() == was
    assert talk(q, "a")[0] == 200


def all_children(pid):
    return [int(p) for p in pathlib.Path("/proc/%d/task/%d/children" % (pid, pid)).read_text().split()]


# ---- process 1 of a container


def namespace(q):
    """As process 1 of a namespace of its own; its process id as it is seen from here."""
    q.command = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", *q.command]
    q.start()
    return all_children(q.pid)[0]


namespaces = pytest.mark.skipif(
    os.geteuid() != 0 or subprocess.run(["unshare", "--pid", "--fork", "--mount-proc", "true"]).returncode != 0,
    reason="no process namespaces here")


@namespaces
def test_process_1_passes_on_while_it_drains(qcc, raw, client):
    """The container's signals go to process 1, whoever serves."""
    play = Held()
    q = qcc({"endpoints": [raw(play).endpoint()]}, start=False)
    first = namespace(q)
    c = open_stream(client, q)
    os.kill(first, signal.SIGUSR2)
    q.wait_log("upgrade: pid \\d+ serves")
    os.kill(first, signal.SIGHUP)
    q.wait_log("reload done, generation")
    os.kill(first, signal.SIGUSR2)
    q.wait_log("upgrade: pid \\d+ serves", 2)
    assert talk(q, "a")[0] == 200
    os.kill(first, signal.SIGTERM)
    until(lambda: not connectable(q.port), "all to stop")
    play.go.set()
    assert b"message_stop" in rest_of(c)
    assert q.process.wait(PATIENCE) == 0


@namespaces
def test_process_1_ends_as_the_one_that_served(qcc, raw, client):
    """Whoever restarts containers that failed must see it, also when process 1 had still to drain."""
    play = Held()
    q = qcc({"endpoints": [raw(play).endpoint()]}, start=False)
    first = namespace(q)
    c = open_stream(client, q)
    os.kill(first, signal.SIGUSR2)
    q.wait_log("upgrade: pid \\d+ serves")
    new, = [p for p in supervisors_of(q) if first in parents(p) and p != first]
    os.kill(new, signal.SIGKILL)
    q.wait_log("the new supervisor ended by signal 9")
    play.go.set()
    assert b"message_stop" in rest_of(c)
    assert q.process.wait(PATIENCE) == 128 + signal.SIGKILL


def parents(pid):
    return [int(pathlib.Path("/proc/%d/stat" % pid).read_text().rpartition(")")[2].split()[1])]
