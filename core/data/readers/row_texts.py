"""Splits a row into its texts without a tokenizer: what is only read, what is learnt, and which of it is an
answer."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from operator import itemgetter, not_
from typing import Any

import msgspec

from core.data.readers.chat_turns import THOUGHTS, split_turns
from core.data.readers.row_shape import Canonical
from core.data.readers.row_values import EmptyRow, UnusableRow, is_encodable, list_texts

LONGEST = 20_000  # characters kept of one text: about 5,000 tokens, more than most studies train on
MOST_TEXTS = 200  # kept of one row
BYTES_A_TOKEN = 4  # of UTF-8 text: about right for English, too high for code and other scripts
MORE = (*THOUGHTS, "tool_calls")  # keys of a turn with text in their values
_read_role, _read_content = itemgetter("role"), itemgetter("content")
Parts = tuple[list[str], list[str], list[str]]  # context, answers, other


class RowTexts(msgspec.Struct, frozen=True, gc=False):
    """The texts of one row, each cut to LONGEST characters. ``learnt`` are those that are trained on: answers
    and thoughts, or all of a plain text. ``number`` is the row's number in the source, from 1."""

    number: int
    context: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()
    other: tuple[str, ...] = ()  # learnt, but no answers
    is_cut: bool = False

    @property
    def learnt(self) -> tuple[str, ...]:
        """The texts that are trained on."""
        return (*self.answers, *self.other)

    @property
    def all(self) -> tuple[str, ...]:
        """Every text."""
        return (*self.context, *self.learnt)


def split(row: Canonical, number: int) -> tuple[RowTexts, int]:
    """Split a row in the common form; also return the characters that are kept. Raises UnusableRow."""
    parts = split_whole(row)
    context, answers, other = parts
    size = sum(map(len, context)) + sum(map(len, answers)) + sum(map(len, other))
    if len(context) + len(answers) + len(other) <= MOST_TEXTS and (
        size <= LONGEST or all(len(text) <= LONGEST for text in itertools.chain(*parts))
    ):
        return RowTexts(number, tuple(context), tuple(answers), tuple(other)), size
    cut = [tuple(words[:LONGEST] for words in part[:MOST_TEXTS]) for part in parts]
    texts = RowTexts(number, cut[0], cut[1], cut[2], True)
    return texts, sum(map(len, texts.all))


def split_whole(row: Canonical) -> Parts:
    """Split a row in the common form; no text is cut. Raises UnusableRow."""
    if "unusable" in row:
        raise UnusableRow(row["unusable"])
    if "messages" in row:
        parts = _split_chat(row["messages"])
    elif "prompt" in row:
        parts = _split_instruction(row)
    else:
        parts = [], [], [row["text"]]
    if not any(map(is_filled, itertools.chain(*parts))):
        raise EmptyRow("the row is empty")
    return parts


def is_filled(text: str) -> bool:
    """Tell whether a text has more than spaces."""
    return bool(text) and not text.isspace()


def count_bytes(texts: Iterable[str]) -> int:
    """Return the bytes of texts in UTF-8."""
    return sum(len(text) if text.isascii() else len(text.encode(errors="replace")) for text in texts)


def _split_chat(messages: Any, context_turns: int = 0) -> Parts:
    """Return the texts of the turns; the first ``context_turns`` turns and answers of weight 0 are not
    trained on."""
    if plain := _split_plain_chat(messages, context_turns):
        return plain
    context, answers, other = list[str](), list[str](), list[str]()
    turns, weights = split_turns(messages)
    for at, (turn, weight) in enumerate(zip(turns, weights, strict=True)):
        learnt = turn["role"] == "assistant" and weight and at >= context_turns
        more = list(itertools.islice(list_texts([turn[key] for key in MORE if key in turn]), MOST_TEXTS))
        if not more or is_filled(turn["content"]):  # a call or a thought without words is no empty answer
            (answers if learnt else context).append(turn["content"])
        (other if learnt else context).extend(more)
    return context, answers, other


def _split_plain_chat(messages: Any, context_turns: int) -> Parts | None:
    """Return the same for turns with nothing but a role and a text, as most have; None for others."""
    if type(messages) is not list or set(map(type, messages)) != {dict} or set(map(len, messages)) != {2}:
        return None
    try:
        roles, contents = list(map(_read_role, messages)), list(map(_read_content, messages))
    except KeyError:
        return None
    if set(map(type, roles)) | set(map(type, contents)) != {str}:
        return None
    if not (all(map(str.isascii, contents)) or all(map(is_encodable, contents))):
        return None
    learnt = [role == "assistant" and at >= context_turns for at, role in enumerate(roles)]
    context = list(itertools.compress(contents, map(not_, learnt)))
    return context, list(itertools.compress(contents, learnt)), []


def _split_instruction(row: Canonical) -> Parts:
    prompt, completion = row["prompt"], row["completion"]
    if isinstance(prompt, list):
        return _split_chat([*prompt, *completion], len(prompt))
    return [row["system"], prompt] if "system" in row else [prompt], [completion], []
