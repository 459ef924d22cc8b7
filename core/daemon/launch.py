"""Start the engine on demand: detached, once, and only as long as nobody else does."""

from __future__ import annotations

import fcntl
import http.client
import json
import os
import socket as sockets
import subprocess
import sys
import time
from pathlib import Path

from core import paths
from core.contract.plain import plain
from core.errors import EngineError

START_DEADLINE_S = 30.0
POLL_S = 0.03
LOG_TAIL_BYTES = 2000


class _UnixHTTP(http.client.HTTPConnection):
    """HTTP over the Unix socket without aiohttp, whose import would delay the first paint."""

    def __init__(self, path: Path) -> None:
        super().__init__("engine", timeout=5.0)
        self._path = path

    def connect(self) -> None:
        self.sock = sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def health(socket: Path) -> dict | None:
    """What the engine at ``socket`` says of itself; None when none answers."""
    connection = _UnixHTTP(socket)
    try:
        connection.request("GET", "/health")
        return json.loads(connection.getresponse().read())
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()


def ensure(home: Path | None = None) -> Path:
    """The socket of a living engine, started here when there was none.

    Raises EngineError with the end of the engine's log when it does not come up.
    """
    base = paths.private(home or paths.home())
    socket = paths.socket_path(base)
    if health(socket):
        return socket
    starting = os.open(base / "engine.starting", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(starting, fcntl.LOCK_EX)  # two consoles at once start one engine
        if not health(socket):
            _start(base, socket)
    finally:
        os.close(starting)
    return socket


def _start(base: Path, socket: Path) -> None:
    log = paths.engine_log(base)
    where = log.stat().st_size if log.exists() else 0
    environment = {**os.environ, "PYTHONPATH": str(paths.root()), "TRIMTAB_HOME": str(base)}
    with open(log, "ab", opener=paths.no_link) as out:
        engine = subprocess.Popen(
            [sys.executable, "-P", "-m", "core.daemon"],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,  # the terminal may vanish
            cwd=base,
            env=environment,
        )
    deadline = time.monotonic() + START_DEADLINE_S
    while time.monotonic() < deadline:
        if health(socket):
            return
        if engine.poll() is not None:
            break
        time.sleep(POLL_S)
    ended = "ended at once" if engine.poll() is not None else f"did not answer in {START_DEADLINE_S:.0f} s"
    raise EngineError.of(f"the engine {ended}: {_tail(log, where)}", str(log), "run `trimtab doctor`")


def _tail(log: Path, where: int) -> str:
    with log.open("rb") as file:
        file.seek(max(where, log.stat().st_size - LOG_TAIL_BYTES))
        return plain(file.read().decode(errors="replace").strip()[-600:], lines=True) or "its log is empty"
