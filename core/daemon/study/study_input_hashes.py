"""Record a study's data and base when it is created, and hash them in the background."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from core.contract.spec.study_spec import StudySpec
from core.errors import TrimtabError
from core.store import input_change_check

log = logging.getLogger("trimtab.inputs")


class InputNotes:
    """The input records of one engine. Files are read in threads: the event loop never waits for a disk."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._leaving = False

    async def note(self, spec: StudySpec, folder: Path) -> None:
        """Record the hashes of the study's inputs as they are now. Raises TrimtabError."""
        await asyncio.to_thread(input_change_check.note, spec, folder)

    async def refuse_changed(self, spec: StudySpec, folder: Path) -> None:
        """Raise InputsChangedError for changes that a quick check finds; workers check the contents."""
        await asyncio.to_thread(input_change_check.refuse_changed, spec, folder)

    def begin(self, spec: StudySpec, folder: Path) -> None:
        """Hash in the background what is not hashed yet."""
        task = asyncio.create_task(self._sum_up(spec, folder), name=f"inputs of {spec.study.name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _sum_up(self, spec: StudySpec, folder: Path) -> None:
        try:
            await asyncio.to_thread(input_change_check.note, spec, folder)
            await asyncio.to_thread(input_change_check.add_hashes, spec, folder, lambda: self._leaving)
        except TrimtabError as error:  # a worker that cannot read it reports to the study
            log.warning("%s", error)

    async def leave(self) -> None:
        """Stop hashing; the next engine continues."""
        self._leaving = True
        await asyncio.gather(*self._tasks, return_exceptions=True)
