"""Completes the last word of a filter: names of knobs and metrics, states, choices. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

from core.contract.spec.knob_table import KNOBS
from core.contract.state import engine_state as s
from core.contract.views.trials.trial_fields import FIXED, READINGS, find_field, list_metrics
from core.contract.views.trials.trial_filter import STATES

WORDS = ("best", "marked", "starred", "edited", "noted", "clone", "pinned", "by hand", "uncounted")
_LAST = re.compile(r"(?:^|[\s|])[!-]?([^\s|]*)$")
_VALUE = re.compile(r"([^\s<>=!:|]+)(?:=|:|!=)(?:[^\s|]*,)?([^\s|,]*)$")


def complete_filter(study: s.Study, text: str) -> str | None:
    """Return ``text`` with its last word completed, None where nothing goes on like it."""
    last = _LAST.search(text)
    fragment = last[1] if last is not None else ""
    valued = _VALUE.search(fragment)
    if valued is not None:
        return _complete(text, valued[2], _list_values(study, valued[1]))
    if not fragment or re.search(r"[<>=]", fragment):
        return None
    return _complete(text, fragment, _list_names(study))


def drop_unfinished(study: s.Study, text: str) -> str:
    """Return ``text`` without a last word that a name may grow from, such as "lo" of "loss<2": as a free word
    it would hide all trials until the comparison is there."""
    last = _LAST.search(text)
    word = last[1].lower() if last is not None else ""
    if not word or re.search(r"[<>=!:|\"]", word) or word in (*STATES, *WORDS):
        return text
    names = set(_list_names(study)) - {*STATES, *WORDS}
    grows = any(name.lower().startswith(word) for name in names)
    return text[: last.start(1)] if grows and last is not None else text


def _complete(text: str, fragment: str, options: Iterable[str]) -> str | None:
    """The first option that goes on like ``fragment``; none where an option stands there wholly."""
    option_list = list(options)
    if not fragment or fragment.lower() in (option.lower() for option in option_list):
        return None
    completion = next((option for option in option_list if option.lower().startswith(fragment.lower())), None)
    return text + completion[len(fragment) :] if completion is not None else None


def _list_names(study: s.Study) -> list[str]:
    knobs = study.settings.knobs
    shorts = [knob.short or knob.name for knob in knobs if knob.name in study.settings.space]
    objectives = [metric for metric, _ in study.objectives]
    metrics = list_metrics(study)
    readings = [f"{metric}.{reading}" for metric in metrics for reading in READINGS]
    endings = [metric.split("/")[-1] for metric in metrics]
    fixed = [f"{field.name}:" if field.kind == "text" else field.name for field in FIXED]
    names = [*shorts, *fixed, *STATES, *objectives, *endings, *metrics, *WORDS, *study.settings.space]
    return [*names, *(knob.name for knob in knobs), *readings]


def _list_values(study: s.Study, name: str) -> tuple[str, ...]:
    field = find_field(study, name)
    if field is None or field.kind != "text":
        return ()
    if field.name == "state":
        return STATES
    if field.name in KNOBS:
        return KNOBS[field.name].choices
    values = {str(field.value(study, trial) or "") for trial in study.trials.values()}
    return tuple(sorted(text for text in values if text and " " not in text))
