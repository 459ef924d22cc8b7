"""Fills many chats into the frames of their template at once.

What would be looked for in every turn is looked for once in the text of many; only where that finds anything,
fewer are tried together, down to a single chat, which is then read as any other.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from core.data.readers.row_values import is_encodable
from core.train.data.chat_render_cache import Filled, Frame, Frames, Shape

read_role, read_content = itemgetter("role"), itemgetter("content")


class RawChat(NamedTuple):
    """A row's turns and tools, not checked yet; the turns before ``first`` are only read."""

    messages: Any
    tools: Any = None
    first: int = 0


def fill_chats(
    frames: Frames, chats: Sequence[RawChat], is_suspicious: Callable[[str], bool]
) -> list[Filled | None]:
    """Return the text of each chat with the spans of its answers; None for one that is to be read by itself.
    No frame may have a text that ``is_suspicious``."""
    filled = _fill(frames, chats, is_suspicious) if chats else []
    if filled is not None:
        return filled
    half = len(chats) // 2
    if not half:
        return [None]
    return fill_chats(frames, chats[:half], is_suspicious) + fill_chats(frames, chats[half:], is_suspicious)


def _fill(
    frames: Frames, chats: Sequence[RawChat], is_suspicious: Callable[[str], bool]
) -> list[Filled | None] | None:
    """Fill in the chats whose shape has a frame; None if any of them might not have its frame."""
    turns = _split_turns(chats)
    if turns is None:
        return None
    roles, contents = turns
    joined = "\n".join(contents)
    if not is_encodable(joined) or is_suspicious(joined) or _has_edge_spaces(contents):
        return None
    at, parts = 0, list[tuple[Shape, int, int]]()
    for messages, _, first in chats:
        end = at + len(messages)
        parts.append(((first, tuple(roles[at:end])), at, end))
        at = end
    known = {shape: frames.find_certain(shape) for shape in {shape for shape, _, _ in parts}}
    if any(words in joined for words in _list_asked(known.values())):
        return None
    return [_fill_next(frames, known[shape], shape, contents[at:end]) for shape, at, end in parts]


def _split_turns(chats: Sequence[RawChat]) -> tuple[list[str], list[str]] | None:
    """Return the roles and the texts of all turns; None if any has more, or something else."""
    turns = list[Any]()
    for messages, tools, _ in chats:
        if tools or type(messages) is not list or not messages:
            return None
        turns += messages
    if set(map(type, turns)) != {dict} or set(map(len, turns)) != {2}:
        return None
    try:
        roles, contents = list(map(read_role, turns)), list(map(read_content, turns))
    except KeyError:
        return None
    return (roles, contents) if set(map(type, roles)) | set(map(type, contents)) == {str} else None


def _has_edge_spaces(contents: Sequence[str]) -> bool:
    """Tell whether a text is empty, or begins or ends with white space."""
    if not all(contents):
        return True
    edges = "".join([content[0] + content[-1] for content in contents])
    return edges.split() != [edges]


def _list_asked(frames: Any) -> set[str]:
    return {
        words
        for frame in frames
        if frame is not None
        for _, words in itertools.chain.from_iterable(frame.asked)
    }


def _fill_next(frames: Frames, frame: Frame | None, shape: Shape, contents: Sequence[str]) -> Filled | None:
    """Fill in a chat, unless it is one of those that are rendered all the same."""
    if frame is None:
        return None
    if frames.is_due(shape):
        frames.owe(shape)
        return None
    return frame.put(contents)
