"""What lasts (behaviour: state that lasts), and what is done with files that are of no use."""
import contextlib
import hashlib
import http.client
import json
import os
import re
import signal
import struct
import subprocess
import time

import pytest

from qcc import PATIENCE, SUPERVISOR, Qcc, until


def ask(q, conversation="one"):
    c = http.client.HTTPConnection("127.0.0.1", q.port, timeout=PATIENCE)
    try:
        c.request("POST", "/v1/messages",
                  json.dumps({"model": "m", "messages": [{"role": "user", "content": "hello"}]}),
                  {"content-type": "application/json", "x-conversation-id": conversation})
        r = c.getresponse()
        r.read()
        return r.status, r.getheader("x-qcc-endpoint")
    finally:
        c.close()


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "state"


@pytest.fixture
def lasting(qcc, upstream, folder):
    """One with a state_dir, and a conversation bound in it."""
    q = qcc({"state_dir": str(folder), "endpoints": [upstream.endpoint("/good")]})
    assert ask(q)[0] == 200
    return q


def again(q, wait=True):
    q.start(wait=False)
    if wait:
        q.wait_serving(2)
    return q


def aside(folder, name="state"):
    return sorted(p for p in folder.iterdir() if p.name.startswith(name + ".bad-"))


def test_the_folder_is_made_and_ours_alone(lasting, folder):
    assert folder.stat().st_mode & 0o777 == 0o700
    assert lasting.stop() == 0
    assert sorted(p.name for p in folder.iterdir()) == ["cells", "history.db", "lock", "secret", "state"]
    for name in ("cells", "history.db", "secret", "state"):
        assert (folder / name).stat().st_mode & 0o777 == 0o600
    assert (folder / "secret").stat().st_size == 32
    lasting.assert_sane()


def test_a_restart_takes_it_up(lasting, folder):
    secret = (folder / "secret").read_bytes()
    lasting.stop()
    again(lasting)
    lasting.wait_log("1 bindings and the state of 1 endpoints are taken up")
    assert (folder / "secret").read_bytes() == secret


def test_saved_within_seconds_and_only_when_changed(lasting, folder):
    until((folder / "state").exists, "the state to be saved")
    before = (folder / "state").stat().st_mtime_ns
    assert ask(lasting, "two")[0] == 200
    until(lambda: (folder / "state").stat().st_mtime_ns != before, "it to be saved again")


def test_nothing_new_is_not_saved_again(lasting, folder):
    """The longest pause is 5 s, looked at once a second."""
    until((folder / "state").exists, "the state to be saved")
    until(lambda: time.time() - (folder / "state").stat().st_mtime > 8, "a pause")


def test_time_passes_while_nothing_runs(qcc, upstream, folder):
    q = qcc({"state_dir": str(folder), "affinity": {"ttl": "2s"}, "endpoints": [upstream.endpoint("/good")]})
    assert ask(q)[0] == 200
    assert q.stop() == 0
    time.sleep(2.1)  # lint: the binding's whole life
    again(q)
    q.wait_log(" 0 bindings and the state of 1 endpoints")


def damage_cut(b):
    return b[: len(b) // 2]


def damage_bit(b):
    return b[:-3] + bytes([b[-3] ^ 4]) + b[-2:]


def damage_version(number):
    return lambda b: b[:8] + struct.pack(">I", number) + b[12:]


def damage_body(b):
    body = b"\x93\x01\x02\x03"
    return b[:16] + struct.pack(">Q", len(body)) + hashlib.sha256(body).digest() + body


@pytest.mark.parametrize("damage, why", [
    (damage_cut, "is cut"),
    (damage_bit, "is damaged"),
    (damage_version(0), "is of version 0"),
    (damage_version(4), "is of version 4"),
    (damage_body, "is malformed"),
    (lambda b: b"", "is cut"),
    (lambda b: b"something else entirely" * 10, "is not a state file of QCC"),
    (lambda b: b + b"more", "is longer than it says"),
], ids=["cut", "bit", "older", "newer", "body", "empty", "foreign", "longer"])
def test_a_file_of_no_use_is_set_aside(lasting, folder, damage, why):
    lasting.stop()
    bytes_ = damage((folder / "state").read_bytes())
    (folder / "state").write_bytes(bytes_)
    again(lasting)
    lasting.wait_log("warning .*state %s.*: set aside as state\\.bad-" % re.escape(why))
    kept = aside(folder)
    assert len(kept) == 1 and kept[0].read_bytes() == bytes_
    assert ask(lasting)[0] == 200
    assert lasting.stop() == 0
    assert (folder / "state").read_bytes()[:8] == b"QCCSTATE"


@pytest.mark.parametrize("make", [
    lambda p: p.mkdir(),
    lambda p: os.mkfifo(p),
    lambda p: p.symlink_to("/dev/zero"),
    lambda p: p.symlink_to("state"),
], ids=["folder", "fifo", "device", "loop"])
def test_what_is_no_file_is_set_aside(lasting, folder, make):
    lasting.stop()
    (folder / "state").unlink()
    make(folder / "state")
    again(lasting)
    lasting.wait_log("set aside as state\\.bad-")
    assert ask(lasting)[0] == 200
    assert lasting.stop() == 0
    assert (folder / "state").read_bytes()[:8] == b"QCCSTATE"


def test_another_secret_frees_the_bindings(lasting, folder):
    lasting.stop()
    (folder / "secret").write_bytes(b"s" * 32)
    again(lasting)
    lasting.wait_log("made with another secret: forgotten")
    lasting.wait_log(" 0 bindings and the state of 1 endpoints")


def test_a_broken_secret_is_set_aside(lasting, folder):
    lasting.stop()
    (folder / "secret").write_bytes(b"short")
    again(lasting)
    lasting.wait_log("secret is not one: set aside")
    assert len(aside(folder, "secret")) == 1
    assert (folder / "secret").stat().st_size == 32


def test_each_installation_has_its_own_secret(qcc, upstream, tmp_path):
    def make(i):
        q = qcc({"state_dir": str(tmp_path / str(i)), "endpoints": [upstream.endpoint("/good")]})
        q.stop()
        return (tmp_path / str(i) / "secret").read_bytes()

    assert make(1) != make(2)


def refused(q):
    """Starts one that must not start; what it says."""
    q.start(wait=False)
    assert q.wait() == 1
    return q.log()


@pytest.mark.parametrize("path, why", [
    ("file", "is not a folder"),
    ("file/below", "Not a directory"),
    ("no/such/folder", "No such file or directory"),
    ("/proc/nothing", "No such file or directory"),
])
def test_a_folder_that_cannot_be_had(qcc, tmp_path, path, why):
    (tmp_path / "file").write_text("")
    q = qcc({"state_dir": str(tmp_path / path)}, start=False)
    said = refused(q)
    assert re.fullmatch("qcc-supervisor: state_dir: .*%s\n" % why, said), said


@pytest.mark.skipif(not os.path.isdir("/sys/kernel"), reason="needs a folder nobody writes to")
def test_a_folder_nobody_can_write_to(qcc):
    q = qcc({"state_dir": "/sys/kernel"}, start=False)
    said = refused(q)
    assert re.fullmatch("qcc-supervisor: state_dir: cannot write in /sys/kernel: .*\n", said), said


def test_one_supervisor_to_a_folder(lasting, qcc, folder):
    q = qcc({"state_dir": str(folder)}, start=False)
    said = refused(q)
    assert re.fullmatch("qcc-supervisor: state_dir: .* is in use by another qcc-supervisor, "
                        "pid %d\n" % lasting.pid, said), said
    assert ask(lasting)[0] == 200


def test_killed_and_started_at_once(lasting, folder):
    until((folder / "state").exists, "the state to be saved")
    lasting.process.kill()
    lasting.wait()
    again(lasting)
    lasting.wait_log("1 bindings and")


def test_checking_a_configuration_touches_nothing(qcc, folder):
    q = qcc({"state_dir": str(folder)}, start=False)
    done = subprocess.run([str(SUPERVISOR), "-t", "-c", str(q.path)], capture_output=True, check=False)
    assert done.returncode == 0
    assert not folder.exists()


def test_another_folder_at_a_reload(lasting, folder, tmp_path):
    lasting.reload({"state_dir": str(tmp_path / "elsewhere")})
    lasting.wait_log("state_dir: a change takes effect with the next start")
    assert lasting.stop() == 0
    assert (folder / "state").exists() and not (tmp_path / "elsewhere").exists()


def test_a_disk_that_takes_nothing(qcc, upstream, tmp_path):
    """Said once, not with every try; it goes on serving, and saves when it can again."""
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "none", str(small)], check=False,
                      capture_output=True).returncode:
        pytest.skip("needs a small file system")
    try:
        q = qcc({"state_dir": str(small), "endpoints": [upstream.endpoint("/good")]})
        filler = small / "filler"
        with open(filler, "wb", buffering=0) as f:
            try:
                while True:
                    f.write(b"x" * 512)
            except OSError:
                pass
        assert ask(q, "1")[0] == 200
        q.wait_log("warning .*cannot save in .*No space left on device")
        for i in range(5):
            assert ask(q, "more%d" % i)[0] == 200
        filler.unlink()
        q.wait_log("is saved again")
        assert q.count("cannot save in") == 1
        assert q.stop() == 0
    finally:
        subprocess.run(["umount", "-l", str(small)], check=False)


MANY = 1000000 if "san" not in str(SUPERVISOR) else 200000


def with_many(qcc, upstream, folder):
    """One that has taken up a file of so many bindings."""
    endpoint = upstream.endpoint("/good")
    q = qcc({"state_dir": str(folder), "endpoints": [endpoint], "log": {"level": "info"}})
    assert ask(q)[0] == 200
    q.stop()
    number = MANY
    old = (folder / "state").read_bytes()
    body = old[56:]
    block = body.rindex(b"\xc4\x18")  # bin8 of one record
    record = body[block + 2 : -1]
    assert len(record) == 24 and body[block - 1] == 0x91 and body[-1] == 0x90  # no marks
    blocks, left = [], number
    while left:
        n = min(left, 2048)
        raw = b"".join(struct.pack(">QQ", left - i, 7) + record[16:] for i in range(n))
        blocks.append(struct.pack(">BI", 0xC6, len(raw)) + raw)
        left -= n
    new = body[: block - 1] + struct.pack(">BI", 0xDD, len(blocks)) + b"".join(blocks) + body[-1:]
    (folder / "state").write_bytes(old[:16] + struct.pack(">Q", len(new)) +
                                   hashlib.sha256(new).digest() + new)
    again(q)
    q.wait_log("%d bindings and" % number)
    return q


def hold_the_writer(q):
    """Stops the process that writes the state, if there is one now."""
    for pid in q.children():
        with contextlib.suppress(OSError):  # it has ended meanwhile
            if os.path.basename(os.readlink("/proc/%d/exe" % pid)) == SUPERVISOR.name:
                os.kill(pid, signal.SIGSTOP)
                return True
    return False


def test_stopped_while_it_is_saved(qcc, upstream, folder):
    """What the interrupted save had begun with is not lost."""
    q = with_many(qcc, upstream, folder)
    assert ask(q, "the last one")[0] == 200
    until(lambda: hold_the_writer(q), "a save to begin", step=0.0005)
    assert q.stop() == 0
    q.start(wait=False)
    q.wait_serving(3)
    q.wait_log("%d bindings and" % min(MANY + 1, 1000000))


def test_a_million_bindings_hold_nobody_up(qcc, upstream, folder):
    """The file of a large table is taken up, given to each worker, and written, while others are
    served."""
    q = with_many(qcc, upstream, folder)
    assert ask(q, "another")[0] == 200
    for pid in q.children():
        os.kill(pid, 9)
    until(lambda: q.count("worker \\d started") >= 6, "new workers")
    assert ask(q, "yet another")[0] == 200
    before = (folder / "state").stat().st_mtime_ns
    until(lambda: (folder / "state").stat().st_mtime_ns != before, "it to be saved")
    assert (folder / "state").stat().st_size > MANY * 24
    assert q.stop() == 0


# ---- what is known of endpoints

def endpoint_of(q, name):
    found = json.loads(q.get("/api/v1/endpoints", port=q.admin_port)[1])
    found = found["endpoints"] if isinstance(found, dict) else found
    return next(e for e in found if e["name"] == name)


@pytest.fixture
def two(qcc, upstream, folder):
    """Two endpoints; `spec` is what becomes of the first."""

    def make(spec, **more):
        for name in "ab":
            upstream.call("PUT", "/_site/" + name, spec if name == "a" else "")
        return qcc({"state_dir": str(folder), "balance": {"strategy": "priority_failover"},
                    "endpoints": [upstream.endpoint("/n/a", name="a", priority=1),
                                  upstream.endpoint("/n/b", name="b", priority=2)], **more})

    return make


def restarted(q, kill):
    """By a stop, or by SIGKILL once what there is has been saved."""
    if kill:
        before = (q.config["state_dir"] + "/state")
        until(lambda: os.path.exists(before), "the state to be saved")
        time.sleep(3)  # lint: a crash may lose the last seconds; nothing tells when they are over
        q.process.kill()
        q.wait()
    else:
        assert q.stop() == 0
    return again(q)


@pytest.mark.parametrize("kill", [False, True], ids=["stop", "kill"])
def test_disabled_by_auth_stays_so(two, upstream, kill):
    q = two("status=401")
    assert ask(q) == (200, "b")
    until(lambda: endpoint_of(q, "a")["disabled_by"] == "auth", "a to be disabled")
    upstream.call("PUT", "/_site/a", "")
    restarted(q, kill)
    assert endpoint_of(q, "a")["disabled_by"] == "auth"
    assert ask(q, "new") == (200, "b")


@pytest.mark.parametrize("kill", [False, True], ids=["stop", "kill"])
def test_a_queued_endpoint_is_verified_first_thing(two, upstream, kill):
    q = two("body=%3Chtml%3E,type=text/html,status=200")
    assert ask(q) == (200, "b")
    until(lambda: endpoint_of(q, "a")["queued"], "a to be queued")
    restarted(q, kill)
    q.wait_log("endpoint a: queued before the restart")
    assert ask(q, "while it is queued") == (200, "b")
    upstream.call("PUT", "/_site/a", "")
    assert q.stop() == 0
    q.start(wait=False)
    q.wait_serving(3)
    until(lambda: not endpoint_of(q, "a")["queued"], "a to be verified at once", timeout=3)
    until(lambda: ask(q, "well again")[1] == "a", "a to be used")


def test_a_file_of_version_1_is_taken_up(two, folder):
    """As QCC before version 2 of the file wrote it: an endpoint ended with its counters."""
    q = two("body=%3Chtml%3E,type=text/html,status=200")
    ids = {name: endpoint_of(q, name)["id"] for name in "ab"}
    assert q.stop() == 0
    counters = b"\xdc\x00\x10" + b"\x00" * 16

    def endpoint(name, disabled, queued, draining):
        flags = b"".join(b"\xc3" if on else b"\xc2" for on in (queued, draining))
        return b"\x95\xa8" + ids[name].encode() + bytes([disabled]) + flags + counters

    body = (b"\x93" + b"\x93\x00\x00" + counters + b"\x92" + endpoint("a", 0, True, False) +
            endpoint("b", 2, False, True) + b"\x90")
    (folder / "state").write_bytes(b"QCCSTATE" + struct.pack(">IIQ", 1, 0, len(body)) +
                                   hashlib.sha256(body).digest() + body)
    again(q)
    q.wait_log("the state of 2 endpoints are taken up")
    assert not aside(folder)
    assert endpoint_of(q, "a")["queued"]
    assert endpoint_of(q, "b")["disabled_by"] == "operator" and endpoint_of(q, "b")["draining"]


@pytest.mark.parametrize("kill", [False, True], ids=["stop", "kill"])
def test_counters_go_on(two, kill):
    q = two("", affinity={"enabled": False})
    assert ask(q)[0] == 200
    if kill:
        until(lambda: os.path.exists(q.config["state_dir"] + "/state"), "the first to be saved")
    for _ in range(4):
        assert ask(q)[0] == 200
    if kill:
        time.sleep(4)  # lint: they alone are saved every five seconds
    restarted(q, kill)
    assert ask(q)[0] == 200

    def served():
        e = endpoint_of(q, "a")
        return (e.get("attempts") or e.get("counters") or e)["ok"] == 6

    until(served, "six attempts in all")
