"""What a bundle, a model card and a report are made from: a study, its journal, and the chosen trial."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from core.contract import events as e
from core.contract import ranking, specfile
from core.contract import state as s
from core.contract.secrets import Redactor
from core.contract.spec import Spec
from core.errors import SpecError
from core.store import fingerprint
from core.store.company import Ran, company
from core.store.curves import Plot, plots
from core.store.decisions import Decision, decisions
from core.store.fingerprint import Print
from core.store.replay import folded
from core.store.table import Row, rows

CHANGED = "changed after the study began: this sum may not be that of what it trained on"


@dataclass(frozen=True)
class Report:
    """``chosen`` is the trial that is exported, None where none is complete; ``raw`` the study file's content
    without secrets, ``spec`` the same as read, None where this version cannot read it."""

    study: s.Study
    chosen: s.Trial | None
    raw: dict[str, Any]
    spec: Spec | None
    decisions: tuple[Decision, ...]
    ran: dict[int, Ran]
    rows: list[Row]
    plots: list[Plot]
    prints: dict[str, Print]
    versions: dict[str, Any]
    made_at: float  # Unix seconds

    @property
    def values(self) -> dict[str, float]:
        """The chosen trial's objectives."""
        metrics = [metric for metric, _ in self.study.objectives]
        return dict(zip(metrics, self.chosen.values, strict=False)) if self.chosen else {}


def gather(
    events: Sequence[e.Event], name: str, trial: int | None, versions: dict[str, Any], made_at: float
) -> Report:
    """The report on the study ``name`` as its journal tells it. ``trial``: instead of the best one.

    Raises KeyError where the journal knows no such study or trial.
    """
    study = folded([events]).studies[name]
    raw = Redactor().anything(study.spec)
    try:
        spec = specfile.parse(raw)
    except SpecError:  # of another version: it is exported as it is
        spec = None
    chosen = study.trials[trial] if trial is not None else ranking.best(study)
    return Report(
        study, chosen, raw, spec, tuple(decisions(events)), company(events), rows(study),
        plots(study, chosen), _prints(spec, study.created_at), versions, made_at,
    )  # fmt: skip


def _prints(spec: Spec | None, since: float) -> dict[str, Print]:
    """The sums are those of this moment: what has changed since the study began is said to have."""
    found = fingerprint.fingerprints(spec) if spec is not None else {}
    return {
        key: replace(one, note=CHANGED) if one.modified_at is not None and one.modified_at > since else one
        for key, one in found.items()
    }
