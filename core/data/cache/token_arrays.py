"""The tokenised rows of a study as flat arrays, and what was skipped of the rest: independent of the sequence
length that they are then cut to."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from core.evaluate.prompts.prompt_schema import Question

MASKED = -100  # torch's cross-entropy ignores these targets
END, INDEX, FIRST, SLICES, CUT = range(5)  # columns of ``TokenizedPart.rows``
COLUMNS = 5
NO_TARGET = 1 << 60  # the place of the first target of a row without one
Array = np.ndarray[Any, np.dtype[Any]]


class PartNotes(msgspec.Struct):
    """What is known of a part besides its arrays: ``count`` rows were read; ``slices`` are the names of
    slices that rows belong to, ``reasons`` why rows were skipped; ``missed`` counts answers that are not
    trained on, ``remarks`` rows, by reason."""

    count: int
    slices: list[tuple[str, ...]] = msgspec.field(default_factory=list)
    reasons: list[str] = msgspec.field(default_factory=list)
    missed: dict[str, int] = msgspec.field(default_factory=dict)
    remarks: dict[str, int] = msgspec.field(default_factory=dict)


@dataclass(frozen=True)
class TokenizedPart:
    """The rows of one part. ``ids`` and ``labels``, both (N,) int32, have the tokens of all rows, one after
    the other; ``rows``, (R, 5) int64, has for each row: where its tokens end, its index among the rows read,
    the place of its first target, its slices (an index), and whether it has more tokens than are held;
    ``dropped``, (D, 2) int64: the index of each skipped row, and the reason (an index)."""

    ids: Array
    labels: Array
    rows: Array
    dropped: Array
    notes: PartNotes

    def find_fault(self) -> str:
        """Why these arrays do not belong together; "" if they do."""
        ends = self.rows[:, END]
        if len(self.ids) != len(self.labels) or (len(ends) and ends[-1] != len(self.ids)):
            return "its arrays have different lengths"
        if np.any(np.diff(ends, prepend=0) < 0) or np.any(self.rows[:, SLICES] >= len(self.notes.slices)):
            return "its rows are out of range"
        return "its reasons are out of range" if np.any(self.dropped >= self._find_limits()) else ""

    def _find_limits(self) -> Array:
        return np.array([max(1, self.notes.count), max(1, len(self.notes.reasons))])

    @property
    def begins(self) -> Array:
        """Where the tokens of each row begin: (R,) int64."""
        return self.rows[:, END] - self.lengths

    @property
    def lengths(self) -> Array:
        """The tokens held of each row: (R,) int64."""
        return np.diff(self.rows[:, END], prepend=0)

    def find_learnable(self, length: int) -> Array:
        """The rows that have a target within ``length`` tokens; the first token is never predicted."""
        return np.flatnonzero(self.rows[:, FIRST] < np.minimum(self.lengths, length))

    def list_longer(self, length: int) -> Array:
        """The rows that have more tokens than ``length``."""
        return np.flatnonzero((self.lengths > length) | (self.rows[:, CUT] > 0))

    def count_longer(self, length: int) -> int:
        """How many rows have more tokens than ``length``."""
        return len(self.list_longer(length))

    def count_dropped(self, length: int) -> Counter[str]:
        """The rows without a target within ``length`` tokens, by reason, in the order in which they occur."""
        learnable = np.zeros(len(self.rows), bool)
        learnable[self.find_learnable(length)] = True
        late = self.rows[~learnable, INDEX]
        pairs = (
            [(int(late.min()), f"no target token within the first {length}", len(late))] if len(late) else []
        )
        for number, reason in enumerate(self.notes.reasons):
            indices = self.dropped[self.dropped[:, 1] == number, 0]
            pairs.append((int(indices.min()), reason, len(indices)))
        return Counter({reason: count for _, reason, count in sorted(pairs)})


@dataclass(frozen=True)
class TokenizedRows:
    """All rows of a study, with at most ``most`` tokens of each; the notes are those of reading them."""

    training: TokenizedPart
    validation: TokenizedPart
    facts: RowFacts

    def reaches(self, length: int) -> bool:
        """Whether all rows are held as far as ``length`` tokens."""
        cut = any(np.any(part.rows[:, CUT]) for part in (self.training, self.validation))
        return length <= self.facts.most or not cut


class RowFacts(msgspec.Struct, frozen=True):
    """What was found out when the rows were read: their format ``kind``, the ``system`` prompt of most, the
    questions among the validation rows and why others are none, and notes on columns and on the split."""

    most: int
    kind: str
    system: str = ""
    questions: list[Question] = []
    fault: str = ""
    notes: list[str] = []


@dataclass
class PartBuilder:
    """Collects the rows of a part."""

    count: int
    missed: Counter[str] = field(default_factory=Counter)
    remarks: Counter[str] = field(default_factory=Counter)
    _ids: array[int] = field(default_factory=lambda: array("i"))
    _labels: array[int] = field(default_factory=lambda: array("i"))
    _rows: array[int] = field(default_factory=lambda: array("q"))
    _dropped: array[int] = field(default_factory=lambda: array("q"))
    _slices: dict[tuple[str, ...], int] = field(default_factory=dict)
    _reasons: dict[str, int] = field(default_factory=dict)

    def add(
        self,
        indices: Sequence[int],
        ids: Array,
        targets: Array,
        ends: Array,
        slices: Sequence[tuple[str, ...]],
        is_cut: Array,
        faults: Mapping[int, str],
    ) -> None:
        """Add the rows at these ``indices``, (R,): their tokens, (N,) int32, which of them are targets, (N,)
        bool, and where those of each row end, (R,) int64. A row with a fault, by its place among them, is
        dropped."""
        if faults:
            for place, reason in faults.items():
                self.drop(indices[place], reason)
            kept_places = [at for at in range(len(indices)) if at not in faults]
            lengths = np.diff(ends, prepend=0)
            inside = np.repeat(np.isin(np.arange(len(indices)), kept_places), lengths)
            ids, targets, ends = ids[inside], targets[inside], np.cumsum(lengths[kept_places])
            indices, slices, is_cut = (
                [indices[at] for at in kept_places],
                [slices[at] for at in kept_places],
                is_cut[kept_places],
            )
        rows = np.empty((len(indices), COLUMNS), np.int64)
        rows[:, END], rows[:, INDEX], rows[:, CUT] = ends + len(self._ids), indices, is_cut
        rows[:, FIRST] = _find_first_targets(targets, ends)
        rows[:, SLICES] = [self._slices.setdefault(names, len(self._slices)) for names in slices]
        self._ids.frombytes(ids.tobytes())
        self._labels.frombytes(np.where(targets, ids, np.int32(MASKED)).tobytes())
        self._rows.frombytes(rows.tobytes())

    def drop(self, index: int, reason: str) -> None:
        """Skip a row."""
        self._dropped.extend((index, self._reasons.setdefault(reason, len(self._reasons))))

    def build(self) -> TokenizedPart:
        """Make the part."""
        notes = PartNotes(
            self.count, list(self._slices), list(self._reasons), dict(self.missed), dict(self.remarks)
        )
        return TokenizedPart(
            np.frombuffer(self._ids, np.int32),
            np.frombuffer(self._labels, np.int32),
            np.frombuffer(self._rows, np.int64).reshape(-1, COLUMNS),
            np.frombuffer(self._dropped, np.int64).reshape(-1, 2),
            notes,
        )


def _find_first_targets(targets: Array, ends: Array) -> Array:
    """The place of each row's first target, (R,) int64; the first token is none, as it is never predicted."""
    begins = np.concatenate(([0], ends[:-1]))[: len(ends)].astype(np.int64)
    predicted = targets.copy()
    predicted[begins[ends > begins]] = False
    places = np.append(np.flatnonzero(predicted), NO_TARGET)
    first = places[np.searchsorted(places, begins)]
    return np.where(first < ends, first - begins, NO_TARGET)
