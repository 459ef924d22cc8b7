"""Writes files in a thread of its own, so that training never waits for a disk."""

from __future__ import annotations

import errno
import logging
import re
import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor

log = logging.getLogger("trimtab.writer")

RETRY_S = 1.0  # between two attempts on a full disk
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}

Job = Callable[[], None]


class Writer:
    """Runs jobs one after the other, in the order in which they were submitted."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "writer")
        self._pending: dict[Future[None], Hashable] = {}
        self._shutting_down = threading.Event()

    def do(self, job: Job, instead_of: Hashable = None) -> None:
        """Queue ``job`` and return at once.

        A queued job with the same ``instead_of`` that has not started is dropped, so that checkpoints do not
        pile up in memory when the disk is slow. Exceptions of the job are logged.
        """
        for future, key in list(self._pending.items()):
            if future.done() or (instead_of is not None and key == instead_of and future.cancel()):
                del self._pending[future]
        self._pending[self._thread.submit(_log_errors, job)] = instead_of

    def retry_while_full(self, job: Job, full: Callable[[Exception], None]) -> bool:
        """Run ``job`` (inside a queued job) and retry while the disk is full; ``full`` is called once.

        Returns False if the worker shuts down before there is space. Raises the job's other errors.
        """
        reported = False
        while True:
            try:
                job()
                return True
            except Exception as error:
                if not _is_full(error):
                    raise
                if not reported:
                    full(error)
                reported = True
            if self._shutting_down.wait(RETRY_S):
                return False

    def settle(self, patient: bool = True) -> None:
        """Wait until all jobs have ended; unless ``patient``, without waiting for space on a full disk."""
        if not patient:
            self._shutting_down.set()
        for future in self._pending:
            future.result()


def _is_full(error: Exception) -> bool:
    """Whether the error says that the disk is full. Libraries written in Rust raise errors of their own, with
    the system's error number in the text."""
    match = re.search(r"os error (\d+)", str(error))
    number = error.errno if isinstance(error, OSError) and error.errno else int(match[1]) if match else 0
    return number in FULL


def _log_errors(job: Job) -> None:
    try:
        job()
    except Exception:
        log.exception("a file could not be written")
