#!/usr/bin/python3
"""The campaign of many hosts: three of them share an engine through proxies that delay, stall and cut; links are killed
and frozen, supervisors killed and stopped. An outside judge at the endpoints counts what is open at once.

    campaign.py [--seed N] [--count N] [--seconds S] [--build DIR] [--keep DIR]

Judged, while the engine itself is there:
  places     never more requests at an endpoint than max_concurrent
  trials     of an endpoint whose breaker is open, verifications of one in the failure queue: never two at once, nor two for
             one opening
  requests   every one is answered with 200
  together   at the end all hosts are up and know the same of endpoints and conversations, and no process complains
Exit status 1: a rule was broken."""
import argparse
import asyncio
import contextlib
import os
import pathlib
import random
import shutil
import signal
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

HOSTS = 3
CLIENTS = 5  # of each host

# What happens to a host: name, how often, and its length in s: from, to.
EVENTS = [("cut", 6, 0, 0), ("stall up", 3, 0.05, 1.2), ("stall down", 3, 0.05, 1.2), ("stall", 3, 0.05, 1.5),
          ("delay", 4, 0.5, 2), ("kill link", 2, 0, 0), ("freeze link", 3, 0.1, 4), ("freeze engine", 1, 0.05, 0.3),
          ("kill", 1, 0, 0), ("restart", 1, 0, 0), ("part", 1, 3, 5)]


def plan(seed, seconds):
    """[(when in s, event, host, length)]: the same for a seed."""
    rng = random.Random(seed)
    at, out = 1.0, []
    while at < seconds:
        name, _, low, high = rng.choices(EVENTS, [e[1] for e in EVENTS])[0]
        out.append((round(at, 3), name, rng.randrange(HOSTS), round(rng.uniform(low, high), 3)))
        at += rng.expovariate(2.5)
    return out


class Campaign:
    def __init__(self, seed, seconds, folder, events=None):
        import host
        self.stage = host
        self.seed, self.seconds, self.folder = seed, seconds, pathlib.Path(folder)
        self.rng = random.Random(seed)
        self.plan = plan(seed, seconds) if events is None else events
        self.faults = []
        self.done = 0
        self.stopping = False
        self.figures = {}
        self.keeping = False

    # ---- hosts

    async def build(self):
        s = self.stage
        self.engine = await asyncio.to_thread(s.Engines, self.folder / "engine")
        self.limited = s.Endpoint("limited", self.rng, (0.01, 0.08))
        self.spare = s.Endpoint("spare", self.rng, (0.005, 0.02))
        self.broken = [s.Endpoint("breaker-%d" % i, self.rng, (0.03, 0.2), s.FAILS["breaker"]) for i in range(2)]
        self.queued = [s.Endpoint("queue-%d" % i, self.rng, (0.03, 0.2), s.FAILS["queue"]) for i in range(2)]
        for e in [self.limited, self.spare, *self.broken, *self.queued]:
            await e.start()

        def endpoints(n):
            return ([e.configured(n, priority=1) for e in self.broken + self.queued] +
                    [self.limited.configured(n, priority=2, max_concurrent=s.LIMIT), self.spare.configured(n, priority=3)])

        self.hosts = [s.Host(self.folder / ("host-%d" % n), n, self.engine, endpoints) for n in range(HOSTS)]
        await asyncio.gather(*(h.start() for h in self.hosts))
        await self.until(self.all_up, 60, "all hosts to be up")

    async def until(self, check, seconds, what):
        end = time.monotonic() + seconds
        while not await check():
            if time.monotonic() > end:
                self.faults.append(("together", "waited %g s in vain for %s" % (seconds, what)))
                return False
            await asyncio.sleep(0.05)
        return True

    async def all_up(self):
        return all([await h.state() == "up" for h in self.hosts])

    # ---- clients

    async def client(self, host, k):
        rng = random.Random(self.seed * 1000 + host.n * 10 + k)
        reader = writer = None
        n = 0
        while not self.stopping:
            began = time.monotonic()
            n += 1
            conversation = "x-conversation-id: c%d\r\n" % rng.randrange(200) if rng.random() < 0.5 else ""
            body = ('{"model":"m","max_tokens":16,"messages":[{"role":"user","content":"%d %d %d"}]}'
                    % (host.n, k, n)).encode()
            try:
                if not writer:
                    reader, writer = await asyncio.open_connection("127.0.0.1", host.q.port)
                writer.write(("POST /v1/messages HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n%s"
                              "content-length: %d\r\n\r\n" % (conversation, len(body))).encode() + body)
                head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
                length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
                text = await asyncio.wait_for(reader.readexactly(length), 30)
                if not head.startswith(b"HTTP/1.1 200"):
                    self.failed(host, began, (head.split(b"\r\n")[0] + b" " + text[:200]).decode(errors="replace"))
                self.done += 1
            except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError) as e:
                self.failed(host, began, repr(e))
                if writer:
                    writer.close()
                reader = writer = None
                await asyncio.sleep(0.05)
            await asyncio.sleep(rng.uniform(0, 0.06))
        if writer:
            writer.close()

    def failed(self, host, began, what):
        """Not while the host itself was killed or stopped."""
        now = time.monotonic()
        if not any(since - 0.1 <= now and began <= to + 0.5 for since, to in host.away):
            self.faults.append(("requests", "host %d: %s" % (host.n, what)))

    # ---- what happens

    async def happen(self, name, host, length):
        p = host.proxy
        if name == "cut":
            p.cut()
        elif name == "part":
            p.refusing = True
            p.cut()
            await asyncio.sleep(length)
            p.refusing = False
        elif name.startswith("stall"):
            ways = name.split()[1:] or ["up", "down"]
            for way in ways:
                p.stall(way, True)
            await asyncio.sleep(length)
            for way in ways:
                p.stall(way, False)
        elif name == "delay":
            p.delay = 0.06
            await asyncio.sleep(length)
            p.delay = 0
        elif name == "kill link":
            host.signal_link(signal.SIGKILL)
        elif name == "freeze link":
            host.signal_link(signal.SIGSTOP)
            await asyncio.sleep(length)
            host.signal_link(signal.SIGCONT)
        elif name == "freeze engine":
            self.engine.pause()
            await asyncio.sleep(length)
            self.engine.go_on()
        elif name == "kill":
            await host.killed()
        elif name == "restart":
            await host.restarted()

    async def play(self):
        began = time.monotonic()
        running = set()
        busy = {}
        for at, name, n, length in self.plan:
            await asyncio.sleep(max(0, began + at - time.monotonic()))
            if busy.get(n) and not busy[n].done():
                continue  # one thing at a time for a host
            busy[n] = asyncio.create_task(self.happen(name, self.hosts[n], length))
            running.add(busy[n])
        await asyncio.gather(*running)

    def watch(self):
        """What the engine has of places, each 10 ms."""
        client = self.engine.client()
        keys = None
        names = {}
        with open(self.folder / "places.txt", "w") as f:
            while not self.stopping:
                if not keys:
                    keys = [k for k in client.ask("KEYS", "*:c:*")]
                    time.sleep(0.05)
                    continue
                at = time.monotonic() - self.began
                c = client.ask("HGETALL", keys[0])
                h = client.ask("HGETALL", "{qcc}:1:h")
                h = dict(zip(h[::2], h[1::2]))
                out = []
                for k, v in sorted(zip(c[::2], c[1::2])):
                    host = h.get(k.replace(b"w:", b""), b"? ? ?").split()
                    name = host[2].decode()
                    out.append("%s%s=%s%s" % ("w:" if k.startswith(b"w:") else "", name, v.split()[0].decode(), "" if k.startswith(b"w:") or v.split()[1] == host[0] else "(old)"))
                f.write("%.3f %s\n" % (at, " ".join(out)))
                time.sleep(0.01)

    # ---- the judge

    def judge_places(self, began):
        times = []
        for host, since, to in self.limited.asked:
            if since >= began:
                times += [(since, 1, host), (to or float("inf"), -1, host)]
        open_now, most, over = 0, 0, 0
        for at, step, host in sorted(times, key=lambda t: (t[0], t[1])):
            open_now += step
            most = max(most, open_now)
            if open_now > self.stage.LIMIT and step == 1 and not self.alone_at(at):
                over += 1
                self.faults.append(("places", "%d open at %.3f s, the last of host %d" % (open_now, at - self.began, host)))
        self.figures["places"] = "%d requests, most at once %d, above %d" % (len(times) // 2, most, over)

    def alone_at(self, at):
        """Whether a host was on its own then, or a lease ago, and may use its part of the places."""
        return any(since <= at <= to + self.stage.LEASE for h in self.hosts for since, to in h.alone())

    def judge_trials(self, endpoint, began):
        asked = sorted(a for a in ([s, t or float("inf"), h] for h, s, t in endpoint.asked) if a[0] >= began)
        twice = 0
        for (since, to, host), (after, _, other) in zip(asked, asked[1:]):
            early = after < to + self.stage.OPEN - 0.1
            told = not self.own_matter(host, since) and not self.dies(host, since, to)
            if early and told and not self.own_matter(other, after):
                twice += 1
                self.faults.append(("trials", "%s: host %d at %.3f to %.3f s, host %d at %.3f s"
                                    % (endpoint.name, host, since - self.began, to - self.began, other, after - self.began)))
        self.figures[endpoint.name] = "%d openings, twice %d" % (len(asked), twice)

    def dies(self, host, since, to):
        """Whether its supervisor was killed or stopped before it could tell what has become of a trial."""
        return any(gone < to + 0.3 and back > since for gone, back in self.hosts[host].away)

    def own_matter(self, host, at):
        return any(since <= at <= to for since, to in self.hosts[host].alone())

    async def judge_together(self):
        async def same():
            if not await self.all_up():
                return False
            seen = []
            for h in self.hosts:
                es = (await h.ask("endpoints"))["endpoints"]
                seen.append([(e["name"], e["sessions"], e["breaker"]["state"] if e["name"] in ("limited", "spare") else "")
                             for e in es])
            self.seen = seen
            return all(s == seen[0] for s in seen)
        if not await self.until(same, 30, "all hosts to know the same"):
            self.faults.append(("together", repr(self.seen)))
        for h in self.hosts:
            with contextlib.suppress(AssertionError):
                h.q.assert_sane()
                continue
            self.faults.append(("together", "host %d: a sanitizer complains" % h.n))

    def keep_log(self):
        """The engine's log as text, for who looks for the cause of a fault."""
        (self.folder / "began").write_text("%f" % (time.time() - time.monotonic() + self.began))
        with open(self.folder / "log.txt", "w") as f:
            for at, fields in self.engine.ask("XRANGE", "{qcc}:1:l", "-", "+"):
                words = dict(zip(fields[::2], fields[1::2]))
                when = int(at.split(b"-")[0]) / 1000 - time.time() + time.monotonic() - self.began
                value = repr(words[b"v"]) if words[b"k"] == b"b" else words[b"v"].decode()
                f.write("%.3f %s %s %s\n" % (when, words[b"h"].decode(), words[b"k"].decode(), value))

    # ---- all of it

    async def run(self):
        try:
            await self.build()
            self.began = time.monotonic()
            clients = [asyncio.create_task(self.client(h, k)) for h in self.hosts for k in range(CLIENTS)]
            watching = asyncio.create_task(asyncio.to_thread(self.watch)) if self.keeping else None
            await asyncio.sleep(2)  # breakers open, queues fill
            began = time.monotonic()
            await self.play()
            await asyncio.sleep(0.5)
            self.stopping = True
            await asyncio.gather(*clients)
            await asyncio.sleep(0.3)
            self.judge_places(began)
            for e in self.broken + self.queued:
                self.judge_trials(e, began)
            await self.judge_together()
            self.figures["requests"] = "%d done" % self.done
        finally:
            with contextlib.suppress(Exception):
                self.keep_log()
            await asyncio.gather(*(h.close() for h in getattr(self, "hosts", [])), return_exceptions=True)
            if hasattr(self, "engine"):
                self.engine.kill()
        return self.faults


def campaign(seed, seconds, keep=None):
    """Plays a seed; its faults, each (rule, text), and its figures."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="qcc-hosts-"))
    c = Campaign(seed, seconds, folder)
    c.keeping = bool(keep)
    try:
        faults = asyncio.run(c.run())
        if keep and faults:
            shutil.copytree(folder, pathlib.Path(keep) / str(seed), dirs_exist_ok=True, ignore=shutil.ignore_patterns("s", "run"))
        return faults, c
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1, 1 << 30))
    a.add_argument("--count", type=int, default=1)
    a.add_argument("--seconds", type=float, default=20)
    a.add_argument("--build")
    a.add_argument("--keep")
    args = a.parse_args()
    if args.build:
        os.environ["QCC_BUILD"] = args.build
    bad = False
    for seed in range(args.seed, args.seed + args.count):
        faults, c = campaign(seed, args.seconds, args.keep)
        bad = bad or bool(faults)
        print("seed %d: %s" % (seed, "%d faults" % len(faults) if faults else "well"))
        for name, text in c.figures.items():
            print("  %s: %s" % (name, text))
        if faults:
            for at, name, host, length in c.plan:
                print("    %7.3f s %s, host %d, %.2f s" % (at + 2, name, host, length))
        for rule, text in faults[:40]:
            print("  %s: %s" % (rule, text))
        sys.stdout.flush()
    return bad


if __name__ == "__main__":
    sys.exit(main())
