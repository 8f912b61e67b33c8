"""Usage, blocks and speed out of the history: sums that agree by every key, costs, ranges, what is refused, and what
qccctl makes of it. The history is one of 20,000 requests that tests/bench/history_fill.py makes."""
import csv
import datetime
import io
import sqlite3
import subprocess
import sys
import time
import zoneinfo

import pytest

from admin import call, get
from qcc import QCCCTL, ROOT, Qcc, until
from test_history import kept  # noqa: F401
from test_history_ask import past  # noqa: F401

FILL = ROOT / "tests/bench/history_fill.py"
REQUESTS, DAYS = 20000, 60
COUNTS = ("requests", "ok", "failed", "cancelled", "retried", "moved", "untold", "web", "bytes_in", "bytes_out")
KINDS = ("input", "output", "cache_read", "write_5m", "write_1h")
PRICES = [{"match": ["claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-5-5"], "web_search": 10,
           "rates": [{"from": "2020-01-01", "input": 1, "output": 5, "cache_read": 0.1, "write_5m": 1.25,
                      "write_1h": 2}]}]


@pytest.fixture
def filled(qcc, tmp_path):
    """An instance whose history has 20,000 requests of 60 days."""
    path = tmp_path / "state" / "history.db"
    config = {"state_dir": str(tmp_path / "state"), "workers": 1, "history": {"min_free": 0},
              "prices": {"models": PRICES}}
    q = qcc(config)
    until(lambda: path.exists() and get(q, "history")["state"] == "storing", "an empty history")
    q.stop()
    subprocess.run([sys.executable, str(FILL), str(path), "--requests", str(REQUESTS), "--days", str(DAYS)], check=True)
    q.start(wait=False).wait_serving(2)
    until(lambda: get(q, "history")["requests"] == REQUESTS, "the filled history")
    return q


def usage(q, **parameters):
    return get(q, "usage?" + "&".join("%s=%s" % p for p in parameters.items()))


def sums(o):
    return tuple(o[k] for k in COUNTS) + tuple(o["tokens"][k] for k in KINDS)


def added(rows):
    return tuple(map(sum, zip(*map(sums, rows)))) if rows else (0,) * (len(COUNTS) + len(KINDS))


def rows(q, sql, *arguments):
    with sqlite3.connect("file:%s?mode=ro" % get(q, "history")["path"], uri=True, timeout=5) as db:
        return db.execute(sql, arguments).fetchall()


ROWS = """SELECT count(*), sum(e.text='ok'), sum(e.text='upstream failed'), sum(e.text='client gone'),
    sum(ifnull(input,0)), sum(ifnull(output,0)), sum(ifnull(cache_read,0)), sum(ifnull(write_5m,0)),
    sum(ifnull(write_1h,0)) FROM request JOIN name e ON e.id=end WHERE (k>>12)>=? AND (k>>12)<?"""


def test_sums_agree_by_every_key(filled):
    """One range by time, model, endpoint and client, in zones of all kinds: equal to the rows, to the last token."""
    now = int(time.time())
    for since, zone in ((now - 20 * 86400, "0"), (now - 20 * 86400, "330"), (now - 30 * 86400, "120,1792890000:60")):
        total = usage(filled, by="day", since=since, until=now, zone=zone)
        lo, hi = total["since"], total["until"]
        assert lo <= since and hi >= now and not total["rounded"]
        want = rows(filled, ROWS, lo * 1000, hi * 1000)[0]
        got = total["total"]
        assert (got["requests"], got["ok"], got["failed"], got["cancelled"]) == want[:4]
        assert tuple(got["tokens"][k] for k in KINDS) == want[4:]
        assert got["ok"] + got["failed"] + got["cancelled"] == got["requests"] > 0
        assert added(total["buckets"]) == sums(got)
        for by in ("model", "endpoint", "client", "total"):
            for more in ({}, {"step": 86400}, {"keys": 3}):
                one = usage(filled, by=by, since=lo, until=hi, zone=zone, **more)
                assert one["since"] == lo
                assert sums(one["total"]) == sums(got), by
                assert added(one["buckets"]) == sums(got), by
                assert by == "total" or added(one["keys"]) == sums(got), by
        hours = usage(filled, by="hour", since=lo, until=hi, zone=zone)
        assert added(hours["buckets"]) == sums(got)


def test_each_bucket_is_that_of_its_rows(filled):
    """Days of a zone with a change, quarters of an hour, months: each bucket is what the rows between its ends say."""
    now = int(time.time())
    for parameters in ({"by": "day", "since": now - 30 * 86400, "zone": "120,1792890000:60"}, {"by": "month"},
                       {"by": "week"}, {"since": now - 7200}, {"by": "hour", "zone": "-210"}):
        u = usage(filled, **parameters)
        ends = u["times"][1:] + [u["until"]]
        counted = {b["time"]: b for b in u["buckets"]}
        assert u["times"] == sorted(set(u["times"])) and set(counted) <= set(u["times"])
        for begin, end in zip(u["times"], ends):
            want = rows(filled, ROWS, begin * 1000, end * 1000)[0]
            assert counted.get(begin, {"requests": 0})["requests"] == want[0], (parameters, begin)


def test_labels_of_zones_off_the_full_hour(filled):
    """Beyond the quarters of an hour data is cut at the hour; days and months are said to begin at local midnight."""
    zone = zoneinfo.ZoneInfo("Asia/Kolkata")
    for by, span in (("day", "50d"), ("week", "55d"), ("month", "100d")):
        u = usage(filled, by=by, since=span, zone=330)
        assert u["rounded"]
        for at in [u["since"], u["until"], *u["times"], *(b["time"] for b in u["buckets"])]:
            local = datetime.datetime.fromtimestamp(at, zone)
            assert (local.hour, local.minute) == (0, 0) and (by != "month" or local.day == 1), (by, local)
    out = filled.ctl("usage", "--by", "day", "--since", "50d", "--zone", "Asia/Kolkata", "--csv").stdout
    times = [r["time"] for r in csv.DictReader(io.StringIO(out))]
    assert len(times) >= 50 and all(t.endswith("T00:00:00+05:30") for t in times)


def test_filters(filled):
    since = int(time.time()) - 10 * 86400
    everything = usage(filled, by="model", since=since)
    for k in everything["keys"]:
        assert sums(usage(filled, since=since, model=k["key"])["total"]) == sums(k)
    parts = [usage(filled, by="model", since=since, endpoint=e["key"])["total"]
             for e in usage(filled, by="endpoint", since=since)["keys"]]
    assert added(parts) == sums(everything["total"])
    assert usage(filled, since=since, client="nobody")["total"]["requests"] == 0
    assert usage(filled, since=since, client="client-0%31")["total"]["requests"] > 0


def test_keys_beyond_the_most_are_one(filled):
    u = usage(filled, by="client")
    assert len(u["keys"]) == 13 and u["keys"][-1]["key"] == "(other)"
    assert [k["requests"] for k in u["keys"][:-1]] == sorted((k["requests"] for k in u["keys"][:-1]), reverse=True)
    assert len(usage(filled, by="client", keys=200)["keys"]) == 30
    assert {b["key"] for b in u["buckets"]} == {k["key"] for k in u["keys"]}


def test_costs(filled):
    """Tokens times the prices of their model; a model without one makes null of each sum that it is in."""
    day = usage(filled, by="day", since="20d")  # whole days, so that every other key has the same range
    u = usage(filled, by="model", since=day["since"], until=day["until"])
    assert u["list_prices_of"] >= "2020-01-01"
    assert u["missing"] == ["no price for house-model-1"]
    for k in u["keys"]:
        t = k["tokens"]
        if k["key"] == "house-model-1":
            assert k["cost_usd"] is None and k["unpriced"] == ["house-model-1"] and k["priced_usd"] == 0
            continue
        micro = t["input"] + 5 * t["output"] + t["cache_read"] * .1 + t["write_5m"] * 1.25 + t["write_1h"] * 2
        assert k["unpriced"] == [] and abs(k["cost_usd"] - micro / 1e6 - k["web"] * .01) < 1e-5
    assert u["total"]["cost_usd"] is None and u["total"]["unpriced"] == ["house-model-1"]
    known = sum(k["priced_usd"] for k in u["keys"])
    for by in ("day", "endpoint", "client"):
        other = usage(filled, by=by, since=u["since"], until=u["until"])
        assert abs(other["total"]["priced_usd"] - known) < 1e-5
    text = call(filled, "GET", "/api/v1/usage?since=20d&model=claude-opus-5-5").body.decode()
    cost = text.split('"cost_usd":')[1].split(",")[0]
    assert len(cost.split(".")[1]) == 6, "six decimals, always"


@pytest.mark.parametrize("query,word", [
    ("usage?since=x", "since"), ("usage?until=1d&since=1h", "until"), ("usage?since=1h&until=1h", "until"),
    ("usage?zone=CET", "zone"), ("usage?zone=61", "zone"), ("usage?zone=900", "zone"), ("usage?step=5", "step"),
    ("usage?by=day&step=3600", "step"), ("usage?by=colour", "by is"), ("usage?colour=1", "colour"),
    ("usage?keys=0", "keys"), ("usage?keys=501", "keys"), ("usage?since=3000d", "larger step"),
    ("usage?since=40d&step=900", "since"), ("usage?model=%zz", "model"), ("usage?since=99999999999", "since"),
    ("usage/blocks?since=x", "since"), ("usage/blocks?until=1d", "until"), ("usage/blocks?endpoint=%01", "endpoint"),
    ("speed?step=900", "step"), ("speed?by=model", "by"), ("speed?client=a", "client")])
def test_what_is_refused(shared_history, query, word):
    a = call(shared_history, "GET", "/api/v1/" + query)
    assert a.status == 400 and word in a.error, a.error


@pytest.fixture(scope="module")
def shared_history(tmp_path_factory):
    """One instance with an empty history for all that is refused."""
    folder = tmp_path_factory.mktemp("usage")
    q = Qcc(folder, {"state_dir": str(folder / "state"), "workers": 1, "history": {"min_free": 0}})
    q.start()
    until(lambda: get(q, "history")["state"] == "storing", "an empty history")
    yield q
    q.close()


def test_an_empty_history(shared_history):
    u = usage(shared_history, by="model")
    assert u["keys"] == u["buckets"] == u["missing"] == [] and u["total"]["cost_usd"] == 0
    assert get(shared_history, "usage/blocks")["blocks"] == [] and get(shared_history, "speed")["buckets"] == []
    for arguments in ((), ("--by", "model"), ("--by", "block"), ("--speed",)):
        assert shared_history.ctl("usage", *arguments).stdout == "no request in that time\n"


def test_without_a_history(qcc):
    q = qcc({})
    for path in ("usage", "usage/blocks", "speed"):
        a = call(q, "GET", "/api/v1/" + path)
        assert a.status == 409 and "set state_dir" in a.error
    assert q.ctl("usage").returncode == 1


def test_blocks(filled):
    """Five hours from the full hour of the first request on; the next one begins with the first request after."""
    now = time.time()
    b = get(filled, "usage/blocks?since=20d")["blocks"]
    for name in {x["endpoint"] for x in b}:
        times = [r[0] for r in rows(filled, "SELECT DISTINCT (k>>12)/1000 FROM request JOIN name n ON n.id=endpoint"
                                    " WHERE n.text=? ORDER BY 1", name)]
        want, end = [], 0
        for at in times:
            if at >= end:
                want.append(at // 3600 * 3600)
                end = want[-1] + 5 * 3600
        mine = [x for x in b if x["endpoint"] == name]
        assert [x["start"] for x in mine] == want[-len(mine):]
        assert all(x["end"] == x["start"] + 18000 and x["running"] == (now < x["end"]) for x in mine)
        first = mine[0]["start"]
        assert sum(x["requests"] for x in mine) == rows(
            filled, "SELECT count(*) FROM request JOIN name n ON n.id=endpoint WHERE n.text=? AND k>=?",
            name, first * 1000 << 12)[0][0]
        alone = get(filled, "usage/blocks?since=20d&endpoint=" + name)["blocks"]
        assert [x["start"] for x in alone] == [x["start"] for x in mine]
    for x in b:
        assert ("projected_tokens" in x) == x["running"]
        if x["running"]:
            assert x["projected_tokens"] >= sum(x["tokens"].values()) and x["tokens_per_minute"] > 0


def test_speed(filled):
    s = get(filled, "speed?since=2d")
    first = s["total"]["first_byte_ms"]
    assert 500 < first["p50"] < first["p95"] < first["p99"] and 50 < s["total"]["output_tokens_per_s"] < 80
    assert sum(b["first_bytes"] for b in s["buckets"]) == s["total"]["first_bytes"] > 0
    for group in ("endpoints", "models"):
        assert sum(g["first_bytes"] for g in s[group]) == s["total"]["first_bytes"]
    assert sum(e["attempts"]["ok"] for e in s["endpoints"]) == s["total"]["attempts"]["ok"]
    one = get(filled, "speed?since=2d&model=" + s["models"][0]["model"])
    assert one["total"]["first_bytes"] == s["models"][0]["first_bytes"] and one["total"]["attempts"] is None
    assert {"rounded": True}.items() <= get(filled, "speed?since=2d&zone=330").items()


def test_the_table(filled):
    out = filled.ctl("usage", "--zone", "Europe/Berlin").stdout
    assert out.startswith("today ") and "yesterday " in out and "this week " in out
    assert "DAY" in out and "REQUESTS" in out and "COST" in out and " today " in out and "\ntotal " in out
    out = filled.ctl("usage", "--by", "model", "--since", "400d").stdout
    assert "MODEL" in out and "house-model-1" in out and "no price for house-model-1\n" in out
    assert "20.0k" in out
    assert "running" in filled.ctl("usage", "--by", "block").stdout
    assert "TOKENS/S" in filled.ctl("usage", "--speed").stdout


def test_csv(filled):
    """Each row is that of the answer; times carry the zone's offset, also across its change."""
    zone = zoneinfo.ZoneInfo("Europe/Berlin")
    out = filled.ctl("usage", "--by", "day", "--since", "50d", "--zone", "Europe/Berlin", "--csv").stdout
    table = list(csv.DictReader(io.StringIO(out)))
    assert len(table) >= 50 and sum(int(r["requests"]) for r in table) > REQUESTS // 2
    for r in table:
        at = datetime.datetime.fromisoformat(r["time"])
        assert at.astimezone(zone).hour == 0 and at.utcoffset() == at.astimezone(zone).utcoffset()
        assert int(r["ok"]) + int(r["failed"]) + int(r["cancelled"]) == int(r["requests"])
    raw = subprocess.run([str(QCCCTL), "usage", "--by", "model", "--csv"], env=filled.env, cwd=filled.folder,
                         capture_output=True, check=True).stdout
    assert raw.count(b"\r\n") == raw.count(b"\n") == 5
    said = filled.ctl_json("usage", "--by", "model", "--since", "9d")
    assert {k["key"] for k in said["keys"]} == {r["model"] for r in csv.DictReader(io.StringIO(raw.decode()))}


@pytest.mark.parametrize("arguments", [["--by", "x"], ["--zone", "Mars/Olympus"], ["--zone", "../passwd"], ["--since"],
                                       ["--since", "soon"], ["--colour"], ["--speed", "--by", "day"],
                                       ["--by", "block", "--model", "m"], ["--csv", "--json"]])
def test_wrong_usage(shared_history, arguments):
    said = shared_history.ctl("usage", *arguments)
    assert said.returncode == 2 and said.stderr.startswith("qccctl usage: ")


def test_names_are_escaped(shared_history):
    assert shared_history.ctl("usage", "--model", "a b&by=x=%zz+ü").stdout == "no request in that time\n"
    assert shared_history.ctl("usage", "--since", "4000d").stderr.endswith(
        "narrow the range or take a larger step\n")


@pytest.mark.parametrize("micro", [123456789012, 12345678901234, 99999999999999])
def test_large_costs_are_exact(past, micro):  # noqa: F811
    """To the last millionth of a dollar, in the API's reply, in JSON and in CSV; in the table to the cent."""
    def fill(p):
        p.add(1, int(time.time() * 1000))
        for table in ("usage_15", "usage_60"):
            p.db.execute("UPDATE %s SET input=?, output=0, cache_read=0, write_5m=0, write_1h=0, web=0" % table, (micro,))

    prices = [{"match": "m-old", "rates": [{"from": "2020-01-01", "input": 1}]}]
    q = past(fill, config={"prices": {"models": prices}})
    want = "%d.%06d" % divmod(micro, 1000000)
    assert '"cost_usd":%s' % want in call(q, "GET", "/api/v1/usage?by=model&model=m-old").body.decode().replace(" ", "")
    as_json = q.ctl("usage", "--by", "model", "--model", "m-old", "--json").stdout.replace(" ", "")
    assert '"cost_usd":%s' % want in as_json
    lines = list(csv.DictReader(io.StringIO(q.ctl("usage", "--by", "model", "--model", "m-old", "--csv").stdout)))
    assert [line["cost_usd"] for line in lines] == [want]
    cents = (micro + 5000) // 10000
    assert "$%d.%02d" % divmod(cents, 100) in q.ctl("usage", "--by", "model", "--model", "m-old").stdout
