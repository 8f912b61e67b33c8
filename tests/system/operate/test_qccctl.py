"""qccctl: what it orders, its exit codes, wrong usage, completion (behaviour: qccctl)."""
import contextlib
import http.client
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import time

import pytest

from control import control, done, inside, open_folder, run
from qcc import PATIENCE, QCCCTL, ROOT, until


# ---- what it orders

def test_actions(qcc, upstream):
    q = qcc({"endpoints": [upstream.endpoint("/good", "good"), upstream.endpoint("/b", "b")]})
    get = lambda name: next(e for e in q.ctl_json("endpoints")["endpoints"] if e["name"] == name)  # noqa: E731
    assert done(q.ctl("disable", "good")).startswith("good: disabled")
    assert get("good")["disabled_by"] == "operator"
    assert done(q.ctl("enable", get("good")["id"])) == "good: enabled\n", "by its id too"
    assert get("good")["disabled_by"] is None
    assert done(q.ctl("drain", "good")).startswith("good: draining") and get("good")["draining"]
    assert json.loads(done(q.ctl("reset", "good", "--json")))["name"] == "good"
    done(q.ctl("enable", "good"))
    assert not get("good")["draining"]
    assert "verified" in done(q.ctl("verify", "good"))
    q.wait_log("control: user %d .*says disable good" % os.geteuid())
    for verb in ("enable", "disable", "drain", "verify", "reset"):
        r = q.ctl(verb, "nobody-of-that-name")
        assert r.returncode == 1 and r.stderr == "qccctl %s: no endpoint has that id or name\n" % verb
        assert q.ctl(verb).returncode == 2 and q.ctl(verb, "good", "b").returncode == 2
    r = q.ctl("enable", "x" * 2000)
    assert r.returncode == 2 and "longer" in r.stderr


def test_reload(qcc):
    q = qcc()
    assert done(q.ctl("reload")) == "reloaded: generation 2 is in use\n"
    q.configure("listen: 127.0.0.1:%d\nendpoints:\n  - name: x\n    wieght: 3\n" % q.port)
    r = q.ctl("reload")
    assert r.returncode == 1 and r.stderr.startswith("qccctl reload: ")
    assert "qcc.yaml:4:5" in r.stderr and "weight" in r.stderr and "base_url" in r.stderr
    assert q.ctl_json("status")["generation"] == 2


def test_stop(qcc, upstream):
    q = qcc({"endpoints": [upstream.endpoint("/good", "good")], "limits": {"drain_timeout": "30s"}})
    r = q.ctl("stop", "--wait")
    assert done(r) == "stopping when what is in flight has ended, at the latest in 30s\n"
    assert q.wait(5) == 0, "--wait waited"
    assert not (q.folder / "run/control.sock").exists()
    r = q.ctl("status")
    assert r.returncode == 3


def test_stop_twice(qcc, upstream):
    """The second one does not wait for what is in flight; meanwhile it can be asked."""
    q = qcc({"endpoints": [upstream.endpoint("/s/hang", "hangs")]})
    c = http.client.HTTPConnection("127.0.0.1", q.port, timeout=PATIENCE)
    c.request("POST", "/v1/messages", '{"model":"m"}', {"content-type": "application/json"})
    q.wait_log("attempt 1 at hangs")
    assert "at the latest in 10m00s" in done(q.ctl("stop"))
    assert q.ctl_json("status")["state"] == "stopping" and q.running()
    assert "stopping," in done(q.ctl("status"))
    assert done(q.ctl("stop")) == "stopping at once\n"
    assert q.wait(10) == 0
    c.close()


def test_upgrade_is_asked_for(qcc):
    """What becomes of it is tests of the upgrade's own; here only that the answer is told."""
    q = qcc()
    r = q.ctl("upgrade")
    assert r.returncode in (0, 1)
    assert r.stdout.startswith("upgraded") if r.returncode == 0 else r.stderr.startswith("qccctl upgrade: ")


# ---- clients

def test_env_and_run(qcc):
    q = qcc()
    out, url = done(q.ctl("env")), "http://127.0.0.1:%d" % q.port
    lines = ["export ANTHROPIC_BASE_URL=" + url, "set ANTHROPIC_BASE_URL=" + url, "$env:ANTHROPIC_BASE_URL = '%s'" % url]
    assert out.splitlines() == [lines[0], "# cmd: " + lines[1], "# PowerShell: " + lines[2]]
    for name, line in zip(("sh", "cmd", "powershell"), lines):
        assert done(q.ctl("env", name)) == line + "\n"
    assert json.loads(done(q.ctl("--json", "env", "cmd"))) == {"ANTHROPIC_BASE_URL": url}
    assert subprocess.run(["sh", "-c", 'eval $1; echo "$ANTHROPIC_BASE_URL"', "sh", out], capture_output=True,
                          text=True).stdout == url + "\n", "without quotes the shell makes one line of it"
    shell = subprocess.run(["sh", "-c", 'eval "$1"; echo "$ANTHROPIC_BASE_URL"', "sh", out], capture_output=True, text=True)
    assert shell.stdout == "http://127.0.0.1:%d\n" % q.port
    r = q.ctl("--timeout", "9", "run", "sh", "-c", 'echo "$ANTHROPIC_BASE_URL $# $1 $2"; exit 7', "sh", "--json", "a b")
    assert r.returncode == 7 and r.stdout == "http://127.0.0.1:%d 2 --json a b\n" % q.port
    r = q.ctl("run", "no-such-client")
    assert r.returncode == 127 and "no-such-client" in r.stderr
    assert q.ctl("run", str(q.path)).returncode == 126
    assert q.ctl("run").returncode == 2
    q.stop()
    r = q.ctl("run", "sh", "-c", "echo started")
    assert r.returncode == 3 and r.stdout == ""


@pytest.mark.parametrize(
    "listen, url",
    [
        (["unix:HERE/c.sock", "[::1]:%d"], "'http://[::1]:%d'"),
        (["*:%d"], "http://127.0.0.1:%d"),
        (["[::]:%d"], "'http://[::1]:%d'"),
    ],
)
def test_env_by_listener(qcc, open_folder, listen, url):
    q = qcc(start=False)
    q.configure({"listen": [a % q.port if "%d" in a else a.replace("HERE", str(open_folder)) for a in listen],
                 "clients": [{"name": "me", "token": "swordfish-1"}]})
    q.start(wait=False)
    until(lambda: q.ctl("status").returncode == 0 or not q.running(), "the supervisor")
    if not q.running():
        pytest.skip("no IPv6 here")
    out = done(q.ctl("env"))
    assert out.startswith("export ANTHROPIC_BASE_URL=" + url % q.port + "\n")
    assert "# and ANTHROPIC_AUTH_TOKEN" in out and "swordfish" not in out
    plain = url.strip("'") % q.port
    assert done(q.ctl("env", "cmd")).splitlines()[0] == "set ANTHROPIC_BASE_URL=" + plain
    assert done(q.ctl("env", "powershell")).splitlines()[0] == "$env:ANTHROPIC_BASE_URL = '%s'" % plain
    assert re.search("^rem and ANTHROPIC_AUTH_TOKEN", done(q.ctl("env", "cmd")), re.M)
    assert re.search("^# and ANTHROPIC_AUTH_TOKEN", done(q.ctl("env", "powershell")), re.M)
    assert "ANTHROPIC_AUTH_TOKEN is not set" in q.ctl("run", "true", ).stderr


def test_env_with_unix_sockets_only(qcc, open_folder):
    q = qcc(start=False)
    q.configure({"listen": "unix:%s/c.sock" % open_folder, "admin": {"listen": "off"}})
    q.start(wait=False)
    until(lambda: q.ctl("status").returncode == 0, "the supervisor")
    r = q.ctl("env")
    assert r.returncode == 1 and "unix sockets only" in r.stderr


# ---- wrong usage, nobody there

def test_wrong_usage(tmp_path):
    for args in ([], ["bogus"], ["--bogus", "status"], ["status", "x"], ["status", "--watch", "x"], ["-s"], ["queue", "x"],
                 ["requests", "0"], ["requests", "x"], ["requests", "1000000001"], ["why"], ["why", "a", "b"], ["completion"],
                 ["completion", "fish"], ["stop", "now"], ["reload", "x"], ["upgrade", "x"], ["env", "x"], ["env", "sh", "cmd"],
                 ["--timeout", "x", "status"], ["--timeout=-1", "status"]):
        r = run(*args, folder=tmp_path)
        assert r.returncode == 2 and r.stdout == "" and r.stderr.count("\n") == 1, args
    for args in (["help"], ["--help"], ["-h"], ["version"], ["-V"], ["--version"], ["enable", "--help"]):
        r = run(*args, folder=tmp_path)
        assert r.returncode == 0 and r.stderr == "" and "qccctl" in r.stdout, args
    for option, command in (("--help", "help"), ("-h", "help"), ("-V", "version"), ("--version", "version")):
        assert run(option, folder=tmp_path).stdout == run(command, folder=tmp_path).stdout, option


def test_nobody_there(tmp_path):
    env = {k: v for k, v in os.environ.items() if k not in ("RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR", "QCC_SOCKET")}
    env["XDG_RUNTIME_DIR"] = str(tmp_path)
    service = {**env, "RUNTIME_DIRECTORY": "/nonexistent/a:/nonexistent/b"}
    stale = socket.socket(socket.AF_UNIX)
    (tmp_path / "qcc").mkdir()
    with contextlib.chdir(tmp_path / "qcc") if hasattr(contextlib, "chdir") else inside(tmp_path / "qcc"):
        stale.bind("control.sock")
    stale.close()
    for command in ("status", "reload", "why", "logs", "env"):
        args = [command] + (["abc"] if command == "why" else [])
        r = run(*args, "--socket", str(tmp_path / "none.sock"), folder=tmp_path, env=env)
        assert r.returncode == 3 and "none.sock: does not exist" in r.stderr and "qcc-supervisor -c" in r.stderr
    r = run("status", folder=tmp_path, env=service)
    assert r.returncode == 3 and "  /nonexistent/a/control.sock: does not exist" in r.stderr
    if pathlib.Path("/run/qcc/control.sock").exists() or pathlib.Path("/tmp/qcc-%d/control.sock" % os.geteuid()).exists():
        return  # somebody serves on this machine
    r = run("status", folder=tmp_path, env=env)
    assert r.returncode == 3 and r.stdout == ""
    for place, why in ((str(tmp_path / "qcc/control.sock"), "nobody listens"),
                       ("/run/qcc/control.sock", ""), ("/tmp/qcc-%d/control.sock" % os.geteuid(), "")):
        assert "  %s: %s" % (place, why) in r.stderr


def test_a_supervisor_that_does_not_answer(tmp_path):
    with inside(tmp_path), socket.socket(socket.AF_UNIX) as s:
        s.bind("deaf.sock")
        s.listen()
        begun = time.monotonic()
        r = run("--socket", "deaf.sock", "--timeout", "0.2", "status", folder=tmp_path)
        assert r.returncode == 3 and "did not answer" in r.stderr and time.monotonic() - begun < 10


def test_a_supervisor_that_speaks_rubbish(tmp_path):
    import threading

    with inside(tmp_path), socket.socket(socket.AF_UNIX) as s:
        s.bind("odd.sock")
        s.listen()

        def play():
            for answer in (b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x00\x00\x00\x01\xc0", b"\x7f\xff\xff\xff", b""):
                c, _ = s.accept()
                c.recv(1000)
                c.sendall(answer)
                c.close()

        threading.Thread(target=play, daemon=True).start()
        for _ in range(4):
            r = run("--socket", "odd.sock", "status", folder=tmp_path)
            assert r.returncode == 3 and r.stdout == "" and r.stderr.startswith("qccctl: "), r


# ---- completion

def complete(q, *words):
    """What bash offers for the last word."""
    script = """
        source %s
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _qccctl; printf '%%s\\n' "${COMPREPLY[@]}"
    """ % (ROOT / "packaging/completion/qccctl.bash")
    done_ = subprocess.run(["bash", "-c", script, "bash", str(QCCCTL), *words], env=q.env, cwd=q.folder, capture_output=True,
                           text=True, timeout=PATIENCE)
    assert done_.stderr == ""
    return done_.stdout.split()


def test_completion(qcc, upstream):
    q = qcc({"endpoints": [upstream.endpoint("/good", "good"), upstream.endpoint("/b", "gone-bad")]})
    assert "endpoints" in complete(q, "e") and "enable" in complete(q, "e") and "status" not in complete(q, "e")
    assert complete(q, "disable", "g") == ["good", "gone-bad"]
    assert complete(q, "-s", str(control(q)), "disable", "go") == ["good", "gone-bad"]
    assert complete(q, "logs", "--level", "w") == ["warning"]
    assert complete(q, "completion", "") == ["bash", "zsh"]
    help_ = done(q.ctl("help"))
    commands = re.findall(r"^  ([a-z]+) ", help_, re.M)
    assert len(commands) > 20
    offered = complete(q, "")
    zsh = (ROOT / "packaging/completion/_qccctl").read_text()
    for command in commands:
        assert command in offered and "'%s:" % command in zsh, command
    assert done(q.ctl("completion", "bash")) == (ROOT / "packaging/completion/qccctl.bash").read_text()
    assert done(q.ctl("completion", "zsh")) == zsh
    q.stop()
    assert complete(q, "disable", "g") == []


@pytest.mark.skipif(not shutil.which("zsh"), reason="no zsh here")
def test_zsh_reads_its_completion():
    r = subprocess.run(["zsh", "-n", str(ROOT / "packaging/completion/_qccctl")], capture_output=True, text=True)
    assert r.returncode == 0 and r.stderr == ""
