"""What a scan keeps of the rows of a source, or of one piece of it, and how the pieces are put together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from core.contract.spec.study_spec import DataOptions
from core.data.checks.check_finding import EXAMPLES, Example, Finding
from core.data.checks.evaluation_prompt_matches import Match, PromptIndex, describe_matches, match_batch
from core.data.checks.person_name_rows import FindNames
from core.data.checks.row_sample import Drawn, RowSample
from core.data.checks.row_tally import BatchCheck
from core.data.copies import row_copy_index
from core.data.copies.contaminated_rows import ContaminatedRows, KnownTexts
from core.data.copies.row_copy_index import RowPrints
from core.data.defects.boilerplate import Boilerplate
from core.data.defects.damaged_text import DamagedText
from core.data.defects.empty_rows import EmptyRows
from core.data.defects.fully_masked_rows import MaskedRows
from core.data.defects.imbalance import Imbalance
from core.data.defects.row_lengths import CutRows, RowLengths
from core.data.defects.template_faults import TemplateFaults
from core.data.readers.row_shape import Shape
from core.data.readers.row_texts import RowTexts
from core.data.stream.row_batches import Numbered, RowBatch, gather, split_rows
from core.errors import TrimtabError, join_in_line

SAMPLED = 1_000  # rows, 20 s: more would not narrow an interval that the detector's errors widen


@dataclass(frozen=True)
class ScanOptions:
    """What a scan needs to know of the study. ``length``: the tokens that training keeps of a row; ``size``:
    the rows of the sample; ``processes``: those that may read at once, None for as many as pay off;
    ``find_names`` finds names of people in the sample."""

    data: DataOptions
    prompts: PromptIndex
    size: int = SAMPLED
    seed: int = 0
    length: int | None = None
    known: KnownTexts | None = None
    processes: int | None = None
    find_names: FindNames | None = None


class Packed(msgspec.Struct):
    """The tallies of a piece, as another process takes them. ``numbered``: the rows of the piece, also those
    that ``data.where`` leaves out; ``fault``: why it was not read to its end; ``is_more``: because it has too
    many rows."""

    numbered: int
    fault: str
    is_more: bool
    skipped: dict[str, int]
    matches: list[tuple[int, str, str, bool]]
    drawn: list[Drawn]
    count: int
    prints: row_copy_index.Packed
    checks: list[Any]


class RowTallies:
    """All that is kept of rows. ``counts`` are the rows of each piece that was put in."""

    def __init__(self, options: ScanOptions, piece: int = 0) -> None:
        """Begin with the first row of the ``piece`` with this number."""
        self._prompts, self._where = options.prompts, options.data.where
        self.checks = list_checks(options.length, options.known)
        self.sample = RowSample(options.size, piece)
        self.prints = RowPrints(is_later=piece > 0)
        self.numbered, self.fault, self.is_more = 0, "", False
        self.counts = list[int]()
        self._matches, self._skipped = list[Match](), Counter[str]()

    def read(self, raws: Numbered, shape: Shape | None) -> Iterator[int]:
        """Take in rows up to the first fault; yield their number after each batch."""
        try:
            for batch in gather(split_rows(raws, shape, self._where)):
                self._add(batch)
                yield raws.count
        except TrimtabError as error:
            self.fault = join_in_line(error)
        self.numbered, self.is_more = raws.count, raws.is_more

    def _add(self, batch: RowBatch) -> None:
        for row in batch.rows:
            if row.texts is not None:
                self.sample.add(row.texts)
            else:
                self._skipped[row.fault] += 1
        self._matches += match_batch(batch, self._prompts, EXAMPLES - len(self._matches))
        self.prints.add(batch)
        for check in self.checks:
            check.add(batch)

    def pack(self) -> Packed:
        """Return the tallies of a piece for another process."""
        matches = [
            (match.example.row, match.example.text, match.prompts, match.is_answered)
            for match in self._matches
        ]
        checks = [check.pack() for check in self.checks]
        return Packed(
            self.numbered,
            self.fault,
            self.is_more,
            dict(self._skipped),
            matches,
            self.sample.pack(),
            self.sample.count,
            self.prints.pack(),
            checks,
        )

    def merge(self, packed: Packed) -> None:
        """Put in the piece that follows."""
        first, count = self.numbered, len(self.prints)
        self._skipped.update(packed.skipped)
        self._matches += [
            Match(Example(row + first, text), prompts, answered)
            for row, text, prompts, answered in packed.matches
        ]
        self.sample.merge(packed.drawn, packed.count, first)
        self.prints.merge(packed.prints, first)
        for check, packed_check in zip(self.checks, packed.checks, strict=True):
            check.merge(packed_check, first)
        self.counts.append(len(self.prints) - count)
        self.numbered, self.fault, self.is_more = first + packed.numbered, packed.fault, packed.is_more

    @property
    def skipped(self) -> Counter[str]:
        """The rows that training skips, by their reasons."""
        return self._skipped

    def describe(self) -> list[Finding]:
        """Return the findings in all rows."""
        matches = describe_matches(self._matches, self.sample.count)
        return [matches, *(check.make_finding() for check in self.checks)]

    def draw(self) -> list[RowTexts]:
        """Return the sample of the rows."""
        return self.sample.sample()


def list_checks(length: int | None, known: KnownTexts | None) -> list[BatchCheck]:
    """Return the checks that see every row."""
    checks: list[BatchCheck] = [EmptyRows(), MaskedRows(), TemplateFaults(), DamagedText(), RowLengths()]
    checks += [Boilerplate(), Imbalance()]
    checks += [CutRows(length)] if length is not None else []
    return [*checks, *([ContaminatedRows(known)] if known is not None else [])]
