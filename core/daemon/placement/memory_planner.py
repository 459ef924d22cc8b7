"""What a study's trials will take of its devices, and what they may: for placement, sampler and consoles."""

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
from core.contract.spec.study_spec import Spec
from core.contract.state import study_state as s
from core.contract.text.byte_sizes import words
from core.contract.wire.memory_forecast import Foretold
from core.daemon.placement.device_choice import Slot
from core.errors import TrimtabError
from core.memory.base import hf_config, weight_bytes
from core.memory.base.model_shape import Model
from core.memory.estimate import device_constants, trial_memory
from core.memory.estimate.batch_passes import MOST
from core.memory.estimate.device_constants import Device
from core.memory.estimate.memory_estimate import Setting, estimate_memory, setting_of
from core.memory.planning import memory_budget
from core.memory.planning.memory_advice import largest
from core.memory.planning.memory_budget import Limit
from core.memory.records.estimate_corrections import EstimateCorrections
from core.memory.records.pack_records import PackRecord, PackRecords

Knobs = Mapping[str, Any]
FORGOTTEN_S = 600.0  # where memory ended holds so long
STEP = 16  # tokens that a bound of passes is found to


class Foresight:
    """Of one study. ``machine`` gives the newest reading. Where the base's configuration is not known,
    ``why_not`` says so and nothing is foretold."""

    def __init__(
        self,
        spec: Spec,
        devices: Sequence[Slot],
        machine: Callable[[], s.Machine],
        ledger: EstimateCorrections,
        clock: Callable[[], float] = time.monotonic,
        sharing: PackRecords | None = None,
        hub: Path | None = None,
    ) -> None:
        """``hub`` is the hub's cache as the study's workers know it, where it is not the engine's."""
        self._hub = hub
        self._clock, self._sharing = clock, sharing or PackRecords()
        self._spec, self._devices, self._machine, self._ledger = spec, devices, machine, ledger
        self._model: Model | None = None
        self.why_not = ""
        self._setting = setting_of(spec)
        self._ends: dict[str, tuple[int, float]] = {}  # by device: bytes at which memory ended, and when
        self._reserve: dict[str, int] = {}  # by device: what the allocator keeps beyond what is used

    @property
    def model(self) -> Model | None:
        """The base, once its configuration is here."""
        if self._model is None:
            try:
                section, kind = self._spec.model, self._read(self._devices[0].label).kind
                dtype = weight_bytes.dtype(section.precision, kind)
                self._model = hf_config.model(
                    section.base, section.revision, fetch=False, dtype=dtype, hub=self._hub
                )
                self.why_not = ""
            except TrimtabError as error:
                self.why_not = error.problems[0].what
        return self._model

    def change(self, spec: Spec) -> None:
        """Go by another file: its limit on memory may be another, its base is the same."""
        self._spec = spec

    @property
    def slots(self) -> Sequence[Slot]:
        """The study's devices."""
        return self._devices

    # -- devices ----------------------------------------------------------------------------------

    def device(self, label: str, setting: Setting | None = None) -> Device:
        """The device with its constants, as far as they were learnt."""
        found = self._read(label)
        known = self._ledger.of(self.kind(label, setting or self._setting, found))
        if known.context_bytes is not None:
            found = msgspec.structs.replace(found, context_bytes=known.context_bytes)
        return found if known.slack is None else msgspec.structs.replace(found, slack=known.slack)

    def _read(self, label: str) -> Device:
        machine = self._machine()
        if label == "cpu":
            total, used = machine.host.total_bytes or 0, machine.host.used_bytes or 0
            return device_constants.cpu(total, max(0, total - used))
        card = next((one for one in machine.devices if f"gpu{one.index}" == label), None)
        return device_constants.card(card) if card is not None else Device(name=label)

    def kind(self, label: str, setting: Setting, found: Device | None = None) -> str:
        """What is learnt together: one kind of device, base, and way of computing."""
        found = found or self._read(label)
        family = self._model.family if self._model else self._spec.model.base
        precision = weight_bytes.resolved(setting.precision, found.kind)
        return f"{found.name} {family} {precision}{' checkpointed' if setting.checkpointing else ''}"

    def _machine_kind(self, label: str) -> str:
        """For how many trials at once is learnt together: this device of this machine, base, precision."""
        found, section = self._read(label), self._spec.model
        where = f"{platform.node()} {label} {found.name} {os.cpu_count()} cores"
        return f"{where} {section.base} {weight_bytes.resolved(section.precision, found.kind)}"

    def proved(self, label: str) -> PackRecord | None:
        """How many trials at once proved worth it before, on this device for this base."""
        return self._sharing.of(self._machine_kind(label))

    def prove(self, label: str, proved: PackRecord) -> None:
        """Keep what was found for the next study."""
        self._sharing.learn(self._machine_kind(label), proved)

    def allowed(self, label: str) -> Limit:
        """What this study may take of the device now; the machine is read anew each second or so."""
        return memory_budget.limit(self._spec.resources.memory_bytes, self.device(label), self._ours(label))

    def limit(self, label: str) -> Limit:
        """The same, and no more than where memory ended lately: whoever took the rest may give it back."""
        found, (end, at) = self.allowed(label), self._ends.get(label, (0, 0.0))
        if label in self._ends and self._clock() - at > FORGOTTEN_S:
            del self._ends[label]
        elif end and (found.bytes_ is None or end < found.bytes_):
            return Limit(end, f"memory ended at {words(end)} lately")
        return found

    def _ours(self, label: str) -> int:
        """What this study's worker holds on the device, as far as anybody says."""
        machine = self._machine()
        mine = [one for one in machine.workers if one.study == self._spec.study.name and one.device == label]
        if label == "cpu":
            return sum(one.rss_bytes or 0 for one in mine)
        card = next((one for one in machine.devices if f"gpu{one.index}" == label), None)
        held = {one.pid: one.used_bytes or 0 for one in (card.processes if card else ())}
        return sum(held.get(one.pid, 0) for one in mine)

    def check(self, where: str) -> None:
        """Raises TrimtabError for a limit below what even the base takes; it was asked for in ``where``."""
        asked = self._spec.resources.memory_bytes
        for slot in self._devices:
            found = self.device(slot.label)
            precision = weight_bytes.resolved(self._setting.precision, found.kind)
            known = self.model
            held = (
                weight_bytes.base_bytes(known, precision, self._setting.double_quant, found.kind)
                if known
                else 0
            )
            memory_budget.check(asked, found, held, where)

    # -- foretelling ------------------------------------------------------------------------------

    def setting(self, label: str, **changed: Any) -> Setting:
        """That of the study, with what was learnt on the device."""
        setting = replace(self._setting, **changed)
        return replace(setting, factor=self._ledger.of(self.kind(label, setting)).factor)

    def pack(self, label: str, knobs: Mapping[int, Knobs], **changed: Any) -> Foretold | None:
        """The fullest moment of these trials together; None where the base is not known."""
        if self.model is None:
            return None
        setting = self.setting(label, **changed)
        needs = [trial_memory.need(each, number) for number, each in sorted(knobs.items())]
        return estimate_memory(self.model, setting, needs, self.device(label, setting))

    def own(self, label: str, knobs: Knobs) -> int | None:
        """What one trial takes besides the base, alone, with rows as long as they may be."""
        found = self.pack(label, {0: knobs}, longest=None)
        return None if found is None else found.peak_bytes - found.of("base model") - found.of("workspace")

    def refused(self, label: str, knobs: Knobs, there: Mapping[int, Knobs]) -> str:
        """Why a trial may not start beside those that are ``there``, in numbers; empty when it may. Alone it
        may also train in smaller passes."""
        limit = self.limit(label)
        found = self.pack(label, {**there, max(there, default=-1) + 1: knobs})
        if found is None or limit.bytes_ is None or found.device_bytes <= limit.bytes_:
            return ""
        if not there:
            return self.never(label, knobs)
        needs = found.device_bytes
        return f"{words(needs)} with the {len(there)} on {label}, where {words(limit.bytes_)} may be taken"

    def never(self, label: str, knobs: Knobs) -> str:
        """Why a trial does not fit even alone with one row at a time, in numbers; empty when it does."""
        limit, least = self.allowed(label), self._least(label, knobs)
        if least is None or limit.bytes_ is None or least.device_bytes <= limit.bytes_:
            return ""
        return (
            f"needs {words(least.device_bytes)} with one row of {knobs['sequence_length']} tokens at a time, "
            f"where {words(limit.bytes_)} may be taken of {label} ({limit.why})"
        )

    def _least(self, label: str, knobs: Knobs) -> Foretold | None:
        return self.pack(label, {0: {**knobs, "batch_size": 1}}, judged=1, most=1)

    def violation(self, knobs: Knobs) -> float | None:
        """By how much of the limit a trial is too large on the device that has most room; below 0 it fits."""
        found = []
        for slot in self._devices:
            limit, least = self.allowed(slot.label), self._least(slot.label, knobs)
            if least is not None and limit.bytes_:
                found.append(least.device_bytes / limit.bytes_ - 1)
        return min(found, default=None)

    def bound(self, label: str, knobs: Mapping[int, Knobs]) -> int:
        """The most tokens that a pass of these trials may have; 0 where nothing bounds it."""
        limit, found = self.limit(label), self.pack(label, knobs)
        if found is None or limit.bytes_ is None or found.device_bytes <= limit.bytes_:
            return 0

        def fits(count: int) -> bool:
            told = self.pack(label, knobs, most=count * STEP)
            return told is not None and told.device_bytes <= (limit.bytes_ or 0)

        return max(1, largest(fits, MOST // STEP) * STEP)

    # -- learning ---------------------------------------------------------------------------------

    def measured(self, told: e.PackMeasured, knobs: Mapping[int, Knobs]) -> e.PackMeasured:
        """Learn from a measurement; returns it with what was foretold for it."""
        if told.longest:
            self._setting = replace(self._setting, longest=told.longest)
        self._reserve[told.device] = told.reserve_bytes
        found = self.pack(told.device, knobs) if knobs and told.trials else None
        if found is None or not found.tokens:
            return told
        held = sum(told.trial_bytes.values())
        passing = found.passing_bytes / self.setting(told.device).factor
        passing *= min(1.0, told.widest / found.tokens) if told.widest else 1.0
        kind = self.kind(told.device, self._setting)
        self._ledger.learn(kind, passing, told.used_bytes - told.idle_bytes - held)
        self._constants(told, kind)
        self._ledger.save()
        foretold = told.idle_bytes + held + passing * self._ledger.of(kind).factor
        return msgspec.structs.replace(told, foretold_bytes=round(foretold))

    def _constants(self, told: e.PackMeasured, kind: str) -> None:
        """What the process takes besides its tensors: on a GPU by the driver's word, where it gives one."""
        if told.device == "cpu":
            self._ledger.learn_context(kind, told.idle_bytes - told.base_bytes)
            return
        reserved, held = told.used_bytes + told.reserve_bytes, self._ours(told.device)
        if told.used_bytes > 0:
            self._ledger.learn_context(
                kind, held - reserved if held else 0, told.reserve_bytes / told.used_bytes
            )

    def ended(self, label: str, knobs: Mapping[int, Knobs], used_bytes: int) -> None:
        """Memory ended on the device while these trials trained: remember where."""
        there, found = self.device(label), self.pack(label, knobs)
        process = there.kind == "cpu"  # what a CPU's worker held is all of the process
        self._ends[label] = used_bytes if process else there.whole(used_bytes), self._clock()
        if found is not None:
            still = found.peak_bytes - found.passing_bytes + (there.context_bytes if process else 0)
            passing = found.passing_bytes / self.setting(label).factor
            self._ledger.learn_oom(self.kind(label, self._setting), passing, used_bytes - still)
            self._ledger.save()

    def forget(self, label: str) -> None:
        """The worker is gone: what ended its memory may be gone, too."""
        self._ends.pop(label, None)

    def learnt(self, label: str) -> tuple[float, int]:
        """The factor, and how many measurements it comes from."""
        known = self._ledger.of(self.kind(label, self._setting))
        return known.factor, len(known.ratios)

    def reserve(self, label: str) -> int | None:
        """What the worker's allocator keeps beyond what is used, as it was last told."""
        return self._reserve.get(label)
