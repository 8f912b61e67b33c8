"""What tests of the admin listener share."""
import http.client
import json
import re
import socket

from qcc import PATIENCE

GETS = ["/healthz", "/readyz", "/metrics", "/"] + [
    "/api/v1/" + what for what in ("status", "endpoints", "breakers", "queue", "sessions", "requests")
]


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = {k.lower(): v for k, v in response.getheaders()}
        self.body = response.read()

    def json(self):
        assert self.headers["content-type"] == "application/json"
        return json.loads(self.body)

    @property
    def error(self):
        return self.json()["error"]


def call(to, method, path, headers=None, body=None, timeout=PATIENCE):
    """One request to the admin listener of an instance, or to a port, or a unix path."""
    port = getattr(to, "admin_port", to)
    c = http.client.HTTPConnection("127.0.0.1", port if isinstance(port, int) else 80, timeout=timeout)
    if not isinstance(port, int):
        c.sock = socket.socket(socket.AF_UNIX)
        c.sock.settimeout(timeout)
        c.sock.connect(port)
    try:
        c.request(method, path, body, headers or {})
        return Answer(c.getresponse())
    finally:
        c.close()


def get(to, path, **kw):
    a = call(to, "GET", "/api/v1/" + path, **kw)
    assert a.status == 200, a.body
    return a.json()


def send(q, n=1, **more):
    """n questions, each on a connection of its own; their statuses."""
    out = []
    headers = more.pop("headers", {})
    path = more.pop("path", "/v1/messages")
    for _ in range(n):
        c = http.client.HTTPConnection("127.0.0.1", q.port, timeout=PATIENCE)
        body = {"model": "m", "max_tokens": 16, "messages": [{"role": "user", "content": "hello"}], **more}
        c.request("POST", path, json.dumps(body), {"content-type": "application/json", **headers})
        r = c.getresponse()
        r.read()
        out.append(r.status)
        c.close()
    return out


def endpoint(q, name):
    return next(e for e in get(q, "endpoints")["endpoints"] if e["name"] == name)


def samples(text):
    """{family: {labels: value}} of the text format, strictly."""
    out, types = {}, {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in types, "family twice: " + name
            types[name] = kind
        elif line.startswith("# HELP "):
            assert len(line.split(" ", 3)) == 4
        else:
            m = re.fullmatch('([a-z_]+)(?:{(.*)})? (\\d+(?:\\.\\d+)?)', line)
            assert m, line
            name = re.sub("_(bucket|sum|count)$", "", m.group(1))
            assert (name if types.get(name) == "histogram" else m.group(1)) in types, line
            labels = tuple(re.findall('([a-z]+)="((?:[^"\\\\]|\\\\.)*)"', m.group(2) or ""))
            family = out.setdefault(m.group(1), {})
            assert labels not in family, line
            family[labels] = float(m.group(3))
    for name, kind in types.items():
        assert kind in ("gauge", "counter", "histogram")
        assert (kind == "counter") == name.endswith("_total"), name
    return out
