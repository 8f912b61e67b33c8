"""qccctl import: claude-code-router's and other configurations as one of ours."""
import json
import os
import stat
import subprocess

import pytest
import yaml

from control import done, run
from qcc import SUPERVISOR

V06 = {
    "default_profile": "work",
    "profiles": {
        "work": {
            "max_failures": 4,
            "timeout": 45,
            "endpoints": [
                {"name": "official", "base_url": "https://api.anthropic.com", "api_key": "sk-ant-1", "weight": 3},
                {"name": "re lay", "base_url": "https://r.example/x/", "auth_token": "t:#${HOME}\"\\'", "priority": 2,
                 "enabled": False, "hue": "red"},
            ],
        },
        "private": {"base_url": "http://127.0.0.1:8/", "api_key": "{[*&!|>%@`"},
    },
}


def test_import(tmp_path):
    (tmp_path / "old.json").write_text(json.dumps(V06))
    r = run("import", "old.json", folder=tmp_path)
    assert done(r) == "qcc.yaml: 3 endpoints, checked\n"
    assert "warning: profiles.work.endpoints[1].hue: not understood" in r.stderr
    assert "re lay becomes re-lay" in r.stderr
    made = tmp_path / "qcc.yaml"
    assert stat.S_IMODE(made.stat().st_mode) == 0o600
    assert sorted(os.listdir(tmp_path)) == ["old.json", "qcc.yaml"], "nothing else is left"
    conf = yaml.safe_load(made.read_text())
    assert conf["breaker"]["failure_threshold"] == 4 and conf["upstream"]["first_byte_timeout"] == "45s"
    assert conf["balance"]["use_priority"] is True
    official, relay, private = conf["endpoints"]
    assert official == {"name": "official", "base_url": "https://api.anthropic.com", "api_key": "sk-ant-1", "weight": 3}
    assert relay["api_key"] == "t:#$${HOME}\"\\'" and relay["enabled"] is False and relay["priority"] == 2
    assert private["enabled"] is False and private["api_key"] == "{[*&!|>%@`" and private["base_url"] == "http://127.0.0.1:8"
    checked = subprocess.run([str(SUPERVISOR), "-t", "-c", str(made)], capture_output=True, text=True)
    assert checked.returncode == 0 and checked.stderr == ""

    before = made.read_text()
    r = run("import", "old.json", "-p", "private", folder=tmp_path)
    assert r.returncode == 1 and "exists (--force" in r.stderr and made.read_text() == before
    done(run("import", "old.json", "-p", "private", "--force", folder=tmp_path))
    assert [e["name"] for e in yaml.safe_load(made.read_text())["endpoints"]] == ["private"]
    assert stat.S_IMODE(made.stat().st_mode) == 0o600
    printed = done(run("import", "old.json", "-o", "-", folder=tmp_path))
    assert len(yaml.safe_load(printed)["endpoints"]) == 3


def test_imported_keys_arrive_as_they_were(qcc, upstream, tmp_path):
    key = "sk-${PATH}-$${x}-'\"\\#:"
    (tmp_path / "old.json").write_text(json.dumps({"base_url": upstream.url + "/key-echo", "api_key": key}))
    done(run("import", "old.json", folder=tmp_path))
    text = (tmp_path / "qcc.yaml").read_text()
    q = qcc(start=False)
    q.configure(text + "listen: 127.0.0.1:%d\nadmin: {listen: '127.0.0.1:%d'}\n" % (q.port, q.admin_port))
    q.start()
    # The id is made of URL and key: it tells whether the supervisor read both as they were.
    import hashlib

    want = hashlib.sha256(("%s/key-echo|%s" % (upstream.url, key)).encode()).hexdigest()[:8]
    assert q.ctl_json("endpoints")["endpoints"][0]["id"] == want


@pytest.mark.parametrize(
    "text, words",
    [
        ("", "is empty"),
        (" \n", "is empty"),
        ("nothing", "is no JSON"),
        ('{"profiles": {', "is no JSON"),
        ("{}", "no endpoint is in it"),
        ('{"profiles": {"a": {"api_key": "k"}}}', "profiles.a: has no base_url"),
        ('{"base_url": "https://h/?x", "api_key": "k"}', "not good"),
        ('{"base_url": "https://h", "api_key": "\\u0001"}', "not good"),
    ],
)
def test_import_of_what_is_none(tmp_path, text, words):
    (tmp_path / "old.json").write_text(text)
    r = run("import", "old.json", folder=tmp_path)
    assert r.returncode == 1 and words in r.stderr and "Sanitizer" not in r.stderr
    assert os.listdir(tmp_path) == ["old.json"]


def test_import_shows_no_control_characters(tmp_path):
    (tmp_path / "old.json").write_bytes(b'{"a": \x1b[31m}')
    r = run("import", "old.json", folder=tmp_path)
    assert r.returncode == 1 and "no JSON" in r.stderr and "\x1b" not in r.stderr


def test_import_of_what_cannot_be_read(tmp_path):
    for what, words in (("nowhere.json", "No such file"), (".", "is a folder")):
        r = run("import", what, folder=tmp_path)
        assert r.returncode == 1 and words in r.stderr
    assert run("import", folder=tmp_path).returncode == 2
    assert run("import", "a", "b", folder=tmp_path).returncode == 2
    assert run("import", "a", "-o", folder=tmp_path).returncode == 2
    (tmp_path / "old.json").write_text('{"base_url": "https://h", "api_key": "k"}')
    r = run("import", "old.json", "-o", "no/such/folder.yaml", folder=tmp_path)
    assert r.returncode == 1 and "cannot write" in r.stderr
