"""A listener moves from one address to all, back, and from IPv4 to IPv6: by reload and by upgrade, while
clients connect all the time."""
import socket
import threading

import pytest

from client import ask
from qcc import connectable, free_port, until
from scripted import CALM
from upstream import reply

TOKEN = "x" * 20
CLIENTS = {"clients": [{"name": "a", "token": TOKEN}]}


class Load:
    """Clients that connect, ask and leave, one after the other; what fails is kept."""

    def __init__(self, port, host="127.0.0.1", n=4):
        self.port, self.host, self.failed, self.served, self.over = port, host, [], 0, False
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(n)]
        for t in self.threads:
            t.start()
        until(lambda: self.served > 20, "some requests")

    def run(self):
        while not self.over:
            try:
                with socket.create_connection((self.host, self.port), timeout=20) as s:
                    s.sendall(ask(headers=["authorization: Bearer " + TOKEN, "connection: close"]))
                    data = b""
                    while piece := s.recv(65536):
                        data += piece
                    if not data.startswith(b"HTTP/1.1 200 "):
                        self.failed.append(data[:200])
            except OSError as e:
                self.failed.append(repr(e))
            self.served += 1

    def end(self):
        before = self.served
        until(lambda: self.served > before + 20, "some more requests")
        self.over = True
        for t in self.threads:
            t.join(30)
        assert not self.failed, self.failed[:5]


def change(q, how, listen):
    if how == "reload":
        q.reload({"listen": listen})
        return
    q.configure({"listen": listen})
    q.upgrade()


@pytest.fixture
def serving(qcc, raw):
    up = raw(reply())

    def make(listen, port):
        q = qcc({**CALM, "workers": 2, **CLIENTS, "endpoints": [up.endpoint()], "listen": listen}, start=False)
        q.port = port
        return q.start()

    return make


HOWS = ["reload", "upgrade"]


@pytest.mark.parametrize("how", HOWS)
def test_from_loopback_to_all_and_back(serving, how):
    port = free_port()
    one, every = "127.0.0.1:%d" % port, "0.0.0.0:%d" % port
    q = serving(one, port)
    load = Load(port)
    assert not connectable(port, "127.0.0.2")
    for _ in range(2):
        change(q, how, every)
        until(lambda: connectable(port, "127.0.0.2"), "the other addresses")
        change(q, how, one)
        until(lambda: not connectable(port, "127.0.0.2"), "the other addresses to be closed")
    load.end()


@pytest.mark.parametrize("how", HOWS)
def test_from_all_to_one(serving, how):
    port = free_port()
    q = serving("0.0.0.0:%d" % port, port)
    load = Load(port)
    change(q, how, "127.0.0.1:%d" % port)
    until(lambda: not connectable(port, "127.0.0.2"), "the other addresses to be closed")
    load.end()


@pytest.mark.parametrize("how", HOWS)
def test_from_ipv4_to_ipv6(serving, how):
    """Who is connected stays; the new address is there before the old one goes."""
    port = free_port()
    q = serving("0.0.0.0:%d" % port, port)
    with socket.create_connection(("127.0.0.1", port)) as kept:
        change(q, how, "[::]:%d" % port)
        until(lambda: connectable(port, "::1"), "IPv6")
        until(lambda: not connectable(port), "IPv4 to be closed")
        load = Load(port, "::1")
        kept.sendall(ask(headers=["authorization: Bearer " + TOKEN]))
        assert kept.recv(15) == b"HTTP/1.1 200 X\r"
    change(q, how, ["[::1]:%d" % port, "0.0.0.0:%d" % port])
    until(lambda: connectable(port), "IPv4")
    load.end()


def test_one_and_all_in_one_file(serving):
    """They may stand side by side, also at a start."""
    port = free_port()
    q = serving(["127.0.0.1:%d" % port, "0.0.0.0:%d" % port], port)
    load = Load(port)
    assert connectable(port, "127.0.0.2")
    q.reload({"listen": "0.0.0.0:%d" % port})
    q.reload({"listen": ["0.0.0.0:%d" % port, "127.0.0.1:%d" % port]})
    load.end()


def test_nobody_else_gets_the_port(serving):
    """As before a move: another server is told that the address is in use."""
    port = free_port()
    q = serving("127.0.0.1:%d" % port, port)
    q.reload({"listen": "0.0.0.0:%d" % port})
    for host in ("127.0.0.1", "0.0.0.0"):
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with pytest.raises(OSError, match="Address already in use"):
                s.bind((host, port))
                s.listen()


def test_address_in_use_says_by_whom(qcc, raw):
    first = qcc({**CALM, "endpoints": [raw(reply()).endpoint()]})
    with socket.create_server(("127.0.0.1", 0)) as other:
        for port, words in ((first.port, "QCC is running there already"), (other.getsockname()[1], "by another program")):
            second = qcc({**CALM, "listen": "127.0.0.1:%d" % port}, start=False)
            second.start(wait=False)
            assert second.wait() == 1
            assert "127.0.0.1:%d: Address already in use; %s" % (port, words) in second.log()
