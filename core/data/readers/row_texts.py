"""Splits a row into its texts without a tokenizer: what is only read, what is learnt, and which of it is an
answer."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from core.contract.spec.companion_column import find_companion
from core.contract.spec.study_spec import DataOptions
from core.data.readers.chat_turns import THOUGHTS, turns_of
from core.data.readers.row_values import UnusableRow, text, texts

LONGEST = 20_000  # characters kept of one text: about 5,000 tokens, more than most studies train on
MOST_TEXTS = 200  # kept of one row
MORE = (*THOUGHTS, "tool_calls")  # keys of a turn with text in their values
Raw = dict[str, Any]


@dataclass(frozen=True)
class RowTexts:
    """The texts of one row, each cut to LONGEST characters. ``learnt`` are those that are trained on: answers
    and thoughts, or all of a plain text. ``number`` is the row's number in the source, from 1."""

    number: int
    context: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()
    other: tuple[str, ...] = field(default=(), kw_only=True)  # learnt, but no answers
    is_cut: bool = field(default=False, kw_only=True)

    @property
    def learnt(self) -> tuple[str, ...]:
        """The texts that are trained on."""
        return (*self.answers, *self.other)

    @property
    def all(self) -> tuple[str, ...]:
        """Every text."""
        return (*self.context, *self.learnt)


def split(raw: Raw, data: DataOptions, number: int) -> RowTexts:
    """Split a row as training formats it. Raises UnusableRow."""
    match _kind(raw, data):
        case "chat":
            parts = _chat(raw.get(data.messages_key))
        case "instruction":
            parts = _instruction(raw, data)
        case _:
            parts = [], [], [text(raw.get(data.text_key), data.text_key)]
    if not any(words.strip() for part in parts for words in part):
        raise UnusableRow("the row is empty")
    is_cut = sum(map(len, parts)) > MOST_TEXTS or any(
        len(words) > LONGEST for part in parts for words in part
    )
    context, answers, other = (tuple(words[:LONGEST] for words in part[:MOST_TEXTS]) for part in parts)
    return RowTexts(number, context, answers, other=other, is_cut=is_cut)


Parts = tuple[list[str], list[str], list[str]]  # context, answers, other


def _kind(raw: Raw, data: DataOptions) -> str:
    """Return ``data.format``; for "auto", the format that the columns of this row imply."""
    if data.format != "auto":
        return data.format
    if data.messages_key in raw:
        return "chat"
    return "instruction" if data.prompt_key in raw and data.completion_key in raw else "text"


def _chat(messages: Any, context_turns: int = 0) -> Parts:
    """Return the texts of the turns; the first ``context_turns`` turns and answers of weight 0 are not
    trained on."""
    context, answers, other = list[str](), list[str](), list[str]()
    turns, weights = turns_of(messages)
    for at, (turn, weight) in enumerate(zip(turns, weights, strict=True)):
        learnt = turn["role"] == "assistant" and weight and at >= context_turns
        (answers if learnt else context).append(turn["content"])
        more = [turn[key] for key in MORE if key in turn]
        if more:
            (other if learnt else context).extend(itertools.islice(texts(more), MOST_TEXTS))
    return context, answers, other


def _instruction(raw: Raw, data: DataOptions) -> Parts:
    prompt, completion = raw.get(data.prompt_key), raw.get(data.completion_key)
    if isinstance(prompt, list) and isinstance(completion, list):
        return _chat([*prompt, *completion], len(prompt))
    keys = (data.prompt_key, data.completion_key)
    joined = find_companion(data.prompt_key, keys, raw)
    more = [text(raw[joined], joined)] if joined and raw[joined] is not None else []
    return [text(prompt, keys[0]), *more], [text(completion, keys[1])], []


def readable(rows: Iterable[Raw], data: DataOptions, skipped: Counter[str]) -> Iterator[RowTexts]:
    """Split each row; the reason for one that cannot be split is counted in ``skipped``."""
    for number, raw in enumerate(rows, 1):
        try:
            yield split(raw, data, number)
        except UnusableRow as error:
            skipped[str(error)] += 1
