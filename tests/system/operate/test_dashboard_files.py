"""The dashboard's files as the admin listener hands them out (dashboard: delivery)."""
import gzip
import hashlib
import pathlib
import re
import subprocess

import pytest

from admin import call
from qcc import ROOT

FOLDER = ROOT / "worker" / "admin" / "dashboard"
EMBED = ROOT / "worker" / "admin" / "embed.sh"
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)


def files():
    return {"/" if f.name == "index.html" else "/ui/" + f.name: f for f in sorted(FOLDER.rglob("*.*"))}


def tag_of(data):
    return '"%s"' % hashlib.sha256(data).hexdigest()[:16]


def lean(file):
    """As embed.sh hands it out: without lines of comments, and without what stands before a line's first word."""
    lines = [line.lstrip(" ") for line in file.read_text().split("\n")]
    if file.suffix == ".js":
        lines = ["" if line.startswith("//") else line for line in lines]
    return "\n".join(lines).encode()


def test_each_file_plain_and_gzipped(qcc):
    q = qcc()
    for path, file in files().items():
        plain, packed = call(q, "GET", path), call(q, "GET", path, {"Accept-Encoding": "br, GZIP;q=0.5"})
        assert plain.status == 200 and plain.body == lean(file), path
        assert "content-encoding" not in plain.headers
        assert packed.headers["content-encoding"] == "gzip" and gzip.decompress(packed.body) == plain.body
        for a in (plain, packed):
            assert a.headers["etag"] == tag_of(a.body)
            assert a.headers["vary"] == "accept-encoding" and a.headers["cache-control"] == "no-cache"
            assert a.headers["content-type"] == TYPES[file.suffix] + "; charset=utf-8"
            assert int(a.headers["content-length"]) == len(a.body)


@pytest.mark.parametrize("coding,packed", [
    ("identity", False), ("gzip;q=0", False), ("gzip; q=0.000, *", False), ("*", True), ("*;q=0", False), ("deflate, x-gzip", True),
    ("gzip;q=0.001", True), ("", False), ("gzipped", False),
])
def test_what_accept_encoding_asks_for(qcc, coding, packed):
    a = call(qcc(), "GET", "/", {"Accept-Encoding": coding})
    assert (a.headers.get("content-encoding") == "gzip") == packed


def test_a_held_file_is_not_sent_again(qcc):
    q = qcc()
    for path in files():
        for coding in ({}, {"Accept-Encoding": "gzip"}):
            first = call(q, "GET", path, coding)
            tag = first.headers["etag"]
            for held in (tag, "W/" + tag, '"x", %s' % tag, "*"):
                for method in ("GET", "HEAD"):
                    a = call(q, method, path, {**coding, "If-None-Match": held})
                    assert a.status == 304 and a.body == b"" and a.headers["etag"] == tag, (path, held)
                    assert "content-length" not in a.headers and a.headers["cache-control"] == "no-cache"
                    assert a.headers["vary"] == "accept-encoding" and a.headers["content-security-policy"] == POLICY
            for other in ('"0123456789abcdef"', tag[:-1], tag.strip('"'), ""):
                assert call(q, "GET", path, {**coding, "If-None-Match": other}).status == 200, other


def test_head_as_get(qcc):
    q = qcc()
    for path in files():
        a, head = call(q, "GET", path), call(q, "HEAD", path)
        assert head.status == 200 and head.body == b"" and head.headers == a.headers


def test_what_a_browser_may_do_with_the_page(qcc):
    q = qcc()
    for path in files():
        h = call(q, "GET", path).headers
        assert h["content-security-policy"] == POLICY
        assert h["x-content-type-options"] == "nosniff" and h["referrer-policy"] == "no-referrer"
        assert h["cross-origin-opener-policy"] == h["cross-origin-resource-policy"] == "same-origin"
        assert h["x-frame-options"] == "DENY" and h["permissions-policy"] == "camera=(), microphone=(), geolocation=()"


def test_other_paths_are_none(qcc):
    q = qcc({"admin": {"token": "swordfish-7"}})
    for path in ("/ui", "/ui/"):
        assert call(q, "GET", path).status in (401, 404)
    for path in ("/ui/", "/ui/index.html", "/ui/nothing.js", "/ui/app.css/", "/ui//app.css", "/ui/../api/v1/status", "/ui/APP.CSS",
                 "/ui/app.css.gz", "/ui/%61pp.css", "/ui/../../etc/passwd"):
        a = call(q, "GET", path)
        assert a.status == 404 and a.error, path
        assert a.headers["cache-control"] == "no-store" and "etag" not in a.headers
    for method in ("POST", "PUT", "DELETE"):
        assert call(q, method, "/ui/app.css").status == 405
    assert call(q, "GET", "/ui/app.css?v=2").status == 200


def test_the_page_needs_no_token_and_data_does(qcc):
    q = qcc({"admin": {"token": "swordfish-7"}})
    for path in files():
        assert call(q, "GET", path).status == 200
        assert call(q, "GET", path, {"Authorization": "Bearer wrong"}).status == 200
        assert call(q, "GET", path, {"Origin": "http://evil.example"}).status == 403
    assert call(q, "GET", "/api/v1/status").status == 401


def test_the_page_under_a_name_of_somebody_elses(qcc):
    q = qcc()
    for path in files():
        assert call(q, "GET", path, {"Host": "evil.example"}).status == 403
        assert call(q, "GET", path, {"Sec-Fetch-Site": "cross-site"}).status == 403


def test_no_headers_of_the_proxy(qcc):
    q = qcc()
    for path in ["/api/v1/status", "/nowhere", *files()]:
        assert not [k for k in call(q, "GET", path).headers if k.startswith("x-qcc")], path


def test_all_addresses_are_relative():
    for file in files().values():
        text = file.read_text(encoding="utf-8")
        assert not re.search(r"""(?:src|href)=["']/|(?:from|import|fetch)\s*\(?\s*["'`]/""", text), file.name


def embed(tmp_path, *named):
    for name, data in named:
        (tmp_path / name).write_bytes(data)
    return subprocess.run([str(EMBED), str(tmp_path / "out"), *[str(tmp_path / name) for name, _ in named]], capture_output=True, text=True)


def noise(n):
    return b"".join(hashlib.sha256(b"%d" % i).digest() for i in range(n // 32 + 1))[:n]


def budget(name):
    return int(re.search(name + r"_MAX=\$\(\((\d+) \* 1024\)\)", EMBED.read_text()).group(1)) << 10


@pytest.mark.parametrize("name,data,why", [
    ("big.js", b"x" * budget("PLAIN"), "budget"), ("dense.js", noise(budget("GZIP") * 21 // 20), "gzipped"),
    ("zh.js", noise(budget("ZH") * 21 // 20), "zh.js"),
    ("notes.txt", b"x", "content type"), ("a b.js", b"x", "name"),
], ids=["plain", "gzipped", "zh", "type", "name"])
def test_the_build_fails_over_a_budget(tmp_path, name, data, why):
    page = ("index.html", b"<!doctype html>")
    p = embed(tmp_path, page, (name, data))
    assert p.returncode != 0 and why in p.stderr
    assert embed(tmp_path, page).returncode == 0
    assert embed(tmp_path, ("app.js", b"x")).returncode != 0, "without index.html"
