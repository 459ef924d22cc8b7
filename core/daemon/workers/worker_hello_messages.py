"""Lists the messages that a worker needs after its Hello: its trials and pending requests. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from core.contract.state import engine_state as s
from core.contract.wire import worker_api


def list_assignment_messages(
    trial: s.Trial, assignment: Callable[[s.Trial], worker_api.Assign]
) -> Iterator[worker_api.ToWorker]:
    """Return the messages that assign a trial to a worker, with edits that are not confirmed yet."""
    yield assignment(trial)
    if trial.editing:
        yield worker_api.Edit(trial.number, trial.editing)


def list_pending_messages(
    study: s.Study,
    worker: str,
    holds: Sequence[int],
    assignment: Callable[[s.Trial], worker_api.Assign],
    why_pruned: Callable[[int], str],
) -> Iterator[worker_api.ToWorker]:
    """Return the messages, in order, for a worker that ``holds`` these trials.

    A trial that had started and is no longer held has ended on the worker, which reports that next: it is not
    assigned again.
    """
    trials = study.trials.values()
    own_trials = {
        trial.number: trial for trial in trials if trial.state in s.ON_WORKER and trial.worker == worker
    }
    for number in holds:
        if number not in own_trials:
            yield worker_api.Prune(number, "the trial no longer belongs to this worker")
    for trial in own_trials.values():
        if (
            not trial.has_begun
        ):  # also if the worker holds it: its pause state may come from an earlier engine
            yield from list_assignment_messages(trial, assignment)
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
