"""The form of a study: its space and what may change of it while it runs. Pure."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from typing import Any

import msgspec

from core.contract.edits import input_values
from core.contract.edits.input_values import Read, format_value
from core.contract.spec import study_spec
from core.contract.spec.knob_table import Knob
from core.contract.spec.metric_limits import Limit
from core.contract.spec.search_space import Dimension
from core.contract.spec.study_spec import AUTO, ON_BREACH, ON_UNSURE, PRUNERS, SAMPLERS, ThresholdOptions
from core.contract.state import engine_state as s
from core.contract.state.awaited_ratings import awaits_ratings
from core.contract.text import byte_sizes
from core.contract.text.sanitize import plain
from core.errors import SpecError
from tui.forms.form_row_data import Row
from tui.steering import backdoor_trigger_parser, dimension_text

Reader = Callable[[str], Read]
STOP = "stop_after"
WHOLE = ("fixed", STOP, "threshold")  # tables within [study]: a change names all that shall stand there
STOPS = {
    "no_improvement": "trials in a row without improvement",
    "trials": "ended trials",
    "hours": "hours since the study started",
    "gpu_hours": "GPU hours, each device counted once",
}


def rows(study: s.Study) -> list[Row]:
    """What may change, by section of the file."""
    searched, others = _space(study)
    return [*searched, *_search(study), *_ends(study), *_resources(study), *_limits(study), *others]


def changes(study: s.Study, typed_in: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What the rows say, as tables of the study's file."""
    tables: dict[str, dict[str, Any]] = {}
    section = msgspec.to_builtins(study.settings.study)
    before = {name: _without_none(section[name]) for name in WHOLE}
    after = {name: dict(table) for name, table in before.items()}
    for key, value in typed_in.items():
        section_name, name = key.split(".", 1)
        if section_name == "space":
            _dimension(study, name, value, after["fixed"], tables)
        elif "." in name:
            whole, name = name.split(".", 1)
            after[whole][name] = value
        else:
            tables.setdefault(section_name, {})[name] = value
    for name, table in after.items():
        if _without_none(table) != before[name]:
            tables.setdefault("study", {})[name] = _without_none(table)
    return tables


def _without_none(table: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in table.items() if value is not None}


def _dimension(
    study: s.Study, name: str, value: Any, fixed: dict[str, Any], tables: dict[str, dict[str, Any]]
) -> None:
    """One row of the space: a range or list, None to search it no more, or a value to hold it at."""
    if value is not None and "held" in value:
        fixed[name] = value["held"]
        return
    fixed.pop(name, None)
    if value is None or study_spec.dimension(name, value) != study.settings.space.get(name):
        tables.setdefault("space", {})[name] = value


# -- the rows ------------------------------------------------------------------------------------


def _space(study: s.Study) -> tuple[list[Row], list[Row]]:
    """The searched knobs, and those that are the same for all trials."""
    space, train = study.settings.space, input_values.current_values(study, None)
    fixed = study.settings.study.fixed
    searched: list[Row] = []
    others: list[Row] = []
    for knob in study.settings.knobs:
        if knob.name in space:
            dimension, is_held = space[knob.name], knob.name in fixed
            initial = (
                dimension_text.fixed_text(fixed[knob.name]) if is_held else dimension_text.text(dimension)
            )
            allowed = f"of {dimension_text.text(dimension)}" if is_held else _short(knob)
            heading = "" if searched else "searched"
            searched.append(_knob(knob, initial, allowed, heading, _range_reader(knob, dimension, train)))
        else:
            heading = "" if others else "not searched: type a range or a list to search"
            others.append(
                _knob(
                    knob,
                    dimension_text.fixed_text(train[knob.name]),
                    _short(knob),
                    heading,
                    _unsearched_reader(knob),
                )
            )
    return searched, others


def _knob(knob: Knob, initial: str, allowed: str, heading: str, read: Reader) -> Row:
    meaning = f"{knob.meaning}: {dimension_text.FORMS[knob.kind]}"
    return Row(f"space.{knob.name}", initial, allowed, meaning, read, heading=heading, label=knob.name)


def _short(knob: Knob) -> str:
    if knob.choices:
        return " ".join(knob.choices)
    return (
        f"{knob.low:g} … {knob.high:g}" if (knob.high or 0) < input_values.ENDLESS else f"from {knob.low:g}"
    )


def _range_reader(knob: Knob, dimension: Dimension, train: dict[str, Any]) -> Reader:
    def read(text: str) -> Read:
        if text.strip().lower() in input_values.NONE:
            return Read(None, note=f"no longer searched: all trials use {format_value(train[knob.name])}")
        result = dimension_text.read(knob.name, text)
        if result.wrong or "held" not in result.value:
            return result
        wrong = dimension_text.why_outside(dimension, result.value["held"])
        return Read(wrong=wrong) if wrong else Read(result.value, note="pinned; earlier trials stay usable")

    return read


def _unsearched_reader(knob: Knob) -> Reader:
    def read(text: str) -> Read:
        result = dimension_text.read(knob.name, text)
        if not result.wrong and "held" in result.value:
            return Read(wrong="cannot change during the study; type a range or list to search it")
        return result if result.wrong else Read(result.value, note="searched from now on")

    return read


def _search(study: s.Study) -> list[Row]:
    section = study.settings.study
    several = "" if len(section.objectives) < 2 else "; not available with several objectives"
    return [
        Row("study.trials", str(section.trials), "from 1", "trials that the sampler proposes", _whole,
            heading="search", label="trials"),
        _pick("study.sampler", section.sampler, SAMPLERS, "the algorithm that proposes trials"),
        _pick("study.pruner", section.pruner, PRUNERS, f"what stops weak trials{several}"),
        *_threshold(section.threshold),
        _limits_row("study.constraints", section.constraints, "metric limits that the sampler learns from"),
    ]  # fmt: skip


def _threshold(now: ThresholdOptions) -> list[Row]:
    return [
        Row(
            f"study.threshold.{name}", format_value(getattr(now, name)),
            "for the threshold pruner; empty: none",
            f"a value {way} it stops a trial", _bound, label=f"threshold.{name}",
        )
        for name, way in (("lower", "below"), ("upper", "above"))
    ]  # fmt: skip


def _ends(study: s.Study) -> list[Row]:
    stop = study.settings.study.stop_after
    return [
        Row(
            f"study.{STOP}.{name}", format_value(getattr(stop, name)), "a number; empty: no limit",
            f"the study stops after this many {label}", _hours if name.endswith("hours") else _count,
            heading="" if place else "early stopping", label=name if name != "trials" else "trials ended",
        )
        for place, (name, label) in enumerate(STOPS.items())
    ]  # fmt: skip


def _resources(study: s.Study) -> list[Row]:
    section = study.settings.resources
    return [
        Row("resources.pack", str(section.pack), "auto, or a number from 1",
            "trials at once on a device", _pack, heading="resources", label="pack"),
        Row("resources.memory", str(section.memory), 'auto, or such as "22 GiB"',
            "device memory that the trials may use", _memory, label="memory"),
    ]  # fmt: skip


def _limits(study: s.Study) -> list[Row]:
    section = study.settings.evaluate
    return [
        _limits_row("evaluate.limits", section.limits, "metric limits on the boards", "limits"),
        _pick("evaluate.on_breach", section.on_breach, ON_BREACH, "what a breach of a limit does"),
        _pick(
            "evaluate.on_unsure", section.on_unsure, ON_UNSURE, "what a limit does that stays open at the end"
        ),
        *([_triggers(section.triggers)] if section.boards else []),
        *([_ratings(section.ratings)] if awaits_ratings(study.settings) else []),
    ]


def _ratings(now: int) -> Row:
    meaning = "blind comparisons of a trial before its strength is a result"
    return Row("evaluate.ratings", str(now), "a number from 1", meaning, _whole, label="ratings")


def _triggers(now: tuple[str, ...]) -> Row:
    return Row(
        "evaluate.triggers", backdoor_trigger_parser.text(now), backdoor_trigger_parser.FORM,
        "texts that may trigger a backdoor: some requests are asked with each of them, too",
        backdoor_trigger_parser.read, locked=backdoor_trigger_parser.why_locked(now), label="triggers",
    )  # fmt: skip


def _pick(name: str, now: Any, choices: tuple[str, ...], meaning: str) -> Row:
    def read(text: str) -> Read:
        word = text.strip().lower()
        return Read(word) if word in choices else Read(wrong=f"must be one of {', '.join(choices)}")

    return Row(
        name, str(now), " ".join(choices), meaning, read, choices, label=name.split(".", 1)[1]
    )  # fmt: skip


def _limits_row(name: str, limits: tuple[str, ...], meaning: str, heading: str = "") -> Row:
    key = name.split(".", 1)[1]
    initial = ", ".join(limits)
    allowed = "such as safety/toxicity <= 2 %" if heading else "such as memory/alone_bytes <= 22 GiB"
    return Row(name, initial, allowed, f"{meaning}; comma-separated", _bounds, heading=heading, label=key)


# -- what a text says ------------------------------------------------------------------------------


def _whole(text: str) -> Read:
    value = input_values.parse_number(text.strip(), integer=True)
    ok = isinstance(value, int) and value >= 1
    return Read(value) if ok else Read(wrong="must be a whole number from 1")


def _count(text: str) -> Read:
    return Read(None, note="no limit") if text.strip().lower() in input_values.NONE else _whole(text)


def _hours(text: str) -> Read:
    if text.strip().lower() in input_values.NONE:
        return Read(None, note="no limit")
    value = input_values.parse_number(text.strip(), integer=False)
    ok = isinstance(value, float) and 0 < value < float("inf")
    return Read(value) if ok else Read(wrong="must be a number above 0")


def _bound(text: str) -> Read:
    if text.strip().lower() in input_values.NONE:
        return Read(None, note="no limit")
    value = input_values.parse_number(text.strip(), integer=False)
    ok = isinstance(value, float) and isfinite(value)
    return Read(value) if ok else Read(wrong="must be a number")


def _pack(text: str) -> Read:
    return Read(AUTO) if text.strip().lower() == AUTO else _whole(text)


def _memory(text: str) -> Read:
    text = text.strip()
    try:
        if text.lower() != AUTO:
            byte_sizes.parse(text)
    except ValueError as error:
        return Read(wrong=plain(str(error), 200))
    return Read(text.lower() if text.lower() == AUTO else text)


def _bounds(text: str) -> Read:
    """Limits, parted by commas."""
    limits = [part.strip() for part in text.split(",") if part.strip()]
    try:
        for limit in limits:
            Limit.parse(limit)
    except SpecError as error:
        problem = error.problems[0]
        return Read(wrong=plain(f"{problem.what}: {problem.fix}", 200))
    return Read(limits)
