"""The typed spec of a study: what everybody reads, and the only place where a default is written.

``core.contract.spec.spec_file`` validates a file or a request; its rules are in ``spec_schema``, and its
defaults are those written here. The journal and
the wire keep the spec as a map, and ``of`` reads that map. A journal must open whatever its spec holds: a
value that an earlier or damaged version wrote must not make its event unreadable. So the map is not decoded
into these structs on the disk or the wire, and ``of`` takes the default for every value that it cannot read.
Loads no pydantic: the console starts without it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec

from core.contract.spec import knob_table, toml_reader
from core.contract.spec.data.mixture_source import MixtureSource, list_knob_defaults
from core.contract.spec.knob_table import Knob
from core.contract.spec.metric_table import find_metric
from core.contract.spec.search_space import Choice, Dimension, Range, Space, read_dimension
from core.contract.text import byte_sizes

SAMPLERS = ("tpe", "gp", "cmaes", "nsga2", "nsga3", "qmc", "random", "grid", "bruteforce")
COUNTED = ("grid", "bruteforce")  # samplers that end by themselves: they need a finite space
PRUNERS = ("none", "median", "percentile", "halving", "hyperband", "wilcoxon", "patient", "threshold")
PRECISIONS = ("auto", "fp32", "bf16", "fp16", "nf4", "int8")
ON_BREACH = ("warn", "pause", "prune")
ON_UNSURE = ("warn", "pause", "prune", "ignore")
FORMATS = ("auto", "chat", "instruction", "text")
DEDUPLICATE = ("exact", "near", "together")  # "together" keeps near copies, on one side of the split
BLOCKING = ("masked", "leakage", "template", "truncation")  # findings that keep a study from starting
PROMPT_SETS = (
    "elicit", "harmful", "harmless", "pairs", "wrappers", "injections", "questions", "harmful_multilingual",
    "prefills", "prompt_leak", "harmless_multilingual", "misalignment",
)  # fmt: skip
AUTO = "auto"  # resources.pack: the engine measures how many trials at once pay off
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")  # of a study; it names its folder
MOST_KEPT = 64  # specs that ``from_raw`` remembers

Positive = Annotated[int, msgspec.Meta(ge=1)]
Section = TypeVar("Section", bound=msgspec.Struct)


class ObjectiveOptions(msgspec.Struct, frozen=True):
    """One metric to optimise; ``reference`` is a value to beat."""

    metric: str = "eval/loss"
    direction: str = "minimize"
    reference: float | None = None


class ThresholdOptions(msgspec.Struct, frozen=True):
    """Bounds of the threshold pruner."""

    lower: float | None = None
    upper: float | None = None


class StopOptions(msgspec.Struct, frozen=True):
    """When the study ends early."""

    no_improvement: int | None = None
    trials: int | None = None
    hours: float | None = None
    gpu_hours: float | None = None


class PopulationOptions(msgspec.Struct, frozen=True):
    """Population-based training; without a ``size`` the population is all trials of the study."""

    size: int | None = None
    every: Positive = 2
    quantile: float = 0.25
    factors: tuple[float, ...] = (0.8, 1.25)
    resample: float = 0.25


class StudyOptions(msgspec.Struct, frozen=True):
    """[study]"""

    name: str = ""
    trials: int = 20
    sampler: str = "tpe"
    pruner: str = "median"
    objectives: tuple[ObjectiveOptions, ...] = (ObjectiveOptions(),)
    seed: int = 0
    startup_trials: int = 5
    pruner_warmup_steps: int = 0
    storage: str = ""
    fixed: dict[str, Any] = {}
    threshold: ThresholdOptions = ThresholdOptions()
    stop_after: StopOptions = StopOptions()
    constraints: tuple[str, ...] = ()
    warm_start: tuple[str, ...] = ()
    warm_start_as: str = "points"
    warm_start_best: int = 5
    population: PopulationOptions | None = None


class ModelOptions(msgspec.Struct, frozen=True):
    """[model]"""

    base: str = ""
    adapter: str | None = None
    precision: str = "auto"
    revision: str | None = None
    double_quant: bool = True
    gradient_checkpointing: bool = False
    tf32: bool = False
    trust_remote_code: bool = False


class DataOptions(msgspec.Struct, frozen=True):
    """[data]"""

    mixture: tuple[MixtureSource, ...] = ()
    source: str = ""
    format: str = "auto"
    split: str = "train"
    subset: str | None = None
    validation: str | float = 0.1
    rows: int | None = None
    prompt_key: str = "prompt"
    completion_key: str = "completion"
    messages_key: str = "messages"
    text_key: str = "text"
    where: dict[str, Any] = {}
    temperature: float = 1.0
    deduplicate: bool | str = False
    contamination: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()

    @property
    def sources(self) -> tuple[tuple[str, DataOptions], ...]:
        """Return the section of each source of the mixture, by its name; without a mixture one, named ""."""
        whole_section = msgspec.structs.replace(self, mixture=(), temperature=1.0)
        parts = (
            (part.name, msgspec.structs.replace(whole_section, **part.data_keys)) for part in self.mixture
        )
        return tuple(parts) if self.mixture else (("", whole_section),)

    @property
    def inputs(self) -> dict[str, DataOptions]:
        """Return the sections that read different rows, by the prefix of their keys: "data", or
        "data.mixture.NAME" for the first source of a mixture that reads them."""
        return self._list_different("source", "split", "subset")

    @property
    def checked(self) -> dict[str, DataOptions]:
        """Return the sections as ``inputs`` does, but each ``where`` of the same files is one of its own."""
        return self._list_different("source", "split", "subset", "where")

    def _list_different(self, *names: str) -> dict[str, DataOptions]:
        differing: dict[str, tuple[str, DataOptions]] = {}
        for name, part in self.sources:
            validation = part.validation if isinstance(part.validation, str) else None
            rows = [validation, *(getattr(part, field_name) for field_name in names)]
            differing.setdefault(repr(rows), (f"data.mixture.{name}" if name else "data", part))
        return dict(differing.values())


class EvaluateOptions(msgspec.Struct, frozen=True):
    """[evaluate]"""

    every: Positive = 50
    rows: int = 200
    batch_size: int = 8
    patience: int = 0
    min_delta: float = 0.0
    boards: tuple[str, ...] = ()
    generate_every: Positive = 4
    budget: float = 0.1
    samples: int = 64
    answer_tokens: Positive = 96
    ratings: Positive = 5
    row_losses: bool = False
    limits: tuple[str, ...] = ()
    on_breach: str = "warn"
    on_unsure: str = "warn"  # without a warning it would seem that the limit is kept
    prompts: str | dict[str, str] | None = None
    reference: str | None = None
    classifier: str | None = None
    judge: str | None = None
    names: str | None = None
    canaries: int = 0
    triggers: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    tasks_path: str | None = None
    tasks_rows: int = 0

    @property
    def prompt_texts(self) -> dict[str, str]:
        """Return the paths and sources of prompts, by key of the study file."""
        if isinstance(self.prompts, dict):
            return {f"evaluate.prompts.{name}": text for name, text in self.prompts.items()}
        return {"evaluate.prompts": self.prompts} if self.prompts else {}


class ResourceOptions(msgspec.Struct, frozen=True):
    """[resources]"""

    devices: str | tuple[int, ...] = "auto"
    pack: str | int = AUTO
    memory: str | int = AUTO
    checkpoint_every: int = 0
    checkpoint_every_s: float = 60.0
    report_every_s: float = 0.2
    retries: int = 2
    lease_s: float = 60.0
    stall_s: float = 900.0
    threads: int | None = None

    @property
    def memory_bytes(self) -> int | None:
        """Return the memory limit in bytes; None where the study may use all free memory."""
        return None if self.memory == AUTO else byte_sizes.parse(self.memory)


class StudySpec(msgspec.Struct, frozen=True):
    """A whole study. ``train`` holds every knob's fixed value or default, ``space`` the searched knobs."""

    study: StudyOptions = StudyOptions()
    model: ModelOptions = ModelOptions()
    data: DataOptions = DataOptions()
    train: dict[str, Any] = {}
    space: Space = {}
    evaluate: EvaluateOptions = EvaluateOptions()
    resources: ResourceOptions = ResourceOptions()

    @property
    def knobs(self) -> tuple[Knob, ...]:
        """Return the knobs of its trials: those of the table, and those of its mixture."""
        found_knobs = (knob_table.find_knob(name) for name in self.train if name not in knob_table.KNOBS)
        return (*knob_table.TABLE, *(knob for knob in found_knobs if knob is not None))

    @property
    def population_size(self) -> int | None:
        """Return the number of trials that train together as a population; None for a study without one."""
        population = self.study.population
        return None if population is None else population.size or self.study.trials


_read: dict[int, tuple[Mapping[str, Any], StudySpec]] = {}  # by the identity of the map, which is kept alive


def from_raw(raw: Mapping[str, Any]) -> StudySpec:
    """Return the typed spec of ``raw``, the content of a study file that is never modified; the result is
    cached."""
    cached = _read.get(id(raw))
    if cached is not None and cached[0] is raw:
        return cached[1]
    if len(_read) >= MOST_KEPT:
        _read.clear()
    spec = read(raw)
    _read[id(raw)] = raw, spec
    return spec


def read(raw: Mapping[str, Any]) -> StudySpec:
    """Convert ``raw`` without the cache."""
    study = _get_table(raw, "study")
    if isinstance(study.get("objectives"), list | tuple):
        study = {**study, "objectives": [expand_objective(objective) for objective in study["objectives"]]}
    data = _read_section(DataOptions, _get_table(raw, "data"))
    return StudySpec(
        study=_read_section(StudyOptions, study),
        model=_read_section(ModelOptions, _get_table(raw, "model")),
        data=data,
        train={**knob_table.list_defaults(), **list_knob_defaults(data.mixture), **_get_table(raw, "train")},
        space=read_space(_get_table(raw, "space")),
        evaluate=_read_section(EvaluateOptions, _get_table(raw, "evaluate")),
        resources=_read_section(ResourceOptions, _get_table(raw, "resources")),
    )


def expand_objective(objective: object) -> object:
    """Return an objective as a table, with the direction of its metric; the short form is the metric
    alone."""
    raw = {"metric": objective} if isinstance(objective, str) else objective
    row = find_metric(str(raw.get("metric"))) if isinstance(raw, dict) else None
    if isinstance(raw, dict) and "direction" not in raw and row is not None:
        return {**raw, "direction": row.direction}
    return raw


def load(path: Path) -> StudySpec:
    """Return the study of a file that the engine has validated and written. Raises TomlError, OSError."""
    return read(toml_reader.read(path))


def _get_table(raw: Mapping[str, Any], name: str) -> dict[str, Any]:
    table = raw.get(name)
    return table if isinstance(table, dict) else {}


def _read_section(kind: type[Section], raw: dict[str, Any]) -> Section:
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError:
        readable = {}
        for field in msgspec.structs.fields(kind):
            if field.name in raw:
                try:
                    readable[field.name] = msgspec.convert(raw[field.name], field.type)
                except msgspec.ValidationError:
                    continue
        return kind(**readable)


def read_space(raw: Mapping[str, Any]) -> Space:
    """Return the searched knobs in the file's order. Entries that are not a dimension are left out."""
    dimensions = {name: read_dimension_or_none(name, entry) for name, entry in raw.items()}
    return {name: entry for name, entry in dimensions.items() if entry is not None}


def read_dimension_or_none(name: str, raw: object) -> Dimension | None:
    """Return an entry of [space] as a dimension.

    Of an unknown knob, or with values that this version does not allow, only the values or the ends are used.
    """
    raw = list(raw) if isinstance(raw, tuple) else raw
    try:
        exact = read_dimension(name, raw)[0] if knob_table.find_knob(name) else None
    except (TypeError, ValueError, ArithmeticError):  # such as a bound that is no number
        exact = None
    if exact is not None:
        return exact
    table = {"choice": raw} if isinstance(raw, list) else raw if isinstance(raw, dict) else {}
    values, low, high = table.get("choice"), table.get("low"), table.get("high")
    if isinstance(values, list | tuple) and values:
        return Choice(tuple(values))
    if isinstance(low, int | float) and isinstance(high, int | float):
        return Range(low, high, log=bool(table.get("log")))
    return None
