"""Remove passwords and tokens from text before it is stored or shown."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from typing import TypeVar

import msgspec

HIDDEN = "(redacted)"
LONGEST = 200_000  # a longer text is truncated
SHORTEST = 8  # of a secret value in the environment: "1" is not a secret
WORDS = {"TOKEN", "SECRET", "PASSWORD", "PASSWD", "PASS", "CREDENTIAL", "CREDENTIALS", "KEY", "APIKEY"}

# What looks like a secret: the first group of each stays, the second is hidden.
_RANDOM = r"(?=[\w./+=-]*\d)(?=[\w./+=-]*[A-Za-z])[\w./+=-]"  # "pad_token=<|im_end|>" is none
_PATTERN = re.compile(
    "|".join(
        (
            r"(\bhf_)([A-Za-z0-9]{16,})",  # Hugging Face
            rf"(\bsk-)({_RANDOM}{{20,}})",  # OpenAI, Anthropic
            r"(\bgh[pousr]_)([A-Za-z0-9]{20,})",  # GitHub
            r"(\bgithub_pat_)(\w{20,})",
            r"(\bglpat-)([\w-]{16,})",  # GitLab
            r"(\bxox[abprs]-)([\w-]{10,})",  # Slack
            r"(\bAKIA)([A-Z0-9]{12,})",  # Amazon
            r"(\bAIza)([\w-]{30,})",  # Google
            rf"(\b(?i:bearer)\s+)({_RANDOM}{{12,}})",
            r"(\b[A-Za-z][\w+.-]*://[^\s/:@]*:)(?!\$\{)([^\s/@]+)(?=@)",  # user:password@host
            r"""(\b\w*(?i:password|passwd|secret)["']?\s*[=:]\s*["']?)([^\s"',;&]{4,})""",
            rf"""(\b\w*(?i:token|api_?key|access_?key)["']?\s*[=:]\s*["']?)({_RANDOM}{{12,}})""",
        )
    )
)
T = TypeVar("T")
_learnt: set[str] = set()  # secrets of others' environments that this process was given


def learn(values: Iterable[str]) -> None:
    """Add secrets that every Redactor of this process redacts from now on."""
    _learnt.update(value for value in values if len(value) >= SHORTEST)


class Redactor:
    """Replaces the secrets of one environment, and text that looks like a secret."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        values = {
            value
            for name, value in (os.environ if environment is None else environment).items()
            if WORDS & set(name.upper().split("_")) and _is_secret(value)
        }
        self._known = sorted(values, key=len, reverse=True)  # one may be the beginning of another

    def redact_text(self, text: str) -> str:
        """Return ``text`` with every secret replaced, truncated if it is very long, and without invalid
        characters, which file names may contain."""
        if len(text) > LONGEST:
            text = text[:LONGEST] + "…"
        if not text.isascii():
            text = text.encode(errors="replace").decode()
        for secret in (*self._known, *sorted(_learnt, key=len, reverse=True)):
            if secret in text:
                text = text.replace(secret, HIDDEN)
        return _PATTERN.sub(_hide, text)

    def contains_secret(self, text: str) -> bool:
        """Tell whether ``text`` holds a secret."""
        return self.redact_text(text[:LONGEST]) != text[:LONGEST]

    def redact_all(self, value: T) -> T:
        """Return a struct, map, sequence or text with every text in it redacted; unchanged values are
        returned as they are."""
        redacted = self._redact_value(value)
        return value if redacted == value else redacted  # type: ignore[return-value]

    def _redact_value(self, value: object) -> object:
        if isinstance(value, str):
            return self.redact_text(value)
        if isinstance(value, msgspec.Struct):
            fields = {name: getattr(value, name) for name in value.__struct_fields__}
            new = {name: self.redact_all(old) for name, old in fields.items() if isinstance(old, MAY_HOLD)}
            different = {name: entry for name, entry in new.items() if entry is not fields[name]}
            return msgspec.structs.replace(value, **different) if different else value
        if isinstance(value, dict):
            return {self.redact_all(key): self.redact_all(entry) for key, entry in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(self.redact_all(entry) for entry in value)
        return value


MAY_HOLD = (str, dict, list, tuple, msgspec.Struct)


def _is_secret(value: str) -> bool:
    """Tell whether the value of such a variable is a secret; a path, a switch or a plain word is not."""
    random = any(character.isdigit() for character in value) or len(value) >= 2 * SHORTEST
    return len(value) >= SHORTEST and random and not value.startswith(("/", "~"))


def _hide(match: re.Match[str]) -> str:
    return next(group for group in match.groups() if group is not None) + HIDDEN
