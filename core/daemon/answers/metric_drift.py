"""Metrics that got worse than the base's, or than the trial's own before: with numbers, beyond chance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from core.contract.board_score import Score
from core.contract.events import event_types as e
from core.contract.spec.metric_limits import Limit
from core.contract.spec.metric_table import SLICE, Metric, known
from core.contract.state import study_state as s
from core.evaluate.statistics import drift_test

MACHINES = ("quality/tokens_per_s", "quality/latency_s")  # say more of the machine than of the trial
ALL = "quality/loss"  # of all rows that slices are made of
OWN = " of its own"  # ends the key of what is worse than it was
History = dict[str, list[Score]]  # by metric, the latest scorings, the last one of all too


@dataclass(frozen=True)
class Finding:
    """What is wrong with a trial's metric, in words; ``limit`` where it is a limit that is broken."""

    key: str  # the limit's text, or the metric that drifts
    text: str
    limit: Limit | None = None


def found(study: s.Study, event: e.TrialScored, history: History) -> list[Finding]:
    """Everything that is worse than the base's, or than it was. Slices only while all rows get better: what
    is worse everywhere is said of all."""
    return [*_than_base(study, event), *_than_before(study, event, history)]


def _than_base(study: s.Study, event: e.TrialScored) -> Iterator[Finding]:
    """For so many looks at once (Bonferroni)."""
    looks = len(event.scores)
    for name, score, metric in _judged(event):
        base, change = study.base_scores.get(name), event.changes.get(name)
        if base is None:
            continue
        if change is not None:
            moved = drift_test.judge(drift_test.widen(change, looks), metric.direction)
        else:
            moved = drift_test.against(score, base, metric.direction, looks)
        aside = _aside(name, event.changes)
        if moved.verdict == "worse" and aside is not None:
            text = f"{name} is {score} at step {event.step}, worse than the base's {base}: {moved.change}"
            yield Finding(name, f"{text}{aside}")


def _than_before(study: s.Study, event: e.TrialScored, history: History) -> Iterator[Finding]:
    """A trial is compared with its best scoring so far on the same samples, else with its last few. In all
    its life five of a hundred trials at most are warned of without reason: the n-th scoring may spend
    1/(n (n − 1)) of that, which adds up to 1, shared by its metrics and the n − 1 that may be the best
    (Bonferroni)."""
    turn = scoring(study, event.step)
    looks = max(1, len(event.scores) * turn * (turn - 1) ** 2)
    for name, score, metric in _judged(event):
        change = event.since.get(name)
        if change is not None:
            moved = drift_test.judge(drift_test.widen(change, looks), metric.direction)
            then = f"at {change.reason}"
        else:
            moved = drift_test.against_history(history.get(name, ()), metric.direction, looks)
            then = "in its scorings before"
        aside = _aside(name, event.since)
        if moved.verdict == "worse" and aside is not None:
            text = f"{name} is {score} at step {event.step}, worse than {then}: {moved.change}"
            yield Finding(f"{name}{OWN}", f"{text}{aside}")


def scoring(study: s.Study, step: int) -> int:
    """The how many-th scoring of a trial is that of ``step``, the latest it may be."""
    every = int(study.spec.get("evaluate", {}).get("every") or 50)
    return max(1, -(-step // every))


def _judged(event: e.TrialScored) -> Iterator[tuple[str, Score, Metric]]:
    for name, score in event.scores.items():
        metric = known(name)
        if metric is not None and name not in MACHINES:
            yield name, score, metric


def _aside(name: str, changes: dict[str, Score]) -> str | None:
    """What a slice's finding says of all rows; None where they get no better, and "" for what is no slice."""
    if not name.startswith(SLICE):
        return ""
    mean = changes.get(ALL)
    if mean is None or mean.value is None or mean.value >= 0:
        return None
    return f", while the mean of all rows fell: {mean}"


def metric_of(key: str) -> str:
    """The metric that a finding's key is about."""
    return key.split(" ", 1)[0]


def said(trial: int, lines: Sequence[s.Line]) -> frozenset[str]:
    """The metrics of ``trial`` that the event list warns of already, by the keys of their findings."""
    head, found = f"trial {trial}: ", set()
    for line in lines:
        if line.level == "warning" and line.text.startswith(head) and ", worse than " in line.text:
            name = metric_of(line.text.removeprefix(head))
            found.add(name if ", worse than the base's" in line.text else f"{name}{OWN}")
    return frozenset(found)
