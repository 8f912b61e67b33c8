"""The dashboard's files as the admin listener hands them out (dashboard: delivery)."""
import base64
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
BUNDLE = ROOT / "worker" / "admin" / "bundle.awk"
NAMES = {"index.html", "app.css", "app.js", "pages.js", "en.js", "en-more.js", "zh.js", "zh-more.js"}
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)


def sources():
    return sorted(FOLDER.rglob("*.*"))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """{name: bytes} of the files as embed.sh makes them."""
    out = tmp_path_factory.mktemp("made")
    subprocess.run([str(EMBED), str(out), *map(str, sources())], check=True)
    return {f.name: f.read_bytes() for f in (out / "dashboard").iterdir() if f.suffix in TYPES}


def files():
    return {"/" if name == "index.html" else "/ui/" + name: name for name in sorted(NAMES)}


def tag_of(data):
    return '"%s"' % hashlib.sha256(data).hexdigest()[:16]


def test_each_file_plain_and_gzipped(qcc, made):
    q = qcc()
    assert set(made) == NAMES
    for path, name in files().items():
        plain, packed = call(q, "GET", path), call(q, "GET", path, {"Accept-Encoding": "br, GZIP;q=0.5"})
        assert plain.status == 200 and plain.body == made[name], path
        assert "content-encoding" not in plain.headers
        assert packed.headers["content-encoding"] == "gzip" and gzip.decompress(packed.body) == plain.body
        for a in (plain, packed):
            assert a.headers["etag"] == tag_of(a.body)
            assert a.headers["vary"] == "accept-encoding" and a.headers["cache-control"] == "no-cache"
            assert a.headers["content-type"] == TYPES[pathlib.Path(name).suffix] + "; charset=utf-8"
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
    for file in sources():
        text = file.read_text(encoding="utf-8")
        assert not re.search(r"""(?:src|href)=["']/|(?:from|import|fetch)\s*\(?\s*["'`]/""", text), file.name


def embed(tmp_path, *named):
    for name, data in named:
        (tmp_path / name).write_bytes(data)
    return subprocess.run([str(EMBED), str(tmp_path / "out"), *[str(tmp_path / name) for name, _ in named]], capture_output=True, text=True)


def noise(n):
    return b"".join(hashlib.sha256(b"%d" % i).digest() for i in range(n // 32 + 1))[:n]


def script(n):
    """A script whose gzipped form is longer than n bytes."""
    return b"export default '" + base64.b64encode(noise(n * 21 // 20)) + b"';\n"


def budget(name):
    return int(re.search(name + r"_MAX=\$\(\((\d+) \* 1024\)\)", EMBED.read_text()).group(1)) << 10


@pytest.mark.parametrize("name,data,why", [
    ("big.js", b"x" * budget("PLAIN"), "budget"), ("dense.svg", noise(budget("GZIP") * 21 // 20), "gzipped"),
    ("zh.js", script(budget("ZH")), "zh.js"), ("app.js", script(budget("FIRST")), "first page"),
    ("half.js", b"const x = 'ab", "does not end"), ("half.css", b"/* a", "does not end"), ("open.js", b"if (x) {\n", "not closed"),
    ("notes.txt", b"x", "content type"), ("a b.js", b"x", "name"),
], ids=["plain", "gzipped", "zh", "first", "string", "comment", "bracket", "type", "name"])
def test_the_build_fails_over_a_budget(tmp_path, name, data, why):
    page = ("index.html", b"<!doctype html>")
    p = embed(tmp_path, page, (name, data))
    assert p.returncode != 0 and why in p.stderr
    assert embed(tmp_path, page).returncode == 0
    assert embed(tmp_path, ("app.js", b"x")).returncode != 0, "without index.html"


def bundle(folder, **names):
    p = subprocess.run(["awk", *[x for k, v in names.items() for x in ("-v", "%s=%s" % (k, folder / v if k != "within" else v))], "-f", str(BUNDLE)],
                       capture_output=True, text=True, env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"})
    return p.stdout if p.returncode == 0 else p.stderr


@pytest.mark.parametrize("source,left", [
    ("// a\nconst a = 1; // b\n/* c\n */ let b = a + +a - -b;\n", "const a=1;let b=a+ +a- -b;"),
    ("const u = 'http://x/ /* y */', v = \"a  'b\\\"  // c\";", "const u='http://x/ /* y */',v=\"a  'b\\\"  // c\";"),
    ("f(`a  // ${ x ? `b  ${ y }  {` : { z: 1 } }  }` , 1);", "f(`a  // ${x?`b  ${y}  {`:{z:1}}  }`,1);"),
    ("const r = s.split( / +[/'] \\/ /g ).map((x) => x / 2 / y);", "const r=s.split(/ +[/'] \\/ /g).map((x)=>x/2/y);"),
    ("return /a b/.test(x);", "return/a b/.test(x);"),
    ("f({\n    a,\n    b: [\n        1,\n    ],\n});\n", "f({a,b:[1]});"),
    ("let x\nlet y = z\n(1)\n", "let x\nlet y=z\n(1)"),
    ("i++\nj\n", "i++\nj"),
    ("a\n    ? b\n    : c\n    .d\n", "a?b:c.d"),
    ("function f() {\n    return x\n}\nclass A extends B {\n}\n", "function f(){return x}\nclass A extends B{}"),
    ("const s = '中文  …';", "const s='中文  …';"),
], ids=["comments", "strings", "templates", "patterns", "pattern", "commas", "breaks", "increment", "operators", "blocks", "bytes"])
def test_a_script_loses_what_means_nothing(tmp_path, source, left):
    (tmp_path / "a.js").write_text(source)
    assert bundle(tmp_path, entry="a.js").rstrip("\n") == left


def test_a_style_sheet_loses_what_means_nothing(tmp_path):
    (tmp_path / "a.css").write_text("/* a */\n.a > .b :hover,\n.c {\n    margin: 0 auto calc(1px + 2px);\n    content: 'a;  }';\n}\n"
                                    "@media (min-width: 1px) and (x) {\n    a { b: c }\n}\n")
    assert bundle(tmp_path, css="a.css") == ".a>.b :hover,.c{margin:0 auto calc(1px + 2px);content:'a;  }'}@media (min-width:1px) and (x){a{b:c}}"


def test_modules_become_one(tmp_path):
    for name, text in {
        "a.js": "import { b, twice as two } from './b.js';\nimport * as c from './c.js';\nimport d from './d.js';\nrun(b, two, c, d);\nexport const z = 1;\n",
        "b.js": "import * as c from './c.js';\nexport const b = c.x;\nexport function twice() {}\n",
        "c.js": "const own = 1;\nexport const x = own;\n", "d.js": "export default {\n    b: 1,\n};\n",
        "p.js": "import * as c from './c.js';\nimport e from './e.js';\nexport default { c, e };\n", "e.js": "import { x } from './c.js';\nexport default x;\n",
    }.items():
        (tmp_path / name).write_text(text)
    one = bundle(tmp_path, entry="a.js").replace("\n", "")
    assert one == ("const $c=(()=>{const own=1;const x=own;return{x}})();const $b=(()=>{const c=$c;const b=c.x;function twice(){}return{b,twice}})();"
                   "const $d=(()=>{const $default={b:1};return{default:$default}})();"
                   "const{b,twice:two}=$b;const c=$c;const d=$d.default;run(b,two,c,d);export const z=1;export{$c,$b,$d};")
    other = bundle(tmp_path, entry="p.js", within="a.js").replace("\n", "")
    assert other == ("import{$c}from'./a.js';const $e=(()=>{const{x}=$c;const $default=x;return{default:$default}})();"
                     "const c=$c;const e=$e.default;export default{c,e};")


@pytest.mark.parametrize("line,why", [
    ("import { a }\n    from './b.js';", "not an import"), ("import './b.js';", "not an import"), ("import { a } from '../b.js';", "not an import"),
    ("export let x = 1;", "not an export"), ("export { x };", "not an export"), ("import { a } from './none.js';", "cannot be read"),
    ("import { a } from './m.js';", "imports itself"),
])
def test_what_a_bundle_cannot_hold_fails_the_build(tmp_path, line, why):
    (tmp_path / "b.js").write_text("export const a = 1;\n")
    (tmp_path / "m.js").write_text(line + "\n")
    (tmp_path / "a.js").write_text("import * as m from './m.js';\n")
    assert why in bundle(tmp_path, entry="a.js")
