"""Manages the workers of all studies: starts them detached, adopts them by their Hello, and ends them when
their lease expires."""

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
from core.contract.process_identity import is_alive, read_start
from core.contract.wire import message_codec, worker_api
from core.contract.wire.shell_environment import read_allocator_settings
from core.daemon.placement.study_device_choice import CPU, Slot
from core.daemon.workers.spare_worker import SpareWorker
from core.errors import TrimtabError
from core.store import run_folder

log = logging.getLogger("trimtab.crew")

Send = Callable[[bytes], Awaitable[None]]
Gone = Callable[["Worker", str], None]
CHECK_S = 1.0
# A libgomp thread spins at a barrier until the other threads arrive, by default for milliseconds. On a busy
# machine another thread is often descheduled, and the spinning thread keeps its core: a step took 17 times as
# long. This count lasts microseconds, enough for threads that are running; then the thread sleeps.
# `python -m tests.bench.busy` measures it.
SPIN_COUNT = 1000
ENDED = "ended"  # start time in the record of a process that ended before it was read
SPIN_SETTINGS = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "KMP_BLOCKTIME")  # variables by which a user sets it


@dataclass
class Worker:
    """One worker process. ``send`` is None while it is disconnected."""

    name: str
    study: str
    device: str
    folder: Path
    lease_s: float
    pid: int = 0
    process: subprocess.Popen[bytes] | None = None
    pidfd: int = -1
    send: Send | None = None
    heard_at: float = field(default_factory=time.monotonic)
    heard: int = 0  # number of the last message received
    leaving: bool = False  # it was asked to shut down
    answers_samples: bool = False  # workers of earlier versions do not

    def tell(self, message: worker_api.ToWorker) -> None:
        """Send without waiting. A message lost with the connection is sent again after the next Hello."""
        if self.send is not None:
            task = asyncio.ensure_future(self._deliver(self.send, message_codec.encode(message)))
            task.add_done_callback(self._note_delivery)

    def _note_delivery(self, task: asyncio.Future[None]) -> None:
        if not task.cancelled() and task.exception():
            log.error("cannot send to worker %s", self.name, exc_info=task.exception())

    def tell_all(self, messages: Iterable[worker_api.ToWorker]) -> None:
        """Send each message."""
        for message in messages:
            self.tell(message)

    async def _deliver(self, send: Send, raw: bytes) -> None:
        with contextlib.suppress(ConnectionError, RuntimeError, asyncio.CancelledError):
            await send(raw)

    def kill(self) -> None:
        """Kill the process at once, by its pidfd, so that a recycled PID is never killed."""
        with contextlib.suppress(OSError):
            if self.pidfd >= 0 and hasattr(signal, "pidfd_send_signal"):
                signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
            elif self.process is not None:
                self.process.kill()


class WorkerPool:
    """Starts workers, watches their leases and exits, and reports when a worker has ended."""

    def __init__(
        self, socket: Path, gone: Gone, environment: Callable[[str], Mapping[str, str]] | None = None
    ) -> None:
        """Prepare the pool; ``environment`` returns the environment of a study, by default the engine's
        own."""
        self._socket = socket
        self._of_study = environment or (lambda study: os.environ)
        self._gone = gone
        self.workers: dict[str, Worker] = {}
        self.spare = SpareWorker()
        self._latest: tuple[Slot, str] | None = None  # device and study of the latest worker
        self.known: set[str] = set()  # every worker that this engine has had: their losses are reported
        self._closing = False  # the engine exits: who comes now is asked to shut down, too

    def of(self, study: str) -> list[Worker]:
        """Return the running workers of ``study`` that were not told to shut down."""
        return [worker for worker in self.workers.values() if worker.study == study and not worker.leaving]

    def start(self, study: str, folder: Path, slot: Slot, lease_s: float, module: str) -> Worker:
        """Start a worker process on ``slot``. It is detached from the terminal and outlives the engine."""
        name = f"{slot.label}-{secrets.token_hex(3)}"
        arguments = [str(folder), name, slot.torch_device]
        environment, output = (
            self._make_environment(slot, self._of_study(study)),
            run_folder.worker_log(folder, name),
        )
        self._latest = slot, study
        spare = self.spare.take(module, arguments, environment, output, folder)
        process = spare or _start_process(module, arguments, environment, output, folder)
        for lost_worker in self.known - self.workers.keys():  # lost workers, which the new one replaces
            _forget(folder, lost_worker)
        _note_process(folder, name, process.pid)
        worker = Worker(name, study, slot.label, folder, lease_s, process.pid, process)
        self._add(worker)
        log.info("worker %s of %s: %sprocess %d", name, study, "the spare " if spare else "", process.pid)
        return worker

    def keep_spare(self, slot: Slot) -> None:
        """Start a spare worker for the device and environment of the latest worker; if there was none yet,
        for ``slot`` and the engine's environment."""
        slot, study = self._latest or (slot, "")
        self.spare.keep(self._make_environment(slot, self._of_study(study)))

    def _make_environment(self, slot: Slot, own: Mapping[str, str]) -> dict[str, str]:
        """Return the study's environment ``own`` with the variables that a worker needs.

        They include a spin count and, on a GPU, the allocator's settings, unless the user set them.
        """
        is_set = any(name in own for name in SPIN_SETTINGS)
        spin = {} if is_set else {"GOMP_SPINCOUNT": str(SPIN_COUNT)}
        # the numbers of CUDA_VISIBLE_DEVICES are NVML's, where a card has no UUID
        card = {} if slot == CPU else {**read_allocator_settings(own), "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
        worker_devices = [worker.device for worker in self.workers.values() if not worker.leaving]
        # GPU workers leave the CPU mostly idle: only CPU workers share it
        cpu_workers = worker_devices.count(CPU.label) if slot == CPU else 0
        return {
            **own,
            **spin,
            **card,
            "PYTHONPATH": str(paths.find_root()),
            worker_api.ENV_SOCKET: str(self._socket),
            cpu_count.THREADS: str(cpu_count.share_cpus(1 + cpu_workers, cpu_count.count_cpus())),
            "CUDA_VISIBLE_DEVICES": slot.visible,
            "TOKENIZERS_PARALLELISM": "false",
        }

    def adopt(self, hello: worker_api.Hello, folder: Path, lease_s: float, last_number: int) -> Worker:
        """Add a worker that an earlier engine started."""
        worker = Worker(
            hello.worker, hello.study, hello.device, folder, lease_s, hello.pid, heard=last_number
        )
        self._add(worker)
        log.info("worker %s of %s adopted: process %d", worker.name, worker.study, worker.pid)
        return worker

    def _add(self, worker: Worker) -> None:
        worker.leaving = worker.leaving or self._closing  # its Hello is answered with a Shutdown
        self.workers[worker.name] = worker
        self.known.add(worker.name)
        if not hasattr(os, "pidfd_open"):
            return  # the lease check notices its exit
        try:
            worker.pidfd = os.pidfd_open(worker.pid)
            asyncio.get_running_loop().add_reader(worker.pidfd, self._note_exit, worker)
        except OSError:
            asyncio.get_running_loop().call_soon(self._note_exit, worker)

    def _note_exit(self, worker: Worker) -> None:
        code = (
            worker.process.wait() if worker.process is not None else None
        )  # has ended, so this does not block
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
        """Kill a worker and report ``why``."""
        worker.kill()
        self._drop(worker, why)

    async def watch(self) -> None:
        """End workers whose lease has expired; runs until cancelled."""
        last = time.monotonic()
        while True:
            await asyncio.sleep(CHECK_S)
            last, before = time.monotonic(), last
            now, away_s = last, last - before - CHECK_S
            for worker in list(self.workers.values()):
                if away_s > CHECK_S:  # the engine itself was suspended: messages of that time are unread yet
                    worker.heard_at += away_s
                silent_s = now - worker.heard_at
                if silent_s > worker.lease_s:
                    self.give_up(worker, f"its worker {worker.name} did not respond for {silent_s:.0f} s")
                elif worker.pidfd < 0 and not is_alive(worker.pid):
                    self._note_exit(worker)

    async def leave(self, why: str, within_s: float) -> None:
        """Ask all workers, also those that come meanwhile, to checkpoint and exit; kill them after
        ``within_s``."""
        self._closing = True
        for worker in self.workers.values():
            worker.leaving = True
            worker.tell(worker_api.Shutdown(why))
        deadline = time.monotonic() + within_s
        while self.workers and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        for worker in list(self.workers.values()):
            worker.kill()
            self._drop(worker, why)


def _start_process(
    module: str, arguments: list[str], environment: Mapping[str, str], output: Path, folder: Path
) -> subprocess.Popen[bytes]:
    with open(output, "ab", opener=paths.open_without_link) as out:
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
    """Record pid and start time of the worker for the next engine: the pid alone may be reused by then."""
    try:
        start = read_start(pid)
    except OSError:
        start = ENDED
    with contextlib.suppress(OSError):
        note = run_folder.worker_log(folder, name).with_suffix(".pid")
        with open(note, "w", encoding="utf-8", opener=paths.open_without_link) as file:
            file.write(f"{pid} {start}\n")


def _forget(folder: Path, name: str) -> None:
    """Delete the record of a worker that has ended and whose trials have moved."""
    with contextlib.suppress(OSError, TrimtabError):
        run_folder.worker_log(folder, name).with_suffix(".pid").unlink(missing_ok=True)


def _find_recorded(folder: Path, name: str) -> psutil.Process | None:
    """Return the recorded process, None if it has ended. Raises OSError or ValueError without a readable
    record."""
    pid, since = run_folder.worker_log(folder, name).with_suffix(".pid").read_text().split()
    try:
        process = psutil.Process(int(pid))
        return process if read_start(int(pid)) == since else None
    except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
        return None


def is_running(folder: Path, name: str) -> bool | None:
    """Tell whether the worker that an earlier engine started still runs; None without a readable record."""
    try:
        process = _find_recorded(folder, name)
        return process is not None and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
    except (OSError, ValueError, psutil.Error):
        return None


def may_return(folder: Path, name: str) -> bool:
    """Tell whether the worker that an earlier engine started may still run: if that is unknown, it gets its
    grace period."""
    return is_running(folder, name) is not False


def end_stray(folder: Path, name: str) -> None:
    """Kill a worker of an earlier engine that runs but did not reconnect. Its record stays: another of
    its trials is checked next, and a worker without a record would get a grace period."""
    with contextlib.suppress(OSError, ValueError, psutil.Error):
        process = _find_recorded(folder, name)
        if process is not None:
            process.kill()


def read_log_tail(worker: Worker, limit_bytes: int = 4000) -> str:
    """Return the end of the worker's log."""
    try:
        raw = run_folder.worker_log(worker.folder, worker.name).read_bytes()
    except OSError:
        return ""
    return raw[-limit_bytes:].decode(errors="replace")
