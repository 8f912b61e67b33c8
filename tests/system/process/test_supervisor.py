"""The supervisor: options, how it starts and ends, logs and sockets."""
import os
import pathlib
import shutil
import signal
import socket
import subprocess

import pytest

from qcc import STUB, SUPERVISOR, connectable, until
from stub import stub


def test_starts_serves_and_stops(stub):
    q = stub()
    assert len(q.children()) == 2
    status, body = q.get("/")
    assert status == 200 and int(body) in q.children()
    assert q.stop() == 0
    assert not connectable(q.port)


# ---- options

def run(*args, **kw):
    return subprocess.run([str(SUPERVISOR), *map(str, args)], capture_output=True, text=True, timeout=30, **kw)


def test_version_names_the_libraries():
    r = run("-V")
    assert r.returncode == 0 and r.stderr == ""
    for name in ("qcc-supervisor", "libev", "libyaml", "msgpack-c", "OpenSSL"):
        assert name in r.stdout


def test_help():
    r = run("-h")
    assert r.returncode == 0 and "-c FILE" in r.stdout and r.stderr == ""


@pytest.mark.parametrize("args", [[], ["-t"], ["-x"], ["--nonsense"], ["-c"], ["-c", "a", "b"]])
def test_wrong_usage_is_one_line(args):
    r = run(*args)
    assert r.returncode == 2 and r.stdout == ""
    assert len(r.stderr.splitlines()) == 1 and "-h" in r.stderr


def test_reference_is_printed():
    r = run("--print-reference")
    assert r.returncode == 0 and "drain_timeout" in r.stdout


def test_check_of_a_good_file(qcc):
    q = qcc(start=False)
    r = run("-t", "-c", q.path)
    assert r.returncode == 0, r.stderr


def test_check_names_every_fault(qcc):
    text = "workers: many\nlimits:\n  drain_timeut: 5s\nendpoints:\n  - name: a\n"
    q = qcc(text, start=False)
    r = run("-t", "-c", q.path)
    assert r.returncode == 1
    lines = r.stderr.splitlines()
    assert any(line.startswith("%s:1:" % q.path) for line in lines), lines
    assert any(line.startswith("%s:3:" % q.path) and "drain_timeout" in line for line in lines), lines
    assert any(line.startswith("%s:5:" % q.path) and "base_url" in line for line in lines), lines


def refused_start(q, *words):
    """It ends with 1 and one line that has the words."""
    q.start(wait=False)
    assert q.wait() == 1
    lines = [line for line in q.log().splitlines() if all(w in line for w in words)]
    assert len(lines) == 1, q.log()


def test_faulty_file_at_a_start(stub):
    q = stub("listen: 127.0.0.1:1\nendpoints: 5\n", start=False)
    refused_start(q, str(q.path) + ":2:", "endpoints")


def test_unreadable_file(stub):
    q = stub(start=False)
    q.path.unlink()
    refused_start(q, str(q.path), "No such file")


def test_port_in_use(stub):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        port = s.getsockname()[1]
        refused_start(stub({"listen": "127.0.0.1:%d" % port}, start=False), str(port), "Address already in use")


def test_port_that_gets_free_within_a_second(stub):
    """As the workers of a dead supervisor leave it."""
    s = socket.socket()
    s.bind(("127.0.0.1", 0))
    s.listen()
    q = stub({"listen": "127.0.0.1:%d" % s.getsockname()[1]}, start=False)
    q.start(wait=False)
    until(lambda: os.path.exists("/proc/%d/exe" % q.pid), "the program")
    s.close()
    q.wait_serving()


def test_unknown_user(stub):
    q = stub({"user": "nobody-of-that-name"}, start=False)
    refused_start(q, "nobody-of-that-name")
    r = run("-t", "-c", q.path)
    assert r.returncode == 1 and "nobody-of-that-name" in r.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_user_is_dropped_to(stub, tmp_path):
    import pwd

    nobody = pwd.getpwnam("nobody")
    folder = pathlib.Path("/tmp") / ("qcc-user-%d" % os.getpid())
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    try:
        path = folder / "sock"
        log = folder / "file.log"
        worker = folder / "worker"  # the tree may be closed to others
        shutil.copy(STUB, worker)
        q = stub(
            {"user": "nobody", "listen": "unix:%s" % path, "log": {"file": str(log)}},
            env={"STUB_DIR": str(folder), "QCC_WORKER": str(worker)},
            start=False,
        )
        q.log_path = log
        q.start(wait=False)
        until(lambda: log.exists() and q.count("serving on"), "the service")
        for pid in [q.pid, *q.children()]:
            status = pathlib.Path("/proc/%d/status" % pid).read_text()
            assert "Uid:\t%d\t%d\t%d\t%d" % ((nobody.pw_uid,) * 4) in status
            assert "Gid:\t%d\t%d\t%d\t%d" % ((nobody.pw_gid,) * 4) in status
        assert path.stat().st_uid == nobody.pw_uid and path.stat().st_mode & 0o777 == 0o660
        log.rename(folder / "old.log")
        q.signal(signal.SIGUSR1)
        until(lambda: log.exists() and q.count("reopened"), "the log file to be opened again")
        assert q.stop() == 0
        assert not path.exists()
    finally:
        for f in folder.iterdir():
            f.unlink()
        folder.rmdir()


def test_no_worker_program(qcc, tmp_path):
    refused_start(qcc(worker=tmp_path / "absent", start=False), "absent", "No such file")


def test_worker_program_that_is_none(qcc, tmp_path):
    bad = tmp_path / "bad"
    bad.write_text("#!/nonexistent/interpreter\n")
    bad.chmod(0o755)
    q = qcc(worker=bad, start=False).start(wait=False)
    assert q.wait() == 1
    assert q.count("cannot execute %s: No such file" % bad)
    assert q.count("worker . does not start: its program cannot be executed")
    assert q.count("worker 0 started") == 1, "nothing is gained by another try"


def test_workers_that_cannot_use_the_configuration(stub):
    q = stub(start=False)
    (q.folder / "nack").write_text("the moon is in the wrong house")
    refused_start(q, "cannot use the configuration", "the moon is in the wrong house")


def test_workers_that_die_at_the_start(stub):
    q = stub(start=False)
    (q.folder / "die").write_text("")
    refused_start(q, "does not start")


def test_workers_that_cannot_start(stub):
    q = stub(start=False)
    (q.folder / "die").write_text("4")
    refused_start(q, "does not start: it lacks what it needs from the system")
    assert q.count("worker 0 started") == 1


def test_worker_of_another_version(stub):
    q = stub(env={"STUB_VERSION": "99"}, start=False)
    q.start(wait=False)
    assert q.wait() == 1
    assert q.count("speaks version 99") and q.count("does not start")


# ---- the end

@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stop_waits_for_what_is_in_flight(stub, number):
    q = stub()
    (q.folder / "stay").write_text("")
    q.signal(number)
    until(lambda: not connectable(q.port), "the listeners to be closed")
    assert q.running() and len(q.children()) == 2
    q.signal(signal.SIGHUP)
    q.signal(number)
    assert q.wait() == 0
    assert not q.count("reload of")


def test_stop_ends_at_the_drain_timeout(stub):
    q = stub({"limits": {"drain_timeout": "100ms"}})
    (q.folder / "stay").write_text("")
    assert q.stop() == 0
    assert q.count("did not finish in time") == 2


def test_signals_in_the_first_moment(stub):
    with socket.socket() as s:  # holds the start up
        s.bind(("127.0.0.1", 0))
        s.listen()
        q = stub({"listen": "127.0.0.1:%d" % s.getsockname()[1]}, start=False)
        q.start(wait=False)
        status = pathlib.Path("/proc/%d/status" % q.pid)
        until(lambda: "SigBlk:\t0000000000000000" not in status.read_text(), "its main", step=0.005)
        q.signal(signal.SIGUSR1)
        q.signal(signal.SIGHUP)
    q.wait_log("reload done, generation 2")
    assert q.stop() == 0


def test_stop_during_the_start(stub):
    q = stub(start=False)
    q.start(wait=False)
    q.wait_log("worker 0 started")
    assert q.stop() == 0


def test_stop_with_a_stopped_worker(stub):
    q = stub()
    os.kill(q.children()[0], signal.SIGSTOP)
    assert q.stop() == 0


# ---- logs and sockets

def test_log_file_is_reopened(stub):
    q = stub(start=False)
    path = q.folder / "file.log"
    q.configure({"log": {"file": str(path)}})
    q.log_path = path
    q.start()
    assert path.stat().st_mode & 0o777 == 0o640
    assert q.count("stub \\d+ has the log") == 2
    path.rename(q.folder / "file.log.1")
    q.signal(signal.SIGUSR1)
    until(lambda: path.exists() and q.count("log files reopened"), "the new file")
    until(lambda: q.count("stub \\d+ has the log") == 2, "the workers to have it")
    assert q.stop() == 0
    assert "stopped" in path.read_text()
    assert q.stderr_path.read_text() == ""


def test_log_file_changes_with_a_reload(stub):
    q = stub()
    path = q.folder / "other.log"
    q.configure({"log": {"file": str(path)}})
    q.signal(signal.SIGHUP)
    until(lambda: path.exists() and "reload done" in path.read_text(), "the new log")
    q.log_path = path
    q.reload({"log": {"file": str(q.folder / "no" / "such" / "folder.log")}}, wait="refused")
    assert q.count("log.file: cannot open")


def test_json_log(stub):
    import json

    q = stub({"log": {"format": "json"}})
    for line in q.log().splitlines():
        assert json.loads(line)["process"] == "supervisor"


def test_unix_socket(stub, tmp_path):
    path = tmp_path / "sock"
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(path))
    left.close()  # a stale file that nobody answers on
    q = stub({"listen": "unix:%s" % path}, start=False)
    q.start()
    assert path.stat().st_mode & 0o777 == 0o660
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(str(path))
        s.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert s.recv(100).startswith(b"HTTP/1.0 200")
    assert q.stop() == 0
    assert not path.exists()


def test_unix_socket_of_somebody_else(stub, tmp_path):
    path = tmp_path / "sock"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        refused_start(stub({"listen": "unix:%s" % path}, start=False), str(path), "Address already in use")
        assert path.exists()


def test_unix_path_that_is_no_socket(stub, tmp_path):
    path = tmp_path / "file"
    path.write_text("precious")
    refused_start(stub({"listen": "unix:%s" % path}, start=False), str(path), "File exists")
    assert path.read_text() == "precious"


def test_socket_from_systemd(stub):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        port = s.getsockname()[1]
        q = stub({"listen": "127.0.0.1:%d" % port}, start=False)
        # LISTEN_PID must name the process that executes the supervisor: its shell knows that.
        q.command = ["/bin/sh", "-c", 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" "$@"', *q.command]
        q.start(preexec_fn=lambda: os.dup2(s.fileno(), 3), pass_fds=[3])
        assert q.get(port=port)[0] == 200
        assert q.stop() == 0


def test_systemd_is_notified(stub, tmp_path):
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind(str(path))
        s.settimeout(30)

        def told(word):
            while True:
                if word in s.recv(4096).decode():
                    return

        q = stub(env={"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "200000"}, start=False).start()
        told("READY=1")
        told("WATCHDOG=1")
        q.reload()
        told("RELOADING=1")
        told("READY=1")
        assert q.stop() == 0
        told("STOPPING=1")
