"""Bytes that nobody asked for on a connection to an endpoint."""
from qcc import until
from test_upstream_http import one  # noqa: F401
from upstream import MESSAGE, reply


def test_unasked_bytes_on_an_idle_connection(one, client):  # noqa: F811
    """A reply to nothing is nobody's."""
    q, up = one(reply())
    c = client(q)
    c.ask()
    up.peers[0].send(reply(b"stolen"))
    until(lambda: not [p for p in up.peers if p.closed_at is None], "the connection to be dropped")
    assert c.ask().body == MESSAGE
    assert len(up.peers) == 2


def test_no_reuse_after_unasked_bytes(one, client):  # noqa: F811
    """Where an endpoint has done it once, none of its connections is reused for ten minutes."""
    q, up = one(reply())
    c = client(q)
    c.ask()
    up.peers[0].send(reply(b"stolen"))
    until(lambda: up.peers[0].closed_at, "the connection to be dropped")
    for n in range(2, 5):
        assert c.ask().body == MESSAGE and len(up.peers) == n
    assert q.log().count("sent bytes that nobody asked for") == 1


def test_no_reuse_after_a_reply_too_long(one, client):  # noqa: F811
    """Bytes behind the end of a reply are nobody's either."""
    q, up = one(reply() + b"HTTP/1.1 200 OK\r\n")
    c = client(q)
    assert c.ask().body == MESSAGE
    up.play = reply()
    for n in range(2, 5):
        assert c.ask().body == MESSAGE and len(up.peers) == n
