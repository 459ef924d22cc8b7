"""The checkpoint of a trial: copied from it, or restored into it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from core.train import checkpoint_files
from core.train.adapters import optimizers
from core.train.adapters.lora_factors import copy_frozen
from core.train.scoring.scoring_queue import Snapshot
from core.train.trial import checkpoint_adaptation, checkpoint_record
from core.train.trial.checkpoint_record import GRADIENT, Partial, PendingSnapshot, TrialProgress
from core.train.trial.trial_training import Trial

SCORING = "scoring."  # prefix of unscored snapshots among the optimizer's tensors


def take(trial: Trial) -> checkpoint_files.Snapshot:
    """The state between two micro-batches; its copies in host memory may still be under way."""
    tensors, numbers = optimizers.list_tensors(trial.optimizer)
    if trial.partial.micro_batches and trial.factors.grad is not None:
        tensors = {**tensors, GRADIENT: trial.factors.grad}
    pending = trial.list_pending()
    tensors = {**tensors, **{f"{SCORING}{waiting.step}": waiting.factors.matrix for waiting in pending}}
    progress = TrialProgress(
        step=trial.step,
        done=trial.done,
        elapsed_s=trial.elapsed_s,
        optimizer=numbers,
        best=trial.validation.early_stopping.best,
        best_at=trial.best_at,
        waited=trial.validation.early_stopping.waited,
        latest=trial.latest,
        evaluated_step=trial.validation.step,
        passed_step=trial.passed_step,
        since=trial.course.since,
        drawn=trial.course.drawn(trial.step),
        balance=trial.balance.counts,
        knobs=trial.knobs,
        submitted=trial.submitted_step,
        pending=[
            PendingSnapshot(snapshot.step, snapshot.elapsed_s, snapshot.writes, snapshot.last)
            for snapshot in pending
        ],
        unsaid=trial.card.unsaid,
        inspected=trial.inspections.snapshot(),
        past=trial.card.past.numbers(),
        why=trial.validation.why,
        start_loss=trial.validation.start_loss,
        partial=trial.partial,
    )
    adapter, copies = trial.factors.copy_to_host(tensors)
    return checkpoint_files.Snapshot(adapter, copies.tensors, progress.numbers(), copies.wait)


def restore(trial: Trial, snapshot: checkpoint_files.Snapshot) -> None:
    """Continue from ``snapshot``, perhaps one of a trial with other knobs; call it before ``trial.run``.

    Raises TrimtabError if the trial's knobs do not fit it, and ValueError for damaged numbers.
    """
    tensors, matrices = _split_pending(snapshot.optimizer)
    old, factors = checkpoint_record.read(snapshot.numbers), dict(trial.factors.named_factors())
    progress, tensors, notes = checkpoint_adaptation.adapt(
        old, snapshot.adapter, tensors, trial.knobs, factors
    )
    for note in notes:
        trial.reporter.note(note)
    trial.course = trial.course.start_at(progress.since, trial.knobs)
    trial.total_steps = trial.course.total_steps
    gradient = tensors.pop(GRADIENT, None)
    trial.factors.load(snapshot.adapter)
    trial.factors.grad = None if gradient is None else gradient.to(trial.base.device)
    optimizers.restore(trial.optimizer, tensors, progress.optimizer)
    _restore_numbers(trial, progress)
    trial.unscored = _list_unscored_snapshots(trial, progress.pending, matrices)


def _restore_numbers(trial: Trial, progress: TrialProgress) -> None:
    trial.step, trial.elapsed_s, trial.done = progress.step, progress.elapsed_s, progress.done
    validation = trial.validation
    validation.early_stopping.best, validation.early_stopping.waited = progress.best, progress.waited
    validation.step, validation.why = progress.evaluated_step, progress.why
    validation.start_loss = progress.start_loss
    trial.balance.counts = dict(progress.balance)
    trial.best_at, trial.passed_step = progress.best_at, progress.passed_step
    trial.submitted_step = progress.submitted
    if trial.step >= trial.total_steps:  # nothing is left to train, so it ends with an evaluation of its own
        validation.step = trial.submitted_step = -1
    trial.card.latest, trial.card.unsaid = progress.latest, progress.unsaid
    trial.card.past.restore(progress.past)
    trial.inspections.restore(progress.inspected)
    trial.partial = progress.partial or Partial()


def _list_unscored_snapshots(
    trial: Trial, pending: Sequence[PendingSnapshot], matrices: Mapping[int, torch.Tensor]
) -> list[Snapshot]:
    """The snapshots that were unscored when the checkpoint was written."""
    snapshots = []
    for step, elapsed_s, writes, last in pending:
        matrix = matrices.get(step)
        if matrix is not None and matrix.shape == trial.factors.matrix.shape:
            factors = copy_frozen(trial.factors)
            factors.matrix.data.copy_(matrix)
            trained = trial.course.rows_trained(step)
            snapshots.append(
                Snapshot(trial.number, factors, trial.card, step, elapsed_s, writes, last, trained)
            )
    return snapshots


def _split_pending(
    tensors: dict[str, torch.Tensor],
) -> tuple[dict[str, torch.Tensor], dict[int, torch.Tensor]]:
    """Split off the matrices that wait to be scored, by step."""
    pending = {name: tensor for name, tensor in tensors.items() if name.startswith(SCORING)}
    rest = {name: tensor for name, tensor in tensors.items() if name not in pending}
    return rest, {int(name.removeprefix(SCORING)): tensor for name, tensor in pending.items()}
