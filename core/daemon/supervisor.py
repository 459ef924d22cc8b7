"""The one writer: every event passes here, is made durable, folded into the state, and then shown."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from core.contract.events import LIVE, Event, Preparing, TrialEvaluated, TrialReported
from core.contract.fold import apply, refusal
from core.contract.secrets import Redactor
from core.contract.state import State
from core.daemon.hub import Hub
from core.store.journal import Journal

log = logging.getLogger("trimtab.supervisor")

GATHER_S = 0.2  # readings of this long share one disk write; anything else is written at once
RETRY_S = 1.0  # after a write that failed
PATIENT = (TrialReported, TrialEvaluated, *LIVE)

Watcher = Callable[[Event, State], None]


@dataclass
class _Entry:
    events: Sequence[Event]
    heard: dict[str, int]
    study: str
    done: asyncio.Future[list[str]] = field(repr=False)


class Supervisor:
    """Owns the state and the journals. ``put`` may be called from anywhere in the event loop."""

    def __init__(self, hub: Hub, state: State | None = None) -> None:
        self.state = state or State()
        self.trouble = ""  # why the journal cannot be written at this moment
        self.watchers: list[Watcher] = []
        self._journals: dict[str, Journal] = {}
        self._hub, self._redactor = hub, Redactor()
        self._inbox: list[_Entry] = []
        self._wake = asyncio.Event()
        self._urgent = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        hub.changed(self.state, ())

    def keep(self, study: str, journal: Journal) -> None:
        """Write ``study``'s events to ``journal`` from now on."""
        self._journals[study] = journal

    def put(self, *events: Event, heard: dict[str, int] | None = None) -> asyncio.Future[list[str]]:
        """Have ``events`` of one study happen. The future resolves when they are durable and folded,
        with the reasons of those that were refused. ``heard`` is kept beside them, see core.store."""
        done: asyncio.Future[list[str]] = asyncio.get_running_loop().create_future()
        study = next((event.study for event in events), "")
        self._inbox.append(_Entry(events, heard or {}, study, done))
        self._idle.clear()
        self._wake.set()
        if any(not isinstance(event, PATIENT) for event in events):
            self._urgent.set()
        return done

    async def settled(self) -> None:
        """Wait until nothing is waiting to be written."""
        self._urgent.set()
        await self._idle.wait()

    async def run(self) -> None:
        """Write and fold until cancelled."""
        while True:
            await self._wake.wait()
            if not self._urgent.is_set():
                await _either(self._urgent, GATHER_S)
            self._wake.clear()
            self._urgent.clear()
            entries, self._inbox = self._inbox, []
            await self._commit(entries)
            if not self._inbox:
                self._idle.set()

    async def _commit(self, entries: list[_Entry]) -> None:
        state, happened = self.state, []
        steps: list[tuple[Event, State]] = []
        refused: list[list[str]] = []
        batches: dict[str, tuple[list[Event], dict[str, int]]] = {}
        for entry in entries:
            refused.append([])
            batch, heard = batches.setdefault(entry.study, ([], {}))
            heard.update(entry.heard)
            for given in entry.events:
                event = self._redactor.anything(given)
                reason = refusal(state, event)
                if reason:
                    refused[-1].append(reason)
                    log.info("refused %s: %s", type(event).__name__, reason)
                    continue
                state = apply(state, event)
                steps.append((event, state))
                happened.append(event)
                if not isinstance(event, LIVE):
                    batch.append(event)
        await self._write(batches)
        self.state = state
        self._hub.changed(state, happened)
        for entry, reasons in zip(entries, refused, strict=True):
            if not entry.done.done():
                entry.done.set_result(reasons)
        for event, after in steps:
            for watcher in self.watchers:
                watcher(event, after)

    async def _write(self, batches: dict[str, tuple[list[Event], dict[str, int]]]) -> None:
        """Return when all is on disk. A full disk is waited for: nothing is shown that is not kept."""
        for study, (events, heard) in batches.items():
            journal = self._journals.get(study)
            if journal is None or not (events or heard):
                continue
            while True:
                try:
                    await asyncio.to_thread(journal.append, events, heard)
                    break
                except OSError as error:
                    if not self.trouble:
                        log.error("journal of %s: %s; trying again until there is room", study, error)
                        self._await_room(study, f"the journal cannot be written: {error.strerror or error}")
                    self.trouble = f"the journal of {study} cannot be written: {error.strerror or error}"
                    await asyncio.sleep(RETRY_S)
            if self.trouble:
                self._await_room(study, "")
            self.trouble = ""

    def _await_room(self, study: str, why: str) -> None:
        """The one thing that is shown and cannot be kept: why nothing else is shown. An empty ``why`` ends
        it."""
        wait = Preparing(at=time.time(), study=study, worker="engine", stage=why)
        self.state = apply(self.state, wait)
        self._hub.changed(self.state, (wait,))


async def _either(event: asyncio.Event, seconds: float) -> None:
    """Wait for ``event``, at most ``seconds``."""
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return
