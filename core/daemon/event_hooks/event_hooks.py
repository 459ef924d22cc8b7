"""Call the user's hooks for events, once each, in threads that the engine never waits for."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from core.contract.events import event_types as e
from core.contract.state import engine_state as s
from core.daemon.answers import limit_enforcement
from core.daemon.event_committer import EventCommitter
from core.daemon.event_hooks import hook_delivery, hook_messages, hook_settings
from core.daemon.event_hooks.hook_messages import Message
from core.daemon.event_hooks.hook_settings import Hook

log = logging.getLogger("trimtab.hooks")

LONGEST_QUEUE = 100  # messages; later ones are dropped
LEAVE_S = 3.0  # how long the engine's end waits for messages that are being delivered


class MessageQueue:
    """Messages that a daemon thread of its own works off, one after another."""

    def __init__(self, name: str, work: Callable[[Message], None]) -> None:
        self._waiting: queue.Queue[Message | None] = queue.Queue(LONGEST_QUEUE)
        self._name, self._work = name, work
        self._thread: threading.Thread | None = None
        self._dropped = 0

    def offer(self, message: Message) -> None:
        """Add a message, or drop it while the queue is full. Never blocks."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()
        try:
            self._waiting.put_nowait(message)
        except queue.Full:
            self._dropped += 1
            log.warning("%s: %d messages dropped by now, the queue is full", self._name, self._dropped)

    def close(self, deadline: float) -> None:
        """Wait until all is delivered, at most until ``deadline`` (monotonic, seconds)."""
        if self._thread is None:
            return
        with contextlib.suppress(queue.Full):
            self._waiting.put(None, timeout=max(0.0, deadline - time.monotonic()))
        self._thread.join(max(0.0, deadline - time.monotonic()))
        if self._thread.is_alive():
            log.warning("%s: about %d messages are not sent", self._name, self._waiting.qsize())

    def _run(self) -> None:
        while (message := self._waiting.get()) is not None:
            try:
                self._work(message)
            except Exception:
                log.exception("%s failed", self._name)


class EventHooks:
    """Watches events, and passes messages to the hooks of ``on_event.toml``, which is read for each."""

    def __init__(self, committer: EventCommitter, home: Path) -> None:
        self._committer, self._home = committer, home
        self._loop: asyncio.AbstractEventLoop | None = None
        self._inbox = MessageQueue("on_event", self._pass_on)
        self._queues: dict[str, MessageQueue] = {}
        self._hooks: dict[str, Hook] = {}  # by name, as read last
        self._leaving = threading.Event()
        self._told: set[tuple[str, int, str]] = set()  # limits by study and trial
        self._said: dict[str, str] = {}  # the last trouble by hook, so that it is noted once
        committer.watchers.append(self._watch)

    def take_up(self) -> None:
        """Begin after the journals were read: what happened before is not told again.

        Called in the engine's event loop; tells that the engine is back if studies continue.
        """
        self._loop = asyncio.get_running_loop()
        for study in self._committer.state.studies.values():
            self._told.update(
                (study.name, trial.number, str(limit))
                for trial in study.trials.values()
                for limit in limit_enforcement.list_broken_limits(study, trial)
            )
        live = [study for study in self._committer.state.studies.values() if study.state in s.LIVE_STUDY]
        if live:
            self._inbox.offer(hook_messages.describe_return(tuple(study.name for study in live)))

    def close(self) -> None:
        """Deliver what waits, for LEAVE_S at most. Blocking."""
        self._leaving.set()
        deadline = time.monotonic() + LEAVE_S
        self._inbox.close(deadline)  # it fills the others
        for waiting in list(self._queues.values()):
            waiting.close(deadline)

    def _watch(self, event: e.Event, state: s.State) -> None:
        if isinstance(event, e.StudyCreated):  # an earlier study of this name is another one
            self._told = {key for key in self._told if key[0] != event.study}
        for message in self._list_messages(event, state):
            self._inbox.offer(message)

    def _list_messages(self, event: e.Event, state: s.State) -> Iterator[Message]:
        if isinstance(event, e.StudyEnded):
            yield hook_messages.describe_end(event, state.studies[event.study])
        elif isinstance(event, e.TrialFailed):
            yield hook_messages.describe_failure(event)
        elif isinstance(event, e.TrialScored):
            study = state.studies[event.study]
            for limit in limit_enforcement.list_broken_limits(study, study.trials[event.trial]):
                key = (event.study, event.trial, str(limit))
                if key not in self._told and limit.metric in event.scores:
                    self._told.add(key)
                    yield hook_messages.describe_breach(event, str(limit), limit.metric)

    # -- in threads --------------------------------------------------------------------------------

    def _pass_on(self, message: Message) -> None:
        """Queue the message for each hook that wants it."""
        hooks = hook_settings.read(self._home)
        if hooks.problem:
            log.warning("%s: no hook is called for %s", hooks.problem, message.kind)
        self._note_trouble("", message, hooks.problem)
        self._hooks = {hook.name: hook for hook in hooks.hooks}
        for name, hook in self._hooks.items():
            if hook.wants(message.kind, message.studies):
                self._find_queue(name).offer(message)

    def _find_queue(self, name: str) -> MessageQueue:
        if name not in self._queues:
            self._queues[name] = MessageQueue(f"hook {name}", lambda message: self._deliver(name, message))
        return self._queues[name]

    def _deliver(self, name: str, message: Message) -> None:
        hook = self._hooks.get(name)
        if hook is None:  # removed from the file meanwhile
            return
        outcome = hook_delivery.deliver(hook, message, self._home, self._leaving.wait)
        level = logging.INFO if outcome.ok else logging.WARNING
        log.log(level, "%s to %s (%s): %s", message.kind, name, hook.target(), outcome.text)
        trouble = "" if outcome.ok else f"hook {name} ({hook.target()}): {message.kind}: {outcome.text}"
        self._note_trouble(name, message, trouble)

    def _note_trouble(self, name: str, message: Message, text: str) -> None:
        """Note a new trouble in the event list of the message's study; an empty text ends it."""
        if text == self._said.get(name, ""):
            return
        self._said[name] = text
        if text and self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the engine has left
                self._loop.call_soon_threadsafe(self._note, message.studies[0], text)

    def _note(self, study: str, text: str) -> None:
        self._committer.note(study, text, "warning")
