"""Keeps what is known of rows within a limit: token caches, and the results of checks, in the user's cache.

Beyond the limit the entries are deleted that were used least recently, but none whose lock a process holds:
a process locks the manifest of each token cache that it reads from, for as long as it does. Results of checks
are read in whole, so that none is in use. Any number of processes may do this at the same time.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from core import paths
from core.contract.text import byte_sizes
from core.contract.text.sanitize import sanitize
from core.errors import TrimtabError

VARIABLE = "TRIMTAB_CACHE_SIZE"
LIMIT_BYTES = 20 << 30  # unless the variable says another
TOKENS = "tokens"
LOCKED = "manifest.json"  # of a token cache
KINDS = {  # of entries, by pattern in the user's cache
    "tokens": f"{TOKENS}/*", "notes on tokens": "rows-*",
    "checks at starts": "checks-*", "reviews": "review-*",
}  # fmt: skip
ABANDONED_S = 24 * 3600  # an unfinished file or folder of this age was left behind


class Entry(NamedTuple):
    """A file or folder of the cache, and when it was last used (Unix time)."""

    used_at: float
    size_bytes: int
    kind: str
    path: Path


class ReadLock:
    """Keeps an entry from being deleted for as long as this object lives. Raises OSError if another process
    deletes it."""

    def __init__(self, descriptor: int) -> None:
        """``descriptor``: of the entry's LOCKED, which may be closed then."""
        self._descriptor = os.dup(descriptor)
        if not lock(self._descriptor, fcntl.LOCK_SH):
            raise OSError("it is being deleted")

    def __del__(self, close: Callable[[int], None] = os.close) -> None:  # modules may be gone at the exit
        close(self._descriptor)


class Cleared(NamedTuple):
    """What was deleted, and how many entries were left because a process uses them."""

    entries: int
    size_bytes: int
    in_use: int


def find_limit() -> int:
    """The limit of all entries together, in bytes. Raises TrimtabError for a size that is none."""
    setting = os.environ.get(VARIABLE, "").strip()
    if not setting:
        return LIMIT_BYTES
    try:
        return byte_sizes.parse(setting)
    except ValueError as error:
        fix = f"use a size such as '{LIMIT_BYTES >> 30} GiB', or unset it"
        raise TrimtabError.of(f"the limit {error}", f"{VARIABLE} = {sanitize(setting, 60)!r}", fix) from None


def list_entries() -> list[Entry]:
    """All entries, those first that were used least recently."""
    return sorted(entry for kind, pattern in KINDS.items() for entry in _list_kind(kind, pattern))


def keep(place: Path, content: bytes) -> None:
    """Write a file of the cache and make room for it. Errors are ignored: it is made again."""
    make_room(len(content))
    paths.keep(place, content)


def touch(place: Path) -> None:
    """Note that an entry is used now."""
    with contextlib.suppress(OSError):
        os.utime(place)


def make_room(needed_bytes: int = 0) -> None:
    """Delete abandoned files, and entries until as many bytes are free within the limit."""
    with contextlib.suppress(OSError, TrimtabError):
        _delete_abandoned()
        entries, limit = list_entries(), _find_usable_limit()
        used = needed_bytes + sum(entry.size_bytes for entry in entries)
        for entry in entries:
            if used <= limit:
                break
            used -= entry.size_bytes if delete(entry.path) else 0


def clear() -> Cleared:
    """Delete all entries that no process uses."""
    entries = list_entries()
    deleted = [entry for entry in entries if delete(entry.path)]
    return Cleared(len(deleted), sum(entry.size_bytes for entry in deleted), len(entries) - len(deleted))


def delete(place: Path) -> bool:
    """Delete an entry unless a process uses it; tell whether it is gone."""
    if not place.is_dir():
        with contextlib.suppress(OSError):
            place.unlink(missing_ok=True)
        return not place.exists()
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # an unfinished one, or one that another process deletes
            opened = stack.enter_context(open(place / LOCKED, "rb", opener=paths.open_without_link))
            if not lock(opened.fileno(), fcntl.LOCK_EX):
                return False
        aside = place.with_name(f".{place.name}.{os.getpid()}.old")
        with contextlib.suppress(OSError):
            place.rename(aside)
        shutil.rmtree(aside, ignore_errors=True)
    return not place.exists()


def lock(descriptor: int, kind: int) -> bool:
    """Lock a file without waiting; False if another process has locked it. Without file locks there is
    nothing to wait for: mapped files stay readable when they are deleted."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


def _find_usable_limit() -> int:
    try:
        return find_limit()
    except TrimtabError:  # `trimtab doctor` reports it
        return LIMIT_BYTES


def _list_kind(kind: str, pattern: str) -> Iterator[Entry]:
    for place in paths.cache().glob(pattern):
        if place.name.startswith(".") or place.suffix == ".new" or place.is_symlink():
            continue
        with contextlib.suppress(OSError):  # another process deletes it
            is_folder = place.is_dir()
            used_at = (place / LOCKED if is_folder else place).lstat().st_mtime
            size = (
                sum(file.lstat().st_size for file in place.iterdir()) if is_folder else place.lstat().st_size
            )
            yield Entry(used_at, size, kind, place)


def _delete_abandoned() -> None:
    """Delete what a process that was killed had begun to write, or to delete."""
    base = paths.cache()
    unfinished = [place for place in base.glob(f"{TOKENS}/.*") if place.is_dir()]
    unfinished += [place for pattern in KINDS.values() for place in base.glob(f"{pattern}.new")]
    for place in unfinished:
        with contextlib.suppress(OSError):
            if time.time() - place.lstat().st_mtime > ABANDONED_S:
                shutil.rmtree(place) if place.is_dir() else place.unlink()
