"""What comes compressed although nobody asked is read in verifications, and where models are listed, too."""
import gzip
import json
import zlib

import pytest

from client import Client, request
from house import QUESTION, house, page, sites, text_of, went  # noqa: F401
from qcc import until
from upstream import LAST_CHUNK, chunk, reply


def raw_deflate(data):
    c = zlib.compressobj(9, zlib.DEFLATED, -15)
    return c.compress(data) + c.flush()


PACKS = [("gzip", gzip.compress), ("deflate", zlib.compress), ("deflate", raw_deflate)]


def packed(body, coding="gzip", pack=gzip.compress, status=200, type="application/json"):
    return reply(pack(body), status, ["content-encoding: " + coding], type)


def message(text):
    return json.dumps({"type": "message", "content": [{"type": "text", "text": text}]}).encode()


def events(text):
    return b"".join(b"data: %s\n\n" % json.dumps({"type": "content_block_delta", "delta": {"type": "text_delta", "text": c}}).encode() for c in text)


def verified_as(house, sites, how, **more):
    """Verifications of a, which every request finds out of order, are answered by how(request); the QCC before it."""
    a, b = sites("ab")
    a.endpoint.update(more)
    q = house([a, b], {"failure_queue": {"verify_interval": "200ms"}})
    a.how = lambda peer, r: peer.send(how(r)) if QUESTION in r.body else page(peer, r)
    assert went(q) == ["b"]
    return q, a


@pytest.mark.parametrize("coding,pack", PACKS, ids=["gzip", "zlib", "raw"])
@pytest.mark.parametrize("shape", ["message", "stream", "chunked"])
def test_the_code_is_found(house, sites, coding, pack, shape):
    def how(r):
        if shape == "stream":
            return packed(events(text_of(r)), coding, pack, type="text/event-stream")
        wire = pack(message(text_of(r)))
        head = b"HTTP/1.1 200 X\r\ncontent-type: application/json\r\ncontent-encoding: %s\r\n" % coding.encode()
        chunks = b"".join(chunk(wire[i:i + 5]) for i in range(0, len(wire), 5)) + LAST_CHUNK
        return head + b"transfer-encoding: chunked\r\n\r\n" + chunks if shape == "chunked" else packed(message(text_of(r)), coding, pack)

    q, _ = verified_as(house, sites, how)
    q.wait_log("endpoint a: failure queue queued -> out: verified")


@pytest.mark.parametrize("how,why", [
    (lambda r: packed(message("no code")), "the reply lacks the code"),
    (lambda r: packed(b'{"error":{"message":"Your credit balance is too low to access the API"}}', status=400), "status 400, money"),
    (lambda r: packed(b'{"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key"}}'), "status 200, "),
    (lambda r: reply(gzip.compress(message(text_of(r)))[:-6], headers=["content-encoding: gzip"]), "the reply is not what content-encoding says"),
    (lambda r: reply(message(text_of(r)), headers=["content-encoding: gzip"]), "the reply is not what content-encoding says"),
    (lambda r: packed(b"x" * 50_000_000 + text_of(r).encode()), "the reply lacks the code"),
    (lambda r: packed(b"<html>" + text_of(r).encode(), "br", type="text/html"), "the reply lacks the code"),
    (lambda r: reply(b"", headers=["content-encoding: br"]), "the reply lacks the code"),
], ids=["no code", "money", "error in 200", "cut", "plain", "bomb", "page in br", "empty in br"])
def test_what_is_no_answer(house, sites, how, why):
    q, a = verified_as(house, sites, how)
    q.wait_log("verification of a: " + why)
    assert a.verified and q.count("queued -> out: verified") == 0


def test_what_is_not_read_is_judged_as_in_a_request(house, sites):
    """JSON by its head that came whole: requests would be served."""
    q, _ = verified_as(house, sites, lambda r: reply(b"\x0b\x02\x80", headers=["content-encoding: br"]))
    q.wait_log("endpoint a: failure queue queued -> out: verified")


def test_of_another_maker(house, sites):
    """The translation reads it, learning from refusals too."""
    def how(r):
        if "max_tokens" in r.json():
            text = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
            return packed(json.dumps({"error": {"message": text, "param": "max_tokens", "code": "unsupported_parameter"}}).encode(), status=400)
        return packed(json.dumps({"choices": [{"message": {"content": text_of(r)}, "finish_reason": "stop"}]}).encode())

    q, a = verified_as(house, sites, how, protocol="openai")
    q.wait_log("endpoint a: failure queue queued -> out: verified")
    assert [list(filter(lambda k: k.startswith("max_"), r.json())) for _, r in a.verified[-2:]] == [["max_tokens"], ["max_completion_tokens"]]


@pytest.mark.parametrize("coding,pack", PACKS, ids=["gzip", "zlib", "raw"])
def test_lists_of_models(qcc, raw, coding, pack):
    up = raw(lambda peer, r: peer.send(packed(b'{"data":[{"id":"x"},{"id":"y"}]}', coding, pack)))
    q = qcc({"workers": 1, "upstream": {"list_models": True}, "endpoints": [up.endpoint()]})

    def ids():
        with Client(q.port) as c:
            c.send(request("GET", "/v1/models"))
            r = c.reply()
            if r.header("content-encoding"):  # the endpoint's own: the list is not known yet
                return None
            return [m["id"] for m in r.json()["data"]]

    until(lambda: ids() == ["x", "y"], "the list")
