"""qccctl and the control socket: each command, each exit code, each guard (behaviour: qccctl)."""
import contextlib
import http.client
import json
import os
import pathlib
import pty
import re
import shutil
import signal
import socket
import stat
import struct
import subprocess
import tempfile
import time

import pytest
import yaml

from qcc import PATIENCE, QCCCTL, ROOT, SUPERVISOR, until

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
NOBODY = 65534


def ask(q, body=None, headers=None):
    """One question; (status, headers)."""
    c = http.client.HTTPConnection("127.0.0.1", q.port, timeout=PATIENCE)
    body = body or {"model": "m-1", "max_tokens": 16, "messages": [{"role": "user", "content": "hello"}]}
    c.request("POST", "/v1/messages", json.dumps(body), {"content-type": "application/json", **(headers or {})})
    r = c.getresponse()
    r.read()
    found = {k.lower(): v for k, v in r.getheaders()}
    c.close()
    return r.status, found


def rows(text):
    """A table: a list of mappings, title → cell. Cells are cut at the places of the titles."""
    lines = [line for line in text.split("\n") if line]
    starts = [m.start() for m in re.finditer(r"(?:(?<=  )|^)\S", lines[0])]
    return lines[0].split(), [re.split(r"  +", line.strip()) for line in lines[1:]]


def done(result, code=0):
    assert result.returncode == code, (result.stdout, result.stderr)
    assert "Sanitizer" not in result.stderr
    return result.stdout


def admin(q, path):
    return json.loads(q.get(path, q.admin_port)[1])


# ---- what it shows


def test_status(qcc, upstream):
    q = qcc({"endpoints": [upstream.endpoint("/good", "good"), upstream.endpoint("/b", "off", enabled=False)]})
    ask(q)
    q.reload({"workers": 3})
    q.wait_workers(3)
    until(lambda: q.ctl_json("status")["totals"]["requests"] == 1, "the count")
    out = done(q.ctl("status"))
    assert re.match(r"qcc \S+  serving, up \d+\S*, pid %d\n" % q.pid, out)
    assert "generation 2, 1 reload" in out
    assert "127.0.0.1:%d" % q.port in out and "127.0.0.1:%d" % q.admin_port in out
    assert re.search(r"endpoints +1 healthy, 1 disabled", out)
    assert re.search(r"requests +1, 1 2xx", out)
    titles, workers = rows(out.split("\n\n")[-1])
    assert titles[:3] == ["WORKER", "PID", "STATE"] and len(workers) == 3
    assert {int(w[1]) for w in workers} == set(q.children())
    assert "\033" not in out, "piped: no color"


def test_json_is_what_the_admin_listener_gives(qcc, upstream):
    q = qcc({"endpoints": [upstream.endpoint("/good", "good")]})
    ask(q)
    until(lambda: q.ctl_json("status")["totals"]["requests"] == 1, "the count")

    def still(doc):
        """Without what the time changes."""
        if isinstance(doc, dict):
            return {k: still(v) for k, v in doc.items() if k not in ("uptime_s", "connections", "requests_open")}
        return [still(v) for v in doc] if isinstance(doc, list) else doc

    for what in ("status", "endpoints", "queue", "breakers", "sessions", "requests"):
        arg = {"requests": "50"}.get(what)
        mine = q.ctl_json(what, *([arg] if arg else []))
        assert still(mine) == still(admin(q, "/api/v1/" + what)), what
    line = done(q.ctl("status", "--json"))
    assert line.count("\n") == 1


def test_endpoints_queue_breakers(qcc, upstream):
    q = qcc(
        {
            "endpoints": [
                upstream.endpoint("/good", "good", weight=1),
                upstream.endpoint("/s/status=503", "ill", weight=1000000),
                {"name": "odd", "base_url": upstream.url + "/s/html_200", "weight": 1000000},
            ],
            "retry": {"transient_delay": "0s"},
            "breaker": {"failure_threshold": 1},
            "failure_queue": {"probe": "off"},
        }
    )
    until(lambda: ask(q) and q.ctl_json("breakers")["breakers"][1]["state"] == "open", "the breaker to open")
    titles, table = rows(done(q.ctl("endpoints")))
    assert titles[:3] == ["ENDPOINT", "STATE", "BREAKER"]
    by = {r[0]: r for r in table}
    assert by["good"][1:3] == ["healthy", "closed"]
    assert by["ill"][1:3] == ["circuit_open", "open"] and "half open in" in by["ill"][-1]
    titles, table = rows(done(q.ctl("breakers")))
    ill = next(r for r in table if r[0] == "ill")
    assert ill[1] == "open" and re.fullmatch(r"\d+s|1m00s", ill[3])
    done(q.ctl("disable", "good"))
    assert "by operator" in next(r for r in rows(done(q.ctl("endpoints")))[1] if r[0] == "good")[-1]
    assert done(q.ctl("queue")).strip()
    titles, table = rows(done(q.ctl("sessions")).split("\n\n")[1])
    assert titles == ["ENDPOINT", "BOUND", "SHARE"] and len(table) == 3


def test_queue(qcc, upstream):
    q = qcc(
        {
            "endpoints": [upstream.endpoint("/good", "good", weight=1),
                          upstream.endpoint("/s/html_200", "odd", weight=1000000)],
            "failure_queue": {"probe_timeout": "1s"},
        }
    )
    assert done(q.ctl("queue")) == "no endpoint is in the failure queue\n"
    until(lambda: ask(q) and q.ctl_json("queue")["queue"], "the queue to have it")
    titles, table = rows(done(q.ctl("queue")))
    assert titles == ["ENDPOINT", "SINCE", "VERIFICATIONS", "NEXT", "REQUESTS", "REASON"]
    assert table[0][0] == "odd" and table[0][4] == "no" and table[0][5]


def test_requests_and_why(qcc, upstream):
    q = qcc(
        {
            "endpoints": [
                {"name": "refused", "base_url": "http://127.0.0.1:9", "api_key": "k", "priority": 1},
                upstream.endpoint("/s/status=429", "limited", priority=2),
                upstream.endpoint("/good", "good", priority=3),
                upstream.endpoint("/good2", "off", enabled=False),
                upstream.endpoint("/good3", "other-model", models={"allow": ["x-*"]}),
            ],
            "balance": {"strategy": "priority_failover"},
        }
    )
    status, headers = ask(q, headers={"x-conversation-id": "c"})
    assert status == 200
    rid = headers["x-qcc-request-id"]
    out = done(q.ctl("why", rid))
    assert out.startswith("request %s at " % rid)
    assert "POST /v1/messages, model m-1" in out and "200 from good" in out
    steps = [re.split(r"  +", line.strip()) for line in out.split("\n\n")[1].strip().split("\n")[1:]]
    chosen = [s for s in steps if "chosen" in s]
    assert [s[2] for s in chosen] == ["refused", "limited", "good"]
    attempts = [s for s in steps if "attempt" in s]
    assert [s[2] for s in attempts] == ["refused", "limited", "good"]
    assert attempts[0][3].startswith("transient, connection refused, fault endpoint, took")
    assert attempts[1][3].startswith("rate_limit, status 429,") and attempts[2][3].startswith("ok, status 200, took")
    skipped = [s[-2:] for s in steps if "skipped" in s]
    for endpoint, reason in (
        ("off", "disabled"),
        ("other-model", "model not offered"),
        ("refused", "tried already"),
        ("limited", "another priority group is better"),
    ):
        assert [endpoint, reason] in skipped, skipped
    assert "conversation not bound" in chosen[0]
    ask(q, headers={"x-conversation-id": "c"})
    newest = q.ctl_json("requests", "1")["requests"][0]["id"]
    assert "conversation bound here" in done(q.ctl("why", newest[:8])), "the beginning of an id is enough"

    doc = q.ctl_json("why", rid)
    assert doc == admin(q, "/api/v1/requests/" + rid)
    assert [c["endpoint"] for c in doc["choices"]] == ["refused", "limited", "good"]
    assert doc["attempts"][0]["fault"] == "endpoint" and doc["attempts"][2]["at_ms"] >= doc["attempts"][0]["at_ms"]
    titles, table = rows(done(q.ctl("requests")))
    assert titles[0] == "TIME" and table[1][1] == rid
    assert "refused transient, limited rate_limit 429, good ok" in table[1][-1]


def test_why_says_what_a_request_waited_for(qcc, upstream):
    q = qcc(
        {
            "endpoints": [upstream.endpoint("/s/status=503", "ill")],
            "retry": {"transient_delay": "0s"},
        }
    )
    status, headers = ask(q)
    assert status == 503
    doc = q.ctl_json("why", headers["x-qcc-request-id"])
    assert [c["repeat"] for c in doc["choices"]][:2] == [False, True]
    assert len(doc["attempts"]) == 2
    out = done(q.ctl("why", headers["x-qcc-request-id"]))
    assert "once more" in out and out.count("transient, status 503") == 2
    done(q.ctl("disable", "ill"))
    status, headers = ask(q)
    out = done(q.ctl("why", headers["x-qcc-request-id"]))
    assert status == 503 and "none usable" in out and re.search(r"skipped +ill +disabled", out)


def test_why_of_one_that_waited_for_a_place(qcc, upstream):
    from concurrent.futures import ThreadPoolExecutor

    q = qcc({"endpoints": [upstream.endpoint("/s/delay_ms=400", "narrow", max_concurrent=1)], "retry": {"max_wait": "20s"},
             "workers": 1})
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda _: ask(q), range(3)))
    assert [status for status, _ in answers] == [200] * 3
    waited = []
    for _, headers in answers:
        doc = q.ctl_json("why", headers["x-qcc-request-id"])
        results = [c["result"] for c in doc["choices"]]
        assert results[-1] == "chosen" and results.count("chosen") == 1 and len(doc["attempts"]) == 1
        if doc["choices"][-1]["at_ms"] >= 300:  # the first had only to borrow the place
            assert "all full" in results
            waited.append(doc)
    assert len(waited) == 2
    # whoever comes while the worker knows that there is no place need not ask
    outs = [done(q.ctl("why", doc["id"])) for doc in waited]
    assert any(re.search(r"\+\d+ms +asks for +narrow +all full", out) for out in outs), outs
    assert all(re.search(r"\+\d+ms +(asks for +narrow|none) .*all full", out) for out in outs), outs
    assert all(re.search(r"chosen +narrow\n", out) for out in outs), outs


def test_why_of_an_unknown_request(qcc):
    q = qcc()
    for wrong, words in (
        ("abcdef", "no request with the id abcdef is remembered"),
        ("xyz", "an id is up to 20 hex digits"),
        ("0" * 21, "an id is up to 20 hex digits"),
    ):
        r = q.ctl("why", wrong)
        assert r.returncode == 1 and words in r.stderr and r.stderr.startswith("qccctl why: "), r
    status, body = q.get("/api/v1/requests/abcdef", q.admin_port)
    assert status == 404 and b"remembered" in body


def test_an_id_that_is_not_unique(qcc, upstream):
    q = qcc({"endpoints": [upstream.endpoint("/good", "good")]})
    seen = {}
    for _ in range(60):
        first = ask(q)[1]["x-qcc-request-id"][0]
        seen[first] = seen.get(first, 0) + 1
    double = next(c for c, n in seen.items() if n > 1)
    r = q.ctl("why", double)
    assert r.returncode == 1 and "more than one request" in r.stderr


def test_many_endpoints_in_a_trail(qcc, upstream):
    q = qcc({"endpoints": [upstream.endpoint("/good%d" % i, "e%d" % i) for i in range(40)]})
    doc = q.ctl_json("why", ask(q)[1]["x-qcc-request-id"])
    assert len(doc["choices"][0]["skipped"]) == 16 and doc["choices"][0]["others"] == 23
    assert "23 more" in done(q.ctl("why", doc["id"]))


def test_watch(qcc):
    q = qcc()
    p = subprocess.Popen([str(QCCCTL), "status", "--watch", "0.1"], env=q.env, cwd=q.folder, text=True,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    seen = [p.stdout.readline() for _ in range(60)]
    assert len([line for line in seen if line.startswith("qcc ")]) >= 2
    p.send_signal(signal.SIGINT)
    out, err = p.communicate(timeout=PATIENCE)
    assert p.returncode == 0 and not err
    reader = subprocess.Popen([str(QCCCTL), "status", "--watch", "0.1"], env=q.env, cwd=q.folder,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    reader.stdout.readline()
    reader.stdout.close()  # `| head`
    assert reader.wait(PATIENCE) == 0 and reader.stderr.read() == b""
    q.stop()


def on_a_terminal(q, *args, columns=80, rows=24, env=None, keys=None):
    """What it writes on a terminal of that width."""
    master, slave = pty.openpty()
    import fcntl
    import termios

    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    p = subprocess.Popen([str(QCCCTL), *args], env={**q.env, **(env or {})}, cwd=q.folder, stdin=subprocess.DEVNULL,
                         stdout=slave, stderr=subprocess.PIPE)
    os.close(slave)
    out = b""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            got = os.read(master, 65536)
        except OSError:
            break
        if not got:
            break
        out += got
        if keys and keys in out:
            p.send_signal(signal.SIGINT)
            keys = None
    os.close(master)
    assert p.wait(PATIENCE) == 0, p.stderr.read()
    p.stderr.close()
    return out.decode().replace("\r\n", "\n")


def test_on_a_terminal(qcc, upstream):
    q = qcc({"endpoints": [upstream.endpoint("/good", "n" * 64), upstream.endpoint("/b", "b")]})
    out = on_a_terminal(q, "endpoints", columns=60)
    assert "\033[32mhealthy\033[0m" in out
    plain = re.sub(r"\033\[[0-9;]*m", "", out)
    assert all(len(line) <= 60 for line in plain.split("\n")) and "nnn…" in plain
    for colorless in (on_a_terminal(q, "endpoints", "--no-color"), on_a_terminal(q, "endpoints", env={"NO_COLOR": "1"})):
        assert "\033" not in colorless
    watched = on_a_terminal(q, "status", "--watch", "0.1", keys=b"\033[J")
    assert watched.startswith("\033[2J\033[H") and "\033[K\n" in watched
    small = on_a_terminal(q, "status", "--watch", "0.1", columns=20, rows=5, keys=b"\033[J")
    pictures = re.sub(r"\033\[[0-9;]*m|\033\[K|\033\[2J", "", small).split("\033[H")[1:]
    assert all(len(p.split("\033[J")[0].split("\n")) == 5 for p in pictures[:-1]), pictures
    assert all(len(line) <= 20 for p in pictures for line in p.split("\n"))
    assert json.loads(on_a_terminal(q, "status", "--json"))["version"]


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
    r = q.ctl("enable", "x" * 200)
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


# ---- logs


def lines(text):
    return [line for line in text.split("\n") if line]


@pytest.mark.parametrize("where", ["stderr", "file", "json"])
def test_logs(qcc, upstream, where):
    log = {"level": "debug"}
    if where == "file":
        log["file"] = "elsewhere.log"
    if where == "json":
        log["format"] = "json"
    q = qcc({"endpoints": [upstream.endpoint("/good", "good")], "log": log}, start=False)
    if where == "file":
        q.log_path = q.folder / "elsewhere.log"
    q.start()
    rid = ask(q)[1]["x-qcc-request-id"]
    written = lambda: [line for line in lines(q.log()) if "worker" in line or "supervisor" in line]  # noqa: E731
    until(lambda: rid in q.log() and any(rid in line for line in lines(done(q.ctl("logs")))), "the access line")
    assert len(lines(done(q.ctl("logs", "-n", "3")))) == 3
    shown = lines(done(q.ctl("logs", "-n", "100000", "--grep", "end=ok" if where != "json" else '"end":"ok"')))
    assert len(shown) == 1 and rid in shown[0] and shown[0] in written()
    assert done(q.ctl("logs", "-n", "0")) == ""
    if where == "json":
        assert all(json.loads(line)["msg"] for line in lines(done(q.ctl("logs"))))
    every = lines(done(q.ctl("logs", "-n", "100000")))
    info = lines(done(q.ctl("logs", "-n", "100000", "--level", "info")))
    assert 0 < len(info) < len(every) and not any(" debug " in line or '"debug"' in line for line in info)
    assert done(q.ctl("logs", "--level=error")) == ""


def test_logs_are_followed(qcc, upstream):
    q = qcc({"endpoints": [upstream.endpoint("/good", "good")], "log": {"level": "info"}})
    p = subprocess.Popen([str(QCCCTL), "logs", "-f", "-n", "1", "--grep", "request "], env=q.env, cwd=q.folder,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    ids = []
    for _ in range(20):
        ids.append(ask(q)[1]["x-qcc-request-id"])
        assert ids[-1] in p.stdout.readline()
    q.stop()
    rest, err = p.communicate(timeout=PATIENCE)
    assert p.returncode == 3 and "the supervisor has ended" in err and rest == ""


def test_logs_end_with_who_reads_them(qcc):
    """`qccctl logs -f | head -1`: also when no further line comes."""
    q = qcc({"log": {"level": "info"}})
    r = subprocess.run(["sh", "-c", "%s logs -f | head -n 1" % QCCCTL], env=q.env, stdout=subprocess.PIPE, text=True,
                       stdin=subprocess.DEVNULL, timeout=PATIENCE)
    assert r.returncode == 0 and r.stdout.count("\n") == 1


def test_logs_by_a_prefix_of_journald(qcc):
    q = qcc(env={"JOURNAL_STREAM": "8:1"})
    out = done(q.ctl("logs", "-n", "1"))
    assert re.match(r"20\d\d-", out), "without the priority in front"


def test_logs_that_cannot_be(qcc):
    q = qcc()
    for wrong in (["--level", "loud"], ["--level"], ["-n", "x"], ["-n"], ["--grep"], ["-x"], ["--json"]):
        assert q.ctl("logs", *wrong).returncode == 2, wrong


# ---- clients


def test_env_and_run(qcc):
    q = qcc()
    out = done(q.ctl("env"))
    assert out == "export ANTHROPIC_BASE_URL=http://127.0.0.1:%d\n" % q.port
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
    assert "ANTHROPIC_AUTH_TOKEN is not set" in q.ctl("run", "true", ).stderr


def test_env_with_unix_sockets_only(qcc, open_folder):
    q = qcc(start=False)
    q.configure({"listen": "unix:%s/c.sock" % open_folder, "admin": {"listen": "off"}})
    q.start(wait=False)
    until(lambda: q.ctl("status").returncode == 0, "the supervisor")
    r = q.ctl("env")
    assert r.returncode == 1 and "unix sockets only" in r.stderr


# ---- import


def run(*args, folder, **more):
    return subprocess.run([str(QCCCTL), *args], cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=PATIENCE, **more)


V06 = {
    "default_profile": "work",
    "profiles": {
        "work": {
            "max_failures": 4,
            "timeout": 45,
            "endpoints": [
                {"name": "official", "base_url": "https://api.anthropic.com", "api_key": "sk-ant-1", "weight": 3},
                {"name": "re lay", "base_url": "https://r.example/x/", "auth_token": "t:#${HOME}\"\\'", "priority": 2,
                 "enabled": False, "hue": "red"},
            ],
        },
        "private": {"base_url": "http://127.0.0.1:8/", "api_key": "{[*&!|>%@`"},
    },
}


def test_import(tmp_path):
    (tmp_path / "old.json").write_text(json.dumps(V06))
    r = run("import", "old.json", folder=tmp_path)
    assert done(r) == "qcc.yaml: 3 endpoints, checked\n"
    assert "warning: profiles.work.endpoints[1].hue: not understood" in r.stderr
    assert "re lay becomes re-lay" in r.stderr
    made = tmp_path / "qcc.yaml"
    assert stat.S_IMODE(made.stat().st_mode) == 0o600
    assert sorted(os.listdir(tmp_path)) == ["old.json", "qcc.yaml"], "nothing else is left"
    conf = yaml.safe_load(made.read_text())
    assert conf["breaker"]["failure_threshold"] == 4 and conf["upstream"]["first_byte_timeout"] == "45s"
    assert conf["balance"]["use_priority"] is True
    official, relay, private = conf["endpoints"]
    assert official == {"name": "official", "base_url": "https://api.anthropic.com", "api_key": "sk-ant-1", "weight": 3}
    assert relay["api_key"] == "t:#$${HOME}\"\\'" and relay["enabled"] is False and relay["priority"] == 2
    assert private["enabled"] is False and private["api_key"] == "{[*&!|>%@`" and private["base_url"] == "http://127.0.0.1:8"
    checked = subprocess.run([str(SUPERVISOR), "-t", "-c", str(made)], capture_output=True, text=True)
    assert checked.returncode == 0 and checked.stderr == ""

    before = made.read_text()
    r = run("import", "old.json", "-p", "private", folder=tmp_path)
    assert r.returncode == 1 and "is there already" in r.stderr and made.read_text() == before
    done(run("import", "old.json", "-p", "private", "--force", folder=tmp_path))
    assert [e["name"] for e in yaml.safe_load(made.read_text())["endpoints"]] == ["private"]
    assert stat.S_IMODE(made.stat().st_mode) == 0o600
    printed = done(run("import", "old.json", "-o", "-", folder=tmp_path))
    assert len(yaml.safe_load(printed)["endpoints"]) == 3


def test_imported_keys_arrive_as_they_were(qcc, upstream, tmp_path):
    key = "sk-${PATH}-$${x}-'\"\\#:"
    (tmp_path / "old.json").write_text(json.dumps({"base_url": upstream.url + "/key-echo", "api_key": key}))
    done(run("import", "old.json", folder=tmp_path))
    text = (tmp_path / "qcc.yaml").read_text()
    q = qcc(start=False)
    q.configure(text + "listen: 127.0.0.1:%d\nadmin: {listen: '127.0.0.1:%d'}\n" % (q.port, q.admin_port))
    q.start()
    # The id is made of URL and key: it tells whether the supervisor read both as they were.
    import hashlib

    want = hashlib.sha256(("%s/key-echo|%s" % (upstream.url, key)).encode()).hexdigest()[:8]
    assert q.ctl_json("endpoints")["endpoints"][0]["id"] == want


@pytest.mark.parametrize(
    "text, words",
    [
        ("", "is empty"),
        (" \n", "is empty"),
        ("nothing", "is no JSON"),
        ('{"profiles": {', "is no JSON"),
        ("{}", "no endpoint is in it"),
        ('{"profiles": {"a": {"api_key": "k"}}}', "profiles.a: has no base_url"),
        ('{"base_url": "https://h/?x", "api_key": "k"}', "not good"),
        ('{"base_url": "https://h", "api_key": "\\u0001"}', "not good"),
    ],
)
def test_import_of_what_is_none(tmp_path, text, words):
    (tmp_path / "old.json").write_text(text)
    r = run("import", "old.json", folder=tmp_path)
    assert r.returncode == 1 and words in r.stderr and "Sanitizer" not in r.stderr
    assert os.listdir(tmp_path) == ["old.json"]


def test_import_shows_no_control_characters(tmp_path):
    (tmp_path / "old.json").write_bytes(b'{"a": \x1b[31m}')
    r = run("import", "old.json", folder=tmp_path)
    assert r.returncode == 1 and "no JSON" in r.stderr and "\x1b" not in r.stderr


def test_import_of_what_cannot_be_read(tmp_path):
    for what, words in (("nowhere.json", "No such file"), (".", "is a folder")):
        r = run("import", what, folder=tmp_path)
        assert r.returncode == 1 and words in r.stderr
    assert run("import", folder=tmp_path).returncode == 2
    assert run("import", "a", "b", folder=tmp_path).returncode == 2
    assert run("import", "a", "-o", folder=tmp_path).returncode == 2
    (tmp_path / "old.json").write_text('{"base_url": "https://h", "api_key": "k"}')
    r = run("import", "old.json", "-o", "no/such/folder.yaml", folder=tmp_path)
    assert r.returncode == 1 and "cannot write" in r.stderr


# ---- wrong usage, nobody there


def test_wrong_usage(tmp_path):
    for args in ([], ["bogus"], ["--bogus", "status"], ["status", "x"], ["status", "--watch", "x"], ["-s"], ["queue", "x"],
                 ["requests", "0"], ["requests", "x"], ["requests", "1001"], ["why"], ["why", "a", "b"], ["completion"],
                 ["completion", "fish"], ["stop", "now"], ["reload", "x"], ["upgrade", "x"], ["env", "x"],
                 ["--timeout", "x", "status"], ["--timeout=-1", "status"]):
        r = run(*args, folder=tmp_path)
        assert r.returncode == 2 and r.stdout == "" and r.stderr.count("\n") == 1, args
    for args in (["help"], ["--help"], ["-h"], ["version"], ["-V"], ["--version"], ["enable", "--help"]):
        r = run(*args, folder=tmp_path)
        assert r.returncode == 0 and r.stderr == "" and "qccctl" in r.stdout, args


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


@contextlib.contextmanager
def inside(folder):
    before = os.getcwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


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


# ---- the socket


def control(q):
    return q.folder / "run/control.sock"


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
    assert q.wait() == 1 and "is there and no socket" in q.log()
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


@pytest.fixture
def open_folder():
    """A folder that other users reach, unlike pytest's."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="qcc-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


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


# ---- foreign text


def test_foreign_text_is_harmless(qcc, upstream):
    q = qcc({"endpoints": [upstream.endpoint("/good", "good")]})
    evil = "m\033]0;title\007\u202ex\u0085"
    status, headers = ask(q, {"model": evil, "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]})
    for args in (["requests"], ["why", headers["x-qcc-request-id"]], ["logs"]):
        out = done(q.ctl(*args))
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f\u0080-\u009f\u202e]", out), out
    assert q.ctl_json("requests")["requests"][0]["model"].startswith("m\033]0;")


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
