"""Fixtures of all system tests. `qcc` makes instances (class Qcc of qcc.py), ends them, and shows
their logs when the test has failed."""
import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
# tests use each other's helpers over the folders
sys.path[0:0] = [str(HERE), *sorted(str(folder) for folder in HERE.iterdir() if folder.is_dir())]

from client import Client  # noqa: E402
from qcc import Qcc, Upstream  # noqa: E402
from upstream import Raw  # noqa: E402


@pytest.hookimpl(tryfirst=True, hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    setattr(item, "report_" + report.when, report)


@pytest.fixture
def upstream(tmp_path):
    """One simulated upstream; upstream.endpoint("/s/SPEC") is an endpoint of it."""
    u = Upstream(tmp_path / "upstream")
    yield u
    u.close()


@pytest.fixture
def qcc(request, tmp_path):
    """qcc(config={}, worker=None, env=None, start=True): one instance more; see class Qcc."""
    made = []

    def make(config=None, start=True, folder=None, **kw):
        q = Qcc(folder or tmp_path / ("qcc%d" % len(made) if made else "qcc"), config, **kw)
        made.append(q)
        return q.start() if start else q

    yield make
    for q in made:
        q.close()
    report = getattr(request.node, "report_call", None)
    failed = report is None or report.failed
    for q in made:
        if failed:
            for path in {q.log_path, q.stderr_path}:
                if path.exists():
                    print("\n---- %s\n%s" % (path, path.read_text(errors="replace")[-20000:]))
    for q in made:
        q.assert_sane()


@pytest.fixture
def raw():
    """raw(play, ...): one scripted endpoint more; see class Raw of upstream.py."""
    made = []

    def make(play, **kw):
        made.append(Raw(play, **kw))
        return made[-1]

    yield make
    for up in made:
        up.close()


@pytest.fixture
def client():
    """client(qcc or port, ...): one connection more; see class Client of client.py."""
    made = []

    def make(to, **kw):
        made.append(Client(getattr(to, "port", to), **kw))
        return made[-1]

    yield make
    for c in made:
        c.close()
