#!/usr/bin/python3
"""The bench: QCC beside nginx and HAProxy, same upstream, same load, interleaved rounds.

    run.py [--rounds N] [--quick] [--only ROW] [--peers qcc,nginx] [--build DIR] [--before DIR]     (ROUNDS=N too)

Prints a Markdown table: medians over the rounds, and the ratio to the better of nginx and HAProxy (by
their medians) as the median of the rounds' ratios with its range. CPU is that of all the proxy's processes (schedstat), read by the load generator at both ends of the
measured time; memory is PSS. The load generator and the upstream are pinned to one core (where there are
four, to one each), the proxy to the last. --before DIR: another build of QCC (its build/release) is measured in the same rounds, with the ratio
qcc/before; --peers qcc,before leaves the others out. Every reply is checked: a row in which a request failed is marked with "!" and the exit status is 1.
A proxy that is not installed or not built shows "–".
After that QCC beside itself (--scale ROW, or "none"): one endpoint and a thousand, a thousand bindings and a million.

Where time goes, with one row running for long (`make CFLAGS='-g -fno-omit-frame-pointer'` names more frames):
    tests/bench/run.py --only json --peers qcc --rounds 50 &
    perf record -g -p $(pgrep -n qcc-worker) -- sleep 5 && perf report --no-children
    valgrind --tool=callgrind --trace-children=yes build/release/qcc-supervisor -c FILE, then a short load by hand
"""
import argparse
import collections
import http.client
import json
import os
import resource
import shutil
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time

import scale

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PATH = "/v1/messages?beta=true"
JSON_1K = "reply_bytes=1024"
SSE_10MS = "stream,events=1000000,gap_ms=10,event_bytes=120"
SSE_FULL = "stream,events=20000,event_bytes=120"
SSE_TTFB = "stream,events=20,gap_ms=2,burst=3,event_bytes=120"
# Streams in the middle of an answer: message_start, content_block_start and a first delta come together, as they do
# in life. Where they come a second apart, QCC holds the head and the request for a while, and measures as 12 KB.
SSE_SLOW = "stream,events=1000000,gap_ms=1000,burst=3,event_bytes=120"

FILES = 65536  # wanted: 10,000 streams are 20,000 connections of a proxy


def room(n):
    """n connections, or as many as the open files allow, of which a connection may need two."""
    return min(n, (resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 600) // 200 * 100)


Row = collections.namedtuple("Row", "name title kind tls spec load digits")
ROWS = [
    Row("json", "2 KB request, 1 KB JSON reply, 32 connections: CPU µs a request", "replies", False, JSON_1K,
        "--mode json --conns 32 --body 2048 --reply 1024", 1),
    Row("json-p99", "the same: latency p99, µs", "p99", False, JSON_1K,
        "--mode json --conns 32 --body 2048 --reply 1024", 0),
    Row("big", "200 KB request: CPU µs a request", "replies", False, JSON_1K,
        "--mode json --conns 8 --body 200000 --reply 1024", 1),
    Row("paced", "SSE, 100 streams, an event each 10 ms: CPU µs an event", "events", False, SSE_10MS,
        "--mode sse --conns 100 --stagger 1370", 1),
    Row("full", "SSE, 16 streams at full speed: CPU µs an event", "events", False, SSE_FULL,
        "--mode sse --conns 16 --events 20005", 3),
    Row("ttfb", "time to first byte added over direct, p50 µs", "ttfb", False, SSE_TTFB,
        "--mode sse --conns 16 --events 25 --stagger 2900", 0),
    Row("ttfb-p99", "the same, p99 µs", "ttfb-p99", False, SSE_TTFB,
        "--mode sse --conns 16 --events 25 --stagger 2900", 0),
    Row("json-tls", "the first, TLS on both sides: CPU µs a request", "replies", True, JSON_1K,
        "--mode json --conns 32 --body 2048 --reply 1024 --tls", 1),
    Row("paced-tls", "SSE, 100 streams, 10 ms, TLS on both sides: CPU µs an event", "events", True, SSE_10MS,
        "--mode sse --conns 100 --stagger 1370 --tls", 1),
    Row("tls-new", "a new TLS connection of a client for each request: CPU µs", "replies", "clients", JSON_1K,
        "--mode json --conns 8 --body 2048 --reply 1024 --tls --fresh", 1),
    Row("tls-resumed", "the same, the session resumed: CPU µs", "replies", "clients", JSON_1K,
        "--mode json --conns 8 --body 2048 --reply 1024 --tls --resume", 1),
    Row("idle", "memory idle (PSS, all processes; QCC with two workers), MB", "idle", False, None, None, 1),
    Row("mem1000", "memory a stream, 1,000 slow streams, KB", "memory", False, SSE_SLOW, 1000, 1),
    Row("mem5000", "the same at 5,000 streams, MB in all", "memory", False, SSE_SLOW, 5000, 1),
    Row("mem10000", "memory a stream, 10,000 slow streams at one worker, KB", "memory", False, SSE_SLOW, 10000, 1),
]

class Failed(Exception):
    pass


class Bench:
    """What all measurements share: a folder, certificates, the upstream, everything that was started."""

    def __init__(self, args):
        self.args = args
        self.dir = tempfile.mkdtemp(prefix="qcc-bench-")
        os.chmod(self.dir, 0o755)
        self.started = []
        cpus = sorted(os.sched_getaffinity(0))
        self.load_cpu, self.proxy_cpu = cpus[:1], cpus[-1:]
        self.upstream_cpu = cpus[1:2] if len(cpus) > 3 else self.load_cpu
        self.two_cpus = cpus[-2:]  # for two workers; on fewer than four cores they share them with the load
        self.cert, self.key, self.pem = (os.path.join(self.dir, n) for n in ("cert.pem", "key.pem", "both.pem"))

    def path(self, name, text=None):
        path = os.path.join(self.dir, name)
        if text is not None:
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as f:
                f.write(text)
        return path

    def binary(self, name, build=None):
        path = os.path.join(ROOT, build or self.args.build, name)
        return path if os.access(path, os.X_OK) else None

    def start(self, argv, cpus, **how):
        p = subprocess.Popen(argv, preexec_fn=lambda: os.sched_setaffinity(0, cpus), **how)
        self.started.append(p)
        return p

    def stop(self, p):
        if p.poll() is None:
            p.send_signal(signal.SIGTERM)
            try:
                p.wait(5)
            except subprocess.TimeoutExpired:
                for pid in family(p.pid):
                    try:
                        os.kill(pid, signal.SIGKILL)
                    except ProcessLookupError:
                        pass
                p.wait(5)
        if p in self.started:
            self.started.remove(p)

    def certificates(self):
        if not shutil.which("openssl"):
            raise Failed("the openssl program is not there (packaging/deps.sh bench installs it)")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                        "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
                        "-keyout", self.key, "-out", self.cert], check=True, stderr=subprocess.DEVNULL)
        with open(self.pem, "w") as out:
            for part in (self.cert, self.key):
                with open(part) as f:
                    out.write(f.read())

    def upstream(self):
        p = self.start([self.binary("fake_upstream"), "--quiet", "--listen", "127.0.0.1:0", "--tls", self.cert, self.key,
                        "--listen", "127.0.0.1:0"], self.upstream_cpu, stdout=subprocess.PIPE, text=True)
        self.up = {tls: p.stdout.readline().split()[1] for tls in (False, True)}
        self.up["clients"] = self.up[False]  # TLS on the clients' side alone

    def behave(self, spec):
        c = http.client.HTTPConnection(self.up[False], timeout=5)
        c.request("PUT", "/_bench", spec)
        if c.getresponse().status != 200:
            raise Failed(f"the upstream does not know {spec}")
        c.close()

    def stop_all(self):
        for p in reversed(list(self.started)):
            self.stop(p)

    def close(self):
        self.stop_all()
        shutil.rmtree(self.dir, ignore_errors=True)


def family(pid):
    """The process and all its descendants."""
    found = [pid]
    for p in found:
        try:
            for task in os.listdir(f"/proc/{p}/task"):
                with open(f"/proc/{p}/task/{task}/children") as f:
                    found += [int(c) for c in f.read().split()]
        except OSError:
            pass
    return found


def pss_kb(pids):
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/smaps_rollup") as f:
            total += sum(int(line.split()[1]) for line in f if line.startswith("Pss:"))
    return total


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


# ---- the proxies: each gives its command line for a listening port

def nginx(b, port, tls, workers):
    exe = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    tag = f"nginx-{port}"
    tmp = "\n".join(f"  {kind}_temp_path {b.path(tag)}-{kind};" for kind in
                    ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    here = f"ssl_certificate {b.cert}; ssl_certificate_key {b.key}; ssl_protocols TLSv1.2 TLSv1.3;" if tls else ""
    there = (f"proxy_ssl_verify on; proxy_ssl_trusted_certificate {b.cert}; proxy_ssl_name localhost;"
             " proxy_ssl_server_name on; proxy_ssl_protocols TLSv1.2 TLSv1.3;") if tls is True else ""
    conf = b.path(tag + ".conf", f"""
daemon off;
{"user root;" if os.geteuid() == 0 else ""}
worker_processes {workers};
worker_rlimit_nofile {resource.getrlimit(resource.RLIMIT_NOFILE)[0]};
pid {b.path(tag + ".pid")};
error_log {b.path(tag + ".log")};
events {{ worker_connections 40000; }}
http {{
  access_log off;
{tmp}
  keepalive_requests 1000000000;
  client_max_body_size 64m;
  client_body_buffer_size 256k;
  upstream up {{ server {b.up[tls]}; keepalive 512; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port} {"ssl" if tls else ""} backlog=4096;
    {here}
    location / {{
      proxy_pass http{"s" if tls is True else ""}://up;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
      proxy_read_timeout 1h;
      {there}
    }}
  }}
}}
""")
    return exe and [exe, "-c", conf, "-e", b.path(tag + ".log")]


def haproxy(b, port, tls, workers):
    exe = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
    here = f"ssl crt {b.pem}" if tls else ""
    there = f"ssl ca-file {b.cert} verify required sni str(localhost) verifyhost localhost" if tls is True else ""
    conf = b.path(f"haproxy-{port}.cfg", f"""
global
  maxconn {room(20000)}
  nbthread {workers}
defaults
  mode http
  option http-no-delay
  timeout connect 10s
  timeout client 1h
  timeout server 1h
  timeout http-keep-alive 1h
  http-reuse always
frontend f
  bind 127.0.0.1:{port} backlog 4096 {here}
  default_backend b
backend b
  server up {b.up[tls]} pool-max-conn 1000 {there}
""")
    return exe and [exe, "-db", "-q", "-f", conf]


def before(b, port, tls, workers):
    return qcc(b, port, tls, workers, b.args.before)


def qcc(b, port, tls, workers, build=None, more="", endpoints=1, openai=False):
    exe = b.binary("qcc-supervisor", build) if b.binary("qcc-worker", build) else None
    where = f'"127.0.0.1:{port}"'
    listen = f"{{address: {where}, tls: {{certificate: {b.cert}, private_key: {b.key}}}}}" if tls else where
    up = b.up[tls].replace("127.0.0.1", "localhost") if tls is True else b.up[tls]
    one = ('  - {{name: bench{0}, base_url: "http' + ("s" if tls is True else "") + f'://{up}' + ("/v1" if openai else "") + '", '
           'api_key: sk-ant-bench-upstream{0}' + (", protocol: openai" if openai else "") + '}}\n')
    conf = b.path(f"qcc-{port}.yaml", f"""
listen: [{listen}]
workers: {workers}
control_socket: {b.path(f"qcc-{port}.sock")}
admin: {{listen: off}}
limits: {{max_connections: 40000}}
upstream:
  pool: {{max_connections: 20000, max_idle: 512}}
  {f"ca_file: {b.cert}" if tls is True else ""}
endpoints:
{"".join(one.format(n) for n in range(endpoints))}
log: {{access: off, level: warning, file: {b.path(f"qcc-{port}.log")}}}
{more}
""")
    return exe and [exe, "-c", conf]


PEERS = {"nginx": nginx, "haproxy": haproxy, "qcc": qcc}  # and before, if there is such a build


class Proxy:
    """A running proxy that has been seen to reply rightly."""

    def __init__(self, b, name, tls=False, workers=1, cpus=None, **more):
        self.b, self.name, self.tls = b, name, tls
        self.port = free_port()
        argv = PEERS[name](b, self.port, tls, workers, **more)
        self.p = None
        if not argv:
            raise FileNotFoundError(name)
        self.errors = open(b.path(f"{name}-{self.port}.err", ""), "r+")
        self.p = b.start(argv, cpus or b.proxy_cpu, stdout=self.errors, stderr=self.errors)
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                break
            except OSError:
                if self.p.poll() is not None or time.monotonic() > deadline:
                    raise Failed(f"{name} does not start: {self.said()}")
                time.sleep(0.02)
        if not more.get("openai"):
            self.check()

    def said(self):
        self.errors.seek(0)
        text = self.errors.read()
        log = self.b.path(f"{self.name}-{self.port}.log")
        if os.path.exists(log):
            with open(log) as f:
                text += f.read()
        return text[-2000:]

    def check(self):
        """The same reply as without a proxy, byte for byte; JSON and stream, small and large request."""
        for spec, stream, size in ((JSON_1K, False, 10), (JSON_1K, False, 200000),
                                   ("stream,events=50,event_bytes=120", True, 10)):
            self.b.behave(spec)
            body = json.dumps({"model": "claude-sonnet-4-6", "messages": [{"role": "user", "content": "x" * size}],
                               "max_tokens": 10, "stream": stream})
            got = [post(self.b.up[False], False, body), post(f"127.0.0.1:{self.port}", self.tls, body)]
            if got[0] != got[1] or got[0][0] != 200:
                raise Failed(f"{self.name} replies wrongly to {spec}: {got[1][0]} {got[1][1][:300]!r}\n{self.said()}")

    def stop(self):
        if self.p:
            self.b.stop(self.p)
            self.errors.close()


def post(where, tls, body):
    if tls:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        c = http.client.HTTPSConnection(where, timeout=10, context=context)
    else:
        c = http.client.HTTPConnection(where, timeout=10)
    try:
        c.request("POST", PATH, body, {"content-type": "application/json", "x-api-key": "sk-ant-client",
                                       "anthropic-version": "2023-06-01"})
        r = c.getresponse()
        return r.status, r.read()
    except (OSError, http.client.HTTPException) as e:
        return 0, repr(e).encode()
    finally:
        c.close()


# ---- measuring

def load(b, where, options, pids=(), limit=120):
    argv = [b.binary("bench/load"), "--to", where, "--path", PATH] + options
    if pids:
        argv += ["--pids", ",".join(map(str, pids))]
    p = b.start(argv, b.load_cpu, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
    out = p.communicate(timeout=limit)[0]
    b.stop(p)
    return json.loads(out.splitlines()[-1])


def measured(b, row, where, pids):
    """(value, failed requests, why) of one row against one address."""
    b.behave(row.spec)
    got = load(b, where, ["--warm", "0.3", "--seconds", str(b.args.seconds)] + row.load.split(), pids)
    if row.kind in ("ttfb", "ttfb-p99", "p99"):
        return got["ttfb_us"]["p50" if row.kind == "ttfb" else "p99"], got["failed"], got["why"]
    if "--resume" in row.load and got["resumed"] < 0.9 * got["replies"]:
        return None, 1, f"{got['resumed']} of {got['replies']} sessions were resumed"
    if row.kind == "rate":
        return got["replies"] / got["seconds"], got["failed"] + (not got["replies"]), got["why"] or "nothing came"
    done = got[row.kind]
    return (got["cpu_us"] / done if done else None), got["failed"] + (not done), got["why"] or "nothing came"


def memory(b, name, rows):
    """All memory rows of one peer: {row name: (value, failed, why)}. Fresh processes, nothing else running."""
    values = {}
    wanted = {r.name: r for r in rows}
    if "idle" in wanted:
        p = Proxy(b, name, workers=2 if name in ("qcc", "before") else 1)
        time.sleep(0.3)
        values["idle"] = (pss_kb(family(p.p.pid)) / 1024, 0, "")
        p.stop()
    streams = [r for r in rows if r.kind == "memory"]
    if not streams:
        return values
    p = Proxy(b, name)
    idle = pss_kb(family(p.p.pid))
    for row in streams:
        b.behave(row.spec)
        holder = b.start([b.binary("bench/load"), "--to", f"127.0.0.1:{p.port}", "--path", PATH, "--mode", "hold",
                          "--conns", str(row.load), "--body", "2048", "--seconds", "60", "--stagger", "200"],
                         b.load_cpu, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        held = json.loads(holder.stdout.readline())
        time.sleep(1.5)
        pss = pss_kb(family(p.p.pid))
        out = holder.communicate("\n", timeout=60)[0]
        b.stop(holder)
        end = json.loads(out.splitlines()[-1])
        failed = row.load - held["held"] + end["failed"]
        value = pss / 1024 if row.name == "mem5000" else (pss - idle) / row.load
        values[row.name] = (value, failed, held["why"] or end["why"] or "not all streams began")
    p.stop()
    return values


class Table:
    def __init__(self, rows, peers):
        self.rows, self.peers = rows, peers
        self.values = collections.defaultdict(list)  # (row, peer): one value a round, or None
        self.bad = set()

    def add(self, row, peer, value, failed, why):
        self.values[row.name, peer].append(value)
        if failed:
            self.bad.add((row.name, peer))
            print(f"bench: {row.name}, {peer}: {failed} failed: {why}", file=sys.stderr)

    def cell(self, row, peer):
        v = [x for x in self.values[row.name, peer] if x is not None]
        mark = " !" if (row.name, peer) in self.bad else ""
        return (f"{statistics.median(v):.{row.digits}f}" if v else "–") + mark

    def ratio(self, row, peer):
        pairs = zip(self.values[row.name, "qcc"], self.values[row.name, peer])
        r = [a / n for a, n in pairs if a is not None and n]
        return f"{statistics.median(r):.2f} ({min(r):.2f}–{max(r):.2f})" if r else "–"

    def better(self, row):
        """Of nginx and HAProxy the one with the smaller median; None: neither was measured."""
        medians = {}
        for peer in ("nginx", "haproxy"):
            v = [x for x in self.values[row.name, peer] if x is not None]
            if v and (row.name, peer) not in self.bad:
                medians[peer] = statistics.median(v)
        return min(medians, key=medians.get) if medians else None

    def text(self):
        names = {"nginx": "nginx", "haproxy": "HAProxy", "qcc": "QCC", "before": "QCC before"}
        against = [p for p in ("before",) if p in PEERS]
        head = ["work"] + [names[p] for p in PEERS] + ["QCC/better"] + ["QCC/" + p for p in against]
        lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
        for row in self.rows:
            cells = [self.cell(row, peer) for peer in PEERS] + [self.ratio(row, self.better(row))]
            cells += [self.ratio(row, peer) for peer in against]
            lines.append("| " + " | ".join([row.title] + cells) + " |")
        return "\n".join(lines)


def cpu_rows(b, table, rows, peers):
    proxies = {}
    for tls in sorted({r.tls for r in rows}, key=str):
        for name in peers:
            proxies[name, tls] = Proxy(b, name, tls)
    for n in range(b.args.rounds):
        for row in rows:
            direct = 0
            if row.kind.startswith("ttfb"):
                direct, failed, why = measured(b, row, b.up[False], ())
                if failed:
                    raise Failed(f"the upstream itself fails: {why}")
            for name in peers[n % len(peers):] + peers[:n % len(peers)]:
                p = proxies[name, row.tls]
                value, failed, why = measured(b, row, f"127.0.0.1:{p.port}", family(p.p.pid))
                table.add(row, name, value - direct if value is not None else None, failed, why)
        print(f"bench: round {n + 1} of {b.args.rounds}", file=sys.stderr)
    for p in proxies.values():
        p.stop()


def versions(b):
    def first(argv, word):
        try:
            out = subprocess.run(argv, capture_output=True, text=True)
        except OSError:
            return f"no {word}"
        return (out.stdout + out.stderr).splitlines()[0].split(" - ")[0]
    path = os.environ["PATH"] + ":/usr/sbin"
    return ", ".join([first([shutil.which("nginx", path=path) or "nginx", "-v"], "nginx").replace("nginx version: ", ""),
                      first([shutil.which("haproxy", path=path) or "haproxy", "-v"], "haproxy")])


def machine_seconds():
    """CPU seconds that the whole machine has worked, and wall-clock seconds."""
    with open("/proc/stat") as f:
        user, nice, system, _, _, irq, softirq = map(int, f.readline().split()[1:8])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK"), time.monotonic()


def others(since):
    """Percent of the machine that other programs took: more than a little, and the figures are noise."""
    busy, wall = (now - then for now, then in zip(machine_seconds(), since))
    own = sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return max(0.0, 100 * (busy - own) / (wall * os.cpu_count()))


def allow_files(most):
    """Lets this process and those it starts open so many files, or as many as there is permission for."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    for n in (max(most, hard), hard):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (n, n))
            return
        except (ValueError, OSError):
            print(f"bench: no permission for {n} open files: {hard}", file=sys.stderr)


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--rounds", type=int, default=int(os.environ.get("ROUNDS", 5)))
    a.add_argument("--seconds", type=float, default=2.0, help="measured time of each load")
    a.add_argument("--quick", action="store_true", help="one round of half a second")
    a.add_argument("--only", action="append", help="row names: " + ", ".join(r.name for r in ROWS))
    a.add_argument("--scale", action="append", help="rows of QCC beside itself: " + ", ".join(r.name for r in scale.SCALES))
    a.add_argument("--peers", help="of " + ", ".join(PEERS) + ", before")
    a.add_argument("--before", metavar="DIR", help="another build of QCC to compare with")
    a.add_argument("--build", default="build/release")
    args = a.parse_args()
    if args.before:
        PEERS["before"] = before
    args.peers = args.peers or ",".join(PEERS)
    if args.quick:
        args.rounds, args.seconds = 1, 0.5
    rows = [r for r in ROWS if (not args.only and not args.scale) or r.name in (args.only or [])]
    wanted = [r for r in scale.SCALES if (not args.only and not args.scale) or r.name in (args.scale or [])]
    allow_files(FILES)
    rows = [r if r.kind != "memory" or r.load == room(r.load) else
            r._replace(load=room(r.load), title=r.title.replace(f"{r.load:,}", f"{room(r.load):,}")) for r in rows]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))

    b = Bench(args)
    since = machine_seconds()
    try:
        missing = [n for n in ("fake_upstream", "bench/load") if not b.binary(n)]
        if missing or not (rows or wanted):
            raise Failed(f"not built: {', '.join(missing)} (make bench builds it)" if missing else "no such row")
        b.certificates()
        b.upstream()
        peers = [n for n in args.peers.split(",") if n in PEERS and PEERS[n](b, free_port(), False, 1)]
        table = Table(rows, peers)
        of_memory = [r for r in rows if r.kind in ("idle", "memory")]
        for n in range(min(args.rounds, 3) if of_memory else 0):
            for name in peers:
                for row, got in memory(b, name, of_memory).items():
                    table.add(next(r for r in rows if r.name == row), name, *got)
        of_cpu = [r for r in rows if r not in of_memory]
        if of_cpu:
            cpu_rows(b, table, of_cpu, peers)
        if rows:
            print(table.text() + "\n")
        text, good = scale.scales(b, wanted) if wanted else ("", True)
        b.stop_all()
        print(text)
        print(f"\n{versions(b)}; {args.rounds} rounds of {args.seconds:g} s, medians; "
              f"{len(os.sched_getaffinity(0))} cores; other programs took {others(since):.0f}% of them")
        return 1 if table.bad or not good else 0
    except Failed as e:
        print(f"bench: {e}", file=sys.stderr)
        return 1
    finally:
        b.close()


if __name__ == "__main__":
    import run  # as the other modules see it: one set of classes
    sys.exit(run.main())
