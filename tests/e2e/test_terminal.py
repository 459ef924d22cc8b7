"""The real program in a real terminal of 80×24, driven by keys as over SSH."""

import asyncio
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator

import psutil
import pytest

from core.contract.state import engine_state as s
from core.contract.wire import console_api, engine_client
from tests.e2e.conftest import DEADLINE_S, TRIMTAB, House

pytestmark = [
    pytest.mark.real,
    pytest.mark.xdist_group("e2e"),
    pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed"),
]


class Terminal:
    """A tmux server of one's own."""

    def __init__(self, house: House, name: str) -> None:
        self._base = ["tmux", "-L", name]
        self._environment = {**house.environment, "TERM": "xterm-256color"}

    def tmux(self, *words: str) -> str:
        done = subprocess.run([*self._base, *words], env=self._environment, capture_output=True, text=True)
        return done.stdout

    def open(self, command: str) -> None:
        self.tmux("-f", "/dev/null", "new-session", "-d", "-s", "s", "-x", "80", "-y", "24", command)

    def press(self, *keys: str) -> None:
        self.tmux("send-keys", "-t", "s", *keys)

    def screen(self) -> str:
        return self.tmux("capture-pane", "-t", "s", "-p")

    def sees(self, *words: str) -> str:
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            shown = self.screen()
            if all(word in shown for word in words):
                return shown
            time.sleep(0.1)
        raise AssertionError(f"in vain: {words}\n{self.screen()}")


@pytest.fixture
def terminal(house) -> Iterator[Terminal]:
    one = Terminal(house, f"trimtab-test-{os.getpid()}-{house.home.parent.name}")
    yield one
    one.tmux("kill-server")


def test_a_study_is_started_steered_left_and_found_again(house: House, terminal: Terminal):
    terminal.open(f"{TRIMTAB} run {house.write(trials=2, steps=100_000)}; echo left with $?; exec sh")
    terminal.sees("tiny", "● running", "p pause")
    house.until(lambda one: 0 in one.trials and "eval/loss" in one.trials[0].latest, "trial 0 is evaluated")
    terminal.press("p")
    terminal.sees("‖ paused")
    terminal.press("?")
    terminal.sees("pause or resume the trial")
    terminal.press("?")  # Escape and Enter in one breath would be Alt+Enter
    terminal.sees("⏎ open", "‖ paused")
    terminal.press("Enter")
    terminal.sees("tiny › trial 0", "gradient norm", "parameters")
    terminal.press("q")
    terminal.sees("detached — the study continues; reopen with `trimtab`", "left with 0")
    assert house.state().studies["tiny"].state == "running"
    terminal.press("clear; " + str(TRIMTAB), "Enter")
    shown = terminal.sees("‖ paused", "● running")
    assert max(len(line) for line in shown.splitlines()) <= 80
    terminal.press("s")
    terminal.sees("Stop the study tiny?")
    terminal.press("tiny", "Enter")
    terminal.sees("stopped")


@pytest.mark.parametrize(
    ("term", "encoding"),
    [("xterm-256color", "utf-8"), ("screen", "utf-8"), ("linux", "cp437"), ("vt100", "ascii")],
)
def test_each_kind_of_terminal_gets_signs_that_it_has_and_its_screen_back(terminal, term, encoding):
    terminal.open(f"env -u COLORTERM TERM={term} {TRIMTAB}; echo left with $?; exec sh")
    shown = terminal.sees("no study yet", "Run the demo", "q detach")
    shown.encode(encoding)
    terminal.press("S")
    terminal.sees("no study exists yet")
    terminal.press("q")
    assert "Run the demo" not in terminal.sees("left with 0")


@pytest.mark.skipif(shutil.which("screen") is None, reason="GNU screen is not installed")
def test_inside_gnu_screen_the_console_is_drawn_and_left(terminal):
    inner = f"{TRIMTAB}; echo left with $?; exec sh"
    terminal.open(f"env -u COLORTERM SCREENDIR=$(mktemp -d) screen -U -c /dev/null sh -c '{inner}'")
    terminal.sees("no study yet", "Run the demo", "q detach")
    terminal.press("d")
    terminal.sees("devices")
    terminal.press("q")
    terminal.sees("left with 0")
    terminal.press("exit", "Enter")


MOSH = """
set -e; export LC_ALL=C.UTF-8
line=$(mosh-server new -i 127.0.0.1 -p 60000:61999 -- sh -c "{inner}" 2>/dev/null | grep 'MOSH CONNECT')
set -- $line; MOSH_KEY=$4 mosh-client 127.0.0.1 $3
"""


@pytest.mark.skipif(shutil.which("mosh-server") is None, reason="mosh is not installed")
def test_over_mosh_the_console_is_drawn_steered_and_left(terminal, tmp_path):
    script = tmp_path / "over-mosh"
    script.write_text(MOSH.replace("{inner}", f"{TRIMTAB}; echo left with \\$?; exec sh"))
    terminal.open(f"env -u COLORTERM sh {script}")
    terminal.sees("no study yet", "Run the demo", "q detach")
    terminal.press("d")
    terminal.sees("devices of")
    terminal.press("q")
    terminal.sees("left with 0")
    terminal.press("exit", "Enter")


def test_a_terminal_that_cannot_move_its_cursor_gets_lines(terminal):
    terminal.open(f"env TERM=dumb {TRIMTAB}; echo left with $?; exec sh")
    terminal.sees("no studies; start one with", "Ctrl-C leaves")
    terminal.press("C-c")
    terminal.sees("left; the studies continue", "left with 130")


def test_the_terminal_may_vanish(house: House, terminal: Terminal):
    spec = house.write(trials=2, steps=100_000)
    terminal.open(f"trap '' HUP; {TRIMTAB} run {spec}; true")  # as under make or nohup: no signal comes
    house.until(lambda one: 0 in one.trials and one.trials[0].step > 0, "trial 0 runs")
    before = house.state().studies["tiny"].trials[0].step
    (console,) = [one for one in psutil.process_iter(["cmdline"]) if str(spec) in (one.info["cmdline"] or [])]
    terminal.tmux("kill-server")
    console.wait(DEADLINE_S)
    house.until(lambda one: one.trials[0].step > before + 3, "the study goes on")
    house.trimtab("stop")
    assert house.until(lambda one: one.state == "stopped", "it stops").trials[0].state == s.PRUNED


def test_without_a_terminal_ctrl_c_leaves_the_study_running(house: House):
    run = subprocess.Popen(
        [TRIMTAB, "run", str(house.write(trials=2, steps=100_000))], env=house.environment, text=True,
        stdout=subprocess.PIPE, stdin=subprocess.DEVNULL,
        # Started by a background job, this suite ignores SIGINT, and so would its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    assert "tiny" in run.stdout.readline()
    house.until(lambda one: 0 in one.trials and one.trials[0].step > 0, "trial 0 runs")
    run.send_signal(signal.SIGINT)
    assert run.wait(DEADLINE_S) == 130
    assert house.state().studies["tiny"].state == "running"
    asyncio.run(engine_client.request(house.socket, console_api.StopStudy("tiny")))
    house.until(lambda one: one.state == "stopped", "it stops")
