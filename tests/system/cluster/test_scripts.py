"""The scripts of supervisor/link/lua against a real engine: each rule of a group, leases and their fences, places in
blocks, bindings, sessions and epochs."""
import itertools
import time

import pytest

from engine import Engine, Refused, Session

A, B = "00000000000000aa", "00000000000000bb"
CID = "c1c1c1c1c1c1c1c1"
NONE = bytes(8)


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    e = Engine(tmp_path_factory.mktemp("engine"))
    yield e
    e.close()


@pytest.fixture
def hosts(engine):
    """Two hosts, a and b, that have joined an empty cluster."""
    engine.ask("FLUSHALL")
    a, b = Session(engine, A), Session(engine, B)
    assert a.join()[0] == b"OK" and b.join()[0] == b"OK"
    yield a, b
    a.close()
    b.close()


def now():
    return int(time.time() * 1000)


def opened(at, open_ms=60000, how="said"):
    return "open %d %d %s" % (at, open_ms, how)


# ---- sessions

def test_one_epoch_for_all_until_the_data_is_gone(engine, hosts):
    a, b = hosts
    assert a.epoch == b.epoch
    assert a.beat()[0] == b"OK"
    engine.ask("FLUSHALL")
    assert a.beat() == [b"EPOCH", b""]
    assert a.join()[0] == b"OK"
    assert b.call("put", ["e:" + CID], [4, CID, "b", "1n", 0, "closed"]) == [b"EPOCH", a.epoch]


def test_a_command_of_an_earlier_session_does_nothing(hosts):
    a, b = hosts
    before = a.conn
    a.join()
    late = Session.__new__(Session)
    late.__dict__.update(a.__dict__, conn=before)  # over the same connection, as through a delaying proxy
    assert late.call("put", ["e:" + CID], [4, CID, "b", "%dn" % now(), 0, opened(now())]) == \
        [b"STALE", b"%d" % a.conn]
    assert a.client.ask("EXISTS", a.key("e:" + CID)) == 0
    assert late.join(conn=before)[0] == b"STALE"


def test_another_secret_is_refused(engine, hosts):
    c = Session(engine, "00000000000000cc", print_="other")
    assert c.join() == [b"PRINT"]
    c.close()


def test_prefixes_are_clusters_of_their_own(engine, hosts):
    c = Session(engine, "00000000000000cc", prefix="two", print_="other")
    assert c.join()[0] == b"OK"
    assert c.epoch != hosts[0].epoch
    c.close()


def test_hosts_are_listed_until_they_leave(hosts):
    a, b = hosts
    listed = a.beat()[3]
    assert set(listed[::2]) == {A.encode(), B.encode()}
    assert listed[listed.index(B.encode()) + 1].split()[2:] == [b"name-" + B.encode(), b"1.0", b"d"]
    b.call("leave")
    assert a.beat()[3][::2] == [A.encode()]
    assert b.beat() == [b"STALE", b"0"]


def test_keys_expire_where_no_host_beats(hosts):
    a, _ = hosts
    a.put(CID, "s", now(), "m")
    a.beat()
    for key, days in (("m", 7), ("h", 7), ("l", 7), ("e:" + CID, 30)):
        left = a.client.ask("PTTL", a.key(key))
        assert 0 <= days * 86400000 - left < 60000, key


def test_the_acl_of_the_manual_suffices(engine, hosts):
    engine.ask("ACL", "SETUSER", "q", "on", "nopass", "resetkeys", "~{qcc}:*", "resetchannels", "-@all", "+@read",
               "+@write", "+@connection", "+@scripting", "-@dangerous", "-@admin", "+info", "+role", "+time")
    a = hosts[0]
    a.client.ask("AUTH", "q", "")
    assert a.join()[0] == b"OK" and a.beat()[0] == b"OK"
    assert a.put(CID, "b", now(), opened(now()))[0]
    a.client.ask("ROLE")
    a.client.ask("INFO", "memory")
    with pytest.raises(Refused):
        a.client.ask("GET", "other")
    engine.ask("ACL", "DELUSER", "q")


# ---- groups

@pytest.mark.parametrize("group", ["b", "b:00000000000000ff", "q", "k"])
def test_what_is_in_force_is_moved_by_a_fence_alone(hosts, group):
    a, b = hosts
    t = now()
    on = {"b": opened(t - 90000), "q": "in %d %d 0 said x" % (t - 9, t - 9), "k": "refused 401 5"}[group[0]]
    off = {"b": "closed", "q": "out", "k": "ok"}[group[0]]
    kind = "v" if group[0] in "qk" else "t" + group[1:]
    assert a.put(CID, group, t - 9, on) == (True, "%d %s" % (t - 9, on))
    later = on.replace("said", "seen")
    assert b.put(CID, group, t - 5, later) == (False, "%d %s" % (t - 9, on)), "a second opening"
    assert b.put(CID, group, t - 5, off)[0] is False, "a verdict without a fence"
    granted, fence = b.lend(CID, kind, group, t - 9)
    assert granted == "granted"
    assert a.put(CID, group, t - 4, off, fence=fence)[0] is False, "another's fence"
    assert b.put(CID, group, t - 4, off, fence=int(fence) + 1)[0] is False, "another fence"
    assert b.put(CID, group, t - 4, off, fence=fence) == (True, "%d %s" % (t - 4, off))
    assert b.put(CID, "-" + kind, 0, fence=fence)[0]
    assert b.put(CID, group, t - 3, off, fence=fence)[0] is False, "given back"
    assert a.put(CID, group, t - 6, on)[0] is False, "evidence from before the verdict"
    assert a.put(CID, group, t - 3, on)[0]


def test_a_put_may_be_sent_twice(hosts):
    a, _ = hosts
    t = now()
    for group, value in (("b", opened(t)), ("q", "in 1 2 0 said x"), ("c", "%d 0 1" % (t + 9)), ("x:" + A, t + 9),
                         ("s", "m"), ("k", "refused 401 5")):
        first = a.put(CID, group, t, value)
        n = len(a.log())
        assert first[0]
        assert a.put(CID, group, t, value) == (False, first[1])
        assert len(a.log()) == n
    for group, value in (("z", ""), ("w", "disabled")):
        first = a.put(CID, group, t, value, "o")
        assert first[0] and a.put(CID, group, t, value, "o") == (False, first[1])


def test_a_verdict_without_a_fence_where_no_lease_lives(hosts):
    a, b = hosts
    t = now()
    a.put(CID, "b", t - 9, opened(t - 99999))
    assert b.put(CID, "b", t - 10, "closed", "a")[0] is False, "earlier than what is stored"
    assert a.lend(CID, "t", "b", t - 9)[0] == "granted"
    assert b.put(CID, "b", t - 1, "closed", "a")[0] is False, "a lease lives"
    a.call("leave", ["e:" + CID], ["e", CID])
    assert b.put(CID, "b", t - 1, "closed", "a")[0]


def test_an_operator_moves_all(hosts):
    a, b = hosts
    t = now()
    a.put(CID, "b", t - 9, opened(t - 9))
    assert b.put(CID, "b", t - 5, "half %d 60000 said" % (t - 5), "o")[0]
    assert b.put(CID, "b", t - 6, "closed", "o")[0] is False


def test_the_later_word_of_operators_holds_in_any_order(engine, hosts):
    t = now()
    words = [(t - 9, "disabled"), (t - 8, "draining"), (t - 7, "enabled")]
    for order in itertools.permutations(words):
        engine.ask("DEL", hosts[0].key("e:" + CID))
        for who, (stamp, word) in zip(itertools.cycle(hosts), order):
            assert who.put(CID, "w", stamp, word)[0] is False, "a report is no operator's word"
            who.put(CID, "w", stamp, word, "o")
        assert hosts[0].put(CID, "w", t - 99, "disabled", "o") == (False, "%d enabled" % (t - 7))


def test_an_operators_word_ends_a_refused_key(hosts):
    a, b = hosts
    t = now()
    a.put(CID, "k", t - 9, "refused 401 5")
    b.put(CID, "w", t - 5, "enabled", "o")
    assert a.put(CID, "k", t - 7, "refused 401 5") == (False, "%d ok" % (t - 5))
    assert a.put(CID, "k", t - 4, "refused 401 5")[0]


def test_a_reset_voids_what_is_older(hosts):
    a, b = hosts
    t = now()
    for group, value in (("b", opened(t - 9)), ("b:" + A, opened(t - 9)), ("q", "in 1 2 0 said x"), ("x:" + A, t + 999),
                         ("c", "%d 0 1" % (t + 999)), ("s", "m"), ("k", "refused 403 5")):
        assert a.put(CID, group, t - 9, value)[0]
    a.put(CID, "w", t - 9, "draining", "o")
    assert b.put(CID, "z", t - 5, "", "o")[0]
    left = a.client.ask("HKEYS", a.key("e:" + CID))
    assert set(left) == {b"s", b"w", b"z"}
    assert a.put(CID, "b", t - 6, opened(t - 6)) == (False, "")
    assert a.put(CID, "b", t - 4, opened(t - 4))[0]


def test_cooldowns_are_never_shortened(hosts):
    hits = [(100, 5000, 0, 1), (200, 3000, 9000, 2), (300, 4000, 8000, 1)]
    for order in itertools.permutations(hits):
        a, b = hosts
        base = now() - 1000
        a.client.ask("DEL", a.key("e:" + CID))
        for who, (at, own, untold, count) in zip(itertools.cycle(hosts), order):
            who.put(CID, "c", base + at, "%d %d %d" % (base + own, base + untold if untold else 0, count))
        _, stored = a.put(CID, "c", base, "1 1 1")
        stamp, own, untold, _ = stored.split()
        assert (int(own), int(untold)) == (base + 5000, base + 9000), order


def test_a_cooldown_ends_by_a_success_begun_after_the_hit(hosts):
    a, b = hosts
    t = now()
    a.put(CID, "c", t - 9, "%d 0 1" % (t + 60000))
    assert b.put(CID, "c", t - 9, "0 0 0")[0] is False
    assert b.put(CID, "c", t - 10, "0 0 0")[0] is False
    assert b.put(CID, "c", t - 8, "0 0 0")[0]
    assert a.put(CID, "c", t - 8, "%d 0 1" % (t + 60000))[0] is False, "a hit from before that success"
    assert a.put(CID, "c", t - 7, "%d 0 1" % (t + 60000))[0]


def test_marks_and_the_model_served(hosts):
    a, b = hosts
    t = now()
    assert a.put(CID, "x:" + A, t, t + 500)[0]
    assert b.put(CID, "x:" + A, t, t + 400) == (False, "%d %d" % (t, t + 500))
    assert b.put(CID, "x:" + A, t, t + 600)[0]
    assert a.put(CID, "s", t - 5, "m")[0]
    assert b.put(CID, "s", t - 6, "n") == (False, "%d m" % (t - 5))


def test_a_mark_ends_by_a_success_or_an_operator(hosts):
    """A refusal from before that does not bring it back; the sealed name goes along."""
    a, b = hosts
    t = now()
    assert b.put(CID, "x:" + A, t - 9, "0 QUJD")[0] is False, "there is none"
    assert a.put(CID, "x:" + A, t - 9, "%d QUJD" % (t + 500)) == (True, "%d %d QUJD" % (t - 9, t + 500))
    assert b.put(CID, "x:" + A, t - 9, "0 QUJD")[0] is False, "a success that began before"
    for end, how in ((t - 7, "n"), (t - 5, "o")):
        assert b.put(CID, "x:" + A, end, "0 QUJD", how=how) == (True, "%d 0 QUJD" % end)
        assert b.put(CID, "x:" + A, end, "0 QUJD", how=how)[0] is False, "sent twice"
        assert a.put(CID, "x:" + A, end, "%d QUJD" % (t + 900))[0] is False
        assert a.put(CID, "x:" + A, end + 1, "%d QUJD" % (t + 900))[0]


def test_a_cells_cooldown_keeps_its_name(hosts):
    a, b = hosts
    t = now()
    assert a.put(CID, "c:" + A, t - 9, "%d 0 1 QUJD" % (t + 500))[0]
    assert b.put(CID, "c:" + A, t - 8, "0 %d 2 QUJD" % (t + 400)) == (
        True, "%d %d %d 2 QUJD" % (t - 8, t + 500, t + 400))
    assert b.put(CID, "c:" + A, t - 7, "0 0 0 QUJD")[0]
    assert b.put(CID, "c:" + A, t - 6, "0 0 0 QUJD")[0] is False, "it is over"


def test_an_endpoint_has_so_many_groups(hosts):
    """What is over makes room; what is in force does not."""
    a, _ = hosts
    t = now()
    for n in range(400):
        taken = a.put(CID, "x:%016x" % (n + 1), t, "%d QUJD" % (t + 86400000))[0]
        assert taken == (n < 384), n
    assert a.put(CID, "x:%016x" % 1, t + 1, "0 QUJD", how="o")[0]
    assert a.put(CID, "b:" + A, t, opened(t))[0], "the place of the one that has ended"
    assert a.put(CID, "c:" + A, t, "%d 0 1 QUJD" % (t + 500))[0] is False
    assert a.put(CID, "b", t, opened(t))[0], "the endpoint's own"


def test_stamps_are_cut_to_the_engines_now(hosts):
    a, b = hosts
    taken, stored = a.put(CID, "b", now() + 86400000 * 365, opened(now()))
    assert taken and abs(int(stored.split()[0]) - now()) < 5000
    # one that is stored ahead (the clock was set back) counts as now; an operator's word holds against it
    a.client.ask("HSET", a.key("e:" + CID), "w", "%d disabled" % (now() + 10**9))
    assert b.put(CID, "w", now() - 5, "enabled", "o")[0] is True
    assert b.put(CID, "w", now() - 60000, "disabled", "o")[0] is False
    a.client.ask("HSET", a.key("e:" + CID), "b", "%d closed" % (now() + 10**9))
    assert b.put(CID, "b", now() - 5, opened(now()))[0] is False


def test_what_is_not_known_is_left_in_place(hosts):
    a, _ = hosts
    a.client.ask("HSET", a.key("e:" + CID), "y:future", "1 thing")
    assert a.put(CID, "y:future", now(), "x") == (False, "1 thing")


def test_changes_stand_in_the_log_without_a_gap(hosts):
    a, b = hosts
    t = now()
    a.put(CID, "b", t, opened(t))
    b.put(CID, "s", t, "m")
    log = a.log()
    assert [n for n, *_ in log] == list(range(1, len(log) + 1))
    assert log[0][1:] == (A, "g", ("%s b %d %s" % (CID, t, opened(t))).encode())
    assert log[1][1:] == (B, "g", ("%s s %d m" % (CID, t)).encode())


# ---- leases

def test_one_lease_at_a_time(hosts):
    a, b = hosts
    t = now()
    assert a.lend(CID, "t", "b", t) == ["moved", ""]
    a.put(CID, "b", t - 9, opened(t - 60001))
    assert a.lend(CID, "t", "b", t - 9) == ["granted", "1"]
    assert b.lend(CID, "t", "b", t - 9) == ["busy", A]
    assert b.lend(CID, "v", "b", t - 9, 1)[0] == "granted", "another kind"
    assert a.put(CID, "-t", 0, fence=1)[0]
    assert b.lend(CID, "t", "b", t - 9) == ["busy", B], "a verification is the trial too"
    assert b.put(CID, "-v", 0, fence=2)[0]
    assert b.lend(CID, "t", "b", t - 9) == ["granted", "3"]
    kinds = [(k, v) for _, _, k, v in a.log() if k in "lf"]
    assert kinds[0] == ("l", b"%s t %s" % (CID.encode(), A.encode()))
    assert ("f", b"%s t" % CID.encode()) in kinds


def test_no_lease_before_it_is_due(hosts):
    a, _ = hosts
    t = now()
    a.put(CID, "b", t - 9, opened(t, 60000))
    assert a.lend(CID, "t", "b", t - 9) == ["early", str(t + 60000)]
    assert a.lend(CID, "t", "b", t - 9, 1)[0] == "granted", "as the last resort"
    a.put(CID, "q", t - 9, "in %d %d 0 said x" % (t, t + 60000))
    assert a.lend(CID, "v", "q", t - 9) == ["early", str(t + 60000)]


def test_a_dead_hosts_lease_goes_on(engine, hosts):
    a, b = hosts
    t = now()
    a.lease = b.lease = 200
    a.put(CID, "b", t - 9, opened(t - 60001))
    assert a.lend(CID, "t", "b", t - 9)[0] == "granted"
    while True:
        b.beat()
        got = b.lend(CID, "t", "b", t - 9)
        if got[0] == "granted":
            break
        assert got == ["busy", A] and now() - t < 10000
    assert now() - t >= 150
    assert a.put(CID, "b", now(), "closed", fence=1)[0] is False, "the verdict of the one that stood still"
    assert b.put(CID, "b", now(), "closed", fence=got[1])[0]


def test_a_join_voids_what_it_does_not_restate(hosts):
    a, b = hosts
    t = now()
    a.put(CID, "b", t - 9, opened(t - 60001))
    a.lend(CID, "t", "b", t - 9)
    reply = a.join((1, "t", 1), (1, "t", 9), keys=["e:" + CID])
    assert reply[6] == [b"1", b"0"]
    assert b.lend(CID, "t", "b", t - 9) == ["busy", A]
    a.join()
    assert b.lend(CID, "t", "b", t - 9)[0] == "granted"


# ---- places

def test_places_in_blocks(hosts):
    a, b = hosts
    assert a.places(CID, 10, 0, 6) == (6, 6, False)
    assert b.places(CID, 10, 0, 6) == (4, 10, False)
    assert a.places(CID, 10, 6, 0) == (6, 10, True), "b waits"
    assert a.places(CID, 10, 5, 0) == (5, 9, True)
    assert a.places(CID, 10, 5, 3) == (5, 9, True), "the one that has waited longer is first"
    assert b.places(CID, 10, 4, 1) == (5, 10, True)
    told = [v for _, _, k, v in a.log() if k == "p"]
    assert len(told) >= 3 and set(told) == {CID.encode()}


def test_idle_places_are_kept_by_a_join_where_nobody_can_have_got_them(engine, hosts):
    a, b = hosts
    a.places(CID, 8, 0, 5)

    def stored():
        return int(engine.ask("HGET", a.key("c:" + CID), A).split()[0])

    def restated(used, idle):
        reply = a.join((1, "c", used), (1, "i", idle), keys=["c:" + CID])
        return reply[6], stored()

    assert restated(2, 2) == ([b"1", b"1"], 4)
    assert restated(1, 4) == ([b"1", b"0"], 4), "no more than was stored"
    assert restated(6, 1) == ([b"1", b"0"], 6), "what is in use is"
    a.lease = 1
    time.sleep(0.01)
    assert restated(2, 2) == ([b"1", b"0"], 2), "another may have got them"
    a.lease = 10000
    engine.ask("FLUSHALL")
    assert restated(2, 2) == ([b"1", b"0"], 2), "as it is not known"


def test_more_than_is_stored_is_stated_by_a_join_alone(hosts):
    a, b = hosts
    a.places(CID, 10, 0, 2)
    assert a.places(CID, 10, 9, 0) == (2, 2, False)
    a.join((1, "c", 7), keys=["c:" + CID])
    assert a.places(CID, 10, 7, 0) == (7, 7, False)
    assert b.places(CID, 10, 0, 9) == (3, 10, False)


def test_another_limit_is_the_askers_own(hosts):
    a, b = hosts
    a.places(CID, 8, 0, 8)
    assert b.places(CID, 4, 0, 1) == (0, 8, False)
    a.places(CID, 8, 3, 0)
    assert b.places(CID, 4, 0, 1) == (1, 4, False)


def test_places_of_a_dead_host_come_back(hosts):
    a, b = hosts
    a.lease = b.lease = 200
    began = now()
    a.places(CID, 3, 0, 3)
    while b.places(CID, 3, 0, 1)[0] == 0:
        b.beat()
        assert now() - began < 10000
    assert now() - began >= 150


def test_places_above_what_can_be_are_none(engine, hosts):
    a, b = hosts
    key = a.key("c:" + CID)
    assert a.places(CID, 4, 0, 2)[0] == 2
    for n in (4294967295, 4294967290, 1000001):
        engine.ask("HSET", key, a.host, "%d %d" % (n, a.conn))
        assert b.places(CID, 4, 1, 1)[1] <= 4
        assert not (engine.ask("HGET", key, a.host) or b"").startswith(b"%d " % n)


# ---- bindings

def conversation(n):
    return b"\0\1" + n.to_bytes(14, "big")


E1, E2 = b"endpoin1", b"endpoin2"


def test_the_first_to_bind_wins(hosts):
    a, b = hosts
    t = now() // 1000
    key = conversation(1)
    assert a.bind((key, NONE, E1, t)) == [b""]
    assert b.bind((key, NONE, E2, t)) == [E1 + t.to_bytes(4, "big")]
    assert b.bind((key, NONE, E1, t)) == [b""], "the same endpoint"
    assert b.bind((key, E1, E2, t)) == [b""]
    assert a.bind((key, E1, NONE, t)) == [E2 + t.to_bytes(4, "big")], "moved meanwhile"
    assert a.bind((key, E2, NONE, t)) == [b""]
    assert b.bind((key, NONE, E1, t)) == [b""]
    written = b"".join(v for _, _, k, v in a.log() if k == "b")
    assert written[:28] == key + E1 + t.to_bytes(4, "big")
    assert key + NONE in written


def test_the_later_use_stays(hosts):
    a, _ = hosts
    t = now() // 1000
    key = conversation(2)
    a.bind((key, NONE, E1, t - 5))
    a.bind((key, E1, E1, t - 50))
    assert a.client.ask("HGET", a.key("b:1"), key) == E1 + (t - 5).to_bytes(4, "big")
    a.bind((key, E1, E1, t + 5000))
    used = int.from_bytes(a.client.ask("HGET", a.key("b:1"), key)[8:], "big")
    assert t <= used < t + 100


def test_expired_bindings_hold_nobody(hosts):
    a, b = hosts
    t = now() // 1000
    key = conversation(3)
    a.bind((key, NONE, E1, t - 3601))
    assert b.bind((key, NONE, E2, t)) == [b""]


def test_a_bucket_has_a_cap(hosts):
    a, _ = hosts
    t = now() // 1000
    for n in range(30):
        assert a.bind((conversation(n), NONE, E1, t - 100 + n)) == [b""]
    kept = a.client.ask("HKEYS", a.key("b:1"))
    assert len(kept) == 16 and conversation(29) in kept and conversation(0) not in kept


def test_a_batch_is_one_entry_of_the_log(hosts):
    a, _ = hosts
    t = now() // 1000
    assert a.bind(*((conversation(n), NONE, E1, t) for n in range(256)), cap=1000) == [b""] * 256
    batch = [v for _, _, k, v in a.log() if k == "b"]
    assert [len(v) for v in batch] == [256 * 28]


def test_what_is_pulled(hosts):
    a, b = hosts
    t = now()
    a.put(CID, "s", t, "m")
    reply = b.call("pull", ["e:" + CID, "e:none"])
    assert reply[:2] == [b"OK", b"1"]
    assert reply[3] == [[b"s", b"%d m" % t], []]


def test_a_full_engine_refuses_a_script_whole(engine, hosts):
    a, _ = hosts
    engine.ask("CONFIG", "SET", "maxmemory", "1")
    try:
        with pytest.raises(Refused, match="OOM"):
            a.put(CID, "s", now(), "m")
        with pytest.raises(Refused, match="OOM"):
            a.beat()
    finally:
        engine.ask("CONFIG", "SET", "maxmemory", "0")
    assert a.client.ask("EXISTS", a.key("e:" + CID)) == 0
