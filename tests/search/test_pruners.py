"""What every pruner of the factory must do, and the reasons that it gives."""

from __future__ import annotations

import re

import pytest

from core.contract.spec.study_spec import PRUNERS as NAMES
from core.search.pruners.pruner_choice import PRUNERS
from tests.search import studies

STEPS = range(10, 100, 20)
REASONS = {
    "median": r"median pruner: eval/loss 9 is worse than the median 2\.5 of 4 trials at step 10",
    "percentile": r"percentile pruner: eval/loss 9 is worse than the best 25% "
    r"\(border 1\.75\) of 4 trials at step 10",
    "halving": r"halving pruner: eval/loss 9 at step 10 is not in the best 1/4 of rung 0 \(5 trials\)",
    "hyperband": r"hyperband pruner: eval/loss 9 at step \d+ is not in the best 1/3 of rung \d \(\d trials\)",
    "wilcoxon": r"wilcoxon pruner: worse than trial 0 on 17 of 17 validation rows at step 10, "
    r"by 8 nats/token on average \(p = \S+\)",
    "threshold": r"threshold pruner: eval/loss 9 at step 10 is above the threshold 8",
    "patient": r"patient pruner: no improvement for 4 evaluations, and eval/loss 9 \(best so far\) "
    r"is worse than the median 2\.5 of 4 trials at step \d+",
}


def oracle_of(tmp_path, pruner, **study):
    return studies.oracle(tmp_path, pruner=pruner, **study)


def past(oracle, losses=(1.0, 2.0, 3.0, 4.0)):
    """Complete trials with flat curves."""
    for loss in losses:
        number = oracle.ask(oracle.count()).number
        for step in STEPS:
            oracle.report(number, step, {"eval/loss": loss}, rows(loss))
        oracle.tell(number, "complete", [loss])


def rows(loss):
    """Validation rows whose mean is about ``loss``."""
    return [loss + row / 10 for row in range(-8, 9)]


def course(oracle, value):
    """Report ``value(step)`` until a reason comes: (step, reason), or None."""
    number = oracle.ask(oracle.count()).number
    for step in STEPS:
        metrics = {"eval/loss": value(step), "eval/accuracy": 0.5}
        reason = oracle.report(number, step, metrics, rows(value(step)))
        if reason:
            oracle.tell(number, "pruned", [])
            return step, reason
    oracle.tell(number, "complete", [value(STEPS[-1])])
    return None


def test_the_factory_knows_every_pruner_of_the_spec():
    assert set(PRUNERS) == set(NAMES)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "none"])
def test_a_bad_trial_is_pruned_with_its_numbers(name, tmp_path):
    oracle = oracle_of(tmp_path, name)
    past(oracle)
    found = [course(oracle, lambda step: 9.0 + step / 1000 if name == "patient" else 9.0) for _ in range(3)]
    pruned = [one for one in found if one]
    assert pruned, f"{name} let three bad trials live"
    pattern = REASONS[name].replace("eval/loss 9 ", r"eval/loss 9\.?\d* ")
    assert re.fullmatch(pattern, pruned[0][1]), pruned[0][1]


@pytest.mark.parametrize("name", NAMES)
def test_the_best_trial_is_never_pruned(name, tmp_path):
    oracle = oracle_of(tmp_path, name)
    past(oracle)
    assert course(oracle, lambda step: 0.5 - step / 1000) is None


def test_no_pruner_never_prunes(tmp_path):
    oracle = oracle_of(tmp_path, "none")
    past(oracle)
    assert course(oracle, lambda step: 1e9) is None


@pytest.mark.parametrize("name", ["median", "percentile", "halving", "threshold"])
def test_the_warm_up_is_left_alone(name, tmp_path):
    oracle = oracle_of(tmp_path, name, pruner_warmup_steps=40)
    past(oracle)
    assert course(oracle, lambda step: 9.0)[0] == 50


def test_a_threshold_has_two_sides_and_wants_a_number(tmp_path):
    oracle = oracle_of(tmp_path, "threshold", threshold={"lower": 0.5, "upper": 8.0})
    told = [course(oracle, lambda step, value=value: value) for value in (8.0, 0.5, 0.4, float("nan"))]
    at = "threshold pruner: eval/loss {} at step 10 is {}"
    assert told[:3] == [None, None, (10, at.format("0.4", "below the threshold 0.5"))]
    assert told[3] == (10, at.format("nan", "not a number"))


def test_a_pruned_trial_carries_its_last_value(tmp_path):
    oracle = oracle_of(tmp_path, "median")
    past(oracle)
    course(oracle, lambda step: 9.0)
    last = oracle.study.trials[-1]
    assert last.state.name == "PRUNED" and last.value == 9.0 and last.last_step == 10


def test_larger_is_better_where_the_objective_says_so(tmp_path):
    oracle = oracle_of(tmp_path, "median", objectives=["eval/accuracy"])
    for value in (0.5, 0.6, 0.7, 0.8):
        number = oracle.ask(oracle.count()).number
        assert oracle.report(number, 10, {"eval/accuracy": value}) is None
        oracle.tell(number, "complete", [value])
    number = oracle.ask(4).number
    reason = oracle.report(number, 10, {"eval/accuracy": 0.1})
    assert reason == "median pruner: eval/accuracy 0.1 is worse than the median 0.65 of 4 trials at step 10"


def test_a_reading_of_an_ended_trial_and_one_without_the_objective_say_nothing(tmp_path):
    oracle = oracle_of(tmp_path, "median")
    past(oracle)
    assert oracle.report(0, 10, {"eval/loss": 1e9}) is None
    assert oracle.report(oracle.ask(4).number, 10, {"train/loss": 1e9}) is None


def test_a_step_seen_twice_takes_the_newer_value(tmp_path):
    """A trial that goes on from a checkpoint evaluates the same steps again."""
    oracle = oracle_of(tmp_path, "none")
    number = oracle.ask(0).number
    oracle.report(number, 10, {"eval/loss": 3.0})
    oracle.report(number, 10, {"eval/loss": 2.0})
    oracle.tell(number, "pruned", [])
    assert oracle.study.trials[0].value == 2.0
