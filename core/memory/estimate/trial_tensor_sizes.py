"""The memory-relevant knobs of a trial, and the size of its own tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from core.contract.spec import layer_groups
from core.memory.base.model_shape import Linear, Model

SMALLEST_8BIT = 4096  # parameters below which bitsandbytes keeps 32-bit states
BLOCK_8BIT = 256  # numbers per scale


class Need(msgspec.Struct, frozen=True):
    """The knobs of a trial that cost memory. ``rows`` are those of a micro-batch."""

    rank: int
    rows: int
    length: int
    targets: Any = "all-linear"
    optimizer: str = "adamw"
    dropout: bool = False
    accumulates: bool = False
    trial: int = -1


def compute_need(knobs: Mapping[str, Any], trial: int = -1) -> Need:
    """The Need of a trial's complete knobs."""
    return Need(
        rank=int(knobs["lora_rank"]),
        rows=int(knobs["batch_size"]),
        length=int(knobs["sequence_length"]),
        targets=knobs["target_modules"],
        optimizer=str(knobs["optimizer"]),
        dropout=float(knobs["lora_dropout"]) > 0,
        accumulates=int(knobs["gradient_accumulation"]) > 1,
        trial=trial,
    )


def choose_layers(model: Model, targets: Any) -> tuple[Linear, ...]:
    """The layers that get an adapter. As in PEFT, a list may name the ends of paths."""
    names = layer_groups.match_layers([linear.name for linear in model.linears], targets)
    return tuple(linear for linear in model.linears if any(_is_match(linear.name, name) for name in names))


def _is_match(path: str, name: str) -> bool:
    """Whether a path matches a name. A model's description has only the ends of its paths."""
    return layer_groups.is_named_by(path, name) or layer_groups.is_named_by(name, path)


def find_width(model: Model, targets: Any) -> int:
    """Columns of the trial's factor matrix: inputs and outputs of all its layers."""
    return model.layers * sum(linear.inputs + linear.outputs for linear in choose_layers(model, targets))


def count_trainable(model: Model, trial: Need) -> int:
    """Parameters of the adapter."""
    return trial.rank * find_width(model, trial.targets)


def count_optimizer_bytes(model: Model, trial: Need) -> int:
    """Bytes of the optimizer's state on the device; paged states move to host memory when the device is
    short."""
    count = count_trainable(model, trial)
    if trial.optimizer == "sgd":
        return 4 * count
    if trial.optimizer == "adafactor":  # mean squares by rank and by channel of every factor
        factors = 2 * model.layers * len(choose_layers(model, trial.targets))
        return 4 * (factors * trial.rank + find_width(model, trial.targets))
    if trial.optimizer.endswith("paged"):
        return 0
    if trial.optimizer == "adamw-8bit" and count >= SMALLEST_8BIT:
        return 2 * count + 8 * -(-count // BLOCK_8BIT)
    return 8 * count


def count_step_bytes(model: Model, trial: Need) -> int:
    """Temporary bytes of an optimizer step."""
    if trial.optimizer != "adafactor":
        return 0
    longest = max(_list_equal_width_runs(model, choose_layers(model, trial.targets)))
    return 3 * 4 * trial.rank * longest  # squares, the update, its product


def _list_equal_width_runs(model: Model, places: Sequence[Linear]) -> list[int]:
    """Columns of neighbouring factors of one width: adafactor steps each such run at once."""
    widths = [linear.inputs for _ in range(model.layers) for linear in places]
    widths += [linear.outputs for _ in range(model.layers) for linear in places]
    runs: list[list[int]] = []
    for width in widths:
        if runs and runs[-1][0] == width:
            runs[-1][1] += width
        else:
            runs.append([width, width])
    return [columns for _, columns in runs] or [0]
