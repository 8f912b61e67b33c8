"""The README says what is so: its configuration reference is the program's, its folders exist."""
import os
import re
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SUPERVISOR = os.path.join(ROOT, os.environ.get("QCC_BUILD", "build/san"), "qcc-supervisor")


def readme():
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as f:
        return f.read()


def test_reference_is_what_the_program_prints():
    done = subprocess.run(["packaging/readme.sh", SUPERVISOR, "--check"], cwd=ROOT, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout


def test_folders_exist_and_are_all_named():
    table = readme().split("| folder |", 1)[1].split("\n\n", 1)[0]
    named = set(re.findall(r"^\| `([^`]+)` \|", table, re.M))
    assert named
    for folder in named:
        assert os.path.isdir(os.path.join(ROOT, folder)), folder
    for parent in ("common", "tests"):
        for entry in os.listdir(os.path.join(ROOT, parent)):
            if os.path.isdir(os.path.join(ROOT, parent, entry)) and not entry.startswith((".", "__")):
                assert f"{parent}/{entry}" in named, f"{parent}/{entry} is not in the README's map"


def test_commands_exist():
    with open(os.path.join(ROOT, "Makefile"), encoding="utf-8") as f:
        targets = set(re.findall(r"^([a-z-]+):", f.read(), re.M))
    for target in re.findall(r"`make ([a-z-]+)", readme()):
        assert target in targets, target


def test_commands_are_followed():
    """packaging/test-readme.sh, which wants root and a chroot, has a step for every command of the chapters it follows."""
    named, left = (subprocess.run(["packaging/test-readme.sh", what], cwd=ROOT, text=True, capture_output=True, check=True)
                   .stdout.splitlines() for what in ("--named", "--unfollowed"))
    assert len(named) > 80 and "qccctl logs --grep" in named and "GET /api/v1/queue" in named
    assert left == []
