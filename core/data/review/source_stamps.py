"""The local files that a study's rows come from, with what tells cheaply whether they have changed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from core import paths
from core.contract.spec.study_spec import StudySpec
from core.data.readers.source_files import find_sources

Stamp = tuple[str, int, int]  # path, size in bytes, time of the last change in ns


def list_files(spec: StudySpec) -> Iterator[Path]:
    """Yield the files of the rows, and those that they are compared with."""
    for key, section in spec.data.inputs.items():
        for source in find_sources(section, key):
            yield from source.files
    yield from filter(Path.is_file, map(paths.expand_home, spec.data.contamination))


def stamp_files(spec: StudySpec) -> tuple[Stamp, ...]:
    """Return the stamps of all files; a file that is gone has none."""
    stamps = list[Stamp]()
    for file in list_files(spec):
        try:
            status = file.stat()
        except OSError:
            continue
        stamps.append((str(file), status.st_size, status.st_mtime_ns))
    return tuple(stamps)
