"""Runs a command under the filter of system calls of a unit: its SystemCallFilter, RestrictNamespaces and
RestrictAddressFamilies, with no new privileges, no capability, and as a user without rights.

    confine.py UNIT COMMAND...

systemd does the same before it starts the command of a unit; here nothing else of systemd is needed.
"""

import ctypes
import errno
import os
import socket
import subprocess
import sys

# Debian keeps it there, whichever Python comes first in the path.
sys.path.append("/usr/lib/python3/dist-packages")
import seccomp

NOBODY = 65534
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 24, 38
NAMESPACES = {
    "mnt": 0x00020000,
    "cgroup": 0x02000000,
    "uts": 0x04000000,
    "ipc": 0x08000000,
    "user": 0x10000000,
    "pid": 0x20000000,
    "net": 0x40000000,
}


def settings(unit):
    """Values of each key, in order."""
    found = {}
    for line in open(unit):
        key, sep, value = line.strip().partition("=")
        if sep and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


def calls(name):
    """System calls of a group, or the one of that name."""
    if not name.startswith("@"):
        return {name}
    output = subprocess.run(["systemd-analyze", "syscall-filter", name], check=True, capture_output=True, text=True)
    words = [line.strip() for line in output.stdout.splitlines()[1:]]
    return set().union(*(calls(word) for word in words if word and not word.startswith("#")))


def allowed(lines):
    """What a list of SystemCallFilter= adds up to (systemd.exec(5))."""
    total = calls("@default")
    for line in lines:
        group = set().union(*(calls(word) for word in line.lstrip("~").split()))
        total = total - group if line.startswith("~") else total | group
    return total


def build(unit):
    refuse = seccomp.ERRNO(errno.EPERM)
    rules = seccomp.SyscallFilter(refuse)
    spaces = unit["RestrictNamespaces"][-1].split()
    mask = sum(bit for name, bit in NAMESPACES.items() if name not in spaces)
    for call in sorted(allowed(unit["SystemCallFilter"])):
        if call in ("clone", "unshare"):
            rules.add_rule(seccomp.ALLOW, call, seccomp.Arg(0, seccomp.MASKED_EQ, mask, 0))
        elif call == "clone3":
            # Its flags are out of a filter's sight: programs then fall back on clone.
            rules.add_rule(seccomp.ERRNO(errno.ENOSYS), call)
        elif call == "setns":
            continue
        elif call == "socket":
            for family in unit["RestrictAddressFamilies"][-1].split():
                rules.add_rule(seccomp.ALLOW, call, seccomp.Arg(0, seccomp.EQ, getattr(socket, family)))
        else:
            try:
                rules.add_rule(seccomp.ALLOW, call)
            except RuntimeError:
                pass  # not of this architecture
    return rules


def main():
    rules = build(settings(sys.argv[1]))
    libc = ctypes.CDLL(None)
    os.setgroups([])
    for capability in range(64):
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    rules.load()
    os.execvp(sys.argv[2], sys.argv[2:])


main()
