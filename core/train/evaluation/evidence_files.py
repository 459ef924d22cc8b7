"""Writes the samples that a metric's number rests on: trials/N/evidence/METRIC.json."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from core import paths
from core.contract.text.secret_redaction import Redactor
from core.contract.wire.evidence_answer import Evidence, Sample
from core.errors import TrimtabError


def write(
    folder: Path, step: int, worst: Mapping[str, Sequence[Sample]], warn: Callable[[str], None]
) -> None:
    """Put each metric's worst samples into ``folder``/evidence; a word where that is not possible."""
    if not worst:
        return
    redactor = Redactor()
    try:
        paths.private(folder)
        place = paths.private(folder / "evidence")
        for metric, samples in worst.items():
            found = redactor.anything(Evidence(metric, step, tuple(samples)))
            put(place / f"{metric.replace('/', '_')}.json", msgspec.json.encode(found))
    except (OSError, TrimtabError) as error:
        warn(f"the evidence of {folder.name} at step {step} cannot be written: {error}")


def put(place: Path, content: bytes) -> None:
    """A whole file or none, no link followed. Raises OSError."""
    aside = place.with_name(f"{place.name}.new")
    aside.unlink(missing_ok=True)
    with open(aside, "wb", opener=paths.no_link) as file:
        file.write(content)
    aside.replace(place)
