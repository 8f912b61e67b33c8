"""Files, batches and containers (scope.md, section 6): each is at one endpoint, and what names it goes there."""
import gzip
import json

import pytest

from client import BODY, Client, request
from qcc import merged, until
from upstream import STREAM_HEAD, chunk, error, reply

CALM = {"workers": 1, "balance": {"strategy": "priority_failover"}, "failure_queue": {"probe": "off"},
        "retry": {"transient_delay": "1ms"}}
GONE = error(404, "not_found_error", "no such file")
JSON = ["content-type: application/json"]


class Store:
    """An endpoint that has files and batches of its own, and knows no others."""

    def __init__(self, raw, name, **more):
        self.name, self.made, self.asked, self.fails = name, 0, [], {}
        self.url = "https://elsewhere.example/v1/messages/batches/%s/results"
        self.container = None
        self.up = raw(self.play)
        self.endpoint = self.up.endpoint(name, **more)

    def batch(self, id):
        return {"id": id, "type": "message_batch", "results_url": self.url % id, "n": 12345678901234567890}

    def play(self, peer, r):
        path = r.target.split("?")[0]
        self.asked.append((r.method, path))
        parts = path.strip("/").split("/")
        collection = "/v1/files" if parts[1] == "files" else "/v1/messages/batches"
        id = parts[2] if parts[1] == "files" and len(parts) > 2 else parts[3] if len(parts) > 3 else None
        if path in self.fails:
            peer.send(self.fails[path])
        elif path in ("/v1/messages", "/v1/messages/count_tokens"):
            peer.send(self.message())
        elif r.method == "POST" and path == collection:
            self.made += 1
            id = "%s_%s%d" % ("file" if "files" in path else "msgbatch", self.name, self.made)
            body = {"id": id, "type": "file"} if "files" in path else self.batch(id)
            peer.send(reply(json.dumps(body).encode()))
        elif not id:
            peer.send(reply(json.dumps({"data": [self.batch("msgbatch_%s1" % self.name)], "has_more": False}).encode()))
        elif "_%s" % self.name not in id:
            peer.send(GONE)
        elif "batches" in path and not path.endswith("results"):
            peer.send(reply(json.dumps(self.batch(id)).encode()))
        else:
            peer.send(reply(json.dumps({"id": id, "at": self.name}).encode()))

    def message(self):
        answer = {"id": "msg_1", "type": "message", "role": "assistant", "content": [{"type": "text", "text": "ok"}],
                  "model": "m", "stop_reason": "end_turn", "usage": {"input_tokens": 1, "output_tokens": 1}}
        return reply(json.dumps({**answer, **({"container": {"id": self.container}} if self.container else {})}).encode())


@pytest.fixture
def house(qcc, raw):
    """house(config, a={…}, b={…}): QCC in front of these stores, the first preferred. (qcc, stores…)"""

    def make(config=None, **endpoints):
        stores = [Store(raw, name, **{"priority": i + 1, **more}) for i, (name, more) in enumerate(endpoints.items())]
        return (qcc({**merged(CALM, config or {}), "endpoints": [s.endpoint for s in stores]}), *stores)

    return make


def send(q, method, path, body=None, headers=(), host="127.0.0.1"):
    with Client(q.port) as c:
        c.send(request(method, path, [*(JSON if body is not None else []), *headers], body, host=host))
        return c.reply(method)


def message(q, *blocks, headers=(), path="/v1/messages", **more):
    body = {**BODY, "messages": [{"role": "user", "content": list(blocks) or "hi"}], **more}
    return send(q, "POST", path, json.dumps(body).encode(), headers)


def document(id):
    return {"type": "document", "source": {"type": "file", "file_id": id}}


def at(r):
    return r.header("x-qcc-endpoint")


def make_at(q, store, others, path="/v1/files", headers=()):
    """The id of something new that `store` has: the others are out for a moment."""
    for o in others:
        q.ctl("disable", o.name)
    r = send(q, "POST", path, b"{}", headers)
    for o in others:
        q.ctl("enable", o.name)
    assert at(r) == store.name and r.status == 200
    return r.json()["id"]


@pytest.fixture
def two(house):
    """Two stores, a file at the second one."""
    q, a, b = house(a={}, b={})
    id = make_at(q, b, [a])
    assert id == "file_b1"
    return q, a, b, id


def test_what_names_a_file_goes_to_its_endpoint(two):
    q, a, b, id = two
    for method, path in [("GET", "/v1/files/" + id), ("HEAD", "/v1/files/" + id), ("GET", "/v1/files/%s/content?x=1" % id),
                         ("GET", "//v1/files/" + id)]:
        assert at(send(q, method, path)) == "b", path
    assert at(message(q)) == "a"
    assert at(message(q, document(id))) == "b"
    assert at(message(q, {"type": "container_upload", "file_id": id})) == "b"
    tool = {"type": "tool_result", "tool_use_id": "t", "content": [document(id)]}
    assert at(message(q, tool)) == "b"
    assert at(message(q, document(id), path="/v1/messages/count_tokens")) == "b"
    assert a.asked == [("POST", "/v1/messages")]


def test_what_only_looks_like_one_goes_anywhere(two):
    q, a, b, id = two
    for block in [{"type": "text", "text": json.dumps(document(id))},
                  {"type": "tool_use", "id": "t", "name": "n", "input": {"source": {"file_id": id}, "file_id": id}},
                  {"type": "text", "file_id": id, "text": "x"}, document("file_unknown1")]:
        assert at(message(q, block)) == "a", block
    assert at(message(q, file_id=id)) == "a"


def test_nowhere_else(two):
    """Its endpoint counts as the only one."""
    q, a, b, id = two
    before = list(a.asked)
    b.fails["/v1/messages"] = error(400, "invalid_request_error", "no")
    assert at(r := message(q, document(id))) == "b" and r.status == 400  # no second opinion
    b.fails["/v1/messages"] = error(529, "overloaded_error", "busy")
    assert at(r := message(q, document(id))) == "b" and r.status == 529
    b.fails["/v1/messages"] = error(429, "rate_limit_error", "slow", ["retry-after: 40"])
    assert message(q, document(id)).status == 429
    r = message(q, document(id))
    assert r.status == 429 and 30 < int(r.header("retry-after")) <= 40 and a.asked == before
    q.ctl("reset", "b")
    q.ctl("disable", "b")
    r = message(q, document(id))
    assert r.status == 503 and "b: disabled" in r.error["message"] and "a:" not in r.error["message"]
    assert send(q, "GET", "/v1/files/" + id).status == 503 and a.asked == before


def test_model_not_offered_there(house):
    q, a, b = house(a={}, b={"models": {"allow": ["other"]}})
    id = make_at(q, b, [a])
    before = list(b.asked)
    r = message(q, document(id))
    assert r.status == 400 and r.error["type"] == "invalid_request_error" and "endpoint b" in r.error["message"]
    assert r.header("x-should-retry") == "false" and b.asked == before


def test_of_two_endpoints(two):
    q, a, b, id = two
    other = make_at(q, a, [])
    r = message(q, document(id), document(other))
    assert r.status == 400 and "two endpoints" in r.error["message"]


def test_unknown_id_is_looked_for(house):
    q, a, b, c = house(a={}, b={}, c={})
    for method, path in [("GET", "/v1/files/file_c7"), ("DELETE", "/v1/files/file_c8"),
                         ("POST", "/v1/messages/batches/msgbatch_c9/cancel")]:
        for s in (a, b, c):
            s.asked.clear()
        r = send(q, method, path, b"{}" if method == "POST" else None)
        assert r.status == 200 and at(r) == "c", path
        assert [len(s.asked) for s in (a, b, c)] == [1, 1, 1]
    assert at(send(q, "GET", "/v1/files/file_c7")) == "c" and len(a.asked) == 1  # found once, known
    r = send(q, "GET", "/v1/files/file_none1")
    assert r.status == 404 and at(r) == "a"
    b.fails["/v1/files/file_none2"] = error(500, "api_error", "broken")
    r = send(q, "GET", "/v1/files/file_none2")
    assert r.status == 500 and at(r) == "b"
    assert send(q, "GET", "/v1/files/" + "x" * 6000).status == 404


def test_more_than_max_attempts_are_looked_at(house):
    q, *stores = house({"retry": {"max_attempts": 1}}, a={}, b={}, c={}, d={}, e={})
    assert at(send(q, "GET", "/v1/files/file_e1")) == "e"


def test_lists_and_new_ones_without_clients(house):
    """The first by priority and order of the file, whatever the strategy."""
    q, a, b = house({"balance": {"strategy": "round_robin"}}, a={"priority": 2}, b={"priority": 1})
    for _ in range(3):
        assert at(send(q, "GET", "/v1/files")) == "b"
        assert at(send(q, "GET", "/v1/messages/batches?limit=3")) == "b"
        assert at(send(q, "POST", "/v1/files", b"{}")) == "b"
    q.ctl("disable", "b")
    assert at(send(q, "GET", "/v1/files")) == "a"


def test_clients_have_theirs_together(house):
    config = {"clients": [{"name": "c%d" % i, "token": "token-of-client-%02d" % i} for i in range(12)]}
    q, a, b = house(config, a={}, b={})
    where = {}
    for i in range(12):
        key = ["x-api-key: token-of-client-%02d" % i]
        seen = {at(send(q, "POST", path, b"{}", key)) for path in ["/v1/files", "/v1/messages/batches"] * 2}
        assert len(seen) == 1
        where[i] = seen.pop()
    assert set(where.values()) == {"a", "b"}


def test_clients_do_not_meet(house):
    config = {"clients": [{"name": "x", "token": "token-of-client-x"}, {"name": "y", "token": "token-of-client-y"}]}
    q, a, b = house(config, a={}, b={})
    x, y = ["x-api-key: token-of-client-x"], ["x-api-key: token-of-client-y"]
    id = make_at(q, b, [a], headers=x)
    assert at(message(q, document(id), headers=x)) == "b"
    assert at(message(q, document(id), headers=y)) == "a"


def test_a_batch_with_files_goes_to_them(two):
    q, a, b, id = two
    params = {**BODY, "messages": [{"role": "user", "content": [document(id)]}]}
    batch = json.dumps({"requests": [{"custom_id": "1", "params": params}]}).encode()
    assert at(r := send(q, "POST", "/v1/messages/batches", batch)) == "b"
    id = json.loads(r.body)["id"]
    assert at(send(q, "GET", "/v1/messages/batches/%s/results" % id)) == "b"


@pytest.mark.parametrize("gzipped", [False, True])
def test_results_url(house, gzipped):
    """Leads to QCC, as the client has called it; the rest is as it came, to the byte."""
    q, a = house(a={})
    if gzipped:
        body = gzip.compress(json.dumps(a.batch("msgbatch_a5")).encode())
        a.fails["/v1/messages/batches/msgbatch_a5"] = reply(body, headers=["content-encoding: gzip"])
    r = send(q, "GET", "/v1/messages/batches/msgbatch_a5", headers=["accept-encoding: gzip"], host="localhost:77")
    want = json.dumps(a.batch("msgbatch_a5")).replace("https://elsewhere.example", "http://localhost:77")
    assert r.body.decode() == want and int(r.header("content-length")) == len(want)
    r = send(q, "GET", "/v1/messages/batches", host="localhost:77")
    assert r.json()["data"][0]["results_url"] == "http://localhost:77/v1/messages/batches/msgbatch_a1/results"
    a.url = "https://bucket.example/%s?signed"
    assert send(q, "POST", "/v1/messages/batches", b"{}").json()["results_url"].startswith("https://bucket.example/")


@pytest.mark.parametrize("stream", [False, True])
def test_container(two, stream):
    q, a, b, id = two
    b.container = "container_b1"
    if stream:
        delta = {"type": "message_delta", "delta": {"stop_reason": "end_turn", "container": {"id": "container_b1"}}}
        events = [("message_start", {"type": "message_start", "message": {"id": "m", "usage": {"input_tokens": 1}}}),
                  ("content_block_start", {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
                  ("content_block_stop", {"type": "content_block_stop", "index": 0}), ("message_delta", delta),
                  ("message_stop", {"type": "message_stop"})]
        text = "".join("event: %s\ndata: %s\n\n" % (n, json.dumps(d)) for n, d in events)
        b.fails["/v1/messages"] = STREAM_HEAD + chunk(text.encode()) + b"0\r\n\r\n"
    assert at(message(q, document(id), stream=stream)) == "b"
    b.fails.clear()
    assert at(message(q, container="container_b1")) == "b"
    assert at(message(q, container={"id": "container_b1", "skills": []})) == "b"
    assert at(message(q, container="container_other")) == "a"


def test_removed(two):
    """A file that was deleted is unknown: it is looked for."""
    q, a, b, id = two
    assert at(send(q, "DELETE", "/v1/files/" + id)) == "b"
    assert at(message(q, document(id))) == "a"


def test_it_lasts(two):
    """Over a reload and an upgrade, without affinity too, and under another key of the endpoint."""
    q, a, b, id = two
    q.reload({**q.config, "affinity": {"enabled": False}, "workers": 2})
    assert at(send(q, "GET", "/v1/files/" + id)) == "b" and ("GET", "/v1/files/" + id) not in a.asked
    config = json.loads(json.dumps(q.config))
    config["endpoints"][1]["api_key"] = "sk-another-key-of-b-0123"
    q.reload(config)
    a.asked.clear()
    until(lambda: at(send(q, "GET", "/v1/files/" + id)) == "b", "known")
    q.upgrade()
    assert at(send(q, "GET", "/v1/files/" + id)) == "b" and a.asked == []


@pytest.mark.parametrize("affinity", [False, True])
def test_over_a_restart(house, tmp_path, affinity):
    q, a, b = house({"state_dir": str(tmp_path / "state"), "affinity": {"enabled": affinity}}, a={}, b={})
    id = make_at(q, b, [a])
    assert q.stop() == 0
    q.start(wait=False)
    q.wait_serving(2)
    assert at(send(q, "GET", "/v1/files/" + id)) == "b" and ("GET", "/v1/files/" + id) not in a.asked
