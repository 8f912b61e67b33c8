import os
import pathlib
import signal
import socket
import subprocess

import pytest

from qcc import STUB, SUPERVISOR, Qcc, alive, connectable, free_port, until


@pytest.fixture
def stub(qcc):
    """A supervisor with scripted workers (stub_worker.py)."""
    return lambda config=None, **kw: qcc(config, worker=STUB, **kw)


def test_starts_serves_and_stops(stub):
    q = stub()
    assert len(q.children()) == 2
    status, body = q.get("/")
    assert status == 200 and int(body) in q.children()
    assert q.stop() == 0
    assert not connectable(q.port)
