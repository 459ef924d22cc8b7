"""What of a trial a device holds: precision, checkpointing, rows at once and length, by the estimate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from core.contract.text.byte_sizes import words
from core.memory.base.model_shape import Model
from core.memory.estimate.device_constants import Device
from core.memory.estimate.memory_estimate import Setting
from core.memory.estimate.trial_memory import Need
from core.memory.planning import memory_advice
from core.memory.planning.memory_advice import Case
from core.memory.planning.memory_budget import Limit

# What costs least comes first: memory of its own, then time (the forward pass twice), then exactness.
SETTINGS = {
    "cuda": (("bf16", False), ("bf16", True), ("nf4", False), ("nf4", True)),
    "cpu": (("fp32", False), ("fp32", True), ("bf16", True), ("nf4", True)),
}
LEAST_ROWS = 2  # of a micro-batch, before a leaner setting is looked at
LEAST_LENGTH, GRAIN = 64, 64  # tokens
LEAST_RANK = 4
TOGETHER = 2  # trials at once: below it a pack is none
SPARE = 0.1  # of the limit, left free: what is foretold on a GPU is still to be measured


@dataclass(frozen=True)
class Ask:
    """What a trial would have if memory were no matter: rows of a step, tokens of a row, the largest rank."""

    batch: int
    length: int
    rank: int
    judged: int
    dropout: bool = True
    half: str = "bf16"  # what the card computes in, of those with two bytes


@dataclass(frozen=True)
class Room:
    """What a trial gets. ``tried`` are settings that were too large, in words; ``pack`` is how many such
    trials fit at once. ``fits`` false: nothing did, and this is the leanest."""

    precision: str
    checkpointing: bool
    rows: int
    length: int
    rank: int
    pack: int
    fits: bool
    used_bytes: int
    tried: tuple[str, ...] = field(default=())


def room(model: Model, device: Device, limit: Limit, ask: Ask) -> Room:
    """The first setting that holds a trial, with as many rows as two trials at once leave."""
    tried: dict[str, str] = {}
    for rows in sorted({min(LEAST_ROWS, ask.batch), 1}, reverse=True):
        for precision, checkpointing in _settings(device, ask):
            one = _case(model, device, limit, ask, precision, checkpointing, rows)
            if one.fits():
                return _filled(one, ask, tuple(tried.values()))
            name = precision + (" with checkpointing" if checkpointing else "")
            tried[name] = f"{name} takes {words(one.estimate().device_bytes)}"
    return _shrunk(model, device, limit, ask, tuple(tried.values()))


def _settings(device: Device, ask: Ask) -> list[tuple[str, bool]]:
    return [(ask.half if one == "bf16" else one, again) for one, again in SETTINGS[device.kind]]


def _case(
    model: Model, device: Device, limit: Limit, ask: Ask, precision: str, checkpointing: bool, rows: int
) -> Case:
    setting = Setting(precision, True, checkpointing, ask.judged)
    need = Need(ask.rank, rows, ask.length, dropout=ask.dropout, accumulates=rows < ask.batch)
    most = None if limit.bytes_ is None else round((1 - SPARE) * limit.bytes_)
    return Case(model, setting, need, 1, device, most)


def _filled(least: Case, ask: Ask, tried: tuple[str, ...]) -> Room:
    for pack in (TOGETHER, 1):
        for rows in _halves(ask.batch):
            one = replace(least.with_need(rows=rows, accumulates=rows < ask.batch), pack=pack)
            if rows >= least.need.rows and one.fits():
                return _room(replace(one, pack=1), True, tried)
    return _room(least, True, tried)


def _shrunk(model: Model, device: Device, limit: Limit, ask: Ask, tried: tuple[str, ...]) -> Room:
    """Shorter rows, then lower ranks, in the leanest setting."""
    precision, checkpointing = _settings(device, ask)[-1]
    one = _case(model, device, limit, ask, precision, checkpointing, 1)
    for rank in _ranks(ask.rank):
        at = one.with_need(rank=rank)
        length = min(
            ask.length, memory_advice.largest_length(at.with_need(length=LEAST_LENGTH)) // GRAIN * GRAIN
        )
        if length >= min(LEAST_LENGTH, ask.length) and at.with_need(length=length).fits():
            return _filled(at.with_need(length=length), ask, tried)
    least = one.with_need(rank=min(LEAST_RANK, ask.rank), length=min(LEAST_LENGTH, ask.length))
    return _room(least, least.fits(), tried)


def _ranks(rank: int) -> Iterator[int]:
    while rank >= LEAST_RANK:
        yield rank
        rank //= 2


def _halves(batch: int) -> Sequence[int]:
    return [batch >> shift for shift in range(batch.bit_length())]


def _room(one: Case, fits: bool, tried: tuple[str, ...]) -> Room:
    need, setting = one.need, one.setting
    pack = max(1, memory_advice.largest_pack(one)) if fits else 0
    used = one.estimate().device_bytes
    return Room(
        setting.precision, setting.checkpointing, need.rows, need.length, need.rank, pack, fits, used, tried
    )
