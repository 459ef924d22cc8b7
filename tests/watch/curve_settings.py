"""The trials whose curves are recorded: what each family varies, drawn from the family's name and a seed."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

FRESH = 1000  # the first seed of the curves that were recorded after the rules had been judged once
LAST = 2000  # the same after a second time
Knobs = dict[str, Any]


@dataclass(frozen=True)
class Setting:
    """One trial to record. ``edits``: knobs changed after a number of steps, as a person would."""

    family: str
    seed: int
    data: str
    knobs: Knobs
    edits: dict[int, Knobs] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.family}-{self.seed}"

    @property
    def split(self) -> str:
        """``develop``, ``judge``, ``fresh`` or ``last``, by the seed alone."""
        if self.seed >= LAST:
            return "last"
        if self.seed >= FRESH:
            return "fresh"
        return "develop" if self.seed % 2 == 0 else "judge"


Draw = Callable[[random.Random], tuple[Knobs, dict[int, Knobs]]]


def _between(dice: random.Random, low: float, high: float) -> float:
    """Draw log-uniformly, three digits."""
    return float(f"{low * (high / low) ** dice.random():.3g}")


def _plain(dice: random.Random, **changed: Any) -> Knobs:
    rank = dice.choice([4, 8, 16])
    knobs = {
        "steps": dice.choice([100, 120, 160, 240]),
        "learning_rate": _between(dice, 1.5e-3, 8e-3),
        "batch_size": dice.choice([4, 8]),
        "sequence_length": 64,
        "lora_rank": rank,
        "lora_alpha": 2.0 * rank,
        "scheduler": dice.choice(["cosine", "linear", "cosine", "constant"]),
        "warmup": dice.choice([0.03, 0.05, 0.1]),
        "clip_norm": dice.choice([10.0, 10.0, 0.0, 0.0, 1.0]),
        "seed": dice.randrange(1000),
    }
    return {**knobs, **changed}


def _short(dice: random.Random) -> tuple[Knobs, dict[int, Knobs]]:
    return _plain(
        dice, steps=dice.choice([50, 60, 80]), scheduler="constant", learning_rate=_between(dice, 6e-4, 2e-3)
    ), {}


def _spikes(dice: random.Random) -> tuple[Knobs, dict[int, Knobs]]:
    """A person raises the rate for a few steps and takes it back."""
    knobs = _plain(dice, scheduler="constant", steps=dice.choice([160, 200]))
    at, rate = dice.randrange(60, knobs["steps"] - 50), knobs["learning_rate"]
    length, factor = dice.choice([2, 3, 5]), dice.choice([15, 30, 60])
    return knobs, {at: {"learning_rate": rate * factor}, at + length: {"learning_rate": rate}}


def _short_spikes(dice: random.Random) -> tuple[Knobs, dict[int, Knobs]]:
    """Two steps at a rate that is too high: the loss leaps, and has the time to come back."""
    knobs = _plain(
        dice, scheduler="constant", steps=200, learning_rate=_between(dice, 2e-3, 4e-3), batch_size=8
    )
    at, rate = dice.randrange(45, 70), knobs["learning_rate"]
    length, factor = 2, dice.choice([12, 16, 20])
    return knobs, {at: {"learning_rate": rate * factor}, at + length: {"learning_rate": rate}}


def _clear_spikes(dice: random.Random) -> tuple[Knobs, dict[int, Knobs]]:
    """The same on short rows, whose loss has little noise."""
    knobs, _ = _short_spikes(dice)
    knobs |= {"steps": 160, "learning_rate": _between(dice, 1e-3, 2e-3)}
    at, rate = dice.randrange(50, 80), knobs["learning_rate"]
    return knobs, {
        at: {"learning_rate": rate * dice.choice([25, 40, 60])},
        at + dice.choice([1, 2]): {"learning_rate": rate},
    }


def _stalled(dice: random.Random) -> tuple[Knobs, dict[int, Knobs]]:
    """A person lowers the rate so far that nothing more is learned."""
    knobs = _plain(dice, scheduler="constant", steps=dice.choice([160, 200]))
    at = dice.randrange(40, 70)
    return knobs, {at: {"learning_rate": knobs["learning_rate"] * 1e-3}}


def _raised(dice: random.Random) -> tuple[Knobs, dict[int, Knobs]]:
    """A person raises the rate in mid-run, and leaves it there."""
    knobs = _plain(dice, scheduler="constant", steps=dice.choice([160, 200]))
    at = dice.randrange(40, knobs["steps"] - 60)
    return knobs, {at: {"learning_rate": knobs["learning_rate"] * dice.choice([30, 60, 100])}}


def _only(**ranges: tuple[float, float]) -> Draw:
    """Draw the plain knobs, with these in other ranges."""
    return lambda dice: (_plain(dice, **{name: _between(dice, *ends) for name, ends in ranges.items()}), {})


def _fixed(**changed: Any) -> Draw:
    def draw(dice: random.Random) -> tuple[Knobs, dict[int, Knobs]]:
        chosen = {
            name: dice.choice(value) if isinstance(value, list) else value for name, value in changed.items()
        }
        return _plain(dice, **chosen), {}

    return draw


FAMILIES: dict[str, tuple[str, int, Draw]] = {  # family: data, number of trials, draw
    "plain": ("stdlib", 30, _only()),
    "plain-bf16": ("stdlib-bf16", 14, _only()),
    "plain-wide": ("stdlib-wide", 12, _only(learning_rate=(1e-3, 5e-3))),
    "plain-small-batch": ("stdlib", 10, _fixed(batch_size=1, steps=[160, 240])),
    "rate-low": ("stdlib", 12, _only(learning_rate=(1e-7, 2e-5))),
    "rate-low-bf16": ("stdlib-bf16", 4, _only(learning_rate=(1e-7, 1e-5))),
    "rate-high": ("stdlib", 16, _only(learning_rate=(0.08, 1.0))),
    "rate-high-bf16": ("stdlib-bf16", 6, _only(learning_rate=(0.08, 1.0))),
    "no-warmup": ("stdlib", 6, _fixed(warmup=0.0, learning_rate=[0.03, 0.05, 0.08])),
    "clip-tight": ("stdlib", 12, _fixed(clip_norm=[0.01, 0.02, 0.05])),
    "spikes": ("stdlib", 16, _spikes),
    "raised": ("stdlib", 10, _raised),
    "short": ("stdlib", 14, _short),
    "overflow": ("stdlib", 10, _fixed(learning_rate=10.0, weight_decay=10.0, clip_norm=[0.0, 10.0])),
    "rate-absurd": ("stdlib", 8, _fixed(learning_rate=10.0, clip_norm=0.0, lora_alpha=[4096.0, 65536.0])),
    "few-rows": ("few", 14, _fixed(steps=[160, 240], learning_rate=[0.004, 0.006, 0.01])),
    "random-labels": ("random", 8, _fixed(steps=[160, 240], learning_rate=[0.005, 0.008, 0.012])),
    "eval-small": ("small-eval", 14, _fixed(batch_size=[1, 2], steps=[160, 240],
                                            learning_rate=[0.006, 0.01, 0.015], scheduler="constant")),
    "spikes-short": ("stdlib", 16, _short_spikes),
    "spikes-clear": ("join", 16, _clear_spikes),
    "stalled": ("stdlib", 14, _stalled),
    "converged": ("join", 8, _fixed(steps=[200, 240], learning_rate=[0.002, 0.003, 0.004])),
    "easy": ("join", 12, _fixed(steps=[200, 300], learning_rate=[0.01, 0.015], scheduler="constant")),
}  # fmt: skip


FRESH_COUNTS = {
    "plain": 20, "plain-wide": 4, "plain-small-batch": 4, "rate-low": 6, "rate-high": 6, "no-warmup": 4,
    "clip-tight": 4, "spikes": 4, "raised": 4, "short": 6, "overflow": 4, "rate-absurd": 2, "few-rows": 6,
    "random-labels": 4, "eval-small": 8, "easy": 6, "spikes-short": 6, "spikes-clear": 6, "stalled": 6,
    "converged": 6,
}  # fmt: skip


LAST_COUNTS = {"plain": 30, "plain-small-batch": 6, "converged": 8, "short": 10, "stalled": 4, "few-rows": 4}


def all_settings() -> list[Setting]:
    """Every trial to record, the same ones each time."""
    found = []
    for family, (data, count, draw) in FAMILIES.items():
        fresh = range(FRESH, FRESH + FRESH_COUNTS.get(family, 0))
        last = range(LAST, LAST + LAST_COUNTS.get(family, 0))
        for seed in (*range(count), *fresh, *last):
            knobs, edits = draw(random.Random(f"{family} {seed}"))
            found.append(Setting(family, seed, data, knobs, edits))
    return found
