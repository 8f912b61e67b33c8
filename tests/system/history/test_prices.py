"""Prices: the list that QCC brings along, files and overrides of the operator, factors of endpoints, and what has no
price. Costs computed by them are in test_usage.py."""
import sqlite3
import time

import pytest

from admin import call, get, send
from control import done
from qcc import ROOT, until
from scripted import CALM
from test_history import history, kept, stored  # noqa: F401
from test_reply_usage import whole

USED = {"input_tokens": 10, "output_tokens": 20}
FAULTY = [{"match": "claude-x", "rates": [{"input": "1,5"}]}]


def prices(q, query=""):
    return get(q, "prices" + query)


def model(q, name):
    return next((m for m in prices(q)["models"] if m["model"] == name), None)


def factors_of_file(q):
    with sqlite3.connect("file:%s?mode=ro" % history(q)["path"], uri=True, timeout=5) as db:
        return db.execute("SELECT text, ppm, since FROM factor JOIN name ON name.id = endpoint ORDER BY since, 1").fetchall()


def asks_the_recorder(q):
    """The answer from the time on when the recorder gives it."""
    return until(lambda: prices(q)["unpriced"] is not None and prices(q), "the recorder to answer")


@pytest.mark.parametrize("with_history", [False, True], ids=["memory", "history"])
def test_the_list_in_force(qcc, tmp_path, with_history):
    q = qcc({"state_dir": str(tmp_path / "state"), "history": {"min_free": 0}} if with_history else {})
    all_prices = asks_the_recorder(q) if with_history else prices(q)
    assert all_prices["unpriced"] == ([] if with_history else None) and all_prices["factors"] == []
    assert all_prices["list_prices_of"] >= "2026-11-09"
    haiku = model(q, "claude-haiku-5-5")
    assert {k: haiku[k] for k in ("input", "output", "cache_read", "write_5m", "write_1h")} == {
        "input": 0.1, "output": 0.5, "cache_read": 0.01, "write_5m": 0.125, "write_1h": 0.2}
    assert haiku["above"] == {"tokens": 100000, "input": 0.5, "output": 2.5, "cache_read": 0.05, "write_5m": 0.625,
                              "write_1h": 1}
    assert haiku["from"] == "2026-10-07" and haiku["until"] is None and haiku["override"] is False
    assert haiku["batch"] == 0.5 and haiku["geo_us"] == 1.1 and haiku["fast"] is None and haiku["web_search"] == 10
    assert haiku["source"].startswith("platform.claude.com/")
    # in force is the newest row; of one model all are shown, by any of its names
    assert model(q, "claude-sonnet-5-5")["cache_read"] == 0.1
    both = prices(q, "?model=us.anthropic.claude-sonnet-5.5-20260928-v1:0")["models"]
    assert [(r["from"], r["until"], r["cache_read"]) for r in both] == [
        ("2026-09-28", "2026-10-07", 0.2), ("2026-10-07", None, 0.1)]
    assert prices(q, "?model=claude-sonnet-9")["models"] == []
    assert b'"input":0.10,' in call(q, "GET", "/api/v1/prices?model=claude-haiku-5-5").body
    for query in ("?modle=x", "?model=%zz", "?model=" + "m" * 200):
        a = call(q, "GET", "/api/v1/prices" + query)
        assert a.status == 400 and a.error


def test_qccctl_shows_it(qcc):
    q = qcc({"endpoints": [{"name": "a", "base_url": "http://127.0.0.1:9", "api_key": "k-123456789", "price_factor": 0.25}]})
    lines = done(q.ctl("prices")).splitlines()
    assert lines[0].startswith("USD per million tokens, list prices of 2026-")
    assert lines[2].split() == "MODEL FROM INPUT OUTPUT CACHE READ WRITE 5M WRITE 1H SOURCE".split()
    row = next(line for line in lines if line.startswith("claude-haiku-5-5"))
    assert row.split()[:7] == ["claude-haiku-5-5", "2026-10-07", "0.10", "0.50", "0.01", "0.125", "0.20"]
    above = lines[lines.index(row) + 1]
    assert above.split() == ["prompt", "above", "100.0k", "0.50", "2.50", "0.05", "0.625", "1.00"]
    assert lines[-1] == "endpoint a charges 0.25 of the list price"
    one = done(q.ctl("prices", "anthropic/claude-sonnet-5.5")).splitlines()
    assert [line.split()[1] for line in one[3:]] == ["2026-09-28", "2026-10-07"]
    assert done(q.ctl("prices", "claude-sonnet-9"), 1) == "no price for claude-sonnet-9\n"
    assert q.ctl_json("prices") == prices(q)
    done(q.ctl("prices", "a", "b"), 2)
    done(q.ctl("prices", ""), 2)


def test_overrides_come_and_go(qcc, tmp_path):
    q = qcc({"state_dir": str(tmp_path / "state"), "history": {"min_free": 0}, "prices": {"models": [
        {"match": ["claude-opus-5", "own"], "source": "a contract", "rates": [{"input": 1.5}]}]}})
    asks_the_recorder(q)
    opus = model(q, "claude-opus-5")
    assert opus["override"] and opus["input"] == 1.5 and opus["output"] is None and opus["from"] is None
    assert opus["source"] == "a contract" and model(q, "own")["input"] == 1.5
    assert "prices.models: a contract" in done(q.ctl("prices", "own"))
    q.reload({"prices": {"models": [{"match": "own", "rates": [{"from": "2026-01-01T12:00:00Z", "input": 2}]}]}})
    until(lambda: model(q, "own")["input"] == 2, "the new price")
    assert model(q, "own")["from"] == "2026-01-01T12:00:00Z"
    opus = model(q, "claude-opus-5")
    assert opus["input"] == 5 and not opus["override"]


def test_a_faulty_override_refuses_the_reload(qcc, tmp_path):
    own = tmp_path / "own.yaml"
    own.write_text("- {match: own, rates: [{input: 7}]}\n")
    q = qcc({"prices": {"file": str(own), "models": []}})
    assert [m["model"] for m in prices(q)["models"]] == ["own"]
    q.reload({"prices": {"models": FAULTY}}, wait="refused")
    line = next(n for n, text in enumerate(q.path.read_text().splitlines(), 1) if "1,5" in text)
    assert q.wait_log(r"qcc\.yaml:%d:\d+: prices\.models\[0\]\.rates\[0\]\.input: must be a number of USD" % line)
    q.configure({"prices": {"models": []}})
    own.write_text("- {match: own, rates: [{input: 8}]}\n- {match: other, rates: [{inptu: 8}]}\n")
    out = q.ctl("reload")
    assert out.returncode == 1
    assert '%s:2:27: [1].rates[0]: unknown key "inptu"; did you mean "input"?' % own in out.stdout + out.stderr
    assert [m["input"] for m in prices(q)["models"]] == [7]
    own.write_text("- {match: own, rates: [{input: 8}]}\n")
    q.reload()
    assert [m["input"] for m in prices(q)["models"]] == [8]


@pytest.mark.parametrize("text", [None, "", "- {match: a, rates: [{input: 1}]}\n- {match: b}\n"],
                         ids=["missing", "empty", "faulty"])
def test_a_faulty_list_of_its_own_is_a_warning(qcc, tmp_path, text):
    shipped = tmp_path / "shipped.yaml"
    if text is not None:
        shipped.write_text(text)
    q = qcc({"prices": {"models": [{"match": "own", "rates": [{"input": 1}]}]}}, env={"QCC_PRICES": str(shipped)})
    assert q.wait_log("warning: prices: %s(:2:3: |: )" % shipped)
    assert [m["model"] for m in prices(q)["models"]] == ["own"]
    assert prices(q)["list_prices_of"] is None
    shipped.write_text((ROOT / "conf/prices.yaml").read_text())
    q.reload()
    assert len(prices(q)["models"]) > 20


def test_models_without_a_price(kept):  # noqa: F811
    q = kept(whole("claude-sonnet-9", USED), whole("claude-haiku-4-5-20251001", USED),
             config={"balance": {"strategy": "round_robin"}})
    asks_the_recorder(q)
    send(q, 6)
    stored(q, 6)
    unpriced = until(lambda: prices(q)["unpriced"], "a model without a price")
    assert [u["model"] for u in unpriced] == ["claude-sonnet-9"]
    assert unpriced[0]["requests"] == 3 and unpriced[0]["last"][:4] >= "2026"
    assert "no price for claude-sonnet-9: 3 requests in 35 days, the last on " in done(q.ctl("prices"))
    q.reload({"prices": {"models": [{"match": "claude-sonnet-9", "rates": [{"input": 1, "output": 2}]}]}})
    until(lambda: prices(q)["unpriced"] == [], "its price")


def test_factors_are_kept_where_they_change(kept):  # noqa: F811
    q = kept(whole("m", USED), whole("m", USED))
    endpoints = q.config["endpoints"]
    asks_the_recorder(q)
    assert factors_of_file(q) == [("e0", 1000000, 0), ("e1", 1000000, 0)] and prices(q)["factors"] == []
    q.reload({"endpoints": [{**endpoints[0], "price_factor": 0}, endpoints[1]]})
    until(lambda: len(factors_of_file(q)) == 3, "the factor")
    assert factors_of_file(q)[2][:2] == ("e0", 0)
    assert [(f["factor"], f["since"] is None) for f in prices(q)["factors"]] == [(0, False), (1, True)]
    q.reload({"endpoints": [{**endpoints[0], "price_factor": 0}, {**endpoints[1], "price_factor": 0.25}]})
    until(lambda: len(factors_of_file(q)) == 4, "the other factor")
    assert [f[:2] for f in factors_of_file(q)][2:] == [("e0", 0), ("e1", 250000)]
    q.stop()
    q.start(wait=False).wait_serving(2)
    asks_the_recorder(q)
    assert len(factors_of_file(q)) == 4
    q.reload({"endpoints": endpoints})
    until(lambda: {name: ppm for name, ppm, _ in factors_of_file(q)} == {"e0": 1000000, "e1": 1000000}, "factors of 1")
    changes = prices(q)["factors"]  # of one second the last is kept
    assert {f["endpoint"]: f["factor"] for f in reversed(changes)} == {"e0": 1, "e1": 1}
    assert all(f["since"].startswith("20") for f in changes[:2]) and changes[-1]["since"] is None
    out = done(q.ctl("prices"))
    assert "endpoint e0 charges 1 of the list price since 20" in out and "charges 0 " not in out


def test_each_request_has_the_factor_of_its_time(kept):  # noqa: F811
    """In one quarter of an hour: what was before and after a reload, and before the history knew of any factor."""
    q = kept(whole("claude-opus-5", {"input_tokens": 1000000, "output_tokens": 0}), config={"prices": {"models": [
        {"match": "claude-opus-5", "rates": [{"from": "2020-01-01", "input": 5, "output": 25}]}]}}, start=False)
    endpoint = q.config["endpoints"][0]
    q.configure({"endpoints": [{**endpoint, "price_factor": 0}]})
    q.start()
    asks_the_recorder(q)

    def costs():
        hour = get(q, "usage?by=model&since=1h&step=3600")["total"]["cost_usd"]
        quarter = get(q, "usage?by=model&since=1h&step=900")["total"]["cost_usd"]
        return hour, quarter, sum(b["cost_usd"] for b in get(q, "usage/blocks")["blocks"])

    def one_more(n):
        send(q)
        stored(q, n)

    one_more(1)
    assert costs() == (0, 0, 0)
    for n, factor, want in ((2, 0.5, 2.5), (3, 2, 12.5), (4, 0, 12.5)):
        known = len(factors_of_file(q))
        begun = factors_of_file(q)[-1][2]
        until(lambda: int(time.time()) > begun, "another second: rows of factors are by the second")
        q.reload({"endpoints": [{**endpoint, "price_factor": factor}]})
        until(lambda: len(factors_of_file(q)) == known + 1, "the factor")
        since = factors_of_file(q)[-1][2]
        until(lambda: int(time.time()) > since, "what ends then is behind the change")
        one_more(n)
        assert costs() == (want,) * 3
