"""qccctl: what it shows, on a terminal and off."""
import json
import os
import pty
import re
import signal
import struct
import subprocess
import time

from control import ask, done
from qcc import PATIENCE, QCCCTL, until


def rows(text):
    """A table: a list of mappings, title → cell. Cells are cut at the places of the titles."""
    lines = [line for line in text.split("\n") if line]
    starts = [m.start() for m in re.finditer(r"(?:(?<=  )|^)\S", lines[0])]
    return lines[0].split(), [re.split(r"  +", line.strip()) for line in lines[1:]]


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
        moving = ("uptime_s", "connections", "requests_open", "age_s", "memory_bytes", "state_since_s", "clock_ms")
        if isinstance(doc, dict):
            return {k: still(v) for k, v in doc.items() if k not in moving}
        return [still(v) for v in doc] if isinstance(doc, list) else doc

    for what in ("status", "overview", "config", "endpoints", "queue", "breakers", "sessions", "requests"):
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
                upstream.endpoint("/s/status=503,body=no%20healthy%20upstream,type=text/plain", "ill", weight=1000000),
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
    assert by["good"][1] in ("healthy", "untested") and by["good"][2] == "closed"
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
    assert attempts[0][3].startswith("transient, connection refused, fault endpoint, scope endpoint, took")
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
    assert "\033[36muntested\033[0m" in out
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


# ---- foreign text

def test_foreign_text_is_harmless(qcc, upstream):
    q = qcc({"endpoints": [upstream.endpoint("/good", "good")]})
    evil = "m\033]0;title\007\u202ex\u0085"
    status, headers = ask(q, {"model": evil, "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]})
    for args in (["requests"], ["why", headers["x-qcc-request-id"]], ["logs"]):
        out = done(q.ctl(*args))
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f\u0080-\u009f\u202e]", out), out
    assert q.ctl_json("requests")["requests"][0]["model"].startswith("m\033]0;")


# ---- one endpoint

def test_one_endpoint(qcc, upstream):
    """Everything that is known of it, by its name or id; nothing of the others, and no key."""
    q = qcc({"endpoints": [upstream.endpoint("/good", "good"), upstream.endpoint("/b", "other")]})
    ask(q)
    until(lambda: q.ctl_json("status")["totals"]["requests"] == 1, "the count")
    good = next(e for e in q.ctl_json("endpoints")["endpoints"] if e["name"] == "good")
    out = done(q.ctl("endpoints", "good"))
    got = dict(re.split(r" +", line, maxsplit=1) for line in out.splitlines())
    assert got["name"] == "good" and got["base_url"] == good["base_url"] and got["breaker.state"] == "closed"
    assert got["id"] == good["id"] and "other" not in got.values() and good["name"] in got.values()
    assert done(q.ctl("endpoints", good["id"])).splitlines()[0] == out.splitlines()[0]
    assert q.ctl_json("endpoints", "good")["id"] == good["id"]
    missing = q.ctl("endpoints", "nobody")
    assert missing.returncode == 1 and "there is no endpoint nobody" in missing.stderr


def test_watched_endpoints(qcc):
    q = qcc()
    p = subprocess.Popen([str(QCCCTL), "endpoints", "--watch", "0.1"], env=q.env, cwd=q.folder, text=True, stdout=subprocess.PIPE)
    seen = [p.stdout.readline() for _ in range(20)]
    assert len([line for line in seen if line.startswith("nobody")]) >= 3
    p.send_signal(signal.SIGINT)
    p.stdout.read()
    assert p.wait(PATIENCE) == 0
