"""Bounds on the size of numbers, the length of texts and the depth of tables from outside: study files,
requests, workers.

Values within these bounds can be stored, sent and computed with everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any

import msgspec
from msgspec import Meta

LARGEST_INT = 2**63 - 1  # msgpack, SQLite and NumPy hold no more
LARGEST_COUNT = 2**53  # a larger whole number is not exact where it becomes a double: JSON, curves, Optuna
LATEST_AT = 253_402_300_799.0  # Unix seconds: the year 9999, the last that a date can say
LONGEST_S = 1e9  # 31 years
LONGEST_H = 1e6  # 114 years
MOST_TRIALS = 1_000_000  # of a study: all of them are in the engine's memory
MOST_STEPS = 1_000_000_000
MOST_ROWS = 1_000_000_000
MOST_AT_ONCE = 4096  # trials on a device, rows in a batch, threads, devices
MOST_RETRIES = 1000
MOST_TRIGGERS = 3  # each repeats the requests of some metrics
MOST_CANARIES = 10_000  # each is planted in rows of its own and ranked against others
MOST_SAMPLES = 1_000_000
LARGEST_SEED = 2**32 - 1  # NumPy's generators take no larger one
LARGEST_PRIORITY = 1_000_000
MOST_METRICS = 4096  # in one report
MOST_ENTRIES = 1000  # of a list in a study's file: choices, module names, limits
LONGEST_NAME = 256  # of a column, a module, a metric
LONGEST_LIMIT = 200  # a metric, a sign and a number
LONGEST_TRIGGER = 200  # it uses context before every request
LONGEST_PATH = 4096  # Linux takes no longer one
LONGEST_NOTE = 500
LONGEST_TEXT = 65_536
DEEPEST = 16  # tables and lists within each other
MOST_VALUES = 50_000  # in one request or file
MOST_DIGITS = 100  # of a whole number in a file: far beyond every bound, and still fit to be shown

Step = Annotated[int, Meta(ge=0, le=LARGEST_COUNT)]
Count = Annotated[int, Meta(ge=-LARGEST_COUNT, le=LARGEST_COUNT)]
Int = Annotated[int, Meta(ge=-LARGEST_INT - 1, le=LARGEST_INT)]
At = Annotated[float, Meta(ge=0, le=LATEST_AT)]
Seconds = Annotated[float, Meta(ge=-LONGEST_S, le=LONGEST_S)]
Number = Annotated[float, Meta(ge=-1e300, le=1e300)]  # finite
Pid = Annotated[int, Meta(ge=1, le=2**31 - 1)]
Name = Annotated[str, Meta(max_length=LONGEST_NAME)]
Path = Annotated[str, Meta(max_length=LONGEST_PATH)]
Text = Annotated[str, Meta(max_length=LONGEST_TEXT)]
Metrics = Annotated[dict[str, float], Meta(max_length=MOST_METRICS)]


_BOUND = re.compile(r"Expected `(\w+)`( of length)? (<=|>=) (\S+)(?: - at `\$\.?(.*)`)?", re.DOTALL)


_BEYOND = re.compile(
    r"((?:a whole number beyond|tables and lists|a text|more than|\d+ entries).*) - at `\$(.*)`", re.DOTALL
)


def explain_error(error: msgspec.DecodeError) -> str:
    """Explain what is wrong with a message, such as "priority must be at most 1000000"."""
    match = _BOUND.fullmatch(str(error)) or _BEYOND.fullmatch(str(error))
    if match is not None and match.re is _BEYOND:
        return f"{match[2].lstrip('.') or 'it'}: {match[1]}"
    if match is None:
        return str(error)
    kind, length, sign, bound, place = match.groups()
    limit = f"{'at most' if sign == '<=' else 'at least'} {bound}"
    unit = "characters" if kind == "str" else "entries"
    return f"{place or 'it'} {f'may have {limit} {unit}' if length else f'must be {limit}'}"


def find_fault(value: Any, largest: int = LARGEST_INT) -> tuple[str, str] | None:
    """Return the first place in ``value``, such as ".train.seed", that exceeds the bounds, and the bound;
    None if there is none.

    It never looks deeper than ``DEEPEST``, whatever ``value`` is.
    """
    for count, (place, depth, inner) in enumerate(_walk_values(value)):
        if count >= MOST_VALUES:
            return "", f"more than {MOST_VALUES} values"
        wrong = _find_fault(inner, depth, largest)
        if wrong:
            return place, wrong
    return None


def _find_fault(value: object, depth: int, largest: int) -> str:
    if depth > DEEPEST:
        return f"tables and lists within each other more than {DEEPEST} deep"
    if isinstance(value, dict | list | tuple) and len(value) > MOST_VALUES:
        return f"{len(value)} entries; at most {MOST_VALUES}"
    if isinstance(value, int) and not -largest - 1 <= value <= largest:
        bound = "±2^63" if largest == LARGEST_INT else f"{MOST_DIGITS} digits"
        return f"a whole number beyond {bound}"
    if isinstance(value, str) and len(value) > LONGEST_TEXT:
        return f"a text of {len(value)} characters; at most {LONGEST_TEXT}"
    if isinstance(value, str) and not value.isascii() and any("\ud800" <= sign <= "\udfff" for sign in value):
        return "a text with half a character (a surrogate), which cannot be written"
    return ""


def _walk_values(value: Any) -> Iterator[tuple[str, int, Any]]:
    """Yield every value and key, with its place and its depth; values that are too deep are not entered."""
    waiting: list[tuple[str, int, Any]] = [("", 0, value)]
    while waiting:
        place, depth, inner = waiting.pop()
        yield place, depth, inner
        if depth > DEEPEST:
            continue
        if isinstance(inner, msgspec.Struct):
            waiting += [(f"{place}.{name}", depth, getattr(inner, name)) for name in inner.__struct_fields__]
        elif isinstance(inner, dict):
            waiting += [(place, depth, key) for key in inner]
            waiting += [(f"{place}.{str(key)[:80]}", depth + 1, within) for key, within in inner.items()]
        elif isinstance(inner, list | tuple):
            waiting += [(f"{place}[{index}]", depth + 1, within) for index, within in enumerate(inner)]
