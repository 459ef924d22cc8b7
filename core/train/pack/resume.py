"""Where a trial that joins goes on from: its checkpoints, the newest first."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file

from core.contract.spec.study_spec import Spec
from core.contract.text.sanitize import plain
from core.contract.wire.worker_api import Assign, Score
from core.errors import TrimtabError
from core.train import checkpoint_files, checkpoint_position
from core.train.adapters import adapter_init, peft_config
from core.train.base.base_model import Base
from core.train.base.linear_layers import Layout, Place
from core.train.evaluation.scorecard import Scorecard
from core.train.scoring.adapter_snapshots import Snapshot, frozen
from core.train.trial.trial_training import Trial
from core.train.trial_reporter import Tell, TrialReporter


class Lost(Exception):
    """A clone has no checkpoint that it can go on from."""


def restore(trial: Trial, assign: Assign, warn: Callable[[str], None]) -> None:
    """From the checkpoint that was assigned, else an earlier one, else the beginning; a word for each that is
    not whole. Raises Lost for a clone in place of the beginning.

    A later one is removed: the engine was lost before it heard of that time, and beside it what is kept from
    here on would look old and be removed.
    """
    newest = checkpoint_position.read(Path(assign.checkpoint).name)
    why = f"there is no checkpoint in {trial.folder.name}"
    for folder in checkpoint_files.list_checkpoints(trial.folder):
        at = checkpoint_position.read(folder.name)
        if newest is None or at is None or at > newest:
            checkpoint_files.remove(folder)
            continue
        try:
            trial.restore(checkpoint_files.read(folder))
            return
        except (torch.OutOfMemoryError, torch.AcceleratorError):
            raise  # the checkpoint is not at fault
        except (TrimtabError, KeyError, ValueError, TypeError, RuntimeError) as error:
            why = plain(str(error), 300)
            warn(f"trial {trial.number}: {why}")
            checkpoint_files.set_aside(folder)
    if assign.parent >= 0:
        raise Lost(f"it cannot go on from trial {assign.parent}: {why}")


def saved(spec: Spec, base: Base, found: list[Place], message: Score, tell: Tell) -> Snapshot:
    """The last snapshot of a complete trial, from the adapter that it saved. Raises OSError, KeyError,
    RuntimeError and TrimtabError where that is not whole."""
    folder, knobs = Path(message.folder), message.knobs
    names = peft_config.targets(found, knobs["target_modules"])
    factors = adapter_init.create_factors(spec, base, knobs, Layout(peft_config.select_layers(found, names)))
    factors.load(load_file(folder / "adapter" / "adapter_model.safetensors"))
    card = Scorecard(spec, TrialReporter(spec.study.name, message.trial, tell), folder)
    card.latest = dict(message.latest)
    return Snapshot(message.trial, frozen(factors), card, message.step, message.elapsed_s, True, True)
