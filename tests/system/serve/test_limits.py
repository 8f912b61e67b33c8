"""What a client may take up: times, sizes, connections, memory, descriptors. Whoever goes beyond gets one
clear answer, and all others are served."""
import contextlib
import json
import os
import re
import resource
import socket
import time

import pytest

from client import BODY, Client, Cut, Timer, ask, own_type, request
from qcc import until
from scripted import CALM
from upstream import BLOCK, DELTA_END, BLOCK_STOP, EVENTS, START, STOP, STREAM, STREAM_HEAD, chunk, delta, reply

GOOD = json.dumps(BODY).encode()


@pytest.fixture
def up(raw):
    return raw(reply())


@pytest.fixture
def limited(qcc, up):
    """limited(**limits): one worker in front of an endpoint that behaves."""

    def make(config=None, **limits):
        return qcc({"workers": 1, "endpoints": [up.endpoint()], "limits": limits, **(config or {})})

    return make


def told(c, status, should_retry=None):
    """The refusal, in the usual form, and the end."""
    r = c.reply()
    assert r.status == status, r.body
    assert r.error["type"] == own_type(status) and r.header("connection") == "close"
    assert r.header("x-should-retry") == should_retry
    assert c.closed(5)
    return r


# ---- times

@pytest.mark.parametrize("sent", [b"P", b"POST /v1/messages HTTP/1.1\r\n", b"POST /v1/messages HTTP/1.1\r\nhost: a\r\n"])
def test_header_timeout(limited, up, client, sent):
    c = client(limited(header_timeout="150ms"))
    c.send(sent)
    r = told(c, 408)
    assert "limits.header_timeout" in r.error["message"]
    assert up.requests == []


def test_header_timeout_is_for_the_whole_head(limited, up, client):
    """A byte now and then does not prolong it."""
    c = client(limited(header_timeout="300ms"))
    with Timer() as t, contextlib.suppress(ConnectionError):
        for byte in request(headers=["x-a: " + "b" * 500]):
            c.send(bytes([byte]))
            time.sleep(0.02)
            if not c.silent(0.0001):
                break
    assert t.s < 3
    assert b" 408 " in c.buf


def test_header_timeout_begins_with_the_head(limited, client):
    """An idle connection has the idle timeout."""
    c = client(limited(header_timeout="100ms", idle_timeout="10s"))
    assert c.silent(0.4)
    assert c.ask().status == 200
    assert c.silent(0.4)
    assert c.ask().status == 200


@pytest.mark.parametrize("sent", [b"", GOOD[:-1]])
@pytest.mark.parametrize("chunked", [False, True])
def test_body_timeout(limited, up, client, sent, chunked):
    c = client(limited(body_timeout="150ms"))
    if chunked:
        c.send(request("POST", "/v1/messages", ["transfer-encoding: chunked"]) + (b"%x\r\n%s\r\n" % (len(sent), sent) if sent else b""))
    else:
        c.send(request("POST", "/v1/messages", ["content-length: %d" % len(GOOD)]) + sent)
    r = told(c, 408)
    assert "limits.body_timeout" in r.error["message"]
    assert up.requests == []


def test_body_timeout_is_between_two_pieces(limited, up, client):
    c = client(limited(body_timeout="300ms"))
    c.send(request("POST", "/v1/messages", ["content-length: %d" % len(GOOD)]))
    for i in range(0, len(GOOD), 12):
        c.send(GOOD[i : i + 12])
        time.sleep(0.08)
    assert c.reply().status == 200


@pytest.mark.parametrize("chunked", [False, True])
def test_body_that_drips(limited, up, client, chunked):
    """Each piece comes in time, all of them never would."""
    c = client(limited(body_timeout="5s"))
    c.send(request("POST", "/v1/messages", ["transfer-encoding: chunked"] if chunked else ["content-length: 100000"]))
    with Timer() as t, contextlib.suppress(ConnectionError):
        while c.silent(0.2) and time.monotonic() - t.start < 60:
            c.send(b"1\r\nx\r\n" if chunked else b"x")
    r = told(c, 408)
    assert "limits.min_body_rate" in r.error["message"] and t.s > 9
    assert up.requests == []


def test_body_may_drip(limited, up, client):
    c = client(limited(min_body_rate="0"))
    c.send(request("POST", "/v1/messages", ["content-length: %d" % len(GOOD)]))
    for i in range(0, len(GOOD), 8):
        c.send(GOOD[i : i + 8])
        time.sleep(11 * 8 / len(GOOD))
    assert c.reply().status == 200


def test_body_timeout_is_not_for_the_reply(limited, up, client):
    up.play = lambda peer, _: (time.sleep(0.4), peer.send(reply()))
    assert client(limited(body_timeout="100ms", header_timeout="100ms", idle_timeout="100ms", write_timeout="100ms")).ask().status == 200


def test_idle_timeout(limited, client):
    q = limited(idle_timeout="150ms")
    c = client(q)
    assert c.closed(5)
    c = client(q)
    assert c.ask().status == 200
    assert c.closed(5)


def test_write_timeout(limited, up, client):
    """A client that takes nothing is given up, and its exchange with the endpoint too."""

    def play(peer, _):
        peer.send(STREAM_HEAD + chunk(START + BLOCK))
        while True:
            peer.send(chunk(delta("x" * 8000)))

    up.play = play
    q = limited(write_timeout="300ms")
    c = client(q, rcvbuf=8192)
    c.send(ask(stream=True))
    until(lambda: up.peers and up.peers[0].closed_at, "the exchange to end")
    q.wait_log('end="?client gone')
    with pytest.raises(ConnectionResetError):
        c.rest()


def test_write_timeout_is_not_for_a_slow_reader(limited, up, client):
    """One that takes a little now and then: as much as the kernel waits for before it says so."""
    count = 2500

    def play(peer, _):
        peer.send(STREAM_HEAD + chunk(START + BLOCK))
        for _ in range(count):
            peer.send(chunk(delta("x" * 8000)))
        peer.send(chunk(BLOCK_STOP + DELTA_END + STOP) + b"0\r\n\r\n")

    up.play = play
    c = client(limited(write_timeout="1500ms"), rcvbuf=65536)
    c.send(ask(stream=True))
    c.head()
    end = time.monotonic() + 2.5
    got = 0
    for piece in iter(c.chunk, b""):
        got += len(piece)
        if time.monotonic() < end:
            time.sleep(0.003)
    assert got > count * 8000


# ---- sizes

@pytest.mark.parametrize("complete", [True, False])
def test_large_head(limited, up, client, complete):
    c = client(limited(max_header_bytes=4096))
    data = request(headers=["x-a: " + "b" * 5000])
    c.send(data if complete else data[:-4])
    assert "limits.max_header_bytes" in told(c, 431, "false").error["message"]
    assert up.requests == []


def test_head_of_just_that_size(limited, up, client):
    q = limited(max_header_bytes=4096)
    data = request(headers=["x-a: "])
    data = request(headers=["x-a: " + "b" * (4096 - len(data))])
    assert len(data) == 4096
    c = client(q)
    c.send(data)
    assert c.reply().status == 200
    c.send(data.replace(b"x-a: b", b"x-a: bb"))
    told(c, 431, "false")


def test_many_header_lines(limited, client):
    q = limited()
    c = client(q)
    c.send(request(headers=["x-%d: y" % i for i in range(200)]))
    assert c.reply().status == 200
    c.send(request(headers=["x-%d: y" % i for i in range(400)]))
    told(c, 431, "false")


def test_largest_head_reaches_the_endpoint(limited, up, client):
    """What is accepted can be forwarded, with all that is added."""
    q = limited(max_header_bytes="64KiB")
    c = client(q)
    c.send(ask(headers=["x-a: " + "b" * 65000]))
    assert c.reply().status == 200 and len(up.requests[0].header("x-a")) == 65000


def test_limits_of_a_reload_hold_for_open_connections(qcc, raw, client):
    up = raw(reply())
    q = qcc({**CALM, "limits": {"max_header_bytes": "1KiB"}, "endpoints": [up.endpoint()]})
    c = client(q)
    assert c.ask().status == 200
    q.reload({"limits": {"max_header_bytes": "1MiB"}})
    assert c.ask(headers=["x-%d: %s" % (i, "y" * 10000) for i in range(50)]).status == 200


@pytest.mark.parametrize("chunked", [False, True])
def test_large_body(limited, up, client, chunked):
    q = limited(max_body_bytes="64KiB")
    c = client(q)
    body = b"x" * 65537
    if chunked:
        c.send(request("POST", "/v1/messages", ["transfer-encoding: chunked"]) + b"".join(b"%x\r\n%s\r\n" % (10000, b"x" * 10000) for _ in range(7)))
    else:
        c.send(ask(body))
    assert "limits.max_body_bytes" in told(c, 413, "false").error["message"]
    assert up.requests == []
    assert client(q).ask(b'"' + b"x" * 65534 + b'"').status == 200


def test_large_length_is_refused_at_once(limited, client):
    """Nothing of it has to be sent, and no memory is taken for it."""
    c = client(limited())
    c.send(request("POST", "/v1/messages", ["content-length: 9223372036854775807"]))
    told(c, 413, "false")


def test_buffered_bytes(limited, up, client):
    """Bodies that are held together: beyond that 503, soon to be tried again."""
    go = []
    up.play = lambda peer, _: (until(lambda: go), peer.send(reply()))
    q = limited(max_buffered_bytes="1MiB", max_body_bytes="1MiB")
    first = client(q)
    first.send(ask(pad="x" * 700_000))
    up.wait_requests(1)
    second = client(q)
    second.send(ask(pad="x" * 700_000))
    r = told(second, 503)
    assert r.header("retry-after") == "1" and "limits.max_buffered_bytes" in r.error["message"]
    third = client(q)
    third.send(ask())
    go.append(1)
    assert first.reply().status == 200 and third.reply().status == 200
    assert client(q).ask(pad="x" * 700_000).status == 200


# ---- connections

def memory_kb(q):
    out = 0
    for pid in q.children():
        with open("/proc/%d/status" % pid) as f:
            out += int(re.search("VmRSS:\\s+(\\d+)", f.read()).group(1))
    return out


def waiting_requests(stack, q, n):
    """n connections that have been served once and are kept open."""
    out = [stack.enter_context(Client(q.port)) for _ in range(n)]
    for c in out:
        c.send(request("HEAD", "/"))
        assert c.reply("HEAD").status == 200
    return out


def test_max_connections(limited, up):
    """The longest idle ones make room; a busy one never does."""
    go = []
    up.play = lambda peer, _: (until(lambda: go), peer.send(reply()))
    q = limited(max_connections=5)
    with contextlib.ExitStack() as stack:
        new = lambda: stack.enter_context(Client(q.port))  # noqa: E731
        busy = new()
        busy.send(ask())
        up.wait_requests(1)
        idle = waiting_requests(stack, q, 4)
        assert all(c.silent(0.02) for c in idle)
        more = new()
        more.send(request("HEAD", "/"))
        assert more.reply("HEAD").status == 200
        assert idle[0].closed(5) and idle[1].silent(0.02)
        go.append(1)
        assert busy.reply().status == 200


@pytest.mark.parametrize("kept", [True, False], ids=["kept open", "closed"])
def test_who_was_let_in_is_served(limited, kept):
    """Three times as many clients as connections, whose requests come a while after they connected."""
    q = limited(max_connections=20)
    with contextlib.ExitStack() as stack:
        crowd = [stack.enter_context(Client(q.port)) for _ in range(60)]
        time.sleep(0.3)
        with Timer() as t:
            for c in crowd:
                c.send(ask(headers=[] if kept else ["connection: close"]))
            assert [c.reply().status for c in crowd] == [200] * 60
        assert t.s < 5


@pytest.mark.parametrize("header_timeout,least,most", [("1s", 0.4, 1.9), ("15s", 1.4, 5)])
def test_those_that_say_nothing_make_room(limited, header_timeout, least, most):
    """After two seconds, or header_timeout."""
    q = limited(max_connections=5, header_timeout=header_timeout)
    with contextlib.ExitStack() as stack:
        mute = [stack.enter_context(Client(q.port)) for _ in range(5)]
        assert all(c.silent(0.05) for c in mute)
        late = stack.enter_context(Client(q.port))
        late.send(request("HEAD", "/"))
        with Timer() as t:
            assert late.reply("HEAD").status == 200
        assert least < t.s < most
        assert mute[0].closed(5) and mute[1].silent(0.02)


def test_a_full_worker_says_so_before_it_closes(limited, up):
    """A client that asks again while others wait need not find out by a reset."""
    go = []
    up.play = lambda peer, _: (until(lambda: go), peer.send(reply()))
    q = limited(max_connections=2)
    with contextlib.ExitStack() as stack:
        busy, kept, late = (stack.enter_context(Client(q.port)) for _ in range(3))
        busy.send(ask())
        up.wait_requests(1)
        late.send(request("HEAD", "/"))
        assert late.silent(0.3)
        kept.send(request("HEAD", "/"))
        r = kept.reply("HEAD")
        assert r.status == 200 and r.header("connection") == "close" and kept.closed(5)
        assert late.reply("HEAD").header("connection") is None
        go.append(1)
        assert busy.reply().status == 200


def test_a_full_worker_leaves_clients_to_another(qcc, up):
    up.play = lambda peer, _: peer.wait_gone()
    q = qcc({"workers": 2, "endpoints": [up.endpoint()], "limits": {"max_connections": 3}})
    with contextlib.ExitStack() as stack:
        for n in range(1, 7):
            stack.enter_context(Client(q.port)).send(ask())
            up.wait_requests(n)


def test_idle_connections_stay_while_another_worker_has_room(qcc, up):
    q = qcc({"workers": 2, "endpoints": [up.endpoint()], "limits": {"max_connections": 10}})
    with contextlib.ExitStack() as stack:
        idle = [waiting_requests(stack, q, 1)[0] for _ in range(20)]
        assert all(c.silent(0.01) for c in idle)
        waiting_requests(stack, q, 1)
        assert sum(not c.silent(0.01) for c in idle) == 1


def test_max_connections_all_busy(limited, up):
    """Who comes then waits until one has ended."""
    go = []
    up.play = lambda peer, _: (until(lambda: go), peer.send(reply()))
    q = limited(max_connections=2)
    with contextlib.ExitStack() as stack:
        clients = []
        for i in range(3):
            clients.append(stack.enter_context(Client(q.port)))
            clients[i].send(ask(headers=["connection: close"]))
            up.wait_requests(min(i + 1, 2))
        assert clients[2].silent(0.3) and len(up.requests) == 2
        go.append(1)
        assert [c.reply().status for c in clients] == [200, 200, 200]


def test_operators_are_served_in_a_crowd(qcc, upstream, client):
    q = qcc({**CALM, "limits": {"max_connections": 5}, "endpoints": [upstream.endpoint("/s/hang")]})
    crowd = [client(q) for _ in range(10)]
    for c in crowd:
        c.send(ask())
    until(lambda: q.get("/healthz", port=q.admin_port)[0] == 200, "an answer", timeout=5)
    until(lambda: json.loads(q.get("/api/v1/status", port=q.admin_port)[1])["workers"][0]["connections"] >= 5, "the crowd")


def many(n, port):
    """n connections."""
    out = []
    for _ in range(n):
        s = socket.socket()
        s.settimeout(30)
        s.connect(("127.0.0.1", port))
        out.append(s)
    return out


@pytest.mark.parametrize("sent", [b"", b"POST /v1/messages HTTP/1.1\r\nhost: localhost\r\nx-a: "])
def test_a_thousand_that_say_nothing(limited, client, sent):
    """Idle, or in the middle of a head: others are served, each costs little, all end by themselves."""
    q = limited(header_timeout="2500ms", idle_timeout="2500ms")
    before = memory_kb(q)
    crowd = many(1000, q.port)
    for s in crowd:
        s.sendall(sent)
    with Timer() as t:
        for _ in range(5):
            assert client(q).ask().status == 200
    assert t.s < 2
    assert memory_kb(q) - before < 30_000  # a sanitizer's red zones included
    for s in crowd:
        data = s.recv(1000)
        assert data == b"" if not sent else data.startswith(b"HTTP/1.1 408 ")
        s.close()
    assert client(q).ask().status == 200


def test_five_hundred_slow_heads(limited, client):
    """Each drips, none gets beyond its time."""
    q = limited(header_timeout="2s")
    crowd = many(500, q.port)
    with Timer() as t:
        for i in range(8):
            for s in crowd:
                with contextlib.suppress(ConnectionError):
                    s.sendall(b"POST /v1/mes"[i : i + 1])
            assert client(q).ask().status == 200
        for s in crowd:
            assert s.recv(100).startswith(b"HTTP/1.1 408 ")
            s.close()
    assert t.s < 10


def test_slow_reader_of_a_fast_stream(limited, up, client):
    """Fifty of them: memory stays bounded, and others are served."""

    def play(peer, r):
        if not r.json().get("slow"):
            peer.send(STREAM)
            return
        peer.send(STREAM_HEAD + chunk(START + BLOCK))
        while True:
            peer.send(chunk(delta("x" * 8000)))

    up.play = play
    q = limited(write_timeout="60s")
    assert client(q).ask(stream=True).status == 200
    before = memory_kb(q)
    slow = [client(q, rcvbuf=4096) for _ in range(50)]
    for c in slow:
        c.send(ask(stream=True, slow=True))
    for c in slow:
        c.head()
    for _ in range(10):
        assert client(q).ask(stream=True).body == b"".join(EVENTS)
        time.sleep(0.05)
    assert memory_kb(q) - before < 50 * 512  # the contract's 256 KiB a stream, as a sanitizer counts


# ---- descriptors

LOW = 64


def low_limit():
    resource.setrlimit(resource.RLIMIT_NOFILE, (LOW, LOW))


def test_descriptors_used_up(qcc, up, client):
    """By connections that say nothing: they go, those who ask are served, and it is said."""
    q = qcc({"workers": 1, "endpoints": [up.endpoint()], "limits": {"header_timeout": "200ms"}}, start=False)
    q.start(preexec_fn=low_limit)
    crowd = many(3 * LOW, q.port)
    for _ in range(3):
        with Client(q.port) as c:
            assert c.ask().status == 200
    for s in crowd:
        s.close()
    assert client(q).ask().status == 200
    assert q.running() and q.count("worker 0 started") == 1


def test_descriptors_used_up_by_requests(qcc, up, client):
    """By clients that are waited for: who got in is served, the others are told, no endpoint is blamed for
    it, and all is well after."""
    go = []
    up.play = lambda peer, _: (until(lambda: go), peer.send(reply()))
    q = qcc({"workers": 1, "endpoints": [up.endpoint()]}, start=False)
    q.start(preexec_fn=low_limit)
    crowd = []
    for _ in range(LOW):
        crowd.append(client(q))
        crowd[-1].send(ask())
    until(lambda: len(up.requests) >= LOW // 4, "requests at the endpoint")
    go.append(1)
    statuses = [c.reply().status for c in crowd]
    assert set(statuses) <= {200, 502, 503} and statuses.count(200) >= LOW // 4
    until(lambda: client(q).ask().status == 200, "service afterwards")
    assert q.running() and q.count("worker 0 started") == 1
    assert not q.count("fault endpoint")


def test_descriptors_are_given_back(limited, up, client):
    """Whatever way an exchange ended."""
    q = limited(header_timeout="100ms", body_timeout="100ms")

    def open_files():
        return len(os.listdir("/proc/%d/fd" % q.children()[0]))

    client(q).ask()
    before = open_files()
    for play in (reply(), lambda peer, _: peer.close(), lambda peer, _: peer.reset(), b"no\r\n\r\n"):
        up.play = play
        for data in (ask(), ask(headers=["connection: close"]), b"no\r\n\r\n", ask()[:-5], b"GET"):
            for _ in range(3):
                with Client(q.port) as c:
                    c.send(data)
                    with contextlib.suppress(Exception):
                        c.reply()
    until(lambda: open_files() <= before + 1, "the descriptors to come back")


def test_no_descriptor_left_is_not_the_endpoints_fault(qcc, upstream, client):
    q = qcc({**CALM, "limits": {"header_timeout": "60s", "max_connections": 5000}, "endpoints": [upstream.endpoint("/good")]}, start=False)
    q.start(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128)))
    c = client(q)
    head = ask()
    c.send(head[:10])
    worker, most = q.children()[0], int(q.wait_log("open files allow (\\d+)").group(1))
    before = len(os.listdir("/proc/%d/fd" % worker))
    hold = [client(q) for _ in range(200)]
    for h in hold:
        with contextlib.suppress(ConnectionError):  # it may have been closed for another
            h.send(head[:10])
    until(lambda: len(os.listdir("/proc/%d/fd" % worker)) >= before + most - 1, "as many as there may be")
    c.send(head[10:])
    assert c.reply().status == 200
    assert "fault endpoint" not in q.log()


@pytest.mark.parametrize("asked", [True, False])
def test_open_files_are_told_once_where_more_was_asked_for(qcc, upstream, asked):
    q = qcc({**CALM, "endpoints": [upstream.endpoint("/good")], **({"limits": {"max_connections": 5000}} if asked else {})}, start=False)
    q.start(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128)))
    for _ in range(2):
        q.reload()
    assert q.count("open files allow") == int(asked)
