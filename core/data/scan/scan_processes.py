"""Processes that read the pieces of a file at the same time; the pieces are put together in their order."""

from __future__ import annotations

import contextlib
import os
import queue
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import msgspec

from core import cpu_count, paths
from core.data.scan.row_tallies import Packed
from core.data.scan.scan_process import Job, Task, receive, send

MODULE = "core.data.scan.scan_process"
MOST = 4  # processes: each takes 150 MB
FEWEST_PIECES = 4  # a process starts in half a second
AHEAD = 2  # pieces that wait to be put together
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
FAILURES = (OSError, ValueError, TypeError, msgspec.MsgspecError)


def count_processes(asked: int | None, pieces: int) -> int:
    """Return how many processes read this number of pieces; 1 is this one alone."""
    if asked is not None:
        return max(1, min(asked, pieces))
    return 1 if pieces < FEWEST_PIECES else min(MOST, cpu_count.count_cpus().usable)


def read_in_processes(job: Job, tasks: Sequence[Task], count: int) -> Iterator[Packed | None]:
    """Yield the tallies of each piece in order; None for one that no process could read."""
    waiting = deque[Future[Packed | None]]()
    with contextlib.ExitStack() as stack:
        idle = queue.SimpleQueue[subprocess.Popen[bytes] | None]()
        for _ in range(count):
            idle.put(_start(job, stack))
        pool = ThreadPoolExecutor(count, "scan")
        stack.callback(pool.shutdown, wait=True, cancel_futures=True)
        for task in tasks:
            waiting.append(pool.submit(_ask, idle, task))
            if len(waiting) >= count + AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _start(job: Job, stack: contextlib.ExitStack) -> subprocess.Popen[bytes] | None:
    try:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", MODULE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **ONE_THREAD, "PYTHONPATH": str(paths.find_root())},
        )
        stack.callback(_end, process)
        assert process.stdin is not None
        send(process.stdin, job)
    except FAILURES:
        return None
    return process


def _ask(idle: queue.SimpleQueue[subprocess.Popen[bytes] | None], task: Task) -> Packed | None:
    process = idle.get()
    packed = None
    with contextlib.suppress(*FAILURES):
        if process is not None and process.stdin is not None and process.stdout is not None:
            send(process.stdin, task)
            packed = receive(process.stdout, Packed)
    idle.put(process if packed is not None else None)
    return packed


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    with contextlib.suppress(OSError):
        process.communicate()
