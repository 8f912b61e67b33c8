"""What operators meet in the first weeks: states in words, results that are waited for, nothing lost in silence."""
import re


from control import ask, done
from qcc import until
from test_qccctl_show import on_a_terminal
from upstream import error, reply

ONE = {"workers": 1, "failure_queue": {"probe": "conversational"}, "retry": {"transient_delay": "1ms", "max_attempts": 1},
       "health": {"degraded_for": "100ms"}}


def table(q, *args):
    """{endpoint: its row}"""
    lines = done(q.ctl(*args)).split("\n")
    return {line.split()[0]: line for line in lines[1:] if line and not line.startswith(" ")}


def test_untested_until_its_first_success(qcc, raw):
    a = raw(lambda peer, r: peer.send(play[0]))
    play = [error(503)]
    q = qcc({**ONE, "endpoints": [a.endpoint("a")]})
    assert re.search(r"^a +untested", table(q, "endpoints")["a"])
    assert re.search(r"(?m)^state +untested$", done(q.ctl("endpoints", "a")))
    assert ask(q)[0] == 503
    row = until(lambda: re.search(r"^a +untested .*status 503", table(q, "endpoints")["a"]), "its time to be over")
    assert row
    play[0] = reply()
    assert ask(q)[0] == 200
    until(lambda: re.search(r"^a +healthy", table(q, "endpoints")["a"]), "its success")
    assert not q.ctl_json("endpoints")["endpoints"][0]["untested"]


def test_a_status_is_told_once(qcc, raw):
    """The verification's reason has it already."""
    wall = reply(b"<html><head><title>Just a moment...</title></head></html>", status=403, type="text/html")
    q = qcc({**ONE, "endpoints": [raw(wall).endpoint("a"), {**raw(reply()).endpoint("b"), "priority": 2}],
             "balance": {"strategy": "priority_failover"}, "retry": {"max_attempts": 2}})
    assert ask(q)[0] == 200
    q.wait_log("endpoint a: verification 1 failed: status 403, wall-page")
    row = table(q, "endpoints")["a"]
    assert row.count("status 403") == 1, row


def test_wrong_path(qcc, raw):
    q = qcc({**ONE, "endpoints": [raw(error(404, "not_found_error", "no such page")).endpoint("a")]})
    for _ in range(2):
        assert ask(q)[0] == 404
    until(lambda: "status 404, 404-typed: has base_url the right path?" in table(q, "endpoints")["a"], "the note")


def test_the_whole_reason_in_the_queue(qcc, raw):
    """It is not cut where it is longer than 63 bytes, nor by an upgrade."""
    rule = "invalid HTTP reply: control character, bare CR or bare LF in the head"
    q = qcc({**ONE, "endpoints": [raw(b"HTTP/1.1 200 OK\r\nx-a: b\rc\r\n\r\n").endpoint("a"), raw(reply()).endpoint("b")],
             "balance": {"strategy": "round_robin"}, "retry": {"max_attempts": 2}})
    for _ in range(2):
        assert ask(q)[0] == 200

    def shown():
        assert q.ctl_json("queue")["queue"][0]["reason"] == rule
        assert rule in done(q.ctl("queue"))

    until(lambda: q.ctl_json("queue")["queue"], "the endpoint to be queued")
    shown()
    q.upgrade()
    shown()


def test_causes_in_words(qcc, raw):
    """Names of rules stand with what they mean."""
    page = reply(b"<!doctype html><html><head><title>Sign in to the hub</title></head><body>x</body></html>", type="text/html")
    q = qcc({**ONE, "retry": {"max_attempts": 2}, "failure_queue": {"probe": "off", "verify_interval": "1h"},
             "endpoints": [raw(page).endpoint("a"), raw(error(500)).endpoint("b")], "balance": {"strategy": "round_robin"}})
    rid = ask(q)[1]["x-qcc-request-id"]
    meant = "a page or another text in place of an answer of the API"
    row = until(lambda: (r := table(q, "endpoints")["a"]) and "queued" in r and r, "the page to be judged")
    assert "(%s), next verification in " % meant in row
    assert meant in table(q, "queue")["a"]
    out = until(lambda: (r := q.ctl("why", rid)).returncode == 0 and r.stdout, "the trail")
    assert re.search(r" means +a +" + meant, out) and re.search(r" says +a +Sign in to the hub", out)
    until(lambda: "status 500, 5xx (a fault of its server)" in table(q, "endpoints")["b"], "the other's note")


def test_verify_tells_the_result(qcc, upstream):
    q = qcc({**ONE, "endpoints": [upstream.endpoint("/good", "good"), upstream.endpoint("/s/status=500", "bad")]})
    assert done(q.ctl("verify", "good")).startswith("good: verified: it answers")
    p = q.ctl("verify", "bad")
    assert p.returncode == 1 and p.stdout.startswith("bad: not verified: ") and "500" in p.stdout
    assert done(q.ctl("verify", "bad", "--no-wait")).startswith("bad: is being verified")
    assert q.ctl_json("verify", "good")["verifications"]["passed"] == 2


def test_queue_lists_disabled_ones(qcc, raw):
    q = qcc({**ONE, "failure_queue": {"verify_disabled_interval": "1h"},
             "endpoints": [raw(error(401, "authentication_error", "invalid x-api-key")).endpoint("a"), raw(reply()).endpoint("b")]})
    q.ctl("disable", "b")
    assert ask(q)[0] == 401
    until(lambda: "a" in table(q, "queue"), "the endpoint to be disabled")
    rows_ = table(q, "queue")
    assert re.search(r"^a .*(59m|1h).*disabled by auth", rows_["a"]) and "disabled by operator" in rows_["b"]
    assert [e["disabled_by"] for e in q.ctl_json("queue")["disabled"]] == ["auth", "operator"]


def test_state_folder(qcc, upstream, tmp_path):
    folder = tmp_path / "state"
    q = qcc({"state_dir": str(folder), "endpoints": [upstream.endpoint("/good", "good")]})
    assert str(folder) in done(q.ctl("status"))
    (folder / "state.new").mkdir()  # no file of that name can be made
    (folder / "state.new" / "x").mkdir()
    q.ctl("disable", "good")
    until(lambda: "cannot be saved: " in done(q.ctl("status")), "the problem")
    assert q.ctl_json("status")["state_dir"]["problem"]
    assert q.stop() == 1
    assert q.count("endpoint good: that an operator has disabled it is lost, as the state could not be saved") == 1


def test_lost_without_a_folder(qcc, upstream):
    q = qcc({"endpoints": [upstream.endpoint("/good", "good"), upstream.endpoint("/b", "other", enabled=False)]})
    assert re.search("state +nothing is kept", done(q.ctl("status")))
    q.ctl("disable", "good")
    assert q.stop() == 0
    assert q.count("that an operator has disabled it is lost, as there is no state_dir") == 1


def test_one_line_for_each_act(qcc, upstream):
    q = qcc({"log": {"level": "info"}, "endpoints": [upstream.endpoint("/good", "good")]})
    for act, line in [("disable", "service enabled -> disabled by operator"), ("disable", "an operator says disable"),
                      ("enable", "service disabled by operator -> enabled"), ("reset", "an operator says reset")]:
        before = q.log()
        q.ctl(act, "good")
        new = q.log()[len(before):].strip().split("\n")
        assert len(new) == 1 and line in new[0] and "(user " in new[0], new


def test_notes_wrap(qcc, raw):
    q = qcc({**ONE, "endpoints": [raw(error(404)).endpoint("a"), raw(reply()).endpoint("b", enabled=False)]})
    ask(q)
    until(lambda: "the right path?" in table(q, "endpoints")["a"], "the note")
    plain = re.sub(r"\033\[[0-9;]*m", "", on_a_terminal(q, "endpoints", columns=80))
    assert all(len(line) <= 80 for line in plain.split("\n"))
    assert "has base_url the right path?" in " ".join(plain.split()) and "…" not in plain
