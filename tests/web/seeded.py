"""The real programs with something to see: a fake upstream, a history of some weeks, and requests of now."""
import importlib.util
import time

from admin import get, send
from qcc import ROOT, Qcc, Upstream, until
from scripted import CALM

NAMES = ("official", "relay-a", "relay-b", "gateway")


def history_fill():
    spec = importlib.util.spec_from_file_location("history_fill", ROOT / "tests/bench/history_fill.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Seeded:
    """.q the instance, .up the upstream."""

    def __init__(self, folder, requests=3000, days=12, config=None, specs=(), history=True):
        self.up = Upstream(folder / "upstream", "--quiet")
        specs = dict(zip(NAMES, ["out_tokens=40,in_tokens=20,events=2,gap_ms=1"] * 4), **dict(specs))
        endpoints = [self.up.endpoint("/s/name=%s,%s" % (n, s), name=n, priority=i + 1) for i, (n, s) in enumerate(specs.items())]
        self.q = Qcc(folder / "qcc", {**CALM, "endpoints": endpoints, "balance": {"strategy": "priority_failover"},
                                      "clients": [{"name": "alice", "token": "alices-token-1"}, {"name": "bob", "token": "bobs-token-01"}],
                                      **({"state_dir": str(folder / "state"), "history": {"min_free": 0}} if history else {}),
                                      **(config or {})})
        self.q.start()
        if history:
            self.storing()
            if requests:
                self.q.stop()
                history_fill().fill(folder / "state/history.db", requests, days, time.time() - 1)
                self.q.start(wait=False).wait_serving(2)
                self.storing()

    def storing(self):
        until(lambda: get(self.q, "history")["state"] == "storing", "the history")

    def send(self, n=1, **more):
        more.setdefault("headers", {"authorization": "Bearer alices-token-1"})
        more.setdefault("model", "claude-sonnet-5-5")
        return send(self.q, n, stream=True, **more)

    @property
    def url(self):
        return self.q.admin_url + "/"

    def close(self):
        self.q.close()
        self.up.close()
