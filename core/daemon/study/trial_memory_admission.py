"""Memory admission of a running study: trials are checked before they start, and measurements improve the
estimates."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from core.contract.events import event_types as e
from core.contract.state import engine_state as s
from core.contract.wire import worker_api
from core.daemon.placement.memory_planner import MemoryPlanner
from core.daemon.placement.slot_assignment import TrialSlots
from core.daemon.placement.study_device_choice import Slot
from core.daemon.study.search_protocol import SearchPort
from core.daemon.workers.worker_pool import Worker

WORTH_TELLING = 0.02  # of a trial's measured bytes
MEMORY = "memory"  # the constraint's name in Optuna's storage

Put = Callable[..., Awaitable[list[str]]]


class Admission:
    """The memory admission of one study."""

    def __init__(self, foresight: MemoryPlanner, places: TrialSlots, search: SearchPort, put: Put) -> None:
        self.foresight = foresight
        self._places, self._search, self._put = places, search, put
        self._bounds: dict[str, int] = {}  # by worker: the last bound sent

    def explain_wait(self, study: s.Study, trial: s.Trial) -> str:
        """Return that all slots are taken where the queued ``trial`` may run; empty while one is free."""
        return self._places.explain_wait(study, trial)

    def early(self, study: s.Study, knobs: Mapping[str, Any]) -> Slot | None:
        """Return the slot on which a worker may start before there is a trial for it.

        The first device of a study that has just started, if a trial with the ``knobs`` of ``[train]`` fits
        there; else None, since the worker would wait for nothing.
        """
        if study.state != "running" or study.trials or not study.total_trials:
            return None
        first = next(iter(self._places.slots), None)
        does_not_fit = first is None or self.foresight.refusal_reason(first.label, knobs, {})
        return None if does_not_fit else first

    async def check_proposal(self, study: s.Study, number: int, knobs: Mapping[str, Any]) -> bool:
        """Note the memory estimate of a queued proposal, and end it if it can never fit. False if it was
        ended."""
        estimated_bytes = max(
            (self.foresight.own(slot.label, knobs) or 0 for slot in self.foresight.slots), default=0
        )
        if not estimated_bytes:
            return True
        at = time.time()
        await self._put(e.TrialWeighed(at=at, study=study.name, trial=number, foretold_bytes=estimated_bytes))
        violation = self.foresight.violation(knobs)
        if violation is not None:
            await self._search.constrain(number, MEMORY, violation)
        reasons = [self.foresight.explain_never(slot.label, knobs) for slot in self.foresight.slots]
        if not reasons or not all(reasons):
            return True
        await self._put(e.TrialInfeasible(at=at, study=study.name, trial=number, why=reasons[0]))
        return False

    def learn(self, study: s.Study, measurement: e.PackMeasured) -> e.PackMeasured:
        """Learn from a measurement before it is shown, and return it with the estimate."""
        if not measurement.trials:
            self._places.uncap(measurement.device)
            self.foresight.forget(measurement.device)
            return measurement
        return self.foresight.learn(measurement, _map_knobs(study, measurement.trial_bytes))

    async def note_memory(self, study: s.Study, measurement: e.PackMeasured) -> None:
        """Record each trial's measured memory, with rows of maximum length, unless it hardly changed."""
        for number, trial_bytes in measurement.trial_bytes.items():
            trial = study.trials.get(number)
            if trial is None or trial.state not in s.ON_WORKER or not trial.foretold_bytes:
                continue
            tokens = trial.knobs.get("batch_size", 0) * trial.knobs.get("sequence_length", 0)
            measured_bytes = round(trial_bytes + measurement.activation_bytes_per_token * tokens)
            before = trial.measured_bytes
            if before is None or abs(measured_bytes - before) > WORTH_TELLING * before:
                await self._put(
                    e.TrialWeighed(
                        at=time.time(), study=study.name, trial=number,
                        foretold_bytes=trial.foretold_bytes, measured_bytes=measured_bytes,
                    )
                )  # fmt: skip

    def short(self, study: s.Study, shortage: e.MemoryShort) -> None:
        """Handle an out-of-memory error: raise the estimates, and limit the device to fewer trials for a
        while."""
        self.foresight.record_oom(shortage.device, _map_knobs(study, shortage.trials), shortage.used_bytes)
        if shortage.moved >= 0:
            self._places.cap(shortage.device, max(1, len(shortage.trials) - 1))

    async def notes(self, study: str) -> None:
        """Emit the notes of the trial slots."""
        for text in self._places.notes():
            await self._put(e.StudyNoted(at=time.time(), study=study, text=text))

    def bind(self, study: s.Study, worker: Worker) -> None:
        """Send the worker the largest pass that its trials may use, when that changed."""
        trial_numbers = [trial.number for trial in study.trials.values() if trial.worker == worker.name]
        knobs = _map_knobs(
            study, [number for number in trial_numbers if study.trials[number].state in s.ON_WORKER]
        )
        bound = self.foresight.bound(worker.device, knobs) if knobs else 0
        if worker.send is not None and bound != self._bounds.get(worker.name):
            self._bounds[worker.name] = bound
            worker.tell(worker_api.Bound(bound))


def _map_knobs(study: s.Study, numbers: Any) -> dict[int, Mapping[str, Any]]:
    return {number: study.trials[number].knobs for number in numbers if number in study.trials}
