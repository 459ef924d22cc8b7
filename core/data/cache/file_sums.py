"""The SHA-256 of data files, read once in a process for as long as a file keeps its size and times."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

from core.store import input_change_check

CHUNKS = 64  # of 1 MiB between two progress reports
Stamp = tuple[str, int, int, int, int]
_known = dict[Stamp, str]()


def hash_file(key: str, path: Path, tell: Callable[[int], None] = lambda done: None) -> str:
    """Return the hash of a file's content; ``tell`` gets the MiB that are read. Raises TrimtabError that
    names ``key``."""
    chunks = itertools.count()

    def report() -> bool:
        if (number := next(chunks)) % CHUNKS == 0:
            tell(number)
        return False

    stamp = _stamp(path)
    kept_sum = _known.get(stamp) if stamp is not None else None
    if kept_sum is None:
        kept_sum = input_change_check.hash_contents(key, path, report) or ""
        if stamp is not None:
            _known[stamp] = kept_sum
    return kept_sum


def _stamp(path: Path) -> Stamp | None:
    try:
        status = path.stat()
    except OSError:  # hashing reports it
        return None
    return str(path), status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino
