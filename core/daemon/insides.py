"""Answers what goes on inside a trial, from the file that its worker writes."""

from __future__ import annotations

from pathlib import Path

from core.contract import state as s
from core.contract.insides import Insides
from core.contract.plain import plain
from core.contract.secrets import Redactor
from core.daemon import kept
from core.errors import RefusedError

NONE = "nothing is known of it yet: it is looked into at its first evaluation and at its last"


def read(study: s.Study, number: int) -> Insides:
    """What is kept of the trial, or why nothing is. Raises RefusedError for a trial that there is not."""
    if number not in study.trials:
        raise RefusedError.of(f"there is no trial {number}", f"study {study.name}", "take one of its trials")
    try:
        found = kept.read(Path(study.folder) / "trials" / str(number), "insides.json", Insides)
    except FileNotFoundError:
        return Insides(number, why_none=NONE)
    except (OSError, ValueError) as error:
        return Insides(number, why_none=f"it cannot be read: {plain(str(error), 200)}")
    return Redactor().anything(found)
