"""Estimates how many rows a data file has, their lengths and their format, without a tokenizer or torch."""

from __future__ import annotations

import bz2
import codecs
import csv
import gzip
import itertools
import json
import lzma
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from core import paths
from core.contract.spec.prompt_column_pairs import find_companion
from core.contract.text.sanitize import plain
from core.errors import SpecError

BYTES_A_TOKEN = 4  # of UTF-8 text: about right for English, too high for code and other scripts
SAMPLE = 1000  # rows that are examined, spread over everything that is read
LONGEST_READ_BYTES = 256 << 20  # beyond this, the row count is extrapolated from the file's size
OPENERS = {".gz": gzip.open, ".xz": lzma.open, ".bz2": bz2.open}
PAIRS = (  # common column names of a prompt and its completion
    ("prompt", "completion"), ("instruction", "output"), ("instruction", "response"), ("question", "answer"),
    ("prompt", "response"), ("input", "output"), ("query", "response"),
)  # fmt: skip
TEXTS = ("text", "content")
Row = dict[str, Any]


@dataclass(frozen=True)
class Rows:
    """Statistics of a file's rows. ``lengths`` are the estimated tokens of sampled rows, ascending;
    ``targets`` is the share of tokens that is trained on. ``keys`` are lines for [data] if the columns have
    other names than the defaults."""

    count: int
    lengths: tuple[int, ...] = ()
    targets: float = 1.0
    form: str = "auto"
    keys: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()

    def percentile(self, share: float) -> int:
        """Return the length in tokens that this share of the rows does not exceed."""
        return self.lengths[min(len(self.lengths) - 1, int(share * len(self.lengths)))]

    def mean(self, longest: int) -> float:
        """Return mean tokens per row after truncation to ``longest``."""
        return sum(min(length, longest) for length in self.lengths) / len(self.lengths)


def read(source: str) -> Rows | None:
    """Read the statistics of a local file; None for a Hub data set or a folder. Raises SpecError for a file
    that is missing, unreadable or empty."""
    path = paths.expand_home(source)
    if not path.is_file():
        if source.startswith(("/", ".", "~")) and not path.exists():
            raise SpecError.of("the file does not exist", f"DATA = {plain(source, 200)!r}", "check the path")
        return None
    try:
        row_count, sample = _sample_rows(path)
        _refuse_wrapped(sample)
    except (OSError, ValueError, EOFError, RecursionError, ImportError, csv.Error, lzma.LZMAError) as error:
        message = f"the data cannot be read: {plain(str(error), 200)}"
        fix = "use JSONL, JSON, CSV, Parquet or text, or give the number of rows with --rows"
        raise SpecError.of(message, plain(source, 200), fix) from error
    if not sample:
        raise SpecError.of("the file has no rows", plain(source, 200), "give a file with rows")
    return _describe_rows(row_count, sample)


# -- reading ---------------------------------------------------------------------------------------


def _sample_rows(path: Path) -> tuple[tuple[int, bool], list[Row]]:
    """Return ((row count, whether it is exact), sampled rows)."""
    ends = [suffix.lower() for suffix in path.suffixes]
    opener = OPENERS.get(ends[-1]) if ends else None
    kind = (ends[:-1] if opener else ends)[-1:]
    if kind == [".parquet"]:
        return _parquet(path)
    with (opener or open)(path, "rb") as file:  # type: ignore[operator]
        if file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            raise ValueError("the file is UTF-16: convert it, e.g. iconv -f UTF-16 -t UTF-8 FILE > NEW")
        file.seek(0)
        size_bytes = None if opener else path.stat().st_size
        if kind == [".csv"]:
            return _spread(_csv(file), size_bytes, file)
        if kind == [".json"] and _array(file):
            return _spread(iter(_objects(file)), None, file)
        if kind in ([".jsonl"], [".ndjson"], [".json"]):
            return _spread(_jsonl(file), size_bytes, file)
        if kind == [".txt"]:
            lines = ({"text": line.decode(errors="replace")} for line in file if line.strip())
            return _spread(lines, size_bytes, file)
    raise ValueError(f"unknown file type {''.join(kind) or '(no suffix)'}")


def _spread(
    rows: Iterator[Row], size_bytes: int | None, file: IO[bytes]
) -> tuple[tuple[int, bool], list[Row]]:
    """Sample every n-th row; n doubles whenever the sample is twice as large as needed."""
    sample: list[Row] = []
    stride, count = 1, 0
    for row in rows:
        if count % stride == 0:
            sample.append(row)
            if len(sample) >= 2 * SAMPLE:
                sample, stride = sample[::2], 2 * stride
        count += 1
        if (
            size_bytes
            and size_bytes > LONGEST_READ_BYTES
            and count % 1000 == 0
            and file.tell() > LONGEST_READ_BYTES
        ):
            return (round(count * size_bytes / file.tell()), False), sample
    return (count, True), sample


def _jsonl(file: IO[bytes]) -> Iterator[Row]:
    number = 0
    while line := file.readline():  # not iteration: that forbids tell()
        number += 1
        if line.strip():
            try:
                row = json.loads(line)
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from None
            if not isinstance(row, dict | str):
                raise ValueError(f"line {number} is not a JSON object")
            yield row if isinstance(row, dict) else {"text": row}


def _csv(file: IO[bytes]) -> Iterator[Row]:
    csv.field_size_limit(LONGEST_READ_BYTES)

    def lines() -> Iterator[str]:
        while line := file.readline():
            yield line.decode("utf-8-sig", errors="replace")

    yield from csv.DictReader(lines())


def _array(file: IO[bytes]) -> bool:
    """Tell whether the file starts with a JSON array, rather than one object per line."""
    first = file.read(1024).lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    file.seek(0)
    return first == b"["


def _objects(file: IO[bytes]) -> list[Row]:
    content = file.read(LONGEST_READ_BYTES + 1)
    if len(content) > LONGEST_READ_BYTES:
        raise ValueError("the JSON array is larger than 256 MiB: use JSONL, which can be sampled")
    return [row for row in json.loads(content) if isinstance(row, dict)]


def _parquet(path: Path) -> tuple[tuple[int, bool], list[Row]]:
    from pyarrow import parquet

    file = parquet.ParquetFile(path)
    batches: Iterable[Any] = itertools.islice(file.iter_batches(batch_size=SAMPLE), 1)
    return (file.metadata.num_rows, True), [row for batch in batches for row in batch.to_pylist()]


def _refuse_wrapped(sample: list[Row]) -> None:
    """Raise ValueError for a file that is a single object with the rows under one of its keys."""
    column_names = {"messages", *TEXTS, *(name for pair in PAIRS for name in pair)}
    for name, value in sample[0].items() if len(sample) == 1 and not column_names & set(sample[0]) else ():
        if isinstance(value, list) and value and isinstance(value[0], dict) and column_names & set(value[0]):
            raise ValueError(f"the file is one object with {len(value)} rows under {name!r}: extract them")


# -- describing ------------------------------------------------------------------------------------


def _describe_rows(row_count: tuple[int, bool], sample: list[Row]) -> Rows:
    count, exact = row_count
    form, keys = _form(sample[0])
    filled = {name for row in sample for name, value in row.items() if value not in (None, "", [])}
    joined = find_companion(keys[0], keys, filled) if form == "instruction" else ""
    keys = (keys[0], joined, *keys[1:]) if joined else keys
    sizes = [_sizes(row, form, keys) for row in sample]
    lengths = sorted(max(2, -(-total // BYTES_A_TOKEN)) for total, _ in sizes)
    learnt, total = sum(part for _, part in sizes), sum(total for total, _ in sizes)
    notes = [f"token counts are estimates: UTF-8 bytes / {BYTES_A_TOKEN}, without a tokenizer"]
    if not exact:
        notes.append(f"the file is large: about {count} rows, extrapolated from its first 256 MiB")
    if form == "auto":
        columns = plain(", ".join(map(str, sample[0])), 200)
        notes.append(f"none of the columns {columns} is known: name the right one in [data], e.g. text_key")
    if joined:
        notes.append(f"the column {joined!r} is joined to {keys[0]!r} as the prompt")
    unused = sorted(map(str, filled - {*keys, "tools", "group"}))
    if unused and form != "auto":
        notes.append(f"unused columns: {plain(', '.join(unused), 200)}")
    names = tuple(
        pair
        for pair in _name_columns(form, tuple(key for key in keys if key != joined))
        if pair[1] not in ("prompt", "completion", "text")
    )
    return Rows(count, tuple(lengths), learnt / max(1, total), form, names, tuple(notes))


def _form(row: Row) -> tuple[str, tuple[str, ...]]:
    """Return the format, and the columns that it uses."""
    if isinstance(row.get("messages"), list):
        return "chat", ("messages",)
    for pair in PAIRS:
        if pair[0] in row and pair[1] in row:
            return "instruction", pair
    for name in TEXTS:
        if name in row:
            return "text", (name,)
    return "auto", tuple(row)


def _name_columns(form: str, keys: tuple[str, ...]) -> list[tuple[str, str]]:
    places = {"instruction": ("prompt_key", "completion_key"), "text": ("text_key",)}
    return list(zip(places.get(form, ()), keys, strict=False))


def _sizes(row: Row, form: str, keys: tuple[str, ...]) -> tuple[int, int]:
    """Return bytes of the row's text, and of the part that is trained on."""
    if form == "chat":
        turns = [turn for turn in row.get("messages") or () if isinstance(turn, dict)]
        each = [(_bytes(turn.get("content")), turn.get("role") == "assistant") for turn in turns]
        return sum(size for size, _ in each), sum(size for size, learnt in each if learnt)
    each_size = [_bytes(row.get(key)) for key in keys]
    return sum(each_size), each_size[-1] if form == "instruction" else sum(each_size)


def _bytes(value: Any) -> int:
    text = value if isinstance(value, str) else "" if value is None else json.dumps(value, default=str)
    return len(text.encode(errors="replace"))
