"""What tests of qccctl and of the control socket share."""
import contextlib
import http.client
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

import pytest

from qcc import PATIENCE, QCCCTL


def ask(q, body=None, headers=None):
    """One question; (status, headers)."""
    c = http.client.HTTPConnection("127.0.0.1", q.port, timeout=PATIENCE)
    body = body or {"model": "m-1", "max_tokens": 16, "messages": [{"role": "user", "content": "hello"}]}
    c.request("POST", "/v1/messages", json.dumps(body), {"content-type": "application/json", **(headers or {})})
    r = c.getresponse()
    r.read()
    found = {k.lower(): v for k, v in r.getheaders()}
    c.close()
    return r.status, found


def done(result, code=0):
    assert result.returncode == code, (result.stdout, result.stderr)
    assert "Sanitizer" not in result.stderr
    return result.stdout


def run(*args, folder, **more):
    return subprocess.run([str(QCCCTL), *args], cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=PATIENCE, **more)


@contextlib.contextmanager
def inside(folder):
    before = os.getcwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def control(q):
    return q.folder / "run/control.sock"


@pytest.fixture
def open_folder():
    """A folder that other users reach, unlike pytest's."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="qcc-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)
