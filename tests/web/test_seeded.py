"""Requests, usage, events, logs, configuration and system on the real programs, with a history of some weeks."""
import datetime
import json
import os
import signal
import zoneinfo

import pytest

from admin import get
from qcc import until
from seeded import Seeded
from test_history_ask import Past
from told import PAGES, WRONG, opened, text, texts

LIST = "table.list tbody tr"
CANARIES = ("canary-api-key-0123456789", "canary-client-token-01", "canary-header-value-01", "canary-proxy-pass")


@pytest.fixture
def seeded(tmp_path):
    made = []

    def make(**kw):
        made.append(Seeded(tmp_path / str(len(made)), **kw))
        return made[-1]

    yield make
    for s in made:
        s.close()


def newest(s):
    return until(lambda: get(s.q, "requests?limit=1")["requests"], "a request")[0]


def test_each_page_shows_what_is_told(seeded, page):
    s = seeded(specs={"official": "status=529,retry_after=1"})
    s.send(3)
    r = newest(s)
    until(lambda: get(s.q, "requests?since=1h&client=alice")["requests"], "the history to have them")
    for fragment in PAGES:
        p = opened(page, s.url, fragment.replace("%s", r["id"]), zone="Asia/Kathmandu")
        p.until("document.querySelectorAll('main [data-f]').length > 3")
        p.until("(%s).length == 0" % WRONG)
        assert p.console == [] and [x for x in p.responses if x[1] >= 400] == [], fragment
        assert all(x.url.startswith((s.url, "data:")) for x in p.requests)


def test_a_new_request_and_why_it_went_there(seeded, page):
    s = seeded(requests=0, specs={"official": "status=529"})
    s.send(1)
    until(lambda: get(s.q, "requests?since=1h")["requests"], "the history to have it")
    p = opened(page, s.url, "requests")
    p.until("document.querySelectorAll('%s').length == 1" % LIST)
    s.send(1, model="house-model-1", headers={"authorization": "Bearer bobs-token-01"})
    p.until("document.querySelectorAll('%s').length == 2 && document.querySelector('%s').textContent.includes('bob')" % (LIST, LIST))
    r = newest(s)
    cells = p.js("[...document.querySelector('%s').children].map((c) => c.textContent)" % LIST)
    assert cells[3] == "→".join(a["endpoint"] for a in r["attempts"]) and "relay-a" in cells[3]
    assert cells[9] == "–" and cells[10] == "ok ›"
    p.key("j")
    p.key("Enter")
    p.until("document.querySelector('.trail')")
    steps = " ".join(texts(p, ".trail li"))
    assert "overloaded" in steps and "fault endpoint" in steps and "another priority group is better" in steps
    assert "no price for house-model-1" in text(p, ".facts")


def test_paging_through_the_history_shows_each_request_once(seeded, page):
    s = seeded(requests=130, days=3)
    p = opened(page, s.url, "requests?model=claude-opus-5-5")
    p.until("document.querySelector('%s')" % LIST)
    want = {r["id"] for r in get(s.q, "requests?model=claude-opus-5-5&limit=1000")["requests"]}
    while p.js("document.querySelector('#older') !== null"):
        n = p.js("document.querySelectorAll('%s').length" % LIST)
        p.click("#older")
        p.until("document.querySelectorAll('%s').length > %d" % (LIST, n))
    shown = p.js("[...document.querySelectorAll('%s')].map((r) => r.dataset.row.match(/requests.([0-9a-f]+)/)[1])" % LIST)
    assert len(shown) == len(set(shown)) and set(shown) == want


def test_without_a_history(seeded, page):
    s = seeded(history=False, specs={"official": "status=529"})
    s.send(2)
    p = opened(page, s.url, "requests")
    p.until("document.querySelectorAll('%s').length == 2" % LIST)
    assert "memory" in text(p, ".foot")
    p.js("location.hash = '#/requests?status=failed'")
    p.until("document.querySelector('.empty')?.textContent.includes('No request matches')")
    p.js("location.hash = '#/events'")
    p.until("document.querySelectorAll('%s').length > 1 && document.querySelector('.foot').textContent.includes('256')" % LIST)
    for fragment in ("usage", "system"):
        p.js("location.hash = '#/%s'" % fragment)
        p.until("document.querySelector('main').dataset.page == '%s' && document.querySelector('.empty')?.textContent.includes('History is off')" % fragment)
    p.js("location.hash = '#/config/prices'")
    p.until("document.querySelector('main').textContent.includes('claude-opus-5-5')")


def test_days_begin_at_local_midnight(seeded, page):
    """Requests at 23:59:59.9 and 00:00:00.1 of the browser's zone stand on their own days, in lists and sums."""
    zone = zoneinfo.ZoneInfo("Asia/Kathmandu")
    s = seeded(requests=0)
    s.q.stop()
    midnight = datetime.datetime.now(zone).replace(hour=0, minute=0, second=0, microsecond=0) - datetime.timedelta(days=2)
    ms = int(midnight.timestamp() * 1000)
    past = Past(s.q)
    past.add(1, ms - 100).add(2, ms + 100, step_ms=1)
    past.close()
    s.q.start(wait=False).wait_serving(2)
    s.storing()
    p = opened(page, s.url, "usage?by=none&measure=requests&since=7d&step=86400", zone="Asia/Kathmandu")
    p.until("document.querySelector('details summary')")
    p.click("details summary")
    p.until("document.querySelector('details .list tbody tr')")
    days = dict(p.js("[...document.querySelectorAll('details .list tbody tr')].map((r) => [r.children[0].textContent, r.children[1].textContent])"))
    name = lambda d: "%s %d" % (d.strftime("%b"), d.day)
    assert days[name(midnight - datetime.timedelta(days=1))] == "1" and days[name(midnight)] == "2"
    assert text(p, "section:not(:has(.chart)) tbody td") == "3"
    p.js("location.hash = '#/requests'")
    p.until("document.querySelectorAll('%s time').length == 3" % LIST)
    ended = [datetime.datetime.fromtimestamp(r["at_ms"] / 1000, zone).date() for r in get(s.q, "requests?since=0")["requests"]]
    assert [d == midnight.date() for d in ended] == [True, True, False]


def test_a_killed_worker_is_seen(seeded, page):
    s = seeded(requests=0)
    pid = s.q.children()[0]
    p = opened(page, s.url, "system")
    p.until("document.querySelector('%s').textContent.startsWith('%d')" % (LIST, pid))
    os.kill(pid, signal.SIGKILL)
    p.until("document.querySelector('#live').dataset.state == 'live' && !document.querySelector('[data-f=\"workers.0.pid\"]').dataset.v.includes('%d')" % pid)
    p.js("location.hash = '#/events'")
    p.until("[...document.querySelectorAll('%s')].some((r) => r.children[1].textContent == 'worker')" % LIST)
    p.js("location.hash = '#/logs?word=worker'")
    p.until("document.querySelector('.log')?.textContent.includes('%d')" % pid)


def test_the_file_is_checked(seeded, page):
    s = seeded(requests=500, days=2)
    p = opened(page, s.url, "system")
    # Not by its place: the banner of the models without a price may come meanwhile and move it.
    p.js("document.querySelector('#check').click()")
    p.until("document.querySelector('#checked')?.textContent.includes('The file is whole.')")


def test_a_refused_reload_tells_its_faults(seeded, page):
    s = seeded(requests=0)
    p = opened(page, s.url, "config")
    good = s.q.path.read_text()
    s.q.configure(json.dumps({**json.loads(good), "ballance": 1}))
    p.js("document.querySelector('#reload').click()")
    p.until("document.querySelector('.toast.error')?.textContent.includes('ballance')")
    p.until("document.querySelector('#faults')?.textContent.match(/qcc.yaml:[0-9]+:[0-9]+: .*ballance/)")
    s.q.configure(good)
    p.js("document.querySelector('#reload').click()")
    p.until("!document.querySelector('#faults') && document.querySelector('[data-f$=\"#generation\"]').dataset.v == '2'")


def test_no_secret_is_shown(seeded, page):
    key, client, header, _ = CANARIES
    s = seeded(requests=0, history=False, config={"clients": [{"name": "alice", "token": client}]})
    s.q.reload({"endpoints": [{"name": "hidden", "base_url": "http://127.0.0.1:9/v1", "api_key": key, "headers": {"x-secret": header},
                               "proxy": "http://somebody:canary-proxy-pass@127.0.0.1:9"}]})
    for fragment in PAGES:
        if "%s" in fragment:
            continue
        p = opened(page, s.url, fragment)
        seen = p.js("document.documentElement.outerHTML + JSON.stringify(window.told)")
        assert [c for c in CANARIES if c in seen] == [], fragment


def test_thirty_days_and_a_thousand_rows(seeded, page):
    """The figures of section 10 that concern these pages; printed."""
    s = seeded(requests=20000, days=30)
    p = opened(page, s.url, "usage?by=client&measure=tokens&since=30d")
    p.until("document.querySelector('tfoot')")
    p.js("location.hash = '#/requests'")
    p.until("document.querySelectorAll('%s').length == 50" % LIST)
    p.call("HeapProfiler.enable")
    p.call("HeapProfiler.collectGarbage")
    before = p.js("performance.memory?.usedJSHeapSize ?? 0")
    for _ in range(19):
        n = p.js("document.querySelectorAll('%s').length" % LIST)
        p.click("#older")
        p.until("document.querySelectorAll('%s').length > %d" % (LIST, n))
    took = p.js("""(async () => { const t = performance.now(); document.querySelector('#theme').click();
        await new Promise((go) => requestAnimationFrame(() => setTimeout(go))); return performance.now() - t })()""")
    print("1,000 rows drawn anew in %.0f ms; heap %.1f MB before" % (took, before / 1e6))
    assert p.js("document.querySelectorAll('%s').length" % LIST) == 1000
    assert p.console == []


def test_plain_texts_open_with_the_token(seeded, page):
    """A link cannot send admin.token: the page fetches what the link leads to, and shows it."""
    s = seeded(history=False, config={"admin": {"token": "the-admin-token-1"}})
    p = page(s.url + "#/system")
    p.until("document.activeElement?.matches('input[name=token]')")
    p.type("the-admin-token-1")
    p.key("Enter")
    p.until("document.querySelector('a[href=metrics]')")
    p.until("document.querySelector('[data-f$=\"libraries.worker\"]') && !document.querySelector('.skeleton')")  # nothing moves any more
    for path, shown in (("metrics", "# TYPE qcc_"), ("readyz", "")):
        p.click("a[href=%s]" % path)
        p.until("document.querySelector('dialog[open] pre')?.textContent.length > 3")
        assert shown in text(p, "dialog pre")
        p.key("Escape")
        p.until("!document.querySelector('dialog')")
    assert [c for c in p.console if "401" not in c] == []
