"""Follows a study in plain lines: each event once, and progress every PROGRESS_EVERY_S."""

from __future__ import annotations

import sys
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from pathlib import Path

from core import paths
from core.cli import activity_line, exit_codes, output_formatting
from core.contract.events import event_types
from core.contract.state import best_and_counts, event_fold, reference_values, study_progress
from core.contract.state import engine_state as s
from core.contract.text.sanitize import sanitize
from core.contract.wire import console_api, engine_client
from core.errors import EngineError

PROGRESS_EVERY_S = 10.0


def _report_silence(why: str) -> None:
    """Report that the engine is silent, or (with an empty ``why``) that it answers again."""
    print(f"{why}; waiting" if why else "the engine answers again", file=sys.stderr, flush=True)


async def follow_changes(
    socket: Path, name: str
) -> AsyncGenerator[tuple[s.Study, event_types.Event | None], None]:
    """Yield the study after each of its events, first in its current state (with None).

    Raises EngineError when the connection to the engine ends.
    """
    connection = await engine_client.attach(socket, _report_silence)
    state = s.State()
    try:
        async for message in connection.receive_messages():
            if isinstance(message, console_api.Snapshot):
                state = message.state
                if name in state.studies:
                    yield state.studies[name], None
            elif isinstance(message, console_api.Changed):
                for event in message.events:
                    state = event_fold.apply(state, event)
                    if event.study == name and name in state.studies:
                        yield state.studies[name], event
    finally:
        await connection.close()
    raise EngineError.of(
        "the connection to the engine was lost",
        str(paths.engine_log()),
        "see the log; `trimtab` restarts the engine, and the study resumes from its checkpoints",
    )


class Printer:
    """Turns a study's changes into lines for ``write``; ``now`` is a clock in seconds."""

    def __init__(self, write: Callable[[str], None], now: Callable[[], float] = time.monotonic) -> None:
        self._write = write
        self._now = now
        self._printed_to: s.Line | None = None
        self._progress_at = -PROGRESS_EVERY_S
        self._stages: dict[str, str] = {}

    def show(self, study: s.Study, event: event_types.Event | None) -> None:
        """Print what is new in ``study``."""
        if event is None:
            self._begin(study)
            return
        self._print_lines(study.lines)
        if isinstance(event, event_types.Preparing):
            self._print_preparation(event)
        elif isinstance(event, event_types.TrialReported | event_types.TrialEvaluated):
            self._print_progress(study, event.trial)

    def _begin(self, study: s.Study) -> None:
        if self._printed_to is None:
            self._write(
                f"{study.name}: {study.state},"
                f" {best_and_counts.count_ended(study)}/{study.total_trials} trials ended"
            )
            self._printed_to = study.lines[-1] if study.lines else None
        else:  # a new snapshot after a slow connection: it contains the lines in between
            self._print_lines(study.lines)

    def _print_lines(self, lines: tuple[s.Line, ...]) -> None:
        for line in output_formatting.select_lines_after(lines, self._printed_to):
            self._write(output_formatting.format_line(line))
        if lines:
            self._printed_to = lines[-1]

    def _print_preparation(self, event: event_types.Preparing) -> None:
        earlier_stage = self._stages.get(event.worker, "")
        if event.stage and self._is_due(event.stage != earlier_stage):
            share = f" {100 * event.done / event.total:.0f}%" if event.total else ""
            self._write(f"{output_formatting.format_clock(event.at)} {sanitize(event.stage, 200)}{share}")
        self._stages[event.worker] = event.stage

    def _print_progress(self, study: s.Study, number: int) -> None:
        if not self._is_due():
            return
        trial = study.trials[number]
        metric = study.objectives[0][0]
        values = {name: trial.latest[name] for name in ("train/loss", metric) if name in trial.latest}
        course = (
            f"trial {number} step {trial.step}/{trial.total_steps} {output_formatting.format_pairs(values)}"
        )
        time_left = output_formatting.format_span(study_progress.estimate_study_left_s(study, time.time()))
        ended_text = f"{best_and_counts.count_ended(study)}/{study.total_trials} trials ended"
        progress = ", ".join(
            [
                ended_text,
                f"{study_progress.find_done_percent(study)}% of the steps",
                *study_progress.describe_rest(study),
            ]
        )
        self._write(f"{output_formatting.format_clock(time.time())} {course} ({progress}, {time_left} left)")

    def _is_due(self, at_once: bool = False) -> bool:
        due = at_once or self._now() - self._progress_at >= PROGRESS_EVERY_S
        if due:
            self._progress_at = self._now()
        return due


def _print(line: str) -> None:
    print(line, flush=True)


async def follow_until_ended(socket: Path, name: str) -> int:
    """Print the study's progress until it ends and return the exit code."""
    activity_line.stop_activity()
    printer = Printer(_print)
    async with aclosing(follow_changes(socket, name)) as course:
        async for study, event in course:
            printer.show(study, event)
            if study.state not in s.LIVE_STUDY:
                return _print_end(study)
    return exit_codes.NO_ENGINE


def _print_end(study: s.Study) -> int:
    best = best_and_counts.find_best(study)
    if best is None:
        _print(f"{study.name}: {study.state}, {sanitize(reference_values.explain_no_best(study), 200)}")
        return exit_codes.NO_RESULT
    values = dict(zip([metric for metric, _ in study.objectives], best.values, strict=False))
    _print(
        f"best: trial {best.number} {output_formatting.format_pairs(values)}; `trimtab best` shows details"
    )
    return exit_codes.FAILURE if study.state == s.FAILED else exit_codes.OK
