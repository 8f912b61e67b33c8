"""A pytest plugin: no test takes for ever. 120 s each, or what its marker says: @pytest.mark.limit(300)."""
import faulthandler
import signal
import sys

import pytest

SECONDS = 120


def pytest_configure(config):
    config.addinivalue_line("markers", f"limit(seconds): fail after so long instead of {SECONDS} s")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item):
    marker = item.get_closest_marker("limit")
    seconds = marker.args[0] if marker else SECONDS

    def too_long(_signum, _frame):
        # Fixtures are torn down after this as after any failure; should that hang too, it ends here.
        faulthandler.dump_traceback_later(60, exit=True, file=sys.__stderr__)
        pytest.fail(f"took longer than {seconds} s")

    old = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(int(seconds))
    try:
        yield
    finally:
        signal.alarm(0)
        faulthandler.cancel_dump_traceback_later()
        signal.signal(signal.SIGALRM, old)
