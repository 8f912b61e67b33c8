"""TLS to endpoints."""
import contextlib
import json
import socket
import ssl
import threading
import time

import pytest

from authority import Authority, CALM, authority, openssl, server, trusting
from client import Timer, ask
from qcc import until
from tls_records import Tls, pem, server_context
from upstream import EVENTS, MESSAGE, STREAM, reply


@pytest.fixture
def behind(qcc, raw, authority):
    """behind(play, cert=...): an instance in front of an https endpoint; (qcc, endpoint)."""

    def make(play=None, config=None, cert=None, tls=None, host=None, ca=True, **more):
        up = raw(play or reply(), tls=tls or server(cert or authority.good))
        url = {"base_url": "https://%s:%d" % (host, up.port)} if host else {}
        up_conf = {"connect_timeout": "5s", **({"ca_file": authority.ca} if ca else {})}
        q = qcc({**CALM, "endpoints": [{**up.endpoint(), **url, **more}], "upstream": {**up_conf, **(config or {}).pop("upstream", {})},
                 **(config or {})})
        return q, up

    return make


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_endpoint(behind, client, authority, host):
    names = []
    tls = server(authority.good)
    tls.sni_callback = lambda sock, name, ctx: names.append(name)
    tls.set_alpn_protocols(["h2", "http/1.1"])
    q, up = behind(tls=tls, host=host)
    for _ in range(3):
        assert client(q).ask().body == MESSAGE
    assert len(up.peers) == 1
    assert names == [host if host == "localhost" else None]
    assert up.peers[0].sock.selected_alpn_protocol() == "http/1.1"
    assert up.requests[0].header("host") == "%s:%d" % (host, up.port)


def test_session_is_resumed(behind, client):
    q, up = behind(reply(headers=["connection: close"]))
    resumed = []
    up.play = lambda peer, _: (resumed.append(peer.sock.session_reused), peer.send(reply(headers=["connection: close"])))
    for _ in range(3):
        assert client(q).ask().status == 200
    assert resumed == [False, True, True]


def test_large_both_ways(behind, client):
    body = json.dumps({"type": "message", "content": "y" * 3_000_000}).encode()
    q, up = behind(reply(body))
    r = client(q).ask(pad="x" * 3_000_000)
    assert r.body == body and len(up.requests[0].body) > 3_000_000


def test_stream_of_a_tls_endpoint(behind, client):
    q, up = behind(STREAM)
    c = client(q)
    for _ in range(3):
        assert c.ask(stream=True).body == b"".join(EVENTS)
    assert len(up.peers) == 1


REFUSED = {
    "other CA": (lambda a, tmp: Authority(tmp / "other", "Other CA").make("x"), "unknown issuer: Other CA"),
    "other name": (lambda a, tmp: a.make("wrong", "DNS:example.org,IP:127.0.0.2"), "name does not match: it is for example.org, 127.0.0.2"),
    "many names": (lambda a, tmp: a.make("many", ",".join("DNS:host-%d.example.org" % i for i in range(1000))),
                   "name does not match: it is for host-0.example.org, host-1.example.org, host-2.example.org and 997 more"),
    "odd name": (lambda a, tmp: a.make("odd", "DNS:" + "x" * 3000), "name does not match: it is for " + "x" * 48),
    "expired": (lambda a, tmp: a.make("expired", days="-1"), r"expired on 20\d\d-\d\d-\d\d \d\d:\d\d UTC"),
    "not yet valid": (lambda a, tmp: not_yet(a), r"not yet valid, before 2090-01-01 00:00 UTC"),
    "self-signed": (lambda a, tmp: self_signed(tmp), "self-signed"),
}


def not_yet(a):
    a.make("early")
    (a.folder / "index.txt").write_text("")
    (a.folder / "ca.conf").write_text("[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\nserial=ca.srl\nnew_certs_dir=.\ndefault_md=sha256\npolicy=p\n"
                                      "[p]\ncommonName=supplied\n")
    openssl(a.folder, "ca", "-batch", "-config", "ca.conf", "-cert", "ca.pem", "-keyfile", "ca.key", "-in", "early.csr", "-out", "early.pem",
            "-startdate", "20900101000000Z", "-enddate", "20950101000000Z", "-extfile", "early.ext", "-notext")
    return str(a.folder / "early.pem"), str(a.folder / "early.key")


def self_signed(folder):
    openssl(folder, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "s.key", "-out", "s.pem",
            "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1")
    return str(folder / "s.pem"), str(folder / "s.key")


@pytest.mark.parametrize("why", REFUSED)
def test_certificate_that_is_not_accepted(behind, client, authority, tmp_path, why):
    """No byte of the request reaches it. What is wrong stands in the log and in what operators ask."""
    make, text = REFUSED[why]
    q, up = behind(cert=make(authority, tmp_path))
    r = client(q).ask()
    assert r.status == 502 and "certificate not accepted" in r.error["message"]
    assert not up.requests
    told = "certificate not accepted: %s (127.0.0.1)" % text
    q.wait_log(told.replace("(", "\\(").replace(")", "\\)"))
    attempt = json.loads(q.get("/api/v1/requests", q.admin_port)[1])["requests"][0]["attempts"][0]
    assert text[:12] in attempt["reason"], attempt


def test_alert_is_named(behind, client, authority):
    """The endpoint wants a newer protocol, or a certificate of the client."""
    tls = server(authority.good)
    tls.verify_mode = ssl.CERT_REQUIRED
    tls.load_verify_locations(authority.ca)
    tls.maximum_version = ssl.TLSVersion.TLSv1_2  # so that the alert comes within the handshake
    q, up = behind(tls=tls)
    r = client(q).ask()
    assert r.status == 502 and "TLS handshake failed" in r.error["message"]
    assert 'TLS handshake failed: the other side sent the alert "handshake failure" (127.0.0.1)' in q.log()


def test_unknown_ca_by_default(behind, client):
    """Without ca_file the system's are trusted."""
    q, up = behind(ca=False)
    assert "certificate not accepted" in client(q).ask().error["message"]


def test_bad_certificate_goes_on_to_the_next(qcc, raw, client, authority, tmp_path):
    bad = raw(reply(), tls=server(self_signed(tmp_path)))
    good = raw(reply(), tls=server(authority.good))
    q = qcc({**CALM, "endpoints": [bad.endpoint("bad"), good.endpoint("good", priority=2)], "upstream": {"ca_file": authority.ca}})
    assert client(q).ask().header("x-qcc-endpoint") == "good"


def test_endpoint_that_speaks_no_tls(qcc, client, authority):
    """It answers the hello in plain HTTP."""
    with socket.create_server(("127.0.0.1", 0)) as s:

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    c, _ = s.accept()
                    c.recv(1000)
                    c.sendall(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
                    c.close()

        threading.Thread(target=serve, daemon=True).start()
        q = qcc({**CALM, "endpoints": [{"name": "plain", "base_url": "https://127.0.0.1:%d" % s.getsockname()[1]}],
                 "upstream": {"ca_file": authority.ca}})
        r = client(q).ask()
        s.shutdown(socket.SHUT_RDWR)
    assert r.status == 502 and "TLS handshake failed" in r.error["message"]
    assert "TLS handshake failed: the other side does not speak TLS: http:// instead of https://? (127.0.0.1)" in q.log()


def test_handshake_that_hangs(qcc, client, authority):
    with socket.create_server(("127.0.0.1", 0)) as s:
        q = qcc({**CALM, "endpoints": [{"name": "mute", "base_url": "https://127.0.0.1:%d" % s.getsockname()[1]}],
                 "upstream": {"ca_file": authority.ca, "connect_timeout": "200ms"}})
        r = client(q).ask()
    assert r.status == 504 and "connect timeout" in r.error["message"]


def test_leaving_in_the_handshake(qcc, client, authority):
    with socket.create_server(("127.0.0.1", 0)) as s:
        q = qcc({**CALM, "endpoints": [{"name": "mute", "base_url": "https://127.0.0.1:%d" % s.getsockname()[1]}],
                 "upstream": {"ca_file": authority.ca}})
        c = client(q)
        c.send(ask())
        peer, _ = s.accept()
        peer.settimeout(5)
        assert peer.recv(5000)
        with Timer() as t:
            c.close()
            while peer.recv(5000):
                pass
        assert t.s < 1
        peer.close()


@pytest.mark.parametrize("clean", [True, False])
def test_reply_until_close(behind, client, clean):
    """Without close_notify nobody knows whether it was all: cut by somebody on the way."""

    def play(peer, _):
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n" + MESSAGE)
        if clean:
            with contextlib.suppress(OSError):
                peer.sock.unwrap()
        peer.close()

    q, up = behind(play)
    r = client(q).ask()
    if clean:
        assert r.status == 200 and r.body == MESSAGE
    else:
        assert r.status == 502 and "reply cut off" in r.error["message"]


def test_tls_on_both_sides(qcc, raw, client, authority, trusting):
    up = raw(STREAM, tls=server(authority.good))
    q = qcc({**CALM, "endpoints": [up.endpoint()], "upstream": {"ca_file": authority.ca}}, start=False)
    q.configure({"listen": [{"address": "127.0.0.1:%d" % q.port, "tls": dict(zip(("certificate", "private_key"), authority.good))}]})
    q.start()
    c = client(q, tls=trusting, server_hostname="localhost")
    for _ in range(5):
        assert c.ask(stream=True, pad="x" * 100_000).body == b"".join(EVENTS)
    assert len(up.peers) == 1


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


def test_tls_connection_of_the_warm_up_is_used(qcc, raw, client, pem):
    up = raw(reply(), tls=server_context(pem))
    q = qcc({**CALM, "upstream": {"ca_file": str(pem[0]), "warm_up": True}, "endpoints": [up.endpoint()]})
    until(lambda: up.peers, "the warm-up")
    time.sleep(0.3)
    assert client(q).ask().status == 200
    assert len(up.peers) == 1
