"""The end of a stream that has told all but its last word: whole, and the client gets that word. One that has
not told all, or that broke, is none (behaviour: after the commit point; inside a 200)."""
import json
import socket

import pytest

from client import ask, events
from qcc import until
from upstream import BLOCK, BLOCK_STOP, DELTA_END, EVENTS, LAST_CHUNK, START, STOP, STREAM, STREAM_HEAD, chunk, delta, event, reply

CALM = {
    "workers": 1,
    "retry": {"transient_delay": "1ms"},
    "breaker": {"failure_threshold": 1000},
    "health": {"degraded_for": "0s"},
    "failure_queue": {"verify_interval": "100ms", "probe": "off"},
}
PLAIN_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
ADDED = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'  # by QCC
TOLD = START + BLOCK + delta("a") + BLOCK_STOP + DELTA_END


@pytest.fixture
def one(qcc, raw):
    def make(play, config=None):
        up = raw(play)
        return qcc({**CALM, "endpoints": [up.endpoint()], **(config or {})}), up

    return make


def plays(*pieces, end=None):
    """An endpoint that sends these, each as a chunk, and then its last chunk or what `end` does."""

    def play(peer, _):
        peer.send(STREAM_HEAD)
        for piece in pieces:
            peer.send(chunk(piece))
        if end:
            end(peer)
        else:
            peer.send(LAST_CHUNK)

    return play


def names(body):
    return [name for name, _ in events(body)]


def served(q, attempts=1):
    """All was one success, and nobody was charged."""
    e = until(lambda: [e for e in json.loads(q.get("/api/v1/endpoints", q.admin_port)[1])["endpoints"] if e["attempts"]["ok"] == attempts],
              "the success")[0]
    assert sum(e["attempts"].values()) == attempts and e["health"] == "healthy", e
    assert e["tokens"]["output"] == 7
    q.wait_log(r"request .*attempts=1 .*status=200 .*end=ok")


@pytest.mark.parametrize("pieces", [[TOLD], [START, BLOCK + delta("a"), BLOCK_STOP, DELTA_END],
                                    [START + BLOCK, delta("a") + BLOCK_STOP + DELTA_END[:20], DELTA_END[20:]]],
                         ids=["one piece", "events", "cut"])
@pytest.mark.parametrize("version", ["1.1", "1.0"])
def test_told_but_its_last_word(one, client, pieces, version):
    """Before the commit point, where the end comes with the content, and after it."""
    q, up = one(plays(*pieces))
    r = client(q).ask(stream=True, version=version)
    assert r.status == 200 and r.body == TOLD + ADDED
    if version == "1.1":
        assert r.header("x-qcc-attempts") == "1"
    assert len(up.peers[0].requests) == 1 and len(up.peers) == 1
    served(q)


def test_the_connection_goes_on(one, client):
    q, up = one(plays(START + BLOCK, BLOCK_STOP + DELTA_END))
    c = client(q)
    for _ in range(3):
        assert c.ask(stream=True).body == START + BLOCK + BLOCK_STOP + DELTA_END + ADDED
    assert len(up.peers) == 1


@pytest.mark.parametrize("play", [
    lambda peer, _: (peer.send(PLAIN_HEAD + TOLD), peer.close()),
    lambda peer, _: (peer.send(PLAIN_HEAD.replace(b"1.1", b"1.0") + TOLD), peer.close()),
    lambda peer, _: peer.send(reply(TOLD, headers=["content-type: text/event-stream"])),
    plays(TOLD, end=lambda peer: peer.close()),
    plays(START + BLOCK, BLOCK_STOP + DELTA_END, end=lambda peer: peer.close()),
], ids=["until close", "1.0", "counted", "no last chunk", "no last chunk, in pieces"])
def test_other_framings(one, client, play):
    q, up = one(play)
    r = client(q).ask(stream=True)
    assert r.status == 200 and names(r.body)[-2:] == ["message_delta", "message_stop"]
    assert r.body.endswith(DELTA_END + ADDED)
    served(q)


@pytest.mark.parametrize("last,lacks", [
    (DELTA_END[:-1], b"\n" + ADDED), (DELTA_END[:-2], b"\n\n" + ADDED),
    (DELTA_END + STOP[:-1], b"\n"), (DELTA_END + STOP[:-2], b"\n\n"), (DELTA_END + STOP[:-5], b"\nevent: ping\n\n" + ADDED),
    (DELTA_END + b"event: mess", b"\nevent: ping\n\n" + ADDED),
], ids=["delta, line end", "delta", "stop, line end", "stop", "stop, cut", "name, cut"])
@pytest.mark.parametrize("at_once", [True, False], ids=["at once", "in pieces"])
def test_a_last_event_without_its_empty_line(one, client, last, lacks, at_once):
    """A client would not see it: it is completed, or made a ping where it was cut."""
    q, up = one(plays(START + BLOCK + BLOCK_STOP + last) if at_once else plays(START + BLOCK, BLOCK_STOP + last))
    r = client(q).ask(stream=True)
    assert r.body == START + BLOCK + BLOCK_STOP + last + lacks
    served(q)


@pytest.mark.parametrize("last", [b"", BLOCK_STOP, DELTA_END, BLOCK_STOP + DELTA_END[:-5], BLOCK_STOP + DELTA_END + BLOCK,
                                  BLOCK_STOP + event("message_delta", delta={"stop_reason": None}, usage={})],
                         ids=["block", "no reason", "open block", "reason, cut", "another block", "no reason yet"])
def test_one_that_has_not_told_all_is_cut(one, client, last):
    def play(peer, request):
        plays(*filter(None, (START + BLOCK + delta("a"), last)))(peer, request)

    q, up = one(play, {"retry": {"transient_delay": "1ms", "max_attempts": 1}})
    r = client(q).ask(stream=True)
    assert b"event: message_stop" not in r.body
    assert r.status == 502 or b"\nevent: error\n" in r.body[-300:]


@pytest.mark.parametrize("end", [lambda peer: peer.reset(), lambda peer: peer.send(b"zz\r\n")], ids=["reset", "garbage"])
def test_one_that_broke_is_cut(one, client, end):
    """It told all, but how it ended was no end."""
    released = []

    def broke(peer):
        until(lambda: released, "the client to have it all")
        end(peer)

    q, up = one(plays(START + BLOCK, BLOCK_STOP + DELTA_END, end=broke))
    c = client(q)
    c.send(ask(stream=True))
    c.head()
    body = b""
    while not body.endswith(DELTA_END):
        body += c.chunk()
    released.append(1)
    body += b"".join(iter(c.chunk, b""))
    assert names(body)[-1] == "error" and "message_stop" not in names(body)


def test_one_shorter_than_it_said_is_cut(one, client):
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 9999\r\n\r\n"
    q, up = one(lambda peer, _: (peer.send(head + TOLD), peer.close()))
    body = client(q).ask(stream=True).body
    assert names(body)[-1] == "error" and "message_stop" not in names(body)


def test_an_error_without_its_empty_line(one, client):
    """Behind content it is completed, not hidden by the end."""
    fault = b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}'
    begun = []

    def play(peer, _):
        peer.send(STREAM_HEAD + chunk(START + BLOCK))
        until(lambda: begun, "the client to have begun")
        peer.send(chunk(delta("a")) + chunk(fault) + LAST_CHUNK)

    q, up = one(play)
    c = client(q)
    c.send(ask(stream=True))
    r = c.head()
    body = c.chunk()
    begun.append(1)
    body += b"".join(iter(c.chunk, b""))
    assert r.status == 200 and body == START + BLOCK + delta("a") + fault + b"\n\n"
    q.wait_log("end=\"?error event from the endpoint")


# ---- streams of choices

def piece(text, reason=None, index=0):
    return b"data: %s\n\n" % json.dumps({"choices": [{"index": index, "delta": {"content": text}, "finish_reason": reason}]}).encode()


DONE = b"data: [DONE]\n\n"
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":7}}\n\n'
CHAT = "/v1/chat/completions"


@pytest.mark.parametrize("pieces", [[piece("a"), piece("b") + piece("", "stop") + USAGE], [piece("a") + piece("", "length") + USAGE],
                                    [piece("a", index=1) + piece("b"), piece("", "stop"), piece("", "stop", 1) + USAGE]])
def test_choices_get_their_done(one, client, pieces):
    q, up = one(plays(*pieces))
    assert client(q).ask(stream=True, path=CHAT).body == b"".join(pieces) + DONE
    served(q)


def test_choices_with_done_are_as_they_came(one, client):
    body = piece("a") + piece("b") + USAGE + DONE
    q, up = one(plays(body[:50], body[50:]))
    assert client(q).ask(stream=True, path=CHAT).body == body
    served(q)


@pytest.mark.parametrize("pieces", [[piece("a")], [piece("a"), piece("b")], [piece("a") + piece("b", index=1), piece("", "stop")]])
def test_choices_that_are_cut(qcc, raw, client, pieces):
    """Before the commit point another endpoint is asked; after it the client is told."""
    bad, good = raw(plays(*pieces)), raw(plays(piece("x") + piece("", "stop") + DONE))
    q = qcc({**CALM, "balance": {"strategy": "priority_failover"},
             "endpoints": [bad.endpoint("bad", priority=1), good.endpoint("good", priority=2)]})
    r = client(q).ask(stream=True, path=CHAT)
    if r.header("x-qcc-endpoint") == "good":
        assert r.body.endswith(DONE)
    else:
        assert b"[DONE]" not in r.body
        name, data = events(r.body)[-1]
        assert name is None and "cut off" in data["error"]["message"]


def test_choices_cut_in_one_piece_with_their_end(qcc, raw, client):
    bad, good = raw(STREAM_HEAD + chunk(piece("a")) + LAST_CHUNK), raw(plays(piece("x") + piece("", "stop") + DONE))
    q = qcc({**CALM, "balance": {"strategy": "priority_failover"},
             "endpoints": [bad.endpoint("bad", priority=1), good.endpoint("good", priority=2)]})
    r = client(q).ask(stream=True, path=CHAT)
    assert r.header("x-qcc-endpoint") == "good" and r.body.endswith(DONE)


def test_other_streams_have_no_last_word_of_ours(one, client):
    for path, body in (("/v1/complete", b'event: completion\ndata: {"completion":"a","stop_reason":"stop_sequence"}\n\n'),
                       ("/v1/responses", b'event: response.output_text.delta\ndata: {"delta":"x"}\n\n')):
        q, up = one(plays(body))
        assert client(q).ask(stream=True, path=path).body == body


# ---- what counts is the whole stream

def test_the_tail_is_of_its_attempt_only(qcc, raw, client):
    """What an attempt that failed lacked is not put behind the reply of another."""
    bad = raw(plays(START + b'event: error\ndata: {"type":"error","error":{"type":"api_error","message":"x"}}\n'))
    good = raw(STREAM)
    q = qcc({**CALM, "balance": {"strategy": "priority_failover"},
             "endpoints": [bad.endpoint("bad", priority=1), good.endpoint("good", priority=2)]})
    r = client(q).ask(stream=True)
    assert r.header("x-qcc-endpoint") == "good" and r.body == b"".join(EVENTS)


# ---- an end that is there with the content

PART = START + BLOCK + delta("a")
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
CUTS = {
    "counted, too long": lambda text: HEAD + b"content-length: %d\r\n\r\n" % (len(text) + 9) + text,
    "counted, too short": lambda text: HEAD + b"content-length: %d\r\n\r\n" % len(text) + text,
    "last chunk": lambda text: STREAM_HEAD + chunk(text) + LAST_CHUNK,
    "no last chunk": lambda text: STREAM_HEAD + chunk(text),
    "within a chunk": lambda text: STREAM_HEAD + chunk(text + b"more")[:-6],
    "close": lambda text: HEAD + b"\r\n" + text,
    "1.0": lambda text: HEAD.replace(b"1.1", b"1.0") + b"\r\n" + text,
}


def with_fin(wire):
    """Sends the bytes and the end of the connection in one segment."""

    def play(peer, _):
        peer.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
        peer.send(wire)
        peer.close()

    return play


def before_good(qcc, bad, good):
    return qcc({**CALM, "balance": {"strategy": "priority_failover"}, "retry": {"transient_delay": "1ms", "max_attempts_per_endpoint": 1},
                "endpoints": [bad.endpoint("bad", priority=1), good.endpoint("good", priority=2)]})


def classes(q):
    return [a["class"] for a in until(lambda: q.ctl_json("requests")["requests"], "the row")[0]["attempts"]]


@pytest.mark.parametrize("cut,coding", [("counted, too short", ""), ("last chunk", ""), ("counted, too long", "br"), ("no last chunk", "br"),
                                        ("within a chunk", "br")])
def test_a_cut_that_is_there_with_the_content_is_repaired(qcc, raw, client, cut, coding):
    """By its framing, or in a coding, where no event could tell it: the client has nothing of it yet."""
    wire = CUTS[cut](PART)
    if coding:
        wire = wire.replace(b"\r\ncontent-type", b"\r\ncontent-encoding: br\r\ncontent-type", 1)
    q = before_good(qcc, raw(with_fin(wire)), raw(STREAM))
    r = client(q).ask(stream=True)
    assert r.header("x-qcc-endpoint") == "good" and r.body == b"".join(EVENTS)
    assert classes(q) == ["transient", "ok"]


@pytest.mark.parametrize("cut", ["no last chunk", "close", "1.0", "last chunk"])
@pytest.mark.parametrize("last,tail", [(b"", ADDED), (STOP, b""), (STOP[:-1], b"\n"), (STOP[:-2], b"\n\n")],
                         ids=["told", "stop", "line end", "no line end"])
def test_one_that_told_all_is_whole(qcc, raw, client, cut, last, tail):
    if cut == "no last chunk" and last[:-2] == STOP[:-3]:
        pytest.skip("it has not told all, and broke")
    q = before_good(qcc, raw(with_fin(CUTS[cut](TOLD + last))), raw(STREAM))
    c = client(q)
    for _ in range(2):
        r = c.ask(stream=True)
        assert r.header("x-qcc-endpoint") == "bad" and r.body == TOLD + last + tail
    assert classes(q) == ["ok"]


def test_a_reset_that_is_there_with_the_content(qcc, raw, client):
    """It is no end, whatever was told."""

    def play(peer, _):
        peer.send(STREAM_HEAD + chunk(TOLD))
        peer.reset()

    q = before_good(qcc, raw(play), raw(STREAM))
    for _ in range(5):
        r = client(q).ask(stream=True)
        assert r.header("x-qcc-endpoint") == "good" or names(r.body)[-1] == "error"


def test_an_end_that_is_not_there_yet_is_no_cut(one, client):
    """Content goes on to the client at once: what is cut behind it is told there."""
    had = []

    def play(peer, _):
        peer.send(HEAD + b"\r\n" + PART)
        until(lambda: had, "the client to have it")
        peer.close()

    q, up = one(play)
    c = client(q)
    c.send(ask(stream=True))
    c.head()
    body = c.chunk()
    had.append(1)
    assert body == PART and names(body + b"".join(iter(c.chunk, b"")))[-1] == "error"


FAULT = b'data: {"error":{"message":"overloaded","type":"overloaded_error"}}\n\n'


@pytest.mark.parametrize("path,front,stop", [("/v1/messages", PART, STOP), ("/v1/messages", PART, DONE), (CHAT, piece("a"), DONE)],
                         ids=["message_stop", "done", "chat"])
@pytest.mark.parametrize("apart", [False, True])
def test_an_error_before_the_last_word(qcc, raw, client, path, front, stop, apart):
    """The last word that some send behind an error does not make a whole stream of it."""
    begun = []

    def play(peer, _):
        peer.send(STREAM_HEAD + chunk(front))
        until(lambda: begun, "the client to have begun")
        for part in [FAULT, stop] if apart else [FAULT + stop]:
            peer.send(chunk(part))
        peer.send(LAST_CHUNK)

    q = before_good(qcc, raw(play), raw(STREAM))
    c = client(q)
    c.send(ask(stream=True, path=path))
    c.head()
    body = c.chunk()
    begun.append(1)
    assert body + b"".join(iter(c.chunk, b"")) == front + FAULT + stop
    assert classes(q) == ["transient"]
    q.wait_log("end=\"?error event from the endpoint")


def test_an_error_behind_the_last_word(one, client):
    """Nothing is lost with it."""
    q, up = one(plays(TOLD + STOP, FAULT))
    assert client(q).ask(stream=True).body == TOLD + STOP + FAULT
    served(q)
