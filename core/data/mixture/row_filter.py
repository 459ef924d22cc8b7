"""Keeps the rows of a source whose columns have given values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

Raw = dict[str, Any]


def keep_rows(opened: Callable[[], Iterable[Raw]], where: Mapping[str, Any]) -> Callable[[], Iterable[Raw]]:
    """Return what opens the same rows again, but only those that match ``where``: a value for each column, or
    a list of values. Values are compared as text, since a CSV file has nothing else."""
    if not where:
        return opened
    allowed_values = {
        column: {_format_value(value) for value in (values if isinstance(values, list | tuple) else [values])}
        for column, values in where.items()
    }

    def matching() -> Iterator[Raw]:
        return (
            row
            for row in opened()
            if all(_format_value(row.get(key)) in texts for key, texts in allowed_values.items())
        )

    return matching


def _format_value(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
