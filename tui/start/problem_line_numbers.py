"""Finds the line of a study file that a problem is about."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from core.errors import Problem

LARGEST_BYTES = 1 << 20
NAME = re.compile(r"^[\w.]*?(\w+)(?: =|:| )|'([\w./-]+)'")
FIX = "`trimtab help study-file` lists all keys and their values"


def add_lines(problems: Iterable[Problem], file: Path) -> tuple[Problem, ...]:
    """Return ``problems`` with the number of the line in ``file``, where it is found, and with a remedy."""
    try:  # the file has been read before: it is no pipe
        with file.open("rb") as handle:
            lines = handle.read(LARGEST_BYTES).decode(errors="replace").splitlines()
    except (OSError, ValueError):
        lines = []
    return tuple(
        replace(problem, where=_find_line_number(problem, lines), fix=problem.fix or FIX)
        for problem in problems
    )


def _find_line_number(problem: Problem, lines: list[str]) -> str:
    number = find_line(problem, lines)
    return f"{problem.where}, line {number}" if number and "line" not in problem.where else problem.where


def find_line(problem: Problem, lines: list[str]) -> int:
    """Return the line of the key or section that ``problem`` names, from 1; 0 where none is found."""
    section_match = re.search(r"\[(\w+)\]", problem.where)
    names = [first or second for first, second in NAME.findall(problem.what)]
    section = ""
    for number, line in enumerate(lines, 1):
        head = re.match(r"\s*\[\s*([\w.]+)\s*\]", line)
        section = head[1] if head else section
        if head and section_match is None and section in names:
            return number
        key = re.match(r"\s*([\w./\"'-]+)\s*=", line)
        inside = section_match is None or section.partition(".")[0] == section_match[1]
        if key and inside and key[1].strip("\"'") in names:
            return number
    return next(
        (n for n, line in enumerate(lines, 1) if section_match and line.strip() == f"[{section_match[1]}]"), 0
    )
