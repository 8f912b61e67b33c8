"""A campaign's plan, made of a seed: plain data, the same for the same seed.

    {"seed", "seconds",
     "config":    qcc.yaml without addresses; of endpoints `site` and `dead` stand for base_url
     "reloads":   changes of it, by number
     "sites":     {site: [[t, SPEC], ...]}       behaviours over time (/n/SITE of the fake upstream)
     "operators": [[t, action, argument], ...]
     "clients":   [{"t", "kind", ...}, ...]      clients.py has what each kind does
     "touched":   endpoints that operators or reloads change}

Times are seconds from the begin. Endpoints are `anchor…`: always well, without a limit, left alone by operators;
`limited…`: always well, with max_concurrent; `dead…`: nothing listens there; all others have troubles."""
import random

from troubles import GROUPS, MARKING, NOT_YET_DRAWN, RATE_LIMIT, TROUBLES, WELL

STRATEGIES = ["weighted", "round_robin", "random", "least_connections", "priority_failover", "least_latency"]
MODELS = ["claude-sonnet-4-6", "claude-opus-4-1", "m"]
SECONDS = 1.6


def ms(r, low, high):
    return "%dms" % r.randrange(low, high + 1)


def make(seed):
    r = random.Random(seed)
    plan = {"seed": seed, "seconds": SECONDS, "sites": {}, "operators": [], "clients": [], "touched": []}
    endpoints = make_endpoints(r, plan)
    plan["config"] = make_config(r, endpoints, plan["sites"])
    plan["reloads"] = [make_reload(r, plan) for _ in range(2)]
    make_operators(r, plan)
    make_clients(r, plan)
    if any(c["kind"] == "poison" for c in plan["clients"]):
        # Of a message that nobody serves one failure stays counted: it must not be enough for a breaker.
        plan["config"]["breaker"]["failure_threshold"] = max(3, plan["config"]["breaker"]["failure_threshold"])
        plan["config"]["retry"]["max_attempts_per_endpoint"] = min(2, plan["config"]["retry"]["max_attempts_per_endpoint"])
    if plan["config"]["failure_queue"]["probe"] == "off" and MARKING & specs(plan):
        # Where all models or sizes are marked and nobody verifies, an endpoint comes back when the marks end.
        plan["config"]["rate_limit"]["max_cooldown"] = "900ms"
    return plan


def specs(plan):
    return {spec for line in plan["sites"].values() for _, spec in line}


def names(plan, kind):
    return [e["name"] for e in plan["config"]["endpoints"] if e["name"].startswith(kind)]


# ---- endpoints

def make_endpoints(r, plan):
    if r.random() < 0.12:
        return full_house(r, plan)
    kinds = ["anchor"] * r.choice([0, 1, 1, 1, 2]) + ["limited"] * r.choice([0, 0, 0, 1, 1, 2])
    kinds += ["troubled"] * r.choice([0, 1, 1, 2, 2, 3]) + ["dead"] * r.choice([0, 0, 0, 0, 1])
    if len(kinds) < 1 or kinds == ["dead"]:
        kinds.append("troubled")
    r.shuffle(kinds)
    found = []
    for i, kind in enumerate(kinds):
        name = "%s%d" % (kind, i)
        e = {"name": name, "site": name, "weight": r.choice([0, 1, 50, 100, 100, 100]), "priority": r.choice([1, 1, 2, 3])}
        if kind == "limited":
            e["max_concurrent"] = r.choice([1, 1, 2, 3, 5])
        if kind == "troubled":
            e["max_concurrent"] = r.choice([0, 0, 0, 1, 3])
        if kind in ("limited", "troubled") and r.random() < 0.15:
            e["models"] = {"allow": r.choice([["claude-*"], ["m", "claude-opus-*"], [MODELS[0]]])}
        if r.random() < 0.1:
            e["models"] = {**e.get("models", {}), "map": {"m": "claude-mapped-1"}}
        if kind == "dead":
            e["dead"] = True
        plan["sites"][name] = make_timeline(r, kind)
        found.append(e)
    return found


def full_house(r, plan):
    """Endpoints that are well and have few places: who waits, and for what."""
    found = []
    for i in range(r.choice([1, 1, 2, 3])):
        name = "limited%d" % i
        found.append({"name": name, "site": name, "weight": 100, "priority": r.choice([1, 1, 2]), "max_concurrent": r.choice([1, 1, 2, 3])})
        plan["sites"][name] = [[0, r.choice(["delay_ms=60", "events=4,gap_ms=25", "delay_ms=150", "", "events=6,gap_ms=60"])]]
    return found


def make_timeline(r, kind):
    if kind != "troubled":
        return [[0, r.choice(list(WELL.values()))]]
    line, t = [], 0
    while t < SECONDS:
        well = r.random() < 0.35
        group = r.choice(GROUPS)
        name, spec = r.choice(list((WELL if well else group).items()))
        line.append([round(t, 3), TROUBLES["429 for 1 s"] if name in NOT_YET_DRAWN else spec])
        t += r.choice([0.15, 0.3, 0.6, 1, 2]) * r.uniform(0.7, 1.3)
    return line


# ---- configuration

def make_config(r, endpoints, sites):
    plain = not any(spec == RATE_LIMIT["402"] for line in sites.values() for _, spec in line)
    calm = any(e["name"].startswith("anchor") for e in endpoints)
    attempts = r.choice([len(endpoints) + 1, 5, 6]) if calm else r.choice([1, 2, 3, 5, 6])
    config = {
        "workers": r.choice([1, 2, 2, 3, 4]),
        "endpoints": endpoints,
        "upstream": {
            "connect_timeout": ms(r, 300, 900), "first_byte_timeout": ms(r, 400, 900), "idle_timeout": ms(r, 400, 900),
            "pool": {"max_connections": r.choice([100, 100, 8] if calm else [100, 8, 2, 1]),
                     "max_idle": r.choice([20, 20, 2, 0]), "idle_expiry": ms(r, 150, 400)},
            "warm_up": r.random() < 0.1,
            "list_models": False},
        "retry": {
            "max_attempts": max(attempts, len(endpoints) + 1) if calm else attempts,
            "max_attempts_per_endpoint": r.choice([1, 2, 2, 2, 3]), "transient_delay": ms(r, 1, 80),
            "hold_stream_head": ms(r, 50, 500), "hold_reply": r.choice(["1KiB", "64KiB", "1MiB"]),
            "max_wait": r.choice(["0s", "0s", "300ms", "1s"]), "max_retry_after": "59s"},
        "rate_limit": {"default_cooldown": ms(r, 300, 800), "max_cooldown": "1h" if plain and r.random() < 0.5 else ms(r, 800, 1000)},
        "health": {"degraded_for": ms(r, 50, 600)},
        "breaker": {"failure_threshold": r.choice([1, 2, 3, 3, 5]), "open_duration": ms(r, 200, 500),
                    "max_open_duration": ms(r, 500, 800)},
        "failure_queue": {
            "verify_interval": ms(r, 150, 400), "verify_disabled_interval": ms(r, 200, 500),
            "probe": r.choice(["conversational"] * 3 + ["http", "off"]), "probe_timeout": ms(r, 300, 700)},
        "balance": {"strategy": r.choice(STRATEGIES), "use_priority": r.random() < 0.3},
        "affinity": {"enabled": r.random() < 0.85},
        "stream_ping": r.choice(["0s", "15s", ms(r, 50, 350), ms(r, 50, 350)]),
        "limits": {"drain_timeout": "8s", "body_timeout": "2s", "header_timeout": "2s", "write_timeout": "4s"},
        "state_dir": r.random() < 0.4,
    }
    if r.random() < 0.15:
        config["models"] = {"map": {"m": MODELS[0]}}
    return config


def make_reload(r, plan):
    """A change of the configuration that leaves anchors as they are."""
    out = {}
    if r.random() < 0.4:
        out["workers"] = r.choice([1, 2, 3, 4])
    if r.random() < 0.4:
        out["balance"] = {"strategy": r.choice(STRATEGIES)}
    endpoints = []
    for e in plan["config"]["endpoints"]:
        e = dict(e)
        if not e["name"].startswith("anchor"):
            if r.random() < 0.2 and len(plan["config"]["endpoints"]) > 1:
                plan["touched"].append(e["name"])
                continue
            if r.random() < 0.3:
                plan["touched"].append(e["name"])
                e["max_concurrent"] = r.choice([0, 1, 2, 4])
            if r.random() < 0.15 and not e.get("dead"):
                plan["touched"].append(e["name"])
                e["api_key"] = "sk-other-0123456789"
            if r.random() < 0.2:
                plan["touched"].append(e["name"])
                e["weight"] = r.choice([0, 10, 100])
        endpoints.append(e)
    out["endpoints"] = endpoints or plan["config"]["endpoints"]
    return out


# ---- operators

ACTIONS = ["reload"] * 3 + ["disable", "drain", "verify", "reset"] * 2 + ["kill", "stop", "stop", "stop supervisor", "upgrade", "kill supervisor"]


def make_operators(r, plan):
    others = [e["name"] for e in plan["config"]["endpoints"] if not e["name"].startswith("anchor")]
    everyone = [e["name"] for e in plan["config"]["endpoints"]]
    for _ in range(r.choice([0, 0, 1, 1, 2, 3, 4])):
        action = r.choice(ACTIONS)
        if action in NOT_YET_DRAWN:
            action = "reload"
        t = round(r.uniform(0.1, SECONDS - 0.1), 3)
        if action == "reload":
            plan["operators"].append([t, action, r.randrange(2)])
        elif action in ("disable", "drain"):
            if others:
                name = r.choice(others)
                plan["touched"].append(name)
                plan["operators"] += [[t, action, name], [round(t + r.uniform(0.05, 0.8), 3), "enable", name]]
        elif action in ("verify", "reset"):
            plan["operators"].append([t, action, r.choice(everyone)])
        elif action == "kill":
            plan["operators"].append([t, action, r.randrange(4)])
        elif action == "stop":
            plan["operators"].append([t, action, [r.randrange(4), round(r.uniform(0.05, 0.9), 3)]])
        elif action == "stop supervisor":
            plan["operators"].append([t, action, round(r.uniform(0.05, 0.6), 3)])
        else:
            plan["operators"].append([t, action, None])
    plan["operators"].sort(key=lambda o: o[0])


# ---- clients

def make_clients(r, plan):
    rate = r.choice([10, 20, 40])
    for i in range(int(rate * SECONDS)):
        c = make_client(r, i)
        if c["kind"] in NOT_YET_DRAWN or c["kind"] == "poison" and any(o["kind"] == "poison" for o in plan["clients"]):
            c["kind"] = "json"
        c["t"] = round(r.uniform(0.02, SECONDS), 3)
        plan["clients"].append(c)
    plan["clients"].sort(key=lambda c: c["t"])


def make_client(r, i):
    kind = r.choice(["json"] * 5 + ["stream"] * 7 + ["keep"] * 3 + ["conversation"] * 3 + ["abort"] * 2 +
                    ["burst", "slow", "count", "side", "faulty", "refused", "poison"])
    c = {"kind": kind, "name": "c%d" % i, "model": r.choice(MODELS), "pad": r.choice([0, 0, 100, 3000, 60000])}
    if kind in ("json", "stream"):
        c["how"] = r.choice(["plain"] * 8 + ["chunked", "expect", "pieces", "http10"])
    if kind in ("json", "stream") and r.random() < 0.3:
        c["session"] = "s%d" % r.randrange(4)
    if kind == "keep":
        c["streams"] = [r.random() < 0.5 for _ in range(r.randrange(2, 5))]
    elif kind == "conversation":
        c["streams"] = [r.random() < 0.7 for _ in range(r.randrange(3, 7))]
        c["pause"] = r.choice([0.02, 0.15, 0.2])
        c["session"] = "own%d" % i
    elif kind == "abort":
        c["stream"] = r.random() < 0.7
        c["after"] = round(r.choice([0, 0.01, 0.05, 0.2]) * r.uniform(0.5, 1.5), 3)
        c["reset"] = r.random() < 0.5
    elif kind == "burst":
        c["streams"] = [r.random() < 0.5 for _ in range(r.randrange(3, 12))]
    elif kind == "slow":
        c["after"] = round(r.uniform(0.1, 0.6), 3)
    elif kind == "side":
        c["what"] = r.choice(["GET /v1/models", "HEAD /", "HEAD /api/hello", "POST /api/event_logging/batch"])
    elif kind == "faulty":
        c["what"] = r.choice(["no json", "cut json", "half", "garbage", "no length", "get", "gzip", "silent"])
    elif kind == "poison":
        c["times"] = r.randrange(3, 8)
        c["stream"] = r.random() < 0.5
        c["fake"] = r.choice(["status=500", "reset", "close", "status=503", "sse_error_first=api_error"])
    elif kind == "refused":
        c["stream"] = r.random() < 0.5
        c["fake"] = r.choice(["status=400,message=prompt%20is%20too%20long", "status=413", "status=400",
                              "status=404,message=model%3A%20x", "status=422"])
    return c


def troubled(plan):
    """Names of the troubles in it."""
    return sorted(name for name, spec in TROUBLES.items() if spec in specs(plan))
