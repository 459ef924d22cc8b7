"""Finds which trials trained together, from a journal: a trial's exact bits depend on it."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from core.contract.events import event_types as e

LEAVE = (e.TrialPaused, e.TrialPruned, e.TrialCompleted, e.TrialFailed, e.TrialInfeasible, e.TrialRequeued)


class Ran(msgspec.Struct, frozen=True):
    """How a trial ran. ``beside`` are the trials that shared passes with it at any time; ``changed`` the
    knobs that were changed after it started."""

    beside: tuple[int, ...] = ()
    devices: tuple[str, ...] = ()
    interrupted: int = 0  # how often it resumed from a checkpoint
    changed: tuple[str, ...] = ()

    @property
    def alone(self) -> bool:
        """Whether the trial never shared a forward pass with another."""
        return not self.beside


class _Course:
    """The trials that train on each worker at the present event, and how each ran so far."""

    def __init__(self) -> None:
        self.active: dict[str, set[int]] = {}
        self.worker: dict[int, str] = {}
        self.beside: dict[int, set[int]] = {}
        self.devices: dict[int, dict[str, None]] = {}
        self.interrupted: dict[int, int] = {}
        self.begun: set[int] = set()
        self.changed: dict[int, dict[str, None]] = {}

    def see(self, event: e.TrialEvent) -> None:
        number = event.trial
        if isinstance(event, e.TrialStarting):
            self.worker[number] = event.worker
            self.devices.setdefault(number, {})[event.device] = None
        elif isinstance(event, e.TrialRunning | e.TrialResumed):
            self.begun.add(number)
            self._join(number)
        elif isinstance(event, LEAVE):
            self.active.get(self.worker.get(number, ""), set()).discard(number)
            if isinstance(event, e.TrialRequeued):
                self.interrupted[number] = self.interrupted.get(number, 0) + 1
        elif number in self.begun:
            self._change(event)

    def _join(self, number: int) -> None:
        numbers = self.active.setdefault(self.worker.get(number, ""), set())
        for mate in numbers - {number}:
            self.beside.setdefault(mate, set()).add(number)
            self.beside.setdefault(number, set()).add(mate)
        numbers.add(number)

    def _change(self, event: e.TrialEvent) -> None:
        """Record the knobs of any event that changes a running trial's knobs."""
        for name in ("knobs", "changes"):
            knobs = getattr(event, name, None)
            if isinstance(knobs, dict) and not isinstance(event, e.TrialScored):
                self.changed.setdefault(event.trial, {}).update(dict.fromkeys(map(str, knobs)))


def find_pack_mates(events: Iterable[e.Event]) -> dict[int, Ran]:
    """Return how each trial ran, by number, without trials that never started."""
    course = _Course()
    for event in events:
        if isinstance(event, e.TrialEvent) and not isinstance(event, e.TrialReported | e.TrialEvaluated):
            course.see(event)
    return {
        number: Ran(
            beside=tuple(sorted(course.beside.get(number, ()))),
            devices=tuple(course.devices.get(number, ())),
            interrupted=course.interrupted.get(number, 0),
            changed=tuple(course.changed.get(number, ())),
        )
        for number in sorted(course.begun)
    }
