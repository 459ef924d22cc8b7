"""Counts rows of a stream in which a check finds something, and keeps the first as examples."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from core.data.checks.check_finding import EXAMPLES, Example, Finding, Severity, count_share
from core.data.checks.masked_excerpt import excerpt_around, excerpt_masked
from core.data.stream.row_batches import RowBatch
from core.evaluate.statistics.confidence_intervals import share_interval

SHOWN_KINDS = 6
ENOUGH = 100  # rows: of fewer, a single one is more than 1 %
FEWEST_HITS = 2  # that keep a study of fewer rows from starting


class BatchCheck(Protocol):
    """A check that sees every row of a source, batch by batch."""

    def add(self, batch: RowBatch) -> None:
        """Take in the next rows."""

    def pack(self) -> Any:
        """Return what is kept, in types that msgpack has: another process may have read the rows."""

    def merge(self, packed: Any, first: int) -> None:
        """Take in what was kept of the rows that follow, of which the first is row ``first`` + 1."""

    def make_finding(self) -> Finding:
        """Return what was found in all rows."""


class Tally:
    """The number of rows read and hit; ``kinds`` counts the rows by what was found in them."""

    def __init__(self) -> None:
        self.rows, self.hits = 0, 0
        self.kinds = Counter[str]()
        self.examples: list[Example] = []

    def hit(
        self, row: int, text: Callable[[], str], *kinds: str, around: re.Pattern[str] | None = None
    ) -> None:
        """Count a row; the first are shown: the beginning of ``text``, or what surrounds a match of
        ``around``."""
        self.hits += 1
        self.kinds.update(kinds)
        if len(self.examples) < EXAMPLES:
            excerpt = excerpt_around(text(), around) if around else excerpt_masked(text())
            self.examples.append(Example(row, excerpt))

    def pack(self) -> tuple[Any, ...]:
        """Return what is kept, in types that msgpack has."""
        return (
            self.rows,
            self.hits,
            dict(self.kinds),
            [(example.row, example.text) for example in self.examples],
        )

    def merge(self, packed: Sequence[Any], first: int) -> None:
        """Take in the tally of the rows that follow, of which the first is row ``first`` + 1."""
        rows, hits, kinds, examples = packed
        self.rows += rows
        self.hits += hits
        self.kinds.update(kinds)
        room = EXAMPLES - len(self.examples)
        self.examples += [Example(row + first, text) for row, text in examples[:room]]

    def exceeds(self, most: float) -> bool:
        """Tell whether more than this share of the rows is hit, so that no study starts on them."""
        return is_beyond(self.hits, self.rows, most, self.rows)

    @property
    def share(self) -> float:
        """The share of rows hit; 0 without rows."""
        return self.hits / self.rows if self.rows else 0.0

    def list_kinds(self) -> str:
        """Return the kinds with their counts, the most common first."""
        return ", ".join(f"{kind}: {count:,}" for kind, count in self.kinds.most_common(SHOWN_KINDS))


class TallyCheck:
    """A check that keeps a tally and nothing else."""

    def __init__(self) -> None:
        self._tally = Tally()

    def pack(self) -> Any:
        """Return what is kept, in types that msgpack has."""
        return self._tally.pack()

    def merge(self, packed: Any, first: int) -> None:
        """Take in what was kept of the rows that follow, of which the first is row ``first`` + 1."""
        self._tally.merge(packed, first)


def is_beyond(hits: int, rows: int, most: float, all_rows: int) -> bool:
    """Tell whether more than the share ``most`` of ``rows`` is hit; in a source of fewer than ENOUGH
    ``all_rows`` the 95 % interval of the share must be beyond it, too, and no single row is enough."""
    if not rows or hits / rows <= most:
        return False
    return all_rows >= ENOUGH or (hits >= FEWEST_HITS and share_interval(hits, rows)[0] > most)


def make_tally_finding(
    name: str, tally: Tally, severity: Severity, remedy: str, detail: str | None = None, blocks: str = ""
) -> Finding:
    """Return the finding of a tally. ``detail``: the kinds, unless it is given; ``blocks``: the name under
    which the finding keeps a study from starting."""
    share, _ = count_share(tally.hits, tally.rows)
    detail = tally.list_kinds() if detail is None else detail
    if not tally.hits:
        return Finding(name, 0, tally.rows, Severity.NONE, share, detail=detail)
    examples = tuple(tally.examples)
    return Finding(name, tally.hits, tally.rows, severity, share, remedy, detail, examples, blocks=blocks)


def grade(share: float, medium: float, high: float) -> Severity:
    """Return the severity of a share: LOW below ``medium``, HIGH from ``high`` on."""
    return Severity.HIGH if share >= high else Severity.MEDIUM if share >= medium else Severity.LOW
