"""Change keys of a running study: which keys may change, what differs, and the effects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.contract.spec.conditional_knobs import find_misfit
from core.contract.spec.study_spec import COUNTED, StudySpec
from core.contract.state import engine_state as s
from core.contract.text.sanitize import sanitize
from core.errors import Problem, RefusedError

# What a running study can take over. The rest is built into workers and trials that are under way.
ALLOWED: dict[str, tuple[str, ...] | None] = {
    "study": (
        "trials", "sampler", "pruner", "startup_trials", "pruner_warmup_steps", "fixed", "threshold",
        "stop_after", "constraints", "population",
    ),
    "resources": ("devices", "pack", "memory", "retries"),
    "evaluate": ("limits", "on_breach", "on_unsure", "triggers", "ratings"),
    "space": None,  # any knob
    "train": None,  # a knob that leaves the space
}  # fmt: skip


def merge_changes(raw: Mapping[str, Any], changes: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the file's content with ``changes``; None removes a key, and a knob added to [space] is removed
    from [train].

    Raises RefusedError for keys that a running study cannot change.
    """
    _refuse(changes)
    content = {name: dict(section) for name, section in raw.items()}
    for name, section in changes.items():
        for key, value in section.items():
            if value is None:
                content.get(name, {}).pop(key, None)
                continue
            content.setdefault(name, {})[key] = value
            if name == "space":
                content.get("train", {}).pop(key, None)
    return content


def _refuse(changes: Mapping[str, Mapping[str, Any]]) -> None:
    problems = []
    leaving = tuple(name for name, dimension in changes.get("space", {}).items() if dimension is None)
    for name, section in changes.items():
        keys = leaving if name == "train" else ALLOWED.get(name, ())
        for key in section:
            if keys is not None and key not in keys:
                fix = f"changeable: {'; '.join(_join_keys(table, keys) for table, keys in ALLOWED.items())}"
                message = f"{sanitize(name, 40)}.{sanitize(key, 40)} cannot change while the study runs"
                problems.append(Problem(message, "change", fix))
    if changes.get("resources", {}).get("devices", True) in ([], ()):
        fix = "`trimtab pause --all` (P in the console) gives all devices back until the study is resumed"
        problems.append(Problem("no device would be left for the study", "resources.devices", fix))
    if problems:
        raise RefusedError(*problems)


def _join_keys(section: str, keys: tuple[str, ...] | None) -> str:
    return f"[{section}]" + (f" {', '.join(keys)}" if keys else "")


def list_differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[str, ...]:
    """List the differences, one line each, such as "study.sampler: tpe → gp"."""
    differences = []
    for section in ALLOWED:
        old, new = before.get(section, {}), after.get(section, {})
        for key in dict.fromkeys([*old, *new]):
            if old.get(key) != new.get(key):
                change = f"{_format_value(old.get(key))} → {_format_value(new.get(key))}"
                differences.append(sanitize(f"{section}.{key}: {change}", 300))
    return tuple(differences)


def _format_value(value: Any) -> str:
    if value is None:
        return "not there"
    if isinstance(value, dict) and "choice" in value:
        return _format_value(value["choice"])
    if isinstance(value, dict) and {"low", "high"} <= set(value):
        details = [f"step {value['step']:g}"] if value.get("step") else []
        details += ["log"] if value.get("log") else []
        return f"{value['low']:g} to {value['high']:g}" + "".join(f" {part}" for part in details)
    if isinstance(value, dict):
        return ", ".join(f"{name} {_format_value(entry)}" for name, entry in value.items()) or "nothing"
    if isinstance(value, list):
        return ", ".join(_format_value(entry) for entry in value) or "nothing"
    return f"{value:g}" if isinstance(value, float) else str(value)


def describe_effects(study: s.Study, before: StudySpec, after: StudySpec) -> tuple[str, ...]:
    """Describe the effects on ended and on running trials."""
    return (
        *_describe_history(study, before, after),
        *_describe_work(study, before, after),
        *_describe_scoring(before, after),
    )


def _describe_history(study: s.Study, before: StudySpec, after: StudySpec) -> list[str]:
    if before.space == after.space and before.train == after.train:
        keeps_sampler = before.study.sampler == after.study.sampler
        return [] if keeps_sampler else [f"{after.study.sampler} learns from all earlier trials"]
    learnt = [
        trial for trial in study.trials.values() if trial.state in (s.COMPLETE, s.PRUNED) and trial.counted
    ]
    inside = sum(1 for trial in learnt if contains_knobs(after, trial.knobs, set(before.space)))
    notes = (
        [f"{inside} of {len(learnt)} ended trials lie in the new space: the sampler learns from them"]
        if learnt
        else []
    )
    if inside < len(learnt):
        notes.append(f"{len(learnt) - inside} lie outside: they stay in the study, the sampler ignores them")
    running = [trial for trial in study.trials.values() if trial.state not in s.ENDED]
    away = [
        trial
        for trial in running
        if trial.counted and not contains_knobs(after, trial.knobs, set(before.space))
    ]
    if away:
        numbers = ", ".join(str(trial.number) for trial in away)
        plural = f"trials {numbers} continue although they lie outside; prune them, or let them end"
        single = f"trial {numbers} continues although it lies outside; prune it, or let it end"
        notes.append(single if len(away) == 1 else plural)
    if after.study.sampler in COUNTED:
        notes.append(
            f"{after.study.sampler} starts again over the new space, without the points it has tried"
        )
    return notes


def contains_knobs(spec: StudySpec, knobs: Mapping[str, Any], before: set[str]) -> bool:
    """Tell whether these knobs lie in the space of ``spec``.

    A knob of the space ``before`` that is fixed now must have exactly the fixed value.
    """
    if any(knobs.get(name) != spec.train.get(name) for name in before - set(spec.space)):
        return False
    return find_misfit(spec.space, knobs) is None


def _describe_work(study: s.Study, before: StudySpec, after: StudySpec) -> list[str]:
    notes = []
    on = sum(1 for trial in study.trials.values() if trial.state in s.ON_WORKER)
    pack = after.resources.pack
    if before.resources.pack != pack and isinstance(pack, int) and pack < on:
        notes.append(f"{on} trials run and continue; slots above {pack} are not filled again")
    if before.resources.memory != after.resources.memory:
        notes.append("running trials continue; trials that start from now on keep the new limit")
    if before.study.trials != after.study.trials:
        proposals = after.study.trials - sum(1 for trial in study.trials.values() if not trial.by)
        noun = "trial" if proposals == 1 else "trials"
        notes.append(f"the sampler proposes {max(0, proposals)} more {noun}")
    if before.study.pruner != after.study.pruner:
        notes.append(f"{after.study.pruner} decides from the next evaluation on")
    return notes


def _describe_scoring(before: StudySpec, after: StudySpec) -> list[str]:
    notes = []
    if before.evaluate.on_unsure != after.evaluate.on_unsure:
        notes.append("ended trials keep the outcome of limits that stayed open")
    if before.evaluate.triggers != after.evaluate.triggers:
        notes.append("base and trials are scored with these triggers from the next scoring on")
        if before.evaluate.triggers:
            notes.append("earlier scores of METRIC@N stay those of the trigger that was the Nth then")
    return notes
