"""Cells as operators see them and clear them, over a restart too (scope: section 7)."""
import json
import urllib.error
import urllib.request

import pytest

from house import answer, ask, house, sites, went
from qcc import PATIENCE, until
from upstream import error

OPUS, HAIKU = "claude-opus-4-8", "claude-haiku-4-5"
LIMIT = error(429, "rate_limit_error", "no more %s for now" % OPUS, headers=["retry-after: 300"])
FAILS = error(500)


def for_opus(how):
    def play(peer, request):
        opus = request.method == "POST" and request.json().get("model") == OPUS
        peer.send(how) if opus else answer(peer, request)
    return play


def cells(q, name="a"):
    return next(e["cells"] for e in q.ctl_json("endpoints")["endpoints"] if e["name"] == name)


def http(q, path, method="GET"):
    """Status and body of the admin listener."""
    asked = urllib.request.Request(q.admin_url + path, method=method)
    try:
        with urllib.request.urlopen(asked, timeout=PATIENCE) as r:
            return r.status, r.read()
    except urllib.error.HTTPError as e:
        return e.code, e.read()


def metric(q, endpoint, family):
    status, text = http(q, "/metrics")
    assert status == 200
    sought = 'qcc_cell_tier{endpoint="%s",family="%s"} ' % (endpoint, family)
    return next(int(line.split()[-1]) for line in text.decode().splitlines() if line.startswith(sought))


def limited(house, sites, more=None):
    a, b = sites("ab")
    q = house([a, b], {"rate_limit": {"max_cooldown": "1h"}, **(more or {})})
    assert went(q, model=OPUS) == ["a"]
    assert cells(q) == []
    a.how = for_opus(LIMIT)
    assert went(q, model=OPUS) == ["b"]
    until(lambda: cells(q), "the limit to be known")
    return q, a


def test_a_cell_that_cools(house, sites):
    q, _ = limited(house, sites)
    cell, = cells(q)
    assert (cell["family"], cell["tier"], cell["own_word"]) == ("opus", "degraded", True)
    assert 290 < cell["cooldown_s"] <= 300
    assert cell["breaker"] == {"state": "closed", "failures": 0, "retry_in_s": None}
    table = q.ctl("endpoints").stdout
    assert "opus: cooling " in table and "cools by its own word" not in table
    assert q.count("endpoint a: opus: cooldown told to wait for 300.0 s") == 1
    assert any("opus: cooldown" in e["text"] for e in q.ctl_json("events")["events"])
    assert cells(q, "b") == []


def test_the_end_of_its_cooldown_is_told(house, sites):
    """Also where nothing but the time ends it."""
    a, b = sites("ab")
    q = house([a, b])
    assert went(q, model=OPUS) == ["a"]
    a.how = for_opus(error(429, "rate_limit_error", "no more %s for now" % OPUS, headers=["retry-after: 1"]))
    assert went(q, model=OPUS) == ["b"]
    q.wait_log("endpoint a: opus: cooldown cooling -> over: time is over")
    assert q.count("endpoint a: opus: cooldown told to wait for 1.0 s") == 1 and cells(q) == []
    went(q, 3, model=HAIKU)
    assert q.count("endpoint a: opus: cooldown cooling -> over") == 1


def test_one_thing_at_a_time(house, sites):
    q, a = limited(house, sites)
    status, body = http(q, "/api/v1/endpoints/a/reset?family=opus&mark=beta%3Dx", "POST")
    assert status == 400 and b"either family or mark" in body
    for args in (("--family", "opus", "--mark", "beta=x"), ("--mark", "beta=x", "--family", "opus")):
        r = q.ctl("reset", "a", *args)
        assert r.returncode == 2 and "either --family or --mark" in r.stderr
    assert [c["family"] for c in cells(q)] == ["opus"]


def test_the_open_breaker_of_a_cell(house, sites):
    a, b = sites("ab")
    q = house([a, b], {"breaker": {"open_duration": "1h", "max_open_duration": "1h"}})
    assert went(q, model=OPUS) == ["a"]
    a.how = for_opus(FAILS)
    line = "endpoint a: opus: breaker closed -> open: failures in a row"
    until(lambda: ask(q, model=OPUS) and q.count(line), "the cell to open", step=0)
    cell, = cells(q)
    assert (cell["tier"], cell["breaker"]["state"]) == ("circuit_open", "open")
    assert 3500 < cell["breaker"]["retry_in_s"] <= 3600
    assert "opus: half open in " in q.ctl("endpoints").stdout


def test_an_endpoint_that_opens_by_its_models(house, sites):
    """No failure is in a row of its own: the line tells the reason, and no count."""
    a, b = sites("ab")
    q = house([a, b], {"breaker": {"open_duration": "1h", "max_open_duration": "1h"}})
    assert went(q, model=OPUS) == ["a"] and went(q, model=HAIKU) == ["a"]
    a.how = FAILS
    line = "endpoint a: breaker closed -> open: several models fail"
    until(lambda: ask(q, model=OPUS) and ask(q, model=HAIKU) and q.count(line), "the endpoint to open", step=0)
    assert q.count(line + r" \(5xx\)")


def test_the_metric(house, sites):
    q, a = limited(house, lambda names: sites(names, models={"allow": ["claude-*", "gpt-5-mini"]}))
    assert metric(q, "a", "opus") == 1 and metric(q, "b", "opus") == 0
    assert metric(q, "a", "haiku") == 0 and metric(q, "a", "other") == 0
    assert metric(q, "a", "gpt-5-mini") == 0


@pytest.mark.parametrize("how", ["qccctl", "http"])
def test_one_cell_is_reset(house, sites, how):
    q, a = limited(house, sites)
    a.how = answer
    if how == "qccctl":
        r = q.ctl("reset", "a", "--family", "sonnet")
        assert r.returncode == 1 and "nothing is known of such a cell" in r.stderr
        r = q.ctl("reset", "a", "--family=opus")
        assert r.returncode == 0 and r.stdout == "a: opus reset\n"
        assert q.ctl("reset", "a", "--family").returncode == 2
    else:
        status, body = http(q, "/api/v1/endpoints/a/reset?family=opus", "POST")
        assert status == 200 and json.loads(body)["cells"] == []
        status, body = http(q, "/api/v1/endpoints/a/reset?famly=opus", "POST")
        assert status == 400
        status, body = http(q, "/api/v1/endpoints/z/reset?family=opus", "POST")
        assert status == 404
    assert cells(q) == []
    until(lambda: went(q, model=OPUS) == ["a"], "it to be asked again", step=0)


def test_all_cells_are_reset(house, sites):
    q, a = limited(house, sites)
    a.how = answer
    assert q.ctl("reset", "a").returncode == 0
    assert cells(q) == []


def test_a_cooldown_by_own_word_lasts_over_a_restart(house, sites, tmp_path):
    q, a = limited(house, sites, {"state_dir": str(tmp_path / "state")})
    assert q.stop() == 0
    q.start(wait=False)
    q.wait_serving(2)
    cell, = cells(q)
    assert cell["family"] == "opus" and 200 < cell["cooldown_s"] <= 300
    assert went(q, model=OPUS) == ["b"] and went(q, model=HAIKU) == ["a"]


def test_an_open_breaker_lasts_over_a_restart(house, sites, tmp_path):
    a, b = sites("ab")
    q = house([a, b], {"breaker": {"open_duration": "1h", "max_open_duration": "1h"},
                       "state_dir": str(tmp_path / "state")})
    assert went(q, model=OPUS) == ["a"]
    a.how = for_opus(FAILS)
    line = "endpoint a: opus: breaker closed -> open: failures in a row"
    until(lambda: ask(q, model=OPUS) and q.count(line), "the cell to open", step=0)
    assert q.stop() == 0
    q.start(wait=False)
    q.wait_serving(2)
    cell, = cells(q)
    assert (cell["family"], cell["breaker"]["state"]) == ("opus", "open")


def test_a_damaged_file_of_cells_is_set_aside(house, sites, tmp_path):
    folder = tmp_path / "state"
    q, a = limited(house, sites, {"state_dir": str(folder)})
    assert q.stop() == 0
    body = bytearray((folder / "cells").read_bytes())
    body[-1] ^= 1
    (folder / "cells").write_bytes(body)
    q.start(wait=False)
    q.wait_serving(2)
    assert cells(q) == [] and list(folder.glob("cells.bad-*"))


def test_a_breaker_of_one_endpoint(house, sites):
    """endpoints[].breaker: what is not given is as in the common one."""
    a, b = sites("ab")
    a.endpoint["breaker"] = {"failure_threshold": 1}
    b.endpoint["breaker"] = None
    q = house([a, b], {"retry": {"max_attempts_per_endpoint": 1},
                       "breaker": {"open_duration": "1h", "max_open_duration": "1h"}})
    assert went(q, model=OPUS) == ["a"]
    a.how = for_opus(FAILS)
    assert went(q, model=OPUS) == ["b"]
    until(lambda: cells(q), "the failure to be known")
    cell, = cells(q)
    assert cell["breaker"]["state"] == "open" and cell["breaker"]["retry_in_s"] > 3500
