"""Finds validation rows of a source of a mixture that another of its sources trains on."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np

from core.contract.spec.study_spec import DataOptions
from core.data.checks.check_finding import EXAMPLES, Example, Finding
from core.data.checks.masked_excerpt import excerpt_masked
from core.data.checks.row_tally import Tally, grade, make_tally_finding
from core.data.copies.duplicate_rows import Fetch
from core.data.copies.row_copy_index import RowPrints
from core.data.stream.word_hashes import Indices

NAME = "validation rows that other sources train on"
MOST = 0.01  # more that are nearly equal are of high severity
REMEDY = "leave these rows out of one of the sources, by its `where` or by another file"
MOST_NEAR = 500_000  # rows with a signature of all sources together: 130 MB, and twice that while they join
UNUSED, TRAINED, HELD = range(3)


class MixtureCopies:
    """The fingerprints of the rows of all sources of a mixture."""

    def __init__(self) -> None:
        self._prints, self._is_near = RowPrints(), True
        self._names, self._fetches = list[str](), list[Fetch]()
        self._first, self._sides = [0], list[Indices]()  # of each source: its first row, its rows' sides

    def add(
        self, name: str, prints: RowPrints, train: Sequence[int], held: Sequence[int], fetch: Fetch
    ) -> None:
        """Take in rows of the source ``name``; ``train`` and ``held`` are the indices of those that are
        trained on and judged on."""
        sides = np.zeros(len(prints), np.int64)
        sides[np.asarray(train, np.int64)], sides[np.asarray(held, np.int64)] = TRAINED, HELD
        sides[prints.untrained] = UNUSED
        self._is_near &= len(self._prints.near.rows) + len(prints.near.rows) <= MOST_NEAR
        self._prints = RowPrints.join(self._prints, prints)
        self._names.append(name)
        self._fetches.append(fetch)
        self._first.append(len(self._prints))
        self._sides.append(sides)

    def find_leaking(self) -> Finding:
        """Return the finding; of what is equal, training keeps the validation row alone."""
        sides = np.concatenate([*self._sides, np.zeros(0, np.int64)])
        names = list(dict.fromkeys(self._names))
        source_of_row = np.repeat([names.index(name) for name in self._names], np.diff(self._first))
        held_rows, tally = np.flatnonzero(sides == HELD), Tally()
        labels = self._prints.near_copies if self._is_near else self._prints.exact_copies
        leaking = held_rows[_find_trained_elsewhere(labels, source_of_row, sides, held_rows)]
        equal = int(_find_trained_elsewhere(self._prints.exact_copies, source_of_row, sides, held_rows).sum())
        tally.rows, tally.hits = len(held_rows), len(leaking)
        for at in leaking[:EXAMPLES].tolist():
            original = np.flatnonzero(
                (labels == labels[at]) & (sides == TRAINED) & (source_of_row != source_of_row[at])
            )[0]
            tally.examples.append(self._make_example(at, int(original)))
        near_count = tally.hits - equal
        detail = f"{equal:,} are equal: training leaves them out of the other sources" if tally.hits else ""
        detail += f"; {near_count:,} are nearly equal to rows that are trained on" if near_count else ""
        notes = [] if self._is_near else [f"only equal rows are found among more than {MOST_NEAR:,}"]
        severity = grade(near_count / max(1, tally.rows), 1e-9, MOST)
        return make_tally_finding(
            NAME, tally, severity, REMEDY, "; ".join([detail, *notes] if detail else notes)
        )

    def _make_example(self, at: int, original: int) -> Example:
        part, other = (int(np.searchsorted(self._first, row, "right")) - 1 for row in (at, original))
        inside, numbers = at - self._first[part], self._prints.numbers
        text = excerpt_masked(self._fetches[part]([inside]).get(inside, ""))
        place = f"of {self._names[part]}, like row {numbers[original]} of {self._names[other]}"
        return Example(int(numbers[at]), f"{place}: {text}")


def choose_trained(train: Sequence[int], data: DataOptions, seed: int) -> Sequence[int]:
    """Return the rows that a study trains on of those that it may."""
    if data.rows is None or len(train) <= data.rows:
        return train
    return random.Random(seed + 1).sample(train, data.rows)


def _find_trained_elsewhere(
    labels: Indices, source_of_row: Indices, sides: Indices, held_rows: Indices
) -> np.ndarray:
    """Tell for each of ``held_rows`` whether a source other than its own trains on a row with its label."""
    count, train = int(source_of_row.max(initial=0)) + 1, np.flatnonzero(sides == TRAINED)
    pairs = np.unique(labels[train] * count + source_of_row[train])
    sources = np.bincount(pairs // count, minlength=len(labels) + 1)[labels[held_rows]]
    own = np.isin(labels[held_rows] * count + source_of_row[held_rows], pairs)
    result: np.ndarray = sources - own > 0
    return result
