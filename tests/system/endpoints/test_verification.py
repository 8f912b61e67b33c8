"""The failure queue: when an endpoint is verified, what a verification asks and takes."""
import json
import os
import re
import signal

import pytest

from house import QUESTION, answer, ask, broken, crowd, house, page, sites, text_of, went
from qcc import until
from upstream import error, reply


def stream(peer, request):
    """A relay that always streams, a letter at a time."""
    events = ['event: message_start\ndata: {"type":"message_start","message":{}}\n\n',
              'event: content_block_start\ndata: {"type":"content_block_start","index":0}\n\n']
    events += ['event: content_block_delta\ndata: %s\n\n' % json.dumps(
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": c}}) for c in text_of(request)]
    events += ['event: message_stop\ndata: {"type":"message_stop"}\n\n']
    peer.send(reply("".join(events).encode(), type="text/event-stream"))


def queued(q, a):
    a.how = page
    assert went(q) == ["b"]
    q.wait_log("endpoint a: failure queue out -> queued")


def test_verified_at_once_and_again_after_five_seconds(house, sites):
    a, b = sites("ab")
    q = house([a, b])
    queued(q, a)
    until(lambda: len(a.verified) == 1, "the first verification")
    q.wait_log("endpoint a: verification 1 failed")
    assert set(went(q, 12)) == {"b"} and a.n == 1
    a.how = answer
    q.wait_log("endpoint a: failure queue queued -> out: verified")
    q.wait_log("endpoint a: health unhealthy -> healthy: verified")
    assert 4.9 <= a.verified[1][0] - a.verified[0][0]
    assert set(went(q, 8)) == {"a"}


def test_a_queued_one_takes_no_traffic(house, sites):
    """Not even when another one fails, as long as that is usable (see test_last_endpoint.py)."""
    a, b = sites("ab")
    q = house([a, b], {"breaker": {"failure_threshold": 1000}})
    queued(q, a)
    b.how = error(500)
    assert went(q, 3) == [500] * 3
    assert {r.status for r in crowd(q, 12)} == {500}
    assert a.n == 1


@pytest.mark.parametrize("how,ok", [
    (answer, True), (stream, True), (reply(), False), (page, False), (broken, False),
    (reply(b'{"type":"error","error":{"type":"api_error","message":"no"}}'), False),
    (error(500), False), (error(401, "authentication_error", "invalid x-api-key"), False),
    # who repeats the question in an error has not answered it
    (lambda peer, r: peer.send(error(400, "invalid_request_error", r.body.decode("latin-1"))), False),
], ids=["json", "stream", "no code", "page", "broken", "error in 200", "500", "401", "echo in an error"])
def test_what_a_verification_takes(house, sites, how, ok):
    a, b = sites("ab")
    q = house([a, b], {"failure_queue": {"verify_interval": "200ms"}})
    a.how = lambda peer, r: page(peer, r) if QUESTION not in r.body else how(peer, r) if callable(how) else peer.send(how)
    assert went(q) == ["b"]
    if ok:
        q.wait_log("endpoint a: failure queue queued -> out: verified")
    else:
        q.wait_log("endpoint a: (verification [012] failed|a verification ended with its model alone)")
        assert q.count("verified") == 0
    verification = a.verified[0][1]
    assert verification.method == "POST" and verification.target == "/v1/messages"
    assert verification.header("x-api-key") == a.endpoint["api_key"]
    assert verification.header("anthropic-version") == "2023-06-01"
    assert verification.json()["max_tokens"] <= 64


def test_verification_asks_for_the_model_last_served(house, sites):
    a, b = sites("ab", models={"map": {"mine": "theirs"}})
    q = house([a, b])
    assert went(q, model="mine") == ["a"]
    queued(q, a)
    until(lambda: a.verified, "the verification")
    assert a.verified[0][1].json()["model"] == "theirs"


def test_verification_asks_for_the_configured_model(house, sites):
    a, b = sites("ab")
    q = house([a, b], {"failure_queue": {"probe_model": "small"}})
    assert went(q) == ["a"]
    queued(q, a)
    until(lambda: a.verified, "the verification")
    assert a.verified[0][1].json()["model"] == "small"


def test_verification_has_a_time(house, sites):
    a, b = sites("ab")
    q = house([a, b], {"failure_queue": {"probe_timeout": "200ms"}})
    a.how = lambda peer, r: page(peer, r) if QUESTION not in r.body else peer.wait_gone()
    assert went(q) == ["b"]
    q.wait_log("endpoint a: a verification ended with its model alone: no answer within failure_queue.probe_timeout")


def test_each_verification_has_its_code(house, sites):
    """Six characters that nobody can know before."""
    a, b = sites("ab")
    q = house([a, b], {"failure_queue": {"verify_interval": "100ms"}})
    queued(q, a)
    until(lambda: len(a.verified) >= 5, "verifications")
    asked = [r.json()["messages"][0]["content"].encode() for _, r in a.verified]
    codes = {text.removeprefix(QUESTION) for text in asked}
    assert len(codes) == len(asked) and all(re.fullmatch(b"[a-z0-9]{6}", code) for code in codes)


@pytest.mark.parametrize("status,ok", [(200, True), (404, True), (401, True), (499, True), (500, False), (503, False), (529, False)])
def test_what_a_probe_by_http_takes(house, sites, status, ok):
    a, b = sites("ab")
    q = house([a, b], {"failure_queue": {"probe": "http"}})
    a.how = lambda peer, r: peer.send(b"HTTP/1.1 %d X\r\ncontent-length: 0\r\n\r\n" % status) if r.method == "HEAD" else page(peer, r)
    assert went(q) == ["b"]
    q.wait_log("endpoint a: failure queue queued -> out: verified" if ok else "endpoint a: (verification 1 failed|a verification ended with its model alone): status %d" % status)
    assert (q.count("queued -> out") > 0) == ok


@pytest.mark.parametrize("keyless", [False, True])
def test_probe_http(house, sites, keyless):
    a, b = sites("ab")
    if keyless:
        del a.endpoint["api_key"]
    q = house([a, b], {} if keyless else {"failure_queue": {"probe": "http"}})
    a.how = lambda peer, r: answer(peer, r) if r.method == "HEAD" else page(peer, r)
    assert went(q) == ["b"]
    q.wait_log("endpoint a: failure queue queued -> out: verified")
    assert [r.method for _, r in a.verified] == ["HEAD"]


def test_probe_off_lets_a_trial_through(house, sites):
    a, b = sites("ab")
    q = house([a, b], {"failure_queue": {"probe": "off", "verify_interval": "500ms"}})
    queued(q, a)
    a.how = answer
    q.wait_log("endpoint a: failure queue queued -> out: time is over, the next request is a trial")
    until(lambda: ask(q) and q.count("endpoint a: breaker half_open -> closed: the trial succeeded"), "the trial")
    assert not a.verified and a.asked[1][0] - a.asked[0][0] >= 0.45


def test_the_last_one_is_never_queued(house, sites):
    a, b = sites("ab")
    q = house([a, b], {"breaker": {"failure_threshold": 1000}})
    a.how = b.how = moved = reply(b"", 302, ["location: http://127.0.0.1:1/"])
    assert went(q) == [302]
    q.wait_log("endpoint a: failure queue out -> queued")
    q.wait_log("endpoint b: health unknown -> unhealthy: the last one: still in service")
    assert went(q, 4) == [302] * 4
    assert b.n == 5 and q.count("endpoint b: failure queue") == 0
    b.how = answer
    assert went(q) == ["b"]
    b.how = moved
    went(q)
    a.how = answer
    q.wait_log("endpoint a: failure queue queued -> out: verified")
    q.wait_log("endpoint b: failure queue out -> queued: no longer the last one")


def test_worker_dies_while_it_verifies(house, sites):
    a, b = sites("ab")
    q = house([a, b])
    a.how = lambda peer, r: page(peer, r) if QUESTION not in r.body else peer.wait_gone()
    assert went(q) == ["b"]
    worker = q.wait_log("endpoint a: worker (\\d+) verifies it").group(1)
    until(lambda: a.verified, "the verification")
    a.how = answer
    os.kill(int(re.findall("worker %s started, pid (\\d+)" % worker, q.log())[-1]), signal.SIGKILL)
    q.wait_log("endpoint a: failure queue queued -> out: verified")
