"""Files are written in a thread of their own: nobody's training waits for a disk."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor

log = logging.getLogger("trimtab.writer")

Job = Callable[[], None]


class Writer:
    """Does jobs one after the other, in the order in which they were given."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "writer")
        self._waiting: dict[Future[None], Hashable] = {}

    def do(self, job: Job, instead_of: Hashable = None) -> None:
        """Have ``job`` done; returns at once. One of the same ``instead_of`` that has not begun is dropped:
        checkpoints do not pile up in memory before a slow disk. What it raises goes to the log."""
        for one, key in list(self._waiting.items()):
            if one.done() or (instead_of is not None and key == instead_of and one.cancel()):
                del self._waiting[one]
        self._waiting[self._thread.submit(_logged, job)] = instead_of

    def settle(self) -> None:
        """Wait until all jobs are done."""
        for one in self._waiting:
            one.result()


def _logged(job: Job) -> None:
    try:
        job()
    except Exception:
        log.exception("a file could not be written")
