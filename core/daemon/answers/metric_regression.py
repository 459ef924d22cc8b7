"""Detects metrics that are significantly worse than the base's or than the trial's own earlier scores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from core.contract.events import event_types as e
from core.contract.metric_score import Score
from core.contract.significance_levels import FALSE_WARNING, look_tail
from core.contract.spec.metric_limits import Limit
from core.contract.spec.metric_table import SLICE, Metric, find_metric
from core.contract.state import engine_state as s
from core.contract.views.metric_verdict import count_looks
from core.evaluate.statistics import drift_test

MACHINES = ("quality/tokens_per_s", "quality/latency_s")  # depend on the machine more than on the trial
ALL = "quality/loss"  # the loss over the rows of all slices
OWN = " of its own"  # suffix of the key if a metric is worse than the trial's own earlier score
History = dict[str, list[Score]]  # the latest scores by metric, the newest included


@dataclass(frozen=True)
class Finding:
    """A problem with a trial's metric, as text; ``limit`` is the breached limit, None for a drift."""

    key: str  # the limit's text, or the metric that drifts
    text: str
    limit: Limit | None = None


def find_drifts(study: s.Study, event: e.TrialScored, history: History) -> list[Finding]:
    """Return all drifts in ``event``. A slice is reported only while the loss over all rows improves;
    otherwise the finding for all rows covers it."""
    return [*_compare_with_base(study, event), *_compare_with_best(study, event, history)]


def _compare_with_base(study: s.Study, event: e.TrialScored) -> Iterator[Finding]:
    """Yield the drifts from the base. Half of the chance of a false warning in a trial's life is spent
    here."""
    for name, score, metric in _list_known_scores(event):
        base, change = study.base_scores.get(name), event.changes.get(name)
        if base is None:
            continue
        tail = look_tail(FALSE_WARNING / 2, _look(study, event, name), _count_metrics(study, event))
        if change is not None:
            drift = drift_test.judge(change.widen(tail), metric.direction, metric.effect)
        else:
            drift = drift_test.compare_with_base(score, base, metric.direction, tail, metric.effect)
        aside = _describe_all_rows(name, event.changes)
        if drift.verdict == "worse" and aside is not None:
            text = f"{name} is {score} at step {event.step}, worse than the base's {base}: {drift.change}"
            yield Finding(name, f"{text}{aside}")


def _compare_with_best(study: s.Study, event: e.TrialScored, history: History) -> Iterator[Finding]:
    """Yield the drifts from the trial's best earlier score on the same samples, or else from its last few
    scores.

    The other half of the chance of a false warning is spent here, shared by the metrics and by the earlier
    scorings that may be the best (Bonferroni).
    """
    for name, score, metric in _list_known_scores(event):
        change, earlier = event.since.get(name), max(1, _look(study, event, name) - 1)
        tail = look_tail(FALSE_WARNING / 2, earlier, _count_metrics(study, event) * earlier)
        if change is not None:
            drift = drift_test.judge(change.widen(tail), metric.direction, metric.effect)
            then = f"at {change.reason}"
        else:
            drift = drift_test.compare_with_history(
                history.get(name, ()), metric.direction, tail, metric.effect
            )
            then = "in its scorings before"
        aside = _describe_all_rows(name, event.since)
        if drift.verdict == "worse" and aside is not None:
            text = f"{name} is {score} at step {event.step}, worse than {then}: {drift.change}"
            yield Finding(f"{name}{OWN}", f"{text}{aside}")


def _look(study: s.Study, event: e.TrialScored, name: str) -> int:
    """Return the index, from 1, of this scoring of the metric."""
    trial = study.trials.get(event.trial)
    has_scores = trial is not None and name in trial.series
    return count_looks(trial, name) if has_scores else count_scorings(study, event.step)


def _count_metrics(study: s.Study, event: e.TrialScored) -> int:
    """Return how many metrics are tested in a trial's life: those of the base, and others that were
    scored."""
    trial = study.trials.get(event.trial)
    return len({*study.base_scores, *event.scores, *(trial.scores if trial is not None else ())})


def count_scorings(study: s.Study, step: int) -> int:
    """Return an upper bound for the index, from 1, of the scoring at ``step``."""
    return max(1, -(-step // study.settings.evaluate.every))


def _list_known_scores(event: e.TrialScored) -> Iterator[tuple[str, Score, Metric]]:
    for name, score in event.scores.items():
        metric = find_metric(name)
        if metric is not None and name not in MACHINES:
            yield name, score, metric


def _describe_all_rows(name: str, changes: dict[str, Score]) -> str | None:
    """Return the clause about all rows in a slice's finding; None if they do not improve, "" for other
    metrics."""
    if not name.startswith(SLICE):
        return ""
    mean = changes.get(ALL)
    if mean is None or mean.value is None or mean.value >= 0:
        return None
    return f", while the mean of all rows fell: {mean}"


def split_key(key: str) -> str:
    """Return the metric in a finding's key."""
    return key.split(" ", 1)[0]


def list_reported_keys(trial: int, lines: Sequence[s.Line]) -> frozenset[str]:
    """Return the keys of the drifts of ``trial`` that the event list already reports."""
    head, keys = f"trial {trial}: ", set()
    for line in lines:
        if line.level == "warning" and line.text.startswith(head) and ", worse than " in line.text:
            name = split_key(line.text.removeprefix(head))
            keys.add(name if ", worse than the base's" in line.text else f"{name}{OWN}")
    return frozenset(keys)
