"""Finds validation rows that are also among the training rows: their loss measures memory."""

from __future__ import annotations

import numpy as np

from core.contract.spec.study_spec import DataOptions
from core.data.checks.check_finding import EXAMPLES, Example, Finding
from core.data.checks.masked_excerpt import excerpt_masked
from core.data.checks.row_tally import Tally, finding_of, grade
from core.data.copies.duplicate_rows import Fetch
from core.data.copies.row_prints import RowPrints
from core.data.copies.validation_split import divide, first_copies
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
    both = RowPrints.joined(train, held)
    exact, near = both.exact_copies, both.near_copies
    is_copy, is_near = exact[count:] < count, near[count:] < count
    return _describe(np.flatnonzero(is_near), int(is_copy.sum()), len(held), FILE_REMEDY, fetch)


def find_split_leaking(prints: RowPrints, data: DataOptions, seed: int, fetch: Fetch) -> Finding:
    """Return the finding for the rows that a study splits off by itself."""
    assert not isinstance(data.validation, str)
    exact, near = prints.exact_copies, prints.near_copies
    rows, together = plan_split(exact, near, data)
    division = divide(rows, prints.groups, together, data.validation, seed)
    held = np.array(division.held, np.int64)
    is_near, is_copy = (np.isin(labels[held], labels[division.train]) for labels in (near, exact))
    return _describe(held[is_near], int(is_copy.sum()), len(held), SPLIT_REMEDY, fetch)


def plan_split(exact: Indices, near: Indices, data: DataOptions) -> tuple[list[int], list[int]]:
    """Return the rows that are kept, and for each row of the source the first copy that it stays together
    with, as ``data.deduplicate`` says."""
    kept = {"exact": exact, "near": near}.get("exact" if data.deduplicate is True else str(data.deduplicate))
    rows = list(range(len(exact))) if kept is None else first_copies(kept.tolist())
    return rows, (near if data.deduplicate == "together" else exact).tolist()


def _describe(leaking: Indices, exact: int, rows: int, remedy: str, fetch: Fetch) -> Finding:
    tally = Tally()
    tally.rows, tally.hits = rows, len(leaking)
    shown = leaking[:EXAMPLES].tolist()
    texts = fetch(shown)
    tally.examples = [Example(at + 1, excerpt_masked(texts.get(at, ""))) for at in shown]
    detail = f"{exact:,} are equal to a training row, {tally.hits - exact:,} nearly" if tally.hits else ""
    blocks = BLOCKS if tally.share > MOST else ""
    return finding_of(NAME, tally, grade(tally.share, 0.0, MOST), remedy, detail, blocks)
