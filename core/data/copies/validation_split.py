"""Splits rows into training and validation rows, so that copies and groups are on one side."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

Copies = Sequence[int]  # the index of the first copy of each row, itself for a row without one


@dataclass(frozen=True)
class Division:
    """The indices of training and validation rows, both ascending, and notes for the user. ``unheld`` says
    which copies are too many for the validation rows."""

    train: list[int]
    held: list[int]
    notes: tuple[str, ...] = ()
    unheld: str = ""


def find_first_copies(copies: Copies) -> list[int]:
    """Return the rows that remain when each later copy is dropped."""
    return [at for at, first in enumerate(copies) if at == first]


def divide(
    rows: Sequence[int],
    groups: Sequence[Any],
    copies: Copies,
    share: float,
    seed: int,
    untrained: Collection[int] = (),
) -> Division:
    """Choose a random ``share`` of ``rows`` for validation. Rows of one group stay together, and so do
    copies.

    ``groups`` and ``copies`` have an entry for every row of the source; without a column "group",
    ``groups`` is empty. ``untrained`` rows train nothing: none is chosen while there are others. Without
    these, copies and groups the choice depends on the seed and the number of rows alone.
    """
    left_out = frozenset(untrained)
    candidates = [at for at in rows if at not in left_out] or list(rows)
    fault = _find_groups_fault(groups, rows) or _find_groups_fault(groups, candidates)
    units = groups if groups and not fault else range(len(copies))  # of each row: its group, or itself
    items = sorted({groups[at] for at in candidates}) if units is groups else candidates
    random.Random(seed).shuffle(items)
    count = min(len(items), max(1, round(share * len(items))))
    linked = _link(rows, units, copies)
    held_items = _take(items, linked, count)
    notes = [f"the column 'group' is not used to split the rows: {fault}"] if fault else []
    is_forced = bool(items) and not held_items
    if is_forced:
        held_items = set(items[:count])
        notes.append(
            "most rows are copies of each other, so copies of training rows are among the validation rows"
        )
    if units is groups:
        notes.append(
            f"rows of a group stay together: {len(held_items)} of {len(items)} groups are for validation"
        )
    noun = "groups" if units is groups else "rows"
    unheld = _describe_unheld(linked, count, noun) if not is_forced else ""
    notes += [unheld] if unheld else []
    train = [at for at in rows if units[at] not in held_items]
    return Division(train, [at for at in rows if units[at] in held_items], tuple(notes), unheld)


def _describe_unheld(linked: dict[Hashable, set[Hashable]], held: int, noun: str) -> str:
    """Say how many units have more copies than the validation rows have room for; "" if none has."""
    count = sum(len(together) > held for together in linked.values())
    if not count:
        return ""
    return (
        f"{count:,} {noun} are never validation rows, as each has more copies than the {held:,} {noun} "
        "that are held out: data.deduplicate leaves copies out"
    )


def _take(items: Sequence[Hashable], linked: dict[Hashable, set[Hashable]], count: int) -> set[Hashable]:
    """Take items in their order, each with all that are linked to it, as long as there is room for these."""
    taken_items = set[Hashable]()
    for item in items:
        if len(taken_items) >= count:
            break
        together = linked.get(item, {item})
        if item not in taken_items and len(taken_items) + len(together) <= count:
            taken_items |= together
    return taken_items


def _link(rows: Sequence[int], units: Sequence[Hashable], copies: Copies) -> dict[Hashable, set[Hashable]]:
    """Return, for each unit with a copy in another one, all units that are connected with it."""
    by_copy = defaultdict[int, set[Hashable]](set)
    for at in rows:
        if copies[at] != at:
            by_copy[copies[at]] |= {units[at], units[copies[at]]}
    linked: dict[Hashable, set[Hashable]] = {}
    for together in by_copy.values():
        joined = together.union(*(linked[unit] for unit in together if unit in linked))
        linked.update(dict.fromkeys(joined, joined))
    return linked


def _find_groups_fault(groups: Sequence[Any], rows: Iterable[int]) -> str:
    """Why these rows cannot be split by their groups; "" if they can, or have none."""
    listed = [groups[at] for at in rows] if groups else []
    if not listed:
        return ""
    kinds = {type(group) for group in listed}
    if type(None) in kinds:
        return f"{sum(group is None for group in listed)} rows have no group"
    if kinds not in ({str}, {int}):
        return "its values are neither all texts nor all integers"
    return "all rows have the same group" if len(set(listed)) == 1 else ""
