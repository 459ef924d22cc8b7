"""The state of the search: knob importance, the sampler, and the trials on each rung."""

from __future__ import annotations

import msgspec

METHODS = ("ped-anova", "fanova")
FEWEST = 10  # fewest trials with a value for a share: with fewer it would be chance


class Importance(msgspec.Struct, frozen=True, tag="importance"):
    """How much of the variation in ``objective`` each knob explains.

    ``shares`` sum to 1, the largest first; empty with the reason in ``why_none``. They are computed from
    ``trials``, the latest of ``known`` that have a value; ``early`` of them were stopped early and count with
    their last value. ``asks`` says what the shares measure.
    """

    method: str
    objective: str = ""
    shares: dict[str, float] = {}
    trials: int = 0
    early: int = 0
    known: int = 0
    asks: str = ""
    why_none: str = ""


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """One trial on a rung; ``fate`` is promoted, stopped, running, ended (for another reason) or complete."""

    trial: int
    value: float
    fate: str


class Rung(msgspec.Struct, frozen=True):
    """All trials that reached ``step`` of a bracket, the best first."""

    bracket: int
    rung: int
    step: int
    entries: tuple[Entry, ...] = ()


class SearchState(msgspec.Struct, frozen=True, tag="search-state"):
    """``sampler`` holds (label, text) pairs; ``rungs`` the lowest first, empty with the reason."""

    sampler: tuple[tuple[str, str], ...] = ()
    rungs: tuple[Rung, ...] = ()
    why_no_rungs: str = ""
