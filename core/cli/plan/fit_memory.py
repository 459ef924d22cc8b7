"""``trimtab fit SPEC``: estimates the memory of a study's trials without loading the model.

``--json`` prints {"model", "device", "limit_bytes", "smallest": {…}, "largest": {…}, "share_that_fits",
"advice"}; "trial" replaces both where no searched knob affects memory.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from core.cli import exit_codes, output_formatting
from core.cli.plan import target_device
from core.contract.spec import spec_file
from core.contract.spec.study_spec import StudySpec
from core.contract.text import byte_sizes
from core.contract.text.sanitize import sanitize
from core.contract.wire.memory_forecast import PackEstimate
from core.errors import TrimtabError
from core.memory.base import config_json_lookup, weight_bytes
from core.memory.base.model_shape import Model
from core.memory.estimate.device_constants import Device
from core.memory.estimate.pack_memory_estimate import Setting, make_setting
from core.memory.estimate.trial_tensor_sizes import compute_need
from core.memory.planning import memory_advice, memory_budget, space_extremes
from core.memory.planning.memory_advice import Case

SHOWN = ("lora_rank", "target_modules", "batch_size", "sequence_length", "lora_dropout", "optimizer")


def fit(arguments: argparse.Namespace) -> int:
    """Print the smallest and the largest trial of the space; code 1 when the largest does not fit."""
    spec = spec_file.load(Path(arguments.spec))
    device = (
        target_device.make_device(arguments.gpu)
        if arguments.gpu
        else target_device.choose_device(spec.resources.devices)[0]
    )
    model = _read_model(spec, device)
    setting = make_setting(spec)
    limit = memory_budget.find_limit(spec.resources.memory_bytes, device)
    base_bytes = weight_bytes.count_base_bytes(
        model,
        weight_bytes.resolve_precision(setting.precision, device.computes),
        setting.double_quant,
        device.computes,
    )
    memory_budget.check(spec.resources.memory_bytes, device, base_bytes, f"{arguments.spec} [resources]")
    pack = arguments.pack or (spec.resources.pack if isinstance(spec.resources.pack, int) else 1)

    def case(knobs: Mapping[str, Any]) -> Case:
        return Case(model, setting, compute_need(knobs), pack, device, limit.bytes_)

    small, large = space_extremes.find_extremes(spec, lambda knobs: case(knobs).estimate().device_bytes)
    cases = [case(knobs) for knobs in ((large,) if small == large else (small, large))]
    fitting = (
        space_extremes.estimate_fitting_share(spec, lambda knobs: case(knobs).fits())
        if spec.space
        else float(cases[-1].fits())
    )
    if arguments.json:
        _dump(cases, limit, fitting)
    else:
        _print(spec, cases, [small, large][-len(cases) :], limit, fitting)
    return exit_codes.OK if cases[-1].fits() else exit_codes.FAILURE


def _read_model(spec: StudySpec, device: Device) -> Model:
    dtype = weight_bytes.find_dtype(spec.model.precision, device.computes)

    def say(stage: str) -> None:
        print(f"{sanitize(stage)} …", file=sys.stderr, flush=True)

    if not config_json_lookup.is_local(spec.model.base, spec.model.revision):
        say(f"fetching the configuration of {spec.model.base} from the hub")
    try:
        return config_json_lookup.read_model(spec.model.base, spec.model.revision, dtype=dtype, say=say)
    except TrimtabError as error:
        if "cannot be traced" not in str(error):
            raise
        print(f"less accurate: {sanitize(error.problems[0].what, 300)}", file=sys.stderr)
        return config_json_lookup.read_model(spec.model.base, spec.model.revision, dtype=dtype)


# -- what is printed -------------------------------------------------------------------------------


def _print(
    spec: StudySpec,
    cases: Sequence[Case],
    knobs: Sequence[Mapping[str, Any]],
    limit: memory_budget.Limit,
    fitting: float,
) -> None:
    first = cases[0]
    print(sanitize(f"{spec.model.base}: {_describe_setting(first.model, first.setting, first.device)}"))
    allowed = byte_sizes.format_bytes(limit.bytes_) if limit.bytes_ is not None else "unknown"
    print(sanitize(f"{first.device.name}: limit {allowed} ({limit.why})"))
    heads = ["one trial"] if len(cases) == 1 else ["smallest", "largest"]
    if first.pack > 1:
        heads = [f"{first.pack} × {head}" for head in heads]
    print(f"\n{'':<22}" + "".join(f"{head:>18}" for head in heads))
    for name in SHOWN:
        _print_row(name, [output_formatting.format_value(knob[name]) for knob in knobs])
    print()
    estimates = [case.estimate() for case in cases]
    for name in dict.fromkeys(part.name for forecast in estimates for part in forecast.parts):
        _print_row(name, [byte_sizes.format_bytes(forecast.sum_bytes(name)) for forecast in estimates])
    _print_row("tensor peak", [byte_sizes.format_bytes(forecast.peak_bytes) for forecast in estimates])
    _print_row("device total", [byte_sizes.format_bytes(forecast.device_bytes) for forecast in estimates])
    _print_row("fits", ["yes" if case.fits() else "NO" for case in cases])
    print()
    for line in _list_advice(cases, fitting):
        print(f"  {sanitize(line)}")


def _print_row(name: str, values: Sequence[str]) -> None:
    print(f"  {name:<20}" + "".join(f"{sanitize(value, 17):>18}" for value in values))


def _describe_setting(model: Model, setting: Setting, device: Device) -> str:
    precision = weight_bytes.resolve_precision(setting.precision, device.computes)
    return (
        f"{model.family}, {model.layers} layers, {model.parameters / 1e9:.2f} B parameters, {precision}"
        + (", gradient checkpointing" if setting.checkpointing else "")
    )


def _list_advice(cases: Sequence[Case], fitting: float) -> list[str]:
    lines = memory_advice.advise(cases[-1])
    if len(cases) > 1:
        packs = [memory_advice.find_largest_pack(case) for case in cases]
        if cases[0].limit_bytes is not None:
            lines.append(f"at once: {packs[0]} of the smallest or {packs[1]} of the largest")
        lines.append(f"{fitting:.0%} of the space fits")
    notes = dict.fromkeys(note for case in cases for note in case.estimate().notes)
    return [*lines, *(f"less accurate: {note}" for note in notes)]


def _dump(cases: Sequence[Case], limit: memory_budget.Limit, fitting: float) -> None:
    first = cases[0]
    model, device = first.model, first.device
    content: dict[str, Any] = {
        "model": {"family": model.family, "layers": model.layers, "parameters": model.parameters},
        "device": {"kind": device.kind, "name": sanitize(device.name), "total_bytes": device.total_bytes},
        "limit_bytes": limit.bytes_,
        "why_limit": limit.why,
        "pack": first.pack,
        "share_that_fits": fitting,
        "advice": _list_advice(cases, fitting),
    }  # fmt: skip
    for name, case in zip(("smallest", "largest") if len(cases) > 1 else ("trial",), cases, strict=True):
        content[name] = {
            "need": msgspec.to_builtins(case.need),
            "fits": case.fits(),
            **_estimate_record(case.estimate()),
        }
    output_formatting.dump(content)


def _estimate_record(estimate: PackEstimate) -> dict[str, Any]:
    parts = {name: estimate.sum_bytes(name) for name in dict.fromkeys(part.name for part in estimate.parts)}
    return {
        "parts": parts,
        "peak_bytes": estimate.peak_bytes,
        "device_bytes": estimate.device_bytes,
        "moment": estimate.moment,
    }
