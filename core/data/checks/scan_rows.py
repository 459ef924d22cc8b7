"""Scans the rows of a source in one pass: all of them, and a random sample for what is slow to find."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from core.contract.spec.study_spec import DataOptions
from core.contract.text.sanitize import plain
from core.data.checks.check_finding import EXAMPLES, Finding
from core.data.checks.evaluation_rows import Match, PromptIndex, describe_matches, match_batch
from core.data.checks.language_mix import find_languages
from core.data.checks.personal_rows import find_personal
from core.data.checks.refusing_rows import find_refusing
from core.data.checks.row_sample import Reservoir
from core.data.checks.row_tally import BatchCheck
from core.data.checks.toxic_rows import find_toxic
from core.data.copies.contaminated_rows import ContaminatedRows, KnownTexts
from core.data.copies.duplicate_rows import find_duplicates
from core.data.copies.leaking_rows import divide_source, find_leaking, find_split_leaking
from core.data.copies.row_fingerprints import RowPrints
from core.data.defects.boilerplate import Boilerplate
from core.data.defects.damaged_text import DamagedText
from core.data.defects.empty_rows import EmptyRows
from core.data.defects.imbalance import Imbalance
from core.data.defects.masked_rows import MaskedRows
from core.data.defects.row_lengths import CutRows, RowLengths
from core.data.defects.template_faults import TemplateFaults
from core.data.readers.row_texts import RowTexts
from core.data.readers.source_files import Source
from core.data.stream.fast_rows import read_rows, read_shaped
from core.data.stream.row_batches import RowBatch, batches, read_row
from core.errors import TrimtabError, in_line

SAMPLED = 1_000  # rows, 20 s: more would not narrow an interval that the detector's errors widen
MOST_READ = 10_000_000  # rows of a source
TOLD = 50  # rows of the sample between two progress reports
REASONS = 3  # shown for rows that are left out
CHECKS: dict[str, Callable[[Iterator[RowTexts]], Finding]] = {
    "personal data": find_personal, "toxic text": find_toxic, "refusals": find_refusing,
    "languages": find_languages,
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


@dataclass(frozen=True)
class ScanOptions:
    """What a scan needs to know of the study. ``length``: the tokens that training keeps of a row."""

    data: DataOptions
    prompts: PromptIndex
    size: int = SAMPLED  # of the sample
    seed: int = 0
    length: int | None = None
    known: KnownTexts | None = None


def scan_all(sources: Sequence[Source], options: ScanOptions, tell: Tell) -> Iterator[Scan]:
    """Scan the sources of a study in turn: training rows, then validation rows if they have a source of
    their own. Raises nothing for bad data: what was readable before a fault is scanned."""
    train: RowPrints | None = None
    for source in sources:
        scanned = _SourceScan(source, options, tell)
        yield scanned.run(train)
        train = scanned.prints if source is sources[0] else train


class _SourceScan:
    """Runs all checks on a source in one pass; those that are slow, on a sample."""

    def __init__(self, source: Source, options: ScanOptions, tell: Tell) -> None:
        self._source, self._options, self._tell = source, options, tell
        self._checks = list_checks(options.length, options.known)
        self._matches = list[Match]()
        self._notes, self._skipped = list[str](), Counter[str]()
        self._reservoir = Reservoir[RowTexts](options.size)
        self.prints = RowPrints()

    def run(self, train: RowPrints | None) -> Scan:
        """Return the findings; validation rows are compared with those of ``train``."""
        if self._source.reason:
            return Scan(self._source, notes=(f"not scanned: {self._source.reason}",))
        self._read()
        sample = self._reservoir.sample()
        notes = (*self._notes, *_cut_note(sample))
        if not self._reservoir.count:
            return Scan(self._source, notes=notes)
        checks = CHECKS if sample else {}  # their errors take seconds to measure
        findings = [check(_telling(sample, name, self._tell)) for name, check in checks.items()]
        self._tell("comparing rows")
        findings += [describe_matches(self._matches, self._reservoir.count)]
        findings += [check.finding() for check in self._checks]
        findings += [*find_duplicates(self.prints, self._fetch), *self._find_leaking(train)]
        return Scan(self._source, self._reservoir.count, len(sample), tuple(findings), notes)

    def _find_leaking(self, train: RowPrints | None) -> list[Finding]:
        if train is not None:
            return [find_leaking(train, self.prints, self._fetch)]
        if isinstance(self._options.data.validation, str):
            return []
        exact, near = self.prints.exact_copies, self.prints.near_copies
        untrained, groups = self.prints.untrained.tolist(), self.prints.groups
        division = divide_source(exact, near, untrained, groups, self._options.data, self._options.seed)
        return [find_split_leaking(exact, near, division, self._fetch)]

    def _read(self) -> None:
        """Read up to MOST_READ rows, or up to the first fault."""
        try:
            rows = read_shaped(self._source, self._options.data, self._read_limited())
            self._notes += rows.notes
            for batch in batches(rows):
                self._add(batch)
        except TrimtabError as error:
            self._notes.append(f"the scan ends here: {in_line(error)}")
        if self._skipped:
            reasons = "; ".join(f"{count}: {reason}" for reason, count in self._skipped.most_common(REASONS))
            self._notes.append(f"rows that training skips: {self._skipped.total()} ({plain(reasons, 300)})")

    def _add(self, batch: RowBatch) -> None:
        for row in batch.rows:
            if row.texts is not None:
                self._reservoir.add(row.texts)
            else:
                self._skipped[row.fault] += 1
        self._matches += match_batch(batch, self._options.prompts, EXAMPLES - len(self._matches))
        self.prints.add(batch)
        for check in self._checks:
            check.add(batch)

    def _read_limited(self) -> Iterator[dict[str, Any]]:
        name, total, done = plain(self._source.name, 60), self._source.size_bytes, 0

        def count(size: int) -> None:
            nonlocal done
            done += size

        for number, row in enumerate(itertools.islice(read_rows(self._source, count), MOST_READ + 1)):
            if number == MOST_READ:
                self._notes.append(f"only the first {MOST_READ:,} rows are read")
                return
            if number % TOLD == 0:
                share = f"{min(99, 100 * done // total)} %, " if total and done else ""
                self._tell(f"reading {name}, {share}{number:,} rows")
            yield row

    def _fetch(self, numbers: Iterable[int]) -> dict[int, str]:
        """Return the text of rows, by their index: the file is read again up to the last of them."""
        wanted = set(numbers)
        if not wanted:
            return {}
        rows = enumerate(itertools.islice(read_shaped(self._source, self._options.data), max(wanted) + 1))
        read = (read_row(row, row, at + 1) for at, row in rows if at in wanted)
        return {row.number - 1: " ".join(row.texts.learnt or row.texts.context) for row in read if row.texts}


def list_checks(length: int | None, known: KnownTexts | None) -> list[BatchCheck]:
    """Return the checks that see every row."""
    checks: list[BatchCheck] = [EmptyRows(), MaskedRows(), TemplateFaults(), DamagedText(), RowLengths()]
    checks += [Boilerplate(), Imbalance()]
    checks += [CutRows(length)] if length is not None else []
    return [*checks, *([ContaminatedRows(known)] if known is not None else [])]


def _telling(rows: Sequence[RowTexts], name: str, tell: Tell) -> Iterator[RowTexts]:
    for number, row in enumerate(rows):
        if number % TOLD == 0:
            tell(f"looking for {name}, {number:,} of {len(rows):,} rows")
        yield row


def _cut_note(sample: Sequence[RowTexts]) -> list[str]:
    cut = sum(row.is_cut for row in sample)
    return [f"long rows of which only the beginning is scanned: {cut}"] if cut else []
