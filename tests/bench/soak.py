#!/usr/bin/python3
"""The soak: everything at once, for long: failing endpoints (one of another maker), reloads, upgrades, killed workers,
clients that go away, streams, the history.

    soak.py [--hours H | --seconds S] [--seed N] [--workers N] [--build DIR] [--keep] [--no-memory]

The time is divided into rounds. At the end of each all is brought to rest: no request, all endpoints well, no process that
starts or ends; there the processes' memory (PSS without files) and descriptors are read. Judged:
  requests     lost beyond those that the killed workers themselves had: 0. Which a worker had is read from its descriptors
               right before it is killed. A stream that its endpoint broke off has to end with an error event
  processes    that ended without having been killed, or complained: 0
  growth       of a process from its second idle point to its last, and of all processes of a role from one idle point
               to the last that is equal (as many rounds after an upgrade): memory 0, up to what malloc moves by
               (256 KB or 5%) and the recorder's pages of its file (6 MB in all), descriptors 0. --no-memory: builds with a
               sanitizer keep what was freed
Prints a Markdown table and a verdict; exit status 1: a rule was broken, or not all was played."""
import argparse
import collections
import contextlib
import json
import os
import random
import re
import signal
import sys
import threading
import time

import soak_judge
from drill_stage import Drill, Failed
from machine import machine_seconds, note
from soak_clients import DELTAS, PACE_MS, Clients
from table import Figures

WELL = "events=%d,gap_ms=%d" % (DELTAS, PACE_MS)
FAILS = ["status=503", "status=529", "status=429,retry_after=1", "status=500,delay_ms=50", "reset", "close", "hang", "garbage",
         "half_head", "html_200", "empty_200", "sse_error_first=overloaded_error", "sse_error_first=api_error,message=Broken"]
BREAKS = ["close_after_events=6", "hang_after_events=6"]  # what a client has seen a part of cannot be served elsewhere
SITES = ["one", "two", "maker"]
ROLES = {"qcc-supervisor": "supervisor", "qcc-worker": "worker", "qcc-recorder": "recorder"}
SEGMENT = 5  # rounds from one upgrade to the next
REST_S = 20


class Soak:
    def __init__(self, d, args):
        self.d, self.args, self.rnd = d, args, random.Random(args.seed)
        self.up = d.upstream()
        self.points, self.killed, self.failures, self.events = [], [], [], collections.Counter()
        self.served, self.told = collections.Counter(), 0
        for site in ["anchor", *SITES]:
            self.behave(site, "")
        self.endpoints = [self.up.endpoint("/n/" + s, s, api_key="sk-soak-%s-0123456789" % s) for s in ["anchor", *SITES]]
        self.endpoints[-1].update(base_url=self.endpoints[-1]["base_url"] + "/v1", protocol="openai")
        self.q = d.proxy(
            self.endpoints, log={"access": False}, workers=args.workers, state_dir=str(d.state_dir()), history={"min_free": 0},
            upstream={"connect_timeout": "2s", "first_byte_timeout": "2s", "idle_timeout": "2s", "list_models": False,
                      "pool": {"idle_expiry": "500ms"}},
            retry={"max_attempts": 12, "transient_delay": "5ms", "max_wait": "5s"},
            rate_limit={"default_cooldown": "500ms", "max_cooldown": "1s"},
            breaker={"open_duration": "300ms", "max_open_duration": "600ms"},
            failure_queue={"verify_interval": "300ms", "probe_timeout": "2s"}, health={"degraded_for": "500ms"},
            limits={"drain_timeout": "30s"})
        self.log_seen = 0

    def behave(self, site, spec):
        more = "openai=openai" if site == "maker" else ""
        self.up.call("PUT", "/_site/" + site, ",".join(filter(None, [WELL, more, spec])))

    def ctl(self, *words):
        return self.q.ctl("--socket", self.q.config["control_socket"], *words)

    def status(self):
        done = self.ctl("--json", "status")
        return json.loads(done.stdout) if done.returncode == 0 else None

    # ---- what happens

    def processes(self):
        """{pid: role} of all that live, also those that an upgrade has replaced."""
        found = {}
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError), open("/proc/%s/stat" % pid) as f:
                text = f.read()
                name, fields = text[text.index("(") + 1:text.rindex(")")], text[text.rindex(")") + 2:].split()
                if int(fields[3]) == self.q.process.pid and fields[0] != "Z" and name in ROLES:
                    found[int(pid)] = ROLES[name]
        return found

    def clients_of(self, pid):
        """Ports of the clients whose connections the process has."""
        inodes = set()
        for fd in os.listdir("/proc/%d/fd" % pid):
            with contextlib.suppress(OSError):
                inodes.update(re.findall(r"socket:\[(\d+)\]", os.readlink("/proc/%d/fd/%s" % (pid, fd))))
        ports = []
        with open("/proc/net/tcp") as f:
            for line in f.readlines()[1:]:
                words = line.split()
                if words[9] in inodes and int(words[1].split(":")[1], 16) == self.q.port and words[3] != "0A":
                    ports.append(int(words[2].split(":")[1], 16))
        return ports

    def kill(self):
        workers = self.q.children()
        if len(workers) < self.args.workers:
            return  # one that was killed has not been replaced yet
        pid = self.rnd.choice(workers)
        with contextlib.suppress(ProcessLookupError, FileNotFoundError):
            os.kill(pid, signal.SIGSTOP)  # what it has it then has to its end
            time.sleep(0.02)
            self.killed.append((pid, self.clients_of(pid)))
            os.kill(pid, signal.SIGKILL)
            self.events["killed workers"] += 1

    def reload(self):
        n = self.events["reloads"]
        self.q.configure({"endpoints": self.endpoints[:2 + n % 3], "health": {"degraded_for": "%dms" % (500 + n % 7)}})
        done = self.ctl("reload")
        if done.returncode != 0:
            raise Failed("reload: " + done.stderr)
        self.events["reloads"] += 1

    def upgrade(self):
        before = self.q.pid
        os.kill(before, signal.SIGUSR2)
        self.d.lib.until(lambda: (s := self.status()) and s["pid"] != before and setattr(self.q, "successor", s["pid"]) is None,
                         "the upgrade")
        self.events["upgrades"] += 1

    def trouble(self, stop):
        """One endpoint after the other fails in its own way and is well again."""
        while not stop.wait(self.rnd.uniform(0.1, 0.6)):
            site, spec = self.rnd.choice(SITES), self.rnd.choice(FAILS + 3 * BREAKS)
            self.behave(site, spec)
            self.events["failures of endpoints"] += 1
            stop.wait(self.rnd.uniform(0.3, 1.5))
            if self.rnd.random() < 0.7:
                self.behave(site, "")

    def operate(self, seconds, upgrade):
        """Reloads and one killed worker, or an upgrade, while requests come."""
        end = time.monotonic() + seconds
        at = time.monotonic() + seconds * self.rnd.uniform(0.2, 0.5)
        while time.monotonic() < end:
            time.sleep(min(max(0, end - time.monotonic()), self.rnd.uniform(0.3, 1.0) * max(1.0, seconds / 10)))
            if at and time.monotonic() > at:
                at = None
                if upgrade:
                    self.upgrade()
                self.kill()
            else:
                self.reload()
            self.ctl("endpoints")
            self.q.get("/metrics", port=self.q.admin_port)

    def round(self, seconds, upgrade):
        stop = threading.Event()
        clients = Clients(self.q, self.rnd.randrange(1 << 30))
        trouble = threading.Thread(target=self.trouble, args=(stop,), daemon=True)
        trouble.start()
        try:
            self.operate(seconds, upgrade)
        finally:
            stop.set()
            trouble.join(20)
            for site in SITES:
                self.behave(site, "")
            clients.stop()
        self.failures += clients.failures
        self.served.update(clients.served)
        self.told += clients.told

    # ---- rest

    def rested(self):
        found = collections.Counter(self.processes().values())
        if found != {"supervisor": 1, "worker": self.args.workers, "recorder": 1}:
            return "processes: %s" % dict(found)
        state = json.loads(self.q.get("/api/v1/endpoints", port=self.q.admin_port)[1])["endpoints"]
        busy = [e["name"] for e in state if e["open_requests"] or e["queued"] or e["breaker"]["state"] != "closed"]
        if busy:
            return "endpoints: %s" % busy
        done = self.ctl("--json", "history")
        behind = json.loads(done.stdout)["behind_ms"] if done.returncode == 0 else 1
        return "the recorder is %d ms behind" % behind if behind else ""

    def rest(self):
        """Light traffic until all is well, as a half-open breaker waits for a request; then nothing. The idle point."""
        self.q.configure({"endpoints": self.endpoints})
        if self.ctl("reload").returncode != 0:
            raise Failed("the last reload of a round failed")
        self.events["reloads"] += 1
        end = time.monotonic() + REST_S
        while why := self.rested():
            if time.monotonic() > end:
                raise Failed("no rest after %d s: %s" % (REST_S, why))
            for _ in range(4 if why.startswith("endpoints") else 0):
                with contextlib.suppress(OSError, Failed, ValueError):
                    ask(self.q.port, self.rnd)
            time.sleep(0.2)
        time.sleep(1.2)  # kept connections to endpoints end, what was freed is given back
        point = {}
        for pid, role in self.processes().items():
            with contextlib.suppress(OSError), open("/proc/%d/smaps_rollup" % pid) as f:
                # not of the programs' files: who else has those mapped changes with time
                kb = sum(int(line.split()[1]) for line in f if line.startswith(("Pss_Anon:", "Pss_Shmem:")))
                point[pid] = soak_judge.Process(role, kb, len(os.listdir("/proc/%d/fd" % pid)))
        self.points.append(point)

    def read_log(self):
        """Counts processes that ended by themselves; what was read is cut off, as a long soak's log is long."""
        killed = {pid for pid, _ in self.killed}
        text = self.q.log()
        self.q.assert_sane()
        for pid, what in re.findall(r"\(pid (\d+)\) (ended (?:unexpectedly|badly).*)", text[self.log_seen:]):
            if int(pid) not in killed:
                self.events["processes that ended by themselves"] += 1
                print("soak: pid %s %s" % (pid, what), file=sys.stderr)
        self.log_seen = len(text)
        if len(text) > 20 << 20:
            os.truncate(self.q.log_path, 0)
            self.log_seen = 0

    def play(self, end):
        """Rounds until the time is over, at least two."""
        seconds = min(25.0, max(2.0, (end - time.monotonic()) / 20))
        n = 0
        while n < 2 or time.monotonic() + seconds < end:
            self.round(seconds, n % SEGMENT == 1)
            self.rest()
            self.read_log()
            n += 1
            print("soak: round %d: %d served, %d failures, %d workers killed; %s" % (
                n, sum(self.served.values()), len(self.failures), len(self.killed),
                ", ".join("%s %.1f MB, %d files" % (r, kb / 1024, f) for r, (kb, f, _) in sorted(soak_judge.sums(self.points[-1]).items()))),
                file=sys.stderr)


def ask(port, rnd):
    from drill_stage import ask_once, request
    return ask_once(port, request(conversation="soak-%d" % rnd.randrange(200), close=True))


def equal_points(points):
    """(first, last) of the idle points that are equal: as many rounds after an upgrade. In the first segment what is kept
    for long, as events are, still fills; it is left out where there are three."""
    after = [i for i in range(1, len(points)) if (i - 1) % SEGMENT == (len(points) - 2) % SEGMENT]
    return (points[after[len(after) > 2]], points[after[-1]]) if len(after) > 1 else None


def judge(soak, t, memory):
    """Fills the table; whether every rule was kept."""
    lost = soak_judge.lost(soak.failures, [(0, ports) for _, ports in soak.killed])
    for when, port, what in lost[:5]:
        print("soak: lost: port %s: %s" % (port, what), file=sys.stderr)
    good = []

    def row(figure, measured, goal, ok):
        good.append(ok)
        t.add(figure, measured, goal, ok)

    row("what happened", ", ".join("%s %d" % e for e in sorted(soak.events.items()) if "themselves" not in e[0]), "each",
        all(soak.events[e] for e in ("killed workers", "reloads", "upgrades", "failures of endpoints")))
    row("requests served", ", ".join("%s %d" % e for e in sorted(soak.served.items())), "each kind", len(soak.served) == 4)
    row("requests lost beyond the killed workers' own (%d)" % (len(soak.failures) - len(lost)), str(len(lost)), "0", not lost)
    row("streams that their endpoint broke off, told by an error event", str(soak.told), "–", True)
    alone = soak.events["processes that ended by themselves"]
    row("processes that ended by themselves", str(alone), "0", not alone)
    grown, base = soak_judge.grown(soak.points), soak_judge.sums(soak.points[-1])
    pair = equal_points(soak.points)
    whole = soak_judge.more(*pair) if pair else {}
    for role in ("supervisor", "worker", "recorder"):
        kb, files, n = base[role]
        for what, found in (("of one process between idle points", grown), ("of all from one segment to the last", whole)):
            if role not in found:
                continue
            more_kb, more_files = found[role]
            if memory:
                now_kb = kb // n if found is grown else kb
                row("%s, growth %s: PSS" % (role, what), "%+d KB of %d" % (more_kb, now_kb),
                    "0 beyond its cache of pages" if role in soak_judge.CACHES_KB else "0", soak_judge.flat(role, more_kb, now_kb))
            row("%s, growth %s: descriptors" % (role, what), "%+d" % more_files, "0", more_files <= 0)
    return all(good)


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--hours", type=float, default=0.17)
    a.add_argument("--seconds", type=float, help="instead of hours")
    a.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1, 1 << 30))
    a.add_argument("--workers", type=int, default=2)
    a.add_argument("--build", default="build/release")
    a.add_argument("--keep", action="store_true", help="keep the folder with configurations and logs")
    a.add_argument("--no-memory", action="store_true")
    args = a.parse_args()

    def interrupted(*_):
        raise Failed("interrupted")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, interrupted)
    d, since, began = Drill(args), machine_seconds(), time.monotonic()
    t, well, soak = Figures("soak"), True, None
    try:
        soak = Soak(d, args)
        soak.play(began + (args.seconds or args.hours * 3600))
    except (Failed, AssertionError, OSError, ValueError) as e:
        print("soak: %s" % str(e)[:2000], file=sys.stderr)
        t.add("the soak itself", "broke off: %s" % (str(e).splitlines() or [repr(e)])[0][:200], "to its end", False)
        well = False
    try:
        if soak and soak.points:
            well = judge(soak, t, not args.no_memory) and well
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
    finally:
        d.close()
    print(t.text())
    print("\nseed %d, %d rounds in %.0f s; %s" % (args.seed, len(soak.points) if soak else 0, time.monotonic() - began, note(since)))
    print("soak: %s" % ("well" if well else "FAILED"))
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
