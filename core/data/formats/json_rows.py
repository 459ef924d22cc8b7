"""Reads rows of JSON: one object per line, or an array of objects, which is read as a stream, too."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from core.contract.text.sanitize import sanitize
from core.data.formats.file_lines import Fault, TextFile
from core.data.formats.numbers_as_written import Written

BEHIND = 16  # characters: an error so close to the end of what was read may be one of a value cut in two
SPACE = re.compile(r"[ \t\r\n]*")
Raw = dict[str, Any]
_DECODER = json.JSONDecoder(parse_float=Written)


def read_lines(file: TextFile) -> Iterator[Raw]:
    """Read an object from each line that is not blank. Raises Fault."""
    for number, line in file.read_lines():
        if not line.isspace():
            yield _check_object(_parse_value(line, number), number)


def read_json(file: TextFile) -> Iterator[Raw]:
    """Read an array of objects, objects that follow each other, or a single object. Raises Fault."""
    text = _Text(file.read_chunks())
    is_array, number = text.skip("["), 0
    while not text.is_at_end():
        if is_array and text.skip("]"):
            text.refuse_rest()
            return
        if is_array and number and not text.skip(","):
            raise Fault("it is not valid JSON: expected ',' or ']' after a row", text.line)
        number += 1
        if text.is_at_end():
            break
        line = text.line
        value = text.parse_value()
        if not isinstance(value, dict | str):
            raise Fault(f"row {number}: {_explain_refusal(value)}", line)
        yield _check_object(value, line)
    if is_array:
        raise Fault("it is not valid JSON: the array has no end", text.line)


class _Text:
    """The text of a file, read piece by piece; ``line`` is the line of the next character."""

    def __init__(self, pieces: Iterator[str]) -> None:
        self._pieces, self._text, self._at, self.line = pieces, "", 0, 1

    def _grow(self) -> bool:
        """Read on, until the text that is ahead has doubled. Returns False at the end of the file."""
        parts = [self._text[self._at :]]
        target_size, size = 2 * len(parts[0]) + 1, len(parts[0])
        for piece in self._pieces:
            parts.append(piece)
            size += len(piece)
            if size >= target_size:
                break
        grown = size > len(parts[0])
        self._text, self._at = "".join(parts), 0
        return grown

    def _move(self, end: int) -> None:
        self.line += self._text.count("\n", self._at, end)
        self._at = end

    def is_at_end(self) -> bool:
        """Skip white space. Tells whether nothing else is left."""
        while True:
            self._move(SPACE.match(self._text, self._at).end())  # type: ignore[union-attr]
            if self._at < len(self._text):
                return False
            if not self._grow():
                return True

    def skip(self, characters: str) -> bool:
        """Skip white space and one of these characters. Tells whether there was one."""
        if self.is_at_end() or self._text[self._at] not in characters:
            return False
        self._at += 1
        return True

    def parse_value(self) -> Any:
        """Parse the next value. Raises Fault."""
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                is_cut = error.pos >= len(self._text) - BEHIND or error.msg.startswith("Unterminated")
                line = self.line + self._text.count("\n", self._at, error.pos)
                if is_cut and self._grow():
                    continue
                raise Fault(_explain_invalid(error), line) from None
            except (ValueError, RecursionError) as error:
                raise _make_fault(error, self.line) from None
            if end < len(self._text) or not self._grow():
                self._move(end)
                return value

    def refuse_rest(self) -> None:
        """Raise Fault if there is more than white space."""
        if not self.is_at_end():
            raise Fault("it is not valid JSON: there is text after the end of the array", self.line)


def _parse_value(text: str, line: int | None) -> Any:
    """Parse a line; each number keeps its digits. Raises Fault."""
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise Fault(_explain_invalid(error), line) from None
    except (ValueError, RecursionError) as error:  # such as 5,000 digits or 900 nested brackets
        raise _make_fault(error, line) from None


def parse_line(text: str) -> Raw:
    """Parse a line that is not blank; each number keeps its digits. Raises Fault without a line."""
    return _check_object(_parse_value(text, None), None)


def _explain_invalid(error: json.JSONDecodeError) -> str:
    return f"it is not valid JSON: {error.msg.removesuffix(' at')} at column {error.colno}"


def _make_fault(error: Exception, line: int | None) -> Fault:
    return Fault(f"its JSON cannot be parsed: {sanitize(str(error), 200)}", line)


def _check_object(value: Any, line: int | None) -> Raw:
    if isinstance(value, str):
        return {"text": value}
    if not isinstance(value, dict):
        raise Fault(_explain_refusal(value), line)
    return value


def _explain_refusal(value: Any) -> str:
    noun = "a list" if isinstance(value, list) else "null" if value is None else sanitize(str(value), 40)
    return f"a row must be an object such as {{…}}, not {noun}"
