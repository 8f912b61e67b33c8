#!/usr/bin/python3
"""The chaos campaign: real programs, random configurations, endpoints, operators and clients, and a judge.

    run.py [--seed N [--count N] | --seconds N | --pairs | --replay FILE] [--shrink] [--keep DIR] [--jobs N] [--build DIR]

Without --seed it takes fresh seeds for --seconds (60). With it, --count seeds from N on (1). --pairs plays the matrix of
pairs.py, --replay a plan from a file. A seed's plan is always the same; what happens in it is not quite, as time is real. A
plan that fails is printed with its trail; exit status 1 then. --shrink makes it smaller as long as the same rule fails, and
prints what is left. --keep leaves plan, log and journal of those that fail in DIR/SEED. Faults of the product that issues
to come will mend are not judged (troubles.py: NOT_YET…), unless CHAOS_STRICT=1."""
import argparse
import concurrent.futures
import json
import os
import pathlib
import shutil
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import oracle  # noqa: E402
import pairs  # noqa: E402
import plan as plans  # noqa: E402
import shrink  # noqa: E402
import stage  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
JOBS = 5 * (os.cpu_count() or 2)  # most of a campaign is waiting


class Lateness(threading.Thread):
    """How much too late this process was woken, in seconds: what the machine's load did to the play."""

    def __init__(self):
        super().__init__(daemon=True)
        self.worst, self.over = 0, threading.Event()

    def run(self):
        begin = time.monotonic()
        while not self.over.wait(0.02):
            now = time.monotonic()
            self.worst, begin = max(self.worst, now - begin - 0.02), now


def campaign(plan, build, keep=None):
    """Plays one plan; its faults, each (rule, text, request's id, trail)."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="qcc-chaos-"))
    late = Lateness()
    late.start()
    try:
        evidence = stage.play(plan, folder / "stage", build)
        faults = oracle.judge(evidence)
        late.over.set()
        if late.worst > 0.1:
            faults = [(r, text, who, ["machine: a thread of the campaign was woken %.2f s too late" % late.worst, *trail])
                      for r, text, who, trail in faults]
        if keep and faults:
            there = pathlib.Path(keep) / str(plan["seed"])
            shutil.rmtree(there, ignore_errors=True)
            shutil.copytree(folder / "stage", there, ignore=shutil.ignore_patterns("run", "*.sock"))
            (there / "plan.json").write_text(json.dumps(plan, indent=1))
            (there / "evidence.json").write_text(json.dumps(evidence))
        return [tuple(f) for f in faults]
    finally:
        late.over.set()
        shutil.rmtree(folder, ignore_errors=True)


def show(seed, faults, most=3, lines=24):
    """What a person reads of the faults of one plan."""
    out = []
    for rule, text, who, trail in faults[:most]:
        out.append("seed %s: %s: %s%s" % (seed, rule, text, " (%s)" % who if who else ""))
        out += ["    " + str(line)[:600] for line in trail[:lines]]
    if len(faults) > most:
        out.append("seed %s: and %d more" % (seed, len(faults) - most))
    return "\n".join(out)


def smaller(plan, faults, build):
    found = shrink.shrink(plan, faults[0][0], lambda p: {f[0] for f in campaign(p, build)})
    print("seed %s, smaller:\n%s" % (plan["seed"], json.dumps(found)))


def play_all(todo, build, jobs, keep=None):
    """Plays the plans of an iterator side by side; yields (plan, faults) as they end."""
    with concurrent.futures.ProcessPoolExecutor(jobs) as pool:
        running = {}
        while True:
            while len(running) < jobs and (plan := next(todo, None)) is not None:
                running[pool.submit(campaign, plan, build, keep)] = plan
            if not running:
                return
            over, _ = concurrent.futures.wait(running, return_when=concurrent.futures.FIRST_COMPLETED)
            for job in over:
                yield running.pop(job), job.result()


def chosen(args):
    """The plans that the arguments ask for, one by one."""
    if args.replay:
        yield json.loads(pathlib.Path(args.replay).read_text())
    elif args.pairs:
        yield from pairs.plans()
    elif args.seed is not None:
        yield from map(plans.make, range(args.seed, args.seed + args.count))
    else:
        end, seed = time.monotonic() + args.seconds, int(time.time()) * 1000
        while time.monotonic() < end:
            yield plans.make(seed)
            seed += 1


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--seed", type=int)
    p.add_argument("--count", type=int, default=1)
    p.add_argument("--seconds", type=float, default=60)
    p.add_argument("--jobs", type=int, default=JOBS)
    p.add_argument("--build", default=str(ROOT / "build/release"))
    p.add_argument("--pairs", action="store_true")
    p.add_argument("--replay")
    p.add_argument("--shrink", action="store_true")
    p.add_argument("--keep")
    args = p.parse_args()
    build, begin, failed, done, rules = pathlib.Path(args.build).resolve(), time.monotonic(), [], 0, {}
    for plan, faults in play_all(chosen(args), build, args.jobs, args.keep):
        done += 1
        if faults:
            failed.append((plan, faults))
            print(show(plan["seed"], faults), flush=True)
        for rule in {f[0] for f in faults}:
            rules[rule] = rules.get(rule, 0) + 1
    print("%d seeds in %.0f s, %d failed%s" % (done, time.monotonic() - begin, len(failed),
                                               "".join(", %s %d" % r for r in sorted(rules.items()))), flush=True)
    for plan, faults in failed if args.shrink else []:
        smaller(plan, faults, build)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
