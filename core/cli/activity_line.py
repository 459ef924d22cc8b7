"""Prints a progress line when a command has been silent for a while."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from core.contract.text import safe_printing

FIRST_S, AGAIN_S = 4.0, 10.0  # of silence
POLL_S = 0.5


class _Work:
    """The current activity; a thread prints it until ``ended`` is set."""

    def __init__(self, name: str) -> None:
        self.name, self.what = name, "working"
        self.ended = threading.Event()

    def run(self) -> None:
        """Print the activity after FIRST_S of silence, then every AGAIN_S."""
        silence_s, waited_s = FIRST_S, 0.0
        while not self.ended.wait(POLL_S):
            waited_s += POLL_S
            if safe_printing.measure_silence_s() >= silence_s:
                with contextlib.suppress(
                    OSError, ValueError, safe_printing.UnwritableError
                ):  # closed, or full
                    print(f"{self.name}: {self.what}, {waited_s:.0f} s so far …", file=sys.stderr, flush=True)
                silence_s = AGAIN_S


_current: list[_Work] = []


@contextmanager
def show_activity(name: str) -> Iterator[None]:
    """Report the activity of the command ``name`` while it runs, or until ``hush``."""
    work = _Work(name)
    _current.append(work)
    threading.Thread(target=work.run, name="activity", daemon=True).start()
    try:
        yield
    finally:
        work.ended.set()
        _current.remove(work)


def set_activity(activity: str) -> None:
    """Set the current activity, in a few words such as "hashing the data"."""
    for work in _current:
        work.what = activity


def stop_activity() -> None:
    """Stop reporting: the command follows a study, or another program owns the terminal."""
    for work in _current:
        work.ended.set()
