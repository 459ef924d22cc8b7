"""The bench stops trials as Optuna's own pruner does."""

from __future__ import annotations

import random

import optuna
import pytest

from tests.bench.sweep_ledger import Rungs, common


@pytest.mark.parametrize("factor", [2, 3, 4])
@pytest.mark.parametrize("first", [1, 4])
def test_the_rule_is_successive_halving_as_optuna_has_it(factor, first):
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    pruner = optuna.pruners.SuccessiveHalvingPruner(first, factor)
    study = optuna.create_study(pruner=pruner)
    rungs, dice = Rungs(first, factor), random.Random(factor)
    alive = {number: study.ask() for number in range(12)}
    for step in range(first, 16 * first + 1, first):
        for number in dice.sample(sorted(alive), len(alive)):  # they come in any order
            loss = dice.random()
            alive[number].report(loss, step)
            stops = rungs.stops(number, step, loss)
            assert stops == alive[number].should_prune()
            if stops:
                del alive[number]
    assert 0 < len(alive) < 12


def test_the_device_rests_when_all_processes_do():
    one, other = [(1.0, 3.0), (5.0, float("inf"))], [(2.0, 6.0)]
    assert common([one, other], 0.0, 8.0) == pytest.approx(1.0 + 1.0)
    assert common([one], 0.0, 8.0) == pytest.approx(2.0 + 3.0)
    assert common([one], 2.5, 6.0) == pytest.approx(0.5 + 1.0)
