"""Tracks workers that were told to shut down: they checkpoint their trials and exit within a grace period."""

from __future__ import annotations

import time
from collections.abc import Callable, Container
from typing import NamedTuple

from core.contract.wire import worker_api
from core.daemon.workers.worker_pool import Worker

GRACE_S = 30.0  # for checkpoints on a slow disk; after that the previous checkpoint counts


class Lost(NamedTuple):
    """A worker that has ended, with the reason."""

    worker: Worker
    why: str


class WorkerShutdowns:
    """The workers of one study that are shutting down. Their trials lose no retry for it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._sent: dict[str, tuple[Worker, float]] = {}
        self._whys: dict[str, str] = {}

    def __contains__(self, worker: str) -> bool:
        return worker in self._sent

    def send(self, worker: Worker, why: str, at_once: bool) -> None:
        """Tell a worker to checkpoint and exit. ``at_once`` kills it: it holds nothing that could be lost."""
        worker.tell(worker_api.Shutdown(why))
        self.note(worker, why)
        if at_once:
            worker.kill()

    def note(self, worker: Worker, why: str) -> None:
        """Record that a worker is shutting down as requested."""
        worker.leaving = True
        self._sent[worker.name] = worker, self._clock()
        self._whys[worker.name] = why

    def why(self, worker: str, otherwise: str) -> str:
        """Return why the worker was told to exit; ``otherwise`` if it was not."""
        return self._whys.get(worker, otherwise)

    def under_way(self, living: Container[str], devices: Container[str]) -> bool:
        """Tell whether some of these workers still hold one of ``devices``."""
        return any(name in living and worker.device in devices for name, (worker, _) in self._sent.items())

    def hurry(self) -> None:
        """Kill the workers whose grace period is over. Repeated calls are harmless."""
        for worker, since in self._sent.values():
            if self._clock() - since > GRACE_S:
                worker.kill()
