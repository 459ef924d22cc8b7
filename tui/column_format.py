"""One number format for each column of the trial table, so that its numbers rank by eye. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from core.contract.metric_score import Score
from core.contract.spec.search_space import Range
from core.contract.state import engine_state as s
from core.contract.text.sanitize import sanitize
from core.contract.views.metric_verdict import describe_metric
from core.contract.views.trials.trial_fields import Field, make_knob_field
from tui.number_text import NOTHING, format_duration, format_number, format_short, format_size

Style = Literal["scientific", "fixed", "percent", "bytes", "count", "seconds", "text"]
LONGEST_TEXT = 14  # cells of a knob's text or of a device
MOST_DECIMALS = 4
LARGE = 1e5  # from which a number of a metric is written with its thousands


@dataclass(frozen=True)
class ColumnFormat:
    """How a column writes its values; ``decimals`` are those of ``fixed``."""

    style: Style
    decimals: int = 0

    def write(self, value: object) -> str:
        """Return the value as text, a dash for None and what is not finite."""
        if value is None or (isinstance(value, float) and not math.isfinite(value)):
            return NOTHING
        if not isinstance(value, int | float) or isinstance(value, bool):
            text = "+".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
            return sanitize(text, LONGEST_TEXT)
        return self._format_number(float(value))

    def _format_number(self, value: float) -> str:
        match self.style:
            case "scientific":
                return format_scientific(value)
            case "percent":
                return f"{100 * value:.{self.decimals}f}%"
            case "bytes":
                return format_size(value)
            case "count":
                return format_short(value)
            case "seconds":
                return format_duration(value)
        return format_short(value) if abs(value) >= LARGE else f"{value:.{self.decimals}f}"

    def widen(self, value: object) -> ColumnFormat:
        """Return the format with the decimals that ``value`` needs besides those of the values before it."""
        if self.style != "fixed" or not isinstance(value, float) or not math.isfinite(value):
            return self
        needed_decimals = min(MOST_DECIMALS, count_decimals(value))
        return self if needed_decimals <= self.decimals else ColumnFormat("fixed", needed_decimals)


def format_scientific(value: float) -> str:
    """Return three significant digits with their power of ten, such as 4.89e-4; 0 as 0."""
    if not value:
        return "0"
    mantissa, power = f"{value:.2e}".split("e")
    return f"{mantissa}e{int(power)}"


def count_decimals(value: float) -> int:
    """Return how many digits after the point three significant digits of a value need."""
    text = f"{value:.3g}"
    if "e" in text:
        return MOST_DECIMALS if abs(value) < 1 else 0
    return len(text.partition(".")[2])


def choose_format(study: s.Study, field: Field) -> ColumnFormat:
    """Return the format that a field's column begins with: learning rates and what is searched on a
    logarithmic scale are scientific, whatever their size."""
    if field.metric:
        return _make_metric_format(field)
    if field.kind in ("seconds", "text"):
        return ColumnFormat("seconds" if field.kind == "seconds" else "text")
    if field.kind == "share":
        return ColumnFormat("percent")
    dimension = study.settings.space.get(field.name)
    ranged = isinstance(dimension, Range) and dimension.log and dimension.kind == "float"
    return ColumnFormat("scientific" if ranged or field.name == "learning_rate" else "fixed")


def write_knob(study: s.Study, name: str, value: object) -> str:
    """Return a knob's value: a learning rate as its column has it, other numbers with their own digits."""
    form = choose_format(study, make_knob_field(name))
    return form.write(value) if form.style == "scientific" else format_number(value)


def _make_metric_format(field: Field) -> ColumnFormat:
    unit = describe_metric(field.metric).unit
    if unit == "bytes":
        return ColumnFormat("bytes")
    if unit in ("fraction", "points"):
        return ColumnFormat("percent", 1)
    if unit == "tokens/s":
        return ColumnFormat("count")
    if "learning_rate" in field.metric:
        return ColumnFormat("scientific")
    return ColumnFormat("fixed", 1 if unit == "of 100" else 3)


def measure_half_width(score: Score | None, value: object) -> float | None:
    """Return the ± of a value: half the length of its score's interval; None where it is not the score's."""
    if score is None or score.low is None or score.high is None or score.value is None:
        return None
    if not isinstance(value, int | float) or not math.isclose(value, score.value, rel_tol=1e-9):
        return None
    return (score.high - score.low) / 2
