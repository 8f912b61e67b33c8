#!/usr/bin/python3
"""The chaos campaign: real programs, random configurations, endpoints, operators and clients, and a judge.

    run.py [--seed N] [--count N | --seconds N] [--jobs N] [--build DIR] [--replay FILE] [--shrink] [--keep DIR] [--pairs]

Without --seed it takes fresh seeds for --seconds (60). With it, --count seeds from N on (1). A seed's plan is always the
same; what happens in it is not quite, as time is real. A seed that fails is printed with its trail; exit status 1 then.
--replay plays a plan from a file, --shrink reduces a failing one, --keep leaves plan, log and journal in DIR."""
import argparse
import concurrent.futures
import json
import os
import pathlib
import shutil
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import oracle  # noqa: E402
import plan as plans  # noqa: E402
import stage  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]


def campaign(plan, build, keep=None):
    """Plays one plan; [faults]."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="qcc-chaos-"))
    try:
        evidence = stage.play(plan, folder / "stage", build)
        faults = oracle.judge(evidence)
        if keep and faults:
            there = pathlib.Path(keep) / str(plan["seed"])
            shutil.rmtree(there, ignore_errors=True)
            shutil.copytree(folder / "stage", there, ignore=shutil.ignore_patterns("run", "*.sock"))
            (there / "plan.json").write_text(json.dumps(plan, indent=1))
            (there / "evidence.json").write_text(json.dumps(evidence))
        return [tuple(f) for f in faults]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def show(seed, faults, most=3, lines=24):
    out = []
    for rule, text, who, trail in faults[:most]:
        out.append("seed %s: %s: %s%s" % (seed, rule, text, " (%s)" % who if who else ""))
        out += ["    " + str(line)[:600] for line in trail[:lines]]
    if len(faults) > most:
        out.append("seed %s: and %d more" % (seed, len(faults) - most))
    return "\n".join(out)


def one(seed, build, keep):
    return seed, campaign(plans.make(seed), build, keep)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--seed", type=int)
    p.add_argument("--count", type=int, default=1)
    p.add_argument("--seconds", type=float, default=60)
    p.add_argument("--jobs", type=int, default=3 * (os.cpu_count() or 2))
    p.add_argument("--build", default=str(ROOT / "build/release"))
    p.add_argument("--keep")
    args = p.parse_args()
    build = pathlib.Path(args.build).resolve()
    begin, failed, done = time.monotonic(), 0, 0
    seeds = iter(range(args.seed, args.seed + args.count)) if args.seed is not None else iter(
        range(int(time.time()) * 1000, 1 << 60))
    rules = {}
    with concurrent.futures.ProcessPoolExecutor(args.jobs) as pool:
        running = set()
        while True:
            while len(running) < args.jobs and (args.seed is not None or time.monotonic() < begin + args.seconds):
                seed = next(seeds, None)
                if seed is None:
                    break
                running.add(pool.submit(one, seed, build, args.keep))
            if not running:
                break
            over, running = concurrent.futures.wait(running, return_when=concurrent.futures.FIRST_COMPLETED)
            for job in over:
                seed, faults = job.result()
                done += 1
                failed += bool(faults)
                for rule in {f[0] for f in faults}:
                    rules[rule] = rules.get(rule, 0) + 1
                if faults:
                    print(show(seed, faults), flush=True)
    print("%d seeds in %.0f s, %d failed%s" % (done, time.monotonic() - begin, failed,
                                               "".join(", %s %d" % r for r in sorted(rules.items()))))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
