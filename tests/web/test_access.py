"""The page for eyes, hands and machines of all kinds: forced colours, reduced motion, zoom, print, keys alone, names for a
screen reader, and a machine that was asleep (dashboard: look, access, language)."""

import pytest

from fake_api import endpoint
from told import PAGES, READY, fill, opened, text

STATES = ["healthy", "degraded", "cooling", "draining", "unhealthy", "circuit_open", "queued", "disabled"]
ALL = ["", "endpoints", "endpoints/official", *PAGES]


def address(fragment, trail):
    return fragment.replace("%s", trail)


@pytest.mark.parametrize("fragment", ALL)
def test_forced_colours_leave_nothing_to_colour_alone(api, page, fragment):
    """With the system's colours borders, focus and pressed buttons are still seen, and what is drawn in colours keeps them."""
    trail = fill(api)
    p = page("about:blank")
    p.media(forced_colors="active")
    p.go(api.url + "#/" + address(fragment, trail))
    p.until(READY)
    assert p.js("matchMedia('(forced-colors: active)').matches")
    style = "getComputedStyle(document.querySelector('%s'))"
    assert p.js("(({ borderTopWidth: w, borderTopStyle: s }) => w !== '0px' && s !== 'none')(%s)" % (style % "#live"))
    here, other = (p.js((style % s) + ".borderBottomColor") for s in ("nav [aria-current]", "nav a:not([aria-current])"))
    assert here != other
    p.key("Tab")
    assert p.js("(({ outlineStyle: s, outlineWidth: w }) => s !== 'none' && parseFloat(w) >= 2)(getComputedStyle(document.activeElement))")
    # Bars and keys of a chart differ by colour and would all be of one.
    assert p.js("""[...document.querySelectorAll('.chart rect[class^=f], .key, .spark rect, .bar > span')].every((e) =>
        getComputedStyle(e).forcedColorAdjust === 'none')""")
    lines = "[...document.querySelectorAll('.chart [role=slider] path[class^=l]')]"
    assert p.js("new Set(%s.map((e) => getComputedStyle(e).stroke + getComputedStyle(e).strokeDasharray)).size === %s.length" % (lines, lines))
    assert p.js("[...document.querySelectorAll('.state')].every((e) => e.querySelector('.mark').textContent.trim() && e.querySelector('code').textContent)")


@pytest.mark.parametrize("fragment", ALL)
def test_no_motion_where_it_is_reduced(api, page, fragment):
    trail = fill(api)
    api.hold = 0.3  # so that skeletons are seen
    p = page("about:blank", motion="reduce")
    p.call("Page.addScriptToEvaluateOnNewDocument", {"source": """window.moved = []; (function look() {
        for (const a of document.getAnimations?.() ?? []) window.moved.push(a.animationName ?? a.transitionProperty); requestAnimationFrame(look) })()"""})
    p.go(api.url + "#/" + address(fragment, trail))
    p.until(READY)
    p.key("?", shift=True)
    p.until("document.querySelector('dialog[open]')")
    p.key("Escape")
    p.until("!document.querySelector('dialog')")
    assert p.js("window.moved") == []


def test_motion_is_short_and_ends(api, page):
    p = page("about:blank", motion="no-preference")
    p.call("Page.addScriptToEvaluateOnNewDocument", {"source": """window.moved = []; (function look() {
        for (const a of document.getAnimations?.() ?? []) { const t = a.effect.getComputedTiming();
            if (t.duration > 150 || t.iterations > 1) window.moved.push(a.animationName + t.duration) } requestAnimationFrame(look) })()"""})
    api.hold = 0.3
    p.go(api.url)
    p.until("document.querySelector('.skeleton') && document.getAnimations().length")
    p.until(READY)
    assert p.js("window.moved") == []


@pytest.mark.parametrize("fragment", ALL)
def test_zoomed_to_200_percent(api, page, fragment):
    """1280 px at 200 % are 640 px of the page's: no sideways scrolling, nothing on top of something else, no text cut."""
    trail = fill(api)
    p = page("about:blank")
    p.size(640, 400, scale=2)
    p.go(api.url + "#/" + address(fragment, trail))
    p.until(READY)
    assert p.js("document.documentElement.scrollWidth") <= 640
    out = p.js("""[...document.querySelectorAll('main *, header *, footer *')].filter((e) => e.checkVisibility() && e.childNodes.length === 1 && e.firstChild.nodeType === 3
        && !e.closest('.vh, nav, pre, .log, thead, svg, .place')).filter((e) => { const r = document.createRange(); r.selectNodeContents(e); const b = r.getBoundingClientRect();
        return b.right > 641 || b.left < -1 }).map((e) => e.outerHTML.slice(0, 90))""")
    assert out == []


@pytest.mark.parametrize("fragment", ALL)
def test_what_is_printed(api, page, fragment):
    """Dark text on white without controls, also out of the dark scheme; nothing to the right of the paper."""
    trail = fill(api)
    p = page("about:blank", scheme="dark", width=720)
    p.go(api.url + "#/" + address(fragment, trail))
    p.until(READY)
    p.call("Emulation.setEmulatedMedia", {"media": "print", "features": [{"name": "prefers-color-scheme", "value": "dark"}]})
    assert p.js("[...document.querySelectorAll('.top, .filters, .toasts')].every((e) => getComputedStyle(e).display === 'none')")
    assert p.js("getComputedStyle(document.documentElement).backgroundColor") == "rgb(255, 255, 255)"
    pale = p.js("""(() => { const light = (c) => { const [r, g, b] = c.match(/[\\d.]+/g).map((x) => (x /= 255) <= 0.03928 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b };
        const ground = (e) => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor; if (!/, 0\\)$/.test(c)) return light(c) } return 1 };
        return [...document.querySelectorAll('main *')].filter((e) => e.checkVisibility() && !e.closest('svg, .vh') && [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()))
        .filter((e) => { const [a, b] = [light(getComputedStyle(e).color), ground(e)].sort((x, y) => y - x); return (a + 0.05) / (b + 0.05) < 4.5 })
        .map((e) => e.outerHTML.slice(0, 90)) })()""")
    assert pale == []
    assert p.js("document.documentElement.scrollWidth") <= 720
    pdf = p.call("Page.printToPDF", {"printBackground": False})["data"]
    assert len(pdf) > 5000


@pytest.mark.parametrize("fragment", ALL)
def test_a_screen_reader_has_a_name_for_everything(api, page, fragment):
    trail = fill(api)
    p = opened(page, api.url, address(fragment, trail))
    unnamed, levels = [], []
    for n in p.call("Accessibility.getFullAXTree")["nodes"]:
        role, name = n.get("role", {}).get("value"), (n.get("name") or {}).get("value")
        if n.get("ignored"):
            continue
        if role in ("button", "link", "textbox", "searchbox", "combobox", "checkbox", "radio", "slider", "table", "dialog", "navigation", "img", "image",
                    "graphics-document", "columnheader", "rowheader", "DisclosureTriangle") and not name:
            unnamed.append((role, n.get("backendDOMNodeId")))
        if role == "heading":
            levels.append(next(x["value"]["value"] for x in n["properties"] if x["name"] == "level"))
    assert unnamed == []
    assert levels and levels[0] == 1 and levels.count(1) == 1
    assert all(b - a <= 1 for a, b in zip(levels, levels[1:])), levels
    assert p.js("[...document.querySelectorAll('main, nav, header, footer')].length") >= 4
    assert p.js("document.querySelectorAll('[aria-live], [role=status], [role=alert]').length") <= 3


def test_an_action_by_keys_alone(api, page):
    """From the list to a row, its menu, the question, the result; the focus comes back to where it was."""
    fill(api)
    p = opened(page, api.url, "endpoints")
    p.key("j")
    p.key("j")
    assert p.js("document.activeElement.dataset.row") == "#/endpoints/relay-a"
    for _ in range(12):
        p.key("Tab")
        if p.js("document.activeElement.getAttribute('aria-haspopup')") == "menu":
            break
    name = p.js("document.activeElement.getAttribute('aria-label')")
    assert "relay-a" in name
    p.key("Enter")
    p.until("document.activeElement.getAttribute('role') == 'menuitem'")
    while p.js("document.activeElement.textContent") != "Disable":
        p.key("ArrowDown")
    p.key("Enter")
    p.until("document.querySelector('dialog[open]')")
    p.until("document.querySelector('dialog').contains(document.activeElement)")
    p.key("Tab")
    p.key("Enter")
    p.until("[...document.querySelectorAll('#said p')].some((e) => e.textContent.includes('relay-a'))")
    p.until("document.activeElement.getAttribute('aria-label') == %r" % name)
    p.until("document.querySelector(`tr[data-row='#/endpoints/relay-a'] [data-f$='.state']`).textContent == 'disabled'")
    p.key("Escape")
    p.key("g")
    p.key("r")
    p.until("document.querySelector('main').dataset.page == 'requests' && document.querySelector('main tr[data-row]')")
    p.key("j")
    p.key("Enter")
    p.until("document.querySelector('main').dataset.page.startsWith('requests/')")
    p.key("Escape")
    p.until("document.querySelector('main').dataset.page == 'requests'")


# What a machine that was asleep for ten minutes finds: the clock has moved on; whether the time since the start has, too, is the
# system's choice (Linux: no).
ASLEEP = """(() => { const now = Date.now, began = performance.now.bind(performance), real = Date; const ms = 600000;
    Date.now = () => now() + ms; if (%s) performance.now = () => began() + ms;
    window.Date = class extends real { constructor(...a) { super(...(a.length ? a : [now() + ms])) } }; window.Date.now = Date.now })()"""


@pytest.mark.parametrize("both", ["false", "true"])
def test_ten_minutes_of_sleep(api, page, both):
    p = page(api.url)
    p.until(READY)
    p.until("/^[0-9]/.test(document.querySelector('#rate').textContent)")
    # As it wakes the network is not there yet.
    api.hold = 4
    p.wait(0.1)
    api.skew = 600
    api.requests += 60000
    n = len(api.asked)
    p.js(ASLEEP % both)
    p.until("document.querySelector('main.stale') && document.querySelector('#live').dataset.state != 'live'")
    assert text(p, "#live .as-of")
    api.hold = 0
    p.until("document.querySelector('#live').dataset.state == 'live' && !document.querySelector('main.stale')")
    p.wait(4.5)
    asked = [at for at, _, a in api.asked[n:] if a == "overview"]
    assert all(b - a > 0.5 for a, b in zip(asked[1:], asked[2:])), "doubled polls"
    rate = text(p, "#rate").split("/")[0]
    assert rate == "–" or float(rate.replace(",", "")) < 1000
    assert not p.js("document.querySelector('[data-banner=clock]')")


@pytest.mark.parametrize("zone, at, want", [
    # 1 November 2026, 06:00 UTC: from -4 to -5; 14 March 2027, 07:00 UTC: from -5 to -4. An hour before and after it the clock
    # alone would not do.
    ("America/New_York", 1793512800, [(0, ""), (1, " GMT-4"), (1, " GMT-5"), (2, "")]),
    ("America/New_York", 1805007600, [(0, ""), (1, " GMT-5"), (3, " GMT-4"), (4, "")]),
    ("Asia/Kolkata", 1793512800 + 1800, [(10, ""), (11, ""), (12, ""), (13, "")]),
])
def test_quarters_of_a_chart_over_a_change_of_the_clock(api, page, zone, at, want):
    fill(api)
    p = opened(page, api.url, "usage?by=none&measure=requests&since=%d&until=%d" % (at - 7200, at + 7200), zone=zone)
    p.until("document.querySelector('.chart')")
    p.click("details summary")
    p.until("document.querySelector('details .list tbody tr')")
    got = p.js("[...document.querySelectorAll('details .list tbody th')].map((e) => e.textContent)")
    assert len(set(got)) == len(got) == 4 * 4
    starts = [g.split("–")[0].split(", ")[1] for g in got]
    assert starts == ["%02d:%02d%s" % (hour, 15 * k, zone) for hour, zone in want for k in range(4)]


@pytest.mark.parametrize("name", ["\u202etfel-ot-thgir", "\u2069\u202etwice", "\u05d0\u05d1\u05d2", "\u2067open"])
def test_a_name_does_not_turn_the_text_around_it(api, page, name):
    """Text after a name stays after it, whatever its direction."""
    for e in api.overview["endpoints"][:2]:
        e.update(state="disabled", disabled_by="auth")
    api.overview["endpoints"][0]["name"] = name
    p = page(api.url)
    p.until(READY)
    p.until("document.querySelector('.banner p')")
    for selector, word in ((".banner p", "refused"), ("#sentence", " more")):
        order = p.js("""((e, word) => { const at = []; const walk = document.createTreeWalker(e, 4); let text = ''; const nodes = [];
            while (walk.nextNode()) { nodes.push([text.length, walk.currentNode]); text += walk.currentNode.data }
            const x = (i) => { const [from, n] = nodes.filter(([f]) => f <= i).pop(); const r = document.createRange(); r.setStart(n, i - from); r.setEnd(n, i - from + 1); return r.getBoundingClientRect().x };
            const i = text.lastIndexOf(word); return i < 0 ? null : [x(i), x(i + word.length - 1)] })(document.querySelector(%r), %r)""" % (selector, word))
        if order:
            assert order[0] < order[1], (selector, text(p, selector))
    assert text(p, ".banner p").endswith("key refused, disabled")
    assert not p.js("document.title").endswith(name)


def test_two_hundred_endpoints_of_long_and_hostile_names(api, page):
    names = ['<b onclick="window.bad=1">', "\u202eedis-rehto", "x" * 64, "\U0001f98a fox", "名" * 40, "=cmd()"]
    api.overview["endpoints"] = [endpoint("%s %d" % (names[i % len(names)], i), STATES[i % 8]) for i in range(200)]
    for width in (320, 1280):
        for fragment in ("", "endpoints"):
            p = page(api.url + "#/" + fragment, width=width)
            p.until(READY)
            assert p.js("document.documentElement.scrollWidth") <= width
            assert p.js("document.querySelectorAll('main b[onclick]').length") == 0 and not p.js("window.bad")
            assert p.js("[...document.querySelectorAll('.table-wrap')].filter((e) => e.scrollWidth > e.clientWidth + 1).length") == 0
            assert p.console == []
