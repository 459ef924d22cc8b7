"""The engine, from taking its lock to shutdown."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import time
from collections.abc import Awaitable, Callable
from functools import partial
from importlib import metadata
from pathlib import Path

from core import paths
from core.contract.state.engine_state import LIVE_STUDY
from core.contract.wire import console_api
from core.daemon.background_tasks import keep_going
from core.daemon.console_broadcast import Hub
from core.daemon.event_committer import EventCommitter
from core.daemon.event_hooks.event_hooks import EventHooks
from core.daemon.server.engine_lock import RENEW_S, EngineLock
from core.daemon.server.machine_polling import Machine
from core.daemon.server.socket_server import Server
from core.daemon.server.tensorboard_feed import BoardFeed
from core.daemon.server.worker_inbox import WorkerInbox
from core.daemon.study.search_protocol import SearchFactory, open_search
from core.daemon.study.study_lifecycle import Studies
from core.daemon.study.study_runner import WORKER_MODULE
from core.daemon.workers import spare_worker
from core.errors import EngineError, RefusedError, TrimtabError

log = logging.getLogger("trimtab.engine")

SPARE_AFTER_S = 2.0  # `trimtab run` starts an engine and a study at once, which have priority
IDLE_S = 600.0  # an engine without consoles and studies exits after this


def read_version() -> str:
    """Return trimtab's installed version, or "checkout" if it is not installed."""
    try:
        return metadata.version("trimtab")
    except metadata.PackageNotFoundError:
        return "checkout"


def _part(name: str, work: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
    return asyncio.create_task(keep_going(name, work), name=name)


class Engine:
    """One engine per home folder. ``search`` and ``worker_module`` are its search and its worker."""

    def __init__(
        self, home: Path, search: SearchFactory = open_search, worker_module: str = WORKER_MODULE
    ) -> None:
        self._home = home
        self._hub = Hub()
        self._committer = EventCommitter(self._hub)
        self._socket, self._worker_module = paths.socket_path(home), worker_module
        self._studies = Studies(self._committer, self._socket, search, worker_module)
        self._boards = BoardFeed(self._committer)
        self._hooks = EventHooks(self._committer, home)
        self._leave = asyncio.Event()
        self._why = "the engine was stopped"

    async def run(self) -> None:
        """Serve until told to exit. Raises EngineError if another engine holds the home folder."""
        lock = EngineLock(paths.lock_path(self._home))
        self._studies.load()
        self._hub.publish(self._committer.state, ())
        machine = Machine(self._committer, self._hub)
        telling = WorkerInbox(self._committer, self._studies)
        server = Server(self._committer, self._hub, telling, self._handle, read_version())
        tasks = [_part("the writer", self._committer.run)]
        await keep_going("the first reading of the machine", machine.read_once, tries=1)
        self._hooks.take_up()
        self._studies.resume()
        await server.open(self._socket)
        log.info("engine %s serves at %s", read_version(), self._socket)
        tasks += [
            _part("the reading of the machine", partial(machine.run, self._studies.crew)),
            _part("the watch over the workers", self._studies.crew.watch),
            _part("TensorBoard's feed", self._boards.run),
            _part("the watch for idleness", self._watch_idle),
            _part("the renewal of the lock", partial(_renew_lock, lock)),
        ]
        if self._worker_module == spare_worker.FOR:
            tasks.append(_part("the spare worker", self._keep_spare))
        self._listen_for_signals()
        await self._leave.wait()
        log.info("leaving: %s", self._why)
        await self._studies.leave(self._why)
        await self._committer.wait_until_written()
        await asyncio.to_thread(self._hooks.close)
        for task in tasks:
            task.cancel()
        await server.close()
        self._studies.crew.spare.drop()
        self._boards.close()
        with contextlib.suppress(FileNotFoundError):
            self._socket.unlink()
        lock.release()

    def _listen_for_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (
            signal.SIGTERM,
            signal.SIGINT,
            signal.SIGUSR1,
        ):  # USR1: Slurm's warning before it ends a job
            loop.add_signal_handler(number, self._leave.set)

    async def _handle(self, request: console_api.AnyRequest) -> console_api.Answer | None:
        if not isinstance(request, console_api.StopEngine):
            return await self._studies.handle(request)
        if self._studies.alive() and not request.force:
            live = [
                study.name for study in self._committer.state.studies.values() if study.state in LIVE_STUDY
            ]
            raise RefusedError.of(
                f"studies still run: {', '.join(live)}",
                "engine",
                "stop them first, or --force: they continue from their checkpoints with the next engine",
            )
        asyncio.get_running_loop().call_later(0.1, self._leave.set)  # after the reply is out
        return None

    async def _watch_idle(self) -> None:
        since = time.monotonic()
        while True:
            await asyncio.sleep(5.0)
            if len(self._hub) or self._studies.alive():
                since = time.monotonic()
            elif time.monotonic() - since > IDLE_S:
                self._why = "nothing to do"
                self._leave.set()
                return

    async def _keep_spare(self) -> None:
        """Return while no study runs, keep a spare worker ready; runs until cancelled."""
        while True:
            await asyncio.sleep(SPARE_AFTER_S)
            if not self._studies.alive():
                with contextlib.suppress(TrimtabError):  # no device to use: a study will say why
                    self._studies.keep_spare()


async def _renew_lock(lock: EngineLock) -> None:
    """End the process at once if another engine has taken the home folder, since two must not write one
    journal.

    The workers connect to the other engine.
    """
    while True:
        await asyncio.sleep(RENEW_S)
        try:
            lock.renew()
        except EngineError as error:
            log.critical("%s", error)
            os._exit(error.exit_code)
