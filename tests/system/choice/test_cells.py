"""A fault of one model family costs that family at that endpoint alone: cooldown, breaker, trials, bindings
(scope: sections 1, 2 and 4)."""
import json
import threading

import pytest

from client import Client, another
from house import answer, ask, crowd, house, loses_its_endpoint, sites, slowly, went
from qcc import PATIENCE, until
from upstream import error, reply

OPUS, HAIKU = "claude-opus-4-8", "claude-haiku-4-5"
LONG = {"breaker": {"failure_threshold": 3, "open_duration": "1h", "max_open_duration": "1h"}}
LIMIT = error(429, "rate_limit_error", "no more %s for now" % OPUS, headers=["retry-after: 300"])


def for_model(model, how, else_how=answer):
    """An endpoint's behaviour: `how` for that model's requests, `else_how` for others."""
    def play(peer, request):
        what = how if request.method == "POST" and request.json().get("model") == model else else_how
        what(peer, request) if callable(what) else peer.send(what)
    return play


def count(site, model):
    """How many requests for the model came there."""
    return sum(r.json()["model"] == model for _, r in site.asked)


def knows(q, family, n=1):
    """Waits until every worker has been sent n states of a cell of that family since the start."""
    line = "worker \\d+: from supervisor CELL"
    until(lambda: q.count(line) >= n * q.config["workers"], "all workers to hear of %s" % family)


def reasons(q, r):
    """Why the other endpoints were passed over at the last choice for that request."""
    choices = q.ctl_json("why", r.header("x-qcc-request-id"))["choices"]
    return {s["endpoint"]: s["reason"] for s in choices[-1]["skipped"]}


def elsewhere(q, model, site):
    """A request for the model that was not served there."""
    r = ask(q, model=model)
    assert r.status == 200
    return r if r.header("x-qcc-endpoint") != site.name else None


def open_cell(q, site, model, how=error(500)):
    """Makes that model, once it was served, fail there until the breaker of its cell is open; then it fails no more.
    Returns how many requests for it came."""
    assert went(q, model=model) == [site.name]
    was, site.how = site.how, for_model(model, how)
    line = "endpoint %s: .*breaker \\w+ -> open" % site.name
    n = q.count(line)
    until(lambda: ask(q, model=model) and q.count(line) > n, "the cell to open", step=0)
    site.how = was
    return count(site, model)


def test_a_limit_of_one_family_leaves_the_others(house, sites):
    a, b = sites("ab")
    q = house([a, b], {"rate_limit": {"max_cooldown": "1h"}})
    assert set(went(q, 4, model=OPUS) + went(q, 4, model=HAIKU)) == {"a"}
    a.how = for_model(OPUS, LIMIT)
    r = ask(q, model=OPUS)
    assert (r.status, r.header("x-qcc-endpoint"), r.header("x-qcc-attempts")) == (200, "b", "2")
    knows(q, "opus")
    at = count(a, OPUS)
    assert set(went(q, 12, model=OPUS)) == {"b"} and count(a, OPUS) == at
    assert set(went(q, 12, model=HAIKU)) == {"a"}
    # other names of the family are of the same cell
    assert set(went(q, 8, model="anthropic/claude-3-opus-20240229")) == {"b"}
    r = ask(q, model=OPUS)
    assert reasons(q, r) == {"a": "opus: told to wait"}


def test_the_family_is_that_of_the_model_sent(house, sites):
    """After the endpoint's own map: the other endpoint knows the model by another name."""
    a, b = sites("ab", models={"map": {HAIKU: OPUS}})
    q = house([a, b], {"rate_limit": {"max_cooldown": "1h"}})
    assert set(went(q, 2, model=HAIKU)) == {"a"}
    a.how = for_model(OPUS, LIMIT)
    assert went(q, model=HAIKU) == ["b"]
    knows(q, "opus")
    at = a.n
    assert set(went(q, 8, model=OPUS) + went(q, 8, model=HAIKU)) == {"b"} and a.n == at
    assert reasons(q, ask(q, model=HAIKU)) == {"a": "opus: told to wait"}
    assert set(went(q, 8, model="claude-sonnet-5")) == {"a"}


CHAT = "/v1/chat/completions"


def test_models_of_other_message_paths_have_cells_too(house, sites):
    """gpt-5-mini is served there, so that its failures are its own; no verification asks /v1/messages for it."""
    a, b = sites("ab")

    def chat(peer, request):
        if request.target.startswith(CHAT):
            peer.send(reply(json.dumps({"object": "chat.completion", "choices": [
                {"index": 0, "message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}]}).encode()))
        else:
            answer(peer, request)

    def talk():
        with Client(q.port) as c:
            return c.ask(model="gpt-5-mini", path=CHAT, messages=another())

    a.how = b.how = chat
    q = house([a, b], {"breaker": {"failure_threshold": 3, "open_duration": "1s"}})
    assert talk().header("x-qcc-endpoint") == "a"
    assert went(q, model="some-other") == ["a"]
    a.how = for_model("gpt-5-mini", error(500), chat)
    until(lambda: talk().status == 200 and q.count("endpoint a: gpt-5-mini: breaker closed -> open"), "its cell to open", step=0)
    assert went(q, 4, model="some-other") == ["a"] * 4
    q.wait_log("endpoint a: gpt-5-mini: breaker open -> half_open")
    a.how = chat
    until(lambda: talk().status == 200 and q.count("endpoint a: gpt-5-mini: breaker half_open -> closed"), "its trial", step=0)
    assert a.verified == []


@pytest.mark.parametrize("workers", [1, 4])
def test_the_breaker_of_one_family_opens_and_its_trial_closes_it(house, sites, workers):
    """One trial over all workers, beside the other families' requests."""
    a, b = sites("ab")
    q = house([a, b], {"workers": workers, "breaker": {"failure_threshold": 3, "open_duration": "500ms"}})
    assert set(went(q, 4, model=OPUS) + went(q, 4, model=HAIKU)) == {"a"}
    at = open_cell(q, a, OPUS)
    assert set(went(q, 8, model=HAIKU)) == {"a"}
    # until half open its requests go elsewhere; then one at a time is the trial, which fails ...
    running, most, gate = [], [0], threading.Lock()

    def trial(peer, request):
        with gate:
            running.append(1)
            most[0] = max(most[0], len(running))
        slowly(lambda p, _: None, 0.3)(peer, request)
        with gate:
            running.pop()
        peer.send(error(500))

    a.how = for_model(OPUS, trial)
    until(lambda: crowd(q, 8, model=OPUS) and count(a, OPUS) > at, "the trial")
    assert most[0] == 1
    assert set(went(q, 8, model=HAIKU)) == {"a"}
    # ... and one that succeeds brings the family back
    a.how = answer
    until(lambda: set(went(q, 8, model=OPUS)) == {"a"}, "opus to be back")
    assert not a.verified


def test_a_success_ends_the_row_of_its_cell(house, sites):
    """It is reported though nothing is counted against the endpoint itself."""
    a, b = sites("ab")
    q = house([a, b], {**LONG, "workers": 1})
    assert set(went(q, 3, model=OPUS)) == {"a"}
    for _ in range(4):
        a.how = for_model(OPUS, error(500))
        assert went(q, 2, model=OPUS) == ["b", "b"]
        a.how = answer
        assert went(q, 2, model=HAIKU) == ["a", "a"]  # what was counted against the endpoint has ended
        assert went(q, model=OPUS) == ["a"]
    assert not q.count("breaker closed -> open")
    a.how = for_model(OPUS, error(500))
    assert went(q, 3, model=OPUS) == ["b"] * 3
    q.wait_log("endpoint a: .*breaker closed -> open")


@pytest.mark.parametrize("probe_model", ["auto", HAIKU])
def test_a_half_open_cell_is_verified_if_its_family_is_asked_for(house, sites, probe_model):
    """By conversations that are bound elsewhere, and so are no trials. No other model says anything of the cell."""
    a, b = sites("ab")
    q = house([a, b], {"workers": 1, "breaker": {"failure_threshold": 3, "open_duration": "10ms"}, "failure_queue": {"probe_model": probe_model}})
    assert went(q, model=OPUS) == ["a"]
    a.how = for_model(OPUS, error(500))
    assert talk(q, "bound to b", OPUS) == "b"
    until(lambda: ask(q, model=OPUS) and q.count("endpoint a: .*breaker \\w+ -> open"), "the cell to open", step=0)
    at = count(a, OPUS)
    a.how = answer
    until(lambda: talk(q, "bound to b", OPUS) == "b" and a.verified, "a verification", timeout=30, step=0.2)
    assert {r.json()["model"] for _, r in a.verified} == {OPUS} and count(a, OPUS) == at
    q.wait_log("endpoint a: .*breaker half_open -> closed")


def test_models_served_within_a_moment_are_known_each(house, sites):
    a, b = sites("ab")
    q = house([a, b], {"workers": 1, **LONG})
    for model in (OPUS, "claude-sonnet-5", HAIKU):
        assert went(q, model=model) == ["a"]
    a.how = for_model("claude-sonnet-5", error(500))
    until(lambda: ask(q, model="claude-sonnet-5") and q.count("endpoint a: sonnet: breaker closed -> open"), "the cell to open", step=0)
    assert q.count("endpoint a: other: ") == 0
    assert set(went(q, 4, model=HAIKU) + went(q, 4, model=OPUS)) == {"a"}


def test_no_trial_while_the_cell_is_open(house, sites):
    a, b = sites("ab")
    q = house([a, b], LONG)
    at = open_cell(q, a, OPUS)
    r = until(lambda: elsewhere(q, OPUS, a), "another to serve it")
    assert reasons(q, r) == {"a": "opus: circuit open"}
    assert {r.status for r in crowd(q, 20, model=OPUS)} == {200} and count(a, OPUS) == at


@pytest.mark.parametrize("workers", [1, 4])
def test_last_resort_one_at_a_time(house, sites, workers):
    """Nothing else is left for the family: one request tries, the others wait for its verdict; other families do
    not."""
    (a,) = sites("a")
    q = house([a], {**LONG, "workers": workers})
    assert set(went(q, 4, model=HAIKU)) == {"a"}
    open_cell(q, a, OPUS)
    a.how = for_model(OPUS, error(500))
    assert set(went(q, 4, model=OPUS)) == {500}  # each one a trial
    a.peak = 0
    a.how = for_model(OPUS, slowly(answer, 0.2))
    assert {r.status for r in crowd(q, 10, model=OPUS)} == {200}
    assert set(went(q, 8, model=OPUS) + went(q, 4, model=HAIKU)) == {"a"}


def test_a_client_that_leaves_gives_the_trial_back(house, sites):
    (a,) = sites("a")
    q = house([a], {**LONG, "workers": 1})
    at = open_cell(q, a, OPUS)
    began = threading.Event()

    def hang(peer, _request):
        began.set()
        peer.wait_gone()

    a.how = for_model(OPUS, hang)
    with Client(q.port) as c:
        c.send(request_for(OPUS))
        assert began.wait(PATIENCE)
    a.how = answer
    until(lambda: ask(q, model=OPUS).status == 200, "the next trial")
    assert count(a, OPUS) >= at + 2


def request_for(model):
    from client import ask as bytes_of
    return bytes_of(model=model, messages=another())


@pytest.mark.parametrize("how", ["stop", "fewer workers", "upgrade"])
def test_a_worker_that_drains_is_lent_a_cells_trial(house, sites, how):
    """A request that loses its endpoint while its worker drains, and has only one left whose cell is open."""
    a, b = sites("ab")
    q = house([a, b], {"workers": 2, **LONG})
    at = open_cell(q, a, OPUS)
    r, replies = loses_its_endpoint(q, b, how, model=OPUS)
    assert (r.status, r.header("x-qcc-endpoint"), r.header("x-qcc-attempts")) == (200, "a", "2")
    assert {r.result().status for r in replies} == {200} and count(a, OPUS) == at + len(replies)


def test_unknown_names_fail_together(house, sites):
    """A name that was not served there within a day is judged by `other`, too: invented ones cost each other, not
    the families that work."""
    a, b = sites("ab")
    q = house([a, b], LONG)
    assert set(went(q, 4, model=OPUS)) == {"a"}

    def play(peer, request):
        known = request.method == "HEAD" or request.json()["model"] == OPUS
        answer(peer, request) if known else peer.send(error(500))

    a.how = play
    names = iter("invented-%d" % i for i in range(1000))
    until(lambda: ask(q, model=next(names)) and q.count("endpoint a: .*breaker \\w+ -> open"), "the cell to open", step=0)
    at = a.n
    assert set(went(q, 8, model=OPUS)) == {"a"} and a.n == at + 8
    assert set(went(q, 8, model=next(names))) == {"b"} and a.n == at + 8
    # an unknown name of a known family: judged by `other`
    assert set(went(q, 8, model="claude-opus-9")) == {"b"} and a.n == at + 8


@pytest.mark.parametrize("workers", [1, 2])
def test_readiness_is_by_cells(house, sites, workers):
    (a,) = sites("a")
    q = house([a], {**LONG, "workers": workers})

    def ready():
        return q.get("/readyz", port=q.admin_port)[0] == 200

    open_cell(q, a, OPUS)
    until(lambda: not ready(), "all that is asked for to be out")
    assert went(q, model=HAIKU) == ["a"]
    until(ready, "haiku to be asked for")


# ---- bindings

def talk(q, conversation, model):
    with Client(q.port) as c:
        r = c.ask(model=model, messages=another(), headers=["x-conversation-id: " + conversation])
    assert r.status == 200
    return r.header("x-qcc-endpoint")


@pytest.mark.parametrize("how", ["limit", "breaker"])
def test_a_cell_that_is_out_moves_its_family_alone(house, sites, how):
    """Bindings of others are not moved, and those that went stay where they are when it is well again."""
    all_sites = sites("abcd")
    for s in all_sites:
        s.endpoint["priority"] = 1
    a = all_sites[0]
    short = {"breaker": {"failure_threshold": 2, "open_duration": "1s"}, "balance": {"strategy": "weighted"}}
    q = house(all_sites, short)
    talks = ["c%d" % i for i in range(24)]
    was = {(c, m): talk(q, c, m) for c in talks for m in (OPUS, HAIKU)}
    there = [c for c in talks if was[c, OPUS] == "a"]
    assert 0 < len(there) < len(talks)
    brief = error(429, "rate_limit_error", "no more", headers=["retry-after: 1"])
    a.how = for_model(OPUS, brief if how == "limit" else error(500))
    if how == "breaker":
        until(lambda: talk(q, "more", OPUS) and ask(q, model=OPUS) and q.count("endpoint a: .*breaker \\w+ -> open"),
              "the cell to open", step=0)
    now = {(c, m): talk(q, c, m) for c in talks for m in (OPUS, HAIKU)}
    moved = {key for key in was if was[key] != now[key]}
    assert moved == {(c, OPUS) for c in there}
    a.how = answer
    until(lambda: ask(q, model=OPUS).header("x-qcc-endpoint") == "a", "it to be well again")
    assert {(c, m): talk(q, c, m) for c in talks for m in (OPUS, HAIKU)} == now
