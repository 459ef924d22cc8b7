"""Identify processes by more than their number, which is reused: by their start time, and whether they
run."""

from __future__ import annotations

import os
from pathlib import Path

STOPPED = frozenset("Tt")  # proc_pid_stat(5): by SIGSTOP, by a debugger


def read_start(pid: int) -> str:
    """Return when the process started, in ticks since boot, which no change of the clock affects. Raises
    OSError."""
    stat = Path(f"/proc/{pid}/stat")
    if not stat.exists() and Path("/proc/self/stat").exists():
        raise ProcessLookupError(pid)
    try:
        ticks = stat.read_text().rpartition(")")[2].split()[19]  # proc_pid_stat(5): starttime
        return f"{ticks}@{Path('/proc/sys/kernel/random/boot_id').read_text().strip()}"
    except FileNotFoundError:  # not Linux
        import psutil

        return f"{psutil.Process(pid).create_time():.0f}"


def is_alive(pid: int) -> bool:
    """Tell whether a process with this number exists, whoever owns it."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return True


def is_stopped(pid: int) -> bool:
    """Tell whether the process is stopped until it gets SIGCONT; False if that is unknown."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return state in STOPPED
