"""Estimates the memory that a study's trials will use, and the memory that they may use, for placement, the
sampler and consoles."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from core.contract.events import event_types as e
from core.contract.spec.study_spec import StudySpec
from core.contract.state import engine_state as s
from core.contract.text.byte_sizes import format_bytes
from core.contract.wire.memory_forecast import PackEstimate
from core.daemon.placement.study_device_choice import Slot
from core.errors import TrimtabError
from core.memory.base import config_json_lookup, step_formulas, weight_bytes
from core.memory.base.model_shape import Model
from core.memory.estimate import device_constants, trial_tensor_sizes
from core.memory.estimate.device_constants import Device
from core.memory.estimate.pack_memory_estimate import Setting, estimate_memory, make_setting
from core.memory.estimate.rows_per_pass import MOST
from core.memory.planning import memory_budget
from core.memory.planning.memory_advice import find_largest
from core.memory.planning.memory_budget import Limit
from core.memory.records.best_pack_size_records import PackRecord, PackRecords
from core.memory.records.estimate_corrections import EstimateCorrections

Knobs = Mapping[str, Any]
FORGOTTEN_S = 600.0  # how long the level of an out-of-memory error limits the device
STEP = 16  # tokens: the resolution of bound()


class MemoryPlanner:
    """The memory plan of one study. ``machine`` returns the newest reading. If the base's configuration is
    unknown, ``why_not`` gives the reason and there are no estimates."""

    def __init__(
        self,
        spec: StudySpec,
        devices: Sequence[Slot],
        machine: Callable[[], s.Machine],
        ledger: EstimateCorrections,
        clock: Callable[[], float] = time.monotonic,
        sharing: PackRecords | None = None,
        hub: Path | None = None,
    ) -> None:
        """Prepare the plan; ``hub`` is the Hub cache of the study's workers, if it differs from the
        engine's."""
        self._hub = hub
        self._clock, self._sharing = clock, sharing or PackRecords()
        self._spec, self._devices, self._machine, self._ledger = spec, devices, machine, ledger
        self._model: Model | None = None
        self.why_not = ""
        self._setting = make_setting(spec)
        self._ends: dict[
            str, tuple[int, float]
        ] = {}  # by device: bytes at the last out-of-memory error, and its time
        self._pass_tokens: dict[str, int] = {}  # by device: the measured cost of a pass
        self._fused: dict[str, bool] = {}  # by device: whether its worker's layers are fused

    @property
    def model(self) -> Model | None:
        """Return the base model; None until its configuration is available."""
        if self._model is None:
            try:
                section, computes = self._spec.model, self._read(self._devices[0].label).computes
                dtype = weight_bytes.find_dtype(section.precision, computes)
                self._model = config_json_lookup.read_model(
                    section.base, section.revision, fetch=False, dtype=dtype, hub=self._hub
                )
                self.why_not = ""
            except TrimtabError as error:
                self.why_not = error.problems[0].what
        return self._model

    def change(self, spec: StudySpec) -> None:
        """Use a changed study file: its memory limit may differ, its base is the same."""
        self._spec = spec

    def use(self, devices: Sequence[Slot]) -> None:
        """Plan for ``devices`` from now on; what was learnt about the others stays."""
        self._devices = devices

    @property
    def slots(self) -> Sequence[Slot]:
        """Return the study's devices."""
        return self._devices

    # -- devices ----------------------------------------------------------------------------------

    def device(self, label: str, setting: Setting | None = None) -> Device:
        """Return the device with the constants that were learnt from measurements."""
        device = self._read(label)
        corrections = self._ledger.find(self.kind(label, setting or self.setting(label), device))
        if corrections.context_bytes is not None:
            device = msgspec.structs.replace(device, context_bytes=corrections.context_bytes)
        return (
            device if corrections.slack is None else msgspec.structs.replace(device, slack=corrections.slack)
        )

    def _read(self, label: str) -> Device:
        machine = self._machine()
        if label == "cpu":
            total, used = machine.host.total_bytes or 0, machine.host.used_bytes or 0
            return device_constants.make_cpu(total, max(0, total - used))
        card = next((device for device in machine.devices if f"gpu{device.index}" == label), None)
        return device_constants.make_card(card) if card is not None else Device(name=label)

    def kind(self, label: str, setting: Setting, device: Device | None = None) -> str:
        """Return the ledger key of corrections: one kind of device, model family and precision."""
        device = device or self._read(label)
        family = self._model.family if self._model else self._spec.model.base
        precision = weight_bytes.resolve_precision(setting.precision, device.computes)
        fused = step_formulas.FUSED if setting.fused else ""
        return f"{device.name} {family} {precision}{' checkpointed' if setting.checkpointing else ''}{fused}"

    def _name_machine_kind(self, label: str) -> str:
        """Return the key of the learnt pack size: this device of this machine, base and precision."""
        device, section = self._read(label), self._spec.model
        machine = f"{platform.node()} {label} {device.name} {os.cpu_count()} cores"
        return (
            f"{machine} {section.base} {weight_bytes.resolve_precision(section.precision, device.computes)}"
        )

    def proven_size(self, label: str) -> PackRecord | None:
        """Return the pack size that earlier studies measured as best on this device with this base."""
        return self._sharing.find(self._name_machine_kind(label))

    def prove(self, label: str, proved: PackRecord) -> None:
        """Store the measured pack size for the next study."""
        self._sharing.learn(self._name_machine_kind(label), proved)

    def memory_limit(self, label: str) -> Limit:
        """Return the memory of the device that this study may use now, by the latest machine reading."""
        return memory_budget.find_limit(
            self._spec.resources.memory_bytes, self.device(label), self._measure_own_bytes(label)
        )

    def limit(self, label: str) -> Limit:
        """Return the present memory limit, at most the level of a recent out-of-memory error.

        The level of an error expires, since other processes may free their memory.
        """
        limit, (end, at) = self.memory_limit(label), self._ends.get(label, (0, 0.0))
        if label in self._ends and self._clock() - at > FORGOTTEN_S:
            del self._ends[label]
        elif end and (limit.bytes_ is None or end < limit.bytes_):
            return Limit(end, f"out of memory at {format_bytes(end)} recently")
        return limit

    def _measure_own_bytes(self, label: str) -> int:
        """Return bytes that this study's worker holds on the device, as far as the readings show."""
        machine = self._machine()
        own_processes = [
            worker
            for worker in machine.workers
            if worker.study == self._spec.study.name and worker.device == label
        ]
        if label == "cpu":
            return sum(worker.rss_bytes or 0 for worker in own_processes)
        card = next((device for device in machine.devices if f"gpu{device.index}" == label), None)
        bytes_by_pid = {process.pid: process.used_bytes or 0 for process in (card.processes if card else ())}
        return sum(bytes_by_pid.get(worker.pid, 0) for worker in own_processes)

    def check(self, location: str) -> None:
        """Raise TrimtabError if the memory limit, set in ``location``, is smaller than the base model."""
        limit_setting = self._spec.resources.memory_bytes
        for slot in self._devices:
            device = self.device(slot.label)
            precision = weight_bytes.resolve_precision(self._setting.precision, device.computes)
            model = self.model
            base_bytes = (
                weight_bytes.count_base_bytes(model, precision, self._setting.double_quant, device.computes)
                if model
                else 0
            )
            memory_budget.check(limit_setting, device, base_bytes, location)

    # -- estimates --------------------------------------------------------------------------------

    def setting(self, label: str, **overrides: Any) -> Setting:
        """Return the study's memory setting with the correction learnt on the device."""
        setting = replace(self._setting, pass_tokens=self._pass_tokens.get(label, 0), **overrides)
        setting = replace(setting, fused=self._is_fused(label, setting))
        return replace(setting, factor=self._ledger.find(self.kind(label, setting)).factor)

    def _is_fused(self, label: str, setting: Setting) -> bool:
        """Return whether layers are fused: as its worker reported, else as earlier ones on such a device
        did. Where none has, the layers' own code is estimated, which stores more."""
        before = self._ledger.knows(self.kind(label, replace(setting, fused=True)))
        return self._fused.get(label, before)

    def pack(self, label: str, knobs: Mapping[int, Knobs], **overrides: Any) -> PackEstimate | None:
        """Return the estimated peak of these trials together; None if the base is unknown."""
        if self.model is None:
            return None
        setting = self.setting(label, **overrides)
        needs = [trial_tensor_sizes.compute_need(each, number) for number, each in sorted(knobs.items())]
        return estimate_memory(self.model, setting, needs, self.device(label, setting))

    def own(self, label: str, knobs: Knobs) -> int | None:
        """Return bytes of one trial without the base, alone, with rows of maximum length."""
        estimate = self.pack(label, {0: knobs}, longest=None)
        return (
            None
            if estimate is None
            else estimate.peak_bytes - estimate.sum_bytes("base model") - estimate.sum_bytes("workspace")
        )

    def refusal_reason(self, label: str, knobs: Knobs, running: Mapping[int, Knobs]) -> str:
        """Return why a trial may not join the ``running`` ones, with numbers; empty if it may. A trial alone
        may train in smaller passes."""
        limit = self.limit(label)
        estimate = self.pack(label, {**running, max(running, default=-1) + 1: knobs})
        if estimate is None or limit.bytes_ is None or estimate.device_bytes <= limit.bytes_:
            return ""
        if not running:
            return self.explain_never(label, knobs)
        size, allowed = format_bytes(estimate.device_bytes), format_bytes(limit.bytes_)
        return f"{size} needed with the {len(running)} on {label}, but the limit is {allowed}"

    def explain_never(self, label: str, knobs: Knobs) -> str:
        """Return why a trial does not fit even alone with one row at a time, with numbers; empty if it
        does."""
        limit, least = self.memory_limit(label), self._estimate_least(label, knobs)
        if least is None or limit.bytes_ is None or least.device_bytes <= limit.bytes_:
            return ""
        size = format_bytes(least.device_bytes)
        return (
            f"needs {size} with one row of {knobs['sequence_length']} tokens at a time, "
            f"but the limit on {label} is {format_bytes(limit.bytes_)} ({limit.why})"
        )

    def _estimate_least(self, label: str, knobs: Knobs) -> PackEstimate | None:
        return self.pack(label, {0: {**knobs, "batch_size": 1}}, judged=1, most=1)

    def violation(self, knobs: Knobs) -> float | None:
        """Return how far a trial exceeds the limit, as a fraction of it, on the device where it fits best; 0
        or less if it fits."""
        excesses = []
        for slot in self._devices:
            limit, least = self.memory_limit(slot.label), self._estimate_least(slot.label, knobs)
            if least is not None and limit.bytes_:
                excesses.append(least.device_bytes / limit.bytes_ - 1)
        return min(excesses, default=None)

    def bound(self, label: str, knobs: Mapping[int, Knobs]) -> int:
        """Return the most tokens per pass of these trials; 0 for no bound."""
        limit, estimate = self.limit(label), self.pack(label, knobs)
        if estimate is None or limit.bytes_ is None or estimate.device_bytes <= limit.bytes_:
            return 0

        def fits(count: int) -> bool:
            bounded = self.pack(label, knobs, most=count * STEP)
            return bounded is not None and bounded.device_bytes <= (limit.bytes_ or 0)

        return max(1, find_largest(fits, MOST // STEP) * STEP)

    # -- measurements -----------------------------------------------------------------------------

    def learn(self, measurement: e.PackMeasured, knobs: Mapping[int, Knobs]) -> e.PackMeasured:
        """Learn from a measurement, and return it with the estimate for the same trials."""
        if measurement.longest:
            self._setting = replace(self._setting, longest=measurement.longest)
        self._pass_tokens[measurement.device] = measurement.pass_tokens
        if measurement.trials:
            self._fused[measurement.device] = measurement.fused
        estimate = self.pack(measurement.device, knobs) if knobs and measurement.trials else None
        if estimate is None or not estimate.tokens:
            return measurement
        trial_bytes = sum(measurement.trial_bytes.values())
        passing = estimate.passing_bytes / self.setting(measurement.device).factor
        passing *= min(1.0, measurement.widest / estimate.tokens) if measurement.widest else 1.0
        kind = self.kind(measurement.device, self.setting(measurement.device))
        self._ledger.learn(kind, passing, measurement.used_bytes - measurement.idle_bytes - trial_bytes)
        self._learn_constants(measurement, kind)
        self._ledger.save()
        estimated_bytes = measurement.idle_bytes + trial_bytes + passing * self._ledger.find(kind).factor
        return msgspec.structs.replace(measurement, foretold_bytes=round(estimated_bytes))

    def _learn_constants(self, measurement: e.PackMeasured, kind: str) -> None:
        """Learn what the process uses besides its tensors: on a GPU from the driver, if it reports that."""
        if measurement.device == "cpu":
            self._ledger.learn_context(kind, measurement.idle_bytes - measurement.base_bytes)
            return
        reserved, worker_bytes = (
            measurement.used_bytes + measurement.reserve_bytes,
            self._measure_own_bytes(measurement.device),
        )
        if measurement.used_bytes > 0:
            self._ledger.learn_context(
                kind,
                worker_bytes - reserved if worker_bytes else 0,
                measurement.reserve_bytes / measurement.used_bytes,
            )

    def record_oom(self, label: str, knobs: Mapping[int, Knobs], used_bytes: int) -> None:
        """Record the memory level of an out-of-memory error while these trials trained on the device."""
        device, estimate = self.device(label), self.pack(label, knobs)
        process = device.kind == "cpu"  # on a CPU, used_bytes covers the whole process
        self._ends[label] = used_bytes if process else device.add_process_bytes(used_bytes), self._clock()
        if estimate is not None:
            still = estimate.peak_bytes - estimate.passing_bytes + (device.context_bytes if process else 0)
            passing = estimate.passing_bytes / self.setting(label).factor
            self._ledger.learn_oom(self.kind(label, self.setting(label)), passing, used_bytes - still)
            self._ledger.save()

    def forget(self, label: str) -> None:
        """Forget the out-of-memory level when the worker ends: its cause may be gone."""
        self._ends.pop(label, None)

    def learnt(self, label: str) -> tuple[float, int]:
        """Return the correction factor, and the number of measurements behind it."""
        corrections = self._ledger.find(self.kind(label, self.setting(label)))
        return corrections.factor, len(corrections.ratios)
