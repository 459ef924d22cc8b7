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
from core.contract.state.unrated_trials import awaits_ratings
from core.contract.text import byte_sizes
from core.contract.text.sanitize import sanitize
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


def make_rows(study: s.Study) -> list[Row]:
    """What may change, by section of the file."""
    searched, fixed_rows = _make_space_rows(study)
    return [
        *searched,
        *_make_search_rows(study),
        *_make_end_rows(study),
        *_make_resource_rows(study),
        *_make_limits_rows(study),
        *fixed_rows,
    ]


def find_changes(study: s.Study, typed_in: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What the rows say, as tables of the study's file."""
    tables: dict[str, dict[str, Any]] = {}
    section = msgspec.to_builtins(study.settings.study)
    before = {name: _drop_none(section[name]) for name in WHOLE}
    after = {name: dict(table) for name, table in before.items()}
    for key, value in typed_in.items():
        section_name, name = key.split(".", 1)
        if section_name == "space":
            _change_dimension(study, name, value, after["fixed"], tables)
        elif "." in name:
            whole, name = name.split(".", 1)
            after[whole][name] = value
        else:
            tables.setdefault(section_name, {})[name] = value
    for name, table in after.items():
        if _drop_none(table) != before[name]:
            tables.setdefault("study", {})[name] = _drop_none(table)
    return tables


def _drop_none(table: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in table.items() if value is not None}


def _change_dimension(
    study: s.Study, name: str, value: Any, fixed: dict[str, Any], tables: dict[str, dict[str, Any]]
) -> None:
    """One row of the space: a range or list, None to search it no more, or a value to hold it at."""
    if value is not None and "held" in value:
        fixed[name] = value["held"]
        return
    fixed.pop(name, None)
    if value is None or study_spec.read_dimension_or_none(name, value) != study.settings.space.get(name):
        tables.setdefault("space", {})[name] = value


# -- the rows ------------------------------------------------------------------------------------


def _make_space_rows(study: s.Study) -> tuple[list[Row], list[Row]]:
    """The searched knobs, and those that are the same for all trials."""
    space, train = study.settings.space, input_values.list_current_values(study, None)
    fixed = study.settings.study.fixed
    searched: list[Row] = []
    fixed_rows: list[Row] = []
    for knob in study.settings.knobs:
        if knob.name in space:
            dimension, is_held = space[knob.name], knob.name in fixed
            initial = (
                dimension_text.format_fixed(fixed[knob.name])
                if is_held
                else dimension_text.format_dimension(dimension)
            )
            allowed = f"of {dimension_text.format_dimension(dimension)}" if is_held else _shorten(knob)
            heading = "" if searched else "searched"
            searched.append(
                _make_knob_row(knob, initial, allowed, heading, _make_range_reader(knob, dimension, train))
            )
        else:
            heading = "" if fixed_rows else "not searched: type a range or a list to search"
            fixed_rows.append(
                _make_knob_row(
                    knob,
                    dimension_text.format_fixed(train[knob.name]),
                    _shorten(knob),
                    heading,
                    _make_unsearched_reader(knob),
                )
            )
    return searched, fixed_rows


def _make_knob_row(knob: Knob, initial: str, allowed: str, heading: str, read: Reader) -> Row:
    meaning = f"{knob.meaning}: {dimension_text.FORMS[knob.kind]}"
    return Row(f"space.{knob.name}", initial, allowed, meaning, read, heading=heading, label=knob.name)


def _shorten(knob: Knob) -> str:
    if knob.choices:
        return " ".join(knob.choices)
    return (
        f"{knob.low:g} … {knob.high:g}" if (knob.high or 0) < input_values.ENDLESS else f"from {knob.low:g}"
    )


def _make_range_reader(knob: Knob, dimension: Dimension, train: dict[str, Any]) -> Reader:
    def read(text: str) -> Read:
        if text.strip().lower() in input_values.NONE:
            return Read(None, note=f"no longer searched: all trials use {format_value(train[knob.name])}")
        result = dimension_text.read(knob.name, text)
        if result.wrong or "held" not in result.value:
            return result
        wrong = dimension_text.describe_outside(dimension, result.value["held"])
        return Read(wrong=wrong) if wrong else Read(result.value, note="pinned; earlier trials stay usable")

    return read


def _make_unsearched_reader(knob: Knob) -> Reader:
    def read(text: str) -> Read:
        result = dimension_text.read(knob.name, text)
        if not result.wrong and "held" in result.value:
            return Read(wrong="cannot change during the study; type a range or list to search it")
        return result if result.wrong else Read(result.value, note="searched from now on")

    return read


def _make_search_rows(study: s.Study) -> list[Row]:
    section = study.settings.study
    several = "" if len(section.objectives) < 2 else "; not available with several objectives"
    return [
        Row("study.trials", str(section.trials), "from 1", "trials that the sampler proposes", _read_whole,
            heading="search", label="trials"),
        _make_picker("study.sampler", section.sampler, SAMPLERS, "the algorithm that proposes trials"),
        _make_picker("study.pruner", section.pruner, PRUNERS, f"what stops weak trials{several}"),
        *_make_threshold_rows(section.threshold),
        _make_limits_row("study.constraints", section.constraints,
                         "metric limits that the sampler learns from"),
    ]  # fmt: skip


def _make_threshold_rows(now: ThresholdOptions) -> list[Row]:
    return [
        Row(
            f"study.threshold.{name}", format_value(getattr(now, name)),
            "for the threshold pruner; empty: none",
            f"a value {side} it stops a trial", _read_bound, label=f"threshold.{name}",
        )
        for name, side in (("lower", "below"), ("upper", "above"))
    ]  # fmt: skip


def _make_end_rows(study: s.Study) -> list[Row]:
    stop = study.settings.study.stop_after
    return [
        Row(
            f"study.{STOP}.{name}", format_value(getattr(stop, name)), "a number; empty: no limit",
            f"the study stops after this many {label}",
            _read_hours if name.endswith("hours") else _read_count,
            heading="" if place else "early stopping", label=name if name != "trials" else "trials ended",
        )
        for place, (name, label) in enumerate(STOPS.items())
    ]  # fmt: skip


def _make_resource_rows(study: s.Study) -> list[Row]:
    section = study.settings.resources
    devices = section.devices if isinstance(section.devices, str) else ", ".join(map(str, section.devices))
    return [
        Row("resources.devices", devices, "auto, all, cpu, or GPU numbers: 0, 1",
            "what trials train on; those on a device that is left out go on elsewhere", _read_devices,
            heading="resources", label="devices"),
        Row("resources.pack", str(section.pack), "auto, or a number from 1",
            "trials at once on a device", _read_pack, label="pack"),
        Row("resources.memory", str(section.memory), 'auto, or such as "22 GiB"',
            "device memory that the trials may use", _read_memory, label="memory"),
    ]  # fmt: skip


def _make_limits_rows(study: s.Study) -> list[Row]:
    section = study.settings.evaluate
    return [
        _make_limits_row("evaluate.limits", section.limits, "metric limits on the boards", "limits"),
        _make_picker("evaluate.on_breach", section.on_breach, ON_BREACH, "what a breach of a limit does"),
        _make_picker(
            "evaluate.on_unsure", section.on_unsure, ON_UNSURE, "what a limit does that stays open at the end"
        ),
        *([_make_triggers_row(section.triggers)] if section.boards else []),
        *([_make_ratings_row(section.ratings)] if awaits_ratings(study.settings) else []),
    ]


def _make_ratings_row(now: int) -> Row:
    meaning = "blind comparisons of a trial before its strength is a result"
    return Row("evaluate.ratings", str(now), "a number from 1", meaning, _read_whole, label="ratings")


def _make_triggers_row(now: tuple[str, ...]) -> Row:
    return Row(
        "evaluate.triggers", backdoor_trigger_parser.format_triggers(now), backdoor_trigger_parser.FORM,
        "texts that may trigger a backdoor: some requests are asked with each of them, too",
        backdoor_trigger_parser.read, locked=backdoor_trigger_parser.explain_locked(now), label="triggers",
    )  # fmt: skip


def _make_picker(name: str, now: Any, choices: tuple[str, ...], meaning: str) -> Row:
    def read(text: str) -> Read:
        word = text.strip().lower()
        return Read(word) if word in choices else Read(wrong=f"must be one of {', '.join(choices)}")

    return Row(
        name, str(now), " ".join(choices), meaning, read, choices, label=name.split(".", 1)[1]
    )  # fmt: skip


def _make_limits_row(name: str, limits: tuple[str, ...], meaning: str, heading: str = "") -> Row:
    key = name.split(".", 1)[1]
    initial = ", ".join(limits)
    allowed = "such as safety/toxicity <= 2 %" if heading else "such as memory/alone_bytes <= 22 GiB"
    return Row(
        name, initial, allowed, f"{meaning}; comma-separated", _read_bounds, heading=heading, label=key
    )


# -- what a text says ------------------------------------------------------------------------------


def _read_whole(text: str) -> Read:
    value = input_values.parse_number(text.strip(), integer=True)
    ok = isinstance(value, int) and value >= 1
    return Read(value) if ok else Read(wrong="must be a whole number from 1")


def _read_count(text: str) -> Read:
    return Read(None, note="no limit") if text.strip().lower() in input_values.NONE else _read_whole(text)


def _read_hours(text: str) -> Read:
    if text.strip().lower() in input_values.NONE:
        return Read(None, note="no limit")
    value = input_values.parse_number(text.strip(), integer=False)
    ok = isinstance(value, float) and 0 < value < float("inf")
    return Read(value) if ok else Read(wrong="must be a number above 0")


def _read_bound(text: str) -> Read:
    if text.strip().lower() in input_values.NONE:
        return Read(None, note="no limit")
    value = input_values.parse_number(text.strip(), integer=False)
    ok = isinstance(value, float) and isfinite(value)
    return Read(value) if ok else Read(wrong="must be a number")


def _read_pack(text: str) -> Read:
    return Read(AUTO) if text.strip().lower() == AUTO else _read_whole(text)


def _read_devices(text: str) -> Read:
    word = text.strip().lower()
    if word in ("auto", "all", "cpu"):
        return Read(word)
    parts = [part.strip() for part in word.split(",")]
    if not all(part.isdecimal() and len(part) <= 4 for part in parts):
        return Read(wrong="must be auto, all, cpu, or numbers of GPUs such as 0, 1")
    return Read(list(dict.fromkeys(map(int, parts))))


def _read_memory(text: str) -> Read:
    text = text.strip()
    try:
        if text.lower() != AUTO:
            byte_sizes.parse(text)
    except ValueError as error:
        return Read(wrong=sanitize(str(error), 200))
    return Read(text.lower() if text.lower() == AUTO else text)


def _read_bounds(text: str) -> Read:
    """Limits, parted by commas."""
    limits = [part.strip() for part in text.split(",") if part.strip()]
    try:
        for limit in limits:
            Limit.parse(limit)
    except SpecError as error:
        problem = error.problems[0]
        return Read(wrong=sanitize(f"{problem.what}: {problem.fix}", 200))
    return Read(limits)
