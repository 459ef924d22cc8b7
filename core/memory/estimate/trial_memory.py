"""What a trial asks of memory, and what its own tensors take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from core.contract.spec import layer_groups
from core.memory.base.model_shape import Linear, Model

SMALLEST_8BIT = 4096  # bitsandbytes keeps 32-bit states below it
BLOCK_8BIT = 256  # numbers to a scale


class Need(msgspec.Struct, frozen=True):
    """The knobs of a trial that cost memory. ``rows`` are those of one micro-batch."""

    rank: int
    rows: int
    length: int
    targets: Any = "all-linear"
    optimizer: str = "adamw"
    dropout: bool = False
    accumulates: bool = False
    trial: int = -1


def need(knobs: Mapping[str, Any], trial: int = -1) -> Need:
    """Out of a trial's complete knobs."""
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


def chosen(model: Model, targets: Any) -> tuple[Linear, ...]:
    """The layers that get an adapter. A list may name ends of paths, as PEFT has it."""
    names = layer_groups.meant([one.name for one in model.linears], targets)
    return tuple(one for one in model.linears if any(_meant(one.name, name) for name in names))


def _meant(path: str, name: str) -> bool:
    """A model's description has the ends of its paths alone."""
    return layer_groups.ends(path, name) or layer_groups.ends(name, path)


def width(model: Model, targets: Any) -> int:
    """Columns of the trial's one matrix: inputs and outputs of all its places."""
    return model.layers * sum(one.inputs + one.outputs for one in chosen(model, targets))


def trainable(model: Model, one: Need) -> int:
    """Parameters of the adapter."""
    return one.rank * width(model, one.targets)


def optimizer_bytes(model: Model, one: Need) -> int:
    """The optimizer's state on the device; paged ones lie in host memory where the device is short."""
    count = trainable(model, one)
    if one.optimizer == "sgd":
        return 4 * count
    if one.optimizer == "adafactor":  # means of squares by rank and by channel of every factor
        factors = 2 * model.layers * len(chosen(model, one.targets))
        return 4 * (factors * one.rank + width(model, one.targets))
    if one.optimizer.endswith("paged"):
        return 0
    if one.optimizer == "adamw-8bit" and count >= SMALLEST_8BIT:
        return 2 * count + 8 * -(-count // BLOCK_8BIT)
    return 8 * count


def step_bytes(model: Model, one: Need) -> int:
    """What the optimizer takes for itself while it steps."""
    if one.optimizer != "adafactor":
        return 0
    longest = max(_runs(model, chosen(model, one.targets)))
    return 3 * 4 * one.rank * longest  # squares, the update, its product


def _runs(model: Model, places: Sequence[Linear]) -> list[int]:
    """Columns of neighbouring factors of one width: adafactor steps each run at once."""
    widths = [one.inputs for _ in range(model.layers) for one in places]
    widths += [one.outputs for _ in range(model.layers) for one in places]
    found: list[list[int]] = []
    for each in widths:
        if found and found[-1][0] == each:
            found[-1][1] += each
        else:
            found.append([each, each])
    return [columns for _, columns in found] or [0]
