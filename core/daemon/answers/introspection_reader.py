"""Answers a trial's loss by token and its attention, from the file that its worker writes."""

from __future__ import annotations

from pathlib import Path

from core.contract.state import engine_state as s
from core.contract.text.sanitize import sanitize
from core.contract.text.secret_redaction import Redactor
from core.contract.wire.answers.introspection_answer import Insides
from core.daemon.answers import untrusted_file_reader
from core.errors import RefusedError

NONE = "no data yet: it is collected after the trial's first and last evaluation, within evaluate.budget"


def read(study: s.Study, number: int) -> Insides:
    """Return the trial's introspection data, or why there is none. Raises RefusedError for an unknown
    trial."""
    if number not in study.trials:
        raise RefusedError.of(
            f"trial {number} does not exist", f"study {study.name}", "give one of its trials"
        )
    try:
        insides = untrusted_file_reader.read(
            Path(study.folder) / "trials" / str(number), "insides.json", Insides
        )
    except FileNotFoundError:
        return Insides(number, why_none=NONE)
    except (OSError, ValueError) as error:
        return Insides(number, why_none=f"the data cannot be read: {sanitize(str(error), 200)}")
    return Redactor().redact_all(insides)
