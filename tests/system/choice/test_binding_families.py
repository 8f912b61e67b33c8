"""The families of one conversation start at one endpoint and move apart; what moves a binding, and what does not
(scope: section 4, Affinity)."""
import pytest

from client import Client, another
from house import ask, house, sites
from upstream import error, reply

OPUS, HAIKU = "claude-opus-4-8", "claude-haiku-4-5"
# Failures open no breaker and degrade nothing: a binding alone decides.
CALM = {"breaker": {"failure_threshold": 1000}, "balance": {"strategy": "weighted"}}
ROUNDS = 6  # each on a connection of its own, so that several workers are asked


def talk(q, conversation, model, **more):
    """One request of a conversation; its reply."""
    headers = ["x-conversation-id: " + conversation] + list(more.pop("headers", []))
    with Client(q.port) as c:
        return c.ask(model=model, messages=another(), headers=headers, **more)


def where(q, conversation, model, rounds=ROUNDS, **more):
    """The endpoint that serves the conversation's requests for that model."""
    replies = [talk(q, conversation, model, **more) for _ in range(rounds)]
    assert {r.status for r in replies} == {200}
    seen = {r.header("x-qcc-endpoint") for r in replies}
    assert len(seen) == 1, seen
    return seen.pop()


def at_home(q, site, conversations=("c%d" % i for i in range(1000))):
    """A conversation whose requests for both families go there, and are bound."""
    return next(c for c in conversations if {where(q, c, m, rounds=1) for m in (OPUS, HAIKU)} == {site.name} and
                {where(q, c, m) for m in (OPUS, HAIKU)} == {site.name})


def fails(model, how):
    """An endpoint's behaviour: `how` for that model, answers for others."""
    def play(peer, request):
        peer.send(how if request.json()["model"] == model else reply())
    return play


@pytest.fixture
def four(house, sites):
    """Four equal endpoints and what is in front of them."""
    all_sites = sites("abcd")
    for s in all_sites:
        s.how = reply()
        s.endpoint["priority"] = 1
    return house(all_sites, CALM), all_sites


def test_they_start_at_one_endpoint(four):
    q, _ = four
    first = {c: {where(q, c, m) for m in (OPUS, HAIKU, "glm-4.6")} for c in ("c%d" % i for i in range(12))}
    assert all(len(at) == 1 for at in first.values()), first
    assert len({at.pop() for at in first.values()}) > 1


def test_one_moves_and_the_other_stays(four):
    """A failure of one family elsewhere binds that family anew, on all workers, for good."""
    q, (a, *_) = four
    c = at_home(q, a)
    a.how = fails(OPUS, error(500))
    now = where(q, c, OPUS)
    assert now != "a" and where(q, c, HAIKU) == "a"
    a.how = reply()
    assert where(q, c, OPUS) == now and where(q, c, HAIKU) == "a"
    # a family without a binding starts where the conversation does
    assert where(q, c, "claude-sonnet-5") == "a"


def test_a_model_that_is_gone_moves_its_family(four):
    q, all_sites = four
    a = all_sites[0]
    c = at_home(q, a)
    a.endpoint["models"] = {"allow": ["claude-haiku*"]}
    q.reload({"endpoints": [s.endpoint for s in all_sites]})
    now = where(q, c, OPUS)
    assert now != "a" and where(q, c, HAIKU) == "a"
    del a.endpoint["models"]
    q.reload({"endpoints": [s.endpoint for s in all_sites]})
    assert where(q, c, OPUS) == now and where(q, c, HAIKU) == "a"


def test_a_refusal_moves_nobody(house, sites):
    """That another endpoint serves what the bound one refused says nothing of the next request. (The bound one is the
    last for some models, so that it stays in service whatever becomes of it.)"""
    all_sites = sites("abc")
    for s in all_sites:
        s.how = reply()
        s.endpoint["priority"] = 1
    a, b, c = all_sites
    b.endpoint["models"] = c.endpoint["models"] = {"allow": ["claude-*"]}
    q = house(all_sites, CALM)
    c = at_home(q, a)
    beta = "new-thing-2026-01-01"
    a.how = error(400, "invalid_request_error", "Unexpected value(s) `%s` for the `anthropic-beta` header" % beta)
    r = talk(q, c, OPUS, headers=["anthropic-beta: " + beta])
    assert r.status == 200 and r.header("x-qcc-endpoint") != "a"
    a.how = reply()
    assert where(q, c, OPUS) == "a"


def test_a_failure_that_was_repaired_there_moves_nobody(house, sites):
    all_sites = sites("abc")
    for s in all_sites:
        s.how = reply()
        s.endpoint["priority"] = 1
    q = house(all_sites, {**CALM, "retry": {"max_attempts_per_endpoint": 2, "max_attempts": 6}})
    a, left = all_sites[0], [error(500)]
    conversation = at_home(q, a)
    a.how = lambda peer, _request: peer.send(left.pop() if left else reply())
    r = talk(q, conversation, OPUS)
    assert (r.status, r.header("x-qcc-endpoint"), r.header("x-qcc-attempts")) == (200, "a", "2")
    assert where(q, conversation, OPUS) == "a"
