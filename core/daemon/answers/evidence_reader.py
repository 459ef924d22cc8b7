"""Answers which samples are behind a score, from the evidence files that workers write."""

from __future__ import annotations

from pathlib import Path

from core.contract.spec.metric_table import SLICE, find_metric
from core.contract.state import engine_state as s
from core.contract.text.sanitize import sanitize
from core.contract.text.secret_redaction import Redactor
from core.contract.wire import console_api
from core.contract.wire.answers.evidence_answer import Evidence
from core.daemon.answers import untrusted_file_reader
from core.errors import RefusedError

BASE = -1
NONE = "no evidence: the metric was not scored yet, or it is not computed from single samples"


def read(study: s.Study, request: console_api.AskEvidence) -> Evidence:
    """Return the worst samples of a metric, of a trial or of the base. Raises RefusedError for an unknown
    trial or metric."""
    if find_metric(request.metric) is None:
        raise RefusedError.of(
            f"there is no metric {sanitize(request.metric, 80)!r}", "evidence", "give a metric of a board"
        )
    if request.trial != BASE and request.trial not in study.trials:
        raise RefusedError.of(
            f"trial {request.trial} does not exist",
            f"study {study.name}",
            "give one of its trials; -1 is the base",
        )
    subject = "base" if request.trial == BASE else str(request.trial)
    folder = Path(study.folder) / "trials" / subject / "evidence"
    metric = (
        "quality/worst_slice" if request.metric.startswith(SLICE) else request.metric
    )  # one file lists all slices
    try:
        evidence = untrusted_file_reader.read(folder, f"{metric.replace('/', '_')}.json", Evidence)
    except FileNotFoundError:
        return Evidence(request.metric, why_none=NONE)
    except (OSError, ValueError) as error:
        return Evidence(request.metric, why_none=f"the evidence cannot be read: {sanitize(str(error), 200)}")
    return Redactor().redact_all(evidence)
