"""Writes a plan as a study file, with the reason and the source above each line."""

from __future__ import annotations

import textwrap
from typing import Any

import tomli_w

from core.advise.knob_recommendation import Line
from core.advise.study_recommendations import Plan
from core.contract.spec.spec_file import SECTION_NAMES
from core.contract.text.sanitize import sanitize

WIDTH = 100  # of a comment
REASON_LIMIT = 600


def write_page(plan: Plan, head: str) -> str:
    """Return the text of the file; ``head`` is its first comment."""
    out = _wrap_comment(head)
    for doubt in plan.doubts:
        out += _wrap_comment(f"Not sure: {doubt}.")
    for section in SECTION_NAMES:
        lines = plan.list_section(section)
        if lines:
            out += ["", f"[{section}]"]
        for line in lines:
            out += [*_wrap_comment(line.why), *_write_sources(line), write_line(line)]
    return "\n".join(out) + "\n"


def _write_sources(line: Line) -> list[str]:
    """Return one line per source, not wrapped: a link that spans two lines cannot be opened."""
    return [f"# source: {sanitize(str(source), REASON_LIMIT)}" for source in line.sources]


def write_line(line: Line) -> str:
    """Return ``key = value`` in TOML."""
    return f"{line.knob} = {_format_value(line.value)}"


def _format_value(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_format_value(entry)}" for key, entry in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_format_value, value)) + "]"
    text = tomli_w.dumps({"_": value}).removeprefix("_ = ").rstrip("\n")
    return "".join(
        character if sanitize(character) == character else _escape_character(character) for character in text
    )


def _escape_character(character: str) -> str:
    """Return TOML's escape of a control character, such as a bidi override in a file name."""
    code = ord(character)
    return f"\\u{code:04x}" if code < 1 << 16 else f"\\U{code:08x}"


def _wrap_comment(text: str) -> list[str]:
    wrapped = textwrap.wrap(
        sanitize(text, REASON_LIMIT), WIDTH - 2, break_long_words=False, break_on_hyphens=False
    )
    return [f"# {line}" for line in wrapped]
