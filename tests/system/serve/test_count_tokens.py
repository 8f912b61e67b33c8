"""count_tokens: endpoints that cannot count."""
import json

import pytest

from candidates import charged, counts, refuse, some
from upstream import error, reply

LACKING = {
    "Anthropic's form": (404, {"type": "error", "error": {"type": "not_found_error", "message": "Not Found"}}),
    "in other words": (404, {"type": "error", "error": {"type": "not_found_error", "message": "no such thing here"}}),
    "another maker's": (404, {"error": {"message": "Invalid URL (POST /v1/messages/count_tokens)", "type": "invalid_request_error",
                                        "param": "", "code": ""}}),
    "detail": (404, {"detail": "Not Found"}),
    "no JSON": (404, "404 page not found"),
    "empty": (404, None),
    "405": (405, {"detail": "Method Not Allowed"}),
    "501": (501, {"type": "error", "error": {"type": "api_error", "message": "count_tokens is not implemented"}}),
}


def lacking(name):
    status, body = LACKING[name]
    return reply(b"" if body is None else json.dumps(body).encode(), status)


@pytest.mark.parametrize("name", LACKING)
def test_endpoint_that_cannot_count(some, client, name):
    """Estimated, remembered, not charged."""
    q, ups = some({"a": lambda peer, r: peer.send(lacking(name) if "count" in r.target else reply())})
    c = client(q)
    long = c.ask(path="/v1/messages/count_tokens?beta=true", pad="word " * 1000)
    short = c.ask(path="/v1/messages/count_tokens")
    assert long.status == short.status == 200 and set(short.json()) == {"input_tokens"}
    assert 0 < short.json()["input_tokens"] < 100 and 500 < long.json()["input_tokens"] < 3000
    assert len(ups["a"].requests) == 1
    assert c.ask().status == 200 and charged(q, 1) == {}


@pytest.mark.parametrize("name", LACKING)
def test_another_can_count(some, client, name):
    """Who lacks it is passed over from then on."""
    q, ups = some({"a": lacking(name), "b": reply(b'{"input_tokens":42}')})
    c = client(q)
    assert c.ask(path="/v1/messages/count_tokens").status == 200
    assert c.ask(path="/v1/messages/count_tokens").json() == {"input_tokens": 42}
    assert counts(ups)["a"] == 1


def test_model_that_cannot_be_counted(some, client):
    """That a model is unknown says nothing of the path: estimated, and asked again."""
    q, ups = some({"a": error(404, "not_found_error", "model: m")})
    c = client(q)
    for _ in range(2):
        assert set(c.ask(path="/v1/messages/count_tokens").json()) == {"input_tokens"}
    assert counts(ups) == {"a": 2}


def test_count_that_is_refused(some, client):
    """A 400 is about the request, not about the path."""
    q, ups = some({"a": refuse("prompt is too long: 2 tokens > 1 maximum")})
    assert client(q).ask(path="/v1/messages/count_tokens").status == 400
