"""Formats a row of a data set as text, and marks which parts of the text are targets."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

from core.contract.spec.study_spec import StudySpec
from core.data.readers.row_shape import Canonical
from core.data.readers.row_values import UnusableRow
from core.errors import TrimtabError
from core.train.data.batches.plain_chats import RawChat
from core.train.data.chat_spans import Chat, Text

TOGETHER = 32  # rows filled in at once: more save little, and a template's first chats are all rendered
NO_TEMPLATE = "the tokenizer has no chat template"


class RowFormat:
    """Formats the rows that ``row_loader`` returns; ``kind`` is chat, instruction or text, by the
    ``columns`` of all rows."""

    def __init__(self, spec: StudySpec, tokenizer: Any, columns: Sequence[str]) -> None:
        self.tokenizer = tokenizer
        self.kind = _find_kind(columns)
        if self.kind == "chat" and not tokenizer.chat_template:
            raise TrimtabError.of(
                NO_TEMPLATE,
                f"data.source = {spec.data.source!r}, read as chats",
                "use an instruction-tuned base model, or set data.format to 'instruction' or 'text'",
            )
        self._chat = Chat(tokenizer)

    def check(self, columns: Sequence[str], location: str) -> None:
        """Raise TrimtabError if other rows are plain text and these are not, or the reverse: their losses
        could not be compared."""
        kind = _find_kind(columns)
        if (kind == "text") is not (self.kind == "text"):
            raise TrimtabError.of(
                f"these rows are read as {kind!r}, the training rows as {self.kind!r}",
                location,
                "use rows of one kind, or set data.format, prompt_key, completion_key or text_key",
            )

    @property
    def adds_special(self) -> bool:
        """Whether the tokenizer's BOS token is added: for plain text; a chat template adds its own."""
        return self.kind == "text" or not self.tokenizer.chat_template

    def read(self, row: Canonical) -> Text:
        """The row's full text with its target spans. Raises UnusableRow."""
        if "unusable" in row:
            raise UnusableRow(row["unusable"])
        if (chat := self._find_chat(row)) is not None:
            return self._chat.read(*chat)
        end = self.tokenizer.eos_token or ""
        if "text" in row:
            content = row["text"]
            if not content:
                raise UnusableRow("the text is empty")
            remarks = self._chat.control_token_remarks(content)
            return Text(content + end, ((0, len(content + end)),), (), remarks)
        return self._make_instruction(row, end)

    def read_many(self, rows: Sequence[Canonical]) -> list[Text | UnusableRow]:
        """Read rows as ``read`` does: the text of each, or why it is unusable. Many plain chats at once cost
        a tenth of as many alone."""
        texts = list[Text | UnusableRow]()
        for begin in range(0, len(rows), TOGETHER):
            part = rows[begin : begin + TOGETHER]
            filled = self._fill_chats(part)
            texts += [filled.get(at) or self._read_or_refuse(row) for at, row in enumerate(part)]
        return texts

    def _fill_chats(self, rows: Sequence[Canonical]) -> dict[int, Text]:
        chats = dict[int, RawChat]()
        for at, row in enumerate(rows):
            with contextlib.suppress(UnusableRow):
                if "unusable" not in row and (chat := self._find_chat(row)) is not None:
                    chats[at] = chat
        texts = self._chat.fill_many(list(chats.values()))
        return {at: text for at, text in zip(chats, texts, strict=True) if text is not None}

    def _read_or_refuse(self, row: Canonical) -> Text | UnusableRow:
        try:
            return self.read(row)
        except UnusableRow as error:
            return error

    def common_system(self, rows: Sequence[Canonical]) -> str:
        """The system prompt of at least half of the rows; "" without one."""
        systems = Counter(text for row in rows if (text := _find_system(row)))
        text, count = systems.most_common(1)[0] if systems else ("", 0)
        return text if 2 * count >= len(rows) else ""

    def segments(self, row: Canonical) -> list[tuple[str, bool]]:
        """Split the row's text for display into pieces, each target or not. Raises UnusableRow."""
        read, at, pieces = self.read(row), 0, list[tuple[str, bool]]()
        for begin, end in read.spans:
            pieces += [(read.text[at:begin], False), (read.text[begin:end], True)]
            at = end
        return [piece for piece in [*pieces, (read.text[at:], False)] if piece[0]]

    def _find_chat(self, row: Canonical) -> RawChat | None:
        """The row as a chat: turns, or a prompt and its completion, texts or turns, whose targets are those
        of the completion. None for a row that no chat template renders. Raises UnusableRow."""
        if "messages" in row:
            return RawChat(row["messages"], row.get("tools"))
        if "text" in row:
            return None
        prompt, answer = row["prompt"], row["completion"]
        if isinstance(prompt, list):
            if not self.tokenizer.chat_template:
                raise UnusableRow(NO_TEMPLATE)
            return RawChat([*prompt, *answer], row.get("tools"), len(prompt))
        if not answer.strip():
            raise UnusableRow("completion is empty")
        if not self.tokenizer.chat_template:
            return None
        system = row.get("system", "")
        turns = [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]
        return RawChat(
            [*([{"role": "system", "content": system}] if system else []), *turns], row.get("tools")
        )

    def _make_instruction(self, row: Canonical, end: str) -> Text:
        prompt, answer, system = row["prompt"], row["completion"], row.get("system", "")
        prompt_text = f"{system}\n\n{prompt}" if system else prompt
        target = (len(prompt_text), len(prompt_text + answer + end))
        remarks = self._chat.control_token_remarks(prompt_text + answer)
        return Text(prompt_text + answer + end, (target,), (), remarks)


def _find_kind(columns: Sequence[str]) -> str:
    if "messages" in columns:
        return "chat"
    return "instruction" if "prompt" in columns else "text"


def _find_system(row: Canonical) -> str:
    """The row's system prompt: of its own, or the text of its first turn if that is the system's."""
    turns = row.get("messages", row.get("prompt"))
    first = turns[0] if isinstance(turns, list) and turns else None
    system_text = row.get("system")
    if isinstance(first, dict) and first.get("role") == "system":
        system_text = first.get("content")
    return system_text if isinstance(system_text, str) else ""
