"""An admin API that says what a test wants: the page's files as the build makes them of the source, recorded replies, then changed.

    api = FakeApi()
    api.overview["endpoints"][0]["state"] = "queued"
    api.reply["usage?since=24h&step=900"] = (409, {"error": "history is off"})
    page.go(api.url)

Replies are found by the whole address below /api/v1/, then by its path. A reply is a document, a pair of status and
document, or a function of the address that gives one of these. What was asked is in .asked as (time, method, address).
"""
import copy
import datetime
import functools
import gzip
import http.server
import json
import pathlib
import subprocess
import tempfile
import threading
import time
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parents[2]
FILES = ROOT / "worker/admin/dashboard"
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
POLICY = ("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
          "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
          "trusted-types 'none'")


@functools.lru_cache(None)
def served():
    """{name: bytes} of the page's files."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([str(ROOT / "worker/admin/embed.sh"), folder, *sorted(str(f) for f in FILES.rglob("*.*"))], check=True)
        return {f.name: f.read_bytes() for f in (pathlib.Path(folder) / "dashboard").iterdir() if f.suffix in TYPES}


def iso(seconds):
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def cell(family, tier="degraded", breaker="closed", cooldown_s=0.0, retry_in_s=None):
    """A cell as the overview tells it."""
    return {"family": family, "tier": tier, "breaker": {"state": breaker, "failures": 3, "retry_in_s": retry_in_s},
            "cooldown_s": cooldown_s, "own_word": cooldown_s > 0}


HELD = {"cells": [cell("opus", cooldown_s=38.4), cell("sonnet", "circuit_open", "open", retry_in_s=41.7),
                  cell("other", "circuit_open", "half_open")],
        "marks": [{"kind": "beta", "name": "beta=context-1m-2025-08-07", "until_s": 3540.0}]}


def endpoint(name, state="healthy", **more):
    """An endpoint as the overview tells it."""
    e = {"id": "%08x" % (hash(name) & 0xffffffff), "name": name, "base_url": "https://%s.example/v1" % name, "state": state,
         "tier": "healthy", "health": "healthy", "breaker": {"state": "closed", "failures": 0, "retry_in_s": None},
         "queued": None, "disabled_by": None, "refused_status": None, "refused_at": None, "draining": False,
         "verifying": False, "cooldown_s": 0.0, "cooldown_own_word": False, "models_blocked": 0, "cells": [], "marks": [], "weight": 100,
         "priority": 1, "max_concurrent": 0, "sessions": 3, "open_requests": 1, "state_since_s": 3600.5,
         "price_factor": 1, "last_failure": None,
         "attempts": {"ok": 1200, "transient": 4, "rate_limit": 2, "auth": 0, "permanent": 1, "unknown": 0},
         "charged": 7, "success_rate": 0.994, "ttfb_ms": {"p50": 712.5, "p95": 3100.0, "p99": 4820.0},
         "tokens": {"input": 1234567, "output": 310000, "cache_read": 9876543, "cache_write": 45678}}
    if state == "cooling":
        e.update(cooldown_s=38.4, cooldown_own_word=True, health="degraded", tier="degraded")
    elif state == "queued":
        e.update(queued={"reason": "wall-page", "verifications": 3, "verifying": False, "next_in_s": 4.2, "since_s": 80.0,
                         "in_reach": False}, health="unhealthy", success_rate=0.0, ttfb_ms={"p50": None, "p95": None, "p99": None})
    elif state == "circuit_open":
        e.update(breaker={"state": "open", "failures": 3, "retry_in_s": 41.7}, tier="circuit_open", health="unhealthy")
    elif state == "disabled":
        e.update(disabled_by="auth", refused_status=401, refused_at=iso(time.time() - 1200))
    elif state == "draining":
        e.update(draining=True)
    elif state in ("degraded", "unhealthy"):
        e.update(health=state, tier=state)
    e.update(more)
    return e


def part(requests, usd, **more):
    """Sums of a usage reply; usd None: a model without a price."""
    p = {"requests": requests, "ok": requests, "failed": 0, "cancelled": 0, "retried": 0, "moved": 0, "untold": 0, "web": 0,
         "bytes_in": requests * 5000, "bytes_out": requests * 900,
         "tokens": {"input": requests * 120, "output": requests * 340, "cache_read": requests * 9000, "write_5m": requests * 400,
                    "write_1h": 0},
         "cost_usd": usd, "priced_usd": usd or 0.0, "unpriced": [], "unpriced_tokens": 0}
    p.update(more)
    return p


def add(parts):
    out = part(0, 0.0)
    for p in parts:
        for k, v in p.items():
            if k == "tokens":
                for kind in v:
                    out["tokens"][kind] += v[kind]
            elif k == "unpriced":
                out[k] = sorted(set(out[k]) | set(v))
            elif k == "cost_usd":
                out[k] = None if v is None or out[k] is None else round(out[k] + v, 6)
            elif isinstance(v, (int, float)):
                out[k] = round(out[k] + v, 6)
    return out


def told(bucket):
    """A bucket without what is 0, as the API says it; time, key and costs stay."""
    out = {k: v for k, v in bucket.items() if k in ("time", "key", "cost_usd", "priced_usd") or v not in (0, [])}
    return {**out, "tokens": {k: v for k, v in bucket["tokens"].items() if v}}


def usage(address, keys=("claude-opus-5-5", "claude-sonnet-5-5", "some-unknown"), unpriced=("some-unknown",)):
    """A reply of the shape that /api/v1/usage has, for a made-up day."""
    q = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(address).query))
    now = int(time.time())
    since = q.get("since", "7d")
    start = int(since) if since.isdigit() else now - int(since[:-1]) * {"m": 60, "h": 3600, "d": 86400}[since[-1]]
    until = int(q.get("until", now))
    step = int(q.get("step", 0)) or next((s for s in (900, 3600, 21600, 86400) if (until - start) / s <= 120), 86400)
    shift = int(q.get("zone", "0").split(",")[0]) * 60
    start = (start + shift) // step * step - shift
    times = list(range(start, until, step))
    by = q.get("by", "total")
    names = {"total": [None], "model": list(keys), "endpoint": ["official", "relay-a", "relay-b"],
             "client": ["alice", "bob"]}.get(by, [None])
    buckets = []
    for i, at in enumerate(times):
        if i % 11 == 7:
            continue  # a gap: nothing is known of this time
        for k, name in enumerate(names):
            n = (7 * i + 13 * k) % 29 + 2
            lost = {"failed": n // 9, "cancelled": n // 14}
            p = part(n, None if name in unpriced else round(n * 0.0123 * (k + 1), 6), unpriced=[name] if name in unpriced else [])
            p.update(lost, ok=n - sum(lost.values()), unpriced_tokens=sum(p["tokens"].values()) if name in unpriced else 0)
            buckets.append({"time": at, **({"key": name} if name else {}), **p})
    sums = [{"key": name, **add([{k: v for k, v in b.items() if k not in ("time", "key")} for b in buckets if b.get("key") == name])}
            for name in names if name]
    total = add([{k: v for k, v in b.items() if k not in ("time", "key")} for b in buckets])
    return {"since": start, "until": until, "step": step, "rounded": False, "times": times, "by": by,
            "list_prices_of": "2026-11-09", "missing": ["no price for %s" % m for m in total["unpriced"]], "total": total,
            "keys": sums, "buckets": [told(b) for b in buckets]}


def speed(address):
    now = int(time.time()) // 3600 * 3600
    times = [now - 3600 * i for i in range(24, -1, -1)]
    one = lambda i: {"first_bytes": 40 + i, "first_byte_ms": {"p50": 500.0 + 30 * (i % 7), "p95": 2500.0 + 100 * (i % 5), "p99": 4000.0},
                     "output_tokens_per_s": 61.4, "attempts": {"ok": 40 + i, "transient": i % 3, "rate_limit": i % 2}}
    return {"since": times[0], "until": now + 3600, "step": 3600, "rounded": False, "times": times, "total": one(9),
            "buckets": [{"time": at, **one(i)} for i, at in enumerate(times) if i % 9 != 4], "endpoints": [], "models": []}


def blocks(address):
    now = int(time.time()) // 3600 * 3600
    q = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(address).query))
    out = []
    for i in range(4):
        start = now - 7200 - i * 36000
        out.append({"endpoint": q.get("endpoint", "official"), "start": start, "end": start + 18000, "running": i == 0,
                    **part(80 + i, round(1.5 + i, 6)),
                    **({"tokens_per_minute": 4782.2, "projected_tokens": 1362920, "projected_usd": 4.71} if i == 0 else
                       {"tokens_per_minute": None, "projected_tokens": None, "projected_usd": None})})
    return {"since": now - 7 * 86400, "list_prices_of": "2026-11-09", "missing": [], "blocks": out}


def request(i=0, ok=True, **more):
    at = time.time() - 60 * i - 5
    r = {"time": iso(at), "id": "2ab2f08ff2aa8681%04x" % i, "client": ["alice", "bob", None][i % 3], "model": "claude-opus-5-5",
         "sent": "claude-opus-5-5", "served": "claude-opus-5-5", "model_differs": False, "method": "POST", "path": "/v1/messages",
         "stream": True, "endpoint": "relay-a" if ok else None, "protocol": "anthropic" if ok else None, "attempts_begun": 1,
         "attempts": [{"endpoint": "relay-a", "class": "ok" if ok else "transient", "fault": "none" if ok else "endpoint",
                       "reason": None if ok else "overloaded", "status": 200 if ok else 529, "at_ms": 0, "ms": 2400, "retry_after_ms": None}],
         "status": 200 if ok else 529, "first_byte_ms": 912 if ok else None, "total_ms": 12400, "bytes_in": 5000, "bytes_out": 900,
         "tokens": {"input": 1200, "output": 840, "cache_read": 11000, "cache_write": 400, "write_5m": 400, "write_1h": 0} if ok else
         {k: None for k in ("input", "output", "cache_read", "cache_write", "write_5m", "write_1h")},
         "web_searches": None, "service_tier": "standard", "speed": None, "inference_geo": None, "end": "ok" if ok else "all failed",
         "cost": {"usd": 0.0612 if ok else None}}
    r.update(more)
    return r


def event(i=0, **more):
    e = {"time": iso(time.time() - 90 * i - 3), "k": 10 ** 15 - i, "endpoint": ["relay-a", "relay-b", None][i % 3],
         "kind": ["cooldown", "queue", "reload"][i % 3],
         "text": ["cooldown told to wait for 39 s: limit-code", "queue healthy -> queued: wall-page", "reload done, generation 3"][i % 3], "who": [None, None, "a signal"][i % 3]}
    e.update(more)
    return e


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, *_):
        """A browser that closes a connection is no fault."""


class FakeApi:
    def __init__(self, endpoints=None):
        self.token = None
        self.refuse = None      # (status, sentence) for every address below /api/
        self.asked = []
        self.reply = {"usage": usage, "speed": speed, "usage/blocks": blocks,
                      "requests": lambda a: {"requests": [request(i, ok="failed" not in a) for i in range(5)], "next": None, "oldest": iso(time.time() - 9e4)},
                      "events": lambda a: {"events": [event(i) for i in range(5)], "next": None, "oldest": iso(time.time() - 9e4)},
                      "history": lambda a: self.overview["history"], "config": {"file": "/etc/qcc/qcc.yaml", "endpoints": []},
                      "prices": {"list_prices_of": "2026-11-09", "models": [], "factors": [], "unpriced": []}}
        self.hold = 0           # seconds that each reply is held back
        self.requests = 23100
        self.boot = time.time() - 12 * 86400
        self.skew = 0
        self.overview = {
            "version": "1.0.0", "boot": int(self.boot * 1000), "generation": 3, "state": "serving", "clock_ms": 0,
            "listeners": [{"address": "127.0.0.1:7860", "admin": False, "tls": False}, {"address": "127.0.0.1:7861", "admin": True, "tls": False}],
            "workers": [{"slot": 0, "pid": 4711, "state": "serving", "generation": 3, "connections": 4, "requests_open": 3, "requests": 11550,
                         "buffered_bytes": 40960, "failures": 0}],
            "endpoints_by_state": {}, "queue": [], "endpoints": endpoints if endpoints is not None else [
                endpoint("official", **copy.deepcopy(HELD), open_requests=3, sessions=31, tokens={"input": 9, "output": 1234567, "cache_read": 5, "cache_write": 1}),
                endpoint("relay-a", "cooling", max_concurrent=8, open_requests=0),
                endpoint("relay-b", "queued", priority=2, open_requests=0, sessions=0), endpoint("relay-c", max_concurrent=64)],
            "totals": {"connections": 9, "requests_open": 7, "streams_open": 5, "requests": 0,
                       "requests_by_status": {"none": 3, "1xx": 0, "2xx": 23080, "3xx": 0, "4xx": 5, "5xx": 12},
                       "bytes_in": 1, "bytes_out": 2, "tokens": {"input": 5, "output": 6, "cache_read": 7, "cache_write": 8},
                       "restarts": 0, "reloads": 2, "reloads_refused": 0, "ttfb_ms": {"p50": 812.5, "p95": 3012.0, "p99": 4200.0}},
            "last_reload": {"at": iso(time.time() - 7200), "ok": True, "faults": []},
            "history": {"state": "storing", "why": None, "path": "/var/lib/qcc/history.db", "size_bytes": 650776, "requests": 118,
                        "oldest": iso(time.time() - 9e5), "newest": iso(time.time()), "behind_ms": 0, "dropped": 0, "last_error": None,
                        "last_error_at": None}}
        self.server = Server(("127.0.0.1", 0), self.handler())
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.url = "http://127.0.0.1:%d/" % self.port
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def tell(self):
        """The overview of this moment."""
        o = self.overview
        by = {s: 0 for s in ("healthy", "degraded", "cooling", "draining", "unhealthy", "circuit_open", "queued", "disabled")}
        for e in o["endpoints"]:
            by[e["state"]] = by.get(e["state"], 0) + 1
        self.requests += 2
        o["endpoints_by_state"] = by
        o["totals"]["requests"] = self.requests
        o["clock_ms"] = int((time.time() + self.skew) * 1000)
        return copy.deepcopy(o)

    def answer(self, method, address):
        if self.refuse:
            return self.refuse
        path = address.split("?")[0]
        if address == "overview":
            return self.tell()
        found = self.reply.get(method + " " + address, self.reply.get(address, self.reply.get(path)))
        if method == "POST" and found is None:
            return self.act(path)
        if callable(found):
            found = found(address)
        return (404, {"error": "there is no " + address}) if found is None else found

    def act(self, path):
        words = [urllib.parse.unquote(w) for w in path.split("/")]
        if words[0] == "reload":
            self.overview["generation"] += 1
            return {"generation": self.overview["generation"]}
        for e in self.overview["endpoints"]:
            if words[0] == "endpoints" and e["name"] == words[1]:
                change = {"enable": {"state": "healthy", "disabled_by": None, "draining": False},
                          "disable": {"state": "disabled", "disabled_by": "operator"}, "drain": {"state": "draining", "draining": True},
                          "verify": {"verifying": True}, "reset": {"state": "healthy", "queued": None, "cooldown_s": 0.0}}[words[2]]
                e.update(change)
                return copy.deepcopy(e)
        return 404, {"error": "there is no endpoint " + words[1]}

    def handler(self):
        api = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def send(self, status, kind, body):
                self.send_response(status)
                if "gzip" in (self.headers.get("accept-encoding") or "") and not kind.startswith("application"):
                    body = gzip.compress(body, 9)
                    self.send_header("content-encoding", "gzip")
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(body)))
                self.send_header("content-security-policy", POLICY)
                self.send_header("x-content-type-options", "nosniff")
                self.send_header("cache-control", "no-cache")
                self.end_headers()
                try:
                    self.wfile.write(body)
                except OSError:
                    pass

            def api(self, method):
                address = self.path[len("/api/v1/"):]
                api.asked.append((time.monotonic(), method, address))
                if api.hold:
                    time.sleep(api.hold)
                if api.token and self.headers.get("authorization") != "Bearer " + api.token:
                    status, doc = 401, {"error": "this needs the admin token"}
                else:
                    found = api.answer(method, address)
                    status, doc = found if isinstance(found, tuple) else (200, found)
                self.send(status, "application/json", json.dumps(doc).encode())

            def do_GET(self):
                if self.path.startswith("/api/v1/"):
                    return self.api("GET")
                name = {"/": "index.html"}.get(self.path.split("?")[0]) or (self.path[4:].split("?")[0] if self.path.startswith("/ui/") else "")
                if name not in served():
                    return self.send(404, "text/plain", b"not found")
                self.send(200, TYPES[pathlib.Path(name).suffix] + "; charset=utf-8", served()[name])

            def do_POST(self):
                self.rfile.read(int(self.headers.get("content-length") or 0))
                self.api("POST")

        return Handler


if __name__ == "__main__":
    a = FakeApi()
    print(a.url, flush=True)
    threading.Event().wait()
