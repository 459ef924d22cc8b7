"""The median and percentile pruners among trials that run side by side."""

from __future__ import annotations

import optuna
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from optuna.trial import TrialState, create_trial

from core.search.pruners.median_pruner import PeersPruner
from tests.search import studies

VALUES = st.sampled_from([1.0, 1.5, 2.0, 2.5, 3.0, float("nan")])
CURVES = st.dictionaries(st.sampled_from([10, 20, 30]), VALUES, max_size=3)
RULES = st.tuples(st.sampled_from([25.0, 50.0, 75.0]), st.integers(0, 4), st.sampled_from([0, 20]))


def pack(tmp_path, size, pruner="median", **study):
    """``size`` trials that run at once, and whoever looks at them."""
    oracle = studies.oracle(tmp_path, pruner=pruner, **study)
    for number in range(size):
        oracle.ask(number)
    return oracle


def reported(oracle, step, losses):
    """All trials of the pack reach ``step`` one after another: the reasons by trial."""
    told = {number: oracle.report(number, step, {"eval/loss": loss}) for number, loss in losses.items()}
    for number in [number for number, reason in told.items() if reason]:
        oracle.tell(number, "pruned", [])
    return told


def test_in_a_pack_that_holds_all_trials_the_worst_goes(tmp_path):
    told = reported(pack(tmp_path, 5), 100, {0: 2.0, 1: 2.1, 2: 1.9, 3: 2.31, 4: 1.8})
    reason = "median pruner: eval/loss 2.31 is worse than the median 2 of 3 trials at step 100, "
    assert told == {0: None, 1: None, 2: None, 3: reason + "3 of them running", 4: None}


def test_the_reason_counts_who_runs_and_who_has_ended(tmp_path):
    oracle = pack(tmp_path, 5)
    reported(oracle, 100, {0: 1.0, 1: 2.0, 2: 3.0})
    oracle.tell(0, "complete", [1.0])
    oracle.tell(1, "complete", [2.0])
    told = reported(oracle, 100, {3: 9.0})[3]
    assert told.endswith("worse than the median 2 of 3 trials at step 100, 1 of them running")


def test_a_pruned_trial_does_not_make_the_border_milder(tmp_path):
    """Nor does Optuna's own rule look at it."""
    oracle = pack(tmp_path, 6)
    reported(oracle, 100, {0: 1.0, 1: 2.0, 2: 3.0, 3: 8.0})  # the last one is pruned
    told = reported(oracle, 100, {4: 2.5})[4]
    assert told.endswith("worse than the median 2 of 3 trials at step 100, 3 of them running")


def test_the_first_at_a_step_are_not_judged_there(tmp_path):
    """The pack stands at step 100; who is ahead at 200 has fewer peers than startup_trials."""
    oracle = pack(tmp_path, 5)
    reported(oracle, 100, dict.fromkeys(range(5), 1.0))
    assert set(reported(oracle, 200, {0: 5.0, 1: 9.0, 2: 7.0}).values()) == {None}
    assert reported(oracle, 200, {3: 9.0})[3] is None, "its best so far is as good as any"
    alone = pack(tmp_path / "alone", 1, startup_trials=0)
    assert alone.report(0, 10, {"eval/loss": 1e9}) is None


def test_ties_do_not_prune(tmp_path):
    assert set(reported(pack(tmp_path, 6), 10, dict.fromkeys(range(6), 2.0)).values()) == {None}


def test_what_a_failed_trial_showed_is_nothing_to_compare_with(tmp_path):
    oracle = pack(tmp_path, 4)
    reported(oracle, 10, {0: 1.0, 1: 1.0, 2: 1.0})
    oracle.tell(2, "failed", [])
    assert reported(oracle, 10, {3: 9.0})[3] is None, "two of three at the start are left"


def test_the_patient_pruner_waits_and_then_looks_at_the_pack(tmp_path):
    oracle = pack(tmp_path, 4, "patient")
    for step in (10, 20, 30, 40):
        assert set(reported(oracle, step, {0: 1.0, 1: 1.0, 2: 1.0, 3: 9.0 + step}).values()) == {None}
    told = reported(oracle, 50, {0: 1.0, 1: 1.0, 2: 1.0, 3: 59.0})
    assert [told[0], told[1], told[2]] == [None] * 3
    assert told[3].endswith("is worse than the median 1 of 3 trials at step 50, 3 of them running")


def decisions(ours, theirs, direction, others, curve):
    """Both pruners on one study: ours on ``others`` as they are, Optuna's on the same, all complete."""
    found = []
    for pruner, ended in ((ours, False), (theirs, True)):
        study = optuna.create_study(direction=direction)
        for state, seen in others:
            state = TrialState.COMPLETE if ended else state
            value = 1.0 if state == TrialState.COMPLETE else None
            study.add_trial(create_trial(state=state, value=value, intermediate_values=seen))
        study.add_trial(create_trial(state=TrialState.RUNNING, intermediate_values=curve))
        found.append(bool(pruner.prune(study, study.trials[-1])))
    return found


@pytest.mark.filterwarnings("ignore:All-NaN")
@given(
    st.sampled_from(["minimize", "maximize"]),
    st.lists(st.tuples(st.sampled_from(["COMPLETE", "RUNNING"]), CURVES), max_size=6),
    CURVES,
    RULES,
)
def test_the_rule_is_optunas_own_whoever_has_ended(direction, others, curve, rule):
    assume(not curve or any(value == value for value in curve.values()))  # ours wants peers even then
    percentile, startup, warmup = rule
    theirs = optuna.pruners.PercentilePruner(percentile, startup, warmup, n_min_trials=max(1, startup))
    peers = [(TrialState[state], seen) for state, seen in others]
    ours, optunas = decisions(PeersPruner(*rule), theirs, direction, peers, curve)
    assert ours == optunas


@given(st.lists(st.floats(0.5, 5), min_size=1, max_size=8), st.floats(0, 0.5), RULES)
def test_the_best_at_a_step_is_never_pruned(losses, best, rule):
    peers = [(TrialState.RUNNING, {10: 9.0, 20: loss}) for loss in losses]
    ours = PeersPruner(rule[0], 0, rule[2])
    assert decisions(ours, ours, "minimize", peers, {10: 9.5, 20: best}) == [False, False]
