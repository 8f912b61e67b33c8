"""Faults that reading the request's way has found, each as a client, an endpoint or an operator meets it."""
import contextlib
import json
import os
import pathlib
import re
import resource
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time

import pytest

from client import Client, Cut, Timer, ask, request
from qcc import until
from upstream import (BLOCK, EVENTS, LAST_CHUNK, MESSAGE, START, STREAM, STREAM_HEAD, chunk, delta, error, event,
                      reply)

CALM = {
    "workers": 1,
    "retry": {"transient_delay": "1ms"},
    "breaker": {"failure_threshold": 1000},
    "health": {"degraded_for": "0s"},
    "failure_queue": {"verify_interval": "100ms", "probe": "off"},
}


@pytest.fixture(scope="module")
def pem(tmp_path_factory):
    """(certificate, key) of 127.0.0.1."""
    folder = tmp_path_factory.mktemp("pem")
    key, cert = folder / "key.pem", folder / "cert.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
                    "-keyout", key, "-out", cert], check=True, stderr=subprocess.DEVNULL)
    return cert, key


class Tls:
    """TLS whose records leave when the test says so: for what arrives in odd pieces."""

    def __init__(self, sock, context, server=False):
        self.sock, self.inside, self.outside = sock, ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.inside, self.outside, server_side=server,
                                    server_hostname=None if server else "localhost")
        self.pump(self.tls.do_handshake)
        self.flush()

    def pump(self, step):
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                self.flush()
                data = self.sock.recv(65536)
                if not data:
                    raise EOFError
                self.inside.write(data)

    def flush(self):
        data = self.outside.read()
        if data:
            self.sock.sendall(data)

    def records(self, data):
        """The bytes of a record (or more) that are to be sent."""
        self.tls.write(data)
        return self.outside.read()

    def read(self):
        return self.pump(lambda: self.tls.read(65536))

    def until(self, mark):
        data = b""
        while mark not in data:
            data += self.read()
        return data


def client_context(pem):
    c = ssl.create_default_context(cafile=str(pem[0]))
    c.check_hostname = False
    return c


def server_context(pem):
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    c.load_cert_chain(*map(str, pem))
    return c


def listen(q, pem):
    return {"listen": [{"address": "127.0.0.1:%d" % q.port,
                        "tls": {"certificate": str(pem[0]), "private_key": str(pem[1])}}]}


def test_access_line_with_every_field(qcc, raw, client):
    usage = {"input_tokens": 3, "output_tokens": 2, "cache_read_input_tokens": 4, "cache_creation_input_tokens": 5}
    message = json.loads(MESSAGE)
    message["usage"] = usage
    good, bad = raw(reply(json.dumps(message).encode())), raw(error(529, "overloaded_error"))
    q = qcc({**CALM, "clients": [{"name": "alice", "token": "t-0123456789"}],
             "balance": {"strategy": "priority_failover"},
             "endpoints": [bad.endpoint("bad"), good.endpoint("good", priority=2)]})
    r = client(q).ask(headers=["x-api-key: t-0123456789"])
    assert r.status == 200
    line = q.wait_log("request .*tokens_cache_write=5.*").group(0)
    for field in ("client=alice", "model=m", "failures=bad:transient", "tokens_cache_read=4", "end=ok"):
        assert field in line


def test_half_a_tls_record_from_an_endpoint_stops_nobody(qcc, raw, client, pem):
    go, context = threading.Event(), server_context(pem)

    def play(sock):
        sock, _ = sock.accept()
        t = Tls(sock, context, server=True)
        t.until(b"\r\n\r\n")
        first, data = t.records(b"HTTP/1.1 100 Continue\r\n\r\n"), t.records(reply())
        sock.sendall(first + data[:40])
        go.wait(30)
        sock.sendall(data[40:])

    with socket.create_server(("127.0.0.1", 0)) as s:
        thread = threading.Thread(target=play, args=(s,), daemon=True)
        thread.start()
        q = qcc({**CALM, "upstream": {"ca_file": str(pem[0])},
                 "endpoints": [{"name": "tls", "base_url": "https://127.0.0.1:%d" % s.getsockname()[1],
                                "api_key": "sk-0123456789"}]})
        c = client(q)
        c.send(ask())
        time.sleep(0.3)
        try:
            with Timer() as t:
                assert client(q).ask(path="/api/event_logging/batch").status == 200
            assert t.s < 2
        finally:
            go.set()
        assert c.reply().status == 200
        thread.join(10)


def test_head_in_two_tls_records_of_one_piece(qcc, upstream, pem):
    q = qcc({**CALM, "endpoints": [upstream.endpoint("/good")], "limits": {"header_timeout": "3s"}}, start=False)
    q.configure(listen(q, pem))
    q.start()
    with socket.create_connection(("127.0.0.1", q.port), timeout=20) as s:
        t = Tls(s, client_context(pem))
        data = ask()
        s.sendall(t.records(data[:20]) + t.records(data[20:]))
        assert t.until(b"\r\n").startswith(b"HTTP/1.1 200 ")


def test_bad_chunk_behind_an_error_event(qcc, raw, client):
    broken = STREAM_HEAD + chunk(event("error", error={"type": "api_error", "message": "no"})) + b"zz\r\n"
    bad, good = raw(broken), raw(STREAM)
    q = qcc({**CALM, "balance": {"strategy": "priority_failover"}, "retry": {"max_attempts_per_endpoint": 1},
             "endpoints": [bad.endpoint("bad"), good.endpoint("good", priority=2)]})
    c = client(q)
    for _ in range(3):
        r = c.ask(stream=True)
        assert (r.status, r.header("x-qcc-endpoint")) == (200, "good")


def test_our_token_in_both_headers_goes_nowhere(qcc, raw, client):
    up = raw(reply())
    token = "t-0123456789"
    q = qcc({**CALM, "clients": [{"name": "alice", "token": token}], "endpoints": [up.endpoint(api_key=None)]})
    c = client(q)
    for headers in (["x-api-key: " + token, "authorization: Bearer " + token],
                    ["authorization: Bearer " + token, "x-api-key: " + token],
                    ["x-api-key: " + token, "X-Api-Key: " + token]):
        assert c.ask(headers=headers).status == 200
        assert token not in up.requests[-1].head.decode()
    # what is not ours goes on
    assert c.ask(headers=["x-api-key: " + token, "authorization: Bearer theirs"]).status == 200
    assert up.requests[-1].header("authorization") == "Bearer theirs"


def test_large_request_behind_a_chunked_one(qcc, raw, client):
    up = raw(reply())
    q = qcc({**CALM, "endpoints": [up.endpoint()]})
    body = json.dumps({"model": "m", "x": "y" * (4 << 20)}).encode()
    c = client(q)
    head = request("POST", "/v1/messages", ["transfer-encoding: chunked"])
    q_worker = q.children()[0]
    os.kill(q_worker, signal.SIGSTOP)
    t = threading.Thread(target=lambda: c.send(head + chunk(body) + LAST_CHUNK + ask(body)), daemon=True)
    t.start()
    time.sleep(0.3)
    os.kill(q_worker, signal.SIGCONT)
    assert c.reply().status == 200
    assert c.reply().status == 200
    assert [len(r.body) for r in up.requests] == [len(body)] * 2


def test_pause_before_another_round(qcc, raw, client):
    a, b = raw(error(503)), raw(error(503))
    q = qcc({**CALM, "retry": {"transient_delay": "400ms", "max_attempts": 6, "max_attempts_per_endpoint": 6},
             "balance": {"strategy": "priority_failover"},
             "endpoints": [a.endpoint("a"), b.endpoint("b", priority=2)]})
    with Timer() as t:
        r = client(q).ask()
    assert (r.status, r.header("x-qcc-attempts")) == (503, "6")
    assert t.s > 4 * 0.75 * 0.4  # only the step from one endpoint to the other is taken at once


def test_tls_connection_of_the_warm_up_is_used(qcc, raw, client, pem):
    up = raw(reply(), tls=server_context(pem))
    q = qcc({**CALM, "upstream": {"ca_file": str(pem[0]), "warm_up": True}, "endpoints": [up.endpoint()]})
    until(lambda: up.peers, "the warm-up")
    time.sleep(0.3)
    assert client(q).ask().status == 200
    assert len(up.peers) == 1


@pytest.mark.parametrize("first", ["client", "endpoint"])
def test_unasked_reply_on_an_idle_connection(qcc, raw, client, first):
    up = raw(reply())
    q = qcc({**CALM, "endpoints": [up.endpoint()]})
    c = client(q)
    assert c.ask().status == 200
    worker = q.children()[0]
    os.kill(worker, signal.SIGSTOP)
    # it may still run for a moment, and take the question before the endpoint has said anything
    until(lambda: pathlib.Path("/proc/%d/stat" % worker).read_text().rpartition(")")[2].split()[0] == "T", "it to stop")
    if first == "client":
        c.send(ask())
    up.peers[0].send(reply(b'{"not": "yours"}'))
    if first != "client":
        time.sleep(0.05)
        c.send(ask())
    time.sleep(0.05)
    os.kill(worker, signal.SIGCONT)
    r = c.reply()
    assert (r.status, r.body) == (200, MESSAGE)


def test_dials_that_wait_for_their_turn_wait_no_longer_than_a_dial(qcc, client):
    with socket.socket() as hole:  # its queue is full: further SYNs are not answered
        hole.bind(("127.0.0.1", 0))
        hole.listen(0)
        fill = [socket.socket() for _ in range(3)]
        for s in fill:
            s.setblocking(False)
            s.connect_ex(hole.getsockname())
        q = qcc({**CALM, "upstream": {"connect_timeout": "1s", "pool": {"max_connections": 1000}},
                 "retry": {"max_attempts": 1},
                 "endpoints": [{"name": "hole", "base_url": "http://127.0.0.1:%d" % hole.getsockname()[1],
                                "api_key": "sk-0123456789"}]})
        clients = [client(q) for _ in range(640)]
        with Timer() as t:
            for c in clients:
                c.send(ask())
            assert {c.reply().status for c in clients} == {504}
        assert t.s < 6
        for s in fill:
            s.close()


def test_no_descriptor_left_is_not_the_endpoints_fault(qcc, upstream, client):
    q = qcc({**CALM, "limits": {"header_timeout": "60s"}, "endpoints": [upstream.endpoint("/good")]}, start=False)
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


def test_error_that_drips_is_taken_as_it_is(qcc, raw, client):
    def drip(peer, request):
        peer.send(b"HTTP/1.1 500 X\r\ncontent-type: text/plain\r\ncontent-length: 1000\r\n\r\n")
        for _ in range(1000):
            peer.send(b"x")
            time.sleep(0.1)

    bad, good = raw(drip), raw(reply())
    q = qcc({**CALM, "upstream": {"idle_timeout": "1s"}, "retry": {"max_attempts_per_endpoint": 1},
             "balance": {"strategy": "priority_failover"},
             "endpoints": [bad.endpoint("bad"), good.endpoint("good", priority=2)]})
    r = client(q).ask()
    assert (r.status, r.header("x-qcc-endpoint")) == (200, "good")


def test_limits_of_a_reload_hold_for_open_connections(qcc, raw, client):
    up = raw(reply())
    q = qcc({**CALM, "limits": {"max_header_bytes": "1KiB"}, "endpoints": [up.endpoint()]})
    c = client(q)
    assert c.ask().status == 200
    q.reload({"limits": {"max_header_bytes": "1MiB"}})
    assert c.ask(headers=["x-%d: %s" % (i, "y" * 10000) for i in range(50)]).status == 200


def test_coded_stream_behind_pings(qcc, raw, client):
    def late(peer, request):
        time.sleep(0.6)
        peer.send(STREAM_HEAD.replace(b"\r\n\r\n", b"\r\ncontent-encoding: gzip\r\n\r\n") + chunk(b"\x1f\x8bnot for you") + LAST_CHUNK)

    up = raw(late)
    q = qcc({**CALM, "stream_ping": "200ms", "endpoints": [up.endpoint()]})
    r = client(q).ask(stream=True)
    assert r.status == 200 and b"not for you" not in r.body
    assert b"event: error\n" in r.body


def test_client_that_leaves_behind_a_long_pipeline(qcc, upstream, client):
    q = qcc({**CALM, "endpoints": [upstream.endpoint("/s/hang")]})
    c = client(q)
    c.send(ask() + ask() * 2000)
    until(lambda: any(s["open"] for s in upstream.stats()["sites"].values()) if isinstance(upstream.stats()["sites"], dict)
          else any(s["open"] for s in upstream.stats()["sites"]), "the request")
    time.sleep(0.3)
    c.close()
    q.wait_log("end=\"client gone\"", timeout=5)


@pytest.mark.parametrize("size", range(1046000, 1048600, 400))
def test_reply_head_that_fills_the_notes(qcc, raw, client, size):
    head = b"HTTP/1.1 400 X\r\ncontent-length: 2\r\nx: "
    up = raw(head + b"y" * (size - len(head) - 4) + b"\r\n\r\n{}")
    good = raw(reply())
    q = qcc({**CALM, "upstream": {"max_response_header_bytes": "1MiB"}, "balance": {"strategy": "priority_failover"},
             "endpoints": [up.endpoint("bad"), good.endpoint("good", priority=2)]})
    assert client(q).ask().status in (200, 400, 502, 503)


def test_operators_are_served_in_a_crowd(qcc, upstream, client):
    q = qcc({**CALM, "limits": {"max_connections": 5}, "endpoints": [upstream.endpoint("/s/hang")]})
    crowd = [client(q) for _ in range(10)]
    for c in crowd:
        c.send(ask())
    until(lambda: q.get("/healthz", port=q.admin_port)[0] == 200, "an answer", timeout=5)
    until(lambda: json.loads(q.get("/api/v1/status", port=q.admin_port)[1])["workers"][0]["connections"] >= 5, "the crowd")
