"""Refusals that may be the request's fault: one other endpoint is asked."""
import pytest

from candidates import charged, close, counts, endpoints, refuse, some
from upstream import error, reply


@pytest.mark.parametrize("status", [400, 404, 413, 422])
def test_two_refusals(some, client, status):
    """The first, unchanged; nobody is charged; a third is not asked."""
    q, ups = some({"a": refuse("of a", status), "b": refuse("of b"), "c": reply()})
    r = client(q).ask()
    assert r.status == status and r.error["message"] == "of a" and r.header("x-text") == "of a"
    assert r.header("x-qcc-attempts") == "2" and counts(ups) == {"a": 1, "b": 1, "c": 0}
    assert charged(q, 2) == {}


def test_refusal_that_another_does_not_share(some, client):
    """The first one lacks something, which is no failure of it."""
    q, ups = some({"a": refuse("of a"), "b": reply(), "c": reply()})
    r = client(q).ask()
    assert r.status == 200 and r.header("x-qcc-endpoint") == "b"
    assert charged(q, 2) == {} and endpoints(q)["a"]["queued"] is None


@pytest.mark.parametrize("fail,times", [(error(503), 1), (error(429), 1), (error(401, "authentication_error"), 1), (close, 1)],
                         ids=["503", "429", "401", "close"])
def test_no_verdict_asks_the_next(some, client, fail, times):
    """The other one's own trouble says nothing of the request."""
    q, ups = some({"a": refuse("of a"), "b": fail, "c": refuse("of c")})
    r = client(q).ask()
    assert r.status == 400 and r.error["message"] == "of a"
    assert counts(ups) == {"a": 1, "b": times, "c": 1}
    assert set(charged(q, 3)) == {"b"}


def test_no_verdict_at_all(some, client):
    """The first refusal, for which nobody is charged."""
    q, ups = some({"a": refuse("of a"), "b": error(503), "c": error(429, headers=["retry-after: 5"])})
    r = client(q).ask()
    assert r.status == 400 and r.error["message"] == "of a" and r.header("retry-after") is None
    assert set(charged(q, 3)) == {"b", "c"}


def test_first_refusal_after_a_failure(some, client):
    """The opinion begins with the refusal, wherever it comes."""
    q, ups = some({"a": error(503), "b": refuse("of b"), "c": refuse("of c")})
    r = client(q).ask()
    assert r.status == 400 and r.error["message"] == "of b"
    assert set(charged(q, 4)) == {"a"}


@pytest.mark.parametrize("text", ["prompt is too long: 210000 tokens > 200000 maximum", "messages: at least one message is required"])
def test_beyond_doubt(some, client, text):
    """What says that the request is at fault goes back at once."""
    q, ups = some({"a": refuse(text), "b": reply()})
    r = client(q).ask()
    assert r.status == 400 and r.error["message"] == text
    assert counts(ups) == {"a": 1, "b": 0} and charged(q, 1) == {}


@pytest.mark.parametrize("body", [b'{"model": "m", ', b"", b"[]", b"hello"])
def test_what_is_no_json_needs_no_opinion(some, client, body):
    q, ups = some({"a": refuse("of a"), "b": reply()})
    assert client(q).ask(body).status == 400
    assert counts(ups)["b"] == 0


def test_what_is_no_json_charges_nobody(some, client):
    """Some makers answer it with a 500: that is no failure of theirs."""
    q, ups = some({"a": error(500), "b": error(503)}, {"breaker": {"failure_threshold": 1}, "health": {"degraded_for": "60s"}})
    for _ in range(3):
        assert client(q).ask(b'{"model": "m", ').status in (500, 503)
    assert charged(q, 6) == {} and {e["tier"] for e in endpoints(q).values()} == {"healthy"}
    ups["a"].play = reply()
    assert client(q).ask().header("x-qcc-endpoint") == "a"


def test_single_endpoint(some, client):
    q, ups = some({"a": refuse("of a")})
    r = client(q).ask()
    assert r.error["message"] == "of a" and counts(ups) == {"a": 1} and charged(q, 1) == {}


@pytest.mark.parametrize("rest", [["b"], []], ids=["another", "alone"])
def test_a_new_key_makes_no_other_endpoint(some, client, rest):
    """A reload exchanges the key of the endpoint that is about to refuse: it cannot give its own second opinion."""
    q, ups = some({"a": reply(), **{name: reply() for name in rest}})

    def play(peer, _):
        if len(ups["a"].requests) == 1:
            q.reload({"endpoints": [ups["a"].endpoint("a", priority=1, api_key="sk-raw-another-key"), *q.config["endpoints"][1:]]})
        peer.send(refuse("of a", 413))

    ups["a"].play = play
    r = client(q).ask()
    assert counts(ups) == {"a": 1, **{name: 1 for name in rest}}
    assert r.status == (200 if rest else 413) and r.header("x-qcc-endpoint") == ("b" if rest else "a")


def test_a_bad_client_takes_nobody_out(some, client):
    """However often it asks."""
    q, ups = some({"a": refuse("of a"), "b": refuse("of b")}, {"breaker": {"failure_threshold": 3}})
    c = client(q)
    for _ in range(20):
        assert c.ask().status == 400
    assert charged(q, 40) == {}
    ups["a"].play = reply()
    assert c.ask().header("x-qcc-endpoint") == "a"
