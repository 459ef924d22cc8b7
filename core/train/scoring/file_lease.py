"""Work that several workers would do alike: one does it, the others wait and take what it kept."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from core import paths


class Share:
    """A lock for the making of ``place``, of the process: one that dies leaves none behind."""

    def __init__(self, place: Path) -> None:
        self._place = place.parent.parent / "locks" / f"{place.name}.lock"
        self._handle: int | None = None

    def mine(self) -> bool:
        """Is it this worker's turn, now or since before? Yes where no lock can be had: then both work."""
        if self._handle is not None:
            return True
        try:
            paths.private(self._place.parent)
            handle = paths.no_link(str(self._place), os.O_CREAT | os.O_RDWR)
        except Exception:  # a full disk, a folder that is not ours: scoring twice is no harm
            return True
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return False
        except OSError:  # no locks on this file system
            pass
        self._handle = handle
        return True

    def over(self) -> None:
        """Let the next one look."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
