"""The manual: one Markdown page per topic in this folder, and the same page as plain text."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
WIDTH = 80  # columns of a page as plain text
NARROWEST = 30  # columns: a narrower last column of a table goes below the others
COMMENT = re.compile(r"<!--.*?-->\n?", re.DOTALL)
LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")


def list_topics() -> dict[str, str]:
    """Return the title of each page by its topic, in alphabetical order."""
    return {path.stem: _read_title(path) for path in sorted(FOLDER.glob("*.md"))}


def _read_title(path: Path) -> str:
    return path.read_text("utf-8").partition("\n")[0].removeprefix("# ")


def make_plain_page(topic: str, width: int = WIDTH) -> str:
    """Return the page of ``topic`` without Markdown; a key of ``list_topics()``."""
    text = COMMENT.sub("", (FOLDER / f"{topic}.md").read_text("utf-8"))
    return "\n".join(_make_plain_lines(text.splitlines(), width)).strip() + "\n"


def _make_plain_lines(lines: list[str], width: int) -> Iterator[str]:
    """Return the lines with paragraphs and list items refilled, tables aligned, and code unchanged."""
    block: list[str] = []  # lines of one paragraph, list item or table
    code = False
    for line in [*lines, ""]:
        fence = line.startswith("```")
        code = code != fence
        verbatim = code or fence or line.startswith(("    ", "#")) or not line
        if block and (verbatim or line.startswith("- ") or _is_table(line) != _is_table(block[0])):
            yield from (
                _align_columns([_split_cells(row) for row in block], width)
                if _is_table(block[0])
                else _fill_paragraph(block, width)
            )
            block = []
        if not verbatim:
            block.append(line)
        elif not fence:
            yield line if code else _read_heading(line)


def _is_table(line: str) -> bool:
    return line.startswith("|")


def _read_heading(line: str) -> str:
    title = re.match(r"#+ (.*)", line)
    return _strip_markup(title[1]).upper() if title else line


def _fill_paragraph(block: list[str], width: int) -> list[str]:
    text = _strip_markup(" ".join(line.strip() for line in block))
    indent = "  " if text.startswith("- ") else ""
    return textwrap.wrap(text, width, subsequent_indent=indent, break_long_words=False)


def _strip_markup(text: str) -> str:
    return LINK.sub(r"\1", text).replace("**", "").replace("`", "")


def _split_cells(line: str) -> list[str]:
    parts = re.split(r"(?<!\\)\|", line.strip().strip("|"))
    return [_strip_markup(part.strip().replace("\\|", "|")) for part in parts]


def _align_columns(table: list[list[str]], width: int) -> Iterator[str]:
    """Return the rows of a table, aligned; the last column is wrapped at ``width``."""
    rows = [row for row in table if not all(set(cell) <= set("-:") for cell in row)]
    if not rows:
        return
    last = max(len(row) for row in rows) - 1
    widths = [max(len(row[column]) for row in rows if column < len(row)) for column in range(last)]
    indent = sum(widths) + 2 * (last + 1)
    if indent > width - NARROWEST:
        yield from _stack_rows(rows, width)
        return
    for row in rows:
        head = "  " + "".join(f"{cell:<{size}}  " for cell, size in zip(row, widths, strict=False))
        wrapped = textwrap.wrap(row[-1], width - indent) if len(row) > last else []
        for number, part in enumerate(wrapped or [""]):
            yield ((head if not number else " " * len(head)) + part).rstrip()


def _stack_rows(rows: list[list[str]], width: int) -> Iterator[str]:
    """Return the rows of a table that is too wide: the last cell below the others. The head is left out."""
    for row in rows[1:]:
        parts = "  ·  ".join(cell for cell in row[:-1] if cell)
        yield from textwrap.wrap(parts, width, initial_indent="  ", subsequent_indent="    ")
        yield from textwrap.wrap(row[-1], width, initial_indent="      ", subsequent_indent="      ")
