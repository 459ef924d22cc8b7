"""What a device has proved about sharing: how many trials at once, and whether one more fits. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.contract.events.event_types import PackMeasured
from core.contract.text.byte_sizes import words
from core.contract.text.sanitize import plain
from core.daemon.placement.pack_growth import BEGIN, MOST, Goal, Growth, Start
from core.memory.records.pack_records import PackRecord

MARGIN = 0.05  # of the device's memory, kept back: predictions are not exact, and allocators leave gaps

Knobs = Mapping[str, Any]


class Calibration:
    """One device of one study, fed with what its worker measures."""

    def __init__(self, label: str, proved: PackRecord | None = None) -> None:
        """``proved``: what earlier studies found on the device for this base."""
        self._label = label
        self._begin = proved.number if proved is not None else BEGIN
        self._growth = Growth(Start(self._begin, proved.refused if proved is not None else ()))
        self._is_learnt, self._kept = proved is not None, proved
        self._latest: PackMeasured | None = None  # of the worker that lives
        self._knobs: dict[int, Knobs] = {}  # of the trials in it
        self._sizes: dict[int, tuple[Knobs, int]] = {}  # knobs and bytes of every trial that was measured
        self._at = 0.0  # the latest
        self._alone = ""  # why trials take turns on this base
        self._told, self._full_told = self._begin, False

    def measured(self, event: PackMeasured, knobs: Mapping[int, Knobs]) -> None:
        """Take in ``event``; ``knobs`` are the trials' by number. No trials: the worker is gone."""
        self._at = event.at
        self._latest, self._alone = event if event.trials else None, event.why_alone
        self._knobs = {number: knobs.get(number, {}) for number in event.trial_bytes}
        for number, held in event.trial_bytes.items():
            self._sizes[number] = (self._knobs[number], held)
        if not event.why_alone:  # trials that take turns say nothing about sharing
            self._growth.add(event.trials, event.tokens, event.round_s, event.at)

    # -- how many ---------------------------------------------------------------------------------

    def wanted(self, limit: int, running: int) -> tuple[int, str]:
        """How many trials at once, and why: at most ``limit``, the trials that are left. ``running`` are on
        the device now; nobody is sent away, places above the number are only not filled again."""
        goal = self._growth.goal
        if self._alone:
            return 1, f"trials take turns on this base, {plain(self._alone, 200)}"
        if goal.base is None and running > self._begin:  # an engine that came back keeps what runs
            return min(running, limit), f"keeps the {running} that run, nothing is measured yet"
        if goal.base is None:
            why = ": learnt on this machine for this base" if self._is_learnt else ", nothing is measured yet"
            return min(self._begin, limit), f"begins with {self._begin} at once{why}"
        room = self._room()
        if room < min(goal.number, limit):
            return room, f"memory for {room} at once"
        return min(goal.number, limit), _why(goal)

    def news(self, limit: int, running: int) -> list[str]:
        """What there is to tell about the number since the last time; each change once."""
        (number, why), goal, told = self.wanted(limit, running), self._growth.goal, []
        aim = 1 if self._alone else goal.number
        if aim != self._told:
            changed = min(aim, limit) != min(self._told, limit)
            self._told, self._full_told = aim, False
            if changed and self._alone:
                told.append(f"no more than one trial at once: {why}")
            elif changed and goal.base is not None:
                told.append(_told(goal, number))
        if number < min(aim, limit) and self._latest is not None and not self._full_told:
            self._full_told = True
            told.append(f"{why}, {words(max(0, self._spare(self._knobs)))} are free for more")
        return [f"{self._label}: {text}" for text in told]

    def learnt(self) -> PackRecord | None:
        """What is new for the next study on the device with this base; None when nothing is. A number that
        was neither compared nor learnt says nothing."""
        goal, refused = self._growth.goal, tuple(sorted(self._growth.refused))
        if goal.base is None or self._alone or not (goal.before or refused):
            return None
        if self._kept is not None and (self._kept.number, self._kept.refused) == (goal.base, refused):
            return None
        seen = (
            (goal.before, goal.before_rate),
            (goal.base, goal.base_rate),
            (goal.refused, goal.refused_rate),
        )
        rates = {number: value for number, value in seen if number is not None and value > 0}
        self._kept = PackRecord(goal.base, rates, refused, self._at)
        return self._kept

    def _room(self) -> int:
        """How many the memory holds, when what comes is as small as the smallest trial that was measured."""
        if self._latest is None or not self._sizes:
            return MOST
        smallest = min(held + self._activations(knobs) for knobs, held in self._sizes.values())
        more = max(0, self._spare(self._knobs)) // max(1, smallest)
        return max(1, len(self._knobs) + int(more))

    # -- does it fit ------------------------------------------------------------------------------

    def fits(self, knobs: Knobs, running: Mapping[int, Knobs]) -> str:
        """Why a trial with ``knobs`` has to wait, in numbers; empty when it may start. ``running`` are the
        trials on the device. The first one and those before any measurement are always let in."""
        if self._latest is None or not running:
            return ""
        spare, needs = self._spare(running), self._needs(knobs)
        if needs <= spare:
            return ""
        return f"needs about {words(needs)}, {words(max(0, spare))} are free on {self._label}"

    def _spare(self, running: Mapping[int, Knobs]) -> float:
        """The bytes for more trials: those that came and went since the measurement are counted."""
        latest = self._latest
        assert latest is not None
        came = sum(
            self._needs(knobs) for number, knobs in running.items() if number not in latest.trial_bytes
        )
        went = sum(self._holds(number) for number in latest.trial_bytes if number not in running)
        return latest.free_bytes - MARGIN * latest.total_bytes - came + went

    def _holds(self, number: int) -> float:
        """What a measured trial holds, with its activations."""
        latest = self._latest
        assert latest is not None
        return latest.trial_bytes[number] + self._activations(self._knobs.get(number, {}))

    def _needs(self, knobs: Knobs) -> float:
        return self._adapter(knobs) + self._activations(knobs)

    def _activations(self, knobs: Knobs) -> float:
        """Of a micro-batch in which every sequence is as long as it may be."""
        assert self._latest is not None
        tokens = knobs.get("batch_size", 0) * knobs.get("sequence_length", 0)
        return tokens * self._latest.activation_bytes_per_token

    def _adapter(self, knobs: Knobs) -> float:
        """Adapter, gradient and optimizer state: by the rank, from measured trials on the same modules with
        the same optimizer, else on the same modules, else from any; the largest of them."""
        for same in (("target_modules", "optimizer"), ("target_modules",), ()):
            each = [
                held / max(1, known.get("lora_rank", 1))
                for known, held in self._sizes.values()
                if all(known.get(name) == knobs.get(name) for name in same)
            ]
            if each:
                return max(each) * knobs.get("lora_rank", 1)
        return 0.0


# -- words ----------------------------------------------------------------------------------------


def _why(goal: Goal) -> str:
    """Why this number, in half a sentence."""
    if goal.before is not None:
        times = goal.base_rate / goal.before_rate
        text = f"{goal.base} at once gave {times:.1f} × the tokens/s of {goal.before}"
    else:
        text = f"{goal.base} at once gave {rate(goal.base_rate)} tokens/s"
    return f"{text}, {goal.refused} {_verdict(goal)}" if goal.refused is not None else text


def _verdict(goal: Goal) -> str:
    """What became of the number that was given up."""
    if goal.clear:
        return "not worth it"
    return f"not shown to be faster, readings waver by {100 * goal.spread:.0f} %"


def _told(goal: Goal, number: int) -> str:
    """The change of the number with what led to it."""
    seen = [(goal.before, goal.before_rate), (goal.base, goal.base_rate), (goal.refused, goal.refused_rate)]
    first, *more = [(count, value) for count, value in seen if count is not None]
    given = f"{first[0]} gave {rate(first[1])} tokens/s"
    given += "".join(f", {count} {'gave' if goal.refused else 'give'} {rate(value)}" for count, value in more)
    given += f": {_verdict(goal)}" if goal.refused is not None else ""
    text = f"{goal.base} trial{'' if goal.base == 1 else 's'} at once ({given})"
    return f"{text}; trying {number}" if number > (goal.base or 0) else text


def rate(value: float) -> str:
    """Tokens per second: 950, 15.2k."""
    return f"{value:.0f}" if value < 1000 else f"{value / 1000:.1f}k"
