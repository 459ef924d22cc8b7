"""`trimtab snapshot`: the console's screen without a terminal."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys

import pytest
from textual._compositor import Compositor

from core import paths
from core.cli.main import main
from tests.cli.scripted_engine import ScriptedEngine
from tests.tui.conftest import render_update
from tests.tui.scene import no_card, state_of, study_events
from tui.entry_point import open_console


@pytest.fixture(autouse=True)
def drawing(monkeypatch, tmp_path):
    monkeypatch.setattr(Compositor, "render_update", render_update)  # these tests look at what is drawn
    tmp_path.chmod(0o700)


def test_each_screen_is_drawn_as_text_and_as_svg(tmp_path, capsys):
    with ScriptedEngine(paths.socket_path(tmp_path)) as engine:
        engine.state = state_of(study_events(), no_card())
        assert main(["snapshot"], open_console) == 0
        text = capsys.readouterr().out
        assert "tidy-7b" in text and "best #4" in text
        assert len(text.splitlines()) == 40 and max(map(len, text.splitlines())) <= 120
        for words, seen in ((["trial", "3"], "› trial 3"), (["memory"], "memory")):
            out = tmp_path / f"{words[0]}.txt"
            assert (
                main(["snapshot", "--screen", *words, "--size", "80x24", "-o", str(out)], open_console) == 0
            )
            assert seen in out.read_text() and len(out.read_text().splitlines()) == 24
        drawing = tmp_path / "boards.svg"
        assert main(["snapshot", "tidy-7b", "--screen", "boards", "-o", str(drawing)], open_console) == 0
        assert drawing.read_text().startswith("<svg") and drawing.stat().st_mode & 0o077 == 0
        (tmp_path / "link.txt").symlink_to(tmp_path / "elsewhere.txt")
        assert main(["snapshot", "-o", str(tmp_path / "link.txt")], open_console) == 1
        assert main(["snapshot", "--screen", "trial", "99"], open_console) == 1
        assert main(["snapshot", "other-study"], open_console) == 2
        assert "there is no trial 99" in capsys.readouterr().err


def test_without_an_engine_it_says_so_and_starts_none(tmp_path, capsys):
    assert main(["snapshot"], open_console) == 3
    assert "no engine answers" in capsys.readouterr().err
    assert not paths.socket_path(tmp_path).exists()


STOPPED = """
import os, signal, socket, sys
line = socket.socket(socket.AF_UNIX)
line.bind(sys.argv[1])
line.listen()
print("listening", flush=True)
os.kill(os.getpid(), signal.SIGSTOP)
"""


def test_an_engine_that_is_stopped_is_named_as_stopped(tmp_path, capsys):
    command = [sys.executable, "-c", STOPPED, str(paths.socket_path(tmp_path))]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as stopped:
        try:
            assert stopped.stdout.readline() == b"listening\n"
            os.waitpid(stopped.pid, os.WUNTRACED)
            assert main(["snapshot"], open_console) == 3
        finally:
            os.kill(stopped.pid, signal.SIGKILL)
    assert "it is stopped" in capsys.readouterr().err


def test_a_wrong_request_says_what_is_allowed(monkeypatch, capsys):
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "cairosvg" else real(name))
    for words, said in (
        (["--screen", "trial"], "trial takes its number"),
        (["--screen", "map"], "is not a screen"),
        (["--size", "9x9"], "120x40"),
        (["-o", "a.gif"], ".svg"),
        (["-o", "a.png"], "pip install cairosvg"),
    ):
        assert main(["snapshot", *words], open_console) == 2
        assert said in capsys.readouterr().err
