"""The matrix: all pairs of failures at two endpoints, with a third that is well.

Each plan asks for JSON, for a stream, and for a stream that a ping has begun, under a strategy that begins at the first
endpoint and goes on to the second. A plan holds several pairs, each for a model of its own that only its three
endpoints offer, so that one start of the programs serves many."""
import itertools

from troubles import AUTH, PERMANENT, RATE_LIMIT, TRANSIENT, UNKNOWN, WELL

KINDS = {**TRANSIENT, **{k: v for k, v in RATE_LIMIT.items() if "limit=" not in v}, **AUTH,
         **{k: v for k, v in PERMANENT.items() if "messages.0" not in v}, **UNKNOWN}
A_PLAN = 64
FIRST_SEED = -1000


def pairs():
    """Pairs of kinds, in both orders; equal ones too. Two refusals are none: then the request is at fault."""
    return [(a, b) for a, b in itertools.product(KINDS, KINDS) if not (a in PERMANENT and b in PERMANENT)]


def plans(full=True):
    """The plans of the matrix. Not full: each pair in one order without a ping, and in the other with one."""
    order = list(KINDS)
    found = []
    for ping in (False, True):
        chosen = [(a, b) for a, b in pairs() if full or a == b or (order.index(a) < order.index(b)) != ping]
        for i in range(0, len(chosen), A_PLAN):
            found.append(make(FIRST_SEED - len(found), chosen[i:i + A_PLAN], ping))
    return found


def make(seed, chosen, ping):
    endpoints, sites, clients = [], {}, []
    for i, (a, b) in enumerate(chosen):
        model = "model-%d" % i
        for k, (name, spec) in enumerate((("first%d", KINDS[a]), ("second%d", KINDS[b]), ("anchor%d", WELL["late"]))):
            name %= i
            endpoints.append({"name": name, "site": name, "priority": k + 1, "models": {"allow": [model]}})
            sites[name] = [[0, spec]]
        for k, kind in enumerate(("stream",) if ping else ("json", "stream")):
            clients.append({"t": round(0.05 + 0.01 * i + 0.6 * k, 3), "kind": kind, "name": "p%d%s" % (i, kind), "model": model, "pad": 0})
    # A ping begins the stream where the first endpoint is silent for longer than stream_ping, or the pause is.
    return {"seed": seed, "seconds": 1.5, "sites": sites, "operators": [], "clients": clients, "touched": [], "reloads": [],
            "pairs": [list(c) for c in chosen], "config": config(endpoints, ping)}


def config(endpoints, ping):
    return {
        "workers": 2, "endpoints": endpoints, "balance": {"strategy": "priority_failover", "use_priority": False},
        "upstream": {"connect_timeout": "300ms", "first_byte_timeout": "500ms", "idle_timeout": "400ms",
                     "pool": {"max_connections": 100, "max_idle": 20, "idle_expiry": "200ms"}},
        "retry": {"max_attempts": 6, "max_attempts_per_endpoint": 2, "transient_delay": "60ms" if ping else "5ms",
                  "hold_stream_head": "500ms", "hold_reply": "1MiB", "max_wait": "0s", "max_retry_after": "59s"},
        "rate_limit": {"default_cooldown": "300ms", "max_cooldown": "1s"}, "health": {"degraded_for": "100ms"},
        "breaker": {"failure_threshold": 3, "open_duration": "200ms", "max_open_duration": "400ms"},
        "failure_queue": {"verify_interval": "200ms", "verify_disabled_interval": "300ms", "probe": "conversational", "probe_timeout": "400ms"},
        "affinity": {"enabled": True}, "stream_ping": "20ms" if ping else "15s", "limits": {"drain_timeout": "8s"}, "state_dir": False}
