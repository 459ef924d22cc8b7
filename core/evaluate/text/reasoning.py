"""Separates the reasoning that a model writes before its answer from the answer."""

from __future__ import annotations

import re

_BLOCKS = (
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("[THINK]", "[/THINK]"),
    ("<reasoning>", "</reasoning>"),
)
_PAIRS = re.compile(
    "|".join(f"{re.escape(begin)}.*?(?:{re.escape(end)}|\\Z)" for begin, end in _BLOCKS), re.DOTALL
)
_ENDS = tuple(end for _, end in _BLOCKS)


def strip_reasoning(answer: str) -> str:
    """Return ``answer`` without reasoning blocks; "" while the reasoning has not ended. A block may have been
    opened by the chat template, so that only its end is in the answer."""
    visible = _PAIRS.sub("", answer)
    for end in _ENDS:
        visible = visible.rpartition(end)[2]
    return visible.strip() if visible != answer else answer
