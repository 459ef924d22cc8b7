"""Reads a source piece by piece: large files in several processes, with the same result as in one."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from core.data.formats.file_lines import count_nothing
from core.data.mixture.row_filter import keep_rows
from core.data.readers import local_file_reader
from core.data.readers.source_files import Source
from core.data.scan.row_tallies import Packed, RowTallies, ScanOptions
from core.data.scan.scan_process import Task, describe_job, pause_garbage_collection
from core.data.scan.scan_processes import count_processes, read_in_processes
from core.data.stream.fast_jsonl_reader import read_shaped
from core.data.stream.file_pieces import Piece, plan_pieces, read_piece
from core.data.stream.row_batches import Numbered, read_row

Raw = dict[str, Any]
Progress = Callable[[int, int], None]  # bytes and rows that have been read


class SourceReader:
    """Reads the rows of a source, not many more than ``most``, then again those that are shown.

    Raises TrimtabError where no row can be read; a later fault is that of ``tallies``. ``is_cut``: rows are
    left.
    """

    def __init__(self, source: Source, options: ScanOptions, most: int) -> None:
        self._source, self._options, self._most = source, options, most
        shaped = read_shaped(source, options.data)
        self._shape, self._is_wrapped, self.notes = shaped.shape, shaped.is_wrapped, tuple(shaped.notes)
        pieces = [Piece("")] if self._is_wrapped else plan_pieces(source.files)
        self._tasks = [Task(number, piece) for number, piece in enumerate(pieces)]
        self.tallies, self.is_cut = RowTallies(options), False
        self._done = 0  # bytes

    def read(self, progress: Progress) -> None:
        """Put in all pieces up to the first fault."""
        for task, packed in zip(self._tasks, self._read_pieces(progress), strict=False):
            self.tallies.merge(packed)
            progress(self._done, self.tallies.numbered)
            is_last = task is self._tasks[-1]
            self.is_cut = packed.is_more or (self.tallies.numbered >= self._most and not is_last)
            if self.is_cut or packed.fault:
                break

    def fetch(self, indices: Iterable[int]) -> dict[int, str]:
        """Return the text of rows, by their index: their pieces are read again."""
        wanted_indices, first, texts_by_index = set(indices), 0, dict[int, str]()
        for task, count in zip(self._tasks, self.tallies.counts, strict=False):
            inside = {at - first for at in wanted_indices if first <= at < first + count}
            for at, raw in enumerate(itertools.islice(self._match(task), max(inside, default=-1) + 1)):
                if at in inside and self._shape is not None:
                    texts = read_row(raw, self._shape.read(raw), at).texts
                    texts_by_index |= {first + at: " ".join(texts.learnt or texts.context)} if texts else {}
            first += count
        return texts_by_index

    def _match(self, task: Task) -> Iterable[Raw]:
        return keep_rows(lambda: self._open(task.piece), self._options.data.where)()

    def _open(self, piece: Piece) -> Iterator[Raw]:
        if self._is_wrapped:
            return read_shaped(self._source, self._options.data).read_raw()
        return read_piece(piece, self._source.key, count_nothing)

    def _read_pieces(self, progress: Progress) -> Iterator[Packed]:
        count = 1 if self._is_wrapped else self._count_processes()
        job = describe_job(self._source, self._options, self._most)
        answers = read_in_processes(job, self._tasks, count) if count > 1 else itertools.repeat(None)
        for task, packed in zip(self._tasks, answers, strict=False):
            end = self._done + _measure(task.piece)
            yield self._read_here(task, progress) if packed is None else packed
            self._done = end

    def _count_processes(self) -> int:
        """Return how many processes read: values that only Arrow has cannot be sent to another."""
        if any(
            local_file_reader.find_kind(task.piece.file) in local_file_reader.BINARY for task in self._tasks
        ):
            return 1
        return count_processes(self._options.processes, len(self._tasks))

    def _read_here(self, task: Task, progress: Progress) -> Packed:
        done_bytes, first = self._done, self.tallies.numbered

        def count(size: int) -> None:
            nonlocal done_bytes
            done_bytes += size

        tallies = RowTallies(self._options, task.number)
        raws = self._open(task.piece) if self._is_wrapped else read_piece(task.piece, self._source.key, count)
        with pause_garbage_collection():
            for rows in tallies.read(Numbered(raws, self._most), self._shape):
                progress(done_bytes, first + rows)
        return tallies.pack()


def _measure(piece: Piece) -> int:
    if piece.end is not None:
        return piece.end - piece.begin
    file = Path(piece.file)
    return file.stat().st_size if file.is_file() else 0
