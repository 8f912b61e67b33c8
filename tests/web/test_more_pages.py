"""Logs, Config, prices, System; and what holds on all of these pages: marks, hostile names, sizes, secrets, states."""
import json
import time

import pytest

from fake_api import endpoint, event, usage
from told import HOSTILE, PAGES, WRONG, attempt, choice, fill, leaf, one, opened, price, rows, sane, text, texts

LIST = "table.list tbody tr"


def show(p, fragment):
    p.js("location.hash = %s" % json.dumps("#/" + fragment))


# ---- logs

def test_logs_follow_hold_and_filter(api, page):
    fill(api)
    lines = api.reply["logs"]["lines"]
    p = opened(page, api.url, "logs")
    end = "(() => { const b = document.querySelector('.log'); return b && b.scrollHeight - b.scrollTop - b.clientHeight < 8 })()"
    p.until(end)
    api.reply["logs"] = {"lines": lines + [{"level": "error", "line": "the newest <b>line</b>"}], "next": 201, "lost": False}
    p.until("document.querySelector('.log').lastChild.textContent == 'the newest <b>line</b>'")
    p.until(end)
    assert p.js("document.querySelector('.log').lastChild.className") == "lv-error"
    p.click("#follow")
    api.reply["logs"] = {"lines": lines + [{"level": "error", "line": "one more"}], "next": 202, "lost": False}
    n = len(api.asked)
    deadline = time.monotonic() + 30
    while sum(a.startswith("logs") for _, _, a in api.asked[n:]) < 2 and time.monotonic() < deadline:
        p.wait(0.05)
    assert p.js("document.querySelector('.log').lastChild.textContent") == "the newest <b>line</b>"
    p.click("#follow")
    p.until("document.querySelector('.log').lastChild.textContent == 'one more'")
    p.key("/")
    p.type("relay")
    p.until("location.hash == '#/logs?word=relay'")
    p.js("(() => { const s = document.querySelector('.filters select'); s.value = 'warning'; s.dispatchEvent(new Event('change')) })()")
    deadline = time.monotonic() + 30
    while "logs?n=300&level=warning&grep=relay" not in [a for _, _, a in api.asked] and time.monotonic() < deadline:
        p.wait(0.05)
    assert "logs?n=300&level=warning&grep=relay" in [a for _, _, a in api.asked]
    sane(p)


def test_no_line_matches(api, page):
    fill(api)
    api.reply["logs"] = {"lines": [], "next": 5, "lost": False}
    p = opened(page, api.url, "logs?word=nothing")
    p.until("document.querySelector('.empty')?.textContent == 'No line matches.'")


def test_what_was_typed_does_not_outlive_its_page(api, page):
    fill(api)
    p = opened(page, api.url, "logs")
    p.key("/")
    p.type("zzzqq")
    p.until("location.hash == '#/logs?word=zzzqq'")
    show(p, "config?word=workers")
    p.until("document.querySelector('input[type=search]')?.value == 'workers' && document.querySelectorAll('%s').length" % LIST)
    show(p, "logs?word=relay")
    p.until("document.querySelector('.log') && document.querySelector('input[type=search]').value == 'relay'")
    show(p, "logs")
    p.until("document.querySelector('input[type=search]').value == ''")
    show(p, "config")
    p.until("document.querySelectorAll('%s').length > 5" % LIST)
    p.key("/")
    p.type("drain")
    p.until("document.querySelectorAll('%s').length == 1" % LIST)
    show(p, "config?word=workers")
    p.until("document.querySelector('%s').textContent.includes('workers') && document.querySelector('input[type=search]').value == 'workers'" % LIST)
    sane(p)


@pytest.mark.parametrize("fragment", ["requests", "usage", "events", "config", "config/prices", "system"])
def test_each_column_head_explains_itself(api, page, fragment):
    fill(api)
    p = opened(page, api.url, fragment)
    p.until("document.querySelector('%s')" % LIST)
    assert p.js("[...document.querySelectorAll('main table.list thead th')].filter((e) => !e.querySelector('[data-tip]')"
                " && !e.closest('.chart')).map((e) => e.textContent)") == []
    assert p.js("[...document.querySelectorAll('[data-tip]')].filter((e) => /^[a-z]+(\\.[a-z_]+)+$/.test(e.dataset.tip)).length") == 0


# ---- configuration and prices

def test_config_shows_what_is_in_use(api, page):
    fill(api)
    p = opened(page, api.url, "config")
    cells = {r[0]: r[1:] for r in p.js("[...document.querySelectorAll('%s')].map((r) => [...r.children].map((c) => c.textContent))" % LIST)}
    assert cells["limits.drain_timeout"] == ["30s", "10s"] and cells["workers"] == ["auto", ""]
    assert cells["endpoints[official].weight"] == ["50", "100"] and cells["endpoints[official].api_key"] == ["sk-…abcd", "null"]
    assert cells["endpoints[official].base_url"][0] == "api.example.com/v1"
    assert cells["endpoints[official].paths.deny"] == ['["/v1/organizations/*"]', ""]
    assert "/etc/qcc/qcc.yaml:40:1: there is no key ballance" in text(p, "#faults") and "refused" in text(p, ".facts")
    p.click("input[type=checkbox]")
    p.until("location.hash == '#/config?changed=1' && document.querySelectorAll('%s').length == 8" % LIST)
    p.key("/")
    p.type("drain")
    p.until("document.querySelectorAll('%s').length == 1" % LIST)
    sane(p)


@pytest.mark.parametrize("refused", [False, True])
def test_reload(api, page, refused):
    fill(api)
    if refused:
        api.reply["POST reload"] = (422, {"error": "the configuration has a fault", "faults": ["qcc.yaml:3:1: no key x"]})
    p = opened(page, api.url, "config")
    p.js("document.querySelector('#reload').click()")
    p.until("document.querySelector('.toast%s')" % (".error" if refused else ":not(.error)"))
    assert ("qcc.yaml:3:1: no key x" if refused else "generation 4") in text(p, ".toast")
    assert [m for _, m, a in api.asked if a == "reload"] == ["POST"]
    sane(p, "422")


def test_prices_in_force_and_missing(api, page):
    fill(api)
    p = opened(page, api.url, "config/prices")
    lines = text(p, "pre.code")
    assert lines.split("\n")[:3] == ["prices:", "  models:", '    - match: "some-unknown"'] and "cache_read" in lines
    cells = {r[0]: r[1:] for r in p.js("[...document.querySelectorAll('table.broad tbody tr')].map((r) => [...r.children].map((c) => c.textContent))")}
    assert cells["claude-opus-5-5"][:6] == ["2026-09-22", "$4.00", "$20.00", "$0.20", "$5.00", "$8.00"] and cells["claude-opus-5-5"][8] == "–"
    assert cells["claude-haiku-5-5/ prompts above 100k tokens"][1] == "$4.00 / $0.50"
    assert cells["house-model"][0] == "–" and cells["house-model"][-1] == "qcc.yaml"
    assert "1,234" in text(p, "main") and "×0.8" in text(p, "main")
    sane(p)


# ---- system

def test_system_tells_processes_and_history(api, page):
    fill(api)
    p = opened(page, api.url, "system")
    p.until("document.querySelector('main').textContent.includes('libev')")
    row = p.js("[...document.querySelector('%s').children].map((c) => c.textContent)" % LIST)
    assert row == ["4711", "serving", "3", "4", "3", "11,550", "40 KiB", "24 MiB", "0", "1 d 3 h"]
    said = text(p, "main")
    for part in ("636 KiB", "12 GiB free", "30 d", "for ever", "at most 4 GiB", "127.0.0.1:7861", "OpenSSL 3.0"):
        assert part in said, part
    assert p.js("[...document.querySelectorAll('main a')].map((a) => a.getAttribute('href'))") == ["metrics", "healthz", "readyz"]
    sane(p)


@pytest.mark.parametrize("end, said", [({"whole": True, "rows_only": False, "faults": []}, "The file is whole."),
                                       ({"whole": False, "rows_only": False, "faults": ["request: its keys are not in order"]}, "damaged: 1 fault")])
def test_check_of_the_file(api, page, end, said):
    fill(api)
    job = {"job": 7, "what": "check", "state": "running", "done": 40, "total": 100}
    api.reply["POST history/check"] = job
    api.reply["history/job"] = lambda a: {**job, "done": 60}
    p = opened(page, api.url, "system")
    p.click("#check")
    p.until("document.querySelector('#checked')?.textContent.includes('60')")
    assert p.js("document.querySelector('#check').ariaBusy") == "true"
    api.reply["history/job"] = lambda a: {**job, "state": "done", **end}
    p.until("document.querySelector('#checked')?.textContent.includes(%s)" % json.dumps(said))
    p.until("document.querySelector('#said').textContent.includes(%s)" % json.dumps(said))
    assert all(f in text(p, "#checked") for f in end["faults"])
    sane(p)


HOSTS = "[...document.querySelectorAll('table.list')].at(-1).querySelectorAll('tbody tr')"


def test_system_lists_the_hosts_of_the_cluster(api, page):
    fill(api)
    p = opened(page, api.url, "system")
    p.until("document.querySelector('main').textContent.includes('web-2')")
    rows = p.js("[...%s].map((r) => [...r.children].map((c) => c.textContent))" % HOSTS)
    assert rows == [["web-1 1.0.0 this host", "400 ms", "a91f", "81,230"], ["web-2 1.0.0", "900 ms", "03c2 another configuration", "81,229"]]
    said = text(p, "main")
    for part in ("redis://10.0.0.5:6379 7.0.15", "noeviction", "p50 0.4 ms", "p99 1.1 ms", "Behind3 ms"):
        assert part in said, part
    sane(p)
    api.reply["cluster"].update(state="lost", reason="Connection refused", hosts=[])
    p.until("document.querySelector('main').textContent.includes('Connection refused')")
    assert "lost" in text(p, "main")


def test_system_of_a_host_that_is_alone(api, page):
    fill(api)
    api.reply["status"]["cluster"] = "off"
    p = opened(page, api.url, "system")
    p.until("document.querySelector('main').textContent.includes('libev')")
    assert "Hosts" not in text(p, "main")
    assert not [a for a in api.asked if a[2].endswith("cluster")]


def test_system_without_history(api, page):
    fill(api)
    api.overview["history"].update(state="off", why="state_dir is not set", path=None)
    p = opened(page, api.url, "system")
    p.until("document.querySelector('.empty')?.textContent.includes('state_dir is not set')")
    assert not text(p, "#check")


# ---- all of these pages

@pytest.mark.parametrize("fragment", PAGES)
def test_each_mark_shows_what_was_told(api, page, fragment):
    rid = fill(api)
    p = opened(page, api.url, fragment % rid if "%s" in fragment else fragment)
    assert p.js("document.querySelectorAll('main [data-f]').length") > 3
    p.until("(%s).length == 0 || (window.wrong = %s, false)" % (WRONG, WRONG))
    sane(p)


@pytest.mark.parametrize("lang, scheme", [("en-US", "light"), ("zh-CN", "dark")])
def test_nothing_is_wider_than_a_phone(api, page, lang, scheme):
    rid = fill(api)
    p = opened(page, api.url, "requests", width=320, height=568, lang=lang, scheme=scheme)
    for width in (320, 768, 1280):
        p.size(width, 700)
        for fragment in PAGES:
            show(p, fragment.replace("%s", rid))
            p.until("document.querySelector('main').dataset.page == %s && !document.querySelector('.skeleton')" % json.dumps(
                fragment.replace("%s", rid).split("?")[0]))
            p.wait(0.1)
            assert p.js("document.documentElement.scrollWidth <= innerWidth"), (width, fragment)
            if width == 320:
                small = p.js("""[...document.querySelectorAll('main button, main select, main input:not([type=checkbox])')].filter((e) =>
                    e.checkVisibility() && e.getBoundingClientRect().height < 44).map((e) => e.outerHTML.slice(0, 80))""")
                assert small == [], fragment
    sane(p)


def test_names_are_text(api, page):
    rid = fill(api)
    api.overview["endpoints"] = [endpoint(n) for n in HOSTILE]
    first = rows(len(HOSTILE))
    for r, n in zip(first, HOSTILE):
        r.update(client=n, endpoint=n, sent=n, model=n, end=n, attempts=[attempt(n, "transient", reason=n), attempt(n)])
    api.reply["requests"] = {"requests": first, "next": None, "oldest": None}
    api.reply["requests/" + rid] = dict(one(), client=HOSTILE[0], attempts=[attempt(n, reason=n) for n in HOSTILE], choices=[choice(n) for n in HOSTILE])
    api.reply["usage"] = lambda a: usage(a, keys=HOSTILE, unpriced=HOSTILE[:1])
    api.reply["events"] = {"events": [event(i, endpoint=n, text=n, kind="health", who=n) for i, n in enumerate(HOSTILE)], "next": None, "oldest": None}
    api.reply["logs"] = {"lines": [{"level": "info", "line": n} for n in HOSTILE], "next": 9, "lost": False}
    api.reply["config"]["config"]["endpoints"] = [{"name": leaf(n, None), "weight": leaf(1, 100)} for n in HOSTILE]
    api.reply["prices"].update(models=[price(n, source=n) for n in HOSTILE], unpriced=[{"model": HOSTILE[0], "requests": 1, "last": None}])
    p = opened(page, api.url, "requests", width=320)
    for fragment in PAGES:
        show(p, fragment.replace("%s", rid))
        p.until("document.querySelector('main').dataset.page == %s && !document.querySelector('.skeleton')" % json.dumps(
            fragment.replace("%s", rid).split("?")[0]))
        if "usage?" not in fragment and fragment != "system":  # the fake's names of endpoints and clients are its own
            p.until("document.querySelector('main').textContent.includes(%s)" % json.dumps(HOSTILE[0]))
        assert not p.js("document.querySelector('img') || window.bad") and p.js("document.documentElement.scrollWidth <= innerWidth"), fragment
    sane(p)


def test_no_part_of_an_address_that_is_secret(api, page):
    fill(api)
    p = opened(page, api.url, "config")
    p.until("document.querySelector('%s')" % LIST)
    assert "canary" not in p.js("document.body.innerText")


@pytest.mark.parametrize("fragment", ["requests", "usage", "events", "logs", "config", "config/prices", "system"])
def test_an_error_of_one_part_is_that_part_alone(api, page, fragment):
    fill(api)
    for what in ("requests", "usage", "events", "logs", "config", "prices", "history"):
        api.reply[what] = (503, {"error": "too busy for " + what})
    p = opened(page, api.url, fragment)
    p.until("document.querySelector('main .error')?.textContent.includes('too busy for')")
    assert p.js("document.querySelector('#live').dataset.state") == "live" and text(p, "main h1")
    fill(api)
    api.reply["events"] = {"events": [event()], "next": None, "oldest": None}
    api.reply["usage"], api.reply["history"] = usage, lambda a: api.overview["history"]
    p.click("main .error button")
    p.until("!document.querySelector('main .error:not(#faults)')")
    sane(p, "503")


@pytest.mark.parametrize("fragment", PAGES)
def test_what_a_screen_reader_gets(api, page, fragment):
    rid = fill(api)
    p = opened(page, api.url, fragment.replace("%s", rid))
    assert p.js("document.querySelectorAll('h1').length") == 1 and p.js("document.title.endsWith('· QCC')")
    assert p.js("[...document.querySelectorAll('table')].every((t) => t.caption?.textContent && [...t.tHead.querySelectorAll('th')].every((c) => c.scope == 'col'))")
    tree = p.call("Accessibility.getFullAXTree")["nodes"]
    nameless = [n for n in tree if not n.get("ignored") and n["role"]["value"] in ("button", "link", "textbox", "searchbox", "combobox", "checkbox", "slider", "region")
                and not n.get("name", {}).get("value")]
    assert nameless == []
