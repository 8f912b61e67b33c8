#!/usr/bin/python3
"""The bench: QCC beside nginx and HAProxy, same upstream, same load, interleaved rounds.

    run.py [--rounds N] [--quick] [--only ROW,...] [--peers qcc,nginx] [--build DIR] [--before DIR]     (ROUNDS=N too)

Prints a Markdown table: medians over the rounds, and the ratio to the better of nginx and HAProxy (by
their medians) as the median of the rounds' ratios with its range. CPU is that of all the proxy's processes (schedstat), read by the load generator at both ends of the
measured time; memory is PSS. The load generator and the upstream are pinned to one core (where there are
four, to one each), the proxy to the last. --before DIR: another build of QCC (its build/release) is measured in the same rounds, with the ratio
qcc/before; --peers qcc,before leaves the others out. Every reply is checked: a row in which a request failed is marked with "!" and the exit status is 1.
A proxy that is not installed or not built shows "–".
After that QCC beside itself (--scale ROW,..., or "none"): one endpoint and a thousand, a thousand bindings and a million.

Where time goes, with one row running for long (`make CFLAGS='-g -fno-omit-frame-pointer'` names more frames):
    tests/bench/run.py --only json --peers qcc --rounds 50 &
    perf record -g -p $(pgrep -n qcc-worker) -- sleep 5 && perf report --no-children
    valgrind --tool=callgrind --trace-children=yes build/release/qcc-supervisor -c FILE, then a short load by hand
"""
import argparse
import os
import signal
import sys

import scale
from bench import Bench, Failed
from machine import FILES, allow_files, machine_seconds, note, room, versions
from measure import cpu_rows, memory
from peers import PEERS, before, there
from rows import ROWS
from table import Table


def chosen(all_rows, only, other):
    """The rows that are named, with commas or by repeating the option; "none": none of them. All where no row is
    named, neither here nor among the others."""
    names = ",".join(only or []).split(",")
    others = [x for x in ",".join(other or []).split(",") if x not in ("", "none")]
    unknown = set(names) - {r.name for r in all_rows} - {"", "none"}
    if unknown:
        sys.exit("no such row: " + ", ".join(sorted(unknown)))
    return [r for r in all_rows if r.name in names or not (only or others)]


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
    if args.quick:
        args.rounds, args.seconds = 1, 0.5
    rows, wanted = chosen(ROWS, args.only, args.scale), chosen(scale.SCALES, args.scale, args.only)
    allow_files(FILES)
    rows = [r if r.kind != "memory" or r.load == room(r.load) else
            r._replace(load=room(r.load), title=r.title.replace(f"{r.load:,}", f"{room(r.load):,}")) for r in rows]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))

    b = Bench(args)
    since = machine_seconds()
    try:
        if not (rows or wanted):
            raise Failed("no such row")
        b.ready()
        peers = there(b, args.peers.split(",") if args.peers else PEERS)
        table = Table(rows, PEERS)
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
        print(f"\n{versions()}; {args.rounds} rounds of {args.seconds:g} s, medians; {note(since)}")
        return 1 if table.bad or not good else 0
    except Failed as e:
        print(f"bench: {e}", file=sys.stderr)
        return 1
    finally:
        b.close()


if __name__ == "__main__":
    sys.exit(main())
