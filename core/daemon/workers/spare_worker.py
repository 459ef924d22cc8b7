"""A spare worker: a process that has imported torch, transformers and PEFT before a study needs a worker.

The imports are half of the time to the first training step. While no study runs, the engine keeps one such
process; it holds about 400 MB of memory, no GPU memory, and ends with the engine.
"""

from __future__ import annotations

import contextlib
import json
import logging
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from core import cpu_count

log = logging.getLogger("trimtab.spare")

MODULE = "core.train.commands.spare_process"
FOR = "core.train.commands.worker"  # other worker modules, such as those of tests, use no spare worker
LEAST_AVAILABLE_BYTES = 4 << 30  # with less available memory no spare worker is started
PIPE_BYTES = 60_000  # fits into an empty pipe, so that the engine does not wait for the imports
LATE = (cpu_count.THREADS,)  # variables that a worker reads only after its imports


class SpareWorker:
    """At most one process. Libraries read their environment as they are imported: the spare worker is used
    only where its environment equals the one that is needed, apart from ``LATE``."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._environment: Mapping[str, str] = {}

    def keep(self, environment: Mapping[str, str]) -> None:
        """Start the process, unless one with this environment waits already. Does nothing on a machine that
        is short of memory."""
        if self._is_alive() and _select_early(self._environment) == _select_early(environment):
            return
        self.drop()
        if psutil.virtual_memory().available < LEAST_AVAILABLE_BYTES:
            return
        self._environment = dict(environment)
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", MODULE],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
                env=self._environment,
            )
        except OSError as error:
            log.warning("no spare worker: %s", error)

    def take(
        self,
        module: str,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        output: Path,
        folder: Path,
    ) -> subprocess.Popen[bytes] | None:
        """Turn the spare worker into ``python -m MODULE ARGUMENTS`` in ``folder``, its output appended to the
        file ``output``. Returns None where none fits; one that does not fit is ended."""
        process = self._process
        if not self._is_alive() or process is None:
            return None
        if module != FOR or _select_early(self._environment) != _select_early(environment):
            self.drop()
            return None
        task = {
            "arguments": list(arguments), "environment": dict(environment), "output": str(output),
            "folder": str(folder),
        }  # fmt: skip
        text = json.dumps(task).encode()
        if len(text) > PIPE_BYTES:
            self.drop()
            return None
        self._process = None
        try:
            assert process.stdin is not None
            with process.stdin as pipe:
                pipe.write(text)
        except OSError:
            process.kill()
            return None
        return process

    def drop(self) -> None:
        """End the process, if there is one."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(OSError):
            process.kill()
        process.wait()
        if process.stdin is not None:
            process.stdin.close()

    def _is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None


def _select_early(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name not in LATE}
