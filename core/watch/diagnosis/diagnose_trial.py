"""All rules over one trial: what they find, the gravest first, each with its remedies. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from core.contract.state import engine_state as s
from core.contract.text.sanitize import sanitize
from core.contract.views.trial_diagnosis import KINDS, Diagnosis, Finding
from core.watch.diagnosis.clipping import find_clipping
from core.watch.diagnosis.divergence import find_divergence
from core.watch.diagnosis.noisy_evaluation import find_noisy_evaluation
from core.watch.diagnosis.non_finite import find_non_finite
from core.watch.diagnosis.overfitting import find_overfitting
from core.watch.diagnosis.plateau import find_plateau
from core.watch.diagnosis.rate_too_high import find_rate_too_high
from core.watch.diagnosis.rate_too_low import find_rate_too_low
from core.watch.diagnosis.remedies import list_remedies
from core.watch.diagnosis.spike import find_spike
from core.watch.diagnosis.trial_curves import Curves, read_curves
from core.watch.diagnosis.undertraining import find_undertraining

RULES: tuple[Callable[[Curves], Finding | None], ...] = (
    find_non_finite, find_divergence, find_rate_too_high, find_overfitting, find_spike, find_noisy_evaluation,
    find_rate_too_low, find_clipping, find_plateau, find_undertraining,
)  # fmt: skip
# What a graver finding explains is not told next to it.
EXPLAINED: dict[str, frozenset[str]] = {
    "not-finite": frozenset({"divergence", "rate-too-high", "spike", "plateau", "under-trained"}),
    "divergence": frozenset({"spike", "overfitting", "plateau", "under-trained", "rate-too-low"}),
    "rate-too-high": frozenset({"plateau", "rate-too-low", "under-trained", "spike"}),
    "overfitting": frozenset({"noisy-evaluation", "plateau", "under-trained", "rate-too-low"}),
    "noisy-evaluation": frozenset({"spike", "rate-too-low", "under-trained", "plateau"}),
    "rate-too-low": frozenset({"plateau", "under-trained"}),
}

SUDDEN = frozenset({"divergence", "spike"})
FEW_STEPS = 10  # within which a rise is put down to an edit


def diagnose(study: s.Study, trial: s.Trial) -> tuple[Diagnosis, ...]:
    """Return what is wrong with the curves of ``trial``; nothing of a healthy or a new one."""
    return tuple(
        Diagnosis(
            finding.kind, finding.since_step, finding.sentence + _describe_edit_before(trial, finding),
            finding.figures,
            list_remedies(study, trial, finding),
        )
        for finding in find_all(read_curves(trial))
    )  # fmt: skip


def _describe_edit_before(trial: s.Trial, finding: Finding) -> str:
    """Return what a person changed shortly before a sudden rise; empty where nothing was."""
    near_steps = max(FEW_STEPS, trial.total_steps // 20)
    marks = [mark for mark in trial.marks if 0 <= finding.since_step - mark.step <= near_steps]
    if finding.kind not in SUDDEN or not marks:
        return ""
    return f", just after this at step {marks[0].step}: {sanitize(marks[0].text, 80)}"


def find_all(curves: Curves) -> list[Finding]:
    """Return the findings of all rules in the order of KINDS, without those that a graver one explains."""
    findings = {finding.kind: finding for rule in RULES if (finding := rule(curves))}
    hidden = _list_explained(findings)
    return [findings[kind] for kind in KINDS if kind in findings and kind not in hidden]


def _list_explained(kinds: Iterable[str]) -> frozenset[str]:
    return frozenset[str]().union(*(EXPLAINED.get(kind, frozenset()) for kind in kinds))
