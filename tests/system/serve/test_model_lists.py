"""GET /v1/models (scope.md, section 5): the union of what endpoints list, from memory."""
import json

import pytest

from client import Client, request
from qcc import merged, until
from upstream import error, reply

CALM = {"workers": 2, "upstream": {"list_models": True}, "failure_queue": {"probe": "off"}}


class Lister:
    """An endpoint that lists models."""

    def __init__(self, raw, name, listed, more):
        self.asked, self.passed, self.answer = [], [], self.list(*listed)
        self.up = raw(self.play)
        self.endpoint = self.up.endpoint(name, **more)

    def list(self, *models):
        return reply(json.dumps({"data": [m if isinstance(m, dict) else {"id": m} for m in models]}).encode())

    def play(self, peer, r):
        if r.method == "GET":
            (self.asked if r.header("user-agent").startswith("qcc/") else self.passed).append(r)
            peer.send(self.answer)
        else:
            peer.send(reply())


@pytest.fixture
def house(qcc, raw):
    def make(config=None, **listers):
        all = [Lister(raw, name, listed, more) for name, (listed, more) in listers.items()]
        return (qcc({**merged(CALM, config or {}), "endpoints": [l.endpoint for l in all]}), *all)

    return make


def get(q, path="/v1/models", method="GET"):
    with Client(q.port) as c:
        c.send(request(method, path, ["user-agent: x"]))
        return c.reply(method)


def ids(q, query=""):
    r = get(q, "/v1/models" + query)
    return [m["id"] for m in r.json()["data"]] if r.status == 200 else r.status


def has(q, *want):
    """The union comes to be this, at each of the workers."""
    return until(lambda: all(ids(q) == list(want) for _ in range(8)), "models " + " ".join(want))


def test_union(house):
    sonnet = {"type": "model", "id": "claude-sonnet-4-5", "display_name": "Claude Sonnet 4.5", "created_at": "2025-09-29T00:00:00Z"}
    q, a, b = house(a=([sonnet, "x", "hidden"], {"models": {"allow": ["claude-*", "x", "only-here"]}}),
                    b=(["x", "y"], {"models": {"map": {"best": "y", "big-*": "y"}}}))
    has(q, "claude-sonnet-4-5", "x", "y", "only-here", "best")
    r = get(q, "/v1/models?limit=1").json()
    assert r["has_more"] and r["object"] == "list" and r["first_id"] == r["last_id"] == "claude-sonnet-4-5"
    assert r["data"][0] == {**sonnet, "object": "model", "created": 1759104000}
    assert ids(q, "?after_id=x&limit=2") == ["y", "only-here"] and ids(q, "?before_id=y&limit=1") == ["x"]
    assert get(q, "/v1/models/claude-sonnet-4-5").json() == r["data"][0]
    none = get(q, "/v1/models/hidden")
    assert none.status == 404 and none.error["type"] == "not_found_error"
    assert get(q, "/v1/models?limit=0").status == 400 and get(q, "/v1/models?after_id=none").status == 400
    assert get(q, method="HEAD").status == 200
    assert [len(a.asked), len(b.asked)] == [1, 1]  # by one worker, once
    assert a.asked[0].target == "/v1/models?limit=1000" and a.asked[0].header("x-api-key")
    assert "x-qcc-endpoint" not in get(q).headers


def test_after_a_reload_and_over_an_upgrade(house):
    q, a = house(a=(["x"], {}))
    has(q, "x")
    a.answer = a.list("y")
    q.reload(q.config)
    has(q, "y")
    a.answer = error(500)
    n = len(a.asked)
    q.reload(q.config)
    until(lambda: len(a.asked) > n, "another question")
    assert ids(q) == ["y"]  # the last one that was told
    q.upgrade()
    assert ids(q) == ["y"]


def test_failures_are_not_charged(house):
    q, a = house({"breaker": {"failure_threshold": 1}}, a=([], {"models": {"map": {"m": "n"}}}))
    for bad in (error(401, "authentication_error"), error(500), reply(b"<html>"), reply(b'{"data":7}'), reply(b"{" * 100000)):
        n = len(a.asked)
        a.answer = bad
        q.reload(q.config)
        until(lambda: len(a.asked) > n, "a question")
        assert ids(q) == ["m"]
        e = q.ctl_json("endpoints")["endpoints"][0]
        assert e["tier"] == "healthy" and e["breaker"]["state"] == "closed" and not e["disabled_by"] and not e["queued"]
    with Client(q.port) as c:
        assert c.ask().status == 200


def test_a_list_of_100_mb(qcc, raw):
    """It is given up at its bound, told, and nothing else of the endpoint suffers."""
    taken = []

    def endless(peer, r):
        if r.method != "GET":
            peer.send(reply())
            return
        piece = b'{"id":"claude-%s"},' % (b"x" * 100) * 9000
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 104857600\r\n\r\n" + b'{"data":[')
        for n in range(104857600 // len(piece)):
            peer.send(piece)  # ends with Gone once QCC has closed the connection
            taken[:] = [(n + 1) * len(piece)]

    other = Lister(raw, "b", ["there"], {})
    q = qcc({**CALM, "workers": 1, "log": {"level": "debug"}, "endpoints": [raw(endless).endpoint("a"), other.endpoint]})
    q.wait_log("list of models of a: ")
    assert not q.count("list of models of a: ok")
    has(q, "there")
    assert sum(taken) < 20 << 20, "it was not read to its end"
    e = q.ctl_json("endpoints")["endpoints"][0]
    assert e["tier"] == "healthy" and not e["queued"] and not e["disabled_by"]


def test_not_without_a_key(house):
    """The client's own credentials are for its own requests: the endpoint answers them."""
    q, a = house(a=(["x"], {"api_key": None}))
    with Client(q.port) as c:
        c.send(request("GET", "/v1/models", ["x-api-key: sk-client-01234567", "user-agent: x"]))
        assert c.reply("GET").header("x-qcc-endpoint") == "a"
    assert a.asked == [] and [r.header("x-api-key") for r in a.passed] == ["sk-client-01234567"]


def test_not_where_paths_deny_it(house):
    q, a, b = house(a=(["x"], {"paths": {"deny": ["/v1/models"]}}), b=(["y"], {}))
    has(q, "y")
    assert a.asked == []


def test_verification_asks_for_one_of_the_list(house):
    q, a = house({"failure_queue": {"probe": "conversational"}}, a=(["big-model", "some-Mini", "x"], {}))
    has(q, "big-model", "some-Mini", "x")
    q.ctl("verify", "a")
    asked = until(lambda: [r for r in a.up.requests if r.method == "POST"], "a verification")
    assert asked[0].json()["model"] == "some-Mini"


def test_openai(house):
    q, a = house(a=([{"id": "gpt-x", "object": "model", "created": 1700000000}], {"protocol": "openai"}))
    has(q, "gpt-x")
    assert get(q).json()["data"][0]["created_at"] == "2023-11-14T22:13:20Z"
