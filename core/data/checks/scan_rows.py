"""Scans the rows of a source: all for evaluation prompts, a random sample for what is slow to find."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from core.contract.spec.study_spec import DataOptions
from core.contract.text.sanitize import plain
from core.data.checks.check_finding import EXAMPLES, Finding
from core.data.checks.evaluation_rows import Match, PromptIndex, describe_matches, match_row
from core.data.checks.personal_rows import find_personal
from core.data.checks.refusing_rows import find_refusing
from core.data.checks.row_sample import Reservoir
from core.data.checks.toxic_rows import find_toxic
from core.data.readers.row_texts import RowTexts, readable
from core.data.readers.source_files import Source
from core.errors import TrimtabError, in_line

SAMPLED = 1_000  # rows, 20 s: more would not narrow an interval that the detector's errors widen
MOST_READ = 200_000  # rows of a source
TOLD = 50  # rows between two progress reports
REASONS = 3  # shown for rows that are left out
CHECKS: dict[str, Callable[[Iterator[RowTexts]], Finding]] = {
    "personal data": find_personal, "toxic text": find_toxic, "refusals": find_refusing,
}  # fmt: skip
Tell = Callable[[str], None]  # what the scan is doing, in a few words


@dataclass(frozen=True)
class Scan:
    """The findings in one source; ``notes`` say what was not read and why."""

    source: Source
    read: int = 0  # rows with text
    sampled: int = 0
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()


def scan(source: Source, data: DataOptions, index: PromptIndex, size: int, tell: Tell) -> Scan:
    """Read a source in one pass and run all checks; ``size`` is that of the sample. Raises nothing for bad
    data: what was readable before a fault is scanned."""
    if source.reason:
        return Scan(source, notes=(f"not scanned: {source.reason}",))
    reader = _Reader(source, data, index, size, tell)
    reader.read()
    sample = reader.reservoir.sample()
    notes = (*reader.notes, *_cut_note(sample))
    if not sample:
        return Scan(source, notes=notes)
    findings = [check(_telling(sample, name, tell)) for name, check in CHECKS.items()]
    read = reader.reservoir.count
    return Scan(source, read, len(sample), (*findings, describe_matches(reader.matches, read)), notes)


class _Reader:
    """Samples the rows, and compares each with the evaluation prompts."""

    def __init__(self, source: Source, data: DataOptions, index: PromptIndex, size: int, tell: Tell) -> None:
        self._source, self._data, self._index, self._tell = source, data, index, tell
        self.reservoir = Reservoir[RowTexts](size)
        self.matches: list[Match] = []
        self.notes: list[str] = []

    def read(self) -> None:
        """Read up to MOST_READ rows, or up to the first fault."""
        skipped = Counter[str]()
        try:
            for row in readable(self._read_limited(), self._data, skipped):
                self.reservoir.add(row)
                match = match_row(row, self._index, len(self.matches) < EXAMPLES)
                self.matches += [match] if match else []
        except TrimtabError as error:
            self.notes.append(f"the scan ends here: {in_line(error)}")
        if skipped:
            reasons = "; ".join(f"{count}: {reason}" for reason, count in skipped.most_common(REASONS))
            self.notes.append(f"rows without usable text: {skipped.total()} ({plain(reasons, 300)})")

    def _read_limited(self) -> Iterator[dict[str, Any]]:
        name = plain(self._source.name, 60)
        for number, row in enumerate(itertools.islice(self._source.rows(), MOST_READ + 1)):
            if number == MOST_READ:
                self.notes.append(f"only the first {MOST_READ:,} rows are read")
                return
            if number % TOLD == 0:
                self._tell(f"reading {name}, {number:,} rows")
            yield row


def _telling(rows: Sequence[RowTexts], name: str, tell: Tell) -> Iterator[RowTexts]:
    for number, row in enumerate(rows):
        if number % TOLD == 0:
            tell(f"looking for {name}, {number:,} of {len(rows):,} rows")
        yield row


def _cut_note(sample: Sequence[RowTexts]) -> list[str]:
    cut = sum(row.is_cut for row in sample)
    return [f"long rows of which only the beginning is scanned: {cut}"] if cut else []
