"""What all parts of the drill share: a client, a folder with everything that was started, the table, the log."""
import collections
import contextlib
import datetime
import json
import os
import pathlib
import random
import re
import shutil
import socket
import sys
import tempfile
import threading
import time

from bench import Failed

ROOT = pathlib.Path(__file__).resolve().parents[2]
WORKERS = 4
KEY = "sk-ant-drill-0123456789"
MODEL = "claude-sonnet-4-6"
REUSE = 99.0


# ---- the client

Reply = collections.namedtuple("Reply", "status headers body seconds")


def request(model=MODEL, stream=False, conversation=None, fake=None, close=False, text="say it " * 200):
    """The bytes of one request as Claude Code would send it."""
    body = json.dumps({"model": model, "max_tokens": 100, "stream": stream,
                       "messages": [{"role": "user", "content": text}]}).encode()
    head = ["POST /v1/messages?beta=true HTTP/1.1", "host: 127.0.0.1", "content-type: application/json",
            "x-api-key: " + KEY, "anthropic-version: 2023-06-01", "content-length: %d" % len(body)]
    head += ["x-claude-code-session-id: " + conversation] if conversation else []
    head += ["x-fake: " + fake] if fake else []
    head += ["connection: close"] if close else []
    return "\r\n".join(head + ["", ""]).encode() + body


class Client:
    """One connection."""

    def __init__(self, port):
        self.sock = socket.create_connection(("127.0.0.1", port), 30)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.sock.makefile("rb", 65536)

    def send(self, data):
        self.sent = time.perf_counter()
        self.sock.sendall(data)

    def line(self):
        line = self.file.readline()
        if not line.endswith(b"\n"):
            raise Failed("the proxy closed the connection within a reply")
        return line.rstrip(b"\r\n")

    def receive(self):
        status = int(self.line().split()[1])
        headers = {}
        while line := self.line():
            name, _, value = line.partition(b":")
            headers[name.decode().lower()] = value.strip().decode()
        if headers.get("transfer-encoding") == "chunked":
            body = b""
            while n := int(self.line(), 16):
                body += self.file.read(n)
                self.line()
            self.line()
        else:
            body = self.file.read(int(headers["content-length"]))
        return Reply(status, headers, body, time.perf_counter() - self.sent)

    def ask(self, data):
        self.send(data)
        return self.receive()

    def close(self):
        self.file.close()
        self.sock.close()


def ask_once(port, data):
    with contextlib.closing(Client(port)) as c:
        return c.ask(data)


def in_threads(jobs):
    """Runs the functions at the same time; what one of them raises is raised here."""
    failures = []

    def run(job):
        try:
            job()
        except Exception as e:
            failures.append(e)
    threads = [threading.Thread(target=run, args=(job,), daemon=True) for job in jobs]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if failures:
        raise failures[0]


# ---- what all parts share

class Drill:
    """A folder, everything that was started, and the table."""

    def __init__(self, args):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="qcc-drill-"))
        self.build = (ROOT / args.build).resolve()
        self.keep = args.keep
        self.folders = 0
        self.started = []
        self.rows = []
        self.rnd = random.Random(1)
        os.environ["QCC_BUILD"] = str(self.build)
        sys.path.insert(0, str(ROOT / "tests/system"))
        import qcc
        self.lib = qcc

    def folder(self):
        self.folders += 1
        return self.dir / str(self.folders)

    def state_dir(self):
        path = self.folder() / "state"
        path.mkdir(0o700, parents=True)
        return path

    def upstream(self):
        up = self.lib.Upstream(self.folder(), "--quiet")
        self.started.append(up)
        return up

    def proxy(self, endpoints, log={}, **config):
        folder = self.folder()
        q = self.lib.Qcc(folder, {"workers": WORKERS, "control_socket": str(folder / "control.sock"),
                                  "endpoints": endpoints, "log": {"level": "info", **log}, **config})
        self.started.append(q)
        return q.start()

    def row(self, figure, measured, goal, ok):
        self.rows.append((figure, measured, goal, "ok" if ok else "MISSED"))
        print("drill: %s: %s (%s)" % (figure, measured, "ok" if ok else "MISSED, goal " + goal), file=sys.stderr)

    def reuse(self, who, up, failed):
        stats = up.stats()
        requests = sum(site["requests"] for site in stats["sites"].values())
        opened = stats["connections"]["accepted"] - 1  # ours, that asks for this
        share = 100 * (1 - opened / requests) if requests else 0
        self.row("upstream connections, %s: requests on one that was there" % who,
                 "%.2f%% (%d connections, %d requests, %d failed)" % (share, opened, requests, failed),
                 "≥ %.0f%%" % REUSE, share >= REUSE and not failed)

    def table(self):
        lines = ["| figure | measured | goal | |", "|---|---|---|---|"]
        return "\n".join(lines + ["| %s | %s | %s | %s |" % row for row in self.rows])

    def end_part(self):
        while self.started:
            self.started.pop().close()

    def close(self):
        try:
            self.end_part()
        finally:
            if self.keep:
                print("drill: logs are in %s" % self.dir, file=sys.stderr)
            else:
                shutil.rmtree(self.dir, ignore_errors=True)


def percentile(values, p):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * p / 100))]


def admin_endpoints(q):
    """{name: what /api/v1/endpoints says of it}."""
    status, body = q.get("/api/v1/endpoints", port=q.admin_port)
    if status != 200:
        raise Failed("/api/v1/endpoints answers %d: %.200r" % (status, body))
    return {e["name"]: e for e in json.loads(body)["endpoints"]}


def changes(q, name="[^ :]+", cells=False):
    """The log's lines on state changes of endpoints, with cells also of their families of models: (seconds since the epoch,
    name, text)."""
    found = re.findall(r"^(\S+)Z \w+ supervisor: endpoint (%s):?%s ((?:health|breaker|queue|cooldown|disabled|model) .*)$"
                       % (name, "(?: [^ :]+:)?" if cells else ""), q.log(), re.M)
    return [(epoch(when), who, what) for when, who, what in found]


def epoch(text):
    return datetime.datetime.fromisoformat(text + "+00:00").timestamp()


def spread(q, n):
    """n keep-alive connections, as evenly over the workers as can be had; [(worker, Client)]."""
    by_worker = collections.defaultdict(list)
    for _ in range(40 * WORKERS):
        c = Client(q.port)
        rid = c.ask(request()).headers["x-qcc-request-id"]
        worker = q.wait_log(r"worker (\d+) \[%s\]: request " % rid, timeout=5).group(1)
        by_worker[worker].append(c)
        if len(by_worker) == WORKERS and all(len(v) >= n // WORKERS for v in by_worker.values()):
            break
    if len(by_worker) < 2:
        raise Failed("all connections came to one worker")
    turns = [(w, c) for i in range(n) for w, v in sorted(by_worker.items()) for c in v[i:i + 1]]
    for _, c in turns[n:]:
        c.close()
    return turns[:n]
