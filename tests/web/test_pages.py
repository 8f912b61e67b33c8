"""What pages show, field by field, in the states of section 7 of the contract, and what operators do on them."""
import json
import time

import pytest

from fake_api import endpoint, event, iso, part, request, speed as fake_speed, usage

READY = "document.querySelector('main [data-f]') && !document.querySelector('.skeleton')"
PAGES = ["", "endpoints", "endpoints/official"]
STATES = ["healthy", "degraded", "cooling", "draining", "unhealthy", "circuit_open", "queued", "disabled"]


def open_page(page, api, fragment="", **kw):
    p = page(api.url + "#/" + fragment, **kw)
    p.until(READY)
    return p


def text(p, selector):
    return p.js("document.querySelector(%s)?.textContent ?? null" % json.dumps(selector))


def wait_for(p, check, what):
    deadline = time.monotonic() + 30
    while not check():
        assert time.monotonic() < deadline, what
        p.wait(0.05)


# ---- every number is the reply's

def field(doc, path):
    for k in path.split("."):
        if doc is None:
            return None
        doc = doc[int(k)] if isinstance(doc, list) else doc.get(k)
    return doc


# Fetches what the page was told and walks its marks against it, within one turn of the event loop: kept by a hook.
HOOK = """
(() => { const real = window.fetch; window.told = {};
  window.fetch = async (...a) => { const r = await real(...a); const c = r.clone();
    c.json().then((j) => { window.told[String(a[0]).replace('api/v1/', '')] = j }, () => 0); return r } })()
"""
WALK = """
(() => { const told = window.told; return [...document.querySelectorAll('[data-f]')].map((e) => {
  const [of, path] = e.dataset.f.includes('#') ? e.dataset.f.split('#') : ['overview', e.dataset.f];
  let v = told[of]; if (v === undefined) return [e.dataset.f, 'no reply', null, ''];
  for (const k of path.split('.')) v = v === null || v === undefined ? v : v[k];
  return [e.dataset.f, v === null || v === undefined ? null : String(v), e.dataset.v ?? null, e.textContent] }) })()
"""


@pytest.mark.parametrize("fragment", PAGES)
def test_each_mark_is_the_replys_field(api, page, browser, fragment):
    p = page("about:blank")
    p.call("Page.addScriptToEvaluateOnNewDocument", {"source": HOOK})
    p.go(api.url + "#/" + fragment)
    p.until(READY)
    p.key("p")
    p.until("document.querySelector('#live').dataset.state == 'paused'")
    p.wait(0.3)
    marks = p.js(WALK)
    assert len(marks) > 20
    wrong = [m for m in marks if m[1] != m[2] and not (m[0].endswith("base_url"))]
    assert wrong == []
    assert all(shown == "–" for _, value, _, shown in marks if value is None)
    assert all(shown.strip() not in ("", "–") for _, value, _, shown in marks if value is not None)
    seen = {m[0] for m in marks}
    if fragment == "":
        assert {"totals.requests_open", "totals.streams_open", "totals.ttfb_ms.p50", "totals.ttfb_ms.p95"} <= seen
    if fragment == "endpoints":
        for i in range(4):
            for path in ("name", "state", "open_requests", "max_concurrent", "success_rate", "ttfb_ms.p50", "ttfb_ms.p95",
                         "tokens.output", "sessions", "priority", "weight"):
                assert "endpoints.%d.%s" % (i, path) in seen
    if fragment == "endpoints/official":
        assert {"endpoints.0.attempts.ok", "endpoints.0.ttfb_ms.p95"} <= seen
        assert {"endpoints.0.cells." + c for c in ("0.family", "0.tier", "0.cooldown_s", "1.breaker.retry_in_s", "2.breaker.state")} <= seen
        assert {"endpoints.0.marks.0." + m for m in ("kind", "name", "until_s")} <= seen
        assert any(s.endswith("#blocks.0.projected_usd") for s in seen)


def test_a_days_sum_is_that_of_its_rows(api, page):
    """Nothing is added up in the page that the reply has summed."""
    p = open_page(page, api)
    whole = usage("usage?by=model&since=24h")
    assert whole["total"]["requests"] == sum(k["requests"] for k in whole["keys"])
    asked = [a for _, _, a in api.asked if a.startswith("usage?by=model") and "step" not in a]
    assert len(set(asked)) == 1
    since = int(asked[0].split("since=")[1])
    assert p.js("new Date(%d000).getHours() + ':' + new Date(%d000).getMinutes()" % (since, since)) == "0:0"


# ---- the sentence and the states

def test_all_is_well(api, page):
    for e in api.overview["endpoints"]:
        e.update(endpoint(e["name"]))
    p = open_page(page, api)
    assert "All well: 4 of 4 endpoints serve." in text(p, "#sentence")


def test_what_is_not_well_is_named_worst_first(api, page):
    p = open_page(page, api)
    said = text(p, "#sentence")
    assert "2 of 4 serve." in said and said.index("relay-b is queued: wall-page") < said.index("relay-a cools for 39 s")


@pytest.mark.parametrize("state,words", [
    ("cooling", "asked for a pause itself: 39 s"), ("queued", "failure queue (wall-page): verified 3 times so far, next in 5 s"),
    ("circuit_open", "failed 3 times in a row"), ("disabled", "Its key was refused (status 401)"), ("draining", "no new conversations"),
    ("degraded", "failed lately"), ("unhealthy", "tried only when nothing better"), ("healthy", "It serves")])
def test_why_an_endpoint_is_in_its_state(api, page, state, words):
    api.overview["endpoints"][1].update(endpoint("relay-a", state))
    p = open_page(page, api, "endpoints/relay-a")
    assert words in text(p, "#why")
    assert p.js("document.querySelector('#why .state code').textContent") == state.replace("_", " ")
    # a state is a word and a shape, not only a colour
    assert p.js("document.querySelector('#why .state .mark').textContent") == dict(zip(STATES, "●◐◷◇▲✕■○"))[state]


@pytest.mark.parametrize("state", ["draining", "cooling"])
def test_a_pause_does_not_say_that_it_serves(api, page, state):
    api.overview["endpoints"] = [endpoint("e", state, health="healthy")]
    p = open_page(page, api, "endpoints/e")
    assert "It serves" not in text(p, "#why")


def test_last_failures_out_of_a_history(api, page):
    """Its rows may have no attempts: the class is a dash. Where they have, each word is marked."""
    rows = [request(0, ok=False), {k: v for k, v in request(1, ok=False).items() if k != "attempts"}]
    api.reply["requests"] = {"requests": rows, "next": None, "oldest": None}
    p = open_page(page, api, "endpoints/official")
    p.until("document.querySelectorAll('[aria-label=\"Last failures\"] tbody tr').length == 2")
    cells = p.js("[...document.querySelectorAll('[aria-label=\"Last failures\"] td.c-class, [aria-label=\"Last failures\"] tbody td:nth-child(3)')].map((e) => e.textContent)")
    assert cells == ["transient overloaded", "–"]
    marks = p.js("[...document.querySelectorAll('[aria-label=\"Last failures\"] [data-f]')].map((e) => e.dataset.f.split('#')[1])")
    assert {"requests.0.time", "requests.0.attempts.0.class", "requests.0.attempts.0.reason", "requests.0.status"} <= set(marks)


def test_the_configuration_of_an_endpoint_is_marked(api, page):
    api.reply["config"] = {"config": {"endpoints": [{"name": {"value": "official"}, "weight": {"value": 50, "changed": True},
                                                     "base_url": {"value": "https://somebody:canary@api.example/v1", "changed": True}}]}}
    p = open_page(page, api, "endpoints/official")
    p.until("document.querySelector('[data-f=\"config#config.endpoints.0.weight.value\"][data-v=\"50\"]')")
    assert p.js("document.querySelector('[data-from=\"config#config.endpoints.0.base_url.value\"]').textContent") == "api.example/v1"
    assert "canary" not in p.js("document.documentElement.outerHTML")


def test_an_endpoint_that_is_not_there(api, page):
    p = page(api.url + "#/endpoints/nobody")
    p.until("document.querySelector('main .empty')")
    assert "nobody" in text(p, "main .empty")


# ---- section 7

def test_loading_is_a_skeleton_that_does_not_jump(api, page):
    api.hold = 1.5
    p = page(api.url)
    p.until("document.querySelector('main .skeleton')")
    assert text(p, "main h1") == "Overview"


def test_empty_says_what_to_do(api, page):
    api.requests = -2
    api.overview["history"]["requests"] = 0
    api.tell_real = api.tell
    api.tell = lambda: {**api.tell_real(), "totals": {**api.overview["totals"], "requests": 0}}
    p = open_page(page, api)
    assert "export ANTHROPIC_BASE_URL=http://127.0.0.1:7860" in text(p, "main")
    api.overview["endpoints"] = []
    p = page(api.url + "#/endpoints")
    p.until("document.querySelector('main .empty')")
    assert "qcc.yaml" in text(p, "main .empty")


def test_an_error_is_its_parts_alone(api, page):
    api.reply["events"] = (503, {"error": "that took too long: narrow the range"})
    p = open_page(page, api)
    assert p.js("document.querySelectorAll('main .error').length") == 1
    assert "that took too long" in text(p, "main .error")
    assert "39 s" in text(p, "main")  # the rest stands
    api.reply["events"] = {"events": [event(1)], "next": None, "oldest": None}
    p.click("main .error button")
    p.until("!document.querySelector('main .error')")


def test_history_off_shows_no_zeroes(api, page):
    api.overview["history"].update(state="off", why="state_dir is not set", requests=0)
    for what in ("usage", "usage/blocks", "speed", "requests?since=24h&status=failed&limit=5", "requests?endpoint=official&status=failed&since=7d&limit=5"):
        api.reply[what] = (409, {"error": "history is off: state_dir is not set"})
    p = open_page(page, api)
    said = text(p, "main")
    assert "History is off: set state_dir or history.enabled" in said and "$0" not in said
    assert "Since counting began" in said and "23,080" in said
    assert p.js("document.querySelectorAll('main .error').length") == 0
    p = open_page(page, api, "endpoints/official")
    assert "$0" not in text(p, "main") and "History is off" in text(p, "main")
    p = open_page(page, api, "endpoints")
    assert "Cost 24 h: History is off" in text(p, ".filters")
    # Nothing is asked that only a history can tell.
    assert [a for _, _, a in api.asked if a.startswith(("usage", "speed")) or "since=" in a] == []


def test_what_was_not_told_is_a_dash(api, page):
    p = open_page(page, api, "endpoints")
    cell = p.js("(e => [e.textContent, e.title])(document.querySelector('[data-f=\"endpoints.2.ttfb_ms.p50\"]'))")
    assert cell == ["–", "not told"]


def test_no_price_is_a_lower_bound_or_a_dash(api, page):
    api.reply["usage?by=endpoint&since=24h"] = {
        **usage("usage?by=endpoint&since=24h"),
        "keys": [{"key": "official", **part(5, None, priced_usd=12.34, unpriced=["x"])}, {"key": "relay-a", **part(5, None, unpriced=["x"])},
                 {"key": "relay-b", **part(5, 0.0123)}]}
    p = open_page(page, api, "endpoints")
    p.until("document.querySelector('main tbody').textContent.includes('$0.0123')")
    cost = lambda name: p.js("document.querySelector('tr[data-row$=%s] td:nth-last-child(2)').textContent" % json.dumps("/" + name))
    assert [cost(n) for n in ("official", "relay-a", "relay-b", "relay-c")] == ["≥ $12.34", "–", "$0.0123", "–"]


# ---- the table

def names(p):
    return p.js("[...document.querySelectorAll('main tbody tr th a')].map((a) => a.textContent)")


def test_filter_and_order_are_in_the_address(api, page):
    p = open_page(page, api, "endpoints")
    p.click("th:nth-child(8) button")  # bound
    p.until("location.hash.includes('sort=-bound')")
    p.until("document.querySelector('th:nth-child(8)').getAttribute('aria-sort') == 'descending'")
    assert names(p)[0] == "official"
    p.key("/")
    p.type("relay")
    p.until("location.hash.includes('q=relay')")
    wait_for(p, lambda: sorted(names(p)) == ["relay-a", "relay-b", "relay-c"], "the rows that fit")
    address = p.js("location.href")
    q = page(address)
    q.until(READY)
    assert names(q) == names(p) and q.js("document.querySelector('input[type=search]').value") == "relay"


def test_rows_by_keys(api, page):
    p = open_page(page, api, "endpoints")
    p.key("j")
    p.key("j")
    p.key("j")
    p.key("k")
    assert p.js("document.activeElement.querySelector('th').textContent") == "relay-a"
    p.key("Enter")
    p.until("location.hash == '#/endpoints/relay-a'")


def test_focus_selection_menu_and_text_outlive_polls(api, page):
    p = open_page(page, api, "endpoints?sort=-open")
    p.click("tr[data-row$=relay-a] input[type=checkbox]")
    p.until("document.querySelector('tr.picked')")
    p.js("document.querySelector('input[type=search]').focus()")
    p.type("re")
    p.js("document.querySelector('input[type=search]').setSelectionRange(1, 1)")
    seen = lambda: p.js("[document.activeElement.type, document.activeElement.value, document.activeElement.selectionStart,"
                        "document.querySelectorAll('tr.picked').length]")
    was = seen()
    polls = p.js("Number(document.querySelector('main').dataset.poll)")
    for i in range(5):
        api.overview["endpoints"][i % 4]["open_requests"] += 7  # the order changes below the focus
        p.until("Number(document.querySelector('main').dataset.poll) > %d" % polls)
        polls = p.js("Number(document.querySelector('main').dataset.poll)")
        assert seen() == was == ["search", "re", 1, 1]
    p.click("tr[data-row$=relay-c] button[aria-haspopup=menu]")
    p.until("document.querySelector('[role=menu]:popover-open')?.contains(document.activeElement)")
    p.key("ArrowDown")
    on = p.js("document.activeElement.textContent")
    api.overview["endpoints"][3]["open_requests"] = 99
    polls = p.js("Number(document.querySelector('main').dataset.poll)")
    p.until("Number(document.querySelector('main').dataset.poll) > %d" % polls)
    assert p.js("document.querySelector('[role=menu]').matches(':popover-open')") and p.js("document.activeElement.textContent") == on
    p.key("Escape")
    p.until("!document.querySelector('[role=menu]') && document.activeElement.getAttribute('aria-haspopup') == 'menu'")


# ---- actions

def posts(api):
    return [a for _, m, a in api.asked if m == "POST"]


def test_an_action_is_asked_for_done_and_said(api, page):
    p = open_page(page, api, "endpoints/official")
    p.click("[data-act=disable]")
    p.until("document.querySelector('dialog[open]')")
    assert "Disable official?" in text(p, "dialog") and "Nothing will serve" not in text(p, "dialog")
    p.click("dialog button:first-child")  # cancel
    p.until("!document.querySelector('dialog')")
    assert posts(api) == []
    p.click("[data-act=disable]")
    p.click("dialog[open] button.danger")
    p.until("document.querySelector('.toast')?.textContent.includes('official is disabled')")
    assert posts(api) == ["endpoints/official/disable"]
    p.until("document.querySelector('#why .state code').textContent == 'disabled'")
    p.until("document.querySelector('#said').textContent.includes('official is disabled')")


def test_an_error_stays_until_it_is_closed(api, page):
    api.reply["POST endpoints/official/verify"] = (503, {"error": "no worker serves"})
    p = open_page(page, api, "endpoints/official")
    p.click("[data-act=verify]")
    p.until("document.querySelector('.toast.error')?.textContent.includes('no worker serves')")
    assert p.js("document.querySelector('#why .state code').textContent") == "healthy"
    p.click(".toast.error button")
    p.until("!document.querySelector('.toast')")


def test_errors_outlive_successes(api, page):
    """Eight at once, the first refused: it stays in view, and each is said."""
    api.overview["endpoints"] = [endpoint("e%d" % i) for i in range(8)]
    api.reply["POST endpoints/e0/verify"] = (409, {"error": "there is no key"})
    p = open_page(page, api, "endpoints")
    p.click("thead input[type=checkbox]")
    p.click(".picked-bar button:nth-of-type(4)")
    p.until("document.querySelector('#said').textContent.includes('e7')")
    assert all("e%d" % i in text(p, "#said") for i in range(8))
    assert "there is no key" in text(p, ".toast.error")


def test_a_busy_button_keeps_the_focus(api, page):
    p = open_page(page, api, "endpoints/official")
    api.hold = 0.3
    p.js("document.querySelector('[data-act=verify]').focus()")
    p.key("Enter")
    p.until("document.querySelector('[data-act=verify][aria-busy=true]')")
    p.key("Enter")  # is not done twice
    p.until("document.querySelector('.toast') && !document.querySelector('[aria-busy=true]')")
    assert p.js("document.activeElement.dataset.act") == "verify" and len(posts(api)) == 1


def test_the_last_that_serves_is_warned_about(api, page):
    for e in api.overview["endpoints"][1:]:
        e.update(endpoint(e["name"], "queued"))
    p = open_page(page, api, "endpoints/official")
    p.click("[data-act=drain]")
    p.until("document.querySelector('dialog[open]')")
    assert "Nothing will serve after this." in text(p, "dialog")


def test_an_open_question_sees_what_others_do(api, page):
    """Another operator takes the others out while it is asked."""
    p = open_page(page, api, "endpoints/official")
    p.click("[data-act=drain]")
    p.until("document.querySelector('dialog[open]')")
    assert "Nothing will serve" not in text(p, "dialog")
    for e in api.overview["endpoints"][1:]:
        e.update(endpoint(e["name"], "disabled"))
    p.until("document.querySelector('dialog').textContent.includes('Nothing will serve after this.')")


def test_use_only_this_one_names_the_others(api, page):
    p = open_page(page, api, "endpoints")
    p.click("tr[data-row$=official] button[aria-haspopup=menu]")
    p.click("[role=menuitem]:last-child")
    p.until("document.querySelector('dialog[open]')")
    assert "relay-a, relay-b, relay-c" in text(p, "dialog")
    p.click("dialog[open] button:last-child")
    wait_for(p, lambda: len(posts(api)) == 3, "three drains")
    assert posts(api) == ["endpoints/relay-%s/drain" % x for x in "abc"]


def test_one_verb_for_several(api, page):
    p = open_page(page, api, "endpoints")
    for name in ("relay-a", "relay-c"):
        p.click("tr[data-row$=%s] input[type=checkbox]" % name)
    p.click(".picked-bar button:nth-of-type(4)")  # verify, not asked
    wait_for(p, lambda: len(posts(api)) == 2, "two verifications")
    assert posts(api) == ["endpoints/relay-a/verify", "endpoints/relay-c/verify"]


# ---- charts

def test_an_empty_chart_has_no_steps_and_its_width_at_once(api, page):
    api.reply["usage"] = lambda a: {**usage(a), "buckets": []}
    p = page("about:blank")
    p.call("Page.addScriptToEvaluateOnNewDocument", {"source": """window.axes = new Set();
        (function look() { const x = document.querySelector('.chart .axis'); if (x) axes.add(x.getAttribute('d').split('h')[1]); requestAnimationFrame(look) })()"""})
    p.go(api.url)
    p.until("window.axes?.size && document.querySelector('.chart .axis')")
    p.wait(0.2)
    assert p.js("[...document.querySelectorAll('.chart text[text-anchor=end]')].map((e) => e.textContent)") == ["0"]
    assert p.js("Math.min(...axes)") > 100  # never drawn at its smallest


@pytest.mark.parametrize("ms, unit, top", [(0.4, "ms", 0.4), (7.0, "ms", 7), (640.0, "ms", 640), (2400.0, "s", 2.4)])
def test_the_axis_of_the_first_byte_fits_its_times(api, page, ms, unit, top):
    def speed(address):
        d = fake_speed(address)
        for b in d["buckets"]:
            b["first_byte_ms"] = {"p50": ms / 2, "p95": ms, "p99": ms}
        return d

    api.reply["speed"] = speed
    p = open_page(page, api, "endpoints/official")
    p.until("document.querySelector('.chart .unit')?.textContent == %r" % unit)
    axis = [float(x.replace(",", "")) for x in p.js("[...document.querySelectorAll('.chart text[text-anchor=end]')].map((e) => e.textContent)")]
    steps = {round(b - a, 6) for a, b in zip(axis, axis[1:])}
    assert axis[0] == 0 and len(steps) == 1 and 2 <= len(axis) <= 7, axis
    assert top <= axis[-1] <= 2 * top


def test_few_requests_have_whole_steps(api, page):
    one = lambda a: {**usage(a), "buckets": [{"time": usage(a)["times"][3], "ok": 2, "requests": 2, "tokens": {}, "cost_usd": 0, "priced_usd": 0}]}
    api.reply["usage"] = one
    p = open_page(page, api)
    p.until("document.querySelector('.chart .axis')")
    assert p.js("[...document.querySelectorAll('.chart text[text-anchor=end]')].map((e) => e.textContent)") == ["0", "1", "2"]


def test_a_chart_has_a_cursor_for_keys_and_is_a_table_too(api, page):
    p = open_page(page, api)
    p.js("document.querySelector('.chart svg').focus()")
    p.key("ArrowLeft")
    p.until("document.querySelector('.chart .cursor')")
    one = text(p, ".readout")
    p.key("ArrowLeft")
    p.until("document.querySelector('.readout').textContent != %s" % json.dumps(one))
    assert "ok" in p.js("document.querySelector('.chart svg').getAttribute('aria-valuetext')")
    assert "requests per 15 min" in text(p, ".chart")
    assert p.js("document.querySelectorAll('.chart rect[fill=\"url(#hatch)\"]').length") <= 1
    p.click(".chart summary")
    p.until("document.querySelectorAll('.chart table tbody tr').length > 90")


def test_before_the_history_nothing_is_known(api, page):
    api.overview["history"]["oldest"] = iso(time.time() - 3600 * 6)
    p = open_page(page, api)
    p.until("document.querySelector('.chart .unknown')")
    p.click(".chart summary")
    p.until("document.querySelectorAll('.chart table tbody tr').length > 90")
    # The reply has no bucket for the eighth: nothing is known of it, while one of the last hours is a zero.
    row = "document.querySelector('.chart table tbody tr:nth-child(%d) td').textContent"
    assert p.js(row % 8) == "–"
    assert p.js(row % (7 + 11 * 8 + 1)) == "0"


# ---- hostile names, secrets

HOSTILE = ["<img src=x onerror=alert(1)>", "‮evil‬ name", "x" * 64, "🦊 fox", "=cmd()|' /C calc'!A0", "a/b?c#d%20&e"]


@pytest.mark.parametrize("fragment", PAGES[:2])
def test_hostile_names_are_text(api, page, fragment):
    api.overview["endpoints"] = [endpoint(n, STATES[i]) for i, n in enumerate(HOSTILE)]
    api.reply["events"] = {"events": [event(i, endpoint=n, text="health " + n) for i, n in enumerate(HOSTILE)], "next": None, "oldest": None}
    api.reply["requests"] = {"requests": [request(i, ok=False, endpoint=n, model=n, client=n) for i, n in enumerate(HOSTILE)], "next": None, "oldest": None}
    p = open_page(page, api, fragment)
    assert p.js("document.querySelectorAll('img, script:not([src])').length") == 0
    for n in HOSTILE:
        assert n in text(p, "main")
    assert p.js("document.documentElement.scrollWidth <= innerWidth")
    assert p.console == []


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_has_its_page(api, page, name):
    api.overview["endpoints"] = [endpoint(name)]
    p = open_page(page, api, "endpoints")
    p.click("main tbody th a")
    p.until("document.querySelector('#why')")
    assert text(p, "h1") == name
    assert p.console == []


def test_an_address_shows_host_and_path_alone(api, page):
    api.overview["endpoints"][0]["base_url"] = "https://user:canary1@relay.example/v1?key=canary2"
    for fragment in PAGES:
        p = open_page(page, api, fragment)
        assert "canary" not in p.js("document.documentElement.outerHTML")
    assert "relay.example/v1" in text(p, "main")


# ---- sizes, access, budgets

@pytest.mark.parametrize("fragment", PAGES)
@pytest.mark.parametrize("width", [320, 360, 768, 1280, 1920])
def test_no_sideways_scrolling(api, page, fragment, width):
    for lang in ("en-US", "zh-CN"):
        p = open_page(page, api, fragment, width=width, lang=lang)
        assert p.js("document.documentElement.scrollWidth") <= width
        if width <= 360:
            small = p.js("[...document.querySelectorAll('button, select, input[type=search]')].filter((e) => e.offsetWidth &&"
                         "!e.closest('thead') && (e.offsetHeight < 44 || e.offsetWidth < 44)).map((e) => e.outerHTML.slice(0, 80))")
            assert small == []
            low = p.js("[...document.querySelectorAll('a[href], summary')].filter((e) => e.checkVisibility() && !e.closest('thead, p:not(.sentence)') && !e.matches('.skip')"
                       " && e.offsetHeight < 44).map((e) => e.outerHTML.slice(0, 90))")
            assert low == []
        assert p.console == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast_of_the_custom_properties(api, page, scheme):
    p = open_page(page, api, scheme=scheme)
    colour = p.js("""(() => { const probe = document.body.appendChild(document.createElement('i')); const out = {};
        for (const k of ['bg', 'card', 'sunk', 'text', 'dim', 'link', 'focus', 'edge', 'ok', 'warn', 'bad', 'info', 'ok-bg', 'warn-bg', 'bad-bg', 'info-bg', 'primary', 'on-primary',
            's0', 's1', 's2', 's3', 's4', 's5', 's6', 's7', 's8']) {
            const c = document.createElement('canvas').getContext('2d'); probe.style.color = `var(--${k})`; c.fillStyle = getComputedStyle(probe).color; out[k] = c.fillStyle } return out })()""")

    def light(hexa):
        part_of = lambda c: c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4
        r, g, b = (part_of(int(hexa[i:i + 2], 16) / 255) for i in (1, 3, 5))
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    def ratio(a, b):
        high, low = sorted((light(colour[a]), light(colour[b])), reverse=True)
        return (high + 0.05) / (low + 0.05)

    grounds = ["bg", "card", "sunk", "warn-bg", "bad-bg", "info-bg"]
    for ground in grounds:
        for front in ("text", "dim", "link"):
            assert ratio(front, ground) >= 4.5, (front, ground, ratio(front, ground))
        assert ratio("focus", ground) >= 3
    for front in ("ok", "warn", "bad"):
        assert ratio(front, "card") >= 4.5 and ratio(front, "bg") >= 4.5
    assert ratio("on-primary", "primary") >= 4.5
    for mark in ["s%d" % i for i in range(9)] + ["edge"]:
        assert ratio(mark, "card") >= 3, (mark, ratio(mark, "card"))


@pytest.mark.parametrize("fragment", PAGES)
def test_names_and_roles(api, page, fragment):
    p = open_page(page, api, fragment)
    assert p.js("document.querySelectorAll('h1').length") == 1
    nodes = p.call("Accessibility.getFullAXTree")["nodes"]
    for n in nodes:
        role = n.get("role", {}).get("value")
        if role in ("button", "link", "textbox", "searchbox", "combobox", "checkbox", "slider", "table", "dialog") and not n.get("ignored"):
            assert n.get("name", {}).get("value"), (role, n.get("properties"))
    assert p.js("[...document.querySelectorAll('main table')].every((t) => t.caption && [...t.querySelectorAll('thead th')].every((h) => h.scope == 'col'))")


@pytest.mark.parametrize("fragment", PAGES)
def test_a_walk_by_tab(api, page, fragment):
    p = open_page(page, api, fragment)
    p.js("document.activeElement?.blur()")
    count = p.js("[...document.querySelectorAll('a[href], button:not([disabled]), input, select, summary, [tabindex=\"0\"]')].filter((e) => e.checkVisibility()).length")
    seen, unseen = [], []
    for _ in range(count + 2):
        p.key("Tab")
        here = p.js("""(() => { const e = document.activeElement; if (!e || e === document.body) return null;
            const s = getComputedStyle(e); const b = e.getBoundingClientRect();
            window.walk ??= new Map(); if (!window.walk.has(e)) window.walk.set(e, window.walk.size);
            return [window.walk.get(e), s.outlineStyle != 'none' && parseFloat(s.outlineWidth) >= 2, e.outerHTML.slice(0, 90), b.width > 0] })()""")
        if here is None:
            break
        seen.append(here[0])
        if not here[1] or not here[3]:
            unseen.append(here[2])
    assert unseen == []
    assert len(set(seen)) >= count - 1  # everything, no trap


@pytest.mark.parametrize("width", [320, 560, 740, 860, 1000, 1280])
def test_nothing_is_cut_off(api, page, width):
    """A table is as wide as its place, a long address wraps."""
    for e in api.overview["endpoints"]:
        e.update(base_url="https://%s.example/v1" % ("x" * 70), name=e["name"])
    api.overview["endpoints"][1]["queued"] = {"reason": "wall-page", "verifications": 3, "verifying": False, "next_in_s": 4000, "since_s": 1, "in_reach": False}
    for fragment in ("endpoints", "endpoints/official"):
        p = open_page(page, api, fragment, width=width)
        assert p.js("document.documentElement.scrollWidth") <= width
        assert p.js("[...document.querySelectorAll('.table-wrap')].filter((e) => e.scrollWidth > e.clientWidth + 1).map((e) => e.textContent.slice(0, 40))") == []
