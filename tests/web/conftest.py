"""Fixtures of the tests of the dashboard, in a real Chromium. Where there is none they are skipped, and say so."""
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
SYSTEM = pathlib.Path(__file__).resolve().parents[1] / "system"
sys.path[1:1] = [str(SYSTEM), *sorted(str(folder) for folder in SYSTEM.iterdir() if folder.is_dir())]

import cdp  # noqa: E402
from fake_api import FakeApi  # noqa: E402


@pytest.fixture(scope="session")
def browser():
    if not cdp.executable():
        pytest.skip("no Chromium here: packaging/deps.sh web installs one")
    with cdp.Browser() as b:
        yield b


@pytest.fixture
def page(browser):
    """page(url, width=, height=, lang=, scheme=, zone=): a new page that shows url."""
    made = []

    def make(url, **kw):
        p = browser.page(**kw)
        made.append(p)
        p.go(url)
        return p

    yield make
    for p in made:
        p.close()


@pytest.fixture
def api():
    """A fake API (fake_api.py)."""
    a = FakeApi()
    yield a
    a.close()
