"""``python -m tests.bench.line [--quick]``: bytes that the console writes to a terminal, and its CPU seconds;
in a pseudo-terminal that answers as xterm does; htop, btop and W&B's leet (``pip install wandb``) beside it
where they are installed.

Bytes and CPU seconds are counted, not times: a busy machine changes them little.
"""

from __future__ import annotations

import argparse
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Sequence
from fcntl import ioctl
from pathlib import Path

import psutil

from core.contract.events import event_types as e
from tests.bench.console import ROOT, START, Served
from tests.tui import scene
from tui.terminal import frame_pacing

LIVE, RATE_HZ = 8, 5
QUIET_S = 0.8  # nothing written for so long: it has drawn all; the clocks tick once a second
OTHERS = ("htop", "btop")
SIZES = ((80, 24), (120, 40))
# what xterm answers to the questions of full-screen programs
ANSWERS: tuple[tuple[bytes, bytes], ...] = (
    (rb"\x1b\[6n", b"\x1b[1;1R"),
    (rb"\x1b\[c", b"\x1b[?64;1;2;6;22c"),
    (rb"\x1b\[\?2026\$p", b"\x1b[?2026;2$y"),
    (rb"\x1b\]11;\?(?:\x07|\x1b\\)", b"\x1b]11;rgb:1010/1616/1c1c\x1b\\"),
)


class Line:
    """A process in a pseudo-terminal; ``seen`` is all that it has written."""

    def __init__(self, command: Sequence[str], size: tuple[int, int], home: str = "") -> None:
        self._master, slave = pty.openpty()
        columns, rows = size
        ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8"}
        if home:
            environment["TRIMTAB_HOME"] = home
        self.process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True
        )
        os.close(slave)
        self.seen, self._last = b"", time.monotonic()

    def type(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self._master, keys)

    def read(self, seconds: float) -> None:
        """Read what comes within ``seconds``, and answer its questions."""
        if not select.select([self._master], [], [], seconds)[0]:
            return
        try:
            data = os.read(self._master, 1 << 16)
        except OSError:  # it has ended
            time.sleep(seconds)
            return
        self.seen, self._last = self.seen + data, time.monotonic()
        asked = [
            (found.start(), answer) for question, answer in ANSWERS for found in re.finditer(question, data)
        ]
        for _, answer in sorted(asked):
            os.write(self._master, answer)

    def until_drawn(self, word: bytes, longest_s: float = 30.0) -> int:
        """Return the bytes written until ``word`` is shown and then nothing for QUIET_S."""
        until = time.monotonic() + longest_s
        while time.monotonic() < until and (word not in self.seen or time.monotonic() - self._last < QUIET_S):
            self.read(0.1)
        return len(self.seen)

    def watch(self, seconds: float) -> tuple[float, float]:
        """Bytes a second, and the share of a core (CPU seconds a second), its child processes included."""
        used, before = self._cpu_s(), len(self.seen)
        begun = time.monotonic()
        while time.monotonic() < begun + seconds:
            self.read(0.2)
        passed = time.monotonic() - begun
        return (len(self.seen) - before) / passed, (self._cpu_s() - used) / passed

    def _cpu_s(self) -> float:
        """CPU seconds so far; those of an ended child count with its parent's."""
        process = psutil.Process(self.process.pid)
        each = (one.cpu_times() for one in (process, *process.children(recursive=True)))
        own = process.cpu_times()
        return sum(times.user + times.system for times in each) + own.children_user + own.children_system

    def end(self) -> None:
        """Kill it."""
        os.killpg(self.process.pid, signal.SIGKILL)  # a session of its own: what it started ends as well
        self.process.wait()
        os.close(self._master)


class Load:
    """LIVE trials report RATE_HZ times a second, and the machine is read once a second."""

    def __init__(self, served: Served) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._report, args=(served,), daemon=True)
        self._thread.start()

    def _report(self, served: Served) -> None:
        tick = 0
        while not self._stop.wait(1.0 / RATE_HZ):
            tick += 1
            served.happen(*(self._one_report(number, tick) for number in range(LIVE)))
            if tick % RATE_HZ == 0:
                served.happen(*scene.no_card()[-1:])

    @staticmethod
    def _one_report(number: int, tick: int) -> e.TrialReported:
        step = 200 + tick // 2
        metrics = {
            "train/loss": 1.0 + (7 + number) / (step + tick % 7),
            "train/grad_norm": 0.5,
            "train/tokens_per_s": 5e3,
        }
        return e.TrialReported(
            at=time.time(), study="tidy-7b", trial=number, step=step, elapsed_s=step * 1.5, metrics=metrics
        )

    def end(self) -> None:
        """Stop reporting."""
        self._stop.set()
        self._thread.join()


def measure_console(size: tuple[int, int], seconds: float) -> list[tuple[str, float, float | None]]:
    """Return (what, bytes or bytes a second, share of a core) for attach, idle, list, and detail."""
    scene.NOW = time.time()
    rows: list[tuple[str, float, float | None]] = []
    with tempfile.TemporaryDirectory() as folder:
        ended = Served(
            Path(folder), scene.state_of(scene.study_events(ends=["paused"] * LIVE), scene.no_card())
        )
        line = _console(ended, size, folder)
        rows.append(("attach", line.until_drawn(b"tidy-7b"), None))
        line.watch(2.0)
        rows.append(("idle", *line.watch(seconds)))
        line.end()
    with tempfile.TemporaryDirectory() as folder:
        live = Served(
            Path(folder), scene.state_of(scene.study_events(ends=["running"] * LIVE), scene.no_card())
        )
        line = _console(live, size, folder)
        line.watch(4.0)
        load = Load(live)
        line.watch(3.0)
        rows.append(("list", *line.watch(seconds)))
        line.type(b"j\r")
        line.watch(frame_pacing.AT_KEYS_S + 1.0)
        rows.append(("detail", *line.watch(seconds)))
        load.end()
        line.end()
    return rows


def _served(folder: str, end: str) -> Served:
    return Served(Path(folder), scene.state_of(scene.study_events(ends=[end] * LIVE), scene.no_card()))


def _console(served: Served, size: tuple[int, int], folder: str) -> Line:
    return Line([sys.executable, "-P", "-c", START, str(ROOT), str(served.backend.socket)], size, folder)


def measure_other(
    command: Sequence[str], size: tuple[int, int], seconds: float
) -> list[tuple[str, float, float]]:
    """The same for another monitor: what it writes in its first second and a half, and then a second."""
    line = Line(command, size)
    line.watch(1.5)
    first = len(line.seen)
    watched = line.watch(seconds)
    line.end()
    return [("attach", float(first), None), ("watching", *watched)]


LOGGED = """
import sys, time, wandb
with wandb.init(mode="offline", dir=sys.argv[1], project="p") as run:
    step = 0
    while True:
        step += 1
        run.log({"train/loss": 1 + 7 / step, "train/grad_norm": 0.5, "train/tokens_per_s": 5e3})
        time.sleep(1 / float(sys.argv[2]))
"""


def measure_leet(size: tuple[int, int], seconds: float) -> list[tuple[str, float, float | None]]:
    """The same for leet with one run that logs three metrics RATE_HZ times a second, offline: the list of
    runs, then the run itself. The CPU is that of leet's own process and those it starts."""
    program = Path(shutil.which("wandb") or "")
    python = program.resolve().with_name("python3")
    with tempfile.TemporaryDirectory() as folder:
        home = ["env", f"HOME={folder}", "WANDB_MODE=offline"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        logger = subprocess.Popen(
            [*home, str(python), "-c", LOGGED, folder, str(RATE_HZ)], start_new_session=True, **quiet
        )
        try:
            for _ in range(600):
                if list(Path(folder).glob("wandb/offline-run-*/*.wandb")):
                    break
                time.sleep(0.1)
            line = Line([*home, str(program), "leet", str(Path(folder) / "wandb")], size)
            rows: list[tuple[str, float, float | None]] = []
            rows.append(("attach", float(line.until_drawn(b"offline-run")), None))
            rows.append(("list", *line.watch(seconds)))
            line.type(b"\r")
            line.watch(3.0)
            rows.append(("detail", *line.watch(seconds)))
            line.end()
            return rows
        finally:
            os.killpg(logger.pid, signal.SIGKILL)
            logger.wait()


def show(name: str, size: tuple[int, int], rows: Sequence[tuple[str, float, float | None]]) -> None:
    """Print a line for each measurement."""
    for what, count, share in rows:
        unit = "kB  " if what == "attach" else "kB/s"
        used = "" if share is None else f"{100 * share:6.1f} % of a core"
        print(f"{name:<9} {size[0]:>3}×{size[1]:<3} {what:<9} {count / 1000:8.2f} {unit} {used}", flush=True)


def main() -> None:
    """Measure the console at each size, then the others."""
    options = argparse.ArgumentParser()
    options.add_argument("--quick", action="store_true", help="six seconds instead of twenty for each figure")
    seconds = 6.0 if options.parse_args().quick else 20.0
    for size in SIZES:
        show("trimtab", size, measure_console(size, seconds))
        for name in filter(shutil.which, OTHERS):
            show(name, size, measure_other([name], size, seconds))
        if shutil.which("wandb"):
            show("leet", size, measure_leet(size, seconds))


if __name__ == "__main__":
    main()
