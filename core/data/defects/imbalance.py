"""Finds columns whose values are very unequally common: labels, sources, tasks, and short answers."""

from __future__ import annotations

from collections import Counter
from typing import Any

from core.contract.text.sanitize import sanitize
from core.data.checks.check_finding import Finding, Severity
from core.data.checks.row_tally import Tally, make_tally_finding
from core.data.stream.row_batches import RowBatch

NAME = "imbalance"
COLUMNS = ("label", "source", "task", "category", "topic", "language")
_NAMES = frozenset(COLUMNS)
ANSWER = "answer"  # short answers with few values are labels
SHORT = 40  # characters of a value: a column with a longer one is not of classes
MOST_VALUES = 50  # more are no classes
RATIO = 20  # between the most and the least common value
GRAVE_RATIO = 100
SHOWN = 5
REMEDY = "collect rows of the rare values, or weight the sources; watch the validation loss of each"


class Imbalance:
    """Counts the values of known columns."""

    def __init__(self) -> None:
        self._rows = 0
        self._counts: dict[str, Counter[str]] = {name: Counter() for name in (*COLUMNS, ANSWER)}

    def add(self, batch: RowBatch) -> None:
        """Take in the next rows."""
        self._rows += len(batch.rows)
        for row in batch.rows:
            for name in () if _NAMES.isdisjoint(row.raw) else COLUMNS:
                if isinstance(value := row.raw.get(name), str | int):
                    self._count(name, str(value))
            if row.texts is not None and row.texts.answers and ANSWER in self._counts:
                self._count(ANSWER, row.texts.answers[-1].strip())

    def _count(self, name: str, value: str) -> None:
        counts = self._counts.get(name)
        if counts is None:
            return
        counts[value] += 1
        if len(counts) > MOST_VALUES or len(value) > SHORT:
            del self._counts[name]

    def pack(self) -> Any:
        """Return what is kept, in types that msgpack has."""
        return self._rows, {name: dict(counts) for name, counts in self._counts.items()}

    def merge(self, packed: Any, first: int) -> None:
        """Take in what was kept of the rows that follow."""
        rows, later = packed
        self._rows += rows
        for name in [*self._counts]:
            self._counts[name].update(later.get(name, {}))
            if name not in later or len(self._counts[name]) > MOST_VALUES:
                del self._counts[name]

    def make_finding(self) -> Finding:
        """Return the unequal columns; hits are the rows of their rare values."""
        tally, details, grave = Tally(), list[str](), False
        tally.rows = self._rows
        for name, counts in self._counts.items():
            most = max(counts.values(), default=0)
            rare = {value: count for value, count in counts.items() if count * RATIO <= most}
            if len(counts) > 1 and rare and most > RATIO:
                tally.hits = max(tally.hits, sum(rare.values()))
                grave |= min(rare.values()) * GRAVE_RATIO <= most
                details.append(f"{name}: {_list_shares(counts)}")
        severity = Severity.MEDIUM if grave else Severity.LOW
        return make_tally_finding(NAME, tally, severity, REMEDY, "; ".join(details))


def _list_shares(counts: Counter[str]) -> str:
    ranked, total = counts.most_common(), counts.total()
    listed = ranked if len(ranked) <= SHOWN else [*ranked[: SHOWN - 1], ranked[-1]]
    return ", ".join(
        f"{sanitize(value, 30) or '(empty)'} {100 * count / total:.3g} %" for value, count in listed
    )
