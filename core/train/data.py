"""Rows of tokens to train and judge on, with the prompt masked from the loss."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch

from core.contract.space import Choice, Range
from core.contract.spec import Spec
from core.errors import TrimtabError
from core.train import source
from core.train.progress import Progress

MASKED = -100  # torch's cross-entropy leaves these targets out
BATCH = 256  # rows per call of the tokenizer

Segment = tuple[str, bool]  # text, and whether it is a target


class Row(NamedTuple):
    """One sequence: ``ids`` its tokens, ``labels`` the same with ``MASKED`` where nothing is learnt."""

    ids: list[int]
    labels: list[int]


@dataclass
class Data:
    """Tokenised rows at full length; ``notes`` are words for the event list."""

    train: list[Row]
    validation: list[Row]
    notes: list[str] = field(default_factory=list)


def cut(row: Row, length: int) -> Row:
    """The row's first ``length`` tokens."""
    return row if len(row.ids) <= length else Row(row.ids[:length], row.labels[:length])


def has_target(row: Row) -> bool:
    """Is there a token to learn? The first one is never predicted."""
    return any(label != MASKED for label in row.labels[1:])


def collate(rows: Sequence[Row], pad_id: int, device: torch.device) -> dict[str, torch.Tensor]:
    """Rows padded on the right to the longest: input_ids, attention_mask and labels, each (B, T) int64."""
    width = max(len(row.ids) for row in rows)
    ids = [row.ids + [pad_id] * (width - len(row.ids)) for row in rows]
    labels = [row.labels + [MASKED] * (width - len(row.ids)) for row in rows]
    mask = [[1] * len(row.ids) + [0] * (width - len(row.ids)) for row in rows]
    return {
        "input_ids": torch.tensor(ids, device=device),
        "attention_mask": torch.tensor(mask, device=device),
        "labels": torch.tensor(labels, device=device),
    }


def load_data(spec: Spec, tokenizer: Any, progress: Progress) -> Data:
    """Read, split and tokenise. Raises TrimtabError when nothing is left to train or judge on."""
    train, validation = source.load(spec, progress)
    longest = longest_sequence(spec)
    form = Form(spec, tokenizer, _columns(train))
    random.Random(spec.study.seed).shuffle(validation)
    validation = validation[: spec.evaluate.rows]
    notes: list[str] = []
    data = Data([], [], notes)
    for name, rows, kept in (("training", train, data.train), ("validation", validation, data.validation)):
        tokenised = [cut(row, longest) for row in _tokenised(form, rows, name, progress)]
        kept.extend(row for row in tokenised if has_target(row))
        lost = len(tokenised) - len(kept)
        if lost:
            notes.append(
                f"{lost} of {len(tokenised)} {name} rows were left out: no target within {longest} tokens"
            )
        if not kept:
            raise TrimtabError.of(
                f"no {name} row has a target token within {longest} tokens",
                f"data.source = {spec.data.source!r}",
                "raise sequence_length, or look at the rows",
            )
    notes.append(f"{len(data.train)} training and {len(data.validation)} validation rows, as {form.kind}")
    return data


def longest_sequence(spec: Spec) -> int:
    """The longest sequence_length that any trial may have."""
    dimension = spec.space.get("sequence_length")
    if isinstance(dimension, Choice):
        return max(int(value) for value in dimension.values if isinstance(value, int | float))
    if isinstance(dimension, Range):
        return int(dimension.high)
    return int(spec.train["sequence_length"])  # type: ignore[arg-type]


def _columns(rows: Sequence[dict[str, Any]]) -> list[str]:
    return list(rows[0]) if rows else []


class Form:
    """How a row becomes text: chat, instruction or plain text; found by the columns with ``auto``."""

    def __init__(self, spec: Spec, tokenizer: Any, columns: Sequence[str]) -> None:
        self._keys, self._tokenizer = spec.data, tokenizer
        self.kind = spec.data.format if spec.data.format != "auto" else self._found(columns)
        needed = {
            "chat": (spec.data.messages_key,),
            "instruction": (spec.data.prompt_key, spec.data.completion_key),
            "text": (spec.data.text_key,),
        }[self.kind]
        missing = [key for key in needed if key not in columns]
        if missing:
            raise TrimtabError.of(
                f"the rows have no column {missing[0]!r}; they have {', '.join(columns) or 'none'}",
                f"data.source = {spec.data.source!r}, format {self.kind}",
                "set data.format, or name the columns: messages_key, prompt_key, completion_key, text_key",
            )
        if self.kind == "chat" and not tokenizer.chat_template:
            raise TrimtabError.of(
                "the tokenizer has no chat template",
                "data.format = 'chat'",
                "use an instruction-tuned base model",
            )

    def _found(self, columns: Sequence[str]) -> str:
        keys = self._keys
        if keys.messages_key in columns:
            return "chat"
        if keys.prompt_key in columns and keys.completion_key in columns:
            return "instruction"
        return "text"

    def segments(self, row: dict[str, Any]) -> list[Segment]:
        """The row's text in pieces, each learnt or not."""
        end = self._tokenizer.eos_token or ""
        if self.kind == "text":
            return [(str(row[self._keys.text_key] or "") + end, True)]
        if self.kind == "chat":
            return self._chat(row[self._keys.messages_key])
        prompt, completion = row[self._keys.prompt_key], row[self._keys.completion_key]
        if isinstance(prompt, list) and isinstance(completion, list):
            return self._chat([*prompt, *completion])
        if self._tokenizer.chat_template:
            turns = [("user", prompt), ("assistant", completion)]
            return self._chat([{"role": role, "content": str(content or "")} for role, content in turns])
        return [(str(prompt or ""), False), (str(completion or "") + end, True)]

    def _chat(self, messages: Any) -> list[Segment]:
        """Every assistant turn is learnt, all else is context. Turns are found as what the template adds
        to the rendering of the turns before."""
        messages = [dict(one) for one in messages]
        whole = self._render(messages, False)
        pieces: list[Segment] = []
        place = 0
        for index, message in enumerate(messages):
            if message.get("role") != "assistant":
                continue
            before, after = self._render(messages[:index], True), self._render(messages[: index + 1], False)
            if not (
                whole.startswith(before) and whole.startswith(after) and place <= len(before) <= len(after)
            ):
                continue  # a template that rewrites earlier turns: this one cannot be told apart
            pieces += [(whole[place : len(before)], False), (whole[len(before) : len(after)], True)]
            place = len(after)
        return [*pieces, (whole[place:], False)]

    def _render(self, messages: list[dict[str, Any]], generation: bool) -> str:
        return self._tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=generation)

    @property
    def adds_special(self) -> bool:
        """Plain text gets the tokenizer's own beginning; a chat template brings it."""
        return self.kind == "text" or not self._tokenizer.chat_template


def _tokenised(form: Form, rows: Sequence[dict[str, Any]], name: str, progress: Progress) -> Iterator[Row]:
    encode: Callable[..., Any] = form._tokenizer
    beginning = form._tokenizer.bos_token_id if form.adds_special else None
    for start in range(0, len(rows), BATCH):
        progress(f"tokenising {name} rows", start, len(rows), "rows")
        batch = [[piece for piece in form.segments(row) if piece[0]] for row in rows[start : start + BATCH]]
        texts = [text for pieces in batch for text, _ in pieces]
        ids = iter(encode(texts, add_special_tokens=False)["input_ids"] if texts else [])
        for pieces in batch:
            yield _row([(next(ids), learnt) for _, learnt in pieces], beginning)


def _row(pieces: Sequence[tuple[list[int], bool]], beginning: int | None) -> Row:
    ids: list[int] = []
    labels: list[int] = []
    if beginning is not None and not (pieces and pieces[0][0][:1] == [beginning]):
        ids, labels = [beginning], [MASKED]
    for tokens, learnt in pieces:
        ids += tokens
        labels += tokens if learnt else [MASKED] * len(tokens)
    return Row(ids, labels)
