"""Read a study file and report every problem at once, each with its key, its value and a remedy."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import tomli_w
from pydantic import ValidationError

from core import paths
from core.contract import input_size_limits
from core.contract.spec import conditional_knobs, cross_key_checks, knob_table, spec_schema, toml_reader
from core.contract.spec.data import mixture_checks
from core.contract.spec.data.mixture_source import MixtureSource, list_knob_defaults, name_missing_source
from core.contract.spec.search_space import Choice, Dimension, Range, read_dimension
from core.contract.spec.study_spec import COUNTED, DataOptions, StudySpec
from core.contract.text.sanitize import sanitize, show_value
from core.contract.text.secret_redaction import Redactor
from core.errors import Problem, SpecError

LARGEST_FILE_BYTES = 1 << 20
_LARGEST = 10**input_size_limits.MOST_DIGITS  # integers up to here are reported with the bound of their key
_OPTIONS = {field.name: field.type for field in msgspec.structs.fields(StudySpec)}
MOST_NEAREST = 20  # unknown keys for which the nearest is looked up, which is slow
SECTION_NAMES = ("study", "model", "data", "train", "space", "evaluate", "resources")


def load(path: Path) -> StudySpec:
    """Return the study in the TOML file at ``path``; relative paths in it are taken from its folder. Raises
    SpecError with every problem found."""
    try:
        if path.stat().st_size > LARGEST_FILE_BYTES:
            raise SpecError.of("is larger than 1 MiB: not a study file", str(path))
        raw = toml_reader.read(path)
    except FileNotFoundError:
        raise SpecError.of("no such file", str(path), _suggest_files(path)) from None
    except OSError as error:
        message = f"cannot be read: {error.strerror or error}"
        raise SpecError.of(message, str(path), "give a TOML file in UTF-8") from None
    except toml_reader.TomlError as error:
        fix = "texts need quotes, sections look like [train], the file is UTF-8"
        raise SpecError.of(f"is not TOML: {error}", str(path), fix) from None
    return _make_paths_absolute(parse(raw, str(path)), path.absolute().parent)


def parse(raw: dict[str, Any], file: str = "study") -> StudySpec:
    """Return the study in ``raw``, a TOML file's content. Raises SpecError with every problem found."""
    problems: list[Problem] = []
    raw = _drop_beyond_bounds(raw, file, problems)
    problems += _find_secrets(raw, file)
    raw = mixture_checks.flatten_weights(raw)
    _find_unknown_keys(raw, SECTION_NAMES, file, "section", problems)
    for name in ("study", "model", "data"):
        if name not in raw:
            problems.append(Problem(f"the section [{name}] is missing", file, f"add [{name}]"))
    sections: dict[str, Any] = {
        name: _read_section(name, raw.get(name, {}), file, problems)
        for name in spec_schema.SECTIONS
        if name in raw
    }
    knobs = _list_knobs(raw, sections.get("data"))
    train = _read_train(raw.get("train", {}), knobs, file, problems)
    space = _read_space(raw.get("space", {}), knobs, file, problems)
    for name in sorted(set(raw.get("train", {}) if isinstance(raw.get("train"), dict) else ()) & set(space)):
        fix = "keep one: [train] fixes a knob, [space] searches it"
        problems.append(Problem(f"{name} is in both [train] and [space]", file, fix))
    if problems:
        raise SpecError(*problems)
    spec = StudySpec(train=train, space=space, **sections)
    _check_across(spec, file)
    return spec


def convert_to_raw(spec: StudySpec) -> dict[str, Any]:
    """Return ``spec`` as the content of a TOML file: ``parse(to_raw(s)) == s``. Unset keys are left out."""
    raw = {name: _set_keys(msgspec.to_builtins(getattr(spec, name))) for name in spec_schema.SECTIONS}
    raw["train"] = {
        name: value for name, value in spec.train.items() if name not in spec.space and value is not None
    }
    raw["space"] = {name: _encode_dimension(dimension) for name, dimension in spec.space.items()}
    return {name: raw[name] for name in SECTION_NAMES}


def write(spec: StudySpec) -> str:
    """Return ``spec`` as TOML text."""
    return tomli_w.dumps(convert_to_raw(spec))


def _set_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _set_keys(inner) for key, inner in value.items() if inner is not None}
    return [_set_keys(inner) for inner in value] if isinstance(value, list | tuple) else value


def _encode_dimension(dimension: Dimension) -> dict[str, Any]:
    raw = msgspec.structs.asdict(dimension)
    raw["when"] = {name: list(values) for name, values in dimension.when.items()}
    if isinstance(dimension, Choice):
        raw["choice"] = list(raw.pop("values"))
    raw.pop("kind", None)
    always_written = ("low", "high", "otherwise")
    return {
        key: entry for key, entry in raw.items() if (entry or key in always_written) and entry is not None
    }


def suggest_name(name: str, names: Iterable[str]) -> str:
    """Return the remedy for a misspelled ``name``: the nearest of ``names``, else all of them."""
    options = list(names)
    close = difflib.get_close_matches(name, options, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(options)}"


def _drop_beyond_bounds(raw: dict[str, Any], file: str, problems: list[Problem]) -> dict[str, Any]:
    """Return ``raw`` without the values that are too deep, too many or too long to show."""
    bounded: dict[str, Any] = {}
    for section, content in raw.items():
        keys = content if isinstance(content, dict) else {"": content}
        faults = {key: input_size_limits.find_fault(value, _LARGEST) for key, value in keys.items()}
        beyond = {key: fault for key, fault in faults.items() if fault}
        for key, (place, wrong) in beyond.items():
            label = sanitize(f"{section}{f'.{key}' if key else ''}{place}", 120)
            problems.append(Problem(f"{label}: {wrong}", file, "no study needs such a value"))
        if isinstance(content, dict):
            bounded[section] = {key: value for key, value in content.items() if key not in beyond}
        elif not beyond:
            bounded[section] = content
    return bounded


def _find_secrets(raw: dict[str, Any], file: str) -> list[Problem]:
    """Return a problem for each secret in the file, which is stored with the study, shown and shared."""
    redactor, problems = Redactor(), []
    for section, content in raw.items():
        for key, value in content.items() if isinstance(content, dict) else ():
            if redactor.contains_secret(str(value)):
                fix = "put it into the environment of the engine, such as HF_TOKEN; an URL may hold ${NAME}"
                label = sanitize(f"{section}.{key}", 80)
                problems.append(Problem(f"{label} holds what looks like a password or token", file, fix))
    return problems


def _find_unknown_keys(
    raw: dict[str, Any], names: Iterable[str], file: str, noun: str, problems: list[Problem]
) -> None:
    options = list(names)
    unknown = [str(key) for key in raw if key not in options]
    for key in unknown[:MOST_NEAREST]:
        remedy = name_missing_source(key, options) if noun == "knob" else ""
        remedy = remedy or suggest_name(key[: input_size_limits.LONGEST_NAME], options)
        problems.append(Problem(f"unknown {noun} {sanitize(key, 80)!r}", file, remedy))
    if len(unknown) > MOST_NEAREST:
        problems.append(Problem(f"{len(unknown) - MOST_NEAREST} more unknown {noun}s", file, ""))


def _read_section(name: str, raw: object, file: str, problems: list[Problem]) -> msgspec.Struct | None:
    kind = spec_schema.SECTIONS[name]
    if not isinstance(raw, dict):
        message = f"{name} = {show_value(raw)} is not a section"
        problems.append(Problem(message, file, f"write [{name}] above its keys"))
        return None
    _find_unknown_keys(raw, kind.model_fields, f"{file} [{name}]", "key", problems)
    for key, table_keys in spec_schema.TABLES.items():
        if isinstance(raw.get(key), dict) and key in kind.model_fields:
            known_keys = [
                *table_keys,
                *(word for word in raw[key] if key == "fixed" and knob_table.find_knob(word)),
            ]
            _find_unknown_keys(raw[key], known_keys, f"{file} [{name}] {key}", "key", problems)
    try:
        section = kind.model_validate({key: value for key, value in raw.items() if key in kind.model_fields})
    except ValidationError as error:
        problems.extend(_explain_errors(error, f"{file} [{name}]"))
        return None
    options: msgspec.Struct = msgspec.convert(section.model_dump(), _OPTIONS[name])
    return options


def _explain_errors(error: ValidationError, file: str) -> list[Problem]:
    problems: dict[str, Problem] = {}
    for fault in error.errors(include_url=False):
        loc = fault["loc"]
        deep = bool(loc) and len(loc) > (2 if loc[0] in spec_schema.TABLES else 1)
        if fault["type"] == "extra_forbidden" and not deep:
            continue  # reported as unknown, with the nearest name
        if fault["type"] == "extra_forbidden":
            key = sanitize(".".join(map(str, loc)), 80)
            problems.setdefault(key, Problem(f"{key}: unknown key", file, "leave it out"))
            continue
        parts = loc[: spec_schema.LABELS.get(str(loc[0]), 1)] if loc else ()
        key = ".".join(str(part) for part in parts) or "(section)"
        message = fault["msg"].removeprefix("Value error, ")
        if fault["type"] == "missing":
            problems.setdefault(key, Problem(f"{key} is missing", file, f"add {key} = …"))
            continue
        value = sanitize(repr(fault["input"]), 80)
        problems.setdefault(key, Problem(f"{key} = {value}: {message[0].lower()}{message[1:]}", file, ""))
    return list(problems.values())


def _list_knobs(raw: dict[str, Any], data: DataOptions | None) -> dict[str, knob_table.Value]:
    """Return all knobs of the study at their defaults. Of a mixture with a fault of its own, every weight
    counts as known."""
    knobs = knob_table.list_defaults()
    if data is not None:
        return knobs | list_knob_defaults(data.mixture)
    tables = [raw.get(name) for name in ("train", "space")]
    names = [name for table in tables if isinstance(table, dict) for name in table]
    return knobs | {name: None for name in names if name not in knobs and knob_table.find_knob(name)}


def _read_train(
    raw: object, knobs: dict[str, knob_table.Value], file: str, problems: list[Problem]
) -> dict[str, knob_table.Value]:
    train = dict(knobs)
    if not isinstance(raw, dict):
        problems.append(
            Problem(f"train = {show_value(raw)} is not a section", file, "write [train] above its keys")
        )
        return train
    _find_unknown_keys(raw, knobs, f"{file} [train]", "knob", problems)
    for name, value in raw.items():
        knob = knob_table.find_knob(name) if name in knobs else None
        if knob is None:
            continue
        wrong, fix = knob_table.find_fault(knob, value), knob.meaning
        if isinstance(value, dict):
            wrong, fix = "is a range", f"move it to [space] to search {name}"
        if wrong:
            problems.append(Problem(f"{name} = {show_value(value)}: {wrong}", f"{file} [train]", fix))
        train[name] = value
    return train


def _read_space(
    raw: object, knobs: Iterable[str], file: str, problems: list[Problem]
) -> dict[str, Dimension]:
    if not isinstance(raw, dict):
        problems.append(
            Problem(f"space = {show_value(raw)} is not a section", file, "write [space] above its keys")
        )
        return {}
    _find_unknown_keys(raw, knobs, f"{file} [space]", "knob", problems)
    space: dict[str, Dimension] = {}
    for name, value in raw.items():
        if name not in knobs:
            continue
        dimension, faults = read_dimension(name, value)
        for key, wrong in faults:
            label = f"{name}.{key}" if key else name
            fix = f"such as {name} = {{low = …, high = …}} or {name} = […]"
            problems.append(Problem(f"{label}: {wrong}", f"{file} [space]", fix))
        if dimension is not None:
            space[name] = dimension
    for key, wrong in conditional_knobs.find_faults(space):
        problems.append(Problem(f"{key}: {wrong}", f"{file} [space]", "take a value that the knob may have"))
    return space


def _check_across(spec: StudySpec, file: str) -> None:
    """Check what involves several keys. Raises SpecError with every problem."""
    problems = []
    if spec.study.sampler in COUNTED:
        for name, dimension in spec.space.items():
            if dimension.when:
                fix = "leave out `when`, or take another sampler"
                message = f"the {spec.study.sampler} sampler does not support conditions, and {name} has one"
                problems.append(Problem(message, f"{file} [space]", fix))
            if isinstance(dimension, Range) and dimension.kind == "float" and not dimension.step:
                fix = "give it a step or a list of values, or take another sampler"
                problems.append(
                    Problem(f"the {spec.study.sampler} sampler cannot count {name}", f"{file} [space]", fix)
                )
    if len(spec.study.objectives) > 1 and spec.study.pruner != "none":
        fix = 'set pruner = "none", or keep one objective'
        problems.append(
            Problem(f"pruner = {spec.study.pruner!r} needs a single objective", f"{file} [study]", fix)
        )
    if len(spec.study.objectives) > 1 and spec.study.sampler == "cmaes":
        fix = 'take "tpe", "gp", "nsga2" or "nsga3", or keep one objective'
        problems.append(Problem("sampler = 'cmaes' needs a single objective", f"{file} [study]", fix))
    problems += cross_key_checks.find_faults(spec, f"{file} [study]")
    metrics = [objective.metric for objective in spec.study.objectives]
    if len(set(metrics)) < len(metrics):
        problems.append(Problem("the same objective is listed twice", f"{file} [study]", "keep one"))
    problems += cross_key_checks.find_unscored(spec, file)
    problems += mixture_checks.find_faults(spec, file)
    problems += cross_key_checks.find_trigger_faults(spec, f"{file} [evaluate]")
    if problems:
        raise SpecError(*problems)


def _make_paths_absolute(spec: StudySpec, folder: Path) -> StudySpec:
    """Return the spec with existing relative paths made absolute: the engine runs in another folder."""

    def absolute(text: Any) -> Any:
        is_table = isinstance(text, dict)
        return (
            {key: absolute(entry) for key, entry in text.items()}
            if is_table
            else paths.resolve_here(text, folder)
        )

    model = {"base": absolute(spec.model.base)}
    if spec.model.adapter is not None:
        model["adapter"] = absolute(spec.model.adapter)
    data: dict[str, Any] = {key: absolute(text) for key, text in _list_data_places(spec.data)}
    data["contamination"] = tuple(map(absolute, spec.data.contamination))
    data["mixture"] = tuple(
        msgspec.structs.replace(part, **{key: absolute(text) for key, text in _list_data_places(part)})
        for part in spec.data.mixture
    )
    evaluate = {
        name: absolute(path)
        for name in ("prompts", "reference", "classifier", "judge", "names", "tasks_path")
        if (path := getattr(spec.evaluate, name)) is not None
    }
    earlier = [absolute(name) if "/" in name else name for name in spec.study.warm_start]
    replace = msgspec.structs.replace
    return replace(
        spec,
        study=replace(spec.study, warm_start=tuple(earlier)),
        evaluate=replace(spec.evaluate, **evaluate),
        model=replace(spec.model, **model),
        data=replace(spec.data, **data),
    )


def _list_data_places(section: DataOptions | MixtureSource) -> list[tuple[str, str]]:
    places = (("source", section.source), ("validation", section.validation))
    return [(key, text) for key, text in places if isinstance(text, str) and text]


def _suggest_files(path: Path) -> str:
    try:
        toml_files = [file.name for file in path.parent.iterdir() if file.suffix == ".toml"]
    except OSError:
        return f"the folder {path.parent} does not exist either"
    close = difflib.get_close_matches(path.name, toml_files, n=1, cutoff=0.4)
    return f"did you mean {path.parent / close[0]}?" if close else "give the path of a TOML file"
