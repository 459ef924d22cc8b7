"""Converts values of a row to text; a value without a text form is refused, never shown as its repr."""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from core.contract.text.sanitize import sanitize
from core.data.formats.numbers_as_written import Written


class UnusableRow(Exception):
    """A row does not match its format; the text says why, the same for all rows with that fault."""


class EmptyRow(UnusableRow):
    """No text of a row has more than spaces."""


NOUNS: tuple[tuple[Any, str], ...] = (
    (type(None), "missing"), (dict, "an object"), (list | tuple, "a list"), (bytes | bytearray, "bytes"),
    (datetime.date | datetime.time | datetime.timedelta, "a date or time without a text form"),
)  # fmt: skip


def read_text(value: Any, name: str) -> str:
    """Convert text as it is, a number with the digits of the file, true and false as in JSON.

    Raises UnusableRow for anything else, and for a text that cannot be encoded in UTF-8.
    """
    if type(value) is str and is_encodable(value):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and not math.isfinite(value):
        raise UnusableRow(f"{name} is {float(value)}, not a finite number")
    if isinstance(value, float) and not isinstance(value, Written):
        return repr(value)
    if isinstance(value, int | Written | Decimal):
        return str(value)
    if not isinstance(value, str):
        noun = next((noun for kind, noun in NOUNS if isinstance(value, kind)), f"a {type(value).__name__}")
        raise UnusableRow(f"{name} is {noun}, not text" if value is not None else f"no {name}")
    if not is_encodable(value):
        raise UnusableRow(f"{name} contains a lone surrogate (half a character)")
    return value


def is_encodable(text: str) -> bool:
    """Tell whether a text can be encoded in UTF-8: it has no half of a character."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def read_content(value: Any) -> str:
    """Return the text of a turn: a text, or the texts of its parts, concatenated. Raises UnusableRow."""
    if not isinstance(value, list | tuple):
        return read_text(value, "a turn's content")
    parts = []
    for part in value:
        kind = part.get("type", "text") if isinstance(part, dict) else type(part).__name__
        if not isinstance(part, dict) or kind != "text" or "text" not in part:
            raise UnusableRow(
                f"a turn has a part of type {sanitize(str(kind), 40)!r}: only text is trained on"
            )
        parts.append(read_text(part["text"], "a part of a turn"))
    return "".join(parts)


def list_texts(value: Any) -> Iterator[str]:
    """Yield all texts within a nested value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from list_texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from list_texts(item)
