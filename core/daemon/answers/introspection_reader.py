"""Answers what goes on inside a trial, from the file that its worker writes."""

from __future__ import annotations

from pathlib import Path

from core.contract.state import study_state as s
from core.contract.text.sanitize import plain
from core.contract.text.secret_redaction import Redactor
from core.contract.wire.introspection_answer import Insides
from core.daemon.answers import trial_files
from core.errors import RefusedError

NONE = "nothing is known of it yet: it is looked into at its first evaluation and at its last"


def read(study: s.Study, number: int) -> Insides:
    """What is kept of the trial, or why nothing is. Raises RefusedError for a trial that there is not."""
    if number not in study.trials:
        raise RefusedError.of(f"there is no trial {number}", f"study {study.name}", "take one of its trials")
    try:
        found = trial_files.read(Path(study.folder) / "trials" / str(number), "insides.json", Insides)
    except FileNotFoundError:
        return Insides(number, why_none=NONE)
    except (OSError, ValueError) as error:
        return Insides(number, why_none=f"it cannot be read: {plain(str(error), 200)}")
    return Redactor().anything(found)
