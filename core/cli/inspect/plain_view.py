"""The plain view: the console's studies as lines, for terminals that cannot move their cursor."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from pathlib import Path

from core.cli import activity_line, exit_codes, output_formatting
from core.cli.inspect import show_status
from core.contract.hosts.daemon_thread import run_in_daemon_thread
from core.contract.state import engine_state as s
from core.contract.state import event_fold, study_progress
from core.contract.text.sanitize import sanitize
from core.contract.wire import console_api, engine_client
from core.errors import EngineError

EVERY_S = 10.0
RETRY_S = 2.0  # after the connection was lost
MOST_EVENTS = 10  # new events of a study that are printed at once
NO_STUDY = "no studies; start one with `trimtab run SPEC`"
STEERING = (
    "steer in another shell: `trimtab pause N`, `resume N`, `prune N`, `clone N`,\n"
    "`edit N KNOB=VALUE`, `stop`; "
    "`trimtab help steering` lists all. Ctrl-C leaves, and the studies continue."
)


class PlainView:
    """Turns states into lines. ``name`` is the study to show; None: those that run, else the newest."""

    def __init__(self, name: str | None = None) -> None:
        self._name = name
        self._shown: list[str] = []
        self._printed_to: dict[str, s.Line | None] = {}  # the last event, by study

    def update(self, state: s.State, now: float) -> list[str]:
        """Return the lines to print: nothing unless more than the time left has changed."""
        studies = self._choose(state)
        lines = [line for study in studies for line in self._list_lines(study, None)] or [NO_STUDY]
        events = [line for study in studies for line in self._list_new_events(study)]
        if lines == self._shown and not events:
            return []
        self._shown = lines
        left_by_study = {study.name: study_progress.estimate_study_left_s(study, now) for study in studies}
        shown_studies = [
            line for study in studies for line in self._list_lines(study, left_by_study[study.name])
        ] or [NO_STUDY]
        return [output_formatting.format_clock(now), *shown_studies, *events]

    def _choose(self, state: s.State) -> list[s.Study]:
        if self._name is not None:
            return [study for name, study in state.studies.items() if name == self._name]
        live = [study for study in state.studies.values() if study.state in s.LIVE_STUDY]
        return live or list(state.studies.values())[-1:]

    def _list_lines(self, study: s.Study, left_s: float | None) -> list[str]:
        lines = show_status.list_study_lines(study, True, left_s)
        open_trials = [trial for trial in study.trials.values() if trial.state in s.ON_WORKER]
        return [*lines, *(_format_trial(study, trial) for trial in open_trials)]

    def _list_new_events(self, study: s.Study) -> list[str]:
        """Return the events since the last call; the first call returns none."""
        lines = study.lines
        is_first = study.name not in self._printed_to
        new = () if is_first else output_formatting.select_lines_after(lines, self._printed_to[study.name])
        self._printed_to[study.name] = lines[-1] if lines else None
        left_out = len(new) - MOST_EVENTS
        hidden_lines = (
            [f"  … {left_out} earlier events: `trimtab logs --study {study.name}`"] if left_out > 0 else []
        )
        return hidden_lines + [f"  {output_formatting.format_line(line)}" for line in new[-MOST_EVENTS:]]


def _format_trial(study: s.Study, trial: s.Trial) -> str:
    """Return such as "  trial 3  running  step 20/80  eval/loss=2.1"."""
    metrics = ("train/loss", *(metric for metric, _ in study.objectives))
    values = {name: trial.latest[name] for name in metrics if name in trial.latest}
    steps = f"step {trial.step}/{trial.total_steps}" if trial.total_steps else ""
    parts = (f"trial {trial.number}", trial.state, steps, output_formatting.format_pairs(values))
    return f"  {'  '.join(part for part in parts if part)}"


def _print(line: str) -> None:
    print(line, flush=True)


def watch(
    socket: Path,
    name: str | None,
    write: Callable[[str], None] = _print,
    ensure: Callable[[], None] = lambda: None,
) -> int:
    """Print what changes, at most every EVERY_S, until Ctrl-C; return the exit code.

    ``ensure`` is called in a thread before each connection, and may raise EngineError.
    """
    activity_line.stop_activity()
    write(STEERING)
    try:
        asyncio.run(_follow(socket, PlainView(name), write, ensure))
    except KeyboardInterrupt:
        write("left; the studies continue, `trimtab attach --plain` shows them again")
    return exit_codes.INTERRUPTED


async def _follow(
    socket: Path, view: PlainView, write: Callable[[str], None], ensure: Callable[[], None]
) -> None:
    """Attach again and again, until cancelled."""
    printed = ""
    while True:
        try:
            await run_in_daemon_thread(ensure)
            await _follow_once(socket, view, write)
            why, printed = "the connection was lost", ""
        except EngineError as error:
            why = error.problems[0].what
        if why != printed:
            write(f"engine away, retrying ({sanitize(why, 200)})")
        printed = why
        await asyncio.sleep(RETRY_S)


async def _follow_once(socket: Path, view: PlainView, write: Callable[[str], None]) -> None:
    connection = await engine_client.attach(socket, _report_silence)
    latest = s.State()
    printing: asyncio.Task[None] | None = None

    async def print_changes() -> None:
        while True:
            for line in view.update(latest, time.time()):
                write(line)
            await asyncio.sleep(EVERY_S)

    try:
        async for message in connection.receive_messages():
            if isinstance(message, console_api.Snapshot):
                latest = message.state
                printing = printing or asyncio.create_task(print_changes())
            elif isinstance(message, console_api.Changed):
                for event in message.events:
                    latest = event_fold.apply(latest, event)
            if printing is not None and printing.done():
                await printing  # raises what it failed with, such as a closed standard output
    finally:
        if printing is not None:
            printing.cancel()
        await connection.close()


def _report_silence(why: str) -> None:
    print(f"{why}; waiting" if why else "the engine answers again", file=sys.stderr, flush=True)
