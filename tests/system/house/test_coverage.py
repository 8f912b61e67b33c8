"""tests/COVERAGE.md is true: every test that it names is there."""
import fnmatch
import re

from qcc import ROOT

TESTS = ROOT / "tests"
TEXT = (TESTS / "COVERAGE.md").read_text(encoding="utf-8")
FILES = {"py": sorted([*(TESTS / "system").rglob("test_*.py"), *(TESTS / "web").glob("test_*.py")]), "c": sorted([*(TESTS / "unit").rglob("test_*.c"), *(TESTS / "fuzz").glob("fuzz_*.c")]),
         "case": sorted((TESTS / "unit/data").rglob("*.case"))}
ROWS = [row for row in re.findall(r"^\| (.*) \| (.*) \|$", TEXT, re.M) if row != ("claim", "test")]


def named(cell):
    """[(file, [part of a name])] of a row's second column."""
    out = []
    for item in re.split(r", (?![^\[]*\])", cell):  # not within brackets
        file = re.match(r"([\w/*]+\.(?:py|case|c))(?:: )?", item)
        if file:
            out.append((file.group(1), []))
            item = item[file.end():]
        if item:
            out[-1][1].append(item)
    return out


def names_in(path):
    text = path.read_text(encoding="utf-8")
    return re.findall({".c": r"^static void (\w+)\(void \*\*", ".py": r"^def (test_\w+)", ".case": r"^(?:=|---) (.*)"}[path.suffix], text, re.M)


def faults(cell):
    for file, parts in named(cell):
        paths = [p for p in FILES[file.rpartition(".")[2]] if fnmatch.fnmatch(str(p.relative_to(TESTS)), "*/" + file)]
        if not paths:
            yield "no file " + file
        for part in parts:
            name = part.partition("[")[0]  # of a test with parameters, some may be meant
            if paths and not any(name in test for path in paths for test in names_in(path)):
                yield "no test %s in %s" % (part, file)


def test_rows_are_read():
    assert len(ROWS) > 200 and all(named(cell) for _, cell in ROWS)
    assert named("a.case, test_a.c: x, y, test_b.py: z[1, 2], w") == [
        ("a.case", []), ("test_a.c", ["x", "y"]), ("test_b.py", ["z[1, 2]", "w"])]
    assert list(faults("test_none.py: x, test_coverage.py: rows_are_red")) == [
        "no file test_none.py", "no test rows_are_red in test_coverage.py"]


def test_each_test_named_is_there():
    wrong = ["%s: %s" % (claim, fault) for claim, cell in ROWS for fault in faults(cell)]
    assert not wrong, "\n".join(wrong)
