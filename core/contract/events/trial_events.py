"""Events about one trial, from the sampler, the engine and its worker."""

from __future__ import annotations

from typing import Any

from core.contract.events.event_base import Title, TrialEvent
from core.contract.events.trial_states import BEGUN, ON_WORKER, OPEN, PAUSED, QUEUED, STARTING
from core.contract.input_size_limits import Count, Int, Metrics, Seconds, Step
from core.contract.metric_score import Score


class TrialQueued(TrialEvent, frozen=True, tag="trial-queued"):
    """A trial was proposed by the sampler or a person; ``params`` holds the searched knobs, ``knobs`` all of
    them.

    A clone has a ``parent`` and continues from its ``checkpoint`` of ``step`` steps. Unless the trial is
    ``counted``, its result is not reported to the sampler.
    """

    params: dict[str, Any]
    knobs: dict[str, Any]
    why: str = ""
    by: str = ""  # empty: the sampler
    parent: Int = -1
    checkpoint: str = ""
    step: Step = 0
    counted: bool = True
    place_of: Int = -1  # the trial of a population that it replaces

    @property
    def title(self) -> Title:
        """Return the event's line in the event list."""
        return (f"queued: {self.why}" if self.why else "queued"), "info"


class TrialWeighed(TrialEvent, frozen=True, tag="trial-weighed"):
    """The trial's memory on its device, without the base: its own tensors, and the activations of its
    micro-batch.

    ``measured_bytes`` is None until it was measured.
    """

    from_states = OPEN

    foretold_bytes: Count
    measured_bytes: Count | None = None


class TrialStarting(TrialEvent, frozen=True, tag="trial-starting"):
    """The trial was assigned to a worker on a device; ``why`` gives the reason for the device."""

    from_states = frozenset({QUEUED})

    worker: str
    device: str
    why: str = ""

    @property
    def title(self) -> Title:
        """Return the event's line in the event list."""
        return f"starting on {self.device}" + (f": {self.why}" if self.why else ""), "info"


class TrialRunning(TrialEvent, frozen=True, tag="trial-running"):
    """The trial is in the pack; it goes from ``step`` to ``total_steps`` (optimizer steps)."""

    from_worker = True
    from_states = frozenset({STARTING, PAUSED})  # paused while its worker loaded the base

    step: Step
    total_steps: Step
    trainable: Step = 0  # parameters of the adapter

    @property
    def title(self) -> Title:
        """Return the event's line in the event list."""
        return f"running from step {self.step} of {self.total_steps}", "info"


class TrialReported(TrialEvent, frozen=True, tag="trial-reported"):
    """Training numbers at ``step``; ``elapsed_s`` is training time without pauses."""

    urgent = False
    from_worker = True
    from_states = BEGUN

    step: Step
    elapsed_s: Seconds
    metrics: Metrics
    notes: tuple[str, ...] = ()


class TrialEvaluated(TrialEvent, frozen=True, tag="trial-evaluated"):
    """Validation numbers at ``step``. ``rows``, under the wilcoxon pruner: the mean loss of each validation
    row, nats, the same row at the same place in all trials; NaN for one without a target within the trial's
    sequence_length."""

    urgent = False
    from_worker = True
    wakes_runner = True
    from_states = BEGUN

    step: Step
    elapsed_s: Seconds
    metrics: Metrics
    rows: tuple[float, ...] = ()


class TrialScored(TrialEvent, frozen=True, tag="trial-scored"):
    """Boards at ``step``, by metric. ``took_s`` is the time that scoring took; ``changes`` those against the
    base on the same samples, where both have values; ``since`` those against the trial's own best scoring
    before, whose step is their reason."""

    from_worker = True
    wakes_runner = True
    from_states = BEGUN
    while_scoring = True

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
        """Return the values, of those that have one."""
        return {name: score.value for name, score in self.scores.items() if score.value is not None}

    @property
    def title(self) -> Title:
        """Return the event's line in the event list."""
        return (f"scored at step {self.step}" if self.last else ""), "info"


class TrialScoring(TrialEvent, frozen=True, tag="trial-scoring"):
    """Progress of scoring the snapshot of ``step``: ``done`` of ``total`` answers. Live."""

    journaled = False
    urgent = False
    from_worker = True
    from_states = BEGUN
    while_scoring = True

    step: Step
    done: Count
    total: Count
    what: str = ""  # likelihood, or text


class ScoringAssigned(TrialEvent, frozen=True, tag="scoring-assigned"):
    """Another worker scores the complete trial, because the worker that trained it has ended."""

    from_states = frozenset()
    while_scoring = True

    worker: str
    device: str


class ScoringEnded(TrialEvent, frozen=True, tag="scoring-ended"):
    """The pending scoring of a complete trial is cancelled for the reason ``why``; the trial keeps its
    earlier scores."""

    from_worker = True
    wakes_runner = True
    from_states = frozenset()
    while_scoring = True

    why: str

    @property
    def title(self) -> Title:
        """Return the event's line in the event list."""
        return f"not scored further: {self.why}", "warning"


class PauseAsked(TrialEvent, frozen=True, tag="pause-asked"):
    """Someone asked for a pause; the worker has not confirmed it yet."""

    from_states = ON_WORKER

    by: str

    @property
    def title(self) -> Title:
        """Return the event's line in the event list."""
        return f"pause requested by {self.by}", "info"


class TrialPaused(TrialEvent, frozen=True, tag="trial-paused"):
    """The trial is paused after ``step`` steps, or stays so: ``why`` says what kept it from resuming."""

    from_worker = True
    from_states = ON_WORKER

    step: Step
    why: str = ""

    @property
    def title(self) -> Title:
        """Return the event's line in the event list."""
        text = f"paused at step {self.step}"
        return (f"{text}: {self.why}", "warning") if self.why else (text, "info")


class ResumeAsked(TrialEvent, frozen=True, tag="resume-asked"):
    """Someone requested that a paused trial continue, or withdrew a pause."""

    from_states = ON_WORKER

    by: str

    @property
    def title(self) -> Title:
        """Return the event's line in the event list."""
        return f"resume requested by {self.by}", "info"


class TrialResumed(TrialEvent, frozen=True, tag="trial-resumed"):
    """A paused trial continues."""

    from_worker = True
    from_states = BEGUN

    step: Step

    @property
    def title(self) -> Title:
        """Return the event's line in the event list."""
        return f"resumed at step {self.step}", "info"


class PruneAsked(TrialEvent, frozen=True, tag="prune-asked"):
    """The pruner or a person wants the trial ended; ``why`` is shown."""

    from_states = OPEN

    by: str
    why: str

    @property
    def title(self) -> Title:
        """Return the event's line in the event list."""
        return f"prune requested by {self.by}: {self.why}", "info"


class TrialPruned(TrialEvent, frozen=True, tag="trial-pruned"):
    """The trial ended early; or, by ``limit``, its last scoring broke a limit that evaluate.on_breach prunes
    for. Nothing else prunes a trial whose training is done."""

    from_worker = True
    wakes_runner = True
    from_states = OPEN

    step: Step
    why: str
    limit: bool = False

    @property
    def title(self) -> Title:
        """Return the event's line in the event list."""
        return f"pruned at step {self.step}: {self.why}", "info"


class TrialCompleted(TrialEvent, frozen=True, tag="trial-completed"):
    """The trial's training ended; ``values`` stand in the order of the study's objectives. They are empty
    where an objective waits for the boards' scores of step ``scoring``, which are still to come, or for
    people's ratings."""

    from_worker = True
    wakes_runner = True
    from_states = OPEN  # queued or starting: all its steps were done before it lost its worker

    step: Step
    values: tuple[float, ...]
    why: str = ""
    adapter: str = ""  # folder that PeftModel.from_pretrained loads
    scoring: Count = -1  # the step whose boards are scored after it; -1: all is scored

    @property
    def title(self) -> Title:
        """Return the event's line in the event list."""
        more = ", its last scores are to come" if self.scoring >= 0 else ""
        return f"complete: {self.why or f'{self.step} steps done'}{more}", "info"


class TrialFailed(TrialEvent, frozen=True, tag="trial-failed"):
    """The trial cannot continue; ``error`` is one line, ``traceback`` the full text."""

    from_worker = True
    wakes_runner = True
    from_states = OPEN
    while_scoring = True

    error: str
    traceback: str = ""
    step: Step = 0
    again: bool = False  # the worker reports an unexpected error: a retry may succeed

    @property
    def title(self) -> Title:
        """Return the event's line in the event list."""
        return f"failed: {self.error}", "error"


class TrialInfeasible(TrialEvent, frozen=True, tag="trial-infeasible"):
    """The trial can never run; the reason includes the numbers."""

    from_worker = True
    wakes_runner = True
    from_states = OPEN

    why: str

    @property
    def title(self) -> Title:
        """Return the event's line in the event list."""
        return f"infeasible, it never fits: {self.why}", "warning"


class TrialRequeued(TrialEvent, frozen=True, tag="trial-requeued"):
    """The trial lost its worker and waits for another; it continues from its last checkpoint."""

    from_worker = True
    wakes_runner = True
    from_states = ON_WORKER

    why: str
    retry: Count

    @property
    def title(self) -> Title:
        """Return the event's line in the event list."""
        return f"queued again ({self.retry}): {self.why}", "warning"


class TrialCheckpointed(TrialEvent, frozen=True, tag="trial-checkpointed"):
    """A checkpoint of ``step`` steps lies in ``path``."""

    from_worker = True
    from_states = ON_WORKER

    step: Step
    path: str
