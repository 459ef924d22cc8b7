"""The fullest moment of a pack on a device, from widths and knobs alone. Pure; a millisecond or two.

A step's memory is base, adapters and optimizer states; what every layer keeps for the backward pass; and the
moment itself: the loss, a layer's backward pass, a dequantised weight. The forms of the last two were derived
from traced steps (``derive_formulas``), so nothing here is guessed but what a kernel takes for itself.
Others: LLMem (arXiv 2404.10933), xMem (2510.21048).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from core.contract.spec import layer_groups
from core.contract.spec.knob_range import longest_sequence
from core.contract.spec.study_spec import Spec
from core.contract.wire.memory_forecast import Foretold, Part
from core.memory.base import step_formulas, weight_bytes
from core.memory.base.model_shape import Model
from core.memory.estimate import trial_memory
from core.memory.estimate.batch_passes import CHUNK_BYTES, MOST, overhead, share_out
from core.memory.estimate.device_constants import Device
from core.memory.estimate.trial_memory import Need

ENOUGH = 4  # full passes that show what any pass of a round takes
LIKE = "llama"  # the family whose forms stand for one that is not known by heart
STEP, BACKWARD, EVALUATION = "an optimizer step", "the backward pass of a step", "an evaluation"


@dataclass(frozen=True)
class Setting:
    """What all trials on a base share. ``judged`` rows are evaluated at once for each trial, of up to
    ``judged_length`` tokens where sequence_length is searched, else 0; ``longest`` is the longest row there
    is, where that is known; ``most`` bounds the tokens of a pass."""

    precision: str = "bf16"
    double_quant: bool = True
    checkpointing: bool = False
    judged: int = 8
    judged_length: int = 0
    longest: int | None = None
    most: int = MOST
    factor: float = 1.0  # that measurements put on what comes and goes with a pass


def setting_of(spec: Spec) -> Setting:
    """What all trials of a study share."""
    model, judged = spec.model, min(spec.evaluate.batch_size, spec.evaluate.rows)
    length = longest_sequence(spec) if "sequence_length" in spec.space else 0
    return Setting(model.precision, model.double_quant, model.gradient_checkpointing, judged, length)


def foretell(model: Model, setting: Setting, needs: Sequence[Need], device: Device) -> Foretold:
    """The fullest moment of ``needs`` trained together."""
    setting = replace(setting, precision=weight_bytes.resolved(setting.precision, device.kind))
    still = _still(model, setting, needs, device)
    moments = list(_moments(model, setting, needs, device))
    parts, moment, tokens = max(moments, key=lambda one: sum(part.used_bytes for part in one[0]))
    whole = (*still, *(part for part in parts if part.used_bytes > 0))
    peak = sum(part.used_bytes for part in whole)
    known = model.forms is not None or model.family in step_formulas.table()
    note = f"activations as {LIKE}'s: the family {model.family!r} is not known by heart"
    return Foretold(
        parts=whole, peak_bytes=peak, device_bytes=device.whole(peak), moment=moment,
        parameters=model.parameters,
        trainable=tuple(trial_memory.trainable(model, one) for one in needs), notes=() if known else (note,),
        tokens=tokens,
    )  # fmt: skip


def _still(model: Model, setting: Setting, needs: Sequence[Need], device: Device) -> list[Part]:
    """What is there in every moment."""
    base = weight_bytes.base_bytes(model, setting.precision, setting.double_quant, device.kind)
    each = weight_bytes.item(setting.precision, device.kind)
    found = [Part("base model", base), Part("workspace", device.workspace_bytes)]
    for one, rank in zip(needs, padded(needs, device), strict=True):
        own, stacked = trial_memory.trainable(model, one), rank * trial_memory.width(model, one.targets)
        found.append(Part("adapter", 4 * own + each * stacked, one.trial))
        found.append(Part("gradients", each * stacked, one.trial))
        found.append(Part("optimizer", trial_memory.optimizer_bytes(model, one), one.trial))
        if device.copies:  # what a thread still writes
            found.append(Part("checkpoint", 4 * own + trial_memory.optimizer_bytes(model, one), one.trial))
    return [part for part in found if part.used_bytes]


def padded(needs: Sequence[Need], device: Device) -> list[int]:
    """The rank that each trial is stacked with: on a GPU the largest of those that share its group."""
    if device.kind == "cpu":
        return [one.rank for one in needs]
    kinds = [(one.dropout, str(one.targets)) for one in needs]
    return [
        max(other.rank for other, alike in zip(needs, kinds, strict=True) if alike == kind) for kind in kinds
    ]


# -- moments --------------------------------------------------------------------------------------

Moment = tuple[list[Part], str, int]  # parts, name, tokens of its pass


def _moments(model: Model, setting: Setting, needs: Sequence[Need], device: Device) -> Iterator[Moment]:
    ranks = padded(needs, device)
    lengths, judged = _lengths(setting, needs)
    rows = _rows([one.rows for one in needs], lengths)
    passes = _passes(model, setting, rows, device)
    held = _gradients(model, needs, always=len(passes) > 1)
    for some in passes:
        sides = _sides(model, setting, needs, ranks, some, device)
        yield [*_working(model, setting, needs, some, sides, device), *held], BACKWARD, round(sides["N"])
    yield _stepping(model, setting, needs, device), STEP, 0
    for some in _passes(model, setting, _rows([setting.judged] * len(needs), judged), device):
        sides = _sides(model, setting, needs, ranks, some, device, trains=False)
        known = step_formulas.pick(
            model.family, model.forms, weight_bytes.dtype(setting.precision, device.kind), "judge"
        )["moments"]
        yield _split(known, {}, 0, sides, setting.factor), EVALUATION, round(sides["N"])


def _lengths(setting: Setting, needs: Sequence[Need]) -> tuple[list[int], list[int]]:
    """The longest rows that each trial trains on, and is judged on."""
    most = setting.longest or math.inf
    lengths = [int(min(one.length, most)) for one in needs]
    return lengths, [int(max(one, min(setting.judged_length, most))) for one in lengths]


@dataclass(frozen=True)
class _Row:
    at: int  # of its trial among the needs
    length: int


def _rows(counts: Sequence[int], lengths: Sequence[int]) -> list[_Row]:
    """The rows of all trials; of very many as many as a few full passes hold, in the same proportion."""
    tokens = sum(count * length for count, length in zip(counts, lengths, strict=True))
    share = min(1.0, ENOUGH * MOST / max(1, tokens))
    return [_Row(at, lengths[at]) for at, count in enumerate(counts) for _ in range(math.ceil(count * share))]


def _passes(model: Model, setting: Setting, rows: Sequence[_Row], device: Device) -> list[list[_Row]]:
    """The passes that differ: rows of one trial and length are alike."""
    extra = overhead(device.kind, model.parameters)
    cut = share_out([row.length for row in rows], extra, setting.most)
    return [[rows[at] for at in some] for some in cut]


def _sides(
    model: Model,
    setting: Setting,
    needs: Sequence[Need],
    ranks: Sequence[int],
    rows: Sequence[_Row],
    device: Device,
    trains: bool = True,
) -> dict[str, float]:
    length = max(row.length for row in rows)
    drops = [trains and needs[row.at].dropout for row in rows]
    targets = float(sum(row.length - 1 for row in rows))
    room = max(1.0, CHUNK_BYTES[device.kind] // (4 * model.widths["v"]))
    each = weight_bytes.item(setting.precision, device.kind)
    return step_formulas.symbols({
        **model.widths, "N": length * len(rows), "B": len(rows), "T": length, "K": targets,
        "C": targets / max(1, -(-targets // room)), "D": length * sum(drops),
        "RD": length * sum(ranks[row.at] for row, drop in zip(rows, drops, strict=True) if drop),
        "RP": length * sum(ranks[row.at] for row, drop in zip(rows, drops, strict=True) if not drop),
        "W": weight_bytes.copies(setting.precision, each), "G": float(device.kind == "cuda"),
    })  # fmt: skip


def _working(
    model: Model,
    setting: Setting,
    needs: Sequence[Need],
    rows: Sequence[_Row],
    sides: Mapping[str, float],
    device: Device,
) -> list[Part]:
    kind = "checkpointed" if setting.checkpointing else "plain"
    group = _group(model, [needs[at].targets for at in {row.at for row in rows}])
    found = step_formulas.pick(
        model.family, model.forms, weight_bytes.dtype(setting.precision, device.kind), f"{kind}/{group}"
    )
    return _split(found["moments"], found["layer"], model.layers, sides, setting.factor)


def _split(
    moments: Sequence[step_formulas.Form],
    layer: step_formulas.Form,
    layers: int,
    sides: Mapping[str, float],
    factor: float,
) -> list[Part]:
    """The fullest of ``moments``, with what all layers keep, by kind."""
    fullest = max(moments, key=lambda one: step_formulas.value(one, sides))
    loss = {name: each for name, each in fullest.items() if name.startswith(("K*", "C*"))}
    copies = {name: each for name, each in fullest.items() if name.startswith("W*")}
    rest = {name: each for name, each in fullest.items() if name not in loss and name not in copies}
    kept = max(0, layers - 1) * step_formulas.value(layer, sides)  # the last one is part of the moment
    return [
        Part("activations", round(factor * (kept + step_formulas.value(rest, sides)))),
        Part("loss", round(factor * step_formulas.value(loss, sides))),
        Part("dequantised weights", round(factor * step_formulas.value(copies, sides))),
    ]


def _group(model: Model, targets: Iterable[Any]) -> str:
    """The smallest group of modules that holds all of ``targets``: which layers keep their inputs."""
    names = {one.name for wanted in targets for one in trial_memory.chosen(model, wanted)}
    groups = {layer_groups.group(name) for name in names}
    return groups.pop() if groups in ({"attention"}, {"mlp"}) else layer_groups.ALL


def _gradients(model: Model, needs: Sequence[Need], always: bool) -> list[Part]:
    """Those that wait for the rest of their step while another pass runs, in float32: of the micro-batches
    before, and of the passes before in the same round (``always``)."""
    times = [int(one.accumulates) + int(always) for one in needs]
    return [
        Part("gradients", 4 * count * trial_memory.trainable(model, one), one.trial)
        for one, count in zip(needs, times, strict=True)
        if count
    ]


def _stepping(model: Model, setting: Setting, needs: Sequence[Need], device: Device) -> list[Part]:
    """Gradients in float32 (those of a float32 base are views), and what the optimizers need."""
    views = weight_bytes.item(setting.precision, device.kind) == 4
    found = (
        []
        if views
        else [Part("gradients", 4 * trial_memory.trainable(model, one), one.trial) for one in needs]
    )
    return [*found, Part("optimizer", max((trial_memory.step_bytes(model, one) for one in needs), default=0))]
