"""The breaker, as requests that are on their way when it opens see it."""
from client import ask
from qcc import until
from upstream import error, reply


def test_no_repeat_after_it_opened(qcc, raw, client):
    """Two requests fail and wait for their repeat; the second failure opens the breaker: both are
    repeated elsewhere."""
    bad, good = raw(lambda peer, _: (until(lambda: len(bad.requests) >= 2), peer.send(error(503)))), raw(reply())
    q = qcc({"workers": 2, "retry": {"transient_delay": "400ms"}, "breaker": {"failure_threshold": 2},
             "balance": {"strategy": "priority_failover"},
             "endpoints": [bad.endpoint("bad"), good.endpoint("good", priority=2)]})
    clients = [client(q) for _ in range(2)]
    for c in clients:
        c.send(ask())
    for c in clients:
        r = c.reply()
        assert r.status == 200 and r.header("x-qcc-endpoint") == "good"
    assert q.count("endpoint bad: .*breaker closed -> open") == 1
    assert len(bad.requests) == 2
