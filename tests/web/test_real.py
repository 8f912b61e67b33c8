"""The dashboard on the real programs: what is shown is what they say, and stays so whatever happens to them."""
import json
import os
import signal

import pytest

from admin import call, get, send
from qcc import Qcc, Upstream, until

READY = "document.querySelector('main [data-f]') && document.querySelector('#live').dataset.state == 'live'"
KEY = "sk-canary-key-0123456789"


@pytest.fixture
def real(tmp_path):
    """real(config): a QCC with a history and two endpoints of the fake upstream."""
    made = []
    up = Upstream(tmp_path / "upstream")

    def make(config=None):
        endpoints = [{**up.endpoint("/s/200"), "name": "official"}, {**up.endpoint("/s/200"), "name": "relay-a", "api_key": "sk-another-0123456789"}]
        base = {"state_dir": str(tmp_path / "state"), "endpoints": endpoints}
        q = Qcc(tmp_path / "qcc", {**base, **(config or {})})
        made.append(q)
        return q.start()

    yield make
    for q in made:
        q.close()
    up.close()


def test_every_file_runs_under_the_policy(real, page):
    q = real()
    send(q, 5)
    for fragment in ("", "endpoints", "endpoints/official"):
        p = page(q.admin_url + "/#/" + fragment)
        p.until(READY)
        p.until("!document.querySelector('.skeleton')")
        assert p.console == []
        assert all(r.url.startswith((q.admin_url, "data:")) for r in p.requests)
        assert [s for s in p.responses if s[1] >= 400] == []
        policy = [h for u, _, h in p.responses if u.rstrip("/") == q.admin_url][0]
        assert any("trusted-types" in v for v in policy.values())


def test_counts_are_those_of_the_api(real, page):
    q = real()
    send(q, 7)
    until(lambda: get(q, "overview")["totals"]["requests"] == 7)
    p = page(q.admin_url + "/#/endpoints")
    p.until(READY)
    told = {e["name"]: e for e in get(q, "overview")["endpoints"]}
    for i, name in enumerate(("official", "relay-a")):
        p.until("document.querySelector('[data-f=\"endpoints.%d.tokens.output\"]').dataset.v == '%d'" % (i, told[name]["tokens"]["output"]))
    p.js("location.hash = '#/'")
    until(lambda: get(q, "usage?since=24h&step=900")["total"]["requests"] == 7)
    p.key("r")
    p.until("[...document.querySelectorAll('[data-f$=\"#total.requests\"]')].some((e) => e.dataset.v == '7')")


def test_an_action_is_done_there(real, page):
    q = real()
    p = page(q.admin_url + "/#/endpoints/relay-a")
    p.until(READY)
    p.click("[data-act=drain]")
    p.click("dialog[open] .primary, dialog[open] .danger")
    p.until("document.querySelector('#why .state code').textContent == 'draining'")
    assert [e["state"] for e in get(q, "overview")["endpoints"]] == ["healthy", "draining"]
    p.click("[data-act=enable]")
    p.until("document.querySelector('#why .state code').textContent == 'healthy'")


def test_a_cell_and_a_mark_are_reset_there(tmp_path, page):
    up = Upstream(tmp_path / "upstream")
    limit = "/s/status=429,retry_after=300,message=no%20more%20claude-opus-4-8"
    q = Qcc(tmp_path / "qcc", {"endpoints": [{**up.endpoint(limit), "name": "official"}, {**up.endpoint("/s/200"), "name": "relay-a"}],
                               "balance": {"strategy": "priority_failover"}}).start()
    try:
        send(q, 1, model="claude-opus-4-8")
        until(lambda: any(e["cells"] for e in get(q, "overview")["endpoints"]), "the cell to cool")
        p = page(q.admin_url + "/#/endpoints/official")
        p.until(READY)
        p.until("document.querySelector('[data-f=\"endpoints.0.cells.0.family\"]')?.textContent == 'opus'")
        p.click("[aria-label='Cells and marks'] tbody button")
        p.click("dialog[open] .primary")
        p.until("!document.querySelector('[data-f=\"endpoints.0.cells.0.family\"]')")
        assert [e["cells"] for e in get(q, "overview")["endpoints"]] == [[], []]
    finally:
        q.close()
        up.close()


def test_live_again_after_a_worker_and_the_supervisor_died(real, page):
    q = real()
    p = page(q.admin_url + "/")
    p.until(READY)
    for w in get(q, "overview")["workers"]:
        os.kill(w["pid"], signal.SIGKILL)
    p.until(READY)
    q.process.kill()
    q.process.wait()
    p.until("document.querySelector('#live').dataset.state == 'retrying'")
    q.start()
    p.until(READY)
    rate = p.js("document.querySelector('#rate').textContent")
    assert not rate.startswith(("-", "−"))
    assert p.js("document.querySelector('[data-banner^=version]')") is None


def test_a_reload_is_seen(real, page):
    q = real()
    p = page(q.admin_url + "/#/endpoints")
    p.until(READY)
    generation = int(p.js("document.querySelector('footer [data-f=generation]').dataset.v"))
    q.configure({"endpoints": q.config["endpoints"][:1]})
    call(q, "POST", "/api/v1/reload")
    p.until("document.querySelector('footer [data-f=generation]').dataset.v > %d && document.querySelectorAll('main tbody tr').length == 1" % generation)


def test_a_refused_reload_is_a_banner(real, page):
    q = real()
    p = page(q.admin_url + "/")
    p.until(READY)
    q.path.write_text("endpoints: [")
    call(q, "POST", "/api/v1/reload")
    p.until("document.querySelector('[data-banner^=reload]')")


def test_secrets_are_in_no_reply_and_in_no_page(tmp_path, page):
    canaries = [KEY, "canary-client-token", "canary-admin-token", "canary-header", "canary-user"]
    q = Qcc(tmp_path / "qcc", {
        "admin": {"token": canaries[2]}, "clients": [{"name": "alice", "token": canaries[1]}],
        "endpoints": [{"name": "official", "base_url": "http://127.0.0.1:9/v1", "api_key": KEY, "headers": {"x-secret": canaries[3]},
                       "proxy": "http://%s:pw@127.0.0.1:9" % canaries[4]}]}).start()
    try:
        for fragment in ("", "endpoints", "endpoints/official"):
            p = page(q.admin_url + "/#/" + fragment)
            p.until("document.activeElement?.matches('input[name=token]')")
            p.type(canaries[2])
            p.key("Enter")
            p.until(READY)
            p.until("!document.querySelector('.skeleton')")
            html = p.js("document.documentElement.outerHTML")
            assert [c for c in canaries if c in html] == []
        for path in ("overview", "config", "endpoints", "status"):
            a = call(q, "GET", "/api/v1/" + path, {"Authorization": "Bearer " + canaries[2]})
            assert a.status == 200 and [c for c in canaries if c.encode() in a.body] == []
    finally:
        q.close()


def test_history_off_by_the_real_programs(tmp_path, page):
    q = Qcc(tmp_path / "qcc").start()
    try:
        p = page(q.admin_url + "/#/endpoints/nobody")
        p.until(READY)
        p.until("document.querySelector('main').textContent.includes('History is off')")
        assert "$0" not in p.js("document.querySelector('main').textContent")
    finally:
        q.close()


@pytest.mark.parametrize("zone", ["Asia/Kathmandu", "America/New_York"])
def test_today_begins_at_local_midnight(real, page, zone):
    q = real()
    send(q, 3)
    until(lambda: get(q, "usage?since=24h")["total"]["requests"] == 3)
    p = page(q.admin_url + "/", zone=zone)
    p.until(READY)
    p.until("!document.querySelector('.skeleton')")
    asked = [r.url for r in p.requests if "usage?by=model&since=" in r.url]
    assert asked
    for url in asked:
        reply = json.loads(call(q, "GET", url[len(q.admin_url):]).body)
        assert sum(k["requests"] for k in reply["keys"]) == reply["total"]["requests"]
        since = int(url.split("since=")[1].split("&")[0])
        assert reply["since"] == since  # a local midnight is the beginning of a bucket
        assert p.js("new Date(%d000).getHours()" % since) == 0


def test_the_clock_is_the_readers(real, page):
    q = real()
    send(q, 3)
    until(lambda: get(q, "usage?since=24h")["total"]["requests"] == 3)
    for zone in ("Asia/Shanghai", "Asia/Kolkata"):
        p = page(q.admin_url + "/", zone=zone)
        p.until(READY)
        assert p.js("document.querySelector('footer').textContent.includes(Intl.DateTimeFormat().resolvedOptions().timeZone)")
        p.js("location.hash = '#/endpoints/official'")
        p.until("document.querySelector('main time')")
        assert p.js("(e => e.title.includes(e.dateTime.slice(0, 10)) && e.title.endsWith('UTC'))(document.querySelector('main time'))")
