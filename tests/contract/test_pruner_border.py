"""The border on the screen is the pruner's own: what Optuna would prune stands behind it."""

import optuna
import pytest
from msgspec.structs import replace

from core.contract.events import event_types as e
from core.contract.spec import study_spec
from core.contract.views.trials import pruner_border
from core.contract.views.trials.pruner_border import find_border, judge_standing
from core.search.pruners import pruner_choice
from tests.tui.scene import NOW, SPEC, state_of

STEPS = (20, 40, 60, 80)
CURVES = {number: [2.0 + 0.1 * ((number * 7) % 10) - 0.01 * step for step in STEPS] for number in range(9)}


def running(pruner, curves=CURVES, steps=STEPS, **study):
    """A study whose trials all run and have been evaluated at ``steps``."""
    spec = {**SPEC, "study": {**SPEC["study"], "pruner": pruner, "startup_trials": 4, **study}}
    told = [e.StudyCreated(at=NOW, study="tidy-7b", spec=spec, folder="/s")]
    for number, values in curves.items():
        common = {"study": "tidy-7b", "trial": number}
        told += [
            e.TrialQueued(at=NOW, **common, params={}, knobs={}),
            e.TrialStarting(at=NOW, **common, worker="w", device="cpu"),
            e.TrialRunning(at=NOW, **common, step=0, total_steps=100, trainable=1),
        ]
        for step, value in zip(steps, values, strict=False):
            told.append(
                e.TrialEvaluated(at=NOW, **common, step=step, elapsed_s=1.0, metrics={"eval/loss": value})
            )
    return state_of(told).studies["tidy-7b"]


def optuna_prunes(study, number):
    """What the pruner itself decides on the trial's last value, the others having theirs."""
    spec = study_spec.from_raw(study.spec)
    known = optuna.create_study(direction="minimize", pruner=pruner_choice.make_pruner(spec))
    trials = {n: known.ask() for n in sorted(study.trials, key=lambda other: other == number)}
    for place in range(len(STEPS)):
        for n, trial in trials.items():
            values = study.trials[n].series["eval/loss"].values
            if place < len(values):
                trial.report(values[place], STEPS[place])
    return trials[number].should_prune()


@pytest.mark.parametrize("pruner", ["median", "percentile"])
def test_a_trial_behind_the_border_is_the_one_that_the_pruner_stops(pruner):
    study = running(pruner)
    for number, trial in study.trials.items():
        standing = judge_standing(study, trial)
        assert (standing.behind > 0) == optuna_prunes(study, number), number
        assert standing.step == 80 and standing.judged_at == 100


def test_the_numbers_of_the_pruners_are_the_searchs():
    assert pruner_border.PERCENTILE == pruner_choice.PERCENTILE
    wanted = {"halving": pruner_choice.HALVING_FACTOR, "hyperband": pruner_choice.HYPERBAND_FACTOR}
    assert wanted == pruner_border.RUNG_FACTORS


def test_rungs_are_judged_at_their_steps_alone():
    curves = {number: [2.0 + number / 10] for number in range(8)}
    study = running("halving", curves)
    border = find_border(study)
    assert border.stepwise and border.points == ((20, 2.1),), "the second best of eight"
    assert judge_standing(study, study.trials[7]).behind == pytest.approx(0.6)
    assert judge_standing(study, study.trials[0]).behind == pytest.approx(-0.1)


def test_without_a_border_the_reason_is_told():
    few = running("median", {0: [2.0], 1: [2.1]})
    assert find_border(few).why_none == "pruner waits for 5 trials"
    assert judge_standing(few, few.trials[0]) is None
    five = running("median", {number: [2.0 + number] for number in range(5)})
    assert find_border(five).points == ((20, 4.0),) and judge_standing(five, five.trials[0]).behind == -2.5
    ended = {number: replace(trial, state="complete") for number, trial in five.trials.items()}
    four = replace(five, trials={number: trial for number, trial in ended.items() if number})
    assert find_border(four).points == ((20, 4.5),), "nobody's own values are among them"
    assert "no pruner" in find_border(running("none")).why_none
    assert "compares rows" in find_border(running("wilcoxon")).why_none


def test_a_threshold_is_a_level():
    study = running("threshold", threshold={"upper": 2.5})
    assert set(find_border(study).points) == {(step, 2.5) for step in STEPS}
