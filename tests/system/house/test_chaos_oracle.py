"""The judge of the campaign (tests/chaos/oracle.py): each of its rules finds what it is there for, and is silent where all is well.

The records are made by hand: one endpoint `anchor` that is always well, one `bad`, and what a test adds."""
import copy
import pathlib
import re
import socket
import sys

import pytest

from qcc import Upstream, connectable, until

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "chaos"))

import families  # noqa: E402
import oracle  # noqa: E402
import plan  # noqa: E402
import stage  # noqa: E402
import troubles  # noqa: E402

T = 1000.0


def state(name, **more):
    return {"name": name, "state": "healthy", "health": "healthy", "breaker": {"state": "closed", "failures": 0}, "queued": None,
            "disabled_by": None, "draining": False, "cooldown_s": 0.0, "charged": 0, **more}


class Case:
    """A campaign in which nothing has happened yet."""

    def __init__(self, **config):
        made = plan.make(1)
        endpoints = [{"name": "anchor", "site": "anchor", "weight": 100, "priority": 1},
                     {"name": "bad", "site": "bad", "weight": 100, "priority": 2}]
        made["config"].update(endpoints=endpoints, stream_ping="15s", affinity={"enabled": True}, workers=2)
        made["config"]["upstream"].update(pool={"max_connections": 100}, first_byte_timeout="500ms", connect_timeout="300ms")
        made["config"]["retry"].update(max_attempts=5, max_attempts_per_endpoint=2, transient_delay="10ms", hold_stream_head="200ms",
                                       hold_reply="1MiB")
        made["config"]["balance"] = {"strategy": "priority_failover", "use_priority": False}
        made["config"]["breaker"]["failure_threshold"] = 3
        made["config"].pop("models", None)
        made["config"].update(config)
        made.update(sites={"anchor": [[0, ""]], "bad": [[0, "status=503"]]}, clients=[], operators=[], reloads=[], touched=[])
        self.n = 0
        self.raw = {"plan": made, "clients": [], "journal": [], "samples": [(T, {n: state(n) for n in ("anchor", "bad")})],
                    "operators": [], "log": [], "lag": [], "faults": [], "usable": T + 5, "bound": 3, "left": {},
                    "files": {1: [8, 8]}, "memory": {1: [5000, 6000]}, "exit": 0}
        for site, line in made["sites"].items():
            self.raw["journal"].append({"what": "set", "t": T - 1, "site": "/n/" + site, "spec": line[0][1]})

    def client(self, t0=T, t1=T + 0.1, **more):
        self.n += 1
        id_ = "c%d" % self.n
        c = {"id": id_, "kind": "json", "good": True, "session": None, "stream": False, "model": "m", "t0": t0, "sent": t0, "t1": t1,
             "began": t1, "fresh": True, "status": 200, "end": "whole", "text": "say " + id_,
             "headers": {"x-qcc-endpoint": "anchor", "x-qcc-attempts": "1", "server": "fake"}, **more}
        self.raw["clients"].append(c)
        return c

    def exchange(self, c, site="anchor", begin=T + 0.01, end=T + 0.09, status=200, fails=False, whole=True, sent=300, content=True,
                 method="POST", path="/v1/messages"):
        self.n += 1
        line = {"n": self.n, "site": "/n/" + site, "id": c["id"] if c else "", "method": method, "target": "/n/" + site + path,
                "model": c["model"] if c else "m", "stream": False, "sha256": "", "conn": 1, "head": begin, "status": status,
                "fails": fails, "whole": False, "sent": 0, "content": 0}
        self.raw["journal"].append({**line, "what": "begin", "t": begin})
        if end is not None:
            self.raw["journal"].append({**line, "what": "end", "t": end, "whole": whole, "sent": sent, "content": end if content else 0})

    def served(self, **more):
        c = self.client(**more)
        self.exchange(c, begin=c["t0"] + 0.01, end=c["t1"] - 0.01)
        return c

    def said(self, t, msg, level="info", **more):
        self.raw["log"].append({"t": t, "level": level, "process": "supervisor", "msg": msg, **more})

    def did(self, action, argument=None, t=T, until=None):
        self.raw["operators"].append({"t": t, "until": t + 0.01 if until is None else until, "action": action, "argument": argument,
                                      "status": 200})

    def rules(self):
        return {f.rule for f in oracle.judge(copy.deepcopy(self.raw))}


@pytest.fixture(autouse=True)
def strict(monkeypatch):
    """Exceptions for what is not mended yet are no matter of these tests."""
    monkeypatch.setattr(oracle, "NOT_YET_RULES", {})


def test_all_is_well():
    case = Case()
    case.served()
    case.served(stream=True, first=T + 0.05)
    assert case.rules() == set()


def test_served():
    case = Case()
    c = case.client(status=503, body="", headers={"server": "fake", "x-qcc-attempts": "1"})
    case.exchange(c, "bad", status=503, fails=True, content=False)
    assert "served" in case.rules()


def test_served_says_nothing_of_what_was_given_to_the_client():
    case = Case()
    c = case.client(stream=True, end="error event")
    case.exchange(c, "bad", fails=True)
    assert "served" not in case.rules()


def test_served_by_one_that_was_seen_to_be_well():
    """Without an anchor: an endpoint that had troubles once, and none since it was seen to be well."""
    case = Case()
    case.raw["plan"]["sites"]["anchor"].append([1, "status=500"])
    case.raw["samples"] = [(T - 0.2, case.raw["samples"][0][1])]
    c = case.client(status=503, body="", headers={"server": "fake", "x-qcc-attempts": "1"})
    case.exchange(c, "bad", status=503, fails=True, content=False)
    assert "served" in case.rules()
    cells = case.raw["samples"][0][1]["anchor"]["cells"] = [{"family": "opus"}]
    assert "served" in case.rules()
    cells.append({"family": "m"})
    assert "served" not in case.rules()
    cells.clear()
    case.did("reload")
    assert "served" not in case.rules()


def test_served_with_a_refusal():
    """No second opinion comes from an open circuit."""
    case = Case()
    c = case.client(status=400, body="", headers={"server": "fake", "x-qcc-attempts": "1"})
    case.raw["journal"][1]["spec"] = troubles.PERMANENT["400"]
    case.exchange(c, "bad", status=400, fails=True, content=False)
    assert case.rules() == {"served"}
    case.said(T - 0.1, "endpoint anchor: breaker closed -> open: failures in a row", "warning")
    assert "served" not in case.rules()


def test_served_is_silent_where_a_worker_was_killed():
    case = Case()
    case.client(status=None, end="none", headers={})
    case.did("kill", 0)
    assert case.rules() == set()


def test_served_is_silent_where_nobody_supervises():
    """A worker finishes what was begun, which a connection alone is not."""
    case = Case()
    case.client(end="none", status=None, headers={})
    case.did("kill supervisor", t=T + 0.07, until=T + 0.2)
    assert "served" in case.rules()
    case.raw["clients"][-1]["sent"] = T + 0.08
    assert case.rules() == set()


def test_patient():
    case = Case()
    c = case.client(t1=T + 3)
    case.exchange(c, end=T + 0.02)
    assert case.rules() >= {"patient"}
    case.raw["lag"] = [(T + 0.1, 2.9)]
    assert "patient" not in case.rules()


def test_vain():
    case = Case()
    case.raw["plan"]["config"]["endpoints"][0]["max_concurrent"] = 1
    c = case.client(t1=T + 0.8)
    case.exchange(c, begin=T + 0.7, end=T + 0.75)
    assert "vain" in case.rules()
    case = Case()
    case.raw["plan"]["config"]["endpoints"][0]["max_concurrent"] = 1
    other = case.client(t1=T + 0.7)
    case.exchange(other, begin=T + 0.01, end=T + 0.69)
    c = case.client(t1=T + 0.8)
    case.exchange(c, begin=T + 0.7, end=T + 0.75)
    assert "vain" not in case.rules()


def test_spent():
    case = Case()
    case.raw["plan"]["config"]["endpoints"][0]["models"] = {"allow": ["other"]}
    c = case.client(status=503, body="", headers={"server": "fake", "x-qcc-attempts": "1"})
    case.exchange(c, "bad", status=503, fails=True, content=False)
    assert case.rules() == {"spent"}
    case.said(T - 0.1, "endpoint bad: breaker closed -> open: failures in a row", "warning")
    assert "spent" not in case.rules()


def test_spent_with_a_refusal():
    """Of those asked for a second opinion the last one alone is asked again, which the access line names."""
    case = Case()
    case.raw["plan"]["config"]["endpoints"][0]["models"] = {"allow": ["other"]}
    case.raw["plan"]["config"]["endpoints"].append({"name": "no", "site": "no", "weight": 100, "priority": 1})
    case.raw["plan"]["sites"]["no"] = [[0, troubles.PERMANENT["404"]]]
    case.raw["journal"].append({"what": "set", "t": T - 1, "site": "/n/no", "spec": troubles.PERMANENT["404"]})
    c = case.client(status=404, body="", headers={"server": "fake", "x-qcc-attempts": "2", "x-qcc-request-id": "r"})
    case.exchange(c, "no", status=404, fails=True, content=False)
    case.exchange(c, "bad", begin=T + 0.05, status=503, fails=True, content=False)
    line = {"request_id": "r", "attempts": 2}
    case.said(T + 0.1, "request", failures="no:permanent,bad:transient", **line)
    assert case.rules() == {"spent"}
    case.raw["log"][-1]["failures"] += ",dead:transient"
    assert case.rules() == set()


def test_gone():
    case = Case()
    c = case.client(end="left", good=False, t1=T + 0.1)
    case.exchange(c, end=T + 2, whole=False)
    assert "gone" in case.rules()


def test_side():
    case = Case()
    case.client(kind="side", side="HEAD /", good=False, status=503)
    case.client(kind="count", count=True, good=False, status=503, headers={"server": "fake"})
    assert case.rules() == {"side"}


def test_prompt():
    case = Case()
    c = case.client(stream=True, t1=T + 1, first=T + 0.9)
    case.exchange(c, end=T + 0.1)
    assert "prompt" in case.rules()


def test_allowed():
    case = Case()
    case.raw["plan"]["config"]["endpoints"][0]["models"] = {"allow": ["claude-*"]}
    case.served()
    assert "allowed" in case.rules()
    case = Case()
    case.did("disable", "anchor", T - 1)
    case.served()
    assert "allowed" in case.rules()
    case.did("enable", "anchor", T - 0.5)
    assert "allowed" not in case.rules()


def test_ranked():
    case = Case()
    case.raw["plan"]["sites"]["bad"] = [[0, ""]]
    c = case.client(headers={"x-qcc-endpoint": "bad", "x-qcc-attempts": "1"})
    case.exchange(c, "bad")
    assert case.rules() == {"ranked"}


def test_logged():
    case = Case()
    c = case.served()
    c["headers"]["x-qcc-request-id"] = "ab"
    assert case.rules() == {"logged"}
    case.said(T + 0.1, "request", request_id="ab", attempts=1)
    assert case.rules() == set()


def test_timeouts():
    case = Case()
    c = case.client(t1=T + 4)
    case.exchange(c, "bad", end=T + 3.9, whole=False, sent=0, fails=True, content=False)
    assert "timeouts" in case.rules()


@pytest.mark.parametrize("end", ["silent", "cut", "gave up", "none"])
def test_visible(end):
    case = Case()
    c = case.client(stream=True, good=False, end=end)
    case.exchange(c)
    assert "visible" in case.rules()


def test_own():
    case = Case()
    case.served(text="say c99")
    assert case.rules() == {"own"}
    case = Case()
    case.client()
    assert "own" in case.rules()


def test_counted():
    case = Case()
    case.served()["headers"]["x-qcc-attempts"] = "2"
    assert case.rules() == {"counted"}


@pytest.mark.parametrize("change", [{"health": "degraded"}, {"charged": 1}, {"cooldown_s": 1.0}, {"queued": {"reason": "x"}},
                                    {"disabled_by": "auth"}, {"breaker": {"state": "open", "failures": 3}}])
def test_blameless(change):
    case = Case()
    case.raw["samples"].append((T + 1, {"anchor": state("anchor", **change)}))
    assert case.rules() == {"blameless"}


def test_blameless_with_a_message_that_nobody_serves():
    """A repeat within a moment may come to the supervisor before the word that nobody serves it."""
    case = Case()
    case.raw["plan"]["clients"] = [{"kind": "poison"}]
    for t in (T, T + 0.2):
        c = case.client(t, t + 0.05, kind="poison", good=False, status=503, body="", headers={"server": "fake"})
        case.exchange(c, "bad", t + 0.01, t + 0.02, status=503, fails=True, content=False)
    case.raw["samples"].append((T + 1, {"anchor": state("anchor", breaker={"state": "open", "failures": 3})}))
    assert case.rules() == {"blameless"}
    case.raw["clients"][-1]["t0"] = T + 0.06
    assert case.rules() == set()


def test_blameless_is_not_who_has_failed():
    case = Case()
    case.raw["samples"].append((T + 1, {"bad": state("bad", health="unhealthy", charged=3)}))
    assert case.rules() == set()


def test_isolated():
    case = Case()
    case.said(T - 1, "endpoint bad: breaker closed -> open: failures in a row", "warning")
    c = case.client(status=503, body="", headers={"server": "fake", "x-qcc-attempts": "1"})
    case.exchange(c, "bad", status=503, fails=True)
    assert "isolated" in case.rules()
    case.exchange(c, "anchor", T - 0.01, T)
    assert "isolated" not in case.rules()


def test_form():
    case = Case()
    case.client(good=False, status=502, body='{"type":"error","error":{"type":"overloaded_error"}}', headers={})
    assert case.rules() == {"form"}
    case = Case()
    case.client(good=False, status=503, body='{"type":"error","error":{"type":"api_error"}}', headers={"retry-after": "90"})
    assert case.rules() == {"form"}


def test_pings():
    case = Case(stream_ping="100ms")
    case.served(stream=True, t1=T + 0.9)
    assert "pings" in case.rules()


def test_sticky():
    case = Case()
    case.raw["plan"]["sites"]["bad"] = [[0, ""]]
    for i in range(3):
        c = case.client(T + i, T + i + 0.1, session="s", turn=i)
        site = "bad" if i == 2 else "anchor"
        c["headers"]["x-qcc-endpoint"] = site
        case.exchange(c, site, T + i + 0.01, T + i + 0.09)
    assert case.rules() == {"sticky"}
    case.said(T + 1.5, "endpoint anchor: breaker closed -> open: failures in a row", "warning")
    assert "sticky" not in case.rules()
    case.raw["log"].clear()
    # Where its connections were in use it was passed over, and keeps the conversation.
    case.raw["plan"]["config"]["upstream"]["pool"]["max_connections"] = 2
    for _ in range(2):
        assert case.rules() == {"sticky"}
        case.served(t0=T + 1.9, t1=T + 2.1)
    assert case.rules() == set()


def test_sticky_counts_what_the_client_left():
    """The reply binds where it was begun, so that the conversation may go back there."""
    case = Case()
    case.raw["plan"]["sites"]["bad"] = [[0, ""]]
    for i, (site, end) in enumerate((("bad", "gave up"), ("anchor", "whole"), ("anchor", "whole"), ("bad", "whole"))):
        c = case.client(T + i, T + i + 0.1, session="s", turn=i, end=end)
        case.exchange(c, site, T + i + 0.01, T + i + 0.09)
    assert "sticky" not in case.rules()
    case.raw["clients"][0]["session"] = "another"
    assert "sticky" in case.rules()


def test_limits():
    case = Case()
    case.raw["plan"]["config"]["endpoints"][0]["max_concurrent"] = 1
    case.served()
    assert case.rules() == set()
    case.served(t0=T - 0.2, t1=T + 0.5)
    assert case.rules() == {"limits"}


def test_one_trial():
    case = Case()
    case.said(T - 1, "endpoint bad: breaker closed -> open: failures in a row", "warning")
    for _ in range(2):
        case.exchange(None, "bad", end=T + 0.5, status=503, fails=True)
    assert {"one trial", "one verification"} <= case.rules()


def test_one_verification():
    case = Case()
    for _ in range(2):
        case.exchange(None, "bad", end=T + 0.5, status=503, fails=True)
    assert case.rules() == {"one verification"}


def test_recovered():
    case = Case()
    case.raw["usable"] = None
    assert case.rules() == {"recovered"}


@pytest.mark.parametrize("change", [{"left": {"anchor": 1}}, {"left": None}, {"files": {1: [8, 12]}}, {"memory": {1: [5000, 90000]}},
                                    {"exit": 1}])
def test_returned(change):
    case = Case()
    case.raw.update(change)
    assert case.rules() == {"returned"}


def test_quiet():
    case = Case()
    case.said(T, "worker 0 (pid 7) ended unexpectedly after 1.0 s: signal 11 (Segmentation fault)", "error")
    assert case.rules() == {"quiet"}
    case = Case()
    case.said(T, "worker 0 (pid 7) ended unexpectedly after 1.0 s: signal 9 (Killed)", "error")
    assert case.rules() == {"quiet"}
    case.did("kill", 0, T - 0.1)
    assert case.rules() == set()


@pytest.mark.parametrize("probe", ["off", "http", "conversational"])
def test_the_bound_knows_lasting_marks(probe):
    """Where nobody verifies no plan has any; else they give a half-open breaker its time."""
    made = [p for p in map(plan.make, range(2000)) if p["config"]["failure_queue"]["probe"] == probe]
    lasting = [p for p in made if stage.lasting_marks(p)]
    assert made and bool(lasting) == (probe != "off")
    for p in lasting:
        short = copy.deepcopy(p)
        short["config"]["rate_limit"]["max_cooldown"] = "900ms"
        assert stage.bound(p) - stage.bound(short) > stage.HALF_OPEN_S


def test_nobody_gets_the_port_of_an_endpoint_that_is_down(tmp_path):
    up = Upstream(tmp_path, "--listen", "127.0.0.1:0")
    port = int(until(lambda: re.findall("listening .*:(\\d+)", up.log())[1:], "the second listener")[0])
    for word in ("off", "deaf", "on", "deaf", "off", "on"):
        up.call("PUT", "/_listen/%d" % port, word)
        with socket.socket() as s, pytest.raises(OSError, match="in use"):
            s.bind(("127.0.0.1", port))
    assert connectable(port)
    up.close()


def test_every_rule_has_a_test():
    here = pathlib.Path(__file__).read_text()
    for rule in oracle.RULES:
        assert "\ndef test_%s" % rule.__name__ in here, rule.__name__


def test_exceptions_are_names_of_something():
    for name in troubles.NOT_YET_DRAWN:
        assert name in troubles.TROUBLES or name in plan.ACTIONS or name == "poison", name


def test_blameless_cells_and_marks():
    for change in ({"cells": [{"family": "m", "tier": "degraded"}]}, {"marks": [{"kind": "model", "name": "m"}]}):
        case = Case()
        case.raw["samples"].append((T + 0.1, {"anchor": state("anchor", **change), "bad": state("bad", **change)}))
        assert case.rules() == {"blameless"}


CELL_OPENS = "endpoint bad: m: breaker closed -> open: failures in a row"


def test_isolated_cell():
    """Others of the endpoint go on."""
    case = Case()
    case.said(T - 1, CELL_OPENS, "warning")
    c = case.client(status=503, body="", model="claude-opus-4-1", headers={"server": "fake", "x-qcc-attempts": "1"})
    case.exchange(c, "bad", status=503, fails=True)
    assert not case.rules() & {"isolated cell", "isolated"}
    c["model"] = "m"
    assert "isolated cell" in case.rules()
    case.exchange(c, "anchor", T - 0.01, T)
    assert "isolated cell" not in case.rules()


def test_isolated_cell_until_its_trial():
    case = Case()
    case.said(T - 1, CELL_OPENS, "warning")
    case.said(T - 0.5, "endpoint bad: m: breaker open -> half_open: time is over")
    c = case.client(status=503, body="", headers={"server": "fake", "x-qcc-attempts": "1"})
    case.exchange(c, "bad", status=503, fails=True)
    assert "isolated cell" not in case.rules()


def test_one_trial_of_a_cell():
    case = Case()
    case.said(T - 1, CELL_OPENS, "warning")
    two = [case.client(status=503, body="", t1=T + 0.6, headers={"server": "fake", "x-qcc-attempts": "1"}) for _ in range(2)]
    for c in two:
        case.exchange(c, "bad", end=T + 0.5, status=503, fails=True)
    assert "one trial" in case.rules()
    two[0]["model"] = "claude-opus-4-1"
    assert "one trial" not in case.rules()


def test_behind():
    """Who carries the mark is not sent there; who does not, is."""
    case = Case()
    case.said(T - 1, "endpoint bad: mark m none -> marked: another endpoint has served what it refused")
    c = case.client(status=404, body="", headers={"server": "fake", "x-qcc-attempts": "1"})
    case.exchange(c, "bad", status=404, fails=True)
    assert "behind" in case.rules()
    c["model"] = "claude-opus-4-1"
    assert "behind" not in case.rules()
    c["model"] = "m"
    case.said(T - 0.5, "endpoint bad: mark m marked -> none: time is over")
    assert "behind" not in case.rules()


@pytest.mark.parametrize("words", ["breaker closed -> open: failures in a row (3: 5xx)", "health degraded -> unhealthy: 5xx",
                                   "failure queue none -> queued: 5xx"])
def test_scoped(words):
    """Where all that an endpoint did wrong was said of a model."""
    case = Case()
    case.said(T, "endpoint bad: " + words, "warning")
    assert case.rules() == {"scoped"}
    case.raw["plan"]["sites"]["bad"].append([1, troubles.TROUBLES["page"]])
    assert case.rules() == set()


def test_scoped_with_two_cells():
    """Which open the endpoint's breaker, but put it into no queue."""
    case = Case()
    case.said(T - 0.5, CELL_OPENS, "warning")
    case.said(T, "endpoint bad: breaker closed -> open: two cells at once", "warning")
    assert case.rules() == {"scoped"}
    case.said(T - 0.01, CELL_OPENS.replace("m:", "opus:"), "warning")
    assert case.rules() == set()
    case.said(T, "endpoint bad: failure queue none -> queued: 5xx", "warning")
    assert case.rules() == {"scoped"}


def test_spent_where_the_cell_is_out():
    """Whose family's cell is open is not asked again."""
    case = Case()
    c = case.client(status=503, body="", headers={"server": "fake", "x-qcc-attempts": "1"})
    case.exchange(c, "bad", status=503, fails=True)
    assert "spent" in case.rules()
    case.said(T, CELL_OPENS.replace("m:", "opus:"), "warning")
    assert "spent" in case.rules()
    case.said(T, CELL_OPENS, "warning")
    assert "spent" not in case.rules()


def test_cells_that_last():
    """Of families that are asked for; not where the model is marked."""
    cells = [{"family": f} for f in ("opus", "m", "haiku", "other")]
    models = ["claude-opus-4-1", "m"]
    assert families.lasting({"cells": cells, "marks": []}, models) == ["opus", "m"]
    assert families.lasting({"cells": cells, "marks": [{"kind": "model", "name": "claude-opus-4-1"}]}, models) == ["m"]
    assert families.family("claude-3-opus") == "opus" and families.family("m") == "m" and families.family("claude-9") == "claude-9"
