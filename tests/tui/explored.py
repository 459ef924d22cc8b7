"""A study that has gone on for a while, with one objective or two, and what an engine answers of it."""

from __future__ import annotations

import math
import random

from core.contract.events import event_types as e
from core.contract.metric_score import Score
from core.contract.spec.knob_table import list_defaults
from core.contract.wire import console_api
from core.contract.wire.search_state import Entry, Importance, Rung, SearchState
from tests.tui.scene import NOW, SPEC, no_card

TWO = [
    {"metric": "eval/loss", "direction": "minimize"},
    {"metric": "quality/bleu", "direction": "maximize"},
]
RUNGS = (20, 80, 320)


def explored_study(count: int = 40, objectives: int = 1) -> list[e.Event]:
    """The study's events: what matters is the learning rate, then the rank; some trials end early."""
    study = {**SPEC["study"], "trials": count + 8, "pruner": "halving"}
    if objectives == 2:
        study |= {"objectives": TWO, "pruner": "none", "sampler": "nsga2"}
    told: list[e.Event] = [
        e.StudyCreated(at=NOW - 9000, study="tidy-7b", spec={**SPEC, "study": study}, folder="/s")
    ]
    for number in range(count):
        told += _trial(number, objectives)
    return told


def _trial(number: int, objectives: int) -> list[e.Event]:
    draw = random.Random(7000 + number)
    params = {
        "learning_rate": 10 ** draw.uniform(-5, -3),
        "lora_rank": draw.choice([8, 16, 32]),
        "lora_dropout": draw.choice([0.0, 0.05]),
        "batch_size": draw.choice([2, 4]),
    }
    away = math.log10(params["learning_rate"]) + 3.7
    floor = 1.1 + 0.5 * away**2 + 0.1 / math.log2(params["lora_rank"]) + draw.gauss(0, 0.02)
    common = {"study": "tidy-7b", "trial": number}
    at = NOW - 8800 + 200 * number
    knobs = {**list_defaults(), "steps": 400, **params}
    told: list[e.Event] = [
        e.TrialQueued(at=at, **common, params=params, knobs=knobs, why="tpe"),
        e.TrialStarting(at=at + 1, **common, worker="cpu-a1b2c3", device="cpu"),
        e.TrialRunning(at=at + 2, **common, step=0, total_steps=400, trainable=40_370_176),
    ]
    last = _last_step(number, floor, objectives)
    for step in range(20, last + 1, 20):
        held = floor + 1.4 * math.exp(-step / 80)
        speed = 5200.0 if step <= 200 else 2600.0  # a second trial joined
        elapsed = step * 1.5 if step <= 200 else 300 + (step - 200) * 3.0
        train = {"train/loss": held - 0.05 + draw.gauss(0, 0.03), "train/tokens_per_s": speed}
        told.append(e.TrialReported(at=at + step / 4, **common, step=step, elapsed_s=elapsed, metrics=train))
        found = {"eval/loss": held, "eval/accuracy": 0.8 - held / 8}
        told.append(e.TrialEvaluated(at=at + step / 4, **common, step=step, elapsed_s=elapsed, metrics=found))
    bleu = 20 + 6 * params["lora_rank"] / 32 + 9 * away + draw.gauss(0, 0.5)
    if last >= 320:
        scores = {"quality/bleu": Score(bleu, bleu - 1.2, bleu + 1.2, 64), "safety/toxicity": _share(draw)}
        told.append(e.TrialScored(at=at + last / 4, **common, step=last, elapsed_s=elapsed, scores=scores))
    return [*told, *_end(number, last, at, (held, bleu)[:objectives], common)]


def _share(draw: random.Random) -> Score:
    value = draw.uniform(0.02, 0.12)
    return Score(value, max(0.0, value - 0.04), value + 0.05, 64)


def _last_step(number: int, floor: float, objectives: int) -> int:
    if number % 17 == 11:
        return 60
    if objectives == 2 or floor < 1.45 or number < 2:
        return 400
    return 80 if floor < 1.9 else 20


def _end(number: int, last: int, at: float, values: tuple[float, ...], common) -> list[e.Event]:
    when = at + 150
    if number % 17 == 11:
        return [e.TrialFailed(at=when, **common, error="the loss is nan at step 61", step=last)]
    if last == 400:
        return [e.TrialCompleted(at=when, **common, step=last, values=values, adapter="/a")]
    rung = RUNGS.index(last)
    why = f"halving pruner: eval/loss {values[0]:.4g} at step {last} is not in the best 1/4 of rung {rung}"
    return [
        e.PruneAsked(at=when, **common, by="the pruner", why=why),
        e.TrialPruned(at=when, **common, step=last, why=why),
    ]


def answers(request: console_api.AnyRequest) -> console_api.Answer | None:
    """An engine that knows which knobs matter and how the search stands."""
    if isinstance(request, console_api.AskImportance):
        asks = "of what sets the best 13 % apart from all trials"
        shares = {"learning_rate": 0.71, "lora_rank": 0.19, "batch_size": 0.07, "lora_dropout": 0.03}
        if request.method == "fanova":
            why = "fanova needs scikit-learn: pip install scikit-learn; ped-anova needs nothing more"
            return Importance("fanova", "eval/loss", trials=38, known=38, why_none=why)
        return Importance(request.method, "eval/loss", shares, 38, 20, 38, asks)
    if isinstance(request, console_api.AskSearch):
        lines = (
            ("sampler", "tpe: Tree-structured Parzen Estimator, all knobs together"),
            ("learns from", "38 trials: 18 complete, 20 stopped early"),
            ("random start", "over: 5 trials were enough"),
            ("seed", "0"),
        )
        return SearchState(lines, _rungs())
    return None


def _rungs() -> tuple[Rung, ...]:
    fates = ["promoted"] * 8 + ["running"] + ["stopped"] * 21
    first = tuple(Entry(number, 2.0 + number / 50, fate) for number, fate in enumerate(fates))
    second = tuple(
        Entry(number, 1.4 + number / 50, "complete" if number < 3 else "stopped") for number in range(8)
    )
    return (Rung(0, 0, 20, first), Rung(0, 1, 80, second))


SCENES = {
    "explored": (explored_study(), no_card()),
    "two": (explored_study(objectives=2), no_card()),
}
