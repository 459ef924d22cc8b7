"""Read TOML with every fault as an error in plain words; for trimtab's own files and those of users."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

DEEPEST = 32  # tables and lists in each other; a study file needs 4


class TomlError(ValueError):
    """The text is not valid TOML, or exceeds the bounds; the message says where and why."""


def loads(text: str) -> dict[str, Any]:
    """Return the content of ``text``, which may begin with a byte order mark. Raises TomlError."""
    try:
        content = tomllib.loads(text.removeprefix("\ufeff"))
    except tomllib.TOMLDecodeError as error:
        raise TomlError(str(error)) from None
    except RecursionError:
        raise TomlError(_explain_depth()) from None
    except ValueError as error:  # an integer of thousands of digits
        raise TomlError(f"a number in it is too long: {str(error).partition(';')[0]}") from None
    _measure(content)
    return content


def read(path: Path) -> dict[str, Any]:
    """Return the content of a file. Raises TomlError, OSError."""
    try:
        return loads(path.read_text("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise TomlError(f"it is not UTF-8: byte {error.start} is 0x{error.object[error.start]:02x}") from None


def _measure(content: Any) -> None:
    """Raise TomlError if the content is nested too deeply: it would overflow the stack of code that walks
    over it."""
    level = [content]
    for _ in range(DEEPEST):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return
    raise TomlError(_explain_depth())


def _explain_depth() -> str:
    return f"lists or tables lie in each other more than {DEEPEST} deep"
