"""The tables of a bench: rows and proxies, the values of all rounds, ratios to the better of nginx and HAProxy; or figures
with their goals."""
import collections
import statistics
import sys

NAMES = {"none": "no proxy", "nginx": "nginx", "haproxy": "HAProxy", "qcc": "QCC", "before": "QCC before"}


class Table:
    """A row has name, title and digits, and perhaps `more`: the greater value is the better one. columns: of NAMES."""

    def __init__(self, rows, columns):
        self.rows, self.columns = rows, list(columns)
        self.values = collections.defaultdict(list)  # (row, peer): one value a round, or None
        self.bad = set()

    def add(self, row, peer, value, failed, why):
        self.values[row.name, peer].append(value)
        if failed:
            self.bad.add((row.name, peer))
            print(f"bench: {row.name}, {peer}: {failed} failed: {why}", file=sys.stderr)

    def cell(self, row, peer):
        v = [x for x in self.values[row.name, peer] if x is not None]
        mark = " !" if (row.name, peer) in self.bad else ""
        return (f"{statistics.median(v):.{row.digits}f}" if v else "–") + mark

    def ratio(self, row, peer):
        pairs = zip(self.values[row.name, "qcc"], self.values[row.name, peer])
        r = [a / n for a, n in pairs if a is not None and n]
        return f"{statistics.median(r):.2f} ({min(r):.2f}–{max(r):.2f})" if r else "–"

    def better(self, row):
        """Of nginx and HAProxy the one with the better median; None: neither was measured."""
        medians = {}
        for peer in ("nginx", "haproxy"):
            v = [x for x in self.values[row.name, peer] if x is not None]
            if v and (row.name, peer) not in self.bad:
                medians[peer] = statistics.median(v)
        return (max if getattr(row, "more", False) else min)(medians, key=medians.get) if medians else None

    def text(self):
        against = [p for p in self.columns if p == "before"]
        head = ["work"] + [NAMES[p] for p in self.columns] + ["QCC/better"] + ["QCC/" + p for p in against]
        lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
        for row in self.rows:
            cells = [self.cell(row, peer) for peer in self.columns] + [self.ratio(row, self.better(row))]
            cells += [self.ratio(row, peer) for peer in against]
            lines.append("| " + " | ".join([row.title] + cells) + " |")
        return "\n".join(lines)


def ratio(a, b):
    """The median of the rounds' ratios, and as a text with its range."""
    r = [x / y for x, y in zip(a, b) if y]
    return statistics.median(r), f"{statistics.median(r):.3f} ({min(r):.2f}–{max(r):.2f})"


class Figures:
    """Figures of QCC alone. bad: a request failed, or something was not as it has to be, which no busy machine explains."""

    def __init__(self, who):
        self.who, self.rows, self.bad = who, [], False

    def add(self, figure, measured, goal, ok=True):
        self.rows.append(f"| {figure} | {measured} | {goal}{'' if ok else ' **missed**'} |")
        print(f"{self.who}: {figure}: {measured} (goal {goal}{'' if ok else ', MISSED'})", file=sys.stderr)

    def text(self):
        return "\n".join(["| figure | measured | goal |", "|---|---|---|"] + self.rows)
