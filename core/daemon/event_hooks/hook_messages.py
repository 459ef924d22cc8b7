"""The events that hooks are called for, as messages that say what happened."""

from __future__ import annotations

import json
import math
import os
import socket
import time
from typing import Any

import msgspec

from core.contract.events import event_types as e
from core.contract.state import best_and_counts
from core.contract.state import engine_state as s
from core.contract.text.sanitize import sanitize
from core.contract.views.metric_format import format_figure

LONGEST_TEXT = 500


class Message(msgspec.Struct, frozen=True):
    """``studies`` are those that the event concerns; ``details`` depend on the kind."""

    kind: str
    at: float
    studies: tuple[str, ...]
    text: str
    details: dict[str, Any] = {}

    def as_json(self) -> bytes:
        """Return one JSON object; Slack and what understands its webhooks shows its ``text``."""
        content = {
            "text": self.text,
            "event": self.kind,
            "at": self.at,
            "host": socket.gethostname(),
            "studies": self.studies,
            **self.details,
        }
        return json.dumps(content, default=str).encode()

    def as_variables(self) -> dict[str, str]:
        """Return environment variables for a command."""
        trial = self.details.get("trial")
        return {
            "TRIMTAB_EVENT": self.kind,
            "TRIMTAB_STUDY": ",".join(self.studies),
            "TRIMTAB_TRIAL": "" if trial is None else str(trial),
            "TRIMTAB_TEXT": self.text,
        }


def describe_end(event: e.StudyEnded, study: s.Study) -> Message:
    """Return the message that a study has ended, with its best trial."""
    best = best_and_counts.find_best(study)
    details: dict[str, Any] = {
        "outcome": event.outcome,
        "why": sanitize(event.why, LONGEST_TEXT),
        "trials": best_and_counts.count_states(study),
        "best": None,
    }
    why = f": {sanitize(event.why, LONGEST_TEXT)}" if event.why else ""
    parts = [f"study {study.name} is {event.outcome}{why}"]
    if best is not None:
        metrics = [metric for metric, _ in study.objectives]
        values = dict(zip(metrics, best.values, strict=False))
        details["best"] = {"trial": best.number, "values": {k: _keep_finite(v) for k, v in values.items()}}
        shown = ", ".join(f"{sanitize(name, 60)} {format_figure(value)}" for name, value in values.items())
        parts.append(f"best: trial {best.number} with {shown}")
    return Message("study_ended", event.at, (study.name,), "; ".join(parts), details)


def describe_failure(event: e.TrialFailed) -> Message:
    """Return the message that a trial has failed."""
    error = sanitize(event.error, LONGEST_TEXT)
    text = f"trial {event.trial} of {event.study} failed: {error}"
    details = {"trial": event.trial, "step": event.step, "error": error}
    return Message("trial_failed", event.at, (event.study,), text, details)


def describe_breach(event: e.TrialScored, limit: str, metric: str) -> Message:
    """Return the message that a score of a trial is over a limit."""
    score = event.scores[metric]
    text = f"trial {event.trial} of {event.study} broke the limit {limit}: {sanitize(metric, 60)} is {score}"
    details = {
        "trial": event.trial,
        "step": event.step,
        "metric": metric,
        "value": _keep_finite(score.value),
        "limit": limit,
    }
    return Message("limit_broken", event.at, (event.study,), text, details)


def describe_return(studies: tuple[str, ...]) -> Message:
    """Return the message that an engine continues the studies of an earlier one."""
    text = f"the engine is back and continues {', '.join(studies)}"
    return Message("engine_back", time.time(), studies, text, {"pid": os.getpid()})


def _keep_finite(value: float | None) -> float | None:
    """Return a number that JSON has."""
    return value if value is not None and math.isfinite(value) else None


def make_test() -> Message:
    """Return a message that only says that a hook works."""
    return Message("test", time.time(), (), "a test by `trimtab hooks test`")
