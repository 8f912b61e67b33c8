"""Usage, blocks and speed out of the history: sums that agree by every key, costs, ranges, what is refused, and what
qccctl makes of it. The history is one of 20,000 requests that tests/bench/history_fill.py makes."""
import csv
import datetime
import io
import re
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
    """Buckets leave out what is 0."""
    return tuple(o.get(k, 0) for k in COUNTS) + tuple(o["tokens"].get(k, 0) for k in KINDS)


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
            assert 0 < k["unpriced_tokens"] == sum(t.values()) == u["total"]["unpriced_tokens"]
            continue
        micro = t["input"] + 5 * t["output"] + t["cache_read"] * .1 + t["write_5m"] * 1.25 + t["write_1h"] * 2
        assert k["unpriced"] == [] and k["unpriced_tokens"] == 0 and abs(k["cost_usd"] - micro / 1e6 - k["web"] * .01) < 1e-5
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
    ("usage?keys=0", "keys"), ("usage?keys=501", "keys"),
    ("usage?step=none&by=day", "step"), ("usage?model=%zz", "model"), ("usage?since=99999999999", "since"),
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


@pytest.mark.parametrize("query,word", [("usage?since=40d&step=900", "since is too early"),
                                        ("usage?since=0&by=hour&until=1", "since"), ("usage?since=99d&step=5", "step")])
def test_what_is_refused_of_a_long_history(filled, query, word):
    a = call(filled, "GET", "/api/v1/" + query)
    assert (a.status == 400 and word in a.error) or (query.endswith("until=1") and a.status == 200), a.error


def test_since_reaches_to_the_oldest(filled):
    """What is not kept makes no buckets, and no range too long."""
    oldest = rows(filled, "SELECT min(q) * 3600 FROM usage_60")[0][0]
    for query in ({}, {"by": "month"}, {"by": "day"}, {"by": "client", "step": "none"}, {"step": 86400}):
        u = usage(filled, since=0, **query)
        assert u["since"] <= oldest < (u["times"] + [u["until"]])[1] and u["total"]["requests"] == REQUESTS
    assert get(filled, "speed?since=0&step=none")["since"] == oldest


def test_all_in_one_bucket(filled):
    for since, until in (("50d", "0s"), ("5h", "1h"), ("36d", "35d")):
        u = usage(filled, by="model", since=since, until=until, step="none")
        assert len(u["times"]) == 1 and u["step"] is None and {b["time"] for b in u["buckets"]} == {u["since"]}
        want = rows(filled, ROWS, u["since"] * 1000, u["until"] * 1000)[0]
        assert u["total"]["requests"] == want[0] and added(u["keys"]) == sums(u["total"]) == added(u["buckets"])
    assert 4 * 3600 <= usage(filled, since="5h", until="1h", step="none")["until"] - usage(
        filled, since="5h", until="1h", step="none")["since"] <= 4 * 3600 + 1800


@pytest.mark.parametrize("size,keys", [(50000, 13), (10 ** 9, 7)])
def test_the_largest_answer(past, size, keys):  # noqa: F811
    """2,000 buckets of 12 keys; of numbers that are too long for it, fewer keys are told apart."""
    now = int(time.time()) // 900

    def fill(p):
        ends = [p.name(0, "an-endpoint-name"), p.name(1, "a-model-with-a-long-name-20260101")]
        clients = [p.name(2, "team-%02d" % i) for i in range(13)]
        sets = ",".join(("input", "output", "cache_read", "write_5m"))
        for table, n, first in (("usage_15", 1910, now), ("usage_60", 480, now // 4)):
            p.db.executemany("INSERT INTO %s(q, endpoint, model, client, rate, requests, ok, failed, cancelled, bytes_in,"
                             " bytes_out, %s) VALUES(?,?,?,?,0,99,98,1,0,%s)" % (table, sets, ",".join([str(size)] * 6)),
                             [(first - i, *ends, c) for i in range(n) for c in clients])

    q = past(fill, config={"prices": {"models": [{"match": "a-model-with-a-long-name", "rates": [
        {"from": "2020-01-01", "input": 1, "output": 5, "cache_read": 1, "write_5m": 2}]}]}})
    u = usage(q, by="client", since=(now - 1900) * 900, step=900, keys=12)
    assert len(u["times"]) > 1900 and len(u["keys"]) >= keys
    assert len(u["buckets"]) >= 1900 * keys and added(u["buckets"]) == sums(u["total"])
    one = u["buckets"][13]
    assert "cancelled" not in one and "unpriced" not in one and set(one["tokens"]) == set(KINDS) - {"write_1h"}
    assert one["cost_usd"] > 0


def test_blocks_of_the_future_and_of_nobody(past):  # noqa: F811
    """A clock that was ahead, and what QCC answered itself: neither makes a block that runs."""
    now = int(time.time() * 1000)

    def fill(p):
        p.add(5, now - 1800 * 1000, endpoint="e").add(4, now + 2 * 365 * 86400 * 1000, endpoint="e")
        p.db.execute("INSERT INTO usage_60 SELECT q, 0, model, client, rate, %s FROM usage_60 LIMIT 1" % ",".join(
            r[1] for r in p.db.execute("PRAGMA table_info(usage_60)").fetchall()[5:]))

    q = past(fill)
    b = get(q, "usage/blocks?since=30d")
    assert all(x["endpoint"] and x["start"] * 1000 <= now for x in b["blocks"]) and not b["cut"]
    assert any(x["endpoint"] == "e" and x["running"] and x["requests"] == 5 for x in b["blocks"])
    assert max(r["time"] for r in get(q, "requests?since=1d")["requests"])[:4] == time.strftime("%Y")
    assert len(get(q, "requests?since=1d&until=4102444800")["requests"]) == 4 + len(
        get(q, "requests?since=1d")["requests"])


def test_blocks_are_the_newest(past):  # noqa: F811
    """Of very many: those that an answer holds."""
    hour = int(time.time()) // 3600

    def fill(p):
        ends = [p.name(0, "e%d" % i) for i in range(5)]
        p.db.executemany("INSERT INTO usage_60(q, endpoint, model, client, rate, requests, ok) VALUES(?,?,0,0,0,1,1)",
                         [(hour - i, e) for i in range(9000) for e in ends])

    b = get(past(fill), "usage/blocks?since=375d")
    starts = [x["start"] for x in b["blocks"]]
    assert b["cut"] and len(starts) == 4000 and starts == sorted(starts) and starts[-1] > (hour - 6) * 3600


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


def test_tables_say_their_time_and_zone(filled):
    for arguments in ((), ("--by", "model"), ("--by", "block"), ("--speed",), ("--by", "hour")):
        out = filled.ctl("usage", *arguments, "--zone", "Asia/Kolkata").stdout
        assert re.search(r"^from 20\d\d-\d\d-\d\d \d\d:\d\d \+05:30 to 20\S+ \S+ \+05:30 \(Asia/Kolkata\)$", out, re.M), out
        assert "(Asia" not in filled.ctl("usage", *arguments, "--zone", "Asia/Kolkata", "--csv").stdout
    filled.env["TZ"] = "Asia/Kolkata"
    out = filled.ctl("requests", "5", "--since", "60d").stdout
    assert out.startswith("TIME +05:30") or " TIME +05:30" in out.splitlines()[0]
    newest = get(filled, "requests?since=60d&limit=1")["requests"][0]["time"]
    local = datetime.datetime.fromisoformat(newest.replace("Z", "+00:00")).astimezone(zoneinfo.ZoneInfo("Asia/Kolkata"))
    assert local.strftime("%Y-%m-%d %H:%M:%S") in out


def test_an_hour_that_comes_twice(past):  # noqa: F811
    """Is two rows, told apart by their offsets."""
    at = 1792890000  # 2026-10-25 01:00 UTC: 03:00 of summer is 02:00 of winter

    def fill(p):
        p.add(3, (at - 1800) * 1000).add(4, (at + 1800) * 1000)

    out = past(fill).ctl("usage", "--by", "hour", "--since", str(at - 3600), "--until", str(at + 3600), "--zone",
                         "Europe/Berlin").stdout
    assert "2026-10-25 02:00 +02:00" in out and "2026-10-25 02:00 +01:00" in out


@pytest.mark.parametrize("zone", ["Europe", "zone.tab", "tzdata.zi", "posix", "Europe/Berln", ""])
def test_zones_that_are_none(shared_history, zone):
    said = shared_history.ctl("usage", "--zone", zone)
    assert said.returncode == 2 and "no time zone" in said.stderr


@pytest.mark.parametrize("tz,good", [("Europe/Berln", False), ("Foo", False), ("/etc/hostname", False), ("", True),
                                     (":Europe/Berlin", True), ("CET-1CEST,M3.5.0,M10.5.0/3", True),
                                     ("<+0530>-5:30", True), ("UTC", True), ("EST5", True)])
def test_a_wrong_zone_in_the_environment(shared_history, tz, good):
    for command in (["usage"], ["requests"], ["history", "prune", "--before", "500d"]):
        said = subprocess.run([str(QCCCTL), *command], env={**shared_history.env, "TZ": tz}, cwd=shared_history.folder,
                              capture_output=True, text=True, check=False)
        assert said.returncode == (0 if good else 2), said.stderr
        assert good or tz in said.stderr


@pytest.mark.parametrize("query", ["requests?sinse=1h&clent=bob", "requests?limit=1&clent=bob", "requests?since=1h&clent=bob",
                                   "usage?a=1", "usage/blocks?a=1", "speed?a=1", "prices?a=1", "events?a=1",
                                   "requests/0123456789abcdef0123?a=1"])
def test_unknown_parameters(shared_history, query):
    a = call(shared_history, "GET", "/api/v1/" + query)
    assert a.status == 400 and "parameter" in a.error or "takes" in a.error, a.error


def test_ids_in_any_case(filled):
    rid = get(filled, "requests?since=60d&limit=1")["requests"][0]["id"]
    assert get(filled, "requests/" + rid.upper())["id"] == rid
    assert filled.ctl_json("why", rid.upper()[:12])["id"] == rid


def test_days_as_times(filled):
    day = datetime.date.today() - datetime.timedelta(days=5)
    midnight = int(time.mktime(day.timetuple()))
    got = filled.ctl_json("requests", "1000", "--since", str(day), "--endpoint", "official")["requests"]
    want = get(filled, "requests?limit=1000&endpoint=official&since=%d" % midnight)["requests"]
    assert [r["id"] for r in got] == [r["id"] for r in want]


def test_output_that_cannot_be_written(filled):
    for command in (["requests", "--csv", "--since", "60d"], ["usage"], ["history"]):
        with open("/dev/full", "w") as full:
            said = subprocess.run([str(QCCCTL), *command], env=filled.env, cwd=filled.folder, stdout=full,
                                  stderr=subprocess.PIPE, text=True, check=False)
        assert said.returncode == 1 and said.stderr == "qccctl: cannot write to standard output\n"


@pytest.mark.parametrize("command", ["prices", "history", "events", "requests", "usage", "endpoints", "queue", "breakers",
                                     "sessions", "status", "why", "reload", "upgrade", "stop", "enable", "logs", "env",
                                     "completion", "version"])
def test_unknown_options(shared_history, command):
    said = shared_history.ctl(command, "--odd")
    assert said.returncode == 2 and said.stdout == "", said.stderr


def test_help_of_a_command(shared_history):
    for words in (("help", "history"), ("history", "--help")):
        out = shared_history.ctl(*words).stdout
        assert out.startswith("usage: qccctl history ") and all(w in out for w in ("--before", "--client", "FILE"))
    assert shared_history.ctl("help", "nonsense").returncode == 2


@pytest.mark.parametrize("arguments", [["--by", "x"], ["--zone", "Mars/Olympus"], ["--zone", "../passwd"], ["--since"],
                                       ["--since", "soon"], ["--colour"], ["--speed", "--by", "day"],
                                       ["--by", "block", "--model", "m"], ["--csv", "--json"]])
def test_wrong_usage(shared_history, arguments):
    said = shared_history.ctl("usage", *arguments)
    assert said.returncode == 2 and said.stderr.startswith("qccctl usage: ")


def test_names_are_escaped(shared_history):
    assert shared_history.ctl("usage", "--model", "a b&by=x=%zz+ü").stdout == "no request in that time\n"


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
