"""Hosts, their engine and their endpoints, in one loop: what the endpoints see is stamped by one clock."""
import asyncio
import contextlib
import datetime
import json
import os
import pathlib
import re
import signal
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/system"))

from engine import Engine  # noqa: E402
from unsteady import Proxy  # noqa: E402
from qcc import Qcc, free_port  # noqa: E402

SECRET = "0123456789abcdef0123456789abcdef"
LEASE = 2.0
LIMIT = 4
OPEN = 0.3  # how long a breaker stays open, and between two verifications

MESSAGE = json.dumps({"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [
    {"type": "text", "text": "yes"}], "stop_reason": "end_turn", "stop_sequence": None,
    "usage": {"input_tokens": 1, "output_tokens": 1}}).encode()
PAGE = b"<html>bad gateway</html>"


def answer(status, body, kind):
    return b"HTTP/1.1 %d X\r\ncontent-type: %s\r\ncontent-length: %d\r\n\r\n" % (status, kind, len(body)) + body


SERVES = answer(200, MESSAGE, b"application/json")
FAILS = {"breaker": answer(502, PAGE, b"text/html"), "queue": answer(200, PAGE, b"text/html")}


class Endpoint:
    """What it is asked is kept as [host, begin, end or None]. `says`: its answer; `takes`: from, to in s."""

    def __init__(self, name, rng, takes, says=SERVES):
        self.name, self.rng, self.takes, self.says = name, rng, takes, says
        self.asked = []

    async def start(self):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]

    def configured(self, host, **more):
        return {"name": self.name, "base_url": "http://127.0.0.1:%d" % self.port, "api_key": "sk-test-0123456789",
                "headers": {"x-host": str(host)}, **more}

    async def serve(self, reader, writer):
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                n = int(re.search(rb"(?i)content-length: *(\d+)", head).group(1))
                await reader.readexactly(n)
                one = [int(re.search(rb"(?i)x-host: *(\d+)", head).group(1)), time.monotonic(), None]
                self.asked.append(one)
                try:
                    await asyncio.sleep(self.rng.uniform(*self.takes))
                finally:
                    one[2] = time.monotonic()
                writer.write(self.says)
                await writer.drain()
        except (asyncio.IncompleteReadError, OSError, AttributeError):
            pass
        finally:
            writer.close()


class Host:
    """A supervisor with its worker behind a proxy of its own."""

    def __init__(self, folder, n, engine, endpoints):
        self.folder, self.n = pathlib.Path(folder), n
        self.proxy = Proxy(engine.address)
        self.endpoints = endpoints
        self.away = []  # [since, to]: its clients may see broken connections

    async def start(self):
        await self.proxy.start()
        state = self.folder / "state"
        state.mkdir(parents=True, mode=0o700)
        self.q = Qcc(self.folder, {
            "workers": 1, "state_dir": str(state), "log": {"level": "debug"},
            "endpoints": self.endpoints(self.n),
            "cluster": {"url": "redis://127.0.0.1:%d" % self.proxy.port, "secret": SECRET, "name": "host-%d" % self.n,
                        "lease": "%dms" % (1000 * LEASE)},
            "breaker": {"failure_threshold": 2, "open_duration": "%dms" % (1000 * OPEN), "max_open_duration": "%dms" % (1000 * OPEN)},
            "failure_queue": {"verify_interval": "%dms" % (1000 * OPEN), "probe_timeout": "5s"},
            "balance": {"use_priority": True}, "retry": {"transient_delay": "1ms"}},
            # LeakSanitizer waits for ever at the end of a process that gets SIGCONT just then
            env={"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"})
        await asyncio.to_thread(self.q.start)

    async def close(self):
        await asyncio.to_thread(self.q.close)
        await self.proxy.close()

    async def ask(self, *words):
        """What qccctl says."""
        return await asyncio.to_thread(self.q.ctl_json, *words)

    async def state(self):
        with contextlib.suppress(AssertionError, ValueError):
            return (await self.ask("cluster"))["state"]
        return None

    def alone(self):
        """[(since, to)]: when it was on its own, as it says: the engine away for a lease, or not found since its start."""
        offset = time.monotonic() - time.time()
        found, since, up = [], None, False
        for line in self.q.log().splitlines():
            if " starts with " in line:
                up = False
            start, lost = " link started" in line, ": cluster: the engine is " in line
            if not (start or lost or ": cluster: up" in line):
                continue
            at = datetime.datetime.fromisoformat(line.split()[0].replace("Z", "+00:00")).timestamp() + offset
            if ": cluster: up" in line:
                if since is not None:
                    found.append((since, at + 0.3))
                since, up = None, True
            elif since is None:
                # a beat and an answer that did not come are behind it already
                since = at - 0.1 if "the link does not answer" in line or not up else at + LEASE - 1.2
        if since is not None:
            found.append((since, float("inf")))
        return found

    def pids(self, name):
        """Of the running processes of that name among the children."""
        found = []
        with contextlib.suppress(OSError):
            for pid in pathlib.Path("/proc/%d/task/%d/children" % (self.q.pid, self.q.pid)).read_text().split():
                with contextlib.suppress(OSError):
                    if pathlib.Path("/proc/%s/comm" % pid).read_text().strip() == name:
                        found.append(int(pid))
        return found

    def signal_link(self, number):
        for pid in self.pids("qcc-link"):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    async def killed(self):
        """SIGKILL of the supervisor, and a start."""
        since = time.monotonic()
        serving = self.q.count("serving on ")
        self.away.append([since, float("inf")])
        await asyncio.to_thread(self.q.process.kill)
        await asyncio.to_thread(self.q.process.wait)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.q.process.pid, signal.SIGCONT)
        await asyncio.to_thread(self.q.start, False)
        await asyncio.to_thread(self.q.wait_serving, serving + 1)
        self.away[-1][1] = time.monotonic()

    async def restarted(self):
        since = time.monotonic()
        serving = self.q.count("serving on ")
        self.away.append([since, float("inf")])
        await asyncio.to_thread(self.q.stop)
        await asyncio.to_thread(self.q.start, False)
        await asyncio.to_thread(self.q.wait_serving, serving + 1)
        self.away[-1][1] = time.monotonic()


class Engines:
    """One engine, on a port of its own."""

    def __init__(self, folder):
        self.engine = Engine(folder, port=free_port())

    def __getattr__(self, name):
        return getattr(self.engine, name)
