"""Read the machine regularly: each second while a console is attached, less often otherwise."""

from __future__ import annotations

import asyncio
import logging
import time

from core.daemon.console_broadcast import Hub
from core.daemon.event_committer import EventCommitter
from core.daemon.workers.worker_pool import WorkerPool
from core.watch.machine_reader import MachineReader

log = logging.getLogger("trimtab.machine")

WATCHED_S = 1.0
UNWATCHED_S = 5.0


class Machine:
    """Sends a MachineRead to the committer at regular intervals."""

    def __init__(self, committer: EventCommitter, hub: Hub, reader: MachineReader | None = None) -> None:
        self._committer, self._hub = committer, hub
        self._reader = reader or MachineReader()

    async def read_once(self, crew: WorkerPool | None = None) -> None:
        """Read once, off the event loop, since a driver may be slow."""
        workers = (
            [(worker.name, worker.pid, worker.device, worker.study) for worker in crew.workers.values()]
            if crew
            else []
        )
        read = await asyncio.to_thread(self._reader.read, workers, time.time())
        await self._committer.put(read)

    async def run(self, crew: WorkerPool) -> None:
        """Read until cancelled."""
        while True:
            try:
                await self.read_once(crew)
            except Exception:
                log.exception("the machine could not be read")
            await self._pause()

    async def _pause(self) -> None:
        """Wait until the next reading is due, or until a console attaches."""
        start = time.monotonic()
        while time.monotonic() - start < (WATCHED_S if len(self._hub) else UNWATCHED_S):
            await asyncio.sleep(WATCHED_S / 2)
