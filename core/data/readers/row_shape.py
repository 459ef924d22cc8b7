"""How the rows of a source are brought into one form, which training and checks share.

Such a row has ``messages`` (turns), or ``prompt`` and ``completion`` (texts, or lists of turns) and perhaps
``system``, or ``text``; also ``tools`` and the columns of KEPT. ``unusable`` is the reason of a row that
does not fit; with ``unwanted`` it fits, but its answer is labelled false.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from core.contract.text.sanitize import sanitize
from core.data.readers import column_guess as guess
from core.data.readers.column_guess import Columns
from core.data.readers.row_values import UnusableRow

# Columns with other uses: slices of the validation rows, the split, and questions with choices.
KEPT = (
    "source", "task", "label", "category", "topic", "group", "choices", "question", "answer", "answerKey",
)  # fmt: skip
_KEPT = frozenset(KEPT)
READ_ELSEWHERE = ("group", "choices", "question", "answer", "answerKey")  # never told to be unused
Raw = dict[str, Any]
Canonical = dict[str, Any]


@dataclass(frozen=True)
class Shape:
    """How the rows of a source are read. ``notes`` say why, where it was guessed; ``used`` are the columns
    that are trained on."""

    convert: Callable[[Raw], Canonical]
    used: tuple[str, ...]
    notes: tuple[str, ...] = ()
    verdict: str = ""  # column that says whether an answer is wanted

    def read(self, raw: Raw) -> Canonical:
        """Bring a row into the common form. Raises nothing: the row may be ``unusable``."""
        extras = {} if _KEPT.isdisjoint(raw) else {name: raw[name] for name in KEPT if name in raw}
        if self.verdict and (verdict := str(raw.get(self.verdict)).lower()) != "true":
            reason = f"{self.verdict} is {sanitize(verdict, 20)}: only answers labelled true are learnt"
            return extras | {"unusable": reason, "unwanted": True}
        try:
            return extras | self.convert(raw) if extras else self.convert(raw)
        except UnusableRow as error:
            return extras | {"unusable": str(error)}
        except RecursionError:
            return extras | {"unusable": "its values are nested too deeply"}

    def list_unused(self, columns: Columns) -> list[str]:
        """Return the filled columns that nothing in training reads."""
        used = {*self.used, *READ_ELSEWHERE, self.verdict}
        return [name for name in columns.list_filled() if name not in used]


def add_verdict(shape: Shape, columns: Columns) -> Shape:
    """Leave out the rows that a column of true and false calls unwanted, as in data for KTO."""
    column = columns.find(guess.VERDICTS)
    if not column or not all(map(guess.is_verdict, columns.list_values(column))):
        return shape
    note = f"read as KTO: only rows whose {column!r} is true are learnt"
    return replace(shape, verdict=column, notes=(*shape.notes, note))
