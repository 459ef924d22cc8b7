"""However the console ends, the terminal is as it was; a real one in a real pseudo terminal."""

from __future__ import annotations

import os
import pty
import select
import signal
import sys
import termios
import time
from pathlib import Path

import pytest

from core import paths
from tests.tui.scene import no_card, state_of, study_events
from tui import terminal
from tui.app import TrimtabApp

DEADLINE_S = 60.0
CONSOLE = """
import sys, time
from pathlib import Path
from tui import app, terminal
terminal.PATIENCE_S = 0.1
class Console(app.TrimtabApp):
    def on_ready(self):
        print("ready", file=sys.__stderr__, flush=True)
        if sys.argv[1] == "broken":
            raise RuntimeError("boom")
        if sys.argv[1] == "stuck":
            time.sleep(60)
app.TrimtabApp = Console
from core.contract.faults import guarded
sys.exit(guarded("trimtab", lambda: app.run(Path("/none/engine.sock"), None)))
"""
LEFT = (b"\x1b[?1049l", b"\x1b[?25h", b"\x1b[?1000l", b"\x1b[?1003l", b"\x1b[?1006l", b"\x1b[?1004l")


class Pty:
    """A console of 80×24 in a terminal of its own."""

    def __init__(self, kind: str, home: Path) -> None:
        self.pid, self.file = pty.fork()
        if self.pid == 0:  # the child
            os.environ.update(PYTHONPATH=str(paths.root()), TERM="xterm-256color", TRIMTAB_HOME=str(home))
            os.execv(sys.executable, [sys.executable, "-P", "-c", CONSOLE, kind])
        self.seen = b""

    def until(self, word: bytes | None) -> bytes:
        """All that is written until ``word``, or until the console ends."""
        deadline = time.monotonic() + DEADLINE_S
        while (word is None or word not in self.seen) and time.monotonic() < deadline:
            if not select.select([self.file], [], [], 1.0)[0]:
                continue
            try:
                self.seen += os.read(self.file, 65_536)
            except OSError:  # its other end is closed
                break
        return self.seen

    def code(self) -> int:
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


@pytest.mark.parametrize(
    ("kind", "number"),
    [("calm", signal.SIGTERM), ("calm", signal.SIGHUP), ("stuck", signal.SIGTERM), ("broken", None)],
)
def test_the_terminal_is_as_it_was(kind, number, tmp_path):
    one = Pty(kind, tmp_path)
    before = termios.tcgetattr(one.file)[3] & (termios.ECHO | termios.ICANON)
    one.until(b"ready")
    if number is not None:
        os.kill(one.pid, number)
    last = one.until(None).rpartition(b"\x1b[?1049h")[2]
    assert all(word in last for word in LEFT), last[-2000:]
    assert one.code() == (1 if number is None else 128 + number)
    assert before and termios.tcgetattr(one.file)[3] & before == before
    if kind == "broken":
        shown = last.rpartition(b"\x1b[?1049l")[2]
        assert b"trimtab failed: RuntimeError: boom" in shown and b"Traceback" not in shown
    os.close(one.file)


async def test_ctrl_z_suspends_where_a_shell_can_bring_it_back(seat, monkeypatch):
    asked = []
    monkeypatch.setattr(terminal, "suspend", lambda: asked.append("suspend"))
    async with seat(state_of(study_events(), no_card())) as you:
        monkeypatch.setattr(terminal, "can_be_resumed", lambda: True)
        await you.press("ctrl+z")
        await you.press("slash", "ctrl+z")  # while something is typed, too
        assert asked == ["suspend", "suspend"]
        monkeypatch.setattr(terminal, "can_be_resumed", lambda: False)
        await you.press("ctrl+z")
        await you.sees("there is no shell")
        assert len(asked) == 2


def test_a_signal_before_anything_is_drawn_is_left_to_the_system(tmp_path):
    assert not TrimtabApp(tmp_path / "e.sock").leave(143)
