"""Requests, the trail of one, and events: what a row shows, live lists that hold still, filters, older rows, keys."""
import copy
import json
import time

import pytest

from fake_api import event, iso
from told import READY, WRONG, attempt, fill, one, opened, rows, sane, text, texts

LIST = "table.list tbody tr"


def new(api, ids):
    """Puts requests of these ids on top of the list."""
    first, old = rows(len(ids) + 5)[5:], api.reply["requests"]("")
    for r, i in zip(first, ids):
        r["id"] = i
    api.reply["requests"] = lambda a: {**old, "requests": (first + old["requests"])[:50]}


def test_a_row_shows_where_it_went(api, page):
    fill(api)
    p = opened(page, api.url, "requests")
    cells = p.js("[...document.querySelectorAll('%s')].slice(0, 5).map((r) => [...r.children].map((c) => c.textContent.trim()))" % LIST)
    assert cells[0][1:] == ["alice", "opus-5-5", "relay-a", "200", "912 ms", "12.4 s", "1.2k/840", "87%", "$0.0612", "ok ›"]
    assert cells[1][2] == "opus-5-5 ≠ haiku-4-5"
    assert cells[2][3].split() == ["relay-b", "✕", "relay-a", "✕"] and cells[2][4:] == ["529", "–", "12.4 s", "–/–", "–", "–", "all failed ›"]
    assert cells[3][3] == "relay-b→official"
    assert cells[4][9] == "–" and p.js("document.querySelectorAll('%s')[4].children[9].firstChild.title" % LIST) == "no price for some-unknown"
    assert "not told" in p.js("document.querySelectorAll('%s')[2].children[5].firstChild.title" % LIST)
    sane(p)


def test_new_rows_come_on_top_and_wait_while_somebody_reads(api, page):
    fill(api)
    p = opened(page, api.url, "requests")
    new(api, ["a" * 20])
    p.until("document.querySelector('%s').dataset.row.includes('aaaa')" % LIST)
    p.key("j")
    p.key("j")
    p.until("document.activeElement.dataset.row && document.activeElement.previousElementSibling")
    kept = p.js("document.activeElement.dataset.row")
    new(api, ["b" * 20, "c" * 20])
    p.until("document.querySelector('#news')?.textContent == '2 new'")
    assert p.js("document.activeElement.dataset.row") == kept and "aaaa" in p.js("document.querySelector('%s').dataset.row" % LIST)
    p.click("#news")
    p.until("document.querySelector('%s').dataset.row.includes('bbbb') && !document.querySelector('#news')" % LIST)
    sane(p)


def test_scrolled_down_nothing_moves(api, page):
    fill(api)
    p = opened(page, api.url, "requests", height=500)
    p.js("scrollTo(0, 600)")
    new(api, ["d" * 20])
    p.until("document.querySelector('#news')")
    assert p.js("scrollY") == 600
    p.click("#news")
    p.until("scrollY == 0 && document.querySelector('%s').dataset.row.includes('dddd')" % LIST)


def test_older_rows_by_the_cursor(api, page):
    fill(api)
    old = [dict(r, id="%020x" % i) for i, r in enumerate(rows(9))]
    first = api.reply["requests"]
    api.reply["requests"] = lambda a: {"requests": old, "next": None, "oldest": iso(1.7e9)} if "before=" in a else first(a)
    p = opened(page, api.url, "requests")
    p.click("#older")
    p.until("document.querySelectorAll('%s').length == 49 && !document.querySelector('#older')" % LIST)
    assert any("before=7350000000000000" in a for _, _, a in api.asked)
    new(api, ["e" * 20])
    p.until("document.querySelector('#news')?.textContent == '1 new'")
    sane(p)


def test_filters_are_in_the_address_and_asked_for(api, page):
    fill(api)
    p = opened(page, api.url, "requests?status=failed&min_ms=3000")
    p.until("document.querySelector('.filters select') && [...document.querySelectorAll('.filters select')].some((s) => s.value == 'failed')")
    assert any("status=failed&min_ms=3000" in a and "since" not in a for _, _, a in api.asked if a.startswith("requests?"))
    p.js("""(() => { const s = document.querySelector('.filters select'); s.value = 'relay-a'; s.dispatchEvent(new Event('change')) })()""")
    p.until("location.hash.includes('endpoint=relay-a') && location.hash.includes('status=failed')")
    deadline = time.monotonic() + 30
    while not any("endpoint=relay-a" in a for _, _, a in api.asked) and time.monotonic() < deadline:
        p.wait(0.05)
    assert any("endpoint=relay-a" in a and "status=failed" in a for _, _, a in api.asked)
    p.call("Page.reload")
    p.until(READY)
    assert p.js("document.querySelector('.filters select').value") == "relay-a"


def test_a_half_typed_filter_outlives_updates(api, page):
    fill(api)
    p = opened(page, api.url, "requests")
    p.click("input[name=client]")
    p.type("ali")
    polls = sum(a == "overview" for _, _, a in api.asked)
    deadline = time.monotonic() + 30
    while sum(a == "overview" for _, _, a in api.asked) < polls + 3 and time.monotonic() < deadline:
        p.wait(0.1)
    assert p.js("document.activeElement.name + document.activeElement.value") == "clientali"
    p.key("Enter")
    p.until("location.hash.includes('client=ali')")


def test_without_history_from_memory_filtered_here(api, page):
    fill(api)
    api.overview["history"].update(state="off", why="state_dir is not set")
    api.reply["requests"] = lambda a: {"requests": rows(), "workers_missing": 0} if set(a.split("?")[1].split("&")) <= {"limit=50", "limit=500"} else (
        409, {"error": "history is off"})
    p = opened(page, api.url, "requests?status=failed")
    assert p.js("document.querySelectorAll('%s').length" % LIST) == 1 and "529" in text(p, LIST)
    assert "memory" in text(p, ".foot") and not text(p, "#older")
    sane(p)


def test_a_paused_history_is_searched_and_the_newest_come_from_memory(api, page):
    fill(api)
    api.overview["history"].update(state="paused", last_error="the disk is full")
    p = opened(page, api.url, "requests")
    assert "requests?limit=50" in [a for _, _, a in api.asked]
    assert text(p, "#lacks") == "state of the history: paused (the disk is full) · from memory: the last ones only"
    p.js("location.hash = '#/requests?client=alice'")
    deadline = time.monotonic() + 30
    while "requests?limit=50&client=alice" not in [a for _, _, a in api.asked] and time.monotonic() < deadline:
        p.wait(0.05)
    p.until("document.querySelector('#lacks').textContent.endsWith('newer ones are missing here')")
    sane(p)


@pytest.mark.parametrize("state", ["paused", "failed", "starting", "not answering", "sums only"])
def test_what_cannot_be_read_is_not_nothing(api, page, state):
    """No request in memory is not "no request yet"; a filter falls back to memory where the file is not open."""
    fill(api)
    api.overview["history"].update(state=state, last_error=None, why=None)
    api.reply["requests"] = lambda a: (503, {"error": "no history is open"}) if "client" in a or "since" in a else {"requests": [], "workers_missing": 0}
    p = opened(page, api.url, "requests")
    p.until("document.querySelector('main .empty')?.textContent == 'No request in memory.'")
    assert text(p, "#lacks").startswith("state of the history: %s · from memory" % state)
    api.reply["requests"] = lambda a: (503, {"error": "no history is open"}) if "client" in a or "since" in a else {"requests": rows(), "workers_missing": 0}
    p.js("location.hash = '#/requests?client=alice'")
    p.until("document.querySelector('%s')?.children[1].textContent == 'alice' && !document.querySelector('.error')" % LIST)
    assert "from memory" in text(p, "#lacks")
    sane(p, "503")


def refused(api):
    """Makes the third request one whose last place refused: the refusal was delivered, so its end is ok."""
    v, first = rows(), api.reply["requests"]
    v[2].update(end="ok", status=529)
    v[5].update(end="ok", status=400, attempts=[attempt("official", "permanent", status=400)])
    api.reply["requests"] = lambda a: {**first(a), "requests": v[2:3] if "status=failed" in a else v}
    return v[2]


def test_a_delivered_refusal_is_a_failure(api, page):
    rid = fill(api)
    r = refused(api)
    p = opened(page, api.url, "requests")
    ends = p.js("[...document.querySelectorAll('%s')].slice(2, 6).map((r) => [r.lastChild.textContent, r.lastChild.querySelector('[data-f]').dataset.v])" % LIST)
    assert ends[0] == ["all failed ›", "ok"] and ends[3] == ["failed ›", "ok"]
    api.reply["requests/" + r["id"]] = {**api.reply["requests/" + rid], **r, "choices": []}
    p.js("location.hash = '#/requests/%s'" % r["id"])
    p.until("document.querySelector('.sentence b')?.textContent == 'all failed'")
    assert texts(p, ".trail li")[-1].endswith("all failed")
    p.js("location.hash = '#/'")
    p.until("[...document.querySelectorAll('main code')].some((c) => c.textContent == 'all failed')")
    sane(p)


@pytest.mark.parametrize("width", [320, 560, 768, 1024, 1280])
def test_a_chain_of_places_stays_in_its_cell(api, page, width):
    fill(api)
    r = refused(api)
    r["attempts"] = [attempt(e, "transient") for e in ("official", "official", "a-relay-of-a-long-name", "relay-b", "gateway")]
    p = opened(page, api.url, "requests", width=width)
    p.until("document.querySelectorAll('%s .bad').length >= 5" % LIST)
    assert p.js("[...document.querySelectorAll('%s > *')].filter((e) => e.scrollWidth > e.clientWidth + 1).map((e) => e.textContent)" % LIST) == []


def test_a_field_left_with_its_page_does_not_change_the_next(api, page):
    fill(api)
    p = opened(page, api.url, "requests")
    p.click("input[name=model]")
    p.type("abc")
    p.js("location.hash = '#/endpoints'")
    p.until("document.querySelector('main').dataset.page == 'endpoints' && document.querySelectorAll('%s').length" % LIST)
    p.wait(0.3)
    assert p.js("location.hash") == "#/endpoints"


@pytest.mark.parametrize("state, shown", [("empty", "ANTHROPIC_BASE_URL"), ("none", "No request matches."), ("error", "that took too long"),
                                          ("behind", "behind by 8 s")])
def test_states_of_the_list(api, page, state, shown):
    fill(api)
    if state in ("empty", "none"):
        api.reply["requests"] = {"requests": [], "next": None, "oldest": None}
    if state == "error":
        api.reply["requests"] = (503, {"error": "that took too long: narrow the range"})
    if state == "behind":
        api.overview["history"]["behind_ms"] = 8000
    p = opened(page, api.url, "requests" + ("?client=nobody" if state == "none" else ""))
    p.until("document.querySelector('main').textContent.includes(%s)" % json.dumps(shown))
    if state == "error":
        fill(api)
        p.click(".error button")
        p.until("document.querySelectorAll('%s').length && !document.querySelector('.error')" % LIST)
    sane(p, "503")


def test_keys_walk_the_list_and_open_a_trail(api, page):
    rid = fill(api)
    first = api.reply["requests"]
    api.reply["requests"] = lambda a: {**first(a), "requests": [dict(first(a)["requests"][0], id=rid), *first(a)["requests"][1:]]}
    p = opened(page, api.url, "requests?client=alice")
    p.key("j")
    p.until("document.activeElement.dataset.row")
    p.key("j")
    p.key("k")
    p.key("Enter")
    p.until("document.querySelector('.trail')")
    p.key("Escape")
    p.until("location.hash == '#/requests?client=alice' && document.querySelector('%s')" % LIST)
    p.key("/")
    p.until("document.activeElement.name == 'id'")
    p.type(rid)
    p.key("Enter")
    p.until("document.querySelector('.trail') && location.hash.includes('%s')" % rid)
    sane(p)


def test_the_trail_says_why_there(api, page):
    rid = fill(api)
    p = opened(page, api.url, "requests/" + rid)
    p.until("document.querySelector('.trail')")
    steps = [" ".join(s.split()) for s in texts(p, ".trail li")]
    assert steps[0] == "+0 mschosen relay-b not boundskipped: official (another priority group is better)"
    assert "relay-b" in steps[1] and "28 ms permanent · 400 · wall-page · fault endpoint · scope model" in steps[1]
    assert steps[2].startswith("+28 mschosen relay-a for a second opinion") and "6.1 s ok · 200" in steps[3]
    sums = texts(p, ".facts dd")
    assert sums[0] == "12 in · 34 out · 0 read · 0 written (5 min) · 0 (1 h)"
    assert sums[1] == "$0.000546 = 12 × $3.00 + 34 × $15.00 per M, claude-sonnet-4-5, list 2025-09-29, factor 1"
    assert "2 attempts" in text(p, ".sentence") and "6.1 s" in text(p, ".sentence")
    sane(p)


def test_a_request_under_way_is_followed_to_its_end(api, page):
    """It is neither good nor bad yet; what an endpoint said of its failure is quoted, as text."""
    r = one()
    r.update(end="under way: waits for the reply", status=None, at_ms=None)
    r["attempts"] = [dict(r["attempts"][0], said="<b>no such model</b>")]
    api.reply["requests/" + r["id"]] = lambda a: copy.deepcopy(r)
    p = opened(page, api.url, "requests/" + r["id"])
    assert "under way: waits for the reply" in text(p, ".sentence")
    assert p.js("document.querySelector('.sentence').className") == "sentence open"
    assert not p.js("document.querySelector('.trail li:last-child .bad')")
    assert text(p, ".trail q") == "<b>no such model</b>"
    r.update(end="ok", status=200, total_ms=9100)
    p.until("document.querySelector('.sentence').className == 'sentence ok'")
    assert "9.1 s" in text(p, ".sentence")
    api.reply["requests/" + r["id"]] = (404, {"error": "nobody knows this request"})
    p.key("r")
    p.until("document.querySelector('main .error')?.textContent.includes('nobody knows this request')")
    n = len([a for _, _, a in api.asked if a.startswith("requests/")])
    p.wait(2.6)
    assert len([a for _, _, a in api.asked if a.startswith("requests/")]) == n
    sane(p, "404")


def test_copies_as_json(api, page):
    rid = fill(api)
    p = opened(page, api.url, "requests/" + rid)
    p.until("document.querySelector('.trail')")
    p.js("Object.defineProperty(navigator, 'clipboard', {value: {writeText: async (x) => { window.copied = x }}})")
    p.js("[...document.querySelectorAll('.page-head button')].map((b) => b.click())")
    p.until("window.copied?.startsWith('{')")
    assert json.loads(p.js("window.copied"))["id"] == rid


def test_a_request_that_is_not_there(api, page):
    fill(api)
    api.reply["requests/abc"] = (404, {"error": "no request with the id abc is remembered"})
    p = opened(page, api.url, "requests/abc")
    p.until("document.querySelector('.error')?.textContent.includes('no request with the id abc')")
    sane(p, "404")


def test_events_live_older_and_by_endpoint(api, page):
    fill(api)
    older = [event(i + 50, k=10 ** 15 - 100 - i, text="older %d" % i) for i in range(3)]
    first = [event(i) for i in range(5)]
    api.reply["events"] = lambda a: {"events": older, "next": None, "oldest": iso(1.7e9)} if "before=" in a else {
        "events": first, "next": first[-1]["k"], "oldest": iso(1.7e9)}
    p = opened(page, api.url, "events")
    assert p.js("document.querySelectorAll('%s').length" % LIST) == 5
    first.insert(0, event(-1, k=10 ** 15 + 7, text="a worker has ended", kind="operator", who="2001:db8::7"))
    p.until("document.querySelector('%s').textContent.includes('a worker has ended')" % LIST)
    assert p.js("document.querySelector('[data-f=\"%s#events.0.who\"]')?.textContent" % "events?limit=50") == "2001:db8::7"
    p.until("(%s).length == 0" % WRONG)
    p.click("#older")
    p.until("document.querySelectorAll('%s').length == 9" % LIST)
    assert any("before=%d" % first[-1]["k"] in a for _, _, a in api.asked)
    p.js("""(() => { const s = document.querySelector('.filters select'); s.value = 'relay-b'; s.dispatchEvent(new Event('change')) })()""")
    p.until("location.hash.includes('endpoint=relay-b')")
    sane(p)


def test_calls_a_minute(api, page):
    """At most 65: one overview and one list each 2 s, and none for a row."""
    fill(api)
    p = opened(page, api.url, "requests")
    n, began = len(api.asked), time.monotonic()
    p.wait(8)
    rate = (len(api.asked) - n) * 60 / (time.monotonic() - began)
    print("calls a minute on Requests: %.0f" % rate)
    assert rate <= 65 + 8  # whole calls of a short time
    assert {a.split("?")[0] for _, _, a in api.asked[n:]} <= {"overview", "requests"}
