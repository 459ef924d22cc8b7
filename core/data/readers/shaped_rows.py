"""Reads the rows of one source in the form that training and checks share; the shape is chosen once."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator

from core.contract.spec.study_spec import DataOptions
from core.contract.text.sanitize import sanitize
from core.data.readers.column_guess import Columns
from core.data.readers.row_shape import Canonical, Raw, Shape
from core.data.readers.row_shape_choice import choose
from core.data.readers.row_values import list_texts
from core.errors import Problem, TrimtabError

SAMPLE = 200  # rows that the shape is chosen from
SAMPLE_CHARACTERS = 8 << 20  # fewer rows if they have more text than this


class ShapedRows:
    """The rows of a source, for one pass; only the first rows are held in memory.

    ``shape`` is None if there are no rows. ``notes`` say how the rows are read where that is no matter of
    course, ``unused`` which columns are not trained on. Raises TrimtabError if the rows fit no shape;
    ``where`` names their source; it is an UnknownColumnsError where the study file may name the columns.
    """

    def __init__(self, rows: Iterable[Raw], data: DataOptions, where: str) -> None:
        self._rows, self._fault = iter(rows), TrimtabError()
        self.notes: list[str] = []
        self.is_wrapped = False  # the rows are a list in a single object
        sample = self._read_sample()
        try:
            self.shape = choose(sample, data) if sample else None
        except TrimtabError as error:
            inner, key, shape = self._unwrap(sample, data, _add_location(error, where), where)
            self._rows, self.shape = iter(inner), shape
            sample, self.is_wrapped = self._read_sample(), True
            self.notes.append(f"the rows are the list {sanitize(key, 60)!r} of a single object")
        self._ahead = sample
        columns = Columns(sample, 0.0)
        self.notes += self.shape.notes if self.shape else ()
        self.unused = self.shape.list_unused(columns) if self.shape else []

    def __iter__(self) -> Iterator[Canonical]:
        return iter(()) if self.shape is None else map(self.shape.read, self.read_raw())

    def read_raw(self) -> Iterator[Raw]:
        """Yield the rows as they are in the source."""
        ahead, self._ahead = self._ahead, []
        yield from ahead
        if self._fault.problems:
            raise self._fault
        yield from self._rows

    def _read_sample(self) -> list[Raw]:
        """Read the first rows. A fault behind the first one is kept until its place is reached."""
        sample, size = list[Raw](), 0
        try:
            for row in itertools.islice(self._rows, SAMPLE):
                sample.append(row)
                size += _count_characters(row)
                if size > SAMPLE_CHARACTERS:
                    break
        except TrimtabError as error:
            if not sample:
                raise
            self._fault = error
        return sample

    def _unwrap(
        self, sample: list[Raw], data: DataOptions, error: TrimtabError, where: str
    ) -> tuple[list[Raw], str, Shape]:
        """Return the rows that a single object holds as a list, and their key. Raises TrimtabError: the given
        one if there are none, another if there are several such lists."""
        if len(sample) != 1 or self._fault.problems or next(self._rows, None) is not None:
            raise error
        row_lists = list(_find_lists_of_rows(sample[0], data))
        if not row_lists:
            raise error
        if len(row_lists) > 1:
            keys = ", ".join(key for _, key, _ in row_lists)
            path = f".[{json.dumps(row_lists[0][1])}]"
            raise TrimtabError.of(
                f"a single object holds rows under several keys: {sanitize(keys, 200)}",
                where,
                f"extract those to use: jq -c '{sanitize(path, 80)}[]' FILE > rows.jsonl",
            )
        return row_lists[0]


def _find_lists_of_rows(wrapper: Raw, data: DataOptions) -> Iterator[tuple[list[Raw], str, Shape]]:
    for key, value in wrapper.items():
        if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
            try:
                yield value, str(key), choose(value[:SAMPLE], data)
            except TrimtabError:
                continue


def _count_characters(row: Raw) -> int:
    try:
        return sum(map(len, list_texts(row)))
    except RecursionError:
        return SAMPLE_CHARACTERS


def _add_location(error: TrimtabError, where: str) -> TrimtabError:
    return type(error)(*(Problem(problem.what, where, problem.fix) for problem in error.problems))
