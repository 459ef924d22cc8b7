"""Reads the rows of large JSONL files with msgspec, four times as fast as ``json``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from core.contract.spec.study_spec import DataOptions
from core.contract.text.sanitize import sanitize
from core.data.formats.file_lines import Count, count_nothing
from core.data.mixture.row_filter import keep_rows
from core.data.readers.shaped_rows import ShapedRows
from core.data.readers.source_files import Source
from core.data.stream.file_pieces import plan_pieces, read_piece

Raw = dict[str, Any]


def read_rows(source: Source, count: Count = count_nothing, is_exact: bool = False) -> Iterator[Raw]:
    """Read the rows of all files; with ``is_exact`` numbers keep their digits. Raises TrimtabError with the
    file and the line."""
    for piece in plan_pieces(source.files):
        yield from read_piece(piece, source.key, count, is_exact)


def read_shaped(source: Source, data: DataOptions, rows: Iterable[Raw] | None = None) -> ShapedRows:
    """Read those of the ``rows`` of a source, by default all, that match ``data.where``, in the shape that
    training reads them. Raises TrimtabError with the file and the line."""
    read = read_rows(source) if rows is None else rows
    matching = keep_rows(lambda: read, data.where)
    return ShapedRows(matching(), data, f"{source.key} = {sanitize(source.name, 300)!r}")
