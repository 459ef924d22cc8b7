"""Answers how two trials differ on the same validation rows, from the losses of rows in the journal."""

from __future__ import annotations

import math
from pathlib import Path

from core.contract.events import event_types as e
from core.contract.state import engine_state as s
from core.contract.text.sanitize import plain
from core.contract.wire.console_api import PairedLosses
from core.evaluate.statistics.confidence_intervals import mean
from core.store import journal_file, run_folder

WHY_NO_ROWS = (
    "the losses of single validation rows are not kept: evaluate.row_losses = true, or the wilcoxon pruner, "
    "keeps them in the next study"
)
OTHERS = frozenset({"trial-reported", "trial-scored", "trial-weighed", "trial-checkpointed", "heard"})
Losses = dict[int, tuple[float, ...]]  # of the rows, by step


def read(study: s.Study, first: int, others: tuple[int, ...]) -> tuple[PairedLosses, ...]:
    """Return, for each of ``others``, its mean loss less that of ``first`` on the rows that both have, at the
    latest step at which both were evaluated; without a common step at the latest of each."""
    journal = run_folder.journal_path(Path(study.folder))
    wanted: dict[int, Losses] = {number: {} for number in (first, *others)}
    try:
        for event in journal_file.read(journal, OTHERS):
            if isinstance(event, e.TrialEvaluated) and event.trial in wanted and event.rows:
                wanted[event.trial][event.step] = event.rows
    except OSError as error:
        why = f"the journal cannot be read: {plain(error.strerror or str(error), 200)}"
        return tuple(PairedLosses(number, why_none=why) for number in others)
    for number, losses in wanted.items():  # a clone has its parent's past
        trial = study.trials.get(number)
        if trial is not None and trial.parent in wanted:
            before = {step: rows for step, rows in wanted[trial.parent].items() if step <= _start(trial)}
            wanted[number] = before | losses
    return tuple(_compare(number, wanted[first], wanted[number]) for number in others)


def _start(trial: s.Trial) -> int:
    """Return the step at which a clone began."""
    return min((mark.step for mark in trial.marks if mark.text.startswith("cloned from")), default=0)


def _compare(number: int, first: Losses, other: Losses) -> PairedLosses:
    if not first or not other:
        return PairedLosses(number, why_none=WHY_NO_ROWS)
    common = set(first) & set(other)
    steps = (max(common), max(common)) if common else (max(first), max(other))
    pairs = zip(first[steps[0]], other[steps[1]], strict=False)
    changes = [now - before for before, now in pairs if math.isfinite(now) and math.isfinite(before)]
    score = mean(changes)
    why = "" if score.interval else score.reason
    return PairedLosses(number, steps[0], steps[1], score, why)
