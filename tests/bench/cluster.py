#!/usr/bin/python3
"""The bench of the cluster: what sharing state through an engine costs the hosts, and the engine.

    cluster.py [--rounds N] [--seconds S] [--bindings N] [--quick] [--only PART] [--build DIR]

Prints a Markdown table: figure, measured, goal. What the engine's loss does to requests, and how soon one host knows what
another one found out, is measured by drill.py (cluster). Parts:
    cost      CPU a request of all processes, beside a QCC without a cluster: engine up, stopped (SIGSTOP), gone
    engine    CPU of the engine for three hosts with 1,000 requests a second, of which 60% make a binding
    write     one link that has nothing but bindings to write
    many      a host with a million bindings: its memory and the engine's; a host that joins; the engine emptied
Exit status 1 when a request failed or something was not as it has to be; a goal that is missed is marked, as this machine
may be busy."""
import argparse
import collections
import contextlib
import os
import re
import signal
import statistics
import struct
import sys
import time

import clustered
import peers
from bench import Bench, Failed, load
from clustered import Poll, waited
from machine import FILES, allow_files, cpu_us, family, free_port, machine_seconds, note, pss_kb
from peers import JSON_1K, Proxy
from table import Figures, ratio

JSON = "--mode json --conns 32 --body 2048 --reply 1024"
SETTLED_S = 90
WINDOW = 32  # batches of 256 that the link may have before it


def off(b, port, how, workers, admin):
    return on(b, port, how, workers, admin, None)


def on(b, port, how, workers, admin, url):
    folder = b.path("state-%d" % port)
    os.makedirs(folder, 0o700, exist_ok=True)
    more = "state_dir: %s\nhistory: {enabled: false}\n" % folder
    if url:
        more += "cluster: {url: '%s', secret: %s, name: host-%d}\n" % (url, clustered.SECRET, port)
    return peers.qcc(b, port, how, workers, more=more, admin=admin)


class Host:
    """A QCC with one worker; url: of its engine, None: it is alone."""

    def __init__(self, b, url=None, cpus=None):
        admin = free_port()
        self.b, self.p = b, Proxy(b, "on", cpus=cpus, admin=admin, url=url) if url else Proxy(b, "off", cpus=cpus, admin=admin)
        self.where, self.poll = "127.0.0.1:%d" % self.p.port, Poll(admin)
        if url:
            waited(self.poll.up, "the cluster to be up")

    def pids(self, name=None):
        def comm(pid):
            with open("/proc/%d/comm" % pid) as f:
                return f.read().strip()
        return [pid for pid in family(self.p.p.pid) if name in (None, comm(pid))]

    def bound(self):
        return self.poll.get("sessions")["bindings"]

    def stop(self):
        self.poll.close()
        self.p.stop()


class Stage:
    """An engine of this bench and a way to read it."""
    all = []

    def __init__(self, b, name):
        Stage.all.append(self)
        self.engine = clustered.engine(b.path(name), os.path.join(clustered.ROOT, b.args.build), b.load_cpu)

    def info(self, section):
        text = self.engine.ask("INFO", section).decode()
        return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)

    def commands(self):
        """Scripts and reads of the log: what hosts send all the time. What scripts themselves call is left out."""
        calls = {name: int(re.search(r"calls=(\d+)", text).group(1)) for name, text in self.info("commandstats").items()}
        return sum(calls.get("cmdstat_" + name, 0) for name in ("evalsha", "xread"))

    def bindings(self):
        """How many the engine has."""
        c, n = self.engine.client(), 0
        for first in range(0, 65536, 4096):
            for bucket in range(first, first + 4096):
                c.send("HLEN", "{qcc}:1:b:%d" % bucket)
            n += sum(c.read() for _ in range(4096))
        c.close()
        return n

    def close(self):
        self.engine.close()


def well(rows, got, what):
    if got["failed"] or not got["replies"]:
        rows.bad = True
        print("cluster: %s: %d failed: %s" % (what, got["failed"], got["why"] or "nothing came"), file=sys.stderr)
    return got


def cost(b, rows):
    stage = Stage(b, "cost")
    alone, host = Host(b), Host(b, stage.engine.url)
    idle = pss_kb(host.pids("qcc-link"))
    b.behave(JSON_1K)
    cpu = collections.defaultdict(list)

    def one(name, h):
        got = load(b, h.where, JSON.split() + ["--conversations", "10000", "--warm", "0.3", "--seconds", str(b.args.seconds)], h.pids())
        well(rows, got, name)
        cpu[name].append(got["cpu_us"] / max(1, got["replies"]))

    for h in (alone, host):  # conversations are bound, once
        load(b, h.where, JSON.split() + ["--conversations", "10000", "--count", "30000", "--seconds", "20"])
    for n in range(b.args.rounds):
        for name, h in [("off", alone), ("up", host)][::1 if n % 2 else -1]:
            one(name, h)
        stage.engine.pause()
        waited(lambda: not host.poll.up(), "the loss")
        one("stopped", host)
        stage.engine.go_on()
        waited(host.poll.up, "the cluster to be up again")
        stage.engine.kill()
        waited(lambda: not host.poll.up(), "the loss")
        one("gone", host)
        stage.engine.start()
        os.sched_setaffinity(stage.engine.pid, b.load_cpu)
        waited(host.poll.up, "the cluster to be up again")
        print("cluster: cost, round %d of %d" % (n + 1, b.args.rounds), file=sys.stderr)
    for name, title in (("up", "engine up"), ("stopped", "engine stopped"), ("gone", "engine gone")):
        middle, text = ratio(cpu[name], cpu["off"])
        rows.add("2 KB → 1 KB JSON, CPU of all processes with cluster / without, " + title,
                 "%s, %+.2f µs a request" % (text, statistics.median(cpu[name]) - statistics.median(cpu["off"])), "≤ 1.03", middle <= 1.03)
    rows.add("link, memory idle (PSS); after all this", "%.1f MB; %.1f MB" % (idle / 1024, pss_kb(host.pids("qcc-link")) / 1024), "≤ 3 MB idle",
             idle <= 3 * 1024)
    alone.stop()
    host.stop()
    stage.close()


def engine(b, rows):
    stage, seconds = Stage(b, "engine"), 3 * b.args.seconds
    hosts = [Host(b, stage.engine.url) for _ in range(3)]
    waited(lambda: all(len(h.poll.get("cluster")["hosts"]) == 3 for h in hosts), "three hosts")
    b.behave(JSON_1K)
    each, conns = 1000 / 3, 20
    fresh = int(0.6 * each * (seconds + 1))
    loads = clustered.Loads(b.binary("bench/load"), [(h.p.port, "--mode json --body 2048 --reply 1024 --conns %d --pause %d --stagger 3000 --warm 1 "
                                                      "--seconds %g --conversations %d --first %d" % (conns, conns * 1e6 / each, seconds, fresh, n * 10000000))
                                                     for n, h in enumerate(hosts)])
    time.sleep(1)
    before, c0, t0 = stage.commands(), cpu_us([stage.engine.pid]), time.monotonic()
    time.sleep(max(0.3, seconds - 0.5))
    after, c1, t1 = stage.commands(), cpu_us([stage.engine.pid]), time.monotonic()
    got = [well(rows, g, "engine") for g in loads.got()]
    served = sum(g["replies"] / g["seconds"] for g in got)
    share = 100 * (c1 - c0) / 1e6 / (t1 - t0)
    rows.add("engine, 3 hosts with %.0f requests a second together, 60%% of new conversations: CPU" % served,
             "%.1f%% of a core, %.0f commands/s" % (share, (after - before) / (t1 - t0)), "≤ 5%", share <= 5)
    for h in hosts:
        h.stop()
    stage.close()


def write(b, rows):
    """Records as a supervisor sends them, by a link alone; the engine's own count says when all are there."""
    stage, n = Stage(b, "write"), b.args.bindings
    from link import Link  # of tests/system, as the engine is
    link = Link(stage.engine.url)
    link.up()
    empty = int(stage.info("memory")["used_memory"])
    frames, record, now = [], struct.Struct("=16s8s8sq"), int(time.time() * 1000)
    for first in range(0, n, 256):
        frames.append(b"".join(record.pack(os.urandom(16), b"\0" * 8, b"endpoin1", now) for _ in range(min(256, n - first))))
    c0, began = cpu_us([stage.engine.pid]), time.monotonic()
    there = set()
    for k, records in enumerate(frames):
        link.send("link_bind", records=records)
        # no more than it queues: what it has written it tells, some of it twice
        while len(there) < (n if k == len(frames) - 1 else (k - WINDOW) * 256):
            if time.monotonic() > began + SETTLED_S:
                raise Failed("write: only %d of %d bindings were written" % (len(there), n))
            link.look(0.01)
            for name, f in link.got:
                if name == "link_bound":
                    there.update(f["records"][i:i + 16] for i in range(0, len(f["records"]), 28))
            link.got.clear()
    seconds, c1 = time.monotonic() - began, cpu_us([stage.engine.pid])
    there = stage.bindings()
    if there < 0.98 * n:  # full buckets lose their oldest
        rows.bad = True
        print("cluster: write: the engine has %d of %d" % (there, n), file=sys.stderr)
    used = (int(stage.info("memory")["used_memory"]) - empty) / 1e6
    rows.add("write-behind, one link, batches of 256, %d bindings" % n, "%.0f a second, %.1f µs of engine CPU each" % (n / seconds, (c1 - c0) / n),
             "≥ 50,000", n / seconds >= 50000)
    rows.add("engine, memory for %d bindings, with its log" % there, "%.1f MB (%.1f bytes each)" % (used, used * 1e6 / max(1, there)),
             "≤ 64 MB for 1,000,000", used <= 17 + 47 * n / 1e6)
    link.sock.close()
    link.close()
    stage.close()


def filled(b, rows, host, n):
    """Each of n conversations is bound once; what a binding takes of the memory of supervisor and workers, in bytes."""
    def used():
        return pss_kb(host.pids("qcc-supervisor") + host.pids("qcc-worker"))
    before = used()
    well(rows, load(b, host.where, JSON.split() + ["--conversations", str(n), "--count", str(n), "--seconds", "300"], (), 320), "many")
    waited(lambda: host.bound() >= 0.99 * n, "all bindings", SETTLED_S, 0.2)
    return 1024 * (used() - before) / n


def many(b, rows):
    n, stage = b.args.bindings, Stage(b, "many")
    b.behave(JSON_1K)
    alone = Host(b)
    b.behave(JSON_1K)
    bare = filled(b, rows, alone, n)
    alone.stop()
    host = Host(b, stage.engine.url)
    b.behave(JSON_1K)
    each = filled(b, rows, host, n)
    rows.add("supervisor and worker, memory of each of %d bindings with cluster / without" % n, "%.0f / %.0f bytes" % (each, bare),
             "as without", each <= 1.1 * bare + 8)
    waited(lambda: stage.bindings() >= 0.99 * n, "all bindings in the engine", SETTLED_S, 0.2)
    later = Host(b, stage.engine.url, cpus=b.load_cpu)
    seconds = waited(lambda: later.bound() >= 0.99 * n, "all bindings at the host that joined", SETTLED_S, 0.1)
    rows.add("a host joins: up → all %d bindings" % n, "%.1f s" % seconds, "≤ 15 s", seconds <= 15)
    stage.engine.ask("FLUSHALL")
    seconds = waited(lambda: stage.bindings() >= 0.99 * n, "the bindings in the engine again", SETTLED_S, 0.5)
    rows.add("the engine emptied, 2 hosts → all %d bindings there again" % n, "%.1f s" % seconds, "≤ 60 s", seconds <= 60)
    for one in (later, host):
        one.stop()
    stage.close()


PARTS = {"cost": cost, "engine": engine, "write": write, "many": many}


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--rounds", type=int, default=int(os.environ.get("ROUNDS", 5)))
    a.add_argument("--seconds", type=float, default=2.0)
    a.add_argument("--bindings", type=int, default=1000000)
    a.add_argument("--quick", action="store_true", help="one round of half a second, 20,000 bindings")
    a.add_argument("--only", action="append", choices=PARTS)
    a.add_argument("--build", default="build/release")
    args = a.parse_args()
    if args.quick:
        args.rounds, args.seconds, args.bindings = 1, 0.5, 20000
    allow_files(FILES)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    peers.PEERS = {"off": off, "on": on}
    b, rows, since = Bench(args), Figures("cluster"), machine_seconds()
    try:
        b.ready()
        for name, part in PARTS.items():
            if args.only and name not in args.only:
                continue
            try:
                part(b, rows)
            except (Failed, AssertionError, OSError) as e:
                rows.bad = True
                rows.add(name, "broke off: %s" % (str(e).splitlines() or [repr(e)])[0][:200], "to be measured", False)
                for p in b.started[:0:-1]:  # all but the upstream
                    b.stop(p)
        print(rows.text())
        print("\n%d rounds of %g s, medians; %s" % (args.rounds, args.seconds, note(since)))
        return 1 if rows.bad else 0
    except Failed as e:
        print("cluster: %s" % e, file=sys.stderr)
        return 1
    finally:
        b.close()
        for stage in Stage.all:
            with contextlib.suppress(AttributeError, OSError):
                stage.close()


if __name__ == "__main__":
    sys.exit(main())
