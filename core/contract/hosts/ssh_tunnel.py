"""A host's engine, reached through a local socket that ssh forwards to it.

The command on the host is ``cat``, whose input is a pipe of this process: however this process ends, the
host's side ends too, and so does ssh.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
import time
from pathlib import Path

from core import paths
from core.contract.hosts import ssh_commands
from core.contract.hosts.host_list import Host
from core.contract.hosts.ssh_commands import OPTIONS, Remote
from core.contract.wire.engine_health_check import read_health
from core.contract.wire.local_socket import PATH_LIMIT_BYTES
from core.errors import EngineError

OPEN_S, POLL_S, CLOSE_S = 20.0, 0.05, 3.0
LOG_BYTES = 4000
# ControlPath: a forward of a shared connection would outlive this process. ExitOnForwardFailure is not set: a
# forward of ~/.ssh/config may be taken already, by another shell or console.
FORWARDING = (
    "-o", "ControlPath=none", "-o", "ExitOnForwardFailure=no", "-o", "StreamLocalBindMask=0177",
    "-o", "ServerAliveInterval=10", "-o", "ServerAliveCountMax=3",
)  # fmt: skip


class Tunnel:
    """``socket`` is the local one. ``open`` and ``ensure`` block, and are called in a thread."""

    def __init__(self, host: Host, home: Path) -> None:
        self.host = host
        self.folder = home / "hosts" / host.name
        self.socket = self.folder / f"engine-{os.getpid()}.sock"
        self.remote: Remote | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._closed = False

    @property
    def pid(self) -> int:
        """Return the process of ssh; 0 without one."""
        return self._process.pid if self._process is not None else 0

    def ensure(self) -> None:
        """Open the tunnel unless it stands; the engine is started on the host if none runs. Raises
        EngineError."""
        with self._lock:
            self._refuse_closed()
            if self._process is None or self._process.poll() is not None:
                self.remote = ssh_commands.query(self.host, start=True)
                self._open(self.remote.socket)

    def close(self) -> None:
        """End ssh and remove the socket, whatever another thread is waiting for."""
        self._closed = True
        self._end()

    def reword(self, text: str) -> str:
        """Return a text about the engine, in which its process is that of ssh, as one about the host."""
        return text.replace(f" (process {self.pid})", f" on {self.host.name}") if self.pid else text

    def _open(self, remote_socket: str) -> None:
        paths.make_private(self.folder.parent, EngineError)
        paths.make_private(self.folder, EngineError)
        self._end()
        self._remove_sockets_of_the_dead()
        log = self.folder / f"ssh-{os.getpid()}.log"
        forward = f"{_escape(_shorten(self.socket))}:{_escape(remote_socket)}"
        command = ["ssh", *OPTIONS, *FORWARDING, "-L", forward, *self.host.make_ssh_destination(), "cat"]
        try:
            with open(log, "wb", opener=paths.open_without_link) as errors:
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=errors,
                    cwd=self.folder,
                    start_new_session=True,  # Ctrl-C at the terminal is for the console
                )
            self._wait_until_open(self._process, log)
            self._refuse_closed()
        except OSError as error:
            raise ssh_commands.explain_no_ssh(error) from error
        finally:
            with contextlib.suppress(OSError):
                log.unlink()

    def _wait_until_open(self, process: subprocess.Popen[bytes], log: Path) -> None:
        deadline = time.monotonic() + OPEN_S
        while time.monotonic() < deadline and not self._closed:
            if process.poll() is not None:
                raise ssh_commands.explain(self.host, process.returncode, _read_tail(log))
            is_there, message = self.socket.exists(), _read_tail(log)
            if is_there and read_health(self.socket) is not None:
                return
            # such as "administratively prohibited", or the socket cannot be made here
            if ("open failed" if is_there else self.socket.name) in message:
                self._end()
                raise ssh_commands.explain(self.host, ssh_commands.OF_SSH, message)
            time.sleep(POLL_S)
        self._end()
        self._refuse_closed()
        problem = f"no engine answers through ssh within {OPEN_S:.0f} s"
        raise EngineError.of(
            problem, self.host.address, f"try `ssh {self.host.address} trimtab engine status`"
        )

    def _refuse_closed(self) -> None:
        """Raise EngineError if the tunnel was closed meanwhile."""
        if self._closed:
            self._end()
            raise EngineError.of(f"the connection to {self.host.name} is closed", self.host.address)

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            assert process.stdin is not None
            process.terminate()
            with contextlib.suppress(OSError):
                process.stdin.close()
            try:
                process.wait(CLOSE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        with contextlib.suppress(OSError):
            self.socket.unlink()

    def _remove_sockets_of_the_dead(self) -> None:
        """Remove what consoles left behind that were killed."""
        for socket_path in self.folder.glob("engine-*.sock"):
            number = socket_path.stem.removeprefix("engine-")
            if number.isdigit() and not _is_running(int(number)):
                with contextlib.suppress(OSError):
                    socket_path.unlink()


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _shorten(socket: Path) -> str:
    """Return a path of the socket that a socket's address has room for and that ssh takes literally; ssh
    runs in its folder."""
    fits = len(os.fsencode(socket)) <= PATH_LIMIT_BYTES and ssh_commands.VARIABLE not in str(socket)
    return str(socket) if fits else f"/proc/self/cwd/{socket.name}"


def _escape(path: str) -> str:
    """Write a path for ssh -L, which splits at ":" and expands "%"."""
    return path.replace("\\", "\\\\").replace(":", "\\:").replace("%", "%%")


def _read_tail(log: Path) -> str:
    try:
        return log.read_bytes()[-LOG_BYTES:].decode(errors="replace").strip()
    except OSError:
        return ""
