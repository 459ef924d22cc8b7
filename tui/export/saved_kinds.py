"""What can be saved from the console: each with the name of its file."""

from __future__ import annotations

import re
from dataclasses import dataclass

from core.contract.state import engine_state as s

KINDS = ("table", "curves", "picture", "text", "report", "bundle")
NAME = re.compile(r"[^\w.-]+", re.ASCII)


@dataclass(frozen=True)
class Saving:
    """One thing to save: what it is in words, and where it goes unless another path is typed."""

    kind: str
    words: str
    path: str


@dataclass(frozen=True)
class Shown:
    """What the console shows: the screen's name, its study, the trials of the table, the selected one."""

    screen: str
    study: s.Study | None
    numbers: tuple[int, ...]
    trial: s.Trial | None
    host: str = ""


def list_savings(shown: Shown) -> list[Saving]:
    """Return what can be saved now. Report and bundle need the study's files, which are on the engine's
    host."""
    study, trial = shown.study, shown.trial
    name = _make_file_name(study.name) if study is not None else "trimtab"
    screen = f"{name}-{_make_file_name(shown.screen)}"
    savings = []
    if study is not None and study.trials:
        count = len(shown.numbers)
        words = "the table: 1 trial as CSV" if count == 1 else f"the table: {count} trials as CSV"
        savings.append(
            Saving("table", f"{words}, in this order, with all knobs and metrics", f"{name}-trials.csv")
        )
    if trial is not None and trial.series:
        words = f"the curves of trial {trial.number} as CSV"
        savings.append(Saving("curves", words, f"{name}-trial-{trial.number}.csv"))
    savings.append(Saving("picture", "this screen as a picture (SVG)", f"{screen}.svg"))
    savings.append(Saving("text", "this screen as text", f"{screen}.txt"))
    if study is not None and not shown.host:
        savings.append(Saving("report", "a report of the study (HTML)", f"{name}.html"))
        if trial is not None:
            words = f"a bundle of trial {trial.number}, which `trimtab rerun` repeats"
            savings.append(Saving("bundle", words, f"{name}-trial-{trial.number}"))
    return savings


def _make_file_name(text: str) -> str:
    return NAME.sub("-", text).strip("-.")[:60] or "trimtab"
