"""TLS on listeners."""
import contextlib
import json
import os
import signal
import socket
import ssl
import threading
import time

import pytest

from authority import CALM, authority, trusting
from client import BODY, Timer, ask, events
from qcc import until
from tls_records import Tls, client_context, listen, pem
from upstream import BLOCK, EVENTS, MESSAGE, START, STREAM_HEAD, chunk, delta, reply


@pytest.fixture
def listening(qcc, raw, authority):
    """listening(play): an instance with a TLS listener; (qcc, endpoint)."""

    def make(play=None, config=None, cert=None):
        up = raw(play or reply())
        cert = cert or authority.good
        q = qcc({**CALM, "endpoints": [up.endpoint()], **(config or {})}, start=False)
        q.configure({"listen": [{"address": "127.0.0.1:%d" % q.port, "tls": {"certificate": cert[0], "private_key": cert[1]}}]})
        return q.start(), up

    return make


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_listener(listening, client, trusting, version):
    q, _ = listening()
    trusting.minimum_version = trusting.maximum_version = version
    trusting.set_alpn_protocols(["h2", "http/1.1"])
    c = client(q, tls=trusting, server_hostname="localhost")
    assert c.sock.selected_alpn_protocol() == "http/1.1"
    for _ in range(3):
        assert c.ask().body == MESSAGE


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_old_versions_are_refused(listening, client):
    q, _ = listening()
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.minimum_version = ssl.TLSVersion.TLSv1
    old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises(ssl.SSLError):
        client(q, tls=old)


def test_large_and_pipelined(listening, client, trusting):
    q, up = listening()
    c = client(q, tls=trusting, server_hostname="localhost")
    bodies = [json.dumps({**BODY, "pad": "x" * n}).encode() for n in (0, 100_000, 3, 2_000_000)]
    c.send(b"".join(map(ask, bodies)))
    for _ in bodies:
        assert c.reply().status == 200
    assert [r.body for r in up.requests] == bodies


def test_events_at_once(listening, client, trusting):
    """A record for each, none held back."""
    go = threading.Semaphore(0)

    def play(peer, _):
        peer.send(STREAM_HEAD + chunk(START + BLOCK))
        for i in range(50):
            go.acquire(timeout=30)
            peer.send(chunk(delta(str(i))))
        peer.close()

    q, _ = listening(play)
    c = client(q, tls=trusting, server_hostname="localhost")
    c.send(ask(stream=True))
    c.head()
    assert c.chunk() == START + BLOCK
    for i in range(50):
        go.release()
        assert c.chunk() == delta(str(i))
    assert events(b"".join(iter(c.chunk, b"")))[-1][0] == "error"


def test_slow_reader(listening, client, trusting):
    """Back-pressure through TLS, and complete in the end."""
    count, sent = 4000, [0]

    def play(peer, _):
        peer.send(STREAM_HEAD + chunk(START + BLOCK))
        for _ in range(count):
            peer.send(chunk(delta("x" * 8000)))
            sent[0] += 1
        peer.send(chunk(b"".join(EVENTS[4:])) + b"0\r\n\r\n")

    q, _ = listening(play)
    c = client(q, tls=trusting, server_hostname="localhost", rcvbuf=8192)
    c.send(ask(stream=True))
    c.head()
    last = [-1, 0]

    def stalled():
        if sent[0] != last[0]:
            last[:] = sent[0], time.monotonic()
        return time.monotonic() - last[1] > 0.3

    until(stalled, "the endpoint to stand still")
    assert 0 < sent[0] < count
    assert sum(map(len, iter(c.chunk, b""))) == len(START + BLOCK) + count * len(delta("x" * 8000)) + len(b"".join(EVENTS[4:]))


def test_leaving(listening, client, trusting):
    q, up = listening(lambda peer, _: peer.wait_gone())
    c = client(q, tls=trusting, server_hostname="localhost")
    c.send(ask())
    up.wait_requests(1)
    with Timer() as t:
        c.close()
        until(lambda: up.peers[0].closed_at, "the exchange to end")
    assert t.s < 1


LONG = b'{"type":"message","x":"' + b"x" * 5000 + b'"}'


def test_cut_is_no_clean_end(listening, client, trusting):
    """Where the end of the connection is the end of the reply, a cut one has no close_notify."""
    go = []

    def play(peer, _):
        peer.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + chunk(LONG))
        until(lambda: go)
        peer.close()

    q, _ = listening(play, {"retry": {"hold_reply": "1KiB"}})
    c = client(q, tls=trusting, server_hostname="localhost")
    c.send(ask(version="1.0"))
    c.head()
    c.take(len(LONG))
    go.append(1)
    with pytest.raises((ssl.SSLEOFError, ConnectionResetError)):
        c.rest()


def test_whole_reply_is_a_clean_end(listening, client, trusting):
    q, _ = listening(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + chunk(LONG) + b"0\r\n\r\n",
                     {"retry": {"hold_reply": "1KiB"}})
    c = client(q, tls=trusting, server_hostname="localhost")
    c.send(ask(version="1.0"))
    assert c.reply().body == LONG


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", b"\x16\x03\x01\xff\xff" + b"\0" * 70000, b"\x80\x2e\x01", bytes(range(256))],
                         ids=["HTTP", "long record", "old hello", "binary"])
def test_what_is_no_tls(listening, client, trusting, data):
    q, up = listening()
    c = client(q)
    with contextlib.suppress(ConnectionError):
        c.send(data)
        c.half_close()
    assert b"HTTP" not in bytes(c.buf) and until(lambda: closed(c), "the end")
    assert client(q, tls=trusting, server_hostname="localhost").ask().status == 200


def closed(c):
    with contextlib.suppress(ConnectionError):
        c.rest()
    return True


def test_slow_handshake(listening, client):
    q, _ = listening(config={"limits": {"header_timeout": "150ms"}})
    c = client(q)
    c.send(b"\x16\x03\x01")
    assert c.closed(5)


def seen(q):
    """The certificate that a new client is shown."""
    return ssl.get_server_certificate(("127.0.0.1", q.port))


def test_reload_of_certificates(listening, client, trusting, authority, tmp_path):
    """In the same files: new connections get the new one, old ones go on."""
    paths = tmp_path / "c.pem", tmp_path / "k.pem"

    def put(cert):
        for to, of in zip(paths, cert):
            to.write_text(open(of).read())
            to.chmod(0o600)

    put(authority.good)
    q, _ = listening(cert=tuple(map(str, paths)))
    c = client(q, tls=trusting, server_hostname="localhost")
    assert c.ask().status == 200
    assert seen(q) == open(authority.good[0]).read()
    new = authority.make("renewed")
    put(new)
    q.reload()
    until(lambda: seen(q) == open(new[0]).read(), "the new certificate")
    assert c.ask().status == 200
    assert client(q, tls=trusting, server_hostname="localhost").ask().status == 200


@pytest.mark.parametrize("what", ["garbage", "other key", "missing"])
def test_bad_certificate_on_reload(listening, client, trusting, authority, tmp_path, what):
    """Refused as a whole: the old one stays."""
    paths = tmp_path / "c.pem", tmp_path / "k.pem"
    for to, of in zip(paths, authority.good):
        to.write_text(open(of).read())
        to.chmod(0o600)
    q, _ = listening(cert=tuple(map(str, paths)))
    if what == "garbage":
        paths[0].write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    elif what == "other key":
        paths[1].write_text(open(authority.make("other")[1]).read())
    else:
        paths[0].unlink()
    q.reload(wait="refused")
    assert client(q, tls=trusting, server_hostname="localhost").ask().status == 200
    assert seen(q) == open(authority.good[0]).read()


@pytest.mark.parametrize("what", ["garbage", "other key", "missing"])
def test_bad_certificate_at_the_start(qcc, authority, tmp_path, what):
    """One clear line, and exit 1."""
    cert, key = authority.good
    if what == "garbage":
        cert = str(tmp_path / "c.pem")
        open(cert, "w").write("nothing\n")
    elif what == "other key":
        key = authority.make("other2")[1]
    else:
        cert = str(tmp_path / "none.pem")
    q = qcc(start=False)
    q.configure({"listen": [{"address": "127.0.0.1:%d" % q.port, "tls": {"certificate": cert, "private_key": key}}]})
    q.start(wait=False)
    assert q.wait(20) == 1
    lines = [line for line in q.log().splitlines() if "certificate" in line or "none.pem" in line]
    assert lines and len([line for line in lines if " debug " not in line]) <= 2


def test_head_in_two_tls_records_of_one_piece(qcc, upstream, pem):
    q = qcc({**CALM, "endpoints": [upstream.endpoint("/good")], "limits": {"header_timeout": "3s"}}, start=False)
    q.configure(listen(q, pem))
    q.start()
    with socket.create_connection(("127.0.0.1", q.port), timeout=20) as s:
        t = Tls(s, client_context(pem))
        data = ask()
        s.sendall(t.records(data[:20]) + t.records(data[20:]))
        assert t.until(b"\r\n").startswith(b"HTTP/1.1 200 ")


def test_plain_http_to_the_tls_port(listening, client, trusting):
    """The sentence of nginx, and others are served on."""
    q, up = listening()
    c = client(q)
    c.send(ask())
    r = c.reply()
    assert r.status == 400 and r.error["message"].startswith("The plain HTTP request was sent to HTTPS port")
    assert r.error["type"] == "invalid_request_error" and c.closed(5) and not up.requests
    assert client(q, tls=trusting, server_hostname="localhost").ask().body == MESSAGE


def session_of(q, trusting, session=None):
    """A request on a new connection; (whether the session was resumed, the connection's own)."""
    with socket.create_connection(("127.0.0.1", q.port), 10) as plain:
        with trusting.wrap_socket(plain, server_hostname="localhost", session=session) as s:
            s.sendall(ask())
            data = b""
            while MESSAGE not in data:  # with it come the tickets of TLS 1.3
                more = s.recv(65536)
                assert more, data
                data += more
            return s.session_reused, s.session


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_session_is_resumed_by_another_worker(listening, trusting, version):
    q, _ = listening(config={"workers": 1})
    trusting.minimum_version = trusting.maximum_version = version
    resumed, session = session_of(q, trusting)
    assert not resumed and session_of(q, trusting, session)[0]
    old = q.wait_workers(1)
    os.kill(old[0], signal.SIGKILL)
    until(lambda: q.children() and q.children() != old, "another worker")
    assert session_of(q, trusting, session)[0]


def test_session_of_another_certificate_is_not_resumed(listening, trusting, authority):
    q, _ = listening(config={"workers": 1})
    session = session_of(q, trusting)[1]
    assert session_of(q, trusting, session)[0]
    cert = authority.make("other")
    q.reload({"listen": [{"address": "127.0.0.1:%d" % q.port, "tls": {"certificate": cert[0], "private_key": cert[1]}}]})
    assert not session_of(q, trusting, session)[0]
