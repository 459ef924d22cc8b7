"""The search in a log: a regular expression, where it matches a line, and how severe the line is. Pure."""

from __future__ import annotations

import re

from core.contract.views.trials.trial_filter import FilterFault

SEARCHED = 2000  # characters of a line
LONGEST_PATTERN = 200
_LEVEL = re.compile(r"\b(?:(ERROR|CRITICAL|FATAL)|(WARNING|WARN))\b|^(Traceback|\w*(?:Error|Exception)\b)")
_ESCAPE = re.compile(r"\\.")
# A repeat of a repeat, such as (a+)+, may take longer than anybody waits, and nothing can interrupt it.
_NESTED = re.compile(r"(?:[+*]|\{\d*,\d*\})\)(?:[+*]|\{\d*,?\d*\})")


def compile_pattern(text: str) -> re.Pattern[str] | None:
    """Return the expression, None of an empty text. In lower case it matches upper case, too.

    Raises FilterFault with the place and the reason where it is not a regular expression.
    """
    if not text:
        return None
    if len(text) > LONGEST_PATTERN:
        raise FilterFault(LONGEST_PATTERN, f"at most {LONGEST_PATTERN} characters")
    nested = _NESTED.search(_ESCAPE.sub("..", text))
    if nested is not None:
        raise FilterFault(nested.start(), "a repeat within a repeat may never end")
    try:
        return re.compile(text, 0 if _has_upper(text) else re.IGNORECASE)
    except (re.error, OverflowError, RecursionError) as error:
        at = getattr(error, "pos", None) or 0
        raise FilterFault(at, str(getattr(error, "msg", error))) from error


def find_spans(pattern: re.Pattern[str] | None, text: str) -> list[tuple[int, int]]:
    """Return where the pattern matches the line, as (start, end); matches of nothing are left out."""
    if pattern is None:
        return []
    return [match.span() for match in pattern.finditer(text[:SEARCHED]) if match.end() > match.start()]


def find_level(text: str) -> str:
    """Return error, warning or info, as the line says."""
    level_match = _LEVEL.search(text[:SEARCHED])
    if level_match is None:
        return "info"
    return "warning" if level_match[2] else "error"


def _has_upper(text: str) -> bool:
    return any(letter.isupper() for letter in _ESCAPE.sub("", text))
