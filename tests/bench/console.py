"""The console's speed: first paint, attaching to a large study, CPU share under load; whole processes in a
pseudo-terminal against a real hub. ``python -m tests.bench.console``"""

from __future__ import annotations

import asyncio
import os
import pty
import select
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from fcntl import ioctl
from pathlib import Path

import psutil

from core.contract.events import event_types as e
from core.contract.state.engine_state import State
from tests.tui.conftest import Backend
from tests.tui.scene import NOW, no_card, state_of, study_events, trial_events

TRIALS, POINTS = 200, 2000
LIVE, RATE_HZ, SECONDS = 8, 5, 20
ROOT = Path(__file__).resolve().parents[2]
START = (
    "import sys; sys.path.insert(0, sys.argv[1]); from pathlib import Path; "
    "from tui.console_loop import run; run(Path(sys.argv[2]), None)"
)


def large_state() -> State:
    """Many complete trials with long curves."""
    state = state_of(study_events(ends=[]), no_card())
    from core.contract.state.event_fold import apply

    for number in range(TRIALS):
        events = trial_events("tidy-7b", number, "queued")
        events += [
            e.TrialStarting(at=NOW, study="tidy-7b", trial=number, worker="w", device="gpu0"),
            e.TrialRunning(at=NOW, study="tidy-7b", trial=number, step=0, total_steps=POINTS),
        ]
        for step in range(1, POINTS + 1):
            metrics = {"train/loss": 1.0 + 1.0 / step, "train/grad_norm": 0.5, "train/tokens_per_s": 5e3}
            events.append(
                e.TrialReported(
                    at=NOW, study="tidy-7b", trial=number, step=step, elapsed_s=step, metrics=metrics
                )
            )
        for event in events:
            state = apply(state, event)
    return state


class Served:
    """A backend in a thread of its own."""

    def __init__(self, folder: Path, state: State) -> None:
        self.loop = asyncio.new_event_loop()
        self.backend = Backend(folder / "e.sock", state)
        threading.Thread(target=self._run, daemon=True).start()
        asyncio.run_coroutine_threadsafe(self.backend.open(), self.loop).result()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    def happen(self, *events: e.Event) -> None:
        self.loop.call_soon_threadsafe(self.backend.happen, *events)


class Terminal:
    """The console's process in a terminal of 120×40; ``seen`` waits for bytes on its screen."""

    def __init__(self, socket: Path) -> None:
        self.begun = time.perf_counter()
        self._master, slave = pty.openpty()
        ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        command = [sys.executable, "-P", "-c", START, str(ROOT), str(socket)]
        environment = {**os.environ, "TERM": "xterm-256color"}
        self.process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=environment)
        os.close(slave)
        self._got = b""

    def seen(self, word: bytes) -> float:
        """Seconds since the start until ``word`` stands on the screen."""
        while word not in self._got:
            self._read(30.0)
        return time.perf_counter() - self.begun

    def _read(self, seconds: float) -> None:
        if select.select([self._master], [], [], seconds)[0]:
            self._got += os.read(self._master, 1 << 16)

    def watch(self, seconds: float) -> float:
        """CPU share of one core over ``seconds``, while the screen is read."""
        process = psutil.Process(self.process.pid)
        before, until = sum(process.cpu_times()[:2]), time.perf_counter() + seconds
        while time.perf_counter() < until:
            self._read(0.2)
        return (sum(process.cpu_times()[:2]) - before) / seconds

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._master)


def under_load(served: Served, terminal: Terminal) -> float:
    """CPU share while LIVE trials report RATE_HZ times a second."""
    stop = threading.Event()

    def report() -> None:
        step = 1000
        while not stop.wait(1.0 / RATE_HZ):
            step += 1
            metrics = {"train/loss": 1.0 + 1.0 / step, "train/grad_norm": 0.5, "train/tokens_per_s": 5e3}
            served.happen(
                *(
                    e.TrialReported(
                        at=NOW, study="tidy-7b", trial=number, step=step, elapsed_s=step, metrics=metrics
                    )
                    for number in range(LIVE)
                )
            )

    thread = threading.Thread(target=report, daemon=True)
    thread.start()
    terminal.watch(3.0)
    share = terminal.watch(SECONDS)
    stop.set()
    thread.join()
    return share


def main() -> None:
    """Print the three figures against their goals."""
    with tempfile.TemporaryDirectory() as folder:
        small = Served(Path(folder), state_of(study_events(ends=["running"] * LIVE), no_card()))
        paints = []
        for _ in range(5):
            terminal = Terminal(small.backend.socket)
            paints.append(terminal.seen(b"detach"))
            terminal.end()
        terminal = Terminal(small.backend.socket)
        terminal.seen(b"tidy-7b")
        share = under_load(small, terminal)
        terminal.end()
    with tempfile.TemporaryDirectory() as folder:
        large = Served(Path(folder), large_state())
        attached = []
        for _ in range(3):
            terminal = Terminal(large.backend.socket)
            first = terminal.seen(b"detach")
            attached.append(terminal.seen(b"199") - first)
            terminal.end()
    print(f"first paint after the process's start: {sorted(paints)[2]:.2f} s (goal 0.6)")
    print(
        f"attach to {TRIALS} trials × {POINTS} points after the first paint: "
        f"{sorted(attached)[1]:.2f} s (goal 1)"
    )
    print(f"CPU with {LIVE} trials reporting {RATE_HZ}×/s: {100 * share:.1f} % of one core (goal 5)")


if __name__ == "__main__":
    main()
