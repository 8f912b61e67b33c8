"""qcc-windows(7), as far as it can be followed without Windows: the certificates, the listener, what Node says, the forms of the
files and lines. cmd and PowerShell are read by small readers of the forms that are used."""
import configparser
import http.client
import json
import os
import re
import shlex
import shutil
import ssl
import subprocess

import pytest

from qcc import PATIENCE, ROOT, free_port

PAGE = (ROOT / "packaging/man/qcc-windows.7.md").read_text(encoding="utf-8")
CODE = [re.sub("^    ", "", block, flags=re.M).strip("\n") for block in re.findall(r"(?<=\n\n)((?:    .*\n)+)", PAGE)]
LINES = [line for text in CODE for line in text.split("\n")]


def block(begin):
    (text,) = [text for text in CODE if text.startswith(begin)]
    return text


def of_cmd(line):
    """(name, value) of what cmd's set or setx would set: of set the rest of the line, of setx one word."""
    m = re.fullmatch(r"set (\w+)=(.*)", line)
    if m:
        return m.groups()
    m = re.fullmatch(r'setx (\w+) (?:"([^"]*)"|(\S+))', line)
    assert m, line
    return m.group(1), m.group(2) or m.group(3)


def of_powershell(line):
    m = re.fullmatch(r"\$env:(\w+) = '([^']*)'", line)
    assert m, line
    return m.groups()


def test_lines_for_one_session_are_what_qccctl_prints(qcc):
    q = qcc()
    shown = block("set ").split("\n")
    url = f"http://127.0.0.1:{q.port}"
    printed = [q.ctl("env", shell).stdout.rstrip("\n") for shell in ("cmd", "powershell")]
    assert [line.replace(url, "http://127.0.0.1:7860") for line in printed] == shown
    assert of_cmd(printed[0]) == of_powershell(printed[1]) == ("ANTHROPIC_BASE_URL", url)
    assert not re.search(r'[&|<>^%"!\s]', url), "nothing of it is special to cmd"
    within = [line for line in LINES if " qccctl " in line]
    assert {line.split(" qccctl ")[1].split("'")[0].split(" |")[0] for line in within} == {"env powershell", "env cmd"}


def test_lines_for_all_sessions():
    for text in [text for text in CODE if text.startswith("setx ")]:
        for line in text.split("\n"):
            name, value = of_cmd(line)
            assert name in ("ANTHROPIC_BASE_URL", "ANTHROPIC_AUTH_TOKEN", "NODE_EXTRA_CA_CERTS") and value


def test_files_have_their_form():
    wsl = configparser.ConfigParser()
    wsl.read_string(block("[boot]"))
    assert wsl["boot"]["systemd"] == "true"
    settings = json.loads(block("{"))
    assert set(settings) == {"env"} and set(settings["env"]) == {"ANTHROPIC_BASE_URL", "ANTHROPIC_AUTH_TOKEN"}


@pytest.fixture
def host(qcc, raw, tmp_path):
    """A QCC on "another host": the page's certificates and its listener, on a free port. (it, its address, the authority's file)"""
    tls = tmp_path / "tls"
    tls.mkdir()
    commands = block("openssl ").split("\n")
    assert len(commands) == 3
    for command in commands:
        # the host's name is this machine's here
        command = command.replace("qcc.example.org", "localhost")
        done = subprocess.run(shlex.split(command), cwd=tls, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert done.returncode == 0, done.stdout
    port = free_port()
    q = qcc(start=False, env={"ALICE_TOKEN": "your-token"})
    q.configure({"listen": [f"127.0.0.1:{q.port}", {"address": f"*:{port}", "tls": {
        "certificate": str(tls / "chain.pem"), "private_key": str(tls / "key.pem")}}],
        "clients": [{"name": "alice", "token": "${ALICE_TOKEN}"}]})
    q.start()
    return q, port, tls / "qcc-ca.pem"


def test_the_listener_is_the_pages(host):
    text = block("listen:")
    assert 'address: "*:7443"' in text and "certificate: tls/chain.pem" in text and "${ALICE_TOKEN}" in text
    q, port, authority = host
    connection = http.client.HTTPSConnection("localhost", port, context=ssl.create_default_context(cafile=authority), timeout=PATIENCE)
    connection.request("POST", "/v1/messages", b"{}", {"authorization": "Bearer not-this-one"})
    assert connection.getresponse().status == 401
    connection.close()


@pytest.mark.skipif(not shutil.which("node"), reason="there is no node here")
def test_node_takes_the_authority_of_the_environment(host, tmp_path):
    """The page's line, with and without NODE_EXTRA_CA_CERTS, and what it says of a wrong name and a wrong port."""
    _, port, authority = host
    (line,) = [line for line in LINES if line.startswith("node ")]
    program = shlex.split(line)

    def said(url, **env):
        plain = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy") and k != "NODE_EXTRA_CA_CERTS"}
        return subprocess.run(program, env={**plain, "ANTHROPIC_BASE_URL": url, **env}, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT).stdout

    trusting = {"NODE_EXTRA_CA_CERTS": str(authority)}
    assert said(f"https://localhost:{port}", **trusting).strip() == "200"
    assert re.search("UNABLE_TO_VERIFY_LEAF_SIGNATURE|SELF_SIGNED_CERT_IN_CHAIN", said(f"https://localhost:{port}"))
    assert "ERR_TLS_CERT_ALTNAME_INVALID" in said(f"https://127.0.0.1:{port}", **trusting)
    assert "ECONNREFUSED" in said(f"https://localhost:{free_port()}", **trusting)
