"""What somebody meets who sets QCC up: keys that were copied with something, an environment that a shell has not, a
check by root of what another user will serve, and where the control socket is without systemd."""
import json
import os
import pathlib
import pwd
import shutil
import subprocess

import pytest

from control import done, open_folder  # noqa: F401
from qcc import BUILD, PATIENCE, QCCCTL, SUPERVISOR, until

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
ENDPOINT = "endpoints: [{name: a, base_url: 'http://127.0.0.1:9', %s}]\n"


def check(path, **env):
    kept = {k: v for k, v in os.environ.items() if not k.startswith("QCC_T")}
    return subprocess.run([str(SUPERVISOR), "-t", "-c", str(path)], env={**kept, **env}, capture_output=True, text=True,
                          timeout=PATIENCE)


def test_a_byte_order_mark(qcc, raw, tmp_path):
    """At the beginning of the file: it is none of its text. Of a file with a key: told, and taken off."""
    upstream = raw(lambda peer, r: peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"))
    key = tmp_path / "a.key"
    key.write_bytes(b"\xef\xbb\xbfsk-of-a-file-0123456789\r\n")
    key.chmod(0o600)
    path = tmp_path / "qcc.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + (ENDPOINT % ("api_key_file: %s" % key)).encode())
    r = check(path)
    assert r.returncode == 0 and r.stderr.count("\n") == 1, r
    assert "qcc.yaml:1:69: warning: endpoints[0].api_key_file: " in r.stderr
    assert "a.key begins with a byte order mark, which is left out" in r.stderr
    q = qcc({"endpoints": [upstream.endpoint("a", api_key=None, api_key_file=str(key))]})
    q.get("/v1/models/x")
    assert upstream.wait_requests(1)[0].header("x-api-key") == "sk-of-a-file-0123456789"


def test_an_environment_that_a_shell_has_not(tmp_path):
    path = tmp_path / "qcc.yaml"
    path.write_text(ENDPOINT % "api_key: '${QCC_TKEY}'")
    r = check(path)
    assert r.returncode == 1 and r.stderr.endswith("endpoints[0].api_key: environment variable QCC_TKEY is not set\n")
    (tmp_path / "qcc.env").write_text("QCC_TKEY=sk-1\n")
    r = check(path)
    assert r.returncode == 1
    assert r.stderr.endswith("QCC_TKEY is not set here; the service gets its own from %s/qcc.env\n" % tmp_path)
    assert check(path, QCC_TKEY="sk-1").returncode == 0
    # as the manual has it
    line = "set -a; . %s/qcc.env; %s -t -c %s" % (tmp_path, SUPERVISOR, path)
    assert subprocess.run(["sh", "-c", line], capture_output=True, timeout=PATIENCE).returncode == 0


def test_folders_that_are_not_there(tmp_path):
    """A start would fail: the check says so, and where."""
    path = tmp_path / "qcc.yaml"
    path.write_text("log: {file: %s/none/x.log}\nstate_dir: %s/state\n%s" % (tmp_path, tmp_path, ENDPOINT % "weight: 1"))
    path.chmod(0o600)
    r = check(path)
    assert r.returncode == 0 and r.stdout.endswith("good\n")
    assert r.stderr == "%s: warning: log.file: there is no folder %s/none here: a start would fail\n" % (path, tmp_path)


def test_a_key_file_without_a_key_is_one_fault(tmp_path):
    """No endpoint is called the same as another because the keys of both could not be read."""
    (tmp_path / "empty.key").write_text("")
    path = tmp_path / "qcc.yaml"
    path.write_text("endpoints:\n" + "".join("  - {name: %s, base_url: 'http://127.0.0.1:9', api_key_file: %s/%s.key}\n" % (n, tmp_path, f)
                                            for n, f in (("a", "none"), ("b", "none"), ("c", "empty"))))
    path.chmod(0o600)
    r = check(path)
    said = [line.split(": ", 2)[1] for line in r.stderr.splitlines() if "everybody may read" not in line]
    assert r.returncode == 1 and said == ["endpoints[%d].api_key_file" % i for i in range(3)], r.stderr


@ROOT_ONLY
def test_root_checks_as_the_user(open_folder):  # noqa: F811
    nobody = pwd.getpwnam("nobody")
    path, key, state = open_folder / "qcc.yaml", open_folder / "a.key", open_folder / "state"
    key.write_text("sk-1\n")
    key.chmod(0o600)
    state.mkdir(mode=0o700)
    text = ENDPOINT % ("api_key_file: %s" % key)
    path.write_text(text)
    path.chmod(0o600)
    assert check(path).returncode == 0, "root may read all"
    path.write_text("user: nobody\nstate_dir: %s\n%s" % (state, text))
    r = check(path)
    assert r.returncode == 1 and "good" not in r.stdout
    assert "qcc.yaml: cannot be opened: Permission denied (as user nobody, who reloads it)\n" in r.stderr
    os.chown(path, nobody.pw_uid, 0)
    r = check(path)
    assert r.returncode == 1
    assert "qcc.yaml:3:69: endpoints[0].api_key_file: %s cannot be opened: Permission denied (as user nobody" % key in r.stderr
    assert "state_dir: %s cannot be used by user nobody: Permission denied\n" % state in r.stderr
    os.chown(key, nobody.pw_uid, 0)
    os.chown(state, nobody.pw_uid, 0)
    r = check(path)
    assert r.returncode == 0 and r.stdout.endswith("good\n") and not r.stderr, r
    assert not list(state.iterdir())
    lock = state / "lock"
    lock.touch(mode=0o600)
    r = check(path)
    assert r.returncode == 1 and "state_dir: %s cannot be used by user nobody: Permission denied\n" % lock in r.stderr
    lock.unlink()
    state.rmdir()
    assert check(path).returncode == 0, "a start makes it, as root"
    assert not state.exists()


def as_nobody(path):
    return subprocess.run(["setpriv", "--reuid=nobody", "--clear-groups", str(SUPERVISOR), "-t", "-c", str(path)], capture_output=True,
                          text=True, timeout=PATIENCE)


@ROOT_ONLY
def test_what_a_start_could_not_write(open_folder):  # noqa: F811
    """Told by who would start it; nothing is left behind."""
    path, closed, mine = open_folder / "qcc.yaml", open_folder / "closed", open_folder / "mine"
    for folder in (closed, mine):
        folder.mkdir(mode=0o755)
    os.chown(mine, pwd.getpwnam("nobody").pw_uid, 0)
    (closed / "root.log").touch(mode=0o644)

    def told(log, state):
        path.write_text("log: {file: %s}\nstate_dir: %s\n%s" % (log, state, ENDPOINT % "weight: 1"))
        path.chmod(0o644)
        r = as_nobody(path)
        assert r.returncode == 0, r
        return [line.split(" warning: ")[1] for line in r.stderr.splitlines()]

    no = " cannot be written: Permission denied: a start would fail"
    assert told(mine / "a.log", mine / "state") == told(mine / "a.log", mine) == []
    assert told(closed / "a.log", closed / "state") == ["log.file: %s%s" % (closed, no), "state_dir: %s%s" % (closed, no)]
    assert told(closed / "root.log", closed) == ["log.file: %s/root.log%s" % (closed, no), "state_dir: %s%s" % (closed, no)]
    assert not list(mine.iterdir()) and [f.name for f in closed.iterdir()] == ["root.log"]
    path.write_text("user: nobody\nlog: {file: %s/a.log}\n%s" % (closed, ENDPOINT % "weight: 1"))
    os.chmod(closed, 0o700)
    r = check(path)
    assert r.returncode == 1 and "log.file: %s/a.log cannot be reached by user nobody: Permission denied\n" % closed in r.stderr


# In a mount namespace of its own with an empty /run.
APART = ["unshare", "--mount", "--propagation", "private", "sh", "-c", 'mount -t tmpfs none /run && exec "$@"', "sh"]


def apart():
    return shutil.which("unshare") and shutil.which("nsenter") and subprocess.run([*APART, "true"],
                                                                                  capture_output=True).returncode == 0


@ROOT_ONLY
@pytest.mark.parametrize("user", [None, "nobody"])
def test_one_place_of_the_socket(qcc, open_folder, user):  # noqa: F811
    """Started as root: /run/qcc, for whoever asks, and after a reload and an upgrade."""
    if not apart():
        pytest.skip("no mount namespaces here")
    for name in ("qcc-supervisor", "qcc-worker", "qccctl"):
        shutil.copy(BUILD / name, open_folder / name)
    q = qcc({"user": user} if user else {}, folder=open_folder / "q", start=False)
    if user:
        nobody = pwd.getpwnam(user)
        for at in (q.folder, q.path):
            os.chown(at, nobody.pw_uid, nobody.pw_gid)
    for name in ("RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR", "QCC_SOCKET"):
        q.env.pop(name, None)
    q.command = [*APART, str(open_folder / "qcc-supervisor"), *q.command[1:]]
    q.env["QCC_WORKER"] = str(open_folder / "qcc-worker")
    q.start(wait=False)
    q.wait_log("control socket /run/qcc/control.sock")
    q.wait_log("serving on")

    def ask(*args, **more):
        return subprocess.run(["nsenter", "-t", str(q.process.pid), "-m", *more.get("who", []), str(open_folder / "qccctl"), *args],
                              env={**q.env, **more.get("env", {})}, capture_output=True, text=True, timeout=PATIENCE, cwd="/")

    assert json.loads(done(ask("--json", "status")))["pid"] == q.process.pid
    assert json.loads(done(ask("--json", "status", env={"XDG_RUNTIME_DIR": "/nonexistent"})))["pid"] == q.process.pid
    if user:
        who = ["setpriv", "--reuid=%s" % user, "--regid=%d" % nobody.pw_gid, "--clear-groups"]
        assert json.loads(done(ask("--json", "status", who=who)))["pid"] == q.process.pid
    done(ask("reload"))
    q.wait_log("generation 2|configuration.* in use|reloaded")
    assert json.loads(done(ask("--json", "status")))["generation"] == 2
    assert not q.count("there is no control socket")
    done(ask("stop", "--wait"))
    until(lambda: q.process.poll() is not None, "its end")


def test_the_service_users_place(tmp_path):
    """A supervisor that was started as the service's user, where nobody has made /run/qcc, is found by others."""
    env = {k: v for k, v in os.environ.items() if k not in ("RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR", "QCC_SOCKET")}
    r = subprocess.run([str(QCCCTL), "status"], env=env, capture_output=True, text=True, timeout=PATIENCE)
    places = ["/run/qcc", "/run/user/%d/qcc" % os.geteuid(), "/tmp/qcc-%d" % os.geteuid()]
    try:
        places.append("/tmp/qcc-%d" % pwd.getpwnam("qcc").pw_uid)
    except KeyError:
        pass
    if r.returncode != 0:  # else one serves on this machine
        assert all("  %s/control.sock: " % p in r.stderr for p in places), r.stderr


STUB = """#!/bin/sh
case $0 in
*/apt-get) case " $* " in *" install "*) mkdir -p /etc/systemd/system/multi-user.target.wants
    ln -s /dev/null /etc/systemd/system/multi-user.target.wants/prometheus.service; printf '#!/bin/sh\\n' >%(bin)s/promtool
    chmod +x %(bin)s/promtool ;; esac ;;
*/systemctl) echo "$*" >>%(bin)s/said ;;
esac
"""


@ROOT_ONLY
def test_services_of_what_is_installed_stay_off(tmp_path):
    """Only promtool is wanted of the package with Prometheus; what was on before stays so."""
    if not apart():
        pytest.skip("no mount namespaces here")
    stubs = tmp_path / "bin"
    stubs.mkdir()
    for name in ("apt-get", "apt-cache", "systemctl"):
        (stubs / name).write_text(STUB % {"bin": stubs})
        (stubs / name).chmod(0o755)
    for name in ("sh cat tr sed sort comm find head tail grep install rm ln mkdir chmod env mktemp id sleep").split():
        (stubs / name).symlink_to(shutil.which(name))
    inner = ("mount -t tmpfs none /etc/systemd/system && mkdir /etc/systemd/system/a.wants && "
             "ln -s /dev/null /etc/systemd/system/a.wants/ssh.service && PATH=%s exec %s promtool"
             % (stubs, pathlib.Path(__file__).parents[3] / "packaging/deps.sh"))
    r = subprocess.run(["unshare", "--mount", "--propagation", "private", "sh", "-c", inner], capture_output=True, text=True,
                       timeout=PATIENCE)
    assert r.returncode == 0 and "deps: prometheus.service stays off: only its program is wanted\n" in r.stdout, r
    assert (stubs / "said").read_text() == "-q disable prometheus.service\n"
