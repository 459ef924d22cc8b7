"""Start the engine on demand: detached, and only once."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

from core import paths
from core.contract.text.sanitize import sanitize
from core.contract.wire.engine_health_check import read_health
from core.daemon.server.engine_lock import Turn, explain_unwritable
from core.errors import EngineError

START_DEADLINE_S = 30.0
POLL_S = 0.03
LOG_TAIL_BYTES = 2000


def ensure_running(home: Path | None = None) -> Path:
    """Return the socket of a running engine, started here if there is none.

    Raises EngineError: with the end of the engine's log if it does not start; for an engine that does not
    answer; for a home folder that belongs to another user, or cannot be written.
    """
    base = paths.make_private(home or paths.home(), EngineError)
    socket = paths.socket_path(base)
    if read_health(socket):
        return socket
    try:
        _start_once(base, socket)
    except OSError as error:
        raise explain_unwritable(base, error) from error
    return socket


def _start_once(base: Path, socket: Path) -> None:
    turn = Turn(base / "engine.starting")
    try:
        # on a timeout the other starter is stuck, and the engine's own lock decides
        turn.wait(START_DEADLINE_S)
        if not read_health(socket):
            _start(base, socket)
    finally:
        turn.end()


def _start(base: Path, socket: Path) -> None:
    log = paths.engine_log(base)
    log_start = log.stat().st_size if log.exists() else 0
    environment = {**os.environ, "PYTHONPATH": str(paths.find_root()), "TRIMTAB_HOME": str(base)}
    with open(log, "ab", opener=paths.open_without_link) as out:
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
        with contextlib.suppress(EngineError):  # on a busy machine the first answer is slow
            if read_health(socket):
                return
        if engine.poll() is not None:
            break
        time.sleep(POLL_S)
    outcome = "ended at once" if engine.poll() is not None else f"did not answer in {START_DEADLINE_S:.0f} s"
    raise EngineError.of(
        f"the engine {outcome}: {_read_tail(log, log_start)}", str(log), "run `trimtab doctor`"
    )


def _read_tail(log: Path, log_start: int) -> str:
    with log.open("rb") as file:
        file.seek(max(log_start, log.stat().st_size - LOG_TAIL_BYTES))
        return sanitize(file.read().decode(errors="replace").strip()[-600:], lines=True) or "its log is empty"
