"""The terminal itself: when it vanishes, so does the console."""

from __future__ import annotations

import os
import select
import sys
import threading

HUNG_UP = 129  # as the shell says it of SIGHUP


def leave_with_it() -> None:
    """End this process when its terminal hangs up; the engine and its studies go on.

    The kernel's SIGHUP goes to the leader of the session alone: under ``make`` or ``nohup`` a console would
    stay, reading from nothing as fast as it can.
    """
    if sys.stdin.isatty():
        threading.Thread(target=_wait, args=(sys.stdin.fileno(),), name="terminal", daemon=True).start()


def _wait(terminal: int) -> None:
    waiting = select.poll()
    waiting.register(terminal, 0)  # nothing but the hang-up, which is always told
    waiting.poll()
    os._exit(HUNG_UP)  # there is nobody to say anything to
