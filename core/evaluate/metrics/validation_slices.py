"""Slices of the validation rows: a mean may fall while one slice gets worse."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from core.contract.metric_score import Score
from core.evaluate.statistics.confidence_intervals import Numbers, find_largest, ratio

SMALLEST = 5  # rows of a slice; with fewer, a single row dominates
MOST = 12  # slices by columns, those with the most rows
LONGEST = 40  # characters of a value in a slice's name
QUARTERS = 4


def make_slice_name(column: str, value: object) -> str:
    """Return the name of a slice, such as ``task:long_sums``, without characters that a limit, a file or a
    curve's name cannot have."""
    name = re.sub(r"[^\w.+-]+", "_", str(value)).strip("_")[:LONGEST]
    return f"{column}:{name}" if name else ""


def name_quarters(lengths: Sequence[int]) -> list[str]:
    """Return each row's quarter by length, named by its shortest and longest length; rows of one length share
    a quarter. "" for all if there are too few rows."""
    if len(lengths) < QUARTERS * SMALLEST:
        return ["" for _ in lengths]
    order = sorted(lengths)
    bounds = sorted({order[len(order) * part // QUARTERS] for part in range(1, QUARTERS)})
    places = [sum(length >= bound for bound in bounds) for length in lengths]
    lengths_by_place = {
        place: [length for length, other in zip(lengths, places, strict=True) if other == place]
        for place in set(places)
    }
    return [
        make_slice_name("length", f"{min(lengths_by_place[place])}-{max(lengths_by_place[place])}")
        for place in places
    ]


def group_rows(parts: Sequence[Sequence[str]], lengths: Sequence[int]) -> dict[str, list[int]]:
    """Return the rows of each slice that is large enough: the largest by columns, and those by length."""
    slices: dict[str, list[int]] = {}
    for row, names in enumerate(parts):
        for name in dict.fromkeys(names):
            slices.setdefault(name, []).append(row)
    large = {name: rows for name, rows in slices.items() if name and len(rows) >= SMALLEST}
    largest_names = sorted(large, key=lambda name: (-len(large[name]), name))[:MOST]
    slices = {name: large[name] for name in sorted(largest_names)}
    for row, name in enumerate(name_quarters(lengths)):
        if name:
            slices.setdefault(name, []).append(row)
    return {name: rows for name, rows in slices.items() if len(rows) >= SMALLEST}


def compute_slice_losses(
    sums: Numbers, tokens: Numbers, slices: Mapping[str, Sequence[int]]
) -> dict[str, Score]:
    """Return the loss of each slice, from its rows' sums in nats and their targets. nats/token, lower is
    better.

    Missing rows are left out, and so is a slice with too few remaining rows.
    """
    scores = {}
    for name, rows in slices.items():
        present = [row for row in rows if row < len(sums)]
        if len(present) >= SMALLEST:
            scores[name] = ratio([sums[row] for row in present], [tokens[row] for row in present])
    return scores


def find_worst(slices: Mapping[str, Score]) -> tuple[str, Score]:
    """Return the slice with the largest loss, and its score. nats/token, lower is better."""
    if not slices:
        return "", Score.without_value(f"no slice has {SMALLEST} rows or more")
    return find_largest(slices)
