"""Judges the diagnosis on the recorded curves: precision and recall by kind, and alarms on healthy ones.

``python -m tests.bench.diagnosis [PART …] [--wrong]``: the parts named, else "fresh" and "last". ``--wrong``
lists each curve where rules and labels differ. The parts, in the order in which they were looked at:

- develop: the rules were tuned on it. judge: judged once, then the rules were tuned on it, too.
- fresh: judged by the rules as they were then; one of them (under-trained) was changed because of it.
- last: judged by the rules as they were after that.
- first, second: all curves in two halves by a fixed seed. Plateau, divergence and under-trained were tuned on
  the first once more; nothing was changed after the second was judged.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from core.contract.views.trial_diagnosis import KINDS
from core.watch.diagnosis.diagnose_trial import find_all
from core.watch.diagnosis.trial_curves import read_curves
from tests.watch.recorded_curves import Recorded, load_all

KEPT = ("fresh", "last")
HALVES, SEED = ("first", "second"), 20261130
SHARES = (0.25, 0.5, 0.75)  # of a run at which a healthy trial is looked at


@dataclass(frozen=True)
class Count:
    """How often a kind was told rightly, wrongly, and not at all; borderline curves do not count."""

    right: int
    wrong: int
    missed: int

    @property
    def precision(self) -> float | None:
        told = self.right + self.wrong
        return self.right / told if told else None

    @property
    def recall(self) -> float | None:
        there = self.right + self.missed
        return self.right / there if there else None


def part(split: str) -> list[Recorded]:
    """The curves of one part."""
    if split not in HALVES:
        return [curve for curve in load_all() if curve.split == split]
    curves = sorted(load_all(), key=lambda curve: curve.name)
    random.Random(SEED).shuffle(curves)
    middle = len(curves) // 2
    return curves[:middle] if split == HALVES[0] else curves[middle:]


def told(curve: Recorded, share: float = 1.0) -> frozenset[str]:
    """The kinds that the rules find, in the whole run or in a part of it."""
    return _told(curve.name, share)


@cache
def _told(name: str, share: float) -> frozenset[str]:
    curve = next(curve for curve in load_all() if curve.name == name)
    trial = curve.trial if share == 1.0 else curve.until(share)
    return frozenset(finding.kind for finding in find_all(read_curves(trial)))


def count(curves: Iterable[Recorded], kind: str) -> Count:
    """Compare rules and labels for one kind."""
    pairs = [(kind in told(curve), kind in curve.labels) for curve in curves if kind not in curve.borderline]
    return Count(pairs.count((True, True)), pairs.count((True, False)), pairs.count((False, True)))


def silent_share(curves: Iterable[Recorded], share: float = 1.0) -> tuple[int, int]:
    """How many healthy curves bring no alarm, and how many there are."""
    healthy = [curve for curve in curves if not curve.labels and not curve.borderline]
    return sum(1 for curve in healthy if not told(curve, share)), len(healthy)


def main(arguments: list[str]) -> None:
    """Print the table."""
    names = [word for word in arguments if not word.startswith("-")] or list(KEPT)
    curves = [curve for name in names for curve in part(name)]
    print(f"{len(curves)} curves of {', '.join(names)}\n")
    print(f"{'kind':<18}{'labelled':>9}{'right':>7}{'wrong':>7}{'missed':>8}{'precision':>11}{'recall':>8}")
    for kind in KINDS:
        found = count(curves, kind)
        print(f"{kind:<18}{found.right + found.missed:>9}{found.right:>7}{found.wrong:>7}{found.missed:>8}"
              f"{_share(found.precision):>11}{_share(found.recall):>8}")  # fmt: skip
    silent, healthy = silent_share(curves)
    print(f"\nhealthy curves without an alarm: {silent} of {healthy} ({silent / healthy:.1%})")
    for share in SHARES:
        silent, _ = silent_share(curves, share)
        print(f"  the same at {share:.0%} of the run: {silent} of {healthy} ({silent / healthy:.1%})")
    if "--wrong" in arguments:
        _print_wrong(curves)


def _print_wrong(curves: Iterable[Recorded]) -> None:
    for curve in curves:
        found = told(curve)
        extra, missed = found - curve.labels - curve.borderline, curve.labels - found
        if extra or missed:
            wrong = ", ".join(extra) or "-"
            print(f"{curve.name:<22} told wrongly: {wrong:<30} missed: {', '.join(missed) or '-'}")


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


if __name__ == "__main__":
    main(sys.argv[1:])
