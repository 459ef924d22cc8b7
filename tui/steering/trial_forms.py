"""The forms for a new trial, a clone, and an edit of a running trial. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from core.contract.edits import input_values, knob_edit_checks
from core.contract.edits.input_values import Read
from core.contract.spec.knob_table import CLONE_KEEPS, Knob
from core.contract.state import engine_state as s
from core.contract.wire import console_api
from tui.forms.form_row_data import Row, switch

COUNTED, FROM_BEST = "counted", "best"
SAMPLERS = "the sampler's choice"
WHY_NOT = (
    "The edited values differ from those the sampler proposed, so the result is displayed but not reported: "
    "yes reports it anyway."
)


def make_new_rows(study: s.Study, trial: s.Trial | None) -> list[Row]:
    """Return a row per knob with the values of ``trial``, else of the study with searched knobs empty."""
    space = study.settings.space
    knob_values = input_values.list_current_values(study, trial)
    if trial is None:
        knob_values |= dict.fromkeys(space)
    searched = [knob for knob in study.settings.knobs if knob.name in space]
    fixed = [knob for knob in study.settings.knobs if knob.name not in space]
    return [
        *_make_group("searched", searched, study, knob_values),
        *_make_group("not searched", fixed, study, knob_values),
    ]


def make_enqueue_request(
    study: s.Study, trial: s.Trial | None, changes: dict[str, Any]
) -> console_api.EnqueueTrial:
    """Return the request of the form. The sampler chooses a searched knob that was emptied, so then the
    other knobs are listed explicitly."""
    space = study.settings.space
    emptied = {name for name in space if name in changes and changes[name] is None}
    if trial is None or not emptied:
        named = {name: value for name, value in changes.items() if name not in emptied}
        return console_api.EnqueueTrial(study.name, named, trial.number if trial is not None else None)
    own, sampled = (
        input_values.list_current_values(study, None),
        {**input_values.list_current_values(study, trial), **changes},
    )
    named = {
        knob.name: sampled[knob.name]
        for knob in study.settings.knobs
        if knob.name not in emptied and (knob.name in space or sampled[knob.name] != own[knob.name])
    }
    return console_api.EnqueueTrial(study.name, named)


def make_clone_rows(study: s.Study, trial: s.Trial, best: int | None = None) -> list[Row]:
    """Return a row per knob; knobs that determine the shape of the weights are locked, with the reason. The
    first row chooses the ``best`` step in place of the newest, if a checkpoint of it is kept."""
    knob_values = input_values.list_current_values(study, trial) | trial.editing
    meaning = f"yes: from its best evaluation, step {best}, whose checkpoint is kept"
    return [
        *([switch(FROM_BEST, "from the best", meaning)] if best is not None else []),
        *_clone_knobs(study, trial, knob_values),
    ]


def make_clone_request(study: s.Study, trial: s.Trial, changes: dict[str, Any]) -> console_api.CloneTrial:
    """Return the request of the form."""
    knobs = {name: value for name, value in changes.items() if name != FROM_BEST}
    return console_api.CloneTrial(study.name, trial.number, knobs, best=bool(changes.get(FROM_BEST)))


def _clone_knobs(study: s.Study, trial: s.Trial, knob_values: dict[str, Any]) -> list[Row]:
    return [
        Row(
            name, input_values.format_value(knob_values.get(name)),
            input_values.describe_range(study, knob), knob.meaning,
            _make_edit_reader(name, trial), _list_choices(knob), CLONE_KEEPS.get(name, ""),
        )
        for name, knob in knob_edit_checks.list_editable(trial.knobs).items()
    ]  # fmt: skip


def make_edit_rows(study: s.Study, trial: s.Trial) -> list[Row]:
    """The knobs that may change while it runs (before it starts: all), and the switch for its result."""
    knob_values = input_values.list_current_values(study, trial)
    if trial.total_steps:
        knob_values["steps"] = trial.total_steps
    knob_values |= trial.editing
    fresh = trial.state == s.QUEUED and not trial.checkpoint
    editable = knob_edit_checks.list_editable(trial.knobs) if fresh else knob_edit_checks.LIVE
    rows = [
        Row(
            name, input_values.format_value(knob_values.get(name)), _describe_allowed(study, trial, knob),
            knob.meaning,
            _make_edit_reader(name, trial), _list_choices(knob),
            label="total steps" if name == "steps" else "",
        )
        for name, knob in editable.items()
    ]  # fmt: skip
    locked = "" if trial.counted else "its result is not reported"
    return [*rows, switch(COUNTED, "report to sampler", WHY_NOT, locked)]


def _describe_allowed(study: s.Study, trial: s.Trial, knob: Knob) -> str:
    if knob.name == "steps" and trial.step:
        return f"above {trial.step}, its current step"
    return input_values.describe_range(study, knob) + (", or x0.5" if knob.name == "learning_rate" else "")


def _make_edit_reader(name: str, trial: s.Trial) -> Callable[[str], Read]:
    return lambda text: input_values.parse_edit(trial, name, text)


def _make_group(heading: str, knobs: list[Knob], study: s.Study, knob_values: dict[str, Any]) -> list[Row]:
    """The rows of some knobs under one heading."""
    return [
        Row(
            knob.name,
            input_values.format_value(knob_values.get(knob.name)),
            input_values.describe_range(study, knob),
            knob.meaning,
            _make_enqueue_reader(study, knob),
            _list_choices(knob),
            heading=heading if not place else "",
        )
        for place, knob in enumerate(knobs)
    ]


def _list_choices(knob: Knob) -> tuple[str, ...]:
    return knob.choices if knob.kind == "choice" else ()


def _make_enqueue_reader(study: s.Study, knob: Knob) -> Callable[[str], Read]:
    def read(text: str) -> Read:
        if not text.strip() and knob.name in study.settings.space:
            return Read(None, note=SAMPLERS)
        result = input_values.parse_knob(knob, text)
        return (
            result
            if result.wrong
            else Read(result.value, note=input_values.explain_unlearnt(study, knob.name, result.value))
        )

    return read
