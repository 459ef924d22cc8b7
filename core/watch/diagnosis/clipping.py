"""The clip limit is hit on most steps: the norm of the gradient is usually above it."""

from __future__ import annotations

from statistics import median

from core.contract.views.trial_diagnosis import Finding
from core.watch.diagnosis.trial_curves import Curves

FEWEST = 20  # points
MOST = 0.5  # share of the steps


def find_clipping(curves: Curves) -> Finding | None:
    """Return the share of clipped steps after the warm-up, where it is more than half."""
    if not curves.clip:
        return None
    points = list(zip(curves.norm.steps, curves.norm.values, strict=True))
    points = [point for point in points if point[0] > curves.warmup_steps]
    if len(points) < FEWEST:
        return None
    clipped = [step for step, norm in points if norm > curves.clip]
    share, usual = len(clipped) / len(points), median(norm for _, norm in points)
    if share <= MOST:
        return None
    sentence = (
        f"the gradient is clipped on {share:.0%} of the steps: its usual norm {usual:.3g} is "
        f"{usual / curves.clip:.3g} times the limit {curves.clip:g}"
    )
    return Finding(
        "clipping", clipped[0], sentence, {"share": share, "norm": usual, "clip_norm": curves.clip}
    )
