"""Where an endpoint's key may go (scope.md, section 5): `paths.allow` and `paths.deny`, and QCC's own replies for the rest."""
import pytest

from qcc import until
from test_side_paths import CALM, COUNT, LACKING, LIST, ask, house, send  # noqa: F401
from upstream import error, reply


def not_found(r):
    assert r.status == 404 and r.header("x-should-retry") == "false"
    assert r.error["type"] == "not_found_error" and "endpoints[].paths" in r.error["message"]


EVASIONS = [
    "/v1/organizations/users", "/v1/organizations", "/v1/organizations/", "//v1/organizations/users", "/v1//organizations/users",
    "/v1/%6Frganizations/users", "/v1/%6frganizations/users", "/%76%31/organizations/users", "/v1/organizations%2Fusers",
    "/v1/%256Frganizations/users", "/v1/x/../organizations/users", "/v1/x/%2e%2e/organizations/users", "/v1/./organizations/users",
    "/v1/organizations;x/users", "/v1/Organizations/users", "/v1\\organizations\\users", "/v1/organizations?limit=1",
    "/v1/organizations/users?x=/v1/models", "/v1/../x", "/v1/%2e%2e/x", "/x", "/", "/v1/models/%00", "/v1/%", "/V1/models", "/v2/models",
]


@pytest.mark.parametrize("base", ["", "/relay/v9"])
def test_paths_that_no_key_is_for(qcc, raw, base):
    up = raw(LIST)
    q = qcc({**CALM, "endpoints": [up.endpoint("a", base)]})
    for path in EVASIONS:
        for method in ("GET", "POST", "DELETE"):
            not_found(send(q, method, path))
    assert up.requests == []
    for path in ("/v1/models", "/v1/models?x=/v1/organizations/users", "//v1/models", "/v1/%6dodels", "/v1", "/v1/organizations-x"):
        assert send(q, path=path).status == 200
        assert up.requests[-1].target == base + path  # forwarded as it came


def test_paths_are_the_choice_of_each_endpoint(house):  # noqa: F811
    q, a, b = house(more={"a": {"paths": {"allow": ["/v1/files*"]}}, "b": {"paths": {"allow": ["/v1/models", "/admin/*"], "deny": []}}},
                    a=LIST, b=LIST)
    assert send(q).header("x-qcc-endpoint") == "b"
    assert send(q, path="/v1/files/1").header("x-qcc-endpoint") == "a"
    assert send(q, path="/admin/x").header("x-qcc-endpoint") == "b"
    assert send(q, path="/admin").header("x-qcc-endpoint") == "b"
    not_found(send(q, path="/v1/models/x"))
    b.side = LACKING["401"]
    assert send(q).status == 401 and a.n == 1  # a does not have that path
    not_found(send(q, "POST", COUNT))
    assert ask(q).header("x-qcc-endpoint") == "a"  # messages: always


def test_an_endpoint_without_a_key_is_not_restricted(house):  # noqa: F811
    q, a, b = house(more={"b": {"api_key": None}}, a=LIST, b=LIST)
    for path in EVASIONS:
        r = send(q, path=path, headers=["x-api-key: the-clients-own"])
        assert r.status == 200 and r.header("x-qcc-endpoint") == "b"
    assert a.n == 0 and {r.header("x-api-key") for r in b.asked} == {"the-clients-own"}


def test_message_paths_are_always_allowed(house):  # noqa: F811
    q, a = house(more={"a": {"paths": {"allow": [], "deny": ["*"]}}}, a=reply(b'{"type":"message","completion":"x"}'))
    for path in ("/v1/messages", "//v1/messages", "/v1/messages?beta=true", "/v1/complete"):
        assert ask(q, path=path).status == 200
    a.side = reply(b'{"choices":[],"output":[]}')
    for path in ("/v1/chat/completions", "/v1/responses"):
        assert ask(q, path=path).status == 200
    n = len(a.up.requests)
    for method, path in (("GET", "/v1/messages"), ("POST", "/v1/messages/"), ("POST", COUNT), ("POST", "/v1/embeddings")):
        not_found(send(q, method, path))
    assert len(a.up.requests) == n


def test_options_asterisk(house):  # noqa: F811
    q, a = house(a=LIST)
    not_found(send(q, "OPTIONS", "*"))
    assert a.n == 0


def test_paths_follow_a_reload(house):  # noqa: F811
    q, a = house(a=LIST)
    not_found(send(q, path="/v1/organizations/users"))
    q.reload({"endpoints": [{**a.endpoint, "paths": {"deny": []}}]})
    assert until(lambda: send(q, path="/v1/organizations/users").status == 200, "the worker to hear")


def test_known_but_out_of_service_is_503(house):  # noqa: F811
    """The path is there: it is not said to be unknown."""
    q, a = house(a=LIST)
    a.message = error(401, "authentication_error")
    assert ask(q).status == 401
    q.wait_log("endpoint a: service enabled -> disabled by auth")
    until(lambda: send(q).status == 503, "the worker to hear")
