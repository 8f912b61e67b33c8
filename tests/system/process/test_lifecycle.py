"""The supervisor with real workers, under load: what a client notices of deaths, reloads and stops."""
import http.client
import json
import os
import signal
import socket
import threading

import pytest

from client import ask as question
from qcc import PATIENCE, alive, connectable, free_port, until

BODY = json.dumps({"model": "m", "max_tokens": 16, "messages": [{"role": "user", "content": "hello"}]})
STREAM = json.dumps({**json.loads(BODY), "stream": True})
HEADERS = {"content-type": "application/json"}


def ask(port, connection=None, body=BODY):
    """One request; on a connection of its own unless one is given. (status, body)"""
    c = connection or http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        c.request("POST", "/v1/messages", body, HEADERS)
        r = c.getresponse()
        return r.status, r.read()
    finally:
        if not connection:
            c.close()


class Load(threading.Thread):
    """Asks one thing after the other until told to end; remembers how each ended."""

    def __init__(self, port, keep_alive):
        super().__init__(daemon=True)
        self.port, self.keep_alive = port, keep_alive
        self.ending = threading.Event()
        self.good, self.bad = 0, []
        self.start()

    def run(self):
        c = None
        while not self.ending.is_set():
            try:
                if c is None and self.keep_alive:
                    c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
                status, body = ask(self.port, c)
                if status != 200:
                    raise AssertionError("%d %s" % (status, body[:200]))
                self.good += 1
            except Exception as e:
                self.bad.append(repr(e))
                if c:
                    c.close()
                c = None

    def end(self):
        self.ending.set()
        self.join(PATIENCE)
        assert not self.is_alive()


def begin_stream(port):
    """A stream whose head and first bytes have come; the reply, to be read on."""
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    c.request("POST", "/v1/messages", STREAM, HEADERS)
    r = c.getresponse()
    assert r.status == 200
    r.connection = c  # lives as long as the reply
    assert r.readline().startswith(b"event: message_start")
    return r


SLOW = "/s/events=20,gap_ms=100"


@pytest.fixture
def served(qcc, upstream):
    """A running instance in front of an upstream that behaves."""

    def make(path="/good", **config):
        return qcc({"endpoints": [upstream.endpoint(path)], "log": {"level": "info"}, **config})

    return make


def test_serves(served):
    q = served()
    status, body = ask(q.port)
    assert status == 200 and json.loads(body)["type"] == "message"
    assert q.stop() == 0


def test_reloads_under_load_fail_nothing(served):
    q = served()
    loads = [Load(q.port, keep_alive) for keep_alive in (True, True, False, False)]
    for i in range(20):
        before = sum(load.good for load in loads)
        q.reload({"workers": 1 + i % 3, "listen": ["127.0.0.1:%d" % q.port, "127.0.0.1:%d" % free_port()]})
        until(lambda: sum(load.good for load in loads) > before + 4, "requests between two reloads")
    for load in loads:
        load.end()
    assert [load.bad for load in loads] == [[], [], [], []]
    assert q.stop() == 0


def test_killed_worker_fails_its_own_requests_only(served):
    q = served(workers=2)
    loads = [Load(q.port, True) for _ in range(8)]
    until(lambda: all(load.good > 5 for load in loads), "load")
    os.kill(q.children()[0], signal.SIGKILL)
    mark = [load.good for load in loads]
    until(lambda: all(load.good > n + 20 for load, n in zip(loads, mark)), "load afterwards")
    for load in loads:
        load.end()
    # A connection ends at most once, with the worker that it was on.
    assert all(len(load.bad) <= 1 for load in loads), [load.bad for load in loads]
    assert q.wait_workers(2)


def test_stream_outlives_a_reload(served):
    q = served(SLOW)
    r = begin_stream(q.port)
    q.reload({"limits": {"idle_timeout": "60s"}})
    assert b"event: message_stop" in r.read()


def test_stream_outlives_its_retired_worker(served):
    q = served(SLOW, workers=2)
    streams = [begin_stream(q.port) for _ in range(6)]
    q.reload({"workers": 1})
    assert all(b"event: message_stop" in r.read() for r in streams)
    q.wait_workers(1)


def test_stream_on_a_listener_that_is_removed(served):
    other = free_port()
    q = served(SLOW)
    q.reload({"listen": ["127.0.0.1:%d" % q.port, "127.0.0.1:%d" % other]})
    r = begin_stream(other)
    q.reload({"listen": "127.0.0.1:%d" % q.port})
    until(lambda: not connectable(other), "the listener to be closed")
    assert b"event: message_stop" in r.read()


def test_stop_lets_streams_finish(served):
    q = served(SLOW)
    r = begin_stream(q.port)
    q.signal(signal.SIGTERM)
    until(lambda: not connectable(q.port), "the listener to be closed")
    assert q.running()
    assert b"event: message_stop" in r.read()
    assert q.wait() == 0


def test_stop_closes_idle_connections_at_once(served):
    q = served()
    with socket.create_connection(("127.0.0.1", q.port)) as idle:
        ask(q.port)
        assert q.stop(10) == 0
        idle.settimeout(5)
        assert idle.recv(1) == b""


def test_drain_timeout_ends_a_stream_visibly(served):
    q = served("/s/events=100,gap_ms=1000", limits={"drain_timeout": "200ms"})
    r = begin_stream(q.port)
    assert q.stop() == 0
    try:
        rest = r.read()
    except (http.client.IncompleteRead, ConnectionError):
        return
    assert b"event: error" in rest and b"message_stop" not in rest


def test_second_signal_ends_streams_at_once(served):
    q = served("/s/events=100,gap_ms=1000")
    begin_stream(q.port)
    q.signal(signal.SIGINT)
    q.wait_log("stopping: ")
    q.signal(signal.SIGINT)
    assert q.wait(10) == 0


def test_dead_supervisor(served, qcc):
    """Its workers stop accepting, finish what they have, and end; a new one starts meanwhile."""
    q = served(SLOW)
    r = begin_stream(q.port)
    pids = q.children()
    q.signal(signal.SIGKILL)
    q.process.wait()
    again = qcc({"endpoints": q.config["endpoints"], "listen": "127.0.0.1:%d" % q.port})
    assert again.get("/", port=q.port)[0] != 0
    assert b"event: message_stop" in r.read()
    until(lambda: not any(alive(pid) for pid in pids), "the old workers to end")
    assert again.stop() == 0


def test_stuck_worker_is_replaced(served):
    q = served(workers=2)
    stuck = q.children()[0]
    os.kill(stuck, signal.SIGSTOP)
    until(lambda: not alive(stuck), "its end")
    q.wait_workers(2)
    until(lambda: ask(q.port)[0] == 200, "service")


def test_log_has_no_key(served):
    q = served(log={"level": "debug"})
    ask(q.port)
    q.reload()
    assert q.stop() == 0
    assert "sk-fake-0123456789" not in q.log()


@pytest.mark.parametrize("how", ["stop", "crash"])
def test_who_is_in_the_listen_queue_is_served(qcc, upstream, client, how):
    """The kernel has let them in, before the supervisor is stopped or dies; also those beyond max_connections."""
    q = qcc({"workers": 1, "endpoints": [upstream.endpoint(max_concurrent=20)],
             "limits": {"max_connections": 2}})
    (worker,) = q.children()
    os.kill(worker, signal.SIGSTOP)
    try:
        clients = [client(q) for _ in range(6)]
        for c in clients:
            c.send(question())
        q.signal(signal.SIGTERM if how == "stop" else signal.SIGKILL)
        if how == "stop":
            q.wait_log("stopping: ")
        else:
            q.process.wait()
    finally:
        os.kill(worker, signal.SIGCONT)
    assert [c.reply().status for c in clients] == [200] * 6
    until(lambda: not alive(worker), "the worker to end")
