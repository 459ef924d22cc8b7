"""Chooses the precision, checkpointing, micro-batch, length and rank that fit on a device, by the memory
estimate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from core.contract.text.byte_sizes import format_bytes
from core.memory.base.model_shape import Model
from core.memory.estimate.device_constants import Device
from core.memory.estimate.pack_memory_estimate import Setting
from core.memory.estimate.trial_tensor_sizes import Need
from core.memory.planning import memory_advice
from core.memory.planning.memory_advice import Case
from core.memory.planning.memory_budget import Limit

# (precision, gradient checkpointing), the cheapest first: checkpointing costs time, nf4 costs accuracy.
SETTINGS = {
    "cuda": (("bf16", False), ("bf16", True), ("nf4", False), ("nf4", True)),
    "cpu": (("fp32", False), ("fp32", True), ("bf16", True), ("nf4", True)),
}
LEAST_ROWS = 2  # of a micro-batch, before a setting with less memory is tried
LEAST_LENGTH, GRAIN = 64, 64  # tokens
LEAST_RANK = 4
TOGETHER = 2  # trials at once: the smallest pack
SPARE = 0.1  # of the limit, left free: GPU estimates are not verified by measurements yet


@dataclass(frozen=True)
class Ask:
    """What a trial would use if memory were unlimited: rows per step, tokens per row, the largest rank."""

    batch: int
    length: int
    rank: int
    judged: int
    dropout: bool = True


@dataclass(frozen=True)
class Room:
    """The setting that was chosen. ``tried`` lists settings that were too large, as text; ``pack`` is the
    number of such trials that fit at once. If ``fits`` is false, this is the smallest setting and is still
    too large."""

    precision: str
    checkpointing: bool
    rows: int
    length: int
    rank: int
    pack: int
    fits: bool
    used_bytes: int
    tried: tuple[str, ...] = field(default=())


def find_room(model: Model, device: Device, limit: Limit, ask: Ask) -> Room:
    """Return the first setting in which a trial fits, with the most rows that still leave room for two
    trials."""
    changes: dict[str, str] = {}
    for rows in sorted({min(LEAST_ROWS, ask.batch), 1}, reverse=True):
        for precision, checkpointing in _list_settings(device):
            case = _make_case(model, device, limit, ask, precision, checkpointing, rows)
            if case.fits():
                return _fill_room(case, ask, tuple(changes.values()))
            name = precision + (" with checkpointing" if checkpointing else "")
            changes[name] = f"{name} needs {format_bytes(case.estimate().device_bytes)}"
    return _shrink(model, device, limit, ask, tuple(changes.values()))


def _list_settings(device: Device) -> list[tuple[str, bool]]:
    choices = SETTINGS[device.kind]
    if device.kind == "cpu" or device.bf16:
        return list(choices)
    return [("fp32" if precision == "bf16" else precision, again) for precision, again in choices]


def _make_case(
    model: Model, device: Device, limit: Limit, ask: Ask, precision: str, checkpointing: bool, rows: int
) -> Case:
    setting = Setting(precision, True, checkpointing, ask.judged)
    need = Need(ask.rank, rows, ask.length, dropout=ask.dropout, accumulates=rows < ask.batch)
    most_bytes = None if limit.bytes_ is None else round((1 - SPARE) * limit.bytes_)
    return Case(model, setting, need, 1, device, most_bytes)


def _fill_room(least: Case, ask: Ask, tried: tuple[str, ...]) -> Room:
    for pack in (TOGETHER, 1):
        for rows in _list_halves(ask.batch):
            case = replace(least.replace_knobs(rows=rows, accumulates=rows < ask.batch), pack=pack)
            if rows >= least.need.rows and case.fits():
                return _make_room(replace(case, pack=1), True, tried)
    return _make_room(least, True, tried)


def _shrink(model: Model, device: Device, limit: Limit, ask: Ask, tried: tuple[str, ...]) -> Room:
    """Try shorter rows, then lower ranks, in the setting with the least memory."""
    precision, checkpointing = _list_settings(device)[-1]
    case = _make_case(model, device, limit, ask, precision, checkpointing, 1)
    for rank in _list_ranks(ask.rank):
        at = case.replace_knobs(rank=rank)
        length = min(
            ask.length,
            memory_advice.find_largest_length(at.replace_knobs(length=LEAST_LENGTH)) // GRAIN * GRAIN,
        )
        if length >= min(LEAST_LENGTH, ask.length) and at.replace_knobs(length=length).fits():
            return _fill_room(at.replace_knobs(length=length), ask, tried)
    least = case.replace_knobs(rank=min(LEAST_RANK, ask.rank), length=min(LEAST_LENGTH, ask.length))
    return _make_room(least, least.fits(), tried)


def _list_ranks(rank: int) -> Iterator[int]:
    while rank >= LEAST_RANK:
        yield rank
        rank //= 2


def _list_halves(batch: int) -> Sequence[int]:
    return [batch >> shift for shift in range(batch.bit_length())]


def _make_room(case: Case, fits: bool, tried: tuple[str, ...]) -> Room:
    need, setting = case.need, case.setting
    pack = max(1, memory_advice.find_largest_pack(case)) if fits else 0
    used = case.estimate().device_bytes
    return Room(
        setting.precision, setting.checkpointing, need.rows, need.length, need.rank, pack, fits, used, tried
    )
