"""qcc-link with a real engine that is stopped, paused, killed, emptied, full, read-only, or refuses."""
import socket
import subprocess
import time

import pytest

from engine import PROGRAM, Engine, Resp
from link import FULL, LOST, REFUSED, UP, Link
from qcc import PATIENCE, free_port, until

CID = b"\xc1" * 8
HEX = "c1" * 8
A, B = "00000000000000aa", "00000000000000bb"
KEY = b"\0\1" + b"k" * 14
NONE = bytes(8)


def now():
    return int(time.time() * 1000)


@pytest.fixture
def engine(tmp_path):
    made = []

    def make(*options, **kw):
        made.append(Engine(tmp_path / ("engine%d" % len(made)), *options, **kw))
        return made[-1]

    yield make
    for e in made:
        e.close()


@pytest.fixture
def link():
    made = []

    def make(*args, **kw):
        kw.setdefault("cids", [CID])
        made.append(Link(*args, **kw))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_it_joins_and_tells_of_the_hosts(engine, link):
    e = engine()
    a, b = link(e.url), link(e.url, B)
    state = a.up()
    assert state["engine"].startswith(("6.", "7.", "8.")) and state["policy"] == "noeviction"
    b.up()
    assert a.wait("link_host", host=B)["text"].split()[2:5] == ["n-bb", "1.0", "d"]
    assert a.wait("link_joined")["resync"] == 1  # the first time
    assert b.stop() == 0
    until(lambda: len(e.ask("HGETALL", "{qcc}:1:h")) == 2, "b to have left")


def test_it_ends_without_leaving_where_another_goes_on(engine, link):
    """As over an upgrade: what waits is sent, and the host stays one of the cluster."""
    e = engine()
    a = link(e.url)
    a.up()
    t = now()
    a.put(CID, "b", t, "open %d 60000 said" % t)
    assert a.stop(keep=True) == 0
    assert len(e.ask("HGETALL", "{qcc}:1:h")) == 2
    assert e.ask("HGETALL", "{qcc}:1:e:" + CID.hex())


def test_a_change_of_one_host_comes_to_the_other(engine, link):
    e = engine()
    a, b = link(e.url), link(e.url, B)
    a.up(), b.up()
    t = now()
    a.put(CID, "b", t, "open %d 60000 said" % t)
    own = a.wait("link_group", own=True)
    assert own["taken"] and own["text"] == "%d open %d 60000 said" % (t, t)
    told = b.wait("link_group", group="b")
    assert told["cid"] == CID and told["text"] == own["text"] and told["writer"] == A
    # the entry of the log comes before the answer that it belongs to
    frames = [f for n, f in a.got if n == "link_group"]
    assert [f["own"] for f in frames] == [False, True]


def test_what_is_stored_is_pulled_at_the_join(engine, link):
    e = engine()
    a = link(e.url)
    a.up()
    t = now()
    a.put(CID, "q", t, "in %d %d 0 said x" % (t, t))
    a.wait("link_group", own=True)
    b = link(e.url, B)
    b.up()
    assert [f["group"] for f in b.all("link_group")] == ["q"], "before it is up"


def test_bindings(engine, link):
    e = engine()
    a, b = link(e.url), link(e.url, B)
    a.up(), b.up()
    t = now()
    a.bind((KEY, NONE, b"endpoin1", t))
    told = b.wait("link_bound")
    assert told["records"] == KEY + b"endpoin1" + (t // 1000).to_bytes(4, "big") and not told["refused"]
    b.bind((KEY, NONE, b"endpoin2", t))
    refused = b.wait("link_bound", refused=True)
    assert refused["records"][:24] == KEY + b"endpoin1"
    # all of them are read by one that comes later, in some seconds
    c = link(e.url, "00000000000000cc")
    c.up()
    assert c.wait("link_bound")["records"][:24] == KEY + b"endpoin1"


def test_leases_and_places(engine, link):
    e = engine()
    a, b = link(e.url), link(e.url, B)
    a.up(), b.up()
    t = now()
    a.put(CID, "b", t, "open %d 1 said" % (t - 1000))
    b.wait("link_group", group="b")
    a.send("link_lease", id=7, cid=CID, kind="t", group="b", stamp_ms=t, last=False)
    lent = a.wait("link_lent", id=7)
    assert lent["result"] == "granted"
    assert b.wait("link_leased")["host"] == A
    b.send("link_lease", id=8, cid=CID, kind="t", group="b", stamp_ms=t, last=False)
    assert b.wait("link_lent", id=8) == {"id": 8, "result": "busy", "what": A}
    a.put(CID, "b", t + 1, "closed", fence=int(lent["what"]))
    a.put(CID, "-t", 0, fence=int(lent["what"]))
    assert b.wait("link_leased", host="")["kind"] == "t"
    a.send("link_places", id=9, cid=CID, limit=4, have=0, want=3)
    assert a.wait("link_got", id=9)["have"] == 3
    b.send("link_places", id=10, cid=CID, limit=4, have=0, want=3)
    assert b.wait("link_got", id=10)["have"] == 1
    assert a.wait("link_wanted")["host"] == B


def test_killed_and_started_empty(engine, link):
    e = engine()
    a = link(e.url)
    a.up()
    first = a.wait("link_joined")
    mark = a.mark()
    e.kill()
    began = time.monotonic()
    a.wait("link_state", after=mark, state=LOST)
    assert time.monotonic() - began < 5
    t = now()
    a.put(CID, "b", t, "open %d 60000 said" % t)  # waits
    e.start()
    a.up(after=mark)
    again = a.wait("link_joined", after=mark)
    assert again["epoch"] != first["epoch"] and again["resync"] == 2  # other data
    a.wait("link_group", after=mark, own=True, taken=True)


def test_stopped_for_a_while(engine, link):
    e = engine()
    a = link(e.url)
    a.up()
    mark = a.mark()
    e.pause()
    lost = a.wait("link_state", after=mark, state=LOST)
    assert "does not answer" in lost["why"]
    for i in range(3):
        a.put(CID, "s", now(), "model-%d" % i)  # the newest waits
    e.go_on()
    a.up(after=mark)
    assert a.wait("link_joined", after=mark)["resync"] == 0, "the log is read on"
    a.wait("link_group", after=mark, group="s", own=True)
    assert e.ask("HGET", "{qcc}:1:e:" + HEX, "s").endswith(b"model-2")


def test_flushed(engine, link):
    e = engine()
    a = link(e.url, lease_ms=2000)
    a.up()
    mark = a.mark()
    e.ask("FLUSHALL")
    lost = a.wait("link_state", after=mark, state=LOST)
    assert lost["why"] == "its data are gone, or others"
    a.up(after=mark)
    assert a.wait("link_joined", after=mark)["resync"] == 2


def test_a_gap_in_the_log_is_seen(engine, link):
    e = engine()
    a = link(e.url)
    a.up()
    mark = a.mark()
    e.ask("HINCRBY", "{qcc}:1:m", "n", 5)
    e.ask("XADD", "{qcc}:1:l", "*", "n", "6", "h", B, "k", "x", "v", "")
    assert a.wait("link_state", after=mark, state=LOST)["why"] == "the log has a gap"
    a.up(after=mark)
    assert a.wait("link_joined", after=mark)["resync"] == 4


def test_other_data_whose_log_is_seen_first(engine, link):
    """A log that begins anew looks like a gap to its reader; the data are others all the same."""
    e = engine()
    a, b = link(e.url), link(e.url, B)
    a.up(), b.up()
    a.put(CID, "s", now(), "m")
    b.wait("link_group", group="s")
    mark = a.mark()
    c = e.client()
    c.send("MULTI")
    c.send("FLUSHALL")
    c.send("HSET", "{qcc}:1:m", "epoch", "another", "n", "1", "print", "p")
    c.send("XADD", "{qcc}:1:l", "*", "n", "1", "h", B, "k", "x", "v", "")
    c.ask("EXEC")
    c.close()
    a.up(after=mark)
    joined = a.wait("link_joined", after=mark)
    assert (joined["epoch"], joined["resync"]) == ("another", 2)


def test_it_reads_on_only_where_its_last_entry_still_is(engine, link):
    e = engine()
    a, b = link(e.url), link(e.url, B)
    a.up(), b.up()
    a.put(CID, "s", now(), "m")
    b.wait("link_group", group="s")
    epoch = b.position[0]
    entry = e.ask("XREVRANGE", "{qcc}:1:l", "+", "-", "COUNT", 1)[0][0].decode()
    b.close()
    for position, resync in (((epoch, entry, 1), 0), ((epoch, "5-5", 1), 3), ((epoch, entry, 2), 3),
                             (("other", entry, 1), 2)):
        c = link(e.url, B, join=False)
        c.wait("link_meet")
        c.position = position
        c.join()
        assert c.wait("link_joined")["resync"] == resync, position
        c.close()


def test_the_master_is_followed(engine, link):
    """A replica that is promoted, where the old master's address becomes its own."""
    master = engine()
    replica = engine("--replicaof", "127.0.0.1 %d" % master.port)
    until(lambda: b"master_link_status:up" in replica.ask("INFO", "replication"), "the replica")
    a = link(replica.url)
    a.wait("link_state", state=LOST, why="it is a replica, not the master")
    replica.ask("REPLICAOF", "NO", "ONE")
    a.up()
    mark = a.mark()
    replica.ask("REPLICAOF", "127.0.0.1", master.port)
    a.wait("link_state", after=mark, state=LOST)


def test_a_sentinel_is_asked(engine, link, tmp_path):
    master = engine()
    conf = tmp_path / "sentinel.conf"
    conf.write_text("sentinel monitor main 127.0.0.1 %d 1\n" % master.port)
    port = free_port()
    p = subprocess.Popen([PROGRAM, str(conf), "--sentinel", "--port", str(port)], stdout=subprocess.DEVNULL,
                         stderr=subprocess.DEVNULL)
    try:
        def answers():
            try:
                c = Resp(("127.0.0.1", port))
            except OSError:
                return False
            try:
                return c.ask("SENTINEL", "get-master-addr-by-name", "main")
            finally:
                c.close()
        until(answers, "the Sentinel")
        dead = free_port()
        a = link("redis://main", sentinels="127.0.0.1:%d 127.0.0.1:%d" % (dead, port))
        a.up()
        a.put(CID, "s", now(), "m")
        a.wait("link_group", own=True)
        # a full engine stays full, whichever Sentinel is down
        mark = a.mark()
        master.ask("CONFIG", "SET", "maxmemory", "1")
        a.wait("link_state", after=mark, state=FULL)
        mark = a.mark()
        end = time.monotonic() + 3
        while time.monotonic() < end:
            a.look(0.1)
        assert all(f["state"] == FULL for n, f in a.got[mark:] if n == "link_state")
        master.ask("CONFIG", "SET", "maxmemory", "0")
        a.up(after=mark)
        b = link("redis://other", sentinels="127.0.0.1:%d" % port)
        b.wait("link_state", why="its Sentinel: it knows no such master")
    finally:
        p.kill()
        p.wait()


def test_a_sentinel_that_wants_a_password(link, tmp_path):
    conf = tmp_path / "sentinel.conf"
    conf.write_text("requirepass p\n")
    port = free_port()
    p = subprocess.Popen([PROGRAM, str(conf), "--sentinel", "--port", str(port)], stdout=subprocess.DEVNULL,
                         stderr=subprocess.DEVNULL)
    try:
        a = link("redis://main", sentinels="127.0.0.1:%d" % port)
        said = a.wait("link_state", state=REFUSED)["why"]
        assert said.startswith("its Sentinel: it wants a password, which a Sentinel cannot be given") and "NOAUTH" in said, said
    finally:
        p.kill()
        p.wait()


def test_by_unix_socket_and_in_another_database(engine, link):
    e = engine()
    a = link("unix://%s?db=3" % e.local)
    a.up()
    c = e.client()
    assert c.ask("EXISTS", "{qcc}:1:m") == 0
    c.ask("SELECT", 3)
    assert c.ask("EXISTS", "{qcc}:1:m") == 1
    c.close()


def test_passwords(engine, link):
    e = engine("--requirepass", "p@ss word")
    link(e.url.replace("//", "//:p%40ss%20word@")).up()
    link(e.url, B, password="p@ss word").up()
    bad = link(e.url, "00000000000000cc", password="wrong")
    assert "WRONGPASS" in bad.wait("link_state", state=REFUSED)["why"]
    none = link(e.url, "00000000000000dd")
    assert "NOAUTH" in none.wait("link_state", state=REFUSED)["why"]


def test_another_secret_is_refused(engine, link):
    e = engine()
    link(e.url).up()
    other = link(e.url, B, print="q")
    assert other.wait("link_state", state=REFUSED)["why"] == "its data are of hosts with another secret"


def test_a_full_engine(engine, link):
    e = engine()
    a = link(e.url, lease_ms=2000)
    a.up()
    mark = a.mark()
    e.ask("CONFIG", "SET", "maxmemory", "1")
    a.wait("link_state", after=mark, state=FULL)
    e.ask("CONFIG", "SET", "maxmemory", "0")
    a.up(after=mark)


def test_a_later_session_of_the_same_id(engine, link):
    e = engine()
    a = link(e.url, lease_ms=2000)
    a.up()
    mark = a.mark()
    b = link(e.url, join=False)
    b.wait("link_meet")
    b.join()
    b.up()
    stale = a.wait("link_stale", after=mark)
    assert 0 < stale["conn"] <= Link.conns


def test_a_lost_answer_is_asked_for_again(engine, link):
    """What was under way when the connection broke is sent again after the next join; a put may be."""
    e = engine()
    a = link(e.url)
    a.up()
    e.pause()
    t = now()
    a.put(CID, "b", t, "open %d 60000 said" % t)
    a.bind((KEY, NONE, b"endpoin1", t))
    mark = a.mark()
    a.wait("link_state", after=mark, state=LOST)
    e.go_on()
    a.up(after=mark)
    a.wait("link_group", after=mark, group="b", own=True)
    until(lambda: e.ask("HLEN", "{qcc}:1:b:1") == 1, "the binding")


def test_restated_leases_and_places(engine, link):
    e = engine()
    a = link(e.url)
    a.up()
    t = now()
    a.put(CID, "b", t, "open %d 1 said" % (t - 1000))
    a.wait("link_group", own=True)
    a.send("link_lease", id=1, cid=CID, kind="t", group="b", stamp_ms=t, last=False)
    fence = int(a.wait("link_lent", id=1)["what"])
    a.held = [(CID, b"t", fence), (CID, b"v", 5), (CID, b"c", 3)]
    mark = a.mark()
    e.ask("CLIENT", "KILL", "TYPE", "normal")
    assert a.wait("link_joined", after=mark)["kept"] == b"101"
    assert e.ask("HGET", "{qcc}:1:c:" + HEX, A).split()[0] == b"3"


# ---- an engine that lies

@pytest.mark.parametrize("answer", [
    b"$2147483648\r\n", b"*2147483647\r\n", b"*8193\r\n", b"*-5\r\n", b":12x\r\n", b"HTTP/1.1 400\r\n\r\n",
    b"+OK\r\n" * 200, b"*1\r\n" * 200, b"*1\r\n$5\r\nslave\r\n", b"\0" * 4096, b"*0\r\n", b"$-1\r\n"])
def test_an_engine_that_lies(link, answer):
    """It is lost, said so, tried again; the process lives on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(PATIENCE)
        a = link("redis://127.0.0.1:%d" % server.getsockname()[1])
        for _ in range(2):
            c, _ = server.accept()
            c.settimeout(PATIENCE)
            with c:
                assert c.recv(1 << 16).startswith(b"*1\r\n$4\r\nROLE")
                c.sendall(answer)
                while True:
                    try:
                        if not c.recv(1 << 16):
                            break
                    except ConnectionError:
                        break
        assert a.wait("link_state", state=LOST)["why"]
        assert a.process.poll() is None


def test_an_endless_answer(link):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(PATIENCE)
        a = link("redis://127.0.0.1:%d" % server.getsockname()[1], timeout_ms=10000)
        c, _ = server.accept()
        c.settimeout(PATIENCE)
        with c:
            sent = 0
            try:
                c.sendall(b"$4000000000\r\n")
                while sent < 64 << 20:
                    c.sendall(b"x" * 65536)
                    sent += 65536
            except ConnectionError:
                pass
            assert sent < 32 << 20
        assert "answer" in a.wait("link_state", state=LOST)["why"]


def test_values_that_are_none(engine, link):
    """Fields of other types and sizes in the data: passed over or replaced; test_damaged.py has each key and each kind."""
    e = engine()
    a = link(e.url)
    a.up()
    mark = a.mark()
    e.ask("XADD", "{qcc}:1:l", "*", "n", "1", "h", B, "k", "g", "v", "x" * 9000)
    e.ask("HSET", "{qcc}:1:m", "n", "2")
    e.ask("XADD", "{qcc}:1:l", "*", "n", "2", "h", B, "k", "b", "v", "odd")
    e.ask("HSET", "{qcc}:1:e:" + HEX, "b", "nonsense", "x" * 100, "y" * 100000)
    e.ask("SET", "{qcc}:1:b:1", "a string")
    a.put(CID, "s", now(), "m")
    a.wait("link_group", after=mark, group="s", own=True)
    assert not [f for f in a.all("link_group") if f["group"] == "g"]
    a.bind((KEY, NONE, b"endpoin1", now()))
    until(lambda: e.ask("TYPE", "{qcc}:1:b:1") == b"hash", "the bucket to be replaced")
    assert a.state == UP


# ---- TLS

@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    """A CA, a certificate of localhost and one of a host, as files."""
    folder = tmp_path_factory.mktemp("pki")

    def openssl(*args):
        subprocess.run(["openssl", *args], cwd=folder, check=True, capture_output=True)

    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key", "-out",
            "ca.pem", "-subj", "/CN=ca", "-days", "2")
    for name in ("localhost", "host"):
        (folder / "ext").write_text("subjectAltName=DNS:%s" % name)
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", name + ".key", "-out",
                name + ".csr", "-subj", "/CN=" + name)
        openssl("x509", "-req", "-in", name + ".csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out",
                name + ".pem", "-days", "2", "-extfile", "ext")
    return folder


def tls_engine(engine, pki, *options):
    port = free_port()
    e = engine("--tls-port", str(port), "--tls-cert-file", str(pki / "localhost.pem"), "--tls-key-file",
               str(pki / "localhost.key"), "--tls-ca-cert-file", str(pki / "ca.pem"), *options)
    return e, port


def pem(pki, own=False):
    return {"ca": (pki / "ca.pem").read_bytes(), "certificate": (pki / "host.pem").read_bytes() if own else b"",
            "private_key": (pki / "host.key").read_bytes() if own else b""}


def test_tls(engine, link, pki):
    e, port = tls_engine(engine, pki, "--tls-auth-clients", "no")
    a = link("rediss://localhost:%d" % port, tls=pem(pki))
    a.up()
    a.put(CID, "s", now(), "m")
    a.wait("link_group", own=True)
    mark = a.mark()
    e.pause()
    a.wait("link_state", after=mark, state=LOST)
    e.go_on()
    a.up(after=mark)


def test_tls_checks_name_and_chain(engine, link, pki):
    _, port = tls_engine(engine, pki, "--tls-auth-clients", "no")
    name = link("rediss://127.0.0.1:%d" % port, tls=pem(pki))
    assert "IP address mismatch" in name.wait("link_state", state=LOST)["why"]
    chain = link("rediss://localhost:%d" % port, tls={"ca": b"", "certificate": b"", "private_key": b""})
    assert "certificate" in chain.wait("link_state", state=LOST)["why"]


def test_tls_of_both_sides(engine, link, pki):
    _, port = tls_engine(engine, pki, "--tls-auth-clients", "yes")
    link("rediss://localhost:%d" % port, tls=pem(pki, own=True)).up()
    without = link("rediss://localhost:%d" % port, B, tls=pem(pki))
    assert without.wait("link_state", state=LOST)["why"]
