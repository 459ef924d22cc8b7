"""Measures how much CPU trimtab and other processes use now, and how long tasks wait for a CPU."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from core.contract.text.sanitize import sanitize
from core.cpu_count import ROOT, Cpus, count_cpus
from core.watch.host_reader import on_allowed

SAMPLE_S = 0.3
TAKEN = 0.25  # of the usable CPUs: if others use more, threads wait at barriers for threads without a core
WAITED = 0.5  # of the time: trimtab's own tasks cause some waiting
NOTABLE = 0.1  # CPUs: a process that uses less is not named
OURS = ("core.daemon", "core.train", "core.search")


@dataclass(frozen=True)
class Load:
    """CPUs in use: 1.5 is one and a half. ``waited`` is the share of the last 10 s in which some task waited
    for a CPU, None if the kernel does not say; ``heaviest`` names the other process that uses most, or is
    empty."""

    ours: float
    others: float
    waited: float | None = None
    heaviest: str = ""


@dataclass(frozen=True)
class Process:
    """A process. ``used_s`` is its CPU time since it started."""

    name: str
    used_s: float
    ours: bool


@dataclass(frozen=True)
class Reading:
    """CPU times at one moment. ``busy_s`` is the time that the CPUs of the affinity mask were busy or taken
    by a hypervisor."""

    at: float
    busy_s: float
    processes: Mapping[tuple[int, float], Process]  # by pid and start time: pids are reused


def measure(root: Path = ROOT) -> Load:
    """Compute the load from two readings, ``SAMPLE_S`` apart."""
    before = take_reading()
    time.sleep(SAMPLE_S)
    return average_load(before, take_reading(), read_pressure(root))


def take_reading() -> Reading:
    """Read the CPU times up to now."""
    busy = sum(_count_busy(times) for times in on_allowed(psutil.cpu_times(percpu=True)))
    process_iterator = psutil.process_iter(["name", "cmdline", "cpu_times", "create_time"])
    processes = {
        (process.pid, process.info["create_time"]): _read_process(process)
        for process in process_iterator
        if process.info["cpu_times"]
    }
    return Reading(time.monotonic(), busy, processes)


def _count_busy(times: object) -> float:
    return sum(getattr(times, name, 0.0) for name in ("user", "nice", "system", "irq", "softirq", "steal"))


def _read_process(process: psutil.Process) -> Process:
    times = process.info["cpu_times"]
    is_own = process.pid == psutil.Process().pid or is_ours(process.info["cmdline"] or ())
    return Process(
        f"{sanitize(process.info['name'] or '', 40)}, pid {process.pid}", times.user + times.system, is_own
    )


def is_ours(command: Sequence[str]) -> bool:
    """Is ``command`` an engine, a worker or a search process?"""
    after = [command[at + 1] for at, word in enumerate(command[:-1]) if word == "-m"]
    return bool(after) and after[0].startswith(OURS)


def average_load(before: Reading, after: Reading, waited: float | None) -> Load:
    """The mean load between two readings."""
    elapsed_s = max(after.at - before.at, 1e-3)
    used: dict[tuple[int, float], float] = {}
    for key, process in after.processes.items():
        if key in before.processes:
            used[key] = max(0.0, process.used_s - before.processes[key].used_s) / elapsed_s
    own_share = sum(share for key, share in used.items() if after.processes[key].ours)
    strangers = {key: share for key, share in used.items() if not after.processes[key].ours}
    other_load = max(0.0, (after.busy_s - before.busy_s) / elapsed_s - own_share)
    heaviest = max(strangers, key=lambda key: strangers[key], default=None)
    named = heaviest is not None and strangers[heaviest] >= NOTABLE
    return Load(own_share, other_load, waited, after.processes[heaviest].name if heaviest and named else "")


def read_pressure(root: Path = ROOT) -> float | None:
    """The share of the last 10 s in which some task waited for a CPU, from the kernel's pressure stall
    information (PSI, /proc/pressure). None if the kernel does not provide it."""
    try:
        first = (root / "proc/pressure/cpu").read_text("utf-8").splitlines()[0]
        values = dict(word.split("=", 1) for word in first.split()[1:])
        return float(values["avg10"]) / 100.0 if first.startswith("some ") else None
    except (OSError, ValueError, LookupError):
        return None


def free_threads(cpus: Cpus, load: Load) -> int:
    """The number of threads that would get a CPU of their own, at least 1."""
    return max(1, min(cpus.usable, int(cpus.allowed - load.others + TAKEN)))


def are_others_competing(cpus: Cpus, load: Load) -> bool:
    """Do other processes use CPUs that trimtab may use? Under a quota smaller than the machine they may not
    compete."""
    return cpus.allowed - load.others < (1.0 - TAKEN) * cpus.usable


def are_tasks_waiting(cpus: Cpus, load: Load) -> bool:
    """Do tasks of any process wait for a CPU? The kernel's figure covers the whole machine: it says nothing
    about a part of it."""
    has_whole_machine = cpus.allowed == cpus.machine and cpus.quota is None
    return has_whole_machine and load.waited is not None and load.waited > WAITED


def measure_now(root: Path = ROOT) -> tuple[Cpus, Load]:
    """The usable CPUs and the present load."""
    return count_cpus(root), measure(root)
