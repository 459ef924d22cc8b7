"""Encodes texts for scoring: rows to score, and prompts to continue."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from core.contract.text.sanitize import sanitize
from core.evaluate.text.reasoning import strip_reasoning
from core.train.base.base_model import Base
from core.train.base.context_length import read_configured_length
from core.train.data import vocab_and_length_check
from core.train.data.chat_spans import Text
from core.train.data.dataset import MASKED, Row, cut, find_bos_tokens
from core.train.data.target_token_encoder import find_targets, list_control_ids
from core.train.step.batched_generation import list_end_ids

LONGEST = 1 << 20  # tokens, if the model names no limit
ROLE_TOKENS = 4  # at most, of the role's name that a template writes before a turn
Message = dict[str, str]


@dataclass(frozen=True)
class StudyForm:
    """The form of a study's rows, in which prompts are asked: the ``system`` prompt of most rows, and their
    ``kind``, as in ``Data``."""

    system: str = ""
    kind: str = "text"


class PromptEncoder:
    """Encodes texts with a base's tokenizer, its chat template if it has one, and its context length."""

    def __init__(self, base: Base, form: StudyForm = StudyForm()) -> None:
        self._base, self._tokenizer, self._form = base, base.tokenizer, form
        self._larger = len(base.tokenizer) > base.vocabulary
        self.context = read_configured_length(base.model) or LONGEST

    def ids(self, text: str) -> list[int]:
        """The tokens of ``text``, without special tokens. Raises TrimtabError for a token that the model
        lacks."""
        tokens = list(self._tokenizer(text, add_special_tokens=False)["input_ids"])
        if self._larger and (beyond := [token for token in tokens if token >= self._base.vocabulary]):
            vocab_and_length_check.refuse(
                self._base, beyond[0], f"a text of evaluate.boards, {sanitize(text, 60)!r}"
            )
        return tokens

    def text(self, ids: Sequence[int]) -> str:
        """The text of tokens, without special tokens."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=True))

    def last_text(self, ids: Sequence[int]) -> tuple[int, int]:
        """Where the longest text without special tokens begins and ends, of the last three in a prompt: the
        last turn, what stands between, and the generation prompt after it."""
        special = set(getattr(self._tokenizer, "all_special_ids", ()))
        marks = [-1, *(at for at, token in enumerate(ids) if token in special), len(ids)]
        texts = [(first + 1, last) for first, last in pairwise(marks) if last - first > 1][-3:]
        first, last = max(texts, key=lambda span: span[1] - span[0], default=(0, len(ids)))
        line = next((at for at in range(first, last) if "\n" in self.text([ids[at]])), None)
        role = line is not None and first and line - first < ROLE_TOKENS  # "user" and a new line
        return (line + 1 if role and line is not None else first), last

    @property
    def ends(self) -> frozenset[int]:
        """The tokens that end a completion."""
        return list_end_ids(self._base)

    def tokens_before(self, ids: Sequence[int], place: int) -> int:
        """How many of the tokens ``ids`` come before the one with its character ``place``."""
        return bisect_right(range(len(ids)), place, key=lambda at: len(self.text(ids[: at + 1])))

    def answer(self, ids: Sequence[int]) -> str:
        """The text of an answer, without the model's reasoning before it."""
        return strip_reasoning(self.text(ids))

    def row(self, text: str, prompt: str = "") -> Row:
        """A row that scores ``text`` after ``prompt``, which is not scored; cut to the context."""
        begin, before = find_bos_tokens(self._tokenizer), self.ids(prompt) if prompt else []
        ids = self.ids(prompt + text) if prompt else self.ids(text)
        known = next((at for at, (a, b) in enumerate(zip(before, ids, strict=False)) if a != b), len(before))
        row_ids = [*begin, *ids][: self.context]
        hidden = len(begin) + min(known, len(ids))
        return Row(row_ids, [MASKED] * min(hidden, len(row_ids)) + row_ids[hidden:])

    def row_of(self, text: str, spans: Sequence[tuple[int, int]]) -> Row:
        """A row that scores the tokens of ``text`` with a character in ``spans``, in order; cut to the
        context. Raises TrimtabError as ``ids``."""
        begin, ids = find_bos_tokens(self._tokenizer), self.ids(text)
        if getattr(self._tokenizer, "is_fast", False):
            encoding = self._tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
            controls = np.isin(encoding["input_ids"], list_control_ids(self._tokenizer))
            targets = find_targets(encoding["offset_mapping"], Text(text, tuple(spans)), controls).tolist()
        else:
            inside = {self.tokens_before(ids, place) for span in spans for place in range(*span)}
            targets = [at in inside for at in range(len(ids))]
        labels = [token if target else MASKED for token, target in zip(ids, targets, strict=True)]
        return cut(Row([*begin, *ids], [*[MASKED] * len(begin), *labels]), self.context)

    def opening(self, text: str) -> list[int]:
        """The prompt of a text to be continued as it is."""
        return [*find_bos_tokens(self._tokenizer), *self.ids(text)]

    def request(self, text: str, turns: Sequence[Message] = (), prefill: str = "") -> list[int]:
        """The prompt of a user's request as the study's rows have it: in the chat template, with their system
        prompt and without reasoning; without a template, the text as in an instruction row, or a line.

        ``turns`` are earlier ones, ``prefill`` the beginning of the answer.
        """
        messages = [*turns, {"role": "user", "content": text}]
        rendered = self.chat(messages)
        if rendered is not None:
            return [*rendered, *self.ids(prefill)] if prefill else rendered
        end = "" if self._form.kind == "instruction" else "\n"
        lines = "".join(f"{message['content']}{end}" for message in messages)
        return self.opening(f"{lines}{prefill}")

    def answered(self, text: str, answer: str) -> Row:
        """A row that scores ``answer`` after the request ``text``; cut to the context."""
        prompt, target = self.request(text), self.ids(answer)
        return cut(Row([*prompt, *target], [*[MASKED] * len(prompt), *target]), self.context)

    def chat(self, messages: Sequence[Message]) -> list[int] | None:
        """The prompt of a chat that the model is to answer; None without a template, and where the template
        rejects these turns. The study's system prompt comes first unless ``messages`` has one."""
        if not self._tokenizer.chat_template:
            return None
        own = bool(messages) and messages[0]["role"] == "system"
        system = [] if own or not self._form.system else [{"role": "system", "content": self._form.system}]
        try:
            return self.ids(self._render([*system, *messages]))
        except Exception:  # a template may raise anything
            return None

    def _render(self, messages: list[Message]) -> str:
        """Templates of reasoning models read ``enable_thinking``; others ignore it."""
        options: dict[str, Any] = {"tokenize": False, "add_generation_prompt": True, "enable_thinking": False}
        return str(self._tokenizer.apply_chat_template(messages, **options))
