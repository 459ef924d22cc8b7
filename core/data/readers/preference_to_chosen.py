"""Brings a preference pair into the form of a prompt and its chosen answer."""

from __future__ import annotations

import itertools
from typing import Any

from core.data.readers.chat_turns import Turn, split_dialogue, to_turns
from core.data.readers.row_values import UnusableRow, read_text

Pair = dict[str, Any]


def join_pair(prompt: Any, chosen: Any, rejected: Any, is_chat: bool) -> Pair:
    """Return the prompt and the chosen answer: as turns with ``is_chat``, else as texts.

    The prompt may be a column of its own, or the beginning that both answers share, or both. Raises
    UnusableRow.
    """
    if is_chat:
        return _split(
            _make_turns(prompt, "user"), _make_turns(chosen, "assistant"), _make_turns(rejected, "assistant")
        )
    chosen = read_text(chosen, "chosen")
    if dialogue := split_dialogue(chosen):
        return _split([], dialogue, split_dialogue(rejected) if isinstance(rejected, str) else [])
    if isinstance(prompt, list | tuple | dict):
        return _split(_make_turns(prompt, "user"), _make_turns(chosen, "assistant"), [])
    if prompt is None and isinstance(rejected, str):
        return _split_texts(chosen, rejected)
    return {"prompt": read_text(prompt, "prompt"), "completion": chosen}


def _make_turns(value: Any, role: str) -> list[Turn]:
    """Return the turns of a value: a list of turns, an object with ``messages``, or a text by ``role``."""
    if value is None:
        return []
    if isinstance(value, dict) and "messages" in value:
        value = value["messages"]
    turns = to_turns(value)
    if not turns or not all(isinstance(turn, dict) and "role" in turn for turn in turns):
        return [{"role": role, "content": read_text(value, "a turn")}]
    return turns


def _split(prompt: list[Turn], chosen: list[Turn], rejected: list[Turn]) -> Pair:
    """Return the turns before and from the first one in which the answers differ."""
    if not chosen:
        raise UnusableRow("no chosen answer")
    if chosen[0].get("role") in ("user", "system"):  # it begins with the prompt
        shared_turns = itertools.takewhile(
            lambda pair: pair[0] == pair[1], zip(chosen, rejected, strict=False)
        )
        shared = min(sum(1 for _ in shared_turns) or len(chosen) - 1, len(chosen) - 1)
        prompt, chosen = chosen[:shared], chosen[shared:]
    if not prompt:
        raise UnusableRow("the chosen answer has no prompt")
    return {"prompt": prompt, "completion": chosen}


def _split_texts(chosen: str, rejected: str) -> Pair:
    """Return the words that both texts begin with, and the rest of the chosen one."""
    pairs = zip(chosen, rejected, strict=False)
    shared = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
    while shared and not chosen[shared - 1].isspace():
        shared -= 1
    if not chosen[:shared].strip():
        raise UnusableRow("the chosen answer has no prompt")
    return {"prompt": chosen[:shared], "completion": chosen[shared:]}
