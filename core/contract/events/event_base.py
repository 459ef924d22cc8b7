"""The base of all events: their fields, who may send them, in which states they may happen, and what they
cause."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from core.contract.input_size_limits import At, Int, Name

Title = tuple[str, str]  # a short text for the event list, and its level: info, warning or error


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """``at`` is the engine's wall clock, Unix seconds; ``study`` a study's name.

    The class attributes are the only declaration of how an event is treated; committer, consoles, worker
    inbox and runner read them.
    """

    journaled: ClassVar[bool] = True  # False: a reading of the moment, folded and shown but never written
    urgent: ClassVar[bool] = True  # False: a reading that may wait for the next batch
    from_worker: ClassVar[bool] = False  # may a worker send it? Anything else is the engine's to decide
    wakes_runner: ClassVar[bool] = False  # does the study's runner have to act on it?
    from_states: ClassVar[frozenset[str] | None] = None  # of the trial, or of the study; None: any state

    at: At
    study: Name = ""


class TrialEvent(Event, frozen=True, kw_only=True, omit_defaults=True):
    """Something about one trial, by its Optuna number."""

    while_scoring: ClassVar[bool] = False  # may it also happen to a complete trial that is still scored?

    trial: Int

    @property
    def title(self) -> Title:
        """Return the event's line in the event list; an empty text keeps it out of the list."""
        return "", "info"
