"""Messages that no endpoint serves, and other faults of clients, charge nobody: a client that repeats one must not
take endpoints away from the others."""
import json
import threading
import time

import pytest

from admin import call
from client import BODY, ask
from house import answer
from qcc import until
from upstream import BLOCK, START, STREAM, STREAM_HEAD, Gone, chunk, delta, error, reply, reset

QUICK = {"workers": 2, "retry": {"transient_delay": "10ms"}, "breaker": {"failure_threshold": 3, "open_duration": "60s"},
         "balance": {"strategy": "round_robin"}, "affinity": {"enabled": False}}


def message(text):
    return json.dumps({**BODY, "messages": [{"role": "user", "content": text}]}).encode()


def garbage(peer, _):
    peer.send(b"what?\r\n\r\n")
    peer.close()
    raise Gone()


def empty(peer, _):
    peer.close()
    raise Gone()


# How endpoints fail on a message: in a way that may be the message's doing.
DOING = {"500": lambda peer, _: peer.send(error(500)), "503 page": lambda peer, _: peer.send(reply(b"<html>no", 503, type="text/html")),
         "529": lambda peer, _: peer.send(error(529, "overloaded_error")), "reset": reset, "garbage": garbage, "empty": empty,
         "error in a 200": lambda peer, _: peer.send(reply(b'{"type":"error","error":{"type":"api_error","message":"x"}}'))}


class Twins:
    """Two endpoints that fail on the messages with POISON in them, and are well else."""

    def __init__(self, raw, how):
        self.how = how
        self.well = answer
        self.raws = [raw(self.play) for _ in "ab"]
        self.endpoints = [r.endpoint(name) for r, name in zip(self.raws, "ab")]

    def play(self, peer, request):
        if b"POISON" in request.body:
            self.how(peer, request)
        elif callable(self.well):
            self.well(peer, request)
        else:
            peer.send(self.well)


def worst(e):
    """State and failures of the worst of an endpoint's breaker and those of its cells."""
    all_of_them = [e["breaker"], *(c["breaker"] for c in e["cells"])]
    return max(((b["state"], b["failures"]) for b in all_of_them), key=lambda b: (("closed", "half_open", "open").index(b[0]), b[1]))


def breakers(q):
    return {e["name"]: worst(e) for e in q.ctl_json("endpoints")["endpoints"]}


def breaker_of(q):
    """The first endpoint's own."""
    return q.ctl_json("endpoints")["endpoints"][0]["breaker"]


def states(q):
    return [state for state, _ in breakers(q).values()]


@pytest.mark.parametrize("how", DOING)
def test_a_message_that_no_endpoint_serves(qcc, raw, client, how):
    t = Twins(raw, DOING[how])
    q = qcc({**QUICK, "endpoints": t.endpoints})
    for _ in range(8):
        assert client(q).ask(message("POISON")).status >= 500
    until(lambda: all(n <= 1 for _, n in breakers(q).values()), "what it counted to be taken back")
    assert states(q) == ["closed", "closed"]
    assert call(q, "GET", "/readyz").status == 200
    for i in range(6):
        assert client(q).ask(message("well %d" % i)).status == 200


@pytest.mark.parametrize("workers", [1, 2])
def test_different_messages_open_the_breaker(qcc, raw, client, workers):
    t = Twins(raw, DOING["500"])
    q = qcc({**QUICK, "workers": workers, "endpoints": t.endpoints})
    for i in range(6):
        client(q).ask(message("POISON %d" % i))
    until(lambda: states(q) == ["open", "open"], "both to open")
    for e in q.ctl_json("endpoints")["endpoints"]:  # for the model, and for it alone
        assert e["breaker"]["state"] == "closed" and [c["family"] for c in e["cells"]] == ["other"], e


@pytest.mark.parametrize("how", ["429", "401", "refused", "silence"])
def test_what_is_not_the_messages_doing_counts(qcc, raw, client, how):
    a = raw({"429": lambda p, _: p.send(error(429, "rate_limit_error")), "401": lambda p, _: p.send(error(401, "authentication_error")),
             "silence": lambda p, _: p.wait_gone(), "refused": reset}[how])
    if how == "refused":
        a.close()
    q = qcc({**QUICK, "upstream": {"first_byte_timeout": "100ms"}, "endpoints": [a.endpoint("a")]})
    for _ in range(4):
        assert client(q).ask(message("POISON")).status >= 400
    e = q.ctl_json("endpoints")["endpoints"][0]
    if how == "429":
        assert [(c["family"], c["cooldown_s"] > 0) for c in e["cells"]] == [("other", True)]
    elif how == "401":
        assert e["disabled_by"] == "auth"
    else:
        until(lambda: states(q) == ["open"], "it to open")
        assert (breaker_of(q)["state"] == "open") == (how == "refused")  # silence concerns the model


def test_an_endpoint_that_serves_it_ends_it(qcc, raw, client):
    """From then on failures with it count again."""
    t = Twins(raw, DOING["500"])
    q = qcc({**QUICK, "workers": 1, "endpoints": t.endpoints, "health": {"degraded_for": "1ms"}})
    for _ in range(3):
        assert client(q).ask(message("POISON")).status == 500
    until(lambda: all(n <= 1 for _, n in breakers(q).values()), "what it counted to be taken back")
    assert states(q) == ["closed", "closed"]
    b = t.raws[1]
    b.play = reply()
    for _ in range(8):
        assert client(q).ask(message("POISON")).status == 200
    until(lambda: states(q) == ["open", "closed"], "a to open")


def test_a_trial_that_fails_on_it(qcc, raw, client):
    """It is given back, and the next trial is a verification, for the model that the cell served last."""
    t = Twins(raw, DOING["500"])
    q = qcc({**QUICK, "workers": 1, "breaker": {"failure_threshold": 3, "open_duration": "700ms", "max_open_duration": "60s"},
             "endpoints": t.endpoints[:1]})
    assert client(q).ask(message("well")).status == 200
    for _ in range(2):
        client(q).ask(message("POISON"))  # remembered
    for i in range(3):
        client(q).ask(message("POISON %d" % i))
    until(lambda: q.count("endpoint a: m: breaker closed -> open") == 1, "it to open")
    seen = len(t.raws[0].requests)
    until(lambda: client(q).ask(message("POISON")) and q.count("endpoint a: m: breaker half_open -> closed"), "the verification")
    assert q.count("breaker half_open -> open") == 0
    assert q.count("the trial failed") == 0
    asked = [r.body for r in t.raws[0].requests[seen:]]
    assert [json.loads(body)["model"] for body in asked if b"POISON" not in body] == ["m"]  # the verification


@pytest.mark.parametrize("how", DOING)
def test_a_body_that_is_no_json(qcc, raw, client, how):
    a, b = raw(DOING[how]), raw(DOING[how])
    q = qcc({**QUICK, "endpoints": [a.endpoint("a"), b.endpoint("b")]})
    for i in range(8):
        client(q).ask(b"{nothing like JSON %d" % i)
    time.sleep(0.1)
    assert breakers(q) == {"a": ("closed", 0), "b": ("closed", 0)}
    assert all(e["health"] in ("unknown", "healthy") for e in q.ctl_json("endpoints")["endpoints"])


@pytest.mark.parametrize("how", ["reset", "end", "error event"])
def test_a_client_that_stopped_reading(qcc, raw, client, how):
    """The endpoint gives up on a stream that nobody reads; the client reads on afterwards."""
    gone = threading.Event()

    def play(peer, _):
        peer.send(STREAM_HEAD + chunk(START + BLOCK))
        peer.sock.settimeout(1.5)  # no progress for so long
        try:
            while True:
                peer.send(chunk(delta("x" * 8000)))
        except (Gone, OSError):
            pass
        gone.set()
        if how == "reset":
            peer.reset()
        elif how == "error event":
            peer.sock.settimeout(None)
            peer.send(chunk(b'event: error\ndata: {"type":"error","error":{"type":"api_error","message":"slow"}}\n\n'))
        peer.close()
        raise Gone()

    up = raw(play)
    q = qcc({**QUICK, "workers": 1, "endpoints": [up.endpoint("a")], "breaker": {"failure_threshold": 1}})
    with client(q, rcvbuf=65536) as c:
        c.send(ask(stream=True))
        assert gone.wait(30)
        c.until(b"event: error")
    q.wait_log("end=")
    assert states(q) == ["closed"]
    assert q.ctl_json("endpoints")["endpoints"][0]["health"] == "healthy"
    up.play = STREAM
    assert client(q).ask(stream=True).header("x-qcc-attempts") == "1"


@pytest.mark.parametrize("endpoints", [1, 2])
def test_a_message_whose_stream_breaks(qcc, raw, client, endpoints):
    """After a part of it was passed on no other endpoint can be asked: the message is known for it when it broke at the
    only endpoint, or at two. So it opens one breaker at most."""
    def cut(peer, request):
        peer.send(STREAM_HEAD + chunk(START + BLOCK + delta("half")))
        peer.reset()
        raise Gone()

    t = Twins(raw, cut)
    t.well = STREAM
    q = qcc({**QUICK, "workers": 1, "endpoints": t.endpoints[:endpoints], "health": {"degraded_for": "1ms"}})
    long = json.dumps({**BODY, "stream": True, "messages": [{"role": "user", "content": "POISON " + "x" * 3000}]}).encode()
    for _ in range(10):
        r = client(q).ask(long)
        assert b"event: error" in r.body or b"message_stop" not in r.body
    q.wait_log("a message that no endpoint serves")
    assert states(q).count("open") <= endpoints - 1
    others = [client(q).ask(stream=True, messages=[{"role": "user", "content": "well %d" % i}]) for i in range(4)]
    assert {b"message_stop" in r.body for r in others} == {True}
    for i in range(3):
        client(q).ask(json.dumps({**BODY, "stream": True, "messages": [{"role": "user", "content": "POISON %d" % i}]}).encode())
    if endpoints == 1:
        until(lambda: states(q) == ["open"], "different messages to open it")


def test_a_client_that_leaves_before_the_end(qcc, raw, client):
    """Where all that were asked have failed, whether or not it waits for the next attempt."""
    a = raw(lambda peer, _: peer.send(error(500)))
    q = qcc({**QUICK, "workers": 1, "retry": {"transient_delay": "30s"}, "endpoints": [a.endpoint("a")]})

    def leaves(text, n):
        with client(q) as c:
            c.send(ask(message(text)))
            a.wait_requests(n)
            q.wait_log("supervisor: endpoint a: transient", n)

    for n in range(1, 6):
        leaves("POISON", n)
    until(lambda: q.count("client gone") == 5, "all to be gone")
    q.wait_log("a message that no endpoint serves: its failures", 5)
    # One failure is left: with the third the breaker of the model's cell opens.
    leaves("another", 6)
    assert breakers(q)["a"][0] == "closed"
    leaves("a third", 7)
    q.wait_log("endpoint a: other: breaker closed -> open: failures in a row")
