"""The configuration as the contract has it: every key of conf-reference.yaml is known, with the same
default, and each other one is of conf-additions.yaml, where keys stand until they have landed; and what `-t` prints for good and bad files."""
import os
import re
import subprocess

import pytest
import yaml

from qcc import ROOT, SUPERVISOR

CONTRACT = ROOT.parent / "shared/design/conf-reference.yaml"
ADDITIONS = CONTRACT.with_name("conf-additions.yaml")  # of these, those that are known already
# Not defaults: what the contract's one endpoint is made of.
REQUIRED = {"endpoints[].name", "endpoints[].base_url", "endpoints[].api_key"}
# Keys that the contract's page only mentions in its comments.
MENTIONED = {"clients[].name", "clients[].token", "clients[].token_sha256", "listen[].address",
             "listen[].tls.certificate", "listen[].tls.private_key", "endpoints[].api_key_file"}


def run(*args, env=None):
    done = subprocess.run([str(SUPERVISOR), *args], text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, env={**os.environ, **(env or {})}, cwd=ROOT)
    return done.returncode, done.stdout


def printed():
    """{path: default} of --print-reference."""
    code, text = run("--print-reference")
    assert code == 0
    keys, section = {}, None
    for line in text.splitlines():
        head = re.match(r"### (?:`(.*)`|At the top)$", line)
        row = re.match(r"\| `([^`]+)` \| (?:`(.*?)`)? ?\| ", line)
        if head:
            section = head.group(1) or ""
        elif row:
            keys[f"{section}.{row.group(1)}".lstrip(".")] = row.group(2) or ""
    return keys


def contract(node, at=""):
    """{path: default} of the contract's page; texts as they stand."""
    if isinstance(node, dict) and node:
        found = {}
        for key, value in node.items():
            found.update(contract(value, f"{at}.{key}".lstrip(".")))
        return found
    if at == "endpoints":
        return contract(node[0], "endpoints[]")
    return {at: node}


@pytest.mark.skipif(not CONTRACT.exists(), reason="the contract is not beside the tree")
def test_keys_and_defaults_are_the_contracts():
    ours = printed()
    theirs = contract(yaml.load(CONTRACT.read_text(), yaml.BaseLoader))
    if ADDITIONS.exists():
        more = contract(yaml.load(ADDITIONS.read_text(), yaml.BaseLoader))
        theirs.update({path: default for path, default in more.items() if path in ours})
    for path, default in theirs.items():
        assert path in ours, f"{path} is not known"
        if path not in REQUIRED:
            assert yaml.load(ours[path], yaml.BaseLoader) == default, path
    more = contract(yaml.load(ADDITIONS.read_text(), yaml.BaseLoader)) if ADDITIONS.exists() else {}
    landed = set(ours) - set(theirs) - MENTIONED - {"endpoints"}
    assert landed <= set(more)
    for path in landed:
        assert yaml.load(ours[path], yaml.BaseLoader) == more[path], path


def test_a_good_file_passes(tmp_path):
    path = tmp_path / "qcc.yaml"
    path.write_text("endpoints: [{name: a, base_url: 'http://127.0.0.1:9'}]\n")
    code, text = run("-t", "-c", str(path))
    assert code == 0, text


def test_every_fault_is_printed_with_its_place(tmp_path):
    path = tmp_path / "qcc.yaml"
    path.write_text("wrokers: 2\nlimits:\n  header_timeout: 2h\n"
                    "endpoints:\n  - name: a\n    base_url: ftp://h\n    api_key: ${QCC_NONE}\n")
    code, text = run("-t", "-c", str(path))
    assert code == 1
    for line in ('1:1: unknown key "wrokers"; did you mean "workers"?',
                 '3:19: limits.header_timeout: must be between 10ms and 1h, not "2h"',
                 "6:15: endpoints[0].base_url: must begin with http:// or https://",
                 "7:14: endpoints[0].api_key: environment variable QCC_NONE is not set"):
        assert f"{path}:{line}\n" in text, text


def test_warnings_are_no_faults(tmp_path):
    path = tmp_path / "qcc.yaml"
    path.write_text("endpoints: [{name: a, base_url: 'http://127.0.0.1:9', api_key: sk-very-secret}]\n")
    path.chmod(0o644)
    code, text = run("-t", "-c", str(path))
    assert code == 0
    assert f"{path}:1:64: warning: the file holds a key and everybody may read it" in text
    assert "sk-very-secret" not in text


@pytest.mark.parametrize("path", sorted(p.relative_to(ROOT) for p in (ROOT / "conf").rglob("*.yaml")), ids=str)
def test_samples_pass(path, tmp_path):
    wanted = set(re.findall(r"\$\{(\w+)\}", (ROOT / path).read_text()))
    env = {name: name.lower() for name in wanted}
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    if any("TLS" in name for name in wanted):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                        "-nodes", "-days", "2", "-subj", "/CN=h", "-keyout", key, "-out", cert],
                       check=True, stderr=subprocess.DEVNULL)
        env.update(QCC_TLS_KEY=str(key), QCC_TLS_CERTIFICATE=str(cert))
    code, text = run("-t", "-c", str(path), env=env)
    assert code == 0, text
