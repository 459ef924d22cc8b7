"""Encodes texts for scoring: rows to score, and prompts to continue."""

from __future__ import annotations

from collections.abc import Sequence

from core.contract.text.sanitize import plain
from core.train.base.base_model import Base
from core.train.base.context_length import configured_length
from core.train.data import capacity_check
from core.train.data.dataset import MASKED, Row, bos_tokens

LONGEST = 1 << 20  # tokens, if the model names no limit


class PromptEncoder:
    """Encodes texts with a base's tokenizer, its chat template if it has one, and its context length."""

    def __init__(self, base: Base) -> None:
        self._base, self._tokenizer = base, base.tokenizer
        self._larger = len(base.tokenizer) > base.vocabulary
        self.context = configured_length(base.model) or LONGEST

    def ids(self, text: str) -> list[int]:
        """The tokens of ``text``, without special tokens. Raises TrimtabError for a token that the model
        lacks."""
        tokens = list(self._tokenizer(text, add_special_tokens=False)["input_ids"])
        if self._larger and (beyond := [token for token in tokens if token >= self._base.vocabulary]):
            capacity_check.refuse(self._base, beyond[0], f"a text of evaluate.boards, {plain(text, 60)!r}")
        return tokens

    def text(self, ids: Sequence[int]) -> str:
        """The text of tokens, without special tokens."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=True))

    def row(self, text: str, given: str = "") -> Row:
        """A row that scores ``text`` after ``given``, which is not scored; cut to the context."""
        begin, before = bos_tokens(self._tokenizer), self.ids(given) if given else []
        ids = self.ids(given + text) if given else self.ids(text)
        known = next((at for at, (a, b) in enumerate(zip(before, ids, strict=False)) if a != b), len(before))
        whole = [*begin, *ids][: self.context]
        hidden = len(begin) + min(known, len(ids))
        return Row(whole, [MASKED] * min(hidden, len(whole)) + whole[hidden:])

    def opening(self, text: str) -> list[int]:
        """The prompt of a text to be continued as it is."""
        return [*bos_tokens(self._tokenizer), *self.ids(text)]

    def request(self, text: str) -> list[int]:
        """The prompt of a user's request in the chat template; without a template, a line of text."""
        if self._tokenizer.chat_template:
            turn = [{"role": "user", "content": text}]
            try:
                prompt = self._tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True)
                return self.ids(prompt)
            except Exception:  # a template may raise anything
                return self.opening(f"{text}\n")
        return self.opening(f"{text}\n")
