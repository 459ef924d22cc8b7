"""``trimtab logs``: the events of a study or a trial, with their reasons."""

from __future__ import annotations

import argparse
import asyncio
import sys
from contextlib import aclosing
from pathlib import Path

from core import paths
from core.cli import activity_line, exit_codes, output_formatting, reach_engine, resolve_trial
from core.contract.state import engine_state as s
from core.contract.text.sanitize import sanitize


def print_logs(arguments: argparse.Namespace) -> int:
    """Print the retained lines (200 at most); with --follow also new ones."""
    state, running = reach_engine.read_state()
    study = resolve_trial.find_study(state, arguments.study)
    number = arguments.trial
    if number is None:
        _cut(study.lines)
        _print(study.lines)
    else:
        trial = resolve_trial.find_trial(study, number)
        _cut(trial.lines)
        _print(trial.lines)
        if trial.traceback:
            print(sanitize(trial.traceback, lines=True))
    if not arguments.follow or study.state not in s.LIVE_STUDY or not running:
        return exit_codes.OK
    return asyncio.run(_follow(paths.socket_path(), study, number))


def _cut(lines: tuple[s.Line, ...]) -> None:
    if len(lines) >= s.LINES:
        export_hint = "`trimtab export` writes all decisions"
        print(f"only the last {s.LINES} lines are retained; {export_hint}", file=sys.stderr)


def _print(lines: tuple[s.Line, ...]) -> None:
    for line in lines:
        print(output_formatting.format_line(line), flush=True)


async def _follow(socket: Path, shown_study: s.Study, number: int | None) -> int:
    from core.cli.inspect.follow_study import follow_changes

    activity_line.stop_activity()
    before = _list_lines(shown_study, number)
    async with aclosing(follow_changes(socket, shown_study.name)) as course:
        async for study, _ in course:
            lines = _list_lines(study, number)
            _print(output_formatting.select_lines_after(lines, before[-1] if before else None))
            before = lines or before
            over = number is not None and study.trials[number].state in s.ENDED
            if over or study.state not in s.LIVE_STUDY:
                return exit_codes.OK
    return exit_codes.NO_ENGINE


def _list_lines(study: s.Study, number: int | None) -> tuple[s.Line, ...]:
    if number is None:
        return study.lines
    return study.trials[number].lines if number in study.trials else ()
