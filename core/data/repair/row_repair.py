"""Repairs the texts of a row: personal data, encoding, length."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from core.contract.spec.study_spec import DataOptions
from core.data.defects import damaged_text
from core.data.defects.row_lengths import BYTES_A_TOKEN
from core.data.readers.row_values import texts
from core.data.repair.placeholders import Placeholders

LONG = ("keep", "drop", "truncate")
TOO_LONG = "too long"
Raw = dict[str, Any]


@dataclass(frozen=True)
class Change:
    """A change of a row, such as ("anonymised", "email: 2"). It holds no value of the row."""

    what: str
    detail: str = ""


class RowRepair:
    """Repairs rows. ``limit``: the tokens that training keeps of a row."""

    def __init__(self, data: DataOptions, placeholders: Placeholders | None, long: str, limit: int) -> None:
        self._data, self._placeholders, self._long = data, placeholders, long
        self._limit = limit * BYTES_A_TOKEN

    def repair(self, raw: Raw) -> tuple[Raw | None, list[Change]]:
        """Return the row as it is written, None for one that is dropped, and what was changed."""
        changes = list[Change]()
        kinds, repaired = Counter[str](), Counter[str]()
        raw = _map_texts(raw, lambda text: _repair_encoding(text, repaired))
        if self._placeholders is not None:
            replace = self._placeholders.replace
            raw = _map_texts(raw, lambda text: replace(text, kinds))
        changes += [Change("encoding repaired", f"texts: {repaired.total()}")] if repaired else []
        if kinds:
            changes.append(
                Change("anonymised", ", ".join(f"{kind}: {count}" for kind, count in kinds.items()))
            )
        if self._long == "keep" or _size(raw) <= self._limit:
            return raw, changes
        shorter = self._shorten(raw) if self._long == "truncate" else None
        return shorter, [
            *changes,
            Change("truncated") if shorter is not None else Change("dropped", TOO_LONG),
        ]

    def _shorten(self, raw: Raw) -> Raw | None:
        """Leave out the last turns of a chat, or cut a plain text at a space; None for a row that cannot be
        shortened without cutting through an answer."""
        keys = self._data
        messages, text = raw.get(keys.messages_key), raw.get(keys.text_key)
        if isinstance(messages, list):
            for end in range(len(messages) - 1, 0, -1):
                turn = messages[end - 1]
                shorter = raw | {keys.messages_key: messages[:end]}
                if (
                    isinstance(turn, dict)
                    and turn.get("role") == "assistant"
                    and _size(shorter) <= self._limit
                ):
                    return shorter
            return None
        if isinstance(text, str) and keys.prompt_key not in raw:
            head = text.encode()[: self._limit].decode(errors="ignore")
            return raw | {keys.text_key: head[: head.rfind(" ")] if " " in head else head}
        return None


def _repair_encoding(text: str, repaired: Counter[str]) -> str:
    if damaged_text.find_damage(text) != damaged_text.WRONG:
        return text
    repaired["texts"] += 1
    return damaged_text.repair(text)


def _size(raw: Raw) -> int:
    """The bytes of all texts."""
    return sum(len(text.encode(errors="replace")) for text in texts(raw))


def _map_texts(value: Any, change: Callable[[str], str]) -> Any:
    """Return a value with every text in it changed; keys of objects are kept."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {key: _map_texts(item, change) for key, item in value.items()}
    return [_map_texts(item, change) for item in value] if isinstance(value, list) else value
