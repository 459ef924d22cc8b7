"""Slices of the validation rows: a mean may fall while one of them gets worse."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from core.contract.board_score import Score
from core.evaluate.statistics.confidence_intervals import Numbers, largest, ratio

SMALLEST = 5  # rows: with fewer, one row says all
MOST = 12  # slices by columns that are followed, those with the most rows
LONGEST = 40  # characters of a value in a slice's name
QUARTERS = 4


def named(column: str, value: object) -> str:
    """Such as ``task:long_sums``: without what a limit, a file or a curve's name could not hold."""
    told = re.sub(r"[^\w.+-]+", "_", str(value)).strip("_")[:LONGEST]
    return f"{column}:{told}" if told else ""


def quarters(lengths: Sequence[int]) -> list[str]:
    """Each row's quarter by length, named by its shortest and longest: rows of one length share a quarter.
    "" for all where there are too few."""
    if len(lengths) < QUARTERS * SMALLEST:
        return ["" for _ in lengths]
    order = sorted(lengths)
    bounds = sorted({order[len(order) * part // QUARTERS] for part in range(1, QUARTERS)})
    places = [sum(length >= bound for bound in bounds) for length in lengths]
    known = {
        place: [length for length, other in zip(lengths, places, strict=True) if other == place]
        for place in set(places)
    }
    return [named("length", f"{min(known[place])}-{max(known[place])}") for place in places]


def followed(parts: Sequence[Sequence[str]], lengths: Sequence[int]) -> dict[str, list[int]]:
    """The rows of each slice that is large enough: by columns the largest, and by length."""
    found: dict[str, list[int]] = {}
    for row, several in enumerate(parts):
        for name in dict.fromkeys(several):
            found.setdefault(name, []).append(row)
    large = {name: rows for name, rows in found.items() if name and len(rows) >= SMALLEST}
    kept = sorted(large, key=lambda name: (-len(large[name]), name))[:MOST]
    found = {name: large[name] for name in sorted(kept)}
    for row, name in enumerate(quarters(lengths)):
        if name:
            found.setdefault(name, []).append(row)
    return {name: rows for name, rows in found.items() if len(rows) >= SMALLEST}


def losses(sums: Numbers, tokens: Numbers, slices: Mapping[str, Sequence[int]]) -> dict[str, Score]:
    """The loss of each slice, from its rows' sums in nats and their targets. nats/token, lower is better.
    Rows that are not there are left out, and so is a slice of which too few are."""
    found = {}
    for name, rows in slices.items():
        there = [row for row in rows if row < len(sums)]
        if len(there) >= SMALLEST:
            found[name] = ratio([sums[row] for row in there], [tokens[row] for row in there])
    return found


def worst(slices: Mapping[str, Score]) -> tuple[str, Score]:
    """The slice with the largest loss, and its score. nats/token, lower is better."""
    if not slices:
        return "", Score.unsaid(f"no slice has {SMALLEST} rows")
    return largest(slices)
