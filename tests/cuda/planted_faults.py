"""Faults planted into the trainer, each of which the paths or the counts must report."""

from __future__ import annotations

import gc
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any
from unittest.mock import patch

import torch

from core.train.adapters import optimizers
from core.train.adapters.adapter_stack import Group
from core.train.adapters.pass_plan import Run
from tests.cuda import all_paths, count_step

BASE, CASE = "llama/bf16", "uniform 1"
Plant = Callable[[], AbstractContextManager[Any]]


def run_all() -> dict[str, Any]:
    """Make a step with each fault in PATHS, and count one that launches and waits more."""
    gc.freeze()  # after an error the trainer collects garbage, which would walk over all of transformers
    found: dict[str, Any] = {"paths": {}}
    for name, plant in PATHS.items():
        with plant():
            found["paths"][name] = all_paths.run(BASE, ["learn"])["faults"]
    with _launch_and_wait():
        found["counts"] = count_step.count_few(CASE)
    return found


def _leave_a_table_on_the_host() -> AbstractContextManager[Any]:
    own = Run.locate

    def locate(run: Run, ends: torch.Tensor, slots: torch.Tensor, words: Any) -> None:
        own(run, ends, slots.cpu(), words)

    return patch.object(Run, "locate", locate)


def _stack_in_float32() -> AbstractContextManager[Any]:
    own = Group.__init__

    def make(group: Group, members: Any, dtype: torch.dtype, *rest: Any) -> None:
        own(group, members, torch.float32, *rest)

    return patch.object(Group, "__init__", make)


def _index_from_the_host() -> AbstractContextManager[Any]:
    own = torch.Tensor.index_select

    def select(tensor: torch.Tensor, dimension: int, index: torch.Tensor) -> torch.Tensor:
        return own(tensor, dimension, index.cpu())

    return patch.object(torch.Tensor, "index_select", select)


def _launch_and_wait() -> AbstractContextManager[Any]:
    """After each optimizer step, launch an operation that torch does not know, and read a value."""
    own = optimizers.step

    def step(optimizer: Any, rate: float) -> None:
        own(optimizer, rate)
        matrix = optimizer.param_groups[0]["params"][0].data
        torch.ops.trimtab_tests.touch(matrix)
        matrix[0, 0].item()

    return patch.object(optimizers, "step", step)


@torch.library.custom_op("trimtab_tests::touch", mutates_args=(), device_types="cuda")
def _touch(matrix: torch.Tensor) -> torch.Tensor:
    raise NotImplementedError("it runs on fake tensors only")


_touch.register_fake(torch.empty_like)

PATHS: dict[str, Plant] = {
    "a table is left on the host": _leave_a_table_on_the_host,
    "the stacked adapters are float32 on a bf16 base": _stack_in_float32,
    "an index is on the host": _index_from_the_host,
}
