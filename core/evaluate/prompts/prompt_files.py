"""Reads files of prompts, pairs, questions and so on: a user's own, or a packaged one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from core.contract.spec import toml_reader
from core.contract.text.sanitize import sanitize
from core.errors import Problem, SpecError
from core.evaluate.prompts.prompt_schema import LONE_TEXT, SHAPES, Row

LARGEST_FILE_BYTES = 32 << 20
MOST_PROBLEMS = 10  # reported at once; a file of another kind has one on every line
ENDINGS = (".jsonl", ".toml", ".txt")
_PARAGRAPHS = re.compile(r"\n\s*\n")


def read(path: Path, kind: str) -> list[Row]:
    """Return the rows of ``path``, each of the shape that ``kind`` names (``prompt_schema.SHAPES``).

    ``.jsonl`` holds one object per line; ``.toml`` an array of tables named after the kind; ``.txt`` one text
    per line, or passages separated by empty lines. Raises SpecError with up to ten problems: a missing file,
    bad UTF-8 or syntax, a missing, unknown or invalid field, no rows.
    """
    shape, text = SHAPES[kind], _read_text(path)
    match path.suffix:
        case ".jsonl":
            raw = list(_parse_lines(path, text))
        case ".toml":
            raw = list(_parse_tables(path, text, kind))
        case _:
            raw = list(_split_plain_text(path, text, kind))
    rows: list[Row] = []
    problems: list[Problem] = []
    for location, content in raw:
        row = _check_row(content, shape, location)
        (problems if isinstance(row, Problem) else rows).append(row)  # type: ignore[arg-type]
    if problems:
        raise SpecError(*problems[:MOST_PROBLEMS])
    if not rows:
        raise SpecError.of(f"the file has no {kind}", str(path), f"add rows with {_list_fields(shape)}")
    return rows


def _read_text(path: Path) -> str:
    if path.suffix not in ENDINGS:
        raise SpecError.of(
            f"files ending in {path.suffix!r} are not supported", str(path), f"use {', '.join(ENDINGS)}"
        )
    try:
        if path.stat().st_size > LARGEST_FILE_BYTES:
            raise SpecError.of(
                "the file is larger than 32 MiB", str(path), "use fewer rows, since all of them are read"
            )
        return path.read_text("utf-8-sig")  # some editors write byte order marks
    except FileNotFoundError:
        raise SpecError.of("the file does not exist", str(path), "give the path of a prompt file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError.of(
            f"the file cannot be read: {sanitize(str(error), 200)}", str(path), "give UTF-8 text"
        ) from None


def _parse_lines(path: Path, text: str) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            location = f"{path}, line {number}"
            try:
                yield location, msgspec.json.decode(line)
            except (msgspec.DecodeError, RecursionError) as error:
                message = f"the line is not JSON: {sanitize(str(error), 120)}"
                yield location, Problem(message, location, "write one object per line")


def _parse_tables(path: Path, text: str, kind: str) -> Iterator[tuple[str, Any]]:
    raw = _parse_toml(path, text)
    tables = raw.get(kind)
    if not isinstance(tables, list):
        names = ", ".join(sanitize(name, 40) for name in raw) or "nothing"
        message = f"the file has no [[{kind}]], but {names}"
        raise SpecError.of(message, str(path), f"write [[{kind}]] above each row")
    for number, table in enumerate(tables, 1):
        yield f"{path}, [[{kind}]] {number}", table


def _parse_toml(path: Path, text: str) -> dict[str, Any]:
    try:
        return toml_reader.loads(text)
    except toml_reader.TomlError as error:
        fix = "quote the texts, and start each row with [[prompts]]"
        raise SpecError.of(f"the file is not TOML: {sanitize(str(error), 120)}", str(path), fix) from None


def _split_plain_text(path: Path, text: str, kind: str) -> Iterator[tuple[str, Any]]:
    if kind not in LONE_TEXT:
        fix = f"use a .jsonl file with {_list_fields(SHAPES[kind])}"
        raise SpecError.of(f"a plain text file cannot hold {kind}", str(path), fix)
    parts = _PARAGRAPHS.split(text) if kind == "passages" else text.split("\n")
    for number, part in enumerate((part.strip() for part in parts), 1):
        if part:
            yield f"{path}, {'passage' if kind == 'passages' else 'line'} {number}", LONE_TEXT[kind](part)


def _check_row(content: Any, shape: type[Row], location: str) -> Row | Problem:
    if isinstance(content, Problem):
        return content
    try:
        row = content if isinstance(content, Row) else msgspec.convert(content, shape)
    except msgspec.ValidationError as error:
        return Problem(_format_error(error), location, f"a row needs {_list_fields(shape)}")
    fault = row.find_fault()
    return Problem(sanitize(fault, 200), location, f"a row needs {_list_fields(shape)}") if fault else row


def _format_error(error: Exception) -> str:
    text = sanitize(str(error), 200)
    return text[0].lower() + text[1:].replace("`", "'")


def _list_fields(shape: type[Row]) -> str:
    fields = msgspec.structs.fields(shape)
    required = [field.name for field in fields if field.required]
    more = [field.name for field in fields if not field.required]
    return ", ".join(required) + (f"; optional: {', '.join(more)}" if more else "")
