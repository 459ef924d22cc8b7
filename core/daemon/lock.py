"""One engine per home folder: a file lock, which the kernel drops even after kill -9."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from core.errors import EngineError


class EngineLock:
    """Held for the engine's life. The file stays; only its lock says that an engine lives."""

    def __init__(self, path: Path) -> None:
        """Take the lock. Raises EngineError when another engine holds it."""
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            owner = os.pread(self._file, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(self._file)
            raise EngineError.of(
                f"an engine lives already (process {owner})",
                str(path),
                "use it: `trimtab`; or `trimtab engine stop`; or set TRIMTAB_HOME for a second one",
            ) from None
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let another engine live."""
        os.close(self._file)
