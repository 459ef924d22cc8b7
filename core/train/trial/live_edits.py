"""Applies edits of a running trial's knobs between two of its steps."""

from __future__ import annotations

from typing import Any, Protocol

import torch

from core.contract.spec.knob_table import KNOBS, Value
from core.train.adapters.lora_factors import Factors

EVERY = "evaluate_every"  # steps between two evaluations; the study's value unless edited


class Editable(Protocol):
    """The parts of a trial that edits change."""

    knobs: dict[str, Value]
    step: int
    total_steps: int
    factors: Factors
    optimizer: torch.optim.Optimizer

    @property
    def every(self) -> int: ...


def list_fixed_names(changes: dict[str, Any]) -> list[str]:
    """The names in ``changes`` that cannot change while a trial runs."""
    return [name for name in changes if name != EVERY and not (name in KNOBS and KNOBS[name].live)]


def apply(trial: Editable, changes: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Apply those changes that a running trial allows; returns (before, after) of each.

    A ``steps`` value below the steps done ends the trial where it is.
    """
    allowed = {name: value for name, value in changes.items() if name not in list_fixed_names(changes)}
    return {name: _apply(trial, name, value) for name, value in allowed.items()}


def _apply(trial: Editable, name: str, value: Any) -> tuple[Any, Any]:
    before: Any = trial.knobs.get(name)
    if name == "steps":
        before, value = trial.total_steps, max(int(value), trial.step)
        trial.total_steps = value
    elif name == EVERY:
        before, value = trial.every, max(1, int(value))
    elif name == "lora_dropout":
        trial.factors.dropout = float(value)
    elif name == "weight_decay":
        for group in trial.optimizer.param_groups:
            group["weight_decay"] = float(value)
    trial.knobs[name] = value  # the learning rate and clip norm are read at each step
    return before, value
