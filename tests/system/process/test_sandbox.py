"""What a worker may ask of the kernel: the filter is there, it holds, and nothing is missed through it."""
import contextlib
import ctypes
import errno
import os
import pathlib
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile

import pytest

from qcc import BUILD, PATIENCE, SUPERVISOR, WORKER, connectable, until


def status(pid, name):
    return re.search(r"^%s:\t(.*)$" % name, pathlib.Path("/proc/%d/status" % pid).read_text(), re.M).group(1)


def test_it_holds():
    """`qcc-worker --sandbox-test` tries what an intruder would and what a worker needs."""
    done = subprocess.run([str(WORKER), "--sandbox-test"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stdout
    rows = dict(re.findall(r"^(.{28}) (killed|refused|works) +ok$", done.stdout, re.M))
    rows = {what.strip(): end for what, end in rows.items()}
    for what in ("execute a program", "load a BPF program", "open a packet socket", "become root", "unlink a file"):
        assert rows[what] == "killed", done.stdout
    assert rows["make memory executable"] == rows["listen"] == "refused"
    assert rows["start a thread"] == rows["resolve a name"] == "works"
    if "not tried" not in done.stdout:  # a build with AddressSanitizer may do more
        assert rows["write a file"] == rows["trace a process"] == "killed" and rows["fork"] == "refused"


RELEASE = BUILD.parent / "release" / "qcc-worker"


@pytest.mark.skipif(BUILD.name == "release" or not RELEASE.exists(), reason="no release build beside this one")
def test_the_release_holds_too():
    done = subprocess.run([str(RELEASE), "--sandbox-test"], stdout=subprocess.PIPE, text=True, timeout=PATIENCE)
    assert done.returncode == 0 and "not tried" not in done.stdout, done.stdout


def test_each_worker_has_it(qcc, upstream, client):
    q = qcc({"workers": 3, "endpoints": [upstream.endpoint("/good", name="a")]})
    for pid in q.children():
        assert status(pid, "Seccomp") == "2" and status(pid, "NoNewPrivs") == "1"
        # Threads of the resolver too, were there any.
        for task in pathlib.Path("/proc/%d/task" % pid).iterdir():
            assert re.search(r"^Seccomp:\t2$", (task / "status").read_text(), re.M)
    assert status(q.pid, "Seccomp") == "0", "the supervisor starts programs and writes files"
    assert client(q).ask().status == 200
    # A reload brings no second filter: each would cost.
    q.reload({"log": {"level": "info"}})
    assert {status(pid, "Seccomp_filters") for pid in q.children()} == {"1"}
    assert q.stop() == 0 and not q.count("sandbox|ended badly|unexpectedly")


def test_names_are_resolved_within_it(qcc, upstream, client):
    """libcurl's resolver runs in a thread, which starts only when it is needed."""
    e = upstream.endpoint("/good", name="a")
    e["base_url"] = e["base_url"].replace("127.0.0.1", "localhost")
    q = qcc({"endpoints": [e]})
    for _ in range(10):
        assert client(q).ask().status == 200
    assert len(q.children()) == 2 and not q.count("unexpectedly")


def test_an_intruder_is_an_alarm(qcc, upstream, client):
    """A worker that calls what it must not dies by SIGSYS: the line says so, another takes its place."""
    q = qcc({"workers": 1, "endpoints": [upstream.endpoint("/good", name="a")]})
    (pid,) = q.children()
    os.kill(pid, signal.SIGSYS)
    q.wait_log(r"error supervisor: worker 0 \(pid %d\) ended unexpectedly after .*: signal 31 \(Bad system call\)" % pid)
    until(lambda: q.children() and q.children() != [pid], "the next worker")
    until(lambda: client(q).ask().status == 200, "it to serve")


def test_without(qcc):
    q = qcc(env={"QCC_SANDBOX": "off"})
    assert q.count("warning worker 0: workers run without a sandbox: QCC_SANDBOX=off") == 1
    assert {status(pid, "Seccomp") for pid in q.children()} == {"0"}


def without_seccomp():
    """This process and its children from here on: the kernel knows no seccomp(2), as in some containers."""
    lib = ctypes.CDLL("libseccomp.so.2")
    lib.seccomp_init.restype = ctypes.c_void_p
    ctx = ctypes.c_void_p(lib.seccomp_init(0x7FFF0000))  # SCMP_ACT_ALLOW
    nr = lib.seccomp_syscall_resolve_name(b"seccomp")
    assert lib.seccomp_rule_add(ctx, 0x00050000 | errno.EINVAL, nr, 0) == 0 and lib.seccomp_load(ctx) == 0


def test_a_kernel_that_has_none(qcc, upstream, client):
    """One warning, and QCC serves."""
    q = qcc({"workers": 3, "endpoints": [upstream.endpoint("/good", name="a")]}, start=False)
    q.start(preexec_fn=without_seccomp)
    assert client(q).ask().status == 200
    assert q.count("warning worker 0: workers run without a sandbox: seccomp: Operation not supported") == 1
    assert q.count("without a sandbox") == 1
    assert {status(pid, "NoNewPrivs") for pid in q.children()} == {"1"}
    done = subprocess.run([str(WORKER), "--sandbox-test"], stdout=subprocess.PIPE, text=True, timeout=PATIENCE,
                          preexec_fn=without_seccomp)
    assert done.returncode == 1 and "there is no sandbox here" in done.stdout


# ---- user:


def low_port():
    """A free port that is root's to open."""
    for port in range(600, 1023):
        with socket.socket() as s:
            with contextlib.suppress(OSError):
                s.bind(("127.0.0.1", port))
                return port
    return pytest.skip("no port below 1024 is free")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_root_is_left_for_good():
    """`user:` with the real workers: no id, group or capability of root is left, the port below 1024 is open, and
    after a reload and a worker's death all is as before."""
    nobody = pwd.getpwnam("nobody")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="qcc-user-", dir="/tmp"))
    try:
        folder.chmod(0o755)
        for name in ("qcc-supervisor", "qcc-worker"):
            shutil.copy(BUILD / name, folder / name)  # the tree may lie where nobody else can look
        run, log = folder / "run", folder / "run" / "qcc.log"
        run.mkdir()
        os.chown(run, nobody.pw_uid, nobody.pw_gid)
        low = low_port()
        conf = folder / "qcc.yaml"
        conf.write_text(
            "user: nobody\nworkers: 2\nlisten: [unix:%s/sock, '127.0.0.1:%d']\nadmin: {listen: off}\n"
            "state_dir: %s/state\nlog: {file: %s}\nendpoints: [{name: a, base_url: 'http://127.0.0.1:9'}]\n"
            % (run, low, run, log))
        conf.chmod(0o644)
        env = {k: v for k, v in os.environ.items() if k not in ("NOTIFY_SOCKET", "JOURNAL_STREAM")}
        p = subprocess.Popen([str(folder / SUPERVISOR.name), "-c", str(conf)], env=env, cwd="/",
                             stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            until(lambda: log.exists() and "serving on" in log.read_text(), "the service")
            kids = [int(x) for x in pathlib.Path("/proc/%d/task/%d/children" % (p.pid, p.pid)).read_text().split()]
            assert len(kids) == 2
            for pid in [p.pid, *kids]:
                assert status(pid, "Uid").split() == [str(nobody.pw_uid)] * 4
                assert status(pid, "Gid").split() == [str(nobody.pw_gid)] * 4
                assert set(status(pid, "Groups").split()) <= {str(nobody.pw_gid)}
                for kind in ("CapPrm", "CapEff", "CapAmb"):
                    assert int(status(pid, kind), 16) == 0, kind
            for made in (log, run / "sock", run / "state"):
                assert made.stat().st_uid == nobody.pw_uid and made.stat().st_gid == nobody.pw_gid, made
            assert connectable(low)
            p.send_signal(signal.SIGHUP)
            until(lambda: "reload done" in log.read_text(), "the reload")
            os.kill(kids[0], signal.SIGKILL)
            until(lambda: log.read_text().count("started, pid") == 3, "the next worker")
            assert p.poll() is None and connectable(low)
        finally:
            p.terminate()
            assert p.wait(PATIENCE) == 0
    finally:
        shutil.rmtree(folder)
