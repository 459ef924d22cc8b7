"""The places for trials on the devices of one study: who takes the next one, and why. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from core.contract import state as s
from core.contract.events import PackMeasured
from core.contract.spec import AUTO
from core.daemon.packing import Calibration
from core.daemon.placement import Free, Slot, by_room

MOST_WAITING = 2  # trials queued for want of memory; beyond it the sampler is not asked for more


class Places:
    """``pack`` is resources.pack: a number of places on each device, taken at its word, or "auto"."""

    def __init__(self, pack: int | str, devices: Sequence[Slot]) -> None:
        self._pack, self._devices = pack, devices
        self._measured = {slot.label: Calibration(slot.label) for slot in devices if pack == AUTO}
        self._waiting: set[int] = set()  # trials that were told to wait
        self._notes: list[str] = []

    def measured(self, event: PackMeasured, study: s.Study) -> None:
        """A worker of ``study`` has measured its pack."""
        one = self._measured.get(event.device)
        if one is not None:
            one.measured(event, {number: trial.knobs for number, trial in study.trials.items()})
            running = len(_on_devices(study).get(event.device, ()))
            self._notes += one.news(_left(study), running)

    def notes(self) -> list[str]:
        """What is to be told since the last call."""
        told, self._notes = self._notes, []
        return told

    def next(self, study: s.Study) -> tuple[s.Trial, Slot, str] | None:
        """The queued trial that starts now, where, and why there; None when there is no place or no trial
        for it. One that does not fit into a device's memory lets others go first; that is told once."""
        running = _on_devices(study)
        free = self._free(study, running)
        for trial in study.trials.values():
            if trial.state != s.QUEUED or not free:
                continue
            refused = [self._refused(trial, running.get(one.slot.label, ()), one.slot) for one in free]
            if "" in refused:
                self._waiting.discard(trial.number)
                found = free[refused.index("")]
                return trial, found.slot, found.why
            if trial.number not in self._waiting:
                self._waiting.add(trial.number)
                self._notes.append(f"trial {trial.number} waits: {refused[0]}")
        return None

    def _refused(self, trial: s.Trial, there: Sequence[s.Trial], slot: Slot) -> str:
        """Why ``trial`` cannot join those on the device; empty when it can."""
        if not self._measured:
            return ""
        knobs = {one.number: one.knobs for one in there}
        return self._measured[slot.label].fits(trial.knobs, knobs)

    def may_ask(self, study: s.Study) -> bool:
        """May the sampler be asked for one more trial? Not while several wait for memory already."""
        queued = sum(1 for trial in study.trials.values() if trial.state == s.QUEUED)
        return queued < MOST_WAITING and bool(self._free(study, _on_devices(study)))

    def _free(self, study: s.Study, running: dict[str, list[s.Trial]]) -> list[Free]:
        loads = {label: len(trials) for label, trials in running.items()}
        left = _left(study)
        wanted = {
            slot.label: self._measured[slot.label].wanted(left, loads.get(slot.label, 0))
            if self._measured
            else (int(self._pack), "")
            for slot in self._devices
        }
        return by_room(self._devices, loads, wanted)


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
