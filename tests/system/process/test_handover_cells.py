"""What an upgrade takes over of cells, marks and models asked for, also where it goes wrong (scope: section 7)."""
import http.client
import os
import signal

from admin import call
from house import answer, house, page, sites
from qcc import until
from test_upgrade import talk
from upstream import error


def taking(q):
    """Orders an upgrade, and stops the new one when it has begun to take over; its process id."""
    q.signal(signal.SIGUSR2)
    new = int(q.wait_log("upgrade: .* starts, pid (\\d+)").group(1))
    q.wait_log("takes the place of pid")
    os.kill(new, signal.SIGSTOP)
    return new


def goes_on(q, new):
    """The new one goes on, until it serves."""
    os.kill(new, signal.SIGCONT)
    q.successor = new
    until(lambda: served(q), "the new one to serve")


def served(q):
    try:
        return q.ctl_json("status")["pid"] == q.successor and talk(q, "a")[0] == 200
    except (OSError, ValueError, AssertionError, http.client.HTTPException):
        return False


def state_of(q, name):
    return next(e for e in q.ctl_json("endpoints")["endpoints"] if e["name"] == name)


def test_cells_outlive_the_death_of_the_one_before(house, sites, tmp_path):
    """It dies before it has sent them: they are in the file."""
    a, b = sites("ab")
    q = house([a, b], {"state_dir": str(tmp_path / "state"), "rate_limit": {"max_cooldown": "1h"}})
    a.how = error(429, "rate_limit_error", "no more claude-opus-4-8", headers=["retry-after: 300"])
    assert talk(q, "a", model="claude-opus-4-8") == (200, "b")
    kept = tmp_path / "state" / "cells"
    until(lambda: kept.exists() and b"opus" in kept.read_bytes(), "the file")
    a.how = answer
    new = taking(q)
    q.process.kill()
    q.process.wait()
    goes_on(q, new)
    cell, = state_of(q, "a")["cells"]
    assert cell["family"] == "opus" and 200 < cell["cooldown_s"] <= 300


def test_a_mark_that_ends_meanwhile_stays_away(house, sites, tmp_path):
    """The new one has the marks of the moment at which it was started: what an operator ends since then is not back."""
    a, b = sites("ab")
    q = house([a, b])
    for model in ("claude-opus-4-8", "claude-opus-4-7"):
        a.how = error(404, "not_found_error", "model: " + model)
        assert talk(q, model, model=model) == (200, "b")
    until(lambda: len(state_of(q, "a")["marks"]) == 2, "the marks")
    a.how = answer
    new = taking(q)
    try:
        r = call(q, "POST", "/api/v1/endpoints/a/reset?mark=claude-opus-4-8")
    finally:
        goes_on(q, new)
    assert r.status == 200 and len(r.json()["marks"]) == 1
    assert [m["name"] for m in state_of(q, "a")["marks"]] == ["claude-opus-4-7"]
    assert talk(q, "x", model="claude-opus-4-8") == (200, "a") and talk(q, "y", model="claude-opus-4-7") == (200, "b")


def test_what_was_asked_for_goes_over(house, sites):
    """The last one is judged by what was asked for within the hour, an upgrade in between or not."""
    a, b = sites("ab")
    a.endpoint["models"], b.endpoint["models"] = {"allow": ["claude-haiku-*"]}, {"allow": ["claude-opus-*"]}
    q = house([a, b])
    assert talk(q, "x", model="claude-haiku-4-5") == (200, "a")
    q.upgrade()
    b.how = page
    assert q.ctl("verify", "b", "--no-wait").returncode == 0
    until(lambda: state_of(q, "b")["state"] in ("queued", "unhealthy"), "the verification to fail")
    assert state_of(q, "b")["state"] == "queued"
