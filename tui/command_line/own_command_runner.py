"""Runs the user's own commands: in the background with a notice at their end, or in the terminal."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from collections.abc import Sequence

from textual.app import App, SuspendNotSupported

from core.contract.text.sanitize import plain

KEPT = 4096  # bytes of the end of what a command prints


async def run_in_background(words: Sequence[str]) -> tuple[bool, str]:
    """Return whether the command succeeded, and its last line."""
    try:
        process = await asyncio.create_subprocess_exec(
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C and hang-ups of the terminal are for the console
        )
    except OSError as error:
        return False, plain(f"it cannot be run: {error.strerror or error}", 200)
    end = b""
    assert process.stdout is not None
    while part := await process.stdout.read(65536):
        end = (end + part)[-KEPT:]
    code = await process.wait()
    lines = [
        line for line in plain(end.decode(errors="replace"), KEPT, lines=True).splitlines() if line.strip()
    ]
    last = lines[-1].strip() if lines else ""
    return code == 0, last if code == 0 else f"exit code {code}{f': {last}' if last else ''}"


def run_in_terminal(app: App[None], words: Sequence[str]) -> str:
    """Give the terminal to the command until it ends; return why it failed, empty where it did not."""
    try:
        with app.suspend():
            before = signal.signal(signal.SIGINT, lambda *_: None)  # Ctrl-C is for the command alone
            try:
                code = subprocess.run(list(words)).returncode
            finally:
                signal.signal(signal.SIGINT, before)
    except SuspendNotSupported:
        return "this terminal cannot be given to it"
    except OSError as error:
        return plain(f"it cannot be run: {error.strerror or error}", 200)
    return f"exit code {code}" if code else ""
