"""Texts as a model is given them: rows to rate, and prompts to go on from."""

from __future__ import annotations

from collections.abc import Sequence

from core.contract.text.sanitize import plain
from core.train.base.base_model import Base
from core.train.base.context_length import configured_length
from core.train.data import capacity_check
from core.train.data.dataset import MASKED, Row, bos_tokens

LONGEST = 1 << 20  # tokens, where a model names no limit


class Asking:
    """Knows a base's tokenizer, its chat template where it has one, and how much fits its context."""

    def __init__(self, base: Base) -> None:
        self._base, self._tokenizer = base, base.tokenizer
        self._larger = len(base.tokenizer) > base.vocabulary
        self.context = configured_length(base.model) or LONGEST

    def ids(self, text: str) -> list[int]:
        """The tokens of ``text``, with nothing added. Raises TrimtabError for one that the model lacks."""
        found = list(self._tokenizer(text, add_special_tokens=False)["input_ids"])
        if self._larger and (beyond := [one for one in found if one >= self._base.vocabulary]):
            capacity_check.refuse(self._base, beyond[0], f"a text of evaluate.boards, {plain(text, 60)!r}")
        return found

    def text(self, ids: Sequence[int]) -> str:
        """What tokens say, special ones left out."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=True))

    def row(self, text: str, given: str = "") -> Row:
        """``text`` to be rated after ``given``, which is not. Cut to the context."""
        begin, before = bos_tokens(self._tokenizer), self.ids(given) if given else []
        ids = self.ids(given + text) if given else self.ids(text)
        known = next((at for at, (a, b) in enumerate(zip(before, ids, strict=False)) if a != b), len(before))
        whole = [*begin, *ids][: self.context]
        hidden = len(begin) + min(known, len(ids))
        return Row(whole, [MASKED] * min(hidden, len(whole)) + whole[hidden:])

    def opening(self, text: str) -> list[int]:
        """A text to be gone on with, as it stands."""
        return [*bos_tokens(self._tokenizer), *self.ids(text)]

    def request(self, text: str) -> list[int]:
        """A request as the chat template asks it; without one, a line of text."""
        if self._tokenizer.chat_template:
            turn = [{"role": "user", "content": text}]
            try:
                told = self._tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True)
                return self.ids(told)
            except Exception:  # templates raise what they like
                return self.opening(f"{text}\n")
        return self.opening(f"{text}\n")
