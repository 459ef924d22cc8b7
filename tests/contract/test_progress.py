"""How far a study is and what is left: steps count, evaluations and scorings take time, no 0 s is left."""

from __future__ import annotations

from typing import Any

import pytest

from core.contract.events import event_types as e
from core.contract.metric_score import Score
from core.contract.state import engine_state as s
from core.contract.state import reference_values, study_progress
from core.contract.state.event_fold import apply, apply_readings, explain_refusal

OBJECTIVE = [{"metric": "eval/loss", "direction": "minimize"}]


def created(trials: int = 4, every: int = 10, metric: str = "eval/loss", **train: Any) -> e.Event:
    goal = [{"metric": metric, "direction": "minimize"}]
    study = {"name": "a", "trials": trials, "objectives": goal}
    spec = {"study": study, "evaluate": {"every": every}, "train": train}
    return e.StudyCreated(at=0.0, study="a", spec=spec, folder="/a")


def begun(number: int = 0, at: float = 100.0, total: int = 40) -> list[e.Event]:
    same: dict[str, Any] = {"study": "a", "trial": number, "at": at}
    return [
        e.TrialQueued(**same, params={}, knobs={}),
        e.TrialStarting(**same, worker="w", device="cpu"),
        e.TrialRunning(**same, step=0, total_steps=total),
    ]


def trained(
    number: int = 0,
    steps: int = 20,
    step_s: float = 2.0,
    look_s: float = 6.0,
    at: float = 100.0,
    every: int = 10,
) -> list[e.Event]:
    """Reports of each step; an evaluation takes ``look_s`` at every ``every``-th."""
    told: list[e.Event] = []
    for step in range(1, steps + 1):
        at += step_s
        same: dict[str, Any] = {"study": "a", "trial": number, "step": step, "elapsed_s": step_s * step}
        told.append(e.TrialReported(at=at, metrics={"train/loss": 1.0}, **same))
        if step % every == 0 and step < steps:
            at += look_s
            told.append(e.TrialEvaluated(at=at, metrics={"eval/loss": 1.0}, **same))
    return told


def completed(number: int, step: int = 40, scoring: int = -1, *values: float) -> e.Event:
    return e.TrialCompleted(at=300.0, study="a", trial=number, step=step, values=values, scoring=scoring)


def scoring(number: int, done: int, total: int, at: float, step: int = 40) -> e.Event:
    return e.TrialScoring(at=at, study="a", trial=number, step=step, done=done, total=total)


def folded(*events: e.Event) -> s.Study:
    state = s.State()
    for event in events:
        assert explain_refusal(state, event) is None, (event, explain_refusal(state, event))
        state = apply(state, event)
    return state.studies["a"]


# -- the bar ---------------------------------------------------------------------------------------


def test_the_bar_counts_steps_not_trials():
    study = folded(created(), *begun(), *trained(steps=20))
    assert study_progress.count_steps(study) == (20, 160)
    assert study_progress.find_done_percent(study) == 12 and study_progress.find_done_share(study) == 0.125


def test_a_trial_that_ended_early_has_done_its_share():
    pruned = e.TrialPruned(at=200.0, study="a", trial=0, step=20, why="weak")
    study = folded(created(), *begun(), *trained(steps=20), pruned)
    assert study_progress.count_steps(study) == (40, 160)


def test_trials_to_come_have_the_usual_steps():
    assert study_progress.count_steps(folded(created(steps=25))) == (0, 100)
    study = folded(created(), *begun(0), *begun(1, total=60), *begun(2, total=60))
    assert study_progress.count_steps(study) == (0, 40 + 60 + 60 + 60)


def test_without_known_steps_trials_are_counted():
    infeasible = e.TrialInfeasible(at=2.0, study="a", trial=0, why="too large")
    study = folded(created(), e.TrialQueued(at=1.0, study="a", trial=0, params={}, knobs={}), infeasible)
    assert study_progress.count_steps(study) == (1, 4) and study_progress.find_done_percent(study) == 25


def test_the_bar_only_grows_while_trials_train_and_end():
    events = [created(trials=2), *begun(0), *trained(0, 40), completed(0, 40, -1, 1.0)]
    events += [*begun(1), *trained(1, 30), e.TrialPruned(at=9.0, study="a", trial=1, step=30, why="weak")]
    shares = [study_progress.find_done_share(folded(*events[:count])) for count in range(1, len(events) + 1)]
    assert shares == sorted(shares) and shares[-1] == 1.0


# -- what is left of a trial -------------------------------------------------------------------------


def test_left_counts_the_evaluations_to_come():
    study = folded(created(), *begun(), *trained(steps=25))
    trial = study.trials[0]
    assert study_progress.measure_pace(study, trial) == study_progress.Pace(2.0, 6.0, 10)
    assert (
        study_progress.estimate_trial_left_s(study, trial) == 15 * 2.0 + 2 * 6.0
    )  # after step 30, and the last


def test_before_the_first_evaluation_only_the_steps_are_known():
    study = folded(created(), *begun(), *trained(steps=8))
    assert study_progress.estimate_trial_left_s(study, study.trials[0]) == 32 * 2.0


def test_with_an_evaluation_after_each_step_it_is_in_their_time():
    study = folded(created(every=1), *begun(), *trained(steps=20, every=1))
    assert study_progress.estimate_trial_left_s(study, study.trials[0]) == pytest.approx(20 * 8.0)


def test_one_slow_step_does_not_make_all_slow():
    late = [e.TrialReported(at=900.0, study="a", trial=0, step=9, elapsed_s=800.0, metrics={})]
    study = folded(created(), *begun(), *trained(steps=8), *late)
    assert study_progress.estimate_trial_left_s(study, study.trials[0]) == 31 * 2.0


def test_a_pause_is_no_time_of_a_step():
    pause = [
        e.TrialPaused(at=150.0, study="a", trial=0, step=8),
        e.TrialResumed(at=9000.0, study="a", trial=0, step=8),
    ]
    study = folded(created(), *begun(), *trained(steps=8), *pause)
    assert study_progress.estimate_trial_left_s(study, study.trials[0]) == 32 * 2.0  # by its mean step
    more = e.TrialReported(at=9003.0, study="a", trial=0, step=9, elapsed_s=18.0, metrics={})
    study = folded(created(), *begun(), *trained(steps=8), *pause, more)
    assert study_progress.estimate_trial_left_s(study, study.trials[0]) == 31 * 2.0


def test_a_trial_that_starts_again_has_its_earlier_pace_until_the_present_one_is_known():
    events = [created(trials=2), *begun(), *trained(steps=25)]
    at = {"study": "a", "trial": 0}
    events += [e.TrialCheckpointed(at=160.0, step=20, path="/c", **at)]
    events += [e.TrialRequeued(at=170.0, why="the engine was stopped", retry=0, **at)]
    events += [e.TrialStarting(at=9000.0, worker="v", device="cpu", **at)]
    loading = folded(*events)
    to_come = 80 - loading.trials[0].step
    assert study_progress.estimate_study_left_s(loading, 9050.0) == pytest.approx(to_come * 2.6)
    events += [e.TrialRunning(at=9060.0, step=20, total_steps=40, **at)]
    assert study_progress.estimate_study_left_s(folded(*events), 9060.0) == pytest.approx(60 * 2.6)
    events += [e.TrialReported(at=9090.0, step=21, elapsed_s=80.0, metrics={}, **at)]  # the first is slow
    assert study_progress.estimate_study_left_s(folded(*events), 9090.0) == pytest.approx(59 * 2.6)
    for step in range(22, 27):  # now three times as fast, and evaluations still take what they took
        late = 9090.0 + (step - 21) * 0.6
        events += [e.TrialReported(at=late, step=step, elapsed_s=80.0, metrics={}, **at)]
    assert study_progress.measure_pace(folded(*events), folded(*events).trials[0]) == study_progress.Pace(
        pytest.approx(0.6), pytest.approx(7.4), 10
    )


def test_all_steps_done_is_said_in_words_and_not_0s():
    study = folded(created(), *begun(), *trained(steps=40))
    assert (
        study_progress.is_evaluating(study.trials[0])
        and study_progress.estimate_trial_left_s(study, study.trials[0]) is None
    )
    assert study_progress.describe_rest(study) == ["1 evaluating"]


def test_a_clock_stays_small_however_long_a_trial_is():
    study = folded(created(), *begun(total=10_000), *trained(steps=10_000, look_s=0.0))
    assert len(study.trials[0].clock.steps) <= study_progress.POINTS + 1
    assert study_progress.measure_pace(study, study.trials[0]).step_s == pytest.approx(2.0)


def test_a_replay_has_the_same_clock():
    readings = trained(steps=30)
    state = s.State(studies={"a": folded(created(), *begun())})
    at_once = apply_readings(state, readings).studies["a"].trials[0]
    assert at_once == folded(created(), *begun(), *readings).trials[0]


# -- what is left of a study ---------------------------------------------------------------------------


def test_a_study_takes_its_steps_to_come_at_the_pace_of_what_runs():
    study = folded(created(trials=2), *begun(), *trained(steps=25))
    assert study_progress.estimate_study_left_s(study, 500.0) == pytest.approx((15 + 40) * (2.0 + 0.6))


def test_two_that_run_are_twice_as_fast_and_the_slowest_is_waited_for():
    both = [*begun(0), *trained(0, 25), *begun(1), *trained(1, 25)]
    assert study_progress.estimate_study_left_s(folded(created(trials=4), *both), 0) == pytest.approx(
        110 * 2.6 / 2
    )
    slow = [*begun(0), *trained(0, 39), *begun(1), *trained(1, 5, step_s=20.0)]
    assert study_progress.estimate_study_left_s(folded(created(trials=2), *slow), 0) == 35 * 20.0


def test_trials_to_come_are_taken_to_end_as_early_as_those_before():
    pruned = e.TrialPruned(at=200.0, study="a", trial=0, step=20, why="weak")
    events = [created(trials=4), *begun(0), *trained(0, 20), pruned, *begun(1), *trained(1, 8)]
    assert study_progress.estimate_study_left_s(folded(*events), 0) == pytest.approx(2.0 * (32 + 2 * 20))


def test_where_nothing_runs_the_whole_time_tells():
    study = folded(created(trials=2), *begun(), *trained(steps=40), completed(0, 40, -1, 1.0))
    assert study_progress.estimate_study_left_s(study, 300.0) == pytest.approx(40 * 200.0 / 40)


def test_what_is_left_of_a_study_counts_the_scoring_that_its_budget_leaves_for_the_end():
    at = {"study": "a", "worker": "w", "stage": "scoring the base model in the background", "unit": "answers"}
    events = [created(trials=2), *begun(0), *trained(0, 40), completed(0, 40, 40, 1.0), *begun(1)]
    events += [*trained(1, 25), e.Preparing(at=100.0, done=0, total=50, **at)]
    training_s = 15 * 2.0 + 2 * 6.0
    unknown = study_progress.estimate_study_left_s(folded(*events), 150.0)
    assert unknown == pytest.approx(training_s), "no answer was given yet"
    few = study_progress.estimate_study_left_s(
        folded(*events, e.Preparing(at=150.0, done=10, total=50, **at)), 150.0
    )
    assert few == pytest.approx(training_s), "the first answers waited for their share"
    study = folded(*events, e.Preparing(at=150.0, done=25, total=50, **at))
    answers = 25 + 2 * 50  # of the base, the complete trial and the one that trains; 25 took a tenth of 50 s
    left = study_progress.estimate_study_left_s(study, 150.0)
    assert left == pytest.approx(training_s + answers * 0.2 - 0.1 * training_s)


def test_only_scorings_left_is_their_time():
    events = [created(trials=1), *begun(), *trained(steps=40), completed(0, 40, 40, 1.0)]
    assert study_progress.estimate_study_left_s(folded(*events), 400.0) is None
    events += [scoring(0, 2, 36, 310.0), scoring(0, 12, 36, 330.0)]
    study = folded(*events)
    assert (
        study_progress.estimate_scoring_left_s(study.trials[0])
        == 48.0
        == study_progress.estimate_study_left_s(study, 400.0)
    )
    assert study_progress.find_done_percent(study) == 100 and study_progress.describe_rest(study) == [
        "1 being scored (12 of 36 answers)"
    ]


# -- scoring in words -----------------------------------------------------------------------------------


def test_a_complete_trial_is_scoring_until_its_last_scores_arrive():
    events = [created(), *begun(), *trained(steps=40), completed(0, 40, 40, 1.0)]
    trial = folded(*events).trials[0]
    assert (trial.state, study_progress.format_scoring(trial)) == ("complete", "to be scored")
    assert study_progress.make_scoring_record(trial) == {"step": 40, "done": 0, "total": 0}
    trial = folded(*events, scoring(0, 12, 36, 310.0)).trials[0]
    assert study_progress.format_scoring(trial) == "scoring 12/36"
    assert study_progress.make_scoring_record(trial) == {"step": 40, "done": 12, "total": 36}
    scored = e.TrialScored(at=320.0, study="a", trial=0, step=40, elapsed_s=1.0, scores={}, last=True)
    trial = folded(*events, scoring(0, 12, 36, 310.0), scored).trials[0]
    assert study_progress.format_scoring(trial) == "" and study_progress.make_scoring_record(trial) is None


def test_several_being_scored_are_counted_with_their_answers():
    events = [created(trials=3)]
    for number in range(3):
        events += [*begun(number), completed(number, 40, 40, 1.0), scoring(number, 15, 32, 310.0)]
    study = folded(*events)
    told = study_progress.sum_scoring(study)
    assert (str(told), told.brief) == ("3 being scored (45 of 96 answers)", "3 scoring 45/96")
    assert (
        str(study_progress.sum_scoring(folded(created())))
        == study_progress.sum_scoring(folded(created())).brief
        == ""
    )


# -- beside the base ---------------------------------------------------------------------------------------


def test_the_bases_loss_is_that_of_the_quality_board():
    study = folded(created())
    assert (
        reference_values.find_base_value(study, "eval/loss") is None
        and reference_values.list_base_values(study) == {}
    )
    known = {"quality/loss": Score(3.28, samples=64), "safety/toxicity": Score(0.02, samples=64)}
    study = folded(created(), e.BaseScored(at=1.0, study="a", scores=known))
    assert reference_values.find_base_value(study, "eval/loss") == 3.28
    assert reference_values.find_base_value(study, "eval/perplexity") == pytest.approx(26.576, abs=0.001)
    assert reference_values.find_base_value(study, "safety/toxicity") == 0.02
    assert reference_values.find_base_value(study, "eval/accuracy") is None


def test_why_no_trial_is_the_best():
    assert reference_values.explain_no_best(folded(created())) == "no trial is complete"
    waits = [created(metric="safety/toxicity"), *begun(), completed(0, 40, 40)]
    assert (
        reference_values.explain_no_best(folded(*waits))
        == "no complete trial has its score of safety/toxicity yet"
    )
    ended = e.ScoringEnded(at=400.0, study="a", trial=0, why="the study was stopped")
    assert (
        reference_values.explain_no_best(folded(*waits, ended))
        == "no complete trial has a value of safety/toxicity"
    )
