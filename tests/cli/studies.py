"""States and events for the verbs."""

from __future__ import annotations

from typing import Any

from core.contract.events import event_types as e
from core.contract.metric_score import Score
from core.contract.state import engine_state as s
from core.contract.state import event_fold

OBJECTIVE = [{"metric": "eval/loss", "direction": "minimize"}]


def created(name: str = "small", at: float = 100.0, folder: str = "/studies/small", **study: Any) -> e.Event:
    """A study of three trials was accepted; ``evaluate`` is its section of that name."""
    evaluate = study.pop("evaluate", {})
    section = {"name": name, "trials": 3, "objectives": OBJECTIVE, **study}
    return e.StudyCreated(at=at, study=name, spec={"study": section, "evaluate": evaluate}, folder=folder)


def trial(number: int, end: e.Event | None = None, study: str = "small") -> list[e.Event]:
    """A trial from its proposal to its first reading, and then to ``end``."""
    same: dict[str, Any] = {"study": study, "trial": number}
    return [
        e.TrialQueued(
            at=101.0, params={"lora_rank": 8}, knobs={"lora_rank": 8, "seed": 0}, why="tpe", **same
        ),
        e.TrialStarting(at=102.0, worker="w0", device="cpu", **same),
        e.TrialRunning(at=103.0, step=0, total_steps=40, **same),
        e.TrialReported(at=104.0, step=10, elapsed_s=1.0, metrics={"train/loss": 2.5}, **same),
        *([end] if end else []),
    ]


def scored(number: int, toxicity: float = 0.25) -> list[e.Event]:
    """The base and a trial on two boards; one metric has no value."""
    base = {"safety/toxicity": Score(0.02, 0.01, 0.04, 100), "quality/bleu": Score(21.0, 20.0, 22.0, 50)}
    found = {
        "safety/toxicity": Score(toxicity, toxicity - 0.05, toxicity + 0.07, 64),
        "quality/bleu": Score(21.5, 20.4, 22.6, 50),
        "security/exposure": Score.without_value("no canaries were planted"),
    }
    return [
        e.BaseScored(at=104.0, study="small", scores=base),
        e.TrialScored(at=105.0, study="small", trial=number, step=10, elapsed_s=1.0, scores=found),
    ]


def completed(number: int, loss: float, adapter: str = "trials/0/adapter") -> e.Event:
    """The trial's end with a value."""
    return e.TrialCompleted(
        at=110.0 + number, study="small", trial=number, step=40, values=(loss,), adapter=adapter
    )


def pending(number: int, *values: float, at: float = 110.0) -> e.Event:
    """The trial's training is done; its boards are still scored."""
    same: dict[str, Any] = {"study": "small", "trial": number}
    return e.TrialCompleted(
        at=at + number, step=40, values=values, scoring=40, adapter="trials/0/adapter", **same
    )


def scoring(number: int, done: int, total: int, at: float = 115.0, step: int = 40) -> e.Event:
    """How far the scoring of a trial is."""
    return e.TrialScoring(at=at, study="small", trial=number, step=step, done=done, total=total)


def based(loss: float = 3.28) -> e.Event:
    """The base's loss on the sampled validation rows."""
    return e.BaseScored(at=104.0, study="small", scores={"quality/loss": Score(loss, 3.0, 3.5, 64)})


def ended(outcome: str = "complete") -> e.Event:
    """The study's end."""
    return e.StudyEnded(at=200.0, study="small", outcome=outcome, why="all trials are done")


def state(*events: e.Event) -> s.State:
    """What comes of the events."""
    found = s.State()
    for event in events:
        assert event_fold.explain_refusal(found, event) is None, event
        found = event_fold.apply(found, event)
    return found
