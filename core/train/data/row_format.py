"""Formats a row of a data set as text, and marks which parts of the text are targets."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from core.contract.spec.companion_column import find_companion
from core.contract.spec.study_spec import StudySpec
from core.contract.text.sanitize import plain
from core.data.readers.row_values import UnusableRow, text
from core.errors import TrimtabError
from core.train.data.chat_spans import Chat, Text

READ_ELSEWHERE = ("tools", "group", "choices", "question", "answer", "answerKey")  # columns with other uses
Raw = dict[str, Any]


class RowFormat:
    """The format of the rows: chat, instruction or plain text; ``auto`` detects it from the columns."""

    def __init__(self, spec: StudySpec, tokenizer: Any, columns: Sequence[str]) -> None:
        self._keys, self.tokenizer = spec.data, tokenizer
        self.kind = spec.data.format if spec.data.format != "auto" else self._detect(columns)
        self.check(columns, f"data.source = {spec.data.source!r}")
        if self.kind == "chat" and not tokenizer.chat_template:
            raise TrimtabError.of(
                "the tokenizer has no chat template",
                "data.format = 'chat'",
                "use an instruction-tuned base model, or set data.format to 'instruction' or 'text'",
            )
        self._chat = Chat(tokenizer)
        pair = (spec.data.prompt_key, spec.data.completion_key)
        self.joined = find_companion(pair[0], pair, set(columns)) if self.kind == "instruction" else ""

    def check(self, columns: Sequence[str], where: str) -> None:
        """Raise TrimtabError if a column that the format needs is missing."""
        missing = [key for key in self._list_needed() if key not in columns]
        if missing:
            shown = plain(", ".join(columns), 200) or "none"
            raise TrimtabError.of(
                f"the rows have no column {missing[0]!r}; their columns are: {shown}",
                f"{where}, format {self.kind!r}",
                "set data.format, or name the columns with data.messages_key, prompt_key, completion_key or "
                "text_key",
            )

    def list_unused(self, columns: Sequence[str]) -> list[str]:
        """The columns that nothing in training reads."""
        used = {*self._list_needed(), *READ_ELSEWHERE, self.joined}
        return [column for column in columns if column not in used]

    def _list_needed(self) -> tuple[str, ...]:
        keys = self._keys
        return {
            "chat": (keys.messages_key,),
            "instruction": (keys.prompt_key, keys.completion_key),
            "text": (keys.text_key,),
        }[self.kind]

    def _detect(self, columns: Sequence[str]) -> str:
        keys = self._keys
        if keys.messages_key in columns:
            return "chat"
        if keys.prompt_key in columns and keys.completion_key in columns:
            return "instruction"
        return "text"

    @property
    def adds_special(self) -> bool:
        """Whether the tokenizer's BOS token is added: for plain text; a chat template adds its own."""
        return self.kind == "text" or not self.tokenizer.chat_template

    def read(self, row: Raw) -> Text:
        """The row's full text with its target spans. Raises UnusableRow."""
        if self.kind == "chat":
            return self._chat.read(row.get(self._keys.messages_key), _tools(row))
        end = self.tokenizer.eos_token or ""
        if self.kind == "text":
            content = text(row.get(self._keys.text_key), self._keys.text_key)
            if not content:
                raise UnusableRow("the text is empty")
            remarks = self._chat.control_token_remarks(content)
            return Text(content + end, ((0, len(content + end)),), (), remarks)
        return self._instruction(row, end)

    def common_system(self, rows: Sequence[Raw]) -> str:
        """The system prompt of at least half of the rows; "" without one."""
        systems = Counter(
            text
            for row in rows
            for key in (self._keys.messages_key, self._keys.prompt_key)
            if (text := _system(row.get(key)))
        )
        text, count = systems.most_common(1)[0] if systems else ("", 0)
        return text if 2 * count >= len(rows) else ""

    def segments(self, row: Raw) -> list[tuple[str, bool]]:
        """Split the row's text for display into pieces, each target or not. Raises UnusableRow."""
        read, at, pieces = self.read(row), 0, list[tuple[str, bool]]()
        for begin, end in read.spans:
            pieces += [(read.text[at:begin], False), (read.text[begin:end], True)]
            at = end
        return [piece for piece in [*pieces, (read.text[at:], False)] if piece[0]]

    def _instruction(self, row: Raw, end: str) -> Text:
        """Read a prompt and its completion: texts, or chat turns; targets are those of the completion."""
        keys = self._keys
        prompt, completion = row.get(keys.prompt_key), row.get(keys.completion_key)
        if isinstance(prompt, list) and isinstance(completion, list):
            return self._chat.read([*prompt, *completion], _tools(row), len(prompt))
        question = self._join_companion(row, text(prompt, keys.prompt_key))
        answer = text(completion, keys.completion_key)
        if not answer.strip():
            raise UnusableRow(f"{keys.completion_key} is empty")
        if self.tokenizer.chat_template:
            turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
            return self._chat.read(turns, _tools(row))
        target = (len(question), len(question + answer + end))
        remarks = self._chat.control_token_remarks(question + answer)
        return Text(question + answer + end, (target,), (), remarks)

    def _join_companion(self, row: Raw, prompt: str) -> str:
        """The prompt, followed by its companion column where the row fills it."""
        value = row.get(self.joined) if self.joined else None
        more = text(value, self.joined) if value is not None else ""
        return f"{prompt}\n\n{more}" if more.strip() else prompt


def _system(turns: Any) -> str:
    """The text of a chat's first turn if it is the system's."""
    first = turns[0] if isinstance(turns, list) and turns else None
    if not isinstance(first, dict) or first.get("role", first.get("from")) != "system":
        return ""
    told = first.get("content", first.get("value"))
    return told if isinstance(told, str) else ""


def _tools(row: Raw) -> list[Any] | None:
    """The row's tools: a list, or a list as JSON text. Raises UnusableRow."""
    tools = row.get("tools")
    if isinstance(tools, str) and tools.strip():
        try:
            tools = json.loads(tools)
        except ValueError:
            raise UnusableRow("tools is text, but not JSON") from None
    if tools and not (isinstance(tools, list) and all(isinstance(tool, dict) for tool in tools)):
        raise UnusableRow("tools is not a list of objects")
    return tools or None
