"""Requests that are no messages (scope.md, sections 1 and 5): which endpoints may have them, and that what
their replies say concerns that path alone."""
import json
import threading
import time

import pytest

from client import BODY, Client, another, request
from qcc import merged, until
from upstream import KEY, MESSAGE, STREAM_HEAD, chunk, error, reply

CALM = {
    "workers": 1,  # what it has reported is heard before an operator's question is answered
    "retry": {"transient_delay": "1ms"},
    "balance": {"strategy": "priority_failover"},
    "failure_queue": {"probe": "off"},
}
COUNT = "/v1/messages/count_tokens"
PAGE = reply(b"<!doctype html><html><body>sign in</body></html>", type="text/html")
LIST = reply(b'{"data":[],"has_more":false}')
NUMBER = reply(b'{"input_tokens":42}')
JSON = ["content-type: application/json"]


class Site:
    """An endpoint that answers messages (`message`) and everything else (`side`); what it was asked
    beside messages is in `asked`."""

    def __init__(self, raw, name, side, **more):
        self.side, self.message = side, reply()
        self.asked, self.messages = [], 0
        self.up = raw(self.play)
        self.endpoint = self.up.endpoint(name, **more)

    def play(self, peer, r):
        if r.method == "POST" and r.target.split("?")[0] == "/v1/messages":
            self.messages += 1
            how = self.message
        else:
            self.asked.append(r)
            how = self.side
        how(peer, r) if callable(how) else peer.send(how)

    @property
    def n(self):
        return len(self.asked)


@pytest.fixture
def house(qcc, raw):
    """house(config, a=side reply, b=…): QCC in front of these endpoints, the first preferred. (qcc, sites…)"""

    def make(config=None, more=None, **sides):
        sites = [Site(raw, name, side, **{"priority": i + 1, **(more or {}).get(name, {})})
                 for i, (name, side) in enumerate(sides.items())]
        return (qcc({**merged(CALM, config or {}), "endpoints": [s.endpoint for s in sites]}), *sites)

    return make


def send(q, method="GET", path="/v1/models", body=None, headers=()):
    with Client(q.port) as c:
        if body is None and method in ("POST", "PUT"):
            body = json.dumps(BODY).encode()
        c.send(request(method, path, [*(JSON if body else []), *headers], body))
        return c.reply(method)


def count(q, **more):
    return send(q, "POST", COUNT, json.dumps({**BODY, **more}).encode())


def ask(q, **more):
    with Client(q.port) as c:
        return c.ask(**{"messages": another(), **more})


def states(q):
    """{name: what may not change}"""
    code, body = q.get("/api/v1/endpoints", port=q.admin_port)
    assert code == 200
    return {e["name"]: {k: e[k] for k in ("tier", "health", "queued", "disabled_by", "cooldown_s", "charged")} |
            {"breaker": e["breaker"]["state"], "failures": e["breaker"]["failures"]} for e in json.loads(body)["endpoints"]}


WELL = {"tier": "healthy", "health": "healthy", "queued": None, "disabled_by": None, "cooldown_s": 0, "charged": 0,
        "breaker": "closed", "failures": 0}


def well(q, *sites):
    """Nothing stands against these, and nothing ever did."""
    for s in sites:
        at = s.messages
        assert ask(q).status == 200
        if s is sites[0]:
            assert s.messages == at + 1
    got = states(q)
    assert got[sites[0].endpoint["name"]] == WELL
    assert q.count("endpoint \\w+: (health \\w+ -> (degraded|unhealthy)|service|failure queue|cooldown|breaker)") == 0


# ---- what a reply says concerns the path

def headless(answer):
    """Without its body, as HEAD is answered."""
    return answer.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"


REPEATABLE = {"GET": ("GET", "/v1/models"), "HEAD": ("HEAD", "/v1/models"), "embeddings": ("POST", "/v1/embeddings")}
LACKING = {
    "401": error(401, "authentication_error", "invalid x-api-key"),
    "403": error(403, "permission_error", "your key may not do that"),
    "404": error(404, "not_found_error", "Not Found"),
    "405": error(405, "invalid_request_error", "Method Not Allowed"),
    "501": error(501),
    "page": reply(b"<html>no</html>", 502, type="text/html"),
    "429": error(429, "rate_limit_error", headers=["retry-after: 30"]),
    "429 told nothing": error(429, "rate_limit_error"),
    "500": error(500),
    "503": reply(b"", 503, type=None),
    "529": error(529, "overloaded_error"),
    "402 as 503": error(503, "billing_error", "your credit balance is too low"),
}


MARKING = ("401", "403", "404", "405", "501", "page")


@pytest.mark.parametrize("kind", REPEATABLE)
@pytest.mark.parametrize("name", [n for n in LACKING if n not in MARKING])
def test_the_next_one_is_asked_and_nothing_remembered(house, name, kind):
    q, a, b = house(a=LACKING[name], b=LIST)
    if kind == "HEAD":
        a.side, b.side = headless(a.side), headless(b.side)
    for i in range(3):
        r = send(q, *REPEATABLE[kind])
        assert r.status == 200 and r.header("x-qcc-endpoint") == "b" and r.header("x-qcc-attempts") == "2"
        assert (a.n, b.n) == (i + 1, i + 1)
    well(q, a, b)


@pytest.mark.parametrize("name", LACKING)
def test_if_none_does_better_the_first_reply_goes_back(house, name):
    q, a, b = house(a=LACKING[name], b=error(404, "not_found_error", "of b"))
    r = send(q)
    head, _, body = LACKING[name].partition(b"\r\n\r\n")
    assert r.status == int(head.split()[1]) and r.body == body and r.header("x-qcc-endpoint") == "a"
    assert (a.n, b.n) == (1, 1)
    well(q, a, b)


def test_the_first_reply_also_when_another_breaks(house):
    q, a, b = house(a=LACKING["401"], b=lambda peer, _: peer.close())
    r = send(q)
    assert r.status == 401 and r.header("x-qcc-endpoint") == "a" and (a.n, b.n) == (1, 2)
    a.side, b.side = b.side, LACKING["404"]
    r = send(q)
    assert r.status == 404 and r.header("x-qcc-endpoint") == "b"


def test_as_many_as_attempts(house):
    q, a, b, c = house({"retry": {"max_attempts": 2}}, a=LACKING["401"], b=LACKING["404"], c=LIST)
    assert send(q).status == 401 and (a.n, b.n, c.n) == (1, 1, 0)


@pytest.mark.parametrize("path", ["list", "count"])
@pytest.mark.parametrize("comes", [True, False], ids=["a place comes", "no place comes"])
def test_a_place_at_the_next_one_is_waited_for(house, path, comes):
    """As any request waits for one; the first reply, or the estimate, goes back only when none comes."""
    go, first = threading.Event(), error(500, message="first")
    q, a, b = house({"retry": {"max_wait": "1s" if not comes else "10s"}}, {"b": {"max_concurrent": 1}},
                    a=first, b=NUMBER if path == "count" else LIST)
    q.ctl("disable", "a")  # the message goes to b
    b.message = lambda peer, r: (go.wait(), peer.send(reply()))
    slow = threading.Thread(target=lambda: send(q, "POST", "/v1/messages"))
    slow.start()
    until(lambda: b.messages, "the place is taken")
    q.ctl("enable", "a")
    asker = threading.Timer(0.3, go.set)
    if comes:
        asker.start()
    r = count(q) if path == "count" else send(q)
    go.set()
    slow.join()
    assert a.n == 1 and b.n == (1 if comes else 0)
    if comes:
        assert r.status == 200 and r.header("x-qcc-endpoint") == "b"
    elif path == "count":
        assert r.status == 200 and r.header("x-qcc-endpoint") is None and r.json()["input_tokens"] > 0
    else:
        assert r.status == 500 and r.error["message"] == "first"


def test_a_page_under_200(house):
    q, a, b = house(a=PAGE, b=LIST)
    assert send(q).header("x-qcc-endpoint") == "b"
    b.side = PAGE
    r = send(q, path="/v1/files")
    assert r.status == 200 and r.body.startswith(b"<!doctype") and r.header("x-qcc-endpoint") == "a"
    well(q, a, b)


BACK = {
    "404 with an id": ("GET", "/v1/things/thing_011CNha8iCJcU1wXNR6q4V8w", error(404, "not_found_error")),
    "404 with a long segment": ("GET", "/v1/" + "x" * 25, error(404, "not_found_error")),
    "400": ("GET", "/v1/models?limit=x", error(400, "invalid_request_error", "limit: wrong")),
    "409": ("GET", "/v1/models", error(409)),
    "402": ("GET", "/v1/models", error(402, "billing_error")),
    "302": ("GET", "/v1/models", reply(b"", 302, ["location: /login"], type=None)),
    "error under 200": ("GET", "/v1/models", reply(b'{"type":"error","error":{"type":"api_error","message":"no"}}')),
    "OPTIONS": ("OPTIONS", "/v1/messages", error(401, "authentication_error")),
    "DELETE 404": ("DELETE", "/v1/things/x", error(404, "not_found_error")),
    "POST files 500": ("POST", "/v1/files", error(500)),
    "POST batches 429": ("POST", "/v1/messages/batches", error(429, "rate_limit_error", headers=["retry-after: 30"])),
    "POST page": ("POST", "/v1/files", reply(b"<html>no</html>", 403, type="text/html")),
    "POST page under 200": ("POST", "/v1/files", PAGE),
    "telemetry": ("POST", "/api/event_logging/v2/batch", error(401, "authentication_error")),
}


BACK_MARKED = ("OPTIONS", "DELETE 404", "POST page", "telemetry")


@pytest.mark.parametrize("name", BACK)
def test_all_else_goes_back_as_it_came(house, name):
    method, path, bad = BACK[name]
    q, a, b = house(more={"a": {"paths": {"allow": ["*"]}}}, a=bad, b=LIST)
    times = 1 if name in BACK_MARKED else 4  # a path that is marked is asked for elsewhere then
    for _ in range(times):
        r = send(q, method, path)
        head, _, body = bad.partition(b"\r\n\r\n")
        assert r.status == int(head.split()[1]) and r.body == body and r.header("x-qcc-attempts") == "1"
    assert (a.n, b.n) == (times, 0)
    well(q, a, b)


def test_organizations_of_one_endpoint_disable_nobody(house):
    """As it was found: 401 everywhere to one path."""
    q, a, b = house(more={n: {"paths": {"deny": []}} for n in "ab"}, a=LACKING["401"], b=LACKING["401"])
    for _ in range(5):
        assert send(q, path="/v1/organizations/users").status == 401
    well(q, a, b)


def test_cooling_learned_of_a_side_path_stays_in_its_request(house):
    q, a = house(a=LACKING["429"])
    for _ in range(3):
        r = send(q)
        assert r.status == 429 and r.header("retry-after") == "30"
    assert a.n == 3
    well(q, a)


def test_transport_failures_count(house):
    q, a, b = house({"breaker": {"failure_threshold": 2}}, a=lambda peer, _: peer.close(), b=LIST)
    assert send(q).header("x-qcc-endpoint") == "b"
    q.wait_log("endpoint a: breaker closed -> open")
    assert ask(q).header("x-qcc-endpoint") == "b"


def test_a_success_ends_no_row_of_failures(house):
    q, a = house({"health": {"degraded_for": "1h"}, "retry": {"max_attempts_per_endpoint": 1}}, a=LIST)
    a.message = lambda peer, _: peer.close()
    assert [ask(q).status for _ in range(2)] == [502, 502]
    assert states(q)["a"]["failures"] == 2
    for method, path in REPEATABLE.values():
        a.side = LIST if method != "HEAD" else headless(LIST)
        a.asked.clear()
        assert send(q, method, path).status == 200
        assert a.n == 1
    now = states(q)["a"]
    assert now["failures"] == 2 and now["health"] == "degraded"


def test_a_stream_on_a_side_path_is_not_judged(house):
    """It is no message, and an error in it, or its end, say nothing of the endpoint."""
    bodies = [b"data: x\n\n", b"event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"authentication_error\",\"message\":\"no\"}}\n\n"]
    q, a, b = house(a=b"", b=LIST)
    for body in bodies:
        a.side = STREAM_HEAD + chunk(body) + b"0\r\n\r\n"
        r = send(q, path="/v1/events")
        assert r.status == 200 and r.body == body and r.header("x-qcc-endpoint") == "a"
    well(q, a, b)


# ---- breakers and trials

def opened(q, a):
    """a's breaker is open, a answers messages again."""
    was, a.message = a.message, lambda peer, _: peer.close()
    until(lambda: ask(q) and q.count("endpoint a: breaker \\w+ -> open"), "the breaker to open")
    a.message = was
    return a.messages


def test_a_side_path_is_no_trial(house):
    q, a, b = house({"breaker": {"open_duration": "100ms"}}, a=LIST, b=LIST)
    opened(q, a)
    q.wait_log("endpoint a: breaker open -> half_open")
    for _ in range(5):
        assert send(q).header("x-qcc-endpoint") == "b"
    assert a.n == 0 and states(q)["a"]["breaker"] == "half_open"
    assert ask(q).header("x-qcc-endpoint") == "a"  # the trial was there for a message
    assert until(lambda: states(q)["a"]["breaker"] == "closed", "the trial to close it")


@pytest.mark.parametrize("state", ["open", "half_open"])
@pytest.mark.parametrize("good", [True, False])
def test_an_open_breaker_does_not_keep_side_paths_away(house, state, good):
    """When nothing else is left; and what comes of it closes and opens nothing."""
    q, a = house({"breaker": {"open_duration": "100ms" if state == "half_open" else "60s"}},
                 a=LIST if good else LACKING["401"])
    opened(q, a)
    if state == "half_open":
        q.wait_log("endpoint a: breaker open -> half_open")
    n = q.count("endpoint a: breaker")
    for i in range(3):
        assert send(q).status == (200 if good else 401) and a.n == i + 1
    assert states(q)["a"]["breaker"] == state and q.count("endpoint a: breaker") == n


def test_an_open_breaker_is_the_last_resort(house):
    q, a, b, c = house(a=LIST, b=LACKING["401"], c=LIST)
    opened(q, a)
    assert send(q).header("x-qcc-endpoint") == "c" and a.n == 0
    c.side = LACKING["500"]
    assert send(q).header("x-qcc-endpoint") == "a"


def bindings(q):
    _, body = q.get("/api/v1/sessions", port=q.admin_port)
    return {e["name"]: e["bindings"] for e in json.loads(body)["endpoints"]}


def bound_to_b(q, a, headers):
    """A conversation of b's, while a is the first choice of all others."""
    was, a.message = a.message, error(400, "invalid_request_error", "something about it")
    assert ask(q, headers=headers).header("x-qcc-endpoint") == "b"
    a.message = was
    until(lambda: bindings(q)["b"] == 1, "the binding")
    until(lambda: ask(q).header("x-qcc-endpoint") == "a", "a to be well again")
    # The one that a served was its trial, whose end the worker learns from the supervisor.
    until(lambda: states(q)["a"]["breaker"] == "closed", "its breaker to close")


SESSION = ["x-claude-code-session-id: s1"]


@pytest.mark.parametrize("method,path,good", [("POST", "/v1/embeddings", LIST), ("POST", COUNT, NUMBER)])
def test_a_binding_is_followed_and_not_touched(house, method, path, good):
    q, a, b = house({"failure_queue": {"verify_interval": "100ms"}}, a=good, b=good)
    assert send(q, method, path, headers=SESSION).header("x-qcc-endpoint") == "a"
    assert bindings(q) == {"a": 0, "b": 0}
    bound_to_b(q, a, SESSION)
    assert send(q, method, path, headers=SESSION).header("x-qcc-endpoint") == "b"
    b.side = error(404)  # for count_tokens: it cannot
    assert send(q, method, path, headers=SESSION).header("x-qcc-endpoint") == "a"
    assert ask(q, headers=SESSION).header("x-qcc-endpoint") == "b" and bindings(q) == {"a": 0, "b": 1}


# ---- count_tokens

def estimated(r):
    assert r.status == 200 and set(r.json()) == {"input_tokens"} and r.json()["input_tokens"] not in (0, 42)


CANNOT = {
    "404": error(404, "not_found_error", "Not Found"),
    "405": error(405),
    "501": error(501),
    "page": PAGE,
    "page 403": reply(b"<html><head><title>Just a moment...</title></head></html>", 403, ["server: cloudflare"], type="text/html"),
    "401": error(401, "authentication_error", "invalid x-api-key"),
    "403": error(403, "permission_error", "your plan has no token counting"),
    "400": error(400, "invalid_request_error", "this operation is not supported here"),
}
NOT_THIS_TIME = {
    "404 model": error(404, "not_found_error", "model: m"),
    "400 model": error(400, "invalid_request_error", "unknown model m"),
    "429": error(429, "rate_limit_error", headers=["retry-after: 30"]),
    "402": error(402, "billing_error", "your credit balance is too low"),
    "500": error(500),
    "529": error(529, "overloaded_error"),
    "422": error(422, "x", "no"),
    "302": reply(b"", 302, ["location: /login"], type=None),
    "error under 200": reply(b'{"type":"error","error":{"type":"authentication_error","message":"no"}}'),
    "nothing": reply(b""),
    "204": b"HTTP/1.1 204 No Content\r\n\r\n",
    "201": reply(b'{"input_tokens":42}', 201),
    "206, long": reply(b'{"input_tokens":42,"x":"%s"}' % (b"x" * 200000), 206),
    "text": reply(b"counted"),
    "torn": reply(b'{"input_tokens":42'),
    "stream": reply(b"event: message_start\ndata: {\"type\":\"message_start\",\"message\":{}}\n\n", type="text/event-stream"),
}
BACK_TO_CLIENT = {
    "413": error(413, "request_too_large", "too large"),
    "too long": error(400, "invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"),
    "field": error(400, "invalid_request_error", "messages.0.content: field required"),
    "max_tokens": error(400, "invalid_request_error", "max_tokens: Input should be greater than 0"),
}


@pytest.mark.parametrize("name", CANNOT)
def test_cannot_count_is_remembered(house, name):
    q, a, b = house(a=CANNOT[name], b=NUMBER)
    for _ in range(3):
        assert count(q).json() == {"input_tokens": 42}
    assert (a.n, b.n) == (1, 3)
    q.wait_log("endpoint a: count_tokens has it -> lacks it for 3600.0 s")
    well(q, a, b)


@pytest.mark.parametrize("name", CANNOT)
def test_none_can_count(house, name):
    q, a, b = house(a=CANNOT[name], b=CANNOT[name])
    for _ in range(3):
        estimated(count(q))
    assert (a.n, b.n) == (1, 1)
    well(q, a, b)


def test_it_can_again_after_max_cooldown(house):
    q, a = house({"rate_limit": {"max_cooldown": "400ms", "default_cooldown": "400ms"}}, a=CANNOT["404"])
    estimated(count(q))
    a.side = NUMBER
    until(lambda: count(q).json() == {"input_tokens": 42}, "the end of it")
    assert a.asked[1].at - a.asked[0].at >= 0.39
    q.wait_log("endpoint a: count_tokens lacks it -> has it: time is over")


@pytest.mark.parametrize("name", ["400", "401", "403"])
def test_who_has_counted_within_the_hour_can(house, name):
    """Another worker's word is good enough."""
    q, a, b = house({"workers": 3}, a=NUMBER, b=NUMBER)
    for _ in range(4):
        assert count(q).header("x-qcc-endpoint") == "a"
    until(lambda: q.count("worker \\d+: from supervisor ENDPOINT") >= 3, "all workers to hear")
    at = a.n
    a.side = CANNOT[name]
    for i in range(12):
        assert count(q).header("x-qcc-endpoint") == "b" and a.n == at + i + 1
    assert q.count("endpoint a: count_tokens") == 0


@pytest.mark.parametrize("name", NOT_THIS_TIME)
def test_the_next_one_counts_and_nothing_is_remembered(house, name):
    q, a, b = house(a=NOT_THIS_TIME[name], b=NUMBER)
    for i in range(3):
        assert count(q).json() == {"input_tokens": 42} and (a.n, b.n) == (i + 1, i + 1)
    b.side = NOT_THIS_TIME[name]
    estimated(count(q))
    assert (a.n, b.n) == (4, 4)
    assert q.count("count_tokens has it") == 0
    well(q, a, b)


@pytest.mark.parametrize("name", BACK_TO_CLIENT)
def test_what_says_something_of_the_request_goes_back(house, name):
    q, a, b = house(a=BACK_TO_CLIENT[name], b=NUMBER)
    for _ in range(3):
        r = count(q)
        head, _, body = BACK_TO_CLIENT[name].partition(b"\r\n\r\n")
        assert r.status == int(head.split()[1]) and r.body == body
    assert (a.n, b.n) == (3, 0)
    well(q, a, b)


def test_a_clients_own_key_says_nothing_of_others(house):
    q, a = house(more={"a": {"api_key": None}}, a=lambda peer, r: peer.send(NUMBER if r.header("x-api-key") == "good" else CANNOT["401"]))
    estimated(send(q, "POST", COUNT, headers=["x-api-key: bad"]))
    assert send(q, "POST", COUNT, headers=["x-api-key: good"]).json() == {"input_tokens": 42}


def test_transport_failures_of_count_tokens_count(house):
    q, a = house(a=lambda peer, _: peer.close())
    for _ in range(2):
        estimated(count(q))
    q.wait_log("endpoint a: breaker closed -> open")


OUT = {
    "disabled": (error(401, "authentication_error"), "service enabled -> disabled by auth"),
    "queued": (PAGE, "failure queue out -> queued"),
    "cooling": (error(429, "rate_limit_error", "This request would exceed your account's rate limit.", headers=["retry-after: 40"]), "cooldown told to wait"),
    "open": (lambda peer, _: peer.close(), "breaker closed -> open"),
}


@pytest.mark.parametrize("name", OUT)
def test_where_none_may_be_asked_it_is_estimated(house, name):
    """At once: nobody waits for a cooldown."""
    q, a, b = house({"retry": {"max_wait": "60s"}, "failure_queue": {"verify_interval": "1h"}},
                    {"b": {"paths": {"deny": [COUNT]}}}, a=NUMBER, b=NUMBER)
    a.message, line = OUT[name]
    until(lambda: ask(q).header("x-qcc-endpoint") == "b" and q.count("endpoint a: " + line), "a to be out")
    t = time.monotonic()
    estimated(count(q))
    assert (a.n, b.n) == (0, 0) and time.monotonic() - t < 20


def test_count_tokens_closes_no_breaker(house):
    q, a = house({"breaker": {"open_duration": "100ms"}}, a=NUMBER)
    opened(q, a)
    q.wait_log("endpoint a: breaker open -> half_open")
    for _ in range(3):
        estimated(count(q))
    assert a.n == 0 and states(q)["a"]["breaker"] == "half_open"


def test_keys_and_messages_are_what_they_were(house):
    """The endpoint's key goes out on a side path that is allowed."""
    q, a = house(a=LIST)
    assert send(q).status == 200 and a.asked[0].header("x-api-key") == KEY
    assert ask(q).body == MESSAGE
