"""Finds validation rows that are also among the training rows: their loss measures memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from core.contract.spec.study_spec import DataOptions
from core.data.checks.check_finding import EXAMPLES, Example, Finding
from core.data.checks.masked_excerpt import excerpt_masked
from core.data.checks.row_tally import Tally, grade, is_beyond, make_tally_finding
from core.data.copies.duplicate_rows import Fetch
from core.data.copies.row_copy_index import RowPrints, spare_groups
from core.data.copies.validation_split import Division, divide, find_first_copies
from core.data.stream.word_hashes import Indices

NAME = "validation rows that are also trained on"
MOST = 0.01  # more keeps a study from starting
BLOCKS = "leakage"
FILE_REMEDY = (
    "remove them from one of the two files: `trimtab clean` splits a file so that no copy is on both sides"
)
SPLIT_REMEDY = 'set data.deduplicate = "near" (leaves copies out) or "together" (keeps them on one side)'


def find_leaking(train: RowPrints, held: RowPrints, fetch: Fetch) -> Finding:
    """Return the finding for a validation file; ``fetch`` reads its rows."""
    count = len(train)
    prints = RowPrints.join(train, held)
    exact, near_labels = prints.exact_copies, prints.near_copies
    is_copy, is_near = exact[count:] < count, near_labels[count:] < count
    leaking = np.flatnonzero(is_near)
    finding = _describe(leaking, int(is_copy.sum()), len(held), FILE_REMEDY, held.numbers, fetch)
    return _block(finding, len(prints))


def divide_source(
    exact: Indices,
    near: Indices,
    untrained: Sequence[int],
    groups: Sequence[Any],
    data: DataOptions,
    seed: int,
) -> Division:
    """Split the rows of a source as a study does: the share ``data.validation``, without the copies that
    ``data.deduplicate`` leaves out. ``exact`` and ``near`` have the index of the first copy of each row;
    ``untrained`` are the rows that train nothing."""
    assert not isinstance(data.validation, str)
    choice = "exact" if data.deduplicate is True else data.deduplicate
    dropped = {"exact": exact, "near": spare_groups(exact, near, groups)}.get(str(choice))
    rows = range(len(exact)) if dropped is None else find_first_copies(dropped.tolist())
    copies = (near if choice == "together" else exact).tolist()
    division = divide(rows, groups, copies, data.validation, seed, untrained)
    count = len(exact) - len(rows)
    note = (f"{count:,} of {len(exact):,} rows are left out as {choice} duplicates",) if count else ()
    return replace(division, notes=(*note, *division.notes))


def find_split_leaking(
    exact: Indices, near: Indices, division: Division, numbers: Indices, fetch: Fetch
) -> Finding:
    """Return the finding for rows that a study splits off by itself; ``numbers`` are those of all rows."""
    held_out = np.array(division.held, np.int64)
    is_near, is_copy = (np.isin(labels[held_out], labels[division.train]) for labels in (near, exact))
    finding = _describe(held_out[is_near], int(is_copy.sum()), len(held_out), SPLIT_REMEDY, numbers, fetch)
    finding = replace(finding, detail="; ".join(filter(None, [finding.detail, division.unheld])))
    return _block(finding, len(exact))


def _block(finding: Finding, all_rows: int) -> Finding:
    is_blocking = is_beyond(finding.hits, finding.rows, MOST, all_rows)
    return replace(finding, blocks=BLOCKS) if is_blocking else finding


def _describe(
    leaking: Indices, exact: int, rows: int, remedy: str, numbers: Indices, fetch: Fetch
) -> Finding:
    tally = Tally()
    tally.rows, tally.hits = rows, len(leaking)
    example_rows = leaking[:EXAMPLES].tolist()
    texts = fetch(example_rows)
    tally.examples = [Example(int(numbers[at]), excerpt_masked(texts.get(at, ""))) for at in example_rows]
    detail = f"{exact:,} are equal to a training row, {tally.hits - exact:,} nearly" if tally.hits else ""
    return make_tally_finding(NAME, tally, grade(tally.share, 0.0, MOST), remedy, detail)
