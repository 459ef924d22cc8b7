"""The checks that the rows of a study must pass before any trial trains on them, and their split.

A worker runs them while it reads the rows. What they found is kept by the contents of the files, so that
the next worker, and the next study on these rows, only reads the file.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from core import paths
from core.contract.spec.study_spec import DataOptions
from core.data.cache import cache_limit
from core.data.cache.cache_key import find_version, hash_code
from core.data.cache.file_sums import hash_file
from core.data.checks.blocking_findings import describe_allowed, find_blocking
from core.data.checks.check_finding import Finding
from core.data.copies.leaking_rows import divide_source, find_leaking, find_split_leaking
from core.data.copies.row_copy_index import RowPrints
from core.data.copies.validation_split import Division
from core.data.defects.fully_masked_rows import MaskedRows
from core.data.defects.template_faults import TemplateFaults
from core.data.readers.row_shape import Canonical
from core.data.stream.row_batches import BATCH_CHARACTERS, BATCH_ROWS, ReadRow, RowBatch, read_row
from core.data.stream.word_hashes import Indices
from core.errors import TrimtabError

LIBRARIES = ("numpy", "pyarrow")  # that read and compare rows
SEE = "`trimtab check` shows the rows"


class Known(msgspec.Struct, frozen=True):
    """What was found in the rows of a source: pairs of a row and its first exact, or near, copy;
    ``untrained`` are the indices of the rows that train nothing."""

    rows: int
    exact: list[tuple[int, int]]
    near: list[tuple[int, int]]
    untrained: list[int]
    findings: list[Finding]  # of the source alone
    leaking: Finding | None = None  # between two files


class StartReview:
    """Takes in the rows of a source, in the common form, one by one, then splits them and judges them."""

    def __init__(self, data: DataOptions) -> None:
        self._data = data
        self._place = _find_place(data)
        self._known = _read(self._place)
        if self._known is not None and self._known.leaking is None and isinstance(data.validation, str):
            self._known = None
        self._checks = (MaskedRows(), TemplateFaults())
        self._prints, self._batch, self._groups = RowPrints(), list[ReadRow](), list[Any]()
        self._count = self._size = 0  # rows, and characters of the batch
        self._leaking: Finding | None = None

    def take(self, row: Canonical) -> None:
        """Take in the next row."""
        self._count += 1
        if self._groups or (self._count == 1 and "group" in row):
            self._groups.append(row.get("group"))
        if self._known is None:
            self._batch.append(read_row(row, row, self._count))
            self._size += self._batch[-1].size
            if len(self._batch) == BATCH_ROWS or self._size >= BATCH_CHARACTERS:
                self._add()

    def divide(self, seed: int) -> Division:
        """Split the rows that were taken in by the share ``data.validation``."""
        copies = self._finish()
        exact, near_labels = _make_labels(self._count, copies.exact), _make_labels(self._count, copies.near)
        division = divide_source(exact, near_labels, copies.untrained, self._groups, self._data, seed)
        self._leaking = find_split_leaking(
            exact, near_labels, division, np.arange(1, self._count + 1), lambda _: {}
        )
        return division

    def compare(self, held: Iterable[Canonical]) -> None:
        """Compare with the validation rows, which have a source of their own."""
        if self._known is None or self._known.leaking is None:
            validation = RowPrints()
            rows = [read_row(row, row, number) for number, row in enumerate(held, 1)]
            for start in range(0, len(rows), BATCH_ROWS):
                validation.add(RowBatch(rows[start : start + BATCH_ROWS]))
            copies = self._finish()
            self._known = msgspec.structs.replace(
                copies, leaking=find_leaking(self._prints, validation, lambda _: {})
            )
        self._leaking = self._known.leaking

    def judge(self, key: str) -> list[str]:
        """Return notes on what ``data.allow`` lets pass. Raises TrimtabError for all that it does not;
        ``key`` is the place in the study file."""
        copies = self._finish()
        _keep(self._place, copies)
        findings = [*copies.findings, *([self._leaking] if self._leaking is not None else [])]
        problems = find_blocking(findings, self._data.allow, key)
        if problems:
            raise TrimtabError(*(replace(problem, fix=f"{problem.fix}; {SEE}") for problem in problems))
        return describe_allowed(findings, self._data.allow)

    def _add(self) -> None:
        batch = RowBatch(self._batch)
        self._batch, self._size = [], 0
        self._prints.add(batch)
        for check in self._checks:
            check.add(batch)

    def _finish(self) -> Known:
        if self._known is None:
            self._add()
            exact, near_labels = self._prints.exact_copies, self._prints.near_copies
            findings = [replace(check.make_finding(), examples=()) for check in self._checks]
            untrained = self._prints.untrained.tolist()
            self._known = Known(
                self._count, _list_pairs(exact), _list_pairs(near_labels), untrained, findings
            )
        return self._known


def _list_pairs(labels: Indices) -> list[tuple[int, int]]:
    copies = np.flatnonzero(labels != np.arange(len(labels)))
    return list(zip(copies.tolist(), labels[copies].tolist(), strict=True))


def _make_labels(count: int, pairs: list[tuple[int, int]]) -> Indices:
    labels = np.arange(count)
    if pairs:
        places, first = np.array(pairs).T
        labels[places] = first
    return labels


# -- what is kept ----------------------------------------------------------------------------------


def _find_place(data: DataOptions) -> Path | None:
    """Return the file of what this code finds in these contents, read with these keys; None if rows are not
    read from single files."""
    names = [data.source, *([data.validation] if isinstance(data.validation, str) else [])]
    files = [paths.expand_home(name) for name in names]
    if not all(map(Path.is_file, files)):
        return None
    code = hash_code(), *map(find_version, LIBRARIES)
    keys = (code, data.format, data.prompt_key, data.completion_key, data.messages_key, data.text_key,
            data.where)  # fmt: skip
    digest = hashlib.blake2b(repr((keys, isinstance(data.validation, str))).encode(), digest_size=20)
    try:
        for file in files:
            name, content = file.name, hash_file("data.source", file)
            digest.update(f"\0{name}\0{content}\0".encode(errors="surrogateescape"))
        return paths.cache() / f"checks-{digest.hexdigest()}.json"
    except (OSError, TrimtabError):  # the reader reports it
        return None


def _read(place: Path | None) -> Known | None:
    with contextlib.suppress(OSError, ValueError):
        if place is not None:
            with open(place, "rb", opener=paths.open_without_link) as file:
                cache_limit.touch(place)
                return msgspec.json.decode(file.read(), type=Known)
    return None


def _keep(place: Path | None, known: Known) -> None:
    if place is not None and not place.exists():
        cache_limit.keep(place, msgspec.json.encode(known))
