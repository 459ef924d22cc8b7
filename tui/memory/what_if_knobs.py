"""The rows of the what-if, and the values that left and right lead to. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from typing import Any

from core.contract.spec.knob_table import KNOBS, OPTIMIZERS
from core.contract.spec.study_spec import PRECISIONS
from core.contract.state import engine_state as s

PACK, DEVICE = "pack", "device"
ROWS = (
    "precision", "batch_size", "sequence_length", "lora_rank", "gradient_checkpointing", "optimizer", PACK,
)  # fmt: skip
LARGEST_PACK = 256
CHOICES: dict[str, tuple[Any, ...]] = {
    "precision": PRECISIONS,
    "gradient_checkpointing": (False, True),
    "optimizer": OPTIMIZERS,
}


def begin(study: s.Study, trial: s.Trial | None) -> dict[str, Any]:
    """Where "what if" starts from: the rows as ``trial`` has them, or the study's own knobs."""
    model, knobs = study.settings.model, dict(study.settings.train)
    if trial is not None:
        knobs |= trial.knobs
    values = {name: knobs[name] for name in ROWS if name in KNOBS}
    values["precision"] = model.precision
    values["gradient_checkpointing"] = model.gradient_checkpointing
    values[PACK] = _find_pack(study)
    return {name: values[name] for name in ROWS}


def _find_pack(study: s.Study) -> int:
    """Trials at once: the study's number, else as many as train together now."""
    pack_setting = study.settings.resources.pack
    if isinstance(pack_setting, int):
        return max(1, pack_setting)
    return max([1, *(pack.trials for pack in study.packs.values())])


def step_value(name: str, value: Any, by: int, devices: tuple[str, ...] = ()) -> Any:
    """The value ``by`` steps from ``value``; at an end it stays."""
    choices = devices if name == DEVICE else CHOICES.get(name)
    if choices:
        place = choices.index(value) + by if value in choices else 0
        return choices[max(0, min(len(choices) - 1, place))]
    if name == PACK:
        return max(1, min(LARGEST_PACK, int(value) + by))
    steps = _list_steps(name)
    place = bisect_right(steps, value) + by - 1 if by > 0 else bisect_left(steps, value) + by
    return steps[max(0, min(len(steps) - 1, place))]


def _list_steps(name: str) -> list[int]:
    """Powers of two and half-way between them, as far as the knob goes."""
    knob = KNOBS[name]
    powers = [2**power for power in range(21)]
    between = [3 * power // 2 for power in powers[1:]]
    return sorted(step for step in powers + between if (knob.low or 1) <= step <= (knob.high or powers[-1]))


def find_changes(start: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """The knobs that differ; pack and device are no knobs."""
    return {name: now[name] for name in ROWS if name != PACK and now[name] != start[name]}
