"""Engines forked from a process that has imported the engine's code once.

An engine spends 1.8 s on imports, and the tests start two hundred engines. What is forked is a process of its
own: its pid, signals, files, sockets and children are no one else's. It runs the module as ``-m`` does.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
from pathlib import Path

PRELOADED = ["core.daemon.engine"]


class ForkedProcess:
    """What the tests use of ``subprocess.Popen``, for a forked ``python -P -m module``.

    Its standard output and error go to the end of ``log``.
    """

    def __init__(
        self, module: str, arguments: list[str], environment: dict[str, str], folder: Path, log: Path
    ) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(PRELOADED)
        self._process = context.Process(
            target=_run, args=(module, arguments, environment, str(folder), str(log)), daemon=False
        )
        self._process.start()
        self.pid: int = self._process.pid or 0

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("the engine", timeout or 0.0)
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _run(module: str, arguments: list[str], environment: dict[str, str], folder: str, log: str) -> None:
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    out = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    for standard in (1, 2):
        os.dup2(out, standard)
    os.close(out)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
