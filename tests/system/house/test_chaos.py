"""The campaign's fixed seeds: two hundred plans, the matrix of all pairs of failures among them (tests/chaos).

A plan waits more than it computes: all are played side by side, by a pool of this file, and a test is a group of them."""
import concurrent.futures
import os
import pathlib
import sys

import pytest

from qcc import BUILD

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "chaos"))

import pairs  # noqa: E402
import plan  # noqa: E402
import run  # noqa: E402

SEEDS = 200
GROUPS = 20
FIRST = 1
# Rules of time are judged by `make chaos` alone: here sanitizers make every program several times slower, and all tests
# share the machine.
TIMED = {"patient", "vain", "prompt", "gone", "timeouts", "pings", "blameless"}


def plans():
    """Those of the matrix, and so many random ones that it makes SEEDS."""
    matrix = pairs.plans(full=False)
    return matrix + [plan.make(FIRST + i) for i in range(SEEDS - len(matrix))]


@pytest.fixture(scope="module")
def played():
    """[a future of the faults of each plan]."""
    pool = concurrent.futures.ProcessPoolExecutor(2 * (os.cpu_count() or 2))
    yield [(p, pool.submit(run.campaign, p, BUILD)) for p in plans()]
    pool.shutdown(cancel_futures=True)


def judged(fault):
    """Not what takes its time, nor a worker's memory: a sanitizer keeps what was freed."""
    return fault[0] not in TIMED and not (fault[0] == "returned" and " KB, it had " in fault[1])


@pytest.mark.parametrize("group", range(GROUPS))
def test_seeds(played, group):
    """Every rule of the judge holds in each plan of the group."""
    n = SEEDS // GROUPS
    found = [(p, [f for f in job.result() if judged(f)]) for p, job in played[group * n:(group + 1) * n]]
    faults = [run.show(p["seed"], faults, most=1) for p, faults in found if faults and again(p, faults)]
    assert not faults, "\n".join(faults)


def again(p, faults):
    """Whether the same rule fails in two further plays: a busy machine is late now and then, a fault is there."""
    rules = {f[0] for f in faults}
    print(run.show(p["seed"], faults, most=1))
    return all(rules & {f[0] for f in run.campaign(p, BUILD) if judged(f)} for _ in range(2))


def test_plans():
    """The same seed gives the same plan, and another one another."""
    assert plan.make(7) == plan.make(7) != plan.make(8)
    assert len(plans()) == SEEDS
    asked = {frozenset(pair) for p in pairs.plans(full=False) for pair in p["pairs"]}
    assert asked == set(map(frozenset, pairs.pairs())) and len(asked) > 900
    assert {tuple(pair) for p in pairs.plans() for pair in p["pairs"]} == set(pairs.pairs())
