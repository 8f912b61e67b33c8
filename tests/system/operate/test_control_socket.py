"""The control socket: who may use it, where it lies, and what is refused there."""
import contextlib
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import stat
import struct
import subprocess

import pytest

from control import control, done, inside, open_folder
from qcc import PATIENCE, QCCCTL, SUPERVISOR

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
NOBODY = 65534


def test_modes(qcc):
    q = qcc()
    assert stat.S_IMODE(control(q).stat().st_mode) == 0o660
    assert stat.S_IMODE(control(q).parent.stat().st_mode) == 0o750
    q.stop()
    assert not control(q).exists()


def connect(q):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(PATIENCE)
    with inside(control(q).parent):
        s.connect("control.sock")
    return s


def frame(*body):
    out = bytes([0x90 | len(body)])
    for x in body:
        if isinstance(x, int):
            out += bytes([x]) if x < 128 else b"\xcd" + struct.pack(">H", x)
        else:
            x = x.encode()
            out += (bytes([0xa0 | len(x)]) if len(x) < 32 else b"\xda" + struct.pack(">H", len(x))) + x
    return struct.pack(">I", len(out)) + out


STATUS = frame(64, 0, 1, "status", "")
RUBBISH = [
    b"GET / HTTP/1.1\r\n\r\n",
    b"\x00" * 64,
    b"\x00\x00\x00\x01\xc0",
    b"\x7f\xff\xff\xff" + b"x" * 4096,
    b"\x00\x00\x02\x01" + b"x" * 600,              # over what a question may have
    b"\x80" + STATUS[1:],                          # says that a descriptor came along
    frame(32, 0, 6, 1),                            # READY, as a worker says it
    frame(47, 0, 1, "status", ""),                 # ASK, likewise
    frame(80, 0, 1, 200, "x"),                     # an answer
    frame(64, 0, 1, "status"),                     # a field too few
    frame(64, 0, 1, "status", "", ""),
    frame(64, 0, 1, "s" * 33, ""),
    frame(64, 0, 1, "status", "a" * 129),
    frame(64, 0, 1, 7, ""),
    frame(99, 0, 1, "status", ""),
]


def test_rubbish_is_disconnected(qcc):
    q = qcc()
    for at, rubbish in enumerate(RUBBISH):
        with connect(q) as s:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                s.sendall(rubbish)
            with contextlib.suppress(ConnectionResetError):
                assert s.recv(100) == b"", at
        q.wait_log("control: user %d .*is disconnected: " % os.geteuid(), count=at + 1)
    done(q.ctl("status"))
    assert q.count("ended unexpectedly") == 0
    with connect(q) as s:  # good, good, bad: the good ones are answered
        s.sendall(STATUS + STATUS + b"\x00\x00\x00\x01\xc0")
        got = b""
        with contextlib.suppress(ConnectionResetError):
            while True:
                more = s.recv(65536)
                if not more:
                    break
                got += more
    assert got.count(b"version") == 2


def test_byte_by_byte(qcc):
    q = qcc()
    with connect(q) as s:
        for i in range(len(STATUS)):
            s.sendall(STATUS[i:i + 1])
        assert b"version" in s.recv(65536)


def test_one_who_does_not_read_is_disconnected(qcc, upstream):
    q = qcc({"endpoints": [upstream.endpoint("/good%d" % i, "endpoint-%d" % i) for i in range(200)],
             "log": {"level": "info"}})
    ask_all = frame(64, 0, 1, "endpoints", "")
    with connect(q) as s, contextlib.suppress(BrokenPipeError, ConnectionResetError):
        s.settimeout(2)
        with contextlib.suppress(socket.timeout):
            for _ in range(100000):
                s.sendall(ask_all)
    q.wait_log("does not read its answers")
    done(q.ctl("status"))


def test_too_many_connections(qcc):
    """Those who are idle do not keep others out."""
    q = qcc()
    idle = [connect(q) for _ in range(32)]
    done(q.ctl("status"))
    q.wait_log("too many are connected, and it was idle longest")
    assert idle[0].recv(1) == b""
    for s in idle:
        s.close()


def test_a_stale_socket_is_replaced(qcc):
    q = qcc()
    workers = q.children()
    os.kill(q.pid, signal.SIGKILL)
    q.wait()
    assert control(q).exists()
    assert q.ctl("status").returncode == 3 and "nobody listens" in q.ctl("status").stderr
    q.start(wait=False)
    q.wait_serving(2)
    assert q.ctl_json("status")["pid"] == q.pid not in workers


def test_two_supervisors(qcc, tmp_path):
    """Without a configured path the second goes on without; with one it does not start."""
    a = qcc()
    b = qcc(start=False)
    b.env["RUNTIME_DIRECTORY"] = a.env["RUNTIME_DIRECTORY"]
    b.start()
    b.wait_log("there is no control socket: another supervisor answers at .*control.sock")
    assert b.ctl_json("status")["pid"] == a.pid
    b.stop()
    assert a.ctl_json("status")["pid"] == a.pid, "it was not b's to remove"
    b.configure({"control_socket": str(control(a))})
    b.start(wait=False)
    assert b.wait() == 1 and "control_socket: another supervisor answers" in b.log()
    assert a.ctl_json("status")["pid"] == a.pid


@pytest.mark.parametrize("configured", [False, True])
def test_one_that_is_stopping_leaves_its_place(qcc, upstream, configured):
    """What it has in flight may take long; who starts in its place is the one to be asked then."""
    more = {"endpoints": [upstream.endpoint("/s/hang", "hangs")]}
    a = qcc(more)
    c = http.client.HTTPConnection("127.0.0.1", a.port, timeout=PATIENCE)
    c.request("POST", "/v1/messages", '{"model":"m"}', {"content-type": "application/json"})
    a.wait_log("attempt 1 at hangs")
    done(a.ctl("stop"))
    b = qcc({"control_socket": str(control(a))} if configured else None, start=False)
    b.env["RUNTIME_DIRECTORY"] = a.env["RUNTIME_DIRECTORY"]
    b.start()
    assert b.ctl_json("status")["pid"] == b.pid and a.running()
    a.wait_log("control socket left to control: user")
    a.signal(signal.SIGTERM)
    assert a.wait() == 0
    assert b.ctl_json("status")["pid"] == b.pid
    c.close()


def test_many_start_at_once(qcc):
    made = [qcc(start=False) for _ in range(4)]
    for q in made[1:]:
        q.env["RUNTIME_DIRECTORY"] = made[0].env["RUNTIME_DIRECTORY"]
    for q in made:
        q.start(wait=False)
    for q in made:
        q.wait_serving()
    owners = [q for q in made if q.count("control socket /")]
    assert len(owners) == 1 and made[0].ctl_json("status")["pid"] == owners[0].pid


def test_a_file_in_its_place(qcc):
    q = qcc({"control_socket": "here.sock"}, start=False)
    (q.folder / "here.sock").write_text("precious")
    q.start(wait=False)
    assert q.wait() == 1 and "exists and is not a socket" in q.log()
    assert (q.folder / "here.sock").read_text() == "precious"


def test_a_long_path(qcc, tmp_path):
    q = qcc(folder=tmp_path / ("x" * 120))
    assert len(str(control(q))) > 108
    done(q.ctl("status"))
    q.stop()
    assert not control(q).exists()


@pytest.mark.parametrize("how", ["link", "open", "foreign"])
def test_a_folder_that_is_not_ours(qcc, tmp_path, how):
    """The default place in a folder where anybody may make folders: no trap is walked into."""
    if how == "foreign" and os.geteuid() != 0:
        pytest.skip("needs root")
    q = qcc(start=False)
    del q.env["RUNTIME_DIRECTORY"]
    shared = tmp_path / "shared"
    shared.mkdir()
    q.env["XDG_RUNTIME_DIR"] = str(shared)
    trap = shared / "qcc"
    if how == "link":
        (tmp_path / "elsewhere").mkdir()
        trap.symlink_to(tmp_path / "elsewhere")
    else:
        trap.mkdir()
        if how == "open":
            trap.chmod(0o777)
        else:
            os.chown(trap, NOBODY, NOBODY)
    q.start()
    q.wait_log("there is no control socket: ")
    assert not (trap / "control.sock").exists()


def test_found_by_the_configuration(qcc, tmp_path):
    q = qcc({"control_socket": str(tmp_path / "own/c.sock")})
    other = qcc()
    q.env["RUNTIME_DIRECTORY"] = other.env["RUNTIME_DIRECTORY"]
    assert q.ctl_json("status")["pid"] == other.pid
    assert q.ctl_json("-c", str(q.path), "status")["pid"] == q.pid
    assert q.ctl_json("status", "--config", str(other.path))["pid"] == other.pid
    r = q.ctl("-c", "none.yaml", "status")
    assert r.returncode == 1 and "none.yaml" in r.stderr
    (q.folder / "bad.yaml").write_text("endpoints: 7\n")
    r = q.ctl("-c", "bad.yaml", "status")
    assert r.returncode == 1 and "bad.yaml:1:" in r.stderr


def test_a_reload_moves_it(qcc, tmp_path):
    q = qcc()
    q.reload({"control_socket": str(q.folder / "new/c.sock")})
    assert not control(q).exists()
    env = q.env.pop("RUNTIME_DIRECTORY")
    assert json.loads(done(q.ctl("--socket", "new/c.sock", "--json", "status")))["generation"] == 2
    q.env["QCC_SOCKET"] = str(q.folder / "new/c.sock")
    assert q.ctl_json("status")["pid"] == q.pid
    (q.folder / "file").write_text("")
    q.reload({"control_socket": str(q.folder / "file")}, wait="refused")
    assert q.ctl_json("status")["pid"] == q.pid, "a refused reload leaves it"
    os.unlink(q.folder / "new/c.sock")  # a cleaner of old files
    assert q.ctl("status").returncode == 3
    q.reload({"control_socket": str(q.folder / "new/c.sock")})
    assert q.ctl_json("status")["pid"] == q.pid, "a reload makes it again"
    q.env["RUNTIME_DIRECTORY"] = env


def as_user(uid, gid, groups=()):
    kept = ["--groups=%s" % ",".join(map(str, groups))] if groups else ["--clear-groups"]
    return ["setpriv", "--reuid=%d" % uid, "--regid=%d" % gid, *kept]


@ROOT_ONLY
def test_other_users(qcc, open_folder):
    program = shutil.copy(QCCCTL, open_folder / "qccctl")
    q = qcc({"control_socket": str(open_folder / "run/c.sock")})
    sock = open_folder / "run/c.sock"

    def ask_as(*who):
        return subprocess.run([*who, str(program), "--socket", str(sock), "status"], capture_output=True, text=True,
                              cwd="/", timeout=PATIENCE)

    r = ask_as(*as_user(NOBODY, NOBODY))
    assert r.returncode == 3 and r.stdout == "", r
    assert "may not open %s" % sock in r.stderr and "belongs to user root, group root" in r.stderr
    os.chown(sock.parent, 0, NOBODY)
    os.chown(sock, 0, NOBODY)
    done(ask_as(*as_user(NOBODY, NOBODY)))
    done(ask_as(*as_user(12345, 12345, [4, NOBODY])))
    r = ask_as(*as_user(12345, 12345, [4]))
    assert r.returncode == 3
    sock.parent.chmod(0o755)
    sock.chmod(0o666)  # the mode lets everybody in, the credentials do not
    r = ask_as(*as_user(12345, 12345, [4]))
    assert r.returncode == 3 and "closed the connection" in r.stderr
    q.wait_log(r"control: user 12345 \(pid \d+\) is not of the socket's group: refused")
    done(ask_as(*as_user(NOBODY, NOBODY)))


@ROOT_ONLY
def test_privileges_are_dropped(qcc, open_folder):
    """The socket belongs to the account that the service runs as, and so can go at the end."""
    programs = open_folder / "bin"
    programs.mkdir()
    for name in ("qcc-supervisor", "qcc-worker"):
        shutil.copy(SUPERVISOR.parent / name, programs / name)
    q = qcc({"user": "nobody", "control_socket": str(open_folder / "run/c.sock")}, start=False)
    q.command[0] = str(programs / "qcc-supervisor")
    q.env["QCC_WORKER"] = str(programs / "qcc-worker")
    q.start()
    st = (open_folder / "run/c.sock").stat()
    assert st.st_uid == NOBODY and stat.S_IMODE(st.st_mode) == 0o660
    q.env["QCC_SOCKET"] = str(open_folder / "run/c.sock")
    done(q.ctl("status"))
    done(q.ctl("logs"))
    assert q.stop() == 0 and not (open_folder / "run/c.sock").exists()


def test_the_first_of_several_folders(qcc, tmp_path):
    q = qcc(start=False)
    q.env["RUNTIME_DIRECTORY"] = "%s/one:%s/two" % (tmp_path, tmp_path)
    q.start()
    assert (tmp_path / "one/control.sock").is_socket() and not (tmp_path / "two").exists()
    done(q.ctl("status"))


@ROOT_ONLY
def test_the_last_default_place(qcc, open_folder):
    """/tmp/qcc-UID, as a user of whom nobody else has heard."""
    uid = 52341 + os.getpid() % 1000
    place = pathlib.Path("/tmp/qcc-%d" % uid)
    shutil.rmtree(place, ignore_errors=True)
    for name in ("qcc-supervisor", "qcc-worker", "qccctl"):
        shutil.copy(SUPERVISOR.parent / name, open_folder / name)
    q = qcc(folder=open_folder / "q", start=False)
    os.chown(q.path, uid, uid)
    q.command = [*as_user(uid, uid), str(open_folder / "qcc-supervisor"), "-c", str(q.path)]
    for name in ("RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR"):
        q.env.pop(name, None)
    try:
        q.start()
        assert stat.S_IMODE(place.stat().st_mode) == 0o750 and place.stat().st_uid == uid
        mine = subprocess.run([*as_user(uid, uid), str(open_folder / "qccctl"), "--json", "status"], env=q.env,
                              capture_output=True, text=True, cwd="/")
        assert json.loads(done(mine))["pid"] == q.pid
        other = subprocess.run([*as_user(uid + 1, uid + 1), str(open_folder / "qccctl"), "-s", str(place / "control.sock"),
                                "status"], env=q.env, capture_output=True, text=True, cwd="/")
        assert other.returncode == 3 and "may not open" in other.stderr
    finally:
        q.close()
        shutil.rmtree(place, ignore_errors=True)


def test_a_folder_that_everybody_may_write(qcc, tmp_path):
    """Whoever names it has chosen it: he is told."""
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o777)
    q = qcc({"control_socket": str(folder / "c.sock")})
    assert q.count("can be written by everybody") == 1
    done(q.ctl("-s", str(folder / "c.sock"), "status"))


def test_the_log_ring_can_only_be_read(qcc):
    q = qcc()
    with connect(q) as s:
        s.sendall(frame(64, 0, 1, "logs", ""))
        data, fds, _, _ = socket.recv_fds(s, 65536, 4)
        assert len(fds) == 1
        import mmap

        with pytest.raises(PermissionError):
            mmap.mmap(fds[0], 4096, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        with pytest.raises(OSError):
            os.write(fds[0], b"x")
        os.close(fds[0])
