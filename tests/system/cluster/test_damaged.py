"""Data in a real engine that none of us has written: keys of another kind, fields, entries and hosts that are none. Nothing
of it ends a session for good; what it has cost is put back."""
import threading
import time

import pytest

from client import ask, another
from engine import Engine, Session
from link import CONNECTING, REFUSED, UP, Link
from qcc import until
from upstream import reply

A, B = "00000000000000aa", "00000000000000bb"
CID = "c1c1c1c1c1c1c1c1"
RAW = bytes.fromhex(CID)
E, C = "{qcc}:1:e:" + CID, "{qcc}:1:c:" + CID
NONE = bytes(8)
KEY = b"\0\1" + b"k" * 14
KINDS = {"string": ("SET", "x"), "list": ("RPUSH", "x"), "set": ("SADD", "x"), "zset": ("ZADD", 1, "x"),
         "stream": ("XADD", "*", "x", "y")}


def now():
    return int(time.time() * 1000)


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    e = Engine(tmp_path_factory.mktemp("engine"))
    yield e
    e.close()


@pytest.fixture(autouse=True)
def empty(engine):
    engine.ask("FLUSHALL")


@pytest.fixture
def hosts(engine, empty):
    a, b = Session(engine, A), Session(engine, B)
    assert a.join()[0] == b"OK" and b.join()[0] == b"OK"
    yield a, b
    a.close()
    b.close()


@pytest.fixture
def link(empty):
    made = []

    def make(*args, **kw):
        kw.setdefault("cids", [RAW])
        made.append(Link(*args, **kw))
        return made[-1]

    yield make
    for one in made:
        one.close()


def spoil(engine, key, kind):
    command, *rest = KINDS[kind]
    # in one piece: the hosts write there, too
    engine.ask("EVAL", "redis.call('DEL', KEYS[1]) return redis.call(ARGV[1], KEYS[1], unpack(ARGV, 2))", 1, key, command, *rest)


def never_lost(link, after):
    link.look()
    states = [f for n, f in link.got[after:] if n == "link_state"]
    assert all(f["state"] in (CONNECTING, UP) for f in states), [(f["state"], f["why"]) for f in states]


def joined_again(links, marks):
    """Until each has begun another session, all of them being listened to."""
    def all_up():
        for one in links:
            one.look()
        return all(one.state == UP and any(n == "link_joined" for n, _ in one.got[mark:]) for one, mark in zip(links, marks))

    until(all_up, "a session after it", timeout=60)


# ---- keys of another kind

@pytest.mark.parametrize("kind", KINDS)
def test_a_key_of_another_kind_is_replaced(engine, link, kind):
    """Whichever script finds it; all hosts are told, and the session stands."""
    a, b = link(engine.url), link(engine.url, B)
    a.up(), b.up()
    a.wait("link_state", pulling=False, state=UP)
    t = now()
    marks = a.mark(), b.mark()
    spoil(engine, E, kind)
    a.put(RAW, "b", t, "open %d 60000 said" % t)
    assert a.wait("link_group", after=marks[0], own=True)["taken"]
    spoil(engine, E, kind)
    a.send("link_lease", id=1, cid=RAW, kind="t", group="b", stamp_ms=t, last=True)
    assert a.wait("link_lent", id=1)["result"] == "moved"
    spoil(engine, C, kind)
    a.send("link_places", id=2, cid=RAW, limit=4, have=0, want=2)
    assert a.wait("link_got", id=2)["have"] == 2
    spoil(engine, "{qcc}:1:b:1", kind)
    a.bind((KEY, NONE, b"endpoin1", t))
    until(lambda: engine.ask("TYPE", "{qcc}:1:b:1") == b"hash", "the bucket")
    assert b.wait("link_bound", after=marks[1])["records"][:16] == KEY
    for one, mark in zip((a, b), marks):
        one.wait("link_damaged", after=mark, key="b:1", cid=b"")
        told = [(f["key"], f["cid"]) for n, f in one.got[mark:] if n == "link_damaged"]
        assert told == [("e:" + CID, RAW)] * 2 + [("c:" + CID, RAW), ("b:1", b"")]
        never_lost(one, mark)


@pytest.mark.parametrize("kind", KINDS)
def test_a_host_joins_and_leaves_where_keys_are_of_another_kind(engine, link, kind):
    for key in (E, C, "{qcc}:1:b:0", "{qcc}:1:b:65535"):
        spoil(engine, key, kind)
    a = link(engine.url)
    a.held = [(RAW, b"t", 5), (RAW, b"c", 3)]
    a.up()
    assert a.wait("link_joined")["kept"] == b"01"
    assert engine.ask("HGET", C, A).split()[0] == b"3"
    until(lambda: engine.ask("TYPE", "{qcc}:1:b:65535") == b"none", "all bindings to be read", timeout=60)
    never_lost(a, 0)
    spoil(engine, E, kind), spoil(engine, C, kind)
    assert a.stop() == 0
    assert engine.ask("HLEN", "{qcc}:1:h") == 0


@pytest.mark.parametrize("name", ["m", "h", "l"])
def test_where_nothing_can_be_shared_it_is_refused(engine, link, name):
    """The key may be somebody's: it stays."""
    key = "{qcc}:1:" + name
    a = link(engine.url)
    a.up()
    mark = a.mark()
    engine.ask("DEL", key)
    engine.ask("RPUSH", key, "theirs")
    why = a.wait("link_state", after=mark, state=REFUSED)["why"]
    assert key in why or "WRONGTYPE" in why
    b = link(engine.url, B)
    assert key in b.wait("link_state", state=REFUSED)["why"]
    assert engine.ask("LRANGE", key, 0, -1) == [b"theirs"]
    if name == "m":  # tried again, in 5 to 30 s
        engine.ask("DEL", key)
        a.wait("link_state", timeout=60, after=mark, state=UP)


# ---- fields

GARBAGE = [b"", b" ", b"x", b"123", b"123 ", b"-5 open 1 2 said", b"99999999999999999999 open 1 2 said", b"1 " + b"9" * 400,
           b"1 open x y said", b"1 open", b"1 open 99999999999999999999 5 said", b"\xff\xfe\x00", b"1 in", b"1 in x y",
           b"1 9999999999999999 0 1", b"1 1", b"1 refused", b"1 nothing known", b"z" * 100000, b"open 1 2 said",
           b"1e3 closed", b"0x10 closed", b"nan nan", b"1 inf 0 1"]
GROUPS = ["w", "z", "k", "b", "b:00000000000000ff", "q", "c", "c:00000000000000ff", "x:00000000000000ff", "s", "t", "v",
          "t:00000000000000ff", "f"]


@pytest.mark.parametrize("value", GARBAGE, ids=[repr(v[:12]) for v in GARBAGE])
def test_a_field_that_is_none_counts_as_none(engine, hosts, value):
    """Each group is told as if there was nothing; leases are given; an operator's word holds."""
    a, b = hosts
    t = now()

    def fill():
        engine.ask("DEL", E)
        for group in GROUPS:
            engine.ask("HSET", E, group, value)

    fill()
    on = [("b", "open %d 1 said" % (t - 500)), ("b:00000000000000ff", "open %d 1 said" % (t - 500)),
          ("q", "in %d %d 0 said x" % (t - 500, t - 400)), ("k", "refused 401 5"), ("c", "%d 0 1" % (t + 5000)),
          ("x:00000000000000ff", "%d" % (t + 5000))]
    for group, text in on:
        assert a.put(CID, group, t - 300, text) == (True, "%d %s" % (t - 300, text)), group
    for group, kind in (("b", "t"), ("b:00000000000000ff", "t:00000000000000ff"), ("q", "v")):
        assert a.lend(CID, kind, group, t - 300)[0] == "granted", group
        fence = engine.ask("HGET", E, "f")
        assert int(fence) > 0
        assert a.put(CID, group, t - 200, {"b": "closed", "q": "out"}[group[0]], fence=fence)[0]
        assert a.put(CID, "-" + kind, 0, fence=fence)[0]
    fill()
    assert b.lend(CID, "t", "b", t - 300) == ["moved", ""]
    assert b.put(CID, "s", t, "model")[0] or value.startswith(b"1 ") or value == b"123 "
    assert b.put(CID, "w", t, "disabled", "o")[0]
    fill()
    assert b.put(CID, "z", t, "", "o")[0]
    assert engine.ask("HMGET", E, "b", "q", "k", "c") == [None] * 4
    assert b.call("pull", ["e:" + CID], ["e"])[0] == b"OK"
    assert b.call("leave", ["e:" + CID, "c:" + CID], ["e", CID, "c", CID])[0] == b"OK"


def test_stamps_from_far_ahead_do_not_hold_for_ever(engine, hosts):
    a, b = hosts
    ahead = now() + 10 ** 10
    for group, value, text, how in (("z", "", "", "o"), ("w", "disabled", "enabled", "o"), ("s", "old", "new", "n"),
                                    ("b", "closed", "open 1 2 said", "n"), ("c", "0 0 0", "%d 0 1" % (now() + 9999), "n")):
        engine.ask("DEL", E)
        engine.ask("HSET", E, group, "%d %s" % (ahead, value))
        until(lambda: a.put(CID, group, now(), text, how)[0], "a later one to be taken: " + group)
    engine.ask("DEL", E)
    engine.ask("HSET", E, "z", "%d " % ahead)
    until(lambda: a.put(CID, "b", now(), "open 1 2 said")[0], "a reset of the future to be past")


def test_times_from_far_ahead_are_none(engine, hosts):
    a, _ = hosts
    t, far = now(), now() + 31 * 86400000
    for group, stored, value in (("c", "%d 0 1" % far, "%d 0 1" % (t + 5000)), ("x:" + A, far, t + 5000),
                                 ("b", "open %d 5 said" % far, "open %d 5 said" % t),
                                 ("q", "in 1 %d 0 said x" % far, "in 1 2 0 said x")):
        engine.ask("HSET", E, group, "5 %s" % stored)
        assert a.put(CID, group, t, value)[0], group


def test_a_giant_hash_of_an_endpoint_is_read_in_part(engine, link):
    for start in range(0, 60000, 1000):
        engine.ask("HSET", E, *sum((["x:%016x" % (n + 1), "1 2 " + "A" * 250] for n in range(start, start + 1000)), []))
    engine.ask("HSET", E, "y" * 100, "z" * 5000000)
    a = link(engine.url)
    a.up()
    assert 0 < len(a.all("link_group")) <= 512
    t = now()
    a.put(RAW, "b", t, "open %d 60000 said" % t)
    assert a.wait("link_group", own=True)["taken"]
    never_lost(a, 1)


PLACES = [b"", b"x", b"5", b"5 5 5", b"99999999999999999999 1", b"-1 5", b"\xff"]


@pytest.mark.parametrize("value", PLACES, ids=repr)
def test_places_that_are_none(engine, hosts, value):
    a, b = hosts
    assert a.places(CID, 4, 0, 2)[0] == 2
    for field in (A, B, "w:" + A, "w:" + B, "nobody", "w:nobody", "w:", ""):
        engine.ask("HSET", C, field, value)
    # the first two of a host that beats are its own, whatever became of them
    assert a.places(CID, 4, 2, 1)[:2] == (3, 3)
    assert b.places(CID, 4, 0, 3)[0] == 1
    assert set(engine.ask("HKEYS", C)) - {b"w:" + B.encode()} == {A.encode(), B.encode()}


def test_places_that_were_lost_are_stated_again(engine, hosts):
    a, b = hosts
    assert a.places(CID, 4, 0, 3)[0] == 3
    engine.ask("DEL", C)
    assert b.places(CID, 4, 0, 1)[0] == 1
    assert a.places(CID, 4, 3, 0) == (3, 4, False)
    assert b.places(CID, 4, 1, 2)[0] == 1, "the rest is not there any more"


def test_a_host_that_does_not_beat_cannot_state_places(engine, hosts):
    a, b = hosts
    assert a.places(CID, 4, 0, 3)[0] == 3
    engine.ask("HSET", "{qcc}:1:h", A, "%d %d n 1.0 d" % (a.conn, now() - 20000))
    assert b.places(CID, 4, 0, 4)[0] == 4
    assert a.places(CID, 4, 3, 0)[0] == 0
    assert a.beat() == [b"LATE"]


def test_bindings_that_are_none(engine, hosts):
    a, b = hosts
    bucket = "{qcc}:1:b:1"
    for value in (b"", b"x", b"y" * 11, b"y" * 13, b"z" * 100000):
        engine.ask("DEL", bucket)
        for n in range(20):
            engine.ask("HSET", bucket, b"junk-%d" % n, value)
        engine.ask("HSET", bucket, KEY, value)
        assert a.bind((KEY, NONE, b"endpoin1", now() // 1000), cap=16) == [b""]
        assert engine.ask("HGET", bucket, KEY)[:8] == b"endpoin1"
        other = KEY[:15] + b"2"
        for _ in range(30):
            assert a.bind((other, NONE, b"endpoin1", now() // 1000), cap=16) == [b""]
            engine.ask("HDEL", bucket, other)
        reply = b.call("pull", ["b:0", "b:1"], ["b"])
        assert reply[3] == [b"", KEY + engine.ask("HGET", bucket, KEY)]


def test_a_giant_bucket_goes(engine, link):
    for start in range(0, 20000, 1000):
        engine.ask("HSET", "{qcc}:1:b:7", *sum(([b"%016d" % n, b"endpoin1" + bytes(4)] for n in range(start, start + 1000)), []))
    a = link(engine.url)
    a.up()
    a.wait("link_damaged", key="b:7", timeout=60)
    assert engine.ask("EXISTS", "{qcc}:1:b:7") == 0


# ---- the log

ENTRIES = [("n", "x"), ("n", ""), ("n", "-1"), ("x", "y"), ("n", "0", "h", B), ("k", "g", "v", "w" * 9000), ("n", "9" * 30),
           ("\xff", "\xfe")]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: repr(e)[:20])
def test_an_entry_without_a_number_is_passed_over(engine, link, entry):
    a, b = link(engine.url), link(engine.url, B)
    a.up(), b.up()
    mark = b.mark()
    for _ in range(3):
        engine.ask("XADD", "{qcc}:1:l", "*", *entry)
        time.sleep(0.01)  # a later model is one of a later millisecond
        a.put(RAW, "s", now(), "m%d" % now())
        told = b.wait("link_group", after=mark, writer=A, own=False)
        mark = b.got.index(("link_group", told)) + 1
    never_lost(a, 1), never_lost(b, 1)


VALUES = [("g", ""), ("g", "x"), ("g", CID), ("g", CID + " b"), ("g", CID + " b 1 nothing"), ("g", "x" * 9000), ("b", "odd"),
          ("b", "y" * 29), ("l", ""), ("l", CID + " t " + "z" * 400), ("f", "x"), ("p", "x"), ("d", "x"), ("d", "e:zz"),
          ("d", "b:99999"), ("d", "c:" + CID + "00"), ("", ""), ("long", "x"), ("\xff", "\xff")]


def test_entries_whose_values_are_none(engine, link):
    a, b = link(engine.url), link(engine.url, B)
    a.up(), b.up()
    mark = a.mark()
    for kind, value in VALUES:
        n = engine.ask("HINCRBY", "{qcc}:1:m", "n", 1)
        engine.ask("XADD", "{qcc}:1:l", "*", "n", n, "h", "q" * 40 if kind == "long" else B, "k", kind, "v", value)
    b.put(RAW, "s", now(), "m")
    a.wait("link_group", after=mark, group="s")
    never_lost(a, mark)
    assert not [1 for n, f in a.got[mark:] if n == "link_damaged"]


@pytest.mark.parametrize("how", ["large", "wide", "many"])
def test_entries_too_large_to_be_read_are_passed_over(engine, link, how):
    a, b = link(engine.url), link(engine.url, B)
    a.up(), b.up()
    marks = a.mark(), b.mark()
    if how == "large":
        engine.ask("XADD", "{qcc}:1:l", "*", "n", "x", "v", "w" * 5000000)
    elif how == "wide":
        engine.ask("XADD", "{qcc}:1:l", "*", *["f"] * 20000)
    else:
        c = engine.client()
        c.send("MULTI")
        for _ in range(120):
            c.send("XADD", "{qcc}:1:l", "*", "n", "x", "v", "w" * 100000)
        c.send("EXEC")
        for _ in range(122):
            c.read()
        c.close()
    joined_again((a, b), marks)
    again = a.mark()
    b.put(RAW, "s", now(), "m")
    a.wait("link_group", after=again, group="s")
    never_lost(a, again)


@pytest.mark.parametrize("last", ["18446744073709551615-18446744073709551615", "18446744073709551614-18446744073709551615"])
def test_a_log_whose_ids_are_used_up(engine, link, last):
    a, b = link(engine.url, lease_ms=2000), link(engine.url, B, lease_ms=2000)
    a.up(), b.up()
    marks = a.mark(), b.mark()
    engine.ask("XADD", "{qcc}:1:l", last, "x", "y")
    time.sleep(0.1)
    b.put(RAW, "s", now() - 1000, "m")
    joined_again((a, b), marks)  # they have read it, and stand ahead of what follows
    again = a.mark()
    b.put(RAW, "s", now(), "n")
    a.wait("link_group", after=again, group="s")
    never_lost(a, again)


def test_a_log_that_is_gone(engine, link):
    a, b = link(engine.url), link(engine.url, B)
    a.up(), b.up()
    b.put(RAW, "s", now(), "m")
    a.wait("link_group", group="s")
    mark, t = a.mark(), now()
    engine.ask("DEL", "{qcc}:1:l")
    # within one millisecond the new entry would have the id of the one that is gone, and stamps would be equal
    until(lambda: now() > t + 1, "the clock to go on", step=0.001)
    b.put(RAW, "s", now(), "n")
    assert a.wait("link_group", after=mark, group="s")["text"].endswith(" n")
    never_lost(a, mark)


# ---- m and h

@pytest.mark.parametrize("field, value", [("n", "x"), ("n", ""), ("n", "-1"), ("n", "9" * 18), ("n", "1.5"), ("epoch", ""),
                                          ("epoch", "e" * 100), ("epoch", "\xff"), ("epoch", "a b")])
def test_a_head_that_is_none_is_made_anew(engine, link, field, value):
    a, b = link(engine.url, lease_ms=2000), link(engine.url, B, lease_ms=2000)
    a.up(), b.up()
    first = a.wait("link_joined")["epoch"]
    marks = a.mark(), b.mark()
    engine.ask("HSET", "{qcc}:1:m", field, value)
    joined_again((a, b), marks)
    assert a.position[0] == b.position[0] != first
    mark = a.mark()
    b.put(RAW, "s", now(), "m")
    a.wait("link_group", after=mark, group="s")


@pytest.mark.parametrize("value", [b"", b"x", b"5", b"9" * 30 + b" 5 n v d", b"9223372036854775807 1 n v d",
                                   b"\xff\xff", b"z" * 100000], ids=lambda v: repr(v[:20]))
def test_the_own_host_as_none(engine, link, value):
    a = link(engine.url, lease_ms=2000)
    a.up()
    mark = a.mark()
    engine.ask("HSET", "{qcc}:1:h", A, value)
    joined_again([a], [mark])
    assert int(engine.ask("HGET", "{qcc}:1:h", A).split()[0]) < 10 ** 16


def test_hosts_that_are_none_go(engine, hosts):
    a, b = hosts
    t = now()
    h = "{qcc}:1:h"
    for field, value in (("x", "1 %d n v d" % t), ("00000000000000ZZ", "1 %d n v d" % t), ("1" * 16, "x"), ("2" * 16, ""),
                         ("3" * 16, "1 x n v d"), ("4" * 16, "1 %d " % t + "n" * 400), ("5" * 16, "9" * 20 + " 5 n v d"),
                         ("6" * 17, "1 %d n v d" % t)):
        engine.ask("HSET", h, field, value)
    engine.ask("HSET", h, "7" * 16, "1 %d n v d" % (t + 10 ** 9))
    listed = a.beat()[3]
    assert set(listed[::2]) == {A.encode(), B.encode(), b"7" * 16} == set(engine.ask("HKEYS", h))
    # a beat of the future is one of now, and ages
    assert int(engine.ask("HGET", h, "7" * 16).split()[1]) < t + 60000


def test_sixty_four_hosts(engine, link):
    a = link(engine.url)
    a.up()
    for n in range(63):
        engine.ask("HSET", "{qcc}:1:h", "%016x" % (n + 1000), "1 %d host-%d 1.0 d" % (now() + 10 ** 6, n))
    mark = a.mark()
    until(lambda: len({f["host"] for f in a.all("link_host")}) == 64, "64 hosts")
    b = link(engine.url, B)
    assert b.wait("link_state", state=REFUSED)["why"] == "its cluster has 64 hosts, which is the most"
    never_lost(a, mark)
    assert not engine.ask("HEXISTS", "{qcc}:1:h", B)
    # those that are gone for good do not count; the living come first
    for n in range(63):
        engine.ask("HSET", "{qcc}:1:h", "%016x" % (n + 1000), "1 %d host-%d 1.0 d" % (now() - 600000, n))
    c = link(engine.url, "00000000000000cc")
    c.up()
    until(lambda: {A, "00000000000000cc"} <= {f["host"] for f in c.all("link_host")}, "the living hosts")


def test_a_thousand_hosts_that_are_none(engine, link):
    a = link(engine.url, lease_ms=2000)
    a.up()
    mark = a.mark()
    engine.ask("HSET", "{qcc}:1:h", *sum((["%016x" % (n + (1 << 32)), "1 %d n v d" % now()] for n in range(6000)), []))
    a.wait("link_host", after=mark)
    until(lambda: a.mark() > mark + 200, "some beats")
    never_lost(a, mark)


# ---- supervisors

class Play:
    def __init__(self):
        self.says, self.n, self.delay = reply(), 0, threading.Event()
        self.delay.set()

    def __call__(self, peer, request):
        self.n += 1
        self.delay.wait(20)
        peer.send(self.says)


@pytest.fixture
def plays(raw):
    made = [Play(), Play()]
    made[0].where = raw(made[0]).endpoint("first", priority=1, max_concurrent=4)
    made[1].where = raw(made[1]).endpoint("second", priority=2)
    return made


@pytest.fixture
def host(qcc, engine, plays):
    def make(name):
        q = qcc({"endpoints": [p.where for p in plays], "workers": 1,
                 "cluster": {"url": engine.url, "secret": "0123456789abcdef0123456789abcdef", "name": name, "lease": "2s"},
                 "breaker": {"failure_threshold": 2, "open_duration": "30s"}, "balance": {"use_priority": True},
                 "retry": {"transient_delay": "1ms"}, "failure_queue": {"probe": "off"}})
        until(lambda: q.ctl_json("cluster")["state"] == "up", "the cluster to be up")
        return q

    return make


@pytest.fixture
def asks(client):
    def make(q, conversation="c"):
        c = client(q)
        c.send(ask(messages=another(), headers=["x-conversation-id: " + conversation]))
        r = c.reply()
        assert r.status == 200, r.body
        return r.header("x-qcc-endpoint")

    return make


def key_of(engine, kind):
    keys = [k.decode() for k in engine.ask("KEYS", "{qcc}:1:%s:*" % kind)]
    return keys


def test_what_a_key_held_is_put_back_by_the_hosts(engine, host, plays, asks):
    a, b = host("a"), host("b")
    plays[0].says = reply(b"<html>bad gateway</html>", status=502, type="text/html")

    def breaker(q):
        return next(e for e in q.ctl_json("endpoints")["endpoints"] if e["name"] == "first")["breaker"]["state"]

    until(lambda: asks(a, str(now())) and breaker(a) == breaker(b) == "open", "the breaker to open on both")
    key, = [k for k in key_of(engine, "e") if engine.ask("HEXISTS", k, "b")]
    for kind in KINDS:
        spoil(engine, key, kind)
        # the next that has something to say of the endpoint finds it
        assert a.ctl("drain", "first").returncode == 0
        until(lambda: engine.ask("TYPE", key) == b"hash" and engine.ask("HEXISTS", key, "b"), "the breaker in the engine again")
        assert a.ctl("enable", "first").returncode == 0
    assert breaker(a) == breaker(b) == "open"
    for q in (a, b):
        assert q.count("held what is no data of this program") == 1, "and once in ten minutes"
        assert q.count("cluster: the engine is lost") == 0 and q.ctl_json("cluster")["state"] == "up"


def test_places_are_stated_again_where_their_key_was_spoilt(engine, host, plays, asks):
    a, b = host("a"), host("b")
    until(lambda: len(a.ctl_json("cluster")["hosts"]) == len(b.ctl_json("cluster")["hosts"]) == 2, "both hosts")
    plays[0].delay.clear()
    threads = [threading.Thread(target=asks, args=(a, "a%d" % n)) for n in range(2)]
    [t.start() for t in threads]
    until(lambda: plays[0].n + plays[1].n == 2, "both at an endpoint")
    key, = key_of(engine, "c")
    for kind in KINDS:
        spoil(engine, key, kind)
        more = [threading.Thread(target=asks, args=(q, "%s%d" % (kind, now()))) for q in (a, b)]
        before = plays[0].n + plays[1].n
        [t.start() for t in more]
        until(lambda: plays[0].n + plays[1].n == before + 2, "all at an endpoint")
        threads += more

        def used():
            return sum(q.ctl_json("cluster")["places"][0]["in_use"] for q in (a, b))

        until(lambda: engine.ask("TYPE", key) == b"hash" and
              sum(int(v.split()[0]) for k, v in zip(*[iter(engine.ask("HGETALL", key))] * 2) if not k.startswith(b"w:"))
              >= used(), "the places in the engine again")
    plays[0].delay.set()
    [t.join() for t in threads]
    for q in (a, b):
        assert q.count("cluster: the engine is lost") == 0


def test_a_state_that_cannot_be_read_is_said_once(engine, host, plays, asks):
    a = host("a")
    a.ctl("drain", "first"), a.ctl("enable", "first")
    until(lambda: key_of(engine, "e"), "the endpoint in the engine")
    for n in range(3):
        key, = key_of(engine, "e")
        engine.ask("HSET", key, "b", "5 nothing %d" % n, "q", "x")
        b = host("b%d" % n)
        b.wait_log("the engine holds a state of endpoint first that is none \\(group [bq]\\): passed over")
        assert b.count("the engine holds a state of endpoint") == 1
        assert asks(b) == "first"
        b.stop()
