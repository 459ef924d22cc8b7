"""Answers how two trials differ on the same validation rows, from the losses of rows in the journal."""

from __future__ import annotations

import math
from pathlib import Path

from core.contract.events import event_types as e
from core.contract.state import engine_state as s
from core.contract.text.sanitize import sanitize
from core.contract.wire.console_api import PairedLosses
from core.evaluate.statistics.confidence_intervals import mean
from core.store import journal_file, run_folder

WHY_NO_ROWS = (
    "the losses of single validation rows are not kept: evaluate.row_losses = true, or the wilcoxon pruner, "
    "keeps them in the next study"
)
OTHERS = frozenset({"trial-reported", "trial-scored", "trial-weighed", "trial-checkpointed", "heard"})
Losses = dict[int, tuple[float, ...]]  # of the rows, by step


def read(study: s.Study, first: int, other_numbers: tuple[int, ...]) -> tuple[PairedLosses, ...]:
    """Return, for each of ``other_numbers``, its mean loss less that of ``first`` on the rows that both
    have, at the latest step at which both were evaluated; without a common step at the latest of each."""
    journal = run_folder.journal_path(Path(study.folder))
    losses_by_trial: dict[int, Losses] = {number: {} for number in (first, *other_numbers)}
    try:
        for event in journal_file.read(journal, OTHERS):
            if isinstance(event, e.TrialEvaluated) and event.trial in losses_by_trial and event.rows:
                losses_by_trial[event.trial][event.step] = event.rows
    except OSError as error:
        why = f"the journal cannot be read: {sanitize(error.strerror or str(error), 200)}"
        return tuple(PairedLosses(number, why_none=why) for number in other_numbers)
    for number, losses in losses_by_trial.items():  # a clone has its parent's past
        trial = study.trials.get(number)
        if trial is not None and trial.parent in losses_by_trial:
            before = {
                step: rows for step, rows in losses_by_trial[trial.parent].items() if step <= _start(trial)
            }
            losses_by_trial[number] = before | losses
    return tuple(
        _compare(number, losses_by_trial[first], losses_by_trial[number]) for number in other_numbers
    )


def _start(trial: s.Trial) -> int:
    """Return the step at which a clone began."""
    return min((mark.step for mark in trial.marks if mark.text.startswith("cloned from")), default=0)


def _compare(number: int, first: Losses, other_losses: Losses) -> PairedLosses:
    if not first or not other_losses:
        return PairedLosses(number, why_none=WHY_NO_ROWS)
    common = set(first) & set(other_losses)
    steps = (max(common), max(common)) if common else (max(first), max(other_losses))
    pairs = zip(first[steps[0]], other_losses[steps[1]], strict=False)
    changes = [now - before for before, now in pairs if math.isfinite(now) and math.isfinite(before)]
    score = mean(changes)
    why = "" if score.interval else score.reason
    return PairedLosses(number, steps[0], steps[1], score, why)
