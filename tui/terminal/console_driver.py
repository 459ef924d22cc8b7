"""Textual's driver for Linux, which also knows how much the terminal has not taken yet."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from typing import Any

from textual import events
from textual.drivers import linux_driver
from textual.drivers.linux_driver import LinuxDriver
from textual.message import Message

from tui.terminal.late_terminal_replies import KeyParser

LAST_ANSWER_S = 0.5  # on leaving, an answer is waited for: else the shell would read it as typed
KEEP_TITLE, TITLE_AS_IT_WAS = "\x1b[22;0t", "\x1b[23;0t"  # xterm's stack of titles
NO_PIXELS = "\x1b[?1016l"  # Textual does not take back that it wants the mouse in pixels


class _Counted:
    """The terminal as a file: writes text as UTF-8 and counts what is written."""

    def __init__(self, fileno: int) -> None:
        self._fileno = fileno
        self.written = 0

    def write(self, text: str) -> None:
        data = memoryview(text.encode("utf-8", "replace"))
        while data:
            data = data[os.write(self._fileno, data) :]
        self.written += len(text)

    def flush(self) -> None:
        """Nothing is kept back."""

    def fileno(self) -> int:
        return self._fileno


class ConsoleDriver(LinuxDriver):
    """``on_started`` is called when the terminal was taken over, ``on_answer`` when it said where its cursor
    is; ``active`` is false while someone else draws there."""

    def __init__(self, app: Any, **options: Any) -> None:
        super().__init__(app, **options)
        self.active = False
        self.on_started: Callable[[], None] = lambda: None
        self.on_answer: Callable[[], None] = lambda: None
        self._queued = 0
        self._counted = _Counted(sys.__stderr__.fileno() if sys.__stderr__ else 2)
        self._file = self._counted  # type: ignore[assignment]
        self._answers = False  # it has answered before
        self._answered = threading.Event()

    @property
    def backlog(self) -> int:
        """The number of characters that the terminal has not taken."""
        return self._queued - self._counted.written

    def write(self, data: str) -> None:
        """Queue ``data`` for the terminal."""
        self._queued += len(data)
        super().write(data)

    def ask_for_cursor(self) -> None:
        """Note that what is written next asks for the cursor's position."""
        self._answered.clear()

    def start_application_mode(self) -> None:
        """Take the terminal over."""
        super().start_application_mode()  # type: ignore[no-untyped-call]
        self.active = True
        self.write(KEEP_TITLE)
        self._loop.call_soon_threadsafe(self.on_started)

    def stop_application_mode(self) -> None:
        """Give the terminal back as it was."""
        self.active = False
        if self._answers:
            self._answered.wait(LAST_ANSWER_S)
        self.write(NO_PIXELS + TITLE_AS_IT_WAS)
        super().stop_application_mode()

    def run_input_thread(self) -> None:
        """Read keys. Textual's driver offers no other way to say which parser it uses."""
        linux_driver.XTermParser = KeyParser  # type: ignore[attr-defined]
        super().run_input_thread()

    def process_message(self, message: Message) -> None:
        """Take the cursor's position out of what is typed."""
        if isinstance(message, events.CursorPosition):
            self._answers = True
            self._answered.set()
            self._loop.call_soon_threadsafe(self.on_answer)
            return
        super().process_message(message)
