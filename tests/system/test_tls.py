"""TLS on both sides, and the ways out through HTTP and SOCKS proxies."""
import base64
import contextlib
import json
import socket
import ssl
import struct
import subprocess
import threading
import time

import pytest

from client import BODY, Timer, ask, events
from qcc import free_port, until
from upstream import BLOCK, EVENTS, MESSAGE, START, STREAM, STREAM_HEAD, chunk, delta, reply

CALM = {
    "workers": 1,
    "retry": {"transient_delay": "1ms"},
    "breaker": {"failure_threshold": 1000},
    "health": {"degraded_for": "0s"},
    "failure_queue": {"probe": "off"},
    "balance": {"strategy": "priority_failover"},
}


# ---- certificates

def openssl(folder, *args):
    subprocess.run(["openssl", *args], cwd=folder, check=True, stdin=subprocess.DEVNULL,
                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


class Authority:
    """A CA of our own: ca.pem, and NAME.pem with NAME.key for each certificate made."""

    def __init__(self, folder, name="Test CA"):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        openssl(folder, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key",
                "-out", "ca.pem", "-days", "2", "-subj", "/CN=" + name)
        self.ca = str(folder / "ca.pem")

    def make(self, name, names="DNS:localhost,IP:127.0.0.1", days="2"):
        """(certificate, key): paths."""
        f = self.folder
        (f / (name + ".ext")).write_text("subjectAltName=%s\nbasicConstraints=CA:FALSE\n" % names)
        openssl(f, "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", name + ".key",
                "-out", name + ".csr", "-subj", "/CN=" + name)
        openssl(f, "x509", "-req", "-in", name + ".csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", days,
                "-extfile", name + ".ext", "-out", name + ".pem")
        (f / (name + ".key")).chmod(0o600)
        return str(f / (name + ".pem")), str(f / (name + ".key"))


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    a = Authority(tmp_path_factory.mktemp("ca"))
    a.good = a.make("good")
    return a


@pytest.fixture
def trusting(authority):
    """A client's context that trusts our CA."""
    return ssl.create_default_context(cafile=authority.ca)


def server(cert):
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    c.load_cert_chain(*cert)
    return c


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


# ---- listeners

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


def test_cut_is_no_clean_end(listening, client, trusting):
    """Where the end of the connection is the end of the reply, a cut one has no close_notify."""
    go = []

    def play(peer, _):
        peer.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + chunk(b"x" * 5000))
        until(lambda: go)
        peer.close()

    q, _ = listening(play, {"retry": {"hold_reply": "1KiB"}})
    c = client(q, tls=trusting, server_hostname="localhost")
    c.send(ask(version="1.0"))
    c.head()
    c.take(5000)
    go.append(1)
    with pytest.raises((ssl.SSLEOFError, ConnectionResetError)):
        c.rest()


def test_whole_reply_is_a_clean_end(listening, client, trusting):
    q, _ = listening(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + chunk(b"x" * 5000) + b"0\r\n\r\n",
                     {"retry": {"hold_reply": "1KiB"}})
    c = client(q, tls=trusting, server_hostname="localhost")
    c.send(ask(version="1.0"))
    assert c.reply().body == b"x" * 5000


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


# ---- endpoints

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
    "other CA": lambda a, tmp: Authority(tmp / "other", "Other CA").make("x"),
    "other name": lambda a, tmp: a.make("wrong", "DNS:example.org,IP:127.0.0.2"),
    "expired": lambda a, tmp: a.make("expired", days="-1"),
    "self-signed": lambda a, tmp: self_signed(tmp),
}


def self_signed(folder):
    openssl(folder, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "s.key", "-out", "s.pem",
            "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1")
    return str(folder / "s.pem"), str(folder / "s.key")


@pytest.mark.parametrize("why", REFUSED)
def test_certificate_that_is_not_accepted(behind, client, authority, tmp_path, why):
    """No byte of the request reaches it."""
    q, up = behind(cert=REFUSED[why](authority, tmp_path))
    r = client(q).ask()
    assert r.status == 502 and "certificate not accepted" in r.error["message"]
    assert not up.requests


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


# ---- proxies

class Proxy:
    """A proxy that remembers what it was asked, and forwards to one port."""

    def __init__(self, to, answer=b"HTTP/1.1 200 Connected\r\n\r\n", user=None, socks=False):
        self.to, self.answer, self.user, self.socks = to, answer, user, socks
        self.asked, self.seen = [], b""
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                s, _ = self.listener.accept()
                threading.Thread(target=self.serve, args=(s,), daemon=True).start()

    def serve(self, s):
        with contextlib.suppress(OSError, struct.error, IndexError), s:
            good = self.serve_socks(s) if self.socks else self.serve_http(s)
            if not good:
                return
            with socket.create_connection(("127.0.0.1", self.to)) as up:
                back = threading.Thread(target=self.pipe, args=(up, s), daemon=True)
                back.start()
                self.pipe(s, up, True)
                back.join(10)

    def pipe(self, of, to, watch=False):
        with contextlib.suppress(OSError):
            while data := of.recv(65536):
                if watch:
                    self.seen += data
                to.sendall(data)
        with contextlib.suppress(OSError):
            to.shutdown(socket.SHUT_WR)

    def serve_http(self, s):
        head = b""
        while b"\r\n\r\n" not in head:
            data = s.recv(1)
            if not data:
                return False
            head += data
        self.asked.append(head.decode())
        if self.answer is None:
            s.recv(1)  # nothing, until the other side gives up
            return False
        s.sendall(self.answer)
        return b" 200 " in self.answer

    def serve_socks(self, s):
        def take(n):
            out = b""
            while len(out) < n:
                data = s.recv(n - len(out))
                if not data:
                    raise OSError
                out += data
            return out

        methods = take(take(2)[1])
        if self.user:
            assert 2 in methods
            s.sendall(b"\x05\x02")
            name = take(take(2)[1])
            password = take(take(1)[0])
            good = (name + b":" + password).decode() == self.user
            s.sendall(b"\x01\x00" if good else b"\x01\x01")
            if not good:
                return False
        else:
            s.sendall(b"\x05\x00")
        kind = take(4)[3]
        host = socket.inet_ntoa(take(4)) if kind == 1 else take(take(1)[0]).decode() if kind == 3 else socket.inet_ntop(socket.AF_INET6, take(16))
        port = struct.unpack("!H", take(2))[0]
        self.asked.append("%s:%d" % (host, port))
        s.sendall(b"\x05" + self.answer + b"\x00\x01\0\0\0\0\0\0")
        return self.answer == b"\x00"

    def close(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


@pytest.fixture
def proxy():
    made = []

    def make(*args, **kw):
        made.append(Proxy(*args, **kw))
        return made[-1]

    yield make
    for p in made:
        p.close()


def test_http_proxy(qcc, raw, client, proxy):
    """A tunnel, also for http: the proxy sees the endpoint's name only in CONNECT."""
    up = raw(reply())
    p = proxy(up.port)
    q = qcc({**CALM, "endpoints": [{**up.endpoint(), "base_url": "http://api.example:80"}], "upstream": {"proxy": "http://127.0.0.1:%d" % p.port}})
    for _ in range(2):
        assert client(q).ask().body == MESSAGE
    assert len(p.asked) == 1 and p.asked[0].startswith("CONNECT api.example:80 HTTP/1.1\r\n")
    assert "sk-" not in p.asked[0]
    assert up.requests[0].header("host") == "api.example" and up.requests[0].target == "/v1/messages"


def test_https_through_an_http_proxy(qcc, raw, client, proxy, authority):
    """Encrypted from end to end, and the name is checked."""
    up = raw(reply(), tls=server(authority.make("api", "DNS:api.example")))
    p = proxy(up.port)
    q = qcc({**CALM, "endpoints": [{**up.endpoint(), "base_url": "https://api.example"}],
             "upstream": {"proxy": "http://127.0.0.1:%d" % p.port, "ca_file": authority.ca}})
    assert client(q).ask().body == MESSAGE
    assert p.asked[0].startswith("CONNECT api.example:443 ") and b"POST" not in p.seen


def test_credentials_of_a_proxy(qcc, raw, client, proxy):
    up = raw(reply())
    p = proxy(up.port)
    q = qcc({**CALM, "endpoints": [up.endpoint()], "upstream": {"proxy": "http://me:pass-word@127.0.0.1:%d" % p.port}})
    assert client(q).ask().status == 200
    assert "Proxy-Authorization: Basic %s\r\n" % base64.b64encode(b"me:pass-word").decode() in p.asked[0]
    assert up.requests[0].header("proxy-authorization") is None
    assert "pass-word" not in q.log()


@pytest.mark.parametrize("answer", [b"HTTP/1.1 407 Proxy Authentication Required\r\nproxy-authenticate: Basic\r\ncontent-length: 0\r\n\r\n",
                                    b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n", b"HTTP/1.1 502 Bad\r\n\r\nno", b"garbage\r\n\r\n", b""],
                         ids=["407", "403", "502", "garbage", "close"])
def test_proxy_that_refuses(qcc, raw, client, proxy, answer):
    """It is not the endpoint's fault, and the request reaches nobody."""
    up = raw(reply())
    p = proxy(up.port, answer=answer)
    q = qcc({**CALM, "endpoints": [up.endpoint()], "upstream": {"proxy": "http://me:pass-word@127.0.0.1:%d" % p.port}})
    r = client(q).ask()
    assert r.status == 502 and "outgoing proxy failed" in r.error["message"]
    assert not up.requests and b"sk-" not in p.seen
    assert "pass-word" not in q.log() and b"pass-word" not in r.body and b"127.0.0.1" not in r.body


def test_no_proxy_there(qcc, raw, client):
    up = raw(reply())
    q = qcc({**CALM, "endpoints": [up.endpoint()], "upstream": {"proxy": "http://127.0.0.1:%d" % free_port()}})
    assert "outgoing proxy failed" in client(q).ask().error["message"]


def test_proxy_that_hangs(qcc, raw, client, proxy):
    up = raw(reply())
    p = proxy(up.port, answer=None)
    q = qcc({**CALM, "endpoints": [up.endpoint()], "upstream": {"proxy": "http://127.0.0.1:%d" % p.port, "connect_timeout": "200ms"}})
    r = client(q).ask()
    assert r.status == 504 and "connect timeout" in r.error["message"]


@pytest.mark.parametrize("scheme,host,asked", [("socks5h", "api.example", "api.example"), ("socks5", "localhost", "127.0.0.1"),
                                               ("socks5", "127.0.0.1", "127.0.0.1")])
def test_socks_proxy(qcc, raw, client, proxy, scheme, host, asked):
    """socks5h leaves names to the proxy."""
    up = raw(reply())
    p = proxy(up.port, socks=True, answer=b"\x00")
    q = qcc({**CALM, "endpoints": [{**up.endpoint(), "base_url": "http://%s:%d" % (host, up.port)}],
             "upstream": {"proxy": "%s://127.0.0.1:%d" % (scheme, p.port)}})
    assert client(q).ask().body == MESSAGE
    assert p.asked[0] in ("%s:%d" % (asked, up.port), "::1:%d" % up.port)


@pytest.mark.parametrize("password,good", [("right", True), ("wrong", False)])
def test_credentials_of_a_socks_proxy(qcc, raw, client, proxy, password, good):
    up = raw(reply())
    p = proxy(up.port, socks=True, answer=b"\x00", user="me:right")
    q = qcc({**CALM, "endpoints": [up.endpoint()], "upstream": {"proxy": "socks5h://me:%s@127.0.0.1:%d" % (password, p.port)}})
    r = client(q).ask()
    assert r.status == (200 if good else 502)
    assert good or "outgoing proxy failed" in r.error["message"]


def test_socks_proxy_that_refuses(qcc, raw, client, proxy):
    up = raw(reply())
    p = proxy(up.port, socks=True, answer=b"\x05")
    q = qcc({**CALM, "endpoints": [up.endpoint()], "upstream": {"proxy": "socks5h://127.0.0.1:%d" % p.port}})
    assert "outgoing proxy failed" in client(q).ask().error["message"]


def test_proxy_of_one_endpoint(qcc, raw, client, proxy):
    """Its own instead of the common one, or none."""
    up, other = raw(reply()), raw(reply())
    common, own = proxy(up.port), proxy(up.port)
    q = qcc({**CALM, "endpoints": [up.endpoint("own", proxy="http://127.0.0.1:%d" % own.port, models={"allow": ["own"]}),
                                   other.endpoint("off", proxy="off", models={"allow": ["off"]}),
                                   {**up.endpoint("common", models={"allow": ["common"]}), "api_key": "sk-another"}],
             "upstream": {"proxy": "http://127.0.0.1:%d" % common.port}})
    for name in ("own", "off", "common"):
        assert client(q).ask(model=name).header("x-qcc-endpoint") == name
    assert len(own.asked) == 1 and len(common.asked) == 1


def test_environment_is_not_asked(qcc, raw, client):
    """Only the file decides."""
    up = raw(reply())
    dead = "http://127.0.0.1:%d" % free_port()
    q = qcc({**CALM, "endpoints": [up.endpoint()]}, env={name: dead for name in ("http_proxy", "https_proxy", "all_proxy", "ALL_PROXY", "HTTPS_PROXY")})
    assert client(q).ask().status == 200
