"""Not a finite number: the loss or its gradient became NaN or infinite."""

from __future__ import annotations

import re

from core.contract.views.trial_diagnosis import Finding
from core.watch.diagnosis.trial_curves import Curves

# The trainer's own text, see core.train.trial.training_step_generator: "train/loss is nan at step 7; …".
FAILED = re.compile(r"(?P<name>[\w/ ]*\w) is (?P<value>-?(?:nan|inf)) at step (?P<step>\d+)", re.IGNORECASE)


def find_non_finite(curves: Curves) -> Finding | None:
    """Return where a value was not finite first."""
    reported = FAILED.search(curves.error)
    if reported:
        name, value, step = (
            reported["name"].rpartition(":")[2].strip(),
            reported["value"],
            int(reported["step"]),
        )
    elif curves.non_finite:
        (name, step), value = curves.non_finite, "not a finite number"
    else:
        return None
    figures = {"step": float(step)}
    if step <= 1:
        return Finding(
            "not-finite", step, f"{name} is {value} before any update: the base or the rows cause it", figures
        )
    return Finding(
        "not-finite",
        step,
        f"{name} is {value} since step {step}: the update before it was too large",
        figures,
    )
