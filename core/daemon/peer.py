"""Who is at the other end of the socket: only the same user (or root) is let in."""

from __future__ import annotations

import os
import socket as sockets
import struct

_UCRED = struct.Struct("3i")  # pid, uid, gid: SO_PEERCRED, unix(7)


def peer_uid(connection: sockets.socket) -> int | None:
    """The user id of the peer; None where the system does not tell."""
    if not hasattr(sockets, "SO_PEERCRED"):
        return None
    raw = connection.getsockopt(sockets.SOL_SOCKET, sockets.SO_PEERCRED, _UCRED.size)
    return _UCRED.unpack(raw)[1]


def is_welcome(connection: sockets.socket | None) -> bool:
    """Is the peer this engine's own user? Unknown is allowed: the socket's folder is 0700."""
    if connection is None:
        return False
    uid = peer_uid(connection)
    return uid is None or uid in (os.getuid(), 0)
