"""Finds the local files of a study's rows, for training and for checks, without ``datasets``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from core import paths
from core.contract.spec.study_spec import DataOptions
from core.contract.text.sanitize import sanitize
from core.data.readers import folder_splits, local_file_reader
from core.errors import TrimtabError, join_in_line

PATTERN = "*?["  # characters of a glob pattern
DEFAULT_SPLIT = "train"


@dataclass(frozen=True)
class Source:
    """The files that a key of the study file names, or why there are none to read and what to do."""

    key: str  # such as "data.source"
    name: str
    files: tuple[Path, ...] = ()
    reason: str = ""
    fix: str = ""
    is_elsewhere: bool = False  # rows that are made, or that ``datasets`` finds

    @property
    def size_bytes(self) -> int:
        """The size of all files."""
        return sum(file.stat().st_size for file in self.files if file.exists())

    def read_rows(self) -> Iterator[dict[str, Any]]:
        """Read the rows of all files. Raises TrimtabError with the file and the line."""
        for file in self.files:
            yield from local_file_reader.read_rows(file, self.key)


def find_sources(data: DataOptions, key: str = "data") -> list[Source]:
    """Return the source of the training rows and, if it is separate, that of the validation rows; ``key`` is
    that of the section."""
    sources = [find_source(data, f"{key}.source", data.source, data.split)]
    if isinstance(data.validation, str):
        validation = find_validation(data, data.validation)
        sources.append(replace(validation, key=f"{key}.validation"))
    return sources


def find_validation(data: DataOptions, name: str) -> Source:
    """Return the source of validation rows: files of their own, else a split of ``data.source``."""
    key = "data.validation"
    if is_local_name(name) or paths.expand_home(name).exists():
        return find_source(data, key, name, DEFAULT_SPLIT)
    source = find_source(data, key, data.source, name)
    if source.is_elsewhere:
        return replace(source, reason="it is a split of data.source")
    if local_file_reader.find_kind(data.source) is not None or is_pattern(data.source):
        reason = "the file does not exist, and a single file has no splits"
        fix = "give a share such as 0.1, or the path of an existing file"
        return Source(key, name, reason=reason, fix=fix)
    return source


def is_local_name(name: str) -> bool:
    """Tell whether a name is that of a file or a pattern, whether or not it exists."""
    return (
        name.startswith(("/", ".", "~")) or local_file_reader.find_kind(name) is not None or is_pattern(name)
    )


def is_pattern(name: str) -> bool:
    """Tell whether a name has characters of a glob pattern, and no file or folder has this very name."""
    return any(sign in name for sign in PATTERN) and not paths.expand_home(name).exists()


def find_source(data: DataOptions, key: str, name: str, split: str) -> Source:
    """Return the files of a split of ``name``: a file, a glob pattern or a folder. Raises nothing."""
    path = paths.expand_home(name)
    if name.startswith("demo:"):
        return Source(key, name, reason="the demo's rows are made when a study starts", is_elsewhere=True)
    if path.is_file():
        return _find_file(key, name, path)
    if path.is_dir():
        return _find_folder(data, key, name, split)
    if is_pattern(name):
        return _find_pattern(key, name)
    if is_local_name(name):
        return Source(key, name, reason="the file does not exist", fix="check the path")
    reason = "only local files are scanned, and this is a hub data set"
    return Source(key, name, reason=reason, is_elsewhere=True)


def _find_file(key: str, name: str, path: Path) -> Source:
    supported = ", ".join(local_file_reader.READERS)
    if local_file_reader.find_kind(name) is None:
        reason = "this file type is not supported"
        return Source(key, name, reason=reason, fix=f"supported types: {supported}")
    if not path.stat().st_size:
        return Source(key, name, reason="the file is empty", fix="use a file with rows")
    return Source(key, name, (path,))


def _find_pattern(key: str, name: str) -> Source:
    files = [file for file in paths.match_pattern(name) if local_file_reader.find_kind(file.name) is not None]
    if files:
        return Source(key, name, tuple(files))
    return Source(key, name, reason="no file of rows matches this pattern", fix="check the pattern")


def _find_folder(data: DataOptions, key: str, name: str, split: str) -> Source:
    path = paths.expand_home(name)
    if data.subset is not None or folder_splits.has_declared_files(path):
        reason = "only training reads it, as its README.md says which files a split has"
        return Source(key, name, reason=reason, is_elsewhere=True)
    try:
        splits = folder_splits.find_splits(path)
    except (OSError, TrimtabError) as error:
        message = join_in_line(error) if isinstance(error, TrimtabError) else str(error)
        return Source(key, name, reason=sanitize(message, 400), fix="check the folder")
    if not splits:
        supported = ", ".join(local_file_reader.READERS)
        return Source(key, name, reason="the folder has no file of rows", fix=f"supported types: {supported}")
    if split not in splits:
        split_names = sanitize(", ".join(splits), 200)
        return Source(
            key, name, reason=f"the folder has no split {split!r}", fix=f"its splits are: {split_names}"
        )
    return Source(key, name, splits[split])
