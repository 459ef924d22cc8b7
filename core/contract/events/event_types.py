"""All that can happen: the events that the engine journals, folds into the state and broadcasts.

An event of ``LIVE`` is a reading of the moment: it is folded and broadcast, never journalled.
"""

from __future__ import annotations

from typing import Any

from core.contract.board_score import Score
from core.contract.events.event_base import Event as Event
from core.contract.events.event_base import TrialEvent as TrialEvent
from core.contract.events.machine_events import Device as Device
from core.contract.events.machine_events import Host as Host
from core.contract.events.machine_events import MachineRead as MachineRead
from core.contract.events.machine_events import Process as Process
from core.contract.events.machine_events import Worker as Worker
from core.contract.events.steering_events import (
    EditAsked,
    StudyChanged,
    TrialEdited,
    TrialMarked,
    TrialReprieved,
)
from core.contract.value_bounds import Count, Int, Metrics, Number, Seconds, Step

# -- studies -------------------------------------------------------------------------------------


class StudyCreated(Event, frozen=True, tag="study-created"):
    """A study was accepted; ``spec`` is its resolved TOML content."""

    spec: dict[str, Any]
    folder: str


class StudyReopened(Event, frozen=True, tag="study-reopened"):
    """A stopped, failed or finished study goes on."""

    why: str
    trials: Step = 0  # the new number of trials; 0 keeps it


class StudyPaused(Event, frozen=True, tag="study-paused"):
    """All trials are kept and their devices given back; nothing starts until it is resumed."""

    by: str


class StudyResumed(Event, frozen=True, tag="study-resumed"):
    """A paused study takes its devices again."""

    by: str


class StudyStopping(Event, frozen=True, tag="study-stopping"):
    """No new trials start; the running ones are being stopped."""

    why: str


class StudyEnded(Event, frozen=True, tag="study-ended"):
    """``outcome`` is complete, stopped or failed."""

    outcome: str
    why: str


class StudyNoted(Event, frozen=True, tag="study-noted"):
    """A word for the event list: level is info, warning or error."""

    text: str
    level: str = "info"


class BaseScored(Event, frozen=True, tag="base-scored"):
    """The boards of the base model itself, without any adapter."""

    scores: dict[str, Score]


class Preparing(Event, frozen=True, tag="preparing"):
    """A long wait before the first step, with its progress. An empty ``stage`` ends it. Live."""

    worker: str
    stage: str  # such as "loading the model"
    done: Count = 0
    total: Count = 0  # 0: not known
    unit: str = ""


class PackMeasured(Event, frozen=True, tag="pack-measured"):
    """What training ``trials`` at once on one base takes and gives, told now and then. Live.

    ``used_bytes`` and ``free_bytes`` are of the fullest moment of the rounds measured: a trial more
    needs its own bytes and its own activations. ``trials`` 0: the worker is gone, nothing holds any more.
    """

    worker: str
    device: str  # the engine puts its own name for it: cpu, gpu0
    trials: Step  # trained at once in the rounds measured
    tokens: Step  # in one round, padding not counted
    round_s: Seconds  # median of the rounds measured
    base_bytes: Count  # the frozen base
    trial_bytes: dict[Int, Count]  # by trial: its adapter, gradient and optimizer state on the device
    activation_bytes_per_token: Number
    used_bytes: Count
    free_bytes: Count  # what the device still has for this worker, its allocator's cache included
    total_bytes: Count
    why_alone: str = ""  # why this base cannot be stacked: its trials take turns
    reserve_bytes: Count = 0  # what the allocator keeps beyond what was used
    longest: Count = 0  # tokens of the longest training row
    widest: Count = 0  # tokens of the largest pass, padding included
    idle_bytes: Count = 0  # what the worker took when its base was loaded and no trial had come
    foretold_bytes: Count = 0  # the fullest moment as the engine foretold it; 0: not known


class MemoryShort(Event, frozen=True, tag="memory-short"):
    """Memory ended while ``trials`` trained at once; ``used_bytes`` were allocated then. ``text`` says what
    was done about it; ``moved`` is the trial that had to leave, -1 for none."""

    worker: str
    device: str  # the engine puts its own name for it
    trials: tuple[Int, ...]
    used_bytes: Count
    text: str
    moved: Int = -1


# -- trials --------------------------------------------------------------------------------------


class TrialQueued(TrialEvent, frozen=True, tag="trial-queued"):
    """A trial was proposed, by the sampler or a person; ``params`` holds the searched knobs, ``knobs`` all of
    them. A clone has a ``parent`` and goes on from its ``checkpoint`` of ``step`` steps. Where it is not
    ``counted`` the sampler is not told its result."""

    params: dict[str, Any]
    knobs: dict[str, Any]
    why: str = ""
    by: str = ""  # empty: the sampler
    parent: Int = -1
    checkpoint: str = ""
    step: Step = 0
    counted: bool = True
    place_of: Int = -1  # the trial of a population whose place it takes


class TrialWeighed(TrialEvent, frozen=True, tag="trial-weighed"):
    """What the trial takes of its device's memory beside the base: its own tensors, and the activations of
    its micro-batch. ``measured_bytes`` is None until it was measured."""

    foretold_bytes: Count
    measured_bytes: Count | None = None


class TrialStarting(TrialEvent, frozen=True, tag="trial-starting"):
    """The trial was given to a worker on a device; ``why`` says why there."""

    worker: str
    device: str
    why: str = ""


class TrialRunning(TrialEvent, frozen=True, tag="trial-running"):
    """The trial is in the pack; it goes from ``step`` to ``total_steps`` (optimizer steps)."""

    step: Step
    total_steps: Step
    trainable: Step = 0  # parameters of the adapter


class TrialReported(TrialEvent, frozen=True, tag="trial-reported"):
    """Training numbers at ``step``; ``elapsed_s`` is training time without pauses."""

    step: Step
    elapsed_s: Seconds
    metrics: Metrics
    notes: tuple[str, ...] = ()


class TrialEvaluated(TrialEvent, frozen=True, tag="trial-evaluated"):
    """Validation numbers at ``step``. ``rows``, under the wilcoxon pruner: the mean loss of each validation
    row, nats, the same row at the same place in all trials; NaN for one without a target within the trial's
    sequence_length."""

    step: Step
    elapsed_s: Seconds
    metrics: Metrics
    rows: tuple[float, ...] = ()


class TrialScored(TrialEvent, frozen=True, tag="trial-scored"):
    """Boards at ``step``, by metric. ``took_s`` is the time that scoring took; ``changes`` those against the
    base on the same samples, where both have values; ``since`` those against the trial's own best scoring
    before, whose step is their reason."""

    step: Step
    elapsed_s: Seconds
    scores: dict[str, Score]
    took_s: Seconds = 0.0
    changes: dict[str, Score] = {}
    since: dict[str, Score] = {}
    last: bool = False  # of a trial that is complete: nothing more is scored
    values: tuple[float, ...] = ()  # the objectives, where they waited for this scoring

    @property
    def metrics(self) -> dict[str, float]:
        """The values, of those that have one."""
        return {name: score.value for name, score in self.scores.items() if score.value is not None}


class TrialScoring(TrialEvent, frozen=True, tag="trial-scoring"):
    """How far the scoring of the snapshot of ``step`` is: ``done`` of ``total`` answers. Live."""

    step: Step
    done: Count
    total: Count
    what: str = ""  # likelihood, or text


class ScoringAssigned(TrialEvent, frozen=True, tag="scoring-assigned"):
    """Another worker scores the complete trial: the one that trained it is gone."""

    worker: str
    device: str


class ScoringEnded(TrialEvent, frozen=True, tag="scoring-ended"):
    """What was pending of a complete trial's scoring is not done: ``why`` says so. The trial keeps the scores
    that it has."""

    why: str


class PauseAsked(TrialEvent, frozen=True, tag="pause-asked"):
    """Somebody asked for a pause; the worker has not confirmed it yet."""

    by: str


class TrialPaused(TrialEvent, frozen=True, tag="trial-paused"):
    """The trial stands still after ``step`` steps."""

    step: Step
    why: str = ""


class ResumeAsked(TrialEvent, frozen=True, tag="resume-asked"):
    """Somebody asked a paused trial to go on, or took a pause back."""

    by: str


class TrialResumed(TrialEvent, frozen=True, tag="trial-resumed"):
    """A paused trial goes on."""

    step: Step


class PruneAsked(TrialEvent, frozen=True, tag="prune-asked"):
    """The pruner or a person wants the trial ended; ``why`` is shown."""

    by: str
    why: str


class TrialPruned(TrialEvent, frozen=True, tag="trial-pruned"):
    """The trial ended early; or, by ``limit``, its last scoring broke a limit that evaluate.on_breach prunes
    for. Nothing else prunes a trial whose training is done."""

    step: Step
    why: str
    limit: bool = False


class TrialCompleted(TrialEvent, frozen=True, tag="trial-completed"):
    """The trial's training ended; ``values`` stand in the order of the study's objectives. They are empty
    where an objective waits for the boards' scores of step ``scoring``, which are still to come."""

    step: Step
    values: tuple[float, ...]
    why: str = ""
    adapter: str = ""  # folder that PeftModel.from_pretrained loads
    scoring: Count = -1  # the step whose boards are scored after it; -1: all is scored


class TrialFailed(TrialEvent, frozen=True, tag="trial-failed"):
    """The trial cannot go on; ``error`` is one line, ``traceback`` the whole."""

    error: str
    traceback: str = ""
    step: Step = 0
    again: bool = False  # a worker's word: nobody foresaw it, another try may do


class TrialInfeasible(TrialEvent, frozen=True, tag="trial-infeasible"):
    """The trial cannot run at all, with the numbers that say so."""

    why: str


class TrialRequeued(TrialEvent, frozen=True, tag="trial-requeued"):
    """The trial lost its worker and waits for another; it goes on from its last checkpoint."""

    why: str
    retry: Count


class TrialCheckpointed(TrialEvent, frozen=True, tag="trial-checkpointed"):
    """A checkpoint of ``step`` steps lies in ``path``."""

    step: Step
    path: str


# What a runner reacts to; readings and confirmations only change the picture.
WAKES_RUNNER = (
    TrialEvaluated, TrialScored, TrialCompleted, TrialPruned, TrialFailed, TrialInfeasible,
    PackMeasured, StudyResumed, MemoryShort, TrialRequeued, StudyChanged,
    ScoringEnded,
)  # fmt: skip
LIVE = (Preparing, PackMeasured, MachineRead, TrialScoring)

AnyEvent = (
    StudyCreated | StudyReopened | StudyPaused | StudyResumed | StudyStopping | StudyEnded | StudyNoted
    | Preparing | PackMeasured | TrialQueued | TrialWeighed | TrialStarting | TrialRunning
    | TrialReported | TrialEvaluated | TrialScored | BaseScored
    | PauseAsked | TrialPaused | ResumeAsked | TrialResumed | PruneAsked | TrialPruned
    | TrialCompleted | TrialFailed | TrialInfeasible | TrialRequeued | TrialCheckpointed
    | MachineRead | MemoryShort | TrialScoring | ScoringAssigned | ScoringEnded
    | EditAsked | TrialEdited | TrialMarked | TrialReprieved | StudyChanged
)  # fmt: skip
