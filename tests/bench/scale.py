"""The part of the bench in which QCC stands beside itself: with little and with much of something (run.py --scale)."""
import collections
import statistics
import sys

import run

# What may not make a request dearer: QCC beside itself, with little and with much of it.
Scale = collections.namedtuple("Scale", "name title small large")
SCALES = [
    Scale("choice", "1 endpoint, 1,000 (no conversations): CPU µs a request", {"endpoints": 1, "affinity": False},
          {"endpoints": 1000, "affinity": False}),
    Scale("endpoints", "1 endpoint, 1,000 (32 conversations, bound): CPU µs a request", {"endpoints": 1},
          {"endpoints": 1000}),
    Scale("bindings", "10³ bindings, 10⁶ (4 endpoints): CPU µs a request", {"endpoints": 4, "conversations": 1000},
          {"endpoints": 4, "conversations": 1000000}),
    Scale("connections", "10 connections that rest, 10,000 (32 busy beside them): CPU µs a request", {"rest": 10}, {"rest": 10000}),
    Scale("workers", "1 worker, 2 on two cores (200 KB requests): requests a second",
          {"row": "big", "workers": 1}, {"row": "big", "workers": 2}),
    Scale("openai", "2 KB request, 1 KB answer; at an endpoint with protocol: openai: CPU µs a request", {"endpoints": 1},
          {"endpoints": 1, "openai": True}),
    Scale("openai-sse", "SSE, 16 streams at full speed; with protocol: openai: CPU µs an event",
          {"endpoints": 1, "row": "full"}, {"endpoints": 1, "row": "full", "openai": True}),
]


class Sized:
    """QCC with so many endpoints, bindings, connections or workers."""

    def __init__(self, b, scale, size):
        row = next(r for r in run.ROWS if r.name == size.get("row", "json"))
        openai = size.get("openai", False)
        self.b, self.row = b, row._replace(spec=row.spec + ",openai=openai" if openai else row.spec)
        self.conversations = size.get("conversations", 0)
        more = "" if size.get("affinity", True) else "affinity: {enabled: false}\n"
        self.rest = run.room(size["rest"] + 100) - 100 if "rest" in size else 0
        how = {}
        if "workers" in size:  # on the two cores, also the one, which else would have less than the two
            how = {"workers": size["workers"], "cpus": b.two_cpus}
            self.row = self.row._replace(kind="rate", digits=0)
        self.proxy = run.Proxy(b, "qcc", endpoints=size.get("endpoints", 1), more=more, openai=openai, **how)
        self.values, self.failed = [], 0
        b.behave(self.row.spec)
        if self.conversations:  # each is bound once
            where = f"127.0.0.1:{self.proxy.port}"
            got = run.load(b, where, self.options() + ["--seconds", "600", "--count", str(self.conversations)], (), 600)
            self.failed += got["failed"]

    def options(self):
        fixed = self.row.load.replace("--reply 1024", "") if "openai" in self.row.spec else self.row.load
        more = ["--conversations", str(self.conversations)] if self.conversations else []
        if self.rest:  # opened and served once before the measurement begins
            more += ["--conns", str(32 + self.rest), "--busy", "32", "--stagger", "150", "--warm", "3"]
        if self.row.kind == "rate":
            more += ["--conns", "32", "--stagger", "5000"]
        return fixed.split() + more

    def measure(self):
        row = self.row._replace(load=" ".join(self.options()))
        value, failed, why = run.measured(self.b, row, f"127.0.0.1:{self.proxy.port}", run.family(self.proxy.p.pid))
        self.values.append(value)
        self.failed += failed
        if failed:
            print(f"bench: {failed} failed: {why}", file=sys.stderr)


def scales(b, wanted):
    """The table of QCC beside itself, and whether every request was served."""
    lines = ["| work | with little | with much | much/little |", "|---|---|---|---|"]
    good = True
    for scale in wanted:
        both = [Sized(b, scale, size) for size in (scale.small, scale.large)]
        for n in range(b.args.rounds):
            for one in both[::1 if n % 2 else -1]:
                one.measure()
        small, large = (one.values for one in both)
        r = [x / y for x, y in zip(large, small) if x and y]
        marks = [" !" if one.failed else "" for one in both]
        cells = [f"{statistics.median(one.values):.{one.row.digits}f}{mark}" for one, mark in zip(both, marks)]
        lines.append(f"| {scale.title} | {cells[0]} | {cells[1]} | "
                     f"{statistics.median(r):.2f} ({min(r):.2f}–{max(r):.2f}) |")
        good = good and not any(marks)
        for one in both:
            one.proxy.stop()
        print(f"bench: {scale.name}", file=sys.stderr)
    return "\n".join(lines), good
