"""Events of steering beyond pausing, pruning and stopping; each says who did it."""

from __future__ import annotations

from typing import Any, Literal

from core.contract.events.event_base import Event, Title, TrialEvent
from core.contract.events.knob_change_text import format_changes, format_value
from core.contract.events.trial_states import ENDED, OPEN, PRUNED
from core.contract.input_size_limits import Int, Step
from core.contract.metric_score import Score


class EditAsked(TrialEvent, frozen=True, tag="edit-asked"):
    """A person or the engine requested new values of these knobs for a running trial; its worker has not
    confirmed them yet.

    Unless it is ``counted``, the sampler gets no result of the trial, since the trial was not trained with
    the parameters that the sampler proposed.
    """

    from_states = OPEN

    by: str
    changes: dict[str, Any]
    counted: bool = False

    @property
    def title(self) -> Title:
        """Return the event's line in the event list."""
        changes = ", ".join(f"{name} = {format_value(value)}" for name, value in self.changes.items())
        return f"edit requested by {self.by}: {changes}", "info"


class TrialEdited(TrialEvent, frozen=True, tag="trial-edited"):
    """The trial continues from ``step`` with other knobs; ``changes`` holds (before, after) of each."""

    from_worker = True
    from_states = OPEN

    step: Step
    changes: dict[str, tuple[Any, Any]]
    by: str = ""
    total_steps: Step = 0  # 0: as before

    @property
    def title(self) -> Title:
        """Return the event's line in the event list."""
        author = f" by {self.by}" if self.by else ""
        return f"edited{author} at step {self.step}: {format_changes(self.changes)}", "info"


class TrialMarked(TrialEvent, frozen=True, tag="trial-marked"):
    """A person annotated a trial, or pinned it to a device or gave it a priority; None leaves a value as it
    is."""

    from_states = OPEN | ENDED

    by: str
    note: str | None = None
    starred: bool | None = None
    device: str | None = None  # the only device for the trial; empty: any
    priority: int | None = None  # queued trials with a higher one start first

    @property
    def title(self) -> Title:
        """Return the event's line in the event list."""
        marks = []
        if self.starred is not None:
            marks.append("starred" if self.starred else "no longer starred")
        if self.note is not None:
            marks.append(f"noted: {self.note}" if self.note else "note removed")
        if self.device is not None:
            marks.append(f"pinned to {self.device}" if self.device else "no longer pinned")
        if self.priority is not None:
            marks.append(f"priority {self.priority}")
        return f"{', '.join(marks)} (by {self.by})", "info"


class TrialReprieved(TrialEvent, frozen=True, tag="trial-reprieved"):
    """A pruned trial is queued again and continues from its last checkpoint.

    The sampler still has it as pruned: a reported result cannot be withdrawn.
    """

    from_states = frozenset({PRUNED})

    by: str

    @property
    def title(self) -> Title:
        """Return the event's line in the event list."""
        return f"queued again by {self.by}, who took the prune back", "info"


class RatingGiven(Event, frozen=True, tag="rating-given"):
    """A person compared two answers to a prompt without knowing whose they were; -1 is the base.

    ``drawn`` pairs were chosen at random. With this rating, ``strengths`` are those of all trials and
    ``left_share`` is the share of the left side among the ratings that chose one.
    """

    wakes_runner = True

    by: str
    left: Int
    right: Int
    choice: Literal["left", "right", "tie"]
    prompt_hash: str = ""  # the first 16 hex digits of its SHA-256
    drawn: bool = False
    strengths: dict[int, Score] = {}
    left_share: Score | None = None


class StudyChanged(Event, frozen=True, tag="study-changed"):
    """The study continues with another ``spec``; ``changes`` lists the differences, one line each."""

    wakes_runner = True

    by: str
    spec: dict[str, Any]
    changes: tuple[str, ...]
