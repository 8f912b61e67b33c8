"""The admin listener: who may ask it."""
import os
import socket
import stat

import pytest

from admin import GETS, call, send
from client import request as raw_request
from qcc import PATIENCE, connectable, until


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:7861", "localhost.evil.example", "127.0.0.1.evil.example", "1.2.3.4.5"]
)
def test_a_name_of_somebody_elses_is_refused(qcc, host):
    q = qcc()
    for path in GETS:
        a = call(q, "GET", path, {"Host": host})
        assert a.status == 403 and "Host" in a.error


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST:1", "[::1]:7861", "192.168.1.2:80"])
def test_addresses_and_localhost_are_own_names(qcc, host):
    assert call(qcc(), "GET", "/api/v1/status", {"Host": host}).status == 200


def test_pages_of_other_sites_are_refused(qcc):
    q = qcc()
    own = "127.0.0.1:%d" % q.admin_port
    refused = [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "http://" + own + ".evil.example"},
        {"Origin": own},
        {"Sec-Fetch-Site": "cross-site"},
    ]
    posts = refused + [{"Sec-Fetch-Site": "same-site"}, {"Sec-Fetch-Site": "cross-site", "Origin": "http://" + own}]
    for headers in refused:
        assert call(q, "GET", "/api/v1/status", headers).status == 403, headers
    for headers in posts:
        assert call(q, "POST", "/api/v1/reload", headers).status == 403, headers
    assert q.count("reload of") == 0
    own_origin = {"Origin": "http://" + own}
    for headers in (own_origin, {**own_origin, "Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}):
        assert call(q, "GET", "/api/v1/status", headers).status == 200, headers
        assert call(q, "POST", "/api/v1/reload", headers).status == 200, headers


def test_a_link_to_the_page_may_be_followed(qcc):
    q = qcc()
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert call(q, "GET", "/", link).status == 200
    assert call(q, "GET", "/", {**link, "Sec-Fetch-Dest": "iframe"}).status == 403
    assert call(q, "GET", "/api/v1/status", link).status == 403


def test_the_targets_authority_stands_for_host(qcc, client):
    c = client(qcc().admin_port)
    c.send(raw_request("GET", "http://localhost:1/api/v1/status", host="evil.example"))
    assert c.reply().status == 200
    c.send(raw_request("GET", "http://evil.example/api/v1/status", host="localhost"))
    assert c.reply().status == 403


def test_more_than_one_origin_is_refused(qcc, client):
    q = qcc()
    c = client(q.admin_port)
    own = "origin: http://127.0.0.1"
    c.send(raw_request("POST", "/api/v1/reload", [own], b""))
    assert c.reply().status == 200
    c.send(raw_request("POST", "/api/v1/reload", [own, "origin: http://evil.example"], b""))
    assert c.reply().status == 403


def test_what_a_browser_may_do_with_a_reply(qcc, client):
    """Each reply, errors too: not kept, not guessed at, not framed, not taken in by another origin."""
    q = qcc({"admin": {"token": "swordfish-7"}, "limits": {"max_body_bytes": 1024}})
    right = {"Authorization": "Bearer swordfish-7"}
    asked = [("GET", path, right, None, 200) for path in GETS] + [
        ("GET", "/api/v1/status", {}, None, 401),
        ("GET", "/api/v1/status", {"Origin": "http://evil.example"}, None, 403),
        ("GET", "/nowhere", right, None, 404),
        ("GET", "/api/v1/reload", right, None, 405),
        ("TRACE", "/", right, None, 405),
        ("POST", "/api/v1/reload", right, b"x" * 2000, 413),
        ("POST", "/api/v1/reload", right, None, 200),
    ]
    for method, path, headers, body, status in asked:
        a = call(q, method, path, headers, body)
        assert a.status == status, (method, path, a.body)
        h = a.headers
        kept = "no-cache" if path == "/" and status == 200 else "no-store"
        assert h["cache-control"] == kept and h["x-content-type-options"] == "nosniff", path
        assert h["x-frame-options"] == "DENY" and "frame-ancestors 'none'" in h["content-security-policy"], path
        assert "default-src 'none'" in h["content-security-policy"], path
        assert ("style-src" in h["content-security-policy"]) == (kept == "no-cache"), path
        assert h["referrer-policy"] == "no-referrer" and h["cross-origin-resource-policy"] == "same-origin", path
        assert not [k for k in h if k.startswith("access-control-")], path
    c = client(q.admin_port)
    c.send(b"GET / HTTP/1.1\r\n\r\n")
    r = c.reply()
    assert r.status == 400 and r.header("cache-control") == "no-store"


def test_cors_is_not_for_the_admin_listener(qcc):
    """What may ask endpoints may not turn them off."""
    page = {"Origin": "https://app.example"}
    q = qcc({"cors": {"origins": [page["Origin"]]}, "hosts": ["*"]})
    a = call(q, "POST", "/api/v1/reload", page)
    assert a.status == 403 and "access-control-allow-origin" not in a.headers
    a = call(q, "OPTIONS", "/api/v1/reload", {**page, "Access-Control-Request-Method": "POST"})
    assert a.status == 403 and "access-control-allow-origin" not in a.headers
    assert call(q, "GET", "/api/v1/status", {"Host": "evil.example"}).status == 403


def test_the_token(qcc):
    q = qcc({"admin": {"token": "swordfish-7"}})
    assert GETS[0] == "/healthz"
    for path in GETS[1:]:
        a = call(q, "GET", path)
        if path == "/":
            assert a.status == 200, "a page behind its own token cannot ask for it"
            continue
        assert a.status == 401 and "token" in a.error
        assert a.headers["www-authenticate"].startswith("Bearer")
    for wrong in ("Bearer swordfish", "Bearer swordfish-77", "Basic swordfish-7", "Bearer", "swordfish-7"):
        assert call(q, "GET", "/api/v1/status", {"Authorization": wrong}).status == 401, wrong
    assert call(q, "POST", "/api/v1/reload").status == 401
    assert call(q, "GET", "/healthz").status == 200, "liveness needs no secret"
    right = {"Authorization": "bearer swordfish-7"}
    for path in GETS:
        assert call(q, "GET", path, right).status == 200, path
    assert call(q, "GET", "/api/v1/status", {**right, "Host": "qcc.example"}).status == 200
    assert call(q, "GET", "/api/v1/status", {**right, "Origin": "http://evil.example"}).status == 403
    assert "swordfish" not in q.log()


def test_a_refused_post_is_not_read(qcc):
    """Its body is not taken in, and its connection ends."""
    q = qcc({"admin": {"token": "swordfish-7"}})
    with socket.create_connection(("127.0.0.1", q.admin_port), timeout=PATIENCE) as s:
        s.sendall(b"POST /api/v1/reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n")
        reply = b""
        while True:
            piece = s.recv(65536)
            if not piece:
                break
            reply += piece
    assert reply.startswith(b"HTTP/1.1 401 ") and b"connection: close" in reply.lower()


def test_a_unix_socket(qcc, tmp_path):
    path = tmp_path / "admin.sock"
    q = qcc({"admin": {"listen": "unix:%s" % path}}, start=False)
    q.start()
    assert call(str(path), "GET", "/api/v1/status", {"Host": "anything"}).status == 200
    assert call(str(path), "GET", "/readyz").status == 200
    assert stat.S_ISSOCK(os.stat(path).st_mode)


def test_no_admin_listener(qcc, upstream):
    q = qcc({"admin": {"listen": "off"}, "endpoints": [upstream.endpoint()]})
    assert not connectable(q.admin_port)
    assert send(q) == [200]


def test_the_clients_listener_knows_no_admin_address(qcc, upstream):
    q = qcc({"endpoints": [{**upstream.endpoint("/s/status=404"), "paths": {"allow": ["/api/*"]}}]})
    assert q.get("/api/v1/status")[0] == 404
    until(lambda: "404" in upstream.log(), "the endpoint to have been asked")
