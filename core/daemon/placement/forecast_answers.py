"""Answers about a study's memory: what would be, and what is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from core.contract.spec import knob_table as knob
from core.contract.spec.study_spec import PRECISIONS, Spec
from core.contract.state import study_state as s
from core.contract.text.sanitize import plain
from core.contract.wire import console_api
from core.contract.wire.memory_forecast import DeviceMemory, Forecast, MemoryNow, Verdict
from core.daemon.placement.memory_planner import Foresight
from core.errors import RefusedError
from core.memory.estimate.trial_memory import need
from core.memory.planning.memory_advice import Case, advise

OF_BASE = {"precision": "precision", "gradient_checkpointing": "checkpointing"}
MOST_PACK = 256


def forecast(foresight: Foresight, study: s.Study, spec: Spec, asked: console_api.Foresee) -> Forecast:
    """What a pack with the asked knobs takes. Raises RefusedError with the reason where that is not known."""
    model = foresight.model
    if model is None:
        raise RefusedError.of(
            f"nothing can be foretold: {foresight.why_not}",
            f"study {study.name}",
            "wait until a worker loads",
        )
    label = asked.device or foresight.slots[0].label
    if label not in {slot.label for slot in foresight.slots}:
        raise RefusedError.of(
            f"the study has no device {plain(label, 40)!r}", study.name, "take one of its own"
        )
    setting = foresight.setting(label, longest=None, **_of_base(asked.changes))
    chosen = _knobs(study, spec, asked)
    limit, found = foresight.limit(label), foresight.device(label, setting)
    case = Case(model, setting, need(chosen), max(1, min(MOST_PACK, asked.pack)), found, limit.bytes_)
    return Forecast(case.estimate(), label, found.total_bytes, limit.bytes_, case.fits(), tuple(advise(case)))


def _of_base(changes: Mapping[str, Any]) -> dict[str, Any]:
    found = {OF_BASE[name]: value for name, value in changes.items() if name in OF_BASE}
    precision, checkpointing = found.get("precision", "auto"), found.get("checkpointing", False)
    if precision not in PRECISIONS or not isinstance(checkpointing, bool):
        known = f"precision: {', '.join(PRECISIONS)}"
        raise RefusedError.of(f"{plain(str(found), 120)} cannot be had", "what if", known)
    return found


def _knobs(study: s.Study, spec: Spec, asked: console_api.Foresee) -> dict[str, Any]:
    trial = study.trials.get(asked.trial) if asked.trial is not None else None
    chosen = dict(trial.knobs if trial is not None else spec.train)
    for name, value in asked.changes.items():
        if name in OF_BASE:
            continue
        known = knob.KNOBS.get(name)
        wrong = knob.fault(known, value) if known else "is no knob"
        if wrong:
            raise RefusedError.of(f"{plain(name, 40)} = {plain(repr(value), 80)}: {wrong}", "what if", "")
        chosen[name] = value
    return chosen


def memory_now(foresight: Foresight, study: s.Study) -> MemoryNow:
    """Every device of the study, and what each queued trial waits for."""
    there = {slot.label: _there(study, slot.label) for slot in foresight.slots}
    devices = tuple(_device(foresight, study, label, knobs) for label, knobs in there.items())
    queued = [one for one in study.trials.values() if one.state == s.QUEUED]
    return MemoryNow(devices, tuple(_verdict(foresight, one, there) for one in queued))


def _there(study: s.Study, label: str) -> dict[int, Mapping[str, Any]]:
    return {
        one.number: one.knobs
        for one in study.trials.values()
        if one.state in s.ON_WORKER and one.device == label
    }


def _device(
    foresight: Foresight, study: s.Study, label: str, there: Mapping[int, Mapping[str, Any]]
) -> DeviceMemory:
    limit, found = foresight.limit(label), foresight.device(label)
    pack = next((one for one in study.packs.values() if one.device == label), None)
    factor, learnt_from = foresight.learnt(label)
    return DeviceMemory(
        label, found.total_bytes, limit.bytes_, limit.why, tuple(there),
        foretold=foresight.pack(label, there) if there else None,
        why_not=foresight.why_not or ("" if there else "no trial is on it"),
        measured_bytes=pack.used_bytes if pack else None,
        reserve_bytes=pack.reserve_bytes if pack else None,
        correction=factor, learnt_from=learnt_from,
    )  # fmt: skip


def _verdict(
    foresight: Foresight, trial: s.Trial, there: Mapping[str, Mapping[int, Mapping[str, Any]]]
) -> Verdict:
    """Of a queued trial: the best that any device can give it."""
    needs = trial.foretold_bytes or 0
    refused = {label: foresight.refused(label, trial.knobs, knobs) for label, knobs in there.items()}
    if "" in refused.values():
        return Verdict(trial.number, "fits", "info", needs)
    never = [foresight.never(label, trial.knobs) for label in there]
    if never and all(never):
        return Verdict(trial.number, f"never fits: {never[0]}", "error", needs)
    for label, knobs in there.items():
        for gone in sorted(knobs):
            left = {number: one for number, one in knobs.items() if number != gone}
            if not foresight.refused(label, trial.knobs, left):
                return Verdict(trial.number, f"fits after #{gone} ends", "warning", needs)
    return Verdict(trial.number, "fits when a device is empty", "warning", needs)


def answered(foresight: Foresight, study: s.Study, spec: Spec, asked: msgspec.Struct) -> console_api.Answer:
    """The answer to a request that wants one."""
    if isinstance(asked, console_api.Foresee):
        return forecast(foresight, study, spec, asked)
    return memory_now(foresight, study)
