"""Conversations stay on their endpoint (behaviour: session affinity): over workers, connections,
reloads, restarts and deaths of workers."""
import concurrent.futures
import http.client
import json
import os
import signal
import socket
import time

import pytest

from qcc import PATIENCE, until

MESSAGE = {"model": "m", "max_tokens": 16, "messages": [{"role": "user", "content": "hello"}]}


def ask(q, headers=None, body=None, timeout=PATIENCE):
    """One request on a connection of its own; (status, endpoint)."""
    c = http.client.HTTPConnection("127.0.0.1", q.port, timeout=timeout)
    try:
        c.request("POST", "/v1/messages", json.dumps({**MESSAGE, **(body or {})}),
                  {"content-type": "application/json", **(headers or {})})
        r = c.getresponse()
        r.read()
        return r.status, r.getheader("x-qcc-endpoint")
    finally:
        c.close()


def where(q, conversation, **kw):
    """The endpoint that serves this conversation."""
    status, endpoint = ask(q, {"x-conversation-id": conversation}, **kw)
    assert status == 200, status
    return endpoint


def sites(upstream, names="abcd", **more):
    """Endpoints whose behaviour `behave` changes."""
    return [upstream.endpoint("/n/" + name, name=name, **more) for name in names]


def behave(upstream, name, spec):
    upstream.call("PUT", "/_site/" + name, spec)


@pytest.fixture
def many(qcc, upstream):
    """Four workers over four equal endpoints."""

    def make(config=None, **kw):
        return qcc({"workers": 4, "endpoints": sites(upstream), **(config or {})}, **kw)

    return make


def spread(q, make, n=24):
    """Conversations made by make(i), each asked three times on new connections: where they went."""
    at = []
    for i in range(n):
        headers, body = make(i)
        seen = {ask(q, headers, body) for _ in range(3)}
        assert len(seen) == 1, (i, seen)
        at.append(seen.pop()[1])
    assert len(set(at)) > 1, "all of them at one endpoint: that says nothing"
    return at


# ---- what makes a conversation

def session(i):
    return "%08x-1111-2222-3333-444444444444" % i


@pytest.mark.parametrize("key", [
    lambda i: ({"x-conversation-id": session(i)}, {}),
    lambda i: ({"X-Claude-Code-Session-Id": session(i)}, {}),
    lambda i: ({}, {"conversation_id": session(i)}),
    lambda i: ({}, {"metadata": {"user_id": "user_%064x_account__session_%s" % (7, session(i))}}),
    lambda i: ({}, {"metadata": {"user_id": json.dumps(
        {"device_id": "d", "account_uuid": "", "session_id": session(i)})}}),
], ids=["x-conversation-id", "session-id", "conversation_id", "user_id", "user_id-json"])
def test_each_key_holds_a_conversation(many, key):
    spread(many(), key)


def test_only_the_session_of_a_user_id_counts(many):
    """The same session of other devices and accounts is the same conversation."""
    q = many()
    for i in range(12):
        ids = ["user_%064x_account__session_%s" % (k, session(i)) for k in range(3)]
        ids += [json.dumps({"device_id": "d%d" % k, "session_id": session(i)}) for k in range(2)]
        assert len({ask(q, {}, {"metadata": {"user_id": user_id}}) for user_id in ids}) == 1


def test_each_installation_places_them_its_own_way(many):
    """Nobody who knows an id knows its hash."""
    q, other = many(), many()
    assert [where(q, "c%d" % i) for i in range(24)] != [where(other, "c%d" % i) for i in range(24)]


def test_keys_count_in_their_order(many):
    q = many()
    keys = [
        (lambda i: ({"x-conversation-id": "first%d" % i}, {})),
        (lambda i: ({"x-claude-code-session-id": "second%d" % i}, {})),
        (lambda i: ({}, {"conversation_id": "third%d" % i})),
        (lambda i: ({}, {"metadata": {"user_id": "user_x_account__session_fourth%d" % i}})),
    ]
    for better in range(len(keys) - 1):
        for worse in range(better + 1, len(keys)):
            for i in range(6):
                headers, body = keys[better](i)
                alone = ask(q, headers, body)
                more_headers, more_body = keys[worse](100 + i)
                assert ask(q, {**more_headers, **headers}, {**more_body, **body}) == alone


def test_only_the_keys_of_the_configuration_count(many):
    q = many({"affinity": {"keys": ["body:thread"]}})
    spread(q, lambda i: ({"x-conversation-id": "same for all"}, {"thread": "t%d" % i}))


def test_clients_do_not_meet(qcc, upstream):
    clients = [{"name": "c%d" % i, "token": "token-%d-0123456789abcdef" % i} for i in range(10, 22)]
    q = qcc({"workers": 2, "endpoints": sites(upstream), "clients": clients})
    seen = set()
    for c in clients:
        own = {ask(q, {"x-conversation-id": "one", "x-api-key": c["token"]}) for _ in range(3)}
        assert len(own) == 1
        seen |= own
    assert len(seen) > 1, "all clients share one binding"


def test_switched_off(many):
    q = many({"affinity": {"enabled": False}, "balance": {"strategy": "round_robin"}, "workers": 1})
    assert {where(q, "one") for _ in range(8)} == set("abcd")
    q.reload({"affinity": {"enabled": True}})
    assert len({where(q, "one") for _ in range(8)}) == 1
    q.reload({"affinity": {"enabled": False}})
    assert {where(q, "one") for _ in range(8)} == set("abcd")


# ---- what a binding outlives

def bindings(q, n=30):
    """Conversations at endpoints where rendezvous would not have put them: the first success was
    somewhere else. So that only the binding can hold them there."""
    return {"c%d" % i: where(q, "c%d" % i) for i in range(n)}


def moved(upstream, q, n=30):
    """Binds n conversations while only endpoint a is well, then makes all of them well: whoever is
    at a is there for its binding."""
    for name in "bcd":
        behave(upstream, name, "status=429,retry_after=1")
    at = bindings(q, n)
    assert set(at.values()) == {"a"}
    for name in "bcd":
        behave(upstream, name, "")
    # until all are candidates again: a new conversation goes to each of them
    seen, fresh = set(), iter(range(10**6))
    until(lambda: seen.add(where(q, "fresh%d" % next(fresh))) or seen == set("abcd"),
          "all endpoints to be used", step=0)
    return at


def same(q, at):
    for conversation, endpoint in at.items():
        assert where(q, conversation) == endpoint


def test_over_workers_and_connections(many, upstream):
    q = many()
    at = moved(upstream, q)
    for _ in range(4):
        same(q, at)


def test_over_reload(many, upstream):
    q = many()
    at = moved(upstream, q)
    q.reload({"workers": 6})
    same(q, at)
    # other places in the file, one less, one more
    there = {e["name"]: e for e in q.config["endpoints"]}
    q.reload({"endpoints": [upstream.endpoint("/n/z", name="z"), there["c"], there["a"], there["b"]]})
    same(q, at)
    # gone: they go elsewhere, and come to stay there
    q.reload({"endpoints": [there["b"], there["c"]]})
    now = bindings(q)
    assert set(now.values()) == {"b", "c"}
    q.reload({"endpoints": list(there.values())})
    same(q, now)


def test_over_the_death_of_workers(many, upstream):
    q = many()
    at = moved(upstream, q)
    for pid in q.children():
        os.kill(pid, signal.SIGKILL)
    until(lambda: q.count("worker \\d started") >= 8, "new workers")
    same(q, at)


def test_over_restart(many, upstream, tmp_path):
    q = many({"state_dir": str(tmp_path / "state")})
    at = moved(upstream, q)
    assert q.stop() == 0
    q.start(wait=False)
    q.wait_serving(2)
    same(q, at)


def test_over_a_crash_of_the_supervisor(many, upstream, tmp_path):
    q = many({"state_dir": str(tmp_path / "state")})
    at = moved(upstream, q)
    # what was bound last is on disk a few seconds later
    size = len(at) * 24
    until(lambda: (tmp_path / "state/state").exists() and
          (tmp_path / "state/state").stat().st_size > size, "the state to be saved")
    time.sleep(3)  # lint: a crash may lose the last seconds; nothing tells when they are over
    q.process.kill()
    q.wait()
    q.start(wait=False)
    q.wait_serving(2)
    same(q, at)


def test_without_state_dir_nothing_lasts(many, upstream):
    q = many()
    at = moved(upstream, q)
    assert q.stop() == 0
    q.start(wait=False)
    q.wait_serving(2)
    assert bindings(q) != at


# ---- what ends one

def test_failure_unbinds_and_the_next_success_binds(many, upstream):
    q = many()
    at = moved(upstream, q, 10)
    behave(upstream, "a", "status=500")
    now = {c: where(q, c) for c in at}
    assert "a" not in now.values()
    behave(upstream, "a", "")
    same(q, now)


def test_an_open_breaker_frees_its_conversations(many, upstream):
    """That of its model, the moment it opens, on all workers; what has gone does not come back when it closes."""
    q = many({"breaker": {"failure_threshold": 2, "open_duration": "3s"}})
    at = moved(upstream, q, 12)
    behave(upstream, "a", "status=500")
    fresh = iter(range(10**6))
    until(lambda: where(q, "other%d" % next(fresh)) and q.count("endpoint a: m: breaker closed -> open"), "it to open", step=0)
    behave(upstream, "a", "")
    now = {c: where(q, c) for c in at}
    assert q.count("endpoint a: m: breaker open -> half_open") or "a" not in now.values()
    until(lambda: where(q, "another%d" % next(fresh)) == "a", "it to be well again", step=0)
    same(q, now)


def test_rate_limit_moves_it(many, upstream):
    q = many()
    at = moved(upstream, q, 6)
    behave(upstream, "a", "status=429,retry_after=1")
    now = {c: where(q, c) for c in at}
    assert "a" not in now.values()
    behave(upstream, "a", "")
    time.sleep(1.1)  # lint: the cooldown that was told
    same(q, now)


@pytest.mark.parametrize("cleanup", ["100ms", "1h"])
def test_expiry(many, upstream, cleanup):
    """ttl after the last use, whichever worker saw it, and whether or not it was swept."""
    q = many({"affinity": {"ttl": "3s", "cleanup_interval": cleanup}})
    at = moved(upstream, q, 12)
    # used often enough it stays, however long
    c = http.client.HTTPConnection("127.0.0.1", q.port, timeout=PATIENCE)
    end = time.monotonic() + 4.5
    while time.monotonic() < end:
        c.request("POST", "/v1/messages", json.dumps(MESSAGE), {"x-conversation-id": "c0"})
        r = c.getresponse()
        assert r.read() and r.getheader("x-qcc-endpoint") == "a"
        time.sleep(0.05)
    c.close()
    assert {where(q, "c0") for _ in range(16)} == {"a"}
    # the others have expired meanwhile
    assert {where(q, c) for c in at if c != "c0"} != {"a"}


def bound(q):
    """How many conversations are bound."""
    return json.loads(q.get("/api/v1/sessions", port=q.admin_port)[1])["bindings"]


def test_expired_ones_are_swept(many):
    q = many({"affinity": {"ttl": "1s", "cleanup_interval": "200ms"}})
    bindings(q, 10)
    until(lambda: bound(q) > 0, "bindings")
    until(lambda: bound(q) == 0, "all of them to be swept", timeout=10)


def test_sweeping_waits_for_its_interval(many):
    q = many({"affinity": {"ttl": "1s", "cleanup_interval": "1h"}})
    bindings(q, 10)
    until(lambda: bound(q) == 10, "ten bindings")
    time.sleep(1.3)  # lint: longer than ttl
    assert bound(q) == 10


def test_a_failure_binds_nothing(many, upstream):
    q = many()
    for name in "abcd":
        behave(upstream, name, "status=500")
    assert ask(q, {"x-conversation-id": "one"})[0] == 500
    behave(upstream, "a", "")
    until(lambda: ask(q, {"x-conversation-id": "two"})[0] == 200, "a success")
    until(lambda: bound(q) == 1, "the binding of the second")


def test_least_recently_used_go(many, upstream):
    q = many({"affinity": {"max_sessions": 5}})
    for name in "bcd":
        behave(upstream, name, "status=429,retry_after=1")
    old, late = ["c%d" % i for i in range(12)], ["late%d" % i for i in range(5)]
    assert {where(q, c) for c in old} == {"a"}
    until(lambda: bound(q) == 5, "as many as there may be")
    # What several workers say of the same moment has no order: those used for a while are in.
    for _ in range(3):
        assert {where(q, c) for c in late} == {"a"}
    for name in "bcd":
        behave(upstream, name, "")
    seen = set()
    until(lambda: seen.add(ask(q)[1]) or seen == set("abcd"), "all endpoints to be used", step=0)
    assert {where(q, c) for c in late} == {"a"}
    # each of these is new, and takes the place of an old one
    assert {where(q, c) for c in old} != {"a"}
    assert bound(q) == 5


@pytest.mark.parametrize("balance", [
    {"strategy": "priority_failover"}, {"strategy": "weighted", "use_priority": True}],
    ids=["failover", "use_priority"])
def test_return_to_higher_priority_when_idle(qcc, upstream, balance):
    first, second = sites(upstream, "ab")
    q = qcc({"workers": 4, "balance": balance, "affinity": {"cache_ttl": "1500ms"},
             "endpoints": [{**first, "priority": 1}, {**second, "priority": 2}]})
    behave(upstream, "a", "status=429,retry_after=1")
    assert where(q, "one") == "b"
    behave(upstream, "a", "")
    time.sleep(1.1)  # lint: the cooldown that was told
    # a is well again and takes what is new, but this one's cache is at b: over all workers
    until(lambda: where(q, "another%f" % time.monotonic()) == "a", "a to be used again")
    end = time.monotonic() + 2.5
    while time.monotonic() < end:
        assert where(q, "one") == "b"
        time.sleep(0.1)
    time.sleep(2)  # lint: idle for longer than cache_ttl
    assert where(q, "one") == "a"
    assert where(q, "one") == "a"


# ---- agreement

def test_first_requests_at_once_on_all_workers(many):
    """The binding has not travelled yet: all workers choose alike by themselves."""
    q = many()
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        for i in range(12):
            seen = set(pool.map(lambda _: where(q, "new%d" % i), range(16)))
            assert len(seen) == 1, seen


def test_racing_first_successes_settle(many, upstream):
    """Where chance decides on each worker, the first binding heard wins and all follow."""
    q = many({"balance": {"strategy": "least_connections"}})
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        for i in range(6):
            list(pool.map(lambda _: where(q, "race%d" % i), range(16)))
            until(lambda: len({where(q, "race%d" % i) for _ in range(12)}) == 1, "all to know of the binding")
            settled = {where(q, "race%d" % i) for _ in range(12)}
            assert len(settled) == 1, settled


def test_a_thousand_do_not_move(many):
    q = many({"log": {"level": "warning"}}, start=False)
    q.start(wait=False)
    until(lambda: q.running() and is_open(q.port), "the listener")
    at = {}
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for turn in range(3):
            names = ["k%d" % i for i in range(300)]
            for name, endpoint in zip(names, pool.map(lambda n: where(q, n), names)):
                assert at.setdefault(name, endpoint) == endpoint
    assert set(at.values()) == set("abcd")


def is_open(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def test_no_conversation_id_in_any_log_or_file(many, tmp_path):
    q = many({"state_dir": str(tmp_path / "state")})
    where(q, "very-secret-conversation")
    q.stop()
    assert "very-secret-conversation" not in q.log()
    for path in (tmp_path / "state").iterdir():
        assert b"very-secret-conversation" not in path.read_bytes()
