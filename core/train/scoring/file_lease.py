"""A lock for work that several workers would repeat: one does it, the others wait for its result."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from core import paths


class FileLease:
    """A lock on producing ``place``. The process holds it, so a dead worker leaves none behind."""

    def __init__(self, place: Path) -> None:
        self._place = place.parent.parent / "locks" / f"{place.name}.lock"
        self._handle: int | None = None

    def acquire(self) -> bool:
        """Whether this worker holds the lock, now or since an earlier call. True if locking is impossible:
        then several workers do the work."""
        if self._handle is not None:
            return True
        try:
            paths.make_private(self._place.parent)
            handle = paths.open_without_link(str(self._place), os.O_CREAT | os.O_RDWR)
        except Exception:  # a full disk, a foreign folder: scoring twice does no harm
            return True
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return False
        except OSError:  # the file system has no locks
            pass
        self._handle = handle
        return True

    def release(self) -> None:
        """Release the lock."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
