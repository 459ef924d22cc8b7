"""Check whether the engine answers, without aiohttp, whose import would delay the first paint."""

from __future__ import annotations

import http.client
import json
from pathlib import Path
from typing import Any

from core.contract.process_identity import is_stopped
from core.contract.wire import local_socket
from core.errors import EngineError

SILENT_S = 5.0  # an engine that is silent for so long counts as not answering; its event loop is far faster
LARGEST_BYTES = 1 << 20


class _UnixHTTP(http.client.HTTPConnection):
    """HTTP over the engine's socket."""

    def __init__(self, address: Path) -> None:
        super().__init__("engine", timeout=SILENT_S)
        self._address, self.pid = address, 0

    def connect(self) -> None:
        self.sock, self.pid = local_socket.connect_patiently(self._address)
        self.sock.settimeout(1.0 if is_stopped(self.pid) else SILENT_S)


def read_health(address: Path) -> dict[str, Any] | None:
    """Return the engine's answer to GET /health at ``address``; None if there is no engine.

    Raises EngineError if it does not answer, or belongs to another user.
    """
    connection = _UnixHTTP(address)
    try:
        connection.request("GET", "/health")
        answer = json.loads(connection.getresponse().read(LARGEST_BYTES))
        return answer if isinstance(answer, dict) else None
    except local_socket.AbsentError:
        return None
    except TimeoutError as error:
        raise explain_silence(address, connection.pid, SILENT_S) from error
    except (OSError, http.client.HTTPException, ValueError):
        return None  # it exited meanwhile
    finally:
        connection.close()


def explain_silence(address: Path, pid: int, silent_s: float) -> EngineError:
    """Explain that the engine exists but does not answer."""
    fix = "its studies are kept: `kill -KILL {pid}` ends it, and `trimtab` starts another that continues them"
    if is_stopped(pid):
        fix = f"`kill -CONT {pid}` lets it continue"
    elif not pid:
        fix = f"the end of {address.parent / 'engine.log'} may say why"
    return EngineError.of(describe_health(pid, silent_s), str(address), fix.format(pid=pid))


def describe_health(pid: int, silent_s: float) -> str:
    """Return text such as "the engine (process 12) does not answer: it is stopped"."""
    why = "it is stopped" if is_stopped(pid) else f"nothing came from it for {silent_s:.0f} s"
    return f"the engine{f' (process {pid})' if pid else ''} does not answer: {why}"
