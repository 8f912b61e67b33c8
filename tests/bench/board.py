#!/usr/bin/python3
"""The board: what the public boards of gateways read, read on this machine, of QCC, nginx and HAProxy in turn.

    board.py [--rounds N] [--quick] [--only READING] [--peers qcc,nginx] [--build DIR] [--before DIR]     (ROUNDS=N too)

Prints a Markdown table as run.py does, about ten minutes at three rounds. The first column is the same load at the upstream
itself: what this machine's load generator and upstream can do at most, as they share one core. Where a proxy comes to that,
it may be able to do more. The readings:

    added      one connection, 2 KB request, 1 KB JSON reply: latency beyond that without a proxy
    rate       the same at 1, 2, 4, … 4,096 connections, each of which asks again at once: of one sweep the most requests
               a second whose p99 was under 1, 5, 10, 50, 100 ms, and of which none failed
    cpu        CPU at eight connections
    first      50 streams of 64 deltas, one each 20 ms: time to the first byte, and between two frames
    streams    the most streams of that kind at once of which no frame was lost and no gap was above 200 ms
    rss        RSS idle, while 32 connections are served at full speed, and 5 s later; what it grew by in the second half
               of that load

Every reply is checked. A reading in which a request failed is marked with "!" (rate and streams: those do not count there)
and the exit status is 1."""
import argparse
import collections
import json
import os
import signal
import subprocess
import sys
import time

from bench import PATH, Bench, Failed, load
from machine import FILES, allow_files, family, machine_seconds, note, room, rss_kb, versions
from peers import JSON_1K, PEERS, Proxy, before, there
from table import Table

Reading = collections.namedtuple("Reading", "group name title digits more")
LIMITS_MS = (1, 5, 10, 50, 100)
READINGS = [
    Reading("added", "added-p50", "latency added at one connection, p50 µs", 0, False),
    Reading("added", "added-p99", "the same, p99 µs", 0, False),
    *[Reading("rate", f"rate-{ms}", f"most requests a second with a p99 under {ms} ms", 0, True) for ms in LIMITS_MS],
    Reading("cpu", "cpu", "CPU µs a request at eight connections", 1, False),
    Reading("first", "first-p50", "time to the first byte, 50 streams of 64 deltas each 20 ms, p50 µs", 0, False),
    Reading("first", "first-p99", "the same, p99 µs", 0, False),
    Reading("first", "gap-p50", "the same: gap between two frames, p50 ms", 2, False),
    Reading("first", "gap-p99", "the same, p99 ms", 2, False),
    Reading("first", "gap-max", "the same, the longest, ms", 1, False),
    Reading("streams", "streams", "most such streams, no frame lost, no gap above 200 ms", 0, True),
    Reading("rss", "rss-idle", "RSS idle, MB", 1, False),
    Reading("rss", "rss-plateau", "RSS under load (32 connections), MB", 1, False),
    Reading("rss", "rss-after", "RSS 5 s later, MB", 1, False),
    Reading("rss", "rss-growth", "growth under load, MiB a minute", 2, False),
]
JSON = "--mode json --body 2048 --reply 1024 --conns "
PACE_MS, DELTAS = 20, 64
# the first delta comes with the events before it, as in life
PACED = f"stream,events={DELTAS},gap_ms={PACE_MS},burst=3,event_bytes=120"
SSE = f"--mode sse --body 2048 --events {DELTAS + 5} --conns "
LAST_US = (DELTAS + 5) * PACE_MS * 1000  # of a stream
GAP_US = 10 * PACE_MS * 1000
SWEEP = [1 << n for n in range(13)]


class Place:
    """Where a load goes: a proxy, or the upstream itself."""

    def __init__(self, b, name):
        self.b, self.name = b, name
        self.proxy = None if name == "none" else Proxy(b, name)
        self.where = b.up["plain"] if name == "none" else f"127.0.0.1:{self.proxy.port}"

    def load(self, options, seconds, warm=0.3):
        pids = family(self.proxy.p.pid) if self.proxy else ()
        return load(self.b, self.where, ["--warm", str(warm), "--seconds", str(seconds)] + options.split(), pids)

    def stop(self):
        if self.proxy:
            self.proxy.stop()


# ---- readings: {reading's name: (value, failed, why)}

def added(place, args):
    got = place.load(JSON + "1", args.seconds)
    return {f"added-{p}": (got["ttfb_us"][p], got["failed"], got["why"]) for p in ("p50", "p99")}


def rate(place, args):
    """One sweep; what failed at a number of connections is told, and that number is left out."""
    best = dict.fromkeys(LIMITS_MS)
    for conns in args.sweep:
        stagger = 200 if conns > 64 else 0
        got = place.load(f"{JSON}{room(conns)} --stagger {stagger}", args.seconds / 2, warm=0.3 + conns * stagger / 1e6)
        if got["failed"] or not got["replies"]:
            print(f"board: {place.name}, {conns} connections: {got['failed']} failed: {got['why']}", file=sys.stderr)
            continue
        for ms in LIMITS_MS:
            if got["ttfb_us"]["p99"] < ms * 1000:
                best[ms] = max(best[ms] or 0, got["replies"] / got["seconds"])
        if got["ttfb_us"]["p50"] > LIMITS_MS[-1] * 1000:
            break
    return {f"rate-{ms}": (value, 0, "") for ms, value in best.items()}


def cpu(place, args):
    got = place.load(JSON + "8", args.seconds)
    value = got["cpu_us"] / got["replies"] if place.proxy and got["replies"] else None
    return {"cpu": (value, got["failed"] + (not got["replies"]), got["why"] or "nothing came")}


def paced(place, streams, seconds):
    return place.load(f"{SSE}{streams} --stagger {max(1, LAST_US // streams)}", seconds, warm=LAST_US / 1e6 + 0.2)


def first(place, args):
    got = paced(place, 50, max(1.5, args.seconds))
    failed, why = got["failed"] + (not got["replies"]), got["why"] or "no stream ended"
    out = {f"first-{p}": (got["ttfb_us"][p], failed, why) for p in ("p50", "p99")}
    out.update({f"gap-{p}": (got["gap_us"][p] / 1000, failed, why) for p in ("p50", "p99", "max")})
    return out


def streams(place, args):
    """By doubling until it fails twice, and from there by halves of what lies between."""
    def once(n):
        got = paced(place, n, 1.5)
        ok = not got["failed"] and got["replies"] > 0 and got["gap_us"]["max"] <= GAP_US
        print(f"board: {place.name}, {n} streams: {got['failed']} failed{' (' + got['why'] + ')' if got['why'] else ''}, "
              f"longest gap {got['gap_us']['max'] / 1000:.0f} ms", file=sys.stderr)
        return ok

    def well(n):
        return once(n) or once(n)

    good, bad, most = 0, None, room(args.most_streams)
    n = min(100, most)
    while bad is None and good < most:
        if well(n):
            good, n = n, min(2 * n, most)
        else:
            bad = n
    for _ in range(args.halves if bad else 0):
        middle = (good + bad) // 2
        if well(middle):
            good = middle
        else:
            bad = middle
    return {"streams": (good or None, 0, "")}


def growth_mib(samples):
    """MiB a minute of a straight line through [(seconds, KB)], by least squares."""
    n = len(samples)
    t, kb = sum(s for s, _ in samples) / n, sum(k for _, k in samples) / n
    square = sum((s - t) ** 2 for s, _ in samples)
    return sum((s - t) * (k - kb) for s, k in samples) / square * 60 / 1024 if square else 0.0


def rss(place, args):
    """In a fresh process of its own."""
    if not place.proxy:
        return {}
    b, one = place.b, Place(place.b, place.name)
    time.sleep(1)
    idle, samples = rss_kb(family(one.proxy.p.pid)), []
    b.behave(JSON_1K)
    p = b.start([b.binary("bench/load"), "--to", one.where, "--path", PATH, "--seconds", str(args.hold), *(JSON + "32").split()],
                b.load_cpu, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
    began = time.monotonic()
    while time.monotonic() < began + args.hold:
        time.sleep(0.25)
        samples.append((time.monotonic() - began, rss_kb(family(one.proxy.p.pid))))
    got = json.loads(p.communicate(timeout=60)[0].splitlines()[-1])
    b.stop(p)
    time.sleep(args.rest)
    after = rss_kb(family(one.proxy.p.pid))
    one.stop()
    late = samples[len(samples) // 2:]
    plateau = sorted(kb for _, kb in late)[len(late) // 2]
    failed, why = got["failed"] + (not got["replies"]), got["why"] or "nothing came"
    values = {"idle": idle / 1024, "plateau": plateau / 1024, "after": after / 1024, "growth": growth_mib(late)}
    return {f"rss-{name}": (value, failed, why) for name, value in values.items()}


# group: its function, what the upstream does meanwhile, whether it is read once alone, as it takes long
GROUPS = {"added": (added, JSON_1K, False), "rate": (rate, JSON_1K, False), "cpu": (cpu, JSON_1K, False),
          "first": (first, PACED, False), "streams": (streams, PACED, True), "rss": (rss, JSON_1K, True)}


def read(b, table, readings, names):
    """All rounds, each proxy in turn, another one first in each round."""
    places = {name: Place(b, name) for name in ["none", *names]}
    wanted = [g for g in GROUPS if any(r.group == g for r in readings)]
    for n in range(b.args.rounds):
        direct = {}
        for group in wanted:
            function, spec, once = GROUPS[group]
            if once and n:
                continue
            for name in ["none"] + names[n % len(names):] + names[:n % len(names)]:
                b.behave(spec)
                got = function(places[name], b.args)
                if name == "none":
                    direct = got
                for r in readings:
                    if r.name in got:
                        value, failed, why = got[r.name]
                        if group == "added" and name != "none":
                            value -= direct[r.name][0]
                        table.add(r, name, value, failed, why)
            print(f"board: {group}, round {n + 1}", file=sys.stderr)
    for place in places.values():
        place.stop()


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--rounds", type=int, default=int(os.environ.get("ROUNDS", 3)))
    a.add_argument("--seconds", type=float, default=2.0, help="measured time of a load")
    a.add_argument("--quick", action="store_true", help="one round of half a second, few connections and streams")
    a.add_argument("--only", action="append", help="readings: " + ", ".join(GROUPS))
    a.add_argument("--peers", help="of " + ", ".join(PEERS) + ", before")
    a.add_argument("--before", metavar="DIR", help="another build of QCC to compare with")
    a.add_argument("--build", default="build/release")
    args = a.parse_args()
    if args.before:
        PEERS["before"] = before
    args.sweep, args.most_streams, args.halves, args.hold, args.rest = SWEEP, 10000, 3, 20.0, 5.0
    if args.quick:
        args.rounds, args.seconds, args.sweep, args.most_streams, args.halves, args.hold, args.rest = 1, 0.5, SWEEP[:8:3], 100, 0, 2.0, 1.0
    readings = [r for r in READINGS if not args.only or r.group in args.only]
    allow_files(FILES)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    b = Bench(args)
    since = machine_seconds()
    try:
        if not readings:
            raise Failed("no such reading")
        b.ready()
        names = there(b, args.peers.split(",") if args.peers else PEERS)
        if not names:
            raise Failed("no proxy is there")
        table = Table(readings, ["none", *PEERS])
        read(b, table, readings, names)
        b.stop_all()
        print(table.text())
        print(f"\n{versions()}; {args.rounds} rounds, medians; {note(since)}")
        return 1 if table.bad else 0
    except Failed as e:
        print(f"board: {e}", file=sys.stderr)
        return 1
    finally:
        b.close()


if __name__ == "__main__":
    sys.exit(main())
