"""Refused keys and refused models: what is disabled, blocked or queued for them, and until when."""
import concurrent.futures

import pytest

from client import Client
from house import all_hear, answer, crowd, house, sites, went
from qcc import until
from upstream import error, reply


# ---- auth

def test_auth_disables_until_verified(house, sites):
    a, b = sites("ab")
    q = house([a, b], {"failure_queue": {"verify_disabled_interval": "300ms"}})
    a.how = error(401, "authentication_error", "invalid x-api-key")
    assert went(q) == ["b"]
    q.wait_log("endpoint a: service enabled -> disabled by auth")
    assert {r.status for r in crowd(q, 12)} == {200} and a.n == 1
    until(lambda: len(a.verified) >= 2, "verifications that fail")
    a.how = answer
    q.wait_log("endpoint a: service disabled by auth -> enabled: verified")
    assert went(q) == ["a"]


def test_auth_with_the_clients_own_key_disables_nothing(house, sites):
    a, b = sites("ab")
    for s in (a, b):
        del s.endpoint["api_key"]
    q = house([a, b])
    a.how = error(401, "authentication_error", "invalid x-api-key")
    assert went(q, 3) == ["b"] * 3 and a.n == 3
    assert q.count("disabled") == 0


def test_a_changed_key_is_another_endpoint(house, sites):
    a, b = sites("ab")
    q = house([a, b], {"failure_queue": {"verify_disabled_interval": "0s"}})
    a.how = error(403, "permission_error", "your API key has been revoked")
    assert went(q) == ["b"]
    q.wait_log("disabled by auth")
    a.how = answer
    q.reload({"endpoints": [{**a.endpoint, "api_key": "sk-new-0123456789abcdef"}, b.endpoint]})
    until(lambda: went(q) == ["a"], "the new key to be used")
    assert not a.verified


# ---- permanent

def test_model_blocked_for_all_workers(house, sites):
    a, b = sites("ab")
    q = house([a, b])
    a.how = lambda peer, r: answer(peer, r) if r.json()["model"] == "m" else peer.send(
        error(404, "not_found_error", "model: other"))
    assert went(q, model="other") == ["b"]
    q.wait_log("endpoint a: mark other none -> marked")
    assert {r.header("x-qcc-endpoint") for r in crowd(q, 12, model="other")} == {"b"}
    assert a.n == 1
    assert set(went(q, 8)) == {"a"}
    assert q.count("endpoint a: (health \\w+ -> unhealthy|failure queue|breaker)") == 0


def test_a_block_ends(house, sites):
    a, b = sites("ab")
    q = house([a, b], {"rate_limit": {"max_cooldown": "500ms", "default_cooldown": "500ms"}})
    a.how = error(404, "not_found_error", "model: m")
    with all_hear(q):
        assert went(q) == ["b"]
    a.how = answer
    until(lambda: went(q) == ["a"], "the block to end")
    assert a.asked[1][0] - a.asked[0][0] >= 0.45


def test_an_overruled_refusal_queues_nobody(house, sites):
    """The endpoint lacks something of that request; what it is, and whom that moves: test_marks.py."""
    a, b = sites("ab")
    q = house([a, b])
    assert went(q) == ["a"]
    a.how = error(400, "invalid_request_error", "something about it")
    with all_hear(q):
        assert went(q) == ["b"]
    a.how = answer
    assert went(q, 12) == ["a"] * 12
    assert q.count("endpoint a: (health \\w+ -> unhealthy|failure queue|breaker)") == 0


@pytest.mark.parametrize("refusal", [
    error(400, "invalid_request_error", "something about it"),
    error(404, "not_found_error", "model: m"),
    reply(b"<html><head><title>Just a moment...</title></head></html>", 403, ["server: cloudflare", "cf-mitigated: challenge"],
          type="text/html"),
], ids=["request", "model", "wall"])
def test_a_refusal_of_both_charges_nobody(house, sites, refusal):
    """Not even where its words speak of the endpoint."""
    a, b = sites("ab")
    q = house([a, b])
    a.how = b.how = refusal
    assert [r.status for r in crowd(q, 12)] == [int(refusal.split()[1])] * 12
    assert q.count("endpoint [ab]: ") == q.count("endpoint [ab]: permanent")  # reports, and no change
    assert went(q, model="x") == [int(refusal.split()[1])]


def test_count_tokens_is_known_to_be_lacking(house, sites):
    a, b = sites("ab")
    q = house([a])
    a.how = lambda peer, r: peer.send(error(404)) if "count_tokens" in r.target else answer(peer, r)

    def count(_=None):
        with Client(q.port) as c:
            return c.ask(path="/v1/messages/count_tokens").json()["input_tokens"]

    assert count() > 0
    q.wait_log("endpoint a: count_tokens has it -> lacks it")
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert all(n > 0 for n in pool.map(count, range(16)))
    assert a.n == 1
    assert went(q) == ["a"]
