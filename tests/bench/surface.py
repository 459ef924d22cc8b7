"""Losses of a recorded sweep, looked up instead of trained: what the bench of the search is judged on.

``surface.csv`` holds configurations that were really trained (``tests.bench.surface_record``). Between them
nothing is interpolated, which would invent a smoother world than the recorded one: a proposal is given the
curve of the configuration next to it, among those with the same choices, by the distance of the numbers on
their own scale, each from 0 to 1. So what is searched is a finite set of cells with one recorded curve
each, the best reachable loss is the table's best, and it is the same for every rival.
"""

from __future__ import annotations

import csv
import math
import statistics
from pathlib import Path
from typing import Any

import numpy as np

TABLE = Path(__file__).with_name("surface.csv")
STEPS, EVERY = 32, 4
CURVE = tuple(range(EVERY, STEPS + 1, EVERY))  # the steps at which a trial was judged
Point = dict[str, Any]

SPACE: dict[str, Any] = {  # as a study file's [space] has it
    "learning_rate": {"low": 1e-5, "high": 1e-1, "log": True},
    "lora_rank": {"low": 2, "high": 32, "log": True},
    "batch_size": {"low": 1, "high": 8, "log": True},
    "lora_alpha": {"low": 2.0, "high": 64.0, "log": True},
    "scheduler": ["constant", "cosine"],
}
COUNTED: dict[str, Any] = {  # the same, with few enough values for a grid: 4 × 3 × 3 × 2 × 2 cells
    "learning_rate": [1e-4, 1e-3, 1e-2, 1e-1],
    "lora_rank": [2, 8, 32],
    "batch_size": [1, 3, 8],
    "lora_alpha": [4.0, 32.0],
    "scheduler": ["constant", "cosine"],
}
KNOBS = tuple(SPACE)
WHOLE = ("lora_rank", "batch_size")
NUMBERS = tuple(name for name in KNOBS if isinstance(SPACE[name], dict))


class Surface:
    """The recorded table."""

    def __init__(self, path: Path = TABLE) -> None:
        with path.open(encoding="utf-8") as file:
            rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
        self.points: list[Point] = [_typed(row) for row in rows]
        self.curves = [tuple(float(row[str(step)]) for step in CURVE) for row in rows]
        self._places = np.array([_place(point) for point in self.points])
        self._alike: dict[str, Any] = {
            choice: np.array(
                [index for index, point in enumerate(self.points) if point["scheduler"] == choice]
            )
            for choice in SPACE["scheduler"]
        }
        finals = [curve[-1] for curve in self.curves if curve[-1] == curve[-1]]
        self.best = min(finals)
        self.blind = statistics.median(finals)  # what a configuration taken blindly comes to

    def __len__(self) -> int:
        return len(self.points)

    def nearest(self, point: Point) -> int:
        """The row that stands for ``point``; the first of several that are as near."""
        alike = self._alike[point["scheduler"]]
        gaps = self._places[alike] - np.array(_place(point))
        return int(alike[np.argmin((gaps**2).sum(axis=1))])

    def curve(self, point: Point) -> tuple[float, ...]:
        """The losses at the steps of ``CURVE``; nan from where the trial diverged."""
        return self.curves[self.nearest(point)]


def _typed(row: dict[str, str]) -> Point:
    numbers = {name: (int if name in WHOLE else float)(row[name]) for name in NUMBERS}
    return {name: numbers.get(name, row[name]) for name in KNOBS}


def _place(point: Point) -> list[float]:
    """The numbers of a point, each from 0 to 1 on its logarithmic scale."""
    return [
        math.log(point[name] / SPACE[name]["low"]) / math.log(SPACE[name]["high"] / SPACE[name]["low"])
        for name in NUMBERS
    ]
