"""Finds the local files of a study's rows, without ``datasets``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core import paths
from core.contract.spec.study_spec import DataOptions
from core.data.readers import local_files

MOST_FILES = 10_000  # of a folder


@dataclass(frozen=True)
class Source:
    """The files that a key of the study file names, or why there are none to read."""

    key: str  # such as "data.source"
    name: str
    files: tuple[Path, ...] = ()
    reason: str = ""

    @property
    def size_bytes(self) -> int:
        """The size of all files."""
        return sum(file.stat().st_size for file in self.files if file.exists())

    def rows(self) -> Iterator[dict[str, Any]]:
        """Read the rows of all files. Raises TrimtabError with the file and the line."""
        for file in self.files:
            yield from local_files.rows(file, self.key)


def find_sources(data: DataOptions) -> list[Source]:
    """Return the source of the training rows and, if it is separate, that of the validation rows."""
    sources = [_find("data.source", data.source)]
    if isinstance(data.validation, str):
        local = _looks_local(data.validation) or paths.expand_home(data.validation).exists()
        split = Source("data.validation", data.validation, reason="it is a split of data.source")
        sources.append(_find("data.validation", data.validation) if local else split)
    return sources


def _looks_local(name: str) -> bool:
    return name.startswith(("/", ".", "~")) or local_files.kind(name) is not None


def _find(key: str, name: str) -> Source:
    path = paths.expand_home(name)
    if name.startswith("demo:"):
        return Source(key, name, reason="the demo's rows are made when a study starts")
    if path.is_file():
        if local_files.kind(name) is None:
            supported = ", ".join(local_files.READERS)
            return Source(key, name, reason=f"this file type is not supported; supported types: {supported}")
        return Source(key, name, (path,), "" if path.stat().st_size else "the file is empty")
    if path.is_dir():
        return _folder(key, name, path)
    if _looks_local(name):
        return Source(key, name, reason="the file does not exist")
    return Source(key, name, reason="only local files are scanned, and this is a hub data set")


def _folder(key: str, name: str, path: Path) -> Source:
    files: list[Path] = []
    for file in path.rglob("*"):
        if file.is_file() and local_files.kind(file.name) is not None:
            files.append(file)
        if len(files) >= MOST_FILES:
            break
    return Source(key, name, tuple(sorted(files)), "" if files else "the folder has no file of rows")
