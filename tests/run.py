"""run.py [PATTERN [not-built]]: runs all tests of build/san and prints one count at the end.

Each part gives Results; a sanitizer's report from any process that ran below is a failure of its
own, also where a test did not look.
"""
import concurrent.futures
import glob
import os
import re
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ET

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = "build/san"
OUT = os.path.join(BUILD, "test")
REPORTS = os.path.join(OUT, "sanitizer")
UNIT_SECONDS = 300
SYSTEM_SECONDS = 1800
ALONE_SECONDS = 300
MOST_ALONE = 10  # more failures than that are not a busy machine's
CLIENT_SECONDS = 600
JOBS = os.cpu_count() or 2
BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")


class Result:
    """Counts of one program or suite, and a text for each failure."""

    def __init__(self, passed=0, skipped=0, failures=()):
        self.passed = passed
        self.skipped = skipped
        self.failures = list(failures)

    def add(self, other):
        self.passed += other.passed
        self.skipped += other.skipped
        self.failures += other.failures

    def __str__(self):
        skipped = f", {self.skipped} skipped" if self.skipped else ""
        return f"{self.passed} passed, {len(self.failures)} failed{skipped}"


def environment(detect_leaks):
    report = os.path.join(ROOT, REPORTS, "report")
    env = dict(os.environ)
    env["ASAN_OPTIONS"] = ":".join([
        f"detect_leaks={int(detect_leaks)}", "abort_on_error=1", "disable_coredump=1",
        "log_exe_name=1", f"log_path={report}", env.get("ASAN_OPTIONS", "")])
    env["UBSAN_OPTIONS"] = ":".join([
        "print_stacktrace=1", "halt_on_error=1", "abort_on_error=1", "log_exe_name=1",
        f"log_path={report}", env.get("UBSAN_OPTIONS", "")])
    env["LSAN_OPTIONS"] = env.get("LSAN_OPTIONS", "")
    env["PYTHONDONTWRITEBYTECODE"] = "1"
    env["QCC_BUILD"] = BUILD
    return env


def run(argv, env, seconds):
    """(status, text of both outputs). A run that takes too long is killed and says so."""
    try:
        done = subprocess.run(argv, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=seconds, cwd=ROOT)
        return done.returncode, done.stdout.decode("utf-8", "replace")
    except OSError as e:
        return 127, str(e)
    except subprocess.TimeoutExpired as slow:
        text = (slow.stdout or b"").decode("utf-8", "replace")
        return -9, f"{text}\nkilled after {seconds} s"


def reports():
    """Takes away what sanitizers wrote: [(file, text)]. LeakSanitizer that was killed, with its program, while it looked says
    that it could not read the registers of a thread: that is no finding."""
    found = []
    for path in sorted(glob.glob(os.path.join(ROOT, REPORTS, "*"))):
        with open(path, errors="replace") as f:
            text = f.read()
        if not re.fullmatch(r"(==\S*==\d+==Unable to get registers from thread \d+\.\n?)*", text):
            found.append((os.path.basename(path), text))
        os.remove(path)
    return found


def tail(text, lines=60):
    kept = text.rstrip().split("\n")
    return "\n".join((["…"] if len(kept) > lines else []) + kept[-lines:])


def cmocka(path, env):
    """One unit test program: its groups' summaries are added up; a crash is one failure more."""
    status, text = run([path], env, UNIT_SECONDS)
    count = lambda pattern: sum(int(n) for n in re.findall(pattern, text, re.M))
    ran = count(r"^\[=+\].*?(\d+) test\(s\) run\.")
    passed = count(r"^\[  PASSED  \] (\d+) test\(s\)")
    skipped = count(r"^\[  SKIPPED \] (\d+) test\(s\)")
    failed = max(ran - passed - skipped, 0)
    if status != 0 and failed == 0:
        failed = 1
    if ran == 0 and failed == 0:
        failed, text = 1, text + "\nran no test"
    name = os.path.relpath(path, os.path.join(BUILD, "unit"))
    failures = [f"unit {name}: exit status {status}\n{tail(text)}"] if failed else []
    failures += [f"unit {name}: one more, see above"] * (failed - 1)
    return name, Result(passed, skipped, failures)


def replay(path, env):
    """One fuzz target over its corpus: one test, whatever the number of inputs."""
    name = os.path.basename(path)
    corpus = os.path.join("tests/fuzz/corpus", name[len("fuzz_"):])
    status, text = run([path, corpus], env, UNIT_SECONDS)
    line = text.strip().split("\n")[-1]
    if status == 0:
        return f"{name} {line}", Result(passed=1)
    return name, Result(failures=[f"fuzz {name} over {corpus}: exit status {status}\n{tail(text)}"])


def each(title, function, paths, env):
    total = Result()
    if not paths:
        return total
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        for name, result in pool.map(lambda p: function(p, env), paths):
            print(f"  {title} {name}: {result}", flush=True)
            total.add(result)
    return total


def pytest_args(report, more):
    return [sys.executable, "-m", "pytest", "-q", "-ra", "-p", "no:cacheprovider", "-p", "pytest_limit",
            f"--junitxml={report}", "--tb=short", "--color=no", *more]


def cases(report):
    """[(pytest's name of the test, what went wrong or None, whether it was skipped)] of a report."""
    found = []
    for case in ET.parse(report).getroot().iter("testcase"):
        bad = [c for c in case if c.tag in ("failure", "error")]
        name = case.get("classname", "").replace(".", "/") + ".py::" + case.get("name", "")
        found.append((name, bad and (bad[0].text or bad[0].get("message", "")), case.find("skipped") is not None))
    return found


def suite(name, pattern, env):
    """The tests of tests/NAME. pytest's own output goes through; the counts come from its report. The machine is shared:
    a test that failed is run again by itself, once, and what it said the first time is printed whatever comes of it."""
    if not glob.glob(os.path.join(ROOT, "tests", name, "**", "test_*.py"), recursive=True):
        return Result(failures=[f"{name}: there is no test in tests/{name}"])
    report = os.path.join(OUT, name + ".xml")
    more = ["tests/" + name]
    if pattern:
        more += ["-k", pattern]
    if has_module("xdist") and JOBS > 1:
        # A file is one worker's, so that what its tests share is made once.
        more += ["-n", str(JOBS), "--dist", "loadfile"]
    env = dict(env, PYTHONPATH=os.path.join(ROOT, "tests"))
    try:
        status = subprocess.run(pytest_args(report, more), env=env, stdin=subprocess.DEVNULL, cwd=ROOT,
                                timeout=SYSTEM_SECONDS).returncode
    except subprocess.TimeoutExpired:
        return Result(failures=[f"{name}: killed after {SYSTEM_SECONDS} s"])
    if status == 5 and pattern:  # nothing matched it
        return Result()
    try:
        first = cases(report)
    except (OSError, ET.ParseError) as e:
        return Result(failures=[f"{name}: pytest ended with status {status} without a report: {e}"])
    failed = [test for test, bad, _ in first if bad]
    steady = alone(failed, env) if len(failed) <= MOST_ALONE else set()
    total = Result()
    for test, bad, skipped in first:
        if bad and test in steady:
            print(f"  {name} {test}: failed beside others, passed alone")
        if bad and test not in steady:
            total.failures.append(f"{name} {test}\n{tail(bad)}")
        elif skipped:
            total.skipped += 1
        else:
            total.passed += 1
    if status != 0 and not failed:
        total.failures.append(f"{name}: pytest ended with status {status}")
    return total


def alone(names, env):
    """Those of these tests that pass when nothing runs beside them. A campaign's seeds are repeated by their test."""
    report = os.path.join(OUT, "alone.xml")
    names = [name for name in names if "test_chaos" not in name]
    if not names:
        return set()
    try:
        subprocess.run(pytest_args(report, names), env=env, stdin=subprocess.DEVNULL, cwd=ROOT, timeout=ALONE_SECONDS)
        return {name for name, bad, _ in cases(report) if not bad}
    except (subprocess.TimeoutExpired, OSError, ET.ParseError):
        return set()


def clients(env):
    """The real clients have a runner of their own, whose last line is its count."""
    status, text = run(["tests/clients/run.sh"], env, CLIENT_SECONDS)
    print("\n".join("  " + line for line in text.rstrip().split("\n")), flush=True)
    count = re.search(r"^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$",
                      text.rstrip().split("\n")[-1])
    if not count:
        return Result(failures=[f"clients: no count, exit status {status}\n{tail(text)}"])
    passed, failed, skipped = (int(n or 0) for n in count.groups())
    if status != 0 and failed == 0:
        failed = 1
    failures = [f"clients: {failed} failed\n{tail(text)}"] if failed else []
    failures += ["clients: one more, see above"] * (failed - 1)
    return Result(passed, skipped, failures)


def has_module(name):
    return subprocess.run([sys.executable, "-c", f"import {name}"], stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL).returncode == 0


def can_find_leaks(paths):
    """LeakSanitizer needs ptrace, which some containers forbid: then it fails on any program."""
    if not paths:
        return True
    _, text = run([paths[0]], environment(True), UNIT_SECONDS)
    text += "".join(t for _, t in reports())
    if "LeakSanitizer has encountered a fatal error" not in text:
        return True
    print("test: LeakSanitizer cannot work here (no ptrace); leaks are not looked for")
    return False


def main():
    os.chdir(ROOT)
    pattern = sys.argv[1] if len(sys.argv) > 1 else ""
    shutil.rmtree(OUT, ignore_errors=True)
    os.makedirs(REPORTS)
    start = time.monotonic()

    def built(kind, folder, sources):
        """Programs by their sources, so that one left over from a source that went is not run."""
        names = [os.path.relpath(path, folder)[:-2] for path in sorted(glob.glob(sources, recursive=True))]
        return [os.path.join(BUILD, kind, name) for name in names if pattern in name]

    units = built("unit", "tests/unit", "tests/unit/**/test_*.c")
    fuzz = built("replay", "tests/fuzz", "tests/fuzz/fuzz_*.c")
    env = environment(can_find_leaks(units))
    total = Result()
    if sys.argv[2:] == ["not-built"]:
        total.failures.append("make SAN=1 test-bins: not all could be built, see the compiler's words above")
    total.add(each("unit", cmocka, units, env))
    total.add(each("fuzz", replay, fuzz, env))
    total.add(suite("system", pattern, env))
    if any(shutil.which(name) for name in BROWSERS):
        total.add(suite("web", pattern, env))
    else:
        print("test: there is no Chromium here; the dashboard is not tested (packaging/deps.sh web installs one)")
    if not pattern or "client" in pattern:
        total.add(clients(env))
    for name, text in reports():
        total.failures.append(f"sanitizer report {name}\n{tail(text)}")

    if total.failures:
        print(f"\n==== {len(total.failures)} failures")
        for failure in total.failures:
            print(f"\n---- {failure}")
    if not total.passed and not total.failures:
        print("\nno test matched" if pattern else "\nno test was found")
    print(f"\n{time.monotonic() - start:.0f} s")
    print(total, flush=True)
    return 1 if total.failures or not total.passed else 0


if __name__ == "__main__":
    sys.exit(main())
