"""One reading of everything: GPUs, host and workers."""

from __future__ import annotations

from pathlib import Path

from core import paths
from core.contract.events.event_types import MachineRead
from core.watch.host_reader import HostReader, WorkerRow
from core.watch.nvml_reader import GpuReader


class MachineReader:
    """Blocking (a driver may take its time): call it in a thread, from one thread at a time."""

    def __init__(self, home: Path | None = None, gpus: GpuReader | None = None) -> None:
        self._gpus = gpus or GpuReader()
        self._host = HostReader(home or paths.home())

    def read(self, workers: list[WorkerRow], at: float) -> MachineRead:
        """The machine ``at`` (Unix seconds), with the workers given as (name, pid, device, study)."""
        devices, why_none = self._gpus.read()
        return MachineRead(
            at=at,
            devices=devices,
            host=self._host.read(),
            workers=self._host.workers(workers),
            why_none=why_none,
        )

    def close(self) -> None:
        """Let NVML go."""
        self._gpus.close()
