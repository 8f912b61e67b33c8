"""What a soak comes to: requests that were lost, and what grew from one idle point to another. Pure."""
import collections

# One idle point: {pid: Process}. All requests are over, all endpoints well, and nothing is started or ends.
Process = collections.namedtuple("Process", "role pss_kb files")

# A process's memory is not flat to the page: what malloc keeps moves by so much.
SLACK_KB, SLACK = 256, 0.05
# The recorder's pages of its file are a cache with a bound: up to here it may grow.
CACHES_KB = {"recorder": 6 * 1024}


def lost(failures, killed):
    """Of the failures [(when, client's port, what)] those that are no killed worker's own. killed: [(when, ports of the
    clients that it served)]; each of those may break once."""
    own = collections.Counter(port for _, ports in killed for port in ports)
    left = []
    for failure in sorted(failures):
        if own[failure[1]] > 0:
            own[failure[1]] -= 1
        else:
            left.append(failure)
    return left


def grown(points):
    """{role: (most KB, most descriptors)} by which a process grew from its second idle point to its last: at the first it may
    be new. Roles whose processes had no three points are not there."""
    found = {}
    for pid in {pid for p in points for pid in p}:
        seen = [p[pid] for p in points if pid in p]
        if len(seen) < 3:
            continue
        kb, files = seen[-1].pss_kb - seen[1].pss_kb, seen[-1].files - seen[1].files
        before = found.get(seen[-1].role)
        found[seen[-1].role] = (max(kb, before[0]), max(files, before[1])) if before else (kb, files)
    return found


def sums(point):
    """{role: (KB, descriptors, processes)} of an idle point."""
    out = collections.defaultdict(lambda: (0, 0, 0))
    for one in point.values():
        kb, files, n = out[one.role]
        out[one.role] = (kb + one.pss_kb, files + one.files, n + 1)
    return dict(out)


def more(first, last):
    """{role: (KB, descriptors)} that all processes of a role have at the idle point `last` beyond `first`."""
    a, b = sums(first), sums(last)
    return {role: (b[role][0] - a[role][0], b[role][1] - a[role][1]) for role in b if role in a}


def flat(role, kb, now_kb):
    """Whether a growth of a role by so many KB to now_kb is none."""
    return kb <= max(SLACK_KB, SLACK * now_kb) or now_kb <= CACHES_KB.get(role, 0)
