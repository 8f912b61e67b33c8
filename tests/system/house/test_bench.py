"""The bench's own arithmetic: what a table's cells say of the rounds."""
import pathlib
import subprocess
import sys

import pytest

BENCH = pathlib.Path(__file__).resolve().parents[2] / "bench"


@pytest.fixture
def run(monkeypatch):
    """The bench's module run, not that of another folder."""
    monkeypatch.syspath_prepend(str(BENCH))
    for name in ("run", "scale"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import run
    assert pathlib.Path(run.__file__).parent == BENCH
    yield run
    for name in ("run", "scale"):
        sys.modules.pop(name, None)


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


def test_connections_that_the_open_files_allow(run, monkeypatch):
    monkeypatch.setattr(run.resource, "getrlimit", lambda _: (20000, 20000))
    assert [run.room(n) for n in (5000, 9700, 10000)] == [5000, 9700, 9700]
    monkeypatch.setattr(run.resource, "getrlimit", lambda _: (65536, 65536))
    assert run.room(10000) == 10000


def test_names_of_rows_are_unique(run):
    names = [r.name for r in run.ROWS] + [s.name for s in run.scale.SCALES]
    assert len(set(names)) == len(names)


def test_unknown_row(run):
    done = subprocess.run([sys.executable, BENCH / "run.py", "--only", "none", "--build", "build/none"], capture_output=True, text=True)
    assert done.returncode == 1 and "bench: " in done.stderr
