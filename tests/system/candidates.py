"""Three endpoints in order of priority (`some`), and what tests ask about them."""
import json

import pytest

from qcc import merged, until
from upstream import error, reply

CALM = {
    "workers": 1,
    "retry": {"transient_delay": "1ms"},
    "breaker": {"failure_threshold": 1000},
    "health": {"degraded_for": "0s"},
    "failure_queue": {"probe": "off"},
    "balance": {"strategy": "priority_failover"},
}
THREE = {"a": reply(), "b": reply(), "c": reply()}
REFUSAL = "invalid_request_error"


@pytest.fixture
def some(qcc, raw):
    """some({name: play}, config, endpoint={name: more}): an instance in front of scripted endpoints, the
    first of them preferred. (qcc, {name: Raw})"""

    def make(plays, config=None, endpoint=None, **kw):
        ups = {name: raw(play, **kw) for name, play in plays.items()}
        list_ = [up.endpoint(name, **{"priority": i + 1, **(endpoint or {}).get(name, {})})
                 for i, (name, up) in enumerate(ups.items())]
        return qcc({**merged(CALM, config or {}), "endpoints": list_}), ups

    return make


def counts(ups):
    return {name: len(up.requests) for name, up in ups.items()}


def endpoints(q):
    status, body = q.get("/api/v1/endpoints", port=q.admin_port)
    assert status == 200
    return {e["name"]: e for e in json.loads(body)["endpoints"]}


def charged(q, attempts):
    """{name: failures charged} for those that have any, when so many attempts have been counted."""
    def counted():
        got = endpoints(q)
        return sum(sum(e["attempts"].values()) for e in got.values()) >= attempts and got

    return {name: e["charged"] for name, e in until(counted, "%d attempts" % attempts).items() if e["charged"]}


def close(peer, _):
    peer.close()


def refuse(text, status=400):
    return error(status, REFUSAL, text, ["x-text: " + text])
