"""What a campaign saw, put in relation: requests with the exchanges of their attempts, and who is blameless when.

Reads the evidence of stage.py; decides nothing."""
import collections
import re

from families import family
from stage import seconds
from troubles import DOWN, NOT_YET_SPECS, WELL_SPECS

EDGE = 0.05  # what two processes see of one moment may be so far apart


class Exchange:
    """One request at an endpoint, by the fake upstream's own record."""

    def __init__(self, line):
        self.site, self.id, self.n = line["site"].rpartition("/")[2], line["id"], line["n"]
        self.method, self.path = line["method"], re.sub("^/n/[^/]*", "", line["target"])
        self.model, self.sha256, self.conn = line["model"], line["sha256"], line["conn"]
        self.begin, self.end, self.whole = line["head"], None, False
        self.status, self.fails, self.sent, self.content = line["status"], line["fails"], 0, None
        self.spec = None

    def finish(self, line):
        self.end, self.whole, self.sent = line["t"], line["whole"], line["sent"]
        self.content = line["content"] or None

    @property
    def message(self):
        return self.method == "POST" and self.path.split("?")[0] == "/v1/messages"

    def __repr__(self):
        end = "…" if self.end is None else "%.3f" % self.end
        return "%s[%.3f–%s %s%s%s]" % (self.site, self.begin, end, self.status, " fails" if self.fails else "",
                                       "" if self.whole else " cut by the proxy")


class Evidence:
    def __init__(self, raw):
        self.raw, self.plan = raw, raw["plan"]
        self.config = self.plan["config"]
        self.clients, self.samples, self.operators = raw["clients"], raw["samples"], raw["operators"]
        self.log, self.lag = raw.get("log", []), raw.get("lag", [])
        self.endpoints = {e["name"]: e for e in self.config["endpoints"]}
        self.touched = set(self.plan["touched"])
        self.words = collections.defaultdict(list)  # by endpoint: (t, what the supervisor's log says of it)
        for line in self.log:
            if found := re.match(r"endpoint (\S+): (.*)", line["msg"]):
                self.words[found.group(1)].append((line["t"], found.group(2)))
        self.exchanges = self.read_journal(raw.get("journal", []))
        self.clients_by_id = {c["id"]: c for c in self.clients}
        self.by_id, self.by_site = collections.defaultdict(list), collections.defaultdict(list)
        for x in self.exchanges:
            self.by_id[x.id].append(x)
            self.by_site[x.site].append(x)

    def read_journal(self, lines):
        open_, specs, found = {}, {}, []
        fakes = {c["id"]: c.get("fake") for c in self.clients}
        for line in lines:
            if line["what"] == "set":
                specs[line["site"].rpartition("/")[2]] = line["spec"]
                continue
            x = open_.get(line["n"])
            if x is None:
                x = open_[line["n"]] = Exchange(line)
                x.spec = fakes.get(line["id"]) or specs.get(x.site, "")
                found.append(x)
            if line["what"] == "end":
                x.finish(line)
        return found

    # ---- time

    def late(self, begin, end):
        """How much later than it should this machine may have been in that time."""
        return sum(lag for t, lag in self.lag if begin - 0.2 <= t + lag and t <= end + 0.2)

    def busy(self, most=0.25):
        """Whether the machine was so busy that what timeouts decide says nothing."""
        return max([lag for _, lag in self.lag] + [0]) > most

    def starved(self, client):
        """Whether it met a timeout at an endpoint that was well: with a machine so busy nothing is said."""
        names = [line.split(" ")[2].rstrip(":") for line in self.trail(client) if "timeout" in line]
        return any(self.always_well(n) and (self.busy(0.06) or self.slow_at(n, self.attempts(client))) for n in names)

    def slow_at(self, name, exchanges):
        """Whether that endpoint itself took longer for one of them than its behaviour asks for."""
        return any(x.site == name and (x.end is None or x.end - x.begin > 0.3) for x in exchanges)

    def during(self, begin, end, *actions, after=0.0):
        """Operators' actions of these kinds that touch the time, or have ended `after` seconds before it."""
        return [o for o in self.operators
                if o["action"] in actions and o["t"] <= end + EDGE and o.get("until", end) + after >= begin - EDGE]

    # ---- endpoints

    def always_well(self, name):
        """Whether it can have failed nobody: nothing listens at a dead one, a troubled one has troubles."""
        e = self.endpoints.get(name)
        return bool(e) and not e.get("dead") and all(spec in WELL_SPECS for _, spec in self.plan["sites"].get(name, [[0, "?"]]))

    def goes_down(self, name):
        """Whether there is a time at which it takes no connection."""
        return any(spec in DOWN.values() for _, spec in self.plan["sites"].get(name, []))

    def anchors(self):
        """Endpoints that could have served any good request at any time."""
        return [n for n, e in self.endpoints.items()
                if self.always_well(n) and not e.get("max_concurrent") and n not in self.touched
                and e.get("enabled", True)]

    def offers(self, name, model):
        models = self.endpoints[name].get("models") or {}
        allow = models.get("allow")
        if model in (models.get("map") or {}):
            return True
        model = (self.config.get("models", {}).get("map") or {}).get(model, model)
        return not allow or any(re.fullmatch(re.escape(p).replace("\\*", ".*"), model or "") for p in allow)

    def sent(self, name, model):
        """Names under which an endpoint may get a request for that model."""
        common = (self.config.get("models", {}).get("map") or {}).get(model, model)
        own = (self.endpoints[name].get("models") or {}).get("map") or {}
        return {own.get(model, own.get(common, common)), own.get(common, common)}

    def families(self, name, model):
        return {family(m) for m in self.sent(name, model)}

    def limit(self, name):
        """The largest max_concurrent that it ever had; None: none, or it became another one (by its key)."""
        found = [self.endpoints[name].get("max_concurrent", 0)]
        for change in self.plan["reloads"]:
            found += [0 if "api_key" in e else e.get("max_concurrent", 0) for e in change["endpoints"] if e["name"] == name]
        return None if 0 in found else max(found)

    # ---- requests

    def attempts(self, client):
        return sorted(self.by_id.get(client["id"], []), key=lambda x: x.begin)

    def unjudged(self, client):
        """Why this request's own fate is not judged; None: it is."""
        if any(x.spec in NOT_YET_SPECS for x in self.attempts(client)):
            return "met a fault that is known"
        begin, end = client.get("t0", 0), client.get("t1", 0)
        if self.during(begin, end, "kill", after=0.5):
            return "a worker was killed"
        # What was begun before is finished; what comes until another one serves finds nobody.
        sent = client.get("sent", end)  # a connection alone is no request, nor is one that was not sent
        if any(o["t"] - EDGE <= sent and begin <= o.get("until", end) + 0.5 for o in self.operators if o["action"] == "kill supervisor"):
            return "there was no supervisor"
        if self.starved(client) or self.late(begin, end) > 1 or client["end"] == "gave up" and self.busy():
            return "the machine was too busy"
        return None

    def duration(self, key, part):
        return seconds((self.config[part] if part else self.config)[key])

    def client(self, id_):
        return self.clients_by_id.get(id_)

    def asked(self, client):
        """How many attempts QCC says that it has made; None: it does not say."""
        said = client.get("headers", {}).get("x-qcc-attempts")
        rid = client.get("headers", {}).get("x-qcc-request-id")
        for line in self.log if said is None and rid else ():
            if line.get("request_id") == rid and line["msg"] == "request":
                said = line.get("attempts")
        return None if said is None else int(said)

    def failed_at(self, client):
        """Where its attempts failed, in their order, by its access line: also of those that no endpoint saw."""
        rid = client.get("headers", {}).get("x-qcc-request-id")
        lines = [m for m in self.log if rid and m.get("request_id") == rid and m["msg"] == "request" and m.get("failures")]
        return [pair.rpartition(":")[0] for pair in lines[-1]["failures"].split(",")] if lines else []

    def open_at(self, name):
        """[(t, +1 or -1)] of all exchanges at an endpoint, ends before begins."""
        steps = []
        for x in self.by_site[name]:
            steps.append((x.begin, 1))
            if x.end is not None:
                steps.append((x.end, -1))
        return sorted(steps)

    def crowded(self, name, client):
        """Whether all connections that a worker may have to it may have been in use when it chose for this request. The
        endpoint reads a request after its connection was taken: what counts is the time of others at QCC."""
        begin, end = client["t0"] - EDGE, self.attempts(client)[0].begin + EDGE
        others = {}
        for x in self.by_site[name]:
            k = self.client(x.id) or {"t0": x.begin, "t1": x.end}
            if k["t0"] <= end and (k.get("t1") or float("inf")) >= begin:
                others[x.id or x.n] = x
        return len(others) >= self.config["upstream"]["pool"]["max_connections"]

    # ---- log

    def lines(self, pattern, *levels):
        for line in self.log:
            found = re.search(pattern, line["msg"]) if not levels or line["level"] in levels else None
            if found:
                yield line, found

    def spans(self, name, what, begins, ends):
        """[(begin, end, the log's word)] of a state of an endpoint."""
        found, begin, word = [], None, ""
        for t, words in self.words[name]:
            if not words.startswith(what + " "):
                continue
            rest = words[len(what) + 1:]
            if re.match("([a-z_]+ )?" + begins, rest):
                begin, word = (t, words) if begin is None else (begin, word)
            elif begin is not None and re.match(ends, rest):
                found.append((begin, t, word))
                begin = None
        return found + ([(begin, float("inf"), word)] if begin is not None else [])

    def out_at(self, name, begin, end, model=None):
        """Whether it may have been out of service at some time in it, for this or that reason. model: or the cell of that."""
        spans = self.spans(name, "breaker", r"(closed|half_open) -> open", ".*-> closed") + self.spans(name, "failure queue", "-> queued", "queued -> ")
        spans += self.spans(name, "service", "enabled -> ", ".*-> enabled")
        spans += [(t, t + 2, "") for t, words in self.words[name] if words.startswith("cooldown told to wait")]
        for f in self.families(name, model) | {"other"} if model else ():
            spans += self.spans(name, f + ": breaker", r"(closed|half_open) -> open", ".*-> closed")
            spans += [(t, t + 2, "") for t, words in self.words[name] if words.startswith(f + ": cooldown told to wait")]
        return any(b <= end + EDGE and e >= begin - EDGE for b, e, _ in spans)

    def trail(self, client):
        """What the log says of a request."""
        rid = client.get("headers", {}).get("x-qcc-request-id")
        out = []
        for line in self.log:
            if rid and line.get("request_id") == rid:
                more = {k: v for k, v in line.items() if k in ("attempts", "failures", "status", "end", "total_ms")}
                out.append("%s %s%s" % (line["process"], line["msg"], " %s" % more if more else ""))
        return out
