"""What may help against each finding, as requests that the console can send, the best first. Pure."""

from __future__ import annotations

from collections.abc import Callable

from core.contract.spec.knob_table import KNOBS
from core.contract.state import best_and_counts
from core.contract.state import engine_state as s
from core.contract.views.trial_diagnosis import Finding, Remedy
from core.contract.wire import console_api as api

Options = list[Remedy]


def list_remedies(study: s.Study, trial: s.Trial, finding: Finding) -> tuple[Remedy, ...]:
    """Return the remedies that the trial's state allows."""
    return tuple(OF_KIND[finding.kind](study, trial, finding))


def _remedy_not_finite(study: s.Study, trial: s.Trial, finding: Finding) -> Options:
    if finding.since_step <= 1:
        return [Remedy("check the rows and the base: `trimtab doctor`, another model.precision")]
    return [*_restart_with_rate(study, trial, 0.5), *_clip_more(study, trial)]


def _remedy_too_high(study: s.Study, trial: s.Trial, finding: Finding) -> Options:
    """A trial that has lost what it had learned is begun again rather than edited."""
    return [*_restart_with_rate(study, trial, 0.5), *_edit_rate(study, trial, 0.5), *_prune(study, trial)]


def _remedy_overfitting(study: s.Study, trial: s.Trial, finding: Finding) -> Options:
    return [
        *_stop_here(study, trial),
        *_clone_best(study, trial, 0.5),
        *_clone(study, trial, 0.5),
        *_raise_dropout(study, trial),
        Remedy("fewer epochs, a lower rank or more rows in the next study"),
    ]


def _remedy_spike(study: s.Study, trial: s.Trial, finding: Finding) -> Options:
    return [*_edit_rate(study, trial, 0.5), *_clip_more(study, trial), *_clone_twin(study, trial)]


def _remedy_noisy(study: s.Study, trial: s.Trial, finding: Finding) -> Options:
    rows = study.settings.evaluate.rows
    more_rows = max(rows * 4, 50)
    return [Remedy(f"longer evaluation: evaluate.rows = {more_rows} in the next study (now at most {rows})"),
            *_edit_rate(study, trial, 0.5)]  # fmt: skip


def _remedy_too_low(study: s.Study, trial: s.Trial, finding: Finding) -> Options:
    return [*_edit_rate(study, trial, 10.0), *_restart_with_rate(study, trial, 10.0), *_prune(study, trial)]


def _remedy_clipping(study: s.Study, trial: s.Trial, finding: Finding) -> Options:
    limit = float(f"{2 * finding.figures['norm']:.2g}")
    if _is_training(trial):
        change = api.EditTrial(study.name, trial.number, {"clip_norm": limit})
        return [Remedy(f"edit clip_norm to {limit:g}", change), *_clone_twin(study, trial)]
    return [Remedy(f"queue it again with clip_norm {limit:g}", _enqueue(study, trial, {"clip_norm": limit}))]


def _remedy_plateau(study: s.Study, trial: s.Trial, finding: Finding) -> Options:
    return [*_stop_here(study, trial), *_edit_rate(study, trial, 0.5), *_clone_twin(study, trial)]


def _remedy_undertrained(study: s.Study, trial: s.Trial, finding: Finding) -> Options:
    steps = 2 * max(1, trial.total_steps)
    if _is_training(trial):
        return [Remedy(f"edit steps to {steps}", api.EditTrial(study.name, trial.number, {"steps": steps}))]
    if trial.checkpoint:
        longer_clone = api.CloneTrial(study.name, trial.number, {"steps": steps})
        return [
            Remedy(f"clone it from step {trial.checkpoint_step} and go on to {steps} steps", longer_clone)
        ]
    return [Remedy(f"queue it again with {steps} steps", _enqueue(study, trial, {"steps": steps}))]


OF_KIND: dict[str, Callable[[s.Study, s.Trial, Finding], Options]] = {
    "not-finite": _remedy_not_finite, "divergence": _remedy_too_high, "rate-too-high": _remedy_too_high,
    "overfitting": _remedy_overfitting, "spike": _remedy_spike, "noisy-evaluation": _remedy_noisy,
    "rate-too-low": _remedy_too_low,
    "clipping": _remedy_clipping, "plateau": _remedy_plateau, "under-trained": _remedy_undertrained,
}  # fmt: skip


# -- actions --------------------------------------------------------------------------------------


def _is_training(trial: s.Trial) -> bool:
    """Tell whether the trial still trains, so that it can be edited."""
    return trial.state not in s.ENDED and trial.step < trial.total_steps


def _find_rate(trial: s.Trial, factor: float) -> float | None:
    """Return the rate times ``factor``, three digits; None where no knob may have it."""
    rate = float(trial.knobs.get("learning_rate") or 0.0) * factor
    return float(f"{rate:.3g}") if 0 < rate <= (KNOBS["learning_rate"].high or rate) else None


def _edit_rate(study: s.Study, trial: s.Trial, factor: float) -> Options:
    if not _is_training(trial) or _find_rate(trial, factor) is None:
        return []
    change = api.EditTrial(study.name, trial.number, {"learning_rate": f"x{factor:g}"})
    return [Remedy(f"edit the rate x{factor:g} (to {_find_rate(trial, factor):g})", change)]


def _stop_here(study: s.Study, trial: s.Trial) -> Options:
    """The adapter is kept: the trial completes with its next step."""
    if not _is_training(trial):
        return []
    last = trial.step + 1
    steps_left = trial.total_steps - last
    return [
        Remedy(
            f"stop here, saves {steps_left} steps", api.EditTrial(study.name, trial.number, {"steps": last})
        )
    ]


def _prune(study: s.Study, trial: s.Trial) -> Options:
    if trial.state in s.ENDED:
        return []
    return [Remedy("prune it", api.PruneTrial(study.name, trial.number))]


def _clone(study: s.Study, trial: s.Trial, factor: float) -> Options:
    """A clone of a running trial begins where it is, that of an ended one at its checkpoint."""
    alive, rate = trial.state in (s.RUNNING, s.PAUSED), _find_rate(trial, factor)
    if rate is None or not (alive or trial.checkpoint):
        return []
    at = trial.step if alive else trial.checkpoint_step
    request = api.CloneTrial(study.name, trial.number, {"learning_rate": rate})
    return [Remedy(f"clone from step {at} at the rate {rate:g}", request)]


def _clone_best(study: s.Study, trial: s.Trial, factor: float) -> Options:
    """A clone from the best evaluation, where its checkpoint is kept; else what to do instead."""
    rate, best = _find_rate(trial, factor), best_and_counts.find_best_step(study, trial)
    if rate is None or best is None or best >= trial.step:
        return []
    if best_and_counts.find_best_kept_step(study, trial) is None:
        return [Remedy(f"no checkpoint of its best step {best} is kept, so none can be cloned from there")]
    request = api.CloneTrial(study.name, trial.number, {"learning_rate": rate}, best=True)
    return [Remedy(f"clone from its best step {best} at the rate {rate:g}", request)]


def _clone_twin(study: s.Study, trial: s.Trial) -> Options:
    if trial.state not in (s.RUNNING, s.PAUSED):
        return []
    label = "fork an untouched twin; V then compares both"
    return [Remedy(label, api.CloneTrial(study.name, trial.number, {}))]


def _restart_with_rate(study: s.Study, trial: s.Trial, factor: float) -> Options:
    rate = _find_rate(trial, factor)
    if rate is None:
        return []
    request = _enqueue(study, trial, {"learning_rate": rate})
    return [Remedy(f"queue it again at the rate {rate:g}", request)]


def _enqueue(study: s.Study, trial: s.Trial, knobs: dict[str, float]) -> api.EnqueueTrial:
    return api.EnqueueTrial(study.name, dict(knobs), like=trial.number)


def _clip_more(study: s.Study, trial: s.Trial) -> Options:
    now = float(trial.knobs.get("clip_norm") or 0.0)
    limit = float(f"{now / 2:.2g}") if now else 1.0
    if not _is_training(trial):
        return [
            Remedy(f"queue it again with clip_norm {limit:g}", _enqueue(study, trial, {"clip_norm": limit}))
        ]
    return [
        Remedy(f"edit clip_norm to {limit:g}", api.EditTrial(study.name, trial.number, {"clip_norm": limit}))
    ]


def _raise_dropout(study: s.Study, trial: s.Trial) -> Options:
    if not _is_training(trial) or float(trial.knobs.get("lora_dropout") or 0.0) >= 0.1:
        return []
    return [
        Remedy("edit lora_dropout to 0.1", api.EditTrial(study.name, trial.number, {"lora_dropout": 0.1}))
    ]
