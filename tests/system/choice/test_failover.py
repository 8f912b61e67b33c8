"""What happens when an endpoint fails before the commit point, and what the client reads when all have."""
import json

import pytest

from candidates import CALM, close, counts, endpoints, some
from client import BODY, Timer, request
from qcc import free_port, until
from upstream import EVENTS, LAST_CHUNK, MESSAGE, START, STREAM, STREAM_HEAD, chunk, error, event, reply


# ---- failures before the commit point

def sse(*pieces):
    return STREAM_HEAD + b"".join(map(chunk, pieces)) + LAST_CHUNK


FAULT = b'event: error\ndata: {"type":"error","error":{"type":"%s","message":"%s"}}\n\n'
BAD_200 = b'{"type":"error","error":{"type":"%s","message":"x"}}'
# What the first endpoint does → how often it is asked, and the class.
FAILURES = {
    "close": (close, 2, "transient"),
    "reset": (lambda peer, _: peer.reset(), 2, "transient"),
    "cut": (lambda peer, _: (peer.send(reply()[:-1]), peer.close()), 2, "transient"),
    "500": (error(500), 2, "transient"),
    "502": (reply(b"<html>Bad Gateway</html>", 502, type="text/html"), 2, "transient"),
    "503": (error(503), 2, "transient"),
    "504": (reply(b"", 504), 2, "transient"),
    "520": (reply(b"error code: 520", 520, type="text/plain"), 2, "transient"),
    "first byte": (lambda peer, _: peer.wait_gone(), 1, "transient"),
    "429": (error(429, "rate_limit_error"), 1, "rate_limit"),
    "402": (error(402, "billing_error", "balance used up"), 1, "rate_limit"),
    "401": (error(401, "authentication_error", "invalid x-api-key"), 1, "auth"),
    "403": (error(403, "permission_error", "your API key has been revoked"), 1, "auth"),
    "404 model": (error(404, "not_found_error", "model: m"), 1, "permanent"),
    "400": (error(400, "invalid_request_error", "something about it"), 1, "permanent"),
    "302": (reply(b"", 302, ["location: http://127.0.0.1:1/"]), 1, "unknown"),
    "page": (reply(b"<!doctype html><html><body>Sign in</body></html>", type="text/html"), 1, "unknown"),
    "garbage": (lambda peer, _: (peer.send(b"no\r\n\r\n"), peer.close()), 1, "unknown"),
    "empty 200": (reply(b""), 2, "transient"),
    "error in 200": (reply(BAD_200 % b"api_error"), 2, "transient"),
    "limit in 200": (reply(BAD_200 % b"rate_limit_error"), 1, "rate_limit"),
    "error in 200, other form": (reply(b'{"error":{"code":"insufficient_quota","message":"quota"}}'), 1, "rate_limit"),
    "error event first": (sse(FAULT % (b"api_error", b"x")), 2, "transient"),
    "error event after start": (sse(START, FAULT % (b"api_error", b"x")), 2, "transient"),
    "auth event": (sse(FAULT % (b"authentication_error", b"invalid key")), 1, "auth"),
    "stream without content": (sse(START), 2, "transient"),
    "empty stream": (sse(), 2, "transient"),
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", FAILURES)
def test_next_endpoint(some, client, name, stream):
    """Invisibly: the client reads the other one's reply."""
    play, times, cls = FAILURES[name]
    if not stream and name in ("error event after start", "stream without content"):
        pytest.skip("a stream that nobody asked for is no answer, whatever is in it")
    q, ups = some({"a": play, "b": STREAM if stream else reply()},
                  {"upstream": {"first_byte_timeout": "150ms" if name == "first byte" else "30s"}})
    body = json.dumps({**BODY, "stream": stream, "pad": "x" * 100_000}).encode()
    r = client(q).ask(body)
    assert r.status == 200 and r.body == (b"".join(EVENTS) if stream else MESSAGE)
    assert r.header("x-qcc-endpoint") == "b" and r.header("x-qcc-attempts") == str(times + 1)
    assert counts(ups) == {"a": times, "b": 1}
    assert {x.body for up in ups.values() for x in up.requests} == {body}
    q.wait_log("failures=\"?a:%s(,a:%s){%d}[\" ]" % (cls, cls, times - 1))


def test_error_event_is_not_waited_behind(some, client):
    """Nothing follows it, not even the end: the other one is asked all the same, at once."""
    bad = lambda peer, _: (peer.send(STREAM_HEAD + chunk(START + FAULT % (b"api_error", b"x"))), peer.wait_gone())  # noqa: E731
    q, ups = some({"a": bad, "b": STREAM}, {"retry": {"hold_stream_head": "20s", "max_attempts_per_endpoint": 1}})
    with Timer() as t:
        r = client(q).ask(stream=True)
    assert r.body == b"".join(EVENTS) and r.header("x-qcc-endpoint") == "b" and t.s < 10


def test_bad_chunk_behind_an_error_event(qcc, raw, client):
    broken = STREAM_HEAD + chunk(event("error", error={"type": "api_error", "message": "no"})) + b"zz\r\n"
    bad, good = raw(broken), raw(STREAM)
    q = qcc({**CALM, "balance": {"strategy": "priority_failover"}, "retry": {"max_attempts_per_endpoint": 1},
             "endpoints": [bad.endpoint("bad"), good.endpoint("good", priority=2)]})
    c = client(q)
    for _ in range(3):
        r = c.ask(stream=True)
        assert (r.status, r.header("x-qcc-endpoint")) == (200, "good")


def test_refused_goes_on_at_once(qcc, raw, client):
    """Nobody listens there: it is asked once only, when there are others."""
    up = raw(reply())
    q = qcc({**CALM, "endpoints": [{"name": "dead", "base_url": "http://127.0.0.1:%d" % free_port()}, up.endpoint("b", priority=2)]})
    r = client(q).ask()
    assert r.status == 200 and r.header("x-qcc-attempts") == "2"


@pytest.mark.parametrize("fail,least", [(error(503), 0.3), (error(529, "overloaded_error"), 0.5)], ids=["503", "529"])
def test_pause_before_the_repeat(some, client, fail, least):
    """Once more on the same endpoint after retry.transient_delay, a quarter up or down; overloaded ones
    get at least 750 ms."""
    q, ups = some({"a": fail, "b": reply()}, {"retry": {"transient_delay": "400ms" if least < 0.5 else "1ms"}})
    assert client(q).ask().header("x-qcc-endpoint") == "b"
    first, second = ups["a"].requests
    assert second.at - first.at >= least * 0.97


def test_pause_before_another_round(qcc, raw, client):
    a, b = raw(error(503)), raw(error(503))
    q = qcc({**CALM, "retry": {"transient_delay": "400ms", "max_attempts": 6, "max_attempts_per_endpoint": 6},
             "balance": {"strategy": "priority_failover"},
             "endpoints": [a.endpoint("a"), b.endpoint("b", priority=2)]})
    with Timer() as t:
        r = client(q).ask()
    assert (r.status, r.header("x-qcc-attempts")) == (503, "6")
    assert t.s > 4 * 0.75 * 0.4  # only the step from one endpoint to the other is taken at once


def test_repeat_that_succeeds(some, client):
    turn = []
    q, ups = some({"a": lambda peer, _: (turn.append(1), peer.send(error(500) if len(turn) == 1 else reply())), "b": reply()})
    r = client(q).ask()
    assert r.header("x-qcc-endpoint") == "a" and r.header("x-qcc-attempts") == "2" and not ups["b"].requests


@pytest.mark.parametrize("limits,asked", [({"max_attempts": 1}, {"a": 1, "b": 0, "c": 0}), ({"max_attempts": 3}, {"a": 2, "b": 1, "c": 0}),
                                          ({"max_attempts_per_endpoint": 1}, {"a": 1, "b": 1, "c": 1}),
                                          ({"max_attempts": 5}, {"a": 2, "b": 2, "c": 1})])
def test_how_often(some, client, limits, asked):
    q, ups = some(dict.fromkeys("abc", error(503)), {"retry": limits})
    assert client(q).ask().status == 503
    assert counts(ups) == asked


def test_not_to_be_repeated(some, client):
    """A failure of what may have been done is told, not tried elsewhere."""
    q, ups = some({"a": error(503, message="of a"), "b": reply()})
    r = client(q).ask(path="/v1/files")
    assert r.status == 503 and r.error["message"] == "of a"
    assert counts(ups) == {"a": 1, "b": 0}


# ---- replies when all have failed

def test_last_reply_as_it_came(some, client):
    body = b'{"error" :{"message":"of b"}}\n'
    q, ups = some({"a": error(500, message="of a"), "b": reply(body, 503, ["x-of: b"], type="text/json; x=y")})
    r = client(q).ask()
    assert (r.status, r.reason, r.body) == (503, "X", body)
    assert r.header("x-of") == "b" and r.header("content-type") == "text/json; x=y" and r.header("x-qcc-attempts") == "4"


def test_reply_counts_more_than_a_broken_connection(some, client):
    q, ups = some({"a": error(500, message="of a"), "b": close})
    r = client(q).ask()
    assert r.status == 500 and r.error["message"] == "of a"


@pytest.mark.parametrize("waits,given", [((30, 10), "10"), ((10, 30), "10"), ((500, 20), "20"), ((59, 500), "59")])
def test_rate_limit_with_the_shortest_wait(some, client, waits, given):
    """As far as waiting helps."""
    q, ups = some({name: error(429, "rate_limit_error", "of " + name, ["retry-after: %d" % wait, "x-of: " + name])
                   for name, wait in zip("ab", waits)})
    r = client(q).ask()
    name = "ab"[waits.index(int(given))]
    assert r.status == 429 and r.header("retry-after") == given
    assert r.error["message"] == "of " + name and r.header("x-of") == name


def test_rate_limit_counts_more_than_other_replies(some, client):
    q, ups = some({"a": error(429, "rate_limit_error", "of a", ["retry-after: 7"]), "b": error(500, message="of b")})
    r = client(q).ask()
    assert r.status == 429 and r.header("retry-after") == "7" and r.error["message"] == "of a"


def test_rate_limit_for_too_long(some, client):
    """Waiting would not help: the last reply as it came, with the wait it named."""
    q, ups = some({"a": error(500), "b": error(429, "rate_limit_error", "of b", ["retry-after: 3600"])})
    r = client(q).ask()
    assert r.status == 429 and r.error["message"] == "of b" and r.header("retry-after") == "3600"


def test_no_reply_at_all(some, client):
    """Each attempt with its endpoint, class and reason; nothing secret."""
    q, ups = some({"a": close, "b": lambda peer, _: peer.reset()}, endpoint={"a": {"api_key": "sk-key-of-a"}})
    r = client(q).ask()
    assert r.status == 502 and r.error["type"] == "api_error" and r.header("x-should-retry") is None
    assert r.error["message"] == ("all attempts failed: a: transient (empty reply), a: transient (empty reply), "
                                  "b: transient (connection reset), b: transient (connection reset)")


def test_timeouts(some, client):
    q, ups = some(dict.fromkeys("ab", lambda peer, _: peer.wait_gone()), {"upstream": {"first_byte_timeout": "100ms"}})
    r = client(q).ask()
    assert r.status == 504 and r.error["message"] == "all attempts failed: a: transient (first byte timeout), b: transient (first byte timeout)"


def test_head_when_all_failed(some, client):
    """The status, and no body that would be taken for the next reply."""
    q, ups = some({"a": close})
    c = client(q)
    c.send(request("HEAD", "/v1/models"))
    assert c.reply("HEAD").status == 502
    ups["a"].play = reply()
    assert c.ask().status == 200


def limit(wait):
    return error(429, "rate_limit_error", "slow down", ["retry-after: %s" % wait])


def cools(e):
    """For the model, and for it alone."""
    return e["tier"] != "degraded" and [(c["family"], c["tier"], c["own_word"]) for c in e["cells"]] == [("other", "degraded", True)]


def test_all_are_cooling(some, client):
    """By their own word: nobody is asked, and the client reads how long it will be."""
    q, ups = some({"a": limit(40), "b": limit(20)})
    c = client(q)
    assert c.ask().header("retry-after") == "20"
    until(lambda: [cools(e) for e in endpoints(q).values()] == [True, True], "the news")
    with Timer() as t:
        r = c.ask()
    assert r.status == 429 and r.error["type"] == "rate_limit_error" and 10 < int(r.header("retry-after")) <= 20 and t.s < 1
    assert counts(ups) == {"a": 1, "b": 1}


def test_all_are_cooling_for_long(some, client):
    """More than a client would wait for is not told."""
    q, ups = some({"a": limit(3000)})
    client(q).ask()
    until(lambda: cools(endpoints(q)["a"]), "the news")
    r = client(q).ask()
    assert r.status == 429 and r.header("retry-after") == "59" and counts(ups) == {"a": 1}


def test_wait_for_one_that_cools(some, client):
    """Within retry.max_wait the request waits, and is served."""
    q, ups = some({"a": limit(1)}, {"retry": {"max_wait": "5s"}})
    ups["a"].play = lambda peer, _: peer.send(limit(1) if len(ups["a"].requests) == 1 else reply())
    with Timer() as t:
        r = client(q).ask()
    assert r.status == 200 and 0.9 < t.s < 5 and counts(ups) == {"a": 2}


def test_no_wait_for_one_that_cools_too_long(some, client):
    q, ups = some({"a": limit(9)}, {"retry": {"max_wait": "5s"}})
    with Timer() as t:
        r = client(q).ask()
    assert r.status == 429 and r.header("retry-after") == "9" and t.s < 3
