"""qccctl endpoints --model M: who would get a request for a model now, and why not each of the others (scope: section 7)."""
import json
import threading
import urllib.parse

import pytest

from client import Client, another, ask as request_of
from house import answer, ask, broken, house, open_breaker, page, sites, went
from qcc import PATIENCE, until
from upstream import error

OPUS, HAIKU = "claude-opus-4-8", "claude-haiku-4-5"
LIMIT = error(429, "rate_limit_error", "no more %s for now" % OPUS, headers=["retry-after: 300"])
LONG = {"open_duration": "1h", "max_open_duration": "1h"}


def choice(q, model):
    """What is told of the model, and of each endpoint by its name; the same by HTTP."""
    doc = q.ctl_json("endpoints", "--model", model)
    status, body = q.get("/api/v1/choice?model=" + urllib.parse.quote(model), q.admin_port)
    assert status == 200 and set(json.loads(body)) == set(doc)
    return doc, {e["name"]: e for e in doc["endpoints"]}


def gets(q, model):
    return [e["name"] for e in choice(q, model)[0]["endpoints"] if e["would_get"]]


def why(q, model):
    return {name: e["why"] for name, e in choice(q, model)[1].items()}


def only_opus(how):
    def play(peer, request):
        opus = request.method == "POST" and request.json().get("model") == OPUS
        (how(peer, request) if callable(how) else peer.send(how)) if opus else answer(peer, request)
    return play


def test_a_cell_that_cools(house, sites):
    a, b = sites("ab")
    q = house([a, b], {"rate_limit": {"max_cooldown": "1h"}})
    assert gets(q, OPUS) == gets(q, HAIKU) == ["a"] == went(q, model=OPUS)
    assert why(q, OPUS) == {"a": None, "b": "another priority group is better"}
    a.how = only_opus(LIMIT)
    assert went(q, model=OPUS) == ["b"]
    until(lambda: gets(q, OPUS) == ["b"], "the limit to be known")
    of_a = choice(q, OPUS)[1]["a"]
    assert (of_a["why"], of_a["family"], of_a["state"]) == ("opus: told to wait", "opus", "healthy")
    assert 200 < of_a["cooldown_s"] <= 300
    assert gets(q, HAIKU) == ["a"] == went(q, model=HAIKU)
    out = q.ctl("endpoints", "--model=" + OPUS)
    assert out.returncode == 0 and out.stdout.startswith(OPUS + ": b gets it\n")
    assert "opus: told to wait, cools for " in out.stdout


def test_nobody(house, sites):
    a, = sites("a", models={"allow": ["claude-haiku-*"]})
    b, = sites("b", models={"map": {OPUS: "opus-there"}, "allow": ["x"]})
    q = house([a, b], {"rate_limit": {"max_cooldown": "1h"}})
    assert gets(q, "gpt-5") == [] and why(q, "gpt-5") == {"a": "model not offered", "b": "model not offered"}
    assert q.ctl("endpoints", "--model", "gpt-5").stdout.startswith("gpt-5: nobody gets it: none usable\n")
    assert choice(q, OPUS)[1]["b"]["sent"] == "opus-there" and gets(q, OPUS) == ["b"]
    b.how = error(429, "rate_limit_error", "no more opus-there for now", headers=["retry-after: 300"])
    assert went(q, model=OPUS) == [429]
    until(lambda: gets(q, OPUS) == [], "the limit to be known")
    doc, of = choice(q, OPUS)
    assert doc["result"] == "all cooling" and 200 < doc["wait_s"] <= 300
    assert of["b"]["family"] == "opus-there" and of["b"]["why"] == "opus-there: told to wait"


def test_the_names_of_the_configuration(house, sites):
    a, b = sites("ab", models={"map": {"big": OPUS}})
    q = house([a, b], {"models": {"map": {"mine": "big"}}})
    doc, of = choice(q, "mine")
    assert (doc["model"], doc["asked"], of["a"]["sent"], of["a"]["family"]) == ("mine", "big", OPUS, "opus")
    q.reload({"models": {"override": HAIKU}})
    assert choice(q, "mine")[0]["asked"] == HAIKU


def test_breakers_of_endpoint_and_cell(house, sites):
    a, b = sites("ab")
    q = house([a, b], {"breaker": LONG})
    assert went(q, model=OPUS) == ["a"]
    a.how = only_opus(error(500))
    until(lambda: ask(q, model=OPUS) and q.count("endpoint a: opus: breaker closed -> open"), "the cell", step=0)
    assert gets(q, OPUS) == ["b"] and why(q, OPUS)["a"] == "opus: circuit open"
    assert gets(q, HAIKU) == ["a"]
    a.how = broken
    until(lambda: ask(q, model=HAIKU) and q.count("endpoint a: breaker closed -> open"), "the endpoint", step=0)
    assert gets(q, HAIKU) == ["b"] and why(q, HAIKU)["a"] == why(q, OPUS)["a"] == "circuit open"
    assert q.ctl("disable", "b").returncode == 0
    doc, of = choice(q, HAIKU)
    assert doc["result"] == "trial needed" and of["a"]["would_get"] and of["b"]["why"] == "disabled"
    assert q.ctl("endpoints", "--model", HAIKU).stdout.startswith(HAIKU + ": a gets it, as its trial\n")


def test_half_open_lets_one_through(house, sites):
    a, b = sites("ab")
    q = house([a, b], {"breaker": {"open_duration": "1s", "failure_threshold": 1}, "failure_queue": {"probe": "http"}})
    assert went(q, model=OPUS) == ["a"]
    a.how = only_opus(error(500))
    until(lambda: ask(q, model=OPUS) and q.count("endpoint a: opus: breaker closed -> open"), "the cell", step=0)
    until(lambda: choice(q, OPUS)[1]["a"]["trial"], "it to be half open")
    assert "half open: one request is let through" in q.ctl("endpoints", "--model", OPUS).stdout
    assert not choice(q, HAIKU)[1]["a"]["trial"]


def test_a_mark(house, sites):
    a, b = sites("ab")
    q = house([a, b])
    a.how = only_opus(error(404, "not_found_error", "model: " + OPUS))
    assert went(q, model=OPUS) == ["b"]
    until(lambda: "mark" in q.ctl("endpoints").stdout, "the mark")
    assert gets(q, OPUS) == ["b"] and why(q, OPUS)["a"] == "marked: model" and gets(q, HAIKU) == ["a"]


def test_queue_and_draining(house, sites):
    a, b, c = sites("abc")
    q = house([a, b, c])
    a.how = page
    assert went(q, model=OPUS) == ["b"]
    until(lambda: why(q, OPUS)["a"] == "in the failure queue", "it to be queued")
    assert q.ctl("drain", "b").returncode == 0
    assert gets(q, OPUS) == ["c"] and why(q, OPUS)["b"] == "draining"


def test_places(house, sites):
    a, b = sites("ab")
    a.endpoint["max_concurrent"] = 1
    go = threading.Event()

    def held(peer, request):
        assert go.wait(PATIENCE)
        answer(peer, request)

    a.how = held
    q = house([a, b])
    with Client(q.port) as c:
        c.send(request_of(model=OPUS, messages=another()))
        until(lambda: why(q, OPUS)["a"] == "full", "its place to be taken")
        assert gets(q, OPUS) == ["b"]
        go.set()
        assert c.reply().status == 200
    until(lambda: gets(q, OPUS) == ["a"], "its place to be free")


def test_shares(house, sites):
    a, b, c = sites("abc")
    for site, weight in ((a, 3), (b, 1), (c, 0)):
        site.endpoint["weight"] = weight
    q = house([a, b, c], {"balance": {"strategy": "weighted"}})
    doc, of = choice(q, OPUS)
    assert [of[n]["share"] for n in "abc"] == [0.75, 0.25, None] and of["c"]["why"] == "weight 0"
    out = q.ctl("endpoints", "--model", OPUS).stdout
    assert "one of 2 gets it, by weighted" in out and "75.0%" in out
    q.reload({"balance": {"strategy": "least_connections"}})
    assert [e["share"] for e in choice(q, OPUS)[0]["endpoints"]] == [None] * 3 and gets(q, OPUS) == ["a", "b"]


def test_it_agrees_with_the_workers(house, sites):
    """Whoever it names serves the next request, state by state."""
    a, b, c = sites("abc")
    q = house([a, b, c], {"rate_limit": {"max_cooldown": "1h"}, "breaker": LONG})
    states = [(a, OPUS, LIMIT), (a, HAIKU, error(404, "not_found_error", "model: " + HAIKU)), (b, OPUS, LIMIT)]
    assert went(q, model=OPUS) == went(q, model=HAIKU) == ["a"]
    for site, model, how in states:
        def play(peer, request, model=model, how=how):
            peer.send(how) if request.method == "POST" and request.json()["model"] == model else answer(peer, request)
        site.how, before = play, gets(q, model)
        assert before == [site.name]
        assert went(q, model=model) != [site.name]
        until(lambda: gets(q, model) != before, "the change")
        for m in (OPUS, HAIKU):
            until(lambda: went(q, model=m) == gets(q, m), "all workers to agree", step=0)


@pytest.mark.parametrize("args", [["--model"], ["--model="], ["--model", ""], ["--modell", "m"], ["x", "y"], ["--model", "m", "n"]])
def test_wrong_usage(house, sites, args):
    a, = sites("a")
    q = house([a])
    assert q.ctl("endpoints", *args).returncode == 2


def test_bad_questions(house, sites):
    a, = sites("a")
    q = house([a])
    for query in ("", "?model=", "?modell=m", "?model=m&x=1", "?model=%0a", "?model=" + "m" * 1100):
        status, body = q.get("/api/v1/choice" + query, q.admin_port)
        assert status in (400, 414), (query, status)
    long = "m" * 900
    assert choice(q, long)[0]["model"] == long and gets(q, long) == ["a"]
