#!/usr/bin/python3
"""Where the CPU time of a row of the bench goes: in the proxy's own code, or in the kernel on its behalf.

    where.py [--row ROW] [--rounds N] [--seconds S] [--build DIR]        (rows of run.py that count CPU time)

Prints a Markdown table, medians of interleaved rounds: CPU µs of one request or event, the part in the proxy's own code, the
part in the kernel (system calls and the TCP work that is done within them), how often it goes to sleep, and what the ratio
to the better of nginx and HAProxy would be if the proxy's own code took no time at all. Where that last figure is above a
goal, no change of the proxy's code alone reaches the goal: only fewer or cheaper system calls do.
"""
import argparse
import os
import statistics
import sys

from bench import Bench, Failed, load
from machine import FILES, allow_files, family, machine_seconds, note, versions
from peers import PEERS, Proxy, there
from rows import ROWS
from table import NAMES

KINDS = ("replies", "events")  # of a row: what is counted


def times(pids):
    """(own, kernel, sleeps): clock ticks in user and in kernel mode and voluntary context switches, over all threads."""
    user = kernel = sleeps = 0
    for pid in pids:
        with open(f"/proc/{pid}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        user, kernel = user + int(fields[11]), kernel + int(fields[12])
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/status") as f:
                sleeps += sum(int(line.split()[1]) for line in f if line.startswith("voluntary_ctxt_switches"))
    return user, kernel, sleeps


def one(b, row, p):
    """(µs, own µs, kernel µs, sleeps), each of one request or event."""
    b.behave(row.spec)
    pids = family(p.p.pid)
    load(b, f"127.0.0.1:{p.port}", ["--seconds", "0.3"] + row.load.split())
    before = times(pids)
    got = load(b, f"127.0.0.1:{p.port}", ["--seconds", str(b.args.seconds)] + row.load.split(), pids)
    user, kernel, sleeps = (now - then for now, then in zip(times(pids), before))
    done = got[row.kind]
    if got["failed"] or not done or not user + kernel:
        raise Failed(f"{p.name}: {got['failed']} failed: {got['why'] or 'nothing was measured'}")
    # schedstat, which the load reads at both ends, is exact; the ticks say only how it divides
    cost = got["cpu_us"] / done
    return cost, cost * user / (user + kernel), cost * kernel / (user + kernel), sleeps / done


def table(values):
    medians = {name: [statistics.median(v) for v in zip(*rounds)] for name, rounds in values.items()}
    others = [m[0] for name, m in medians.items() if name != "qcc"]
    lines = ["| proxy | CPU µs | own code | kernel | sleeps | kernel alone / better peer |", "|---|---|---|---|---|---|"]
    for name, (cost, own, kernel, sleeps) in medians.items():
        least = f"{kernel / min(others):.2f}" if name == "qcc" and others else ""
        lines.append(f"| {NAMES[name]} | {cost:.2f} | {own:.2f} | {kernel:.2f} | {sleeps:.2f} | {least} |")
    return "\n".join(lines)


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--row", action="append", help="of " + ", ".join(r.name for r in ROWS if r.kind in KINDS))
    a.add_argument("--rounds", type=int, default=5)
    a.add_argument("--seconds", type=float, default=3.0)
    a.add_argument("--build", default="build/release")
    args = a.parse_args()
    rows = [r for r in ROWS if r.kind in KINDS and (not args.row or r.name in args.row)]
    allow_files(FILES)
    b, since = Bench(args), machine_seconds()
    try:
        b.ready()
        names = there(b, PEERS)
        for row in rows:
            proxies = {name: Proxy(b, name, row.how) for name in names}
            values = {name: [] for name in names}
            for n in range(args.rounds):
                for name in names[n % len(names):] + names[:n % len(names)]:
                    values[name].append(one(b, row, proxies[name]))
            for p in proxies.values():
                p.stop()
            print(f"{row.title}\n\n{table(values)}\n", flush=True)
        b.stop_all()
        print(f"{versions()}; {args.rounds} rounds of {args.seconds:g} s; {note(since)}")
        return 0
    except Failed as e:
        print(f"where: {e}", file=sys.stderr)
        return 1
    finally:
        b.close()


if __name__ == "__main__":
    sys.exit(main())
