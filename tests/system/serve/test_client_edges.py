"""Heads of clients at the edges: what need not be awaited, methods, Max-Forwards."""
import time

import pytest

from client import Client, request
from test_client_http import HOST, head, q, refused, up  # noqa: F401

LONG = "A-METHOD-OF-MORE-THAN-32-BYTES-NO"


@pytest.mark.parametrize("sent", [head(LONG + " /v1/models HTTP/1.1", HOST), (LONG + " /v1/models").encode(), LONG.encode()])
def test_long_method(q, up, sent):  # noqa: F811
    refused(q, up, sent, 501)


BROKEN_OFF = {
    "bare CR": b"X-A: b\rX-B: c",
    "bare CR at a line's end": b"X-A: b\r\r\n",
    "bare CR for the empty line": b"X-A: b\r\n\rX",
    "bare LF": b"X-A: b\nX-B",
    "NUL": b"X-A: b\0",
}


@pytest.mark.parametrize("name", BROKEN_OFF)
@pytest.mark.parametrize("pieces", [False, True])
def test_byte_that_no_head_has_is_refused_at_once(q, up, name, pieces):  # noqa: F811
    """The rest of the head, which never comes, is not awaited."""
    data = b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n" + BROKEN_OFF[name]
    with Client(q.port) as c:
        if pieces:
            for byte in data:
                c.send(bytes([byte]))
                time.sleep(0.001)
        else:
            c.send(data)
        began = time.monotonic()
        assert c.reply().status == 400 and time.monotonic() - began < 5  # header_timeout: 15s
    assert not up.requests


# ---- Max-Forwards (RFC 9110 7.6.2)

@pytest.mark.parametrize("sent,got", [("1", "0"), ("10", "9"), ("99999999999999999999", "4294967294")])
def test_max_forwards_is_counted(q, up, sent, got):  # noqa: F811
    c = Client(q.port)
    c.send(request("OPTIONS", "/v1/messages", ["max-forwards: " + sent]))
    assert c.reply().status == 200
    assert up.requests[0].all("max-forwards") == [got]


@pytest.mark.parametrize("target", ["/v1/messages", "*"])
def test_max_forwards_is_used_up(q, up, target):  # noqa: F811
    c = Client(q.port)
    c.send(request("OPTIONS", target, ["max-forwards: 0"]))
    r = c.reply()
    assert r.status == 200 and "POST" in r.header("allow") and r.body == b""
    assert c.ask().status == 200  # the connection stays
    assert [x.method for x in up.requests] == ["POST"]


def test_max_forwards_of_other_methods(q, up):  # noqa: F811
    c = Client(q.port)
    c.send(request("GET", "/v1/models/x", ["max-forwards: 0"]))
    assert c.reply().status == 200 and up.requests[0].header("max-forwards") == "0"
    c.send(request("TRACE", "/v1/messages", ["max-forwards: 0"]))
    assert c.reply().status == 405 and len(up.requests) == 1


@pytest.mark.parametrize("lines", [["max-forwards: x"], ["max-forwards: -1"], ["max-forwards: 1", "max-forwards: 1"]])
def test_bad_max_forwards(q, up, lines):  # noqa: F811
    refused(q, up, request("OPTIONS", "/v1/messages", lines), 400)
