"""An attempt that is left is used: an endpoint that failed once is asked again when all others have failed, whatever
the class of its failure was, as long as that may end."""
import pytest

from qcc import until
from upstream import error, reply, reset

CALM = {"workers": 1, "retry": {"transient_delay": "50ms"}, "balance": {"strategy": "priority_failover"},
        "upstream": {"first_byte_timeout": "20s"}}


def half_head(peer, _):
    peer.send(b"HTTP/1.1 200 OK\r\ncontent-ty")
    reset(peer, _)


FIRST = {"429 without a time": lambda p, _: p.send(error(429, "rate_limit_error")), "503": lambda p, _: p.send(error(503)),
         "reset": reset, "garbage": half_head, "page": lambda p, _: p.send(reply(b"<html>no", 502, type="text/html"))}
SECOND = {**FIRST, "401": lambda p, _: p.send(error(401, "authentication_error")),
          "page under 200": lambda p, _: p.send(reply(b"<html>no", type="text/html")),
         "402": lambda p, _: p.send(error(402, "billing_error", "credit balance is too low"))}


def once(fault):
    """Fails so until it has been asked once."""
    seen = []

    def play(peer, request):
        seen.append(1)
        if len(seen) == 1:
            fault(peer, request)
        else:
            peer.send(reply())

    return play


@pytest.mark.parametrize("second", SECOND)
@pytest.mark.parametrize("first", FIRST)
def test_the_first_is_asked_again(qcc, raw, client, first, second):
    a, b = raw(once(FIRST[first])), raw(SECOND[second])
    q = qcc({**CALM, "endpoints": [a.endpoint("a", priority=1), b.endpoint("b", priority=2)]})
    r = client(q).ask()
    assert (r.status, r.header("x-qcc-endpoint")) == (200, "a"), (r.body, len(a.requests), len(b.requests))


@pytest.mark.parametrize("fault", [FIRST["garbage"], SECOND["page under 200"]])
def test_the_last_one_is_asked_again(qcc, raw, client, fault):
    """Whatever it said, as it is not queued."""
    a = raw(once(fault))
    q = qcc({**CALM, "endpoints": [a.endpoint("a")]})
    r = client(q).ask()
    assert (r.status, r.header("x-qcc-attempts")) == (200, "2"), r.body


@pytest.mark.parametrize("second", SECOND)
def test_one_that_refused_the_connection_is_asked_again(qcc, raw, client, second):
    """It comes up while the other one fails."""
    port = raw(reply())
    number = port.port
    port.close()
    up = []

    def fail(peer, request):
        if not up:
            up.append(raw(reply(), port=number))
        SECOND[second](peer, request)

    b = raw(fail)
    q = qcc({**CALM, "endpoints": [port.endpoint("a", priority=1), b.endpoint("b", priority=2)]})
    r = client(q).ask()
    assert (r.status, r.header("x-qcc-endpoint")) == (200, "a"), r.body
    until(lambda: len(up[0].requests) == 1, "the request")


@pytest.mark.parametrize("attempts", [{"max_attempts": 2}, {"max_attempts": 3, "max_attempts_per_endpoint": 3}])
def test_an_endpoint_that_is_down_uses_up_no_attempt(qcc, raw, client, attempts):
    """Wherever it comes in the order."""
    port = raw(reply())
    port.close()
    bad = attempts["max_attempts"] - 1
    seen = []

    def play(peer, _):
        seen.append(1)
        peer.send(error(500) if len(seen) <= bad else reply())

    a = raw(play)
    q = qcc({**CALM, "retry": {"transient_delay": "10ms", **attempts},
             "endpoints": [a.endpoint("a", priority=1), port.endpoint("b", priority=2)]})
    assert client(q).ask().status == 200
