"""Which trials of a study are shown, and in which order, from those that changed alone."""

from __future__ import annotations

import math

from core.contract.state import best_and_counts
from core.contract.state import engine_state as s
from core.contract.views.trials.trial_fields import find_field, sort_key
from core.contract.views.trials.trial_filter import Context, FilterFault, TrialFilter, parse_filter
from tui.study_table.table_choice import TableChoice

Key = tuple[int, float, str]


class TrialSelection:
    """Keeps what the filter and the order say of each trial: a frame asks again only for trials that
    changed. ``fault`` is that of a filter that cannot be read; the one before it holds on."""

    def __init__(self) -> None:
        self._asked: tuple[object, ...] = ()
        self._seen: dict[int, s.Trial] = {}
        self._shown: dict[int, bool] = {}
        self._keys: dict[int, Key | None] = {}
        self._filter = TrialFilter()
        self.fault: FilterFault | None = None
        self.numbers: list[int] = []
        self.changed: list[s.Trial] = []  # since the last frame

    def update(self, study: s.Study, choice: TableChoice, marked: frozenset[int]) -> list[int]:
        """Return the numbers of the trials to show."""
        self._read_filter(study, choice.filter)
        best = best_and_counts.find_best(study)
        context = Context(study, best.number if best is not None else None, marked)
        always_shown = (context.best, marked) if self._filter.of_others else ()
        chosen_by = (study.name, id(study.spec), choice.order, choice.descending, self._filter, always_shown)
        if chosen_by != self._asked:
            self._asked = chosen_by
            self._seen, self._shown, self._keys = {}, {}, {}
        seen_keys = self._seen
        self.changed = [trial for number, trial in study.trials.items() if seen_keys.get(number) is not trial]
        if self.changed or len(seen_keys) != len(study.trials):
            self._take(context, choice)
        return self.numbers

    def _read_filter(self, study: s.Study, text: str) -> None:
        if text.strip() == self._filter.text and self.fault is None:
            return
        try:
            self._filter, self.fault = parse_filter(study, text), None
        except FilterFault as fault:
            self.fault = fault

    def _take(self, context: Context, choice: TableChoice) -> None:
        study = context.study
        field = find_field(study, choice.order) if choice.order else None
        for trial in self.changed:
            self._shown[trial.number] = self._filter.matches(context, trial)
            value = field.value(study, trial) if field is not None else trial.number
            missing = value is None or (isinstance(value, float) and not math.isfinite(value))
            self._keys[trial.number] = None if missing else sort_key(value)
        self._seen = dict(study.trials)
        shown_numbers = [number for number in study.trials if self._shown[number]]
        keyed_numbers = [(key, number) for number in shown_numbers if (key := self._keys[number]) is not None]
        keyed_numbers.sort(key=lambda pair: pair[0], reverse=choice.descending)
        self.numbers = [number for _, number in keyed_numbers]
        self.numbers += [number for number in shown_numbers if self._keys[number] is None]
