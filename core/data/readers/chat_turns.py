"""Parses the turns of a chat, and the weight of each."""

from __future__ import annotations

from typing import Any

from core.contract.text.sanitize import plain
from core.data.readers.row_values import UnusableRow, content

Turn = dict[str, Any]
THOUGHTS = ("reasoning_content", "reasoning", "thinking")  # keys of a turn


def turns_of(messages: Any) -> tuple[list[Turn], list[float]]:
    """Parse the turns, each with a role and text, and the weight of each. Raises UnusableRow."""
    if not isinstance(messages, list | tuple) or not messages:
        raise UnusableRow("messages is not a list of turns")
    turns, weights = [], []
    for message in messages:
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise UnusableRow("a turn has no role or no content")
        speaks = message.get("content") is not None
        if not speaks and message["role"] != "assistant":
            raise UnusableRow("a turn has no role or no content")
        weight = message.get("weight", 1)
        if weight not in (0, 1, None):
            raise UnusableRow(f"a turn has the weight {plain(str(weight), 40)}, which must be 0 or 1")
        words = content(message["content"]) if speaks else ""
        turn = {key: value for key, value in message.items() if value is not None and key != "weight"}
        turns.append(turn | {"content": words})
        weights.append(1 if weight is None else weight)
    return turns, weights
