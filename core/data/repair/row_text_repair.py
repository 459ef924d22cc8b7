"""Repairs the texts of a row: personal data, encoding, length."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from core.data.copies.row_keys import list_whole_texts
from core.data.defects import damaged_text
from core.data.defects.row_lengths import estimate_tokens
from core.data.readers.chat_turns import parse_list, to_turns
from core.data.readers.row_shape import Shape
from core.data.readers.row_texts import BYTES_A_TOKEN
from core.data.readers.row_values import list_texts
from core.data.repair.pii_placeholders import Placeholders
from core.data.stream.row_batches import read_row

TOO_LONG = "too long"
Raw = dict[str, Any]


@dataclass(frozen=True)
class Change:
    """A change of a row, such as ("anonymised", "email: 2"). It holds no value of the row."""

    what: str
    detail: str = ""


class RowRepair:
    """Repairs rows. ``limit``: the tokens that training keeps of a row."""

    def __init__(self, placeholders: Placeholders | None, long: str, limit: int) -> None:
        self._placeholders, self._long, self._limit = placeholders, long, limit

    def prepare(self, raws: Iterable[Raw]) -> None:
        """Look into the rows that are repaired next, where many at once are faster."""
        if self._placeholders is not None:
            texts, unused = list_texts([list(raw.values()) for raw in raws]), Counter[str]()
            self._placeholders.prepare(_repair_encoding(text, unused) for text in texts)

    def repair(self, raw: Raw, shape: Shape) -> tuple[Raw | None, list[Change]]:
        """Return a row of a source with this ``shape`` as it is written, None for one that is dropped, and
        what was changed."""
        changes = list[Change]()
        kinds, repaired = Counter[str](), Counter[str]()
        raw = map_texts(raw, lambda text: _repair_encoding(text, repaired))
        if self._placeholders is not None:
            replace = self._placeholders.replace
            raw = map_texts(raw, lambda text: replace(text, kinds))
        changes += [Change("encoding repaired", f"texts: {repaired.total()}")] if repaired else []
        if kinds:
            changes.append(
                Change("anonymised", ", ".join(f"{kind}: {count}" for kind, count in kinds.items()))
            )
        if self._long == "keep" or self._is_short_enough(raw, shape):
            return raw, changes
        shorter = self._shorten(raw, shape) if self._long == "truncate" else None
        return shorter, [
            *changes,
            Change("truncated") if shorter is not None else Change("dropped", TOO_LONG),
        ]

    def _is_short_enough(self, raw: Raw, shape: Shape) -> bool:
        return estimate_tokens(list_whole_texts(read_row(raw, shape.read(raw), 0))) <= self._limit

    def _shorten(self, raw: Raw, shape: Shape) -> Raw | None:
        """Leave out the last turns of a chat, or cut a plain text at a space; None for a row that cannot be
        shortened without cutting through an answer."""
        row, column = shape.read(raw), shape.used[0]  # of the chat, or of the text
        value = raw.get(column)
        if "messages" in row:
            return self._leave_out_turns(raw, shape, column)
        if "text" in row and isinstance(value, str):
            head = value.encode()[: self._limit * BYTES_A_TOKEN].decode(errors="ignore")
            return raw | {column: head[: head.rfind(" ")] if " " in head else head}
        return None

    def _leave_out_turns(self, raw: Raw, shape: Shape, column: str) -> Raw | None:
        turns, is_json = parse_list(raw[column]), isinstance(raw[column], str)
        roles = [turn.get("role") if isinstance(turn, dict) else None for turn in to_turns(turns)]
        for end in range(len(turns) - 1, 0, -1):
            kept_turns = json.dumps(turns[:end], ensure_ascii=False) if is_json else turns[:end]
            shorter = raw | {column: kept_turns}
            if roles[end - 1] == "assistant" and self._is_short_enough(shorter, shape):
                return shorter
        return None


def _repair_encoding(text: str, repaired: Counter[str]) -> str:
    if damaged_text.find_damage(text) != damaged_text.WRONG:
        return text
    repaired["texts"] += 1
    return damaged_text.repair(text)


def map_texts(value: Any, change: Callable[[str], str]) -> Any:
    """Return a value with every text in it changed; keys of objects are kept."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {key: map_texts(item, change) for key, item in value.items()}
    return [map_texts(item, change) for item in value] if isinstance(value, list) else value
