"""Events about a whole study, and the readings of its workers."""

from __future__ import annotations

from typing import Any

from core.contract.events.event_base import Event
from core.contract.events.trial_states import LIVE_STUDY
from core.contract.input_size_limits import Count, Int, Number, Seconds, Step
from core.contract.metric_score import Score


class StudyCreated(Event, frozen=True, tag="study-created"):
    """A study was accepted; ``spec`` is its resolved TOML content."""

    spec: dict[str, Any]
    folder: str


class StudyReopened(Event, frozen=True, tag="study-reopened"):
    """A stopped, failed or finished study goes on."""

    why: str
    trials: Step = 0  # the new number of trials; 0 keeps it


class StudyPaused(Event, frozen=True, tag="study-paused"):
    """All trials are kept and their devices released; nothing starts until the study is resumed."""

    from_states = frozenset({"running"})

    by: str


class StudyResumed(Event, frozen=True, tag="study-resumed"):
    """A paused study takes its devices again."""

    wakes_runner = True
    from_states = frozenset({"paused"})

    by: str


class StudyStopping(Event, frozen=True, tag="study-stopping"):
    """No new trials start; the running ones are being stopped."""

    from_states = frozenset({"running", "paused"})

    why: str


class StudyEnded(Event, frozen=True, tag="study-ended"):
    """``outcome`` is complete, stopped or failed."""

    from_states = LIVE_STUDY  # a stop after the study's end has no effect

    outcome: str
    why: str


class StudyNoted(Event, frozen=True, tag="study-noted"):
    """A note for the event list; ``level`` is info, warning or error."""

    from_worker = True

    text: str
    level: str = "info"


class BaseScored(Event, frozen=True, tag="base-scored"):
    """The boards' scores of the base model itself, without any adapter."""

    from_worker = True

    scores: dict[str, Score]


class Preparing(Event, frozen=True, tag="preparing"):
    """A long wait before the first step, with its progress. An empty ``stage`` ends it. Live."""

    journaled = False
    urgent = False
    from_worker = True

    worker: str
    stage: str  # such as "loading the model"
    done: Count = 0
    total: Count = 0  # 0: not known
    unit: str = ""


class PackMeasured(Event, frozen=True, tag="pack-measured"):
    """The memory and throughput of training ``trials`` at once on one base, reported from time to time. Live.

    ``used_bytes`` and ``free_bytes`` are those at the peak of the measured rounds: another trial needs its
    own tensors and its own activations. ``trials`` 0: the worker has ended and holds nothing.
    """

    journaled = False
    urgent = False
    from_worker = True
    wakes_runner = True

    worker: str
    device: str  # the engine replaces it by its own name: cpu, gpu0
    trials: Step  # trained at once in the rounds measured
    tokens: Step  # in one round, padding not counted
    round_s: Seconds  # median of the rounds measured
    base_bytes: Count  # the frozen base
    trial_bytes: dict[Int, Count]  # by trial: its adapter, gradient and optimizer state on the device
    activation_bytes_per_token: Number
    used_bytes: Count
    free_bytes: Count  # what the device still has for this worker, its allocator's cache included
    total_bytes: Count
    why_alone: str = ""  # why this base cannot be stacked: its trials train one after another
    reserve_bytes: Count = 0  # what the allocator keeps beyond what was used
    longest: Count = 0  # tokens of the longest training row
    widest: Count = 0  # tokens of the largest pass, padding included
    idle_bytes: Count = 0  # the worker's memory with the base loaded and without trials
    pass_tokens: Count = 0  # the fixed cost of a pass as measured, in tokens; 0: not measured
    foretold_bytes: Count = 0  # the engine's estimate of the peak; 0: unknown
    fused: bool = False  # whether the base's layers compute in fused kernels
    padding: Number | None = None  # share of the positions that the base computed, since the report before
    data_wait: Number | None = None  # shares of the time: picking and padding rows, boards, validation
    scoring: Number | None = None
    evaluation: Number | None = None


class MemoryShort(Event, frozen=True, tag="memory-short"):
    """The device ran out of memory while ``trials`` trained at once; ``used_bytes`` were allocated then.

    ``text`` says what the engine did about it; ``moved`` is the trial that had to leave, -1 for none.
    """

    from_worker = True
    wakes_runner = True

    worker: str
    device: str  # the engine replaces it by its own name
    trials: tuple[Int, ...]
    used_bytes: Count
    text: str
    moved: Int = -1
