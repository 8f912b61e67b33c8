"""An upgrade without a pause (SIGUSR2): another supervisor takes sockets and state, the one before drains."""
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time

import pytest

from client import ask
from control import done
from qcc import BUILD, PATIENCE, SUPERVISOR, WORKER, alive, until
from authority import Authority
from upstream import BLOCK, START, STREAM, STREAM_HEAD, chunk, reply


def admin(q, what):
    status, body = q.get("/api/v1/" + what, port=q.admin_port)
    assert status == 200, body
    return json.loads(body)


def endpoint(q, name):
    return next(e for e in admin(q, "endpoints")["endpoints"] if e["name"] == name)


def talk(q, conversation, **more):
    c = http.client.HTTPConnection("127.0.0.1", q.port, timeout=PATIENCE)
    try:
        c.request("POST", "/v1/messages",
                  json.dumps({"model": "m", "messages": [{"role": "user", "content": "hello"}], **more}),
                  {"content-type": "application/json", "x-conversation-id": conversation})
        r = c.getresponse()
        r.read()
        return r.status, r.getheader("x-qcc-endpoint")
    finally:
        c.close()


def gone(pid):
    until(lambda: not alive(pid), "pid %d to end" % pid)


BEGIN = STREAM_HEAD + chunk(START) + chunk(BLOCK)
END = STREAM[len(BEGIN):]


class Held:
    """An endpoint whose streams stop in the middle until `go` is set; what is no stream is answered."""

    def __init__(self):
        self.go = threading.Event()

    def __call__(self, peer, request):
        if not request.json().get("stream"):
            peer.send(reply())
            return
        peer.send(BEGIN)
        assert self.go.wait(PATIENCE)
        peer.send(END)


def open_stream(client, q, headers=()):
    c = client(q)
    c.send(ask(headers=list(headers), stream=True))
    assert c.head().status == 200
    assert b"message_start" in c.chunk()
    return c


def rest_of(c):
    """What comes until the end of the stream."""
    return b"".join(iter(c.chunk, b""))


# ---- the exchange of supervisors


def test_another_supervisor_serves_and_the_one_before_ends(qcc, upstream):
    q = qcc({"endpoints": [upstream.endpoint("/good")]})
    before = q.upgrade()
    assert q.pid != before and alive(q.pid)
    assert q.process.wait(PATIENCE) == 0
    assert admin(q, "status")["pid"] == q.pid
    assert admin(q, "status")["generation"] > 1
    # systemd knows of the end of its own children only, and restarts only those
    assert int(re.search("PPid:\t(\\d+)", pathlib.Path("/proc/%d/status" % q.pid).read_text()).group(1)) != before
    assert talk(q, "a")[0] == 200
    q.stop()
    q.wait_log("stopped", 2)


def test_again_and_again(qcc, upstream):
    q = qcc({"endpoints": [upstream.endpoint("/good")]})
    seen = {q.pid}
    for _ in range(3):
        gone(q.upgrade())
        assert q.pid not in seen
        seen.add(q.pid)
        assert talk(q, "a")[0] == 200


def test_a_reload_of_the_new_one_works(qcc, upstream):
    q = qcc({"endpoints": [upstream.endpoint("/good")]})
    q.upgrade()
    q.reload({"endpoints": [upstream.endpoint("/good", name="renamed")]})
    assert talk(q, "a") == (200, "renamed")


def test_the_new_one_reads_the_file_anew(qcc, upstream):
    q = qcc({"endpoints": [upstream.endpoint("/good")], "workers": 1})
    q.configure({"workers": 3, "endpoints": [upstream.endpoint("/good", name="other")]})
    gone(q.upgrade())
    assert talk(q, "a") == (200, "other")
    assert len(admin(q, "status")["workers"]) == 3


def test_the_environment_does_not_reach_workers(qcc, upstream):
    q = qcc({"endpoints": [upstream.endpoint("/good")]})
    gone(q.upgrade())
    for pid in [q.pid, *q.children()]:
        environ = pathlib.Path("/proc/%d/environ" % pid).read_bytes()
        assert pid == q.pid or b"QCC_UPGRADE" not in environ
    # No descriptor of the handing over is left: 0-2, loop, sockets, log, channels.
    left = [os.readlink(p) for p in pathlib.Path("/proc/%d/fd" % q.pid).iterdir()]
    assert not [name for name in left if "qcc-state" in name]


# ---- nothing is lost


def test_a_stream_runs_on_while_others_are_served(qcc, raw, client):
    play = Held()
    up = raw(play)
    q = qcc({"endpoints": [up.endpoint()]})
    c = open_stream(client, q)
    before = q.upgrade()
    assert talk(q, "b")[0] == 200
    assert alive(before)
    play.go.set()
    assert b"message_stop" in rest_of(c)
    gone(before)
    q.wait_log("the previous supervisor, pid %d, has finished" % before)


def test_no_request_fails_under_load(qcc, upstream):
    q = qcc({"endpoints": [upstream.endpoint("/good"), upstream.endpoint("/good", name="two", api_key="sk-two-0123456789")]})
    failed, count, stop = [], [0], threading.Event()

    def load(number):
        c = None
        while not stop.is_set():
            try:
                c = c or http.client.HTTPConnection("127.0.0.1", q.port, timeout=PATIENCE)
                c.request("POST", "/v1/messages", json.dumps({"model": "m", "messages": []}),
                          {"content-type": "application/json", "x-conversation-id": str(number)})
                r = c.getresponse()
                r.read()
                if r.status != 200:
                    failed.append(r.status)
                if r.getheader("connection") == "close" or number % 2:
                    c.close()
                    c = None
                count[0] += 1
            except (OSError, http.client.HTTPException) as e:
                failed.append(repr(e))
                c = None

    threads = [threading.Thread(target=load, args=(n,)) for n in range(8)]
    for t in threads:
        t.start()
    for _ in range(3):
        at = count[0]
        until(lambda: count[0] > at + 50, "some requests")
        q.upgrade()
    at = count[0]
    until(lambda: count[0] > at + 50, "some requests")
    stop.set()
    for t in threads:
        t.join(PATIENCE)
    assert failed == []


def test_an_idle_connection_may_send_one_more(qcc, upstream, client):
    q = qcc({"endpoints": [upstream.endpoint("/good")]})
    c = client(q)
    c.send(ask())
    assert c.reply().status == 200
    before = q.upgrade()
    c.send(ask())
    r = c.reply()
    assert r.status == 200 and r.header("connection") == "close"
    gone(before)


def test_unix_sockets_keep_their_paths(qcc, upstream, tmp_path):
    path, other = str(tmp_path / "q.sock"), str(tmp_path / "other.sock")
    q = qcc(start=False)
    q.configure({"listen": ["127.0.0.1:%d" % q.port, "unix:" + path, "unix:" + other],
                 "endpoints": [upstream.endpoint("/good")]})
    q.start()
    inode = os.stat(path).st_ino
    q.configure({"listen": ["127.0.0.1:%d" % q.port, "unix:" + path]})
    gone(q.upgrade())
    assert os.stat(path).st_ino == inode
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(path)
    assert not os.path.exists(other)  # nobody listens there any more
    q.stop()
    assert not os.path.exists(path)


def test_tls_listeners_go_over(qcc, upstream, client, tmp_path):
    """And what the file says of them is read anew: a renewed certificate is the one that is shown."""
    authority = Authority(tmp_path / "ca")
    first, second = authority.make("first"), authority.make("second")
    q = qcc(start=False)
    address = "127.0.0.1:%d" % q.port

    def show(pair):
        q.configure({"listen": [{"address": address, "tls": {"certificate": pair[0], "private_key": pair[1]}}],
                     "endpoints": [upstream.endpoint("/good")]})

    def shown():
        trust = ssl.create_default_context(cafile=authority.ca)
        with socket.create_connection(("127.0.0.1", q.port), PATIENCE) as s:
            with trust.wrap_socket(s, server_hostname="localhost") as t:
                return dict(x[0] for x in t.getpeercert()["subject"])["commonName"]

    show(first)
    q.start()
    kept = client(q, tls=ssl.create_default_context(cafile=authority.ca), server_hostname="localhost")
    kept.send(ask())
    assert kept.reply().status == 200 and shown() == "first"
    show(second)
    before = q.upgrade()
    assert shown() == "second"
    kept.send(ask())
    assert kept.reply().status == 200  # on the connection of the one before
    gone(before)


# ---- the state goes with it


def test_bindings_go_over(qcc, upstream):
    q = qcc({"balance": {"strategy": "random"},
             "endpoints": [upstream.endpoint("/good", name=n, api_key="sk-%s-0123456789" % n) for n in "abc"]})
    home = {str(i): talk(q, str(i))[1] for i in range(30)}
    gone(q.upgrade())
    assert admin(q, "sessions")["bindings"] == 30
    assert {c: talk(q, c)[1] for c in home} == home


def test_what_a_draining_worker_reports_counts(qcc, raw, client):
    go = threading.Event()

    def play(peer, request):
        assert go.wait(PATIENCE)
        peer.send(reply())

    up = raw(play)
    q = qcc({"endpoints": [up.endpoint()]})
    c = client(q)
    c.send(ask(headers=["x-conversation-id: late"]))
    up.wait_requests(1)
    before = q.upgrade()
    assert admin(q, "sessions")["bindings"] == 0
    until(lambda: endpoint(q, "raw")["open_requests"] == 1, "the request to be counted")
    go.set()
    assert c.reply().status == 200
    gone(before)
    until(lambda: admin(q, "sessions")["bindings"] == 1, "the binding")
    assert admin(q, "status")["totals"]["requests"] == 1
    e = endpoint(q, "raw")
    assert e["attempts"]["ok"] == 1 and e["health"] == "healthy" and e["open_requests"] == 0


def test_streams_that_drain_are_counted(qcc, raw, client):
    play = Held()
    q = qcc({"endpoints": [raw(play).endpoint()]})
    c = open_stream(client, q)
    before = q.upgrade()
    until(lambda: admin(q, "status")["totals"]["streams_open"] == 1, "the stream to be counted")
    play.go.set()
    rest_of(c)
    gone(before)
    until(lambda: admin(q, "status")["totals"]["streams_open"] == 0, "its end")


def test_breaker_cooldown_queue_and_operators_words_go_over(qcc, upstream):
    names = {"open": "/s/status=503,body=%3Chtml%3E,type=text/html", "limited": "/s/status=429,retry_after=300",
             "spent": "/s/status=429,retry_after=300,message=the%20limit%20of%20your%20account",
             "odd": "/s/body=%3Chtml%3E,type=text/html", "off": "/good", "good": "/good"}
    q = qcc({"failure_queue": {"verify_interval": "1h"}, "breaker": {"failure_threshold": 1},
             "retry": {"transient_delay": "1ms"}, "balance": {"strategy": "priority_failover"},
             "endpoints": [upstream.endpoint(path, name=n, api_key="sk-%s-0123456789" % n, priority=i + 1)
                           for i, (n, path) in enumerate(names.items())]})
    q.get()
    status, _ = post_action(q, "off", "disable")
    assert status == 200
    until(lambda: talk(q, "x")[1] == "good", "the good one to be found")
    until(lambda: endpoint(q, "odd")["queued"], "the queue")

    def picture():
        out = {}
        for e in admin(q, "endpoints")["endpoints"]:
            out[e["name"]] = (e["health"], e["breaker"]["state"], e["tier"], bool(e["queued"]),
                              e["disabled_by"], bool(e["cooldown_s"]),
                              [(c["family"], bool(c["cooldown_s"])) for c in e["cells"]], e["attempts"])
        return out

    # each worker tells its counts by itself, soon after a request
    def told():
        asked = sum(len(r["attempts"]) for r in q.ctl_json("requests")["requests"])
        counted = sum(sum(e["attempts"].values()) for e in admin(q, "endpoints")["endpoints"])
        return picture() if counted == asked else None

    was = until(told, "counts")
    q.upgrade()
    assert picture() == was
    assert was["open"][1] == "open" and was["odd"][3] and was["off"][4] == "operator"
    assert was["limited"][5:7] == (False, [("other", True)]) and was["spent"][5:7] == (True, [])
    retry_in = endpoint(q, "open")["breaker"]["retry_in_s"]
    assert 0 < retry_in <= 60


def post_action(q, name, action):
    c = http.client.HTTPConnection("127.0.0.1", q.admin_port, timeout=PATIENCE)
    try:
        c.request("POST", "/api/v1/endpoints/%s/%s" % (name, action))
        r = c.getresponse()
        return r.status, r.read()
    finally:
        c.close()


def test_places_in_use_count_in_the_new_one(qcc, raw, client):
    play = Held()
    q = qcc({"endpoints": [raw(play).endpoint(max_concurrent=1)]})
    c = open_stream(client, q)
    before = q.upgrade()
    assert talk(q, "y")[0] == 503  # the only place is held by the one that drains
    play.go.set()
    rest_of(c)
    gone(before)
    until(lambda: talk(q, "y")[0] == 200, "the place to come free")


def test_state_dir_changes_hands(qcc, upstream, tmp_path):
    folder = tmp_path / "state"
    q = qcc({"state_dir": str(folder), "endpoints": [upstream.endpoint("/good")]})
    assert talk(q, "one")[0] == 200
    gone(q.upgrade())
    assert int((folder / "lock").read_text()) == q.pid
    assert talk(q, "two")[0] == 200
    r = subprocess.run(q.command, capture_output=True, text=True, timeout=PATIENCE, env=q.env)
    assert r.returncode == 1  # the folder, as the address, is in use
    q.stop()
    gone(q.pid)
    q.successor = None
    q.start(wait=False)
    q.wait_log("2 bindings .* taken up from " + re.escape(str(folder)))


def test_who_follows_the_log_goes_on(qcc, upstream):
    q = qcc({"endpoints": [upstream.endpoint("/good")]})
    p = subprocess.Popen([str(BUILD / "qccctl"), "logs", "-f", "-n", "5"], env=q.env, text=True, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
    try:
        gone(q.upgrade())
        assert talk(q, "later")[0] == 200
        for line in p.stdout:
            if "endpoint=good" in line:
                break
        else:
            raise AssertionError("the log ended")
    finally:
        p.kill()
        p.wait()


def test_qccctl_upgrades_and_says_why_not(qcc, upstream):
    q = qcc({"endpoints": [upstream.endpoint("/good")]})
    ctl = [str(BUILD / "qccctl")]
    r = subprocess.run(ctl + ["upgrade"], env=q.env, capture_output=True, text=True, timeout=PATIENCE)
    assert r.returncode == 0 and "process" in r.stdout, r
    gone(q.process.pid)
    q.successor = int(re.search("process (\\d+)", r.stdout).group(1))
    assert admin(q, "status")["pid"] == q.pid
    q.configure("workers: many\n")
    r = subprocess.run(ctl + ["upgrade"], env=q.env, capture_output=True, text=True, timeout=PATIENCE)
    assert r.returncode == 1 and "qcc.yaml:1:" in r.stderr, r
    r = subprocess.run(ctl + ["status"], env=q.env, capture_output=True, text=True, timeout=PATIENCE)
    assert r.returncode == 0 and str(q.pid) in r.stdout


# ---- what can go wrong


def lame(q, tmp_path, script):
    """A supervisor whose program on disk is exchanged for a script."""
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    program = bin_ / "qcc-supervisor"
    shutil.copy(SUPERVISOR, program)
    q.env["QCC_WORKER"] = str(WORKER)
    q.command[0] = str(program)
    q.start()
    program.unlink()
    program.write_text("#!/bin/sh\n" + script + "\n")
    program.chmod(0o755)
    return program


@pytest.mark.parametrize("script, why", [
    ("exit 3", "ended before it served"),
    ("kill -9 $$", "ended before it served"),
    ("printf 'nonsense and more' >&3; sleep 60", "does not|sent|unknown"),
])
def test_a_new_one_that_fails_changes_nothing(qcc, upstream, tmp_path, script, why):
    q = qcc({"endpoints": [upstream.endpoint("/good")]}, start=False)
    lame(q, tmp_path, script)
    workers = q.children()
    q.signal(signal.SIGUSR2)
    q.wait_log("upgrade refused, this supervisor goes on: .*(%s)" % why)
    assert talk(q, "a")[0] == 200
    until(lambda: q.children() == workers, "the child to be reaped")
    q.reload({"workers": 3})
    assert talk(q, "a")[0] == 200
    assert q.running()


def test_ends_of_workers_are_seen_after_refused_upgrades(qcc, upstream, tmp_path):
    """Whatever process ids the new ones had: libev keeps its watchers of children in lists by them."""
    q = qcc({"endpoints": [upstream.endpoint("/good")], "workers": 4}, start=False)
    lame(q, tmp_path, "exit 3")
    for i in range(40):
        q.signal(signal.SIGUSR2)
        q.wait_log("upgrade refused, this supervisor goes on", i + 1)
    before = q.children()
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    until(lambda: len(q.children()) == 4 and not set(before) & set(q.children()), "other workers")
    assert talk(q, "a")[0] == 200


def test_a_program_that_is_gone(qcc, upstream, tmp_path):
    q = qcc({"endpoints": [upstream.endpoint("/good")]}, start=False)
    lame(q, tmp_path, "exit 0").unlink()
    q.signal(signal.SIGUSR2)
    q.wait_log("no upgrade: .*No such file")
    assert re.search("upgrade +refused: .*No such file.*, by a signal\n", done(q.ctl("events")))
    assert talk(q, "a")[0] == 200


def test_a_faulty_file_changes_nothing(qcc, upstream):
    q = qcc({"endpoints": [upstream.endpoint("/good")]})
    good = q.path.read_text()
    q.configure("workers: many\n")
    q.signal(signal.SIGUSR2)
    q.wait_log("upgrade refused, this supervisor goes on: .*qcc.yaml:1:")
    assert talk(q, "a")[0] == 200
    q.configure(good)
    gone(q.upgrade())
    assert talk(q, "a")[0] == 200


def test_an_address_that_cannot_be_had_changes_nothing(qcc, upstream):
    q = qcc({"endpoints": [upstream.endpoint("/good")]})
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        q.configure({"listen": ["127.0.0.1:%d" % q.port, "127.0.0.1:%d" % s.getsockname()[1]]})
        q.signal(signal.SIGUSR2)
        q.wait_log("upgrade refused, this supervisor goes on: cannot listen")
    assert talk(q, "a")[0] == 200


def test_workers_that_do_not_start_change_nothing(qcc, upstream, tmp_path):
    worker = tmp_path / "worker"
    worker.symlink_to(WORKER)
    q = qcc({"endpoints": [upstream.endpoint("/good")]}, worker=worker)
    worker.unlink()
    worker.write_text("#!/bin/sh\nexit 1\n")
    worker.chmod(0o755)
    q.signal(signal.SIGUSR2)
    q.wait_log("upgrade refused, this supervisor goes on: worker . does not start")
    assert talk(q, "a")[0] == 200


def test_one_at_a_time(qcc, upstream, tmp_path):
    q = qcc({"endpoints": [upstream.endpoint("/good")]}, start=False)
    lame(q, tmp_path, "sleep 60")
    q.signal(signal.SIGUSR2)
    q.wait_log("upgrade: .* starts, pid")
    q.signal(signal.SIGUSR2)
    q.wait_log("no upgrade: an upgrade is under way")
    assert talk(q, "a")[0] == 200
    assert q.stop() == 0


def test_the_one_before_dies_while_it_hands_over(qcc, upstream):
    """Killed when the new one has begun to take over: that one goes on alone."""
    q = qcc({"endpoints": [upstream.endpoint("/good")]})
    q.signal(signal.SIGUSR2)
    new = int(q.wait_log("upgrade: .* starts, pid (\\d+)").group(1))
    q.wait_log("takes the place of pid")
    q.process.kill()
    q.process.wait()
    q.successor = new
    until(lambda: alive(new) and safe_talk(q), "the new one to serve")


def safe_talk(q):
    try:
        return talk(q, "a")[0] == 200
    except (OSError, http.client.HTTPException):
        return False


def test_stopping_the_new_one_waits_for_the_one_before(qcc, raw, client):
    play = Held()
    q = qcc({"endpoints": [raw(play).endpoint()]})
    c = open_stream(client, q)
    before = q.upgrade()
    q.signal(signal.SIGTERM)
    q.wait_log("stopping: what is in flight", 2)  # both of them
    assert alive(q.pid) and alive(before)
    play.go.set()
    assert b"message_stop" in rest_of(c)
    gone(before)
    gone(q.pid)


def test_drain_timeout_holds_for_the_one_before(qcc, raw, client):
    def play(peer, request):
        peer.send(BEGIN)
        peer.wait_gone()

    q = qcc({"limits": {"drain_timeout": "500ms"}, "endpoints": [raw(play).endpoint()]})
    c = open_stream(client, q)
    gone(q.upgrade())


def test_systemd_hears_who_the_main_process_is(qcc, upstream, tmp_path):
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind(path)
        s.settimeout(PATIENCE)
        q = qcc({"endpoints": [upstream.endpoint("/good")]}, env={"NOTIFY_SOCKET": path})
        assert b"READY=1" in s.recv(4096)
        q.upgrade()
        assert s.recv(4096) == b"MAINPID=%d" % q.pid
        assert b"READY=1" in s.recv(4096)


@pytest.mark.skipif(os.geteuid() != 0 or subprocess.run(["unshare", "--pid", "--fork", "--mount-proc", "true"]).returncode != 0,
                    reason="no process namespaces here")
def test_process_1_of_a_container_stays(qcc, upstream):
    """The container ends with process 1: it outlives what it has handed over, and passes signals on."""
    q = qcc({"endpoints": [upstream.endpoint("/good")]}, start=False)
    q.command = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", *q.command]
    q.start()
    first = int(pathlib.Path("/proc/%d/task/%d/children" % (q.pid, q.pid)).read_text())
    os.kill(first, signal.SIGUSR2)
    q.wait_log("process 1 stays until")
    assert talk(q, "a")[0] == 200 and alive(first)
    os.kill(first, signal.SIGUSR2)
    q.wait_log("upgrade: pid \\d+ serves", 2)
    q.wait_log("the previous supervisor, pid \\d+, has finished", 2)
    assert talk(q, "a")[0] == 200 and alive(first)
    os.kill(first, signal.SIGHUP)
    q.wait_log("reload done, generation")
    os.kill(first, signal.SIGTERM)
    assert q.process.wait(PATIENCE) == 0
    gone(first)


def test_handing_over_to_nobody(tmp_path):
    """The variable alone does not make a successor."""
    path = tmp_path / "qcc.yaml"
    path.write_text("endpoints: [{name: a, base_url: 'http://127.0.0.1:9', api_key: sk-0123456789}]\n")
    path.chmod(0o600)
    r = subprocess.run([str(SUPERVISOR), "-c", str(path)], capture_output=True, text=True, timeout=PATIENCE,
                       env={**os.environ, "QCC_UPGRADE": "1"}, stdin=subprocess.DEVNULL)
    assert r.returncode == 1 and re.search("hands over|running supervisor", r.stderr)
