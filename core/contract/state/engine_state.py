"""The immutable state of the engine. ``core.contract.state.event_fold`` computes the next one."""

from __future__ import annotations

from typing import Any

import msgspec

from core.contract.events.event_types import Device, Host, PackMeasured, Worker
from core.contract.events.trial_states import COMPLETE as COMPLETE
from core.contract.events.trial_states import ENDED as ENDED
from core.contract.events.trial_states import FAILED as FAILED
from core.contract.events.trial_states import INFEASIBLE as INFEASIBLE
from core.contract.events.trial_states import LIVE_STUDY as LIVE_STUDY
from core.contract.events.trial_states import ON_WORKER as ON_WORKER
from core.contract.events.trial_states import PAUSED as PAUSED
from core.contract.events.trial_states import PRUNED as PRUNED
from core.contract.events.trial_states import QUEUED as QUEUED
from core.contract.events.trial_states import RUNNING as RUNNING
from core.contract.events.trial_states import STARTING as STARTING
from core.contract.metric_score import Score
from core.contract.spec import study_spec
from core.contract.spec.study_spec import StudySpec
from core.contract.state.machine_history import DAY, HOUR, MINUTE, Track
from core.contract.state.thinned_series import Series

LINES = 200  # event lines kept for a study, and for a trial
RATINGS = 5000  # the latest kept of a study
STOPS = 48  # checkpoints and resumes kept of a trial
MACHINE_POINTS = 240  # readings of each device kept as history


class Line(msgspec.Struct, frozen=True, array_like=True):
    """A line of an event list: time (Unix seconds), text, and info, warning or error."""

    at: float
    text: str
    level: str = "info"


class Mark(msgspec.Struct, frozen=True, array_like=True):
    """What a person did to a trial after ``step`` steps, or where it stopped: drawn on its curves."""

    step: int
    text: str


class Rating(msgspec.Struct, frozen=True, array_like=True):
    """Which of two answers a person preferred, by the side it stood on; -1 is the base."""

    left: int
    right: int
    choice: str  # left, right or tie
    drawn: bool = False  # the pair was chosen at random


class Trial(msgspec.Struct, frozen=True):
    """A trial.

    ``asked`` is pause, resume or prune while the worker has not confirmed it, ``editing`` the knobs that are
    to change. Results that are not ``counted`` are not reported to the sampler.
    """

    number: int
    state: str = QUEUED
    asked: str = ""
    params: dict[str, Any] = {}
    knobs: dict[str, Any] = {}
    step: int = 0
    total_steps: int = 0
    trainable: int = 0
    elapsed_s: float = 0.0  # training time without pauses
    queued_at: float = 0.0
    started_at: float | None = None
    ended_at: float | None = None
    latest: dict[str, float] = {}
    series: dict[str, Series] = {}
    values: tuple[float, ...] = ()
    lines: tuple[Line, ...] = ()
    why: str = ""
    error: str = ""
    traceback: str = ""
    worker: str = ""
    device: str = ""
    adapter: str = ""
    checkpoint: str = ""
    checkpoint_step: int = 0
    retry: int = 0
    scores: dict[str, Score] = {}  # the latest of each metric of the boards
    changes: dict[
        str, Score
    ] = {}  # of ``scores`` against the base on the same samples, where both have values
    scored_step: int = 0
    scoring: int = -1  # the step that is being scored; -1: none. Of a complete trial: still to come
    scoring_done: int = 0  # answers
    scoring_total: int = 0
    scoring_from: tuple[int, float] = (0, 0.0)  # answers at the first report, and its time
    scoring_at: float = 0.0  # the time of the latest report
    clock: Series = Series()  # times of steps, Unix seconds, since it last started
    earlier_clock: Series = Series()  # those before that start: its pace until the present one is known
    foretold_bytes: int | None = None  # of its device's memory, without the base
    measured_bytes: int | None = None
    by: str = ""  # who queued it; empty: the sampler
    parent: int = -1  # the trial that it was cloned from
    counted: bool = True
    editing: dict[str, Any] = {}
    marks: tuple[Mark, ...] = ()
    stops: tuple[Mark, ...] = ()  # the latest checkpoints and resumes
    note: str = ""
    starred: bool = False
    pinned: str = ""  # the only device that it may run on
    priority: int = 0
    place_of: int = -1  # the trial of a population that it replaced

    @property
    def has_begun(self) -> bool:
        """Whether the worker trains the trial; it does not while it loads the base."""
        return bool(self.clock.steps)

    @property
    def pending(self) -> bool:
        """Tell whether the training is done and the last scoring is still to come."""
        return self.state == COMPLETE and self.scoring >= 0


class Preparation(msgspec.Struct, frozen=True):
    """A long wait of a worker before training; ``total`` is 0 if its length is unknown."""

    stage: str
    done: int = 0
    total: int = 0
    unit: str = ""
    since: float = 0.0


class Study(msgspec.Struct, frozen=True):
    """One study; ``state`` is running, paused, stopping, complete, stopped or failed."""

    name: str
    state: str = "running"
    why: str = ""
    spec: dict[str, Any] = {}  # as on disk and on the wire; read ``settings`` instead
    folder: str = ""
    total_trials: int = 0
    created_at: float = 0.0
    ended_at: float | None = None
    trials: dict[int, Trial] = {}
    lines: tuple[Line, ...] = ()
    preparing: dict[str, Preparation] = {}  # by worker
    packs: dict[str, PackMeasured] = {}  # the latest of each worker
    base_scores: dict[str, Score] = {}  # of the base model, by metric
    ratings: tuple[Rating, ...] = ()
    left_share: Score | None = None  # of the ratings that chose a side: about ½ without a side bias

    @property
    def settings(self) -> StudySpec:
        """Return the spec with types and defaults."""
        return study_spec.from_raw(self.spec)

    @property
    def objectives(self) -> tuple[tuple[str, str], ...]:
        """Return (metric, direction) in the order of a trial's ``values``."""
        return tuple((objective.metric, objective.direction) for objective in self.settings.study.objectives)

    @property
    def is_untrained(self) -> bool:
        """Tell whether the study ended without a trained step."""
        return self.state not in LIVE_STUDY and not any(
            trial.step or trial.state == COMPLETE for trial in self.trials.values()
        )


class Past(msgspec.Struct, frozen=True):
    """History of one device or the host, oldest first; None where a reading was missing.

    The tracks hold whole numbers: memory and load in percent; of a device its power in W and its temperature
    in °C, of the host what it receives and sends in kB/s.
    """

    used: tuple[float | None, ...] = ()  # fraction of its memory
    utilisation: tuple[float | None, ...] = ()  # 0 to 1
    minute: Track = MINUTE
    hour: Track = HOUR
    day: Track = DAY


class Machine(msgspec.Struct, frozen=True):
    """The latest reading of the machine, and its recent history."""

    read_at: float = 0.0
    devices: tuple[Device, ...] = ()
    host: Host = Host()
    workers: tuple[Worker, ...] = ()
    why_none: str = ""
    past: dict[str, Past] = {}  # by device index as text, and "host"


class State(msgspec.Struct, frozen=True):
    """The whole state: the studies by name, oldest first, and the machine."""

    studies: dict[str, Study] = {}
    machine: Machine = Machine()
