"""Replies for pages of requests, usage, logs, configuration and the system, and walks over what a page shows."""
import copy
import json
import time

from fake_api import iso, request

HOOK = """(() => { const real = window.fetch; window.told = {};
  window.fetch = async (...a) => { const r = await real(...a); const j = await r.clone().json().catch(() => null);
    window.told[String(a[0]).replace('api/v1/', '')] = j; return r } })()"""
# Marks that do not show what the reply to their address has: [mark, told, shown].
WRONG = """(() => { const told = window.told; return [...document.querySelectorAll('[data-f]')].map((e) => {
  const at = e.dataset.f.indexOf('#'); const of = at < 0 ? 'overview' : e.dataset.f.slice(0, at);
  let v = told[of]; if (v === undefined) return [e.dataset.f, 'no reply', null];
  for (const k of e.dataset.f.slice(at + 1).split('.')) v = v === null || v === undefined ? undefined : v[k];
  const absent = v === null || v === undefined;
  if (absent && e.dataset.v === 'null') return null;
  const good = absent ? e.dataset.v === undefined && e.textContent === '–' : String(v) === e.dataset.v && e.textContent !== '';
  return good ? null : [e.dataset.f, absent ? null : String(v), e.dataset.v ?? null, e.textContent] }).filter(Boolean) })()"""
READY = "document.querySelector('main h1') && document.querySelector('#live').dataset.state == 'live' && !document.querySelector('.skeleton')"
PAGES = ["requests", "requests/%s", "usage", "usage?by=client&measure=tokens&since=30d", "usage?by=none&measure=requests&since=24h",
         "usage?by=endpoint&measure=cache", "usage?by=none&measure=errors", "events", "logs", "config", "config/prices", "system"]
HOSTILE = ['<img src=x onerror="window.bad=1">', "‮sremun-thgir⁦", "x" * 64, "🦊 endpoint", "=cmd()|' /C calc'!A0"]


def opened(page, url, fragment, **kw):
    """A page with the hook above, shown and loaded."""
    p = page("about:blank", **kw)
    p.call("Page.addScriptToEvaluateOnNewDocument", {"source": HOOK})
    p.go(url + "#/" + fragment)
    p.until(READY)
    return p


def text(p, selector):
    return p.js("document.querySelector(%s)?.textContent ?? null" % json.dumps(selector))


def texts(p, selector):
    return p.js("[...document.querySelectorAll(%s)].map((e) => e.textContent)" % json.dumps(selector))


def sane(p, *allowed):
    """Nothing on the console but what is allowed, and one host only."""
    assert [c for c in p.console if not any(a in c for a in allowed)] == []
    assert len({r.url.split("/")[2] for r in p.requests if r.url.startswith("http")}) <= 1


def attempt(endpoint, cls="ok", **more):
    bad = cls != "ok"
    return {"endpoint": endpoint, "class": cls, "fault": "endpoint" if bad else "none", "reason": "overloaded" if bad else None, "scope": "model" if bad else "none",
            "status": 529 if bad else 200, "at_ms": 0, "ms": 28, "retry_after_ms": None, **more}


def choice(endpoint, **more):
    return {"at_ms": 0, "result": "chosen", "endpoint": endpoint, "conversation": "not bound", "repeat": False, "new_connection": False,
            "trial": False, "second_opinion": False, "times": 1, "others": 0,
            "skipped": [{"endpoint": "official", "reason": "another priority group is better"}], **more}


def rows(n=40):
    """Requests as a list has them: the second was answered by another model, the third failed at two places, the fourth went on."""
    v = [request(i) for i in range(n)]
    for r in v:
        r.update(at_ms=int(time.time() * 1000), cost={"usd": r["cost"]["usd"], "missing": []})
    v[1].update(served="claude-haiku-4-5", model_differs=True)
    v[2].update(request(2, ok=False), attempts=[attempt("relay-b", "transient"), attempt("relay-a", "transient")], at_ms=v[2]["at_ms"],
                cost={"usd": None, "missing": []})
    v[3].update(attempts=[attempt("relay-b", "transient"), attempt("official", at_ms=28)], endpoint="official")
    v[4].update(end="client gone", cost={"usd": None, "missing": ["no price for some-unknown"]})
    return v


def one():
    """A request with its trail, as requests/ID tells it."""
    r = request(7, attempts_begun=2, model="claude-sonnet-4-5", sent="claude-sonnet-4-5", served="claude-sonnet-4-5", total_ms=6100,
                attempts=[attempt("relay-b", "permanent", status=400, reason="wall-page"), attempt("relay-a", at_ms=28, ms=6072)],
                tokens={"input": 12, "output": 34, "cache_read": 0, "cache_write": 0, "write_5m": 0, "write_1h": 0})
    r.update(at_ms=int(time.time() * 1000), choices=[choice("relay-b"), choice("relay-a", at_ms=28, second_opinion=True, conversation=None)],
             choices_missed=0, cost={"usd": 0.000546, "missing": [], "model": "claude-sonnet-4-5", "above": None, "multipliers": {},
                                     "rates": {"input": 3, "output": 15, "cache_read": 0.3, "write_5m": 3.75, "write_1h": 6, "web_search": 10},
                                     "from": "2025-09-29", "factor": 1})
    return r


def leaf(value, *default):
    return {"value": value, "changed": True, "default": default[0]} if default else {"value": value, "changed": False}


CONFIG = {
    "workers": leaf("auto"), "state_dir": leaf("/var/lib/qcc", None), "balance": {"strategy": leaf("priority_failover", "weighted")},
    "admin": {"listen": leaf("127.0.0.1:7861"), "token": leaf("tok…abcd", None)}, "limits": {"drain_timeout": leaf("30s", "10s")},
    "endpoints": [{"name": leaf("official", None), "base_url": leaf("https://somebody:canary-pass@api.example.com/v1?q=canary-query", None),
                   "api_key": leaf("sk-…abcd", None), "weight": leaf(50, 100), "paths": {"deny": leaf(["/v1/organizations/*"])}}]}


def price(model, **more):
    return {"model": model, "from": "2026-09-22", "until": None, "input": 4, "output": 20, "cache_read": 0.2, "write_5m": 5, "write_1h": 8,
            "above": None, "fast": 2, "batch": 0.5, "geo_us": None, "web_search": 10, "source": "platform.claude.com", "override": False, **more}


def host(name, beat_ms, bindings, digest="a91f", self_=False):
    return {"id": "%016x" % sum(name.encode()), "name": name, "beat_ms": beat_ms, "version": "1.0.0", "digest": digest, "bindings": bindings,
            "self": self_}


CLUSTER = {"enabled": True, "prefix": "qcc", "state": "up", "since": iso(time.time() - 11520), "since_s": 11520.0, "reason": None,
           "engine": {"url": "redis://10.0.0.5:6379", "version": "7.0.15", "role": "master", "maxmemory_policy": "noeviction"},
           "rtt_ms": {"p50": 0.4, "p99": 1.1}, "host": {"id": "1", "name": "web-1"},
           "hosts": [host("web-1", 400, 81230, self_=True), host("web-2", 900, 81229, "03c2")],
           "epoch": "a", "log": {"n": 71, "lag_ms": 3, "resyncs": 1}, "queue": {"bytes": 0, "dropped": 0}, "leases": [], "places": []}


def fill(api):
    """Makes the fake API answer all of it; the trail's id."""
    trail = one()
    api.reply["requests"] = lambda a: {"requests": rows(), "next": None if "before" in a else "7350000000000000", "oldest": iso(time.time() - 9e4)}
    api.reply["requests/" + trail["id"]] = trail
    levels = ["debug", "info", "warning", "error"]
    api.reply["logs"] = {"lines": [{"level": levels[i % 4], "line": "2026-11-30T14:02:%02d.112Z %s worker 1: line %d" % (i % 60, levels[i % 4], i)}
                                   for i in range(200)], "next": 200, "lost": False}
    api.reply["config"] = {"file": "/etc/qcc/qcc.yaml", "generation": 3, "taken": iso(time.time() - 7200), "config": copy.deepcopy(CONFIG),
                           "last_reload": {"at": iso(time.time() - 60), "ok": False, "error": "the configuration has 2 faults", "faults_left_out": 0,
                                           "faults": ["/etc/qcc/qcc.yaml:12:3: base_url is no address", "/etc/qcc/qcc.yaml:40:1: there is no key ballance"]}}
    api.reply["prices"] = {"list_prices_of": "2026-11-09", "unpriced": [{"model": "some-unknown", "requests": 1234, "last": iso(time.time() - 3600)}],
                           "models": [price("claude-opus-5-5"), price("claude-haiku-5-5", above={"tokens": 100000, "input": 0.5, "output": 2.5,
                                                                                                 "cache_read": 0.05, "write_5m": 0.625, "write_1h": 1}),
                                      price("house-model", override=True, source=None, **{"from": None})],
                           "factors": [{"endpoint": "relay-a", "factor": 0.8, "since": iso(time.time() - 864000)}]}
    api.reply["status"] = {"cluster": "up", "libraries": {"supervisor": "libev 4.33", "worker": "OpenSSL 3.0", "recorder": None}}
    api.reply["cluster"] = copy.deepcopy(CLUSTER)
    api.overview["workers"] = [dict(api.overview["workers"][0], slot=i, pid=4711 + i, memory_bytes=24 << 20, age_s=99999.5) for i in range(2)]
    api.overview["history"].update(memory_bytes=12 << 20, age_s=99999, stored=118, commits=60, restarts=0, pid=4800, free_bytes=12 << 30,
                                   retention={"state": "up to date", "keep_requests_s": 2592000, "keep_usage_s": 0, "max_size_bytes": 4 << 30,
                                              "min_free_bytes": 1 << 30})
    return trail["id"]
