"""Columns of a data set that belong together, for training and for recommendations."""

from __future__ import annotations

from collections.abc import Mapping

# A column that completes the prompt column, as Alpaca, Dolly and SQuAD have them: joined by an empty line.
JOINED = {"instruction": ("input", "context"), "question": ("context",)}


def find_companion(prompt_key: str, used: tuple[str, ...], columns: Mapping[str, object] | set[str]) -> str:
    """Return the column that completes ``prompt_key`` and has no other use; "" if there is none."""
    candidates = JOINED.get(prompt_key, ())
    return next((column for column in candidates if column in columns and column not in used), "")
