"""What people change in a trial as it runs holds from its next step on, is told with it, and is kept."""

from __future__ import annotations

import pytest

from core.contract.events import event_types as e
from core.contract.wire import worker_api

PLAIN = {"scheduler": "constant", "warmup": 0.0, "learning_rate": 1e-3}


@pytest.fixture(scope="session")
def folder(shallow):
    return shallow


def edit(one, by: str = "me", trial: int = 0, **changes) -> None:
    one.pack.do(worker_api.Edit(trial, changes, by))


def steps_done(one, steps: int, trial: int = 0) -> None:
    while len(one.of(e.TrialReported, trial)) < steps:
        one.turn()


def rates(one) -> list[float]:
    return [told.metrics["train/learning_rate"] for told in one.of(e.TrialReported)]


@pytest.mark.parametrize("accumulation", [1, 2])
def test_an_edit_holds_from_the_next_step_that_is_not_begun_and_is_kept_there(bench, tmp_path, accumulation):
    one = bench()
    one.assign(tmp_path, gradient_accumulation=accumulation, **PLAIN)
    steps_done(one, 2)
    edit(one, learning_rate=5e-4)
    assert not one.of(e.TrialEdited), "its third step is begun"
    one.finish()
    (told,) = one.of(e.TrialEdited)
    assert (told.step, told.changes, told.by) == (3, {"learning_rate": (1e-3, 5e-4)}, "me")
    assert told.total_steps == 0 and rates(one) == pytest.approx([1e-3] * 3 + [5e-4] * 5)
    kept = next(one for one in one.told[one.told.index(told) :] if isinstance(one, e.TrialCheckpointed))
    assert kept.step == 3, "a later life cannot begin before the edit"


def test_the_rate_is_the_new_peak_times_what_the_schedule_says(bench, tmp_path):
    one, plain = bench(), bench()
    for some in (one, plain):
        some.assign(tmp_path, scheduler="cosine", warmup=0.25, learning_rate=1e-3)
    steps_done(one, 3)
    edit(one, learning_rate=3e-3)
    one.finish(), plain.finish()
    assert rates(one) == pytest.approx(rates(plain)[:4] + [3 * rate for rate in rates(plain)[4:]])


def test_a_life_that_is_taken_up_after_an_edit_goes_on_as_if_it_had_not_stopped(bench, tmp_path):
    whole, broken, changes = tmp_path / "whole", tmp_path / "broken", {}
    whole.mkdir(), broken.mkdir()
    changes = {"learning_rate": 5e-3, "lora_dropout": 0.3, "weight_decay": 0.2, "clip_norm": 0.1,
               "evaluate_every": 3, "steps": 10}  # fmt: skip
    one, two = bench(), bench()
    for some, folder in ((one, whole), (two, broken)):
        some.assign(folder, gradient_accumulation=2, **PLAIN)
        steps_done(some, 2)
        edit(some, **changes)
    one.finish()
    while not two.of(e.TrialEdited):
        two.turn()
    again = bench()
    kept = two.of(e.TrialCheckpointed)[-1].path
    again.assign(broken, checkpoint=kept, gradient_accumulation=2, **{**PLAIN, **changes})
    again.finish()
    assert two.losses() + again.losses() == one.losses()
    found = [(told.step, told.metrics) for some in (two, again) for told in some.of(e.TrialEvaluated)]
    assert found == [(told.step, told.metrics) for told in one.of(e.TrialEvaluated)]
    assert [step for step, _ in found] == [6, 9, 10], "and not where the edit was made"


def test_what_was_asked_twice_is_told_twice_and_the_last_holds(bench, tmp_path):
    one = bench()
    one.assign(tmp_path, **PLAIN)
    steps_done(one, 1)
    edit(one, "me", learning_rate=5e-4)
    edit(one, "you", learning_rate=2e-4, clip_norm=0.5)
    one.finish()
    first, second = one.of(e.TrialEdited)
    assert (first.step, first.by, second.step, second.by) == (2, "me", 2, "you")
    assert second.changes == {"learning_rate": (5e-4, 2e-4), "clip_norm": (1.0, 0.5)}
    assert rates(one)[-1] == pytest.approx(2e-4)


def test_a_paused_trial_takes_an_edit_when_it_goes_on(bench, tmp_path):
    one = bench()
    one.assign(tmp_path, **PLAIN)
    steps_done(one, 2)
    one.pack.do(worker_api.Pause(0))
    edit(one, learning_rate=5e-4)
    assert not one.of(e.TrialEdited)
    one.pack.do(worker_api.Resume(0))
    one.finish()
    assert one.of(e.TrialEdited)[0].step == 3 and rates(one)[-1] == pytest.approx(5e-4)


@pytest.mark.parametrize("optimizer", ["adamw", "adafactor", "sgd", "adamw-8bit"])
def test_another_weight_decay_is_that_of_a_trial_that_had_it_from_there(bench, tmp_path, optimizer):
    """The adapter shrinks by it: a decay that did nothing would leave the losses as they were."""
    one, plain = bench(), bench()
    for some in (one, plain):
        some.assign(tmp_path, optimizer=optimizer, **{**PLAIN, "learning_rate": 5e-2})
        steps_done(some, 2)
    edit(one, weight_decay=5.0)
    one.finish(), plain.finish()
    assert one.losses()[:4] == plain.losses()[:4] and one.losses()[4:] != plain.losses()[4:]


@pytest.mark.parametrize("mine", [0, 1])
def test_dropout_begins_and_ends_and_costs_the_neighbour_nothing(bench, tmp_path, mine):
    one, plain = bench(train={"steps": 12}), bench(train={"steps": 12})
    for some in (one, plain):
        some.assign(tmp_path, 0, **PLAIN)
        some.assign(tmp_path, 1, seed=3, **PLAIN)
        steps_done(some, 2)
    edit(one, trial=mine, lora_dropout=0.5)
    steps_done(one, 6)
    edit(one, trial=mine, lora_dropout=0.0)
    one.finish(), plain.finish()
    assert [told.step for told in one.of(e.TrialEdited, mine)] == [3, 7]
    assert one.losses(1 - mine) == pytest.approx(plain.losses(1 - mine), rel=1e-5)
    assert one.losses(mine)[:3] == pytest.approx(plain.losses(mine)[:3], rel=1e-5)
    assert one.losses(mine)[3] != pytest.approx(plain.losses(mine)[3], rel=1e-5)
    assert one.pack.parts.stack.groups == []


def test_more_steps_come_in_time_even_in_the_last_evaluation(bench, tmp_path):
    one = bench()
    one.assign(tmp_path, steps=4, **PLAIN)
    steps_done(one, 4)
    edit(one, steps=6)
    one.finish()
    (told,) = one.of(e.TrialEdited)
    assert (told.step, told.changes, told.total_steps) == (4, {"steps": (4, 6)}, 6)
    assert one.of(e.TrialCompleted)[0].step == 6
    assert [told.step for told in one.of(e.TrialEvaluated)] == [4, 6]


def test_fewer_steps_than_are_done_end_the_trial_where_it_stands(bench, tmp_path):
    one = bench()
    one.assign(tmp_path, steps=50, **PLAIN)
    steps_done(one, 5)
    edit(one, steps=2)
    one.finish()
    (told,) = one.of(e.TrialEdited)
    assert (told.changes, told.total_steps) == ({"steps": (50, 6)}, 6)
    (ended,) = one.of(e.TrialCompleted)
    assert ended.step == 6 and one.of(e.TrialEvaluated)[-1].step == 6


def test_evaluations_come_as_often_as_was_asked_and_in_the_next_life_too(bench, tmp_path):
    one = bench(train={"steps": 14})
    one.assign(tmp_path, **PLAIN)
    steps_done(one, 2)
    edit(one, evaluate_every=5)
    one.finish()
    assert one.of(e.TrialEdited)[0].changes == {"evaluate_every": (4, 5)}
    assert [told.step for told in one.of(e.TrialEvaluated)] == [5, 10, 14]


def test_what_cannot_change_is_a_word_and_who_is_not_here_is_nobody(bench, tmp_path):
    one = bench()
    one.assign(tmp_path, **PLAIN)
    edit(one, trial=7, learning_rate=1.0)
    edit(one, lora_rank=8, clip_norm=0.5)
    one.finish()
    assert one.of(e.TrialEdited)[0].changes == {"clip_norm": (1.0, 0.5)}
    (note,) = [told for told in one.of(e.StudyNoted) if "cannot change" in told.text]
    assert note.text == "trial 0: lora_rank cannot change while it runs" and note.level == "warning"
    assert not one.of(e.TrialEdited, 7)
