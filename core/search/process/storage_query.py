"""One question about a study's storage, answered by a process that lives as long as the answer takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from core.contract.spec.study_spec import Spec
from core.contract.wire.search_state import Importance, SearchState
from core.search.process.search_client import COMMAND, Search
from core.search.process.search_server import READS


class Look(Search):
    """Beside the study's own search process: neither a sampler nor a pruner waits for it. It cannot write."""

    command = (*COMMAND, READS)

    async def _exchange(self, method: str, arguments: Any) -> Any:
        """Nothing is written, so no disk is waited for."""
        async with self._turn:
            return await self._in_some_life(method, arguments)


async def importance(spec: Spec, folder: Path, method: str, objective: int) -> Importance:
    """Which knobs matter. Raises TrimtabError when the storage cannot be read."""
    return msgspec.convert(await _asked(spec, folder, "importance", method, objective), Importance)


async def state(spec: Spec, folder: Path) -> SearchState:
    """Sampler and rungs. Raises TrimtabError when the storage cannot be read."""
    return msgspec.convert(await _asked(spec, folder, "state"), SearchState)


async def _asked(spec: Spec, folder: Path, method: str, *arguments: Any) -> Any:
    look = Look(spec, folder)
    try:
        return await look._call(method, lambda: list(arguments))
    finally:
        await look.close()
