"""The workers of all studies: started detached, known by their Hello, trusted as long as their lease."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from core import cpu_count, paths
from core.contract.wire import console_api, worker_api
from core.contract.wire.process_identity import born, lives
from core.daemon.placement.device_choice import CPU, Slot
from core.daemon.workers.spare_worker import SpareWorker
from core.errors import TrimtabError
from core.store import run_folder

log = logging.getLogger("trimtab.crew")

Send = Callable[[bytes], Awaitable[None]]
Gone = Callable[["Worker", str], None]
CHECK_S = 1.0
# A thread of libgomp spins at a barrier until its partners come, by default for milliseconds. On a busy
# machine a partner is often off its core, and the thread that spins keeps it off: a step took 17 times as
# long. So many turns are microseconds, enough for a partner that is at work; then the thread sleeps.
# `python -m tests.bench.busy` measures it.
SPIN_COUNT = 1000
SPIN_SETTINGS = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "KMP_BLOCKTIME")  # the user's own word on it


@dataclass
class Worker:
    """One worker process. ``send`` is None while it is not connected."""

    name: str
    study: str
    device: str
    folder: Path
    lease_s: float
    pid: int = 0
    process: subprocess.Popen | None = None
    pidfd: int = -1
    send: Send | None = None
    heard_at: float = field(default_factory=time.monotonic)
    heard: int = 0  # last number taken from it
    leaving: bool = False  # was told to shut down

    def tell(self, message: worker_api.ToWorker) -> None:
        """Send without waiting; what is lost with a connection is said again at the next Hello."""
        if self.send is not None:
            task = asyncio.ensure_future(self._deliver(self.send, console_api.encode(message)))
            task.add_done_callback(self._delivered)

    def _delivered(self, task: asyncio.Future[None]) -> None:
        if not task.cancelled() and task.exception():
            log.error("worker %s cannot be told anything", self.name, exc_info=task.exception())

    def tell_all(self, messages: Iterable[worker_api.ToWorker]) -> None:
        """Send each."""
        for message in messages:
            self.tell(message)

    async def _deliver(self, send: Send, raw: bytes) -> None:
        with contextlib.suppress(ConnectionError, RuntimeError, asyncio.CancelledError):
            await send(raw)

    def kill(self) -> None:
        """End it at once; by its pidfd, so that never a stranger with a used-up number is hit."""
        with contextlib.suppress(OSError):
            if self.pidfd >= 0 and hasattr(signal, "pidfd_send_signal"):
                signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
            elif self.process is not None:
                self.process.kill()


class Crew:
    """Starts workers, watches their leases and exits, and says when one is gone."""

    def __init__(
        self, socket: Path, gone: Gone, environment: Callable[[str], Mapping[str, str]] | None = None
    ) -> None:
        """``environment`` gives that of a study; the engine's own where there is none."""
        self._socket = socket
        self._of_study = environment or (lambda study: os.environ)
        self._gone = gone
        self.workers: dict[str, Worker] = {}
        self.spare = SpareWorker()
        self._latest: tuple[Slot, str] | None = None  # of the latest worker: its device, its study
        self.known: set[str] = set()  # all that this engine ever had: their loss is told

    def of(self, study: str) -> list[Worker]:
        """The living workers of ``study`` that were not told to leave."""
        return [worker for worker in self.workers.values() if worker.study == study and not worker.leaving]

    def start(self, study: str, folder: Path, slot: Slot, lease_s: float, module: str) -> Worker:
        """Start a worker process on ``slot``. It belongs to no terminal and not to the engine's life."""
        name = f"{slot.label}-{secrets.token_hex(3)}"
        arguments = [str(folder), name, slot.torch_device]
        environment, output = (
            self._environment(slot, self._of_study(study)),
            run_folder.worker_log(folder, name),
        )
        self._latest = slot, study
        spare = self.spare.take(module, arguments, environment, output, folder)
        process = spare or _started(module, arguments, environment, output, folder)
        for gone in self.known - self.workers.keys():  # lost: this one is in the place of such
            _forget(folder, gone)
        _note_process(folder, name, process.pid)
        worker = Worker(name, study, slot.label, folder, lease_s, process.pid, process)
        self._add(worker)
        log.info("worker %s of %s: %sprocess %d", name, study, "the spare " if spare else "", process.pid)
        return worker

    def keep_spare(self, slot: Slot) -> None:
        """Have a spare worker ready for the device and the environment that the latest worker had; for
        ``slot`` and the engine's own environment where there was none yet."""
        slot, study = self._latest or (slot, "")
        self.spare.keep(self._environment(slot, self._of_study(study)))

    def _environment(self, slot: Slot, own: Mapping[str, str]) -> dict[str, str]:
        """The study's ``own`` with what a worker must know; a spin count where nothing is said of it."""
        said = any(name in own for name in SPIN_SETTINGS)
        spin = {} if said else {"GOMP_SPINCOUNT": str(SPIN_COUNT)}
        there = [worker.device for worker in self.workers.values() if not worker.leaving]
        # a worker of a card rests while the card works: only those on the CPU share it
        beside = there.count(CPU.label) if slot == CPU else 0
        return {
            **own,
            **spin,
            "PYTHONPATH": str(paths.root()),
            worker_api.ENV_SOCKET: str(self._socket),
            cpu_count.THREADS: str(cpu_count.share(1 + beside, cpu_count.cpus())),
            "CUDA_VISIBLE_DEVICES": slot.visible,
            "TOKENIZERS_PARALLELISM": "false",
        }

    def adopt(self, hello: worker_api.Hello, folder: Path, lease_s: float, heard: int) -> Worker:
        """Take in a worker that an earlier engine started."""
        worker = Worker(hello.worker, hello.study, hello.device, folder, lease_s, hello.pid, heard=heard)
        self._add(worker)
        log.info("worker %s of %s adopted: process %d", worker.name, worker.study, worker.pid)
        return worker

    def _add(self, worker: Worker) -> None:
        self.workers[worker.name] = worker
        self.known.add(worker.name)
        if not hasattr(os, "pidfd_open"):
            return  # the lease check finds it
        try:
            worker.pidfd = os.pidfd_open(worker.pid)
            asyncio.get_running_loop().add_reader(worker.pidfd, self._exited, worker)
        except OSError:
            asyncio.get_running_loop().call_soon(self._exited, worker)

    def _exited(self, worker: Worker) -> None:
        code = worker.process.wait() if worker.process is not None else None  # has ended: no wait
        how = "" if code is None else f" (killed by signal {-code})" if code < 0 else f" (exit code {code})"
        self._drop(worker, f"its worker {worker.name} ended{how}")

    def _drop(self, worker: Worker, why: str) -> None:
        if self.workers.pop(worker.name, None) is None:
            return
        if worker.pidfd >= 0:
            asyncio.get_running_loop().remove_reader(worker.pidfd)
            os.close(worker.pidfd)
            worker.pidfd = -1
        if worker.leaving:
            _forget(worker.folder, worker.name)
        self._gone(worker, why)

    def give_up(self, worker: Worker, why: str) -> None:
        """End it at once; ``why`` is told."""
        worker.kill()
        self._drop(worker, why)

    async def watch(self) -> None:
        """End workers whose lease ran out; runs until cancelled."""
        last = time.monotonic()
        while True:
            await asyncio.sleep(CHECK_S)
            last, before = time.monotonic(), last
            now, away_s = last, last - before - CHECK_S
            for worker in list(self.workers.values()):
                if away_s > CHECK_S:  # the engine itself stood still: what was said meanwhile is not read yet
                    worker.heard_at += away_s
                silent_s = now - worker.heard_at
                if silent_s > worker.lease_s:
                    self.give_up(worker, f"its worker {worker.name} was silent for {silent_s:.0f} s")
                elif worker.pidfd < 0 and not lives(worker.pid):
                    self._exited(worker)

    async def leave(self, why: str, within_s: float) -> None:
        """Ask all workers to checkpoint and go; after ``within_s`` they are ended."""
        for worker in self.workers.values():
            worker.leaving = True
            worker.tell(worker_api.Shutdown(why))
        deadline = time.monotonic() + within_s
        while self.workers and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        for worker in list(self.workers.values()):
            worker.kill()
            self._drop(worker, why)


def _started(
    module: str, arguments: list[str], environment: Mapping[str, str], output: Path, folder: Path
) -> subprocess.Popen:
    with open(output, "ab", opener=paths.no_link) as out:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", module, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
            cwd=folder,
            env=environment,
        )


def _note_process(folder: Path, name: str, pid: int) -> None:
    """Keep who the worker is for the next engine: a number alone may be somebody else's by then."""
    with contextlib.suppress(OSError):
        note = run_folder.worker_log(folder, name).with_suffix(".pid")
        with open(note, "w", encoding="utf-8", opener=paths.no_link) as file:
            file.write(f"{pid} {born(pid)}\n")


def _forget(folder: Path, name: str) -> None:
    """Its note is of no more use: it is gone, and its trials are elsewhere."""
    with contextlib.suppress(OSError, TrimtabError):
        run_folder.worker_log(folder, name).with_suffix(".pid").unlink(missing_ok=True)


def _noted(folder: Path, name: str) -> psutil.Process | None:
    """The process that was noted, when it is still the same. Raises OSError or ValueError without a note."""
    pid, since = run_folder.worker_log(folder, name).with_suffix(".pid").read_text().split()
    try:
        process = psutil.Process(int(pid))
        return process if born(int(pid)) == since else None
    except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
        return None


def may_return(folder: Path, name: str) -> bool:
    """Does the worker that an earlier engine started still live?"""
    try:
        process = _noted(folder, name)
        return process is not None and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
    except (OSError, ValueError, psutil.Error):
        return True  # not known: it gets its grace


def end_stray(folder: Path, name: str) -> None:
    """End the worker of an earlier engine that lives but did not come back. Its note stays: another trial of
    it is asked about next, and a worker without a note would get its grace."""
    with contextlib.suppress(OSError, ValueError, psutil.Error):
        process = _noted(folder, name)
        if process is not None:
            process.kill()


def log_tail(worker: Worker, limit_bytes: int = 4000) -> str:
    """The end of what the worker's libraries printed."""
    try:
        raw = run_folder.worker_log(worker.folder, worker.name).read_bytes()
    except OSError:
        return ""
    return raw[-limit_bytes:].decode(errors="replace")
