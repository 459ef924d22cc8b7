"""A source of the mixture that a study trains on, and the knobs that a study with a mixture has."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from core.contract.spec.knob_table import REPLAY, WEIGHT, Value

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")  # part of a knob, a metric and a slice
OWN = ("name", "weight", "replay")  # keys that [data] does not have


class MixtureSource(msgspec.Struct, frozen=True):
    """An entry of [[data.mixture]]: its ``name``, and the keys in which its rows differ from [data].

    ``weight`` is its share of the rows that are drawn, relative to the other weights; None: its share of the
    rows that there are. ``replay``: it is earlier data, and the knob ``replay`` says how much of it is drawn.
    """

    name: str = ""
    weight: float | None = None
    replay: bool = False
    source: str | None = None
    where: dict[str, Any] | None = None
    format: str | None = None
    split: str | None = None
    subset: str | None = None
    validation: str | float | None = None
    rows: int | None = None
    prompt_key: str | None = None
    completion_key: str | None = None
    messages_key: str | None = None
    text_key: str | None = None

    @property
    def data_keys(self) -> dict[str, Any]:
        """Return the keys of [data] that it sets."""
        values = msgspec.structs.asdict(self)
        return {key: value for key, value in values.items() if key not in OWN and value is not None}


def list_knob_defaults(mixture: Sequence[MixtureSource]) -> dict[str, Value]:
    """Return the knobs of a mixture at their defaults; none without a mixture."""
    weights: dict[str, Value] = {f"{WEIGHT}{source.name}": source.weight for source in mixture}
    return weights | ({REPLAY.name: REPLAY.default} if any(source.replay for source in mixture) else {})


def name_missing_source(knob: str, others: Sequence[str]) -> str:
    """Return what a study lacks to have this knob of a mixture, if it has these ``others``; "" for a knob of
    another kind, or a misspelled one."""
    if knob == REPLAY.name:
        return "it needs a source with replay = true in [[data.mixture]]"
    has_weights = any(other.startswith(WEIGHT) for other in others)
    is_first = knob.startswith(WEIGHT) and not has_weights
    return "it needs [[data.mixture]] with a source of this name" if is_first else ""
