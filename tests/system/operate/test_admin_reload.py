"""The admin listener: reloads."""
import http.client
import re
import signal
import socket

from admin import call, get
from qcc import free_port


def test_reload_answers_when_it_is_done(qcc):
    q = qcc()
    q.configure({"workers": 3})
    a = call(q, "POST", "/api/v1/reload")
    assert a.status == 200 and a.json() == {"generation": 2}
    assert q.count("reload done, generation 2") == 1 and q.wait_workers(3)
    assert get(q, "status")["generation"] == 2


def test_reload_tells_all_faults(qcc):
    q = qcc()
    q.configure("listen: nowhere\nworkers: -3\nendpoints:\n  - name: a b\n    base_url: ftp://x\n")
    a = call(q, "POST", "/api/v1/reload")
    assert a.status == 422 and a.error
    faults = a.json()["faults"]
    assert len(faults) >= 4
    for f in faults:
        assert re.match(re.escape(str(q.path)) + ":\\d+:\\d+: .", f), f
    assert get(q, "status")["generation"] == 1
    assert call(q, "POST", "/api/v1/reload").status == 422, "and again"


def test_reload_that_only_sockets_refuse(qcc):
    q = qcc()
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        q.configure({"listen": ["127.0.0.1:%d" % q.port, "127.0.0.1:%d" % other.getsockname()[1]]})
        a = call(q, "POST", "/api/v1/reload")
    assert a.status == 422 and "127.0.0.1" in a.json()["faults"][0]


def test_reload_that_removes_the_listener_it_came_by(qcc):
    q = qcc()
    new = free_port()
    q.configure({"admin": {"listen": "127.0.0.1:%d" % new}})
    assert call(q, "POST", "/api/v1/reload").json() == {"generation": 2}
    assert call(new, "GET", "/healthz").status == 200


def test_scrapes_during_reloads(qcc, upstream):
    """None fails, none hangs."""
    q = qcc({"workers": 2, "endpoints": [upstream.endpoint()]})
    for i in range(8):
        q.configure({"workers": 1 + i % 3})
        q.signal(signal.SIGHUP)
        for path in ("/metrics", "/api/v1/endpoints", "/api/v1/requests"):
            # A worker that retires closes connections it has not accepted yet: one more try, as a
            # scraper would.
            for attempt in range(3):
                try:
                    assert call(q, "GET", path).status == 200
                    break
                except (ConnectionError, http.client.BadStatusLine):
                    assert attempt < 2
