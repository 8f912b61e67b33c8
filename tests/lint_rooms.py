"""lint_rooms.py BUILD | --map: holds includes and calls against tests/rooms.txt.

BUILD is a plain build (tests/lint.sh makes it). Each #include "..." and each undefined symbol of a room's objects
must lead into a room that it may know; rooms know each other without a circle, and so do the files of one room; what
an object defines for others, another object of its program must use. What
stands in rooms.txt as an exception and is no longer one is a fault too. --map prints the rooms for README.md.
"""
import collections
import fnmatch
import os
import re
import subprocess
import sys

ROOMS = "tests/rooms.txt"
README = "README.md"
BEGIN, END = "<!-- rooms: printed by make rooms -->", "<!-- end of rooms -->"
PARTS = ("common", "supervisor", "worker")
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)


class Rooms:
    def __init__(self, path):
        self.order, self.text, self.words = [], {}, {}
        self.excepted = {}  # (room, room): files
        self.rings = {}     # room: files
        self.only_tests = {}  # room: symbols
        self.generated = {}   # room: patterns of symbols
        with open(path, encoding="utf-8") as f:
            for number, line in enumerate(f, 1):
                line = line.split("#")[0].strip()
                if not line:
                    continue
                exception = re.fullmatch(r"except (\S+) (\S+): (.+)", line)
                ring = re.fullmatch(r"ring (\S+): (.+)", line)
                symbols = re.fullmatch(r"(only-tests|generated) (\S+): (.+)", line)
                fields = [x.strip() for x in line.split("|")]
                if exception:
                    self.excepted[exception[1], exception[2]] = set(exception[3].split())
                elif ring:
                    self.rings.setdefault(ring[1], []).append(set(ring[2].split()))
                elif symbols:
                    kept = self.only_tests if symbols[1] == "only-tests" else self.generated
                    kept.setdefault(symbols[2], set()).update(symbols[3].split())
                elif len(fields) == 3:
                    self.order.append(fields[0])
                    self.words[fields[0]] = [] if fields[1] == "-" else fields[1].split()
                    self.text[fields[0]] = fields[2]
                else:
                    sys.exit(f"{path}:{number}: not a line of a room")
        self.known = {room: self.meant(room) for room in self.order}

    def meant(self, room):
        known = set()
        for word in self.words[room]:
            if word == "common":
                known |= {r for r in self.order if r.startswith("common/")}
            elif word.endswith("/*"):
                known |= {r for r in self.order if r.startswith(word[:-1])}
            else:
                known.add(word)
        return known

    def of(self, path):
        return os.path.dirname(path)


def sources():
    found = []
    for part in PARTS:
        for folder, _, files in os.walk(part):
            found += [os.path.join(folder, f) for f in files if f.endswith((".c", ".h", ".def"))]
    return sorted(found)


def includes(path):
    with open(path, encoding="utf-8") as f:
        return INCLUDE.findall(f.read())


def symbols(build):
    """{object's source: (defined, undefined)}"""
    objects = []
    for part in PARTS:
        for folder, _, files in os.walk(os.path.join(build, part)):
            objects += [os.path.join(folder, f) for f in files if f.endswith(".o")]
    objects = [o for o in objects if os.path.exists(os.path.relpath(o, build)[:-2] + ".c")]
    out = subprocess.run(["nm", "-A", "-g", "-p", *sorted(objects)], check=True, stdout=subprocess.PIPE, text=True).stdout
    table = {os.path.relpath(o, build)[:-2] + ".c": (set(), set()) for o in objects}
    for line in out.splitlines():
        name, _, rest = line.partition(".o:")
        source = os.path.relpath(name, build) + ".c"
        kind, symbol = rest.split()[-2:]
        table[source][kind in "UwWvV"].add(symbol)
    return table


def edges(rooms, build):
    """[(from file, to file, words)] of all includes and calls."""
    out = []
    for path in sources():
        for to in includes(path):
            if to.startswith(PARTS):
                out.append((path, to, f"includes {to}"))
    table = symbols(build)
    home = {}
    for source, (defined, _) in table.items():
        for symbol in defined:
            if symbol != "main":
                home.setdefault(symbol, []).append(source)
    for symbol, places in home.items():
        if len(places) > 1 and not all(p.startswith("supervisor/qccctl/") or p.startswith("worker/") or
                                       p.startswith("supervisor/") for p in places):
            out.append((places[0], places[1], f"defines {symbol} too"))
    for source, (_, undefined) in sorted(table.items()):
        for symbol in sorted(undefined):
            for to in home.get(symbol, []):
                if to.split("/")[0] in (source.split("/")[0], "common") or len(home[symbol]) == 1:
                    out.append((source, to, f"calls {symbol}"))
    return out


def program(source):
    """common's objects are linked into all three."""
    return next((p for p in ("common/", "supervisor/qccctl/", "supervisor/", "worker/") if source.startswith(p)), "")


def unused(rooms, build):
    """Faults: symbols that no other object needs, and exceptions that are none."""
    table = symbols(build)
    needed = collections.defaultdict(set)
    for source, (_, undefined) in table.items():
        for symbol in undefined:
            needed[symbol].add(program(source))
    faults, left = [], {room: set(names) for room, names in rooms.only_tests.items()}
    for source, (defined, _) in sorted(table.items()):
        room = rooms.of(source)
        for symbol in sorted(defined - {"main"}):
            by = needed[symbol]
            if by and (program(source) == "common/" or by & {program(source), "common/"}):
                continue
            if symbol in left.get(room, ()):
                left[room].discard(symbol)
            elif not any(fnmatch.fnmatchcase(symbol, p) for p in rooms.generated.get(room, ())):
                faults.append(f"{source}: {symbol} has no caller outside its file: static, or gone")
    for room, names in sorted(left.items()):
        for name in sorted(names):
            faults.append(f"{ROOMS}: only-tests {room}: {name} is used or gone, take it out")
    return faults


def stem(path):
    return os.path.splitext(os.path.basename(path))[0]


def circles(graph):
    """Sets of nodes that reach each other (Tarjan)."""
    index, low, stack, on, out = {}, {}, [], set(), []

    def visit(v):
        index[v] = low[v] = len(index)
        stack.append(v)
        on.add(v)
        for w in sorted(graph.get(v, ())):
            if w not in index:
                visit(w)
                low[v] = min(low[v], low[w])
            elif w in on:
                low[v] = min(low[v], index[w])
        if low[v] == index[v]:
            part = set()
            while True:
                w = stack.pop()
                on.discard(w)
                part.add(w)
                if w == v:
                    break
            if len(part) > 1:
                out.append(part)

    sys.setrecursionlimit(10000)
    for v in sorted(graph):
        if v not in index:
            visit(v)
    return out


def check(rooms, build):
    faults = []
    for room in rooms.order:
        for to in rooms.known[room] - set(rooms.order):
            faults.append(f"{ROOMS}: {room} knows {to}, which is no room")
    for part in circles(rooms.known):
        faults.append(f"{ROOMS}: a circle of rooms: {' '.join(sorted(part))}")
    used = collections.defaultdict(set)
    inside = collections.defaultdict(lambda: collections.defaultdict(set))
    strangers = {rooms.of(p) for p in sources()} - set(rooms.order)
    faults += [f"{s}: not in {ROOMS}" for s in sorted(strangers)]
    for source, to, words in edges(rooms, build):
        a, b = rooms.of(source), rooms.of(to)
        if a == b:
            if stem(source) != stem(to):
                inside[a][stem(source)].add(stem(to))
        elif b not in rooms.known.get(a, ()):
            if stem(source) in rooms.excepted.get((a, b), ()):
                used[a, b].add(stem(source))
            else:
                faults.append(f"{source} {words}: {a} may not know {b} ({ROOMS})")
    for (a, b), files in rooms.excepted.items():
        for gone in sorted(files - used[a, b]):
            faults.append(f"{ROOMS}: except {a} {b}: {gone} is no exception any more, take it out")
    for room, graph in sorted(inside.items()):
        allowed = list(rooms.rings.get(room, []))
        for part in circles(graph):
            match = next((ring for ring in allowed if part <= ring), None)
            if match is None:
                faults.append(f"{room}: a ring of files: {' '.join(sorted(part))}")
            elif part != match:
                faults.append(f"{ROOMS}: ring {room}: {' '.join(sorted(match - part))} stand outside by now, take them out")
            if match is not None:
                allowed.remove(match)
        for ring in allowed:
            faults.append(f"{ROOMS}: ring {room}: {' '.join(sorted(ring))} is no ring any more, take it out")
    for room in set(rooms.rings) - set(inside):
        faults.append(f"{ROOMS}: ring {room}: there is none any more")
    return faults


def printed(rooms):
    """The map: a heading for each part, a line for each room; that of a room with rooms in it names those."""
    lines = []
    for part in PARTS:
        lines += ["", f"**{part}**", ""]
        for room in rooms.order:
            within = [r for r in rooms.order if os.path.dirname(r) == room and room not in PARTS]
            more = f" (in it {', '.join(f'`{os.path.basename(r)}`' for r in within)})" if within else ""
            if room == part:
                lines.append(f"- its own files: {rooms.text[room]}")
            elif os.path.dirname(room) == part:
                lines.append(f"- `{room[len(part) + 1:]}`: {rooms.text[room]}{more}")
    return "\n".join(lines).strip() + "\n"


def readme_fault(rooms):
    if not os.path.exists(README):
        return []
    with open(README, encoding="utf-8") as f:
        text = f.read()
    if f"{BEGIN}\n{printed(rooms)}{END}" in text:
        return []
    return [f"{README}: its map of rooms is not that of {ROOMS}; run make rooms"]


def rewrite(rooms):
    with open(README, encoding="utf-8") as f:
        text = f.read()
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        sys.exit(f"{README} has no place for the rooms: {BEGIN} … {END}")
    with open(README, "w", encoding="utf-8") as f:
        f.write(f"{head}{BEGIN}\n{printed(rooms)}{END}{tail}")


def main():
    rooms = Rooms(ROOMS)
    if sys.argv[1:] == ["--map"]:
        print(printed(rooms), end="")
        return 0
    if sys.argv[1:] == ["--readme"]:
        rewrite(rooms)
        return 0
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    faults = check(rooms, sys.argv[1]) + unused(rooms, sys.argv[1]) + readme_fault(rooms)
    print("\n".join(faults), end="\n" if faults else "")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
