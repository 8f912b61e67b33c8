"""What stands in the log, in which form, and what never does."""
import json
import re
import signal

import pytest

from client import Client, ask, request
from qcc import ROOT, until
from scripted import CALM
from upstream import EVENTS, KEY, MESSAGE, STREAM, chunk, error, reply

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
LEVEL = "debug|info|warning|error"
PROCESS = r"supervisor|worker \d+"
LINE = re.compile(r"(%s) (%s) (%s)(?: \[([0-9a-f]{20})\])?: (.*)" % (TIME, LEVEL, PROCESS))


def lines(q):
    """(level, process, request id or None, text) of each line of a text log."""
    out = []
    for line in q.log().splitlines():
        m = LINE.fullmatch(line)
        assert m, line
        out.append(m.groups()[1:])
    return out


def fields(text):
    """The fields of an access line."""
    found = re.findall(r' ([a-z_]+)=("(?:\\.|[^"\\])*"|[^ "]+)', text)
    assert len({k for k, _ in found}) == len(found)
    return {k: json.loads(v) if v.startswith('"') else v for k, v in found}


def access(q, n=1):
    """The fields of the first n access lines, each with its id."""
    until(lambda: q.count(r"\]: request ") >= n, "%d access lines" % n)
    return [{"id": rid, **fields(text)} for _, _, rid, text in lines(q) if text.startswith("request ")]


def test_text(qcc, raw, client):
    """One line an event: time, level, process, request id."""
    q = qcc({"endpoints": [raw(error(503)).endpoint()], "retry": {"transient_delay": "1ms"}})
    r = client(q).ask()
    rid = r.header("x-qcc-request-id")
    q.wait_log("request method=")
    of_it = [(level, text) for level, process, i, text in lines(q) if i == rid]
    assert [text.split(" ")[0] for _, text in of_it] == ["attempt", "raw:", "attempt", "raw:", "request"]
    assert q.stop() == 0
    assert {p for _, p, _, _ in lines(q)} == {"supervisor", "worker 0", "worker 1"}
    # Whatever names an attempt or a request belongs to one.
    assert all(i for level, p, i, text in lines(q) if re.match("attempt|request ", text))


def test_json(qcc, raw, client):
    q = qcc({"endpoints": [raw(error(503)).endpoint()], "retry": {"transient_delay": "1ms"}, "log": {"format": "json"}}, start=False)
    q.start(wait=False)
    until(lambda: '"serving on ' in q.log(), "the supervisor to serve")
    r = client(q).ask(model='od"d\\ \u00e4\x01\n')
    until(lambda: '"msg":"request"' in q.log(), "the access line")
    rows = [json.loads(line) for line in q.log().splitlines()]
    assert all(set(row) >= {"time", "level", "process", "msg"} and re.fullmatch(TIME, row["time"]) for row in rows)
    (row,) = [row for row in rows if row["msg"] == "request"]
    assert row["request_id"] == r.header("x-qcc-request-id")
    assert row["model"] == 'od"d\\ \u00e4\x01\n' and row["status"] == 503 and row["attempts"] == 2
    assert row["failures"] == "raw:transient,raw:transient" and row["total_ms"] >= 0
    assert q.stop() == 0
    for line in q.log().splitlines():
        json.loads(line)


def test_one_variable_for_json_on_stderr(qcc, raw, client, tmp_path):
    """QCC_LOG=json, as in a container: every line from the first to the last, whatever the file says, after a
    reload and an upgrade too."""
    elsewhere = {"log": {"format": "text", "file": str(tmp_path / "no-such-folder/qcc.log")}}
    q = qcc({"endpoints": [raw(reply()).endpoint()], **elsewhere}, start=False, env={"QCC_LOG": "json"})
    q.start(wait=False)
    until(lambda: '"serving on ' in q.log(), "the supervisor to serve")
    assert client(q).ask().status == 200
    q.ctl("reload")
    until(lambda: '"msg":"request"' in q.log() and "generation 2" in q.log(), "the access line, the reload")
    assert q.stop() == 0
    rows = [json.loads(line) for line in q.log().splitlines()]
    assert {row["process"] for row in rows} >= {"supervisor", "worker 0"} and "stopped" in rows[-1]["msg"]


def test_json_of_a_start_that_fails(qcc):
    q = qcc(start=False, env={"QCC_LOG": "json"})
    q.path.write_text("wrokers: 2\n")
    q.start(wait=False)
    until(lambda: not q.running(), "its end")
    rows = [json.loads(line) for line in q.log().splitlines()]
    assert any("wrokers" in row["msg"] and row["level"] == "error" for row in rows)


def test_the_variable_says_what_it_may_be(qcc):
    q = qcc(start=False, env={"QCC_LOG": "syslog"})
    q.start(wait=False)
    until(lambda: not q.running(), "its end")
    assert "QCC_LOG is neither json nor text" in q.log()
    q.env["QCC_LOG"] = "text"
    q.configure({"log": {"format": "json"}})
    q.start()
    assert q.ctl("--json", "config").stdout.count('"log.format"') <= 1
    assert LINE.fullmatch(q.log().splitlines()[-1])


def test_json_members_are_the_manuals(qcc, raw, client):
    """Each member that stands in a line is in the table of qcc-metrics(7), and each of the table is met."""
    text = (ROOT / "packaging/man/qcc-metrics.7.md").read_text(encoding="utf-8").split("| member |", 1)[1].split("\n\n", 1)[0]
    table = set(re.findall(r"`([a-z_]+)`", "".join(re.findall(r"^\| (`.*?) \|", text, re.M))))
    usage = {"input_tokens": 5, "output_tokens": 6, "cache_read_input_tokens": 7, "cache_creation_input_tokens": 8}
    body = json.dumps({"type": "message", "content": [], "usage": usage}).encode()
    bad, good = raw(error(429)), raw(reply(body))
    q = qcc({"endpoints": [bad.endpoint(name="bad", weight=1000000), good.endpoint(name="good")],
             "clients": [{"name": "me", "token": "client-token-0123456789"}], "log": {"format": "json"}}, start=False)
    q.start(wait=False)
    until(lambda: '"serving on ' in q.log(), "the supervisor to serve")
    headers = ["authorization: Bearer client-token-0123456789"]
    until(lambda: client(q).ask(model="m", headers=headers).status == 200 and '"failures"' in q.log(), "a repaired request")
    assert q.stop() == 0
    met = set()
    for line in q.log().splitlines():
        met |= set(json.loads(line))
    assert met == table


def journal(q):
    """As if systemd had connected stderr to the journal: the variable names the stream."""
    q.stderr_path.touch()
    st = q.stderr_path.stat()
    q.env["JOURNAL_STREAM"] = "%d:%d" % (st.st_dev, st.st_ino)
    return q


def test_journal(qcc, raw, client):
    """Under systemd: a priority before each line, no time and level of our own, in supervisor and workers."""
    q = journal(qcc({"endpoints": [raw(error(503)).endpoint()], "retry": {"transient_delay": "1ms"}}, start=False))
    q.start()
    client(q).ask()
    q.wait_log("request method=")
    q.reload("endpoints: [{name: a}]", wait=False)
    q.wait_log("<3>supervisor: reload refused")
    assert q.stop() == 0
    seen = set()
    for line in q.log().splitlines():
        m = re.fullmatch(r"<([3467])>(%s)(?: \[[0-9a-f]{20}\])?: .*" % PROCESS, line)
        assert m, line
        seen.add((m.group(1), m.group(2)[0]))
    assert seen >= {("3", "s"), ("6", "s"), ("7", "s"), ("6", "w"), ("7", "w")}
    assert re.search(r"^<6>worker \d \[[0-9a-f]{20}\]: request ", q.log(), re.M)


def test_journal_json(qcc, raw, client):
    q = journal(qcc({"endpoints": [raw(reply()).endpoint()], "log": {"format": "json"}}, start=False))
    q.start(wait=False)
    until(lambda: '"serving on ' in q.log(), "the supervisor to serve")
    client(q).ask()
    until(lambda: '"msg":"request"' in q.log(), "the access line")
    assert q.stop() == 0
    numbers = {"error": 3, "warning": 4, "info": 6, "debug": 7}
    for line in q.log().splitlines():
        m = re.fullmatch(r"<(\d)>({.*})", line)
        row = json.loads(m.group(2))
        assert numbers[row["level"]] == int(m.group(1)) and re.fullmatch(TIME, row["time"])


def test_journal_of_somebody_else(qcc, tmp_path):
    """The variable is inherited by whoever is started below: it counts only when stderr is that stream."""
    for told in ("8:1", "", "x", "8:"):
        q = qcc(env={"JOURNAL_STREAM": told})
        assert q.stop() == 0
        assert lines(q)
    # A file in place of stderr is a log as ever.
    q = journal(qcc({"log": {"file": str(tmp_path / "own.log")}}, start=False))
    q.log_path = tmp_path / "own.log"
    q.start()
    assert q.stop() == 0
    assert lines(q) and q.stderr_path.read_text() == ""


def test_journal_of_a_failed_start(qcc):
    q = journal(qcc("endpoints: [{name: a, base_url: 'http://h', wieght: 1}]", start=False))
    q.start(wait=False)
    assert q.wait() == 1
    assert re.search(r"^<3>supervisor: .*unknown key .*weight", q.log(), re.M)
    q = journal(qcc({"listen": "127.0.0.254:1", "user": "root", "log": {"file": "/nonexistent/x.log"}}, start=False))
    q.start(wait=False)
    assert q.wait() == 1
    assert re.search(r"^<3>supervisor: ", q.log(), re.M) and not re.search(r"^(?!<\d>)", q.log().rstrip(), re.M)


def test_a_file_that_was_renamed(qcc, raw, client, tmp_path):
    """As logrotate does: rename, SIGUSR1; supervisor and workers go on in the new file, no line is lost."""
    path, old = tmp_path / "qcc.log", tmp_path / "qcc.log.1"
    q = qcc({"endpoints": [raw(reply()).endpoint()], "log": {"file": str(path), "level": "info"}}, start=False)
    q.log_path = path
    q.start()

    def ask_both():
        """Until there is a line of either worker: many at once do not all get the same one."""
        crowd = [client(q) for _ in range(16)]
        assert all(c.ask().status == 200 for c in crowd)
        return len({p for _, p, i, _ in lines(q) if i}) == 2

    for _ in range(3):
        until(ask_both, "lines of both workers")
        path.rename(old)
        assert client(q).ask().status == 200
        until(lambda: not path.exists() and "]: request " in old.read_text().splitlines()[-1], "a line in the old file")
        q.signal(signal.SIGUSR1)
        until(lambda: path.exists() and q.count("log files reopened"), "the new file")
        until(ask_both, "lines of both workers in the new file")
        before = old.stat().st_size
        until(ask_both, "more of them")
        assert old.stat().st_size == before, "nobody writes to the old file any more"
        old.unlink()
    assert q.stop() == 0
    assert "stopped" in path.read_text() and q.stderr_path.read_text() == ""


def test_json_of_hostile_words(qcc, raw, client):
    """However long, and whatever bytes: each line can be parsed."""
    q = qcc({"endpoints": [raw(reply()).endpoint(api_key=None)], "log": {"format": "json"}}, start=False)
    q.start(wait=False)
    until(lambda: '"serving on ' in q.log(), "the supervisor to serve")
    c = client(q)
    for model in (b"\\u0001" * 1000, b"\xff\xfe\x80", b"\xc3", b"\\ud800", b"x" * 1024, b"y" * 5000, b'\\"' * 1000, b"\x7f" * 1000):
        assert c.ask(b'{"model":"%s","messages":[]}' % model, path="/v1/messages?" + "a" * 3000).status == 200
        assert c.ask(b'{"model":"%s","messages":[]}' % model, path="/" + '"\\' * 400).status == 200
    until(lambda: q.count('"msg":"request"') >= 16, "the access lines")
    rows = [json.loads(line.decode("utf-8")) for line in q.log_path.read_bytes().splitlines()]
    assert all(row["status"] == 200 and row["end"] == "ok" for row in rows if row["msg"] == "request")
    status, told = q.get("/api/v1/requests?limit=100", port=q.admin_port)
    assert status == 200 and len(json.loads(told.decode("utf-8"))["requests"]) == 16


def test_no_line_can_be_forged(qcc, raw, client):
    q = qcc({"endpoints": [raw(reply()).endpoint()], "workers": 1})
    for model in ("m\n2026-01-01T00:00:00.000Z error supervisor: forged", "m end=forged", 'm" end="forged', "\x1b[31mred"):
        client(q).ask(model=model)
    for got, model in zip(access(q, 4), ("m\n2026-01-01T00:00:00.000Z error supervisor: forged", "m end=forged", 'm" end="forged', "\x1b[31mred")):
        assert got["model"] == model and got["end"] == "ok"
    assert "\x1b" not in q.log()


def test_access_line(qcc, raw, client):
    """Endpoint, attempts, failures, status, times, bytes, tokens."""
    bad, good = raw(error(429, "rate_limit_error")), raw(STREAM)
    q = qcc({"endpoints": [bad.endpoint("bad"), good.endpoint("good", priority=2)], "balance": {"strategy": "priority_failover"},
             "clients": [{"name": "alice", "token": "tok-alice"}]})
    data = ask(stream=True, path="/v1/messages?beta=true", headers=["x-api-key: tok-alice"])
    c = client(q)
    c.send(data)
    r = c.reply()
    (got,) = access(q)
    assert got["id"] == r.header("x-qcc-request-id")
    assert got["method"] == "POST" and got["path"] == "/v1/messages" and got["client"] == "alice" and got["model"] == "m"
    assert got["endpoint"] == "good" and got["attempts"] == "2" and got["failures"] == "bad:rate_limit"
    assert got["status"] == "200" and got["end"] == "ok"
    assert got["bytes_in"] == str(len(data) - data.index(b"\r\n\r\n") - 4) and got["bytes_out"] == str(len(b"".join(EVENTS)))
    assert got["tokens_in"] == "3" and got["tokens_out"] == "7"
    assert 0 <= float(got["first_byte_ms"]) <= float(got["total_ms"]) < 30000


def test_tokens_of_a_whole_reply(qcc, raw, client):
    body = json.dumps({"type": "message", "content": [], "usage": {"input_tokens": 5, "cache_read_input_tokens": 70,
                                                                   "cache_creation_input_tokens": 11, "output_tokens": 13}}).encode()
    q = qcc({"endpoints": [raw(reply(body)).endpoint()]})
    client(q).ask()
    (got,) = access(q)
    assert (got["tokens_in"], got["tokens_out"], got["tokens_cache_read"], got["tokens_cache_write"]) == ("5", "13", "70", "11")


def test_one_line_for_each_request(qcc, raw, client):
    """However it ended."""
    up = raw(reply())
    q = qcc({"endpoints": [up.endpoint()], "workers": 1})
    c = client(q)
    c.send(request("HEAD", "/") + ask(path="/api/event_logging/batch") + ask() + b"GET / HTTP/1.1\r\n\r\n")
    assert [c.reply("HEAD").status for _ in range(1)] + [c.reply().status for _ in range(3)] == [200, 200, 200, 400]
    up.play = lambda peer, _: peer.wait_gone()
    gone = client(q)
    gone.send(ask())
    up.wait_requests(2)
    gone.close()
    got = access(q, 5)
    assert [(a["path"], a["status"], a["end"]) for a in got] == [
        ("/", "200", "ok"), ("/api/event_logging/batch", "200", "ok"), ("/v1/messages", "200", "ok"), ("-", "400", "ok"),
        ("/v1/messages", "0", "client gone")]
    assert [a["endpoint"] for a in got] == ["-", "-", "raw", "-", "raw"]


def test_access_off(qcc, raw, client):
    q = qcc({"endpoints": [raw(reply()).endpoint()], "log": {"access": False}})
    client(q).ask()
    assert q.stop() == 0
    assert not q.count("request method=")


def test_level(qcc, raw, client):
    """From a reload on, too."""
    q = qcc({"endpoints": [raw(reply()).endpoint()], "log": {"level": "info"}})
    client(q).ask()
    access(q)
    assert {level for level, _, _, _ in lines(q)} <= {"info", "warning", "error"}
    q.configure({"log": {"level": "warning"}})
    q.reload(wait=False)
    until(lambda: silent(q), "the level to hold")


def silent(q):
    with Client(q.port) as c:
        before = q.count("request method=")
        c.ask(headers=["connection: close"])
        c.closed()
        return q.count("request method=") == before


# ---- what never does

SECRETS = {
    "the endpoint's key": KEY,
    "a client's token": "tok-of-alice-777",
    "a client's own credentials": "sk-clients-own-888",
    "the body": "the-prompt-999",
    "the reply": "the-answer-111",
    "a conversation id in a header": "conv-222",
    "a session id": "0a1b2c3d-session-333",
    "a conversation id in the body": "conv-444",
    "a session in metadata": "session-555",
    "a query": "query-666",
    "a cookie": "cookie-1212",
    "any other header": "header-1313",
    "an upstream's words": "words-1414",
    "a proxy's password": "proxy-1515",
    "the admin's token": "admin-1616",
    "an added header": "added-1717",
}


def secret_request(name="x-api-key", path="/v1/messages", **more):
    return ask(path=path + "?q=" + SECRETS["a query"], headers=[
        "%s: %s" % (name, SECRETS["a client's token"]), "authorization: Bearer " + SECRETS["a client's own credentials"],
        "x-conversation-id: " + SECRETS["a conversation id in a header"], "x-claude-code-session-id: " + SECRETS["a session id"],
        "cookie: a=" + SECRETS["a cookie"], "x-other: " + SECRETS["any other header"]],
        conversation_id=SECRETS["a conversation id in the body"], metadata={"user_id": "user_1_account__session_" + SECRETS["a session in metadata"]},
        system=SECRETS["the body"], **more)


@pytest.mark.parametrize("format", ["text", "json"])
def test_no_secret_in_any_log(qcc, raw, client, format):
    """At the finest level, whatever happens to a request; nor in what the admin listener tells."""
    words = SECRETS["an upstream's words"] + " " + KEY + " " + SECRETS["the body"]
    up = raw(reply())
    q = qcc({"endpoints": [up.endpoint(headers={"x-added": SECRETS["an added header"]}), up.endpoint("b", api_key="sk-another-key-99")],
             "clients": [{"name": "alice", "token": SECRETS["a client's token"]}],
             "admin": {"token": SECRETS["the admin's token"]}, "breaker": {"failure_threshold": 1000}, "retry": {"transient_delay": "1ms"},
             "upstream": {"idle_timeout": "200ms", "first_byte_timeout": "200ms"},
             "log": {"level": "debug", "format": format}}, start=False)
    q.start(wait=False)
    until(lambda: "serving on " in q.log(), "the supervisor to serve")
    plays = [
        reply(b'{"type":"message","content":"%s"}' % SECRETS["the reply"].encode(), headers=["x-other: " + SECRETS["any other header"]]),
        error(400, "invalid_request_error", words), error(401, "authentication_error", words), error(429, "rate_limit_error", words),
        error(500, "api_error", words), error(404, "not_found_error", words), reply(words.encode(), 418), reply(b"<html>" + words.encode()),
        STREAM, STREAM[:-60] + chunk(b"event: error\ndata: %s\n\n" % error(500, "api_error", words).split(b"\r\n\r\n")[1]),
        words.encode() + b"\r\n\r\n", b"HTTP/1.1 200 " + words.encode() + b"\r\nx y: " + words.encode() + b"\r\n\r\n",
    ]
    for play in plays:
        for data in (secret_request(), secret_request(stream=True)):
            up.play = lambda peer, _, play=play: (peer.send(play), peer.close())
            c = client(q)
            c.send(data)
            c.reply()
    for data in (secret_request("x-unknown"), secret_request().replace(b"host: ", b"hos t: "), secret_request()[:-9],
                 secret_request().replace(b"content-length", b"x-length"), secret_request(path="/" + "x" * 70000)):
        c = client(q)
        c.send(data)
        c.half_close()
        c.rest()
    told = b""
    for path in ("/api/v1/endpoints", "/api/v1/requests?limit=100", "/api/v1/sessions", "/api/v1/status", "/metrics", "/api/v1/queue"):
        status, body = q.get(path, port=q.admin_port, headers={"authorization": "Bearer " + SECRETS["the admin's token"]})
        assert status == 200
        told += body
    q.reload(wait=False)
    assert q.stop() == 0
    for what, secret in {**SECRETS, "another key": "sk-another-key-99"}.items():
        assert secret not in q.log(), what
        assert secret.encode() not in told, what


def test_no_secret_of_a_proxy(qcc, raw, client):
    q = qcc({"endpoints": [raw(reply()).endpoint(proxy="http://me:%s@127.0.0.1:9" % SECRETS["a proxy's password"])],
             "upstream": {"warm_up": True}, "retry": {"max_attempts": 1}})
    r = client(q).ask()
    assert r.status == 502
    assert q.stop() == 0
    assert SECRETS["a proxy's password"] not in q.log() and SECRETS["a proxy's password"].encode() not in r.body


def test_access_line_with_every_field(qcc, raw, client):
    usage = {"input_tokens": 3, "output_tokens": 2, "cache_read_input_tokens": 4, "cache_creation_input_tokens": 5}
    message = json.loads(MESSAGE)
    message["usage"] = usage
    good, bad = raw(reply(json.dumps(message).encode())), raw(error(529, "overloaded_error"))
    q = qcc({**CALM, "clients": [{"name": "alice", "token": "t-0123456789"}],
             "balance": {"strategy": "priority_failover"},
             "endpoints": [bad.endpoint("bad"), good.endpoint("good", priority=2)]})
    r = client(q).ask(headers=["x-api-key: t-0123456789"])
    assert r.status == 200
    line = q.wait_log("request .*tokens_cache_write=5.*").group(0)
    for field in ("client=alice", "model=m", "failures=bad:transient", "tokens_cache_read=4", "end=ok"):
        assert field in line
