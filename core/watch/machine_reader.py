"""Reads GPUs, host and workers together."""

from __future__ import annotations

from pathlib import Path

from core import paths
from core.contract.events.event_types import MachineRead
from core.watch.host_reader import HostReader, WorkerRow
from core.watch.nvml_reader import GpuReader


class MachineReader:
    """Reads the machine. It blocks (drivers may be slow): call it in a thread, from one thread at a time."""

    def __init__(self, home: Path | None = None, gpus: GpuReader | None = None) -> None:
        self._gpus = gpus or GpuReader()
        self._host = HostReader(home or paths.home())

    def read(self, workers: list[WorkerRow], at: float) -> MachineRead:
        """Read the machine ``at`` (Unix seconds); ``workers`` are (name, pid, device, study)."""
        devices, why_none = self._gpus.read()
        return MachineRead(
            at=at,
            devices=devices,
            host=self._host.read(),
            workers=self._host.read_workers(workers),
            why_none=why_none,
        )

    def close(self) -> None:
        """Shut NVML down."""
        self._gpus.close()
