"""Pages in a browser: none may spend the endpoints' keys unless the configuration names its origin,
and one that it names is answered as a browser wants it (behaviour: browsers)."""
import json
import re
import subprocess

import pytest

from client import BODY, ask, events, request
from qcc import SUPERVISOR, free_port, until
from upstream import KEY, MESSAGE, STREAM, error, reply

PAGE = "https://app.example"
TEXT = json.dumps(BODY).encode()


@pytest.fixture
def up(raw):
    """An endpoint that answers everything well, has ideas of its own about pages, and remembers."""
    return raw(reply(headers=["Access-Control-Allow-Origin: *", "access-control-expose-headers: x-own",
                              "Vary: accept-encoding", "request-id: req_1"]))


@pytest.fixture
def make(qcc, up):
    return lambda **config: qcc({"endpoints": [up.endpoint()], "workers": 1, **config})


def post(*headers, host="127.0.0.1", target="/v1/messages"):
    """What a page can send without asking first: a question as text/plain."""
    return request("POST", target, ["content-type: text/plain", *headers], TEXT, host=host)


def preflight(origin=PAGE, *more, wants="x-api-key, content-type"):
    return request("OPTIONS", "/v1/messages", [
        "origin: " + origin, "access-control-request-method: POST", "access-control-request-headers: " + wants, *more])


def told(c, data, method="POST"):
    c.send(data)
    return c.reply(method)


def refused(q, c, up, data, key, why):
    """403 in Anthropic's form that names the key to set, and nothing has reached the endpoint."""
    before = len(up.requests)
    r = told(c, data)
    assert r.status == 403, (data, r.body)
    assert r.error["type"] == "permission_error"
    assert key in r.error["message"] and why in r.error["message"], r.error
    assert r.header("x-should-retry") == "false"
    assert KEY not in r.body.decode()
    until(lambda: q.count("refused: .*%s" % re.escape(key)), "the line in the log")
    assert len(up.requests) == before
    return r


def access_control(r):
    return [k for k, _ in r.headers if k.startswith("access-control-")]


def varies(r):
    return {v.strip().lower() for line in r.all("vary") for v in line.split(",")}


def shown(r, origin=PAGE):
    """The page may read this reply."""
    assert r.header("access-control-allow-origin") == origin, r.headers
    assert r.header("access-control-expose-headers") == "*"
    assert "origin" in varies(r)


# ---- Host: a name may have been rebound to this machine


@pytest.mark.parametrize("host", ["evil.example", "evil.example:7860", "localhost.evil.example", "notlocalhost",
                                  "127.0.0.1.evil.example", "1.2.3.4.5", "localhost..", "qcc"])
def test_a_name_that_was_rebound_is_refused(make, up, client, host):
    q = make()
    refused(q, client(q), up, post(host=host), "hosts", host.partition(":")[0].rstrip("."))
    refused(q, client(q), up, request("GET", "/v1/models", host=host), "hosts", "Host")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "localhost.", "a.b.LocalHost:80", "127.0.0.1:7860",
                                  "127.9.9.9", "127.0.0.1.", "192.168.1.2:80", "[::1]", "[::1]:7860", "[2001:db8::1]"])
def test_loopback_names_and_addresses_are_own_names(make, client, host):
    assert told(client(make()), post(host=host)).status == 200


def test_further_names_in_hosts(make, up, client):
    q = make(hosts=["QCC.example.com", "box."])
    for host in ("qcc.example.com", "Qcc.Example.Com:8443", "qcc.example.com.:1", "box", "BOX.:80"):
        assert told(client(q), post(host=host)).status == 200, host
    for host in ("example.com", "a.qcc.example.com", "qcc.example.com.evil.example", "boxes"):
        refused(q, client(q), up, post(host=host), "hosts", host)
    assert told(client(make(hosts=["*"])), post(host="anything.example")).status == 200


def test_a_reload_changes_hosts(make, up, client):
    q = make()
    c = client(q)
    refused(q, client(q), up, post(host="late.example"), "hosts", "late.example")
    assert told(c, post()).status == 200
    q.reload({"hosts": ["late.example"]})
    assert told(c, post(host="late.example")).status == 200


def test_a_request_without_host(make, client):
    """HTTP/1.0: no browser sends it."""
    assert told(client(make()), request("GET", "/v1/models", host=None, version="1.0"), "GET").status == 200


def test_the_targets_authority_stands_for_host(make, up, client):
    q = make()
    refused(q, client(q), up, post(host="127.0.0.1", target="http://evil.example/v1/messages"), "hosts", "evil.example")
    assert told(client(q), post(host="evil.example", target="http://localhost:80/v1/messages")).status == 200


def test_what_qcc_answers_itself_is_refused_too(make, client):
    q = make()
    for data, method in ((request("HEAD", "/", host="evil.example"), "HEAD"),
                         (request("POST", "/api/event_logging/batch", ["origin: " + PAGE], b"{}"), "POST")):
        assert told(client(q), data, method).status == 403


# ---- Origin and Sec-Fetch-Site


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "", "http://127.0.0.1", "http://app.example",
                                    "https://app.example:444", "https://app.example.", "HTTPS://app.example",
                                    "https://app.example/", "https://app.example https://evil.example", "*"])
def test_an_unlisted_origin_is_refused(make, up, client, origin):
    q = make(cors={"origins": [PAGE]})
    r = refused(q, client(q), up, post("origin: " + origin), "cors.origins", "Origin")
    assert not access_control(r)
    refused(q, client(q), up, preflight(origin), "cors.origins", "Origin")


def test_the_page_of_an_endpoint_is_no_listed_one(make, up, client):
    q = make()
    refused(q, client(q), up, post("origin: http://127.0.0.1:%d" % q.port, "sec-fetch-site: same-origin"), "cors.origins", "Origin")


@pytest.mark.parametrize("second", [PAGE, "https://evil.example"])
def test_more_than_one_origin_is_none_of_the_list(make, up, client, second):
    q = make(cors={"origins": [PAGE]})
    refused(q, client(q), up, post("origin: " + PAGE, "origin: " + second), "cors.origins", "Origin")


def test_what_another_site_sends_without_an_origin(make, up, client):
    q = make(cors={"origins": [PAGE]})
    for site in ("cross-site", "Cross-Site"):
        refused(q, client(q), up, request("GET", "/v1/models", ["sec-fetch-site: " + site]), "cors.origins", "site")
    refused(q, client(q), up, post("sec-fetch-site: none", "sec-fetch-site: cross-site"), "cors.origins", "site")
    for site in ("same-origin", "same-site", "none"):
        assert told(client(q), post("sec-fetch-site: " + site)).status == 200, site
    shown(told(client(q), post("sec-fetch-site: cross-site", "origin: " + PAGE)))


def test_programs_are_no_pages(make, up, client):
    """Claude Code says that it would do what a page does, and sends no Origin."""
    line = "anthropic-dangerous-direct-browser-access: true"
    assert told(client(make()), post(line)).status == 200
    assert line.encode() in up.requests[-1].head


def test_nothing_is_checked_on_a_unix_socket(make, tmp_path, client):
    """No browser can reach it: who stands in front of it decides. A listed origin is served as such."""
    path = tmp_path / "q.sock"
    make(listen="unix:%s" % path, cors={"origins": [PAGE]})
    c = client(str(path))
    for line in ("origin: https://evil.example", "sec-fetch-site: cross-site", "x-a: b"):
        r = told(c, post(line, host="evil.example"))
        assert r.status == 200 and not access_control(r)
    shown(told(c, post("origin: " + PAGE)))
    assert told(c, preflight(), "OPTIONS").status == 204


# ---- with clients


CLIENTS = [{"name": "alice", "token": "alice-token-1"}]
ALICE = "x-api-key: alice-token-1"


def test_with_clients_an_unlisted_origin_is_served_and_not_shown(make, client):
    q = make(clients=CLIENTS, cors={"origins": [PAGE]})
    c = client(q)
    for lines in (["origin: https://evil.example"], ["origin: null"], ["sec-fetch-site: cross-site"]):
        r = told(c, post(ALICE, *lines, host="any.example"))
        assert r.status == 200 and r.body == MESSAGE
        assert not access_control(r)
        assert varies(r) == {"origin", "accept-encoding"}, "a cache must not give it to a listed page"
    r = told(client(q), post("origin: https://evil.example"))
    assert r.status == 401 and not access_control(r)
    r = told(client(q), preflight("https://evil.example"))
    assert r.status == 401 and not access_control(r)


def test_a_preflight_needs_no_token(make, up, client):
    q = make(clients=CLIENTS, cors={"origins": [PAGE]})
    c = client(q)
    assert told(c, preflight(), "OPTIONS").status == 204
    shown(told(c, post(ALICE, "origin: " + PAGE)))
    assert len(up.requests) == 1
    r = told(client(q), post("origin: " + PAGE))
    assert r.status == 401
    shown(r)


# ---- a listed page


def test_a_preflight_is_answered(make, up, client):
    q = make(cors={"origins": ["https://other.example", PAGE]})
    c = client(q)
    r = told(c, preflight(), "OPTIONS")
    assert r.status == 204 and r.header("content-length") is None
    shown(r)
    assert r.header("access-control-allow-methods") == "POST"
    assert r.header("access-control-allow-headers") == "x-api-key, content-type"
    assert int(r.header("access-control-max-age")) > 0
    assert r.header("access-control-allow-private-network") is None
    r = told(c, preflight(PAGE, "access-control-request-private-network: true"), "OPTIONS")
    assert r.status == 204 and r.header("access-control-allow-private-network") == "true"
    assert told(c, request("OPTIONS", "/v1/models", ["origin: " + PAGE, "access-control-request-method: GET"]),
                "OPTIONS").header("access-control-allow-headers") is None
    assert not up.requests
    shown(told(c, post("origin: " + PAGE)))


def test_a_preflight_that_is_none(make, up, client):
    """OPTIONS without the method, or without an origin, is a request like any other."""
    c = client(make(cors={"origins": [PAGE]}))
    shown(told(c, request("OPTIONS", "/v1/messages", ["origin: " + PAGE])))
    assert not access_control(told(c, request("OPTIONS", "/v1/messages", ["access-control-request-method: POST"])))
    assert [r.method for r in up.requests] == ["OPTIONS", "OPTIONS"]


@pytest.mark.parametrize("wants", ["x" * 5000, "a, b c", "a: b", "x-\xe4"])
def test_a_preflight_is_not_echoed_without_bounds(make, up, client, wants):
    q = make(cors={"origins": [PAGE]})
    r = told(client(q), preflight(wants=wants))
    assert r.status == 400 and r.error["type"] and "access-control-request" in r.error["message"]
    assert not up.requests


def test_a_reply_is_shown_to_its_page(make, up, client):
    q = make(cors={"origins": [PAGE, "null", "vscode-webview://0b2qd1k5c7"]})
    c = client(q)
    for origin in (PAGE, "null", "vscode-webview://0b2qd1k5c7"):
        r = told(c, post("origin: " + origin))
        assert r.status == 200 and r.body == MESSAGE
        shown(r, origin)
        assert varies(r) == {"origin", "accept-encoding"}, "the endpoint's own stays"
        assert sorted(access_control(r)) == ["access-control-allow-origin", "access-control-expose-headers"]
        assert r.header("request-id") == "req_1"
    r = told(c, post())
    assert not access_control(r) and varies(r) == {"origin", "accept-encoding"}


def test_an_endpoints_own_access_control_is_taken_out(make, client):
    r = told(client(make()), post())
    assert r.status == 200 and not access_control(r)
    assert varies(r) == {"accept-encoding"}, "without cors.origins nothing depends on it"


def test_errors_are_shown_too(qcc, raw, client):
    refusing = raw(error(400, "invalid_request_error", headers=["access-control-allow-origin: https://evil.example"]))
    q = qcc({"endpoints": [refusing.endpoint()], "cors": {"origins": [PAGE]}, "limits": {"max_body_bytes": 2000}})
    line = "origin: " + PAGE
    r = told(client(q), post(line))
    assert r.status == 400 and r.error["message"] == "no"
    shown(r)
    r = told(client(q), request("POST", "/v1/messages", [line], b"x" * 3000))
    assert r.status == 413
    shown(r)
    r = told(client(q), request("TRACE", "/", [line]))
    assert r.status == 405
    shown(r)
    r = told(client(q), post(line, host="evil.example"))
    assert r.status == 403
    shown(r)


def test_an_error_of_qccs_own_is_shown(qcc, client):
    q = qcc({"endpoints": [{"name": "nobody", "base_url": "http://127.0.0.1:%d" % free_port(), "api_key": KEY}],
             "cors": {"origins": [PAGE]}, "retry": {"transient_delay": "0s"}})
    r = told(client(q), post("origin: " + PAGE))
    assert r.status == 502
    shown(r)


def test_an_estimate_is_shown(qcc, raw, client):
    q = qcc({"endpoints": [raw(reply(b'{"detail":"Not Found"}', 404)).endpoint()], "cors": {"origins": [PAGE]}})
    r = told(client(q), post("origin: " + PAGE, target="/v1/messages/count_tokens"))
    assert r.status == 200 and r.json()["input_tokens"] > 0
    shown(r)


def test_what_qcc_answers_itself_is_shown(make, client):
    c = client(make(cors={"origins": [PAGE]}))
    shown(told(c, request("HEAD", "/", ["origin: " + PAGE]), "HEAD"))
    shown(told(c, request("POST", "/api/event_logging/batch", ["origin: " + PAGE], b"{}")))


def test_a_stream_is_shown(qcc, raw, client):
    q = qcc({"endpoints": [raw(STREAM).endpoint()], "cors": {"origins": [PAGE]}})
    c = client(q)
    c.send(ask(stream=True, headers=["origin: " + PAGE]))
    r = c.reply()
    assert r.status == 200 and events(r.body)[-1][0] == "message_stop"
    shown(r)


def test_a_stream_that_begins_with_a_ping_is_shown(qcc, raw, client):
    up = raw(lambda peer, _: peer.wait_gone())
    q = qcc({"endpoints": [up.endpoint()], "cors": {"origins": [PAGE]}, "stream_ping": "50ms"})
    c = client(q)
    c.send(ask(stream=True, headers=["origin: " + PAGE]))
    shown(c.head())
    c.close()


# ---- the configuration


def checked(tmp_path, text):
    path = tmp_path / "qcc.yaml"
    path.write_text("endpoints: [{name: a, base_url: 'http://127.0.0.1:9'}]\n" + text)
    done = subprocess.run([str(SUPERVISOR), "-t", "-c", str(path)], text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    return done.returncode, done.stdout


@pytest.mark.parametrize("value", ["'*'", "app.example", "https://app.example/", "https://app.example/x", "https://",
                                   "https://u@app.example", "https://app.example?", "HTTPS://app.example",
                                   "https://App.example", "https://app.example:443", "http://app.example:80",
                                   "https://app.example:0", "https://a b", "'1x://a'", "NULL", "''", "{a: b}"])
def test_bad_origins(tmp_path, value):
    code, text = checked(tmp_path, "cors:\n  origins:\n    - https://good.example\n    - %s\n" % value)
    assert code == 1
    assert re.search(r"qcc\.yaml:5:7: cors\.origins\[1\]: \w", text), text


@pytest.mark.parametrize("value", ["'https://a'", "a.example:80", "a/b", "'*.example'", "''", "'[::1]'", "-a", "a..b"])
def test_bad_hosts(tmp_path, value):
    code, text = checked(tmp_path, "hosts:\n  - good.example\n  - %s\n" % value)
    assert code == 1
    assert re.search(r"qcc\.yaml:4:5: hosts\[1\]: \w", text), text


def test_good_values_and_misspelt_keys(tmp_path):
    code, text = checked(tmp_path, "hosts: [qcc.lan, 10.0.0.1, a_b.]\ncors: {origins: [https://a.example, 'http://[::1]:3000', "
                         "http://localhost:8080, 'chrome-extension://abcdefghijklmnopabcdefghijklmnop', 'app://-']}\n")
    assert code == 0 and "warning" not in text, text
    code, text = checked(tmp_path, "host: [a]\ncors: {origin: [b]}\n")
    assert code == 1 and 'did you mean "hosts"?' in text and 'did you mean "origins"?' in text, text


def test_what_lets_everybody_in_is_warned_of(tmp_path):
    code, text = checked(tmp_path, "hosts: ['*']\ncors: {origins: [null]}\n")
    assert code == 0
    assert "2:9: warning: hosts[0]: " in text and "3:18: warning: cors.origins[0]: " in text, text
    code, text = checked(tmp_path, "hosts: ['*']\ncors: {origins: [null]}\nclients: [{name: a, token: ${HOME}}]\n".replace("${HOME}", "'0123456789'"))
    assert "hosts" not in text and "cors" not in text, text
