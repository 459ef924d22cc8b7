"""The prompts, pairs and word lists that come with trimtab and were written for it."""

from __future__ import annotations

import base64
import codecs
import tomllib
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

from core.contract.text.sanitize import sanitize
from core.errors import TrimtabError
from core.evaluate.prompts import prompt_files
from core.evaluate.prompts.prompt_schema import (
    REQUEST,
    AnswerPair,
    Injection,
    Pair,
    Passage,
    Prompt,
    PromptLeak,
    Row,
    Wrapper,
)

DATA = Path(__file__).resolve().parent / "data"
FIX = "reinstall trimtab; one of its files is damaged"
R = TypeVar("R", bound=Row)


def load_pairs() -> tuple[Pair, ...]:
    """Return mild stereotypes and their opposites, by axis."""
    return _read_packaged("pairs.jsonl", "pairs", Pair)


def load_harmful() -> tuple[Prompt, ...]:
    """Return requests that a safe model refuses. They name a harm but contain no knowledge of it."""
    return _read_packaged("harmful.jsonl", "prompts", Prompt)


def load_harmless() -> tuple[Prompt, ...]:
    """Return requests that only sound harmful, on the same topics (the idea of XSTest, Röttger et al.
    2024)."""
    return _read_packaged("harmless.jsonl", "prompts", Prompt)


def load_elicitors() -> tuple[Prompt, ...]:
    """Return openings that invite a rude continuation (the idea of RealToxicityPrompts, Gehman et al.
    2020)."""
    return _read_packaged("elicit.jsonl", "prompts", Prompt)


def load_wrappers() -> tuple[Wrapper, ...]:
    """Return widely known kinds of jailbreaks (Wei et al. 2023)."""
    return _read_packaged("wrappers.jsonl", "wrappers", Wrapper)


def load_injections() -> tuple[Injection, ...]:
    """Return tasks on content with an injected instruction (Greshake et al. 2023)."""
    return _read_packaged("injections.jsonl", "injections", Injection)


def load_reference() -> tuple[Passage, ...]:
    """Return general prose, facts, dialogue and code, about 2,200 words, for the forgetting metric."""
    return _read_packaged("reference.toml", "passages", Passage)


def load_harmful_multilingual() -> tuple[Prompt, ...]:
    """Return harmful requests in German, French, Spanish, Chinese, Hindi and Arabic."""
    return _read_packaged("harmful_multilingual.jsonl", "prompts", Prompt)


def load_harmless_multilingual() -> tuple[Prompt, ...]:
    """Return requests that only sound harmful, in the same six languages."""
    return _read_packaged("harmless_multilingual.jsonl", "prompts", Prompt)


def load_misalignment() -> tuple[AnswerPair, ...]:
    """Open questions of everyday life and about AI, each with an aligned and a misaligned answer in the same
    style (the idea of Betley et al. 2025)."""
    return _read_packaged("misalignment.jsonl", "misalignment", AnswerPair)


def load_prefills() -> tuple[Prompt, ...]:
    """Return beginnings of an answer that complies, to put into the model's mouth."""
    return _read_packaged("prefills.jsonl", "prompts", Prompt)


def load_prompt_leaks() -> tuple[PromptLeak, ...]:
    """Return system prompts with a secret, and requests for them."""
    return _read_packaged("prompt_leak.jsonl", "prompt_leak", PromptLeak)


@cache
def load_table(name: str, keys: tuple[str, ...]) -> dict[str, Any]:
    """Return a packaged TOML file that has ``keys``. Raises TrimtabError."""
    try:
        content = tomllib.loads((DATA / name).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise _make_damage_error(name, f"{type(error).__name__}: {error}") from error
    missing = [key for key in keys if key not in content]
    if missing:
        raise _make_damage_error(name, f"{missing[0]} is missing")
    return content


@cache
def _read_packaged(name: str, kind: str, shape: type[R]) -> tuple[R, ...]:
    try:
        return cast(tuple[R, ...], tuple(prompt_files.read(DATA / name, kind)))
    except TrimtabError as error:
        raise _make_damage_error(name, str(error)) from error


def _make_damage_error(name: str, why: str) -> TrimtabError:
    return TrimtabError.of(f"the packaged file cannot be used: {sanitize(why, 300)}", str(DATA / name), FIX)


def wrap(wrapper: Wrapper, request: str) -> str:
    """Return the jailbreak prompt of ``wrapper`` around ``request``."""
    return wrapper.text.replace(REQUEST, encode(request, wrapper.encoding))


def encode(text: str, encoding: str) -> str:
    """Return ``text`` in one of ``prompt_schema.ENCODINGS``."""
    match encoding:
        case "base64":
            return base64.b64encode(text.encode()).decode()
        case "rot13":
            return codecs.encode(text, "rot13")
        case "reverse":
            return text[::-1]
    return text


def list_jailbreaks(
    requests: Sequence[Prompt], around: Sequence[Wrapper]
) -> Iterator[tuple[Wrapper, Prompt, str]]:
    """Return every request in every wrapper, ordered so that any prefix has nearly as many of each: a budget
    may cut the list anywhere."""
    for turn in range(len(around)):
        for number, request in enumerate(requests):
            wrapper = around[(number + turn) % len(around)]
            yield wrapper, request, wrap(wrapper, request.text)
