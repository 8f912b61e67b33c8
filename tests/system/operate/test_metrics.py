"""/metrics: what Prometheus reads, what manual, dashboard and alerts say of it, and that counters never fall."""
import json
import os
import re
import shutil
import signal
import subprocess
import threading

import pytest
import yaml

from client import ask
from qcc import PATIENCE, ROOT, SUPERVISOR, until
from upstream import EVENTS, LAST_CHUNK, STREAM_HEAD, chunk, event, reply

PROMTOOL = shutil.which("promtool")
promtool = pytest.mark.skipif(not PROMTOOL, reason="no promtool: packaging/deps.sh promtool installs it")


class Scrape:
    """One reading of the text format, strictly: {family: kind}, {(series, labels): value}."""

    def __init__(self, text):
        self.text, self.types, self.help, self.v = text, {}, {}, {}
        family = None
        for line in text.splitlines():
            head = re.fullmatch(r"# (HELP|TYPE) ([a-z_]+) (.+)", line)
            if head:
                of = self.help if head.group(1) == "HELP" else self.types
                assert head.group(2) not in of, line
                of[head.group(2)] = head.group(3)
                family = head.group(2)
                continue
            m = re.fullmatch(r"([a-z_]+)(?:{(.*)})? (\d+(?:\.\d+)?)", line)
            assert m, line
            series = [family] if self.types[family] != "histogram" else [family + s for s in ("_bucket", "_sum", "_count")]
            assert m.group(1) in series, line
            labels = re.findall(r'([a-z]+)="((?:[^"\\]|\\.)*)"', m.group(2) or "")
            assert ",".join('%s="%s"' % x for x in labels) == (m.group(2) or ""), line
            key = (m.group(1), frozenset(labels))
            assert key not in self.v, line
            self.v[key] = float(m.group(3))
        assert set(self.types) == set(self.help)

    def get(self, name, **labels):
        """The one sample with exactly these labels."""
        return self.v[(name, frozenset(labels.items()))]

    def sum(self, name, **labels):
        """Over all samples with these labels at least."""
        return sum(v for (n, have), v in self.v.items() if n == name and have >= frozenset(labels.items()))

    def labels(self, family):
        """Names of the labels of its samples, without a histogram's own."""
        return {k for (n, have) in self.v for k, _ in have
                if re.sub("_(bucket|sum|count)$" if self.types[family] == "histogram" else "$", "", n) == family} - {"le"}

    def counters(self):
        return {k: v for k, v in self.v.items() if self.types.get(k[0]) == "counter" or
                self.types.get(re.sub("_(bucket|count|sum)$", "", k[0])) == "histogram"}


def scrape(q):
    status, body = q.get("/metrics", port=q.admin_port)
    assert status == 200, body
    return Scrape(body.decode())


def seen(q, check, what):
    """Until a scrape passes; returns it."""
    def look():
        s = scrape(q)
        return s if check(s) else None
    return until(look, what)


def fell(before, after):
    """Counters that went back or away."""
    return [(k, v, after.v.get(k)) for k, v in before.counters().items() if after.v.get(k, -1) < v]


def behave(upstream, name, spec):
    upstream.call("PUT", "/_site/" + name, spec)


def sites(upstream, names="ab", **more):
    return [upstream.endpoint("/n/" + name, name=name, **more) for name in names]


@pytest.fixture
def busy(qcc, upstream, client):
    """One that has seen all kinds of things: replies, streams, failures, a reload, a refused one."""
    q = qcc({"endpoints": sites(upstream, "abc"), "state_dir": None, "balance": {"strategy": "round_robin"},
             "breaker": {"failure_threshold": 1}, "retry": {"transient_delay": "1ms", "max_attempts_per_endpoint": 1}})
    for _ in range(6):
        assert client(q).ask(stream=True).status == 200
        assert client(q).ask().status == 200
    behave(upstream, "b", "status=429,retry_after=300")
    behave(upstream, "c", "status=503")
    until(lambda: client(q).ask().status == 200 and q.count("breaker closed -> open"), "a failure")
    q.reload({"limits": {"idle_timeout": "100s"}})
    good = json.loads(q.path.read_text())
    q.reload("endpoints: [{name: a}]", wait="refused")
    q.configure(good)
    return q


@promtool
def test_promtool_has_no_complaint(busy):
    """Names, units, types, help: also what it only recommends."""
    done = subprocess.run([PROMTOOL, "check", "metrics"], input=scrape(busy).text.encode(), stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=PATIENCE)
    assert done.returncode == 0 and not done.stdout, done.stdout.decode()
    bad = subprocess.run([PROMTOOL, "check", "metrics"], input=b"# TYPE x counter\nx_ms 1\n", stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, timeout=PATIENCE)
    assert bad.returncode != 0, "it would complain"


def test_the_printed_table_has_all(busy):
    """What qcc-metrics(7) is made of: name, type and labels of each family, and nothing else."""
    s = scrape(busy)
    text = subprocess.run([SUPERVISOR, "--print-metrics"], stdout=subprocess.PIPE, text=True, check=True).stdout
    rows = {m[0]: (m[1], set(re.findall("`([a-z]+)`", m[2])), m[3])
            for m in re.findall(r"^\| `([a-z_]+)` \| (\w+) \| (.*?)\| (.*) \|$", text, re.M)}
    assert rows == {name: (s.types[name], s.labels(name), s.help[name]) for name in s.types}


# ---- what the dashboard and the alerts ask for

WORDS = {"sum", "rate", "by", "le", "increase", "max", "min", "histogram_quantile", "time", "and", "on", "changes",
         "label_values", "up"}


def asked_for(expr):
    """(series, {label: matcher}) and the labels that it groups by."""
    bare = re.sub(r'"(?:[^"\\]|\\.)*"', '""', expr)
    grouped = set(re.findall(r"\w+", " ".join(re.findall(r"\b(?:by|on) \(([^)]*)\)", bare))))
    without = re.sub(r"\b(?:by|on) \([^)]*\)", "", bare)
    series = {}
    for name, inside in re.findall(r"\b([a-z_]{2,})\b(?:{([^}]*)})?(?!\s*\()", re.sub(r"\[[^]]*\]", "", without)):
        if name in WORDS:
            continue
        series.setdefault(name, set()).update(re.findall(r"(\w+)\s*[=!]", inside))
    return series, grouped


def hold(s, expr, where):
    """Every series is shown, with every label that is asked for; job and instance come from Prometheus."""
    series, grouped = asked_for(expr)
    assert series, where
    have = {"job", "instance"}
    for name, labels in series.items():
        there = [have_ for (n, have_) in s.v if n == name]
        assert there, "%s: there is no %s" % (where, name)
        own = {k for x in there for k, _ in x} | {"job", "instance"}
        assert labels <= own, "%s: %s has no %s" % (where, name, labels - own)
        have |= own
    assert grouped <= have, "%s: nothing has %s" % (where, grouped - have)
    for name, label, value in re.findall(r'([a-z_]+){[^}]*?([a-z]+)!?="([^"$]+)"', expr):
        assert any(dict(h).get(label) == value for (n, h) in s.v if n == name) or label == "job", (where, value)


def test_the_dashboard_asks_for_what_is_there(busy):
    s = scrape(busy)
    board = json.loads((ROOT / "packaging/grafana/qcc.json").read_text(encoding="utf-8"))
    exprs = []

    def walk(node, title):
        if isinstance(node, dict):
            title = node.get("title") or title
            if "expr" in node:
                exprs.append((title, node["expr"]))
            for value in node.values():
                walk(value, title)
        elif isinstance(node, list):
            for value in node:
                walk(value, title)

    walk(board, "?")
    assert len(exprs) > 40
    for title, expr in exprs:
        hold(s, expr, title)
    # Rates of counters, quantiles of histograms.
    for title, expr in exprs:
        for call, name in re.findall(r"\b(rate|increase|changes)\((\w+)", expr):
            family = re.sub("_bucket$", "", name)
            assert call == "changes" or s.types[family] in ("counter", "histogram"), (title, name)
        for name in re.findall(r"(\w+_total)\b", expr):
            assert re.search(r"(rate|increase)\(%s\b" % name, expr), (title, name)
    variables = {v["name"]: v for v in board["templating"]["list"]}
    for name in ("job", "instance", "endpoint"):
        query = variables[name]["query"]["query"]
        family = re.search(r"label_values\((\w+)", query).group(1)
        assert family in s.types and ({name} <= s.labels(family) or name != "endpoint")
    for used in set(re.findall(r"\$(?:{)?([a-z]+)", json.dumps(board))):
        assert used in variables or used.startswith("__"), used
    ids = [p["id"] for p in board["panels"]]
    assert len(set(ids)) == len(ids)
    # Every family but those of one worker's details, and what is configured, is on it.
    shown = " ".join(e for _, e in exprs)
    left_out = {name for name in s.types if not re.search(r"\b%s(_bucket)?\b" % name, shown)}
    assert left_out <= {"qcc_worker_requests_open", "qcc_worker_streams_open", "qcc_endpoint_protocol"}, left_out


def test_the_check_of_expressions_can_fail(busy):
    s = scrape(busy)
    for expr in ("qcc_no_such", "rate(qcc_first_byte_seconds[5m])", 'qcc_tokens_total{color="red"}',
                 "sum by (kind) (rate(qcc_requests_total[5m]))", 'qcc_requests_total{status="6xx"}'):
        with pytest.raises(AssertionError):
            hold(s, expr, "bad")


@promtool
def test_the_alerts_are_good(busy):
    path = ROOT / "packaging/prometheus/qcc-rules.yaml"
    done = subprocess.run([PROMTOOL, "check", "rules", str(path)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=PATIENCE)
    assert done.returncode == 0, done.stdout.decode()
    s = scrape(busy)
    rules = [r for g in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"] for r in g["rules"]]
    for r in rules:
        if r["alert"] != "QccDown":  # `up` is Prometheus' own
            hold(s, r["expr"], r["alert"])
        for label in re.findall(r"\$labels\.(\w+)", " ".join(r["annotations"].values())):
            assert label in ("instance", "job") or label in r["expr"] or label == "endpoint"


# ---- what the numbers say


def test_tokens_of_replies_and_streams(qcc, raw, client):
    usage = {"input_tokens": 3, "output_tokens": 4, "cache_read_input_tokens": 5, "cache_creation_input_tokens": 6}
    whole = reply(json.dumps({"type": "message", "content": [], "usage": usage}).encode())
    start = event("message_start", message={"type": "message", "content": [], "usage": {**usage, "output_tokens": 1}})
    end = event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 4})
    stream = STREAM_HEAD + b"".join(map(chunk, [start, *EVENTS[1:-2], end, EVENTS[-1]])) + LAST_CHUNK
    up = raw(lambda peer, request: peer.send(stream if request.json().get("stream") else whole))
    q = qcc({"endpoints": [up.endpoint(name="a")]})
    for stream_ in (False, True):
        before = scrape(q)
        assert client(q).ask(stream=stream_).status == 200
        s = seen(q, lambda s: s.sum("qcc_tokens_total") > before.sum("qcc_tokens_total"), "the tokens")
        got = [s.get("qcc_tokens_total", endpoint="a", kind=k) - before.get("qcc_tokens_total", endpoint="a", kind=k)
               for k in ("input", "output", "cache_read", "cache_write")]
        assert got == [3, 4, 5, 6], "stream" if stream_ else "whole"
    assert s.get("qcc_request_duration_seconds_count", reply="whole") == 1
    assert s.get("qcc_request_duration_seconds_count", reply="stream") == 1
    assert s.get("qcc_first_byte_seconds_count", endpoint="a") == 2
    assert s.get("qcc_sent_bytes_total") > 0 and s.get("qcc_received_bytes_total") > 0


def test_connections_are_reused(qcc, raw, client):
    q = qcc({"workers": 1, "endpoints": [raw(reply()).endpoint(name="a")]})
    c = client(q)
    for _ in range(5):
        assert c.ask().status == 200
    s = seen(q, lambda s: s.get("qcc_endpoint_connections_reused_total", endpoint="a") == 4, "the count")
    assert s.get("qcc_endpoint_connections_opened_total", endpoint="a") == 1
    assert s.get("qcc_endpoint_connections", endpoint="a", state="idle") == 1
    assert s.get("qcc_endpoint_connections", endpoint="a", state="in_use") == 0
    assert s.get("qcc_connections_accepted_total") == 1
    c.close()
    # An idle connection that the endpoint closes is told too.
    q.reload({"upstream": {"pool": {"idle_expiry": "10ms"}}})
    client(q).ask()
    s = seen(q, lambda s: s.sum("qcc_endpoint_connections") == 0, "no connection to be left")


def test_what_is_open(qcc, upstream, client):
    q = qcc({"workers": 1, "endpoints": [upstream.endpoint("/s/stream,events=1000000,gap_ms=20", name="a")]})
    c = client(q)
    c.send(ask(stream=True))
    s = seen(q, lambda s: s.get("qcc_streams_open") == 1, "the stream")
    s = seen(q, lambda s: s.get("qcc_worker_connections", worker="0") >= 1, "the worker's gauges")
    assert s.get("qcc_requests_open") == s.get("qcc_worker_requests_open", worker="0") >= 1
    assert s.get("qcc_worker_streams_open", worker="0") == 1
    assert s.get("qcc_endpoint_requests_open", endpoint="a") == 1
    assert s.get("qcc_endpoint_connections", endpoint="a", state="in_use") == 1
    c.close()
    s = seen(q, lambda s: s.get("qcc_streams_open") == 0, "its end")
    assert s.get("qcc_endpoint_requests_open", endpoint="a") == 0


def test_breakers_and_verifications(qcc, upstream, client):
    q = qcc({"endpoints": sites(upstream), "breaker": {"failure_threshold": 1},
             "retry": {"transient_delay": "1ms", "max_attempts_per_endpoint": 1}})
    client(q).ask()
    behave(upstream, "a", "status=503,type=text/html,body=%3Chtml%3E")  # a page concerns the endpoint
    until(lambda: client(q).ask().status == 200 and scrape(q).get("qcc_breaker_opened_total", endpoint="a"), "the breaker")
    s = seen(q, lambda s: s.get("qcc_charged_failures_total", endpoint="a") >= 1, "the worker's count")
    assert s.get("qcc_endpoint_breaker_state", endpoint="a") == 2 and s.get("qcc_endpoint_tier", endpoint="a") == 3
    assert s.get("qcc_breaker_opened_total", endpoint="b") == 0

    def verify():
        import http.client
        c = http.client.HTTPConnection("127.0.0.1", q.admin_port, timeout=PATIENCE)
        c.request("POST", "/api/v1/endpoints/a/verify")
        assert c.getresponse().status == 200
        c.close()

    verify()
    seen(q, lambda s: s.get("qcc_verifications_total", endpoint="a", result="failed") == 1, "the failed verification")
    behave(upstream, "a", "")
    verify()
    s = seen(q, lambda s: s.get("qcc_verifications_total", endpoint="a", result="ok") == 1, "the good one")
    assert s.get("qcc_endpoint_breaker_state", endpoint="a") == 0
    assert s.get("qcc_verifications_total", endpoint="a", result="failed") == 1


def test_reloads_are_told(busy):
    s = scrape(busy)
    assert s.get("qcc_reloads_total", result="done") == 1 and s.get("qcc_reloads_total", result="refused") == 1
    assert s.get("qcc_config_last_reload_successful") == 0
    at = s.get("qcc_config_last_reload_success_timestamp_seconds")
    assert at > s.get("process_start_time_seconds")
    busy.reload()
    s = scrape(busy)
    assert s.get("qcc_config_last_reload_successful") == 1
    assert s.get("qcc_config_last_reload_success_timestamp_seconds") > at
    assert s.get("process_resident_memory_bytes") > 1e6


def test_a_worker_that_dies_lowers_nothing(busy, client):
    before = seen(busy, lambda s: s.sum("qcc_worker_requests_total") > 12, "the workers' own counts")
    assert before.get("qcc_requests_total", status="2xx") > 0
    old = set(busy.children())
    for pid in old:
        os.kill(pid, signal.SIGKILL)
    busy.wait_log("ended unexpectedly", count=2)
    s = seen(busy, lambda s: s.get("qcc_workers") == 2, "the next workers")
    assert not fell(before, s)
    assert s.sum("qcc_worker_restarts_total") == 2
    assert s.get("qcc_worker_start_time_seconds", worker="0") > before.get("qcc_worker_start_time_seconds", worker="0")
    assert s.get("qcc_streams_open") == 0
    # The first process's requests are in the worker's count still.
    assert s.sum("qcc_worker_requests_total") >= before.sum("qcc_worker_requests_total")


def test_a_reload_lowers_nothing(busy, upstream, client):
    """An endpoint goes and comes back; its key changes; workers come and go."""
    start = json.loads(busy.path.read_text())["endpoints"]
    before = scrape(busy)
    attempts = before.sum("qcc_attempts_total", endpoint="a")
    assert attempts > 0
    busy.reload({"endpoints": [e for e in start if e["name"] != "a"], "workers": 1})
    s = scrape(busy)
    assert not [x for x in fell(before, s) if ("endpoint", "a") not in x[0][1]]
    assert not s.sum("qcc_attempts_total", endpoint="a") and "a" not in {dict(h).get("endpoint") for _, h in s.v}
    busy.reload({"endpoints": [{**e, "api_key": "sk-fake-another-1234"} for e in start], "workers": 3})
    s = scrape(busy)
    assert not fell(before, s)
    assert s.sum("qcc_attempts_total", endpoint="a") >= attempts
    until(lambda: client(busy).ask().status == 200 and scrape(busy).sum("qcc_attempts_total", endpoint="a") > attempts, "more")


def test_a_new_start_counts_from_nothing(qcc, upstream, client, tmp_path):
    """What lasts stands in the status; a counter that was saved some seconds before a crash would be taken for a
    restart and counted twice."""
    q = qcc({"state_dir": str(tmp_path / "state"), "endpoints": sites(upstream)})
    for _ in range(4):
        assert client(q).ask().status == 200
    seen(q, lambda s: s.get("qcc_requests_total", status="2xx") == 4, "the count")
    assert q.stop() == 0
    q.start(wait=False)
    q.wait_serving(count=2)
    s = scrape(q)
    assert s.get("qcc_requests_total", status="2xx") == 0 and s.sum("qcc_attempts_total") == 0
    assert s.get("qcc_sent_bytes_total") == 0
    assert json.loads(q.get("/api/v1/status", port=q.admin_port)[1])["totals"]["requests"] == 4
    assert client(q).ask().status == 200
    seen(q, lambda s: s.get("qcc_requests_total", status="2xx") == 1, "the next one")


def test_scrapes_in_the_middle_of_reloads(busy, upstream):
    """Each scrape is whole, and no counter of an endpoint that stays falls from one to the next."""
    start = json.loads(busy.path.read_text())["endpoints"]
    stop, trouble, n = threading.Event(), [], [0]

    def read():
        last = None
        try:
            while not stop.is_set():
                s = scrape(busy)
                n[0] += 1
                if last:
                    lost = [x for x in fell(last, s) if ("endpoint", "c") not in x[0][1]]
                    assert not lost, lost
                last = s
        except Exception as e:  # shown by the test's own thread
            trouble.append(repr(e))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for i in range(8):
            busy.reload({"endpoints": start if i % 2 else start[:2], "workers": 1 + i % 3})
    finally:
        stop.set()
        reader.join(PATIENCE)
    assert not trouble, trouble
    assert n[0] >= 8


def test_clients_make_no_series(qcc, upstream, client):
    q = qcc({"endpoints": sites(upstream)})
    client(q).ask()
    before = set(scrape(q).v)
    for i in range(30):
        client(q).ask(model="model-%d" % i, path="/v1/messages?x=%d" % i, headers=["x-conversation-id: c%d" % i])
    s = seen(q, lambda s: s.sum("qcc_requests_total") >= 31, "the count")
    assert set(s.v) == before


def test_head(qcc):
    import http.client
    q = qcc()
    c = http.client.HTTPConnection("127.0.0.1", q.admin_port, timeout=PATIENCE)
    c.request("HEAD", "/metrics")
    r = c.getresponse()
    assert r.status == 200 and int(r.getheader("content-length")) > 1000 and r.read() == b""
    c.close()
