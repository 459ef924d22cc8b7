"""Names that columns of data sets have, and a view of the first rows that finds them."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Any

from core.contract.spec.study_spec import DataOptions
from core.data.readers.chat_turns import is_turns

# Of several names that a source has, the first is taken.
CHATS = ("messages", "conversations", "conversation", "dialogue", "dialog", "chat", "turns")
PROMPTS = ("prompt", "instruction", "question", "query", "problem", "user", "inputs", "input")
COMPLETIONS = (
    "completion", "response", "output", "solution", "answer", "assistant", "targets", "target", "reply",
)  # fmt: skip
TEXTS = ("text", "content", "document", "sentence")
LABELS = ("label_text", "label_name", "label", "labels", "class", "intent", "sentiment")
SYSTEMS = ("system", "system_prompt")
TOOLS = ("tools", "functions")
VERDICTS = ("label", "kto_tag")
PREFERENCES = (("chosen", "rejected"), ("preferred_output", "non_preferred_output"))
LONGEST_LABEL = 100  # characters
MOST_COMPARED = 100  # columns, for a suggestion
KEYS = (
    ("messages_key", CHATS), ("prompt_key", PROMPTS), ("completion_key", COMPLETIONS), ("text_key", TEXTS),
)  # fmt: skip
_DEFAULTS = DataOptions()
Raw = dict[str, Any]
Test = Callable[[Any], bool]


def is_filled(value: Any) -> bool:
    """Tell whether a row has a value."""
    return value is not None


def is_text(value: Any) -> bool:
    """Tell whether a value is text, or has one text form."""
    return isinstance(value, str | int | float | Decimal)


def is_label(value: Any) -> bool:
    """Tell whether a value may be the name or the number of a class."""
    return isinstance(value, int) or (isinstance(value, str) and len(value) <= LONGEST_LABEL)


def is_verdict(value: Any) -> bool:
    """Tell whether a value is true or false."""
    return isinstance(value, bool) or (isinstance(value, str) and value.lower() in ("true", "false"))


def is_readable(value: Any) -> bool:
    """Tell whether a value may be a prompt or a completion: text, or turns."""
    return is_text(value) or is_turns(value)


def list_names(data: DataOptions, key: str) -> tuple[str, ...]:
    """Return the column names to look for: the one that the study file sets, else all usual ones."""
    name, usual = getattr(data, key), dict(KEYS)[key]
    return (name,) if is_named(data, key) else (name, *(other for other in usual if other != name))


def is_named(data: DataOptions, key: str) -> bool:
    """Tell whether the study file sets this key to another column than the default."""
    return bool(getattr(data, key) != getattr(_DEFAULTS, key))


class Columns:
    """The first rows of a source by column. A column fits if at least ``share`` of the rows (and one) do."""

    def __init__(self, rows: Sequence[Raw], share: float) -> None:
        self._rows, self._share = rows, share
        self.names = list(dict.fromkeys(name for row in rows for name in row))
        self._exact = set(self.names)
        self._loose = {str(name).strip().lower(): name for name in reversed(self.names)}

    def find(self, names: Iterable[str], test: Test = is_filled) -> str:
        """Return the first of these columns that fits, whatever its capital letters; "" if none does."""
        for name in names:
            column = name if name in self._exact else self._loose.get(name.lower(), "")
            if column in self._exact and self._is_fitting(column, test):
                return column
        return ""

    def find_optional(self, names: Sequence[str], test: Test) -> str:
        """Return the first of these columns that any row has so; the first of all if no row has that yet."""
        for name in names:
            if name in self._exact and any(test(row.get(name)) for row in self._rows):
                return name
        return names[0] if names and names[0] not in self._exact else ""

    def has(self, name: str) -> bool:
        """Tell whether any row has this column, filled or not."""
        return name in self._exact

    def list_values(self, column: str) -> list[Any]:
        """Return what the rows have in a column, without nulls."""
        return [row[column] for row in self._rows if row.get(column) is not None]

    def list_filled(self) -> list[str]:
        """Return the columns with a value other than null and empty ones."""
        return [
            str(name) for name in self.names if any(row.get(name) not in (None, "", []) for row in self._rows)
        ]

    def _is_fitting(self, column: str, test: Test) -> bool:
        count = sum(test(row.get(column)) for row in self._rows)
        return count > 0 and count >= self._share * len(self._rows)


def suggest_keys(columns: Columns, data: DataOptions) -> str:
    """Return the lines of [data] that come nearest to these columns; "" without a guess."""
    names = columns.names[:MOST_COMPARED]
    for key, _ in KEYS:
        nearest = _find_nearest((getattr(data, key),), names) if is_named(data, key) else ""
        if nearest:
            return f"{key} = {nearest!r}"
    chats = [name for name in names if columns.find([name], is_turns)]
    if chats:
        return f"messages_key = {chats[0]!r}"
    texts = [name for name in names if columns.find([name], is_text)]
    prompt, completion = (_find_nearest(usual, texts) for usual in (PROMPTS, COMPLETIONS))
    rest = [name for name in texts if name not in (prompt, completion)]
    if len(texts) < 2 or not (prompt or completion):
        return f"text_key = {(_find_nearest(TEXTS, texts) or texts[0])!r}" if texts else ""
    return f"prompt_key = {prompt or rest[0]!r} and completion_key = {completion or rest[0]!r}"


def _find_nearest(candidates: Iterable[str], names: Iterable[str]) -> str:
    """Return the name that is spelled most like one of those wanted; "" if none comes near."""
    lower = {str(name).strip().lower(): str(name) for name in names}
    for name in candidates:
        for match in difflib.get_close_matches(name.lower(), lower, 1, 0.8):
            return lower[match]
    return ""
