"""A process in a pseudo terminal of its own, of 80×24."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Callable, Mapping, Sequence

DEADLINE_S = 240.0  # of a walk through all screens, on a machine that is full
# Mouse, focus, the main screen and the cursor as they were.
LEFT = (b"\x1b[?1049l", b"\x1b[?25h", b"\x1b[?1000l", b"\x1b[?1003l", b"\x1b[?1006l", b"\x1b[?1004l")
DRAWN = b"\x1b[?1049h"  # the alternate screen: from here on it is the console's


KEPT = ("7", "25")  # wrapping and the cursor: on is how they were


def _modes_set(seen: bytes) -> list[str]:
    """The private modes that were set."""
    return sorted({mode.decode() for mode in re.findall(rb"\x1b\[\?(\d+)h", seen)} - set(KEPT))


class Pty:
    """``python -P`` with these arguments; ``before`` runs in the process before Python does."""

    def __init__(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        before: Callable[[], object] = lambda: None,
    ) -> None:
        self.pid, self.file = pty.fork()
        if self.pid == 0:  # the child
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
            before()
            known = {"COLORFGBG": "15;0", **environment}  # it does not answer what its background is
            os.execve(sys.executable, [sys.executable, "-P", *arguments], known)
        self.seen, self.late = b"", False
        self.modes = self._modes()

    def until(self, word: bytes | None, after: int = 0) -> bytes:
        """All that is written until ``word`` comes ``after`` so many bytes, or until the process ends."""
        deadline = time.monotonic() + DEADLINE_S
        while (word is None or word not in self.seen[after:]) and time.monotonic() < deadline:
            if not select.select([self.file], [], [], 1.0)[0]:
                continue
            try:
                self.seen += os.read(self.file, 65_536)
            except OSError:  # its other end is closed
                return self.seen
        self.late = word is None or word not in self.seen[after:]
        return self.seen

    def code(self) -> int:
        """The exit code, or the signal's number below zero."""
        if self.late:
            os.kill(self.pid, signal.SIGKILL)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def not_as_it_was(self) -> list[bytes | str]:
        """What the terminal was not told when the console left, and what the driver of it changed."""
        last = self.seen.rpartition(DRAWN)[2]
        changed = [b"modes"] if self.modes != self._modes() else []
        left = [mode for mode in _modes_set(self.seen) if f"\x1b[?{mode}l".encode() not in last]
        return [word for word in LEFT if DRAWN in self.seen and word not in last] + left + changed

    def _modes(self) -> int:
        return termios.tcgetattr(self.file)[3] & (termios.ECHO | termios.ICANON)
