"""Which model a verification asks for (behaviour: section 5, *Failure queue*)."""
import json

import pytest

from client import Client
from qcc import until
from upstream import MESSAGE, error, reply

QUESTION = b"Reply with these six characters and nothing else: "
PAGE = reply(b"<html>sign in</html>", type="text/html")
REFUSALS = {
    "anthropic": lambda m: error(404, "not_found_error", "model: " + m),
    "openai": lambda m: reply(json.dumps({"error": {
        "message": "The model `%s` does not exist or you do not have access to it." % m,
        "type": "invalid_request_error", "code": "model_not_found"}}).encode(), 404),
    "relay": lambda m: reply(json.dumps({"error": {
        "message": "No available channel for model %s under group default" % m, "type": "new_api_error",
        "code": "model_not_found"}}).encode(), 503),
}
REFUSED = REFUSALS["anthropic"]


class Site:
    """a: has the models in `has` (None: every one) for verifications; requests get `how`."""

    def __init__(self, raw, models=None):
        self.how, self.has, self.refuse = reply(MESSAGE), None, REFUSED
        self.models, self.sent = [], []  # that were verified, that were asked for
        self.up = raw(self.play)
        self.endpoint = self.up.endpoint("a", priority=1, **({"models": models} if models else {}))

    def play(self, peer, request):
        model = request.json()["model"]
        at = request.body.find(QUESTION)
        if at < 0:
            self.sent.append(model)
            peer.send(self.how)
            return
        self.models.append(model)
        if self.has is not None and model not in self.has:
            peer.send(self.refuse(model))
            return
        text = request.body[at + len(QUESTION):][:6].decode()
        peer.send(reply(json.dumps({"type": "message", "content": [{"type": "text", "text": text}]}).encode()))


@pytest.fixture
def house(raw, qcc, tmp_path):
    """house(models of a, has of a, configuration): a, that is asked first, and q; another takes what a fails."""

    def make(models=None, has=None, config=None):
        a = Site(raw, models)
        a.has = has
        b = raw(reply(MESSAGE))
        q = qcc({
            "state_dir": str(tmp_path / "state"),
            "endpoints": [a.endpoint, b.endpoint("b", priority=2)],
            "balance": {"strategy": "priority_failover"},
            "retry": {"max_attempts_per_endpoint": 1},
            "health": {"degraded_for": "0s"},
            **(config or {}),
        })
        return a, q

    return make


def ask(q, model="m"):
    with Client(q.port) as c:
        r = c.ask(model=model)
    return r.header("x-qcc-endpoint") if r.status == 200 else r.status


def verified(q, a, n, model="m"):
    """The models of the first verification after a page, which is n questions long."""
    a.how = PAGE
    assert ask(q, model) == "b"
    until(lambda: len(a.models) >= n, "%d questions" % n)
    return a.models[:n]


def passed(q):
    q.wait_log("endpoint a: failure queue queued -> out: verified")
    assert q.count("endpoint a: verification \\d+ failed") == 0


def restarted(q):
    assert q.stop() == 0
    q.start(wait=False)
    q.wait_serving(2)


def test_the_one_last_served_survives_a_restart(house):
    a, q = house({"allow": ["m-*"]}, ["m-7"])
    assert ask(q, "m-7") == "a"
    restarted(q)
    assert verified(q, a, 1, "m-8") == ["m-7"]
    passed(q)


def test_the_one_last_served_survives_an_upgrade(house):
    a, q = house({"allow": ["m-*"]}, ["m-7"])
    assert ask(q, "m-7") == "a"
    q.wait_log("OUTCOME")
    q.upgrade()
    assert verified(q, a, 1, "m-8") == ["m-7"]
    passed(q)


def test_a_map_translates_exactly_once(house):
    a, q = house({"map": {"m": "n", "n": "o"}}, ["n"])
    assert ask(q, "m") == "a" and a.sent == ["n"]
    restarted(q)
    assert verified(q, a, 1, "x") == ["n"]
    passed(q)


def test_never_asked_the_names_of_its_map(house):
    a, q = house({"allow": ["x-*"], "map": {"m": "theirs-1", "k": "theirs-2"}}, ["theirs-1"])
    assert verified(q, a, 1) == ["theirs-1"]
    passed(q)


def test_never_asked_the_names_it_allows(house):
    a, q = house({"allow": ["claude-haiku*", "x-*", "x-7"]}, ["x-7"])
    assert verified(q, a, 1, "x-9") == ["x-7"]
    passed(q)


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_refusal_about_the_model_takes_the_next_at_once(house, refusal):
    """It was renamed there: the one last served is gone."""
    a, q = house({"allow": ["old", "new", "*"], "map": {"k": "theirs"}}, ["new"])
    a.refuse = REFUSALS[refusal]
    assert ask(q, "old") == "a"
    assert verified(q, a, 3) == ["old", "theirs", "new"]
    passed(q)


def test_all_refused_is_one_failed_verification(house):
    a, q = house({"allow": ["x%d" % i for i in range(20)]}, [])
    assert verified(q, a, 8, "x0") == ["x%d" % i for i in range(8)]
    q.wait_log("endpoint a: verification 1 failed: status 404, ")
    a.has = ["x3"]
    q.wait_log("endpoint a: failure queue queued -> out: verified")
    assert a.models[8:] == ["x0", "x1", "x2", "x3"]
    assert q.count("endpoint a: verification \\d+ failed") == 1


def test_another_refusal_is_a_failed_verification(house):
    a, q = house({"allow": ["x", "y"]}, [])
    a.refuse = lambda _: error(400, "invalid_request_error", "max_tokens: too small")
    assert verified(q, a, 1, "x") == ["x"]
    q.wait_log("endpoint a: verification 1 failed: status 400, ")
    assert a.models == ["x"]


def test_the_one_last_served_is_no_longer_offered(house):
    a, q = house({"allow": ["m"]}, ["n"])
    assert ask(q, "m") == "a"
    changed = dict(a.endpoint, models={"allow": ["n"]})
    q.reload({"endpoints": [changed, q.config["endpoints"][1]]})
    assert verified(q, a, 1, "n") == ["n"]
    passed(q)


def test_a_failure_and_a_side_path_serve_no_model(house):
    a, q = house(None, ["good", "claude-haiku-4-5"])
    assert ask(q, "good") == "a"
    a.how = error(529, "overloaded_error")
    assert ask(q, "failed") == "b"
    a.how = reply(b'{"input_tokens": 1}')
    with Client(q.port) as c:
        assert c.ask(path="/v1/messages/count_tokens", model="counted").status == 200
    assert verified(q, a, 1) == ["good"]
    passed(q)


def test_the_configured_one_goes_through_the_map_and_is_not_the_only_one(house):
    a, q = house({"map": {"small": "theirs-s", "m": "theirs-m"}}, ["theirs-m"],
                 {"failure_queue": {"probe_model": "small"}})
    assert verified(q, a, 2, "k") == ["theirs-s", "theirs-m"]
    passed(q)


def test_the_configured_one_is_asked_for_once_in_a_row(house):
    """It fails alone, which is no failed verification: the models last served there come next."""
    a, q = house({"allow": ["small", "k", "m"]}, ["k"], {"failure_queue": {"probe_model": "small"}})
    assert ask(q, "m") == "a" and ask(q, "k") == "a"
    a.refuse = lambda _: error(500)
    assert verified(q, a, 2, "k")[0] == "small"
    passed(q)
    assert a.models in (["small", "k"], ["small", "m", "k"])
    q.wait_log("endpoint a: a verification ended with its model alone: status 500, 5xx, sent \"small\"")


@pytest.mark.parametrize("models,model", [
    ({"override": "forced"}, "forced"),
    ({"map": {"claude-haiku-4-5": "common"}}, "common"),
    ({}, "claude-haiku-4-5"),
], ids=["override", "common map", "neither"])
def test_nothing_known(house, models, model):
    a, q = house(None, [model], {"models": models})
    assert verified(q, a, 1, "m") == [model]
    passed(q)


def test_override_and_the_endpoints_map(house):
    """What was served was the forced one, and the endpoint was asked for its own name of it."""
    a, q = house({"map": {"forced": "theirs"}}, ["theirs"], {"models": {"override": "forced"}})
    assert ask(q, "m") == "a" and a.sent == ["theirs"]
    restarted(q)
    assert verified(q, a, 1) == ["theirs"]
    passed(q)
