"""The judge of a campaign: rules over the evidence (evidence.py), each of which can find faults.

    judge(raw) -> [Fault(rule, text, request id or None, trail)]

A rule says nothing where timing leaves open what was to be: it names the reason where it does. Its first line is what
QCC promises (behaviour.md)."""
import collections
import json
import re

import oracle_cells
from evidence import EDGE, Evidence
from troubles import BEYOND_DOUBT, NOT_YET_RULES, PERMANENT, TRANSIENT, TROUBLES, WELL_SPECS as WELL

Fault = collections.namedtuple("Fault", "rule text id trail")

SLACK = 1.0  # seconds that a busy machine may take more, with what its lag has shown
OVERLOADED_S, JITTER, LOAN_S = 0.75, 1.25, 0.02

ERROR_TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 413: "request_too_large",
               429: "rate_limit_error"}

# After these an endpoint may be asked once more: nothing is said against it but the failure itself. One that was silent is not.
AGAIN = {spec for name, spec in TRANSIENT.items() if "hang" not in name} | {TROUBLES["429"]}

# What cannot be told from the rest of an earlier reply, so that it is as good as a stale connection.
SPOILT = {TROUBLES[name] for name in ("garbage", "two lengths", "stray bytes", "endless headers")}

# Warnings and errors that a plan explains.
EXPLAINED = [
    (r"^endpoint \S+: ", None),  # a change of an endpoint's state is judged by what it says, not by its level
    (r"^worker \d+ \(pid \d+\) ended (unexpectedly after|badly while it drained).*signal 9", "kill"),
    (r"^worker \d+ ends too often", "kill"),
    (r"^the (supervisor is gone: finishing|new supervisor has ended)", "kill supervisor"),
    (r"^no upgrade: an upgrade is under way", "upgrade"),
    (r"^warm-up of ", None),
    (r"^request$|sent bytes that nobody asked for", None),  # QCC's own 5xx: judged by what the client got
    (r"^history: checked after an unclean end: it is whole", "kill supervisor"),
    (r"sandbox|^(limits\.max_connections|workers run without)|qcc\.yaml:(\d+:\d+: warning: endpoints| and \d+ more$)", None),
]


class Oracle:
    def __init__(self, raw):
        self.e = Evidence(raw)
        self.faults = []

    def fault(self, rule, text, client=None, trail=()):
        if any((rule, a) in NOT_YET_RULES for a in ["", *[o["action"] for o in self.e.operators]]):
            return
        more = list(trail)
        if client:
            more += ["client: " + str({k: v for k, v in client.items() if k in (
                "kind", "stream", "model", "session", "status", "end", "fresh", "headers", "tail", "odd", "size")})]
            more += ["attempt: %r by %r" % (x, x.spec) for x in self.e.attempts(client)]
            more += ["log: " + line for line in self.e.trail(client)]
            if "t0" in client:
                around = self.e.during(client["t0"] - 1, client.get("t1", client["t0"]) + 0.2, *ACTIONS)
                more += ["operator: %s %s %.3f–%.3f" % (o["action"], o["argument"], o["t"], o.get("until", 0)) for o in around]
        self.faults.append(Fault(rule, text, client["id"] if client else None, more))

    def judge(self):
        for text in self.e.raw.get("faults", []):
            self.fault("stage", text)
        if not self.faults:
            for rule in RULES:
                rule(self)
        return self.faults

    def good(self):
        """Requests that an endpoint which is well serves, and whose fate is judged."""
        return [c for c in self.e.clients if c["good"] and "t1" in c and not self.e.unjudged(c)]

    # ---- what clients get

    def served(self):
        """No good request fails while an endpoint was well, offered the model and had room."""
        for c in self.good():
            if c.get("status") == 200 and c["end"] == "whole" or c["end"] in ("stale", "left"):
                continue
            able = self.able(c)
            if self.opinion(c):  # which an open circuit is not asked for; whether one may be open is another rule
                able = [n for n in able if not self.e.out_at(n, c["t0"], c["t1"], c.get("model"))]
            if not able or self.committed(c) or self.refused(c):
                continue
            self.fault("served", "%s ended with %s, %s although %s was well" % (
                c["kind"], c.get("status"), c["end"], " and ".join(able)), c)

    def refused(self, c):
        """Whether two endpoints agreed that the request is at fault, or one was beyond doubt."""
        sites = {x.site for x in self.e.attempts(c) if x.spec in PERMANENT.values()}
        return len(sites) > 1 or any(x.spec in BEYOND_DOUBT.values() for x in self.e.attempts(c))

    def opinion(self, c):
        """Whether it met a refusal, so that what is asked afterwards is its second opinion."""
        return any(x.spec in PERMANENT.values() for x in self.e.attempts(c))

    def able(self, c):
        """Endpoints that could have served it all the time, and that it had attempts enough to reach."""
        if len(self.e.endpoints) > self.e.config["retry"]["max_attempts"]:
            return []
        found = [n for n in self.e.anchors() if self.e.offers(n, c.get("model"))]
        return found or [n for n in self.e.endpoints if self.e.offers(n, c.get("model")) and self.was_well(n, c)]

    def was_well(self, name, c):
        """Whether an endpoint with troubles or a limit was seen to be well before the request, has failed nobody since
        then, and had room all the time."""
        if name in self.e.touched or self.e.endpoints[name].get("dead") or self.e.during(
                c["t0"] - 0.3, c["t1"], "stop", "stop supervisor", "upgrade", "verify", "reset", "reload", after=0.5):
            return False
        if self.e.config["upstream"]["pool"]["max_connections"] < 50 or len(self.e.endpoints) > self.e.config["retry"]["max_attempts"]:
            return False
        sample = [s for t, s in self.e.samples if c["t0"] - 0.6 <= t <= c["t0"] - 0.02 and name in s]
        if not sample or sample[-1][name]["state"] not in ("healthy", "unknown") or sample[-1][name]["breaker"]["failures"] or [
                x for x in sample[-1][name].get("cells", ()) if x["family"] in self.e.families(name, c.get("model")) | {"other"}]:
            return False
        since = max(t for t, s in self.e.samples if c["t0"] - 0.6 <= t <= c["t0"] - 0.02 and name in s)
        for x in self.e.by_site[name]:
            ended = x.end if x.end is not None else float("inf")
            if ended >= since - 0.1 and x.begin <= c["t1"] and (x.fails or not x.whole):
                return False
        for t, spec in self.sets(name):
            if since - 0.1 <= t <= c["t1"] and spec not in WELL:
                return False
        if self.spec_at(name, since) not in WELL:
            return False
        limit = self.e.endpoints[name].get("max_concurrent", 0)
        return not limit or self.room(name, limit, c["t0"] - EDGE, c["t1"] + EDGE)

    def sets(self, name):
        return [(line["t"], line["spec"]) for line in self.e.raw["journal"]
                if line["what"] == "set" and line["site"] == "/n/" + name]

    def spec_at(self, name, t):
        return ([spec for when, spec in self.sets(name) if when <= t] or [""])[-1]

    def room(self, name, limit, begin, end):
        """Whether a place was free all the time, other than for this request."""
        level = most = 0
        for t, step in self.e.open_at(name):
            if t > end:
                break
            level += step
            most = max(most, level) if t >= begin else level
        return most < limit

    def committed(self, c):
        """Whether the client may have been given a part of the reply before it broke, so that nothing could be repaired."""
        hold = self.e.duration("hold_stream_head", "retry")
        for x in self.e.attempts(c):
            ended = x.end if x.end is not None else c["t1"]
            if c.get("stream") and x.sent and (x.content or ended - x.begin >= hold * 0.8):
                return True
            if not c.get("stream") and x.sent > 900 and self.e.config["retry"]["hold_reply"] == "1KiB":
                return True
        return False

    def patient(self):
        """No good request waits beyond its upstreams' own time and the pauses between attempts, while another endpoint
        was well. What an attempt took is the endpoint's record."""
        for c in self.good():
            if c["end"] in ("stale", "left") or c.get("slow") or not [n for n in self.e.anchors() if self.e.offers(n, c["model"])]:
                continue
            attempts = self.e.attempts(c)
            covered, at = 0.0, c["t0"]
            for x in attempts:
                end = min(x.end if x.end is not None else c["t1"], c["t1"])
                covered += max(0.0, end - max(at, x.begin))
                at = max(at, end)
            pause = sum(JITTER * (OVERLOADED_S if x.status == 529 or "overloaded" in (x.spec or "") or "flaky" in (x.spec or "")
                                  else self.e.duration("transient_delay", "retry")) for x in attempts if x.fails or not x.whole)
            unseen = max(0, (self.e.asked(c) or 0) - len(attempts))
            pause += unseen * (JITTER * self.e.duration("transient_delay", "retry") + max(
                self.e.duration(key, "upstream") for key in ("connect_timeout", "first_byte_timeout")))
            allowed = pause + LOAN_S * (len(attempts) + 1) + SLACK + self.e.late(c["t0"], c["t1"])
            allowed += sum(o.get("until", o["t"]) - o["t"] for o in self.e.during(c["t0"], c["t1"], "stop", "stop supervisor", "upgrade", "reload"))
            waited = c["t1"] - c["t0"] - covered
            if waited > allowed:
                self.fault("patient", "waited %.2f s beyond its upstreams' own time, %.2f s are explained" % (waited, allowed), c)

    def vain(self):
        """No good request waits, or fails for want of a place, while an endpoint that is well has had one for a while."""
        # What an endpoint that takes no connection costs stands in no record.
        if self.e.config["upstream"]["pool"]["max_connections"] < 50 or any(map(self.e.goes_down, self.e.endpoints)):
            return
        names = [n for n in self.e.endpoints if self.e.always_well(n) and n not in self.e.touched]
        for c in self.good():
            if c["end"] in ("stale", "left", "refused", "none") or c.get("slow") or self.e.during(
                    c["t0"] - 0.5, c["t1"], "stop", "stop supervisor", "upgrade", "kill", "kill supervisor", "reload", "verify", after=0.7):
                continue
            # A busy endpoint reads a request after it was given up: its record is no measure of who waited for what.
            if self.e.busy(0.06) and any("timeout" in line for line in self.e.trail(c)):
                continue
            at, pause = c.get("sent", c["t0"]), 0.0
            for x in self.e.attempts(c) + [None]:
                end = x.begin if x else c.get("began", c["t1"])
                for n in names:
                    least = 0.25 + pause + self.e.late(at, end)
                    if end - at > least and self.e.offers(n, c["model"]) and self.free_for(n, at, end) > least:
                        self.fault("vain", "waited from %.3f to %.3f while %s had a free place for %.2f s" % (
                            at, end, n, self.free_for(n, at, end)), c, ["%r for %s" % (y, y.id or "a verification")
                            for y in self.e.by_site[n] if y.begin <= end and (y.end or end) >= at][:12])
                        break
                if x:
                    at, pause = x.end if x.end is not None else c["t1"], 1.0 if x.fails or not x.whole else 0.0

    def free_for(self, name, begin, end):
        """The longest time in it in which a place was free."""
        limit = self.e.endpoints[name].get("max_concurrent", 0) or float("inf")
        level, since, best = 0, None, 0.0
        for t, step in self.e.open_at(name) + [(end, 0)]:
            if t >= end:
                t, step = end, 0
            if level < limit and t > begin:
                best = max(best, t - max(begin, since if since is not None else begin))
            was, level = level, level + step
            if level < limit and was >= limit:
                since = t
            if t >= end:
                break
        return best

    def spent(self):
        """A good request does not fail while it has an attempt left that an endpoint could be asked with."""
        per, most = self.e.config["retry"]["max_attempts_per_endpoint"], self.e.config["retry"]["max_attempts"]
        for c in self.good():
            seen = self.e.attempts(c)
            if (not seen or (c.get("status") or 200) < 400 or c["end"] != "whole" or self.refused(c) or c.get("slow")
                    or int(c["headers"].get("x-qcc-attempts", most)) >= most or self.e.during(c["t0"], c["t1"], *ACTIONS, after=0.5)):
                continue
            last = (self.e.failed_at(c) or [seen[-1].site])[-1]
            # For a second opinion nobody is asked once more but the last one.
            for n in {last} & {x.site for x in seen} if self.opinion(c) else {x.site for x in seen}:
                mine = [x for x in seen if x.site == n]
                if len(mine) < per and mine[-1].spec in AGAIN and not self.e.goes_down(n) and not self.e.out_at(n, mine[0].begin, c["t1"], c.get("model")):
                    self.fault("spent", "failed with %s although %s could have been asked again" % (c["status"], n), c)
                    break

    def gone(self):
        """A client that leaves ends its upstream transfer within a second, and nobody is asked for it afterwards."""
        for c in self.e.clients:
            if c["end"] != "left" or self.e.during(c["t1"], c["t1"] + 1, "stop", after=0.5):
                continue
            late = self.e.late(c["t1"], c["t1"] + 1)
            for x in self.e.attempts(c):
                if x.end is not None and x.end > c["t1"] + 1 + late or x.begin > c["t1"] + 0.2 + late:
                    self.fault("gone", "%s went on after its client had left at %.3f" % (x.site, c["t1"]), c)
                    break

    def side(self):
        """QCC answers clients' signs of life itself, and counts tokens where no endpoint does."""
        for c in self.e.clients:
            if "t1" not in c or self.e.unjudged(c) or self.e.during(c["t0"], c["t1"], "kill supervisor", after=0.5):
                continue
            if c.get("side") and c["side"] != "GET /v1/models" and c.get("status") != 200:
                self.fault("side", "%s got %s, %s" % (c["side"], c.get("status"), c["end"]), c)
            said = [x.spec for x in self.e.attempts(c)]
            if c.get("count") and self.e.anchors() and c.get("status") != 200 and not {TROUBLES["413"], *BEYOND_DOUBT.values()} & set(said):
                self.fault("side", "count_tokens got %s, %s" % (c.get("status"), c["end"]), c)

    def prompt(self):
        """Content is passed on as it comes."""
        for c in self.good():
            served = [x for x in self.e.attempts(c) if x.content]
            if c.get("first") and len(served) == 1 and not c.get("slow") and not self.e.during(c["t0"], c["t1"], "stop"):
                wait = c["first"] - served[0].content
                if wait > SLACK / 2 + self.e.late(served[0].content, c["first"]):
                    self.fault("prompt", "content came %.2f s after the endpoint had sent it" % wait, c)

    def allowed(self):
        """No request goes to an endpoint that does not offer its model, or that an operator has disabled."""
        for x in self.e.exchanges:
            c = self.e.client(x.id)
            if not c or c.get("faulty") or not x.message or x.site not in self.e.endpoints:
                continue
            if not self.e.offers(x.site, c.get("model")):
                self.fault("allowed", "%s does not offer %s" % (x.site, c.get("model")), c)
        for o in self.e.operators:
            # A request may have waited for long at an endpoint that took no connection.
            if o["action"] != "disable" or o.get("status") != 200 or self.e.goes_down(o["argument"]) or self.e.during(
                    o["t"], o["t"] + 1, "stop", "stop supervisor", "upgrade", "reload", "kill supervisor", after=0.5):
                continue
            back = min([p["t"] for p in self.e.operators if p["argument"] == o["argument"] and p["t"] > o["t"]
                        and p["action"] in ("enable", "reset")] + [float("inf")])
            for x in self.e.by_site[o["argument"]]:
                asked = self.e.client(x.id) if x.id else None
                if asked and x.message and o["until"] + 0.1 < x.begin < back and asked["t0"] > o["until"]:
                    self.fault("allowed", "%s was disabled at %.3f" % (x.site, o["until"]), self.e.client(x.id))
                    break

    def ranked(self):
        """Priorities are kept: nobody asks first a lower group, or a weight of 0, while an anchor was there."""
        balance = self.e.config["balance"]
        # What is full, also for want of a connection, is passed over; what a message that nobody serves has met is degraded.
        if any(c["kind"] == "poison" for c in self.e.clients) or self.e.during(0, float("inf"), "reload", "kill supervisor") or self.e.config["upstream"]["pool"]["max_connections"] < 50:
            return
        by_priority = balance["use_priority"] or balance["strategy"] == "priority_failover"
        for c in self.good():
            first = self.e.attempts(c)[:1]
            if not first or c["session"] or not self.e.always_well(first[0].site):
                continue
            x = self.e.endpoints[first[0].site]
            for n in self.e.anchors():
                a = self.e.endpoints[n]
                better = by_priority and a.get("weight", 100) and a.get("priority", 1) < x.get("priority", 1)
                heavier = (not by_priority or a.get("priority", 1) <= x.get("priority", 1)) and a.get("weight", 100) > 0 == x.get("weight", 100)
                if self.e.offers(n, c["model"]) and (better or heavier):
                    self.fault("ranked", "%s was asked first, not %s" % (x, a), c)
                    break

    def logged(self):
        """Each request has one access line."""
        lines = collections.Counter(m.get("request_id") for m in self.e.log if m["msg"] == "request")
        for c in self.e.clients:
            rid = (c.get("headers") or {}).get("x-qcc-request-id")
            if rid and lines[rid] != 1 and not self.e.unjudged(c):
                self.fault("logged", "%d access lines of %s" % (lines[rid], rid), c)

    def timeouts(self):
        """An attempt that brings nothing is given up after first_byte_timeout."""
        limit = self.e.duration("first_byte_timeout", "upstream")
        for x in self.e.exchanges:
            if x.end is None or x.sent or x.whole or self.e.during(x.begin, x.end, "stop", "stop supervisor", "upgrade"):
                continue
            if x.end - x.begin > max(limit, self.e.duration("probe_timeout", "failure_queue")) + SLACK + self.e.late(x.begin, x.end):
                self.fault("timeouts", "an attempt brought nothing for %.2f s and was not given up" % (x.end - x.begin), None, [repr(x)])

    def visible(self):
        """A stream ends well or visibly: with message_stop, or with an error event; never cut, never silently."""
        for c in self.e.clients:
            if c["end"] in ("silent", "cut", "gave up", "none", "refused") and "t1" in c and not self.e.unjudged(c):
                if c["end"] in ("none", "cut") and (c.get("faulty") or c.get("side")):
                    continue
                if c["end"] == "cut" and not c.get("stream") and self.committed(c):
                    continue  # cut so that the client can tell
                if c["end"] == "gave up" and self.explained_wait(c):
                    continue
                if c["end"] == "silent" and c.get("status") != 200:
                    continue
                self.fault("visible", "%s: the reply ended as `%s`" % (c["kind"], c["end"]), c)

    def explained_wait(self, c):
        return any(x.end is None or x.end - x.begin > 1.5 for x in self.e.attempts(c))

    def own(self):
        """Everybody gets the answer to the own question, whole and from the endpoint that is named."""
        for c in self.e.clients:
            if c.get("status") != 200 or c["end"] != "whole" or c.get("count") or c.get("side") or c.get("faulty") or self.e.unjudged(c):
                continue
            number = re.match(r"req_fake_0*(\d+)$", c["headers"].get("request-id", ""))
            served = [x for x in self.e.attempts(c) if x.status == 200 and (not number or x.n == int(number.group(1)))]
            # A stream that a ping has begun had its head before it had an endpoint.
            named = c["headers"].get("x-qcc-endpoint") or (c["stream"] and served and served[-1].site)
            if not served:
                self.fault("own", "a 200 that no endpoint gave", c)
            elif served[-1].site != named:
                self.fault("own", "x-qcc-endpoint is %s, served by %s" % (named, served[-1].site), c)
            elif "say " + c["id"] not in c.get("text", ""):
                self.fault("own", "the reply is not to this question: %.100r" % c.get("text"), c)
            mapped = self.e.config.get("models") or (self.e.endpoints.get(named) or {}).get("models", {}).get("map")
            for x in self.e.attempts(c):
                if c.get("sha256") and x.sha256 not in ("", c["sha256"]) and not mapped and x.site == named and "early" not in x.spec:
                    self.fault("own", "the endpoint got another body", c)

    def counted(self):
        """x-qcc-attempts is how often an endpoint was asked; a stale connection is not counted, what was refused is."""
        dead = any(e.get("dead") or self.e.goes_down(n) for n, e in self.e.endpoints.items())
        for c in self.e.clients:
            said = c.get("headers", {}).get("x-qcc-attempts")
            if not said or c.get("side") or c.get("count") or c.get("faulty") or self.e.unjudged(c):
                continue
            seen = self.e.attempts(c)
            # By the time of the reply's head; a pool's connection that the endpoint closed unread counts for neither.
            stale = sum(not x.sent or x.spec in SPOILT for x in seen)
            began = c.get("began", c["t1"])
            before = sum(x.begin <= began + EDGE for x in seen)
            n = int(said)
            if n > len(seen) and not dead and not self.e.during(c["t0"], c["t1"], "stop", "upgrade"):
                self.fault("counted", "x-qcc-attempts is %d, endpoints saw %d" % (n, len(seen)), c)
            elif n < before - stale:
                self.fault("counted", "x-qcc-attempts is %d, endpoints saw %d before the head" % (n, before), c)

    # ---- what endpoints are charged

    def blameless(self):
        """Nobody is charged for faults of clients or bystanders: an endpoint that was always well is never charged."""
        if self.e.busy():
            return
        names = [n for n in self.e.endpoints if self.e.always_well(n)]
        # Of a message that nobody serves one failure stays counted at each endpoint.
        poison = any(c["kind"] == "poison" for c in self.e.plan["clients"])
        # Two workers' words on one message reach the supervisor in any order: a repeat may come before the first is known.
        times = sorted((c["t0"], c.get("t1", c["t0"])) for c in self.e.clients if c["kind"] == "poison" and "t0" in c)
        if any(b[0] - a[1] < EDGE + self.e.late(a[1], b[0]) for a, b in zip(times, times[1:])):
            return
        # What is remembered of such a message does not outlive a supervisor, one that stood still hears of failures by several
        # workers at once, and what was not sent to all is not remembered.
        if poison and (self.e.during(0, float("inf"), "upgrade", "kill supervisor", "stop supervisor")
                       or any(e.get("dead") or self.e.goes_down(n) for n, e in self.e.endpoints.items())):
            return
        seen = set()
        for t, sample in self.e.samples:
            for n in names:
                s = sample.get(n)
                bad = s and [k for k, v in (
                    ("health " + s["health"], s["health"] in ("degraded", "unhealthy") and not poison),
                    ("breaker", s["breaker"]["state"] != "closed"), ("queued", s["queued"]), ("cooling", s["cooldown_s"] > 0),
                    ("cells %s" % s.get("cells"), s.get("cells") and not poison), ("marks %s" % s.get("marks"), s.get("marks")),
                    ("%d failures" % s["breaker"]["failures"], s["breaker"]["failures"] > 0 and not poison),
                    ("charged %d" % s["charged"], s["charged"] > 0 and not poison),
                    ("disabled by %s" % s["disabled_by"], s["disabled_by"] and n not in self.e.touched)) if v]
                if bad and any("timeout" in words for _, words in self.e.words[n]) and (
                        self.e.busy(0.06) or self.e.slow_at(n, self.e.by_site[n])):
                    bad = []
                if bad and n not in seen:
                    seen.add(n)
                    about = [m["msg"] for m, _ in self.e.lines("(^endpoint |^)%s: " % re.escape(n))][:12]
                    cut = ["attempt: %r for %s" % (x, x.id or "a verification") for x in self.e.by_site[n] if not x.whole or x.fails][:12]
                    self.fault("blameless", "%s was always well: %s at %.3f" % (n, ", ".join(bad), t), None, about + cut)

    def isolated(self):
        """While its breaker is open or it is in the failure queue, no message goes to an endpoint, as another one is well."""
        for n, e in self.e.endpoints.items():
            if n in self.e.touched or self.e.goes_down(n) or self.e.during(0, float("inf"), "kill supervisor"):
                continue
            spans = self.e.spans(n, "breaker", r"(closed|half_open) -> open", "open -> ")
            spans += self.e.spans(n, "failure queue", "-> queued", "queued -> ")
            for begin, end, word in spans:
                if self.e.during(begin, end, "stop", "stop supervisor", "upgrade", "reset", "enable", "reload", after=0.5):
                    continue
                wide = 2 * EDGE + self.e.late(begin, begin + 0.1)
                for x in self.e.by_site[n]:
                    c = self.e.client(x.id)
                    if (x.message and c and begin + wide < x.begin < end - wide
                            and [a for a in self.e.anchors() if a not in {n, *[y.site for y in self.e.attempts(c)]}
                                and self.e.offers(a, c.get("model"))]):
                        self.fault("isolated", "%s was asked %.3f s after: %s" % (n, x.begin - begin, word), c)
                        break

    def form(self):
        """QCC's own errors have Anthropic's form and the type of their status, and no long retry-after."""
        for c in self.e.clients:
            headers = c.get("headers") or {}
            if (c.get("status") or 0) < 400 or "server" in headers or "body" not in c or c.get("side"):
                continue
            try:
                error = json.loads(c["body"])
                kind = error["error"]["type"] if error["type"] == "error" else "?"
            except (ValueError, LookupError, TypeError):
                kind = "no JSON error: %.80r" % c["body"]
            if headers.get("content-type", "").startswith("text/html") or any(x.status == c["status"] for x in self.e.attempts(c)):
                continue
            if kind != ERROR_TYPES.get(c["status"], "invalid_request_error" if c["status"] < 500 else "api_error"):
                self.fault("form", "%d of QCC's own has %s" % (c["status"], kind), c)
            if int(headers.get("retry-after", 0)) > 59:
                self.fault("form", "retry-after is %s" % headers["retry-after"], c)

    def pings(self):
        """A stream never is silent for longer than stream_ping."""
        every = self.e.duration("stream_ping", None)
        for c in self.good():
            if not every or not c.get("stream") or c["end"] in ("stale", "left", "refused", "none") or "sent" not in c or c.get("slow"):
                continue
            first = c.get("began", c["t1"]) - c["sent"]
            if first > every + SLACK / 2 + self.e.late(c["t0"], c["t1"]) and not self.e.during(c["t0"], c["t1"], "stop"):
                self.fault("pings", "nothing came for %.2f s, stream_ping is %.2f s" % (first, every), c)

    def sticky(self):
        """A conversation with two successes at an endpoint stays there while that is well."""
        if not self.e.config["affinity"]["enabled"]:
            return
        talks, begun = collections.defaultdict(list), collections.defaultdict(list)
        for c in self.e.clients:
            if c.get("turn") is not None and "t1" in c and c.get("status") == 200:
                begun[c["session"]].append(c)
                if c["end"] == "whole":
                    talks[c["session"]].append(c)
        for session, talk in talks.items():
            for i in range(2, len(talk)):
                a, b, c = talk[0], talk[i - 1], talk[i]
                # One that was passed over for want of a place keeps its binding: all counts that was begun.
                at = {self.e.attempts(x)[-1].site for x in begun[session] if x["t0"] < c["t0"] and self.e.attempts(x)}
                moved = self.e.attempts(c) and self.e.attempts(c)[-1].site
                if len(at) != 1 or not at <= set(self.e.anchors()) or moved in at or not moved or c["t0"] - b["t1"] < 0.12:
                    continue
                # Whether its circuit may be open is another rule.
                if self.e.crowded(*at, c) or self.e.out_at(*at, b["t1"], c["t1"], c["model"]):
                    continue
                if self.e.during(a["t0"], c["t1"], "kill", "kill supervisor", "stop", "stop supervisor", after=0.5) or self.e.late(a["t0"], c["t1"]) > 0.1:
                    continue
                self.fault("sticky", "moved from %s to %s" % (*at, moved), c,
                           ["before: %s" % x["id"] for x in (a, b)])

    # ---- limits, trials, verifications

    def limits(self):
        """max_concurrent is never exceeded, over all workers of one supervisor."""
        if self.e.during(0, float("inf"), "kill supervisor"):
            return
        for n in self.e.endpoints:
            limit = self.e.limit(n)
            if limit is None:
                continue
            level, since = 0, None
            for t, step in self.e.open_at(n) + [(float("inf"), 0)]:
                if since is not None and t - since > EDGE + self.e.late(since, since + EDGE) and level > limit:
                    self.fault("limits", "%d open at %s at %.3f, max_concurrent is %d" % (level, n, since, limit), None,
                               ["%r for %s" % (x, x.id or "a verification") for x in self.e.by_site[n]
                                if x.begin <= since + EDGE and (x.end or float("inf")) > since])
                    break
                level += step
                since = (since if since is not None else t) if level > limit else None

    def one_trial(self):
        """While its breaker is not closed, one message request at a time tries an endpoint."""
        for n in self.e.endpoints:
            begin = None
            for t, words in self.e.words[n]:
                found = re.match(r"breaker (.*?) -> (open|closed|half[ _-]open)", words)
                if found and found.group(2) == "open" and begin is None:
                    begin = t
                elif found and found.group(2) == "closed" and begin is not None:
                    self.overlap(n, begin, t)
                    begin = None
            if begin is not None:
                self.overlap(n, begin, float("inf"))

    def overlap(self, n, begin, end, at=None, what="its breaker"):
        if self.e.goes_down(n) or self.e.during(begin, end, "stop", "stop supervisor", "upgrade", "kill", "kill supervisor", "reload", "reset", "enable", after=1):
            return
        wide = 0.06 + self.e.late(begin, begin + 1)
        tries = [x for x in (self.e.by_site[n] if at is None else at) if x.message and begin + wide < x.begin < end - wide and x.end is not None]
        tries.sort(key=lambda x: x.begin)
        for a, b in zip(tries, tries[1:]):
            if b.begin + EDGE < min(a.end, end - wide) and b.end - b.begin > EDGE:
                self.fault("one trial", "two at once at %s while %s was open from %.3f to %.3f" % (n, what, begin, end), None,
                           ["%r for %s" % (x, x.id or "a verification") for x in tries]
                           + ["%s at %.3f" % (words, t) for t, words in self.e.words[n]])
                return

    def one_verification(self):
        """An endpoint is verified by one worker at a time."""
        for n in self.e.endpoints:
            asked = sorted([x for x in self.e.by_site[n] if not x.id and x.method == "POST" and x.end is not None], key=lambda x: x.begin)
            for a, b in zip(asked, asked[1:]):
                if b.begin + EDGE < a.end and b.end - b.begin > EDGE and not self.e.during(
                        a.begin - 0.5, b.end, "stop", "stop supervisor", "upgrade", "kill", after=1):
                    self.fault("one verification", "two at once at %s" % n, None, [repr(a), repr(b)])
                    break

    # ---- the end

    def recovered(self):
        """When all are well again every endpoint is usable within the bound of its settings."""
        if self.e.raw["usable"] is None and not self.e.busy():
            names = sorted(n for n, e in self.e.endpoints.items() if not e.get("dead"))
            last = [{k: s[k] for k in ("name", "state", "health", "breaker", "queued", "disabled_by", "draining", "cooldown_s")}
                    for s in self.e.raw.get("last") or [] if s["name"] in names]
            words = [m["msg"] + " at %.3f" % m["t"] for m, _ in self.e.lines("^endpoint ")][-12:]
            self.fault("recovered", "not all are usable %.1f s after the last trouble" % self.e.raw["bound"], None,
                       [str(s) for s in last] + words)

    def returned(self):
        """Afterwards all counts are zero, and descriptors and memory have come back."""
        if self.e.raw["left"] is None:
            self.fault("returned", "the admin listener did not answer at the end")
        elif self.e.raw["left"]:
            self.fault("returned", "requests are still counted: %s" % self.e.raw["left"])
        for pid, (before, after) in self.e.raw.get("files", {}).items():
            if before and after and after > before + 1:
                self.fault("returned", "worker %s has %d descriptors, it had %d" % (pid, after, before))
        for pid, (before, after) in self.e.raw.get("memory", {}).items():
            if before and after and after > before + 60000:
                self.fault("returned", "worker %s has %d KB, it had %d" % (pid, after, before))
        if self.e.raw["exit"] != 0:
            self.fault("returned", "the supervisor ended with %s" % self.e.raw["exit"])

    def quiet(self):
        """No unexplained warning, no death unasked, no report of a sanitizer."""
        for line in self.e.log:
            if line["level"] not in ("warning", "error", "odd"):
                continue
            for pattern, action in EXPLAINED:
                if re.search(pattern, line["msg"]) and (action is None or self.e.during(
                        line["t"] - 1, line["t"] + 1, action, after=10)):
                    break
            else:
                self.fault("quiet", "%s: %s" % (line["process"], line["msg"]))


ACTIONS = ("reload", "disable", "drain", "enable", "verify", "reset", "kill", "stop", "stop supervisor", "upgrade",
           "kill supervisor")
RULES = [Oracle.served, Oracle.patient, Oracle.vain, Oracle.spent, Oracle.gone, Oracle.side, Oracle.prompt, Oracle.allowed,
         Oracle.ranked, Oracle.logged, Oracle.timeouts, Oracle.visible, Oracle.own, Oracle.counted, Oracle.blameless,
         Oracle.isolated, Oracle.form, Oracle.pings, Oracle.sticky, Oracle.limits, Oracle.one_trial, Oracle.one_verification, Oracle.recovered, Oracle.returned, Oracle.quiet,
         *oracle_cells.RULES]


def judge(raw):
    return Oracle(raw).judge()
