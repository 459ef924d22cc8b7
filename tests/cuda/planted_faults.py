"""Faults planted into the trainer, each of which the paths or the counts must report."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any
from unittest.mock import patch

import torch

from core.train.adapters import optimizers
from core.train.adapters.adapter_stack import Group, Stack
from tests.cuda import all_paths, count_step

BASE, CASE = "llama/bf16", "uniform 1"
Plant = Callable[[], AbstractContextManager[Any]]


def run_all() -> dict[str, Any]:
    """Run the paths with each fault in PATHS, and count a step with each in COUNTS."""
    found: dict[str, Any] = {"paths": {}, "counts": {}}
    for name, plant in PATHS.items():
        with plant():
            found["paths"][name] = all_paths.run(BASE, every=False)["faults"]
    for name, plant in COUNTS.items():
        with plant():
            found["counts"][name] = count_step.count(CASE)
    return found


def _leave_a_table_on_the_host() -> AbstractContextManager[Any]:
    def words(stack: Stack, values: Any) -> torch.Tensor:
        return torch.tensor(values, dtype=torch.int32)

    return patch.object(Stack, "_words", words)


def _stack_in_float32() -> AbstractContextManager[Any]:
    own = Group.__init__

    def make(group: Group, members: Any, dtype: torch.dtype, device: torch.device) -> None:
        own(group, members, torch.float32, device)

    return patch.object(Group, "__init__", make)


def _index_from_the_host() -> AbstractContextManager[Any]:
    own = torch.Tensor.index_select

    def select(tensor: torch.Tensor, dimension: int, index: torch.Tensor) -> torch.Tensor:
        return own(tensor, dimension, index.cpu())

    return patch.object(torch.Tensor, "index_select", select)


def _launch_for_each_trial() -> AbstractContextManager[Any]:
    own = optimizers.step

    def step(optimizer: Any, rate: float) -> None:
        own(optimizer, rate)
        optimizer.param_groups[0]["params"][0].data.mul_(1.0)

    return patch.object(optimizers, "step", step)


def _wait_for_each_trial() -> AbstractContextManager[Any]:
    own = optimizers.step

    def step(optimizer: Any, rate: float) -> None:
        own(optimizer, rate)
        optimizer.param_groups[0]["params"][0].data[0, 0].item()

    return patch.object(optimizers, "step", step)


PATHS: dict[str, Plant] = {
    "a table is left on the host": _leave_a_table_on_the_host,
    "the stacked adapters are float32 on a bf16 base": _stack_in_float32,
    "an index is on the host": _index_from_the_host,
}
COUNTS: dict[str, Plant] = {
    "a launch for each trial": _launch_for_each_trial,
    "a wait for each trial": _wait_for_each_trial,
}
