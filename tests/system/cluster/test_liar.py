"""An engine that lies: wrong types, lengths of 2 GB, endless answers, answers in another order, one byte at a time, silence,
other data. The link's memory is bounded, it tries again, the supervisor serves on, and an honest engine is joined afterwards."""
import pathlib
import threading
import time

import pytest

from client import ask, another
from engine import Engine
from liar import NIL, Liar, array, bulk, now
from link import CONNECTING, FULL, LOST, REFUSED, UP, Link
from qcc import alive, until
from upstream import reply

RAW = b"\xc1" * 8
KEY = b"\0\1" + b"k" * 14
MEMORY = 160 << 10  # kB that a link may grow by, with the sanitizer's own; without it 256 MiB are its bound
HOPS = 40


@pytest.fixture
def liar():
    one = Liar()
    yield one
    one.close()


@pytest.fixture
def link():
    made = []

    def make(*args, **kw):
        kw.setdefault("cids", [RAW])
        made.append(Link(*args, **kw))
        return made[-1]

    yield make
    for one in made:
        one.close()


def pumped(link, seconds):
    """Lets a link go on for a while, with its joins."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        link.look(0.05)


def memory(pid):
    """kB."""
    text = pathlib.Path("/proc/%d/status" % pid).read_text()
    return int(text.split("VmHWM:")[1].split()[0])


def endless(head, piece, most=400 << 20):
    """Sends head, then pieces until the connection breaks; True as soon as it has."""
    broken = threading.Event()

    def say(c, words):
        sent = 0
        try:
            c.sendall(head)
            while sent < most:
                c.sendall(piece)
                sent += len(piece)
        except OSError:
            broken.set()
            raise
        return b""

    say.broken = broken
    return say


MANY = b":1\r\n" * 16384
ENDLESS = {
    "a text of 2 GB": (b"$2147483647\r\n", b"x" * 65536),
    "a text of 4 GB": (b"$4294967296\r\n", b"x" * 65536),
    "a line that never ends": (b"+", b"x" * 65536),
    "an error that never ends": (b"-", b"x" * 65536),
    "a number that never ends": (b":", b"1" * 65536),
    "a length that never ends": (b"$", b"1" * 65536),
    "arrays in an array": (b"*8192\r\n", b"*8192\r\n" + b":1\r\n" * 8192),
    "answers nobody asked for": (b"", MANY),
    "empty texts in arrays": (b"*8192\r\n", b"*8192\r\n" + b"$0\r\n\r\n" * 8192),
    "nil in arrays": (b"*8192\r\n", b"*8192\r\n" + b"$-1\r\n" * 8192),
    "zeros": (b"", b"\0" * 65536),
}


@pytest.mark.parametrize("at", ["ROLE", "join", "beat", "XREAD"])
@pytest.mark.parametrize("what", ENDLESS)
def test_an_endless_answer(liar, link, what, at):
    a = link(liar.url, lease_ms=2000)
    a.up()
    before = memory(a.process.pid)
    mark = a.mark()
    say = liar.says[at] = endless(*ENDLESS[what])
    if at in ("ROLE", "join"):
        liar.cut()
    a.wait("link_state", after=mark, state=LOST)
    until(lambda: a.look() or say.broken.is_set(), "the link to give it up")
    assert memory(a.process.pid) - before < MEMORY
    del liar.says[at]
    a.wait("link_state", after=a.mark(), state=UP)


def shapes(liar):
    """Answers of another form than any script's."""
    t = bulk(now())
    return [b":1\r\n", b"+OK\r\n", b"+QUEUED\r\n", b"$-1\r\n", NIL, b"*0\r\n", b"$0\r\n\r\n", b"-ERR no\r\n", b"-\r\n",
            array(bulk("OK")), array(bulk("OK"), bulk("x"), t), array(bulk("OK"), bulk("0"), bulk("x")),
            array(bulk("OK"), bulk("-1"), t), array(bulk("OK"), b"$-1\r\n", b"$-1\r\n", b"$-1\r\n"),
            array(bulk("OK"), bulk("0"), bulk("9" * 18), *[array()] * 6), array(*[b":1\r\n"] * 9),
            array(*[array()] * 9), array(bulk("WHAT"), bulk("0"), t), liar.ok(*[b":5\r\n"] * 6), liar.ok(*[NIL] * 6),
            liar.ok(*[bulk("\xff\n\x1b[2J")] * 6), liar.ok(*[array(*[array()] * 9)] * 6),
            liar.ok(*[array(*[b"$-1\r\n"] * 600)] * 6), liar.ok(*[bulk("x" * 70000)] * 6)]


def poke(link):
    """Has the link ask all that there is."""
    t = now()
    link.put(RAW, "s", t, "m")
    link.bind((KEY, bytes(8), b"endpoin1", t))
    link.send("link_lease", id=1, cid=RAW, kind="t", group="b", stamp_ms=t, last=True)
    link.send("link_places", id=2, cid=RAW, limit=4, have=0, want=2)
    link.look()


@pytest.mark.parametrize("at", ["ROLE", "INFO", "SCRIPT", "join", "pull", "beat", "put", "bind", "lease", "places", "XREAD"])
def test_answers_of_another_form(liar, link, at):
    """The session ends or what was said is passed over; the process lives, and is up when all is well."""
    answers = shapes(liar)
    for at_once in range(0, len(answers), 4):  # so that pauses stay short
        left = answers[at_once:at_once + 4]
        liar.says[at] = lambda c, words, left=left: left.pop(0) if left else None
        a = link(liar.url, lease_ms=2000, timeout_ms=200)
        once = at in ("ROLE", "INFO", "SCRIPT", "join", "pull")  # of a session
        until(lambda: poke(a) or (once and a.state == UP and left and liar.cut()) or not left, "all to be said", step=0.05)
        pumped(a, 0.05)
        until(lambda: a.look() or a.state in (UP, REFUSED), "to be up")
        assert a.process.poll() is None
        for state in a.all("link_state"):
            assert state["why"].isprintable() and state["state"] in (CONNECTING, UP, LOST, FULL, REFUSED)
        assert a.stop() == 0


def test_the_end_whatever_is_said_to_it(liar, link):
    for answer in shapes(liar):
        liar.says["leave"] = answer
        a = link(liar.url)
        a.up()
        assert a.stop() == 0


def test_answers_in_another_order(liar, link):
    """That of a put for that of a bind, and the other way round: the session ends, and both are told again."""
    held = []

    def later(c, words):
        held.append(liar.honest("put", words)[0])
        return b""

    def swapped(c, words):
        return liar.honest("bind", words) + ([held.pop()] if held else [])

    a = link(liar.url, timeout_ms=300)
    a.up()
    liar.says.update(put=later, bind=swapped)
    a.put(RAW, "s", now(), "m")
    mark = a.mark()
    a.bind((KEY, bytes(8), b"endpoin1", now()))
    a.wait("link_state", after=mark, state=LOST)
    liar.says.clear()
    heard = liar.count("put"), liar.count("bind")
    a.wait("link_state", after=mark, state=UP)
    until(lambda: liar.count("put") > heard[0] and liar.count("bind") > heard[1], "both to be told again")


def test_one_byte_at_a_time(liar, link):
    for name in ("ROLE", "INFO", "SCRIPT", "join", "pull", "beat", "put"):
        liar.says[name] = lambda c, words, name=name: [b[i:i + 1] for b in liar.honest(name, words) for i in range(len(b))]
    a = link(liar.url, timeout_ms=5000, lease_ms=30000)
    a.up()
    a.put(RAW, "s", now(), "m")
    a.wait("link_group", own=True)
    until(lambda: liar.count("beat") > 1, "beats")
    assert a.state == UP


def silent(c, words):
    time.sleep(3)
    raise OSError


@pytest.mark.parametrize("at", ["AUTH", "ROLE", "SCRIPT", "join", "pull", "beat", "put", "XREAD"])
def test_silence(liar, link, at):
    a = link(liar.url.replace("//", "//:secret@"), timeout_ms=200)
    a.up()
    mark = a.mark()
    liar.says[at] = silent
    if at == "put":
        a.put(RAW, "s", now(), "m")
    elif at not in ("beat", "XREAD"):
        liar.cut()
    lost = None
    while not lost or "does not answer" not in lost["why"]:
        lost = a.wait("link_state", after=mark, state=LOST)
        mark = a.got.index(("link_state", lost), mark) + 1
    liar.says.clear()
    a.wait("link_state", after=mark, state=UP)


# ---- what it says instead

@pytest.mark.parametrize("at", ["join", "beat", "pull"])
@pytest.mark.parametrize("answer", [array(bulk("EPOCH"), bulk("")), array(bulk("EPOCH")), array(bulk("LATE")),
                                    array(bulk("STALE"), bulk("0")), array(bulk("STALE"), bulk("x")),
                                    b"-MOVED 5 127.0.0.1:%d\r\n"])
def test_a_refusal_each_time_is_no_loop_without_pauses(liar, link, answer, at):
    """An engine that sends us on, or says each time that its data are others."""
    liar.says[at] = answer.replace(b"%d", b"%d" % liar.port)
    a = link(liar.url)
    a.wait("link_state", state=LOST)
    pumped(a, 1.5)
    n = liar.count("ROLE")
    assert n < HOPS, "sessions that were begun"
    liar.says.clear()
    a.wait("link_state", after=a.mark(), state=UP)


def test_two_that_send_to_each_other(liar, link):
    other = Liar()
    try:
        liar.says["join"] = b"-MOVED 5 127.0.0.1:%d\r\n" % other.port
        other.says["join"] = b"-MOVED 5 127.0.0.1:%d\r\n" % liar.port
        a = link(liar.url)
        assert "MOVED" in a.wait("link_state", state=LOST)["why"]
        until(lambda: a.look() or other.count("join") > 1, "both to be asked")
        pumped(a, 1.5)
        assert liar.count("join") + other.count("join") < HOPS
        del other.says["join"]
        a.wait("link_state", after=a.mark(), state=UP)
    finally:
        other.close()


def test_the_node_that_was_named_is_asked(liar, link):
    other = Liar()
    try:
        for error in (b"-MOVED 7 127.0.0.1:%d\r\n" % other.port, b"-MOVED 7 :%d\r\n" % other.port):
            liar.says["join"] = error
            a = link(liar.url)
            a.up()
            assert other.count("join") and not liar.count("beat")
            until(lambda: other.count("XREAD"), "the log to be read there")
            a.close()
            other.heard.clear()
    finally:
        other.close()


@pytest.mark.parametrize("error", [b"-MOVED\r\n", b"-MOVED 5\r\n", b"-MOVED 5 x\r\n", b"-MOVED 5 h:0\r\n", b"-MOVED 5 h:99999\r\n",
                                   b"-MOVED 5 :\r\n", b"-MOVED 5 " + b"h" * 300 + b":1\r\n", b"-MOVED 5 127.0.0.1:1\r\n",
                                   b"-MOVED 5 not.to.be.found.invalid:1\r\n"])
def test_nodes_that_are_none(liar, link, error):
    liar.says["join"] = error
    a = link(liar.url)
    a.wait("link_state", state=LOST)
    liar.says.clear()
    a.wait("link_state", after=a.mark(), state=UP)


@pytest.mark.parametrize("error, state", [
    (b"LOADING Redis is loading the dataset in memory", LOST), (b"CLUSTERDOWN The cluster is down", LOST),
    (b"ASK 5 127.0.0.1:1", LOST), (b"TRYAGAIN Multiple keys request during rehashing of slot", LOST),
    (b"READONLY You can't write against a read only replica.", LOST), (b"MASTERDOWN Link with MASTER is down", LOST),
    (b"UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)", LOST),
    (b"BUSY Redis is busy running a script.", LOST), (b"NOSCRIPT No matching script. Please use EVAL.", LOST),
    (b"MISCONF Redis is configured to save RDB snapshots", LOST), (b"CROSSSLOT Keys in request don't hash to the same slot", LOST),
    (b"OOM command not allowed when used memory > 'maxmemory'.", FULL), (b"NOAUTH Authentication required.", REFUSED),
    (b"NOPERM this user has no permissions to run the 'evalsha' command", REFUSED), (b"WRONGPASS invalid", REFUSED),
    (b"WRONGTYPE Operation against a key holding the wrong kind of value", REFUSED)])
@pytest.mark.parametrize("at", ["join", "beat", "XREAD", "put"])
def test_errors_are_states_with_a_reason(liar, link, error, state, at):
    a = link(liar.url, lease_ms=2000)
    a.up()
    mark = a.mark()
    liar.says[at] = b"-" + error + b"\r\n"
    if at == "put":
        a.put(RAW, "s", now(), "m")
    elif at == "join":
        liar.cut()
    why = "it says: " + error.decode()
    said = a.wait("link_state", after=mark, state=state, why=why)
    assert said
    if state == REFUSED:
        return  # tried again in 5 to 30 s
    liar.says.clear()
    a.wait("link_state", after=a.mark(), state=UP)


def test_a_position_that_is_none_is_not_kept(liar, link, tmp_path):
    """What a liar called the last entry of its log would be asked of the next engine."""
    liar.says["join"] = lambda c, words: liar.ok(bulk("e"), bulk("no entry"), array(), array(), bulk("0"))
    a = link(liar.url)
    assert "none" in a.wait("link_state", state=LOST)["why"]
    liar.says["join"] = lambda c, words: liar.ok(bulk("\x1b[2J"), bulk("1-1"), array(), array(), bulk("0"))
    heard = liar.count("join")
    until(lambda: a.look() or liar.count("join") > heard + 1, "more of it")
    assert a.state == LOST and not a.all("link_joined")
    liar.says["join"] = None
    liar.says["XREAD"] = array(array(bulk("l"), array(array(bulk("x-y"), array(bulk("n"), bulk("1"))))))
    a.wait("link_state", after=a.mark(), state=LOST, why="the log has an entry of a form that is not known")
    liar.close()
    e = Engine(tmp_path / "engine", port=liar.port)
    try:
        a.wait("link_state", after=a.mark(), state=UP)
    finally:
        e.close()


def test_numbers_of_the_log_that_never_come(liar, link):
    """Answers that belong to entries which the log does not have: they are not waited for for ever."""
    a = link(liar.url, lease_ms=2000)
    a.up()
    mark = a.mark()
    liar.n = 10 ** 14
    a.put(RAW, "s", now(), "m")
    a.wait("link_state", after=mark, state=LOST, why="its log does not go on")
    liar.n = 0
    a.wait("link_state", after=a.mark(), state=UP)


# ---- with a supervisor

class Play:
    def __init__(self):
        self.n = 0

    def __call__(self, peer, request):
        self.n += 1
        peer.send(reply())


LIES = {
    "2 GB": lambda liar: dict.fromkeys(("beat", "put", "bind"), endless(*ENDLESS["a text of 2 GB"])),
    "endless log": lambda liar: {"XREAD": endless(*ENDLESS["arrays in an array"])},
    "a log that runs away": lambda liar: {"XREAD": runaway()},
    "silence": lambda liar: dict.fromkeys(("beat", "put", "bind", "XREAD", "places", "lease"), silent),
    "foreign epoch": lambda liar: dict.fromkeys(("beat", "put", "bind", "places"), array(bulk("EPOCH"), bulk("other"))),
    "another cluster": lambda liar: dict.fromkeys(("join", "beat"), array(bulk("PRINT"))),
    "all places": lambda liar: {"places": lambda c, w: liar.ok(bulk("4000000000"), bulk("4000000000"), bulk("1"), bulk("9"))},
    "a clock far ahead": lambda liar: {"beat": lambda c, w: array(bulk("OK"), bulk("0"), bulk(1 << 50), array())},
    "a clock at 0": lambda liar: {"beat": lambda c, w: array(bulk("OK"), bulk("0"), bulk("0"), array())},
    "hosts without end": lambda liar: {"beat": lambda c, w: liar.ok(array(*[p for n in range(4000) for p in (
        bulk("%016x" % n), bulk("1 %d n v d" % now()))]))},
    "rubbish": lambda liar: dict.fromkeys(("beat", "XREAD"), b"\xff" * 4096),
}


def runaway():
    """Entries, each with the next number, as fast as they are taken."""
    n = [0]

    def say(c, words):
        entries = []
        for _ in range(128):
            n[0] += 1
            entries.append(array(bulk("%d-%d" % (now(), n[0])), array(
                bulk("n"), bulk(n[0]), bulk("h"), bulk("b" * 16), bulk("k"), bulk("g"), bulk("v"), bulk("c1" * 8 + " s 1 m"))))
        return array(array(bulk("l"), array(*entries)))

    return say


@pytest.mark.parametrize("lie", LIES)
def test_requests_are_served_while_the_engine_lies(qcc, raw, client, liar, lie, tmp_path):
    play = Play()
    q = qcc({"endpoints": [raw(play).endpoint("first", max_concurrent=4)], "workers": 1, "state_dir": str(tmp_path / "state"),
             "cluster": {"url": liar.url, "secret": "0123456789abcdef0123456789abcdef", "name": "a", "lease": "2s"}})

    def state():
        return q.ctl_json("cluster")["state"]

    until(lambda: state() == "up", "the cluster to be up")
    pid = q.pid
    liar.says.update(LIES[lie](liar))
    end = time.monotonic() + 4
    n = 0
    while time.monotonic() < end:
        c = client(q)
        c.send(ask(messages=another(), headers=["x-conversation-id: c%d" % n]))
        r = c.reply()
        assert r.status == 200, r.body
        n += 1
        assert state() in ("up", "lost", "refused", "connecting")
        time.sleep(0.02)
    assert play.n == n
    c = q.ctl_json("cluster")
    assert c["places"][0]["have"] <= 4 and len(c["hosts"]) <= 64
    liar.close()
    e = Engine(tmp_path / "engine", port=liar.port)
    try:
        # where it was refused it is tried again in 5 to 30 s
        until(lambda: state() == "up" and q.ctl_json("cluster")["hosts"][0]["name"] == "a", "an honest engine to be joined", timeout=60)
        assert alive(pid) and q.pid == pid
    finally:
        e.close()


def test_an_engine_that_never_tells_of_places_does_not_keep_them_all(qcc, raw, client, liar):
    """Its joins alone are no answer: the host has its part all the same."""
    play = Play()
    liar.says["places"] = silent
    q = qcc({"endpoints": [raw(play).endpoint("first", max_concurrent=4)], "workers": 1, "retry": {"max_wait": "5s"},
             "cluster": {"url": liar.url, "secret": "0123456789abcdef0123456789abcdef", "name": "a", "lease": "2s"}})
    until(lambda: liar.count("places") > 1, "two sessions")
    c = client(q)
    c.send(ask(messages=another()))
    assert c.reply().status == 200
