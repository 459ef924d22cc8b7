"""The rule of stopping and the book of times that all rivals of the sweep share."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

Span = tuple[float, float]

now = time.perf_counter  # one clock for all processes of a machine: CLOCK_MONOTONIC


class Rungs:
    """Asynchronous successive halving (Li et al. 2020) as Optuna's SuccessiveHalvingPruner decides it."""

    def __init__(self, first: int, factor: int) -> None:
        self._first, self._factor = first, factor
        self._values: dict[int, list[float]] = {}
        self._reached: dict[int, int] = {}

    def stops(self, trial: int, step: int, value: float) -> bool:
        """Is the trial not among the best 1 / factor that have come to this rung so far?"""
        rung = self._reached.get(trial, 0)
        while step >= self._first * self._factor**rung:
            if value != value:
                return True
            known = self._values.setdefault(rung, [])
            known.append(value)
            rung += 1
            self._reached[trial] = rung
            if value > sorted(known)[max(1, len(known) // self._factor) - 1]:
                return True
        return False


@dataclass
class Ended:
    """How a trial ended: completed, pruned or failed; ``at_s`` on the common clock."""

    state: str
    steps: int
    loss: float
    at_s: float


@dataclass
class Ledger:
    """What happened in one process. Before ``rests`` the device has to be synchronised."""

    gaps: list[Span] = field(default_factory=list)
    trials: dict[int, Ended] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    first_step_s: float = 0.0
    _resting: float = 0.0

    def works(self) -> None:
        """The device begins a trial's first step, or goes on after a trial came or went."""
        at = now()
        self.first_step_s = self.first_step_s or at
        if self._resting:
            self.gaps.append((self._resting, at))
        self._resting = 0.0

    def rests(self) -> None:
        """The device has done all it was given; now trials come and go."""
        self._resting = self._resting or now()

    def ended(self, trial: int, state: str, steps: int, loss: float, at_s: float = 0.0) -> None:
        """A trial is over, and what it leaves is on the disk."""
        self.trials[trial] = Ended(state, steps, loss, at_s or now())

    def told(self) -> dict[str, Any]:
        """The book for another process: gaps with the end left open as the last."""
        gaps = [*self.gaps, (self._resting, float("inf"))] if self._resting else self.gaps
        return {
            "gaps": gaps, "trials": self.trials, "notes": self.notes, "first_step_s": self.first_step_s,
        }  # fmt: skip


def common(spans: list[list[Span]], began_s: float, ended_s: float) -> float:
    """Seconds between ``began_s`` and ``ended_s`` in which every process rests."""
    edges = [
        (min(max(at, began_s), ended_s), change)
        for one in spans
        for span in one
        for at, change in zip(span, (1, -1), strict=True)
    ]
    total, resting, since = 0.0, 0, began_s
    for at, change in sorted(edges):
        total += (at - since) if resting == len(spans) else 0.0
        resting, since = resting + change, at
    return total


def outcome(
    plan: Any, rival: str, books: list[dict[str, Any]], began_s: float, ended_s: float, load_s: float
) -> dict[str, Any]:
    """One row of the table. Times count from the first join; ``start_s`` is what precedes the first step."""
    trials: dict[int, Ended] = {}
    for book in books:
        trials.update(book["trials"])
    first_s = min(book["first_step_s"] for book in books)
    batch = {trial["number"]: trial["batch_size"] for trial in plan.trials}
    tokens = sum(trial.steps * batch[number] * plan.length for number, trial in trials.items())
    done = {number: trial for number, trial in trials.items() if trial.state == "completed"}
    winner = min(done, key=lambda number: done[number].loss, default=None)
    makespan_s = ended_s - began_s
    return {
        "rival": rival,
        "stopping": plan.stopping,
        "start_s": first_s - began_s,
        "makespan_s": makespan_s,
        "idle_s": common([book["gaps"] for book in books], first_s, ended_s),
        "tokens": tokens,
        "tokens_per_s": tokens / makespan_s,
        "winner": winner,
        "winner_loss": done[winner].loss if winner is not None else None,
        "winner_s": done[winner].at_s - began_s if winner is not None else None,
        **{state: [n for n, trial in trials.items() if trial.state == state] for state in STATES},
        "losses": {number: one.loss for number, one in sorted(trials.items())},
        "notes": [note for book in books for note in book["notes"]],
        "load_s": load_s,
        **{name: sum(book[name] for book in books) for name in ("peak_bytes", "more_bytes")},
    }


STATES = ("completed", "pruned", "failed")
