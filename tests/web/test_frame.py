"""The frame of every page: live updates, banners, token, keys, languages, themes; with a fake API."""
import threading
import time

import pytest

from fake_api import endpoint, iso, usage

READY = "document.querySelector('main [data-f]') && document.querySelector('#live').dataset.state == 'live'"
OVERVIEWS = lambda api: [a for a in api.asked if a[2] == "overview"]


def text(p, selector):
    return p.js("document.querySelector(%r)?.textContent ?? null" % selector)


def sane(p, *allowed):
    """Nothing on the console, no foreign request, nothing that failed."""
    said = [c for c in p.console if not any(a in c for a in allowed)]
    assert said == []
    hosts = {r.url.split("/")[2] for r in p.requests if "://" in r.url and not r.url.startswith("data:")}
    assert len(hosts) <= 1


def banners(p):
    return p.js("[...document.querySelectorAll('.banner[data-banner]')].map(b => b.dataset.banner.split('-')[0])")


# ---- live

def test_polls_one_after_another(api, page):
    api.hold = 0.4
    p = page(api.url)
    p.until(READY)
    p.until("Number(document.querySelector('main').dataset.poll) > 0")
    n = len(OVERVIEWS(api))
    deadline = time.monotonic() + 30
    while len(OVERVIEWS(api)) < n + 3 and time.monotonic() < deadline:
        p.wait(0.1)
    times = [t for t, _, a in api.asked if a == "overview"]
    assert len(times) >= n + 3
    # The next begins 2 s after the end of the last: never sooner than its duration.
    assert min(b - a for a, b in zip(times, times[1:])) > 2.3
    sane(p)


def test_pause_stops_and_a_click_goes_on(api, page):
    p = page(api.url)
    p.until(READY)
    p.key("p")
    p.until("document.querySelector('#live').dataset.state == 'paused' && !document.querySelector('.skeleton')")
    p.wait(0.5)
    n = len(api.asked)
    p.wait(2.6)
    assert len(api.asked) == n
    p.click("#live")
    p.until("document.querySelector('#live').dataset.state == 'live'")
    assert len(OVERVIEWS(api)) > 0 and len(api.asked) > n


def test_pause_while_there_is_no_connection(api, page):
    p = page(api.url)
    p.until(READY)
    p.offline(True)
    p.until("document.querySelector('#live').dataset.state == 'retrying'")
    p.key("p")
    p.until("document.querySelector('#live').dataset.state == 'paused' && document.querySelector('main.stale')")
    p.offline(False)
    p.key("p")
    p.until("document.querySelector('#live').dataset.state == 'live' && !document.querySelector('main.stale')")


def test_values_stay_greyed_while_there_is_no_connection(api, page):
    p = page(api.url)
    p.until(READY)
    before = p.js("document.querySelector('[data-f=\"endpoints.0.open_requests\"]').textContent")
    p.offline(True)
    p.until("document.querySelector('#live').dataset.state == 'retrying'")
    p.until("document.querySelector('main.stale') && document.querySelector('footer time')")
    assert "retrying" in text(p, "#live")
    assert p.js("document.querySelector('[data-f=\"endpoints.0.open_requests\"]').textContent") == before
    n = len(OVERVIEWS(api))
    p.offline(False)
    p.until("document.querySelector('#live').dataset.state == 'live' && !document.querySelector('main.stale')")
    assert len(OVERVIEWS(api)) > n


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_is_stale_can_be_read(api, page, scheme):
    p = page(api.url + "#/endpoints", scheme=scheme)
    p.until(READY)
    p.offline(True)
    p.until("document.querySelector('main.stale')")
    assert p.js("getComputedStyle(document.querySelector('main')).opacity") == "1"
    assert p.js("getComputedStyle(document.querySelector('.search'), '::placeholder').color == getComputedStyle(document.querySelector('.dim')).color")


def test_a_hidden_page_asks_nothing(api, page):
    p = page(api.url)
    p.until(READY)
    hide = ("Object.defineProperty(document, 'hidden', {value: %s, configurable: true});"
            "document.dispatchEvent(new Event('visibilitychange'))")
    p.js(hide % "true")
    p.wait(0.5)
    n = len(api.asked)
    p.wait(2.6)
    assert len(api.asked) == n
    p.js(hide % "false")
    deadline = time.monotonic() + 30
    while len(OVERVIEWS(api)) == 0 or len(api.asked) == n:
        p.wait(0.05)
        assert time.monotonic() < deadline
    p.until(READY)


def test_a_restart_begins_differences_anew(api, page):
    p = page(api.url)
    p.until(READY)
    p.until("/^[0-9]/.test(document.querySelector('#rate').textContent)")
    api.overview["boot"] = int(time.time() * 1000)
    api.overview["generation"] = 1
    api.requests = 0
    usage = lambda: len([a for a in api.asked if a[2].startswith("usage")])
    n = usage()
    p.until("document.querySelector('footer [data-f=generation]').textContent == '1'")
    deadline = time.monotonic() + 30
    while usage() < n + 3:
        p.wait(0.05)
        assert time.monotonic() < deadline
    rate = p.js("document.querySelector('#rate').textContent")
    assert not rate.startswith("-") and not rate.startswith("−")


def test_an_upgrade_is_said_and_not_loaded_by_itself(api, page):
    p = page(api.url)
    p.until(READY)
    api.overview["version"] = "1.1.0"
    p.until("document.querySelector('[data-banner=\"version-1.1.0\"]')")
    assert "1.1.0" in text(p, "[data-banner='version-1.1.0']")


# ---- banners

@pytest.mark.parametrize("change,banner,words", [
    (lambda o: [e.update(endpoint(e["name"], "queued")) for e in o["endpoints"]], "none", "No endpoint is usable"),
    (lambda o: o.update(last_reload={"at": iso(time.time()), "ok": False, "error": "bad", "faults": ["a", "b"]}), "reload", "2 faults"),
    (lambda o: o["history"].update(state="paused", last_error="disk full"), "history", "disk full"),
    (lambda o: o["history"].update(last_error="history.db cannot be used (damaged): it is set aside as history.db.bad-1", last_error_at=iso(time.time())),
     "history-aside", "began anew"),
    (lambda o: o["history"].update(state="broken", last_error="malformed"), "history", "malformed"),
    (lambda o: o["history"].update(state="sums only", why="the file is at max_size"), "history", "sums only: the file"),
    (lambda o: o["history"].update(state="not answering"), "history", "not answering"),
    (lambda o: [e.update(endpoint(e["name"], "cooling")) for e in o["endpoints"]], "none", "No endpoint is usable"),
    (lambda o: [e.update(endpoint(e["name"], "circuit_open")) for e in o["endpoints"]], "none", "No endpoint is usable"),
    (lambda o: [e.update(endpoint(e["name"], "draining")) for e in o["endpoints"]], "none", "No endpoint is usable"),
    (lambda o: o["history"].update(behind_ms=8000), "history", "8 s"),
    (lambda o: o["endpoints"][1].update(endpoint("relay-a", "disabled")), "auth", "relay-a: key refused"),
])
def test_a_banner(api, page, change, banner, words):
    change(api.overview)
    p = page(api.url)
    p.until(READY)
    p.until("document.querySelector('[data-banner^=\"%s\"]')" % banner)
    assert words in text(p, "[data-banner^='%s']" % banner)
    p.click("[data-banner^='%s'] button[aria-label=Dismiss]" % banner)
    p.until("!document.querySelector('[data-banner^=\"%s\"]')" % banner)


@pytest.mark.parametrize("change", [{"state": "unhealthy"}, {"state": "cooling", "cooldown_own_word": False}])
def test_what_readyz_counts_is_usable(api, page, change):
    """Tried last, but tried: no banner, and the sentence agrees."""
    for e in api.overview["endpoints"]:
        e.update(endpoint(e["name"], **change))
    p = page(api.url)
    p.until(READY)
    p.until("document.querySelector('#sentence')")
    assert "none" not in banners(p) and "4 of 4 serve" in text(p, "#sentence")


@pytest.mark.parametrize("fragment", ["", "logs", "system"])
def test_models_without_a_price_are_told_on_each_page(api, page, fragment):
    api.reply["prices"]["unpriced"] = [{"model": "some-unknown", "requests": 1234, "last": iso(time.time() - 3600)}]
    p = page(api.url + "#/" + fragment)
    p.until("document.querySelector('[data-banner^=prices]')?.textContent.includes('some-unknown')")
    p.until("document.querySelector('footer').textContent.includes('list prices of 2026-11-09')")


def test_at_most_three_banners_the_worst_first(api, page):
    for e in api.overview["endpoints"]:
        e.update(endpoint(e["name"], "disabled"))
    api.overview["last_reload"] = {"at": iso(time.time()), "ok": False, "error": "bad", "faults": ["a"]}
    api.reply["prices"]["unpriced"] = [{"model": "some-unknown", "requests": 1234, "last": iso(time.time() - 3600)}]
    p = page(api.url)
    p.until(READY)
    p.until("document.querySelector('.banner.more')")
    assert banners(p) == ["none", "reload", "auth"]
    assert "more" in text(p, ".banner.more")
    # The endpoints whose keys were refused share one.
    assert "official, relay-a, relay-b, … (4): key refused" in text(p, "[data-banner^=auth]")


def test_a_clock_that_differs_is_said(api, page):
    api.skew = 3600
    p = page(api.url)
    p.until("document.querySelector('[data-banner=clock]')")
    assert "ahead" in text(p, "[data-banner=clock]")


# ---- token, refusals

def test_a_token_is_asked_for_and_kept(api, page):
    api.token = "s3cret-token"
    p = page(api.url + "#/endpoints")
    p.until("document.activeElement?.matches('form.token input[name=token]')")
    assert "admin.token" in text(p, "main")
    for i in range(3):
        n = len(OVERVIEWS(api))
        p.js("document.querySelector('form.token input[name=token]').value = ''; document.querySelector('form.token input[name=token]').focus()")
        p.type("wrong")
        deadline = time.monotonic() + 30
        while len(OVERVIEWS(api)) == n:  # not taken while the reply to the last one is awaited
            p.key("Enter")
            p.wait(0.5)
            assert time.monotonic() < deadline
        p.until("document.querySelector('#token-said').textContent.includes('not the token')")
        if i < 2:
            p.until("!document.querySelector('form.token button').disabled")
    p.until("document.querySelector('form.token button').disabled")
    p.until("!document.querySelector('form.token button').disabled")
    p.js("document.querySelector('form.token input[name=token]').value = ''; document.querySelector('form.token input[name=token]').focus()")
    p.type("s3cret-token")
    p.key("Enter")
    p.until(READY)
    assert p.js("location.hash") == "#/endpoints"
    assert p.js("sessionStorage.getItem('qcc.token')") == "s3cret-token" and p.js("localStorage.getItem('qcc.token')") is None
    assert "s3cret-token" not in p.js("document.documentElement.outerHTML")
    assert all("s3cret" not in r.url for r in p.requests)
    # A token that changes: the form again, and the same page after it.
    api.token = "another"
    p.until("document.querySelector('form.token')")


def test_a_refusal_says_the_fix(api, page):
    api.refuse = (403, {"error": "this host name is not allowed here"})
    p = page(api.url)
    p.until("document.querySelector('main .error')")
    assert "this host name is not allowed here" in text(p, "main") and "localhost" in text(p, "main")
    api.refuse = None
    p.click("#live")
    p.until(READY)


# ---- keys, language, theme

@pytest.mark.parametrize("width", [730, 800, 860, 960, 1024])
def test_the_navigation_is_whole(api, page, width):
    for lang in ("en-US", "zh-CN"):
        p = page(api.url, width=width, lang=lang)
        p.until(READY)
        assert p.js("(() => { const n = document.querySelector('nav'); return n.scrollWidth <= n.clientWidth })()")



@pytest.mark.parametrize("key,page_name", [("e", "endpoints"), ("o", "overview")])
def test_keys_go_to_pages(api, page, key, page_name):
    p = page(api.url + "#/nowhere")
    p.until("document.querySelector('main h1')")
    p.key("g")
    p.key(key)
    p.until("document.querySelector('main').dataset.page == %r" % page_name)


def test_single_keys_can_be_switched_off(api, page):
    p = page(api.url)
    p.until(READY)
    p.key("?", shift=True)
    p.until("document.querySelector('dialog[open]')")
    p.click("dialog .help section label input[type=checkbox]")
    p.key("Escape")
    p.until("!document.querySelector('dialog')")
    p.key("p")
    p.wait(0.2)
    assert p.js("document.querySelector('#live').dataset.state") == "live"


def test_the_help_returns_the_focus(api, page):
    p = page(api.url)
    p.until(READY)
    p.js("document.querySelector('#help').focus()")
    p.key("Enter")
    p.until("document.querySelector('dialog[open]')?.contains(document.activeElement)")
    assert "queued" in text(p, "dialog") and "Second opinion" in text(p, "dialog")
    p.key("Escape")
    p.until("!document.querySelector('dialog') && document.activeElement.id == 'help'")


def test_the_language_of_the_browser_and_the_switch(api, page):
    p = page(api.url, lang="zh-CN")
    p.until(READY)
    assert p.js("document.documentElement.lang") == "zh-CN" and "总览" in text(p, "nav")
    assert "queued" in text(p, "main")  # QCC's own words stay
    p.click("#lang")
    p.until("document.documentElement.lang == 'en'")
    p.until("document.querySelector('nav').textContent.includes('Overview')")
    p.call("Page.reload")
    p.until(READY)
    assert p.js("document.documentElement.lang") == "en"


def test_the_theme_switch_lasts(api, page):
    p = page(api.url, scheme="dark")
    p.until(READY)
    dark = p.js("getComputedStyle(document.documentElement).backgroundColor")
    p.key("t")
    p.until("document.documentElement.dataset.theme == 'light'")
    assert p.js("getComputedStyle(document.documentElement).backgroundColor") != dark
    p.call("Page.reload")
    p.until(READY)
    assert p.js("document.documentElement.dataset.theme") == "light"


def test_nothing_moves_where_motion_is_reduced(api, page):
    p = page(api.url, motion="reduce")
    p.until(READY)
    p.key("?", shift=True)
    p.until("document.querySelector('dialog[open]')")
    assert p.js("document.getAnimations().length") == 0


def test_a_server_that_stands_still_is_not_shown_as_fresh(api, page):
    """No reply within 5 s: what is shown is of an earlier time, and says so; it goes on by itself."""
    p = page(api.url)
    p.until(READY)
    api.hold = 8
    p.until("document.querySelector('#live').dataset.state == 'retrying'")
    p.until("document.querySelector('main.stale') && document.querySelector('.as-of')")
    api.hold = 0
    p.until("document.querySelector('#live').dataset.state == 'live'")


def test_reading_anew_is_not_lost_on_a_reply_that_is_under_way(api, page):
    """What `r` asks for is newer than the key, also where the same question was just being answered."""
    entered, go, n = threading.Event(), threading.Event(), []

    def usage_held(a):
        n.append(a)
        if len(n) == 1:
            entered.set()
            go.wait(20)
        return usage(a)

    api.reply["usage"] = lambda a: usage_held(a) if "since=1h" in a else usage(a)
    p = page(api.url)
    p.until("document.querySelector('#live').dataset.state == 'live'")
    deadline = time.monotonic() + 30
    while not entered.is_set():
        p.wait(0.05)
        assert time.monotonic() < deadline
    p.key("r")
    p.wait(0.1)
    go.set()
    while len(n) < 2:
        p.wait(0.05)
        assert time.monotonic() < deadline


def test_behind_is_said_beside_the_newest(api, page):
    api.overview["history"]["behind_ms"] = 8000
    p = page(api.url)
    p.until(READY)
    p.until("document.querySelector('main [data-f=\"history.behind_ms\"]')")
    assert text(p, "main [data-f='history.behind_ms']") == "behind by 8 s"


def test_the_help_opens_at_its_top(api, page):
    p = page(api.url, height=500)
    p.until(READY)
    p.key("?", shift=True)
    p.until("document.querySelector('dialog[open]')?.contains(document.activeElement)")
    assert p.js("document.querySelector('dialog').scrollTop") == 0


# ---- the focus, and addresses that name no page

AT = "document.activeElement.%s"


@pytest.mark.parametrize("fragment", ["toString", "__proto__", "constructor/x", "?range=toString"])
def test_an_address_that_names_no_page(api, page, fragment):
    p = page(api.url + "#/" + fragment)
    p.until("document.querySelector('#live').dataset.state == 'live' && document.querySelector('main h1')")
    assert "failed" not in text(p, "main h1") and p.js("!document.querySelector('main .error')")
    sane(p)


def test_the_focus_goes_to_the_page_when_its_place_is_gone(api, page):
    api.overview["history"]["behind_ms"] = 8000
    p = page(api.url)
    p.until(READY)
    p.until("document.querySelector('.banner')")
    p.js("document.querySelector('.banner button[aria-label=Dismiss]').focus()")
    p.key("Enter")
    p.until("!document.querySelector('.banner') && document.activeElement.id == 'main'")


def test_a_token_leads_to_the_page(api, page):
    api.token = "tok"
    p = page(api.url)
    p.until("document.activeElement?.matches('form.token input[name=token]')")
    p.type("tok")
    p.key("Enter")
    p.until(READY)
    p.until("document.activeElement.id == 'main'")


def test_a_list_is_as_it_was_left(api, page):
    """Enter opens a row; back again, the row has the focus and the list its place."""
    api.overview["endpoints"] = [endpoint("relay-%02d" % i) for i in range(60)]
    p = page(api.url + "#/endpoints", height=600)
    p.until(READY)
    p.until("document.querySelectorAll('tr[data-row]').length == 60")
    p.js("document.querySelectorAll('tr[data-row]')[50].focus()")
    top = p.js("scrollY")
    assert top > 0
    p.key("Enter")
    p.until("document.querySelector('main').dataset.page == 'endpoints/relay-50' && document.activeElement.id == 'main' && scrollY == 0")
    p.key("Escape")
    p.until("document.activeElement.dataset.row == '#/endpoints/relay-50' && scrollY == %d" % top)
    p.key("Escape")
    p.until("document.activeElement == document.body")
