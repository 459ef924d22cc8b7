"""Estimates how many rows the data has, their lengths and their format, without a tokenizer or torch.

The files are found and read as `trimtab check` and training do it, with no key of [data] set.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from core.contract.spec.study_spec import DataOptions
from core.contract.text.sanitize import sanitize
from core.data.readers import local_file_reader
from core.data.readers.row_shape import Canonical, Raw, Shape
from core.data.readers.row_shape_choice import UnknownColumnsError
from core.data.readers.row_texts import BYTES_A_TOKEN, count_bytes, split_whole
from core.data.readers.row_values import UnusableRow, list_texts
from core.data.readers.source_files import DEFAULT_SPLIT, Source, find_source
from core.data.stream.fast_jsonl_reader import read_rows, read_shaped
from core.errors import SpecError, TrimtabError

SAMPLE = 1000  # rows that are examined, spread over everything that is read
LONGEST_READ_BYTES = 256 << 20  # beyond this, the row count is extrapolated from the size of the files
REASONS = 3  # shown for rows that training skips
KEY = "DATA"  # the argument of `trimtab recommend`


@dataclass(frozen=True)
class Rows:
    """Statistics of the rows that training can use. ``lengths`` are the estimated tokens of sampled rows,
    ascending; ``targets`` is the share of tokens that is trained on. ``form`` is a data.format, "auto" if it
    is not known."""

    count: int
    lengths: tuple[int, ...] = ()
    targets: float = 1.0
    form: str = "auto"
    notes: tuple[str, ...] = ()

    def find_percentile(self, share: float) -> int:
        """Return the length in tokens that this share of the rows does not exceed."""
        return self.lengths[min(len(self.lengths) - 1, int(share * len(self.lengths)))]

    def compute_mean(self, longest: int) -> float:
        """Return mean tokens per row after truncation to ``longest``."""
        return sum(min(length, longest) for length in self.lengths) / len(self.lengths)


def read(name: str) -> Rows | None:
    """Read the statistics of local files; None if the rows are elsewhere, such as in a hub data set.

    Raises SpecError for files that are missing, unreadable, or without rows that training can use.
    """
    source = find_source(DataOptions(), KEY, name, DEFAULT_SPLIT)
    if source.is_elsewhere:
        return None
    try:
        if source.reason:
            raise TrimtabError.of(source.reason, _shorten_name(source), source.fix)
        return _read_shaped(source)
    except TrimtabError as error:
        raise SpecError(*error.problems) from error


def _shorten_name(source: Source) -> str:
    return f"{KEY} = {sanitize(source.name, 200)!r}"


def _read_shaped(source: Source) -> Rows:
    """Read the rows in the shape that training would choose; of rows without one, all texts are measured."""
    extent = _Extent(source)
    try:
        rows = read_shaped(source, DataOptions(), read_rows(source, extent.add_bytes))
    except UnknownColumnsError as error:
        extent, problem = _Extent(source), error.problems[0]
        sample = _sample_rows(read_rows(source, extent.add_bytes), None, extent)
        return _describe_rows(sample, [f"{problem.what}; {problem.fix}"], source)
    notes = list(rows.notes)
    if rows.unused:
        notes.append(f"columns that are not trained on: {sanitize(', '.join(rows.unused), 200)}")
    return _describe_rows(_sample_rows(rows.read_raw(), rows.shape, extent), notes, source)


# -- sampling --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Measured:
    """The bytes of a row's text, and of the part that is trained on; ``fault``: why training skips it."""

    total_bytes: int = 0
    learnt_bytes: int = 0
    form: str = "auto"
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Sample:
    """Rows that were measured, of ``count`` rows in all."""

    count: int
    is_exact: bool
    rows: list[Measured]


class _Extent:
    """Tells when enough rows of a source are read, and how many it has then."""

    def __init__(self, source: Source) -> None:
        self._total_bytes, self._read_bytes = source.size_bytes, 0
        self._declared = _count_declared(source)

    def add_bytes(self, size: int) -> None:
        """Take in that so many more bytes were read."""
        self._read_bytes += size

    def estimate(self, count: int) -> tuple[int, bool] | None:
        """Return (rows, whether that is exact) after ``count`` rows; None if more should be read."""
        if self._declared is not None:
            return (self._declared, True) if SAMPLE <= count < self._declared else None
        if LONGEST_READ_BYTES < self._read_bytes < self._total_bytes:
            return round(count * self._total_bytes / self._read_bytes), False
        return None


def _count_declared(source: Source) -> int | None:
    """Return the rows that the files themselves declare; None if one of them does not."""
    total = 0
    for file in source.files:
        declared = local_file_reader.count_rows(file, KEY)
        if declared is None:
            return None
        total += declared
    return total


def _sample_rows(rows: Iterable[Raw], shape: Shape | None, extent: _Extent) -> Sample:
    """Measure every n-th row; n doubles whenever the sample is twice as large as needed."""
    sample, stride, count = list[Measured](), 1, 0
    for row in rows:
        if count % stride == 0:
            sample.append(_measure(row, shape))
            if len(sample) >= 2 * SAMPLE:
                sample, stride = sample[::2], 2 * stride
        count += 1
        if (estimate := extent.estimate(count)) is not None:
            return Sample(*estimate, sample)
    return Sample(count, True, sample)


def _measure(raw: Raw, shape: Shape | None) -> Measured:
    try:
        if shape is None:
            size = count_bytes(list_texts(raw))
            return Measured(size, size)
        row = shape.read(raw)
        context, answers, other_text = split_whole(row)
    except UnusableRow as error:
        return Measured(fault=str(error))
    except RecursionError:
        return Measured(fault="its values are nested too deeply")
    learnt = count_bytes(answers) + count_bytes(other_text)
    return Measured(count_bytes(context) + learnt, learnt, _name_form(row))


def _name_form(row: Canonical) -> str:
    return "chat" if "messages" in row else "instruction" if "prompt" in row else "text"


# -- describing ------------------------------------------------------------------------------------


def _describe_rows(sample: Sample, notes: list[str], source: Source) -> Rows:
    """Summarise the sample. Raises TrimtabError if training can use none of its rows."""
    if not sample.rows:
        raise TrimtabError.of("the data has no rows", _shorten_name(source), "give a file with rows")
    usable = [row for row in sample.rows if not row.fault]
    faults = Counter(row.fault for row in sample.rows if row.fault)
    reasons = sanitize("; ".join(reason for reason, _ in faults.most_common(REASONS)), 300)
    if not usable:
        raise TrimtabError.of(
            f"training skips every row: {reasons}", _shorten_name(source), "correct the rows"
        )
    count = max(1, round(sample.count * len(usable) / len(sample.rows)))
    remarks = [f"token counts are estimates: UTF-8 bytes / {BYTES_A_TOKEN}, without a tokenizer"]
    if not sample.is_exact:
        size = f"{LONGEST_READ_BYTES >> 20} MiB"
        remarks.append(f"the data is large: about {sample.count} rows, extrapolated from its first {size}")
    if faults:
        skipped = f"training skips {faults.total()} of {len(sample.rows)} examined rows"
        remarks.append(f"{skipped} ({reasons}); the others are counted")
    lengths = sorted(max(2, -(-row.total_bytes // BYTES_A_TOKEN)) for row in usable)
    learnt = sum(row.learnt_bytes for row in usable) / max(1, sum(row.total_bytes for row in usable))
    return Rows(count, tuple(lengths), learnt, usable[0].form, (*remarks, *notes))
