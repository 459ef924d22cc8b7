"""The attached consoles. Each has its own queue: a slow one gets a fresh snapshot later and delays no one."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import cast

from core.contract.events.event_types import AnyEvent, Event
from core.contract.state.engine_state import State
from core.contract.wire import console_api, message_codec

LARGEST_QUEUE = 4000  # events; beyond it a snapshot is cheaper
PACE_S = 0.05  # readings are sent at most this often

Send = Callable[[bytes], Awaitable[None]]


class Console:
    """An attached console and the changes that were not sent to it yet."""

    def __init__(self, send: Send) -> None:
        self.send = send
        self.waiting: list[Event] = []
        self.behind = True  # needs a snapshot: at first, and when its queue ran over
        self.wake = asyncio.Event()
        self.urgent = asyncio.Event()


class Hub:
    """Sends every change to every console."""

    def __init__(self) -> None:
        self._consoles: set[Console] = set()
        self._state = State()
        self._number = 0

    def __len__(self) -> int:
        return len(self._consoles)

    def publish(self, state: State, events: Sequence[Event]) -> None:
        """Send ``state``, the state after ``events``, to all attached consoles. Never waits."""
        self._state = state
        self._number += len(events)
        urgent = any(event.urgent for event in events)
        for console in self._consoles:
            if not console.behind:
                console.waiting.extend(events)
                if len(console.waiting) > LARGEST_QUEUE:
                    console.waiting.clear()
                    console.behind = True
            console.wake.set()
            if urgent:
                console.urgent.set()

    async def serve(self, send: Send) -> None:
        """Return feed one console until its connection breaks or the task is cancelled."""
        console = Console(send)
        console.urgent.set()
        console.wake.set()
        self._consoles.add(console)
        try:
            while True:
                await console.wake.wait()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(console.urgent.wait(), PACE_S)
                console.wake.clear()
                console.urgent.clear()
                await send(message_codec.encode(self._wait_for_next(console)))
        finally:
            self._consoles.discard(console)

    def _wait_for_next(self, console: Console) -> console_api.Snapshot | console_api.Changed:
        events, console.waiting = tuple(console.waiting), []
        if console.behind:
            console.behind = False
            return console_api.Snapshot(self._number, self._state)
        return console_api.Changed(self._number, cast(tuple[AnyEvent, ...], events))
