"""Checks of the sources of a mixture: their names, rows, weights and metrics."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from core.contract.spec.cross_key_checks import list_needed_metrics
from core.contract.spec.knob_table import WEIGHT
from core.contract.spec.metric_table import FORGETTING, SOURCE
from core.contract.spec.study_spec import DataOptions, StudySpec
from core.errors import Problem

TABLES = ("train", "space")  # sections with knobs
SAME = ("source", "split", "subset", "where")  # two sources that agree in all of these have the same rows


def flatten_weights(raw: dict[str, Any]) -> dict[str, Any]:
    """Return the file's content with ``weight.code = …``, which TOML reads as a table, as "weight.code"."""
    group = WEIGHT.rstrip(".")
    content = dict(raw)
    for name in TABLES:
        table = raw.get(name)
        if isinstance(table, dict) and isinstance(table.get(group), dict):
            weights = {f"{WEIGHT}{source}": value for source, value in table[group].items()}
            content[name] = {key: value for key, value in table.items() if key != group} | weights
    return content


def find_faults(spec: StudySpec, file: str) -> list[Problem]:
    """List the faults of ``data.mixture`` and of what depends on it."""
    place = f"{file} [data]"
    return [*_check_metrics(spec, file), *_check_keys(spec.data, place), *_check_weights(spec, place)]


def _check_keys(data: DataOptions, place: str) -> Iterator[Problem]:
    names = [part.name for part in data.mixture]
    for name in {name for name in names if names.count(name) > 1}:
        yield Problem(f"mixture: the name {name!r} is used twice", place, "give each source its own name")
    if not data.mixture:
        if data.temperature != 1.0:
            yield Problem("temperature without a mixture", place, "add [[data.mixture]], or leave it out")
        return
    if len(data.mixture) < 2:
        yield Problem("a mixture of a single source", place, "add another [[data.mixture]], or write [data]")
    if all(part.replay for part in data.mixture):
        yield Problem("mixture: every source has replay = true", place, "replay is for earlier data only")
    if data.source and all(part.source for part in data.mixture):
        fix = "leave it out, or leave source out of an entry of the mixture"
        yield Problem("source is not used: each entry of the mixture has its own", place, fix)
    yield from _check_rows(data, place)


def _check_rows(data: DataOptions, place: str) -> Iterator[Problem]:
    names_by_rows: dict[bytes, str] = {}
    for part, (name, section) in zip(data.mixture, data.sources, strict=True):
        if not section.source:
            yield Problem(f"mixture: {name} has no source", place, "give it one, or write [data] source = …")
        if part.source and isinstance(data.validation, str) and part.validation is None:
            fix = f"write validation = … for {name}, or a share such as 0.1 in [data]"
            yield Problem(f"mixture: data.validation = {data.validation!r} is not of {name}", place, fix)
        rows = msgspec.json.encode([getattr(section, key) for key in SAME], order="sorted")
        if names_by_rows.setdefault(rows, name) != name:
            fix = 'separate them with where = { column = "value" }'
            yield Problem(f"mixture: {names_by_rows[rows]} and {name} have the same rows", place, fix)


def _check_weights(spec: StudySpec, place: str) -> Iterator[Problem]:
    searched = spec.space
    for part in spec.data.mixture:
        knob = f"{WEIGHT}{part.name}"
        fixed = spec.train.get(knob)
        if part.weight is not None and fixed != part.weight and knob not in searched:
            message = f"{knob} is {fixed} in [train] and {part.weight:g} in the mixture"
            yield Problem(message, place, "keep one")
    for replay in {part.replay for part in spec.data.mixture}:
        group = [f"{WEIGHT}{part.name}" for part in spec.data.mixture if part.replay is replay]
        if all(spec.train.get(knob) == 0 and knob not in searched for knob in group):
            kind = "replay" if replay else "training"
            yield Problem(f"mixture: the weights of all {kind} sources are 0", place, "raise one of them")


def _check_metrics(spec: StudySpec, file: str) -> Iterator[Problem]:
    names = [f"{SOURCE}{part.name}" for part in spec.data.mixture]
    for metric in list_needed_metrics(spec):
        if metric.startswith(SOURCE) and metric not in names:
            fix = f"sources: {', '.join(names)}" if names else "it needs [[data.mixture]]"
            yield Problem(f"{metric} is not evaluated", f"{file} [study]", fix)
        if metric == FORGETTING and not any(part.replay for part in spec.data.mixture):
            fix = "mark the earlier data with replay = true in [[data.mixture]]"
            yield Problem(f"{metric} is not evaluated: no source is replayed", f"{file} [study]", fix)
