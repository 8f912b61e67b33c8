"""make lint holds the directions of the house: each breach, made in a copy of the tree, stops it."""
import os
import shutil
import subprocess

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

# What is added, where; the steps that look; what the complaint says.
BREACHES = {
    "foreign header": (
        "common/base/breach.c", '#include "worker/http/http1.h"\n', "objects", "worker/http/http1.h"),
    "header by a relative path": (
        "worker/breach.c", '#include "../common/base/str.h"\n', "text", "spell it from the root"),
    "worker opens a file": (
        "worker/breach.c", '#include <stdio.h>\nvoid *breach(void);\n'
        'void *breach(void)\n{\n    return fopen("/etc/passwd", "r");\n}\n', "objects deps",
        "the worker opens no file"),
    "policy reads the clock": (
        "common/policy/breach.c", '#include "common/base/clock.h"\nint64_t breach(void);\n'
        'int64_t breach(void)\n{\n    return clock_mono_ms();\n}\n', "objects deps",
        "common/policy is pure"),
    "common calls the supervisor": (
        "common/base/breach.c", 'void supervisor_stop(void);\nvoid breach(void);\n'
        'void breach(void)\n{\n    supervisor_stop();\n}\n', "objects deps", "common knows neither side"),
    "worker calls the supervisor": (
        "worker/breach.c", 'void supervisor_stop(void);\nvoid breach(void);\n'
        'void breach(void)\n{\n    supervisor_stop();\n}\n', "objects deps", "the worker never calls upward"),
    "supervisor uses curl": (
        "supervisor/breach.c", '#include <curl/curl.h>\nvoid *breach(void);\n'
        'void *breach(void)\n{\n    return curl_easy_init();\n}\n', "objects deps",
        "the supervisor parses no byte from the network"),
    "qccctl knows the supervisor's inside": (
        "supervisor/qccctl/breach.c", 'int query_acts(int);\nint breach(void);\n'
        'int breach(void)\n{\n    return query_acts(1);\n}\n', "objects deps",
        "qccctl knows the supervisor by its control socket only"),
    "include against the rooms": (
        "worker/http/breach.c", '#include "worker/net/io.h"\nint breach(void);\n'
        'int breach(void)\n{\n    return 0;\n}\n', "objects rooms",
        "worker/http may not know worker/net"),
    "call against the rooms": (
        "worker/shared/breach.c", 'struct req;\nvoid conductor_go(struct req *r);\nvoid breach(struct req *r);\n'
        'void breach(struct req *r)\n{\n    conductor_go(r);\n}\n', "objects rooms",
        "breach.c calls conductor_go: worker/shared may not know worker/request"),
    "room that is none": (
        "worker/heap/breach.c", 'int breach(void);\nint breach(void)\n{\n    return 0;\n}\n', "objects rooms",
        "worker/heap: not in tests/rooms.txt"),
    "ring of files": (
        "worker/http/breach.h", '#include "worker/http/sse.h"\n', "objects rooms",
        "worker/http: a ring of files: breach sse", ("worker/http/sse.h", '#include "worker/http/breach.h"\n')),
    "banned function": (
        "worker/breach.c", '#include <string.h>\nvoid breach(char *p);\n'
        'void breach(char *p)\n{\n    strcpy(p, "x"); /* strcat( */\n}\n', "text",
        "banned function strcpy"),
    "long function": (
        "worker/breach.c", "void breach(void);\nvoid breach(void)\n{\n" + 61 * "    ;\n" + "}\n", "text",
        "worker/breach.c:3: breach has 61 lines"),
    "length counted by hand": (
        "worker/breach.c", '#include "common/base/str.h"\nstatic const struct str breach[] = {{"x", 1}};\n', "text",
        "a length counted by hand: use STR_LIT"),
    "function without a caller": (
        "worker/breach.c", 'int breach(void);\nint breach(void)\n{\n    return 0;\n}\n', "objects rooms",
        "worker/breach.c: breach has no caller outside its file"),
    "bare allocation": (
        "worker/breach.c", '#include <stdlib.h>\nvoid *breach(void);\n'
        'void *breach(void)\n{\n    return malloc(1);\n}\n', "text", "malloc: use mem_*"),
    "long file": ("worker/breach.c", "int breach;\n" + 600 * "\n", "text", "worker/breach.c:601: 601 lines"),
    "long test": ("tests/breach.py", 601 * "pass\n", "text", "tests/breach.py:601: 601 lines"),
    "unit test of no file": (
        "tests/unit/worker/http/test_breach.c", "int breach;\n", "text", "no file of worker/http that it tests"),
}


def lint(tree, steps):
    done = subprocess.run(["tests/lint.sh", *steps.split()], cwd=tree, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.returncode, done.stdout


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A copy with its objects made: a breach then compiles one file."""
    copy = tmp_path_factory.mktemp("lint") / "qcc"
    copy.mkdir()
    for part in ("common", "supervisor", "worker", "packaging/completion", "Makefile"):
        source = os.path.join(ROOT, part)
        if os.path.isdir(source):
            shutil.copytree(source, copy / part)
        else:
            shutil.copy(source, copy / part)
    (copy / "tests").mkdir()
    for script in ("lint.sh", "lint_text.py", "lint_rooms.py", "rooms.txt", "check_deps.sh"):
        shutil.copy(os.path.join(ROOT, "tests", script), copy / "tests" / script)
    status, out = lint(copy, "objects rooms deps")
    assert status == 0, out
    return copy


@pytest.mark.parametrize("name", BREACHES)
def test_a_breach_stops_lint(tree, name):
    path, text, steps, complaint, *changes = BREACHES[name]
    new_folder = not (tree / path).parent.exists()
    (tree / path).parent.mkdir(parents=True, exist_ok=True)
    (tree / path).write_text(text)
    before = {other: (tree / other).read_text() for other, _ in changes}
    try:
        for other, more in changes:
            (tree / other).write_text(before[other] + more)
        status, out = lint(tree, steps)
    finally:
        (tree / path).unlink()
        if new_folder:
            (tree / path).parent.rmdir()
        for other, was in before.items():
            (tree / other).write_text(was)
    assert status != 0, out
    assert complaint in out and "breach" in out + path, out


@pytest.mark.parametrize("line, complaint", [
    ("except worker/http worker/net: chunk", "chunk is no exception any more, take it out"),
    ("ring worker/json: json_find json_skip", "is no ring any more, take it out"),
    ("only-tests worker/json: json_find", "json_find is used or gone, take it out"),
    ("worker/net | common worker/client | sockets", "a circle of rooms"),
])
def test_the_list_of_exceptions_only_shrinks(tree, line, complaint):
    rooms = tree / "tests/rooms.txt"
    before = rooms.read_text()
    kept = [x for x in before.splitlines() if not x.startswith(line.split("|")[0] if "|" in line else "\0")]
    rooms.write_text("\n".join([*kept, line]) + "\n")
    try:
        status, out = lint(tree, "rooms")
    finally:
        rooms.write_text(before)
    assert status != 0 and complaint in out, out


# ---- the dashboard: what is written into which file, and what the complaint says

PAGE = {
    "index.html": '<!doctype html><title>QCC</title><p data-t="title">\n',
    "app.js": "import { t } from './i18n.js';\nel.textContent = t('title', { n: 1 }) + t(`ask.${verb}.text`) + t('do.' + verb);\nel.style.x = 1;\n",
    "i18n.js": "// no innerHTML here\nexport const t = (key) => key;\n",
    "lang/en.js": "export default { 'title': 'A {n}', 'ask.now.text': 'b', 'do.it': { one: '{n} thing', other: '{n} things' } };\n",
    "lang/zh.js": "export default { 'title': '\u4e2d {n}', 'ask.now.text': 'b', 'do.it': { other: '{n}' } };\n",
    "page.js": "import { t } from './i18n.js';\nt('later');\nt('last.' + x);\n",
    "lang/en-more.js": "export default { 'later': 'x', 'last.one': 'y' };\n",
    "lang/zh-more.js": "export default { 'later': 'x', 'last.one': 'y' };\n",
}
PAGE_BREACHES = {
    "innerHTML": ("app.js", "el.innerHTML = x;", "innerHTML has no place"),
    "insertAdjacentHTML": ("app.js", "el.insertAdjacentHTML('a', x);", "insertAdjacentHTML has no place"),
    "eval": ("app.js", "eval(x);", "eval has no place"),
    "Function": ("app.js", "new Function('return 1');", "Function has no place"),
    "document.write": ("app.js", "document.write(x);", "document.write has no place"),
    "style of markup": ("index.html", '<p style="x">', "style has no place"),
    "another origin": ("app.css", "@import 'https://example.org/x.css';", "https: has no place"),
    "a key that one language lacks": ("lang/en.js", ("'do.it'", "'more': 'x', 'do.it'"), "more is missing"),
    "a place that the other language has not": ("lang/zh.js", ("{n}'", "{m}'"), "title has {m}"),
    "a key that is used nowhere": ("both", ("'do.it'", "'idle': 'x', 'do.it'"), "idle is used nowhere"),
    "a text that is none": ("app.js", "t('nothing');", "there is no text nothing"),
    "a text of a later page": ("i18n.js", "t('later');", "i18n.js:3: the text later comes with the later pages"),
    "texts of a later page": ("app.js", "t('last.' + x);", "the text last. comes with the later pages"),
    "a key in both parts": ("lang/en-more.js", ("'later'", "'title': 'x', 'later'"), "title is in"),
    "a key twice": ("lang/en.js", ("'do.it'", "'title': 'x', 'do.it'"), "title is there twice"),
}


def lint_page(folder):
    done = subprocess.run(["/usr/bin/python3", "tests/lint_page.py", str(folder)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    return done.returncode, done.stdout


@pytest.fixture
def page(tmp_path):
    (tmp_path / "lang").mkdir()
    for name, text in PAGE.items():
        (tmp_path / name).write_text(text)
    assert lint_page(tmp_path) == (0, "")
    return tmp_path


@pytest.mark.parametrize("name", PAGE_BREACHES)
def test_a_breach_of_the_dashboard_stops_lint(page, name):
    where, what, complaint = PAGE_BREACHES[name]
    for path in [page / "lang/en.js", page / "lang/zh.js"] if where == "both" else [page / where]:
        text = path.read_text() if path.exists() else ""
        path.write_text(text.replace(*what, 1) if isinstance(what, tuple) else text + what + "\n")
    status, out = lint_page(page)
    assert status == 1 and complaint in out, out


@pytest.mark.skipif(not shutil.which("node"), reason="node is not to be had here")
def test_a_script_that_does_not_parse_stops_lint(page):
    (page / "app.js").write_text(PAGE["app.js"] + "const = 1;\n")
    status, out = lint_page(page)
    assert status == 1 and "app.js:4: SyntaxError" in out
