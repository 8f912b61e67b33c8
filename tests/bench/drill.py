#!/usr/bin/python3
"""The drill: what failing endpoints cost the clients, with four workers, in figures.

    drill.py [--only PART]... [--build DIR] [--keep]

Prints a Markdown table: each figure, what was measured, its goal, and "ok" or "MISSED". Exit status 1 when one is
missed. Parts:
    failover   time added to a request whose first endpoint fails, over the same request served at once
    mix        2,000 requests, of which some are at fault themselves and some meet a failing endpoint
    limits     many clients at endpoints with max_concurrent that also fail, beside one that has room
    affinity   conversations stay where they are, also when there is a better place for new ones
    breaker    how long other workers go on asking an endpoint whose breaker has just opened
    reuse      connections to endpoints are used again
    scrape     what /metrics takes with 200 endpoints
    history    the recorder stopped for long under load; upgrades: no request and no record is lost
    cluster    several hosts: the engine killed, stopped, emptied under load; how soon one knows what another found out
    operate    reloads and upgrades while streams are open and requests come; qccctl beside them

Every sample is checked to have met the failure that it is to measure. All processes are on this machine, so the
time added is QCC's own and the scheduler's; a busy machine shows in the p95.
"""
import argparse
import collections
import contextlib
import json
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
import urllib.parse
import uuid

from drill_cluster import cluster
from drill_history import history
from drill_scope import scope
from drill_stage import (Client, Drill, Failed, WORKERS, admin_endpoints, ask_once, changes, epoch, in_threads,
                         percentile, request, spread)
from machine import machine_seconds, others

LIMIT_S = 600  # the whole drill; what takes longer hangs

FAILOVER_MS = 20
PAUSE_MS, OVERLOADED_MS, JITTER = 200, 750, 1.25  # retry.transient_delay and its kin: at most a quarter more
LATE_MS = 5
SCRAPE_MS = 10
STATUS_MS = 20
STREAMS, RATE, RELOADS, UPGRADES = 200, 300, 20, 3


# ---- failover

Kind = collections.namedtuple("Kind", "name title spec stream attempts pause_ms")
QUICK = [
    Kind("refused", "refuses connections", None, False, 2, 0),
    Kind("kept", "resets a kept connection", "fail_every=2,reset", False, 1, 0),
    Kind("limited", "answers 429", "status=429,header=retry-after-ms:1", False, 2, 0),
]
SLOW = [
    Kind("reset", "resets new connections", "reset", False, 3, PAUSE_MS),
    Kind("s503", "answers 503", "status=503", False, 3, PAUSE_MS),
    Kind("sse", "begins the stream with an error", "sse_error_first=api_error,message=Broken", True, 3, PAUSE_MS),
    Kind("overloaded", "begins the stream with overloaded_error", "sse_error_first=overloaded_error", True, 3,
         OVERLOADED_MS),
]


def sample(client, kind):
    """The time of one request; None if it did not meet the failure."""
    r = client.ask(request(kind.name, kind.stream, str(uuid.uuid4())))
    if r.status != 200 or (kind.stream and not r.body.rstrip().endswith(b'{"type":"message_stop"}')):
        raise Failed("%s: a request failed with %d: %.300r" % (kind.name, r.status, r.body))
    time.sleep(0.01)  # until then the endpoint is a first choice again
    return r.seconds * 1000 if int(r.headers["x-qcc-attempts"]) == kind.attempts else None


def failover(d):
    """Each kind of failure has a model of its own, which only its endpoint and the good one offer. What the endpoints
    are charged is over after a millisecond, so that the next request meets the failure again."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # and never listens
        up = d.upstream()
        well = Kind("well", "", "name=well", False, 1, 0)
        kinds = [well] + QUICK + SLOW
        endpoints = [up.endpoint("/s/" + (k.spec or ""), k.name, models={"allow": [k.name]}) for k in kinds]
        endpoints[1]["base_url"] = "http://127.0.0.1:%d" % closed.getsockname()[1]
        endpoints.append(up.endpoint("/s/name=good", "good", priority=9))
        q = d.proxy(endpoints, balance={"strategy": "priority_failover"}, health={"degraded_for": "1ms"},
                    breaker={"failure_threshold": 1000}, retry={"transient_delay": "%dms" % PAUSE_MS},
                    log={"access": False})
        clients = [Client(q.port) for _ in range(2 * WORKERS)]
        base = {}
        for stream in (False, True):
            well = well._replace(stream=stream)
            got = [sample(c, well) for _ in range(12) for c in clients][len(clients):]
            base[stream] = statistics.median(got)
        times = {k.name: [] for k in kinds}
        asked = collections.Counter()
        for i in range(200):
            for k in QUICK:
                # A kept connection is one of the worker that the first client has.
                c = clients[0] if k.name == "kept" else clients[i % len(clients)]
                asked[k.name] += 1
                times[k.name].append(sample(c, k))

        def slow(kind):
            with contextlib.closing(Client(q.port)) as c:
                for _ in range(15):
                    asked[kind.name] += 1
                    times[kind.name].append(sample(c, kind))
        in_threads([lambda k=k: slow(k) for k in SLOW for _ in range(4)])
        resets = up.stats()["sites"]["/s/fail_every=2,reset"]["failed"]
        for k in QUICK + SLOW:
            added = [t - base[k.stream] for t in times[k.name] if t is not None]
            met = min(len(added), resets + 1) if k.name == "kept" else len(added)
            if met < 0.9 * asked[k.name]:
                d.row("failover: the endpoint " + k.title, "only %d of %d requests met the failure" %
                      (met, asked[k.name]), "p95 < %d ms" % FAILOVER_MS, False)
                continue
            p50, p95 = statistics.median(added), percentile(added, 95)
            goal = FAILOVER_MS + k.pause_ms * JITTER
            said = "p95 < %d ms" % goal
            if k.pause_ms:
                said += " (%d ms beyond a pause of %d ± 25%%)" % (FAILOVER_MS, k.pause_ms)
            d.row("failover: the endpoint %s: time added" % k.title,
                  "p50 %.1f ms, p95 %.1f ms" % (p50, p95), said, p95 < goal)
        for c in clients:
            c.close()


# ---- a mix of faults

REQUESTS, CLIENT_FAULTS = 2000, 300

# What refusals of requests look like; some speak of keys, limits and numbers, as the texts of users do.
REFUSALS = [
    (400, "invalid_request_error", "messages.1.content.0: unexpected `tool_use_id` found in `tool_result` blocks"),
    (400, "invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"),
    (400, "invalid_request_error", "max_tokens: 401 > 400, which is the maximum allowed number of output tokens"),
    (400, "invalid_request_error", "tools.3.custom.name: get_api_key_quota is no valid name"),
    (404, "not_found_error", "model: claude-nope-4"),
    (413, "request_too_large", "Request exceeds the maximum size"),
    (422, "invalid_request_error", "temperature: Input should be less than or equal to 1"),
    (400, "invalid_request_error", "messages.429.content: text content blocks must be non-empty"),
]


def refusal_spec(refusal):
    status, kind, message = refusal
    return "status=%d,error=%s,message=%s" % (status, kind, urllib.parse.quote(message, safe=""))


def play_mix(d, q, refused):
    """Sends the mix on 16 connections; returns (requests that failed, refusals that came back changed)."""
    plan = [REFUSALS[i % len(REFUSALS)] if i < refused else None for i in range(REQUESTS)]
    d.rnd.shuffle(plan)
    failed, changed, lock = [], [], threading.Lock()

    def play():
        c = Client(q.port)
        while True:
            with lock:
                if not plan:
                    break
                refusal = plan.pop()
                stream = d.rnd.random() < 0.3
            r = c.ask(request(stream=stream, conversation=str(uuid.uuid4()),
                              fake=refusal and refusal_spec(refusal)))
            if refusal:
                if r.status != refusal[0] or json.loads(r.body)["error"]["message"] != refusal[2]:
                    changed.append((refusal, r))
            elif r.status != 200 or (stream and b'"message_stop"' not in r.body):
                failed.append(r)
            if r.headers.get("connection") == "close":
                c.close()
                c = Client(q.port)
        c.close()
    in_threads([play] * 16)
    for r in failed[:3]:
        print("drill: failed: %d %s %.400r" % (r.status, r.headers, r.body), file=sys.stderr)
    for refusal, r in changed[:3]:
        print("drill: %s came back as %d %.300r" % (refusal, r.status, r.body), file=sys.stderr)
    return len(failed), len(changed)


def mix(d):
    up = d.upstream()
    faults = ["flaky=4", "fail_every=4,reset", "fail_every=4,status=429,header=retry-after-ms:50", "fail_every=6,html_200"]
    q = d.proxy([up.endpoint("/s/" + spec, "e%d" % i) for i, spec in enumerate(faults)])
    failed, changed = play_mix(d, q, CLIENT_FAULTS)
    sites = up.stats()["sites"]
    time.sleep(1.5)  # workers tell what they have counted once a second
    refusals = sum(e["attempts"]["permanent"] for e in admin_endpoints(q).values())
    met = sum(site["failed"] for site in sites.values()) - refusals
    share = 100 * met / REQUESTS
    d.row("%d requests over 4 endpoints, 15%% at fault themselves, %.0f%% met a failing endpoint: failed ones that "
          "another endpoint would have served" % (REQUESTS, share), str(failed), "0", failed == 0 and share >= 10)
    d.row("the same: refusals of faulty requests that came back changed", str(changed), "0", changed == 0)

    # Where endpoints fail, too, one cannot tell by looking what they were charged for: once more without that.
    up = d.upstream()
    q = d.proxy([up.endpoint("/s/name=%d" % i, "w%d" % i) for i in range(4)])
    failed, changed = play_mix(d, q, CLIENT_FAULTS)
    time.sleep(1.5)
    bad = {name for name, e in admin_endpoints(q).items()
           if e["charged"] or e["health"] not in ("healthy", "unknown") or e["breaker"]["failures"]
           or e["queued"] or e["disabled_by"]}
    lines = [c for c in changes(q, "w\\d") if not re.match("health unknown -> healthy", c[2])]
    bad |= {who for _, who, _ in lines}
    for line in lines[:5]:
        print("drill: charged: %s %s" % line[1:], file=sys.stderr)
    d.row("the same with endpoints that are well: charged for faults of clients",
          "%d of 4 endpoints, %d failed, %d changed" % (len(bad), failed, changed), "0, 0, 0",
          not bad and not failed and not changed)


# ---- limits

LIMIT_CLIENTS, LIMIT_TURNS, OWN_MS = 40, 25, 15


def limits(d):
    """Nobody fails, and nobody waits for a place: there is always one endpoint with room. What a request met by itself
    (its endpoints' own time, pauses before repeats) is no wait."""
    up = d.upstream()
    faults = ["", "flaky=5,", "fail_every=5,reset,", "fail_every=4,status=429,header=retry-after-ms:40,"]
    rows = [("limits", {}), ("limits that reloads switch off and on, and an endpoint that they take out", {"reloads": 12})]
    for title, more in rows:
        endpoints = [up.endpoint("/s/%sname=%s,delay_ms=%d" % (f, title[-3:-1] + str(i), OWN_MS), "l%d" % i, max_concurrent=i + 1)
                     for i, f in enumerate(faults)]
        endpoints.append(up.endpoint("/s/name=%s,delay_ms=%d" % (title[-3:-1], OWN_MS), "wide", priority=2))
        q = d.proxy(endpoints, balance={"strategy": "priority_failover"}, retry={"transient_delay": "%dms" % PAUSE_MS},
                    breaker={"failure_threshold": 4, "open_duration": "1s"}, log={"access": False})
        failed, waited, trails, end = [], 0, {}, threading.Event()

        def go():
            c = Client(q.port)
            for _ in range(LIMIT_TURNS):
                r = c.ask(request(conversation=str(uuid.uuid4())))
                if r.status != 200:
                    failed.append(r)
            c.close()

        def look():
            while not end.is_set():
                status, body = q.get("/api/v1/requests?limit=1000", port=q.admin_port)
                for record in json.loads(body)["requests"] if status == 200 else []:
                    trails[record["id"]] = json.dumps(record)
                time.sleep(0.2)

        def reload():
            for i in range(more.get("reloads", 0)):
                time.sleep(0.15)
                less = [dict(e) for e in endpoints]
                if i % 2 == 0:
                    less[1]["max_concurrent"] = 0
                    del less[3]
                q.reload({"endpoints": less})

        looker = threading.Thread(target=look)
        looker.start()
        try:
            in_threads([go] * LIMIT_CLIENTS + [reload])
            time.sleep(0.3)
        finally:
            end.set()
            looker.join()
        waited = sum("all full" in t for t in trails.values())
        for r in failed[:3]:
            print("drill: failed: %d %.400r" % (r.status, r.body), file=sys.stderr)
        sites = up.stats()["sites"]
        met = sum(s["failed"] for s in sites.values())
        asked = LIMIT_CLIENTS * LIMIT_TURNS
        d.row("%s: %d requests of %d clients, %d met a failure, %d looked at: failed, waited for a place" %
              (title, asked, LIMIT_CLIENTS, met, len(trails)), "%d, %d" % (len(failed), waited), "0, 0",
              not failed and not waited and len(trails) >= asked / 2 and met >= asked / 100)


# ---- affinity

CONVERSATIONS, TURNS, PAIRS = 1000, 10, 500


def affinity(d):
    up = d.upstream()
    endpoints = [up.endpoint("/s/name=%d" % i, "a%d" % i) for i in range(4)]
    q = d.proxy(endpoints)
    names = [str(uuid.uuid4()) for _ in range(CONVERSATIONS)]
    at, moves = {}, []

    def turns(of, n):
        for _ in range(n):
            for name in of:
                r = ask_once(q.port, request(conversation=name, close=True))
                if r.status != 200:
                    raise Failed("affinity: a request failed with %d: %.300r" % (r.status, r.body))
                if at.setdefault(name, r.headers["x-qcc-endpoint"]) != r.headers["x-qcc-endpoint"]:
                    moves.append(name)
                    at[name] = r.headers["x-qcc-endpoint"]
    parts = [names[i::4] for i in range(4)]
    in_threads([lambda p=p: turns(p, TURNS // 2) for p in parts])
    # From here on a new conversation would most likely go to the fifth endpoint.
    q.reload({"endpoints": endpoints + [up.endpoint("/s/name=new", "a-new", weight=10000)]})
    in_threads([lambda p=p: turns(p, TURNS - TURNS // 2) for p in parts])
    workers = len(set(re.findall(r" (worker \d+) \[\w+\]: request ", q.log())))
    d.row("affinity: %d conversations × %d requests on new connections, over %d workers: moves" %
          (CONVERSATIONS, TURNS, workers), str(len(moves)), "0", not moves and workers == WORKERS)

    up = d.upstream()
    q = d.proxy([up.endpoint("/s/name=%d,delay_ms=5" % i, "p%d" % i) for i in range(4)])
    clients = spread(q, WORKERS)
    apart, used = 0, collections.Counter()
    for i in range(PAIRS):
        (w1, c1), (w2, c2) = clients[i % len(clients)], clients[(i + 1) % len(clients)]
        data = request(conversation=str(uuid.uuid4()))
        c1.send(data)
        c2.send(data)
        one, two = (c.receive().headers["x-qcc-endpoint"] for c in (c1, c2))
        apart += one != two
        used[one] += 1
    d.row("affinity: first two requests of %d new conversations, at the same time on different workers: "
          "to different endpoints" % PAIRS, str(apart), "0", apart == 0 and len(used) == 4)
    for _, c in clients:
        c.close()


# ---- the breaker

ROUNDS = 8


def attempts_begun(q, name):
    """Seconds since the epoch and worker of each attempt at the endpoint, from the log."""
    return [(epoch(when), worker) for when, worker in
            re.findall(r"^(\S+)Z debug worker (\d+) \[\w+\]: attempt \d+ at %s$" % name, q.log(), re.M)]


def breaker(d):
    """32 connections keep all workers asking the endpoint; it turns bad; the latest that still asks counts. Each round
    has an endpoint of its own, as in `failover`."""
    up = d.upstream()
    ways = ["status=503", "reset", "sse_error_first=api_error,message=Broken", "status=500,delay_ms=3"]
    endpoints = [up.endpoint("/n/b%d" % i, "b%d" % i, models={"allow": ["b%d" % i]}) for i in range(ROUNDS)]
    q = d.proxy(endpoints + [up.endpoint("/n/good", "good", priority=9)], log={"level": "debug"},
                balance={"strategy": "priority_failover"})
    clients = spread(q, 32)
    latest, arrival, rounds = 0, 0.0, 0
    for i in range(ROUNDS):
        name = "b%d" % i
        end = threading.Event()
        bad = []

        def go(c):
            while not end.is_set():
                r = c.ask(request(name))
                if r.status != 200:
                    bad.append(r)
                time.sleep(0.02)  # eight requests in 5 ms; more would keep the machine itself busy
        threads = [lambda c=c: go(c) for _, c in clients]

        def turn():
            time.sleep(0.3)
            up.call("PUT", "/_site/" + name, ways[i % len(ways)])
            try:
                q.wait_log("endpoint %s:(?: [^ :]+:)? breaker closed -> open" % name, timeout=5)
                time.sleep(0.5)
            finally:
                end.set()
        in_threads(threads + [turn])
        if bad:
            raise Failed("breaker: a request failed with %d: %.300r" % (bad[0].status, bad[0].body))
        opened = next(when for when, _, what in changes(q, name, cells=True) if what.startswith("breaker closed -> open"))
        begun = attempts_begun(q, name)
        arrived = up.stats()["sites"]["/n/" + name]["last"]["at_us"] / 1e6 + time.time() - time.monotonic()
        late = round(1000 * (max(when for when, _ in begun) - opened))  # the log has milliseconds
        workers = {worker for _, worker in begun}
        print("drill: breaker, %s: %d attempts by %d workers, latest begun %d ms after it opened, arrived %.1f ms" %
              (ways[i % len(ways)], len(begun), len(workers), late, 1000 * (arrived - opened)), file=sys.stderr)
        latest, arrival = max(latest, late), max(arrival, 1000 * (arrived - opened))
        rounds += len(workers) == WORKERS
    d.row("breaker: latest request that was begun at the endpoint after it opened, %d rounds, 32 connections" % ROUNDS,
          "%d ms (the latest arrived after %.1f ms)" % (latest, arrival), "≤ %d ms" % LATE_MS,
          latest <= LATE_MS and rounds == ROUNDS)
    for _, c in clients:
        c.close()


# ---- reuse of connections

def reuse(d):
    for clients, count, workers in ((1, 5000, WORKERS), (32, 40000, WORKERS), (32, 40000, 1)):
        up = d.upstream()
        q = d.proxy([up.endpoint("/bench/reply_bytes=1024", "one")], log={"access": False}, workers=workers)
        p = subprocess.Popen([d.build / "bench/load", "--to", "127.0.0.1:%d" % q.port, "--mode", "json", "--conns",
                              str(clients), "--count", str(count), "--seconds", "20", "--reply", "1024"],
                             stdout=subprocess.PIPE, text=True)
        try:
            got = json.loads(p.communicate(timeout=40)[0].splitlines()[-1])
        finally:
            if p.poll() is None:
                p.kill()
                p.wait()
        who = "%d concurrent clients" % clients if clients > 1 else "one client, sequential"
        d.reuse(who + (" at one worker" if workers == 1 else ""), up, got["failed"])
    # Each request of a new client finds the connection that another one's has left.
    up = d.upstream()
    q = d.proxy([up.endpoint("/bench/reply_bytes=1024", "one")], log={"access": False})
    failed = sum(ask_once(q.port, request(close=True)).status != 200 for _ in range(3000))
    d.reuse("a new client for each request", up, failed)


def scrape(d):
    up = d.upstream()
    q = d.proxy([up.endpoint("/bench/reply_bytes=1024", "e%d" % i, api_key="sk-ant-drill-%010d" % i) for i in range(200)],
                log={"access": False})
    for _ in range(1000):  # no count is nothing
        if ask_once(q.port, request(close=True)).status != 200:
            raise Failed("a request failed")
    times = []
    for _ in range(100):
        began = time.monotonic()
        status, body = q.get("/metrics", port=q.admin_port)
        times.append((time.monotonic() - began) * 1000)
        if status != 200 or body.count(b'endpoint="e199"') < 40:
            raise Failed("/metrics answers %d with %d bytes" % (status, len(body)))
    d.row("a scrape with 200 endpoints: p50, p95 (%d KB)" % (len(body) // 1024),
          "%.1f, %.1f ms" % (percentile(times, 50), percentile(times, 95)), "p50 under %d ms" % SCRAPE_MS,
          percentile(times, 50) < SCRAPE_MS)


def read_stream(q, go, done, wrong):
    """One stream from its beginning to its end; what is not as it should be goes into wrong."""
    try:
        c = Client(q.port)
        c.send(request(stream=True))
        status = int(c.line().split()[1])
        while c.line():
            pass
        text = b""
        begun = False
        while n := int(c.line(), 16):
            text += c.file.read(n)
            c.line()
            if not begun:
                begun = True
                go.release()
        if status != 200 or text.count(b"event: content_block_delta") != 40 or b"event: message_stop" not in text:
            wrong.append("a stream of %d with %d bytes" % (status, len(text)))
        c.close()
    except (OSError, ValueError, Failed) as e:
        wrong.append(repr(e))
    done.append(1)


def send_requests(q, number, of, stop, sent, wrong):
    """Its share of RATE requests a second, on a connection that is kept or, for each third one, on a new one."""
    c = None
    due = time.monotonic() + number / RATE
    while not stop.is_set():
        time.sleep(max(0, due - time.monotonic()))
        due += of / RATE
        try:
            c = c or Client(q.port)
            r = c.ask(request(conversation="drill-%d" % number, close=number % 3 == 0))
            if r.status != 200:
                wrong.append("a reply of %d" % r.status)
            if r.headers.get("connection") == "close":
                c.close()
                c = None
            sent.append(1)
        except (OSError, ValueError, IndexError, Failed) as e:
            wrong.append(repr(e))
            c = None


def operate(d):
    up = d.upstream()
    q = d.proxy([up.endpoint("/s/events=40,gap_ms=400", "one"), up.endpoint("/s/events=40,gap_ms=401", "two")],
                log={"access": False})
    ctl = [str(d.build / "qccctl"), "-s", q.config["control_socket"]]
    go, done, cut, sent, wrong, stop = threading.Semaphore(0), [], [], [], [], threading.Event()
    streams = [threading.Thread(target=read_stream, args=(q, go, done, cut), daemon=True) for _ in range(STREAMS)]
    for t in streams:
        t.start()
    for _ in streams:
        if not go.acquire(timeout=20):
            raise Failed("not all streams have begun: %s" % cut[:3])
    clients = [threading.Thread(target=send_requests, args=(q, i, 12, stop, sent, wrong), daemon=True) for i in range(12)]
    for t in clients:
        t.start()
    began, times = time.monotonic(), []
    for i in range(RELOADS + UPGRADES):
        time.sleep(0.4)  # the load goes on between the changes
        upgrade = i % 8 == 7
        if upgrade:
            r = subprocess.run(ctl + ["upgrade"], capture_output=True, text=True, timeout=30)
            q.successor = json.loads(subprocess.run(ctl + ["--json", "status"], capture_output=True, text=True,
                                                    timeout=30).stdout)["pid"]
        else:
            q.configure({"workers": WORKERS + i % 2, "health": {"degraded_for": "%ds" % (10 + i)}})
            r = subprocess.run(ctl + ["reload"], capture_output=True, text=True, timeout=30)
        if r.returncode != 0:
            raise Failed("%s: %s" % (r.args[-1], r.stderr or r.stdout))
        for _ in range(3):
            at = time.monotonic()
            subprocess.run(ctl + ["status"], capture_output=True, timeout=30, check=True)
            times.append((time.monotonic() - at) * 1000)
    seconds = time.monotonic() - began
    if len(done) != 0:
        raise Failed("%d streams were over before the last change" % len(done))
    stop.set()
    for t in clients + streams:
        t.join(40)
    what = "%d reloads and %d upgrades in %.0f s, %d streams open, %d requests (%.0f a second)" % (
        RELOADS, UPGRADES, seconds, STREAMS, len(sent), len(sent) / seconds)
    d.row("%s: failed requests" % what, "%d%s" % (len(wrong), (": " + wrong[0]) if wrong else ""), "0", not wrong)
    d.row("the same: streams cut", "%d%s" % (len(cut) + STREAMS - len(done), (": " + cut[0]) if cut else ""), "0",
          not cut and len(done) == STREAMS)
    d.row("`qccctl status` meanwhile, the whole program: p50, p95", "%.1f, %.1f ms" % (
        percentile(times, 50), percentile(times, 95)), "p50 under %d ms" % STATUS_MS, percentile(times, 50) < STATUS_MS)


PARTS = {"failover": failover, "mix": mix, "limits": limits, "affinity": affinity, "breaker": breaker, "scope": scope, "reuse": reuse, "scrape": scrape, "history": history,
         "cluster": cluster, "operate": operate}


def interrupted(number, _):
    raise Failed("took more than %d s" % LIMIT_S if number == signal.SIGALRM else "interrupted")


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--only", action="append", choices=PARTS)
    a.add_argument("--build", default="build/release")
    a.add_argument("--keep", action="store_true", help="keep the folder with configurations and logs")
    args = a.parse_args()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM):
        signal.signal(number, interrupted)
    signal.alarm(LIMIT_S)
    d = Drill(args)
    began, since = time.monotonic(), machine_seconds()
    failed = False
    try:
        missing = [n for n in ("qcc-supervisor", "qcc-worker", "qcc-recorder", "qcc-link", "qccctl", "fake_upstream", "bench/load")
                   if not os.access(d.build / n, os.X_OK)]
        if missing:
            raise Failed("not built: %s (make drill builds it)" % ", ".join(missing))
        for name, part in PARTS.items():
            if args.only and name not in args.only:
                continue
            try:
                part(d)
            except (Failed, AssertionError, OSError) as e:
                if str(e) == "interrupted" or str(e).startswith("took more"):
                    raise
                d.row(name, "broke off: %s" % str(e).splitlines()[0][:200], "to be measured", False)
            d.end_part()
    except Failed as e:
        print("drill: %s" % e, file=sys.stderr)
        failed = True
    finally:
        signal.alarm(0)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        d.close()
    print(d.table())
    print("\n%d workers, %d cores, %.0f s; other programs took %.0f%% of the machine" %
          (WORKERS, os.cpu_count(), time.monotonic() - began, others(since)))
    return 1 if failed or any(row[3] != "ok" for row in d.rows) else 0


if __name__ == "__main__":
    sys.exit(main())
