"""The Wilcoxon pruner compares trials row by row of the validation data."""

from __future__ import annotations

import random

import pytest

from core.errors import SpecError
from tests.search import studies

BASE = [random.Random(row).uniform(1.0, 4.0) for row in range(30)]  # rows differ much more than trials do


def oracle_of(tmp_path, **study):
    return studies.oracle(tmp_path, pruner="wilcoxon", startup_trials=1, **study)


def report(oracle, number, worse, step=10):
    noise = random.Random(number)
    rows = [base + worse + noise.gauss(0.0, 0.02) for base in BASE]
    return oracle.report(number, step, {"eval/loss": sum(rows) / len(rows)}, rows)


def test_a_small_difference_in_all_rows_ends_a_trial_and_the_reason_has_the_numbers(tmp_path):
    oracle = oracle_of(tmp_path)
    for number in range(3):
        oracle.ask(number)
    assert report(oracle, 0, 0.0) is None  # nobody to compare with
    assert report(oracle, 1, -0.02) is None
    told = report(oracle, 2, 0.05)
    assert told.startswith(
        "wilcoxon pruner: worse than trial 1 on 29 of 30 validation rows at step 10, by 0.06"
    )


def test_a_difference_in_a_few_rows_is_noise(tmp_path):
    oracle = oracle_of(tmp_path)
    for number in range(2):
        oracle.ask(number)
    rows = [base + (0.5 if row % 10 == 0 else -0.001 * (row % 3 - 1)) for row, base in enumerate(BASE)]
    assert oracle.report(0, 10, {"eval/loss": 2.5}, BASE) is None
    assert oracle.report(1, 10, {"eval/loss": 2.6}, rows) is None


def test_trials_are_compared_at_the_same_step_and_not_within_the_warm_up(tmp_path):
    oracle = oracle_of(tmp_path, pruner_warmup_steps=20)
    for number in range(2):
        oracle.ask(number)
    assert report(oracle, 0, 0.0) is None and report(oracle, 1, 1.0) is None
    assert report(oracle, 1, 1.0, step=20) is None  # the first there
    assert report(oracle, 0, 0.0, step=20) is None
    assert "at step 30" in [report(oracle, 0, 0.0, step=30), report(oracle, 1, 1.0, step=30)][1]


def test_rows_outlive_the_process_that_was_told_them(tmp_path):
    oracle = oracle_of(tmp_path)
    for number in range(2):
        oracle.ask(number)
    report(oracle, 0, 0.0)
    assert report(oracle_of(tmp_path), 1, 0.5) is not None


def test_a_handful_of_rows_says_nothing(tmp_path):
    oracle = oracle_of(tmp_path)
    for number in range(2):
        oracle.ask(number)
    assert oracle.report(0, 10, {"eval/loss": 2.0}, BASE[:13]) is None
    assert oracle.report(1, 10, {"eval/loss": 9.0}, [one + 7.0 for one in BASE[:13]]) is None


def test_an_objective_that_is_no_loss_of_rows_is_refused():
    with pytest.raises(SpecError, match="pruner = 'wilcoxon' compares losses of rows, not eval/accuracy"):
        studies.spec(pruner="wilcoxon", objectives=["eval/accuracy"])
