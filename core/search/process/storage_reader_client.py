"""Asks a short-lived read-only search process for knob importance or the state of the search."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from core.contract.spec.study_spec import StudySpec
from core.contract.wire.search_state import Importance, SearchState
from core.search.process.search_client import COMMAND, Search
from core.search.process.search_server import READS


class ReadOnlySearch(Search):
    """A read-only search process next to the study's own, so that no sampler or pruner waits for it."""

    command = (*COMMAND, READS)

    async def _exchange(self, method: str, arguments: Any) -> Any:
        """Call once: nothing is written, so a full disk does not matter."""
        async with self._turn:
            return await self._call_with_restart(method, arguments)


async def ask_importance(spec: StudySpec, folder: Path, method: str, objective: int) -> Importance:
    """Return query the knob importance. Raises TrimtabError if the storage cannot be read."""
    return msgspec.convert(await _query(spec, folder, "compute_importance", method, objective), Importance)


async def ask_state(spec: StudySpec, folder: Path) -> SearchState:
    """Return query the state of sampler and rungs. Raises TrimtabError if the storage cannot be read."""
    return msgspec.convert(await _query(spec, folder, "state"), SearchState)


async def _query(spec: StudySpec, folder: Path, method: str, *arguments: Any) -> Any:
    look = ReadOnlySearch(spec, folder)
    try:
        return await look._call(method, lambda: list(arguments))
    finally:
        await look.close()
