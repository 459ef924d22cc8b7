"""The curves of one trial as the rules read them, and how noisy they are. Pure."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import median

from core.contract.state import engine_state as s
from core.contract.state.thinned_series import Series

MAD = 1.4826  # makes a median of absolute deviations the standard deviation of normal noise
FEWEST_GAPS = 4  # from which a bend can be told from noise
MEDIAN_ERROR = 1.25  # standard error of a median over that of a mean


@dataclass(frozen=True)
class Curve:
    """Finite values by step. Of a long run every n-th is kept, see core.contract.state.thinned_series."""

    steps: tuple[int, ...] = ()
    values: tuple[float, ...] = ()

    def __len__(self) -> int:
        return len(self.values)

    @cached_property
    def noise(self) -> float:
        """Standard deviation from point to point, trend left out, robust against spikes."""
        return MAD * median(map(abs, self._gaps)) / math.sqrt(1.5) if self._gaps else 0.0

    @cached_property
    def _gaps(self) -> list[float]:
        """How far each value lies from the middle of its neighbours."""
        return [
            value - (before + after) / 2
            for before, value, after in zip(self.values, self.values[1:], self.values[2:], strict=False)
        ]

    @cached_property
    def noise_on_bend(self) -> float:
        """The same of a curve that bends throughout, as early in a run: the bend is not taken for noise."""
        gaps = self._gaps
        if len(gaps) < FEWEST_GAPS:
            return self.noise
        bend = median(gaps)
        small_sample_factor = math.sqrt(len(gaps) / (len(gaps) - 1))
        return small_sample_factor * MAD * median(abs(gap - bend) for gap in gaps) / math.sqrt(1.5)

    @cached_property
    def window(self) -> int:
        """Points whose median is the level at a place: few of a short curve, a tenth of a long one."""
        return max(5, len(self) // 10)

    @cached_property
    def levels(self) -> tuple[float, ...]:
        """The median of ``window`` points up to each one, from the first full window on."""
        ends = range(self.window, len(self) + 1)
        return tuple(median(self.values[end - self.window : end]) for end in ends)

    @property
    def level_noise(self) -> float:
        """Standard error of a difference of two levels."""
        return self.noise * MEDIAN_ERROR * math.sqrt(2 / self.window)

    @property
    def start_noise(self) -> float:
        """Standard error of a difference between ``start`` and a level."""
        return self.noise * MEDIAN_ERROR * math.sqrt(1 / 3 + 1 / self.window)

    @property
    def start(self) -> float:
        """The value before anything was learned: the median of the first three points."""
        return median(self.values[:3])

    def find_level_step(self, place: int) -> int:
        """The step in the middle of the window of ``levels[place]``."""
        return self.steps[place + self.window // 2]

    def find_level(self, step: int) -> float:
        """The median of the points around ``step``."""
        place, half = bisect_right(self.steps, step), max(2, self.window // 2)
        return median(self.values[max(0, place - half) : place + half] or self.values[-1:])


@dataclass(frozen=True)
class Curves:
    """What the rules know of a trial. ``clip`` 0: gradients are not clipped."""

    train: Curve = Curve()
    evaluation: Curve = Curve()
    norm: Curve = Curve()
    rate: Curve = Curve()
    clip: float = 0.0
    peak_rate: float = 0.0
    step: int = 0
    total_steps: int = 0
    warmup_steps: int = 0
    error: str = ""
    non_finite: tuple[str, int] | None = None  # a metric and the first step where it was not finite

    @property
    def share_done(self) -> float:
        """Return how far the training is, 0 to 1."""
        return self.step / self.total_steps if self.total_steps else 0.0


def read_curves(trial: s.Trial) -> Curves:
    """Return the curves of ``trial``, without values that are not finite."""
    total = trial.total_steps or int(trial.knobs.get("steps") or 0)
    train, evaluation, norm, rate = (_keep_finite(trial.series.get(name)) for name in NAMES)
    return Curves(
        train,
        evaluation,
        norm,
        rate,
        clip=float(trial.knobs.get("clip_norm") or 0.0),
        peak_rate=float(trial.knobs.get("learning_rate") or 0.0),
        step=trial.step,
        total_steps=total,
        warmup_steps=round(float(trial.knobs.get("warmup") or 0.0) * total),
        error=trial.error if trial.state == s.FAILED else "",
        non_finite=_find_first_non_finite(trial),
    )


NAMES = ("train/loss", "eval/loss", "train/grad_norm", "train/learning_rate")


def _keep_finite(series: Series | None) -> Curve:
    if series is None:
        return Curve()
    points = [point for point in zip(series.steps, series.values, strict=True) if math.isfinite(point[1])]
    return Curve(tuple(step for step, _ in points), tuple(value for _, value in points))


def _find_first_non_finite(trial: s.Trial) -> tuple[str, int] | None:
    non_finite = [
        (step, name)
        for name in NAMES
        for step, value in _list_points(trial.series.get(name, Series()))
        if not math.isfinite(value)
    ]
    return (min(non_finite)[1], min(non_finite)[0]) if non_finite else None


def _list_points(series: Series) -> Sequence[tuple[int, float]]:
    return list(zip(series.steps, series.values, strict=True))
