"""A supervisor with scripted workers."""
import pytest

from qcc import STUB


@pytest.fixture
def stub(qcc):
    """A supervisor with scripted workers (stub_worker.py)."""
    return lambda config=None, **kw: qcc(config, worker=STUB, **kw)
