"""Runs a command and says what it and all its descendants cost.

    python3 meter.py COMMAND [ARGUMENT...]

The last line on standard error is `{"exit", "wall_s", "cpu_s", "left_behind"}`. The CPU time of a process reaches
its parent when that parent waits for it, so a browser's short-lived renderers are counted through the long-lived
processes that reap them; orphans are handed to this process, which asks to be their reaper. `left_behind` counts
processes that were still there a while after the command had ended; they are killed and their cost is counted too.
"""

import ctypes
import json
import os
import signal
import sys
import time

PR_SET_CHILD_SUBREAPER = 36
GRACE_S = 3.0


def children():
    with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:
        return [int(pid) for pid in file.read().split()]


def reap(options=0):
    """The next ended child as (pid, exit code, CPU seconds), or None while none has ended."""
    pid, status, usage = os.wait4(-1, options)
    return pid and (pid, os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime)


def main(command):
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
    start = time.monotonic()
    main_pid = os.posix_spawnp(command[0], command, os.environ)
    cpu_s = 0.0
    while True:
        pid, code, spent = reap()
        cpu_s += spent
        if pid == main_pid:
            break
    wall_s = time.monotonic() - start

    deadline = time.monotonic() + GRACE_S
    left_behind = set()
    try:
        while True:
            ended = reap(os.WNOHANG)
            if ended:
                cpu_s += ended[2]
            elif time.monotonic() < deadline:
                time.sleep(0.01)
            else:
                for pid in children():
                    left_behind.add(pid)
                    os.kill(pid, signal.SIGKILL)
                time.sleep(0.01)
    except ChildProcessError:
        pass
    print(json.dumps({"exit": code, "wall_s": wall_s, "cpu_s": cpu_s, "left_behind": len(left_behind)}), file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
