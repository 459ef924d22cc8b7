"""Answers which lines of the event list the state no longer has, from the study's journal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from core.contract.events import event_types as e
from core.contract.state import engine_state as s
from core.contract.state.event_fold import apply
from core.contract.state.event_list_lines import LONGEST_HISTORY, LONGEST_TEXT, EventHistory, PastLine
from core.contract.text.sanitize import sanitize
from core.contract.text.secret_redaction import Redactor
from core.store import journal_file, run_folder

READINGS = frozenset({"trial-reported", "trial-evaluated", "trial-scored", "trial-weighed", "heard"})


def read(study: s.Study) -> EventHistory:
    """Return the lines of the study, and of trials, that were dropped from the state."""
    journal = run_folder.journal_path(Path(study.folder))
    kept_from = {-1: _find_first_kept(study.lines)}
    kept_from |= {number: _find_first_kept(trial.lines) for number, trial in study.trials.items()}
    try:
        events = journal_file.read(journal, READINGS)
        lines = [
            line for line in _list_lines(study.name, events) if line.at <= kept_from.get(line.trial, 0.0)
        ]
    except OSError as error:
        return EventHistory(
            why_none=f"the journal cannot be read: {sanitize(error.strerror or str(error), 200)}"
        )
    return Redactor().redact_all(EventHistory(tuple(lines[-LONGEST_HISTORY:]), len(lines) > LONGEST_HISTORY))


def _find_first_kept(lines: tuple[s.Line, ...]) -> float:
    """Return the time of the first line that is kept, 0 where no line was dropped."""
    return lines[0].at if len(lines) >= s.LINES else 0.0


def _list_lines(name: str, events: Iterator[e.AnyEvent]) -> Iterator[PastLine]:
    """Yield the lines that events add; those of the study itself by its fold, without any trial."""
    state = s.State()
    for event in events:
        if event.study != name:
            continue
        if isinstance(event, e.TrialEvent):
            text, level = event.title
            if text and not isinstance(event, e.PruneAsked | e.EditAsked):  # what came of it is told
                yield PastLine(event.at, sanitize(text, LONGEST_TEXT), level, event.trial)
            continue
        if isinstance(event, e.StudyCreated):  # also where an earlier study of this name had begun
            state = s.State()
        study = state.studies.get(name)
        before = study.lines if study is not None else ()
        state = apply(state, event)
        for line in _find_added(before, state.studies[name].lines) if name in state.studies else ():
            yield PastLine(line.at, line.text, line.level)


def _find_added(before: tuple[s.Line, ...], after: tuple[s.Line, ...]) -> tuple[s.Line, ...]:
    """Return the lines of ``after`` behind the last of ``before``, which is the same object."""
    start = len(after)
    while before and start and after[start - 1] is not before[-1]:
        start -= 1
    return after[start if before else 0 :]
