"""Collects the data of a bundle, model card and report: a study, its journal, and the chosen trial."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from core.contract.events import event_types as e
from core.contract.spec import study_spec
from core.contract.spec.study_spec import StudySpec
from core.contract.state import best_and_counts, reference_values, unrated_trials
from core.contract.state import engine_state as s
from core.contract.text.secret_redaction import Redactor
from core.store import input_fingerprints
from core.store.decision_list import Decision, list_decisions
from core.store.input_fingerprints import Print
from core.store.journal_replay import replay_all
from core.store.pack_mates import Ran, find_pack_mates
from core.store.plots.report_curves import Plot, make_plots
from core.store.report.trial_table_export import Row, list_rows

CHANGED = "changed after the study began: the trials may have used another version"


@dataclass(frozen=True)
class Report:
    """The data of a report. ``chosen`` is the exported trial, None if none is complete; ``raw`` is the study
    file's content without secrets, ``spec`` the same with its defaults."""

    study: s.Study
    chosen: s.Trial | None
    raw: dict[str, Any]
    spec: StudySpec
    decisions: tuple[Decision, ...]
    ran: dict[int, Ran]
    rows: list[Row]
    plots: list[Plot]
    prints: dict[str, Print]
    versions: dict[str, Any]
    made_at: float  # Unix seconds

    @property
    def why_none(self) -> str:
        """The reason why there is no trial to export, starting with a capital letter."""
        why = reference_values.explain_no_best(self.study)
        return why[:1].upper() + why[1:]

    @property
    def pending(self) -> list[str]:
        """A text per trial whose scores or ratings were still pending at the export."""
        texts = [
            f"ratings of trial {trial.number} were still pending "
            f"({unrated_trials.format_wait(self.study, trial)})"
            for trial in unrated_trials.list_unrated(self.study)
        ]
        for number, trial in sorted(self.study.trials.items()):
            if trial.pending:
                so_far = (
                    f" ({trial.scoring_done} of {trial.scoring_total} answers)" if trial.scoring_total else ""
                )
                texts.append(f"scores of trial {number} at step {trial.scoring} were still pending{so_far}")
        return texts

    @property
    def values(self) -> dict[str, float]:
        """The chosen trial's objectives."""
        metrics = [metric for metric, _ in self.study.objectives]
        return dict(zip(metrics, self.chosen.values, strict=False)) if self.chosen else {}


def gather(
    events: Sequence[e.Event],
    name: str,
    trial: int | None,
    versions: dict[str, Any],
    made_at: float,
    live: s.Study | None = None,
) -> Report:
    """Collect the report on the study ``name`` from its journal. ``trial`` replaces the best trial. ``live``
    is the engine's state of the study, which has the progress of scorings that no journal stores.

    Raises KeyError for an unknown study or trial.
    """
    study = replay_all([events]).studies[name]
    if live is not None:
        study = replace(
            study, trials={number: _add_progress(trial, live) for number, trial in study.trials.items()}
        )
    raw = Redactor().redact_all(study.spec)
    spec = study_spec.read(raw)
    chosen = study.trials[trial] if trial is not None else best_and_counts.find_best(study)
    return Report(
        study, chosen, raw, spec, tuple(list_decisions(events)), find_pack_mates(events), list_rows(study),
        make_plots(study, chosen), _find_prints(spec, study.created_at), versions, made_at,
    )  # fmt: skip


def _add_progress(trial: s.Trial, live: s.Study) -> s.Trial:
    """Return the trial with the progress of its last scoring."""
    live_trial = live.trials.get(trial.number)
    if live_trial is None or not trial.pending or live_trial.scoring != trial.scoring:
        return trial
    return replace(trial, scoring_done=live_trial.scoring_done, scoring_total=live_trial.scoring_total)


def _find_prints(spec: StudySpec, since: float) -> dict[str, Print]:
    """Return the present fingerprints, with a note on inputs that changed since the study began."""
    prints = input_fingerprints.fingerprint_inputs(spec)
    return {
        key: replace(source, note=CHANGED)
        if source.modified_at is not None and source.modified_at > since
        else source
        for key, source in prints.items()
    }
