"""How wide the columns of a trial table must be, and the common scale of its sparklines, from trials that
changed alone."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence

from core.contract.state import engine_state as s
from core.contract.views.trials.trial_fields import Field, find_field
from tui.column_format import ColumnFormat, choose_format, measure_half_width
from tui.study_table.table_choice import CURVE
from tui.widgets.steering_row_signs import has_signs, measure_signs

STRETCHES = 10  # of a curve: their means are what a sparkline shows
GRAIN = 20  # a scale ends on steps of this part of its length, so that it seldom moves

Scale = tuple[float, float]


class ColumnMeasures:
    """Formats, widths and scales of the columns ``keys`` of one study; widths only grow."""

    def __init__(self, study: s.Study, keys: Sequence[str]) -> None:
        fields = {key: find_field(study, key) for key in keys}
        self.fields: dict[str, Field] = {key: field for key, field in fields.items() if field is not None}
        self.formats = {key: choose_format(study, field) for key, field in self.fields.items()}
        self._margins: dict[str, int] = {}  # as texts, of the ± of a value
        self.texts: dict[str, int] = {}  # the widest text of a column; of "fixed" its part before the point
        self.signs = self.state = 0
        self._ends: dict[str, dict[int, Scale]] = {
            key.removeprefix(CURVE): {} for key in keys if key.startswith(CURVE)
        }
        self._scales: dict[str, Scale] = {}

    def take(self, study: s.Study, changed: Iterable[s.Trial]) -> None:
        """Measure the trials that changed."""
        for trial in changed:
            self._take_texts(study, trial)
            self.state = max(self.state, 2 + len(trial.state))
            if has_signs(trial):
                self.signs = max(self.signs, measure_signs(trial))
            for metric, ends in self._ends.items():
                curve = trial.series.get(metric)
                curve_ends = find_curve_ends(curve.values) if curve is not None else None
                if curve_ends is not None:
                    ends[trial.number] = curve_ends

    def _take_texts(self, study: s.Study, trial: s.Trial) -> None:
        for key, field in self.fields.items():
            value = field.value(study, trial)
            form = self.formats[key] = self.formats[key].widen(value)
            text = form.write(value)
            self.texts[key] = max(self.texts.get(key, 0), _count_cells(form, text))
            margin = find_margin(trial, field, value)
            if margin is not None:
                self._margins[key] = max(self._margins.get(key, 0), _count_cells(form, form.write(margin)))

    def find_width(self, key: str) -> int:
        """Return the cells that a column's values take, with their ±."""
        return self.texts.get(key, 1) + self._find_point(key) + self.find_margin_cells(key)

    def find_margin_cells(self, key: str) -> int:
        """Return the cells of " ±0.031"; 0 where no trial has an interval."""
        return self._margins[key] + self._find_point(key) + 2 if key in self._margins else 0

    def _find_point(self, key: str) -> int:
        """The cells of the point and of what follows it."""
        form = self.formats[key]
        return form.decimals + (form.decimals > 0) if form.style == "fixed" else 0

    def fit_scales(self, numbers: Iterable[int]) -> None:
        """Fit the scale of each metric to the trials that are shown."""
        columns_shown = list(numbers)
        for metric, ends in self._ends.items():
            self._scales[metric] = find_common_scale(
                [ends[number] for number in columns_shown if number in ends]
            )

    def scale_of(self, metric: str) -> Scale:
        """Return the values at the foot and at the top of every sparkline of ``metric``."""
        return self._scales.get(metric, (0.0, 1.0))

    @property
    def scales(self) -> tuple[Scale, ...]:
        """Return the scales of all metrics."""
        return tuple(self._scales.values())

    @property
    def shape(self) -> tuple[object, ...]:
        """Return what the widths of columns depend on."""
        widths = tuple(self.find_width(key) for key in self.fields)
        decimals = tuple(form.decimals for form in self.formats.values())
        return (widths, decimals, self.signs, self.state)

    def format(self, key: str) -> ColumnFormat:
        """Return the format of a column."""
        return self.formats[key]


def find_margin(trial: s.Trial, field: Field, value: object) -> float | None:
    """Return the ± of a field's value; of a smoothed one none is known."""
    score = trial.scores.get(field.metric) if field.metric and field.reading != "smooth" else None
    return measure_half_width(score, value)


def _count_cells(form: ColumnFormat, text: str) -> int:
    """The cells of a text; of a fixed number those before its point, as its decimals may grow."""
    return len(text.partition(".")[0]) if form.style == "fixed" else len(text)


def find_curve_ends(values: Sequence[float]) -> Scale | None:
    """Return the lowest and the highest mean of a curve's stretches; None where it has no finite value."""
    size = max(1, math.ceil(len(values) / STRETCHES))
    means = [statistics.fmean(values[first : first + size]) for first in range(0, len(values), size)]
    finite = [mean for mean in means if math.isfinite(mean)]
    return (min(finite), max(finite)) if finite else None


def find_common_scale(ends: Sequence[Scale]) -> Scale:
    """Return one scale for many curves: from the lowest of all to where half of them begin. What is above it
    stands at the top, so that one bad curve does not flatten the others."""
    if not ends:
        return (0.0, 1.0)
    low, high = min(low for low, _ in ends), statistics.median(high for _, high in ends)
    length = high - low
    if length <= 0:
        return (low - 0.5, low + 0.5)
    grain = 10.0 ** math.floor(math.log10(length / GRAIN))
    return (math.floor(low / grain) * grain, math.ceil(high / grain) * grain)
