"""README and manual say what is so: folders, commands and links exist, and examples do what they say."""
import json
import os
import re
import shutil
import subprocess

import pytest
import yaml

from qcc import BUILD, ROOT, SUPERVISOR
from upstream import reply

README = ROOT / "README.md"
PAGES = sorted((ROOT / "packaging/man").glob("*.md"))
TEXTS = [README, *PAGES]
PARTS = ("common", "supervisor", "worker")


def blocks(path):
    """The texts of the lines of code, which begin with four blanks behind an empty line, without the blanks."""
    return [re.sub("^    ", "", block, flags=re.M).strip("\n")
            for block in re.findall(r"(?<=\n\n)((?:    .*\n|\n(?=    ))+)", path.read_text(encoding="utf-8"))]


def configurations():
    """[(where, text)] of the blocks that are a qcc.yaml or a part of one."""
    return [pytest.param(text, id=f"{path.name}-{i}") for path in TEXTS for i, text in enumerate(blocks(path))
            if re.match(r"(endpoints|listen|balance|cors|clients|prices):\n", text)]


def lines_of_code(path):
    """Commands of the blocks: those behind a prompt, or of blocks without one that begin with a program."""
    found = []
    for text in blocks(path):
        lines = text.split("\n")
        if any(line.startswith("$ ") for line in lines):
            found += [line[2:] for line in lines if line.startswith("$ ")]
        elif re.match(r"(qcc|curl |printf )", text):
            found += lines
    return [re.sub(r"  +#.*", "", line) for line in found]


def test_readme_is_short():
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 150


def test_rooms_are_all_named():
    """The map has each folder of the program and no other; tests/lint_rooms.py prints it."""
    text = README.read_text(encoding="utf-8")
    text = text.split("<!-- rooms: printed by make rooms -->\n", 1)[1].split("<!-- end of rooms -->", 1)[0]
    named = {}
    for part, rooms in re.findall(r"^\*\*(\w+)\*\*\n\n((?:- .*\n)+)", text, re.M):
        named[part] = set()
        for name, within in re.findall(r"^- `([^`]+)`: .+?(?: \(in it (.+)\))?$", rooms, re.M):
            named[part] |= {name, *(f"{name}/{r}" for r in re.findall(r"`([^`]+)`", within))}
    assert set(named) == set(PARTS)
    for part in PARTS:
        folders = {os.path.relpath(at, ROOT / part) for at, _, files in os.walk(ROOT / part)
                   if any(name.endswith((".c", ".h", ".def")) for name in files)} - {"."}
        assert named[part] == folders


def test_folders_of_the_tests_are_named():
    text = README.read_text(encoding="utf-8")
    for entry in (ROOT / "tests").iterdir():
        if entry.is_dir() and not entry.name.startswith((".", "__")):
            assert f"`tests/{entry.name}`" in text, entry.name


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8")):
        if not target.startswith("https://"):
            assert (path.parent / target).is_file(), target


def test_every_page_is_linked():
    text = README.read_text(encoding="utf-8")
    for page in PAGES:
        assert f"](packaging/man/{page.name})" in text, page.name


def test_chapters_that_are_named_exist():
    there = "".join(path.read_text(encoding="utf-8") for path in PAGES)
    for path in TEXTS:
        for chapter in re.findall(r"(?<!\*)\*([A-Z]{2}[A-Z\s]*)\*(?!\*)", path.read_text(encoding="utf-8")):
            if chapter not in ("FILE", "COMMAND", "OPTION", "ARGUMENT"):  # of a SYNOPSIS
                assert "\n## %s\n" % " ".join(chapter.split()) in there, chapter


def test_commands_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    for path in TEXTS:
        for target in re.findall(r"(?:`|^    )make ([a-z-]+)", path.read_text(encoding="utf-8"), re.M):
            assert target in targets, target


def test_commands_are_followed():
    """packaging/test-readme.sh, which wants root and a chroot, has a step for every command of the manual and of the
    README's chapters that it follows."""
    named, left = (subprocess.run(["packaging/test-readme.sh", what], cwd=ROOT, text=True, capture_output=True, check=True)
                   .stdout.splitlines() for what in ("--named", "--unfollowed"))
    assert len(named) > 100 and "qccctl logs --grep" in named and "GET /api/v1/queue" in named and "man 7 qcc" in named
    assert left == []


# ---- examples

@pytest.mark.parametrize("text", configurations())
def test_configurations_pass(text, tmp_path):
    """Every example of a configuration is good; a part of one with an endpoint beside it."""
    if not re.search("^endpoints:", text, re.M):
        text += "\nendpoints: [{name: a, base_url: \"http://127.0.0.1:9\"}]\n"
    (tmp_path / "tls").mkdir()
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-subj", "/CN=h", "-keyout", tmp_path / "tls/key.pem", "-out", tmp_path / "tls/chain.pem"],
                   check=True, stderr=subprocess.DEVNULL)
    (tmp_path / "official.key").write_text("sk-official\n")
    (tmp_path / "official.key").chmod(0o600)
    path = tmp_path / "qcc.yaml"
    path.write_text(text)
    path.chmod(0o600)
    env = {**os.environ, **{name: name.lower() for name in re.findall(r"\$\{(\w+)\}", text)}}
    done = subprocess.run([SUPERVISOR, "-t", "-c", path], env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    said = done.stdout
    if "- 0.0.0.0:7860\n" in text:  # within a container; the page tells what the warning is about
        said = re.sub(r".*: warning: listen\[0\]\.address: takes tokens and prompts from other machines unencrypted.*\n", "", said)
    assert (done.returncode, said) == (0, f"{path}: good\n")


def test_examples_are_of_a_known_kind():
    """Nothing in a block escapes the tests above and below: configurations, commands, and what these print."""
    assert len(configurations()) >= 6
    for path in TEXTS:
        for text in blocks(path):
            known = re.match(r"(endpoints|listen|balance|cors|prices|scrape_configs):\n|\$ |\{|sudo |make |docker |kubectl |wsl |setx? |schtasks |openssl |node |\[boot\]|export |qcc|curl |printf |"
                             r"\d{4}-\d\d-\d\dT| *AT +STEP", text)
            assert known, text


def test_scrape_configuration_is_yaml():
    (text,) = [text for text in blocks(ROOT / "packaging/man/qcc-metrics.7.md") if text.startswith("scrape_configs:")]
    (job,) = yaml.safe_load(text)["scrape_configs"]
    assert job["static_configs"] == [{"targets": ["127.0.0.1:7861"]}]
    commented = text.replace("# authorization:", "authorization:")
    assert yaml.safe_load(commented)["scrape_configs"][0]["authorization"] == {"credentials": "ADMIN-TOKEN"}


# What a line of code prints, and the exit code if it is not 0; those that never end are interrupted.
PRINTS = {
    "qcc-supervisor -t -c qcc.yaml": "^qcc.yaml: good$",
    "qccctl endpoints": "^relay-a +untested +closed",
    "qccctl why 8d328f05": "^end: ok$",
    'eval "$(qccctl env)"': "",
    "qccctl run claude": "^client of http://127.0.0.1:",
    "qccctl import ~/.fastcc/config.json": "^warning: profiles.work.color: not understood, left out\nqcc.yaml: 1 endpoint, checked$",
    "qccctl status --watch": "(?s)serving, .*endpoints",
    "qccctl --json endpoints | jq -r '.endpoints[].name'": "^official\nrelay-a\nrelay-b$",
    "qccctl drain relay-a": "relay-a",
    "qccctl logs -f --level warning": "",
    'printf %s "$TOKEN" | sha256sum': "^2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b ",
    "curl -sS -i http://127.0.0.1:7860/v1/messages -H 'content-type: application/json' -d @message.json":
        "(?s)^HTTP/1.1 200 .*x-qcc-endpoint: ",
    "curl -sS http://127.0.0.1:7861/api/v1/queue": r"^\{",
    "curl -sS -X POST http://127.0.0.1:7861/api/v1/endpoints/relay-a/disable": r"^\{",
    "curl -sS -H 'authorization: Bearer ADMIN-TOKEN' http://127.0.0.1:7861/api/v1/status": '"version"',
}
ENDLESS = {"qccctl status --watch", "qccctl logs -f --level warning"}
# In the foreground until it is stopped; every test of this folder does that.
SERVES = {"qcc-supervisor -c qcc.yaml"}


def test_every_line_of_code_is_tried():
    found = {line for path in PAGES for line in lines_of_code(path)}
    assert found == set(PRINTS) | SERVES


@pytest.mark.skipif(not (BUILD / "qccctl").exists(), reason="no qccctl has been built")
@pytest.mark.parametrize("command", PRINTS)
def test_examples_do_what_they_say(command, qcc, raw, client, tmp_path):
    """The line in a shell as it stands, but for ports and a request's id, beside a QCC that has served a request."""
    program = re.search(r"\b(jq|curl)\b", command)
    if program and not shutil.which(program.group()):
        pytest.skip(f"there is no {program.group()} here")
    q = qcc({"endpoints": [raw(reply()).endpoint(name=name) for name in ("official", "relay-a", "relay-b")]})
    request = client(q).ask().header("x-qcc-request-id")
    if "ADMIN-TOKEN" in command:
        q.reload({"admin": {"token": "ADMIN-TOKEN"}})
    put_files(tmp_path, command)
    line = command.replace("127.0.0.1:7860", f"127.0.0.1:{q.port}").replace("127.0.0.1:7861", f"127.0.0.1:{q.admin_port}")
    line = line.replace("8d328f05", request[:8])
    if command in ENDLESS:
        line = f"timeout -s INT 2 {line}; true"
    env = {**q.env, "PATH": f"{tmp_path}/bin:{BUILD}:{os.environ['PATH']}", "HOME": str(tmp_path), "TOKEN": "secret"}
    done = subprocess.run(["bash", "-c", line], env=env, cwd=tmp_path, text=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout
    assert re.search(PRINTS[command], done.stdout, re.M), done.stdout


def put_files(folder, command):
    """What the lines of code expect to be there: a client, a profile, a request, a configuration."""
    (folder / "bin").mkdir()
    (folder / "bin/claude").write_text('#!/bin/sh\necho "client of $ANTHROPIC_BASE_URL"\n')
    (folder / "bin/claude").chmod(0o755)
    if " import " in command:
        (folder / ".fastcc").mkdir()
        endpoint = {"base_url": "https://one.example.org", "api_key": "sk-one"}
        (folder / ".fastcc/config.json").write_text(json.dumps({"profiles": {"work": {"color": "red", "endpoints": [endpoint]}}}))
    else:
        (folder / "qcc.yaml").write_text("endpoints: [{name: a, base_url: 'http://127.0.0.1:9'}]\n")
    (message,) = [text for text in blocks(ROOT / "packaging/man/qcc.7.md") if text.startswith("{")]
    json.loads(message)
    (folder / "message.json").write_text(message)


@pytest.mark.skipif(not (BUILD / "qccctl").exists(), reason="no qccctl has been built")
def test_tables_that_are_shown_have_these_columns(qcc, raw):
    (shown,) = [text for text in blocks(ROOT / "packaging/man/qccctl.1.md") if text.startswith("$ qccctl endpoints")][0:1]
    q = qcc({"endpoints": [raw(reply()).endpoint(name="official")]})
    assert q.ctl("disable", "official").returncode == 0  # NOTE is there when there is one
    assert shown.split("\n")[1].split() == q.ctl("--no-color", "endpoints").stdout.split("\n")[0].split()
