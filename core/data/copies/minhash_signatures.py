"""MinHash signatures of rows, and the clusters of rows that learn nearly the same text.

A signature has 128 slots, the first 96 of them in 32 bands (Broder 1997; Leskovec et al., Mining of Massive
Datasets, chapter 3): rows that agree in a band are compared by all slots. Two rows are near copies if they
share half of their sequences of three words. The slots estimate that share with a standard error of 0.044, so
the estimate needs to reach LEAST only: a pair at 0.55 is found, with 99 of 100 others like it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from core.data.stream.row_batches import RowBatch
from core.data.stream.word_hashes import Indices, mix

LEAST = 0.45  # estimated share of sequences in common
FEWEST = 8  # sequences of a row that is compared: short answers are alike by chance
SLOTS, BANDS, IN_BAND = 128, 32, 3
FACTORS = np.random.default_rng(20).integers(0, 1 << 31, SLOTS, np.uint32) * 2 + 1  # odd: a permutation each
COMPARED = 1 << 16  # pairs compared at once
LOW_BYTE = 1 / 256  # probability that two different slots agree in the byte that is kept


class NearPrints(NamedTuple):
    """The signatures of some rows: the index of each row (S,), a hash of each band (S, 32), and the last
    byte of each slot (S, 128)."""

    rows: Indices
    bands: npt.NDArray[np.uint32]
    slots: npt.NDArray[np.uint8]


EMPTY = NearPrints(np.empty(0, np.int64), np.empty((0, BANDS), np.uint32), np.empty((0, SLOTS), np.uint8))


def print_batch(batch: RowBatch, first: int) -> NearPrints:
    """Return the signatures of the rows that learn enough text; ``first`` is the index of the first row."""
    learnt = batch.is_learnt[batch.triples.text]
    row = batch.row_of[batch.triples.text[learnt]]
    counts = np.bincount(row, minlength=len(batch.rows))
    enough = np.flatnonzero(counts >= FEWEST)
    if not len(enough):
        return EMPTY
    begins = np.concatenate([[0], np.cumsum(counts[enough])[:-1]])
    flat = batch.triples.hashes[learnt][(counts >= FEWEST)[row]]
    return _shorten(enough + first, _digest((flat >> np.uint64(32)).astype(np.uint32), begins))


def _digest(hashes: npt.NDArray[np.uint32], begins: Indices) -> npt.NDArray[np.uint32]:
    """Return the smallest of each row's hashes by each permutation (128, S); ``begins``: where those of
    each row begin."""
    slots, permuted = np.empty((SLOTS, len(begins)), np.uint32), np.empty_like(hashes)
    for place, factor in enumerate(FACTORS):
        np.multiply(hashes, factor, out=permuted)
        np.minimum.reduceat(permuted, begins, out=slots[place])
    return slots


def _shorten(rows: Indices, slots: npt.NDArray[np.uint32]) -> NearPrints:
    total = np.zeros((BANDS, len(rows)), np.uint64)
    for place in range(IN_BAND):
        total = mix(total + slots[place * BANDS : (place + 1) * BANDS])
    return NearPrints(rows, total.T.astype(np.uint32), slots.T.astype(np.uint8))


def cluster(prints: NearPrints) -> Indices:
    """Return a label for each signature (S,), the same for near copies and for copies of these."""
    roots = np.arange(len(prints.rows))
    for band in range(BANDS):
        left, right = _find_neighbours(prints.bands[:, band])
        apart = roots[left] != roots[right]
        left, right = left[apart], right[apart]
        alike = _compare_signatures(prints.slots, left, right)
        roots = _unite(roots, left[alike], right[alike])
    return roots


def _find_neighbours(keys: npt.NDArray[np.uint32]) -> tuple[Indices, Indices]:
    """Return pairs of signatures with the same key: each with the first of them and with the one before
    it."""
    order = np.argsort(keys, kind="stable")
    begins = np.concatenate([[True], keys[order[1:]] != keys[order[:-1]]]) if len(keys) else np.empty(0, bool)
    inside = np.flatnonzero(~begins)
    leaders = np.maximum.accumulate(np.where(begins, np.arange(len(keys)), 0))
    distant = inside[leaders[inside] < inside - 1]
    left = np.concatenate([order[inside - 1], order[leaders[distant]]])
    return left, np.concatenate([order[inside], order[distant]])


def _compare_signatures(slots: npt.NDArray[np.uint8], left: Indices, right: Indices) -> npt.NDArray[np.bool_]:
    """Tell which pairs share LEAST of their sequences, by their slots."""
    needed_sum = LEAST + (1 - LEAST) * LOW_BYTE
    parts = [
        (slots[left[at : at + COMPARED]] == slots[right[at : at + COMPARED]]).mean(axis=1) >= needed_sum
        for at in range(0, len(left), COMPARED)
    ]
    return np.concatenate(parts) if parts else np.empty(0, bool)


def _unite(roots: Indices, left: Indices, right: Indices) -> Indices:
    """Join the clusters of each pair; a cluster's root is its first signature."""
    parents: dict[int, int] = {}

    def find(at: int) -> int:
        while (above := parents.get(at, at)) != at:
            parents[at] = at = parents.get(above, above)
        return at

    for root, other_root in zip(roots[left].tolist(), roots[right].tolist(), strict=True):
        low, high = sorted((find(root), find(other_root)))
        parents[high] = low
    if not parents:
        return roots
    changed = np.fromiter(parents, np.int64, len(parents))
    final = np.fromiter((find(at) for at in parents.copy()), np.int64, len(parents))
    moved = np.arange(len(roots))
    moved[changed] = final
    return moved[roots]
