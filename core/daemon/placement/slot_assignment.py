"""Assigns the queued trials of a study to free slots on its devices, with the reason. Pure."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

from core.contract.events.event_types import PackMeasured
from core.contract.spec.study_spec import AUTO
from core.contract.state import engine_state as s
from core.daemon.placement.memory_planner import FORGOTTEN_S, MemoryPlanner
from core.daemon.placement.pack_size_choice import Calibration
from core.daemon.placement.study_device_choice import Free, Slot, sort_by_room

LEARNING = frozenset({"tpe", "gp", "cmaes", "nsga2", "nsga3"})  # samplers that learn from ended trials
GENERATIONS = 4  # such a sampler should learn at least this many times in a study
MOST_WAITING = 2  # trials that wait for memory; with more of them the sampler is not asked


class TrialSlots:
    """The slots of one study. ``pack`` is resources.pack: a fixed number of slots per device, or "auto"."""

    def __init__(
        self,
        pack: int | str,
        devices: Sequence[Slot],
        foresight: MemoryPlanner | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pack, self._devices, self._foresight = pack, devices, foresight
        self._caps: dict[
            str, tuple[int, float]
        ] = {}  # by device: the most trials at once after running out of memory, and since when
        self._clock = clock
        self._measured = {slot.label: self._find_calibration(slot.label) for slot in devices if pack == AUTO}
        self._waiting: set[int] = set()  # trials whose waiting was noted
        self._notes: list[str] = []
        self._said_why_few = False

    @property
    def slots(self) -> Sequence[Slot]:
        """Return the devices in use."""
        return self._devices

    @property
    def labels(self) -> frozenset[str]:
        """Return the labels of the devices in use."""
        return frozenset(slot.label for slot in self._devices)

    def change(self, pack: int | str) -> None:
        """Change resources.pack to ``pack``. Running trials continue."""
        calibrations = self._measured if pack == AUTO else {}
        self._measured = {
            slot.label: self._find_calibration(slot.label) for slot in self._devices if pack == AUTO
        } | calibrations
        self._pack = pack

    def use(self, devices: Sequence[Slot]) -> None:
        """Use exactly ``devices`` from now on. Trials that run elsewhere are not affected."""
        self._devices = devices
        if self._pack == AUTO:
            self._measured = {
                label: self._measured.get(label) or self._find_calibration(label) for label in self.labels
            }

    def _find_calibration(self, label: str) -> Calibration:
        return Calibration(label, self._foresight.proven_size(label) if self._foresight is not None else None)

    def add_measurement(self, event: PackMeasured, study: s.Study) -> None:
        """Record a measurement by a worker of ``study``."""
        calibration = self._measured.get(event.device)
        if calibration is not None:
            calibration.add_measurement(
                event, {number: trial.knobs for number, trial in study.trials.items()}
            )
            running = _on_devices(study)
            running_count = len(running.get(event.device, ()))
            self._notes += calibration.news(_limit(study, running, event.device), running_count)
            learnt = calibration.learnt()
            if learnt is not None and self._foresight is not None:
                self._foresight.prove(event.device, learnt)

    def cap(self, label: str, most_trials: int) -> None:
        """Limit the device to ``most_trials`` trials for a while, after it ran out of memory."""
        self._caps[label] = min(most_trials, self._caps.get(label, (most_trials, 0.0))[0]), self._clock()

    def uncap(self, label: str) -> None:
        """Return lift the limit when the device's worker has ended."""
        self._caps.pop(label, None)

    def without(self, device: str, why: str) -> bool:
        """Stop using a device; False if it is not in use or is the last one."""
        remaining = [slot for slot in self._devices if slot.label != device]
        if not remaining or len(remaining) == len(self._devices):
            return False
        self._devices = remaining
        self._notes.append(f"{device} is no longer used: {why}")
        return True

    def notes(self) -> list[str]:
        """Return the notes since the last call."""
        notes, self._notes = self._notes, []
        return notes

    def next(self, study: s.Study) -> tuple[s.Trial, Slot, str] | None:
        """Return the queued trial to start now, its device, and why; None without a free slot or a trial that
        fits.

        A trial that does not fit in memory lets others go first; that is noted once.
        """
        running = _on_devices(study)
        free = self._free(study, running)
        self._note_why_few(study)
        for trial in list_queue(study):
            pinned = trial.pinned if trial.pinned in self.labels else ""  # a lost card does not bind trials
            its = [device for device in free if pinned in ("", device.slot.label)]
            if not its:
                continue
            refusals = [
                self._explain_refusal(trial, running.get(device.slot.label, ()), device.slot)
                for device in its
            ]
            if "" in refusals:
                self._waiting.discard(trial.number)
                free_device = its[refusals.index("")]
                why = f"pinned to this device; {free_device.why}" if pinned else free_device.why
                return trial, free_device.slot, why
            if trial.number not in self._waiting:
                self._waiting.add(trial.number)
                self._notes.append(f"trial {trial.number} waits: {refusals[0]}")
        return None

    def _note_why_few(self, study: s.Study) -> None:
        most_trials = count_at_once(study)
        learns = study.settings.population_size is None
        if self._measured and not self._said_why_few and learns and most_trials < study.total_trials:
            sampler = study.settings.study.sampler
            self._notes.append(
                f"at most {most_trials} trials at once, so that {sampler} can learn from ended trials; "
                "set resources.pack to a number to run more"
            )
        self._said_why_few = True

    def _explain_refusal(self, trial: s.Trial, running: Sequence[s.Trial], slot: Slot) -> str:
        """Return why ``trial`` cannot join the trials on the device; empty if it can.

        The memory estimate decides, or measurements if there is no estimate.
        """
        knobs = {running_trial.number: running_trial.knobs for running_trial in running}
        if self._foresight is not None and self._foresight.model is not None:
            return self._foresight.refusal_reason(slot.label, trial.knobs, knobs)
        if not self._measured:
            return ""
        return self._measured[slot.label].fits(trial.knobs, knobs)

    def explain_wait(self, study: s.Study, trial: s.Trial) -> str:
        """Return that all slots are taken where the queued ``trial`` may run; empty while one is free."""
        running = _on_devices(study)
        free = {device.slot.label for device in self._free(study, running)}
        labels = {trial.pinned} if trial.pinned in self.labels else self.labels
        if labels & free:
            return ""
        taken = [f"{len(running.get(label, ()))} on {label}" for label in sorted(labels)]
        return f"waits for a slot: all are taken, {', '.join(taken)}"

    def may_ask(self, study: s.Study) -> bool:
        """Tell whether to ask the sampler for another trial; not while several trials already wait for
        memory."""
        queued = sum(1 for trial in list_queue(study) if not trial.pinned)
        return queued < MOST_WAITING and bool(self._free(study, _on_devices(study)))

    def _free(self, study: s.Study, running: dict[str, list[s.Trial]]) -> list[Free]:
        loads = {label: len(trials) for label, trials in running.items()}
        targets = {slot.label: self._find_target_number(study, running, slot.label) for slot in self._devices}
        now = self._clock()
        self._caps = {label: cap for label, cap in self._caps.items() if now - cap[1] <= FORGOTTEN_S}
        for label, (most_trials, _) in self._caps.items():
            if label in targets and most_trials < targets[label][0]:  # else the device is no longer used
                targets[label] = most_trials, f"out of memory with {most_trials + 1} at once"
        return sort_by_room(self._devices, loads, targets)

    def _find_target_number(
        self, study: s.Study, running: dict[str, list[s.Trial]], device: str
    ) -> tuple[int, str]:
        """Return the number of trials at once on the device, and why. A population must train together to be
        compared, whatever the throughput, so only memory makes its trials wait."""
        if not self._measured:
            return int(self._pack), ""
        limit = _limit(study, running, device)
        number, why = self._measured[device].target_number(limit, len(running.get(device, ())))
        if number < limit and study.settings.population_size is not None:
            return limit, "a population trains together"
        return number, why


def list_queue(study: s.Study) -> list[s.Trial]:
    """Return the queued trials in starting order: by priority, then replacements of other trials, then by
    number."""
    queued = [trial for trial in study.trials.values() if trial.state == s.QUEUED]
    return sorted(queued, key=lambda trial: (-trial.priority, trial.place_of < 0, trial.number))


def count_at_once(study: s.Study) -> int:
    """Return the number of trials that may run at once: a learning sampler needs ended trials before it
    proposes the others. Its random start may run all at once, and a population always does."""
    if (size := study.settings.population_size) is not None:
        return min(study.total_trials, size)
    section = study.settings.study
    if section.sampler not in LEARNING:
        return study.total_trials
    startup = max(2, section.startup_trials)
    return min(study.total_trials, max(startup, math.ceil(study.total_trials / GENERATIONS)))


def _limit(study: s.Study, running: dict[str, list[s.Trial]], device: str) -> int:
    """Return the most trials on ``device``: its share of those that may run at once, but at least one, and at
    most those that are left."""
    elsewhere = sum(len(trials) for label, trials in running.items() if label != device)
    return min(_count_trials_left(study), max(1, count_at_once(study) - elsewhere))


def _on_devices(study: s.Study) -> dict[str, list[s.Trial]]:
    """Return the running trials by device."""
    trials_by_device: dict[str, list[s.Trial]] = {}
    for trial in study.trials.values():
        if trial.state in s.ON_WORKER:
            trials_by_device.setdefault(trial.device, []).append(trial)
    return trials_by_device


def _count_trials_left(study: s.Study) -> int:
    """Return the number of trials that have not ended, including those not proposed yet."""
    ended = sum(1 for trial in study.trials.values() if trial.state in s.ENDED)
    return max(1, study.total_trials - ended)
