"""Reads the host: CPU, memory, disk, load, and what the workers use of them."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import psutil

from core.contract.events.event_types import Host, Worker
from core.contract.text.sanitize import sanitize
from core.cpu_count import count_cpus, read_affinity

Value = TypeVar("Value")
WorkerRow = tuple[str, int, str, str]  # name, pid, device, study


class HostReader:
    """Reads host figures. CPU shares are means since the previous reading; the first reading has none."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._processes: dict[int, psutil.Process] = {}
        self._begun = False
        self._net: tuple[float, int, int] | None = None  # when (monotonic), bytes received and sent by then

    def read(self) -> Host:
        """Take one reading; figures that the system does not provide are None."""
        shares = on_allowed(psutil.cpu_percent(None, percpu=True))
        share = sum(shares) / len(shares) / 100.0 if shares else 0.0
        cpu, self._begun = (share if self._begun else None), True
        memory = psutil.virtual_memory()
        received_rate, sent_rate = self._measure_net_rates()
        return Host(
            cpu=cpu,
            cores=count_cpus().allowed,
            used_bytes=memory.total - memory.available,
            total_bytes=memory.total,
            disk_free_bytes=read_disk_free_bytes(self._home),
            load1=_read_load1(),
            name=sanitize(platform.node(), 80),
            disk_total_bytes=_read_disk_total_bytes(self._home),
            received_bytes_s=received_rate,
            sent_bytes_s=sent_rate,
        )

    def _measure_net_rates(self) -> tuple[float | None, float | None]:
        """Bytes received and sent per second since the reading before, but the loopback's; None at first."""
        try:
            counters = psutil.net_io_counters(pernic=True)
        except (OSError, RuntimeError):
            return None, None
        counted = [count for name, count in counters.items() if not name.startswith("lo")]
        now = (
            time.monotonic(),
            sum(count.bytes_recv for count in counted),
            sum(count.bytes_sent for count in counted),
        )
        before, self._net = self._net, now
        if before is None or now[0] <= before[0]:
            return None, None
        took = now[0] - before[0]
        return max(0.0, (now[1] - before[1]) / took), max(0.0, (now[2] - before[2]) / took)

    def read_workers(self, rows: list[WorkerRow]) -> tuple[Worker, ...]:
        """Read the memory and CPU use of each worker; None for a worker that has exited."""
        for pid in set(self._processes) - {pid for _, pid, _, _ in rows}:
            del self._processes[pid]
        return tuple(self._read_worker(*row) for row in rows)

    def _read_worker(self, name: str, pid: int, device: str, study: str) -> Worker:
        try:
            process = self._processes.get(pid)
            if process is not None and process.is_running():
                cpu: float | None = process.cpu_percent(None) / 100.0
            else:  # new, or another process with the pid of an old one
                process, cpu = psutil.Process(pid), None
                process.cpu_percent(None)  # the next reading counts from here
            self._processes[pid] = process
            return Worker(name, pid, device, process.memory_info().rss, cpu, study)
        except (psutil.Error, OSError):
            self._processes.pop(pid, None)
            return Worker(name, pid, device, study=study)


def on_allowed(values: Sequence[Value]) -> list[Value]:
    """The values of ``values`` (one per CPU) for the CPUs in this process's affinity mask; all of them if the
    mask is unknown."""
    mask = read_affinity()
    is_known = mask and max(mask) < len(values)  # CPUs that are offline have no figure
    return [value for number, value in enumerate(values) if number in mask] if is_known else list(values)


def read_disk_free_bytes(folder: Path) -> int | None:
    """Free bytes on the disk of ``folder``, or where it would be created; None if unknown."""
    for place in (folder, *folder.parents):
        try:
            result: int | None = psutil.disk_usage(str(place)).free
            return result
        except FileNotFoundError:
            continue
        except OSError:
            return None
    return None


def _read_disk_total_bytes(folder: Path) -> int | None:
    try:
        total: int | None = psutil.disk_usage(str(folder)).total
        return total
    except OSError:
        return None


def _read_load1() -> float | None:
    try:
        return os.getloadavg()[0]
    except (AttributeError, OSError):
        return None
