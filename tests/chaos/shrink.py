"""Makes a failing plan smaller, as long as the same rule fails.

    shrink(plan, rule, fails, say) -> plan;   fails(plan) -> the rules that failed in one play of it

Pieces are dropped by halves, then one by one: clients, operators, endpoints, steps of behaviours, keys of the
configuration. What happens in a play varies: a smaller plan is taken if one of TRIES plays fails."""
import copy
import time

TRIES = 3
LIMIT_S = 240


def without(items, begin, n):
    return items[:begin] + items[begin + n:]


def drop_from(get, put):
    """A step: yields plans that lack n of the items at `get`, for n from the half of them down to one."""
    def step(plan):
        n = max(1, len(get(plan)) // 2)
        while n:
            begin = 0
            while begin < len(get(plan)):
                candidate = copy.deepcopy(plan)
                put(candidate, without(get(plan), begin, n))
                taken = yield candidate
                if taken:
                    plan = candidate
                else:
                    begin += n
            n //= 2
    return step


def set_key(key):
    return lambda plan: plan[key], lambda plan, value: plan.__setitem__(key, value)


def put_endpoints(plan, endpoints):
    names = {e["name"] for e in endpoints}
    plan["config"]["endpoints"] = endpoints
    plan["sites"] = {k: v for k, v in plan["sites"].items() if k in names}
    plan["operators"] = [o for o in plan["operators"] if not isinstance(o[2], str) or o[2] in names]
    for change in plan["reloads"]:
        change["endpoints"] = [e for e in change["endpoints"] if e["name"] in names] or endpoints


def drop_steps(plan):
    for site in list(plan["sites"]):
        for i in range(len(plan["sites"][site]) - 1, 0, -1):
            candidate = copy.deepcopy(plan)
            del candidate["sites"][site][i]
            if (yield candidate):
                plan = candidate


def drop_members(plan):
    """Members of endpoints that make them particular."""
    for i, e in enumerate(plan["config"]["endpoints"]):
        for key in set(e) - {"name", "site", "dead"}:
            candidate = copy.deepcopy(plan)
            del candidate["config"]["endpoints"][i][key]
            if (yield candidate):
                plan = candidate


def one_worker(plan):
    if plan["config"]["workers"] > 1:
        candidate = copy.deepcopy(plan)
        candidate["config"]["workers"] = 1
        yield candidate


STEPS = [drop_from(*set_key("operators")), drop_from(*set_key("clients")),
         drop_from(lambda plan: plan["config"]["endpoints"], put_endpoints), drop_steps, drop_members, one_worker]


def shrink(plan, rule, fails, say=print):
    end = time.monotonic() + LIMIT_S
    tries = 0
    for step in STEPS:
        walk, taken = step(plan), None
        while time.monotonic() < end:
            try:
                candidate = walk.send(taken)
            except StopIteration:
                break
            if not candidate["config"]["endpoints"]:
                taken = False
                continue
            tries += 1
            taken = any(rule in fails(candidate) for _ in range(TRIES))
            if taken:
                plan = candidate
    say("shrunk in %d tries to %d endpoints, %d clients, %d operators" % (
        tries, len(plan["config"]["endpoints"]), len(plan["clients"]), len(plan["operators"])))
    return plan
