"""The engine's socket, opened so that no other user can replace it, however long its path is.

A socket's path holds about 100 bytes, a home folder's up to 4096. So the socket is opened through the
folder's descriptor, ``/proc/self/fd/N/engine.sock``, which is short; and what was checked is what is then
used. There is no fallback location: a shared folder may contain a file of another user.
"""

from __future__ import annotations

import contextlib
import errno
import getpass
import os
import pwd
import shlex
import socket as sockets
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from core.contract.wire import socket_peer
from core.errors import EngineError

PATH_LIMIT_BYTES = 100  # sun_path holds 108 on Linux, 104 on macOS, with its NUL
FULL_S, RETRY_S = 2.0, 0.05  # how long, and how often, to retry while the connection queue is full
OWN_HOME = "set TRIMTAB_HOME to a folder of your own"


class AbsentError(EngineError):
    """There is no engine at the socket: none was ever there, or it left its socket behind."""


def find_user_name(uid: int) -> str:
    """Return the name of a user, or the number if there is no name."""
    try:
        return f"{pwd.getpwuid(uid).pw_name} (uid {uid})"
    except KeyError:
        return f"uid {uid}"


def find_own_name() -> str:
    """Return this user's name, or the number where the system has none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def connect(address: Path) -> tuple[sockets.socket, int]:
    """Return a non-blocking connection to the engine at ``address``, and the process that listens (0:
    unknown).

    Raises AbsentError if none listens; EngineError if folder, socket or listener belong to another user,
    before anything is sent; BlockingIOError while the engine's connection queue is full.
    """
    with _open_folder(address) as folder:
        _refuse_other_socket(folder, address)
        line = sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM)
        try:
            line.setblocking(False)
            line.connect(_shorten_address(folder, address))
            uid, pid = socket_peer.read_peer(line)
            if not socket_peer.is_ours(uid):
                raise _explain_reply(
                    f"a process of another user, {find_user_name(uid or 0)}, answers there", address
                )
        except BlockingIOError:
            line.close()
            raise
        except OSError as error:
            line.close()
            if error.errno in (errno.ECONNREFUSED, errno.ENOENT):
                raise explain_absence(address, error.strerror or "") from error
            raise EngineError.of(
                f"the engine's socket cannot be used: {error.strerror}", str(address), OWN_HOME
            ) from error
        except BaseException:
            line.close()
            raise
    return line, pid


def connect_patiently(address: Path) -> tuple[sockets.socket, int]:
    """Connect as ``connect`` does, but wait while the connection queue is full. Raises EngineError if it
    stays full."""
    deadline = time.monotonic() + FULL_S
    while True:
        try:
            return connect(address)
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                raise explain_crowding(address) from error
        time.sleep(RETRY_S)


def open_listening(address: Path) -> sockets.socket:
    """Return a socket bound at ``address`` that only its owner can use.

    A stale socket is removed (the caller holds the engine's lock). Raises EngineError if that is impossible.
    """
    with _open_folder(address) as folder:
        line = sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM)
        before = os.umask(0o177)
        try:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(address.name, dir_fd=folder)
            line.bind(_shorten_address(folder, address))
        except OSError as error:
            line.close()
            message = f"the engine's socket cannot be made: {error.strerror}"
            raise EngineError.of(message, str(address), OWN_HOME) from error
        finally:
            os.umask(before)
    return line


def explain_absence(address: Path, why: str) -> AbsentError:
    """Explain that there is no engine."""
    return AbsentError.of(f"no engine answers: {why}", str(address), "start it with `trimtab run SPEC`")


def explain_crowding(address: Path) -> EngineError:
    """Explain that the connection queue stays full."""
    message = f"the engine has accepted no new connection for {FULL_S:.0f} s"
    return EngineError.of(message, str(address), "`trimtab logs` and its log say what it does; try again")


# -- what is checked -------------------------------------------------------------------------------


@contextlib.contextmanager
def _open_folder(address: Path) -> Iterator[int]:
    """Open the socket's folder, and check that it belongs to this user and that no one else may write to
    it."""
    try:
        handle = os.open(address.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise explain_absence(address, "there is no home folder yet") from error
    except OSError as error:
        message = f"the home folder cannot be used: {_explain_error(error)}"
        raise EngineError.of(message, str(address.parent), OWN_HOME) from error
    try:
        status = os.fstat(handle)
        if status.st_uid != os.getuid():
            message = f"the home folder belongs to another user, {find_user_name(status.st_uid)}"
            raise EngineError.of(message, str(address.parent), OWN_HOME)
        if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            message = f"other users may write into the home folder (mode {stat.S_IMODE(status.st_mode):04o})"
            fix = f"look whether all in it is yours, then chmod 700 {shlex.quote(str(address.parent))}"
            raise EngineError.of(message, str(address.parent), fix)
        yield handle
    finally:
        os.close(handle)


def _explain_error(error: OSError) -> str:
    if error.errno == errno.ENOTDIR:
        return "it is a file or a link, not a folder"
    return "it is a link" if error.errno == errno.ELOOP else error.strerror or str(error)


def _refuse_other_socket(folder: int, address: Path) -> None:
    try:
        status = os.stat(address.name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError as error:
        raise explain_absence(address, "there is no socket") from error
    if not stat.S_ISSOCK(status.st_mode):
        raise _explain_reply("the file at the engine's socket path is not a socket", address)
    if not socket_peer.is_ours(status.st_uid):
        raise _explain_reply(
            f"the engine's socket belongs to another user, {find_user_name(status.st_uid)}", address
        )


def _explain_reply(message: str, address: Path) -> EngineError:
    return EngineError.of(message, str(address), f"remove it, or {OWN_HOME}; nothing was sent")


def _shorten_address(folder: int, address: Path) -> str:
    short_folder = f"/proc/self/fd/{folder}"
    if Path(short_folder).exists():
        return f"{short_folder}/{address.name}"
    if len(os.fsencode(address)) <= PATH_LIMIT_BYTES:
        return str(address)
    raise EngineError.of(
        "the home folder's path is too long for a socket on this system",
        str(address.parent),
        f"set TRIMTAB_HOME to a path of at most {PATH_LIMIT_BYTES - len('/engine.sock')} bytes",
    )
