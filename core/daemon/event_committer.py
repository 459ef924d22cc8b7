"""The only writer: every event is made durable, folded into the state, and then shown."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from core.contract.events.event_types import Event, Preparing, StudyNoted
from core.contract.state.engine_state import State
from core.contract.state.event_fold import apply, explain_refusal
from core.contract.text.sanitize import sanitize
from core.contract.text.secret_redaction import Redactor
from core.daemon.console_broadcast import Hub
from core.daemon.journal_writer import Batch, JournalWriter
from core.errors import RefusedError
from core.store.journal_file import Journal, make_frame

log = logging.getLogger("trimtab.committer")

GATHER_S = 0.2  # readings within this time share one disk write; other events are written at once

Watcher = Callable[[Event, State], None]


@dataclass
class _Entry:
    events: Sequence[Event]
    heard: dict[str, int]
    study: str
    done: asyncio.Future[list[str]] = field(repr=False)
    refused: list[str] = field(default_factory=list)


@dataclass
class _Draft:
    """The next state, and the events that lead to it."""

    state: State
    steps: list[tuple[Event, State]] = field(default_factory=list)
    frames: list[bytes] = field(default_factory=list)


class EventCommitter:
    """Owns the state and the journals. ``put`` may be called anywhere in the event loop."""

    def __init__(self, hub: Hub, state: State | None = None) -> None:
        self.state = state or State()
        self.watchers: list[Watcher] = []
        self._writer = JournalWriter(self._show_wait)
        self._hub, self._redactor = hub, Redactor()
        self._noted: set[tuple[str, str]] = set()  # study and fault
        self._inbox: list[_Entry] = []
        self._wake = asyncio.Event()
        self._urgent = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        hub.publish(self.state, ())

    @property
    def trouble(self) -> str:
        """Why a journal cannot be written now; empty if all can."""
        return self._writer.trouble

    def keep(self, study: str, journal: Journal) -> Journal | None:
        """Write ``study``'s events to ``journal`` from now on; return the journal used before."""
        return self._writer.replace_journal(study, journal)

    def put(self, *events: Event, heard: dict[str, int] | None = None) -> asyncio.Future[list[str]]:
        """Queue ``events`` of one study.

        The future resolves when they are durable and folded, with the reasons of those that were refused.
        ``heard`` is stored with them, see core.store.
        """
        durable: asyncio.Future[list[str]] = asyncio.get_running_loop().create_future()
        study = next((event.study for event in events), "")
        self._inbox.append(_Entry(events, heard or {}, study, durable))
        self._idle.clear()
        self._wake.set()
        if any(event.urgent for event in events):
            self._urgent.set()
        return durable

    def note(self, study: str, text: str, level: str = "info") -> asyncio.Future[list[str]]:
        """Queue a note for the study's event list; ``level`` is info, warning or error."""
        return self.put(StudyNoted(at=time.time(), study=study, text=text, level=level))

    async def put_or_refuse(self, *events: Event) -> None:
        """Queue ``events`` and wait until they are durable. Raises RefusedError with the first reason of a
        refusal."""
        refusals = await self.put(*events)
        if refusals:
            raise RefusedError.of(refusals[0], "engine", "look at the trial again: it has changed meanwhile")

    async def wait_until_written(self) -> None:
        """Wait until no event is waiting to be written."""
        self._urgent.set()
        await self._idle.wait()

    async def run(self) -> None:
        """Write and fold until cancelled, whatever a single request or event causes."""
        while True:
            await self._wake.wait()
            if not self._urgent.is_set():
                await _wait_at_most(self._urgent, GATHER_S)
            self._wake.clear()
            self._urgent.clear()
            entries, self._inbox = self._inbox, []
            try:
                await self._commit(entries)
            except Exception as error:
                self._give_up(entries, error)
            if not self._inbox:
                self._idle.set()

    async def _commit(self, entries: list[_Entry]) -> None:
        state, steps = self.state, list[tuple[Event, State]]()
        batches: dict[str, Batch] = {}
        for entry in entries:
            batch = batches.setdefault(entry.study, Batch())
            batch.heard.update(entry.heard)
            try:
                draft = self._draft_entry(state, entry)
            except Exception as error:  # none of its events has happened
                entry.refused[:] = [self._describe_fault(entry, error)]
                continue
            state = draft.state
            steps += draft.steps
            batch.frames += draft.frames
        await self._writer.write(batches)
        self.state = state
        self._show_events([event for event, _ in steps])
        for entry in entries:
            if not entry.done.done():
                entry.done.set_result(entry.refused)
        for event, after in steps:
            self._notify_watchers(event, after)

    def _draft_entry(self, state: State, entry: _Entry) -> _Draft:
        """Fold an entry's events into a draft and encode them; an event that cannot be encoded does not
        happen.

        Raises whatever a faulty event causes.
        """
        draft = _Draft(state)
        for raw_event in entry.events:
            event = self._redactor.redact_all(raw_event)
            reason = explain_refusal(draft.state, event)
            if reason:
                entry.refused.append(reason)
                log.info("refused %s: %s", type(event).__name__, reason)
                continue
            encoded = make_frame(event)  # live events too: consoles must be able to decode them
            draft.state = apply(draft.state, event)
            draft.steps.append((event, draft.state))
            if event.journaled:
                draft.frames.append(encoded)
        return draft

    def _describe_fault(self, entry: _Entry, error: Exception) -> str:
        names = ", ".join(type(event).__name__ for event in entry.events)
        log.error("%s of study %r is refused", names, entry.study, exc_info=error)
        return sanitize(f"the engine cannot accept it: {type(error).__name__}: {error}", 300)

    def _give_up(self, entries: list[_Entry], error: Exception) -> None:
        """Return a fault of the engine itself to the waiting callers."""
        log.critical("a write failed", exc_info=error)
        for entry in entries:
            if not entry.done.done():
                entry.done.set_result([sanitize(f"the engine failed: {type(error).__name__}: {error}", 300)])

    def _show_events(self, events: Sequence[Event]) -> None:
        try:
            self._hub.publish(self.state, events)
        except Exception:
            log.exception("consoles cannot be shown %d events", len(events))

    def _notify_watchers(self, event: Event, after: State) -> None:
        """Call every watcher; one that fails does not keep the event from the others."""
        for watcher in self.watchers:
            try:
                watcher(event, after)
            except Exception as error:
                log.exception("%s failed at %.300r", _name_watcher(watcher), event)
                self._note_once(
                    event.study, f"{_name_watcher(watcher)} failed: {type(error).__name__}: {error}"
                )

    def _note_once(self, study: str, fault: str) -> None:
        """Add a fault to the study's event list, once; the log has every occurrence in full."""
        if (study, fault) in self._noted or study not in self.state.studies:
            return
        self._noted.add((study, fault))
        self.note(study, f"a part of the engine {sanitize(fault, 300)}; its log has the details", "error")

    def _show_wait(self, study: str, reason: str) -> None:
        """Show why nothing else is shown: the only event that is shown and cannot be stored. An empty
        ``reason`` ends it."""
        wait = Preparing(at=time.time(), study=study, worker="engine", stage=reason)
        self.state = apply(self.state, wait)
        self._hub.publish(self.state, (wait,))


def _name_watcher(watcher: Watcher) -> str:
    return getattr(watcher, "__qualname__", type(watcher).__name__).removesuffix("._watch")


async def _wait_at_most(event: asyncio.Event, seconds: float) -> None:
    """Wait for ``event``, at most ``seconds``."""
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return
