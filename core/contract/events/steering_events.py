"""What people do to a running study beyond pausing, pruning and stopping: each with who did it."""

from __future__ import annotations

from typing import Any

from core.contract.events.event_base import Event, TrialEvent
from core.contract.value_bounds import Step


class EditAsked(TrialEvent, frozen=True, tag="edit-asked"):
    """Somebody wants these knobs changed in a trial as it runs; its worker has not confirmed it yet. Unless
    it is ``counted``, the sampler is told no result of the trial: its parameters are not what it was
    trained with."""

    by: str
    changes: dict[str, Any]
    counted: bool = False


class TrialEdited(TrialEvent, frozen=True, tag="trial-edited"):
    """The trial goes on from ``step`` with other knobs; ``changes`` holds (before, after) of each."""

    step: Step
    changes: dict[str, tuple[Any, Any]]
    by: str = ""
    total_steps: Step = 0  # 0: as before


class TrialMarked(TrialEvent, frozen=True, tag="trial-marked"):
    """A person noted something about a trial, or said where and when it is to run; None leaves as it is."""

    by: str
    note: str | None = None
    starred: bool | None = None
    device: str | None = None  # the only one it may run on; empty: any
    priority: int | None = None  # queued trials with a higher one start first


class TrialReprieved(TrialEvent, frozen=True, tag="trial-reprieved"):
    """A pruned trial is queued again and goes on from its last checkpoint. The sampler still knows it as
    pruned: what was told cannot be taken back."""

    by: str


class StudyChanged(Event, frozen=True, tag="study-changed"):
    """The study goes on with another ``spec``; ``changes`` says what is other, one line each."""

    by: str
    spec: dict[str, Any]
    changes: tuple[str, ...]
