"""Events of steering beyond pausing, pruning and stopping; each says who did it."""

from __future__ import annotations

from typing import Any

from core.contract.events.event_base import Event, Title, TrialEvent
from core.contract.events.knob_change_text import changes_text, value_text
from core.contract.events.trial_states import ENDED, OPEN, PRUNED
from core.contract.input_size_limits import Step


class EditAsked(TrialEvent, frozen=True, tag="edit-asked"):
    """Somebody wants these knobs changed in a trial as it runs; its worker has not confirmed it yet. Unless
    it is ``counted``, the sampler is told no result of the trial: its parameters are not what it was
    trained with."""

    from_states = OPEN

    by: str
    changes: dict[str, Any]
    counted: bool = False

    @property
    def title(self) -> Title:
        """Return the event's line in the event list."""
        changes = ", ".join(f"{name} = {value_text(value)}" for name, value in self.changes.items())
        return f"edit asked by {self.by}: {changes}", "info"


class TrialEdited(TrialEvent, frozen=True, tag="trial-edited"):
    """The trial goes on from ``step`` with other knobs; ``changes`` holds (before, after) of each."""

    from_worker = True
    from_states = OPEN

    step: Step
    changes: dict[str, tuple[Any, Any]]
    by: str = ""
    total_steps: Step = 0  # 0: as before

    @property
    def title(self) -> Title:
        """Return the event's line in the event list."""
        by = f" by {self.by}" if self.by else ""
        return f"edited{by} at step {self.step}: {changes_text(self.changes)}", "info"


class TrialMarked(TrialEvent, frozen=True, tag="trial-marked"):
    """A person noted something about a trial, or said where and when it is to run; None leaves as it is."""

    from_states = OPEN | ENDED

    by: str
    note: str | None = None
    starred: bool | None = None
    device: str | None = None  # the only one it may run on; empty: any
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
    """A pruned trial is queued again and goes on from its last checkpoint. The sampler still knows it as
    pruned: what was told cannot be taken back."""

    from_states = frozenset({PRUNED})

    by: str

    @property
    def title(self) -> Title:
        """Return the event's line in the event list."""
        return f"queued again by {self.by}, who took the prune back", "info"


class StudyChanged(Event, frozen=True, tag="study-changed"):
    """The study goes on with another ``spec``; ``changes`` says what is other, one line each."""

    wakes_runner = True

    by: str
    spec: dict[str, Any]
    changes: tuple[str, ...]
