"""Reads rows of Parquet and Arrow files in batches, whose size follows from the width of a row."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from core.contract.text.sanitize import sanitize
from core.data.formats.file_lines import Fault
from core.data.formats.numbers_as_written import ClassNumber, Written

BATCH_BYTES = 8 << 20  # of rows that are converted to Python objects at once
MOST_ROWS = 1000  # of a batch
MOST_VALUES = 100_000  # of a batch
FILE_MAGIC = b"ARROW1"  # of an Arrow file; a stream has none
FIX = "write the file again, for example with pandas or datasets"
Raw = dict[str, Any]


def read_parquet(path: Path) -> Iterator[Raw]:
    """Read the rows of a Parquet file. Raises Fault."""
    with _translate_faults("Parquet"):
        from pyarrow import parquet

        with parquet.ParquetFile(path) as file:
            meta = file.metadata
            width = sum(meta.row_group(at).total_byte_size for at in range(meta.num_row_groups))
            size = _choose_batch_size(width, meta.num_rows, len(file.schema_arrow.names))
            names = list_class_names(file.schema_arrow)
            for batch in file.iter_batches(batch_size=size):
                yield from _list_rows(batch, names)


def read_arrow(path: Path) -> Iterator[Raw]:
    """Read the rows of an Arrow file or stream, which is mapped into memory. Raises Fault."""
    with _translate_faults("Arrow"):
        with _read_batches(path) as (schema, batches):
            names = list_class_names(schema)
            for batch in batches:
                size = _choose_batch_size(batch.nbytes, batch.num_rows, batch.num_columns)
                for at in range(0, batch.num_rows, size):
                    yield from _list_rows(batch.slice(at, size), names)


def count_parquet(path: Path) -> int:
    """Return the number of rows of a Parquet file. Raises Fault."""
    with _translate_faults("Parquet"):
        from pyarrow import parquet

        with parquet.ParquetFile(path) as file:
            return int(file.metadata.num_rows)


def count_arrow(path: Path) -> int:
    """Return the number of rows of an Arrow file or stream. Raises Fault."""
    with _translate_faults("Arrow"), _read_batches(path) as (_, batches):
        return sum(batch.num_rows for batch in batches)


@contextmanager
def _read_batches(path: Path) -> Iterator[tuple[Any, Iterable[Any]]]:
    """Open an Arrow file or stream as its schema and its batches."""
    import pyarrow

    with pyarrow.memory_map(str(path)) as mapped:
        is_file = mapped.read(len(FILE_MAGIC)) == FILE_MAGIC
        mapped.seek(0)
        opened = pyarrow.ipc.open_file(mapped) if is_file else pyarrow.ipc.open_stream(mapped)
        batches = map(opened.get_batch, range(opened.num_record_batches)) if is_file else opened
        yield opened.schema, batches


def _choose_batch_size(size_bytes: int, rows: int, columns: int) -> int:
    width = max(1, size_bytes // max(1, rows))
    return max(1, min(MOST_ROWS, BATCH_BYTES // width, MOST_VALUES // max(1, columns)))


@contextmanager
def _translate_faults(noun: str) -> Iterator[None]:
    """Turn whatever reading raises into a Fault: pyarrow has errors of its own, and raises built-in ones."""
    try:
        yield
    except (Fault, GeneratorExit):
        raise
    except ImportError:
        message = f"it is a file of {noun}, and the package pyarrow is missing"
        raise Fault(message, fix="pip install pyarrow, or use JSONL") from None
    except Exception as error:
        message = sanitize(" ".join(str(error).split()), 300) or type(error).__name__
        raise Fault(f"it is not valid {noun}: {message}", fix=FIX) from error


def list_class_names(schema: Any) -> dict[str, list[str]]:
    """Return the names of the classes in each column that ``datasets`` declared as class labels."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        declared = {name: feature.get("names") for name, feature in features.items()}
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        return {}
    return {name: list(map(str, names)) for name, names in declared.items() if isinstance(names, list)}


def _list_rows(batch: Any, names: dict[str, list[str]]) -> Iterator[Raw]:
    columns = [_list_values(column) for column in batch.columns]
    for name, values in zip(batch.schema.names, columns, strict=True):
        if name in names:
            values[:] = [
                value if type(value) is not int else ClassNumber(value, names[name]) for value in values
            ]
    for row in zip(*columns, strict=True):
        yield {name: drop_nulls(value) for name, value in zip(batch.schema.names, row, strict=True)}


def _list_values(column: Any) -> list[Any]:
    """Convert a column; one that Python has no type for, such as nanoseconds, becomes text."""
    import pyarrow

    is_narrow = pyarrow.types.is_float32(column.type) or pyarrow.types.is_float16(column.type)
    try:
        values: list[Any] = column.to_pylist()
    except (ValueError, OverflowError):
        try:
            return list(column.cast(pyarrow.string()).to_pylist())
        except pyarrow.ArrowException:
            pass
        raise
    if is_narrow:  # 0.1, not 0.10000000149011612
        digits = map(str, column.to_numpy(False))
        values = [
            value if value is None or not math.isfinite(value) else Written(text)
            for value, text in zip(values, digits, strict=True)
        ]
    return values


def drop_nulls(value: Any) -> Any:
    """Remove null fields from nested objects: Arrow gives every object the keys of all others."""
    if isinstance(value, dict):
        return {key: drop_nulls(item) for key, item in value.items() if item is not None}
    return [drop_nulls(item) for item in value] if isinstance(value, list) else value
