"""How a row of a data set becomes text, and which parts of the text are learnt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from core.contract.plain import plain
from core.contract.spec import Spec
from core.errors import TrimtabError

Segment = tuple[str, bool]  # text, and whether it is a target
Turn = dict[str, Any]


class Formless(Exception):
    """One row is not what its format says; the text says why, in words that rows share."""


class Form:
    """Chat, instruction or plain text; with ``auto`` the one that the columns speak for."""

    def __init__(self, spec: Spec, tokenizer: Any, columns: Sequence[str]) -> None:
        self._keys, self.tokenizer = spec.data, tokenizer
        self.kind = spec.data.format if spec.data.format != "auto" else self._found(columns)
        self.check(columns, f"data.source = {spec.data.source!r}")
        if self.kind == "chat" and not tokenizer.chat_template:
            raise TrimtabError.of(
                "the tokenizer has no chat template",
                "data.format = 'chat'",
                "use an instruction-tuned base model",
            )

    def check(self, columns: Sequence[str], where: str) -> None:
        """Raise TrimtabError when rows with these columns cannot be read."""
        keys = self._keys
        needed = {
            "chat": (keys.messages_key,),
            "instruction": (keys.prompt_key, keys.completion_key),
            "text": (keys.text_key,),
        }[self.kind]
        missing = [key for key in needed if key not in columns]
        if missing:
            shown = plain(", ".join(columns), 200) or "none"
            raise TrimtabError.of(
                f"the rows have no column {missing[0]!r}; they have {shown}",
                f"{where}, format {self.kind}",
                "set data.format, or name the columns: messages_key, prompt_key, completion_key, text_key",
            )

    def _found(self, columns: Sequence[str]) -> str:
        keys = self._keys
        if keys.messages_key in columns:
            return "chat"
        if keys.prompt_key in columns and keys.completion_key in columns:
            return "instruction"
        return "text"

    @property
    def adds_special(self) -> bool:
        """Plain text gets the tokenizer's own beginning; a chat template brings it."""
        return self.kind == "text" or not self.tokenizer.chat_template

    def segments(self, row: dict[str, Any]) -> list[Segment]:
        """The row's text in pieces, each learnt or not. Raises Formless."""
        end = self.tokenizer.eos_token or ""
        if self.kind == "text":
            text = row[self._keys.text_key]
            return [(str(text) + end, True)] if text else []
        if self.kind == "chat":
            return self._chat(row[self._keys.messages_key])
        prompt, completion = row[self._keys.prompt_key], row[self._keys.completion_key]
        if isinstance(prompt, list) and isinstance(completion, list):
            return self._chat([*prompt, *completion])
        if completion is None:
            raise Formless(f"no {self._keys.completion_key}")
        if self.tokenizer.chat_template:
            turns = [("user", prompt), ("assistant", completion)]
            return self._chat([{"role": role, "content": str(text or "")} for role, text in turns])
        return [(str(prompt or ""), False), (str(completion) + end, True)]

    def _chat(self, messages: Any) -> list[Segment]:
        """Every assistant turn is learnt, with the end that the template gives it; all else is context."""
        turns = _turns(messages)
        whole = self._render(turns, False)
        pieces: list[Segment] = []
        place = 0
        for index, turn in enumerate(turns):
            span = self._span(turns, index, whole, place) if turn["role"] == "assistant" else None
            if span is not None:
                pieces += [(whole[place : span[0]], False), (whole[span[0] : span[1]], True)]
                place = span[1]
        return [*pieces, (whole[place:], False)]

    def _span(self, turns: list[Turn], index: int, whole: str, place: int) -> tuple[int, int] | None:
        """Where in ``whole`` (the rendered chat) the turn's own text begins and ends; None: not to be found.

        It is what the template adds after asking the assistant to speak. Templates that render a turn
        otherwise once others follow (Qwen3 drops its thoughts) are searched for the turn's words.
        """
        before, after = self._render(turns[:index], True), self._render(turns[: index + 1], False)
        plainly = bool(before) and whole.startswith(before) and whole.startswith(after)
        if plainly and place <= len(before) <= len(after):
            return len(before), len(after)
        words = str(turns[index]["content"] or "").strip()
        known = _shared(whole, self._render(turns[:index], False))
        start = whole.find(words, max(place, known)) if words else -1
        if start < 0:
            return None
        end, stop = start + len(words), self.tokenizer.eos_token or ""
        return start, end + len(stop) if whole.startswith(stop, end) else end

    def _render(self, turns: list[Turn], generation: bool) -> str:
        if not turns:
            return ""
        try:
            return self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=generation)
        except Exception as error:  # templates raise what they like
            raise Formless(f"the chat template refuses it: {plain(str(error), 120)}") from error


def _turns(messages: Any) -> list[Turn]:
    if not isinstance(messages, list | tuple) or not messages:
        raise Formless("messages is not a list of turns")
    for one in messages:
        if not isinstance(one, dict) or "role" not in one or "content" not in one:
            raise Formless("a turn without role and content")
    return [
        {key: value for key, value in one.items() if value is not None} | {"content": one["content"]}
        for one in messages
    ]


def _shared(one: str, other: str) -> int:
    """How many characters the two begin with in common."""
    return next(
        (at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )
