"""What happened in a study since a person last looked, from the state alone. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from msgspec.structs import replace

from core.contract.spec.metric_table import METRICS
from core.contract.state import best_and_counts
from core.contract.state import engine_state as s
from core.contract.views.metric_format import SHARE, format_figure

OF_TRIAL = re.compile(r"trial (\d+)\b:? ?(.*)", re.DOTALL)
LIMIT = re.compile(r": over the limit | not shown to keep the limit ")
ENDS = ("failed:", "infeasible:", "pruned at", "complete:")  # of lines whose trial is listed anyway
OF_STUDY = ("study ", "stopping: ", "paused by ", "resumed by ", "changed by ")
SECTIONS = ("best", "ended", "pruned", "failed", "limits", "faults", "study")


@dataclass(frozen=True)
class AwayLine:
    """One line: what happened, when (Unix seconds) and where; ``trial`` -1 where no trial is to be opened."""

    section: str
    at: float
    text: str
    trial: int = -1
    level: str = "info"


@dataclass(frozen=True)
class AwaySummary:
    """What happened in ``study`` after ``since``, by section in the order of SECTIONS, oldest first in each.
    ``earlier``: there were more events than the state keeps, so lines may be missing."""

    study: str
    since: float
    lines: tuple[AwayLine, ...]
    earlier: bool = False

    def list_section(self, name: str) -> tuple[AwayLine, ...]:
        """Return the lines of one section."""
        return tuple(line for line in self.lines if line.section == name)


def summarize_away(study: s.Study, since: float, restarted_at: float | None = None) -> AwaySummary:
    """Summarize what happened after ``since`` (Unix seconds). ``restarted_at``: when an engine was first seen
    that is another process than at the last look; None for the same one."""
    events = [line for line in study.lines if line.at > since]
    lines = [
        *_list_best(study, since),
        *_list_ended(study, since),
        *_list_warnings(events),
        *_list_study(events),
    ]
    if restarted_at is not None:
        text = "the engine was started again in the meantime; trials went on from their checkpoints"
        lines.append(AwayLine("faults", restarted_at, text, level="warning"))
    lines.sort(key=lambda line: (SECTIONS.index(line.section), line.at))
    cut = len(study.lines) >= s.LINES and study.lines[0].at > since
    return AwaySummary(study.name, since, tuple(lines), cut)


def _list_best(study: s.Study, since: float) -> list[AwayLine]:
    """The best complete trial now, and the one that was best when the person left."""
    earlier = {
        number: trial for number, trial in study.trials.items() if trial.ended_at and trial.ended_at <= since
    }
    before, now = best_and_counts.find_best(replace(study, trials=earlier)), best_and_counts.find_best(study)
    if now is None or (before is not None and before.number == now.number):
        return []
    metric, _ = study.objectives[0]
    value = _format_value(metric, now)
    previous = f"{_format_value(metric, before)} (trial {before.number}) → " if before is not None else ""
    return [
        AwayLine(
            "best", now.ended_at or since, f"best {metric} {previous}{value} (trial {now.number})", now.number
        )
    ]


def _format_value(metric: str, trial: s.Trial) -> str:
    share = metric in METRICS and METRICS[metric].unit == SHARE
    return format_figure(trial.values[0], SHARE) if share else f"{trial.values[0]:.4g}"


def _list_ended(study: s.Study, since: float) -> Iterable[AwayLine]:
    sections = {s.COMPLETE: "ended", s.PRUNED: "pruned", s.FAILED: "failed", s.INFEASIBLE: "failed"}
    for trial in study.trials.values():
        if trial.state in sections and (trial.ended_at or 0.0) > since:
            level = "error" if trial.state == s.FAILED else "info"
            text = f"trial {trial.number} {_describe_end(study, trial)}"
            yield AwayLine(sections[trial.state], trial.ended_at or since, text, trial.number, level)


def _describe_end(study: s.Study, trial: s.Trial) -> str:
    if trial.state == s.COMPLETE:
        metric, _ = study.objectives[0]
        return (
            f"complete: {metric} {_format_value(metric, trial)}"
            if trial.values
            else "complete, still being scored"
        )
    at = f" at step {trial.step} of {trial.total_steps}" if trial.total_steps else ""
    return f"{trial.state}{at}: {trial.why}" if trial.why else f"{trial.state}{at}"


def _list_warnings(events: Iterable[s.Line]) -> Iterable[AwayLine]:
    """Warnings and errors of the event list: broken limits, and faults. The same text comes once."""
    seen_texts: set[str] = set()
    for line in events:
        trial, text = _split_trial(line.text)
        if line.level == "info" or text.startswith(ENDS) or line.text in seen_texts:
            continue
        seen_texts.add(line.text)
        section = "limits" if LIMIT.search(line.text) else "faults"
        yield AwayLine(section, line.at, line.text, trial, line.level)


def _split_trial(text: str) -> tuple[int, str]:
    trial_match = OF_TRIAL.match(text)
    return (int(trial_match[1]), trial_match[2]) if trial_match else (-1, text)


def _list_study(events: Iterable[s.Line]) -> Iterable[AwayLine]:
    """What was done to the study as a whole: paused, resumed, changed, ended."""
    for line in events:
        if line.level == "info" and line.text.startswith(OF_STUDY):
            yield AwayLine("study", line.at, line.text)
