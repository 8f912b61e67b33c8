"""Many at once: nobody gets another's bytes, a worker's death and a reload cost nobody else anything, and
a stop lets everything finish."""
import hashlib
import json
import os
import random
import re
import signal
import socket
import threading
import time

import pytest

from client import BODY, Client, Cut, ask, events
from qcc import PATIENCE, connectable, free_port, until
from upstream import BLOCK, EVENTS, START, STREAM_HEAD, chunk, delta, reply

CALM = {"retry": {"transient_delay": "1ms"}, "breaker": {"failure_threshold": 1000}, "health": {"degraded_for": "0s"},
        "failure_queue": {"probe": "off", "verify_interval": "100ms"}, "log": {"level": "info"}}


class Crowd:
    """n threads that each ask one thing after the other on a connection of their own, and look closely at
    what they get: step(client, i) raises if it is not right. A connection that fails is replaced."""

    def __init__(self, port, n, step):
        self.port, self.step = port, step
        self.ending = threading.Event()
        self.good, self.bad, self.closed = [0] * n, [[] for _ in range(n)], [0] * n
        self.threads = [threading.Thread(target=self.run, args=(i,), daemon=True) for i in range(n)]
        for t in self.threads:
            t.start()

    def run(self, i):
        c = None
        while not self.ending.is_set():
            try:
                c = c or Client(self.port)
                r = self.step(c, i)
                self.good[i] += 1
                if r.header("connection") == "close":
                    c.close()
                    c = None
                    self.closed[i] += 1
            except Exception as e:
                self.bad[i].append(repr(e)[:300])
                if c:
                    c.close()
                c = None

    def more(self, n):
        """Until each has had n more good ones."""
        mark = list(self.good)
        until(lambda: all(g >= m + n for g, m in zip(self.good, mark)), "%d more requests of each" % n)

    def end(self):
        self.ending.set()
        for t in self.threads:
            t.join(PATIENCE)
        return self.bad


def mine(c, i):
    """A request of random size and kind; its reply must be its own, and whole."""
    stream = random.random() < 0.5
    word = "%d-%x" % (i, random.getrandbits(64))
    body = json.dumps({**BODY, "stream": stream, "word": word, "pad": "x" * random.choice([0, 10, 5000, 100_000])}).encode()
    c.send(ask(body))
    r = c.reply()
    if r.status != 200:
        raise AssertionError("%d %s" % (r.status, r.body[:200]))
    if stream:
        got = events(r.body)
        assert got[-1][0] == "message_stop", got[-1]
        echo = got[0][1]["message"]["echo"]
    else:
        echo = r.json()["echo"]
    assert echo["body_sha256"] == hashlib.sha256(body).hexdigest() and echo["body_bytes"] == len(body)
    return r


def test_everybody_gets_its_own(qcc, upstream):
    """With endpoints that fail in every way in between, and clients that leave."""
    kinds = ["echo,name=a", "echo,name=b,flaky=3", "echo,name=c,extra_bytes_after_end", "echo,name=d,fail_every=2,close_after_bytes=30"]
    q = qcc({**CALM, "workers": 2, "balance": {"strategy": "random"}, "retry": {"transient_delay": "1ms", "max_attempts": 30,
                                                                                "max_attempts_per_endpoint": 10},
             "endpoints": [upstream.endpoint("/s/" + spec, name=spec[10:11] or "a") | {"name": "e%d" % i} for i, spec in enumerate(kinds)]})
    crowd = Crowd(q.port, 12, mine)
    for _ in range(60):
        with Client(q.port) as c:
            c.send(ask(stream=True, pad="x" * 10_000))
            if random.random() < 0.5:
                c.fill()
    crowd.more(25)
    bad = [e for each in crowd.end() for e in each]
    # An error after the commit point is told, and is the only thing that may go wrong.
    assert not [e for e in bad if "'error'" not in e], bad
    assert len(bad) < sum(crowd.good) / 4
    assert q.stop() == 0


def test_reloads_of_everything(qcc, upstream):
    """Endpoints, keys, listeners, workers, limits change 20 times under load: no request fails."""
    base = [upstream.endpoint("/s/echo,name=%s" % name, name=name) for name in "abc"]
    q = qcc({**CALM, "workers": 2, "endpoints": base})
    crowd = Crowd(q.port, 8, mine)
    for i in range(20):
        crowd.more(2)
        keep = [e for e in base if random.random() < 0.6] or base[:1]
        q.reload({"workers": 1 + i % 3, "endpoints": [{**e, "api_key": "sk-new-%d" % (i // 3)} for e in keep],
                  "listen": ["127.0.0.1:%d" % q.port, "127.0.0.1:%d" % free_port()],
                  "balance": {"strategy": random.choice(["weighted", "round_robin", "priority_failover"])},
                  "limits": {"max_body_bytes": "%dMiB" % (1 + i)}, "stream_ping": "%ds" % (i + 1)})
    crowd.more(2)
    assert crowd.end() == [[]] * 8
    assert q.stop() == 0


def test_connections_outlive_reloads(qcc, upstream, client):
    """As long as their worker goes on, so do they."""
    q = qcc({**CALM, "workers": 2, "endpoints": [upstream.endpoint("/good")]})
    clients = [client(q) for _ in range(6)]
    for i in range(5):
        assert [c.ask().header("connection") for c in clients] == [None] * 6
        q.reload({"limits": {"idle_timeout": "%ds" % (60 + i)}})
    assert [c.ask().status for c in clients] == [200] * 6


def pid_of(q, port):
    """The worker that has the connection from this local port."""
    for pid in q.children():
        inodes = {os.readlink("/proc/%d/fd/%s" % (pid, fd)) for fd in os.listdir("/proc/%d/fd" % pid)}
        with open("/proc/net/tcp") as f:
            for row in map(str.split, f.read().splitlines()[1:]):
                if row[2] == "0100007F:%04X" % port and row[1] == "0100007F:%04X" % q.port and "socket:[%s]" % row[9] in inodes:
                    return pid


def test_killed_worker(qcc, raw, client):
    """Streams of the others go on, complete; those of the dead one end visibly; a new one is there within
    moments and takes the next ones."""
    go = threading.Event()

    def play(peer, _):
        peer.send(STREAM_HEAD + chunk(START + BLOCK))
        while not go.is_set():
            peer.send(chunk(delta("x")))
            time.sleep(0.02)
        peer.send(chunk(b"".join(EVENTS[4:])) + b"0\r\n\r\n")

    up = raw(play)
    q = qcc({**CALM, "workers": 2, "endpoints": [up.endpoint()]})
    streams = {}
    while len({pid for pid, _ in streams.values()}) < 2 or len(streams) < 8:
        c = client(q)
        c.send(ask(stream=True))
        c.head()
        streams[c] = pid_of(q, c.sock.getsockname()[1]), c
    victim = next(iter(streams.values()))[0]
    os.kill(victim, signal.SIGKILL)
    for c, (pid, _) in streams.items():
        if pid == victim:
            with pytest.raises((Cut, ConnectionError)):
                while True:
                    c.chunk()
    until(lambda: len(q.children()) == 2 and victim not in q.children(), "the new worker")
    late = [client(q) for _ in range(8)]
    for c in late:
        c.send(ask(stream=True))
        c.head()
    go.set()
    for c in [c for c, (pid, _) in streams.items() if pid != victim] + late:
        rest = b"".join(iter(c.chunk, b""))
        assert rest.endswith(EVENTS[-1]) and b"event: error" not in rest


def test_workers_killed_again_and_again(qcc, upstream):
    """Only what the dead one had in hand fails: at most one request of each client each time."""
    q = qcc({**CALM, "workers": 3, "endpoints": [upstream.endpoint("/s/echo,gap_ms=1")]})
    crowd = Crowd(q.port, 9, mine)
    kills = 4
    for _ in range(kills):
        crowd.more(3)
        q.wait_workers(3)
        os.kill(random.choice(q.children()), signal.SIGKILL)
    crowd.more(3)
    bad = crowd.end()
    assert all(len(each) <= kills for each in bad)
    assert sum(map(len, bad)) <= 9 * kills
    assert not [e for each in bad for e in each if not re.match("Cut|Connection|BrokenPipe|AssertionError\\('ended", e)], bad
    assert q.stop() == 0


def test_stop_finishes_everything(qcc, raw, client):
    """Streams to their end, requests whose body is still coming, and what was pipelined; idle ones go; each
    last reply says that it is the last; then exit 0."""
    go = threading.Event()

    def play(peer, r):
        if not r.json().get("stream"):
            peer.send(reply())
            return
        peer.send(STREAM_HEAD + chunk(START + BLOCK))
        go.wait(PATIENCE)
        peer.send(chunk(b"".join(EVENTS[2:])) + b"0\r\n\r\n")

    up = raw(play)
    q = qcc({**CALM, "workers": 2, "endpoints": [up.endpoint()]})
    streams, slow = [client(q) for _ in range(6)], client(q)
    for c in streams:
        c.send(ask(stream=True))
        c.head()
    data = ask(pad="x" * 1000)
    slow.send(data[:-10])
    q.wait_log("serving on")
    until(lambda: len(up.requests) == 6, "the streams")
    q.signal(signal.SIGTERM)
    until(lambda: not connectable(q.port), "the listener to be closed")
    slow.send(data[-10:])
    r = slow.reply()
    assert r.status == 200 and r.header("connection") == "close" and slow.closed(5)
    assert q.running()
    go.set()
    for c in streams:
        assert b"".join(iter(c.chunk, b"")).endswith(EVENTS[-1]) and c.closed(5)
    assert q.wait() == 0


def test_five_hundred_streams_at_once(qcc, upstream):
    """Through one worker, slow ones, each complete."""
    q = qcc({**CALM, "workers": 1, "endpoints": [upstream.endpoint("/s/events=8,gap_ms=200")],
             "upstream": {"pool": {"max_connections": 2000}}})
    socks = []
    data = ask(stream=True, headers=["connection: close"])
    for _ in range(500):
        s = socket.create_connection(("127.0.0.1", q.port), timeout=PATIENCE)
        s.sendall(data)
        socks.append(s)
    for s in socks:
        got = b""
        while piece := s.recv(65536):
            got += piece
        assert got.endswith(b"0\r\n\r\n") and b"event: message_stop" in got
        s.close()
    until(lambda: q.count("request method=") == 500, "the access lines")
    assert q.count("end=ok") == 500
