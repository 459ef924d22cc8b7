"""Identify the user and process at the other end of a local socket, as the kernel reports them."""

from __future__ import annotations

import os
import socket as sockets
import struct
import sys

_UCRED = struct.Struct("3i")  # pid, uid, gid: SO_PEERCRED, unix(7)
_XUCRED = struct.Struct("2I")  # cr_version, cr_uid: LOCAL_PEERCRED, unix(4) of macOS and FreeBSD
_SOL_LOCAL, _LOCAL_PEERCRED, _XUCRED_BYTES = 0, 1, 76


def read_peer(connection: sockets.socket) -> tuple[int | None, int]:
    """Return the user id of the peer (None if the system does not report it) and its process (0 likewise)."""
    if hasattr(sockets, "SO_PEERCRED"):
        raw = connection.getsockopt(sockets.SOL_SOCKET, sockets.SO_PEERCRED, _UCRED.size)
        pid, uid, _ = _UCRED.unpack(raw)
        return uid, pid
    if sys.platform == "darwin" or "bsd" in sys.platform:
        raw = connection.getsockopt(_SOL_LOCAL, _LOCAL_PEERCRED, _XUCRED_BYTES)
        return _XUCRED.unpack_from(raw)[1], 0
    return None, 0


def is_ours(uid: int | None) -> bool:
    """Tell whether the peer is this user or root; an unknown peer is allowed, since the socket's folder was
    checked."""
    return uid is None or uid in (os.getuid(), 0)


def is_welcome(connection: sockets.socket | None) -> bool:
    """Tell whether the peer is this process's own user, or root."""
    return connection is not None and is_ours(read_peer(connection)[0])
