"""The zygote: a process that imports the libraries of one kind of process, and forks; see tests/zygote.py."""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import selectors
import socket
import sys
import tempfile
import threading
import traceback
from pathlib import Path
from typing import Any

from tests.zygote import ENDED, ENV_OWNER, LENGTH, LIBRARIES, STARTED, exactly, install, kind_of


def main() -> None:
    """Listen, import, and fork until the owner has ended."""
    kind, path = sys.argv[1], sys.argv[2]
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(64)
    if kind == "worker":
        from core.train.quiet_libraries import silence_transformers

        silence_transformers()
    for name in LIBRARIES[kind]:
        importlib.import_module(name)
    if kind == "search":
        _warmed()
    gc.collect()
    gc.freeze()
    owner = os.pidfd_open(int(os.environ[ENV_OWNER]))
    looks = selectors.DefaultSelector()
    looks.register(listener, selectors.EVENT_READ)
    looks.register(owner, selectors.EVENT_READ)
    lines: dict[int, tuple[int, socket.socket]] = {}
    while True:
        for key, _ in looks.select():
            if key.fd == owner:
                return
            if key.fd == listener.fileno():
                pid, line = _serve(listener)
                if not pid:
                    continue
                fd = os.pidfd_open(pid)
                lines[fd] = (pid, line)
                looks.register(fd, selectors.EVENT_READ)
            else:
                pid, line = lines.pop(key.fd)
                looks.unregister(key.fd)
                os.close(key.fd)
                _, status = os.waitpid(pid, 0)
                with contextlib.suppress(OSError), line:
                    line.sendall(ENDED.pack(os.waitstatus_to_exitcode(status)))


def _warmed() -> None:
    """Search a little, in a study that is thrown away: a first SQLite file costs a search process 0.8 s,
    since Optuna imports alembic and SQLAlchemy configures its mappers only then."""
    from core.search.process.storage_reader import Reader
    from core.search.study.optuna_study import OptunaStudy
    from tests.search import studies

    with tempfile.TemporaryDirectory() as folder:
        oracle = OptunaStudy(studies.raw("tpe", pruner="median", startup_trials=1), folder)
        for number in range(2):
            oracle.ask(number)
            oracle.report(number, 10, {"eval/loss": 1.0})
            oracle.tell(number, "complete", [1.0])
        reader = Reader(studies.raw("tpe"), folder)
        for one in (oracle, reader):
            one.study._storage._backend.engine.dispose()  # a fork must not share connections


def _serve(listener: socket.socket) -> tuple[int, socket.socket]:
    """Fork; 0 where only a word was asked for."""
    line, _ = listener.accept()
    head, files, _, _ = socket.recv_fds(line, LENGTH.size, 3)
    if not files:
        with contextlib.suppress(OSError), line:  # a test process that ended here must not end the zygote
            line.sendall(STARTED.pack(0))
        return 0, line
    asked = json.loads(exactly(line, LENGTH.unpack(head)[0]))
    pid = os.fork()
    if pid == 0:
        _become(asked, files)
    for file in files:
        os.close(file)
    with contextlib.suppress(OSError):
        line.sendall(STARTED.pack(pid))
    return pid, line


def _become(asked: dict[str, Any], files: list[int]) -> None:
    """The module's process, from here on."""
    code = 1
    try:
        for at, file in enumerate(files):
            os.dup2(file, at)
        os.closerange(3, 4096)
        if asked["session"]:
            os.setsid()
        os.chdir(asked["folder"])
        os.environ.clear()
        os.environ.update(asked["environment"])
        _name(asked["command"])
        sys.argv = asked["command"][3:]
        sys.stdin, sys.stdout, sys.stderr = (
            open(at, "r" if at == 0 else "w", closefd=False)  # noqa: SIM115 - they stay open
            for at in range(3)
        )
        sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr
        if kind_of(asked["module"]) == "engine":
            install()
        runpy.run_module(asked["module"], run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
        if isinstance(ended.code, str):
            print(ended.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            threading._shutdown()  # as at any interpreter's end: it waits for threads that are no daemons
            atexit._run_exitfuncs()
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code & 0xFF)


def _name(command: list[str]) -> None:
    """Have ``/proc/PID/cmdline`` say what runs here."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    start, end = (
        int(fields[45]),
        int(fields[46]),
    )  # arg_start and arg_end, proc_pid_stat(5) counts from 1, after comm from 3
    text = b"\0".join(map(os.fsencode, command))[: end - start - 1]
    with Path("/proc/self/mem").open("r+b", 0) as memory:
        memory.seek(start)
        memory.write(text.ljust(end - start, b"\0"))
