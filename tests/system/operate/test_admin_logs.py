"""GET /api/v1/logs: the lines of the log that are in memory."""
import re

import pytest

from admin import call, get, send
from qcc import until


def lines(q, query=""):
    return [line["line"] for line in get(q, "logs" + query)["lines"]]


def test_the_last_lines(qcc):
    q = qcc()
    got = get(q, "logs?n=1000")
    assert any("serving on" in line["line"] for line in got["lines"])
    assert {line["level"] for line in got["lines"]} <= {"debug", "info", "warning", "error"}
    assert got["lost"] is False and isinstance(got["next"], int)
    wrote = q.log().splitlines()
    assert [line for line in (x["line"] for x in got["lines"]) if line not in wrote] == []
    assert len(lines(q, "?n=2")) == 2 and lines(q, "?n=1")[0] != lines(q, "?n=1000")[0]


def test_level_and_word(qcc):
    q = qcc()
    send(q)
    until(lambda: [x for x in lines(q, "?n=1000&level=debug") if "connection refused" in x], "a line of a worker")
    assert all(line["level"] in ("warning", "error") for line in get(q, "logs?n=1000&level=warning")["lines"])
    some = lines(q, "?n=1000&grep=connection%20refused")
    assert some and all("connection refused" in line for line in some)
    assert lines(q, "?grep=no+such+word+anywhere") == []


def test_only_what_is_new(qcc):
    q = qcc()
    first = get(q, "logs?n=1")
    send(q)
    seen = []

    def more():
        nonlocal first
        got = get(q, "logs?after=%d&grep=reload" % first["next"])
        assert got["next"] >= first["next"] and got["lost"] is False
        first = got
        seen.extend(line["line"] for line in got["lines"])
        return any("reload done, generation 2" in line for line in seen)

    assert not more()
    q.reload({"workers": 1})
    until(more, "the lines of the reload")
    assert len([x for x in seen if "reload done" in x]) == 1, "each line once"
    more()
    assert len([x for x in seen if "reload done" in x]) == 1


def test_lines_that_are_gone(qcc):
    q = qcc()
    far = 1 << 40
    got = get(q, "logs?n=5&after=%d" % far)
    assert got["lost"] is True and got["lines"], "another ring: all that is there"
    assert get(q, "logs?after=17")["lost"] is True, "no line begins there"
    begin = get(q, "logs?n=1&after=0")
    assert begin["lost"] is True and len(begin["lines"]) == 1, "more than were asked for"


def test_lines_with_markup_and_odd_bytes(qcc):
    q = qcc()
    send(q, model='<img onerror=x>"\u202e\\', path="/v1/messages")
    until(lambda: any("<img onerror=x>" in line for line in lines(q, "?n=1000")), "the line")


@pytest.mark.parametrize("query", ["n=0", "n=1001", "n=x", "level=loud", "after=-1", "after=x", "grep=%zz", "what=1", "n=1&n2=1", "grep=%00"])
def test_bad_questions(qcc, query):
    a = call(qcc(), "GET", "/api/v1/logs?" + query)
    assert a.status == 400 and a.error


def test_only_an_operator_reads_them(qcc):
    q = qcc({"admin": {"token": "swordfish-7"}})
    assert call(q, "GET", "/api/v1/logs").status == 401
    right = {"Authorization": "Bearer swordfish-7"}
    assert call(q, "GET", "/api/v1/logs", {**right, "Origin": "http://evil.example"}).status == 403
    assert call(q, "POST", "/api/v1/logs", right).status == 405
    a = call(q, "GET", "/api/v1/logs", right)
    assert a.status == 200 and b"swordfish" not in a.body
    assert re.match(rb'\{"lines":\[', a.body)
    assert call(q, "GET", "/api/v1/logs?grep=" + "x" * 1100, right).status == 414
