"""Which supervisor qccctl speaks to: what is named is asked, or nobody; only where nothing is named are the
default places searched. XDG_RUNTIME_DIR stands in for a place at which another QCC of the machine answers."""
import http.client
import json
import os
import signal

import pytest

from qcc import PATIENCE, until


def done(result, code=0):
    assert result.returncode == code, (result.stdout, result.stderr)
    return result.stdout


@pytest.fixture
def bystander(qcc, tmp_path):
    """A supervisor in a default place, which nobody means, and the environment that leads to it."""
    folder = tmp_path / "xdg"
    folder.mkdir()
    q = qcc(start=False)
    q.env = {k: v for k, v in q.env.items() if k not in ("RUNTIME_DIRECTORY", "QCC_SOCKET")}
    q.env["XDG_RUNTIME_DIR"] = str(folder)
    q.start()
    assert (folder / "qcc/control.sock").is_socket()
    return q


COMMANDS = [["status"], ["endpoints"], ["queue"], ["breakers"], ["sessions"], ["requests"], ["why", "abc"], ["enable", "nobody"],
            ["disable", "nobody"], ["drain", "nobody"], ["verify", "nobody"], ["reset", "nobody"], ["reload"], ["upgrade"],
            ["stop"], ["stop", "--wait"], ["logs"], ["env"], ["run", "true"]]


@pytest.mark.parametrize("how", ["option", "variable", "service", "relative"])
def test_what_is_named_is_asked_or_nobody(bystander, tmp_path, how):
    q, before, options = bystander, dict(bystander.env), []
    socket = tmp_path / "gone/control.sock"
    if how == "option":
        options = ["--socket", str(socket)]
    elif how == "relative":
        options, socket = ["-s", "gone.sock"], "gone.sock"
    elif how == "variable":
        q.env["QCC_SOCKET"] = str(socket)
    else:
        q.env["RUNTIME_DIRECTORY"] = str(socket.parent)
    for command in COMMANDS:
        r = q.ctl(*options, *command)
        assert r.returncode == 3 and r.stdout == "", (command, r)
        assert "  %s: does not exist" % socket in r.stderr, r.stderr
        named = {"variable": "QCC_SOCKET", "service": "RUNTIME_DIRECTORY"}.get(how, "--socket")
        assert "the socket that %s names" % named in r.stderr
        assert str(tmp_path / "xdg") not in r.stderr, "nor looked for elsewhere"
    q.env = before
    assert q.ctl_json("status")["pid"] == q.pid and q.ctl_json("status")["generation"] == 1
    assert not q.count("control: user .* says"), "it was ordered nothing"


def test_a_socket_that_is_named_but_empty(bystander):
    for option in (["--socket", ""], ["--socket="], ["-c", ""]):
        r = bystander.ctl(*option, "stop")
        assert r.returncode == 2 and "needs a path" in r.stderr
    bystander.env["QCC_SOCKET"] = "/x" * 4000
    r = bystander.ctl("stop")
    assert r.returncode == 3 and "QCC_SOCKET names" in r.stderr
    bystander.env["QCC_SOCKET"] = ""  # a variable that is empty says nothing, as ever
    done(bystander.ctl("status"))


def test_a_configuration_that_is_served_by_nobody(bystander, qcc, tmp_path):
    """Its control socket is at the default place, where the supervisor of another configuration answers."""
    other = tmp_path / "other.yaml"
    other.write_text(bystander.path.read_text())
    for command in (["stop"], ["status"], ["reload"], ["env"], ["logs"]):
        r = bystander.ctl("-c", str(other), *command)
        assert r.returncode == 3 and r.stdout == ""
        assert "no supervisor serves %s" % other in r.stderr and str(bystander.path) in r.stderr
    assert bystander.ctl_json("-c", str(bystander.path), "status")["pid"] == bystander.pid
    assert bystander.ctl_json("-c", "qcc.yaml", "status")["pid"] == bystander.pid, "another name of the same file"
    assert not bystander.count("control: user .* says")


def test_served_by_a_relative_path(qcc):
    q = qcc(start=False)
    q.command[q.command.index("-c") + 1] = "qcc.yaml"
    q.start()
    assert q.ctl_json("status")["config"] == "qcc.yaml"
    assert q.ctl_json("-c", str(q.path), "status")["pid"] == q.pid
    (q.folder / "sub").mkdir()
    (q.folder / "sub/qcc.yaml").write_text(q.path.read_text())
    r = q.ctl("-c", "sub/qcc.yaml", "status")
    assert r.returncode == 3 and "no supervisor serves sub/qcc.yaml" in r.stderr


def test_a_search_says_whom_it_found(bystander, qcc):
    at = " (the supervisor at %s/qcc/control.sock)\n" % bystander.env["XDG_RUNTIME_DIR"]
    for command in (["disable", "nobody"], ["enable", "nobody"], ["reload"]):
        assert done(bystander.ctl(*command)).endswith(at), command
    assert "supervisor at" not in json.dumps(bystander.ctl_json("reload"))
    named = qcc()
    assert "the supervisor at" not in done(named.ctl("reload"))
    said = done(bystander.ctl("stop"))
    assert said.startswith("stopping") and said.endswith(at)
    assert bystander.wait(PATIENCE) == 0


# ---- stop


@pytest.fixture
def busy(qcc, upstream):
    """One with a request in flight that does not end by itself."""
    q = qcc({"endpoints": [upstream.endpoint("/s/hang", "hangs")]})
    c = http.client.HTTPConnection("127.0.0.1", q.port, timeout=PATIENCE)
    c.request("POST", "/v1/messages", '{"model":"m"}', {"content-type": "application/json"})
    q.wait_log("attempt 1 at hangs")
    yield q
    c.close()


@pytest.mark.parametrize("first", ["stop", "signal", "wait"])
def test_to_wait_behind_a_stop_is_no_second_stop(busy, first):
    if first == "signal":
        busy.signal(signal.SIGTERM)
    else:
        assert "when what is in flight has ended" in done(busy.ctl(*(["--timeout", "5", "stop"])))
    busy.wait_log("stopping: what is in flight has")
    if first == "wait":
        assert busy.ctl("--timeout", "0.3", "stop", "--wait").returncode == 1
    r = busy.ctl("--timeout", "0.3", "stop", "--wait")
    assert r.returncode == 1 and "it has not ended yet" in r.stderr
    assert r.stdout.startswith("stopping when what is in flight has ended")
    assert busy.running() and not busy.count("stopping at once")
    assert done(busy.ctl("stop")) == "stopping at once\n"
    until(lambda: not busy.running(), "the end")


def test_to_wait_first_is_a_stop(busy):
    assert busy.ctl("--timeout", "0.3", "stop", "--wait").returncode == 1
    assert busy.count("stopping: what is in flight has") == 1 and busy.running()
    os.kill(busy.pid, signal.SIGTERM)
    assert busy.wait(PATIENCE) == 0 and busy.count("stopping at once") == 1
