"""Estimates the peak memory of a pack on a device from widths and knobs alone. Pure; takes a millisecond or
two.

A step's memory is the base, the adapters and the optimizer states; what every layer saves for the backward
pass; and the peak moment itself: the loss, a layer's backward pass, a dequantised weight. The formulas of the
last two were derived from traced steps (``derive_formulas``), so nothing is guessed except what a kernel
allocates for itself. Related: LLMem (arXiv 2404.10933), xMem (2510.21048).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from core.contract.spec import layer_groups
from core.contract.spec.searched_knob_extremes import find_longest_sequence
from core.contract.spec.study_spec import StudySpec
from core.contract.wire.memory_forecast import PackEstimate, Part
from core.memory.base import step_formulas, weight_bytes
from core.memory.base.model_shape import Model
from core.memory.estimate import trial_tensor_sizes
from core.memory.estimate.device_constants import Device
from core.memory.estimate.rows_per_pass import CHUNK_BYTES, MOST, count_overhead, share_out
from core.memory.estimate.trial_tensor_sizes import Need

ENOUGH = 4  # full passes that represent all passes of a round
LIKE = "llama"  # the family whose formulas stand in for an unknown one
STEP, BACKWARD, EVALUATION = "an optimizer step", "the backward pass of a step", "an evaluation"


@dataclass(frozen=True)
class Setting:
    """What all trials on a base share.

    ``judged`` rows are evaluated at once for each trial, of up to ``judged_length`` tokens if sequence_length
    is searched, else 0; ``longest`` is the longest row of the data, if known; ``most`` limits the tokens of a
    pass.
    """

    precision: str = "bf16"
    double_quant: bool = True
    checkpointing: bool = False
    judged: int = 8
    judged_length: int = 0
    longest: int | None = None
    most: int = MOST
    pass_tokens: int = 0  # the fixed cost of a pass as measured, in tokens; 0: not measured
    fused: bool = False  # whether the base's layers are known to compute in fused kernels
    factor: float = 1.0  # correction by measurements of what a pass allocates


def make_setting(spec: StudySpec) -> Setting:
    """What all trials of a study share."""
    model, judged = spec.model, min(spec.evaluate.batch_size, spec.evaluate.rows)
    length = find_longest_sequence(spec) if "sequence_length" in spec.space else 0
    return Setting(model.precision, model.double_quant, model.gradient_checkpointing, judged, length)


def estimate_memory(model: Model, setting: Setting, needs: Sequence[Need], device: Device) -> PackEstimate:
    """Estimate the peak memory of the trials ``needs`` training together."""
    setting = replace(setting, precision=weight_bytes.resolve_precision(setting.precision, device.computes))
    still = _list_constant_parts(model, setting, needs, device)
    moments = list(_list_moments(model, setting, needs, device))
    parts, moment, tokens = max(moments, key=lambda moment: sum(part.used_bytes for part in moment[0]))
    parts_at_peak = (*still, *(part for part in parts if part.used_bytes > 0))
    peak = sum(part.used_bytes for part in parts_at_peak)
    has_formulas = model.forms is not None or model.family in step_formulas.read_table()
    note = f"activations are estimated as for {LIKE}: there are no formulas for {model.family!r}"
    return PackEstimate(
        parts=parts_at_peak, peak_bytes=peak, device_bytes=device.add_process_bytes(peak), moment=moment,
        parameters=model.parameters,
        trainable=tuple(trial_tensor_sizes.count_trainable(model, need) for need in needs),
        notes=() if has_formulas else (note,), tokens=tokens,
    )  # fmt: skip


def _list_constant_parts(model: Model, setting: Setting, needs: Sequence[Need], device: Device) -> list[Part]:
    """Memory that is used all the time."""
    base = weight_bytes.count_base_bytes(model, setting.precision, setting.double_quant, device.computes)
    item_bytes = weight_bytes.count_item_bytes(setting.precision, device.computes)
    parts = [Part("base model", base), Part("workspace", device.workspace_bytes)]
    for need, rank in zip(needs, pad_ranks(needs, device), strict=True):
        own, stacked = (
            trial_tensor_sizes.count_trainable(model, need),
            rank * trial_tensor_sizes.find_width(model, need.targets),
        )
        parts.append(Part("adapter", 4 * own + item_bytes * stacked, need.trial))
        parts.append(Part("gradients", item_bytes * stacked, need.trial))
        parts.append(Part("optimizer", trial_tensor_sizes.count_optimizer_bytes(model, need), need.trial))
        if device.copies:  # a checkpoint that is still being written
            parts.append(
                Part(
                    "checkpoint", 4 * own + trial_tensor_sizes.count_optimizer_bytes(model, need), need.trial
                )
            )
    return [part for part in parts if part.used_bytes]


def pad_ranks(needs: Sequence[Need], device: Device) -> list[int]:
    """The rank that each trial is stacked with: on a GPU the largest in its group."""
    if device.kind == "cpu":
        return [need.rank for need in needs]
    kinds = [(need.dropout, str(need.targets)) for need in needs]
    return [
        max(other_need.rank for other_need, alike in zip(needs, kinds, strict=True) if alike == kind)
        for kind in kinds
    ]


# -- moments --------------------------------------------------------------------------------------

Moment = tuple[list[Part], str, int]  # parts, name, tokens of its pass


def _list_moments(model: Model, setting: Setting, needs: Sequence[Need], device: Device) -> Iterator[Moment]:
    ranks = pad_ranks(needs, device)
    lengths, judged = _list_lengths(setting, needs)
    rows = _list_rows([need.rows for need in needs], lengths)
    passes = _plan_passes(model, setting, rows, device)
    waiting_bytes = _list_waiting_gradients(model, needs, always=len(passes) > 1)
    for rows in passes:
        symbols = _list_symbols(model, setting, needs, ranks, rows, device)
        parts = [*_list_backward_parts(model, setting, needs, rows, symbols, device), *waiting_bytes]
        yield parts, BACKWARD, round(symbols["N"])
    yield _list_step_parts(model, setting, needs, device), STEP, 0
    for rows in _plan_passes(model, setting, _list_rows([setting.judged] * len(needs), judged), device):
        symbols = _list_symbols(model, setting, needs, ranks, rows, device, trains=False)
        formulas = step_formulas.pick(model.family, model.forms, _find_code(setting, device), "judge")[
            "moments"
        ]
        yield _list_parts(formulas, {}, 0, symbols, setting.factor), EVALUATION, round(symbols["N"])


def _list_lengths(setting: Setting, needs: Sequence[Need]) -> tuple[list[int], list[int]]:
    """The longest rows that each trial trains on, and is evaluated on."""
    longest = setting.longest or math.inf
    lengths = [int(min(need.length, longest)) for need in needs]
    return lengths, [int(max(length, min(setting.judged_length, longest))) for length in lengths]


@dataclass(frozen=True)
class _Row:
    at: int  # index of its trial in ``needs``
    length: int


def _list_rows(counts: Sequence[int], lengths: Sequence[int]) -> list[_Row]:
    """The rows of all trials; if there are very many, only as many as a few full passes hold, in the same
    proportion."""
    tokens = sum(count * length for count, length in zip(counts, lengths, strict=True))
    share = min(1.0, ENOUGH * MOST / max(1, tokens))
    return [_Row(at, lengths[at]) for at, count in enumerate(counts) for _ in range(math.ceil(count * share))]


def _plan_passes(model: Model, setting: Setting, rows: Sequence[_Row], device: Device) -> list[list[_Row]]:
    """The distinct passes: rows of one trial and length are alike."""
    extra = setting.pass_tokens or count_overhead(device.kind, model.parameters)
    cut = share_out([row.length for row in rows], extra, setting.most)
    return [[rows[at] for at in indices] for indices in cut]


def _list_symbols(
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
    item_bytes = weight_bytes.count_item_bytes(setting.precision, device.computes)
    return step_formulas.list_symbols({
        **model.widths, "N": length * len(rows), "B": len(rows), "T": length, "K": targets,
        "C": targets / max(1, -(-targets // room)), "D": length * sum(drops),
        "RD": length * sum(ranks[row.at] for row, drop in zip(rows, drops, strict=True) if drop),
        "RP": length * sum(ranks[row.at] for row, drop in zip(rows, drops, strict=True) if not drop),
        "W": weight_bytes.count_copies(setting.precision, item_bytes), "G": float(device.kind == "cuda"),
    })  # fmt: skip


def _list_backward_parts(
    model: Model,
    setting: Setting,
    needs: Sequence[Need],
    rows: Sequence[_Row],
    symbols: Mapping[str, float],
    device: Device,
) -> list[Part]:
    kind = "checkpointed" if setting.checkpointing else "plain"
    group = _find_group(model, [needs[at].targets for at in {row.at for row in rows}])
    formulas = step_formulas.pick(model.family, model.forms, _find_code(setting, device), f"{kind}/{group}")
    return _list_parts(formulas["moments"], formulas["layer"], model.layers, symbols, setting.factor)


def _find_code(setting: Setting, device: Device) -> str:
    """What computes a layer, as the formulas name it."""
    dtype = weight_bytes.find_dtype(setting.precision, device.computes)
    return dtype + step_formulas.FUSED if setting.fused else dtype


def _list_parts(
    moments: Sequence[step_formulas.Form],
    layer: step_formulas.Form,
    layers: int,
    symbols: Mapping[str, float],
    factor: float,
) -> list[Part]:
    """The peak of ``moments`` plus what all layers save, by kind."""
    fullest = max(moments, key=lambda form: step_formulas.compute_value(form, symbols))
    loss = {name: coefficient for name, coefficient in fullest.items() if name.startswith(("K*", "C*"))}
    copies = {name: coefficient for name, coefficient in fullest.items() if name.startswith("W*")}
    rest = {
        name: coefficient for name, coefficient in fullest.items() if name not in loss and name not in copies
    }
    kept_bytes = max(0, layers - 1) * step_formulas.compute_value(
        layer, symbols
    )  # the last layer is part of the moment
    return [
        Part("activations", round(factor * (kept_bytes + step_formulas.compute_value(rest, symbols)))),
        Part("loss", round(factor * step_formulas.compute_value(loss, symbols))),
        Part("dequantised weights", round(factor * step_formulas.compute_value(copies, symbols))),
    ]


def _find_group(model: Model, targets: Iterable[Any]) -> str:
    """The smallest group of modules that contains all ``targets``; it decides which layers save their
    inputs."""
    names = {linear.name for target in targets for linear in trial_tensor_sizes.choose_layers(model, target)}
    groups = {layer_groups.find_group(name) for name in names}
    return groups.pop() if groups in ({"attention"}, {"mlp"}) else layer_groups.ALL


def _list_waiting_gradients(model: Model, needs: Sequence[Need], always: bool) -> list[Part]:
    """Float32 gradients that wait for the rest of their step while another pass runs: from earlier
    micro-batches, and from earlier passes of the same round (``always``)."""
    times = [int(need.accumulates) + int(always) for need in needs]
    return [
        Part("gradients", 4 * count * trial_tensor_sizes.count_trainable(model, need), need.trial)
        for need, count in zip(needs, times, strict=True)
        if count
    ]


def _list_step_parts(model: Model, setting: Setting, needs: Sequence[Need], device: Device) -> list[Part]:
    """Gradients in float32 (those of a float32 base are views), and the optimizers' temporary memory."""
    views = weight_bytes.count_item_bytes(setting.precision, device.computes) == 4
    gradients = (
        []
        if views
        else [
            Part("gradients", 4 * trial_tensor_sizes.count_trainable(model, need), need.trial)
            for need in needs
        ]
    )
    step = max((trial_tensor_sizes.count_step_bytes(model, need) for need in needs), default=0)
    return [*gradients, Part("optimizer", step)]
