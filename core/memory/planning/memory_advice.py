"""Advice on memory: what dominates, how much more would fit, and the cheapest change that makes a trial
fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import msgspec

from core.contract.text.byte_sizes import format_bytes
from core.contract.wire.memory_forecast import PackEstimate
from core.memory.base.model_shape import Model
from core.memory.estimate.device_constants import Device
from core.memory.estimate.pack_memory_estimate import Setting, estimate_memory
from core.memory.estimate.trial_tensor_sizes import Need

MOST_ROWS, MOST_LENGTH, MOST_TRIALS = 4096, 1 << 20, 64


@dataclass(frozen=True)
class Case:
    """A pack of equal trials on a base, and its memory limit."""

    model: Model
    setting: Setting
    need: Need
    pack: int
    device: Device
    limit_bytes: int | None

    def estimate(self) -> PackEstimate:
        """The memory estimate of its peak."""
        needs = [msgspec.structs.replace(self.need, trial=at) for at in range(self.pack)]
        return estimate_memory(self.model, self.setting, needs, self.device)

    def fits(self) -> bool:
        """Whether the peak is within the limit; True without a limit."""
        return self.limit_bytes is None or self.estimate().device_bytes <= self.limit_bytes

    def replace_knobs(self, **changed: object) -> Case:
        """The same case with other knobs."""
        return replace(self, need=msgspec.structs.replace(self.need, **changed))


def advise(case: Case) -> list[str]:
    """Lines for the user, the most useful first."""
    estimate = case.estimate()
    lines = [find_dominant_part(estimate, case.pack)]
    if case.model.positions and case.need.length > case.model.positions:
        limit = f"the model supports up to {case.model.positions} tokens"
        lines.append(f"sequence_length {case.need.length}: {limit}")
    if case.limit_bytes is None:
        return lines
    if not case.fits():
        return [*lines, _find_cheapest_fix(case)]
    return [*lines, _describe_remaining(case)]


def find_dominant_part(estimate: PackEstimate, pack: int = 1) -> str:
    """The largest part of the estimate, and the knobs that change it."""
    sizes: dict[str, int] = {}
    for part in estimate.parts:
        sizes[part.name] = sizes.get(part.name, 0) + part.used_bytes
    name, most_bytes = max(sizes.items(), key=lambda size: size[1])
    share = most_bytes / max(1, estimate.peak_bytes)
    causes = {
        "base model": "it depends on precision",
        "activations": "they depend on batch_size × sequence_length and on gradient_checkpointing",
        "optimizer": "it depends on optimizer and lora_rank",
        "adapter": "it depends on lora_rank and target_modules",
        "gradients": "they depend on lora_rank and target_modules",
        "loss": "it depends on batch_size × sequence_length",
    }
    verb = "dominate" if name in ("activations", "gradients") else "dominates"
    return f"{name} {verb} with {format_bytes(most_bytes)} ({share:.0%}); {causes.get(name, '')}".rstrip("; ")


# -- largest ---------------------------------------------------------------------------------------


def find_largest(fits: Callable[[int], bool], most: int) -> int:
    """The largest count up to ``most`` that fits; 0 if not even 1 does. If a count fits, all smaller ones
    must fit."""
    if not fits(1):
        return 0
    low, high = 1, 2
    while high <= most and fits(high):
        low, high = high, 2 * high
    high = min(high, most + 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def find_largest_batch(case: Case) -> int:
    """The largest number of rows in a micro-batch that fits."""
    return find_largest(lambda rows: case.replace_knobs(rows=rows).fits(), MOST_ROWS)


def find_largest_length(case: Case) -> int:
    """The largest number of tokens per row that fits, within the model's own limit."""
    return find_largest(lambda length: case.replace_knobs(length=max(2, length)).fits(), find_longest(case))


def find_longest(case: Case) -> int:
    """The longest sequence that the model supports."""
    return min(case.model.positions or MOST_LENGTH, MOST_LENGTH)


def find_largest_pack(case: Case) -> int:
    """The largest number of such trials that fit at once."""
    return find_largest(lambda pack: replace(case, pack=pack).fits(), MOST_TRIALS)


def _describe_remaining(case: Case) -> str:
    rows, length, pack = find_largest_batch(case), find_largest_length(case), find_largest_pack(case)
    end = (
        "" if length < find_longest(case) else " (the model's limit)" if case.model.positions else " or more"
    )
    return (
        f"with everything else unchanged, batch_size {rows} fits, or sequence_length {length}{end}, "
        f"or {pack} such trial{'' if pack == 1 else 's'} at once"
    )


# -- the cheapest change ---------------------------------------------------------------------------


def _list_changes(case: Case) -> Iterator[tuple[str, Case]]:
    """Changes by what they cost: first the same training in smaller pieces, then slower, then coarser, then
    different training."""
    need = case.need
    for pack in sorted({case.pack // 2, case.pack // 4, 1} - {0, case.pack}, reverse=True):
        yield f"{pack} trial{'' if pack == 1 else 's'} at once", replace(case, pack=pack)
    for rows in _list_halves(need.rows):
        times = need.rows // rows
        yield (
            f"batch_size {rows} with {times} × the gradient_accumulation",
            case.replace_knobs(rows=rows, accumulates=True),
        )
    if need.optimizer == "adamw":
        yield 'optimizer = "adamw-8bit"', case.replace_knobs(optimizer="adamw-8bit")
    if not case.setting.checkpointing:
        yield "model.gradient_checkpointing = true", _make_case(case, checkpointing=True)
    if case.setting.precision not in ("nf4", "int8"):
        yield 'model.precision = "nf4"', _make_case(case, precision="nf4")
    for length in _list_halves(need.length):
        if length >= 64:
            yield f"sequence_length {length}", case.replace_knobs(length=length)
    for rank in _list_halves(need.rank):
        yield f"lora_rank {rank}", case.replace_knobs(rank=rank)


def _list_halves(count: int) -> Sequence[int]:
    halves = []
    while count > 1:
        count = count // 2
        halves.append(count)
    return halves


def _make_case(case: Case, **changed: object) -> Case:
    return replace(case, setting=replace(case.setting, **changed))  # type: ignore[arg-type]


def _find_cheapest_fix(case: Case) -> str:
    for text, changed in _list_changes(case):
        if changed.fits():
            return f"it fits with {text}: {format_bytes(changed.estimate().device_bytes)}"
    smallest = replace(_make_case(case, checkpointing=True), pack=1)
    smallest = smallest.replace_knobs(rows=1, accumulates=True)
    for text, changed in (("", smallest), *_list_changes(smallest)):
        if changed.fits():
            with_ = f" and {text}" if text else ""
            return (
                f"it fits with batch_size 1, model.gradient_checkpointing = true{with_}, "
                f"one trial at a time: {format_bytes(changed.estimate().device_bytes)}"
            )
    return "no single change makes it fit; use a smaller base model or a larger device"
