"""The worker's link to the engine, in a thread of its own: training never waits for a reader."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import logging
import os
import queue
import threading
import time
from collections.abc import Callable
from pathlib import Path

import aiohttp
import msgspec

from core.contract.events import event_types as e
from core.contract.text.sanitize import sanitize
from core.contract.text.secret_redaction import Redactor
from core.contract.wire import console_api, message_codec, worker_api
from core.contract.wire.aiohttp_connector import OwnConnector
from core.errors import EngineError

log = logging.getLogger("trimtab.link")

BEAT_S = 2.0
FIRST_RETRY_S, LONGEST_RETRY_S = 0.2, 3.0
ENGINE_AWAY_S = 600.0  # after this the worker checkpoints its trials and exits

ENDS = (e.TrialCompleted, e.TrialPruned, e.TrialFailed, e.TrialInfeasible, e.TrialRequeued)

Holds = Callable[[], tuple[int, ...]]
Notice = worker_api.Broken | worker_api.Leaving | worker_api.SamplePiece


class Link:
    """Sends events from the training thread (``tell``) and receives the engine's messages (``take``).

    Events are kept until the engine acknowledges them as durable, and are sent again after a reconnection.
    """

    def __init__(self, socket: Path, worker: str, study: str, device: str, holds: Holds) -> None:
        self._socket, self._worker, self._study, self._device = socket, worker, study, device
        self._holds = holds
        self._inbox: queue.SimpleQueue[worker_api.ToWorker] = queue.SimpleQueue()
        self._outbox: collections.deque[worker_api.Told] = collections.deque()
        self._lock = threading.Lock()
        self._number, self._redactor = 0, Redactor()
        self._notices: list[Notice] = []
        self._closing = threading.Event()
        self._drained = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._wake = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="link", daemon=True)
        self._turned_at = time.monotonic()

    def start(self) -> None:
        """Start the thread that connects."""
        self._thread.start()

    # -- the training thread's side ---------------------------------------------------------------

    def tell(self, event: e.Event) -> None:
        """Queue ``event`` for the engine. Never blocks."""
        clean = self._redactor.redact_all(event)
        with self._lock:
            self._number += 1
            self._outbox.append(worker_api.Told(self._number, clean))  # type: ignore[arg-type]
        self._wake_sender()

    def say(self, message: Notice) -> None:
        """Queue a message about the worker as a whole, or a piece of a sample."""
        with self._lock:
            self._notices.append(self._redactor.redact_all(message))
        self._wake_sender()

    def take(self, wait: bool) -> list[worker_api.ToWorker]:
        """Take the messages of the engine, oldest first; with ``wait``, wait up to 1 s for the first."""
        self._turned_at = time.monotonic()
        messages: list[worker_api.ToWorker] = []
        with contextlib.suppress(queue.Empty):
            messages.append(self._inbox.get(block=wait, timeout=1.0 if wait else None))
            while True:
                messages.append(self._inbox.get_nowait())
        return messages

    def ask(self, message: worker_api.ToWorker) -> None:
        """Put a message into this worker's own inbox; safe in a signal handler."""
        self._inbox.put(message)

    def close(self, within_s: float) -> None:
        """Wait until all events are acknowledged, at most ``within_s``."""
        self._closing.set()
        self._wake_sender()
        self._drained.wait(within_s)

    def _wake_sender(self) -> None:
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._wake.set)

    # -- the link's thread ------------------------------------------------------------------------

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._connect_for_ever())

    async def _connect_for_ever(self) -> None:
        retry_s, last_seen = FIRST_RETRY_S, time.monotonic()
        while True:
            connected, why = False, "closed"
            try:
                async with aiohttp.ClientSession(connector=OwnConnector(self._socket)) as session:
                    async with session.ws_connect(
                        "http://engine/ws", params={"from": "worker"}, heartbeat=30.0
                    ) as socket:
                        connected = True
                        await self._exchange_messages(socket)
            except (aiohttp.ClientError, EngineError, OSError, TimeoutError, msgspec.DecodeError) as error:
                why = f"{type(error).__name__}: {error}"
            if connected:  # the connection ended just now
                log.info("lost the engine (%s)", why)
                retry_s, last_seen = FIRST_RETRY_S, time.monotonic()
            if time.monotonic() - last_seen > ENGINE_AWAY_S:
                self._inbox.put(worker_api.Shutdown("the engine cannot be reached"))
                last_seen = time.monotonic()
            await asyncio.sleep(retry_s)
            retry_s = min(LONGEST_RETRY_S, retry_s * 1.5)

    async def _exchange_messages(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        hello = worker_api.Hello(
            console_api.PROTOCOL, self._worker, os.getpid(), self._study, self._device, self._holds(),
            answers_samples=True,
        )  # fmt: skip
        await socket.send_bytes(message_codec.encode(hello))
        sending = asyncio.create_task(self._send(socket))
        try:
            async for message in socket:
                if message.type is aiohttp.WSMsgType.BINARY:
                    self._receive(message_codec.read_to_worker(message.data))
        finally:
            sending.cancel()
            with contextlib.suppress(asyncio.CancelledError, ConnectionError, aiohttp.ClientError):
                await sending

    def _receive(self, message: worker_api.ToWorker) -> None:
        if isinstance(message, worker_api.Heard):
            with self._lock:
                while self._outbox and self._outbox[0].number <= message.number:
                    self._outbox.popleft()
            self._wake.set()
        else:
            self._inbox.put(message)

    async def _send(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Send what is not acknowledged, then new messages as they come, with heartbeats in between."""
        sent = 0
        while True:
            with self._lock:
                fresh = [message for message in self._outbox if message.number > sent]
            for message in fresh:
                await socket.send_bytes(self._encode(message))
                sent = message.number
            with self._lock:
                notices, self._notices = self._notices, []
            for notice in notices:
                await socket.send_bytes(self._encode(notice))
            if self._closing.is_set() and not self._outbox:
                self._drained.set()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), BEAT_S)
            if not self._wake.is_set():
                await socket.send_bytes(
                    message_codec.encode(worker_api.Beat(time.monotonic() - self._turned_at))
                )
            self._wake.clear()

    def _encode(self, message: worker_api.Told | Notice) -> bytes:
        """Encode ``message``, or a message that reports the fault when that fails (such as an integer of more
        than 64 bits), so that the numbering and this thread continue."""
        try:
            return message_codec.encode(message)
        except Exception as error:
            log.exception("%s cannot be sent", type(message).__name__)
            return message_codec.encode(
                self._make_substitute(message, f"{type(error).__name__}: {sanitize(str(error), 200)}")
            )

    def _make_substitute(self, message: worker_api.Told | Notice, fault: str) -> object:
        if isinstance(message, worker_api.SamplePiece):
            return worker_api.SamplePiece(message.ticket, done=True, why=fault)
        if not isinstance(message, worker_api.Told):
            return worker_api.Broken(
                f"the worker's message {type(message).__name__} cannot be sent: {fault}", "worker"
            )
        event, at = message.event, time.time()
        problem = f"the event {type(event).__name__} of {self._worker} cannot be sent: {fault}"
        if isinstance(event, ENDS):  # the trial has ended here: without an event the engine would wait for it
            failed = e.TrialFailed(at=at, study=self._study, trial=event.trial, error=problem, again=True)
            return worker_api.Told(message.number, failed)
        return worker_api.Told(
            message.number, e.StudyNoted(at=at, study=self._study, text=problem, level="error")
        )
