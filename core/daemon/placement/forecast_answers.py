"""Answers memory forecasts and the present memory use of a study."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from core.contract.spec import knob_table as knob
from core.contract.spec.study_spec import PRECISIONS, StudySpec
from core.contract.state import engine_state as s
from core.contract.text.sanitize import sanitize
from core.contract.wire import console_api
from core.contract.wire.memory_forecast import DeviceMemory, Forecast, MemoryNow, Verdict
from core.daemon.placement.memory_planner import MemoryPlanner
from core.errors import RefusedError
from core.memory.estimate.trial_tensor_sizes import compute_need
from core.memory.planning.memory_advice import Case, advise

OF_BASE = {"precision": "precision", "gradient_checkpointing": "checkpointing"}
MOST_PACK = 256
FITS = "fits"


def forecast(
    planner: MemoryPlanner, study: s.Study, spec: StudySpec, request: console_api.Foresee
) -> Forecast:
    """Estimate the memory of a pack with the given knobs. Raises RefusedError if that is not possible."""
    model = planner.model
    if model is None:
        raise RefusedError.of(
            f"no memory estimate is possible: {planner.why_not}",
            f"study {study.name}",
            "try again when a worker has loaded the model",
        )
    label = request.device or planner.slots[0].label
    if label not in {slot.label for slot in planner.slots}:
        raise RefusedError.of(
            f"the study has no device {sanitize(label, 40)!r}", study.name, "give one of the study's devices"
        )
    setting = planner.setting(label, longest=None, **_select_base_changes(request.changes))
    knobs = _merge_knobs(study, spec, request)
    limit, device = planner.limit(label), planner.device(label, setting)
    case = Case(
        model, setting, compute_need(knobs), max(1, min(MOST_PACK, request.pack)), device, limit.bytes_
    )
    return Forecast(
        case.estimate(), label, device.total_bytes, limit.bytes_, case.fits(), tuple(advise(case))
    )


def _select_base_changes(changes: Mapping[str, Any]) -> dict[str, Any]:
    base_settings = {OF_BASE[name]: value for name, value in changes.items() if name in OF_BASE}
    precision, checkpointing = (
        base_settings.get("precision", "auto"),
        base_settings.get("checkpointing", False),
    )
    if precision not in PRECISIONS or not isinstance(checkpointing, bool):
        remedy = f"precision: {', '.join(PRECISIONS)}"
        raise RefusedError.of(f"invalid setting {sanitize(str(base_settings), 120)}", "what if", remedy)
    return base_settings


def _merge_knobs(study: s.Study, spec: StudySpec, request: console_api.Foresee) -> dict[str, Any]:
    trial = study.trials.get(request.trial) if request.trial is not None else None
    knobs = dict(trial.knobs if trial is not None else spec.train)
    for name, value in request.changes.items():
        if name in OF_BASE:
            continue
        entry = knob.find_knob(name)
        wrong = knob.find_fault(entry, value) if entry else "is not a knob"
        if wrong:
            raise RefusedError.of(
                f"{sanitize(name, 40)} = {sanitize(repr(value), 80)}: {wrong}", "what if", ""
            )
        knobs[name] = value
    return knobs


def describe_memory_now(
    foresight: MemoryPlanner, study: s.Study, explain_wait: Callable[[s.Study, s.Trial], str] | None = None
) -> MemoryNow:
    """Return the memory of every device of the study, and what each queued trial waits for;
    ``explain_wait`` says that of a trial that fits in memory."""
    running_by_device = {slot.label: _list_running_knobs(study, slot.label) for slot in foresight.slots}
    devices = tuple(
        _describe_device(foresight, study, label, knobs) for label, knobs in running_by_device.items()
    )
    queued = [trial for trial in study.trials.values() if trial.state == s.QUEUED]
    verdicts = [_judge_trial(foresight, trial, running_by_device) for trial in queued]
    for place, (trial, verdict) in enumerate(zip(queued, verdicts, strict=True)):
        wait = _explain_wait(study, trial, explain_wait) if verdict.text == FITS else ""
        if wait:
            verdicts[place] = Verdict(trial.number, wait, "warning", verdict.needs_bytes)
    return MemoryNow(devices, tuple(verdicts))


def _explain_wait(
    study: s.Study, trial: s.Trial, explain_wait: Callable[[s.Study, s.Trial], str] | None
) -> str:
    if study.state == "paused":
        return "waits for resume: the study is paused"
    return explain_wait(study, trial) if explain_wait is not None else ""


def _list_running_knobs(study: s.Study, label: str) -> dict[int, Mapping[str, Any]]:
    return {
        trial.number: trial.knobs
        for trial in study.trials.values()
        if trial.state in s.ON_WORKER and trial.device == label
    }


def _describe_device(
    planner: MemoryPlanner, study: s.Study, label: str, running: Mapping[int, Mapping[str, Any]]
) -> DeviceMemory:
    limit, device = planner.limit(label), planner.device(label)
    pack = next((pack for pack in study.packs.values() if pack.device == label), None)
    factor, learnt_from = planner.learnt(label)
    return DeviceMemory(
        label, device.total_bytes, limit.bytes_, limit.why, tuple(running),
        foretold=planner.pack(label, running) if running else None,
        why_not=planner.why_not or ("" if running else "no trial runs on it"),
        measured_bytes=pack.used_bytes if pack else None,
        reserve_bytes=pack.reserve_bytes if pack else None,
        correction=factor, learnt_from=learnt_from,
    )  # fmt: skip


def _judge_trial(
    planner: MemoryPlanner, trial: s.Trial, running_by_device: Mapping[str, Mapping[int, Mapping[str, Any]]]
) -> Verdict:
    """Return whether and when a queued trial fits, on the device where it fits soonest."""
    needs = trial.foretold_bytes or 0
    refusals = {
        label: planner.refusal_reason(label, trial.knobs, knobs) for label, knobs in running_by_device.items()
    }
    if "" in refusals.values():
        return Verdict(trial.number, FITS, "info", needs)
    never = [planner.explain_never(label, trial.knobs) for label in running_by_device]
    if never and all(never):
        return Verdict(trial.number, f"never fits: {never[0]}", "error", needs)
    for label, knobs in running_by_device.items():
        for leaver in sorted(knobs):
            remaining = {number: trial_knobs for number, trial_knobs in knobs.items() if number != leaver}
            if not planner.refusal_reason(label, trial.knobs, remaining):
                return Verdict(trial.number, f"fits after #{leaver} ends", "warning", needs)
    return Verdict(trial.number, "fits when a device is empty", "warning", needs)


def answer(
    planner: MemoryPlanner,
    study: s.Study,
    spec: StudySpec,
    request: msgspec.Struct,
    explain_wait: Callable[[s.Study, s.Trial], str] | None = None,
) -> console_api.Answer:
    """Answer a memory request; ``explain_wait`` says which slots a queued trial waits for."""
    if isinstance(request, console_api.Foresee):
        return forecast(planner, study, spec, request)
    return describe_memory_now(planner, study, explain_wait)
