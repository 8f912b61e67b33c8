"""Which endpoint is asked: strategies, tiers, places."""
import collections
import time

from candidates import THREE, counts, some
from client import ask
from qcc import until
from upstream import error, reply


def spread(q, client, n):
    """n questions, each on a connection of its own: how many went where."""
    out = collections.Counter()
    order = []
    c = client(q)
    for _ in range(n):
        r = c.ask()
        assert r.status == 200
        order.append(r.header("x-qcc-endpoint"))
    out.update(order)
    return out, order


def test_weighted(some, client):
    """By weight: far from each bound by more than six standard deviations."""
    q, _ = some(THREE, {"balance": {"strategy": "weighted"}}, {"a": {"weight": 300}, "b": {"weight": 100}, "c": {"weight": 0}})
    got, _ = spread(q, client, 200)
    assert 110 < got["a"] < 190 and got["c"] == 0


def test_weight_0_is_the_last(some, client):
    """Only when no other is left."""
    q, ups = some({"a": lambda peer, _: peer.close(), "b": reply()}, {"balance": {"strategy": "weighted"}}, {"b": {"weight": 0}})
    assert client(q).ask().header("x-qcc-endpoint") == "b"
    assert counts(ups)["a"] == 2


def test_round_robin(some, client):
    q, _ = some(THREE, {"balance": {"strategy": "round_robin"}})
    _, order = spread(q, client, 12)
    assert sorted(order[:3]) == ["a", "b", "c"] and order == order[:3] * 4


def test_random(some, client):
    """Whatever the weights."""
    q, _ = some(THREE, {"balance": {"strategy": "random"}}, {"a": {"weight": 10000}})
    got, order = spread(q, client, 150)
    assert all(15 < got[name] < 95 for name in "abc") and order != order[:3] * 50


def test_priority_failover(some, client):
    """The first as long as it is well, and again as soon as it is."""
    q, ups = some(THREE)
    assert spread(q, client, 10)[0] == {"a": 10}
    ups["a"].play = error(429, "rate_limit_error", headers=["retry-after: 0"])
    assert client(q).ask().header("x-qcc-endpoint") == "b"
    ups["a"].play = reply()
    until(lambda: client(q).ask().header("x-qcc-endpoint") == "a", "the first to be back")


def test_least_connections(some, client):
    """Open requests now, over weight."""
    go = []
    play = lambda peer, _: (until(lambda: go), peer.send(reply()))  # noqa: E731
    q, ups = some({"a": play, "b": play}, {"balance": {"strategy": "least_connections"}}, {"b": {"weight": 300}})
    clients = [client(q) for _ in range(8)]
    for i, c in enumerate(clients):
        c.send(ask())
        until(lambda: sum(counts(ups).values()) == i + 1, "the request")
    go.append(1)
    assert counts(ups) == {"a": 2, "b": 6}
    assert all(c.reply().status == 200 for c in clients)


def test_least_latency(some, client):
    """Of two, the one that answers sooner."""
    slow = lambda peer, _: (time.sleep(0.05), peer.send(reply()))  # noqa: E731  # lint: the simulated endpoint takes so long
    q, ups = some({"a": slow, "b": reply()}, {"balance": {"strategy": "least_latency"}})
    until(lambda: client(q).ask() and ups["a"].requests and ups["b"].requests, "both to be measured")
    got, _ = spread(q, client, 40)
    assert got == {"b": 40}


def test_use_priority(some, client):
    """Groups for a strategy that knows no priority."""
    q, ups = some(THREE, {"balance": {"strategy": "weighted", "use_priority": True}}, {"a": {"priority": 1}, "b": {"priority": 1}})
    got, _ = spread(q, client, 40)
    assert got["a"] and got["b"] and not got["c"]


def test_disabled_is_never_asked(some, client):
    q, ups = some({"a": reply(), "b": error(503)}, endpoint={"a": {"enabled": False}})
    assert client(q).ask().status == 503
    assert counts(ups)["a"] == 0


def test_none_is_enabled(some, client):
    q, ups = some({"a": reply()}, endpoint={"a": {"enabled": False}})
    r = client(q).ask()
    assert r.status == 503 and r.error["type"] == "api_error" and "a: disabled" in r.error["message"]
    assert r.header("x-should-retry") == "false"


def test_max_concurrent(some, client):
    """Never exceeded: others are chosen, then the request waits for a place."""
    go = []
    play = lambda peer, _: (until(lambda: go), peer.send(reply()))  # noqa: E731
    q, ups = some({"a": play, "b": play}, endpoint={"a": {"max_concurrent": 2}, "b": {"max_concurrent": 1}})
    clients = [client(q) for _ in range(4)]
    for i, c in enumerate(clients):
        c.send(ask())
        until(lambda: sum(counts(ups).values()) == min(i + 1, 3), "the request")
    assert counts(ups) == {"a": 2, "b": 1} and clients[3].silent(0.2)
    go.append(1)
    assert all(c.reply().status == 200 for c in clients)


def test_max_concurrent_for_too_long(some, client):
    q, ups = some({"a": lambda peer, _: peer.wait_gone()}, endpoint={"a": {"max_concurrent": 1}})
    first, second = client(q), client(q)
    first.send(ask())
    ups["a"].wait_requests(1)
    r = second.ask()
    assert r.status == 503 and r.header("retry-after") == "1" and "a: full" in r.error["message"]


def test_conversation_stays(some, client):
    """Chance does not part it, whichever worker it meets."""
    q, _ = some(THREE, {"workers": 2, "balance": {"strategy": "random"}})
    for i in range(8):
        name = {client(q).ask(headers=["x-claude-code-session-id: s-%d" % i]).header("x-qcc-endpoint") for _ in range(6)}
        assert len(name) == 1
