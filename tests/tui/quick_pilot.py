"""Textual's pilot, which waits for what a key does without sending a message to each widget.

The pilot posts a callback to every widget, four times a key, and waits until all have run: on a form of
eighty widgets half of a test's time. Here it looks whether each widget waits for its next message.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from textual._queue import Queue
from textual.css.model import RuleSet
from textual.css.stylesheet import Stylesheet
from textual.message_pump import MessagePump
from textual.pilot import Pilot, WaitForScreenTimeout

TURNS = 20  # of the event loop, before it sleeps between two looks
SLEEP_S, LONGEST_S = 0.002, 30.0


async def get(queue: Any) -> Any:
    """Do as Textual's queue does, and note that its widget waits for a message."""
    if not queue.ready_event.is_set():
        queue.waits = True
        try:
            await queue.ready_event.wait()
        finally:
            queue.waits = False
    value = queue.values.popleft()
    if not queue.values:
        queue.ready_event.clear()
    return value


def is_busy(pump: MessagePump) -> bool:
    """Tell whether it works on a message or has one to work on."""
    queue: Any = pump._message_queue
    return pump._running and not (pump._closing or pump._closed) and (bool(queue.values) or not queue.waits)


async def wait_for_screen(pilot: Pilot[Any]) -> bool:
    """Return True once the app and all widgets of its screen wait for messages; False after an exception."""
    app, deadline, turns = pilot.app, time.monotonic() + LONGEST_S, 0
    try:
        pumps = [app, *app.screen.walk_children(with_self=True)]
    except Exception:
        return False
    await asyncio.sleep(0)
    while not app._exception_event.is_set():
        pumps = [pump for pump in pumps if is_busy(pump)]
        if not pumps:
            return True
        if time.monotonic() > deadline:
            raise WaitForScreenTimeout("Timed out while waiting for widgets to process pending messages.")
        turns += 1
        await asyncio.sleep(0 if turns < TURNS else SLEEP_S)
    return False


parse_rules = Stylesheet._parse_rules
_parsed: dict[tuple[Any, ...], list[RuleSet]] = {}


def parse_once(stylesheet: Stylesheet, css: str, *place: Any, **about: Any) -> list[RuleSet]:
    """Parse a style sheet as Textual does, but once for all apps with the same colours: each app parses all
    of them several times while it starts, a sixth of that."""
    colors: Any = stylesheet
    if getattr(colors, "_keyed", None) is not stylesheet._variables:
        colors._keyed, colors._key = stylesheet._variables, frozenset(stylesheet._variables.items())
    key = (css, place, tuple(about.items()), colors._key)
    if key not in _parsed:
        _parsed[key] = parse_rules(stylesheet, css, *place, **about)
    return _parsed[key]


def use(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let pilots wait so, and style sheets be parsed once."""
    monkeypatch.setattr(Stylesheet, "_parse_rules", parse_once)
    monkeypatch.setattr(Queue, "waits", False, raising=False)
    monkeypatch.setattr(Queue, "get", get)
    monkeypatch.setattr(Pilot, "_wait_for_screen", wait_for_screen)
