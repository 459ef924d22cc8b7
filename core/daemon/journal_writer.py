"""Writes events to the journals of the studies, and waits while a disk is full."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from core.store.journal_file import Journal

log = logging.getLogger("trimtab.committer")

RETRY_S = 1.0  # after a write that failed

ShowWait = Callable[[str, str], None]


@dataclass
class Batch:
    """The records that are written to one study's journal at once. ``heard`` is the last durable message of
    each worker."""

    frames: list[bytes] = field(default_factory=list)
    heard: dict[str, int] = field(default_factory=dict)


class JournalWriter:
    """Holds the open journal of each study.

    ``show_wait`` is called with a study and the reason when writing has to wait, and with an empty reason
    when it goes on.
    """

    def __init__(self, show_wait: ShowWait) -> None:
        self.trouble = ""  # why a journal cannot be written now
        self._show_wait = show_wait
        self._journals: dict[str, Journal] = {}

    def replace_journal(self, study: str, journal: Journal) -> Journal | None:
        """Write ``study``'s events to ``journal`` from now on; return the journal used before."""
        before, self._journals[study] = self._journals.get(study), journal
        return before

    async def write(self, batches: Mapping[str, Batch]) -> None:
        """Write each study's batch, and return when all is on disk.

        While the disk is full it waits: nothing is shown that is not stored.
        """
        for study, batch in batches.items():
            journal = self._journals.get(study)
            if journal is not None and (batch.frames or batch.heard):
                await self._write_batch(study, journal, batch)

    async def _write_batch(self, study: str, journal: Journal, batch: Batch) -> None:
        while True:
            try:
                await asyncio.to_thread(journal.append_frames, batch.frames, batch.heard)
                break
            except OSError as error:
                self._note_failure(study, error)
                await asyncio.sleep(RETRY_S)
        if self.trouble:
            self._show_wait(study, "")
        self.trouble = ""

    def _note_failure(self, study: str, error: OSError) -> None:
        fault = error.strerror or error
        if not self.trouble:
            log.error("journal of %s: %s; trying again until there is room", study, error)
            self._show_wait(study, f"the journal cannot be written: {fault}")
        self.trouble = f"the journal of {study} cannot be written: {fault}"
