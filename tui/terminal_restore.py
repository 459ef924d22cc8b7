"""Restores the terminal however the console ends, and ends the console when the terminal disappears."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import termios
import threading
import time
from collections.abc import Callable
from typing import Any

HUNG_UP = 129  # as the shell says it of SIGHUP
BY_SIGNAL = 128  # and the number of any other
SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
PATIENCE_S = 3.0  # for the console to leave in order
# Mouse, focus, paste, keyboard, wrapping; then the main screen, the cursor, and plain letters.
AS_IT_WAS = (
    "\x1b[?1000l\x1b[?1003l\x1b[?1015l\x1b[?1006l\x1b[?1016l\x1b[?1004l\x1b[?2004l\x1b[?2048l"
    "\x1b[<u\x1b[?7h\x1b[23;0t\x1b[?1049l\x1b[?25h\x1b[0m"
)


def leave_with_it() -> None:
    """End this process when its terminal hangs up; the engine and its studies continue.

    The kernel's SIGHUP goes to the leader of the session alone: under ``make`` or ``nohup`` a console would
    stay, reading from nothing as fast as it can.
    """
    if sys.stdin.isatty():
        threading.Thread(target=_wait, args=(sys.stdin.fileno(),), name="terminal", daemon=True).start()


def _wait(terminal: int) -> None:
    waiting = select.poll()
    waiting.register(terminal, 0)  # nothing but the hang-up, which is always told
    waiting.poll()
    os._exit(HUNG_UP)  # no one is left to read a message


def leave_by_signal(leave: Callable[[int], bool]) -> None:
    """On a signal that ends processes, ``leave`` with its exit code, which says whether it can do that now.

    A console that has not left in ``PATIENCE_S`` is stuck: then a thread restores the terminal and ends the
    process. The thread hears of the signal by a pipe, because Python runs a handler only between two
    bytecodes of the main thread, and a stuck console may never come to the next one.
    """
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(read_end, _read_attributes()), name="signals", daemon=True).start()

    def handle(number: int, _: Any) -> None:
        if not leave(BY_SIGNAL + number):  # nothing is drawn yet, or any more
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    for number in SIGNALS:
        signal.signal(number, handle)


def _watch(read_end: int, attributes: Any) -> None:
    while (number := os.read(read_end, 1)[0]) not in SIGNALS:
        pass
    time.sleep(PATIENCE_S)
    _end(BY_SIGNAL + number, attributes)


def _read_attributes() -> Any:
    try:
        return termios.tcgetattr(sys.stdin.fileno())
    except (OSError, ValueError, termios.error):
        return None


def _end(code: int, attributes: Any) -> None:
    with contextlib.suppress(OSError, ValueError, termios.error):
        os.write(sys.stdin.fileno(), AS_IT_WAS.encode())  # a terminal is read and written by one file
        if attributes is not None:
            termios.tcsetattr(sys.stdin.fileno(), termios.TCSANOW, attributes)
    os._exit(code)


def resume_in_order(driver: Any) -> None:
    """After a stop that no process hears of (SIGSTOP), the driver of Textual would start a second reader
    next to the first one: the first is ended before."""
    resume = signal.getsignal(signal.SIGCONT)

    def handle(number: int, frame: Any) -> None:
        if not driver._must_signal_resume:  # it was not suspended in order, by Ctrl-Z
            driver.suspend_application_mode()
        if callable(resume):
            resume(number, frame)

    signal.signal(signal.SIGCONT, handle)


def can_be_resumed() -> bool:
    """Return whether a shell could resume a suspended console. Where this process is in
    the group that leads its session, as under ``ssh -t HOST trimtab``, nothing would ever continue it."""
    return os.getpgrp() != os.getsid(0)


def suspend() -> None:
    """Stop this process and those that were started with it, such as ``make``, as Ctrl-Z does elsewhere."""
    os.kill(0, signal.SIGTSTP)
