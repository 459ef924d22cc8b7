"""Says what it means for a running study that its devices change. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from core.contract.state import engine_state as s
from core.daemon.placement.study_device_choice import CPU, Slot


def describe(study: s.Study, before: Sequence[str], after: Sequence[Slot]) -> tuple[str, ...]:
    """Return the effects, line by line. ``before`` are the labels of the devices that were used."""
    now = [slot.label for slot in after]
    gone = [label for label in before if label not in now]
    added = [label for label in now if label not in before]
    notes = [_describe_gone(study, label, now) for label in gone]
    notes += [_describe_added(study, label) for label in added]
    if gone and (CPU.label in gone) != (CPU.label in added):
        notes.append("GPU and CPU round differently: the losses of moved trials differ in their last digits")
    pinned = [trial for trial in study.trials.values() if trial.pinned in gone and trial.state not in s.ENDED]
    if pinned:
        notes.append(
            f"{_name(pinned)} pinned to {_join(gone)}: from now on any device may train {_them(pinned)}"
        )
    return tuple(notes)


def _describe_gone(study: s.Study, label: str, now: Sequence[str]) -> str:
    moved = [trial for trial in study.trials.values() if trial.device == label and trial.state in s.ON_WORKER]
    if not moved:
        return f"{label} is given back: no trial is on it"
    where = "when the study is resumed" if study.state == "paused" else "as soon as a slot is free"
    return f"{label} is given back: {_name(moved)} checkpointed and queued for {_join(now)}, {where}"


def _describe_added(study: s.Study, label: str) -> str:
    when = "once the study is resumed" if study.state == "paused" else "with the next trial that fits"
    return f"{label} is used from now on: a worker starts there {when}"


def _name(trials: Sequence[s.Trial]) -> str:
    numbers = _join([str(trial.number) for trial in trials])
    return f"trial {numbers} is" if len(trials) == 1 else f"trials {numbers} are"


def _them(trials: Sequence[s.Trial]) -> str:
    return "it" if len(trials) == 1 else "them"


def _join(words: Sequence[str]) -> str:
    return ", ".join(words[:-1]) + f" and {words[-1]}" if len(words) > 1 else "".join(words)
