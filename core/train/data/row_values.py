"""Values of a row as text: what is no text is refused in words, never shown as Python would."""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from core.contract.text.sanitize import plain
from core.train.data.local_files import Written


class Formless(Exception):
    """One row is not what its format says; the text says why, in words that rows share."""


NOUNS: tuple[tuple[Any, str], ...] = (
    (type(None), "missing"), (dict, "an object"), (list | tuple, "a list"), (bytes | bytearray, "bytes"),
    (datetime.date | datetime.time | datetime.timedelta, "a date or time that has no text of its own"),
)  # fmt: skip


def text(value: Any, name: str) -> str:
    """A text as it stands; a number with the digits of the file; false and true as JSON writes them.

    Raises Formless for all else, and for a text that cannot be written in UTF-8.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and not math.isfinite(value):
        raise Formless(f"{name} is {float(value)}, no number")
    if isinstance(value, float) and not isinstance(value, Written):
        return repr(value)
    if isinstance(value, int | Written | Decimal):
        return str(value)
    if not isinstance(value, str):
        noun = next((noun for kind, noun in NOUNS if isinstance(value, kind)), f"a {type(value).__name__}")
        raise Formless(f"{name} is {noun}, not text" if value is not None else f"no {name}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Formless(f"{name} holds half a character (a lone surrogate)") from None
    return value


def content(value: Any) -> str:
    """A turn's words: a text, or the texts of its parts, joined with nothing between. Raises Formless."""
    if not isinstance(value, list | tuple):
        return text(value, "a turn's content")
    found = []
    for part in value:
        kind = part.get("type", "text") if isinstance(part, dict) else type(part).__name__
        if not isinstance(part, dict) or kind != "text" or "text" not in part:
            raise Formless(f"a turn has a part of type {plain(str(kind), 40)!r}: only text is trained on")
        found.append(text(part["text"], "a part of a turn"))
    return "".join(found)


def texts(value: Any) -> Iterator[str]:
    """All texts within a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from texts(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from texts(one)
