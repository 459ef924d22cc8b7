"""Counts the CPUs that this process may use, by its affinity mask and its cgroup quota. Only Linux has both;
elsewhere all CPUs count."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

ROOT = Path("/")
THREADS = "TRIMTAB_THREADS"  # a worker's share of the CPUs, set by the engine
GROUPS = "sys/fs/cgroup"


@dataclass(frozen=True)
class Cpus:
    """``machine`` counts all logical CPUs, ``allowed`` those in the affinity mask; ``quota`` is in CPUs, None
    for no limit."""

    machine: int
    allowed: int
    quota: float | None = None

    @property
    def usable(self) -> int:
        """The number of threads that can run at once; a fraction of a CPU counts as one."""
        return max(1, self.allowed if self.quota is None else min(self.allowed, math.ceil(self.quota)))

    def describe(self) -> str:
        """The count with what limits it: "2 CPUs usable (of 64: affinity 8, cgroup quota 1.5)"."""
        limits = [f"affinity {self.allowed}"] if self.allowed < self.machine else []
        if self.quota is not None and self.quota < self.allowed:
            limits.append(f"cgroup quota {self.quota:.4g}")
        of = f"of {self.machine}" + (f": {', '.join(limits)}" if limits else "")
        return f"{self.usable} CPU{'s' if self.usable != 1 else ''} usable ({of})"


def count_cpus(root: Path = ROOT) -> Cpus:
    """The CPUs of this process. ``root`` is the folder that holds proc and sys."""
    machine = os.cpu_count() or 1
    mask = read_affinity()
    return Cpus(machine, len(mask) if mask else machine, read_quota(root))


def read_affinity() -> set[int]:
    """The numbers of the CPUs on which this process may run; empty if the system does not say."""
    try:
        return set(os.sched_getaffinity(0))
    except (AttributeError, OSError):  # not Linux
        return set()


def read_quota(root: Path = ROOT) -> float | None:
    """The CPU quota of this process's control groups: the smallest of its own and its parents'. None for no
    limit, or if it cannot be read."""
    try:
        lines = (root / "proc/self/cgroup").read_text("utf-8").splitlines()
    except (OSError, ValueError):
        return None
    found = [limit for line in lines for limit in _list_limits(root / GROUPS, line)]
    return min(found, default=None)


def _list_limits(groups: Path, line: str) -> Iterator[float]:
    """The limits along the path in one line of /proc/self/cgroup, see cgroups(7): "0::/path" is version 2,
    "4:cpu,cpuacct:/path" version 1."""
    number, _, rest = line.partition(":")
    controllers, _, path = rest.partition(":")
    if number == "0" and not controllers:
        mounts, read = (groups, groups / "unified"), _read_limit_2
    elif "cpu" in controllers.split(","):
        mounts, read = (groups / controllers, groups / "cpu"), _read_limit_1
    else:
        return
    # inside a container the path may be the host's: missing folders are skipped, up to the mount itself
    parts = [part for part in PurePosixPath(path).parts if part not in ("/", "..")]
    for mount in mounts:
        for depth in range(len(parts), -1, -1):
            limit = read(mount.joinpath(*parts[:depth]))
            if limit is not None:
                yield limit


def _read_limit_2(group: Path) -> float | None:
    try:
        granted, period = (group / "cpu.max").read_text("utf-8").split()
        return _divide(int(granted), int(period))
    except (OSError, ValueError):  # "max": no limit
        return None


def _read_limit_1(group: Path) -> float | None:
    try:
        granted = int((group / "cpu.cfs_quota_us").read_text("utf-8"))
        return _divide(granted, int((group / "cpu.cfs_period_us").read_text("utf-8")))
    except (OSError, ValueError):
        return None


def _divide(granted_us: int, period_us: int) -> float | None:
    return granted_us / period_us if granted_us > 0 and period_us > 0 else None  # -1: no limit


def share_cpus(workers: int, found: Cpus) -> int:
    """Threads for each of ``workers`` processes that train on the CPU at the same time, at least 1."""
    return max(1, found.usable // max(1, workers))


def choose_threads(requested: int | None, default: int, environment: Mapping[str, str]) -> int:
    """Threads of a worker: what the study asks for, else torch's ``default``. With OMP_NUM_THREADS that
    default is the user's number; otherwise it is the physical cores, limited to the worker's share of the
    CPUs."""
    if requested:
        return requested
    if environment.get("OMP_NUM_THREADS"):
        return default
    share_text = environment.get(THREADS, "")
    most = int(share_text) if share_text.isdecimal() and int(share_text) > 0 else count_cpus().usable
    return min(default, most)
