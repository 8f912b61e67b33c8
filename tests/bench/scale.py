"""The part of the bench in which QCC stands beside itself: with little and with much of something (run.py --scale)."""
import collections
import json
import statistics
import sys

from bench import load
from machine import family, pss_kb, room
from measure import held, measured
from peers import JSON_1K, Proxy, post
from rows import ROWS, SSE_SLOW, Row

# What may not make a request dearer: QCC beside itself, with little and with much of it.
Scale = collections.namedtuple("Scale", "name title small large goal")
OPENAI = {"openai": True}
SCALES = [
    Scale("choice", "1 endpoint, 1,000 (no conversations): CPU µs a request", {"endpoints": 1, "affinity": False},
          {"endpoints": 1000, "affinity": False}, "≤ 1.10"),
    Scale("endpoints", "1 endpoint, 1,000 (32 conversations, bound): CPU µs a request", {"endpoints": 1},
          {"endpoints": 1000}, "≤ 1.10"),
    Scale("bindings", "10³ bindings, 10⁶ (4 endpoints): CPU µs a request", {"endpoints": 4, "conversations": 1000},
          {"endpoints": 4, "conversations": 1000000}, "≤ 1.10"),
    Scale("connections", "10 connections that rest, 10,000 (32 busy beside them): CPU µs a request", {"rest": 10}, {"rest": 10000}, "≤ 1.10"),
    Scale("workers", "1 worker, 2 on two cores (200 KB requests): requests a second",
          {"row": "big", "workers": 1}, {"row": "big", "workers": 2}, "≥ 1.8 where load and upstream leave the cores"),
    Scale("openai", "2 KB request, 1 KB answer; at an endpoint with protocol: openai: CPU µs a request", {}, OPENAI, "≤ 2.0"),
    Scale("openai-tools", "200 KB request with 40 tools; translated: CPU µs a request", {"row": "tools"}, {"row": "tools", **OPENAI}, "≤ 3,000 µs"),
    Scale("openai-sse", "SSE, 16 streams at full speed; translated: CPU µs an event", {"row": "full"}, {"row": "full", **OPENAI}, "≤ 1.0 µs"),
    Scale("openai-ttfb", "time to first byte added over direct; translated: p50 µs", {"row": "ttfb"}, {"row": "ttfb", **OPENAI}, "≤ 100 µs"),
    Scale("openai-mem", "memory a stream, 1,000 slow streams; translated: KB", {"row": "streams"}, {"row": "streams", **OPENAI}, "≤ 12 KB"),
]
# Rows of these tables alone.
MORE = [
    Row("tools", "", "replies", "plain", JSON_1K, "--mode json --conns 8 --body 200000 --reply 1024 --tools 40", 1),
    Row("streams", "", "memory", "plain", SSE_SLOW.replace("1000000", "10000"), 1000, 1),  # a translated reply is made whole
]


class Sized:
    """QCC with so many endpoints, bindings, connections or workers, or with an endpoint of another protocol."""

    def __init__(self, b, scale, size):
        row = next(r for r in ROWS + MORE if r.name == size.get("row", "json"))
        openai = size.get("openai", False)
        self.b, self.row = b, row._replace(spec=row.spec + ",openai=openai" if openai else row.spec)
        self.direct = row if row.kind == "ttfb" else None  # what the upstream itself takes is taken off
        self.conversations = size.get("conversations", 0)
        more = "" if size.get("affinity", True) else "affinity: {enabled: false}\n"
        self.rest = room(size["rest"] + 100) - 100 if "rest" in size else 0
        how = {}
        if "workers" in size:  # on the two cores, also the one, which else would have less than the two
            how = {"workers": size["workers"], "cpus": b.two_cpus}
            self.row = self.row._replace(kind="rate", digits=0)
        self.proxy = Proxy(b, "qcc", endpoints=size.get("endpoints", 1), more=more, openai=openai, **how)
        self.values, self.failed = [], 0
        b.behave(self.row.spec)
        if self.conversations:  # each is bound once
            where = f"127.0.0.1:{self.proxy.port}"
            got = load(b, where, self.options() + ["--seconds", "600", "--count", str(self.conversations)], (), 600)
            self.failed += got["failed"]

    def options(self):
        fixed = self.row.load.replace("--reply 1024", "") if "openai" in self.row.spec else self.row.load
        more = ["--conversations", str(self.conversations)] if self.conversations else []
        if self.rest:  # opened and served once before the measurement begins
            more += ["--conns", str(32 + self.rest), "--busy", "32", "--stagger", "150", "--warm", "3"]
        if self.row.kind == "rate":
            more += ["--conns", "32", "--stagger", "5000"]
        return fixed.split() + more

    def under_load(self):
        """(value, failed requests, why)"""
        row = self.row._replace(load=" ".join(self.options()))
        value, failed, why = measured(self.b, row, f"127.0.0.1:{self.proxy.port}", family(self.proxy.p.pid))
        if self.direct and value is not None:
            value -= measured(self.b, self.direct, self.b.up["plain"], ())[0]
        return value, failed, why

    def of_memory(self):
        streams = room(self.row.load)
        post(f"127.0.0.1:{self.proxy.port}", False, json.dumps({"model": "m", "messages": [], "max_tokens": 1}))
        idle = pss_kb(family(self.proxy.p.pid))
        pss, failed, why = held(self.b, self.proxy, streams, self.row.spec)
        return (pss - idle) / streams, failed, why

    def cell(self):
        v = [x for x in self.values if x is not None]
        return (f"{statistics.median(v):.{self.row.digits}f}" if v else "–") + (" !" if self.failed else "")

    def measure(self):
        if self.row.kind == "memory" and self.values:
            return  # in fresh processes alone
        value, failed, why = self.of_memory() if self.row.kind == "memory" else self.under_load()
        self.values.append(value)
        self.failed += failed
        if failed:
            print(f"bench: {failed} failed: {why}", file=sys.stderr)


def scales(b, wanted):
    """The table of QCC beside itself, and whether every request was served."""
    lines = ["| work | with little | with much | much/little | goal |", "|---|---|---|---|---|"]
    good = True
    for scale in wanted:
        both = [Sized(b, scale, size) for size in (scale.small, scale.large)]
        for n in range(b.args.rounds):
            for one in both[::1 if n % 2 else -1]:
                one.measure()
        small, large = (one.values for one in both)
        r = [x / y for x, y in zip(large, small) if x and y]
        ratio = f"{statistics.median(r):.2f} ({min(r):.2f}–{max(r):.2f})" if r else "–"
        lines.append(f"| {scale.title} | {both[0].cell()} | {both[1].cell()} | {ratio} | {scale.goal} |")
        good = good and not any(one.failed for one in both)
        for one in both:
            one.proxy.stop()
        print(f"bench: {scale.name}", file=sys.stderr)
    return "\n".join(lines), good
