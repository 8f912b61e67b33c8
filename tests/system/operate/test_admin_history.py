"""What the admin listener answers for the dashboard's pages of requests and of the system."""
from admin import call, get, send
from qcc import until
from test_history import history, kept, stored  # noqa: F401
from test_history_ask import Past, now_ms, past  # noqa: F401
from test_reply_usage import FIRST, whole


def test_the_file_is_checked_by_http(kept):  # noqa: F811
    q = kept(whole("claude-x", FIRST))
    send(q, 3)
    stored(q, 3)
    assert call(q, "GET", "/api/v1/history/check").status == 405
    begun = call(q, "POST", "/api/v1/history/check").json()
    assert begun["what"] == "check" and begun["state"] in ("running", "done")
    done = until(lambda: (lambda j: j["state"] == "done" and j)(get(q, "history/job?id=%d" % begun["job"])), "the check")
    assert done["whole"] is True and done["faults"] == []
    assert call(q, "GET", "/api/v1/history/job?id=1").status == 404


def test_a_check_needs_a_history(qcc):
    q = qcc({"endpoints": [{"name": "nobody", "base_url": "http://127.0.0.1:9", "api_key": "sk-test-0123456789"}]})
    assert call(q, "POST", "/api/v1/history/check").status == 409


def test_requests_by_their_result(past):  # noqa: F811
    def fill(p):
        p.add(2, now_ms(), end="ok")
        p.add(3, now_ms() - 100_000, end="all failed", status=529)
        p.add(4, now_ms() - 200_000, end="client gone")
        p.add(1, now_ms() - 300_000, end="ok", status=404)

    q = past(fill)
    counts = {s: len(get(q, "requests?client=carol&status=" + s)["requests"]) for s in ("ok", "failed", "cancelled", "5xx")}
    assert counts == {"ok": 2, "failed": 4, "cancelled": 4, "5xx": 3}
    assert call(q, "GET", "/api/v1/requests?status=left").status == 400


def test_nothing_was_cancelled(kept):  # noqa: F811
    q = kept(whole("claude-x", FIRST))
    send(q)
    stored(q, 1)
    assert get(q, "requests?status=cancelled")["requests"] == []

