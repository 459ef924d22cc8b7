"""Who uses the CPUs at this moment: trimtab, or others; and how long tasks wait for one."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from core.contract.text.sanitize import plain
from core.cpu_count import ROOT, Cpus, cpus
from core.watch.host_reader import on_allowed

SAMPLE_S = 0.3
TAKEN = 0.25  # of the usable CPUs: with more of them taken, threads wait for partners that are off their core
WAITED = 0.5  # of the time: trimtab's own tasks alone make some
NOTABLE = 0.1  # CPUs: a process with less is not named
OURS = ("core.daemon", "core.train", "core.search")


@dataclass(frozen=True)
class Load:
    """CPUs in use: 1.5 is one and a half. ``waited`` is the share of the last 10 s in which some task waited
    for one, None where the kernel does not say; ``heaviest`` the other process that uses most, or empty."""

    ours: float
    others: float
    waited: float | None = None
    heaviest: str = ""


@dataclass(frozen=True)
class Process:
    """``used_s`` is the CPU time of its whole life."""

    name: str
    used_s: float
    ours: bool


@dataclass(frozen=True)
class Reading:
    """``busy_s`` is the time that the CPUs of the affinity mask were at work or held back by a hypervisor."""

    at: float
    busy_s: float
    processes: Mapping[tuple[int, float], Process]  # by pid and start: a pid may be used again


def measure(root: Path = ROOT) -> Load:
    """Two readings, ``SAMPLE_S`` apart."""
    before = reading()
    time.sleep(SAMPLE_S)
    return between(before, reading(), pressure(root))


def reading() -> Reading:
    """What has been used up to now."""
    busy = sum(_busy(times) for times in on_allowed(psutil.cpu_times(percpu=True)))
    found = psutil.process_iter(["name", "cmdline", "cpu_times", "create_time"])
    processes = {
        (process.pid, process.info["create_time"]): _process(process)
        for process in found
        if process.info["cpu_times"]
    }
    return Reading(time.monotonic(), busy, processes)


def _busy(times: object) -> float:
    return sum(getattr(times, name, 0.0) for name in ("user", "nice", "system", "irq", "softirq", "steal"))


def _process(process: psutil.Process) -> Process:
    times = process.info["cpu_times"]
    mine = process.pid == psutil.Process().pid or is_ours(process.info["cmdline"] or ())
    return Process(
        f"{plain(process.info['name'] or '', 40)}, pid {process.pid}", times.user + times.system, mine
    )


def is_ours(command: Sequence[str]) -> bool:
    """Is it an engine, a worker or a search process?"""
    after = [command[at + 1] for at, word in enumerate(command[:-1]) if word == "-m"]
    return bool(after) and after[0].startswith(OURS)


def between(before: Reading, after: Reading, waited: float | None) -> Load:
    """The mean from one reading to the next."""
    elapsed_s = max(after.at - before.at, 1e-3)
    used: dict[tuple[int, float], float] = {}
    for key, process in after.processes.items():
        if key in before.processes:
            used[key] = max(0.0, process.used_s - before.processes[key].used_s) / elapsed_s
    ours = sum(share for key, share in used.items() if after.processes[key].ours)
    strangers = {key: share for key, share in used.items() if not after.processes[key].ours}
    others = max(0.0, (after.busy_s - before.busy_s) / elapsed_s - ours)
    most = max(strangers, key=lambda key: strangers[key], default=None)
    named = most is not None and strangers[most] >= NOTABLE
    return Load(ours, others, waited, after.processes[most].name if most and named else "")


def pressure(root: Path = ROOT) -> float | None:
    """The share of the last 10 s in which some task waited for a CPU, as the kernel's pressure stall
    information has it (PSI, /proc/pressure). None where it is not kept."""
    try:
        first = (root / "proc/pressure/cpu").read_text("utf-8").splitlines()[0]
        values = dict(word.split("=", 1) for word in first.split()[1:])
        return float(values["avg10"]) / 100.0 if first.startswith("some ") else None
    except (OSError, ValueError, LookupError):
        return None


def left(found: Cpus, load: Load) -> int:
    """Threads that have a CPU of their own beside the others, at least 1."""
    return max(1, min(found.usable, int(found.allowed - load.others + TAKEN)))


def taken(found: Cpus, load: Load) -> bool:
    """Do others use what trimtab may use? With a quota smaller than the machine they need not."""
    return found.allowed - load.others < (1.0 - TAKEN) * found.usable


def crowded(found: Cpus, load: Load) -> bool:
    """Do tasks wait for a CPU, whoever they belong to? The kernel's figure is the whole machine's: it says
    nothing of a part of it."""
    whole = found.allowed == found.machine and found.quota is None
    return whole and load.waited is not None and load.waited > WAITED


def now(root: Path = ROOT) -> tuple[Cpus, Load]:
    """The CPUs, and who uses them."""
    return cpus(root), measure(root)
