"""Reloads: a new configuration at once and everywhere, or nowhere."""
import os
import signal
import socket

import pytest

from qcc import connectable, free_port, until
from stub import stub


def test_reload(stub):
    q = stub()
    before = q.children()
    q.reload({"limits": {"drain_timeout": "5s"}})
    assert q.count("reload done, generation 2")
    assert q.children() == before
    for pid in before:
        assert "CONF 2" in (q.folder / ("heard.%d" % pid)).read_text()


def test_faulty_reload_changes_nothing(stub):
    q = stub()
    before = q.children()
    q.configure("listen: nonsense\nendpoints: 5\n")
    q.reload(wait="refused")
    assert q.count("qcc.yaml:1:") and q.count("qcc.yaml:2:")
    assert q.count("generation 1 stays in use")
    assert q.get()[0] == 200 and q.children() == before
    q.configure({})
    q.reload()
    assert q.stop() == 0


def test_reload_onto_a_used_port_changes_nothing(stub):
    q = stub()
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        port = free_port()
        used = s.getsockname()[1]
        q.reload({"listen": ["127.0.0.1:%d" % port, "127.0.0.1:%d" % used]}, wait="refused")
    assert q.count("%d: Address already in use" % used)
    assert q.get()[0] == 200 and not connectable(port)


def test_reload_that_workers_refuse_is_undone(stub):
    q = stub()
    port = free_port()
    (q.folder / "nack").write_text("no")
    q.reload({"listen": ["127.0.0.1:%d" % q.port, "127.0.0.1:%d" % port]}, wait="refused")
    (q.folder / "nack").unlink()
    assert q.get()[0] == 200 and not connectable(port)
    assert q.count("reload refused, .* stays in use: worker \\d: no")
    until(lambda: len(q.children()) == 2, "both workers")
    q.reload()
    assert q.get(port=port)[0] == 200


def test_listeners_come_and_go(stub):
    q = stub()
    pids = q.children()
    other, unix = free_port(), q.folder / "sock"
    q.reload({"listen": ["127.0.0.1:%d" % other, "127.0.0.1:%d" % q.port, "unix:%s" % unix]})
    assert q.get()[0] == 200 and q.get(port=other)[0] == 200
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(str(unix))
    # The first address has not been closed meanwhile: it kept its name on the wire.
    heard = (q.folder / ("heard.%d" % pids[0])).read_text()
    assert "UNLISTEN" not in heard
    q.reload({"listen": "127.0.0.1:%d" % other})
    assert q.get(port=other)[0] == 200
    until(lambda: not connectable(q.port), "the first address to be closed")
    assert not unix.exists()
    assert q.children() == pids
    assert q.stop() == 0


def test_ipv6_beside_ipv4(stub):
    port = free_port()
    q = stub({"listen": ["0.0.0.0:%d" % port, "[::]:%d" % port], "clients": [{"name": "a", "token": "x" * 20}]})
    assert connectable(port) and connectable(port, "::1")
    assert q.stop() == 0


@pytest.mark.parametrize("change", [(1, 3), (3, 1), (2, 2)])
def test_number_of_workers_changes(stub, change):
    first, then = change
    q = stub({"workers": first})
    before = q.wait_workers(first)
    q.reload({"workers": then})
    after = q.wait_workers(then)
    assert len(set(before) & set(after)) == min(first, then)
    assert q.get()[0] == 200


def test_a_surplus_worker_may_finish(stub):
    q = stub({"workers": 2})
    (q.folder / "stay").write_text("")
    before = q.children()
    q.reload({"workers": 1})
    until(lambda: q.count("to worker 1 DRAIN"), "the order to drain")
    assert q.children() == before
    # More are wanted again while the old one still drains: a third process serves.
    q.reload({"workers": 2})
    assert len(q.wait_workers(3)) == 3


def test_reloads_in_a_storm(stub):
    q = stub()
    for i in range(20):
        q.configure({"workers": 1 + i % 3, "listen": ["127.0.0.1:%d" % q.port, "127.0.0.1:%d" % free_port()]})
        q.signal(signal.SIGHUP)
        assert q.get()[0] == 200
    q.reload({"workers": 2, "listen": "127.0.0.1:%d" % q.port})
    q.wait_workers(2)
    for _ in range(20):
        assert q.get()[0] == 200
    assert q.stop() == 0


def test_worker_that_dies_during_a_reload(stub):
    q = stub()
    victim = q.children()[0]
    os.kill(victim, signal.SIGSTOP)
    q.reload({"limits": {"drain_timeout": "7s"}}, wait=False)
    os.kill(victim, signal.SIGKILL)
    q.wait_log("reload done, generation 2")
    assert len(q.wait_workers(2)) == 2


def test_configuration_that_kills_workers_is_undone(stub):
    q = stub()
    (q.folder / "die-of-it").write_text("")
    q.reload({"limits": {"drain_timeout": "7s"}}, wait="refused")
    (q.folder / "die-of-it").unlink()
    assert q.count("ended while it took the configuration")
    q.wait_workers(2)
    q.reload()
    assert q.get()[0] == 200
