"""The values of a knob that any trial of a study may have."""

from __future__ import annotations

from core.contract.spec.knob_table import ANONYMISED, KNOBS
from core.contract.spec.search_space import Choice
from core.contract.spec.study_spec import StudySpec


def find_extent(spec: StudySpec, name: str) -> tuple[float, float]:
    """Return the smallest and the largest value of the knob: of the space if it is searched, else twice the
    value in ``[train]``.

    The value under a condition that does not hold is included.
    """
    dimension = spec.space.get(name)
    if dimension is None:
        values: list[object] = [spec.train[name]]
    else:
        values = list(dimension.values) if isinstance(dimension, Choice) else [dimension.low, dimension.high]
        if dimension.when:
            values.append(KNOBS[name].default if dimension.otherwise is None else dimension.otherwise)
    numbers = [float(value) for value in values if isinstance(value, int | float)]
    return min(numbers), max(numbers)


def may_anonymise(spec: StudySpec) -> bool:
    """Return whether any trial of the study may be trained on rows with placeholders for personal data."""
    name, dimension = "anonymise", spec.space.get("anonymise")
    values = [spec.study.fixed.get(name)]
    if isinstance(dimension, Choice):
        values += [*dimension.values, dimension.otherwise]
    else:
        values.append(spec.train.get(name))
    return ANONYMISED in values


def find_longest_sequence(spec: StudySpec) -> int:
    """Return the longest sequence_length of any trial: rows are stored, and all trials are evaluated, at this
    length."""
    return int(find_extent(spec, "sequence_length")[1])
