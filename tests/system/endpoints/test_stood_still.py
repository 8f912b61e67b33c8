"""Processes that stand still for a while: stopped by a signal, as a suspended machine or a paused
virtual one stops them. What came meanwhile is read before a timeout is believed, and nobody is
charged for the time in which a process did not run."""
import json
import os
import pathlib
import signal
import time

import pytest

from client import ask
from house import answer, house, page, sites, went  # noqa: F401
from qcc import until
from upstream import MESSAGE, START, STREAM_HEAD, BLOCK, LAST_CHUNK, STOP, chunk, delta, reply

STRICT = {
    "workers": 1,
    "retry": {"transient_delay": "1ms"},
    "breaker": {"failure_threshold": 1},
    "upstream": {"first_byte_timeout": "1s", "idle_timeout": "1s"},
}
LONGER = 2.6  # seconds: longer than the timeouts, and not so long that the supervisor replaces a worker


def state_of(pid):
    return pathlib.Path("/proc/%d/stat" % pid).read_text().rpartition(")")[2].split()[0]


class Still:
    """These processes stand still within the block."""

    def __init__(self, *pids):
        self.pids = pids

    def __enter__(self):
        for pid in self.pids:
            os.kill(pid, signal.SIGSTOP)
            until(lambda: state_of(pid) == "T", "%d to stop" % pid)

    def __exit__(self, *_):
        for pid in self.pids:
            os.kill(pid, signal.SIGCONT)


def pause(seconds):
    time.sleep(seconds)  # lint: time itself is what is tested; processes that stand still cannot be polled


def endpoint(q, name="raw"):
    found = json.loads(q.get("/api/v1/endpoints", q.admin_port)[1])["endpoints"]
    return next(e for e in found if e["name"] == name)


def uncharged(q, name="raw"):
    e = endpoint(q, name)
    return e["breaker"]["state"] == "closed" and e["breaker"]["failures"] == 0 and e["tier"] == "healthy" and e["cells"] == []


def charged(q, family):
    """Silence and what breaks later concern the model: its cell is open, the endpoint as well as before."""
    e = endpoint(q)
    opened = [(c["family"], c["breaker"]["state"]) for c in e["cells"]]
    return opened == [(family, "open")] and e["breaker"]["state"] == "closed" and e["breaker"]["failures"] == 0


def answered_after(qcc, raw, client, still, limit, took):
    """The worker stands still for so long, and the endpoint answers only so many seconds after it has gone on."""
    go = []

    def play(peer, _):
        until(lambda: go)
        pause(took)
        peer.send(reply())

    up = raw(play)
    q = qcc({**STRICT, "upstream": {**STRICT["upstream"], "first_byte_timeout": limit}, "endpoints": [up.endpoint()]})
    c = client(q)
    c.send(ask())
    up.wait_requests(1)
    with Still(q.children()[0]):
        pause(still)
    go.append(1)
    r = c.reply()
    assert (r.status, r.header("x-qcc-attempts")) == (200, "1")
    assert uncharged(q)


def test_an_answer_that_comes_after_a_short_stop(qcc, raw, client):
    """The time of the stop does not count, also where it is shorter than what a quiet loop may sleep."""
    answered_after(qcc, raw, client, 0.9, "400ms", 0.1)


@pytest.mark.parametrize("still,limit", [(LONGER, "1s"), (0.8, "300ms")], ids=["long", "short"])
def test_reply_that_came_meanwhile_is_read(qcc, raw, client, still, limit):
    go, sent = [], []

    def play(peer, _):
        until(lambda: go)
        peer.send(reply())
        sent.append(1)

    up = raw(play)
    q = qcc({**STRICT, "upstream": {**STRICT["upstream"], "first_byte_timeout": limit}, "endpoints": [up.endpoint()]})
    c = client(q)
    c.send(ask())
    up.wait_requests(1)
    with Still(q.children()[0]):
        go.append(1)
        until(lambda: sent)
        pause(still)
    r = c.reply()
    assert (r.status, r.body, r.header("x-qcc-attempts")) == (200, MESSAGE, "1")
    assert uncharged(q)


def test_endpoint_has_its_whole_time_again(qcc, raw, client):
    answered_after(qcc, raw, client, LONGER, "1s", 0.5)


def test_timeout_after_all_charges_nobody(qcc, raw, client):
    end = []
    up = raw(lambda peer, _: until(lambda: end))
    q = qcc({**STRICT, "endpoints": [up.endpoint()]})
    c = client(q)
    c.send(ask())
    up.wait_requests(1)
    with Still(q.children()[0]):
        pause(LONGER)
    r = c.reply()
    end.append(1)
    assert r.status == 504
    assert uncharged(q)
    # The next one is charged: by then nothing stood still.
    c = client(q)
    end.clear()
    c.send(ask())
    assert c.reply().status == 504
    end.append(1)
    until(lambda: charged(q, "other"), "the breaker to open")


def test_stream_goes_on(qcc, raw, client):
    go, begun = [], []

    def play(peer, _):
        peer.send(STREAM_HEAD + chunk(START) + chunk(BLOCK) + chunk(delta("a")))
        begun.append(1)
        until(lambda: go)
        peer.send(chunk(delta("b")) + chunk(STOP) + LAST_CHUNK)

    up = raw(play)
    q = qcc({**STRICT, "endpoints": [up.endpoint()]})
    c = client(q)
    c.send(ask(stream=True))
    assert c.head().status == 200
    until(lambda: begun)
    with Still(q.children()[0]):
        go.append(1)
        pause(LONGER)
    got = [c.chunk()]
    while got[-1]:
        got.append(c.chunk())
    assert STOP in b"".join(got)
    assert uncharged(q)


def test_silence_after_it_went_on_is_charged(qcc, raw, client):
    """Bytes that came after the worker had stood still begin a silence that is the endpoint's own."""
    go, end = [], []

    def play(peer, _):
        peer.send(STREAM_HEAD + chunk(START) + chunk(BLOCK) + chunk(delta("a")))
        until(lambda: go)
        peer.send(chunk(delta("b")))
        until(lambda: end)

    up = raw(play)
    q = qcc({**STRICT, "endpoints": [up.endpoint()]})
    c = client(q)
    c.send(ask(stream=True))
    assert c.head().status == 200
    with Still(q.children()[0]):
        pause(LONGER)
    q.wait_log("worker 0: stood still")
    go.append(1)
    until(lambda: charged(q, "m"), "the breaker to open")
    end.append(1)


def test_verification_is_given_back(house, sites):
    """Its endpoint says nothing while the worker stands still, nor later: it has not failed."""
    a, b = sites("ab")
    q = house([a, b], {"workers": 1, "failure_queue": {"probe_timeout": "1s", "verify_interval": "5s"}})
    asked, end = [], []

    def silent(peer, _):
        asked.append(1)
        until(lambda: end)

    a.how = lambda peer, r: silent(peer, r) if b"six characters" in r.body else page(peer, r)
    assert went(q) == ["b"]
    until(lambda: asked, "the verification")
    with Still(q.children()[0]):
        pause(LONGER)
    q.wait_log("endpoint a: verification given back")
    assert not q.count("endpoint a: verification 1 failed")
    a.how = answer
    end.append(1)
    q.wait_log("endpoint a: failure queue queued -> out: verified")


@pytest.mark.parametrize("first", ["supervisor", "workers"])
def test_all_of_it_stood_still(qcc, raw, client, first):
    """As on a suspended machine: no worker is replaced, and the reply is read."""
    go = []

    def play(peer, _):
        until(lambda: go)
        peer.send(reply())

    up = raw(play)
    q = qcc({**STRICT, "workers": 2, "endpoints": [up.endpoint()]})
    c = client(q)
    c.send(ask())
    up.wait_requests(1)
    before = q.children()
    pids = [q.pid, *before] if first == "supervisor" else [*before, q.pid]
    with Still(*pids):
        go.append(1)
        pause(7)  # longer than a worker may be silent
    r = c.reply()
    assert (r.status, r.header("x-qcc-attempts")) == (200, "1")
    pings = q.count("to worker 0 PING")
    until(lambda: q.count("to worker 0 PING") >= pings + 2, "the heartbeat")
    assert q.children() == before
    assert uncharged(q)


def test_drain_does_not_end_by_time_that_stood_still(qcc, raw, client):
    """What is in flight when all stand still has the rest of drain_timeout afterwards."""
    go = []

    def play(peer, _):
        until(lambda: go)
        peer.send(reply())

    up = raw(play)
    q = qcc({**STRICT, "upstream": {"first_byte_timeout": "20s"}, "limits": {"drain_timeout": "3s"},
             "endpoints": [up.endpoint()]})
    c = client(q)
    c.send(ask())
    up.wait_requests(1)
    worker = q.children()[0]
    q.signal(signal.SIGTERM)
    q.wait_log("to worker 0 DRAIN")
    with Still(q.pid, worker):
        pause(5)
    pause(0.5)
    go.append(1)
    assert c.reply().status == 200
    assert q.wait() == 0
