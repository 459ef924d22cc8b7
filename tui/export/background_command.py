"""Runs a command in the background and keeps the end of what it prints."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from core.contract.text.sanitize import sanitize

NOT_RUN = 127  # as a shell says it
KEPT = 4096  # bytes of the end of what a command prints


async def run_in_background(
    words: Sequence[str], variables: Mapping[str, str] = MappingProxyType({})
) -> tuple[int, list[str]]:
    """Return the command's exit code, and the last lines that it printed. It gets more environment
    ``variables``."""
    try:
        process = await asyncio.create_subprocess_exec(
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={**os.environ, **variables},
            start_new_session=True,  # Ctrl-C and hang-ups of the terminal are for the console
        )
    except OSError as error:
        return NOT_RUN, [sanitize(f"it cannot be run: {error.strerror or error}", 200)]
    end = b""
    assert process.stdout is not None
    while part := await process.stdout.read(65536):
        end = (end + part)[-KEPT:]
    code = await process.wait()
    printed = sanitize(end.decode(errors="replace"), KEPT, lines=True)
    return code, [line.strip() for line in printed.splitlines() if line.strip()]
