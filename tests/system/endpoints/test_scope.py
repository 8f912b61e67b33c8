"""What a failed attempt concerns, as the supervisor learns it, and by which name the model was asked for."""
import json

import pytest

from client import Client, request
from house import QUESTION, house, page, sites, went
from upstream import error, reply

CUT = b'{"type":"message","content":[{"type":"te'
STREAMED = json.dumps({"model": "m", "stream": True, "max_tokens": 9,
                       "messages": [{"role": "user", "content": "x"}]}).encode()
REFUSED = json.dumps({"error": {"message": "tool web_x is none of ours"}}).encode()


def closes(peer, _request):
    peer.close()


def closes_after_the_head(peer, _request):
    peer.send(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n" + CUT)
    peer.close()


def stream_that_breaks(peer, _request):
    peer.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 5000\r\n\r\n"
              b'event: message_start\ndata: {"type":"message_start","message":{}}\n\n'
              b'event: content_block_start\ndata: {"type":"content_block_start","index":0}\n\n'
              b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
              b'"delta":{"type":"text_delta","text":"x"}}\n\n')
    peer.close()


@pytest.mark.parametrize("how,scope", [
    (closes, "endpoint"),
    (closes_after_the_head, "model"),
    (b"garbage\r\n\r\n", "endpoint"),
    (page, "endpoint"),
    (reply(b"", status=200), "model"),
    (reply(b"no healthy upstream", status=503, type="text/plain"), "endpoint"),
    (error(500), "model"),
    (error(529, "overloaded_error"), "model"),
    (error(429, "rate_limit_error", "Rate limited"), "model"),
    (error(429, "rate_limit_error", "the limit of your account"), "endpoint"),
    (error(429, "rate_limit_error", "the limit of your account for big-one-2"), "model"),
    (error(401, "authentication_error", "invalid x-api-key"), "endpoint"),
    (error(403, "permission_error", "your organization has no big-one-2"), "name"),
])
def test_scope_and_sent_name_reach_the_supervisor(house, sites, how, scope):
    """The name is the one behind the common map and the endpoint's own; words are searched for it."""
    a, b = sites("ab")
    a.endpoint["models"] = {"map": {"middle": "big-one-2"}}
    q = house([a, b], {"models": {"map": {"asked": "middle"}}, "retry": {"max_attempts_per_endpoint": 1}})
    a.how = how
    assert went(q, model="asked") == ["b"]
    q.wait_log(r'endpoint a: \w+, status \d+, fault .*, scope %s, sent "big-one-2"\n' % scope)
    q.wait_log(r"a: \w+, fault \w+ \(.*\), scope %s\n" % scope)


def test_forced_model(house, sites):
    a, b = sites("ab")
    q = house([a, b], {"models": {"override": "forced"}, "retry": {"max_attempts_per_endpoint": 1}})
    a.how = error(500)
    assert went(q, model="asked") == ["b"]
    q.wait_log('endpoint a: transient, .*, scope model, sent "forced"\n')


def test_an_overruled_refusal_has_its_own_scope(house, sites):
    a, b = sites("ab")
    a.endpoint["models"] = {"map": {"asked": "there"}}
    q = house([a, b])
    a.how = reply(REFUSED, status=400)
    assert went(q, model="asked") == ["b"]
    q.wait_log('endpoint a: permanent, status 400, fault endpoint.*, scope feature, sent "there"\n')


def test_a_reply_that_breaks_after_the_commit_point(house, sites):
    """What has been passed on already does not change it."""
    a, = sites("a")
    q = house([a])
    a.how = stream_that_breaks
    with Client(q.port) as c:
        c.send(request("POST", "/v1/messages", ["content-type: application/json"], STREAMED))
        q.wait_log('endpoint a: transient, .*, scope model, sent "m"\n')


def test_side_paths_have_no_model(house, sites):
    """Nor a cell: what breaks after the head concerns the endpoint."""
    a, = sites("a")
    q = house([a], {"retry": {"max_attempts_per_endpoint": 1, "max_attempts": 1}})
    a.how = closes_after_the_head
    with Client(q.port) as c:
        c.send(request("GET", "/v1/files?limit=1"))
        q.wait_log('endpoint a: .*, scope endpoint, sent ""\n')
    assert "scope model" not in q.log()


@pytest.mark.parametrize("how,scope", [
    (page, "endpoint"), (reply(b'{"type":"message","content":[{"type":"text","text":"hm"}]}'), "model"),
    (error(500), "model"), (closes, "endpoint"), (closes_after_the_head, "model"),
    (error(429, "rate_limit_error", "the limit of your account for big-one-2"), "model"),
])
def test_a_verification_tells_them_too(house, sites, how, scope):
    a, b = sites("ab")
    a.endpoint["models"] = {"map": {"m": "big-one-2"}, "allow": ["m"]}
    q = house([a, b])

    def play(peer, r):
        mine = how if QUESTION in r.body else page
        mine(peer, r) if callable(mine) else peer.send(mine)

    a.how = play
    assert went(q) == ["b"]
    # one of scope model is not one that failed: the endpoint leaves the queue by it
    q.wait_log('endpoint a: a verification ended with its model alone: .*, sent "big-one-2"\n' if scope == "model" else
               'endpoint a: verification 1 failed: .*, scope %s, sent "big-one-2"\n' % scope)
    if scope == "model":
        q.wait_log("endpoint a: failure queue queued -> out: it answers, its models fail")
        charged = "big-one-2: cooldown cooling" if isinstance(how, bytes) and b" 429 " in how else "other: health healthy -> degraded"
        q.wait_log("endpoint a: %s.*verification failed" % charged)
    else:
        assert q.count("endpoint a: failure queue queued -> out") == 0
