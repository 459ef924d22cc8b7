"""Finds the text of a row that asks for its answer, and puts another text in its place."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from core.data.readers.chat_turns import parse_list, split_turns
from core.data.readers.row_shape import Canonical, Raw, Shape
from core.data.readers.row_values import UnusableRow

MARK = "zq0qz"
Path = tuple[str | int, ...]  # keys and indices, from the row to the text


@dataclass(frozen=True)
class PromptPlace:
    """The ``text`` that asks, and its place in the row of the source; ``is_json``: its column holds a list as
    JSON text."""

    path: Path
    text: str
    is_json: bool = False

    def put(self, raw: Raw, text: str) -> Raw:
        """Return the row with another text there; all else stays as it is."""
        column, *inside = self.path
        value = parse_list(raw[str(column)]) if self.is_json else raw[str(column)]
        replaced = _replace(value, inside, text)
        return raw | {str(column): json.dumps(replaced, ensure_ascii=False) if self.is_json else replaced}


def read_prompt(row: Canonical) -> str:
    """Return what a row in the common form asks last before its last answer. Raises UnusableRow."""
    return _split(row)[0]


def find_prompt(raw: Raw, shape: Shape) -> PromptPlace:
    """Find the prompt in a row of a source: the last turn of the user before the last answer that is learnt,
    or the prompt without what is joined to it (Alpaca's ``input``).

    A text is the prompt if the row with another text there asks something else, and is else the same,
    whatever its shape. Raises UnusableRow.
    """
    prompt, others = _split(shape.read(raw))
    for place in _list_texts(raw, shape):
        if not place.text.strip() or place.text.strip() not in prompt:
            continue
        try:
            changed, rest = _split(shape.read(place.put(raw, MARK)))
        except UnusableRow:
            continue
        if MARK in changed and rest == others:
            return place
    raise UnusableRow("its prompt is not a text of its own")


def _split(row: Canonical) -> tuple[str, list[Any]]:
    """Return the prompt, and all else that training reads of the row."""
    if "unusable" in row:
        raise UnusableRow(row["unusable"])
    if "messages" in row:
        return _split_turns(row["messages"], None)
    if "prompt" not in row:
        raise UnusableRow("plain text has no prompt")
    prompt, answer = row["prompt"], row["completion"]
    if isinstance(prompt, list):
        return _split_turns([*prompt, *answer], len(prompt))
    return prompt, [answer, row.get("system")]


def _split_turns(messages: Any, first: int | None) -> tuple[str, list[Any]]:
    """Split a chat, whose answers are learnt from turn ``first`` on."""
    turns, weights = split_turns(messages)
    speakers = [(at, turn["role"]) for at, turn in enumerate(turns) if first is None or at < first]
    learnt = [at for at, role in speakers if role == "assistant" and weights[at]]
    last = first if first is not None else max(learnt, default=0)
    last_question = max((at for at, role in speakers if role == "user" and at < last), default=-1)
    if last_question < 0:
        raise UnusableRow("no turn of the user is before the last answer")
    others = [turn if at != last_question else turn["role"] for at, turn in enumerate(turns)]
    return turns[last_question]["content"], [others, weights]


def _list_texts(raw: Raw, shape: Shape) -> Iterator[PromptPlace]:
    """Yield the texts of the columns that are read, the last of each list first: chats end with what is
    asked."""
    for column in filter(None, shape.used):
        value = raw.get(column)
        if isinstance(value, str):
            yield PromptPlace((column,), value)
            for path, text in _walk(parse_list(value)):
                yield PromptPlace((column, *path), text, is_json=True)
        else:
            for path, text in _walk(value):
                yield PromptPlace((column, *path), text)


def _walk(value: Any) -> Iterator[tuple[Path, str]]:
    if isinstance(value, str):
        yield (), value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from (((key, *path), text) for path, text in _walk(item))
    elif isinstance(value, list | tuple):
        for at in reversed(range(len(value))):
            yield from (((at, *path), text) for path, text in _walk(value[at]))


def _replace(value: Any, path: list[str | int], text: str) -> Any:
    if not path:
        return text
    key, *inside = path
    if isinstance(value, dict):
        return value | {key: _replace(value[key], inside, text)}
    return [_replace(item, inside, text) if at == key else item for at, item in enumerate(value)]
