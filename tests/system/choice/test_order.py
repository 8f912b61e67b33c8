"""Order of choice: repeats in place, what does not count for max_attempts, the round after all were tried, and
what moves a bound conversation."""
import ssl

import pytest

from qcc import free_port, until
from authority import Authority
from upstream import Raw, error, reply

PAGE = reply(b"<html><body>welcome</body></html>", 200, type="text/html")


@pytest.fixture
def pool(qcc, raw):
    """pool(a=play or bytes, ..., config={}): endpoints in that order of priority; (Qcc, {name: Raw})."""

    def make(config=None, **plays):
        ups = {name: raw(play) for name, play in plays.items()}
        endpoints = [up.endpoint(name, priority=i + 1) for i, (name, up) in enumerate(ups.items())]
        q = qcc({"workers": 1, "balance": {"strategy": "priority_failover"}, "endpoints": endpoints,
                 "retry": {"transient_delay": "10ms"}, "failure_queue": {"probe": "off"}, **(config or {})})
        return q, ups

    return make


def once(first, then=None):
    """An endpoint that answers so at first, and well (or `then`) from then on."""
    queue = list(first) if isinstance(first, list) else [first]

    def play(peer, request):
        peer.send(queue.pop(0) if queue else then or reply())

    return play


def asked(ups):
    return {name: len(up.requests) for name, up in ups.items()}


# ---- repeats in place

def test_the_first_one_gets_its_repeat(pool, client):
    q, ups = pool(a=once(error(500)), b=reply(), c=reply(), d=reply(), e=reply(), f=reply())
    r = client(q).ask()
    assert (r.status, r.header("x-qcc-endpoint"), r.header("x-qcc-attempts")) == (200, "a", "2")


def test_a_later_one_does_not_take_the_attempt_of_another(pool, client):
    """Five attempts: two at the first, one each at three others; with a fourth one there is no repeat."""
    q, ups = pool(a=error(500), b=error(500), c=error(500), d=reply())
    r = client(q).ask()
    assert (r.status, r.header("x-qcc-endpoint")) == (200, "d")
    assert asked(ups) == {"a": 2, "b": 1, "c": 1, "d": 1}


def test_max_attempts_two_goes_to_the_other(pool, client):
    q, ups = pool(a=error(500), b=reply(), config={"retry": {"max_attempts": 2, "transient_delay": "10ms"}})
    r = client(q).ask()
    assert (r.status, r.header("x-qcc-endpoint")) == (200, "b")
    assert asked(ups) == {"a": 1, "b": 1}


def test_six_endpoints_five_of_them_bad(qcc, raw, client, tmp_path):
    """Pages, TLS where the endpoint speaks none and the reverse, nobody there: the good one is reached."""
    server_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_tls.load_cert_chain(*Authority(tmp_path / "ca").make("good"))
    page, page2, good = raw(PAGE), raw(PAGE), raw(reply())
    plain = raw(reply())
    locked = raw(reply(), tls=server_tls)
    ups = [
        page.endpoint("page", priority=1),
        {**plain.endpoint("tls-to-http", priority=2), "base_url": plain.url.replace("http:", "https:")},
        {**locked.endpoint("http-to-tls", priority=3), "base_url": locked.url.replace("https:", "http:")},
        {"name": "nobody", "base_url": "http://127.0.0.1:%d" % free_port(), "api_key": "sk-x-0123456", "priority": 4},
        page2.endpoint("page2", priority=5),
        good.endpoint("good", priority=6),
    ]
    for strategy in ("priority_failover", "weighted"):
        q = qcc({"workers": 1, "endpoints": ups, "balance": {"strategy": strategy}})
        r = client(q).ask()
        assert (r.status, r.header("x-qcc-endpoint")) == (200, "good"), (strategy, r.body)


def test_what_was_not_sent_does_not_count(qcc, raw, client):
    """Seven endpoints refuse the connection; five attempts suffice for the eighth, and none is asked twice."""
    good = raw(reply())
    dead = [{"name": "dead%d" % i, "base_url": "http://127.0.0.1:%d" % free_port(), "api_key": "sk-x-0123456",
             "priority": i + 1} for i in range(7)]
    q = qcc({"workers": 1, "balance": {"strategy": "priority_failover"},
             "endpoints": [*dead, good.endpoint("good", priority=9)]})
    r = client(q).ask()
    assert (r.status, r.header("x-qcc-endpoint"), r.header("x-qcc-attempts")) == (200, "good", "8")


@pytest.mark.parametrize("second", [error(401), PAGE, error(429)], ids=["401", "page", "429"])
@pytest.mark.parametrize("first", ["refused", error(429)], ids=["refused", "429"])
def test_an_attempt_that_is_left_is_used(qcc, raw, client, first, second):
    """The first fails in a way that may pass, the second for good: the first one is asked again."""
    port = free_port()
    b = raw(second)
    if first == "refused":
        late = []

        def play(peer, request):
            if not late:  # it comes up while the second one answers
                late.append(Raw(reply(), port=port))
            peer.send(second)

        b.play = play
        a = {"name": "a", "base_url": "http://127.0.0.1:%d" % port, "api_key": "sk-x-0123456"}
    else:
        a = raw(once(first)).endpoint("a")
        late = []
    q = qcc({"workers": 1, "balance": {"strategy": "priority_failover"}, "retry": {"transient_delay": "50ms"},
             "endpoints": [{**a, "priority": 1}, b.endpoint("b", priority=2)]})
    try:
        r = client(q).ask()
        assert (r.status, r.header("x-qcc-endpoint")) == (200, "a"), r.body
    finally:
        for up in late:
            up.close()


# ---- second opinions

@pytest.mark.parametrize("status, headers", [(400, ()), (404, ()), (405, ()), (413, ()), (302, ["location: https://login.example/"])])
def test_pages_do_not_outvote_an_endpoint_that_is_well(pool, client, status, headers):
    """A wrong base_url behind a web server, twice: no word about the request."""
    page = reply(b"<html><head><title>no</title></head><body>no</body></html>", status, headers, type="text/html")
    q, ups = pool(a=page, b=page, c=reply())
    r = client(q).ask()
    assert (r.status, r.header("x-qcc-endpoint")) == (200, "c")
    assert asked(ups) == {"a": 1, "b": 1, "c": 1}


def test_a_refusal_after_a_page_has_its_own_second_opinion(pool, client):
    page = reply(b"<html>no</html>", 404, type="text/html")
    q, ups = pool(a=page, b=error(400, "invalid_request_error", "no"), c=error(400, "invalid_request_error", "no again"),
                  d=reply())
    r = client(q).ask()
    assert (r.status, r.error["message"]) == (400, "no")
    assert asked(ups) == {"a": 1, "b": 1, "c": 1, "d": 0}


# ---- bound conversations

MINE = ["x-conversation-id: mine"]


def bind_to_b(pool, client, **plays):
    """A conversation that is bound to b, though a would be chosen otherwise."""
    q, ups = pool(a=once([error(429, headers=["retry-after: 1"])], plays.get("a")), b=plays.get("b", reply()),
                  c=plays.get("c", reply()))
    assert client(q).ask(headers=MINE).header("x-qcc-endpoint") == "b"
    until(lambda: client(q).ask().header("x-qcc-endpoint") == "a", "a to be back")
    assert client(q).ask(headers=MINE).header("x-qcc-endpoint") == "b"
    return q, ups


def test_a_faulty_request_moves_nobody(pool, client):
    """Both opinions refuse: the next good request of the conversation is at home."""

    def play(peer, request):
        peer.send(error(400, "invalid_request_error", "no") if b"faulty" in request.body else reply())

    q, ups = bind_to_b(pool, client, a=None, b=play, c=play)
    ups["a"].play = play
    before = asked(ups)
    r = client(q).ask(headers=MINE, system="faulty")
    assert r.status == 400
    assert sum(asked(ups).values()) == sum(before.values()) + 2
    assert client(q).ask(headers=MINE).header("x-qcc-endpoint") == "b"


def test_a_failure_that_was_repaired_at_home_moves_nobody(pool, client):
    q, ups = bind_to_b(pool, client)
    ups["b"].play = once(error(500))
    r = client(q).ask(headers=MINE)
    assert (r.header("x-qcc-endpoint"), r.header("x-qcc-attempts")) == ("b", "2")
    assert client(q).ask(headers=MINE).header("x-qcc-endpoint") == "b"


def test_a_failure_that_nobody_repaired_moves_nobody(pool, client):
    """No success elsewhere: the binding stands."""
    q, ups = bind_to_b(pool, client)
    for name in "abc":
        ups[name].play = error(500)
    assert client(q).ask(headers=MINE).status == 500
    for name in "abc":
        ups[name].play = reply()
    assert client(q).ask(headers=MINE).header("x-qcc-endpoint") == "b"


def test_a_success_elsewhere_after_a_failure_at_home_binds_anew(pool, client):
    q, ups = bind_to_b(pool, client)
    ups["b"].play = once([error(500), error(500)])
    moved = client(q).ask(headers=MINE).header("x-qcc-endpoint")
    assert moved in ("a", "c")
    for _ in range(3):
        assert client(q).ask(headers=MINE).header("x-qcc-endpoint") == moved


# ---- when all have failed

def test_the_wait_of_one_that_was_passed_over_is_told(pool, client):
    """a cools by its own word and is not asked; b fails: waiting for a would help."""
    q, ups = pool(a=once(error(429, headers=["retry-after: 20"])), b=reply())
    assert client(q).ask().header("x-qcc-endpoint") == "b"
    ups["b"].play = PAGE
    r = client(q).ask()
    assert r.status == 429 and 1 <= int(r.header("retry-after")) <= 20, (r.status, r.body)
    assert len(ups["a"].requests) == 1
