"""The effect of people's actions on a study and its trials: the fold of
``core.contract.events.edit_mark_events``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from core.contract.events import edit_mark_events, event_types
from core.contract.events.knob_change_text import format_changes
from core.contract.spec import study_spec
from core.contract.state import engine_state as s
from core.contract.state.thinned_series import cut
from core.contract.text.sanitize import sanitize

LONGEST_NOTE = 500


def add_queued(study: s.Study, event: event_types.TrialQueued) -> s.Trial:
    """Return the new trial; a clone starts with its parent's curves up to its own first step."""
    parent = study.trials.get(event.parent)
    series = {name: cut(curve, event.step) for name, curve in parent.series.items()} if parent else {}
    return s.Trial(
        event.trial, params=event.params, knobs=event.knobs, queued_at=event.at, by=sanitize(event.by, 60),
        parent=event.parent, checkpoint=event.checkpoint, checkpoint_step=event.step, step=event.step,
        counted=event.counted, place_of=event.place_of, series=series,
        marks=(s.Mark(event.step, f"cloned from trial {event.parent}"),) if parent else (),
    )  # fmt: skip


def change_study(study: s.Study, event: edit_mark_events.StudyChanged) -> s.Study:
    """Return the study with its new spec; trials queued by hand are added to the planned ones."""
    before, after = study.settings.study.trials, study_spec.from_raw(event.spec).study.trials
    total = study.total_trials + (after - before)
    return replace(study, spec=event.spec, total_trials=max(total, len(study.trials)))


def _edit_asked(trial: s.Trial, event: edit_mark_events.EditAsked) -> s.Trial:
    learnable = trial.counted and event.counted
    return replace(trial, editing={**trial.editing, **event.changes}, counted=learnable)


def _fold_edit(trial: s.Trial, event: edit_mark_events.TrialEdited) -> s.Trial:
    now = {name: new for name, (_, new) in event.changes.items()}
    pending = {name: value for name, value in trial.editing.items() if now.get(name) != value}
    real_changes = {name: pair for name, pair in event.changes.items() if pair[0] != pair[1]}
    marks = (s.Mark(event.step, sanitize(format_changes(real_changes), 200)),) if real_changes else ()
    return replace(
        trial, knobs={**trial.knobs, **now}, editing=pending, marks=(*trial.marks, *marks),
        total_steps=event.total_steps or trial.total_steps,
    )  # fmt: skip


def _fold_mark(trial: s.Trial, event: edit_mark_events.TrialMarked) -> s.Trial:
    return replace(
        trial,
        note=trial.note if event.note is None else sanitize(event.note, LONGEST_NOTE),
        starred=trial.starred if event.starred is None else event.starred,
        pinned=trial.pinned if event.device is None else sanitize(event.device, 20),
        priority=trial.priority if event.priority is None else event.priority,
    )


def _fold_unprune(trial: s.Trial, event: edit_mark_events.TrialReprieved) -> s.Trial:
    """Queue the trial from its checkpoint; later steps are trained again."""
    step = trial.checkpoint_step
    return replace(
        trial, state=s.QUEUED, asked="", why="", ended_at=None, worker="", device="", counted=False,
        step=step,
        series={name: cut(curve, step) for name, curve in trial.series.items()},
        marks=(*trial.marks, s.Mark(step, "prune taken back")),
        stops=tuple(stop for stop in trial.stops if stop.step <= step),
    )  # fmt: skip


STEPS: dict[type, Callable[[s.Trial, Any], s.Trial]] = {
    edit_mark_events.EditAsked: _edit_asked,
    edit_mark_events.TrialEdited: _fold_edit,
    edit_mark_events.TrialMarked: _fold_mark,
    edit_mark_events.TrialReprieved: _fold_unprune,
}
