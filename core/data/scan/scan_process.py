"""The process that reads pieces of a file for a scan: ``python -m core.data.scan.scan_process``.

It takes messages of msgpack from stdin, each with its length before it: a Job, then tasks, and answers each
task with the tallies of a piece on stdout. It ends with its stdin.
"""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TypeVar

import msgspec

from core.contract.spec.study_spec import DataOptions
from core.data.checks.evaluation_prompt_matches import PromptIndex
from core.data.copies import contaminated_rows
from core.data.copies.contaminated_rows import KnownTexts
from core.data.formats.file_lines import count_nothing
from core.data.readers.source_files import Source
from core.data.scan.row_tallies import RowTallies, ScanOptions
from core.data.stream.fast_jsonl_reader import read_shaped
from core.data.stream.file_pieces import Piece, read_piece
from core.data.stream.row_batches import Numbered

LENGTH_BYTES = 8
T = TypeVar("T")


class Job(msgspec.Struct):
    """What a process needs to know of a scan."""

    key: str
    name: str
    files: list[str]
    data: DataOptions
    prompts: dict[str, list[str]]
    size: int
    length: int | None
    known: contaminated_rows.Packed | None
    most: int


class Task(msgspec.Struct):
    """The piece with this number."""

    number: int
    piece: Piece


def describe_job(source: Source, options: ScanOptions, most: int) -> Job:
    """Return the job for a scan of a source."""
    packed_texts = options.known.pack() if options.known is not None else None
    return Job(
        source.key, source.name, list(map(str, source.files)), options.data, options.prompts.prompts,
        options.size, options.length, packed_texts, most,
    )  # fmt: skip


def send(file: IO[bytes], message: object) -> None:
    """Write a message. Raises OSError, and ValueError or TypeError for what msgpack cannot have."""
    content = msgspec.msgpack.encode(message)
    file.write(len(content).to_bytes(LENGTH_BYTES, "little") + content)
    file.flush()


def receive(file: IO[bytes], kind: type[T]) -> T | None:
    """Read a message; None at the end of the file. Raises OSError, and ValueError for another message."""
    length = file.read(LENGTH_BYTES)
    if len(length) < LENGTH_BYTES:
        return None
    return msgspec.msgpack.decode(file.read(int.from_bytes(length, "little")), type=kind)


@contextlib.contextmanager
def pause_garbage_collection() -> Iterator[None]:
    """Look for no cycles: rows are trees, and looking takes a tenth of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def main() -> None:
    """Answer tasks until there are no more."""
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    job = receive(requests, Job)
    if job is None:
        return
    texts = KnownTexts.unpack(job.known) if job.known is not None else None
    options = ScanOptions(job.data, PromptIndex(job.prompts), job.size, 0, job.length, texts)
    source = Source(job.key, job.name, tuple(map(Path, job.files)))
    shape = read_shaped(source, job.data).shape
    gc.freeze()
    while (task := receive(requests, Task)) is not None:
        tallies = RowTallies(options, task.number)
        raws = Numbered(read_piece(task.piece, job.key, count_nothing), job.most)
        with pause_garbage_collection():
            for _ in tallies.read(raws, shape):
                pass
        send(answers, tallies.pack())
        gc.collect()


if __name__ == "__main__":
    main()
