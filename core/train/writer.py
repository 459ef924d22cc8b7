"""Files are written in a thread of their own: nobody's training waits for a disk."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

log = logging.getLogger("trimtab.writer")


class Writer:
    """Does jobs one after the other, in the order in which they were given."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "writer")
        self._waiting: list[Future[None]] = []

    def do(self, job: Callable[[], None]) -> None:
        """Have ``job`` done; returns at once. What it raises goes to the log: it tells its own faults."""
        self._waiting = [one for one in self._waiting if not one.done()]
        self._waiting.append(self._thread.submit(_logged, job))

    def settle(self) -> None:
        """Wait until all jobs are done."""
        for one in self._waiting:
            one.result()


def _logged(job: Callable[[], None]) -> None:
    try:
        job()
    except Exception:
        log.exception("a file could not be written")
