"""Writes the worst samples behind a metric's score to trials/N/evidence/METRIC.json."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from core import paths
from core.contract.text.secret_redaction import Redactor
from core.contract.wire.answers.evidence_answer import Evidence, Sample
from core.errors import TrimtabError


def write(
    folder: Path, step: int, worst: Mapping[str, Sequence[Sample]], warn: Callable[[str], None]
) -> None:
    """Write each metric's worst samples to ``folder``/evidence; warns if that fails."""
    if not worst:
        return
    redactor = Redactor()
    try:
        paths.make_private(folder)
        place = paths.make_private(folder / "evidence")
        for metric, samples in worst.items():
            evidence = redactor.redact_all(Evidence(metric, step, tuple(samples)))
            put(place / f"{metric.replace('/', '_')}.json", msgspec.json.encode(evidence))
    except (OSError, TrimtabError) as error:
        warn(f"the evidence of {folder.name} at step {step} could not be written: {error}")


def put(place: Path, content: bytes) -> None:
    """Write a whole file or nothing, following no link. Raises OSError."""
    aside = place.with_name(f"{place.name}.new")
    aside.unlink(missing_ok=True)
    with open(aside, "wb", opener=paths.open_without_link) as file:
        file.write(content)
    aside.replace(place)
