"""Usage: one range per address, sums of chart and table out of one reply, zones, models without a price, downloads."""
import csv
import io
import json
import re
import time

import pytest

from fake_api import iso, usage
from told import fill, opened, sane, text, texts

ROWS = "#main table.list:has(tfoot) tbody tr"
CATCH = """URL.createObjectURL = (b) => { b.text().then((x) => { window.saved = x }); return 'blob:nothing' };
HTMLAnchorElement.prototype.click = function () { window.savedAs = this.download }"""


def asked(api):
    return [a for _, _, a in api.asked if a.startswith("usage?")]


def number(s):
    return float(re.sub("[^0-9.]", "", s))


def test_an_address_is_a_range(api, page):
    fill(api)
    p = opened(page, api.url, "usage?by=client&measure=requests&since=30d", zone="Asia/Shanghai")
    p.until("document.querySelector('%s')" % ROWS)
    assert asked(api)[0] == "usage?by=client&since=30d&step=86400&zone=480"
    p.click("[data-set='by=endpoint']")
    p.until("location.hash == '#/usage?by=endpoint&measure=requests&since=30d' && document.querySelector('%s th').textContent != 'alice'" % ROWS)
    p.js("(() => { const s = document.querySelector('select[name=range]'); s.value = '24h'; s.dispatchEvent(new Event('change')) })()")
    p.until("location.hash.includes('since=24h')")
    p.until("document.querySelector('.chart .unit').textContent == 'requests per h'")
    p.call("Page.reload")
    p.until("document.querySelector('select[name=range]')?.value == '24h' && document.querySelector('[data-set=\"by=endpoint\"]').ariaPressed == 'true'")
    sane(p)


def test_sums_of_chart_and_table_are_those_of_one_reply(api, page):
    fill(api)
    p = opened(page, api.url, "usage?by=model&measure=requests&since=7d", zone="Asia/Kathmandu")
    p.until("document.querySelector('%s')" % ROWS)
    assert "zone=345" in asked(api)[0]
    address = p.js("document.querySelector('%s [data-f]').dataset.f" % ROWS).split("#")[0]
    told = p.js("window.told[%s]" % json.dumps(address))
    p.click("details summary")
    p.until("document.querySelectorAll('details .list tbody tr').length == %d" % len(told["times"]))
    chart = p.js("[...document.querySelectorAll('details .list tbody tr')].map((r) => [...r.querySelectorAll('td')].map((c) => c.textContent))")
    total = sum(number(c) for r in chart for c in r if c != "–")
    table = [number(x) for x in p.js("[...document.querySelectorAll('%s')].map((r) => r.children[1].textContent)" % ROWS)]
    assert total == sum(table) == told["total"]["requests"] == number(text(p, "tfoot td:nth-child(2)"))
    value = "((of, path) => path.split('.').reduce((o, k) => o[k], window.told[of]))(...%s.split('#'))"
    marks = p.js("[...document.querySelectorAll('main [data-from]')].map((e) => [e.dataset.from, e.dataset.how, e.dataset.v])")
    assert len(marks) == 2 * len(told["keys"]) + 2
    for mark in marks:
        v = p.js(value % json.dumps(mark[0]))
        if mark[1] == "cache":
            want = v["cache_read"] / (v["input"] + v["cache_read"] + v["write_5m"] + v["write_1h"])
        else:
            assert mark[1] == "share of requests"
            want = v["requests"] / told["total"]["requests"]
        assert abs(float(mark[2]) - want) < 1e-9, mark
    shares = [number(x) for x in p.js("[...document.querySelectorAll('%s')].map((r) => r.querySelector('[data-label=Share]').textContent)" % ROWS)]
    assert abs(sum(shares) - 100) < 0.5


@pytest.mark.parametrize("zone, at, want", [("America/New_York", (2026, 10, 20), r"zone=-240,1793512800:-300"),
                                            ("Asia/Kolkata", (2026, 10, 20), r"zone=330(?!,)")])
def test_changes_of_the_zone_are_passed_on(api, page, zone, at, want):
    fill(api)
    import datetime

    since = int(datetime.datetime(*at, tzinfo=datetime.timezone.utc).timestamp())
    p = opened(page, api.url, "usage?by=none&since=%d&until=%d" % (since, since + 20 * 86400), zone=zone)
    p.until("document.querySelector('.chart')")
    assert re.search(want, asked(api)[0]), asked(api)[0]
    assert "step=86400" in asked(api)[0] and "until=%d" % (since + 20 * 86400) in asked(api)[0]


def test_unpriced_models_lead_to_their_lines(api, page):
    fill(api)
    p = opened(page, api.url, "usage?by=endpoint&measure=cost")
    api.reply["usage"] = lambda a: usage(a)
    p = opened(page, api.url, "usage?by=model&measure=cost")
    p.until("document.querySelector('#unpriced')")
    assert re.fullmatch(r"◆ without a price: 1 model, [\d.]+M tokens", text(p, "#unpriced"))
    cells = dict(zip(texts(p, ROWS + " th"), p.js("[...document.querySelectorAll('%s')].map((r) => r.querySelector('[data-label=Cost]').textContent)" % ROWS)))
    assert cells["some-unknown"] == "–" and cells["claude-opus-5-5"].startswith("$")
    assert text(p, "tfoot [data-label=Cost]").startswith("≥ $")
    p.click("#unpriced a")
    p.until("document.querySelector('pre.code')?.textContent.includes('- match: \"some-unknown\"')")
    assert p.js("location.hash") == "#/config/prices"
    sane(p)


def test_change_needs_a_range_before_that_is_known(api, page):
    fill(api)
    api.overview["history"]["oldest"] = iso(time.time() - 40 * 86400)
    p = opened(page, api.url, "usage?by=model&measure=requests&since=7d")
    p.until("document.querySelector('tfoot [data-label=Change]')?.textContent.match(/[+−±]/)")
    new = usage
    api.overview["history"]["oldest"] = iso(time.time() - 8 * 86400)

    def young(a):
        d = new(a)
        d["buckets"] = [b for b in d["buckets"] if b["time"] > time.time() - 8 * 86400]
        return d

    api.reply["usage"] = young
    p = opened(page, api.url, "usage?by=model&measure=requests&since=7d")
    p.until("document.querySelector('tfoot [data-label=Change]')")
    p.wait(0.5)
    assert text(p, "tfoot [data-label=Change]") == "–"


def test_csv_and_json_of_this_view(api, page):
    fill(api)
    evil = '=cmd()|\' /C calc\'!A0,"x"'
    api.reply["usage"] = lambda a: usage(a, keys=(evil, "claude-opus-5-5"), unpriced=(evil,))
    p = opened(page, api.url, "usage?by=model&since=7d", zone="Asia/Kolkata")
    p.until("document.querySelector('%s')" % ROWS)
    p.js(CATCH)
    buttons = "[...document.querySelectorAll('.part-head button')].find((b) => b.textContent == '%s').click()"
    p.js(buttons % "CSV")
    body = p.until("window.saved")
    assert p.js("window.savedAs").startswith("qcc-usage-") and p.js("window.savedAs").endswith("-model.csv")
    head, *rows = csv.reader(io.StringIO(body, newline=""))
    assert head[:6] == ["time", "model", "requests", "ok", "failed", "cancelled"] and head[-2:] == ["cost_usd", "unpriced"]
    assert body.endswith("\r\n") and all(len(r) == len(head) for r in rows)
    assert {r[1] for r in rows} == {"'" + evil, "claude-opus-5-5"}
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+05:30", r[0]) for r in rows)
    assert all(re.fullmatch(r"\d+\.\d{6}", r[-2]) if r[1] == "claude-opus-5-5" else r[-2] == "" for r in rows)
    p.js("window.saved = null; " + buttons % "JSON")
    address = p.js("document.querySelector('%s [data-f]').dataset.f" % ROWS).split("#")[0]
    assert json.loads(p.until("window.saved")) == p.js("window.told[%s]" % json.dumps(address))
    sane(p)


def test_history_off_shows_no_zeroes(api, page):
    fill(api)
    api.overview["history"].update(state="off", why="state_dir is not set")
    api.reply["usage"] = (409, {"error": "history is off: set state_dir or history.enabled"})
    p = opened(page, api.url, "usage")
    p.until("document.querySelector('.empty')?.textContent.includes('History is off')")
    assert not p.js("document.querySelector('main table') !== null") and "$0" not in text(p, "main") and asked(api) == []
    sane(p)


def test_nothing_used(api, page):
    fill(api)
    api.reply["usage"] = lambda a: {**usage(a, keys=()), "buckets": [], "keys": [], "total": {**usage(a, keys=())["total"], "requests": 0}}
    p = opened(page, api.url, "usage?by=client")
    p.until("document.querySelector('.empty')?.textContent.includes('Nothing was used')")
    sane(p)


def test_many_keys_are_eight_and_the_rest(api, page):
    fill(api)
    api.reply["usage"] = lambda a: usage(a, keys=["m%02d" % i for i in range(12)] + ["(other)"], unpriced=())
    p = opened(page, api.url, "usage?by=model&measure=requests")
    p.until("document.querySelector('.readout .key')")
    names = p.js("[...document.querySelectorAll('.readout > span')].map((s) => s.textContent)")
    assert len(names) == 9 and names[-1] == "(other)"
    assert texts(p, ROWS + " th")[-1] == "(other)" and len(texts(p, ROWS)) == 13


def test_prints_as_a_report(api, page):
    fill(api)
    p = opened(page, api.url, "usage")
    p.until("document.querySelector('%s')" % ROWS)
    p.call("Emulation.setEmulatedMedia", {"media": "print"})
    shown = lambda s: p.js("(() => { const e = document.querySelector('%s'); return Boolean(e) && getComputedStyle(e).display != 'none' })()" % s)
    assert not shown(".top") and not shown(".filters") and not shown(".part-head .tools")
    assert shown("h1") and shown("#range") and shown(".chart svg") and shown("tfoot")
    assert "2026" in text(p, "#range") and "list prices of" in text(p, "#range")
