"""Single things that one endpoint refuses and another serves: what is marked, whom that moves, and how it ends."""
import concurrent.futures
import gzip
import json
import re

import pytest

from client import BODY, Client, another, request
from house import answer, ask, house, sites, went
from qcc import until
from upstream import error, reply

INVALID = "invalid_request_error"
FIELD = "context_management: Extra inputs are not permitted"
NAME = "field=context_management"
HAS = {"context_management": {"edits": []}}


def refuses(site, what, text, status=400, kind=INVALID):
    """The site refuses requests for which `what` holds, and serves all others."""
    site.how = lambda peer, r: peer.send(error(status, kind, text)) if what(r) else answer(peer, r)


def has(name, value=None):
    return lambda r: name in r.json() and (value is None or r.json()[name] == value)


def changed(q, name, to, endpoint="a", count=1):
    """Waits until the supervisor has made the change so many times, and every worker has heard of it."""
    q.wait_log("endpoint %s: mark %s \\w+ -> %s" % (endpoint, re.escape(name), to), count)
    hear(q)


def hear(q):
    """Waits until the workers have read what they were sent."""
    until(lambda: all(q.count("supervisor: to worker %d MARK" % n) <= q.count("worker %d: from supervisor MARK" % n)
                      for n in range(q.config["workers"])), "all workers to hear")


def marks(q, endpoint=None):
    """[(endpoint, kind, name)] of the API."""
    status, body = q.get("/api/v1/endpoints", port=q.admin_port)
    assert status == 200
    return [(e["name"], m["kind"], m["name"]) for e in json.loads(body)["endpoints"] for m in e["marks"]
            if endpoint in (None, e["name"])]


def post(q, path):
    with Client(q.admin_port) as c:
        c.send(request("POST", path, body=b""))
        r = c.reply()
        return r.status, r.body


def of(q, name):
    status, body = q.get("/api/v1/endpoints", port=q.admin_port)
    return next(e for e in json.loads(body)["endpoints"] if e["name"] == name)


def unmoved(q, endpoint="a"):
    """The endpoint is as well as it was."""
    e = of(q, endpoint)
    return e["state"] == "healthy" and not e["queued"] and e["breaker"]["failures"] == 0 and e["charged"] == 0


def mark_field(q, a):
    """Makes the mark of FIELD at a."""
    refuses(a, has("context_management"), FIELD)
    assert went(q) == ["a"]
    assert went(q, 2, **HAS) == ["b", "b"]
    changed(q, NAME, "marked")


# ---- how a mark is made

def test_a_field_that_one_does_not_know(house, sites):
    """The first refusal makes a suspect, another message's refusal the mark: then the endpoint is not asked, for that
    alone."""
    a, b = sites("ab")
    q = house([a, b])
    refuses(a, has("context_management"), FIELD)
    assert went(q) == ["a"]
    assert went(q, **HAS) == ["b"]
    changed(q, NAME, "suspect")
    assert marks(q) == []
    assert went(q, **HAS) == ["b"]
    changed(q, NAME, "marked")
    assert a.n == 3 and marks(q) == [("a", "field", NAME)]
    assert went(q, 12, **HAS) == ["b"] * 12 and a.n == 3
    assert went(q, 12) == ["a"] * 12
    assert unmoved(q) and not a.verified


def test_a_value_of_a_field(house, sites):
    """A relay that refuses thinking.type adaptive while it serves all else."""
    a, b = sites("ab")
    q = house([a, b])
    refuses(a, has("thinking", {"type": "adaptive"}), "this model does not support thinking.type adaptive yet")
    assert went(q, 2, thinking={"type": "adaptive"}) == ["b", "b"]
    changed(q, "field=thinking.type: adaptive", "marked")
    n = a.n
    assert went(q, 8, thinking={"type": "adaptive"}) == ["b"] * 8 and a.n == n
    assert went(q, 8, thinking={"type": "enabled", "budget_tokens": 1024}) == ["a"] * 8
    assert went(q, 8) == ["a"] * 8 and unmoved(q)


def test_a_beta_that_one_does_not_know(house, sites):
    a, b = sites("ab")
    q = house([a, b])
    refuses(a, lambda r: "context-1m-2025-08-07" in (r.header("anthropic-beta") or ""),
            "Unexpected value(s) `context-1m-2025-08-07` for the `anthropic-beta` header")
    both = ["anthropic-beta: claude-code-20250219, context-1m-2025-08-07"]
    assert went(q, 2, headers=both) == ["b", "b"]
    changed(q, "beta=context-1m-2025-08-07", "marked")
    n = a.n
    assert went(q, 8, headers=both) == ["b"] * 8 and a.n == n
    assert went(q, 8, headers=["anthropic-beta: claude-code-20250219"]) == ["a"] * 8
    assert went(q, 8) == ["a"] * 8 and unmoved(q)


def test_a_beta_that_is_refused_in_plain_text(house, sites):
    """As Go's http.Error answers: not in the API's form, yet it speaks of one thing of the request."""
    a, b = sites("ab")
    q = house([a, b])
    beta = ["anthropic-beta: context-1m-2025-08-07"]
    a.how = lambda peer, r: peer.send(reply(b"beta flag context-1m-2025-08-07 is not supported\n", 400, type="text/plain")
                                      if "context-1m" in (r.header("anthropic-beta") or "") else reply())
    assert went(q, 2, headers=beta) == ["b", "b"]
    changed(q, "beta=context-1m-2025-08-07", "marked")
    assert went(q, 8) == ["a"] * 8 and unmoved(q)


def test_a_header_of_one_client(house, sites):
    """A relay that takes offence at one client's header."""
    a, b = sites("ab")
    q = house([a, b])
    refuses(a, lambda r: r.header("x-team-name") == "red", "the header X-Team-Name is not allowed here")
    assert went(q, 2, headers=["x-team-name: red"]) == ["b", "b"]
    changed(q, "header=x-team-name: red", "marked")
    n = a.n
    assert went(q, 8, headers=["X-Team-Name: red"]) == ["b"] * 8 and a.n == n
    assert went(q, 8, headers=["x-team-name: blue"]) == ["a"] * 8


def test_a_tool(house, sites):
    a, b = sites("ab")
    q = house([a, b])
    search = [{"type": "web_search_20250305", "name": "web_search"}]
    refuses(a, has("tools", search), "the tool type web_search_20250305 is not enabled here")
    assert went(q, 2, tools=search) == ["b", "b"]
    changed(q, "tool=web_search_20250305", "marked")
    n = a.n
    assert went(q, 8, tools=[{"name": "x"}] + search) == ["b"] * 8 and a.n == n
    assert went(q, 8, tools=[{"name": "x"}]) == ["a"] * 8


def test_a_coding_that_one_does_not_take(house, sites):
    """A compressed body is JSON as any other; who compresses nothing is not moved."""
    a, b = sites("ab")
    q = house([a, b])
    refuses(a, lambda r: r.header("content-encoding") == "gzip", "content-encoding gzip is not supported", 415)

    def packed():
        body = gzip.compress(json.dumps({**BODY, "messages": another()}).encode())
        with Client(q.port) as c:
            c.send(request("POST", "/v1/messages", ["content-type: application/json", "content-encoding: gzip"], body))
            return c.reply().header("x-qcc-endpoint")

    assert went(q) == ["a"]
    assert [packed(), packed()] == ["b", "b"]
    changed(q, "coding=gzip", "marked")
    n = a.n
    assert packed() == "b" and a.n == n
    assert went(q) == ["a"] and unmoved(q)


@pytest.mark.parametrize("play", [
    error(413, "request_too_large", "too large for us"),
    reply(b"<html><head><title>413 Request Entity Too Large</title></head></html>", 413, type="text/html"),
], ids=["json", "page"])
def test_a_size(house, sites, play):
    """A small relay: 413 that another one served. A smaller one that is refused replaces the number."""
    a, b = sites("ab")
    q = house([a, b])
    a.how = lambda peer, r: peer.send(play) if len(r.body) > 5000 else answer(peer, r)
    assert went(q, 2, system="x" * 9000) == ["b", "b"]
    until(lambda: marks(q), "the mark")
    (_, kind, name), = marks(q)
    size = int(name.partition("=")[2])
    assert kind == "size" and 9000 < size < 9200
    changed(q, name, "marked")
    n = a.n
    assert went(q, 4, system="x" * 20000) == ["b"] * 4 and a.n == n
    assert went(q, 1, system="x" * 7000) == ["b"] and a.n == n + 1
    until(lambda: int(marks(q)[0][2].partition("=")[2]) < 7200, "the smaller number")
    assert went(q, 4, system="x" * 1000) == ["a"] * 4 and unmoved(q)


def test_a_model(house, sites):
    a, b = sites("ab")
    q = house([a, b])
    refuses(a, has("model", "other"), "model: other", 404, "not_found_error")
    assert went(q, model="other") == ["b"]
    changed(q, "other", "marked")
    assert went(q, 8, model="other") == ["b"] * 8 and a.n == 1
    assert went(q, 8) == ["a"] * 8 and marks(q) == [("a", "model", "other")] and unmoved(q)


# ---- conversations

def conversation(n):
    return ["x-claude-code-session-id: conversation-%s" % n]


@pytest.mark.parametrize("text", [
    "messages.1.content.0: Invalid `signature` in `thinking` block",
    "messages.0.content.0: file_id file_011 not found",
], ids=["signature", "file"])
def test_of_one_conversation(house, sites, text):
    """A thinking block that another provider has signed, a file of another account: that conversation alone, however
    many there are."""
    a, b = sites("ab")
    q = house([a, b])
    bad = {"system": "signed elsewhere", "thinking": {"type": "enabled", "budget_tokens": 1024}}
    refuses(a, has("system"), text)
    for n in range(4):
        assert went(q, headers=conversation(n), **bad) == ["b"]
    until(lambda: len(marks(q)) == 4, "the marks")
    assert {kind for _, kind, _ in marks(q)} == {"conversation"}
    hear(q)
    n = a.n
    for i in range(4):
        assert went(q, headers=conversation(i), **bad) == ["b"]
    assert a.n == n
    assert went(q, 4, thinking=bad["thinking"], headers=conversation("new")) == ["a"] * 4
    assert unmoved(q)


def test_what_names_nothing_of_three_conversations_queues(house, sites):
    """Until a verification has succeeded; then it does not, for max_cooldown."""
    a, b = sites("ab")
    q = house([a, b])
    assert went(q) == ["a"]
    a.how = error(400, INVALID, "something about it")
    assert went(q, headers=conversation(1)) == ["b"]
    assert went(q, headers=conversation(2)) == ["b"]
    until(lambda: len(marks(q)) == 2, "the marks")
    assert of(q, "a")["queued"] is None
    assert went(q, headers=conversation(3)) == ["b"]
    q.wait_log("endpoint a: failure queue out -> queued")
    a.how = answer
    q.wait_log("endpoint a: failure queue queued -> out: verified")
    a.how = lambda peer, r: peer.send(error(400, INVALID, "something about it"))
    for n in range(4, 9):
        assert went(q, headers=conversation(n)) == ["b"]
    until(lambda: len(marks(q)) == 8, "the marks")
    assert q.count("endpoint a: failure queue out -> queued") == 1


def test_what_names_nothing_with_a_success_in_between(house, sites):
    a, b = sites("ab")
    q = house([a, b], {"workers": 1})
    refuses(a, has("system"), "something about it")
    assert went(q) == ["a"]
    for n in range(6):
        assert went(q, system="x", headers=conversation(n)) == ["b"]
        assert went(q) == ["a"]
    until(lambda: len(marks(q)) == 6, "the marks")
    assert of(q, "a")["queued"] is None


def test_one_client_queues_nobody(house, sites):
    """Where clients are known it takes two of them."""
    a, b = sites("ab")
    q = house([a, b], {"clients": [{"name": "one", "token": "token-one-0123456789"}, {"name": "two", "token": "token-two-0123456789"}]})

    def by(who, n):
        with Client(q.port) as c:
            r = c.ask(headers=conversation(n) + ["x-api-key: token-%s-0123456789" % who], messages=another())
            return r.header("x-qcc-endpoint")

    a.how = error(400, INVALID, "something about it")
    for n in range(6):
        assert by("one", n) == "b"
    until(lambda: len(marks(q)) == 6, "the marks")
    assert q.count("endpoint a: failure queue") == 0
    assert by("two", 0) == "b"
    q.wait_log("endpoint a: failure queue out -> queued")


# ---- what a mark does

def test_a_success_ends_it(house, sites):
    """The endpoint is the only one left, and serves after all."""
    a, b = sites("ab")
    q = house([a, b])
    mark_field(q, a)
    a.how = answer
    q.ctl("disable", "b")
    q.wait_log("endpoint b: service enabled -> disabled")
    until(lambda: went(q, **HAS) == ["a"], "the marked one to be asked")
    changed(q, NAME, "none")
    assert marks(q) == []


def test_a_suspect_ends_with_a_success(house, sites):
    """The relay refuses now and then, for another reason: nothing is ever marked."""
    a, b = sites("ab")
    q = house([a, b])
    for n in (1, 2, 3):
        refuses(a, has("context_management"), FIELD)
        assert went(q, **HAS) == ["b"]
        changed(q, NAME, "suspect", count=n)
        a.how = answer
        assert went(q, **HAS) == ["a"]
        changed(q, NAME, "none", count=n)
    assert q.count("-> marked") == 0


def test_it_ends_with_time(house, sites):
    a, b = sites("ab")
    q = house([a, b], {"rate_limit": {"max_cooldown": "700ms", "default_cooldown": "500ms"}})
    mark_field(q, a)
    a.how = answer
    q.wait_log("endpoint a: mark %s marked -> none: time is over" % NAME)
    until(lambda: went(q, **HAS) == ["a"], "it to be asked again")


def test_the_refusal_of_a_marked_one_is_no_verdict(house, sites):
    """It is asked last; what it says is the answer only where nobody else has one: with another that cools by its own
    word, 429."""
    a, b = sites("ab")
    q = house([a, b])
    mark_field(q, a)
    b.how = error(429, "rate_limit_error", "slow down", ["retry-after: 20"])
    r = ask(q, **HAS)
    assert r.status == 429 and 0 < int(r.header("retry-after")) <= 20
    r = ask(q, **HAS)
    assert r.status == 429 and 0 < int(r.header("retry-after")) <= 20
    assert went(q) == ["a"]


def test_the_first_refusal_where_nobody_cools(house, sites):
    a, b = sites("ab")
    q = house([a, b])
    mark_field(q, a)
    b.how = error(503)
    r = ask(q, **HAS)
    assert r.status == 400 and r.error["message"] == FIELD


def test_a_mark_moves_a_bound_conversation(house, sites):
    a, b = sites("ab")
    q = house([a, b])
    assert went(q, headers=conversation(1)) == ["a"]
    mark_field(q, a)
    assert went(q, headers=conversation(1), **HAS) == ["b"]
    until(lambda: went(q, headers=conversation(1)) == ["b"], "the conversation to be bound anew")
    assert went(q, headers=conversation(2)) == ["a"]


def test_why_says_it(house, sites):
    a, b = sites("ab")
    q = house([a, b])
    mark_field(q, a)
    r = ask(q, **HAS)
    assert r.header("x-qcc-endpoint") == "b"
    assert "marked: field" in q.ctl("why", r.header("x-qcc-request-id")).stdout


# ---- operators, restart, upgrade

def test_operators_see_and_end_marks(house, sites):
    a, b = sites("ab")
    q = house([a, b])
    assert q.ctl("marks").stdout == "nothing is marked\n"
    mark_field(q, a)
    shown = q.ctl("marks", "a").stdout
    assert NAME in shown and "field" in shown
    assert q.ctl("marks", "b").stdout == "nothing is marked\n"
    assert q.ctl("marks", "c").returncode == 1
    assert "1 mark" in q.ctl("endpoints").stdout
    (m,) = q.ctl_json("marks")["marks"]
    assert (m["endpoint"], m["kind"], m["name"]) == ("a", "field", NAME) and 0 < m["until_s"] <= 3600
    assert "no such mark" in q.ctl("reset", "a", "--mark", "field=x").stderr
    assert q.ctl("reset", "a", "--mark", NAME).stdout == "a: no longer marked: %s\n" % NAME
    assert marks(q) == []
    a.how = answer
    assert went(q, **HAS) == ["a"]


def test_the_api_ends_a_mark(house, sites):
    a, b = sites("ab")
    q = house([a, b])
    mark_field(q, a)
    status, body = post(q, "/api/v1/endpoints/a/reset?mark=field%3Dcontext_management")
    assert status == 200 and json.loads(body)["marks"] == []
    status, body = post(q, "/api/v1/endpoints/a/reset?mark=field%3Dcontext_management")
    assert status == 404 and b"no such mark" in body
    status, body = post(q, "/api/v1/endpoints/a/reset?x=1")
    assert status == 400


def test_a_reset_ends_all(house, sites):
    a, b = sites("ab")
    q = house([a, b])
    mark_field(q, a)
    q.ctl("reset", "a")
    assert marks(q) == []


def test_marks_last_over_a_restart(house, sites):
    """Suspects do not."""
    a, b = sites("ab")
    q = house([a, b], {"state_dir": "state"})
    mark_field(q, a)
    refuses(a, lambda r: True, "effort: Extra inputs are not permitted")
    assert went(q, effort="high") == ["b"]
    changed(q, "field=effort: high", "suspect")
    q.stop()
    q.start(wait=False)
    q.wait_serving(2)
    assert marks(q) == [("a", "field", NAME)]
    n = a.n
    assert went(q, 8, **HAS) == ["b"] * 8 and a.n == n
    assert went(q, effort="high") == ["b"]
    q.wait_log("field=effort: high none -> suspect", 2)


def test_marks_last_over_an_upgrade(house, sites):
    a, b = sites("ab")
    q = house([a, b])
    mark_field(q, a)
    q.upgrade()
    until(lambda: marks(q) == [("a", "field", NAME)], "the mark at the successor")
    n = a.n
    assert went(q, 8, **HAS) == ["b"] * 8 and a.n == n


# ---- abuse

def test_a_client_that_invents_things(house, sites):
    """By the hundred: what is kept is bounded, nobody else is moved, and nothing is held against the endpoint."""
    a, b = sites("ab")
    q = house([a, b], {"workers": 2, "log": {"level": "info"}})

    def strict(peer, r):
        d = r.json()
        betas = (r.header("anthropic-beta") or "").split()
        odd = [k for k in d if k not in ("model", "max_tokens", "messages")] + betas
        if d["model"] != "m":
            peer.send(error(404, "not_found_error", "model: %s" % d["model"]))
        elif odd:
            peer.send(error(400, INVALID, "%s: Extra inputs are not permitted" % odd[0]))
        else:
            answer(peer, r)

    a.how = strict
    assert went(q) == ["a"]

    def invent(n):
        with Client(q.port) as c:
            for i in range(20):
                k = n * 20 + i
                for _ in range(2):
                    c.ask(**{"field_%d" % k: 1, "messages": another()})
                    c.ask(headers=["anthropic-beta: beta-%d" % k], messages=another())
                c.ask(model="model-%d" % k, messages=another())
                c.ask(**{"headers": conversation(k), "field_x_%d" % k: {"y": 1}, "messages": another()})

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for _ in pool.map(invent, range(8)):
            pass
    kinds = [kind for _, kind, _ in marks(q)]
    assert kinds.count("model") <= 32 and kinds.count("conversation") <= 256
    assert sum(k not in ("model", "conversation", "path") for k in kinds) <= 16
    assert went(q, 12) == ["a"] * 12 and unmoved(q) and of(q, "a")["queued"] is None
