"""Clients that go away: in every phase of a request, the attempt ends and nobody is charged."""
import contextlib
import socket
import struct
import time

import pytest

from client import Client, Timer, ask
from qcc import until
from scripted import BIG, CALM, PING, WHOLE, one, script
from upstream import BLOCK, EVENTS, Gone, LAST_CHUNK, START, STREAM, STREAM_HEAD, chunk, delta, reply


def leave_by_fin(c):
    c.sock.shutdown(socket.SHUT_RDWR)
    c.sock.close()


def leave_by_reset(c):
    c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    c.sock.close()


LEAVE = {"close": leave_by_fin, "reset": leave_by_reset}


def ended(q, up, c, how):
    """The exchange with the endpoint ends within a second, and nobody is charged for it."""
    peer = up.peers[-1]
    LEAVE[how](c)
    with Timer() as t:
        until(lambda: peer.closed_at, "the exchange to end")
    assert t.s < 1.0
    q.wait_log('end="?client gone')
    assert not q.count("(transient|rate_limit|auth|permanent|unknown), (fault|status)")
    up.play = STREAM
    r = Client(q.port).ask(stream=True)
    assert r.body == WHOLE and r.header("x-qcc-attempts") == "1"


@pytest.mark.parametrize("how", LEAVE)
@pytest.mark.parametrize("sent", ["nothing", "part of the head", "held", "streaming", "in an event", "after a ping", "reply held",
                                  "reply relayed"])
def test_leaving(one, client, how, sent):
    """In each phase of a reply."""
    half = reply(b'{"type":"message","x":"' + b"x" * 4000)
    data = {"nothing": b"", "part of the head": b"HTTP/1.1 200 O", "held": STREAM_HEAD + chunk(START),
            "streaming": STREAM_HEAD + chunk(START + BLOCK), "in an event": STREAM_HEAD + chunk(START + BLOCK) + chunk(delta("x")[:9]),
            "after a ping": b"", "reply held": half[:3000], "reply relayed": half[:3000]}[sent]

    def play(peer, _):
        peer.send(data)
        peer.wait_gone()
        raise Gone()

    q, up = one(play, {"stream_ping": "100ms" if sent == "after a ping" else "15s",
                       "retry": {"hold_reply": "1KiB" if sent == "reply relayed" else "1MiB", "hold_stream_head": "30s"}})
    c = client(q)
    c.send(ask(stream="reply" not in sent))
    up.wait_requests(1)
    if sent == "after a ping":
        c.until(PING)
    elif sent in ("streaming", "in an event", "reply relayed"):
        c.head()
        assert c.buf or c.fill()
    else:
        assert c.silent(0.1)
    ended(q, up, c, how)


@pytest.mark.parametrize("how", LEAVE)
def test_leaving_while_paused(one, client, how):
    """The client has taken nothing for a while, the endpoint waits: the same."""

    def play(peer, _):
        peer.send(STREAM_HEAD + chunk(START + BLOCK))
        with contextlib.suppress(Gone):
            while True:
                peer.send(chunk(BIG))
        raise Gone()

    q, up = one(play)
    c = client(q, rcvbuf=8192)
    c.send(ask(stream=True))
    c.head()
    time.sleep(0.3)
    ended(q, up, c, how)


def sockets_to(port):
    """States of this machine's TCP sockets that are connected, or connecting, to this port."""
    with open("/proc/net/tcp") as f:
        rows = [line.split() for line in f.read().splitlines()[1:]]
    return [row[3] for row in rows if row[2].endswith(":%04X" % port)]


@pytest.mark.parametrize("how", LEAVE)
def test_leaving_while_connecting(qcc, client, how):
    with contextlib.ExitStack() as stack:
        full = stack.enter_context(socket.socket())
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        own = 0
        for _ in range(8):
            s = stack.enter_context(socket.socket())
            s.setblocking(False)
            s.connect_ex(("127.0.0.1", port))
        own = len(sockets_to(port))
        q = qcc({**CALM, "endpoints": [{"name": "full", "base_url": "http://127.0.0.1:%d" % port}]})
        c = client(q)
        c.send(ask())
        until(lambda: len(sockets_to(port)) > own, "the attempt to connect")
        with Timer() as t:
            LEAVE[how](c)
            until(lambda: len(sockets_to(port)) == own, "its end")
        assert t.s < 1.0
        q.wait_log('end="?client gone')


@pytest.mark.parametrize("how", LEAVE)
def test_leaving_between_two_attempts(one, client, how):
    q, up = one(lambda peer, _: peer.close(), {"retry": {"transient_delay": "60s"}})
    c = client(q)
    c.send(ask())
    up.wait_requests(1)
    q.wait_log("raw: transient")
    LEAVE[how](c)
    q.wait_log('end="?client gone', timeout=1.5)
    assert len(up.requests) == 1


def test_leaving_after_a_half_close(one, client):
    """Half-closed, the client is still waited for; closed, it is not."""
    q, up = one(lambda peer, _: peer.wait_gone())
    c = client(q)
    c.send(ask())
    c.half_close()
    up.wait_requests(1)
    assert c.silent(0.8) and up.peers[0].closed_at is None
    with Timer() as t:
        c.close()
        until(lambda: up.peers[0].closed_at, "the exchange to end")
    assert t.s < 1.0


def test_leaving_a_unix_listener(qcc, raw, client, tmp_path):
    path = str(tmp_path / "s")
    up = raw(lambda peer, _: peer.wait_gone())
    q = qcc({**CALM, "endpoints": [up.endpoint()], "listen": "unix:" + path}, start=False)
    q.start()
    c = client(path)
    c.send(ask())
    up.wait_requests(1)
    with Timer() as t:
        c.close()
        until(lambda: up.peers[0].closed_at, "the exchange to end")
    assert t.s < 1.0


def test_half_closed_client_gets_its_stream(one, client, script):
    q, up = one(script)
    c = client(q)
    c.send(ask(stream=True))
    c.half_close()
    script.play(STREAM_HEAD, chunk(START + BLOCK))
    c.head()
    assert c.chunk() == START + BLOCK
    time.sleep(1.2)  # looked after twice meanwhile
    script.play(chunk(b"".join(EVENTS[2:])), LAST_CHUNK)
    body = b"".join(iter(c.chunk, b""))
    assert body == b"".join(EVENTS[2:]) and c.closed(5)


def test_client_that_leaves_behind_a_long_pipeline(qcc, upstream, client):
    q = qcc({**CALM, "endpoints": [upstream.endpoint("/s/hang")]})
    c = client(q)
    c.send(ask() + ask() * 2000)
    until(lambda: any(s["open"] for s in upstream.stats()["sites"].values()) if isinstance(upstream.stats()["sites"], dict)
          else any(s["open"] for s in upstream.stats()["sites"]), "the request")
    time.sleep(0.3)
    c.close()
    q.wait_log("end=\"client gone\"", timeout=5)
