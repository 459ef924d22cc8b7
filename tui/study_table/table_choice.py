"""What a person chose of the trial table: filter, order, columns, marks, and the race below it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from core.contract.state import engine_state as s
from core.contract.views.trial_comparison import ALONG, Along
from core.contract.views.trials.trial_fields import READINGS, Field, find_field

CURVE = "curve:"  # before a metric: its sparkline
Panels = Literal["both", "devices", "events", "neither"]  # below the table
PANELS: tuple[Panels, ...] = ("both", "devices", "events", "neither")
SIGNS, NOW, VS_BEST = "signs", "now", "vs-best"


class TableChoice(msgspec.Struct, frozen=True):
    """``columns`` None: those that trimtab chooses. ``order`` is a field's name, empty for the numbers."""

    filter: str = ""
    order: str = ""
    descending: bool = False
    columns: tuple[str, ...] | None = None
    marks: tuple[int, ...] = ()
    race: bool = True
    along: Along = ALONG[0]
    panels: Panels = "both"


def list_default_columns(study: s.Study) -> tuple[str, ...]:
    """Return the columns that trimtab chooses, in their order."""
    objectives = [f"{metric}.best" for metric, _ in study.objectives]
    fixed = ["number", SIGNS, "state", "progress", "left", f"{CURVE}train/loss", objectives[0], VS_BEST]
    return (*fixed, *objectives[1:], *study.settings.space, "elapsed")


def list_all_columns(study: s.Study, metrics: Sequence[str], knobs: Iterable[str]) -> list[str]:
    """Return every column that there may be: those that trimtab chooses first."""
    metric_columns = [f"{metric}.{reading}" for metric in metrics for reading in READINGS]
    curves = [f"{CURVE}{metric}" for metric in metrics if not metric.startswith("memory/")]
    fixed = (NOW, "step", "device", "by", "note")
    return list(dict.fromkeys([*list_default_columns(study), *fixed, *metric_columns, *curves, *knobs]))


def flip_order(study: s.Study, choice: TableChoice, name: str) -> TableChoice:
    """Return the choice ordered by ``name``, its better end first; once more turns the order round."""
    field = find_field(study, study.objectives[0][0] if name == VS_BEST else name)
    if field is None:
        return choice
    if choice.order == field.name:
        return msgspec.structs.replace(choice, descending=not choice.descending)
    return msgspec.structs.replace(choice, order=field.name, descending=is_high_better(field))


def is_high_better(field: Field) -> bool:
    """Return whether the better values of a field are the larger ones."""
    return field.direction == "maximize" or field.name in ("progress", "step")


def describe_order(study: s.Study, choice: TableChoice) -> str:
    """Return the order in words, such as "by eval/loss.best ▲"; empty for the numbers in their order."""
    if not choice.order and not choice.descending:
        return ""
    return f"by {choice.order or 'number'} {'▼' if choice.descending else '▲'}"
