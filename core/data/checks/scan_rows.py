"""Scans the rows of a source in one pass: all of them, and a random sample for what is slow to find."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from core import paths
from core.contract.text.sanitize import sanitize
from core.data.checks.check_finding import Finding
from core.data.checks.language_mix import find_languages
from core.data.checks.person_name_rows import find_named
from core.data.checks.personal_rows import find_personal
from core.data.checks.refusing_rows import find_refusing
from core.data.checks.toxic_rows import find_toxic
from core.data.copies.duplicate_rows import Fetch, find_duplicates
from core.data.copies.leaking_rows import divide_source, find_leaking, find_split_leaking
from core.data.copies.row_copy_index import RowPrints
from core.data.readers.row_texts import RowTexts
from core.data.readers.source_files import Source
from core.data.scan.row_tallies import ScanOptions
from core.data.scan.source_reader import SourceReader
from core.errors import Problem, TrimtabError, join_in_line

MOST_READ = 10_000_000  # rows of a source
TOLD = 50  # rows of the sample between two progress reports
REASONS = 3  # shown for rows that are left out
CHECKS: dict[str, Callable[[Iterator[RowTexts]], Finding]] = {
    "personal data": find_personal, "toxic text": find_toxic, "refusals": find_refusing,
    "languages": find_languages,
}  # fmt: skip
Tell = Callable[[str], None]  # what the scan is doing, in a few words
Progress = Callable[[int, int], None]  # bytes that are read, and those of all files
Keep = Callable[[RowPrints, Sequence[int], Sequence[int], Fetch], None]


@dataclass(frozen=True)
class Scan:
    """The findings in one source; ``notes`` say what was not read and why. ``faults``: why training cannot
    read what is there; a file that is missing may be on another machine."""

    source: Source
    read: int = 0  # rows with text
    sampled: int = 0
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()
    faults: tuple[Problem, ...] = ()


def show_nothing(done: int, total: int) -> None:
    """Show no progress."""


def scan_all(
    sources: Sequence[Source],
    options: ScanOptions,
    tell: Tell,
    progress: Progress = show_nothing,
    keep: Keep | None = None,
) -> Iterator[Scan]:
    """Scan the sources of a study in turn: training rows, then validation rows if they have a source of
    their own. ``tell`` gets in words what the scan does, ``progress`` the bytes read and those of all files;
    ``keep`` gets the fingerprints of the rows, the indices of those that are trained on and of those that are
    held out, and what reads rows again. Raises nothing for bad data: what was readable before a fault is
    scanned."""
    train: RowPrints | None = None
    for source in sources:
        scanned = _SourceScan(source, options, tell, progress, keep)
        yield scanned.run(train)
        train = scanned.prints if source is sources[0] else train


class _SourceScan:
    """Runs all checks on a source in one pass; those that are slow, on a sample."""

    def __init__(
        self, source: Source, options: ScanOptions, tell: Tell, progress: Progress, keep: Keep | None
    ) -> None:
        self._source, self._options, self._tell, self._progress = source, options, tell, progress
        self._keep = keep if keep is not None else lambda *_: None
        self._faults = list[Problem]()  # of the split
        self._total = source.size_bytes
        self.prints = RowPrints()

    def run(self, train: RowPrints | None) -> Scan:
        """Return the findings; validation rows are compared with those of ``train``."""
        if self._source.reason:
            faults = _list_unreadable(self._source)
            return Scan(self._source, notes=(f"not scanned: {self._source.reason}",), faults=faults)
        self._progress(0, self._total)
        try:
            reader = SourceReader(self._source, self._options, MOST_READ)
            reader.read(self._show_progress)
        except TrimtabError as error:
            note = f"the scan ends here: {join_in_line(error)}"
            return Scan(self._source, notes=(note,), faults=error.problems)
        tallies, self.prints = reader.tallies, reader.tallies.prints
        faults = (Problem(tallies.fault),) if tallies.fault else ()
        sample, count = tallies.draw(), tallies.sample.count
        notes = (*_list_notes(reader), *_cut_note(sample))
        if not count:
            return Scan(
                self._source, notes=notes, faults=faults or (_describe_useless(reader, self._source),)
            )
        checks = CHECKS if sample else {}  # their errors take seconds to measure
        findings = [check(_tell_progress(sample, name, self._tell)) for name, check in checks.items()]
        if sample and self._options.find_names is not None:
            findings.append(find_named(sample, self._options.find_names, self._tell))
        self._tell("comparing rows")
        findings += tallies.describe()
        findings += [*find_duplicates(self.prints, reader.fetch), *self._find_leaking(train, reader)]
        return Scan(self._source, count, len(sample), tuple(findings), notes, (*faults, *self._faults))

    def _find_leaking(self, train: RowPrints | None, reader: SourceReader) -> list[Finding]:
        everything = range(len(self.prints))
        if train is not None:
            self._keep(self.prints, [], everything, reader.fetch)
            return [find_leaking(train, self.prints, reader.fetch)]
        if isinstance(self._options.data.validation, str):
            self._keep(self.prints, everything, [], reader.fetch)
            return []
        exact, near_labels = self.prints.exact_copies, self.prints.near_copies
        untrained, groups = self.prints.untrained.tolist(), self.prints.groups
        division = divide_source(
            exact, near_labels, untrained, groups, self._options.data, self._options.seed
        )
        self._keep(self.prints, division.train, division.held, reader.fetch)
        if not division.train:
            self._faults.append(_describe_no_training(len(self.prints), self._source))
        return [find_split_leaking(exact, near_labels, division, self.prints.numbers, reader.fetch)]

    def _show_progress(self, done: int, rows: int) -> None:
        self._progress(done, self._total)
        share = f"{min(99, 100 * done // self._total)} %, " if self._total and done else ""
        self._tell(f"reading {sanitize(self._source.name, 60)}, {share}{rows:,} rows")


def _list_unreadable(source: Source) -> tuple[Problem, ...]:
    if source.is_elsewhere or not paths.expand_home(source.name).exists():
        return ()
    return (Problem(source.reason, f"{source.key} = {sanitize(source.name, 300)!r}", source.fix),)


def _describe_useless(reader: SourceReader, source: Source) -> Problem:
    skipped = reader.tallies.skipped.most_common(REASONS)
    reasons = sanitize("; ".join(f"{count}: {reason}" for reason, count in skipped), 300)
    message = f"training skips all of its rows ({reasons})" if skipped else "it has no rows"
    return Problem(message, f"{source.key} = {sanitize(source.name, 300)!r}", "check the file and data.where")


def _describe_no_training(rows: int, source: Source) -> Problem:
    place, fix = (
        f"{source.key} = {sanitize(source.name, 300)!r}",
        "add rows, or set data.validation to a file",
    )
    return Problem(f"no rows are left to train on: the source has {rows}", place, fix)


def _list_notes(reader: SourceReader) -> Iterator[str]:
    """Yield what was not read and why."""
    yield from reader.notes
    tallies = reader.tallies
    if reader.is_cut:
        yield f"only the first {tallies.numbered:,} rows are read"
    if tallies.fault:
        yield f"the scan ends here: {tallies.fault}"
    if skipped := tallies.skipped:
        reasons = "; ".join(f"{count}: {reason}" for reason, count in skipped.most_common(REASONS))
        yield f"rows that training skips: {skipped.total()} ({sanitize(reasons, 300)})"


def _tell_progress(rows: Sequence[RowTexts], name: str, tell: Tell) -> Iterator[RowTexts]:
    for number, row in enumerate(rows):
        if number % TOLD == 0:
            tell(f"looking for {name}, {number:,} of {len(rows):,} rows")
        yield row


def _cut_note(sample: Sequence[RowTexts]) -> list[str]:
    cut = sum(row.is_cut for row in sample)
    return [f"long rows of which only the beginning is scanned: {cut}"] if cut else []
