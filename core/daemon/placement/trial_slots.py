"""The places for trials on the devices of one study: who takes the next one, and why. Pure."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

from core.contract.events.event_types import PackMeasured
from core.contract.spec import population_settings
from core.contract.spec.study_spec import AUTO
from core.contract.state import study_state as s
from core.daemon.placement.device_choice import Free, Slot, by_room
from core.daemon.placement.memory_planner import FORGOTTEN_S, Foresight
from core.daemon.placement.pack_calibration import Calibration

LEARNING = frozenset({"tpe", "gp", "cmaes", "nsga2", "nsga3"})  # samplers that propose from what has ended
GENERATIONS = 4  # so many times, at least, such a sampler is to learn in a study
MOST_WAITING = 2  # trials queued for want of memory; beyond it the sampler is not asked for more


class Places:
    """``pack`` is resources.pack: a number of places on each device, taken at its word, or "auto"."""

    def __init__(
        self,
        pack: int | str,
        devices: Sequence[Slot],
        foresight: Foresight | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pack, self._devices, self._foresight = pack, devices, foresight
        self._caps: dict[str, tuple[int, float]] = {}  # by device: no more at once, and since when
        self._clock = clock
        self._measured = {slot.label: self._calibration(slot.label) for slot in devices if pack == AUTO}
        self._waiting: set[int] = set()  # trials that were told to wait
        self._notes: list[str] = []
        self._said_why_few = False

    @property
    def slots(self) -> Sequence[Slot]:
        """The devices that are used."""
        return self._devices

    def change(self, pack: int | str) -> None:
        """Take resources.pack for ``pack`` from now on. Nobody is sent away."""
        kept = self._measured if pack == AUTO else {}
        self._measured = {
            slot.label: self._calibration(slot.label) for slot in self._devices if pack == AUTO
        } | kept
        self._pack = pack

    def _calibration(self, label: str) -> Calibration:
        return Calibration(label, self._foresight.proved(label) if self._foresight is not None else None)

    def measured(self, event: PackMeasured, study: s.Study) -> None:
        """A worker of ``study`` has measured its pack."""
        calibration = self._measured.get(event.device)
        if calibration is not None:
            calibration.measured(event, {number: trial.knobs for number, trial in study.trials.items()})
            running = _on_devices(study)
            here = len(running.get(event.device, ()))
            self._notes += calibration.news(_limit(study, running, event.device), here)
            learnt = calibration.learnt()
            if learnt is not None and self._foresight is not None:
                self._foresight.prove(event.device, learnt)

    def cap(self, label: str, most: int) -> None:
        """Memory ended on the device: no more than ``most`` at once for a while."""
        self._caps[label] = min(most, self._caps.get(label, (most, 0.0))[0]), self._clock()

    def uncap(self, label: str) -> None:
        """The device's worker is gone, and what was there with it."""
        self._caps.pop(label, None)

    def without(self, device: str, why: str) -> bool:
        """Use a device no longer; False when it is used no longer already, or is the last."""
        rest = [slot for slot in self._devices if slot.label != device]
        if not rest or len(rest) == len(self._devices):
            return False
        self._devices = rest
        self._notes.append(f"{device} is used no longer: {why}")
        return True

    def notes(self) -> list[str]:
        """What is to be told since the last call."""
        told, self._notes = self._notes, []
        return told

    def next(self, study: s.Study) -> tuple[s.Trial, Slot, str] | None:
        """The queued trial that starts now, where, and why there; None when there is no place or no trial
        for it. One that does not fit into a device's memory lets others go first; that is told once."""
        running = _on_devices(study)
        free = self._free(study, running)
        self._say_why_few(study)
        there = {slot.label for slot in self._devices}
        for trial in queue(study):
            pinned = trial.pinned if trial.pinned in there else ""  # a card that is lost holds nobody
            its = [device for device in free if pinned in ("", device.slot.label)]
            if not its:
                continue
            refused = [
                self._refused(trial, running.get(device.slot.label, ()), device.slot) for device in its
            ]
            if "" in refused:
                self._waiting.discard(trial.number)
                found = its[refused.index("")]
                why = f"pinned to it; {found.why}" if pinned else found.why
                return trial, found.slot, why
            if trial.number not in self._waiting:
                self._waiting.add(trial.number)
                self._notes.append(f"trial {trial.number} waits: {refused[0]}")
        return None

    def _say_why_few(self, study: s.Study) -> None:
        most = at_once(study)
        learns = population_settings.size(study.spec) is None
        if self._measured and not self._said_why_few and learns and most < study.total_trials:
            sampler = study.spec["study"]["sampler"]
            self._notes.append(
                f"at most {most} trials at once, so that {sampler} learns from those that have ended; "
                "a number as resources.pack has more"
            )
        self._said_why_few = True

    def _refused(self, trial: s.Trial, there: Sequence[s.Trial], slot: Slot) -> str:
        """Why ``trial`` cannot join those on the device; empty when it can. What was foretold decides, and
        where nothing can be foretold what was measured."""
        knobs = {other.number: other.knobs for other in there}
        if self._foresight is not None and self._foresight.model is not None:
            return self._foresight.refused(slot.label, trial.knobs, knobs)
        if not self._measured:
            return ""
        return self._measured[slot.label].fits(trial.knobs, knobs)

    def may_ask(self, study: s.Study) -> bool:
        """May the sampler be asked for one more trial? Not while several wait for memory already."""
        queued = sum(1 for trial in queue(study) if not trial.pinned)
        return queued < MOST_WAITING and bool(self._free(study, _on_devices(study)))

    def _free(self, study: s.Study, running: dict[str, list[s.Trial]]) -> list[Free]:
        loads = {label: len(trials) for label, trials in running.items()}
        wanted = {slot.label: self._wanted(study, running, slot.label) for slot in self._devices}
        now = self._clock()
        self._caps = {label: cap for label, cap in self._caps.items() if now - cap[1] <= FORGOTTEN_S}
        for label, (most, _) in self._caps.items():
            if most < wanted[label][0]:
                wanted[label] = most, f"memory ended with {most + 1} at once"
        return by_room(self._devices, loads, wanted)

    def _wanted(self, study: s.Study, running: dict[str, list[s.Trial]], device: str) -> tuple[int, str]:
        """How many at once on the device, and why. A population is compared as it trains: all of it is wanted
        there, whatever that does for the speed, and memory alone keeps a trial waiting."""
        if not self._measured:
            return int(self._pack), ""
        limit = _limit(study, running, device)
        number, why = self._measured[device].wanted(limit, len(running.get(device, ())))
        if number < limit and population_settings.size(study.spec) is not None:
            return limit, "a population trains together"
        return number, why


def queue(study: s.Study) -> list[s.Trial]:
    """The queued trials as they start: by priority, those that take another's place, then by number."""
    queued = [trial for trial in study.trials.values() if trial.state == s.QUEUED]
    return sorted(queued, key=lambda trial: (-trial.priority, trial.place_of < 0, trial.number))


def at_once(study: s.Study) -> int:
    """How many trials may run side by side: a sampler that learns must see some end before it proposes the
    others. Its random start is for as many as it takes, and a population trains side by side."""
    if (size := population_settings.size(study.spec)) is not None:
        return min(study.total_trials, size)
    section = study.spec.get("study", {})
    if section.get("sampler") not in LEARNING:
        return study.total_trials
    startup = max(2, int(section.get("startup_trials", 0)))
    return min(study.total_trials, max(startup, math.ceil(study.total_trials / GENERATIONS)))


def _limit(study: s.Study, running: dict[str, list[s.Trial]], device: str) -> int:
    """The most trials on ``device``: those that are left, and its share of those at once. No device is
    left empty."""
    elsewhere = sum(len(trials) for label, trials in running.items() if label != device)
    return min(_left(study), max(1, at_once(study) - elsewhere))


def _on_devices(study: s.Study) -> dict[str, list[s.Trial]]:
    """The trials on each device."""
    found: dict[str, list[s.Trial]] = {}
    for trial in study.trials.values():
        if trial.state in s.ON_WORKER:
            found.setdefault(trial.device, []).append(trial)
    return found


def _left(study: s.Study) -> int:
    """How many trials have not ended, those that are not proposed yet among them."""
    ended = sum(1 for trial in study.trials.values() if trial.state in s.ENDED)
    return max(1, study.total_trials - ended)
