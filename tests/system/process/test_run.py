"""What `make run` prints and does, once all is built (packaging/run.sh)."""
import contextlib
import os
import re
import signal
import subprocess

import pytest

from admin import get
from qcc import BUILD, PATIENCE, ROOT, connectable, free_port, until


@pytest.fixture
def demo(tmp_path):
    """demo(**environment): the demonstration, with ports and a folder of its own, started."""
    running = []

    def make(**env):
        ports = {"7860": free_port(), "7861": free_port(), "7870": free_port()}
        text = re.sub(r"\b(786[01]|7870)\b", lambda m: str(ports[m.group()]), (ROOT / "conf/demo.yaml").read_text())
        (tmp_path / "conf").mkdir()
        (tmp_path / "conf/demo.yaml").write_text(text)
        (tmp_path / "build").mkdir()
        clean = {k: v for k, v in os.environ.items() if k not in ("SSH_CONNECTION", "DEMO_TRAFFIC")}
        p = subprocess.Popen([str(ROOT / "packaging/run.sh"), str(BUILD), "conf/demo.yaml"], cwd=tmp_path, stdin=subprocess.DEVNULL,
                             stdout=open(tmp_path / "out", "wb"), stderr=subprocess.STDOUT, start_new_session=True,
                             # A shell cannot trap what it was started to ignore, as jobs in the background are.
                             preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
                             env={**clean, "RUNTIME_DIRECTORY": str(tmp_path / "run"), **env})
        running.append(p)
        until(lambda: "The log follows here" in (tmp_path / "out").read_text() or p.poll() is not None, "what it prints")
        return p, ports, (tmp_path / "out").read_text()

    yield make
    for p in running:
        if p.poll() is None:
            p.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                p.wait(PATIENCE)
        if p.poll() is None:
            p.kill()


def test_the_page_comes_first(demo):
    p, ports, out = demo()
    page, serves = out.index("The dashboard: http://127.0.0.1:%d/\n" % ports["7861"]), out.index("QCC serves conf/demo.yaml")
    assert page < serves and "DEMO_TRAFFIC=1" in out
    assert not [r for r in get(ports["7861"], "requests")["requests"] if r["path"] == "/v1/messages"]
    assert get(ports["7861"], "history")["path"].endswith("build/demo/history.db")
    p.send_signal(signal.SIGINT)
    assert p.wait(PATIENCE) == 0
    assert not connectable(ports["7861"]) and not connectable(ports["7870"])


def test_a_trickle_of_requests(demo):
    p, ports, out = demo(DEMO_TRAFFIC="1")
    assert "DEMO_TRAFFIC" not in out
    until(lambda: get(ports["7861"], "overview")["totals"]["requests"] >= 5, "requests")
    rows = get(ports["7861"], "requests")["requests"]
    assert {r["path"] for r in rows} == {"/v1/messages"} and all(r["model"].startswith("claude-") for r in rows)
    p.send_signal(signal.SIGINT)
    p.wait(PATIENCE)
    # A request or pause of the trickle that is under way may outlive the shell by a moment.
    until(lambda: not subprocess.run(["pgrep", "-s", str(p.pid)], capture_output=True, text=True).stdout.strip(),
          "the end of all that it has started")
