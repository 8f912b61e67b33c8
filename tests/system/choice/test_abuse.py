"""A client that invents models, beta values, members, paths and conversations by the thousand (QCC_ABUSE: how many of
each): what is kept is bounded, no other client's request moves, no endpoint goes out (scope: sections 1 to 3)."""
import json
import os
import re
import socket
import threading

import pytest

from client import another
from house import answer, house, sites, went
from qcc import PATIENCE, until
from upstream import error, reply

MANY = int(os.environ.get("QCC_ABUSE", "1500"))
USED = ["claude-opus-4-8", "claude-haiku-4-5", "gpt-5"]  # the models of others
BATCH = 50


def post(i, model="m", headers=(), path="/v1/messages", **more):
    body = json.dumps({"model": model, "max_tokens": 9, "messages": another(), **more}).encode()
    head = ["POST %s HTTP/1.1" % path, "host: 127.0.0.1", "content-type: application/json", "content-length: %d" % len(body), *headers]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


class Flood(threading.Thread):
    """Sends make(0), make(1), … on one connection after the other; statuses by their number."""

    def __init__(self, q, make, n):
        super().__init__(daemon=True)
        self.q, self.make, self.n, self.statuses, self.fault = q, make, n, {}, None
        self.start()

    def run(self):
        try:
            for i in range(0, self.n, BATCH):
                self.batch(range(i, min(i + BATCH, self.n)))
        except Exception as e:  # told by end()
            self.fault = e

    def batch(self, numbers):
        with socket.create_connection(("127.0.0.1", self.q.port), PATIENCE) as s:
            s.sendall(b"".join(self.make(i) for i in numbers))
            data, seen = b"", 0
            while seen < len(numbers):
                more = s.recv(1 << 18)
                assert more, "%d of %d replies" % (seen, len(numbers))
                data += more
                heads = re.findall(b"HTTP/1.1 (\\d+) ", data)
                seen = len(heads)
            for status in heads:
                self.statuses[int(status)] = self.statuses.get(int(status), 0) + 1

    def end(self):
        self.join(600)
        assert not self.is_alive() and self.fault is None, self.fault
        return self.statuses


def relay(peer, request):
    """Serves any model but those that are called bad, which it answers with a 500."""
    if request.method == "POST" and "bad" in request.json().get("model", ""):
        peer.send(error(500))
    else:
        answer(peer, request)


def strict(peer, request):
    """Refuses what it does not know: models, beta values, members."""
    d = request.json()
    odd = [k for k in d if k not in ("model", "max_tokens", "messages")] + (request.header("anthropic-beta") or "").split()
    if d["model"] not in USED + ["m"]:
        peer.send(error(404, "not_found_error", "model: %s" % d["model"]))
    elif odd:
        peer.send(error(400, "invalid_request_error", "%s: Extra inputs are not permitted" % odd[0]))
    else:
        answer(peer, request)


def served_by(q, models=USED):
    return {m: went(q, model=m)[0] for m in models}


def is_well(q, name="a"):
    e = next(e for e in q.ctl_json("endpoints")["endpoints"] if e["name"] == name)
    assert e["breaker"]["state"] == "closed" and not e["queued"] and not e["disabled_by"]
    assert len(e["cells"]) <= 77 and len(e["marks"]) <= 32 + 16 + 64 + 256
    return e


NAMES = {
    "of one family": lambda i: "claude-opus-x%d" % i,
    "of new families": lambda i: "made%d-up" % i,
}


@pytest.mark.parametrize("kind", list(NAMES))
def test_models_that_are_served_and_models_that_fail(house, sites, kind):
    """What is served under invented names takes no model in use out of those that are known to be served, so that what
    fails under others does not count against it."""
    a, b = sites("ab")
    a.how = relay
    q = house([a, b], {"workers": 2, "log": {"level": "info"}, "breaker": {"open_duration": "1h", "max_open_duration": "1h"}})
    for _ in range(12):  # each worker has served each of them
        assert served_by(q) == {m: "a" for m in USED}
    flood = Flood(q, lambda i: post(i, NAMES[kind](i)), MANY)
    while flood.is_alive():
        assert served_by(q) == {m: "a" for m in USED}
    assert set(flood.end()) == {200}
    bad = Flood(q, lambda i: post(i, NAMES[kind](i) + "-bad"), MANY)
    until(lambda: q.count("endpoint a: other: breaker closed -> open"), "the cell of all else to open")
    for _ in range(5):
        assert served_by(q) == {m: "a" for m in USED}
    assert set(bad.end()) == {200}
    assert {c["family"] for c in is_well(q)["cells"]} == {"other"}


THINGS = {
    "models": lambda i: post(i, "made-%d" % i),
    "beta values": lambda i: post(i, headers=["anthropic-beta: beta-%d" % i]),
    "members": lambda i: post(i, **{"member_%d" % i: i}),
    "inner members": lambda i: post(i, **{"thinking": {"member_%d" % i: i}}),
    "headers": lambda i: post(i, headers=["x-made-%d: %d" % (i, i)]),
    "conversations": lambda i: post(i, headers=["x-conversation-id: %d" % i], **{"member": i}),
    "paths": lambda i: post(i, path="/v1/made%s" % "".join(chr(97 + int(d)) for d in str(i))),
}


@pytest.mark.parametrize("kind", list(THINGS))
def test_what_one_endpoint_refuses_and_the_other_serves(house, sites, kind):
    a, b = sites("ab")
    a.how = strict
    q = house([a, b], {"workers": 2, "log": {"level": "info"}})
    assert served_by(q) == {m: "a" for m in USED}
    flood = Flood(q, THINGS[kind], MANY)
    while flood.is_alive():
        assert served_by(q) == {m: "a" for m in USED}
    flood.end()
    assert served_by(q) == {m: "a" for m in USED}
    is_well(q)
    is_well(q, "b")
