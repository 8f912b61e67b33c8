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
LONG_FUNCTION = 60
# Functions of the product whose bodies are longer: {"path: name": lines}. One that has grown is a fault, and so is
# one that need not be here.
LONGER_FUNCTIONS = {}

# Outside comments and literals. A line whose comment says `lint: why` is exempt.
ANYWHERE = [
    (r"\b(strcpy|strcat|v?sprintf|strtok|atoi|atol|gets|alloca)\s*\(", "banned function {0}"),
    (r"\t", "tab"),
]
IN_PRODUCT = [
    (r"(?<![\w.>])(malloc|calloc|realloc|reallocarray|strdup|strndup)\s*\(", "{0}: use mem_* or an arena"),
    (r"\{\"[^\"]*\", *\d+\}", "a length counted by hand: use STR_LIT"),
    (r"\bstr_make\(\"[^\"]*\", *\d+\)", "a length counted by hand: use STR"),
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


def functions(path):
    """[(line, name, lines of its body)] of a file's functions: braces at the margin."""
    with open(path, encoding="utf-8") as f:
        lines = TOKEN.sub(blank, f.read()).split("\n")
    found, begin = [], None
    for number, line in enumerate(lines, 1):
        if line == "{":
            begin = number
        elif line == "}" and begin:
            head = " ".join(lines[max(0, begin - 5):begin - 1])
            name = re.findall(r"(\w+)\(", re.split(r"[;}]", head)[-1])
            found.append((begin, name[0] if name else "?", number - begin - 1))
            begin = None
    return found


def function_lengths(paths):
    """Faults of functions with too many lines, and of exceptions that are none."""
    faults, left = [], dict(LONGER_FUNCTIONS)
    for path in paths:
        for line, name, n in functions(path):
            allowed = left.pop(f"{path}: {name}", None)
            if n > (allowed or LONG_FUNCTION):
                faults.append(f"{path}:{line}: {name} has {n} lines; can a part of it have a name?")
            elif allowed and n < allowed:
                faults.append(f"{path}:{line}: LONGER_FUNCTIONS in tests/lint_text.py allows {name} {allowed} lines")
    return faults + [f"tests/lint_text.py:1: LONGER_FUNCTIONS names {gone}, which is not there" for gone in left]


def main():
    paths = sorted(p for part in PRODUCT + ("tests",) for kind in ("c", "h", "def")
                   for p in glob.glob(f"{part}/**/*.{kind}", recursive=True))
    faults = [fault for path in paths for fault in check(path)]
    faults += strays(paths)
    faults += lengths(paths + sorted(p for part in ("packaging", "tests") for p in glob.glob(f"{part}/**/*.py", recursive=True)))
    faults += function_lengths([p for p in paths if p.startswith(PRODUCT)])
    print("\n".join(faults), end="\n" if faults else "")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
