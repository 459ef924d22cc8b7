"""Finds rows that are copies of earlier ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np

from core.data.checks.check_finding import EXAMPLES, Example, Finding
from core.data.checks.masked_excerpt import excerpt_masked
from core.data.checks.row_tally import Tally, grade, make_tally_finding
from core.data.copies.row_copy_index import MOST_NEAR, RowPrints, spare_groups
from core.data.stream.word_hashes import Indices

EXACT, NEAR = "exact duplicates", "near duplicates"
SOME, MANY = 0.01, 0.1
EXACT_REMEDY = 'data.deduplicate = "exact" leaves them out, `trimtab clean` writes a file without them'
NEAR_REMEDY = 'data.deduplicate = "near" leaves them out; "together" keeps them on one side of the split'
Fetch = Callable[[Iterable[int]], Mapping[int, str]]  # the text of rows, by their index


def find_duplicates(prints: RowPrints, fetch: Fetch) -> list[Finding]:
    """Return the findings of exact and of near copies. Later copies are counted, not the first of each."""
    exact, near_labels = prints.exact_copies, prints.near_copies
    own = np.arange(len(exact))
    others = spare_groups(exact, near_labels, prints.groups)
    only_near = np.where((exact == own) & (others != own), others, own)
    inside = int(((exact == own) & (near_labels != own) & (others == own)).sum())
    notes = [f"only the first {MOST_NEAR:,} rows are compared"] * prints.is_partial
    notes += [f"{inside:,} more are in the group of their first copy"] * bool(inside)
    return [
        _describe(EXACT, exact, EXACT_REMEDY, prints.numbers, fetch),
        _describe(NEAR, only_near, NEAR_REMEDY, prints.numbers, fetch, "; ".join(notes)),
    ]


def _describe(
    name: str, first: Indices, remedy: str, numbers: Indices, fetch: Fetch, note: str = ""
) -> Finding:
    tally = Tally()
    later = np.flatnonzero(first != np.arange(len(first)))
    tally.rows, tally.hits = len(first), len(later)
    example_rows = later[:EXAMPLES].tolist()
    texts = fetch(example_rows)
    tally.examples = [
        Example(int(numbers[at]), f"like row {numbers[first[at]]}: {excerpt_masked(texts.get(at, ''))}")
        for at in example_rows
    ]
    sizes = np.unique(first[later], return_counts=True)[1] + 1
    detail = (
        f"texts that occur more than once: {len(sizes):,}, one of them {sizes.max():,} times"
        if len(later)
        else ""
    )
    return make_tally_finding(
        name, tally, grade(tally.share, SOME, MANY), remedy, "; ".join(filter(None, [detail, note]))
    )
