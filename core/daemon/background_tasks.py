"""The engine's background tasks: a failure is always logged."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

log = logging.getLogger("trimtab.background")

FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 60.0


async def keep_going(name: str, part: Callable[[], Awaitable[None]], tries: int = 0) -> None:
    """Run ``part`` until it returns or is cancelled; if it fails, log the error and restart it.

    The delay before a restart starts at a second and grows. ``part`` runs at most ``tries`` times, or without
    a limit if that is 0.
    """
    wait_s, failed = FIRST_WAIT_S, 0
    while True:
        try:
            await part()
            return
        except Exception:
            failed += 1
            log.exception("%s failed, %d times by now", name, failed)
        if failed == tries:
            return
        await asyncio.sleep(wait_s)
        wait_s = min(LONGEST_WAIT_S, 2 * wait_s)


class Tasks:
    """Small tasks that no one awaits: kept alive, and logged when they fail."""

    def __init__(self, subject: str) -> None:
        self._what = subject
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, Any]) -> None:
        """Start ``work`` in the background."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._note_end)

    async def wait_for_all(self) -> None:
        """Wait until all that was started has ended."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _note_end(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception():
            log.error("%s failed", self._what, exc_info=task.exception())
