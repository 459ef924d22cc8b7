"""What a worker that said Hello has to be told: its trials, and what was asked meanwhile. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from core.contract.state import study_state as s
from core.contract.wire import worker_api


def given(
    trial: s.Trial, assignment: Callable[[s.Trial], worker_api.Assign]
) -> Iterator[worker_api.ToWorker]:
    """The messages that give a worker a trial: with the edits that nobody has confirmed yet."""
    yield assignment(trial)
    if trial.editing:
        yield worker_api.Edit(trial.number, trial.editing)


def due(
    study: s.Study,
    worker: str,
    holds: Sequence[int],
    assignment: Callable[[s.Trial], worker_api.Assign],
    why_pruned: Callable[[int], str],
) -> Iterator[worker_api.ToWorker]:
    """The messages, in order, for a worker that ``holds`` these trials.

    A trial that ran and is not held any more has ended there: that is told next, and it is not given out
    again.
    """
    trials = study.trials.values()
    mine = {trial.number: trial for trial in trials if trial.state in s.ON_WORKER and trial.worker == worker}
    for number in holds:
        if number not in mine:
            yield worker_api.Prune(number, "the trial is no longer this worker's")
    for trial in mine.values():
        if not trial.begun:  # also to one that holds it: what another engine said of a pause may be old
            yield from given(trial, assignment)
            if trial.asked == "prune":  # while its worker started
                yield worker_api.Prune(trial.number, why_pruned(trial.number))
            continue
        if trial.number not in holds:
            continue
        if trial.editing:
            yield worker_api.Edit(trial.number, trial.editing)
        if trial.asked == "pause":
            yield worker_api.Pause(trial.number)
        elif trial.asked == "resume":
            yield worker_api.Resume(trial.number)
        if trial.asked == "prune":
            yield worker_api.Prune(trial.number, why_pruned(trial.number))
