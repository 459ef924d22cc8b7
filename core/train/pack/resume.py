"""Restores a trial that joins a pack from its newest usable checkpoint."""

from __future__ import annotations

from pathlib import Path

from core.contract.spec.study_spec import StudySpec
from core.contract.text.sanitize import sanitize
from core.contract.wire.worker_api import Assign, Score
from core.errors import TrimtabError
from core.train import checkpoint_files, training_position
from core.train.adapters import adapter_init
from core.train.adapters.lora_factors import copy_frozen
from core.train.base.base_model import Base
from core.train.base.factor_matrix_layout import Place
from core.train.data.batches.batch_schedule import BatchSchedule
from core.train.data.dataset import Data
from core.train.evaluation.trial_scores import Scorecard
from core.train.reporter import Reporter
from core.train.scoring.scoring_queue import Snapshot
from core.train.step.oom_report import is_device_failure, is_out_of_memory
from core.train.trial import trial_checkpoint
from core.train.trial.trial_training import Trial


class Lost(Exception):
    """A clone has no usable checkpoint of its parent."""


def restore(trial: Trial, assign: Assign) -> None:
    """Restore from the assigned checkpoint, else an earlier one, else start from scratch; warns about each
    unusable one.

    Later checkpoints are removed: the engine was lost before it heard of them, and next to them new
    checkpoints would look old and be removed. Raises Lost where a clone would start from scratch.
    """
    newest = training_position.read(Path(assign.checkpoint).name)
    why = f"{trial.folder.name} has no checkpoint"
    for folder in checkpoint_files.list_checkpoints(trial.folder):
        at = training_position.read(folder.name)
        if newest is None or at is None or at > newest:
            checkpoint_files.remove(folder)
            continue
        try:
            trial_checkpoint.restore(trial, checkpoint_files.read(folder))
            return
        except (TrimtabError, KeyError, ValueError, TypeError, RuntimeError) as error:
            if is_out_of_memory(error) or is_device_failure(error):
                raise  # the checkpoint is not at fault
            why = sanitize(str(error), 300)
            trial.reporter.warn(why)
            checkpoint_files.set_aside(folder)
    if assign.parent >= 0:
        raise Lost(f"it cannot continue from trial {assign.parent}: {why}")


def load_snapshot(
    spec: StudySpec, base: Base, data: Data, places: list[Place], message: Score, reporter: Reporter
) -> Snapshot:
    """The last snapshot of a complete trial, from its saved adapter. Raises OSError, KeyError, RuntimeError
    or TrimtabError if the adapter is unusable."""
    folder, knobs = Path(message.folder), message.knobs
    factors = adapter_init.load_saved(spec, base, knobs, places, folder)
    card = Scorecard(spec, reporter.of(message.trial), folder)
    card.latest = dict(message.latest)
    rows = data.shorten(int(knobs["sequence_length"]), knobs.get("anonymise"))[0]
    trained = BatchSchedule(rows, knobs, mixture=data.mixture).rows_trained(message.step)
    return Snapshot(
        message.trial, copy_frozen(factors), card, message.step, message.elapsed_s, True, True, trained
    )
