"""Two and three supervisors that share state through one engine: conversations, breakers, operators' words; the
engine stopped, killed, emptied, while requests are served."""
import time

import pytest

from engine import Engine
from qcc import until

SECRET = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def engine(tmp_path):
    e = Engine(tmp_path / "engine")
    yield e
    e.close()


@pytest.fixture
def host(qcc, engine, upstream):
    """host(name, paths, **cluster): a QCC of the cluster; its endpoints are named by their place."""

    def make(name, paths=("/good", "/good2"), config=None, wait=True, **cluster):
        q = qcc({"endpoints": [{"name": "e%d" % i, "base_url": upstream.url + p, "api_key": "k"}
                               for i, p in enumerate(paths)],
                 "cluster": {"url": engine.url, "secret": SECRET, "name": name, "lease": "2s", **cluster},
                 "breaker": {"failure_threshold": 2, "open_duration": "30s"},
                 **(config or {})})
        if wait:
            up(q)
        return q

    return make


def cluster(q):
    return q.ctl_json("cluster")


def up(q):
    until(lambda: cluster(q)["state"] == "up", "the cluster to be up")


def endpoint(q, name):
    return next(e for e in q.ctl_json("endpoints")["endpoints"] if e["name"] == name)


def test_hosts_see_each_other(host):
    a = host("web-1")
    b = host("web-2", ["/good"])
    until(lambda: len(cluster(a)["hosts"]) == 2, "two hosts")
    hosts = {h["name"]: h for h in cluster(a)["hosts"]}
    assert hosts["web-1"]["self"] and not hosts["web-2"]["self"]
    assert hosts["web-1"]["digest"] != hosts["web-2"]["digest"]
    text = a.ctl("cluster").stdout
    assert "web-2" in text and "another configuration" in text and ": up" in text
    assert b.stop() == 0
    until(lambda: len(cluster(a)["hosts"]) == 1, "web-2 to have left")
    a.wait_log("cluster: host web-2 has gone")
