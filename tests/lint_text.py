"""lint_text.py: what a reader of the text can see without compiling it: of C all rules, of Python the length of a
file. Prints each fault as file:line: text and exits 1 when there is one."""
import glob
import os
import re
import sys

PRODUCT = ("common", "supervisor", "worker")
LONG = 600
# Files that are longer: {path: lines}. One that has grown is a fault, and so is one that need not be here.
LONGER = {}

# Outside comments and literals. A line whose comment says `lint: why` is exempt.
ANYWHERE = [
    (r"\b(strcpy|strcat|v?sprintf|strtok|atoi|atol|gets|alloca)\s*\(", "banned function {0}"),
    (r"\t", "tab"),
]
IN_PRODUCT = [
    (r"(?<![\w.>])(malloc|calloc|realloc|reallocarray|strdup|strndup)\s*\(", "{0}: use mem_* or an arena"),
    (r"(?<![\w.>])close\s*\(", "close: use fd_close"),
    (r"(?<![\w.>])(time|gettimeofday|clock_gettime|localtime|gmtime)\s*\(", "{0}: use clock_*"),
]
# Where the wrappers live.
WRAPPERS = "common/base/"
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")

TOKEN = re.compile(r"""//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'""", re.S)


def blank(match):
    """A comment or literal becomes blanks of the same shape, so that line numbers stay."""
    text = match.group(0)
    if text[0] in "\"'":
        return text[0] + re.sub(r"[^\n]", " ", text[1:-1]) + text[0]
    return re.sub(r"[^\n]", " ", text)


def check(path):
    with open(path, encoding="utf-8") as f:
        text = f.read()
    lines = text.split("\n")
    code = TOKEN.sub(blank, text).split("\n")
    faults = []

    def fault(number, words):
        if "lint:" not in lines[number - 1]:
            faults.append(f"{path}:{number}: {words}")

    rules = list(ANYWHERE)
    if path.startswith(PRODUCT) and not path.startswith(WRAPPERS):
        rules += IN_PRODUCT
    for number, (line, bare) in enumerate(zip(lines, code), 1):
        if line != line.rstrip():
            fault(number, "blanks at the end of the line")
        if UNFINISHED.search(line):
            fault(number, "unfinished by its own words")
        include = re.match(r'\s*#\s*include\s*"([^"]*)"', line)
        if include and ".." in include.group(1).split("/"):
            fault(number, f"include of {include.group(1)}: spell it from the root")
        for pattern, words in rules:
            found = re.search(pattern, bare)
            if found:
                fault(number, words.format(*found.groups()))
    if text and not text.endswith("\n"):
        fault(len(lines), "no newline at the end")
    return faults


def lengths(paths):
    """Faults of files with too many lines, and of exceptions that are none."""
    faults = []
    for path in paths:
        with open(path, encoding="utf-8") as f:
            n = sum(1 for _ in f)
        allowed = LONGER.get(path, LONG)
        if n > allowed:
            faults.append(f"{path}:{allowed + 1}: {n} lines; is there a second noun in it?")
        elif path in LONGER and n < allowed:
            faults.append(f"{path}:{n}: LONGER in tests/lint_text.py allows {allowed} lines: {n} will do")
    return faults + [f"{path}:1: LONGER in tests/lint_text.py names it, and it is not there"
                     for path in LONGER if path not in paths]


def strays(paths):
    """Unit tests that do not stand where the file does that they test: test_NAME.c, or test_NAME_PART.c."""
    faults = []
    for path in paths:
        found = re.fullmatch(r"tests/unit/(.+)/test_(\w+)\.c", path)
        if found:
            words = found.group(2).split("_")
            names = [os.path.join(found.group(1), "_".join(words[:n])) for n in range(len(words), 0, -1)]
            if not any(os.path.exists(name + ".h") for name in names):
                faults.append(f"{path}:1: no file of {found.group(1)} that it tests by its name")
    return faults


def main():
    paths = sorted(p for part in PRODUCT + ("tests",) for kind in ("c", "h", "def")
                   for p in glob.glob(f"{part}/**/*.{kind}", recursive=True))
    faults = [fault for path in paths for fault in check(path)]
    faults += strays(paths)
    faults += lengths(paths + sorted(p for part in ("packaging", "tests") for p in glob.glob(f"{part}/**/*.py", recursive=True)))
    print("\n".join(faults), end="\n" if faults else "")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
