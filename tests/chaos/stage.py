"""One campaign with the real programs: starts them, plays the plan, and returns what everybody saw.

    play(plan, folder, build) -> evidence, plain data:
        plan, started, healed, ended (CLOCK_MONOTONIC), bound (seconds that the end of all faults may take)
        clients (clients.py), journal (the fake upstream's lines, times in seconds), samples [(t, endpoints)],
        operators [{t, until, action, argument, pid}], log [{t, level, process, msg, …}], lag [(t, seconds)],
        usable (when all endpoints were after the healing, None: never), left {name: requests open at the end},
        files {pid: [before, after]}, memory {pid: [before, after]} (KB), exit (code of the supervisor), faults (of the stage)
"""
import asyncio
import collections
import contextlib
import datetime
import fnmatch
import http.client
import json
import os
import pathlib
import re
import signal
import socket
import sys
import time

from clients import Clients, Lag, now
from families import lasting
from troubles import DOWN, MARKING

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))

SAMPLE_S = 0.12
HALF_OPEN_S = 10  # a half-open breaker waits so long for a request as its trial
PORTS_TRIED = 5
KEY = "sk-fake-0123456789"


def seconds(text):
    for unit, factor in (("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0)):
        if text.endswith(unit):
            return float(text[:-len(unit)]) * factor
    raise ValueError(text)


def bound(plan):
    """How long it may take, once all are well, until every endpoint is usable."""
    config = plan["config"]
    queue, upstream = config["failure_queue"], config["upstream"]
    cooldown = min(seconds(config["rate_limit"]["max_cooldown"]), 1.1 + seconds(config["rate_limit"]["default_cooldown"]))
    return (2 * seconds(config["breaker"]["max_open_duration"]) + cooldown
            + seconds(config["health"]["degraded_for"]) + 2 * seconds(queue["verify_interval"])
            + 2 * seconds(queue["verify_disabled_interval"]) + 2 * seconds(queue["probe_timeout"])
            + seconds(upstream["first_byte_timeout"]) + seconds(upstream["idle_timeout"]) + 1.5
            + (HALF_OPEN_S + seconds(queue["probe_timeout"]) if lasting_marks(plan) else 0))


def lasting_marks(plan):
    """Whether models or sizes may be marked for long: a verification then is the trial of an endpoint that comes back, no request."""
    refusal = any(spec in MARKING for line in plan["sites"].values() for _, spec in line)
    return refusal and seconds(plan["config"]["rate_limit"]["max_cooldown"]) > 1


def blank(state):
    return (not state["queued"] and not state["disabled_by"] and state["breaker"]["state"] == "closed"
            and state["health"] in ("healthy", "unknown") and state["cooldown_s"] == 0 and not state["draining"])


def offered(endpoint, model):
    models = endpoint.get("models") or {}
    allow = models.get("allow")
    return not allow or model in models.get("map", {}) or any(fnmatch.fnmatchcase(model, p) for p in allow)


def ask_admin(port, method, path, timeout=3):
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        c.request(method, path)
        r = c.getresponse()
        return r.status, json.loads(r.read() or b"null")
    finally:
        c.close()


def files(pid):
    try:
        return len(os.listdir("/proc/%d/fd" % pid))
    except OSError:
        return None


def memory(pid):
    with contextlib.suppress(OSError):
        for line in pathlib.Path("/proc/%d/status" % pid).read_text().split("\n"):
            if line.startswith("VmRSS"):
                return int(line.split()[1])
    return None


class Stage:
    def __init__(self, plan, folder, build):
        os.environ["QCC_BUILD"] = str(build)
        import qcc
        self.lib, self.plan, self.folder = qcc, plan, pathlib.Path(folder)
        self.folder.mkdir(parents=True)
        self.evidence = {"plan": plan, "operators": [], "samples": [], "faults": [], "usable": None, "bound": bound(plan)}
        self.stopped, self.words = [], {}
        self.locks = collections.defaultdict(asyncio.Lock)

    # ---- the programs

    def endpoint(self, e):
        out = {k: v for k, v in e.items() if k not in ("site", "dead")}
        out["base_url"] = "http://127.0.0.1:%d/dead" % self.dead_port if e.get("dead") else "http://127.0.0.1:%s/n/%s" % (self.ports[e["site"]], e["site"])
        return {"api_key": KEY, **out}

    def config(self, change):
        config = self.lib.merged(self.plan["config"], change)
        config["endpoints"] = [self.endpoint(e) for e in config["endpoints"]]
        config["state_dir"] = str(self.folder / "state") if config["state_dir"] else None
        config["log"] = {"level": "info", "format": "json"}
        return config

    def start(self):
        self.dead = socket.socket()
        self.dead.bind(("127.0.0.1", 0))  # and never listens
        self.dead_port = self.dead.getsockname()[1]
        (self.folder / "state").mkdir(mode=0o700)
        # A site that goes down has a listener of its own.
        down = [site for site, line in self.plan["sites"].items() if any(spec in DOWN.values() for _, spec in line)]
        self.up = self.lib.Upstream(self.folder / "upstream", "--quiet", "--journal", str(self.folder / "journal"), *["--listen", "127.0.0.1:0"] * len(down))
        ports = self.lib.until(lambda: len(p := re.findall("listening .*:(\\d+)", self.up.log())) > len(down) and p,
                               "the upstream's listeners")
        self.ports = {**{site: ports[0] for site in self.plan["sites"]}, **dict(zip(down, ports[1:]))}
        for site, line in self.plan["sites"].items():
            self.behave(site, line[0][1])
        self.clock = time.time() - now()
        for left in reversed(range(PORTS_TRIED)):
            if self.serves(left == 0):
                break
        self.lib.until(self.all_serve, "the workers to serve")

    def serves(self, last):
        """Starts a supervisor on ports of its own. False: another campaign was quicker to take one of them."""
        self.q = self.lib.Qcc(self.folder / "qcc", None)
        self.q.config["log"] = {}
        self.q.configure(self.config({}))
        try:
            self.q.start()
        except AssertionError as e:
            if last or "Address already in use" not in str(e):
                raise
            self.q.close()
            self.q.stderr_path.unlink()
            return False
        return True

    def all_serve(self):
        """Whether each worker has what it needs, so that its descriptors can be counted."""
        status, found = ask_admin(self.q.admin_port, "GET", "/api/v1/status")
        return status == 200 and all(w["state"] == "serving" and w["generation"] == 1 for w in found["workers"])

    def behave(self, site, spec):
        self.up.call("PUT", "/_site/" + site, spec)
        word = spec.rpartition("@")[2] if spec in DOWN.values() else "on"
        if word != self.words.get(site, "on"):
            self.words[site] = word
            self.up.call("PUT", "/_listen/" + self.ports[site], word)

    def close(self):
        for pid in self.stopped:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGCONT)
        with contextlib.suppress(AttributeError):
            self.q.close()
        with contextlib.suppress(AttributeError):
            self.up.close()
        self.dead.close()

    # ---- operators

    async def operate(self, action, argument):
        note = {"t": now(), "action": action, "argument": argument, "pid": None}
        self.evidence["operators"].append(note)
        try:
            # What an operator asks for one endpoint comes in that order, also where a stopped process delays it.
            # A supervisor that only just begins would die of a signal: so do actions on it.
            one = "" if action in ("reload", "kill supervisor", "stop supervisor", "upgrade") else id(note)
            async with self.locks[argument if isinstance(argument, str) else one]:
                await getattr(self, "do_" + action.replace(" ", "_"))(argument, note)
        except (OSError, http.client.HTTPException, AssertionError, asyncio.TimeoutError) as e:
            note["failed"] = repr(e)[:200]
        note["until"] = now()

    async def in_thread(self, function, *args):
        return await asyncio.get_running_loop().run_in_executor(None, function, *args)

    async def do_reload(self, number, note):
        reloads = self.plan["reloads"]
        self.q.configure(self.config(reloads[number % len(reloads)]))
        await self.in_thread(self.q.reload, None, True)

    async def do_action(self, name, note):
        # The connection may be of a worker that is killed: an operator asks again.
        for _ in range(5):
            with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
                note["status"], _ = await self.in_thread(ask_admin, self.q.admin_port, "POST",
                                                         "/api/v1/endpoints/%s/%s" % (name, note["action"]))
                return
            await asyncio.sleep(0.1)

    do_enable = do_disable = do_drain = do_verify = do_reset = do_action

    def worker(self, number):
        children = self.q.children()
        return children[number % len(children)] if children else None

    async def do_kill(self, number, note):
        note["pid"] = self.worker(number)
        if note["pid"]:
            os.kill(note["pid"], signal.SIGKILL)

    async def pause(self, pid, duration, note):
        note["pid"] = pid
        if pid:
            self.stopped.append(pid)
            os.kill(pid, signal.SIGSTOP)
            await asyncio.sleep(duration)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
            self.stopped.remove(pid)

    async def do_stop(self, argument, note):
        await self.pause(self.worker(argument[0]), argument[1], note)

    async def do_stop_supervisor(self, duration, note):
        await self.pause(self.q.pid, duration, note)

    async def do_kill_supervisor(self, _, note):
        """Its workers finish what they have; another one starts on the same addresses at once."""
        note["pid"] = self.q.pid
        serving = self.q.count("serving on ")
        os.kill(self.q.pid, signal.SIGKILL)
        if not self.q.successor:
            self.q.process.wait()
        self.q.successor = None
        self.q.start(wait=False)
        await self.in_thread(self.q.wait_serving, serving + 1)

    async def do_upgrade(self, _, note):
        note["pid"] = self.q.pid
        await self.in_thread(self.q.upgrade)

    # ---- time

    async def at(self, t, job, *args):
        await asyncio.sleep(max(0, self.started + t - now()))
        await job(*args)

    async def follow(self, site, line):
        for t, spec in line[1:]:
            await asyncio.sleep(max(0, self.started + t - now()))
            await self.in_thread(self.behave, site, spec)

    async def sample(self):
        before = now()
        try:
            status, found = await self.in_thread(ask_admin, self.q.admin_port, "GET", "/api/v1/endpoints", 1)
        except (OSError, http.client.HTTPException, ValueError):
            return None
        if status != 200:
            return None
        self.evidence["samples"].append((before, {e["name"]: e for e in found["endpoints"]}))
        return found["endpoints"]

    async def watch(self):
        while True:
            await self.sample()
            await asyncio.sleep(SAMPLE_S * (1 + len(self.plan["sites"]) / 20))

    # ---- the play

    async def play(self):
        plan, evidence = self.plan, self.evidence
        self.started = evidence["started"] = now()
        lag, self.clients = Lag(), Clients(plan["seed"], self.q.port)
        beside = [asyncio.create_task(lag.watch()), asyncio.create_task(self.watch())]
        jobs = [self.at(c["t"], self.clients.run, c) for c in plan["clients"]]
        jobs += [self.at(t, self.operate, action, argument) for t, action, argument in plan["operators"]]
        before = {pid: (files(pid), memory(pid)) for pid in self.q.children()}
        everything = asyncio.gather(*jobs)
        await asyncio.gather(self.at(plan["seconds"], asyncio.sleep, 0),
                             *[self.follow(site, line) for site, line in plan["sites"].items()])
        await asyncio.gather(*[self.in_thread(self.heal, site) for site in plan["sites"]])
        evidence["healed"] = now()
        await everything
        await self.recover(plan)
        beside[1].cancel()
        await self.settle(before)
        beside[0].cancel()
        evidence.update(lag=lag.late, clients=self.clients.records, ended=now())

    def heal(self, site):
        if not site.startswith(("anchor", "limited")):
            self.behave(site, "")

    async def recover(self, plan):
        """Light traffic until all are usable: a half-open breaker needs a request as its trial."""
        endpoints = {e["name"]: e for e in self.evidence["plan"]["config"]["endpoints"] if not e.get("dead")}
        end = max(now(), self.evidence["healed"]) + self.evidence["bound"]
        models = sorted({c["model"] for c in plan["clients"]}) or ["m"]
        turn = 0
        while now() < end:
            found = await self.sample()
            ill = [endpoints[e["name"]] for e in found or [] if e["name"] in endpoints and (not blank(e) or lasting(e, models))]
            if found is not None and not ill:
                self.evidence["usable"] = now()
                return
            wanted = [m for m in models if any(offered(e, m) for e in ill[:12])] or models
            c = {"kind": "after", "name": "after", "pad": 0}
            await asyncio.gather(*[self.clients.message({**c, "model": wanted[(turn + k) % len(wanted)]}, k % 2 == 0)
                                   for k in range(2 if len(wanted) < 8 else 8)])
            turn += 2 if len(wanted) < 8 else 8
            await asyncio.sleep(0.04)
        self.evidence["last"] = found

    async def settle(self, before):
        """Until nothing is open any more and idle connections to endpoints have expired."""
        deadline = now() + 3
        left = None
        while now() < deadline:
            found = await self.sample()
            if found is not None:
                left = {e["name"]: e["open_requests"] for e in found if e["open_requests"]}
                if not left:
                    break
            await asyncio.sleep(0.05)
        self.evidence["left"] = left
        await asyncio.sleep(seconds(self.plan["config"]["upstream"]["pool"]["idle_expiry"]) + 0.1)
        deadline = now() + 2
        while now() < deadline and any((files(pid) or 0) > n for pid, (n, _) in before.items()):
            await asyncio.sleep(0.05)
        # A worker that had just started had not all of its listeners yet.
        most = max([n for n, _ in before.values() if n] + [0])
        self.evidence["files"] = {pid: [most, files(pid)] for pid in before}
        self.evidence["memory"] = {pid: [n, memory(pid)] for pid, (_, n) in before.items()}

    def collect(self):
        """What is read from files, after the end of all programs."""
        journal = []
        with open(self.folder / "journal", encoding="utf-8", errors="replace") as f:
            for line in f:
                entry = json.loads(line)
                entry["t"] /= 1e6
                for key in ("head", "content"):
                    if entry.get(key):
                        entry[key] /= 1e6
                journal.append(entry)
        self.evidence["journal"] = journal
        log = []
        for line in self.q.log().split("\n"):
            try:
                entry = json.loads(line)
                when = datetime.datetime.fromisoformat(entry["time"].replace("Z", "+00:00")).timestamp()
            except (ValueError, LookupError, TypeError):
                if line.strip():
                    log.append({"t": None, "level": "odd", "process": "?", "msg": line[:300]})
                continue
            entry["t"] = when - self.clock
            log.append(entry)
        self.evidence["log"] = log


def play(plan, folder, build):
    stage = Stage(json.loads(json.dumps(plan)), folder, build)
    try:
        stage.start()
        asyncio.run(stage.play())
        stage.evidence["exit"] = stage.q.stop(15)
    except Exception as e:
        stage.evidence["faults"].append(repr(e)[:500])
        for key, value in (("clients", []), ("lag", []), ("exit", None), ("left", None), ("healed", None)):
            stage.evidence.setdefault(key, value)
    finally:
        stage.close()
    with contextlib.suppress(OSError, AttributeError):
        stage.collect()
    stage.evidence["plan"] = plan
    return stage.evidence
