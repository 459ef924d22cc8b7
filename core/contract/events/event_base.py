"""What every event has: when, in which study, and about which trial."""

from __future__ import annotations

import msgspec

from core.contract.value_bounds import At, Int, Name


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """``at`` is the engine's wall clock, Unix seconds; ``study`` a study's name."""

    at: At
    study: Name = ""


class TrialEvent(Event, frozen=True, kw_only=True, omit_defaults=True):
    """Something about one trial, by its Optuna number."""

    trial: Int
