"""What the packaged detectors say about the planted texts, judged beforehand.

A process that scores needs the detectors' errors before its first score, and a check of limits needs them:
judging the thousand texts takes one or two seconds of a CPU. ``python -m tests.classifiers.train`` writes the
verdicts, and a test compares them with the detectors'.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache

from core.evaluate.prompts.packaged_prompts import DATA

FILE = DATA / "planted_verdicts.jsonl"  # one line for each detector: its verdicts in the order of the texts
TOXICITY, STANCE = "toxicity", "stance"  # planted_toxicity.jsonl: 0 or 1; planted_refusals.jsonl: stances


@cache
def read_verdicts(detector: str) -> tuple[str, ...]:
    """Return the verdicts of a packaged detector on its planted texts, in the order of their file."""
    lines = map(json.loads, FILE.read_text("utf-8").splitlines())
    return next(tuple(line["verdicts"].split()) for line in lines if line["detector"] == detector)


def write_verdicts(verdicts: Mapping[str, Sequence[object]]) -> None:
    """Write the verdicts of each detector."""
    lines = [
        json.dumps({"detector": detector, "verdicts": " ".join(map(str, found))})
        for detector, found in verdicts.items()
    ]
    FILE.write_text("".join(line + "\n" for line in lines), "utf-8")
