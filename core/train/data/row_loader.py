"""Loads rows from the demo, a file, a folder or a hub data set, and splits off the validation rows."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from core import paths
from core.contract.spec.study_spec import DataOptions, StudySpec
from core.contract.text.sanitize import plain
from core.data.checks.start_review import StartReview
from core.data.copies.validation_split import divide
from core.data.readers import local_files
from core.errors import TrimtabError
from core.train.progress_callback import Progress

DEMO = "demo:stdlib"
COUNTED = 1000  # rows between two progress reports
Raw = dict[str, Any]
Opened = Callable[[], Iterable[Raw]]  # yields the rows again at each call


def load(spec: StudySpec, progress: Progress, notes: list[str] | None = None) -> tuple[list[Raw], list[Raw]]:
    """Load the raw training and validation rows; notes for the user are added to ``notes``.

    With ``data.rows`` only the rows that are used are held in memory. Raises TrimtabError.
    """
    data, seed = spec.data, spec.study.seed
    notes = [] if notes is None else notes
    opened = _open(data, data.source, data.split, "data.source", progress)
    review = None if data.source.startswith("demo:") else StartReview(data)
    rows = _Rows(
        opened, keeps=data.rows is None, label=Path(data.source).name, progress=progress, review=review
    )
    _refuse_wrapped(rows, data, "data.source", data.source)
    held: list[Raw] | None = None
    if isinstance(data.validation, str):
        held = list(_open_validation(data, progress)())
        chosen, others = list(range(rows.count)), list[int]()
        if review is not None:
            review.compare(held)
    else:
        chosen, others, told = rows.divide(data.validation, seed, review)
        notes += told
    notes += review.judge(f"data.source = {data.source!r}") if review is not None else []
    if data.rows is not None and len(chosen) > data.rows:
        chosen = random.Random(seed + 1).sample(chosen, data.rows)
    train, validation = rows.at(chosen, others)
    validation = validation if held is None else held
    for name, part in (("train on", train), ("validate on", validation)):
        if not part:
            raise TrimtabError.of(
                f"no rows are left to {name}: the source has {rows.count}",
                f"data.source = {data.source!r}",
                "add rows, or set data.validation to another share or file",
            )
    return train, validation


class _Rows:
    """The rows of a source, counted; held in memory with ``keeps``, else read again on selection."""

    def __init__(
        self,
        opened: Opened,
        keeps: bool,
        label: str,
        progress: Progress,
        review: StartReview | None = None,
    ) -> None:
        self._opened, self._kept = opened, list[Raw]()
        self._keeps = keeps or isinstance(opened(), list)
        self.count, self.first = 0, dict[str, Any]()
        self.groups: list[Any] = []  # the group of each row, if the first row has one
        for row in opened():
            if self.count % COUNTED == 0:
                progress(f"reading {label}", self.count, 0, "rows")
                self.first = self.first or row
            if "group" in self.first:
                self.groups.append(row.get("group"))
            if review is not None:
                review.take(row)
            if self._keeps:
                self._kept.append(row)
            self.count += 1

    def at(self, *indices: list[int]) -> tuple[list[Raw], ...]:
        """The rows at these indices, in the order of each list."""
        if self._keeps:
            return tuple([self._kept[index] for index in part] for part in indices)
        wanted = {index for part in indices for index in part}
        rows = {index: row for index, row in enumerate(self._opened()) if index in wanted}
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


def _refuse_wrapped(rows: _Rows, data: DataOptions, key: str, source: str) -> None:
    """Raise TrimtabError for a file with one object that holds the rows under one of its keys."""
    known = {data.messages_key, data.prompt_key, data.completion_key, data.text_key}
    for name, value in rows.first.items() if rows.count == 1 and not known & set(rows.first) else ():
        if isinstance(value, list) and value and isinstance(value[0], dict) and known & set(value[0]):
            path = f".{name}" if name.isidentifier() else f".[{json.dumps(name)}]"
            raise TrimtabError.of(
                f"the file is a single object that holds {len(value)} rows under the key {name!r}",
                f"{key} = {source!r}",
                f"extract them: jq -c '{plain(path, 80)}[]' FILE > rows.jsonl",
            )


def _open_validation(data: DataOptions, progress: Progress) -> Opened:
    """Open the rows of ``data.validation``: a separate file or folder, else a split of the source."""
    value = str(data.validation)
    if _looks_local(value) or paths.expand_home(value).exists():
        opened = _open(data, value, "train", "data.validation", progress)
        rows = _Rows(opened, keeps=True, label=Path(value).name, progress=progress)
        _refuse_wrapped(rows, data, "data.validation", value)
        return lambda: rows.at(list(range(rows.count)))[0]
    if local_files.kind(data.source) is not None:
        raise TrimtabError.of(
            "the file does not exist, and a single file has no splits",
            f"data.validation = {value!r}",
            "give a share such as 0.1, or the path of an existing file",
        )
    return _open(data, data.source, value, "data.validation", progress)


def _looks_local(source: str) -> bool:
    return source.startswith(("/", ".", "~")) or local_files.kind(source) is not None


def _open(data: DataOptions, source: str, split: str, key: str, progress: Progress) -> Opened:
    """Open ``source``. Raises TrimtabError that names ``key``."""
    where = f"{key} = {source!r}"
    if source == DEMO:
        from core.train.data import stdlib_pairs

        pairs = stdlib_pairs.load_pairs(progress)
        return lambda: pairs
    if source.startswith("demo:"):
        raise TrimtabError.of(f"unknown demo data {source!r}", key, f"use {DEMO!r}")
    path = paths.expand_home(source)
    if _looks_local(source) and not path.exists():
        raise TrimtabError.of("the file does not exist", where, "check the path")
    if path.is_file() and path.stat().st_size == 0:
        raise TrimtabError.of("the file is empty", where, "use a file with rows")
    if path.is_file() and local_files.kind(source) is None:
        known = ", ".join(local_files.READERS)
        raise TrimtabError.of("this file type is not supported", where, f"supported types: {known}")
    if path.is_file():
        return lambda: local_files.rows(path, key)
    from core.train.data import hub_datasets

    progress(f"reading {Path(source).name}", 0, 0, "")
    rows = hub_datasets.read(data, source, split, key)
    return lambda: rows
