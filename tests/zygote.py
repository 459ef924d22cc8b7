"""Processes forked from one that has imported their libraries once, in the place of ``python -P -m MODULE``.

An engine spends 1.8 s on imports, a search process 1.2 s (and 0.8 s more on its first SQLite file: its zygote
has opened one), a worker with torch and transformers 5 s, and the tests start many hundreds of them. What is
forked is a process of its own: its pid, signals, files, sockets, command line and children are no one else's,
and it runs the module as ``-m`` does. It has an environment of its own, but what libraries read while they
are imported (the number of OpenMP's threads) is the zygote's.

The zygote lives as long as the test process that ``ENV_OWNER`` names; what it forked does not depend on it.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import io
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
ENV_FOLDER, ENV_OWNER = "TRIMTAB_TESTS_ZYGOTES", "TRIMTAB_TESTS_OWNER"
SCRIPTED = tuple(f"tests.daemon.{name}_worker" for name in ("scripted", "scoring", "late"))
LIBRARIES = {  # of each kind of process; torch and optuna stay out of each other's and of the engine's
    "engine": (
        "core.daemon.server.engine",
        "scipy.special",
        "core.cli.main",
        "core.cli.steer.run_study",
        "core.cli.share.export_bundle",
        "core.cli.share.rerun_bundle",
        *SCRIPTED,
    ),
    "search": ("core.search.process.search_server", "optuna.storages", "sqlalchemy.dialects.sqlite"),
    "worker": (
        "core.train.commands.worker",
        "core.train.data.dataset",
        "core.train.base.base_model",
        "core.train.pack.trial_pack",
        "core.train.data.vocab_and_length_check",
        "core.train.base.causality_check",
        "core.train.pack.writer_thread",
        "transformers.models.llama.modeling_llama",
        "transformers.models.auto.tokenization_auto",
        "peft",
    ),
}
# their environment, which a forked process has from its zygote, is looked at
AS_EVER = ("tests.daemon.carded_worker", "tests.daemon.environment_worker", "tests.daemon.waiting_spare")
COMMAND_BYTES = 2000  # room for the command line of what is forked
LENGTH = struct.Struct("<I")
STARTED, ENDED = struct.Struct("<i"), struct.Struct("<i")
START_S = 60.0


def kind_of(module: str) -> str:
    """Which zygote runs ``module``."""
    return "worker" if module.startswith("core.train") else "search" if "search" in module else "engine"


def module_of(command: Sequence[str]) -> str | None:
    """The module of ``python -P -m MODULE``; None for what is not forked."""
    forked = list(command[:3]) == [sys.executable, "-P", "-m"] and command[3] not in AS_EVER
    return command[3] if forked else None


class Forked:
    """What the tests and the engine use of ``subprocess.Popen``."""

    def __init__(
        self,
        command: Sequence[str],
        stdin: int = subprocess.DEVNULL,
        stdout: Any = None,
        stderr: Any = None,
        cwd: str | Path | None = None,
        env: Mapping[str, str] | None = None,
        start_new_session: bool = False,
        text: bool = False,
        errors: str = "strict",
        preexec_fn: Any = None,
    ) -> None:
        """Each of the three files is a descriptor, a file, DEVNULL, PIPE, or None for the caller's own.
        ``preexec_fn`` is not called: ours ends a process with its parent, which is the zygote here."""
        module = module_of(command)
        assert module is not None, f"{command} is not of this kind"
        self.args, self.returncode = command, None
        self.stdin: Any = None
        self.stdout: Any = None
        self.stderr: Any = None
        with contextlib.ExitStack() as opened:
            files = [self._descriptor(file, at, opened) for at, file in enumerate((stdin, stdout, stderr))]
            said = {
                "module": module, "command": list(map(str, command)), "session": start_new_session,
                "environment": dict(os.environ if env is None else env), "folder": str(cwd or Path.cwd()),
            }  # fmt: skip
            self._line = _connected(kind_of(module))
            task = json.dumps(said).encode()
            socket.send_fds(self._line, [LENGTH.pack(len(task))], files)
            self._line.sendall(task)
        (self.pid,) = STARTED.unpack(exactly(self._line, STARTED.size))
        if text:
            self.stdout, self.stderr = (
                file and io.TextIOWrapper(file, errors=errors) for file in (self.stdout, self.stderr)
            )

    def __enter__(self) -> Forked:
        return self

    def __exit__(self, *error: object) -> None:
        self.wait()

    def _descriptor(self, asked: Any, at: int, opened: contextlib.ExitStack) -> int:
        if asked != subprocess.PIPE:
            return _descriptor(asked, at, opened)
        read, write = os.pipe()
        own, theirs = (write, read) if at == 0 else (read, write)
        setattr(self, ("stdin", "stdout", "stderr")[at], os.fdopen(own, "wb" if at == 0 else "rb"))
        opened.callback(os.close, theirs)
        return theirs

    def communicate(self, input: None = None, timeout: float | None = None) -> tuple[Any, Any]:
        """What is left to be read, one file after the other, and the end."""
        if self.stdin is not None:
            self.stdin.close()
        read = [file.read() if file is not None else None for file in (self.stdout, self.stderr)]
        self.wait()
        return read[0], read[1]

    def poll(self) -> int | None:
        if self.returncode is None and select.select([self._line], [], [], 0)[0]:
            self._read()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            if not select.select([self._line], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
            self._read()
        assert self.returncode is not None
        return self.returncode

    def _read(self) -> None:
        (self.returncode,) = ENDED.unpack(exactly(self._line, ENDED.size))
        self._line.close()

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class ForkedOnLoop:
    """What a caller of ``asyncio.create_subprocess_exec`` uses of a process."""

    def __init__(self, forked: Forked, stdin: Any = None, stdout: Any = None) -> None:
        self._forked, self.stdin, self.stdout, self.pid = forked, stdin, stdout, forked.pid

    @property
    def returncode(self) -> int | None:
        return self._forked.poll()

    async def wait(self) -> int:
        while (code := self._forked.poll()) is None:
            await asyncio.sleep(0.005)
        return code

    def send_signal(self, number: int) -> None:
        self._forked.send_signal(number)

    def terminate(self) -> None:
        self._forked.terminate()

    def kill(self) -> None:
        self._forked.kill()


async def create_subprocess_exec(*command: str, stdin: Any = None, stdout: Any = None, **more: Any) -> Any:
    """As asyncio's, with pipes where they are asked for."""
    if module_of(command) is None:
        return await _real_exec(*command, stdin=stdin, stdout=stdout, **more)
    loop, theirs = asyncio.get_running_loop(), []
    writer = reader = None
    if stdin == asyncio.subprocess.PIPE:
        stdin, end = os.pipe()
        theirs.append(stdin)
        transport, protocol = await loop.connect_write_pipe(
            lambda: asyncio.streams.FlowControlMixin(loop), os.fdopen(end, "wb", 0)
        )
        writer = asyncio.StreamWriter(transport, protocol, None, loop)
    if stdout == asyncio.subprocess.PIPE:
        end, stdout = os.pipe()
        theirs.append(stdout)
        reader = asyncio.StreamReader(2**16, loop)
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(end, "rb", 0))
    try:
        forked = Forked(command, stdin=stdin, stdout=stdout, **more)
    finally:
        for their in theirs:
            os.close(their)
    return ForkedOnLoop(forked, writer, reader)


_real_exec = asyncio.create_subprocess_exec


class Popen(subprocess.Popen):  # type: ignore[type-arg]
    """Forks a process of the kinds above; others are started as ever."""

    def __new__(cls, command: Any, *more: Any, **options: Any) -> Any:
        if isinstance(command, list) and module_of(command) and not more:
            return Forked(command, **options)
        return super().__new__(cls)


def install() -> None:
    """Have this process fork its children of the kinds above."""
    subprocess.Popen = Popen  # type: ignore[misc]
    asyncio.create_subprocess_exec = create_subprocess_exec


# ---- the caller's side of the line


def _descriptor(asked: Any, at: int, opened: contextlib.ExitStack) -> int:
    if asked == subprocess.DEVNULL:
        return opened.enter_context(Path(os.devnull).open("r+b")).fileno()
    if asked is None:
        return at
    return asked if isinstance(asked, int) else asked.fileno()


def own() -> None:
    """Give this test run its zygotes; they end with the process that called this first.

    An xdist worker inherits those of its controller: each further set of zygotes would import torch,
    transformers and Optuna once more.
    """
    if "PYTEST_XDIST_WORKER" in os.environ and ENV_FOLDER in os.environ:
        return
    os.environ[ENV_FOLDER] = tempfile.mkdtemp(prefix="zygotes-")
    os.environ[ENV_OWNER] = str(os.getpid())


def run(command: Sequence[str], **more: Any) -> subprocess.CompletedProcess[str]:
    """As ``subprocess.run`` with captured text, forked."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        code = Forked(command, stdout=out, stderr=err, **more).wait(START_S * 5)
        told = []
        for file in (out, err):
            file.seek(0)
            told.append(file.read().decode())
    return subprocess.CompletedProcess(list(command), code, *told)


def started(command: Sequence[str], **more: Any) -> Forked | subprocess.Popen[bytes]:
    """The process of ``command``: forked in tests, and as a user has it started in benches."""
    return Forked(command, **more) if ENV_FOLDER in os.environ else subprocess.Popen(command, **more)


def ready(kind: str) -> None:
    """Wait until the zygote of a kind has imported: an engine cannot wait for it and answer, too."""
    if ENV_FOLDER not in os.environ:
        return
    with _connected(kind) as line:
        line.sendall(LENGTH.pack(0))
        exactly(line, STARTED.size)


def _connected(kind: str) -> socket.socket:
    """A line to the zygote of a kind, which is started where there is none."""
    folder = Path(os.environ[ENV_FOLDER])
    path = folder / kind
    line = socket.socket(socket.AF_UNIX)
    with (folder / f"{kind}.turn").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        try:
            line.connect(str(path))
            return line
        except OSError:
            path.unlink(missing_ok=True)
        _start(kind, path)
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                line.connect(str(path))
                return line
            time.sleep(0.01)
    raise AssertionError(f"no zygote of {kind} after {START_S:.0f} s: {folder}/{kind}.log")


def _start(kind: str, path: Path) -> None:
    with path.with_suffix(".log").open("ab") as log:
        subprocess.Popen(
            [sys.executable, "-P", "-c", "from tests import forking; forking.main()", kind, str(path),
             "x" * COMMAND_BYTES],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip


def exactly(line: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        more = line.recv(size - len(found))
        if not more:
            raise ConnectionError("the zygote is gone")
        found += more
    return found
