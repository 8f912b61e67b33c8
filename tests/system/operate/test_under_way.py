"""What operators see of single requests beyond those that have ended here: those under way, those of workers that a
reload or an upgrade has replaced, and an endpoint's own words for a failure."""
import pathlib
import re
import threading

from client import ask as question
from control import ask, done
from qcc import PATIENCE, alive, until
from upstream import BLOCK, START, STREAM, STREAM_HEAD, chunk, error, reply

BEGIN = STREAM_HEAD + chunk(START) + chunk(BLOCK)
END = STREAM[len(BEGIN):]
ONE = {"workers": 1, "retry": {"transient_delay": "1ms", "max_attempts": 1}}


class Held:
    """An endpoint whose replies wait for `go`: streams in the middle, others before their head."""

    def __init__(self):
        self.go = threading.Event()

    def __call__(self, peer, request):
        if request.json().get("stream"):
            peer.send(BEGIN)
        assert self.go.wait(PATIENCE)
        peer.send(END if request.json().get("stream") else reply())


def ids(q, *args):
    return [r["id"] for r in q.ctl_json("requests", *args)["requests"]]


def gone(pid):
    until(lambda: not alive(pid), "pid %d to end" % pid)


def test_under_way(qcc, raw, client):
    held = Held()
    q = qcc({**ONE, "workers": 2, "upstream": {"first_byte_timeout": "60s"}, "endpoints": [raw(held).endpoint("slow")]})
    assert done(q.ctl("requests", "--open")) == "no request is under way\n"
    first, second = client(q.port), client(q.port)
    first.send(question(**{"stream": True, "model": "claude-sonnet-4-5"}))
    first.until(b"content_block_start")
    second.send(question(**{"model": "claude-haiku-4-5"}))
    doc = until(lambda: (d := q.ctl_json("requests", "--open")) and len(d["requests"]) == 2 and
                d["requests"][1]["attempts_begun"] and d, "both to be under way")
    a, b = doc["requests"]
    assert (a["model"], b["model"]) == ("claude-sonnet-4-5", "claude-haiku-4-5"), "the longest first"
    assert (a["end"], b["end"]) == ("under way: passes the reply on", "under way: waits for the reply")
    assert a["status"] == 200 and b["status"] is None and a["endpoint"] == b["endpoint"] == "slow"
    assert not ids(q), "they have not ended"
    table = done(q.ctl("requests", "--open"))
    assert re.search(r"SO FAR .* IT\n", table) and re.search(r"slow +200 .* passes the reply on\n", table)
    assert re.search(r"slow +- .* waits for the reply\n", table)
    assert len(q.ctl_json("requests", "--open", "1")["requests"]) == 1
    assert ids(q, "--open", "1") == [a["id"]]
    out = done(q.ctl("why", b["id"][:10]))
    assert "end: under way: waits for the reply" in out and "chosen" in out
    held.go.set()
    until(lambda: len(ids(q)) == 2 and not ids(q, "--open"), "their end")
    assert "end: ok" in done(q.ctl("why", b["id"]))


def test_under_way_goes_with_no_condition(qcc):
    q = qcc()
    assert q.ctl("requests", "--open", "--failed").returncode == 2
    for args in ("open=2", "open=1&status=failed", "open="):
        status, body = q.get("/api/v1/requests?" + args, port=q.admin_port)
        assert status == 400 and b"open is 1" in body, args
    assert q.get("/api/v1/requests?open=1&limit=3", port=q.admin_port)[0] == 200


def test_a_client_waits_for_an_endpoint(qcc, raw, client):
    held = Held()
    q = qcc({**ONE, "retry": {"max_wait": "60s"}, "endpoints": [raw(held).endpoint("slow", max_concurrent=1)]})
    first, second = client(q.port), client(q.port)
    first.send(question(**{"stream": True}))
    first.until(b"content_block_start")
    second.send(question())
    until(lambda: [r["end"] for r in q.ctl_json("requests", "--open")["requests"]][1:] == ["under way: waits for an endpoint"],
          "the second one to wait")
    held.go.set()


def test_they_last_over_an_upgrade(qcc, raw, client):
    """Those before it, those that the old workers finish after it, and over a second one."""
    held = Held()

    def play(peer, request):
        if request.json().get("stream"):
            held(peer, request)
        else:
            peer.send(reply())

    q = qcc({"workers": 2, "endpoints": [raw(play).endpoint("a")]})
    for _ in range(5):
        assert ask(q)[0] == 200
    before = until(lambda: len(ids(q)) == 5 and ids(q), "five requests")
    trail = q.ctl_json("why", before[0])
    c = client(q.port)
    c.send(question(**{"stream": True}))
    c.until(b"content_block_start")
    old = q.upgrade()
    until(lambda: ids(q) == before, "what the old workers remember")
    assert q.ctl_json("why", before[0]) == trail
    assert ask(q)[0] == 200
    assert ids(q)[1:] == before
    held.go.set()
    until(lambda: len(ids(q)) == 7, "the stream that an old worker has finished")
    gone(old)
    gone(q.upgrade())
    until(lambda: len(ids(q)) == 7 and ids(q)[2:] == before, "all of them, over another upgrade")
    assert len(ids(q, "3")) == 3
    r = q.ctl("why", "ffffffffffffffff")
    assert r.returncode == 1 and "is remembered: it is neither under way nor among the last 256" in r.stderr


def test_they_last_when_there_are_fewer_workers(qcc, upstream):
    q = qcc({"workers": 3, "endpoints": [upstream.endpoint("/good", "good")]})
    for _ in range(12):
        assert ask(q)[0] == 200
    before = until(lambda: len(ids(q)) == 12 and ids(q), "twelve requests")
    q.reload({"workers": 1})
    q.wait_workers(1)
    until(lambda: ids(q) == before, "all of them")


def test_the_last_256_are_kept(qcc, upstream):
    q = qcc({"workers": 1, "endpoints": [upstream.endpoint("/good", "good")]})
    asked = [ask(q)[1]["x-qcc-request-id"] for _ in range(260)]
    last = asked[:3:-1]
    until(lambda: ids(q, "1000") == last, "the requests")
    gone(q.upgrade())
    until(lambda: ids(q, "1000") == last, "the same ones")


WORDS = "messages.0: we do not like it, says team \x1b[31m"


def test_an_endpoints_own_words(qcc, raw, tmp_path):
    """In `why`, without secrets; in no list, log or history."""
    state = tmp_path / "state"
    key, token = "sk-relay-0123456789abcdef", "tok-of-the-client-77"
    said = [error(400, "invalid_request_error", WORDS)]
    q = qcc({**ONE, "state_dir": str(state), "log": {"level": "debug"}, "retry": {"max_attempts": 2},
             "endpoints": [raw(lambda peer, r: peer.send(said[0])).endpoint("a", api_key=key)]})
    headers = {"x-api-key": token}

    def words():
        rid = ask(q, headers=headers)[1]["x-qcc-request-id"]
        until(lambda: ids(q, "1") == [rid], "the request")
        return q.ctl_json("why", rid)["attempts"][0]["said"], done(q.ctl("why", rid))

    one, out = words()
    assert one == WORDS.replace("\x1b", "") and re.search(r" says +a +messages\.0: we do not like it", out)
    said[0] = error(401, "authentication_error", "bad key %s of %s, not sk-somebody-elses-0123456789" % (key, token))
    one, out = words()
    assert key not in one and token not in one and "elses" not in one and one.startswith("bad key sk-…cdef of tok…t-77, not sk-…")
    q.ctl("reset", "a")
    said[0] = error(401, "authentication_error", "no %s here, Bearer eyJhbGciOi.J9x, password=hunter2hunter2; tok en" % key[:14])
    assert words()[0] == "no sk-… here, Bearer eyJ…, password=hun…; tok en"
    q.ctl("reset", "a")
    said[0] = reply(b"<html><head><TITLE >\n 502 Bad\n Gateway</title></head>" + b"x" * 9000, 502, type="text/html")
    assert words()[0] == "502 Bad Gateway"
    q.ctl("reset", "a")
    said[0] = error(400, "invalid_request_error", "é" * 500)
    assert words()[0] == "é" * 80
    q.ctl("reset", "a")
    said[0] = reply(b"", 503)
    assert words()[0] is None
    until(lambda: q.ctl_json("history")["requests"] >= 5, "the rows")
    log = q.log()
    assert key not in log and token not in log and "do not like it" not in log and "Bad Gateway" not in log
    listed = q.get("/api/v1/requests", port=q.admin_port)[1]
    assert b"attempts" in listed and b"do not like it" not in listed
    q.stop()
    stored = b"".join(p.read_bytes() for p in pathlib.Path(state).glob("history.db*"))
    assert stored and b"do not like it" not in stored and b"Bad Gateway" not in stored
