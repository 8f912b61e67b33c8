"""What cells and marks mean to the judge (oracle.py): what of an endpoint a failure concerns, and what goes on.

A rule takes an Oracle, and says nothing where timing leaves open what was to be."""
import re

from evidence import EDGE
from troubles import MODEL_SCOPE, WELL_SPECS

OPEN, NOT_OPEN, CLOSED = r"(closed|half_open) -> open", "open -> ", ".*-> closed"
# After these nothing is said of what was remembered, or of what a worker knew.
STIRRED = ("stop", "stop supervisor", "upgrade", "reset", "enable", "reload", "kill")


def named(words, pattern):
    """What a pattern's group has found in the log of an endpoint."""
    return sorted({found.group(1) for _, text in words if (found := re.match(pattern, text))})


def cells_of(e, name):
    """Families of the cells of an endpoint whose breaker has changed."""
    return named(e.words[name], r"(\S+): breaker ")


def open_cells(e, name, t):
    """Families whose breaker was not closed at a moment, or about then."""
    return [f for f in cells_of(e, name)
            if any(b - EDGE <= t <= end + EDGE for b, end, _ in e.spans(name, f + ": breaker", OPEN, CLOSED))]


def free_anchor(o, c, name):
    """An endpoint that was well all the time and that the request had not asked yet."""
    tried = {name, *[y.site for y in o.e.attempts(c)]}
    return next((a for a in o.e.anchors() if a not in tried and o.e.offers(a, c.get("model"))), None)


def avoided(o, rule, name, spans, concerns):
    """While one of these lasts, nobody whom it concerns is sent there as another one is well."""
    e = o.e
    if e.config["upstream"]["pool"]["max_connections"] < 50:
        return
    for begin, end, word in spans:
        if e.during(begin, end, *STIRRED, after=0.5):
            continue
        wide = 2 * EDGE + e.late(begin, begin + 0.1)
        for x in e.by_site[name]:
            c = e.client(x.id)
            if c and x.message and begin + wide < x.begin < end - wide and concerns(c) and free_anchor(o, c, name):
                o.fault(rule, "%s was asked for %s %.3f s after: %s" % (name, c.get("model"), x.begin - begin, word), c)
                break


def judged_names(o):
    """Endpoints of which the log says all that there is."""
    if o.e.during(0, float("inf"), "kill supervisor"):
        return []
    return [n for n in o.e.endpoints if n not in o.e.touched and not o.e.goes_down(n)]


def isolated_cell(o):
    """While a cell is open no message of its family goes to the endpoint, as another one is well."""
    for n in judged_names(o):
        for f in cells_of(o.e, n):
            if f != "other":  # which names are in it changes with what is served
                avoided(o, "isolated cell", n, o.e.spans(n, f + ": breaker", OPEN, NOT_OPEN),
                        lambda c: o.e.families(n, c.get("model")) == {f})


def one_trial_of_a_cell(o):
    """While a cell's breaker is not closed, one message of its family at a time tries it."""
    for n in judged_names(o):
        for f in cells_of(o.e, n):
            for begin, end, _ in o.e.spans(n, f + ": breaker", OPEN, CLOSED) if f != "other" else ():
                mine = [x for x in o.e.by_site[n] if (c := o.e.client(x.id)) and o.e.families(n, c.get("model")) == {f}]
                o.overlap(n, begin, end, mine, "the cell %s" % f)


def behind(o):
    """A model that an endpoint is marked for is not asked of it, as another one is well."""
    for n in judged_names(o):
        for model in named(o.e.words[n], r"mark (\S+) (?:none|suspect) -> marked: "):
            avoided(o, "behind", n, o.e.spans(n, "mark " + model, "(none|suspect) -> marked", "marked -> "),
                    lambda c: o.e.sent(n, c.get("model")) == {model})


def scoped(o):
    """Failures that concern a model take out its cell: never the endpoint, but for two cells at once, and never into the queue."""
    e = o.e
    if any(c.get("fake") for c in e.clients) or e.busy(0.1):
        return
    for n in judged_names(o):
        specs = {spec for _, spec in e.plan["sites"].get(n, [[0, "?"]])}
        if e.endpoints[n].get("dead") or specs - WELL_SPECS - MODEL_SCOPE or e.during(
                0, float("inf"), "verify", "reset", "upgrade"):
            continue
        if any(not x.message and not x.whole for x in e.by_site[n]):  # on side paths that is the endpoint's
            continue
        for t, words in e.words[n]:
            alone = re.match("breaker closed -> open", words) and len(open_cells(e, n, t)) < 2
            if alone or re.match("health .*-> unhealthy|failure queue .*-> queued", words):
                o.fault("scoped", "%s failed for single models: %s at %.3f" % (n, words, t), None,
                        ["%s at %.3f" % (w, when) for when, w in e.words[n]][-20:])
                break


RULES = [isolated_cell, one_trial_of_a_cell, behind, scoped]
