"""GET /api/v1/config and `qccctl config`: the configuration in use, without a secret."""
import re
import subprocess

from admin import call, get, send
from control import done
from qcc import SUPERVISOR, until

CANARIES = ["sk-canary-key-1234567890", "canary-client-token", "canary-admin-token", "canary-header-value", "canary-password", "canary-user"]
KEY, CLIENT, ADMIN, HEADER, PASSWORD, USER = CANARIES
RIGHT = {"Authorization": "Bearer " + ADMIN}


def leaves(node, path=""):
    """{path: leaf} of a tree."""
    if isinstance(node, list):
        return {k: v for i, child in enumerate(node) for k, v in leaves(child, "%s[%d]" % (path, i)).items()}
    if "changed" in node:
        return {path: node}
    return {k: v for name, child in node.items() for k, v in leaves(child, (path + "." if path else "") + name).items()}


def test_every_key_and_its_default(qcc, upstream):
    q = qcc({"endpoints": [upstream.endpoint()]})
    doc = get(q, "config")
    assert doc["file"] == str(q.path) and doc["generation"] == 1 and doc["last_reload"] is None
    assert re.match(r"\d{4}-\d\d-\d\dT", doc["taken"])
    tree = leaves(doc["config"])
    assert tree["limits.idle_timeout"] == {"value": "2m", "changed": False}
    assert tree["upstream.pool.max_idle"] == {"value": 20, "changed": False}
    assert tree["workers"] == {"value": 2, "changed": True, "default": "auto"}
    assert tree["log.level"] == {"value": "debug", "changed": True, "default": "info"}
    assert tree["affinity.keys"]["changed"] is False and tree["affinity.keys"]["value"][0] == "header:x-conversation-id"
    assert tree["endpoints[0].paths.allow"] == {"value": ["/v1/*"], "changed": False}
    assert tree["endpoints[0].price_factor"] == {"value": 1, "changed": False}
    assert tree["listen[0].address"]["value"] == "127.0.0.1:%d" % q.port
    assert tree["expose_headers"] == {"value": True, "changed": False}
    printed = subprocess.run([str(SUPERVISOR), "--print-reference"], capture_output=True, text=True, check=True).stdout
    section, known = "", set()
    for line in printed.splitlines():
        found = re.match(r"### (?:`(.*)`|At the top)", line)
        if found:
            section = (found.group(1) or "").replace("[]", "[0]")
        key = re.match(r"\| `(\w+)` \|", line)
        if key:
            known.add((section + "." if section else "") + key.group(1))
    known -= {"clients", "listen", "endpoints", "clients[0].name", "clients[0].token", "clients[0].token_sha256"}
    assert known and known <= set(tree), known - set(tree)


def test_values_after_a_reload(qcc, upstream):
    q = qcc({"endpoints": [upstream.endpoint()]})
    before = get(q, "config")["taken"]
    q.reload({"limits": {"idle_timeout": "90s", "max_body_bytes": 3 << 20}, "retry": {"max_attempts": 7}, "balance": {"strategy": "random"}})
    doc = get(q, "config")
    tree = leaves(doc["config"])
    assert doc["generation"] == 2 and doc["taken"] > before and doc["last_reload"]["ok"] is True
    assert tree["limits.idle_timeout"] == {"value": "90s", "changed": True, "default": "2m"}
    assert tree["limits.max_body_bytes"]["value"] == "3MiB"
    assert tree["retry.max_attempts"] == {"value": 7, "changed": True, "default": 5}
    assert tree["balance.strategy"] == {"value": "random", "changed": True, "default": "weighted"}
    q.configure("endpoints:\n" + "".join("  - name: 'a b %d'\n    base_url: ftp://x\n" % i for i in range(30)))
    assert call(q, "POST", "/api/v1/reload").status == 422
    doc = get(q, "config")
    assert doc["generation"] == 2 and doc["last_reload"]["ok"] is False
    assert len(doc["last_reload"]["faults"]) >= 60 and doc["last_reload"]["faults_left_out"] == 0


def secrets(qcc, upstream):
    return qcc({
        "admin": {"token": ADMIN},
        "clients": [{"name": "alice", "token": CLIENT}],
        "upstream": {"proxy": None},
        "endpoints": [
            upstream.endpoint("/good", "a", api_key=KEY, headers={"x-secret": HEADER}),
            {"name": "b", "base_url": "http://127.0.0.1:9", "api_key": KEY, "proxy": "http://%s:%s@127.0.0.1:9" % (USER, PASSWORD), "weight": 0},
        ],
    })


def test_no_secret_is_in_any_reply(qcc, upstream):
    q = secrets(qcc, upstream)
    assert send(q, headers={"authorization": "Bearer " + CLIENT}) == [200]
    until(lambda: get(q, "overview", headers=RIGHT)["totals"]["requests"] == 1, "the count")
    one = get(q, "requests", headers=RIGHT)["requests"][0]["id"]
    paths = ["overview", "config", "logs?n=1000", "status", "endpoints", "breakers", "queue", "sessions", "requests", "requests/" + one, "events",
             "history", "prices"]
    for path in ["/api/v1/" + p for p in paths] + ["/metrics", "/", "/ui/app.js", "/readyz"]:
        a = call(q, "GET", path, RIGHT)
        assert a.status == 200, (path, a.body)
        for canary in CANARIES:
            assert canary.encode() not in a.body, (path, canary)
            assert canary not in str(a.headers), path


def test_how_secrets_are_shown(qcc, upstream):
    q = secrets(qcc, upstream)
    tree = leaves(get(q, "config", headers=RIGHT)["config"])
    assert tree["endpoints[0].api_key"]["value"] == "sk-…7890"
    assert tree["endpoints[0].headers"]["value"] == {"x-secret": "can…alue"}
    assert tree["admin.token"]["value"] == "can…oken"
    assert tree["clients[0].name"]["value"] == "alice" and tree["clients[0].token"]["value"] == "…"
    assert "clients[0].token_sha256" not in tree
    assert tree["endpoints[1].proxy"]["value"] == "http://…@127.0.0.1:9"


def test_config_of_qccctl(qcc, upstream):
    q = qcc({"endpoints": [upstream.endpoint()], "limits": {"idle_timeout": "90s"}})
    out = done(q.ctl("config"))
    assert out.startswith(str(q.path) + ", generation 1, in use since 20")
    assert "\nlimits.idle_timeout: 90s (default 2m)\n" in out and "limits.body_timeout" not in out
    assert "\nendpoints[0].name: good\n" in out
    assert "\nlimits.body_timeout: 1m\n" in done(q.ctl("config", "--all"))
    assert q.ctl_json("config")["config"] == get(q, "config")["config"]
    assert q.ctl("config", "x").returncode == 2
    q.reload("listen: nowhere\n", wait="refused")
    out = done(q.ctl("config"))
    assert "the last reload was refused" in out and re.search(re.escape(str(q.path)) + r":1:\d+: ", out)


def test_only_an_operator_reads_it(qcc):
    q = qcc({"admin": {"token": "swordfish-7"}})
    assert call(q, "GET", "/api/v1/config").status == 401
    assert call(q, "GET", "/api/v1/config", {"Authorization": "Bearer swordfish-7", "Origin": "http://evil.example"}).status == 403
    assert call(q, "POST", "/api/v1/config", {"Authorization": "Bearer swordfish-7"}).status == 405


def test_many_endpoints(qcc, upstream):
    many = [upstream.endpoint("/good", "endpoint-with-a-name-%04d" % i, api_key="sk-fake-%010d" % i) for i in range(2000)]
    q = qcc({"workers": 1, "endpoints": many})
    a = call(q, "GET", "/api/v1/config")
    assert a.status == 200 and len(a.json()["config"]["endpoints"]) == 2000
    print("config of 2000 endpoints: %d bytes" % len(a.body))
