"""sandbox.py UNIT PROGRAM ARGUMENT...: executes the program under the filters of system calls that
systemd would make of the unit's settings (SystemCallFilter=, MemoryDenyWriteExecute=,
RestrictAddressFamilies=, RestrictNamespaces=, RestrictSUIDSGID=, LockPersonality=, NoNewPrivileges=). Where
the unit lets a forbidden call fail, here it is the end of the process (SIGSYS): nothing that the
programs do may need one.

What @groups mean is asked of systemd-analyze; the filters are made by libseccomp, as systemd's are.
"""
import ctypes
import os
import re
import socket
import stat
import subprocess
import sys

ALLOW, KILL, ENOSYS = 0x7FFF0000, 0x80000000, 0x00050000 | 38
NE, LT, LE, EQ, GE, GT, MASKED_EQ = 1, 2, 3, 4, 5, 6, 7
PROT_WRITE, PROT_EXEC, SHM_EXEC = 2, 4, 0o100000
NAMESPACES = (0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000)
PR_SET_NO_NEW_PRIVS = 38


class Compare(ctypes.Structure):
    _fields_ = [("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]


def library():
    lib = ctypes.CDLL("libseccomp.so.2")
    lib.seccomp_init.restype = ctypes.c_void_p
    lib.seccomp_init.argtypes = [ctypes.c_uint32]
    lib.seccomp_load.argtypes = [ctypes.c_void_p]
    lib.seccomp_rule_add_array.argtypes = [ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint,
                                           ctypes.POINTER(Compare)]
    lib.seccomp_syscall_resolve_name.argtypes = [ctypes.c_char_p]
    return lib


def settings(path):
    """{key: [values in order]} of the unit's [Service]."""
    found = {}
    with open(path, encoding="utf-8") as f:
        for line in f:
            match = re.match(r"([A-Za-z]+)=(.*)", line)
            if match:
                found.setdefault(match.group(1), []).append(match.group(2).strip())
    return found


def members(name):
    """The system calls of a group, with those of the groups in it."""
    if not name.startswith("@"):
        return {name}
    text = subprocess.run(["systemd-analyze", "syscall-filter", name], check=True, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    found = set()
    for line in text.splitlines()[1:]:
        word = line.strip()
        if word and not word.startswith("#"):
            found |= members(word)
    return found


def allowed(lines):
    """What SystemCallFilter= lines allow in all: a list of what is allowed, of which ~ takes away."""
    calls = members("@default")
    for line in lines:
        names = set().union(*(members(word) for word in line.lstrip("~").split()))
        calls = calls - names if line.startswith("~") else calls | names
    return calls


class Filter:
    def __init__(self, lib, default):
        self.lib = lib
        self.context = lib.seccomp_init(default)

    def rule(self, action, name, *compares):
        number = self.lib.seccomp_syscall_resolve_name(name.encode())
        if number < 0:  # not of this machine
            return
        array = (Compare * len(compares))(*compares)
        if self.lib.seccomp_rule_add_array(self.context, action, number, len(compares), array) != 0:
            sys.exit("sandbox: no rule for " + name)

    def load(self):
        if self.lib.seccomp_load(self.context) != 0:
            sys.exit("sandbox: the kernel does not take the filter")


def forbidden(lib, unit):
    """Everything that is forbidden by its arguments."""
    f = Filter(lib, ALLOW)
    both, suid = PROT_WRITE | PROT_EXEC, (stat.S_ISUID, stat.S_ISGID)
    f.rule(KILL, "mmap", Compare(2, MASKED_EQ, both, both))
    f.rule(KILL, "mprotect", Compare(2, MASKED_EQ, PROT_EXEC, PROT_EXEC))
    f.rule(KILL, "pkey_mprotect", Compare(2, MASKED_EQ, PROT_EXEC, PROT_EXEC))
    f.rule(KILL, "shmat", Compare(2, MASKED_EQ, SHM_EXEC, SHM_EXEC))
    for bit in suid:
        f.rule(KILL, "chmod", Compare(1, MASKED_EQ, bit, bit))
        f.rule(KILL, "fchmod", Compare(1, MASKED_EQ, bit, bit))
        f.rule(KILL, "fchmodat", Compare(2, MASKED_EQ, bit, bit))
        f.rule(KILL, "mkdirat", Compare(2, MASKED_EQ, bit, bit))
    for bit in NAMESPACES:
        f.rule(KILL, "clone", Compare(0, MASKED_EQ, bit, bit))
        f.rule(KILL, "unshare", Compare(0, MASKED_EQ, bit, bit))
        f.rule(KILL, "setns", Compare(1, MASKED_EQ, bit, bit))
    f.rule(KILL, "setns", Compare(1, EQ, 0))
    f.rule(ENOSYS, "clone3")  # its flags are in memory; libc goes on with clone
    families = {getattr(socket, name) for name in unit["RestrictAddressFamilies"][0].split()}
    for family in set(range(46)) - families:
        f.rule(KILL, "socket", Compare(0, EQ, family))
    f.rule(KILL, "socket", Compare(0, GE, 46))
    return f


def main():
    path, program = sys.argv[1], sys.argv[2:]
    unit = settings(path)
    for key in ("MemoryDenyWriteExecute", "RestrictNamespaces", "RestrictSUIDSGID", "LockPersonality", "NoNewPrivileges"):
        if unit.get(key) != ["yes"]:
            sys.exit(f"sandbox: {key} is not on in the unit")
    calls = allowed(unit["SystemCallFilter"])
    lib = library()
    second = Filter(lib, KILL)
    for name in sorted(calls):
        second.rule(ALLOW, name)
    if ctypes.CDLL(None).prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        sys.exit("sandbox: no_new_privs")
    forbidden(lib, unit).load()
    second.load()
    os.execv(program[0], program)


if __name__ == "__main__":
    main()
