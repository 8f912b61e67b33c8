"""Which endpoint is asked, for which model and with which words, what happens when it fails before the
commit point, and what the client reads when all have."""
import collections
import json
import time

import pytest

from client import BODY, Timer, ask, request
from qcc import free_port, merged, until
from upstream import EVENTS, LAST_CHUNK, MESSAGE, START, STREAM, STREAM_HEAD, chunk, error, reply

CALM = {
    "workers": 1,
    "retry": {"transient_delay": "1ms"},
    "breaker": {"failure_threshold": 1000},
    "health": {"degraded_for": "0s"},
    "failure_queue": {"probe": "off"},
    "balance": {"strategy": "priority_failover"},
}


@pytest.fixture
def some(qcc, raw):
    """some({name: play}, config, endpoint={name: more}): an instance in front of scripted endpoints, the
    first of them preferred. (qcc, {name: Raw})"""

    def make(plays, config=None, endpoint=None, **kw):
        ups = {name: raw(play, **kw) for name, play in plays.items()}
        list_ = [up.endpoint(name, **{"priority": i + 1, **(endpoint or {}).get(name, {})})
                 for i, (name, up) in enumerate(ups.items())]
        return qcc({**merged(CALM, config or {}), "endpoints": list_}), ups

    return make


def counts(ups):
    return {name: len(up.requests) for name, up in ups.items()}


def endpoints(q):
    status, body = q.get("/api/v1/endpoints", port=q.admin_port)
    assert status == 200
    return {e["name"]: e for e in json.loads(body)["endpoints"]}


def charged(q, attempts):
    """{name: failures charged} for those that have any, when so many attempts have been counted."""
    def counted():
        got = endpoints(q)
        return sum(sum(e["attempts"].values()) for e in got.values()) >= attempts and got

    return {name: e["charged"] for name, e in until(counted, "%d attempts" % attempts).items() if e["charged"]}


# ---- strategies

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


THREE = {"a": reply(), "b": reply(), "c": reply()}


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


# ---- models

def test_allow_list(some, client):
    q, ups = some(THREE, endpoint={"a": {"models": {"allow": ["claude-a", "gpt-*"]}}, "b": {"models": {"allow": ["claude-*"]}},
                                   "c": {"models": {"allow": ["*-mini"]}}})
    c = client(q)
    for model, name in [("claude-a", "a"), ("claude-b", "b"), ("gpt-4", "a"), ("gpt-", "a"), ("claude-ab", "b"), ("o4-mini", "c"),
                        ("gpt-mini", "a")]:
        assert c.ask(model=model).header("x-qcc-endpoint") == name, model
    r = c.ask(model="llama")
    assert r.status == 503 and r.error["type"] == "api_error" and "a: model not offered" in r.error["message"]
    before = counts(ups)
    c.send(request())  # what names no model may go anywhere
    assert c.reply().status == 200 and counts(ups) == {**before, "a": before["a"] + 1}


def test_allow_list_and_failover(some, client):
    """An endpoint that does not offer the model is no way out."""
    q, ups = some({"a": error(503), "b": reply(), "c": reply()}, endpoint={"b": {"models": {"allow": ["other"]}}})
    assert client(q).ask().header("x-qcc-endpoint") == "c"
    assert counts(ups)["b"] == 0


def test_escaped_model(some, client):
    """Compared by what it means, forwarded as it was written."""
    q, ups = some(THREE, endpoint={"a": {"models": {"allow": ["claude-x"]}}, "b": {"models": {"allow": ["m"]}}, "c": {"enabled": False}})
    body = b'{"mod\\u0065l" : "cl\\u0061ude-x", "messages":[]}'
    assert client(q).ask(body).header("x-qcc-endpoint") == "a"
    assert ups["a"].requests[0].body == body


ODD = (b'{\n\t"system":"say \\"model\\": \\"no\\" \xf0\x9f\x98\x80",  "metadata" : {"model":"no"}, "messages":[{"model":"no"}],"n":1.0e5,'
       b' "model"\t:\r\n"%s" ,"stream":false , "tail":[ ] }\n')


@pytest.mark.parametrize(
    "config,endpoint,asked,sent",
    [
        ({}, {"map": {"m": "vendor/m-1"}}, "m", "vendor/m-1"),
        ({}, {"map": {"other": "x"}}, "m", "m"),
        ({}, {"allow": ["n*"], "map": {"m": "alias"}}, "m", "alias"),  # known there by another name: offered
        ({"models": {"map": {"m": "big"}}}, {}, "m", "big"),
        ({"models": {"map": {"m": "big"}}}, {"map": {"big": "bigger"}}, "m", "bigger"),
        ({"models": {"override": "forced"}}, {}, "m", "forced"),
        ({"models": {"override": "forced", "map": {"m": "big"}}}, {"map": {"forced": "really", "m": "no"}}, "m", "really"),
        ({}, {"map": {"m": 'qu"ote\\ \u00e4'}}, "m", 'qu"ote\\ \u00e4'),
    ],
)
def test_alias_is_spliced(some, client, config, endpoint, asked, sent):
    """The model alone changes: every other byte stays."""
    q, ups = some({"a": reply()}, config, {"a": {"models": endpoint}})
    body = ODD % asked.encode()
    assert client(q).ask(body).status == 200
    got = ups["a"].requests[0]
    before, _, after = ODD.partition(b"%s")
    assert got.body.startswith(before) and got.body.endswith(after)
    assert json.loads(b'"' + got.body[len(before) : len(got.body) - len(after)] + b'"') == sent


def test_last_of_repeated_members(some, client):
    """As most parsers read it: routed and replaced is the last."""
    q, ups = some({"a": reply()}, endpoint={"a": {"models": {"allow": ["two"], "map": {"two": "three"}}}})
    client(q).ask(b'{"model":"one","messages":[],"model":"two"}')
    assert ups["a"].requests[0].body == b'{"model":"one","messages":[],"model":"three"}'


def test_each_endpoint_gets_its_own_words(some, client):
    """After a failure the next one is asked with its own name of the model, key, path and host."""
    q, ups = some({"a": error(503), "b": reply()},
                  endpoint={"a": {"models": {"map": {"m": "long-name-at-a"}}, "api_key": "sk-key-of-a"},
                            "b": {"models": {"map": {"m": "b"}}, "api_key": "sk-key-of-b", "auth": "x-api-key"}})
    assert client(q).ask().header("x-qcc-endpoint") == "b"
    a, b = ups["a"].requests[0], ups["b"].requests[0]
    assert a.json() == {**BODY, "model": "long-name-at-a"} and b.json() == {**BODY, "model": "b"}
    assert a.header("x-api-key") == "sk-key-of-a" and b.header("x-api-key") == "sk-key-of-b"
    assert b.header("authorization") is None and b"sk-key-of-a" not in b.head
    assert b.header("host") == "127.0.0.1:%d" % ups["b"].port


@pytest.mark.parametrize("body", [b"", b"not json", b'{"model":"m"', b'[1]', b'{"model":1}', b'{"model":"m"} {}', b"\xff\xfe"])
def test_what_is_no_json_passes(some, client, body):
    q, ups = some({"a": reply()}, {"models": {"override": "forced"}})
    assert client(q).ask(body).status == 200
    if body != b'{"model":"m"' and body != b'{"model":"m"} {}':
        assert ups["a"].requests[0].body == body


# ---- failures before the commit point

def close(peer, _):
    peer.close()


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


def test_all_are_cooling(some, client):
    """By their own word: nobody is asked, and the client reads how long it will be."""
    q, ups = some({"a": limit(40), "b": limit(20)})
    c = client(q)
    assert c.ask().header("retry-after") == "20"
    until(lambda: {e["tier"] for e in endpoints(q).values()} == {"degraded"}, "the news")
    with Timer() as t:
        r = c.ask()
    assert r.status == 429 and r.error["type"] == "rate_limit_error" and 10 < int(r.header("retry-after")) <= 20 and t.s < 1
    assert counts(ups) == {"a": 1, "b": 1}


def test_all_are_cooling_for_long(some, client):
    """More than a client would wait for is not told."""
    q, ups = some({"a": limit(3000)})
    client(q).ask()
    until(lambda: endpoints(q)["a"]["tier"] == "degraded", "the news")
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


# ---- second opinion

REFUSAL = "invalid_request_error"


def refuse(text, status=400):
    return error(status, REFUSAL, text, ["x-text: " + text])


@pytest.mark.parametrize("status", [400, 404, 413, 422])
def test_two_refusals(some, client, status):
    """The first, unchanged; nobody is charged; a third is not asked."""
    q, ups = some({"a": refuse("of a", status), "b": refuse("of b"), "c": reply()})
    r = client(q).ask()
    assert r.status == status and r.error["message"] == "of a" and r.header("x-text") == "of a"
    assert r.header("x-qcc-attempts") == "2" and counts(ups) == {"a": 1, "b": 1, "c": 0}
    assert charged(q, 2) == {}


def test_refusal_that_another_does_not_share(some, client):
    """The first one was at fault, and is charged."""
    q, ups = some({"a": refuse("of a"), "b": reply(), "c": reply()})
    r = client(q).ask()
    assert r.status == 200 and r.header("x-qcc-endpoint") == "b"
    assert charged(q, 2) == {"a": 1}


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


def test_a_bad_client_takes_nobody_out(some, client):
    """However often it asks."""
    q, ups = some({"a": refuse("of a"), "b": refuse("of b")}, {"breaker": {"failure_threshold": 3}})
    c = client(q)
    for _ in range(20):
        assert c.ask().status == 400
    assert charged(q, 40) == {}
    ups["a"].play = reply()
    assert c.ask().header("x-qcc-endpoint") == "a"


# ---- count_tokens

LACKING = {
    "Anthropic's form": (404, {"type": "error", "error": {"type": "not_found_error", "message": "Not Found"}}),
    "in other words": (404, {"type": "error", "error": {"type": "not_found_error", "message": "no such thing here"}}),
    "another maker's": (404, {"error": {"message": "Invalid URL (POST /v1/messages/count_tokens)", "type": "invalid_request_error",
                                        "param": "", "code": ""}}),
    "detail": (404, {"detail": "Not Found"}),
    "no JSON": (404, "404 page not found"),
    "empty": (404, None),
    "405": (405, {"detail": "Method Not Allowed"}),
    "501": (501, {"type": "error", "error": {"type": "api_error", "message": "count_tokens is not implemented"}}),
}


def lacking(name):
    status, body = LACKING[name]
    return reply(b"" if body is None else json.dumps(body).encode(), status)


@pytest.mark.parametrize("name", LACKING)
def test_endpoint_that_cannot_count(some, client, name):
    """Estimated, remembered, not charged."""
    q, ups = some({"a": lambda peer, r: peer.send(lacking(name) if "count" in r.target else reply())})
    c = client(q)
    long = c.ask(path="/v1/messages/count_tokens?beta=true", pad="word " * 1000)
    short = c.ask(path="/v1/messages/count_tokens")
    assert long.status == short.status == 200 and set(short.json()) == {"input_tokens"}
    assert 0 < short.json()["input_tokens"] < 100 and 500 < long.json()["input_tokens"] < 3000
    assert len(ups["a"].requests) == 1
    assert c.ask().status == 200 and charged(q, 1) == {}


@pytest.mark.parametrize("name", LACKING)
def test_another_can_count(some, client, name):
    """Who lacks it is passed over from then on."""
    q, ups = some({"a": lacking(name), "b": reply(b'{"input_tokens":42}')})
    c = client(q)
    assert c.ask(path="/v1/messages/count_tokens").status == 200
    assert c.ask(path="/v1/messages/count_tokens").json() == {"input_tokens": 42}
    assert counts(ups)["a"] == 1


def test_model_that_cannot_be_counted(some, client):
    """That a model is unknown says nothing of the path: estimated, and asked again."""
    q, ups = some({"a": error(404, "not_found_error", "model: m")})
    c = client(q)
    for _ in range(2):
        assert set(c.ask(path="/v1/messages/count_tokens").json()) == {"input_tokens"}
    assert counts(ups) == {"a": 2}


def test_count_that_is_refused(some, client):
    """A 400 is about the request, not about the path."""
    q, ups = some({"a": refuse("prompt is too long: 2 tokens > 1 maximum")})
    assert client(q).ask(path="/v1/messages/count_tokens").status == 400
