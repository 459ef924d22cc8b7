"""Workers that were sent away: they keep their trials and go, and have only so long for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Container
from typing import NamedTuple

from core.contract.wire import worker_api
from core.daemon.workers.worker_pool import Worker

GRACE_S = 30.0  # for checkpoints on a slow disk; the one before stands


class Lost(NamedTuple):
    """A worker is gone."""

    worker: Worker
    why: str


class Departures:
    """Of one study. A trial whose worker was sent away is not at fault."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._sent: dict[str, tuple[Worker, float]] = {}
        self._whys: dict[str, str] = {}

    def __contains__(self, worker: str) -> bool:
        return worker in self._sent

    def send(self, worker: Worker, why: str, at_once: bool) -> None:
        """Have it keep its trials and go. ``at_once``: it holds nothing that could be lost."""
        worker.tell(worker_api.Shutdown(why))
        self.note(worker, why)
        if at_once:
            worker.kill()

    def note(self, worker: Worker, why: str) -> None:
        """It goes in good order."""
        worker.leaving = True
        self._sent[worker.name] = worker, self._clock()
        self._whys[worker.name] = why

    def why(self, worker: str, otherwise: str) -> str:
        """Why it went; ``otherwise`` when it did not go in good order."""
        return self._whys.get(worker, otherwise)

    def under_way(self, living: Container[str]) -> bool:
        """Do some still hold their device?"""
        return any(name in living for name in self._sent)

    def hurry(self) -> None:
        """End those whose time is up; calling it again is harmless."""
        for worker, since in self._sent.values():
            if self._clock() - since > GRACE_S:
                worker.kill()
