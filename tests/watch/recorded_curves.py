"""Reads the recorded curves back as trials of the state, with their labels.

The labels (curves/labels.json) were given by the setting of each trial and by looking at its picture,
before any rule was run on it; "?" marks a kind of which a person could say either:

- not-finite: the trainer ended the trial with NaN or infinity. clipping: more than half of the norms are
  above the limit (this one is counted, not seen).
- divergence: both losses were low, rose and stay up. spike: a loss rose by 8 % or more and came back.
- rate-too-high: the loss rises from the start. rate-too-low: it hardly moves, by the rate that was set.
- overfitting: the evaluation loss rises, the training loss falls. under-trained: a short run at a constant
  rate whose evaluation loss still falls at the end.
- plateau: flat for 60 % of the run, not by a rate that falls as planned. noisy-evaluation: with two
  evaluation rows, jumps as large as what was learned.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from core.contract.state import engine_state as s
from core.contract.state.thinned_series import Series

FOLDER = Path(__file__).with_name("curves")
NAMES = {"train": "train/loss", "norm": "train/grad_norm", "rate": "train/learning_rate", "eval": "eval/loss"}


@dataclass(frozen=True)
class Recorded:
    """One recorded trial. ``labels`` are the kinds of core.contract.views.trial_diagnosis that hold for it,
    none of a healthy one; ``borderline`` those of which a person could say either."""

    name: str
    family: str
    split: str
    labels: frozenset[str]
    borderline: frozenset[str]
    trial: s.Trial

    def until(self, share: float) -> s.Trial:
        """The trial as it stood when this share of its steps was done."""
        step = round(self.trial.total_steps * share)
        series = {name: _cut(curve, step) for name, curve in self.trial.series.items()}
        return replace(self.trial, state=s.RUNNING, step=step, series=series, error="")


@cache
def load_all(path: Path = FOLDER / "recorded.jsonl.gz") -> tuple[Recorded, ...]:
    """All recorded trials."""
    labels = json.loads((FOLDER / "labels.json").read_text())
    return tuple(_read(json.loads(line), labels) for line in gzip.decompress(path.read_bytes()).splitlines())


def _read(line: dict[str, Any], labels: dict[str, list[str]]) -> Recorded:
    series = {name: _series(line[key]) for key, name in NAMES.items() if key in line}
    last = max((curve.steps[-1] for curve in series.values()), default=0)
    trial = s.Trial(
        0, s.FAILED if line["error"] else s.COMPLETE, knobs=line["knobs"], step=last,
        total_steps=line["knobs"]["steps"], series=series, error=line["error"],
        marks=tuple(s.Mark(step, str(changes)) for step, changes in line["edits"]),
    )  # fmt: skip
    given = labels[line["name"]]
    sure = frozenset(label for label in given if not label.startswith("?"))
    borderline = frozenset(label[1:] for label in given if label.startswith("?"))
    return Recorded(line["name"], line["family"], line["split"], sure, borderline, trial)


def _series(packed: list[Any]) -> Series:
    if packed and isinstance(packed[0], list):
        steps, values = zip(*packed, strict=True)
        return Series(tuple(steps), tuple(values), seen=len(steps))
    first, apart, *values = packed
    return Series(tuple(first + apart * at for at in range(len(values))), tuple(values), seen=len(values))


def _cut(curve: Series, step: int) -> Series:
    points = [(at, value) for at, value in zip(curve.steps, curve.values, strict=True) if at <= step]
    return Series(tuple(at for at, _ in points), tuple(value for _, value in points), seen=len(points))
