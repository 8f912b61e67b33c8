#!/usr/bin/python3
"""The bench of the history: what it costs the workers, the recorder and the disk, and how long its answers take.

    history.py [--rounds N] [--seconds S] [--build DIR] [--rows N]

QCC with a history and without serve the same load, in interleaved rounds; the recorder's CPU is its own process's. Then a
history of a million requests is asked, through a running supervisor. Prints a Markdown table: figure, measured, goal. Exit
status 1 when a request failed or was not stored; a goal that is missed is marked, as this machine may be busy."""
import argparse
import http.client
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import time

import peers
from bench import Bench, Failed, load
from machine import cpu_us, family, free_port, machine_seconds, note, pss_kb
from peers import JSON_1K, Proxy, ctl
from table import Figures, ratio

FILL = pathlib.Path(__file__).with_name("history_fill.py")
LOADS = {"json": "--mode json --conns 32 --body 2048 --reply 1024", "calm": "--mode json --conns 4 --body 2048 --reply 1024 --pause 2000"}


def off(b, port, how, workers):
    return peers.qcc(b, port, how, workers, more="history: {enabled: false}")


def on(b, port, how, workers):
    folder = b.path("state-%d" % port)
    os.makedirs(folder, 0o700, exist_ok=True)
    return peers.qcc(b, port, how, workers, more="state_dir: %s\nhistory: {min_free: 0}" % folder)


peers.PEERS = {"off": off, "on": on}


def worker_pids(p, recorder=0):
    return [pid for pid in family(p.p.pid)[1:] if pid != recorder]


def settled(b, p, more):
    """Waits until the recorder has stored all it was given."""
    end = time.monotonic() + 20
    while ctl(b, p, "history")["stored"] < more:
        if time.monotonic() > end:
            raise Failed("only %d of %d requests were stored" % (ctl(b, p, "history")["stored"], more))
        time.sleep(0.2)


def hot_path(b, rows, with_, without):
    """CPU of the workers and latency with a history and without; CPU of the recorder meanwhile."""
    recorder = ctl(b, with_, "history")["pid"]
    cpu = {"on": [], "off": []}
    times = {"on": [], "off": []}
    spent, asked, seconds = 0.0, 0, 0.0
    peers = [("on", with_, worker_pids(with_, recorder)), ("off", without, worker_pids(without))]
    for n in range(b.args.rounds):
        for name, p, pids in peers[n % 2:] + peers[:n % 2]:
            before = ctl(b, with_, "history")["stored"] if name == "on" else 0
            c0, t0 = cpu_us([recorder]), time.monotonic()
            got = load(b, "127.0.0.1:%d" % p.port, LOADS["json"].split() + ["--warm", "0.3", "--seconds", str(b.args.seconds)], pids)
            t1 = time.monotonic()
            rows.bad |= got["failed"] > 0
            cpu[name].append(got["cpu_us"] / got["replies"])
            if name == "on":
                time.sleep(1.5)
                asked += ctl(b, with_, "history")["stored"] - before
                spent += cpu_us([recorder]) - c0
                seconds += t1 - t0
            got = load(b, "127.0.0.1:%d" % p.port, LOADS["calm"].split() + ["--warm", "0.2", "--seconds", str(b.args.seconds)])
            times[name].append((got["ttfb_us"]["p50"], got["ttfb_us"]["p99"]))
    middle, text = ratio(cpu["on"], cpu["off"])
    added = statistics.median(cpu["on"]) - statistics.median(cpu["off"])
    rows.add("2 KB → 1 KB JSON, CPU of the worker with history / without", "%s, %+.2f µs a request" % (text, added), "≤ 1.02", middle <= 1.02)
    rows.add("recorder, CPU a request at %.0f a second" % (asked / seconds), "%.1f µs" % (spent / asked), "≤ 4 µs", spent / asked <= 4)
    for i, name in enumerate(("p50", "p99")):
        middle, text = ratio([t[i] for t in times["on"]], [t[i] for t in times["off"]])
        rows.add("time of a request at 4 calm clients, %s, with / without" % name, text, "≤ 1.01", middle <= 1.01)


def seldom(b, rows, p):
    """CPU of the recorder where a batch holds about 20."""
    recorder = ctl(b, p, "history")["pid"]
    settled(b, p, 0)
    before, c0 = ctl(b, p, "history"), cpu_us([recorder])
    got = load(b, "127.0.0.1:%d" % p.port, "--mode json --conns 1 --body 2048 --reply 1024 --pause 49000".split() + ["--seconds", "10"])
    rows.bad |= got["failed"] > 0
    time.sleep(1.5)
    after, c1 = ctl(b, p, "history"), cpu_us([recorder])
    n = after["stored"] - before["stored"]
    batch = n / max(1, after["commits"] - before["commits"])
    rows.add("recorder, CPU a request at %.0f a batch" % batch, "%.1f µs" % ((c1 - c0) / n), "≤ 9 µs", (c1 - c0) / n <= 9)
    rows.add("recorder, memory while storing (PSS)", "%.1f MB" % (pss_kb([recorder]) / 1024), "≤ 6 MB", pss_kb([recorder]) <= 6 * 1024)


def idle(b, rows):
    p = Proxy(b, "on")
    time.sleep(0.5)
    kb = pss_kb([ctl(b, p, "history")["pid"]])
    rows.add("recorder, memory idle (PSS)", "%.1f MB" % (kb / 1024), "≤ 2 MB", kb <= 2048)
    p.stop()


def file_size(b, rows, p):
    stored = ctl(b, p, "history")["requests"]
    p.stop()
    size = os.path.getsize(b.path("state-%d/history.db" % p.port))
    rows.add("file, bytes a request (%d requests)" % stored, "%.0f" % (size / stored), "≤ 110", size / stored <= 110)


ANSWERS = [
    ("usage of 30 days by day and model", "usage", "by=model&since=30d&step=86400", 80),
    ("usage of 7 days by model", "usage", "by=model&since=7d", 15),
    ("usage of 24 hours in 15 minutes", "usage", "by=total&since=24h&step=900", 5),
    ("usage of 400 days by model", "usage", "by=model&since=400d&step=86400", 2000),
    ("newest 50 requests", "requests", "since=400d&limit=50", 2),
    ("newest 50 of one client", "requests", "client=client-07&limit=50", 30),
    ("newest 50 of one model", "requests", "model=claude-opus-5-5&limit=50", 30),
    ("newest 50 that failed", "requests", "status=failed&limit=50", 30),
    ("newest 50 that failed, of one client and model", "requests", "client=client-07&model=claude-opus-5-5&status=failed&limit=50", 30),
    ("a filter that matches nothing", "requests", "min_ms=86400000&limit=50", 150),
]


def opened(b, conf, n):
    """QCC with a history of n requests."""
    p = b.start([b.binary("qcc-supervisor"), "-c", conf], b.proxy_cpu)
    end = time.monotonic() + 20
    while True:
        try:
            h = admin(b, "history")
            if h["state"] == "storing" and h["requests"] == n:
                return p
        except (OSError, ValueError):
            pass
        if time.monotonic() > end:
            raise Failed("the history of %d requests is not opened" % n)
        time.sleep(0.1)


def answers(b, rows):
    """Times of the answers at the control socket, without the start of a program: qccctl's are taken off by asking for the
    state of the history as often."""
    folder = pathlib.Path(b.path("million"))
    folder.mkdir(0o700)
    b.up_port = free_port()
    conf = b.path("million.yaml", """
listen: ["127.0.0.1:%d"]
workers: 1
control_socket: %s
admin: {listen: "127.0.0.1:%d"}
state_dir: %s
history: {min_free: 0}
endpoints: [{name: bench, base_url: "http://%s", api_key: sk-ant-bench-upstream}]
log: {access: off, level: warning}
""" % (free_port(), b.path("million.sock"), b.up_port, folder, b.up["plain"]))
    p = opened(b, conf, 0)  # the recorder makes the file
    b.stop(p)
    subprocess.run([sys.executable, str(FILL), str(folder / "history.db"), "--requests", str(b.args.rows)], check=True)
    p = opened(b, conf, b.args.rows)
    for title, what, query, goal in ANSWERS:
        taken = []
        for _ in range(max(5, b.args.rounds)):
            bare = time.perf_counter()
            admin(b, "history")
            begin = time.perf_counter()
            admin(b, what + "?" + query)
            taken.append((time.perf_counter() - begin) - (begin - bare))
        ms = statistics.median(taken) * 1000
        rows.add("%s, of %d requests" % (title, b.args.rows), "%.1f ms" % ms, "≤ %d ms" % goal, ms <= goal)
    b.stop(p)


def admin(b, path):
    c = http.client.HTTPConnection("127.0.0.1", b.up_port, timeout=10)
    try:
        c.request("GET", "/api/v1/" + path)
        r = c.getresponse()
        body = r.read()
        if r.status != 200:
            raise Failed("%s: %d %.300r" % (path, r.status, body))
        return json.loads(body)
    finally:
        c.close()


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--rounds", type=int, default=int(os.environ.get("ROUNDS", 5)))
    a.add_argument("--seconds", type=float, default=2.0)
    a.add_argument("--build", default="build/release")
    a.add_argument("--rows", type=int, default=1000000)
    a.add_argument("--only", choices=("cost", "answers"))
    b = Bench(a.parse_args())
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    rows, since = Figures("history"), machine_seconds()
    try:
        b.ready()
        b.behave(JSON_1K)
        if b.args.only != "answers":
            idle(b, rows)
            with_, without = Proxy(b, "on"), Proxy(b, "off")
            b.behave(JSON_1K)
            hot_path(b, rows, with_, without)
            without.stop()
            seldom(b, rows, with_)
            file_size(b, rows, with_)
        if b.args.only != "cost":
            answers(b, rows)
        print(rows.text())
        print("\n%d rounds of %g s, medians; %s" % (b.args.rounds, b.args.seconds, note(since)))
        return 1 if rows.bad else 0
    except Failed as e:
        print("history: %s" % e, file=sys.stderr)
        return 1
    finally:
        b.close()


if __name__ == "__main__":
    sys.exit(main())
