"""Loads rows from the demo, a file, a folder or a hub data set, and splits off the validation rows."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from core.contract.spec.study_spec import DataOptions, StudySpec
from core.contract.text.sanitize import sanitize
from core.data.checks.start_review import StartReview
from core.data.copies.validation_split import divide
from core.data.mixture.row_filter import keep_rows
from core.data.readers import source_files
from core.data.readers.row_shape import Canonical
from core.data.readers.shaped_rows import ShapedRows
from core.data.readers.source_files import Source
from core.data.stream.fast_jsonl_reader import read_rows
from core.errors import TrimtabError
from core.train.progress_callback import Progress

DEMO = "demo:stdlib"
COUNTED = 1000  # rows between two progress reports
Raw = dict[str, Any]
Rows = list[Canonical]
Opened = Callable[[], Iterable[Raw]]  # yields the raw rows again at each call


def load(spec: StudySpec, progress: Progress, notes: list[str] | None = None) -> tuple[Rows, Rows]:
    """Load the training and validation rows, each in the form that ``row_shape`` describes; notes for the
    user are added to ``notes``.

    With ``data.rows`` only the rows that are used are held in memory. Raises TrimtabError.
    """
    data, seed = spec.data, spec.study.seed
    notes = [] if notes is None else notes
    source = source_files.find_source(data, "data.source", data.source, data.split)
    opened = keep_rows(open_source(data, source, data.split, progress), data.where)
    review = None if data.source.startswith("demo:") else StartReview(data)
    rows = _Rows(opened, data, "data.source", progress, keeps=data.rows is None, review=review)
    notes += rows.notes
    held_out: Rows | None = None
    if isinstance(data.validation, str):
        checked = keep_rows(_open_validation(data, progress), data.where)
        held_rows = _Rows(checked, data, "data.validation", progress, keeps=True)
        (held_out,) = held_rows.at(list(range(held_rows.count)))
        notes += [f"validation: {note}" for note in held_rows.notes if note not in rows.notes]
        chosen, held_places = list(range(rows.count)), list[int]()
        if review is not None:
            review.compare(held_out)
    else:
        chosen, held_places, split_notes = rows.divide(data.validation, seed, review)
        notes += split_notes
    notes += review.judge(f"data.source = {data.source!r}") if review is not None else []
    if data.rows is not None and len(chosen) > data.rows:
        chosen = random.Random(seed + 1).sample(chosen, data.rows)
    train, validation = rows.at(chosen, held_places)
    validation = validation if held_out is None else held_out
    matching = f" that match where = {data.where}" if data.where else ""
    for name, part in (("train on", train), ("validate on", validation)):
        if not part:
            raise TrimtabError.of(
                f"no rows are left to {name}: the source has {rows.count}{matching}",
                f"data.source = {data.source!r}",
                "add rows, or set data.validation to another share or file",
            )
    return train, validation


class _Rows:
    """The rows of a source, counted; held in memory with ``keeps``, else read again on selection. ``key``
    is "data.source" or "data.validation"."""

    def __init__(
        self,
        opened: Opened,
        data: DataOptions,
        key: str,
        progress: Progress,
        keeps: bool,
        review: StartReview | None = None,
    ) -> None:
        self._kept, self._keeps = Rows(), keeps
        name = str(getattr(data, key.removeprefix("data.")))
        self._read = partial(_read_shaped, opened, data, f"{key} = {name!r}")
        self.count, first = 0, Canonical()
        self.groups: list[Any] = []  # the group of each row, if the first row has one
        shaped = self._read()
        for row in shaped:
            if self.count % COUNTED == 0:
                progress(f"reading {Path(name).name}", self.count, 0, "rows")
                first = first or row
            if "group" in first:
                self.groups.append(row.get("group"))
            if review is not None:
                review.take(row)
            if self._keeps:
                self._kept.append(row)
            self.count += 1
        unused = sanitize(", ".join(shaped.unused), 200)
        self.notes = [*([f"columns that are not trained on: {unused}"] if unused else []), *shaped.notes]

    def at(self, *indices: list[int]) -> tuple[Rows, ...]:
        """The rows at these indices, in the order of each list."""
        if self._keeps:
            return tuple([self._kept[index] for index in part] for part in indices)
        wanted_rows = {index for part in indices for index in part}
        rows = {index: row for index, row in enumerate(self._read()) if index in wanted_rows}
        return tuple([rows[index] for index in part] for part in indices)

    def divide(
        self, share: float, seed: int, review: StartReview | None
    ) -> tuple[list[int], list[int], list[str]]:
        """The indices of training and validation rows, and notes for the user."""
        if review is not None:
            division = review.divide(seed)
        else:
            division = divide(range(self.count), self.groups, range(self.count), share, seed)
        return division.train, division.held, list(division.notes)


def _read_shaped(opened: Opened, data: DataOptions, location: str) -> ShapedRows:
    return ShapedRows(opened(), data, location)


def _open_validation(data: DataOptions, progress: Progress) -> Opened:
    """Open the rows of ``data.validation``: a separate file or folder, else a split of the source."""
    value = str(data.validation)
    source = source_files.find_validation(data, value)
    is_split = source.name != value
    return open_source(data, source, value if is_split else source_files.DEFAULT_SPLIT, progress)


def open_source(data: DataOptions, source: Source, split: str, progress: Progress) -> Opened:
    """Open ``source``. Raises TrimtabError that names its key."""
    if source.files:
        return partial(read_rows, source, is_exact=True)
    location = f"{source.key} = {source.name!r}"
    if source.key == "data.validation" and source.name == data.source:
        location = f"{source.key} = {split!r}, a split of {source.name!r}"
    if not source.is_elsewhere:
        raise TrimtabError.of(source.reason, location, source.fix)
    if source.name == DEMO:
        from core.train.data import stdlib_pairs

        pairs = stdlib_pairs.load_pairs(progress)
        return lambda: pairs
    if source.name.startswith("demo:"):
        raise TrimtabError.of(f"unknown demo data {source.name!r}", source.key, f"use {DEMO!r}")
    from core.train.data import hub_datasets

    progress(f"reading {Path(source.name).name}", 0, 0, "")
    return hub_datasets.open_rows(data, source.name, split, source.key)
