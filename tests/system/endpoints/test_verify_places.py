"""A verification takes a place of max_concurrent as a request does: it waits for one, for a second at most, and one
that was given back for want of a place has not failed."""
import json
import threading

import pytest

from client import ask
from qcc import until
from upstream import BLOCK, EVENTS, LAST_CHUNK, START, STREAM_HEAD, chunk, reply

PAGE = reply(b"<html>sign in</html>", type="text/html")
QUESTION = b"Reply with these six characters and nothing else: "
BASE = {"balance": {"strategy": "priority_failover"}, "failure_queue": {"verify_interval": "200ms"},
        "retry": {"transient_delay": "1ms", "max_attempts_per_endpoint": 1}}


class Site:
    """An endpoint with streams that go on until they are let go, and verifications that may be held likewise."""

    def __init__(self, raw, name, **more):
        self.name, self.lock, self.more = name, threading.Lock(), more
        self.now = self.most = self.questions = 0
        self.how = reply()
        self.streams, self.answers = threading.Event(), threading.Event()
        self.answers.set()
        self.raw = raw(self.play)

    def conf(self, **more):
        return self.raw.endpoint(self.name, **{**self.more, **more})

    def play(self, peer, request):
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
            self.questions += QUESTION in request.body
        try:
            if QUESTION in request.body:
                self.answers.wait(30)
                code = request.body.split(QUESTION)[1][:6]
                peer.send(self.how if self.how is PAGE else reply(json.dumps({"content": [{"text": code.decode()}]}).encode()))
            elif b'"stream": true' in request.body:
                peer.send(STREAM_HEAD + chunk(START) + chunk(BLOCK))
                self.streams.wait(30)
                with self.lock:
                    self.now -= 1  # before its end can be seen
                peer.send(b"".join(map(chunk, EVENTS[2:])) + LAST_CHUNK)
                return
            else:
                peer.send(self.how)
        except OSError:
            pass
        if b'"stream": true' not in request.body or QUESTION in request.body:
            with self.lock:
                self.now -= 1


@pytest.fixture
def site(raw):
    made = []

    def make(name, **more):
        made.append(Site(raw, name, **more))
        return made[-1]

    yield make
    for s in made:
        s.streams.set()
        s.answers.set()


def stream(client, q):
    c = client(q)
    c.send(ask(stream=True))
    assert c.head().status == 200
    c.chunk()
    return c


def rest(c):
    return b"".join(iter(c.chunk, b""))


def endpoints(q):
    return {e["name"]: e for e in json.loads(q.get("/api/v1/endpoints", port=q.admin_port)[1])["endpoints"]}


def verify(q, name="a"):
    assert q.ctl("verify", name, "--no-wait").returncode == 0


def test_without_a_place_it_is_given_back_and_has_not_failed(qcc, site, client):
    a = site("a", max_concurrent=1)
    q = qcc({**BASE, "workers": 1, "endpoints": [a.conf()]})
    held = stream(client, q)
    verify(q)
    until(lambda: q.count("given back: no place") or a.questions, "the verification to end")
    assert a.questions == 0
    assert q.count("given back: no place within 1s") == 1 and q.count("verification 0 failed") == 0
    a.streams.set()
    assert b"message_stop" in rest(held)
    verify(q)
    until(lambda: a.questions == 1, "the next one")
    assert a.most == 1


def test_it_begins_when_a_place_is_left(qcc, site, client):
    a = site("a", max_concurrent=1)
    q = qcc({**BASE, "workers": 1, "endpoints": [a.conf()]})
    held = stream(client, q)
    verify(q)
    until(lambda: q.count("waits for a place") or a.questions, "it to wait")
    a.streams.set()
    assert b"message_stop" in rest(held)

    def came():
        if not a.questions and q.count("given back"):
            verify(q)  # on a slow machine the second was over
        return a.questions

    until(came, "the verification")
    assert a.most == 1


@pytest.mark.parametrize("workers", [1, 2])
def test_a_limit_lowered_beside_a_stream(qcc, site, client, workers):
    """Of a queued endpoint: no verification comes while its one place is taken; they go on afterwards where they were."""
    a, b = site("a", priority=1), site("b", priority=2)
    conf = {**BASE, "workers": workers}
    q = qcc({**conf, "endpoints": [a.conf(max_concurrent=2), b.conf()]})
    held = stream(client, q)
    a.how = PAGE
    assert client(q).ask().header("x-qcc-endpoint") == "b"
    until(lambda: endpoints(q)["a"]["queued"], "a to be queued")
    until(lambda: q.count("verification 2 failed"), "two verifications")
    q.reload({**conf, "endpoints": [a.conf(max_concurrent=1), b.conf()]})
    before = q.count("given back: no place")
    until(lambda: q.count("given back: no place") > before, "one that finds no place")
    with a.lock:
        a.most, came = a.now, a.questions
    failed = q.count("failed: ")
    until(lambda: q.count("given back: no place") >= before + 3, "more of them", timeout=20)
    assert (a.most, a.questions) == (1, came)
    assert q.count("failed: ") == failed, "one without a place counts as failed"
    a.how = reply()
    a.streams.set()
    assert b"message_stop" in rest(held)
    until(lambda: not endpoints(q)["a"]["queued"], "a to come back", timeout=20)
    assert a.most == 1


def test_a_request_finds_the_place_taken_by_a_verification(qcc, site, client):
    a, b = site("a", priority=1, max_concurrent=1), site("b", priority=2)
    q = qcc({**BASE, "workers": 2, "endpoints": [a.conf(), b.conf()]})
    a.answers.clear()
    verify(q)
    until(lambda: a.questions == 1, "the verification")
    for _ in range(4):
        assert client(q).ask().header("x-qcc-endpoint") == "b"
    assert (a.now, a.most) == (1, 1)
    a.answers.set()
    until(lambda: client(q).ask().header("x-qcc-endpoint") == "a", "the place to be free")
    assert a.most == 1
