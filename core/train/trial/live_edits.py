"""Knobs that people change in a trial as it runs: asked at any time, made between two of its steps."""

from __future__ import annotations

from typing import Any, Protocol

import torch

from core.contract.spec.knob_table import KNOBS, Value
from core.train.adapters.lora_factors import Factors

EVERY = "evaluate_every"  # steps between two evaluations: the study's unless it is edited


class Editable(Protocol):
    """A trial, as far as its knobs change."""

    knobs: dict[str, Value]
    step: int
    total_steps: int
    factors: Factors
    optimizer: torch.optim.Optimizer

    @property
    def every(self) -> int: ...


def dead(changes: dict[str, Any]) -> list[str]:
    """The names in ``changes`` of what cannot change while a trial runs."""
    return [name for name in changes if name != EVERY and not (name in KNOBS and KNOBS[name].live)]


def make(trial: Editable, changes: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Make those changes that can be; (before, after) of each. Steps below those that are done make the trial
    end where it stands."""
    alive = {name: value for name, value in changes.items() if name not in dead(changes)}
    return {name: _make(trial, name, value) for name, value in alive.items()}


def _make(trial: Editable, name: str, value: Any) -> tuple[Any, Any]:
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
    trial.knobs[name] = value  # the rate and the clip are looked up at each step
    return before, value
