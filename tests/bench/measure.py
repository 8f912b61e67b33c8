"""Measuring one row at one proxy: under load, or by the memory that it takes."""
import json
import subprocess
import sys
import time

from bench import PATH, Failed, load
from machine import family, pss_kb
from peers import JSON_1K, Proxy, post


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


def held(b, p, streams, spec):
    """(PSS of the proxy's processes in KB while so many streams are open, failed streams, why)."""
    b.behave(spec)
    holder = b.start([b.binary("bench/load"), "--to", f"127.0.0.1:{p.port}", "--path", PATH, "--mode", "hold",
                      "--conns", str(streams), "--body", "2048", "--seconds", "60", "--stagger", "200"],
                     b.load_cpu, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    begun = json.loads(holder.stdout.readline())
    time.sleep(1.5)
    pss = pss_kb(family(p.p.pid))
    out = holder.communicate("\n", timeout=60)[0]
    b.stop(holder)
    end = json.loads(out.splitlines()[-1])
    failed = streams - begun["held"] + end["failed"]
    return pss, failed, begun["why"] or end["why"] or "not all streams began"


def idle_mb(b, name, how):
    """QCC with two workers, each of which has served requests."""
    p = Proxy(b, name, how, workers=2 if name in ("qcc", "before") else 1)
    b.behave(JSON_1K)
    for _ in range(16 if how == "named" else 0):
        status, body = post(f"127.0.0.1:{p.port}", False, json.dumps({"model": "m", "messages": [], "max_tokens": 1}))
        if status != 200:
            raise Failed(f"{name} replies {status} {body[:300]!r}")
    time.sleep(0.3)
    value = pss_kb(family(p.p.pid)) / 1024
    p.stop()
    return value


def memory(b, name, rows):
    """All memory rows of one peer: {row name: (value, failed, why)}. Fresh processes, nothing else running."""
    values = {r.name: (idle_mb(b, name, r.how), 0, "") for r in rows if r.kind == "idle"}
    for how in sorted({r.how for r in rows if r.kind == "memory"}, reverse=True):
        p = Proxy(b, name, how)
        idle = pss_kb(family(p.p.pid))
        for row in (r for r in rows if r.kind == "memory" and r.how == how):
            pss, failed, why = held(b, p, row.load, row.spec)
            values[row.name] = (pss / 1024 if row.name == "mem5000" else (pss - idle) / row.load, failed, why)
        p.stop()
    return values


def cpu_rows(b, table, rows, peers):
    proxies = {(name, how): Proxy(b, name, how) for how in sorted({r.how for r in rows}) for name in peers}
    for n in range(b.args.rounds):
        for row in rows:
            direct = 0
            if row.kind.startswith("ttfb"):
                direct, failed, why = measured(b, row, b.up["plain"], ())
                if failed:
                    raise Failed(f"the upstream itself fails: {why}")
            for name in peers[n % len(peers):] + peers[:n % len(peers)]:
                p = proxies[name, row.how]
                value, failed, why = measured(b, row, f"127.0.0.1:{p.port}", family(p.p.pid))
                table.add(row, name, value - direct if value is not None else None, failed, why)
        print(f"bench: round {n + 1} of {b.args.rounds}", file=sys.stderr)
    for p in proxies.values():
        p.stop()
