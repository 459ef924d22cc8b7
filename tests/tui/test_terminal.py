"""However the console ends, the terminal is as it was; a real one in a real pseudo terminal."""

from __future__ import annotations

import os
import re
import signal
import sys
from pathlib import Path

import pytest

from core import paths
from tests.tui.ptys import DRAWN, Pty
from tests.tui.scene import no_card, state_of, study_events
from tui import terminal_restore
from tui.app import TrimtabApp

CONSOLE = """
import signal, sys, time
from pathlib import Path
from tui import app, console_loop, terminal_restore
terminal_restore.PATIENCE_S = 0.1 if sys.argv[1] == "stuck" else 30.0
class Console(app.TrimtabApp):
    def on_ready(self):
        if sys.argv[1] != "stuck":
            print("ready", file=sys.__stderr__, flush=True)
        if sys.argv[1] == "broken":
            raise RuntimeError("boom")
        if sys.argv[1] == "stuck":
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])  # another thread takes the signal,
            print("ready", file=sys.__stderr__, flush=True)
            time.sleep(60)  # so it does not end this call, and no handler runs
app.TrimtabApp = Console
from core.contract.text.error_reports import run_guarded
sys.exit(run_guarded("trimtab", lambda: console_loop.run(Path("/none/engine.sock"), None)))
"""


def opened(kind: str, home: Path) -> Pty:
    """A console of that kind."""
    more = {"PYTHONPATH": str(paths.find_root()), "TRIMTAB_HOME": str(home)}
    more |= {"TERM": "xterm-256color"}
    return Pty(["-c", CONSOLE, kind], {**os.environ, **more})


@pytest.mark.parametrize(
    ("kind", "number"),
    [
        ("calm", signal.SIGTERM),
        ("answering", signal.SIGTERM),
        ("calm", signal.SIGHUP),
        ("calm", signal.SIGQUIT),
        ("stuck", signal.SIGTERM),
        ("broken", None),
    ],
)
def test_the_terminal_is_as_it_was(kind, number, tmp_path):
    one = opened(kind, tmp_path)
    one.until(b"ready")
    if kind == "answering":  # a terminal that reports its size, and the mouse in pixels
        os.write(one.file, b"\x1b[?2048;2$y\x1b[?2026;2$y")
        one.until(b"\x1b[?1016h")
    if number is not None:
        os.kill(one.pid, number)
    one.until(None)
    assert one.code() == (1 if number is None else 128 + number)
    assert one.modes and DRAWN in one.seen and not one.not_as_it_was(), one.seen[-2000:]
    if kind == "broken":
        shown = one.seen.rpartition(b"\x1b[?1049l")[2]
        assert b"trimtab failed: RuntimeError: boom" in shown and b"Traceback" not in shown
    os.close(one.file)


def test_without_the_mouse_the_terminal_keeps_it_and_an_own_command_gets_the_terminal(tmp_path):
    script = tmp_path / "ask.py"
    script.write_text("import os; print(os.isatty(0), 'and', input('a name? '), flush=True)")
    own = f"[[command]]\nkey = 'f6'\nterminal = true\nrun = '{sys.executable} {script}'\n"
    (tmp_path / "console.toml").write_text(f"mouse = false\n{own}")
    one = opened("calm", tmp_path)
    one.until(b"ready")
    os.write(one.file, b"\x1b[17~")
    one.until(b"a name? ")
    assert one.seen.rpartition(b"\x1b[?1049l")[2].count(DRAWN) == 0, "the console's screen is left"
    os.write(one.file, b"ada\n")
    one.until(b"True and ada")
    one.until(DRAWN, after=len(one.seen))
    os.kill(one.pid, signal.SIGTERM)
    one.until(None)
    assert one.code() == 128 + signal.SIGTERM and b"\x1b[?1049l" in one.seen.rpartition(DRAWN)[2]
    assert not re.findall(rb"\x1b\[\?(?:1000|1003|1006|1015|1016)h", one.seen), "the mouse is the terminal's"
    os.close(one.file)


async def test_ctrl_z_suspends_where_a_shell_can_bring_it_back(seat, monkeypatch):
    asked = []
    monkeypatch.setattr(terminal_restore, "suspend", lambda: asked.append("suspend"))
    async with seat(state_of(study_events(), no_card())) as you:
        monkeypatch.setattr(terminal_restore, "can_be_resumed", lambda: True)
        await you.press("ctrl+z")
        await you.press("slash", "ctrl+z")  # while something is typed, too
        assert asked == ["suspend", "suspend"]
        monkeypatch.setattr(terminal_restore, "can_be_resumed", lambda: False)
        await you.press("ctrl+z")
        await you.sees("no shell could resume")
        assert len(asked) == 2


def test_a_signal_before_anything_is_drawn_is_left_to_the_system(tmp_path):
    assert not TrimtabApp(tmp_path / "e.sock").leave(143)
