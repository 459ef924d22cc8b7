"""A study that people steered: edits, a clone, stars, notes, pins, an order; and an engine's answers."""

from __future__ import annotations

from core.contract.events import event_types as e
from core.contract.spec.knob_table import list_defaults
from core.contract.wire import console_api
from tests.tui.scene import NOW, study_events

STUDY = "tidy-7b"
CHANGE = console_api.Change(
    ("space.learning_rate: 1e-05 … 0.001 log → 1e-05 … 0.0001 log", "study.sampler: tpe → gp"),
    (
        "3 of 5 ended trials lie within the new space and teach the sampler; 2 do not",
        "the queued trial 9 (learning_rate 0.0008434) lies outside; it runs, and is not told",
    ),
)


def steered_study() -> list[e.Event]:
    """The scene's study after an hour with somebody before it."""
    common = {"at": NOW - 60, "study": STUDY, "by": "console"}
    knobs = {**list_defaults(), "steps": 400, "learning_rate": 5e-5, "lora_rank": 8, "batch_size": 4}
    params = {name: knobs[name] for name in ("learning_rate", "lora_rank", "lora_dropout", "batch_size")}
    rate = {"learning_rate": (0.000386083, 0.000193042)}
    return [
        *study_events(),
        e.EditAsked(**common, trial=6, changes={"learning_rate": 0.000193042}),
        e.TrialEdited(**common, trial=6, step=120, changes=rate),
        e.EditAsked(**common, trial=7, changes={"clip_norm": 0.5}),
        e.TrialMarked(**common, trial=4, starred=True, note="look at this one again"),
        e.TrialMarked(**common, trial=9, device="gpu1", priority=2),
        e.TrialQueued(
            **common, trial=10, params=params, knobs=knobs, why="cloned from trial 6", parent=6, step=200,
            checkpoint="trials/6/step-200", counted=False,
        ),
    ]  # fmt: skip


def answers(request: console_api.AnyRequest) -> console_api.Answer | None:
    """An engine that does what it is asked."""
    if isinstance(request, console_api.EnqueueTrial | console_api.CloneTrial):
        return console_api.Queued(11)
    return CHANGE if isinstance(request, console_api.ChangeStudy) else None
