"""Endpoints by name: names that move, that have several addresses, that nobody knows; kept connections
end by their age."""
import json
import socket
import threading
import time

import pytest

from client import Timer
from names import Names
from qcc import free_port, until
from scripted import CALM
from upstream import MESSAGE, reply


class At:
    """An endpoint on one address of this machine: counts its connections, says whose it is."""

    def __init__(self, address, port):
        self.n, self.body = 0, json.dumps({"type": "message", "content": [], "at": address}).encode()
        self.listener = socket.create_server((address, port))
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            self.n += 1
            threading.Thread(target=self.serve, args=(s,), daemon=True).start()

    def serve(self, s):
        with s, s.makefile("rb") as f:
            while True:
                length = 0
                while (line := f.readline()) not in (b"\r\n", b""):
                    if line.lower().startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                if not line:
                    return
                f.read(length)
                s.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(self.body), self.body))

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


@pytest.fixture
def names(tmp_path):
    return Names(tmp_path)


def named(port, config=None):
    """No connection is kept, so that each request resolves and connects."""
    return {**CALM, "endpoints": [{"name": "relay", "base_url": "http://relay.test:%d" % port, "api_key": "sk-0123456789"}],
            "upstream": {"pool": {"max_idle": 0}}, **(config or {})}


def where(client, q):
    r = client(q).ask()
    assert r.status == 200, r.body
    return r.json()["at"]


def test_name_that_moves(qcc, client, names):
    """The old address refuses: the next request, and this one, go to the new one."""
    port = free_port()
    old, new = At("127.0.0.2", port), At("127.0.0.3", port)
    names.set("relay.test", "127.0.0.2")
    q = qcc(named(port), env=names.env)
    assert where(client, q) == "127.0.0.2"
    names.set("relay.test", "127.0.0.3")
    assert where(client, q) == "127.0.0.2"  # it still answers, and the name is cached
    old.close()
    r = client(q).ask()
    assert r.status == 200 and r.json()["at"] == "127.0.0.3" and r.header("x-qcc-attempts") == "1"
    new.close()


def test_all_addresses_are_tried_and_the_failing_one_last(qcc, client, names):
    port = free_port()
    up = At("127.0.0.3", port)
    names.set("relay.test", "127.0.0.2", "127.0.0.3")
    q = qcc(named(port), env=names.env)
    for _ in range(3):
        assert where(client, q) == "127.0.0.3"
    up.close()
    first, second = At("127.0.0.2", port), At("127.0.0.3", port)
    assert where(client, q) == "127.0.0.3"  # the one that has failed is not the first one tried
    first.close()
    second.close()


def test_address_that_does_not_answer(qcc, client, names):
    """It costs a moment, not connect_timeout, and the next time nothing."""
    port = free_port()
    up = At("127.0.0.3", port)
    # its queue is full: no SYN is answered
    with socket.create_server(("127.0.0.2", port), backlog=0) as mute:
        full = [socket.socket() for _ in range(4)]
        for s in full:
            s.setblocking(False)
            s.connect_ex(("127.0.0.2", port))
        time.sleep(0.1)
        names.set("relay.test", "127.0.0.2", "127.0.0.3")
        q = qcc(named(port), env=names.env)
        with Timer() as t:
            assert where(client, q) == "127.0.0.3"
        assert t.s < 8  # connect_timeout: 10s
        assert where(client, q) == "127.0.0.3"
        for s in full:
            s.close()
        assert mute
    up.close()


def test_name_that_nobody_knows(qcc, client, names):
    """Now and then, or for ever: told with the name, and nothing is kept of it."""
    port = free_port()
    up = At("127.0.0.2", port)
    q = qcc(named(port), env=names.env)
    r = client(q).ask()
    assert r.status == 502 and "host name not found" in r.error["message"]
    assert "host name not found (relay.test)" in q.log()
    names.set("relay.test", "127.0.0.2")
    assert where(client, q) == "127.0.0.2"
    up.close()


def test_name_with_200_addresses(qcc, client, names):
    port = free_port()
    up = At("127.0.7.199", port)
    names.set("relay.test", *["127.0.7.%d" % i for i in range(200)])
    q = qcc(named(port), env=names.env)
    for _ in range(2):
        assert where(client, q) == "127.0.7.199"
    up.close()


def test_kept_connections_end_at_their_age(qcc, client, raw):
    """Between two requests: one that is under way is finished."""

    def play(peer, r):
        if r.target.endswith("slow"):
            time.sleep(1)
        peer.send(reply())

    up = raw(play)
    q = qcc({**CALM, "endpoints": [up.endpoint()], "upstream": {"pool": {"max_age": "500ms"}}})
    c = client(q)
    assert c.ask().body == MESSAGE
    until(lambda: up.peers[0].closed_at, "the connection to end")  # idle_expiry: 30s
    assert c.ask(path="/v1/messages?slow").body == MESSAGE
    assert len(up.peers) == 2
    assert c.ask().body == MESSAGE  # that one is too old now
    assert len(up.peers) == 3


def test_kept_connections_do_not_get_older_by_use(qcc, client, raw):
    up = raw(reply())
    q = qcc({**CALM, "endpoints": [up.endpoint()], "upstream": {"pool": {"max_age": "1s"}}})
    c = client(q)
    with Timer() as t:
        until(lambda: c.ask().status == 200 and len(up.peers) > 1, "another connection", step=0.05)
    assert t.s > 0.9 and len(up.requests) > 5
