"""qccctl dashboard: where the page is, and how to get there."""
import os

import pytest

from qcc import until


@pytest.fixture
def browser(tmp_path):
    """A folder with an xdg-open that notes what it is asked to open."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "xdg-open"
    program.write_text('#!/bin/sh\necho "$@" >"%s/opened.new" && mv "%s/opened.new" "%s/opened"\n' % (folder, folder, folder))
    program.chmod(0o755)
    return folder


def call(q, *args, path=None, **env):
    for name in ("SSH_CONNECTION", "DISPLAY", "WAYLAND_DISPLAY"):
        q.env.pop(name, None)
    q.env.update(env)
    q.env["PATH"] = "%s:%s" % (path, os.environ["PATH"]) if path else os.environ["PATH"]
    return q.ctl("dashboard", *args)


def test_on_this_machine(qcc, browser):
    q = qcc()
    done = call(q, path=browser)
    assert done.returncode == 0 and done.stdout == "http://127.0.0.1:%d/\n" % q.admin_port
    assert not (browser / "opened").exists(), "no display"


@pytest.mark.parametrize("display", ["DISPLAY", "WAYLAND_DISPLAY"])
def test_a_browser_is_opened_where_there_is_a_display(qcc, browser, display):
    q = qcc()
    done = call(q, path=browser, **{display: ":0"})
    assert done.returncode == 0 and "opened" in done.stdout
    until(lambda: (browser / "opened").exists(), "the browser")
    assert (browser / "opened").read_text() == "http://127.0.0.1:%d/\n" % q.admin_port
    (browser / "opened").unlink()
    for more in (["--no-open"], ["--json"]):
        done = call(q, *more, path=browser, **{display: ":0"})
        assert done.returncode == 0 and "opened" not in done.stdout


def test_no_browser_there(qcc, tmp_path):
    q = qcc()
    q.env["PATH"] = str(tmp_path)
    q.env["DISPLAY"] = ":0"
    done = q.ctl("dashboard")
    assert done.returncode == 0 and done.stdout == "http://127.0.0.1:%d/\n" % q.admin_port


def test_in_an_ssh_session(qcc):
    q = qcc()
    done = call(q, SSH_CONNECTION="203.0.113.9 50000 192.0.2.7 2222", USER="ops")
    port = q.admin_port
    assert "ssh -N -L %d:127.0.0.1:%d -p 2222 ops@192.0.2.7\n" % (port, port) in done.stdout
    assert "http://127.0.0.1:%d/\n" % port in done.stdout.splitlines(True)[-1]
    done = call(q, SSH_CONNECTION="a b $(reboot) 22", USER="x;reboot")
    assert "reboot" not in done.stdout and "ssh -N -L" in done.stdout


def test_a_listener_on_all_addresses(qcc):
    q = qcc({"admin": {"listen": "*:0", "token": "swordfish-7"}}, start=False)
    q.configure({"admin": {"listen": "0.0.0.0:%d" % q.admin_port}})
    q.start()
    done = call(q)
    assert done.stdout.startswith("http://127.0.0.1:%d/\n" % q.admin_port)
    assert "ssh -N -L %d:127.0.0.1:%d " % (q.admin_port, q.admin_port) in done.stdout
    assert "swordfish" not in done.stdout


def test_a_unix_socket(qcc, tmp_path):
    q = qcc({"admin": {"listen": "unix:%s" % (tmp_path / "a.sock")}}, start=False)
    q.start()
    done = call(q)
    assert done.returncode == 0 and "ssh -N -L 7861:%s" % (tmp_path / "a.sock") in done.stdout


def test_off(qcc):
    q = qcc({"admin": {"listen": "off"}})
    done = call(q)
    assert done.returncode == 1 and "admin.listen is off" in done.stderr


def test_json_and_wrong_usage(qcc):
    q = qcc()
    for name in ("SSH_CONNECTION", "DISPLAY", "WAYLAND_DISPLAY"):
        q.env.pop(name, None)
    assert q.ctl_json("dashboard") == {"url": "http://127.0.0.1:%d/" % q.admin_port, "ssh": None}
    assert q.ctl("dashboard", "now").returncode == 2
