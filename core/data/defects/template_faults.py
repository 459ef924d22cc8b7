"""Finds rows that a chat template renders wrongly, or not at all."""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import pairwise
from typing import Any

from core.contract.text.sanitize import sanitize
from core.data.checks.check_finding import Finding
from core.data.checks.row_tally import TallyCheck, grade, make_tally_finding
from core.data.stream.row_batches import ReadRow, RowBatch

NAME = "faults of roles and templates"
SOME, MOST = 0.002, 0.01  # more than MOST keeps a study from starting
BLOCKS = "template"
REMEDY = (
    "correct the roles, remove special tokens from the texts; `trimtab check --show 3` prints rendered rows"
)
TOKENS = "special tokens in the text"
# of ChatML, Llama 2 and 3, Gemma, Mistral, Phi, DeepSeek and others; "</s>" only at the end, as HTML has it
# too
SPECIAL = re.compile(
    r"<\|(?:im_start|im_end|im_sep|endoftext|eot_id|begin_of_text|end_of_text|start_header_id|end_header_id|system"
    r"|user|assistant|end|start|message|channel|return|begin▁of▁sentence|end▁of▁sentence)\|>"
    r"|<｜[^｜<>\n]{1,24}｜>|\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>|</s>\s*$",
    re.MULTILINE,
)
HINTS = ("<|", "<｜", "INST]", "_of_turn>", "SYS>>", "</s>")  # a text without them has no special token
SPEAKERS = {"user", "human"}


class TemplateFaults(TallyCheck):
    """Counts rows by their faults."""

    def add(self, batch: RowBatch) -> None:
        """Take in the next rows."""
        self._tally.rows += len(batch.rows)
        has_tokens = any(hint in batch.joined for hint in HINTS)
        for row in batch.rows:
            if faults := _find_faults(row, has_tokens):
                self._tally.hit(row.number, _format_row(row).strip, *faults, around=SPECIAL)

    def make_finding(self) -> Finding:
        """Return what was found in all rows."""
        share = self._tally.share
        blocks = BLOCKS if self._tally.exceeds(MOST) else ""
        return make_tally_finding(NAME, self._tally, grade(share, SOME, MOST), REMEDY, blocks=blocks)


def _find_faults(row: ReadRow, has_tokens: bool) -> tuple[str, ...]:
    if row.texts is None:
        return () if row.is_empty or row.is_unwanted else (sanitize(row.fault, 80),)
    messages = row.row.get("messages")
    faults = find_role_faults(_list_roles(messages)) if isinstance(messages, list) else ()
    return (*faults, TOKENS) if has_tokens and any(map(has_special, row.texts.all)) else faults


@lru_cache(1000)
def find_role_faults(roles: tuple[str, ...]) -> tuple[str, ...]:
    """Return the faults in the order of speakers."""
    faults = () if "assistant" in roles else ("no answer",)
    if any(first in SPEAKERS and second in SPEAKERS for first, second in pairwise(roles)):
        faults = (*faults, "two user turns in a row")
    return faults


def has_special(text: str) -> bool:
    """Tell whether a text contains a special token of a chat template."""
    return any(hint in text for hint in HINTS) and SPECIAL.search(text) is not None


def _list_roles(messages: list[Any]) -> tuple[str, ...]:
    try:
        return tuple([turn["role"] for turn in messages])
    except (TypeError, KeyError):
        return tuple(str(turn.get("role")) if isinstance(turn, dict) else "" for turn in messages)


def _format_row(row: ReadRow) -> str:
    """Return the text of a row with a special token, else all its text."""
    if row.texts is None:
        return row.fault
    return next(filter(has_special, row.texts.all), " ".join(row.texts.all))
