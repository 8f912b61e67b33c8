"""What the page may cost: files and bytes before its first picture, calls, an update's CPU time, memory."""
import pytest

from fake_api import endpoint
from test_pages import READY, STATES, open_page


def test_calls_a_minute(api, page):
    """Overview: at most 35 a minute after its first picture."""
    p = open_page(page, api)
    p.wait(1)
    n = len(api.asked)
    p.wait(20)
    assert len(api.asked) - n <= 12
    per_minute = {a.split("?")[0] + a.split("?")[-1][:9] for _, _, a in api.asked if a != "overview"}
    assert len(per_minute) <= 6


@pytest.mark.parametrize("lang", ["en-US", "zh-CN"])
def test_few_and_small_files_before_the_first_picture(api, page, lang, capsys):
    p, sizes, names = page("about:blank", lang=lang), {}, {}
    p.handlers["Network.requestWillBeSent"] = lambda e: names.update({e["requestId"]: e["request"]["url"]})
    p.handlers["Network.loadingFinished"] = lambda e: sizes.update({e["requestId"]: e["encodedDataLength"]})
    p.go(api.url)
    p.until(READY)
    files = {names[i]: n for i, n in sizes.items() if names[i].startswith(api.url) and "/api/" not in names[i]}
    with capsys.disabled():
        print("\nfirst load (%s): %d files, %d bytes with their heads" % (lang, len(files), sum(files.values())))
    assert 3 < len(files) <= 10 and sum(files.values()) <= 45 * 1024, files


@pytest.mark.parametrize("fragment,rows,budget", [("", 50, 16), ("endpoints", 200, 50)])
def test_an_update_is_quick(api, page, fragment, rows, budget, capsys):
    api.overview["endpoints"] = [endpoint("relay-%d" % i, STATES[i % 8]) for i in range(rows)]
    p = open_page(page, api, fragment)
    p.call("Performance.enable", {"timeDomain": "threadTicks"})
    get = lambda: {m["name"]: m["value"] for m in p.call("Performance.getMetrics")["metrics"]}
    # One poll and its drawing, without what the page asks on top of it.
    turn = "import('./ui/app.js').then((m) => m.$api.poll()).then(() => new Promise((r) => requestAnimationFrame(() => requestAnimationFrame(r))))"
    p.key("p")
    p.until("document.querySelector('#live').dataset.state == 'paused'")
    took = []
    for _ in range(8):
        for e in api.overview["endpoints"]:
            e["open_requests"] += 1
            e["tokens"]["output"] += 12345
            e["success_rate"] = round(e["success_rate"] * 0.99, 3)
        a = get()
        p.js(turn)
        b = get()
        took.append(1000 * sum(b[k] - a[k] for k in ("ScriptDuration", "LayoutDuration", "RecalcStyleDuration")))
    with capsys.disabled():
        print("\n%s with %d endpoints: an update takes %.0f ms of script and layout on the CPU (budget %d)" % (fragment or "overview", rows, min(took), budget))
    assert min(took) <= budget


def test_the_heap_does_not_grow(api, page, capsys):
    p = open_page(page, api)
    heap = lambda: (p.call("HeapProfiler.collectGarbage"), p.js("performance.memory.usedJSHeapSize"))[1]
    turn = """(async () => { const m = (await import('./ui/app.js')).$api; for (let i = 0; i < %d; i++) { await m.poll();
        await new Promise((r) => setTimeout(r)) } })()"""
    p.js(turn % 100, timeout=120)
    before = heap()
    p.js(turn % 300, timeout=240)
    grown = (heap() - before) / 1024
    with capsys.disabled():
        print("\n300 polls: the heap grew by %.0f KiB" % grown)
    assert grown < 2048
