"""Gives the terminal to one of the user's own commands until it ends."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Sequence

from textual.app import App, SuspendNotSupported

from core.contract.text.sanitize import sanitize


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
        return sanitize(f"it cannot be run: {error.strerror or error}", 200)
    return f"exit code {code}" if code else ""
