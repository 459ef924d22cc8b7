"""The faults of training that need no processes, once each; ``python -m tests.bench.faults`` has all."""

from __future__ import annotations

import pytest
import torch

from tests.bench import faults_training as training


@pytest.fixture(autouse=True)
def own_environment(monkeypatch):
    monkeypatch.setenv("TRIMTAB_CACHE", "")  # the faults set one of their own: it is put back
    torch.set_num_threads(1)


@pytest.mark.parametrize("fault", [training.forward, training.backward, training.stepping, training.judging])
def test_memory_that_runs_out_anywhere_costs_at_most_the_trial_that_asked(fault):
    outcome = fault(1)
    assert (outcome.survived, outcome.tried, outcome.faults) == (1, 1, [])


@pytest.mark.parametrize("fault", [training.nan, training.damaged, training.no_card])
def test_what_breaks_in_one_trial_or_card_is_survived(fault):
    outcome = fault(1)
    assert (outcome.survived, outcome.tried, outcome.faults) == (1, 1, [])
    assert outcome.lost_steps <= outcome.interval
