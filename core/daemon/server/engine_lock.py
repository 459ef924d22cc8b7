"""The lock that one engine holds: the kernel's, or a lease where the file system has no locks.

It is a lock of the kernel, which is released even after kill -9, or a lease where the file system has no
locks (NFS without lockd, Lustre without -o flock).
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import socket as sockets
import time
from pathlib import Path

from core import paths
from core.contract.process_identity import is_alive, read_start
from core.contract.text.sanitize import sanitize
from core.errors import EngineError

RENEW_S = 10.0  # interval of renewals
LEASE_S = 60.0  # a lease of another machine that was not renewed for so long has expired
HELD = (BlockingIOError, PermissionError)  # from flock: another process has it


class FileLock:
    """A kernel lock on a file: ``take`` it, ``release`` it. Raises OSError if the file cannot be created."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lease: Lease | None = None  # where the kernel has no lock for this file
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)

    def take(self) -> bool:
        """Take the lock; return whether this process holds it."""
        lease = Lease(self.path.with_name(f"{self.path.name}.lease"))
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except HELD:
            return False
        except OSError:  # ENOLCK, ENOSYS, ENOTSUP, EINVAL: no locks here
            if not lease.take():
                return False
            self.lease = lease
        else:
            if lease.is_live():  # of a process that could not get a kernel lock
                fcntl.flock(self._file, fcntl.LOCK_UN)
                return False
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)
        return True

    def holder(self) -> str:
        """Return the process number that the holder wrote into the file."""
        return sanitize(os.pread(self._file, 32, 0).decode(errors="replace").strip(), 32) or "unknown"

    def release(self) -> None:
        """Release the lock."""
        if self.lease is not None:
            self.lease.give_back()
        os.close(self._file)


class Lease:
    """A lease: a file that only one process can create (O_EXCL). It names the holder, and its modification
    time shows that the holder is alive."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._said = ""

    def take(self) -> bool:
        """Take the lease, also from a holder that is gone; return whether this process holds it. Raises
        OSError."""
        self._end_stale()
        host, pid = sockets.gethostname(), os.getpid()
        record = json.dumps(
            {"host": host, "pid": pid, "born": _read_start_time(pid), "key": secrets.token_hex(8)}
        )
        try:
            with open(self._path, "x", encoding="utf-8", opener=paths.open_without_link) as file:
                file.write(record)
        except FileExistsError:
            return False
        self._said = record
        return True

    def is_live(self) -> bool:
        """Tell whether a living process holds the lease."""
        return self._read() is not None and not self._is_stale()

    def renew(self) -> bool:
        """Renew the lease; False if another process has taken it."""
        if self._read() != self._said:
            return False
        with contextlib.suppress(OSError):
            os.utime(self._path, follow_symlinks=False)
        return True

    def give_back(self) -> None:
        """Release the lease."""
        if self._read() == self._said:
            self._path.unlink(missing_ok=True)

    def _read(self) -> str | None:
        try:
            with open(self._path, encoding="utf-8", errors="replace", opener=paths.open_without_link) as file:
                return file.read(4096)
        except OSError:
            return None

    def _is_stale(self) -> bool:
        """Tell whether the holder is gone: by its process if it is on this machine, otherwise by the last
        renewal."""
        try:
            record = json.loads(self._read() or "")
            if record["host"] == sockets.gethostname():
                return (
                    not is_alive(int(record["pid"])) or _read_start_time(int(record["pid"])) != record["born"]
                )
        except (ValueError, KeyError, TypeError):
            pass  # incomplete: its modification time decides
        with contextlib.suppress(OSError):
            return self._read_clock() - self._path.stat(follow_symlinks=False).st_mtime > LEASE_S
        return False

    def _read_clock(self) -> float:
        """Return the time of the file system's own clock, which may be another machine's. Raises OSError."""
        probe = self._path.with_name(f"{self._path.name}.{secrets.token_hex(4)}")
        with open(probe, "x", opener=paths.open_without_link) as file:
            file.write("now")
        try:
            return probe.stat().st_mtime
        finally:
            probe.unlink(missing_ok=True)

    def _end_stale(self) -> None:
        """Move a stale lease away; one that was renewed meanwhile is moved back."""
        before = self._read()
        if before is None or not self._is_stale():
            return
        aside = self._path.with_name(f"{self._path.name}.{secrets.token_hex(4)}")
        with contextlib.suppress(FileNotFoundError):
            self._path.rename(aside)
            if Lease(aside)._read() != before:
                with contextlib.suppress(OSError):
                    os.link(aside, self._path)
            aside.unlink(missing_ok=True)


class EngineLock:
    """The lock that an engine holds while it runs. The file stays; only its lock says that an engine runs."""

    def __init__(self, path: Path) -> None:
        """Take the lock. Raises EngineError if another engine holds it, or the home folder cannot be
        written."""
        try:
            self._lock = FileLock(path)
            acquired = self._lock.take()
        except OSError as error:
            raise explain_unwritable(path.parent, error) from error
        if not acquired:
            owner = self._lock.holder()
            self._lock.release()
            raise EngineError.of(
                f"an engine runs already (process {owner})",
                str(path),
                "use it: `trimtab`; or `trimtab engine stop`; or set TRIMTAB_HOME for a second one",
            )

    def renew(self) -> None:
        """Renew the lock, every RENEW_S. Raises EngineError if another engine took it while this process was
        stopped."""
        lease = self._lock.lease
        if lease is not None and not lease.renew():
            message = f"another engine has taken over the home folder after {LEASE_S:.0f} s without a renewal"
            raise EngineError.of(message, str(self._lock.path), "the studies continue with the other")

    def release(self) -> None:
        """Release the lock."""
        self._lock.release()


class Turn:
    """A lock for starting the engine, so that two consoles that start at once start one engine."""

    def __init__(self, path: Path) -> None:
        self._lock = FileLock(path)

    def wait(self, within_s: float, poll_s: float = 0.05) -> bool:
        """Wait for the lock, at most that time; return whether this process has it."""
        deadline = time.monotonic() + within_s
        while not self._lock.take():
            if time.monotonic() > deadline:
                return False
            time.sleep(poll_s)
        return True

    def end(self) -> None:
        """Release the lock, so that the next process may start."""
        self._lock.release()


def explain_unwritable(home: Path, error: OSError) -> EngineError:
    """Explain that the home folder cannot be written."""
    return EngineError.of(
        f"the engine cannot be started, because the home folder cannot be written: {error.strerror or error}",
        str(error.filename or home),
        "make it writable, make room there, or set TRIMTAB_HOME to another folder",
    )


def _read_start_time(pid: int) -> str:
    try:
        return read_start(pid)
    except OSError:
        return ""
