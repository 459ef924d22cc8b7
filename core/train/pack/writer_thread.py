"""Files are written in a thread of their own: nobody's training waits for a disk."""

from __future__ import annotations

import errno
import logging
import re
import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor

log = logging.getLogger("trimtab.writer")

ROOM_S = 1.0  # between two tries on a full disk
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}

Job = Callable[[], None]


class Writer:
    """Does jobs one after the other, in the order in which they were given."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "writer")
        self._waiting: dict[Future[None], Hashable] = {}
        self._leaving = threading.Event()

    def do(self, job: Job, instead_of: Hashable = None) -> None:
        """Have ``job`` done; returns at once. One of the same ``instead_of`` that has not begun is dropped:
        checkpoints do not pile up in memory before a slow disk. What it raises goes to the log."""
        for one, key in list(self._waiting.items()):
            if one.done() or (instead_of is not None and key == instead_of and one.cancel()):
                del self._waiting[one]
        self._waiting[self._thread.submit(_logged, job)] = instead_of

    def patiently(self, job: Job, full: Callable[[Exception], None]) -> bool:
        """In a job: do ``job``, again and again while the disk has no room for it, which is told to ``full``
        once. False when the worker left before there was room. Other errors are raised."""
        told = False
        while True:
            try:
                job()
                return True
            except Exception as error:
                if not _is_full(error):
                    raise
                if not told:
                    full(error)
                told = True
            if self._leaving.wait(ROOM_S):
                return False

    def settle(self, patient: bool = True) -> None:
        """Wait until all jobs are done; not for room on the disk unless ``patient``."""
        if not patient:
            self._leaving.set()
        for one in self._waiting:
            one.result()


def _is_full(error: Exception) -> bool:
    """Libraries written in Rust raise errors of their own, with the system's number in the text."""
    told = re.search(r"os error (\d+)", str(error))
    number = error.errno if isinstance(error, OSError) and error.errno else int(told[1]) if told else 0
    return number in FULL


def _logged(job: Job) -> None:
    try:
        job()
    except Exception:
        log.exception("a file could not be written")
