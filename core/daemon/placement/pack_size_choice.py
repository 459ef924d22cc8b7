"""Decides how many trials share a device, and whether one more fits, from measurements. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.contract.events.event_types import PackMeasured
from core.contract.text.byte_sizes import format_bytes
from core.contract.text.sanitize import sanitize
from core.daemon.placement.pack_size_search import BEGIN, MOST, Goal, Growth, Start
from core.memory.records.best_pack_size_records import PackRecord

MARGIN = 0.05  # of the device's memory, kept free: predictions are inexact, and allocators leave gaps

Knobs = Mapping[str, Any]


class Calibration:
    """The calibration of one device of one study, from its worker's measurements."""

    def __init__(self, label: str, proved: PackRecord | None = None) -> None:
        """Start a calibration; ``proved`` is the pack size that earlier studies measured on the device with
        this base."""
        self._label = label
        self._begin = proved.number if proved is not None else BEGIN
        self._growth = Growth(Start(self._begin, proved.refused if proved is not None else ()))
        self._is_learnt, self._kept = proved is not None, proved
        self._latest: PackMeasured | None = None  # of the present worker
        self._knobs: dict[int, Knobs] = {}  # of the trials in it
        self._sizes: dict[int, tuple[Knobs, int]] = {}  # knobs and bytes of every trial that was measured
        self._at = 0.0  # time of the latest measurement
        self._alone = ""  # why trials on this base cannot share a pass
        self._told, self._full_told = self._begin, False

    def add_measurement(self, event: PackMeasured, knobs: Mapping[int, Knobs]) -> None:
        """Add a measurement; ``knobs`` are the trials' knobs by number. Without trials the worker has
        ended."""
        self._at = event.at
        self._latest, self._alone = event if event.trials else None, event.why_alone
        self._knobs = {number: knobs.get(number, {}) for number in event.trial_bytes}
        for number, trial_bytes in event.trial_bytes.items():
            self._sizes[number] = (self._knobs[number], trial_bytes)
        if not event.why_alone:  # trials that train one after another give no information on sharing
            self._growth.add(event.trials, event.tokens, event.round_s, event.at)

    # -- how many ---------------------------------------------------------------------------------

    def target_number(self, limit: int, running: int) -> tuple[int, str]:
        """Return the number of trials at once, and why: at most ``limit``, the trials that are left.

        ``running`` trials are on the device now; they are never evicted, only freed slots above the number
        stay empty.
        """
        goal = self._growth.goal
        if self._alone:
            return 1, f"trials on this base train one after another: {sanitize(self._alone, 200)}"
        if goal.base is None and running > self._begin:  # after an engine restart
            return min(running, limit), f"keeps the {running} running trials until there are measurements"
        if goal.base is None:
            why = (
                ", measured earlier on this machine with this base"
                if self._is_learnt
                else ", not measured yet"
            )
            return min(self._begin, limit), f"starts with {self._begin} at once{why}"
        room = self._find_room()
        if room < min(goal.number, limit):
            return room, f"memory fits {room} at once"
        return min(goal.number, limit), _explain_number(goal)

    def news(self, limit: int, running: int) -> list[str]:
        """Return notes about changes of the number since the last call."""
        (number, why), goal, notes = self.target_number(limit, running), self._growth.goal, []
        aim = 1 if self._alone else goal.number
        if aim != self._told:
            number_changed = min(aim, limit) != min(self._told, limit)
            self._told, self._full_told = aim, False
            if number_changed and self._alone:
                notes.append(f"at most one trial at once: {why}")
            elif number_changed and goal.base is not None:
                notes.append(_change_note(goal, number))
        if number < min(aim, limit) and self._latest is not None and not self._full_told:
            self._full_told = True
            notes.append(f"{why}; {format_bytes(max(0, self._count_spare_bytes(self._knobs)))} free")
        return [f"{self._label}: {text}" for text in notes]

    def learnt(self) -> PackRecord | None:
        """Return the result to store for the next study on this device with this base; None if there is
        nothing new. A number that was never compared is not a result."""
        goal, rejected = self._growth.goal, tuple(sorted(self._growth.rejected_numbers))
        if goal.base is None or self._alone or not (goal.before or rejected):
            return None
        if self._kept is not None and (self._kept.number, self._kept.refused) == (goal.base, rejected):
            return None
        measured_rates = (
            (goal.before, goal.before_rate),
            (goal.base, goal.base_rate),
            (goal.refused, goal.refused_rate),
        )
        rates = {number: value for number, value in measured_rates if number is not None and value > 0}
        self._kept = PackRecord(goal.base, rates, rejected, self._at)
        return self._kept

    def _find_room(self) -> int:
        """Return the number of trials that fit in memory if new ones are as small as the smallest measured
        trial."""
        if self._latest is None or not self._sizes:
            return MOST
        smallest = min(
            trial_bytes + self._estimate_activations(knobs) for knobs, trial_bytes in self._sizes.values()
        )
        more_trials = max(0, self._count_spare_bytes(self._knobs)) // max(1, smallest)
        return max(1, len(self._knobs) + int(more_trials))

    # -- does it fit ------------------------------------------------------------------------------

    def fits(self, knobs: Knobs, running: Mapping[int, Knobs]) -> str:
        """Return why a trial with ``knobs`` has to wait, with numbers; empty if it may start. ``running`` are
        the trials on the device. The first trial, and any trial before a measurement, is always admitted."""
        if self._latest is None or not running:
            return ""
        spare, needs = self._count_spare_bytes(running), self._estimate_needed_bytes(knobs)
        if needs <= spare:
            return ""
        free = format_bytes(max(0, spare))
        return f"needs about {format_bytes(needs)}, but only {free} are free on {self._label}"

    def _count_spare_bytes(self, running: Mapping[int, Knobs]) -> float:
        """Return free bytes for more trials, adjusted for trials that started or ended since the
        measurement."""
        latest = self._latest
        assert latest is not None
        came = sum(
            self._estimate_needed_bytes(knobs)
            for number, knobs in running.items()
            if number not in latest.trial_bytes
        )
        went = sum(self._count_held_bytes(number) for number in latest.trial_bytes if number not in running)
        return latest.free_bytes - MARGIN * latest.total_bytes - came + went

    def _count_held_bytes(self, number: int) -> float:
        """Return bytes of a measured trial, with its activations."""
        latest = self._latest
        assert latest is not None
        return latest.trial_bytes[number] + self._estimate_activations(self._knobs.get(number, {}))

    def _estimate_needed_bytes(self, knobs: Knobs) -> float:
        return self._estimate_adapter(knobs) + self._estimate_activations(knobs)

    def _estimate_activations(self, knobs: Knobs) -> float:
        """Return activation bytes of a micro-batch in which every sequence has the maximum length."""
        assert self._latest is not None
        tokens = knobs.get("batch_size", 0) * knobs.get("sequence_length", 0)
        result: float = tokens * self._latest.activation_bytes_per_token
        return result

    def _estimate_adapter(self, knobs: Knobs) -> float:
        """Return bytes of adapter, gradient and optimizer state, scaled by the rank: the largest value from
        measured trials with the same modules and optimizer, else the same modules, else any."""
        for same in (("target_modules", "optimizer"), ("target_modules",), ()):
            each = [
                trial_bytes / max(1, trial_knobs.get("lora_rank", 1))
                for trial_knobs, trial_bytes in self._sizes.values()
                if all(trial_knobs.get(name) == knobs.get(name) for name in same)
            ]
            if each:
                result: float = max(each) * knobs.get("lora_rank", 1)
                return result
        return 0.0


# -- text -----------------------------------------------------------------------------------------


def _explain_number(goal: Goal) -> str:
    """Return the reason for this number, as a clause."""
    if goal.before is not None:
        times = goal.base_rate / goal.before_rate
        text = f"{goal.base} at once gave {times:.1f} × the tokens/s of {goal.before}"
    else:
        text = f"{goal.base} at once gave {format_rate(goal.base_rate)} tokens/s"
    return f"{text}, {goal.refused} {_describe_verdict(goal)}" if goal.refused is not None else text


def _describe_verdict(goal: Goal) -> str:
    """Return why the larger number was rejected."""
    if goal.clear:
        return "not worth it"
    return f"not measurably faster (measurements vary by {100 * goal.spread:.0f} %)"


def _change_note(goal: Goal, number: int) -> str:
    """Return the note about a new number, with the measurements behind it."""
    measured_rates = [
        (goal.before, goal.before_rate),
        (goal.base, goal.base_rate),
        (goal.refused, goal.refused_rate),
    ]
    first, *other_rates = [(count, value) for count, value in measured_rates if count is not None]
    measurements = f"{first[0]} gave {format_rate(first[1])} tokens/s"
    measurements += "".join(
        f", {count} {'gave' if goal.refused else 'give'} {format_rate(value)}" for count, value in other_rates
    )
    measurements += f": {_describe_verdict(goal)}" if goal.refused is not None else ""
    text = f"{goal.base} trial{'' if goal.base == 1 else 's'} at once ({measurements})"
    return f"{text}; trying {number}" if number > (goal.base or 0) else text


def format_rate(value: float) -> str:
    """Format tokens per second: 950, 15.2k."""
    return f"{value:.0f}" if value < 1000 else f"{value / 1000:.1f}k"
