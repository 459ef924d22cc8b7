"""Text that means harm, and states in which it stands wherever text from outside can."""

from __future__ import annotations

import unicodedata
from typing import Any

import msgspec
from rich.cells import cell_len

from core.contract.text.sanitize import UNSAFE

TEXTS = (
    "[bold red]markup[/bold red] [/] [",
    "[@click=app.quit]press[/] [link=http://evil]here[/link]",
    "\x1b[2J\x1b[H\x1b]0;owned\x07 escape",
    "\x1b]52;c;ZXZpbA==\x07 clipboard \x9b31m",
    "gpj.\u202etxt\u202c bidi \u2066x\u2069",
    "z\u200be\u200cr\u200do\ufeff width \u00ad",
    "e" + "\u0301\u0325" * 300 + " marks",
    "one\ntwo\r\nthree\ttab\u2028four\u2029five\x0bsix\x85seven",
    "漢字かな 🙂👩‍👩‍👧 wide 🇩🇪",
    "\x00\x08\x7f nothing",
    "x" * 20_000,  # more than the largest screen here has cells (200 × 60): each frame pays for all of it
    "",
)
THREES = tuple(zip(TEXTS[::3], TEXTS[1::3], TEXTS[2::3], strict=True))  # each of them once
HARM = "\x1b\u202e[red]"  # first in every field: it survives any cut
KEPT = frozenset({"state", "asked", "level"})  # words of trimtab's own
SHEETS = frozenset({"spec", "knobs"})  # checked when the study was started


def hostile(value: Any, name: str = "", count: list[int] | None = None) -> Any:
    """``value`` with other text in it; names of studies and of metrics stay, for they are checked."""
    count = [0] if count is None else count
    if name in KEPT or name in SHEETS:
        return value
    if isinstance(value, str):
        count[0] += 1
        return HARM + TEXTS[count[0] % len(TEXTS)]
    if isinstance(value, msgspec.Struct):
        own = {"name"} if type(value).__name__ == "Study" else set()
        fields = {field: getattr(value, field) for field in value.__struct_fields__ if field not in own}
        return msgspec.structs.replace(
            value, **{field: hostile(one, field, count) for field, one in fields.items()}
        )
    if isinstance(value, dict):
        return {key: hostile(one, name, count) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(hostile(one, name, count) for one in value)
    return value


def harm(text: str) -> list[str]:
    """What of ``text`` a terminal may obey or trip over, line ends left aside."""
    found = [repr(one) for one in text if one != "\n" and unicodedata.category(one) in UNSAFE]
    marks = 0
    for one in text:
        marks = marks + 1 if unicodedata.category(one) in ("Mn", "Me") else 0
        if marks > 2:
            found.append("a flood of marks")
            break
    return found


def width(text: str) -> int:
    """Cells."""
    return cell_len(text)
