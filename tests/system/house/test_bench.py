"""The bench's own arithmetic: what a table's cells say of the rounds, what a soak comes to; and a soak of seconds."""
import importlib
import pathlib
import subprocess
import sys
import types

import pytest

from qcc import BUILD

BENCH = pathlib.Path(__file__).resolve().parents[2] / "bench"


@pytest.fixture
def bench(monkeypatch):
    """bench(name): a module of the bench, not that of another folder."""
    monkeypatch.syspath_prepend(str(BENCH))
    names = [p.stem for p in BENCH.glob("*.py")]
    for name in names:
        monkeypatch.delitem(sys.modules, name, raising=False)

    def make(name):
        module = importlib.import_module(name)
        assert pathlib.Path(module.__file__).parent == BENCH
        return module

    yield make
    for name in names:
        sys.modules.pop(name, None)


@pytest.fixture
def run(bench):
    return bench("run")


@pytest.fixture
def table(run):
    t = run.Table(run.ROWS[:1], list(run.PEERS))
    for peer, values in {"nginx": [10, 30, 20], "haproxy": [40, 16, 10], "qcc": [8, 12, 20]}.items():
        for v in values:
            t.add(run.ROWS[0], peer, v, 0, "")
    return t


def test_ratio_is_of_each_round(run, table):
    assert table.ratio(run.ROWS[0], "nginx") == "0.80 (0.40–1.00)"


def test_better_by_the_medians(run, table):
    assert table.better(run.ROWS[0]) == "haproxy"
    table.values[run.ROWS[0].name, "haproxy"] = [40, 36, 10]
    assert table.better(run.ROWS[0]) == "nginx"


def test_better_failed_no_request(run, table):
    table.bad.add((run.ROWS[0].name, "haproxy"))
    assert table.better(run.ROWS[0]) == "nginx"
    table.values[run.ROWS[0].name, "nginx"] = [None]
    assert table.better(run.ROWS[0]) is None
    assert table.text().splitlines()[-1].endswith("| – | 16.0 ! | 12.0 | – |")


def test_better_may_be_more(run, table):
    row = types.SimpleNamespace(name=run.ROWS[0].name, more=True)
    assert table.better(row) == "nginx"


def test_connections_that_the_open_files_allow(bench, monkeypatch):
    run = bench("machine")
    monkeypatch.setattr(run.resource, "getrlimit", lambda _: (20000, 20000))
    assert [run.room(n) for n in (5000, 9700, 10000)] == [5000, 9700, 9700]
    monkeypatch.setattr(run.resource, "getrlimit", lambda _: (65536, 65536))
    assert run.room(10000) == 10000


def test_names_of_rows_are_unique(run, bench):
    names = [r.name for r in run.ROWS] + [s.name for s in run.scale.SCALES]
    assert len(set(names)) == len(names)
    board = bench("board")
    assert {r.group for r in board.READINGS} == set(board.GROUPS)
    assert len({r.name for r in board.READINGS}) == len(board.READINGS)


@pytest.mark.parametrize("program", ["run", "board"])
def test_unknown_row(program):
    done = subprocess.run([sys.executable, BENCH / (program + ".py"), "--only", "no-row", "--build", "build/none"], capture_output=True, text=True)
    assert done.returncode == 1 and "no such" in done.stderr


def test_growth_a_minute(bench):
    board = bench("board")
    assert board.growth_mib([(t / 10, 5000 + 1024 * t / 10) for t in range(100)]) == pytest.approx(60)
    assert board.growth_mib([(t, 5000) for t in range(10)]) == 0


# ---- the commands as they are, each with a little load

@pytest.mark.parametrize("command, row", [
    ("run.py --only json --scale openai-ttfb --peers qcc", "| 2 KB request"),
    ("board.py --only added --only first --only rss --peers qcc", "| RSS under load"),
    ("cluster.py --only engine --only write", "| write-behind")], ids=["run", "board", "cluster"])
def test_quick(command, row):
    """No figure is judged here: every reply was right, and each row has a value."""
    program, *options = command.split()
    done = subprocess.run([sys.executable, BENCH / program, "--quick", "--build", str(BUILD), *options], capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stdout + done.stderr
    line = next(line for line in done.stdout.splitlines() if line.startswith(row))
    assert any(c.isdigit() for c in line.split("|")[-2 if program == "cluster.py" else -3]), line


# ---- the soak's judge

def test_lost_is_what_no_killed_worker_had(bench):
    judge = bench("soak_judge")
    failures = [(3, 1001, "b"), (1, 1001, "a"), (2, 1002, "c"), (4, None, "no connection")]
    assert judge.lost(failures, [(0, [1001, 1003])]) == [(2, 1002, "c"), (3, 1001, "b"), (4, None, "no connection")]
    assert judge.lost(failures, []) == sorted(failures)


def test_growth_of_a_process_counts_from_its_second_point(bench):
    judge = bench("soak_judge")
    points = [{1: judge.Process("worker", kb, files), 2: judge.Process("worker", 900, 7), 10 + n: judge.Process("worker", 9000 * n, 9)}
              for n, (kb, files) in enumerate([(100, 3), (500, 5), (600, 5), (740, 6)])]
    assert judge.grown(points) == {"worker": (240, 1)}
    assert judge.grown(points[:2]) == {}
    first, last = ({1: judge.Process("worker", 10, 1), 2: judge.Process("worker", 20, 2)}, {3: judge.Process("worker", 50, 9)})
    assert judge.more(first, last) == {"worker": (20, 6)}
    assert judge.flat("worker", 256, 0) and judge.flat("worker", 500, 10000) and judge.flat("worker", -9000, 0)
    assert not judge.flat("worker", 501, 10000) and not judge.flat("worker", 900, 4000)
    assert judge.flat("recorder", 900, 4000) and not judge.flat("recorder", 900, 6145)


def test_points_that_are_equal_are_as_many_rounds_after_an_upgrade(bench):
    soak = bench("soak")
    assert soak.equal_points(list(range(9))) == (3, 8)
    assert soak.equal_points(list(range(14))) == (8, 13), "without the first"
    assert soak.equal_points(list(range(4))) is None


def test_soak_of_seconds(tmp_path):
    """The command as it is, with everything that it plays; memory is not judged where a sanitizer keeps what was freed."""
    done = subprocess.run([sys.executable, BENCH / "soak.py", "--seconds", "6", "--seed", "1", "--no-memory", "--build", str(BUILD)],
                          capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.rstrip().endswith("soak: well") and "| requests lost beyond" in done.stdout
