"""The machine that is measured on: its CPU time, the processes on it, what they may open, other programs' versions."""
import os
import resource
import shutil
import socket
import subprocess
import sys
import time

FILES = 65536  # wanted: 10,000 streams are 20,000 connections of a proxy


def room(n):
    """n connections, or as many as the open files allow, of which a connection may need two."""
    return min(n, (resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 600) // 200 * 100)


def family(pid):
    """The process and all its descendants."""
    found = [pid]
    for p in found:
        try:
            for task in os.listdir(f"/proc/{p}/task"):
                with open(f"/proc/{p}/task/{task}/children") as f:
                    found += [int(c) for c in f.read().split()]
        except OSError:
            pass
    return found


def pss_kb(pids):
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/smaps_rollup") as f:
            total += sum(int(line.split()[1]) for line in f if line.startswith("Pss:"))
    return total


def rss_kb(pids):
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/status") as f:
            total += sum(int(line.split()[1]) for line in f if line.startswith("VmRSS:"))
    return total


def cpu_us(pids):
    """CPU time that all threads of the processes have used."""
    total = 0
    for pid in pids:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/schedstat") as f:
                total += int(f.read().split()[0])
    return total / 1000


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def versions():
    def first(argv, word):
        try:
            out = subprocess.run(argv, capture_output=True, text=True)
        except OSError:
            return f"no {word}"
        return (out.stdout + out.stderr).splitlines()[0].split(" - ")[0]
    path = os.environ["PATH"] + ":/usr/sbin"
    return ", ".join([first([shutil.which("nginx", path=path) or "nginx", "-v"], "nginx").replace("nginx version: ", ""),
                      first([shutil.which("haproxy", path=path) or "haproxy", "-v"], "haproxy")])


def machine_seconds():
    """CPU seconds that the whole machine has worked, and wall-clock seconds."""
    with open("/proc/stat") as f:
        user, nice, system, _, _, irq, softirq = map(int, f.readline().split()[1:8])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK"), time.monotonic()


def others(since):
    """Percent of the machine that other programs took: more than a little, and the figures are noise."""
    busy, wall = (now - then for now, then in zip(machine_seconds(), since))
    own = sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return max(0.0, 100 * (busy - own) / (wall * os.cpu_count()))


def allow_files(most):
    """Lets this process and those it starts open so many files, or as many as there is permission for."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    for n in (max(most, hard), hard):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (n, n))
            return
        except (ValueError, OSError):
            print(f"bench: no permission for {n} open files: {hard}", file=sys.stderr)


def note(since):
    """What stands below a table of the machine; since: machine_seconds() at the start."""
    return f"{len(os.sched_getaffinity(0))} cores; other programs took {others(since):.0f}% of them"
