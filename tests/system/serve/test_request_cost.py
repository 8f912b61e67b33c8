"""What one request cost: the same from memory and from the history, exact, and null where a price is missing."""
import pytest

from admin import get, send
from qcc import until
from scripted import CALM
from test_history import history, kept, stored  # noqa: F401
from test_reply_usage import FIRST, LAST, stream, whole

LIST = {"input": 3, "output": 15, "cache_read": 0.3, "write_5m": 3.75, "write_1h": 6}
PRICES = {"models": [{"match": "claude-x", "web_search": 10, "rates": [{"from": "2020-01-01", **LIST}]},
                     {"match": "claude-long", "rates": [{"input": 1, "output": 5, "above": {"tokens": 200000, "input": 2, "output": 10}}]},
                     {"match": "claude-half", "rates": [{"from": "2020-01-01", "input": 1}]}]}
USAGE = {**FIRST, **LAST, "speed": "standard", "service_tier": "standard", "inference_geo": "global"}
# 3 in, 7 out, 4 read, 20 for 5 minutes, 10 for an hour, 2 searches
EXACT = (3 * 3 + 7 * 15 + 4 * 0.3 + 20 * 3.75 + 10 * 6) / 1e6 + 2 * 10 / 1000


@pytest.fixture(params=["memory", "history"])
def cost_of(request, kept):  # noqa: F811
    """cost_of(play, config): the record of a request that got that reply: of the list, and of `why`."""

    def make(play, **config):
        q = kept(play, config={"prices": PRICES, **config})
        send(q, model="asked")
        row = get(q, "requests")["requests"][0]
        if request.param == "history":
            stored(q, 1)
            q.stop()
            q.start(wait=False).wait_serving(2)
            until(lambda: history(q)["state"] == "storing", "the history")
            row = get(q, "requests?since=1h")["requests"][0]
        return row, get(q, "requests/%s" % row["id"]), q

    return make


def test_an_exact_cost(cost_of):
    row, one, q = cost_of(whole("claude-x-20250929", USAGE))
    assert row["cost"] == {"usd": round(EXACT, 6), "missing": []}
    c = one["cost"]
    assert {k: c[k] for k in ("usd", "missing")} == row["cost"]
    assert c["model"] == "claude-x" and c["rates"] == {**LIST, "web_search": 10} and c["above"] is None
    assert c["from"] == "2020-01-01" and c["factor"] == 1 and c["multipliers"] == {}
    assert ", $%.6f\n" % EXACT in q.ctl("why", row["id"]).stdout
    assert row["at_ms"] >= 1.6e12 and (row["moved"], row["second_opinion"], row["trial_attempt"]) == (False,) * 3
    assert get(q, "requests/%s?at=%d" % (row["id"], row["at_ms"]))["id"] == row["id"]


def test_a_price_that_is_missing(cost_of):
    row, one, q = cost_of(whole("claude-unheard-of", USAGE))
    assert row["cost"] == {"usd": None, "missing": ["no price for claude-unheard-of"]}
    assert one["cost"]["rates"] is None and one["cost"]["from"] is None and one["cost"]["model"] is None
    assert "cost unknown: no price for claude-unheard-of" in q.ctl("why", row["id"]).stdout


def test_a_kind_of_token_without_a_rate(cost_of):
    row, _, _ = cost_of(whole("claude-half", {"input_tokens": 3, "output_tokens": 7}))
    assert row["cost"] == {"usd": None, "missing": ["no rate for output of claude-half"]}


def test_a_long_prompt(cost_of):
    row, one, _ = cost_of(whole("claude-long", {"input_tokens": 300000, "output_tokens": 100}))
    assert row["cost"]["usd"] == round((300000 * 2 + 100 * 10) / 1e6, 6)
    assert one["cost"]["above"] == 200000 and one["cost"]["rates"]["input"] == 2


def test_multipliers(cost_of):
    row, one, _ = cost_of(whole("claude-x", {**USAGE, "speed": "fast"}))
    assert row["cost"] == {"usd": None, "missing": ["fast unpriced for claude-x"]}
    assert one["cost"]["multipliers"] == {"fast": None}


def test_nothing_told(cost_of):
    row, one, q = cost_of(whole("claude-x", {}))
    assert row["cost"] is None and one["cost"] is None
    assert "cost" not in q.ctl("why", row["id"]).stdout


def test_an_endpoints_factor(qcc, raw, tmp_path):
    q = qcc({**CALM, "endpoints": [raw(stream("claude-x", FIRST, {"output_tokens": 7, "inference_geo": "global"})).endpoint("e0", price_factor=0.5)],
             "prices": PRICES})
    send(q, stream=True)
    one = get(q, "requests/" + get(q, "requests")["requests"][0]["id"])
    assert one["cost"]["factor"] == 0.5
    tokens = one["tokens"]
    full = sum(tokens[k] * LIST[k] for k in LIST) / 1e6
    if "geo_us" in one["cost"]["multipliers"]:
        assert one["cost"]["usd"] is None
    else:
        assert one["cost"]["usd"] == pytest.approx(full / 2, abs=1e-6)
