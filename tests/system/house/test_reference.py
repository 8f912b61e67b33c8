"""The configuration's reference: the keys and defaults that --print-reference shows are those of
tests/data/reference.yaml; and what `-t` prints for good and bad files."""
import os
import re
import subprocess

import pytest
import yaml

from qcc import ROOT, SUPERVISOR

REFERENCE = ROOT / "tests/data/reference.yaml"
# Not defaults: what the file's one endpoint is made of.
REQUIRED = {"endpoints[].name", "endpoints[].base_url", "endpoints[].api_key"}
# Keys without a default, of elements that no default has.
MENTIONED = {"clients[].name", "clients[].token", "clients[].token_sha256", "listen[].address",
             "listen[].tls.certificate", "listen[].tls.private_key", "endpoints[].api_key_file"}
# Those of one endpoint in place of the common ones, which are their defaults.
MENTIONED |= {"endpoints[].breaker." + key for key in ("failure_threshold", "open_duration", "max_open_duration")}


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


def listed(node, at=""):
    """{path: default} of the file; texts as they stand."""
    if isinstance(node, dict) and node:
        found = {}
        for key, value in node.items():
            found.update(listed(value, f"{at}.{key}".lstrip(".")))
        return found
    if at == "endpoints":
        return listed(node[0], "endpoints[]")
    return {at: node}


def test_keys_and_defaults():
    ours = printed()
    wanted = listed(yaml.load(REFERENCE.read_text(), yaml.BaseLoader))
    assert set(ours) - MENTIONED - {"endpoints"} == set(wanted), "not the keys of tests/data/reference.yaml"
    for path in set(wanted) - REQUIRED:
        assert yaml.load(ours[path], yaml.BaseLoader) == wanted[path], path


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


@pytest.mark.parametrize("path", sorted(p.relative_to(ROOT) for p in (ROOT / "conf").rglob("*.yaml") if p.name != "prices.yaml"), ids=str)
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
