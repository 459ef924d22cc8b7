"""Keeps tokenised rows in the user's cache as memory-mapped arrays, for all trials, workers and studies.

A cache is a folder of files of plain numbers and a JSON manifest with their SHA-256 sums. It is written
aside and renamed, and not synced to the disk: what a crash of the machine leaves of it does not match its
sums. One that is damaged, not the user's own or of another format is made again. It
holds the longest rows that a study needed, from which shorter ones are cut. While a process has rows of it
mapped, ``cache_limit`` does not delete it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import mmap
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np

from core import paths
from core.data.cache import cache_limit
from core.data.cache.cache_key import FORMAT, Progress
from core.data.cache.cache_limit import ReadLock
from core.data.cache.token_arrays import (
    COLUMNS,
    Array,
    PartNotes,
    RowFacts,
    TokenizedPart,
    TokenizedRows,
)
from core.errors import TrimtabError

MANIFEST = cache_limit.LOCKED
PARTS = ("training", "validation")
ARRAYS: dict[str, tuple[type[np.generic], tuple[int, ...]]] = {  # dtype and shape of each array
    "ids": (np.int32, (-1,)), "labels": (np.int32, (-1,)),
    "rows": (np.int64, (-1, COLUMNS)), "dropped": (np.int64, (-1, 2)),
}  # fmt: skip
POLLED_S = 0.2
UNUSABLE = (OSError, ValueError, EOFError, TrimtabError, msgspec.DecodeError)


class Manifest(msgspec.Struct, forbid_unknown_fields=True):
    """What a cache holds; ``sums`` are the SHA-256 of its files."""

    format: int
    key: str
    facts: RowFacts
    parts: dict[str, PartNotes]
    sums: dict[str, str]


def find_folder() -> Path:
    """The folder of all token caches."""
    return paths.cache() / cache_limit.TOKENS


def load(key: str, length: int) -> TokenizedRows | None:
    """The rows of a cache; None if there is none that holds ``length`` tokens of each row and is intact."""
    place = find_folder() / key
    try:
        if not (paths.is_own(place) and paths.is_own(place / MANIFEST)):
            return None
        with open(place / MANIFEST, "rb", opener=paths.open_without_link) as file:
            lock = ReadLock(file.fileno())
            manifest = msgspec.json.decode(file.read(), type=Manifest)
        if (manifest.format, manifest.key) != (FORMAT, key):
            return None
        training, validation = (_load_part(place, name, manifest, lock) for name in PARTS)
        rows = TokenizedRows(training, validation, manifest.facts)
        cache_limit.touch(place / MANIFEST)
    except (*UNUSABLE, KeyError):
        return None
    return rows if rows.reaches(length) else None


def save(key: str, rows: TokenizedRows) -> TokenizedRows:
    """Write a cache; return its rows from the files, or ``rows`` where it cannot be written."""
    try:
        place, aside = paths.make_private(find_folder()) / key, find_folder() / f".{key}.{os.getpid()}.new"
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(mode=0o700)
        try:
            _write(aside, key, rows)
            cache_limit.make_room(_count_bytes(aside))
            _replace(aside, place)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    except (OSError, ValueError, TrimtabError):  # ValueError: a text that JSON cannot have
        return rows
    return load(key, rows.facts.most) or rows


@contextlib.contextmanager
def hold(key: str, progress: Progress) -> Iterator[None]:
    """Wait until no other process makes this cache. Without file locks both make it, which is slower only."""
    place = find_folder() / f".{key}.lock"
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError, TrimtabError):
            paths.make_private(find_folder())
            file = stack.enter_context(open(place, "wb", opener=paths.open_without_link))
            _lock(file.fileno(), progress)
            stack.callback(place.unlink, missing_ok=True)
        yield


def _lock(descriptor: int, progress: Progress) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            progress("waiting for another worker that tokenises these rows", 0, 0, "")
            time.sleep(POLLED_S)


class _Mapped(mmap.mmap):
    """A mapped file that keeps the lock on its cache for as long as it is used."""

    lock: ReadLock


def _load_part(place: Path, name: str, manifest: Manifest, lock: ReadLock) -> TokenizedPart:
    """Map the arrays of a part. Raises ValueError if they are damaged."""
    arrays = {
        array_name: _map(place / f"{name}-{array_name}", manifest.sums, lock, *ARRAYS[array_name])
        for array_name in ARRAYS
    }
    part = TokenizedPart(**arrays, notes=manifest.parts[name])
    if fault := part.find_fault():
        raise ValueError(fault)
    return part


def _map(
    path: Path, sums: dict[str, str], lock: ReadLock, dtype: type[np.generic], shape: tuple[int, ...]
) -> Array:
    with open(path, "rb", opener=paths.open_without_link) as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != sums[path.name]:
            raise ValueError(f"{path.name} is damaged")
        if not os.fstat(file.fileno()).st_size:  # nothing can be mapped
            return np.zeros(0, dtype).reshape(shape)
        mapped = _Mapped(file.fileno(), 0, prot=mmap.PROT_READ)
        mapped.lock = lock
        return np.frombuffer(mapped, dtype).reshape(shape)


def _write(aside: Path, key: str, rows: TokenizedRows) -> None:
    sums, parts = dict[str, str](), dict(zip(PARTS, (rows.training, rows.validation), strict=True))
    for name, part in parts.items():
        for array_name, (dtype, _) in ARRAYS.items():
            content = np.ascontiguousarray(getattr(part, array_name), dtype).reshape(-1).data
            sums[f"{name}-{array_name}"] = hashlib.sha256(content).hexdigest()
            _write_file(aside / f"{name}-{array_name}", content)
    manifest = Manifest(FORMAT, key, rows.facts, {name: part.notes for name, part in parts.items()}, sums)
    _write_file(aside / MANIFEST, msgspec.json.encode(manifest))


def _write_file(path: Path, content: bytes | memoryview) -> None:
    with open(path, "wb", opener=paths.open_without_link) as file:
        file.write(content)


def _replace(aside: Path, place: Path) -> None:
    """Put a finished folder in place. Processes that use the one before keep its files mapped."""
    before = aside.with_suffix(".old")
    with contextlib.suppress(FileNotFoundError):
        place.rename(before)
    aside.rename(place)
    shutil.rmtree(before, ignore_errors=True)


def _count_bytes(place: Path) -> int:
    return sum(file.stat().st_size for file in place.iterdir())
