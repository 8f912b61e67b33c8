"""An endpoint that plays what a test tells it, piece by piece (`script`), and one QCC in front of it (`one`)."""
import queue

import pytest

from client import events
from upstream import EVENTS, delta

CALM = {
    "workers": 1,
    "retry": {"transient_delay": "1ms"},
    "breaker": {"failure_threshold": 1000},
    "health": {"degraded_for": "0s"},
    "failure_queue": {"verify_interval": "100ms", "probe": "off"},
}
WHOLE = b"".join(EVENTS)
PING = b'event: ping\ndata: {"type": "ping"}\n\n'
BIG = delta("x" * 8000)


class Script:
    """Plays to one request what the test says, when it says so."""

    def __init__(self):
        self.steps = queue.Queue()

    def __call__(self, peer, request):
        for step in iter(self.steps.get, None):
            if callable(step):
                step(peer)
            else:
                peer.send(step)

    def play(self, *steps):
        for step in steps:
            self.steps.put(step)


@pytest.fixture
def script():
    s = Script()
    yield s
    s.play(None)


@pytest.fixture
def one(qcc, raw):
    def make(play, config=None, **kw):
        up = raw(play)
        return qcc({**CALM, "endpoints": [up.endpoint(**kw)], **(config or {})}), up

    return make


def names(body):
    return [name for name, _ in events(body)]
