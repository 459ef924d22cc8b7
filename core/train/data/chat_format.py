"""How a row of a data set becomes text, and which parts of the text are learnt."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from core.contract.spec.data_columns import companion
from core.contract.spec.study_spec import Spec
from core.contract.text.sanitize import plain
from core.errors import TrimtabError
from core.train.data.chat_spans import Chat, Text
from core.train.data.row_values import Formless, text

READ_BESIDE = ("tools", "group", "choices", "question", "answer", "answerKey")  # by other rooms of training
Raw = dict[str, Any]


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
        self._chat = Chat(tokenizer)
        pair = (spec.data.prompt_key, spec.data.completion_key)
        self.joined = companion(pair[0], pair, set(columns)) if self.kind == "instruction" else ""

    def check(self, columns: Sequence[str], where: str) -> None:
        """Raise TrimtabError when rows with these columns cannot be read."""
        missing = [key for key in self._needed() if key not in columns]
        if missing:
            shown = plain(", ".join(columns), 200) or "none"
            raise TrimtabError.of(
                f"the rows have no column {missing[0]!r}; they have {shown}",
                f"{where}, format {self.kind}",
                "set data.format, or name the columns: messages_key, prompt_key, completion_key, text_key",
            )

    def unused(self, columns: Sequence[str]) -> list[str]:
        """The columns that nothing of a training reads."""
        used = {*self._needed(), *READ_BESIDE, self.joined}
        return [one for one in columns if one not in used]

    def _needed(self) -> tuple[str, ...]:
        keys = self._keys
        return {
            "chat": (keys.messages_key,),
            "instruction": (keys.prompt_key, keys.completion_key),
            "text": (keys.text_key,),
        }[self.kind]

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

    def read(self, row: Raw) -> Text:
        """The row's whole text, and what of it is learnt. Raises Formless."""
        if self.kind == "chat":
            return self._chat.read(row.get(self._keys.messages_key), _tools(row))
        end = self.tokenizer.eos_token or ""
        if self.kind == "text":
            words = text(row.get(self._keys.text_key), self._keys.text_key)
            if not words:
                raise Formless("the text is empty")
            return Text(words + end, ((0, len(words + end)),), (), self._chat.held(words))
        return self._instruction(row, end)

    def segments(self, row: Raw) -> list[tuple[str, bool]]:
        """The row's text in pieces, each learnt or not, for people to look at. Raises Formless."""
        found, place, pieces = self.read(row), 0, list[tuple[str, bool]]()
        for begin, end in found.spans:
            pieces += [(found.text[place:begin], False), (found.text[begin:end], True)]
            place = end
        return [piece for piece in [*pieces, (found.text[place:], False)] if piece[0]]

    def _instruction(self, row: Raw, end: str) -> Text:
        """A prompt and its completion: texts, or turns of a chat, of which the completion's are learnt."""
        keys = self._keys
        prompt, completion = row.get(keys.prompt_key), row.get(keys.completion_key)
        if isinstance(prompt, list) and isinstance(completion, list):
            return self._chat.read([*prompt, *completion], _tools(row), len(prompt))
        asked = self._asked(row, text(prompt, keys.prompt_key))
        said = text(completion, keys.completion_key)
        if not said.strip():
            raise Formless(f"{keys.completion_key} is empty")
        if self.tokenizer.chat_template:
            turns = [{"role": "user", "content": asked}, {"role": "assistant", "content": said}]
            return self._chat.read(turns, _tools(row))
        learnt = (len(asked), len(asked + said + end))
        return Text(asked + said + end, (learnt,), (), self._chat.held(asked + said))

    def _asked(self, row: Raw, prompt: str) -> str:
        """The prompt with its companion, where the row has one that is filled."""
        value = row.get(self.joined) if self.joined else None
        more = text(value, self.joined) if value is not None else ""
        return f"{prompt}\n\n{more}" if more.strip() else prompt


def _tools(row: Raw) -> list[Any] | None:
    """The tools that the row offers: a list, or that as JSON. Raises Formless."""
    tools = row.get("tools")
    if isinstance(tools, str) and tools.strip():
        try:
            tools = json.loads(tools)
        except ValueError:
            raise Formless("tools is a text that is not JSON") from None
    if tools and not (isinstance(tools, list) and all(isinstance(one, dict) for one in tools)):
        raise Formless("tools is not a list of objects")
    return tools or None
