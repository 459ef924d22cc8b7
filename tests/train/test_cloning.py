"""A clone goes on from where its parent stood, with what is other about it, or fails with a word."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from core.contract.events import event_types as e
from core.contract.wire import worker_api
from core.train import checkpoint_files
from core.train.data.batches.batch_schedule import BatchSchedule
from tests.train.test_edits import PLAIN, steps_done

KNOBS = {**PLAIN, "gradient_accumulation": 2, "lora_dropout": 0.1, "steps": 10}


@pytest.fixture(scope="session")
def folder(shallow):
    return shallow


def kept(one, trial: int = 0) -> Path:
    """The checkpoint of where the trial stands now."""
    one.pack.do(worker_api.Keep(trial))
    one.pack.settle()
    return Path(one.of(e.TrialCheckpointed, trial)[-1].path)


def clone(one, folder: Path, parent: Path, trial: int = 1, **knobs) -> None:
    """As the engine does: the parent's checkpoint stands in the clone's folder."""
    place = folder / str(trial)
    shutil.copytree(parent, place / parent.name)
    given = {**one.spec.train, **knobs}
    one.pack.do(worker_api.Assign(trial, given, str(place), str(place / parent.name), parent=0))


@pytest.fixture
def parent(bench, tmp_path):
    """A trial of four whole steps, kept in the middle of the fifth; ``make(**knobs)``."""

    def make(micro_batches: int = 1, **knobs) -> tuple:
        one = bench()
        one.assign(tmp_path, **{**KNOBS, **knobs})
        steps_done(one, 4)
        while not one.of(e.TrialEvaluated):
            one.turn()
        for _ in range(micro_batches):
            one.turn()
        return one, kept(one)

    return make


def trial_of(one, number: int = 1):
    return one.pack.parts.members[number].trial


def rows_of(course: BatchSchedule, first: int, last: int) -> list:
    return [row for step in range(first, last) for rows in course.micro_batches(step) for row in rows]


@pytest.mark.parametrize("optimizer", ["adamw", "adafactor", "sgd"])
def test_a_clone_without_changes_is_its_parent_bit_for_bit(parent, bench, tmp_path, optimizer):
    one, at = parent(optimizer=optimizer)
    two = bench()
    clone(two, tmp_path, at, **{**KNOBS, "optimizer": optimizer})
    one.finish(), two.finish()
    assert two.losses(1) == one.losses()[4:] and len(two.losses(1)) == 6
    ends = [some.of(e.TrialEvaluated, number)[-1].metrics for some, number in ((one, 0), (two, 1))]
    assert ends[0] == ends[1]


@pytest.mark.parametrize("other", [{"learning_rate": 1e-4}, {"weight_decay": 0.5}, {"scheduler": "linear"}])
def test_what_acts_at_a_step_leaves_the_loss_of_the_first_as_it_is(parent, bench, tmp_path, other):
    one, at = parent()
    two = bench()
    clone(two, tmp_path, at, **{**KNOBS, **other})
    one.finish(), two.finish()
    mine, theirs = two.losses(1), one.losses()[4:]
    assert mine[0] == theirs[0] and mine[1:] != theirs[1:]


def test_another_optimizer_begins_its_state_anew_and_says_so(parent, bench, tmp_path):
    one, at = parent()
    two = bench()
    clone(two, tmp_path, at, **{**KNOBS, "optimizer": "sgd"})
    assert not trial_of(two).optimizer.state_dict()["state"]
    told = [note.text for note in two.of(e.StudyNoted)]
    assert "trial 1: sgd starts from scratch: the checkpoint has adamw state" in told
    one.finish(), two.finish()
    assert two.losses(1)[0] == one.losses()[4], "the half of a step is gone on with"


@pytest.mark.parametrize(("batch", "accumulation"), [(2, 2), (3, 1), (8, 3)])
def test_other_batches_go_on_with_the_rows_that_come_next(parent, bench, tmp_path, batch, accumulation):
    _, at = parent()
    two = bench()
    other = {"batch_size": batch, "gradient_accumulation": accumulation}
    clone(two, tmp_path, at, **{**KNOBS, **other})
    parents = BatchSchedule(two.data.shorten(32)[0], {**two.spec.train, **KNOBS})
    whole, taken = rows_of(parents, 0, 30), rows_of(trial_of(two).course, 4, 10)
    had = 4 * 2 * 4
    assert taken == whole[had : had + len(taken)]
    told = [note.text for note in two.of(e.StudyNoted)]
    assert "trial 1: 1 micro-batches of the incomplete step will be repeated" in told
    two.finish()
    assert [one.step for one in two.of(e.TrialReported, 1)] == list(range(5, 11))


def test_the_epochs_of_a_clone_count_the_rows_that_its_parent_had(parent, bench, tmp_path):
    _, at = parent()
    two = bench()
    clone(two, tmp_path, at, **{**KNOBS, "steps": None, "epochs": 1.0, "gradient_accumulation": 1})
    rows = len(two.data.shorten(32)[0])
    assert two.of(e.TrialRunning, 1)[0].total_steps == 4 + -(-(rows - 32) // 4)


def test_a_clone_that_was_left_goes_on_by_its_own_course(parent, bench, tmp_path):
    _, at = parent()
    other = {**KNOBS, "batch_size": 3, "learning_rate": 1e-4, "optimizer": "sgd", "seed": 9}
    whole, left, again = bench(), bench(), bench()
    clone(whole, tmp_path, at, 1, **other)
    clone(left, tmp_path, at, 2, **other)
    for _ in range(5):
        left.turn()
    last = kept(left, 2)
    given = {**again.spec.train, **other}
    again.pack.do(worker_api.Assign(2, given, str(tmp_path / "2"), str(last), parent=0))
    whole.finish(), again.finish()
    assert left.losses(2) + again.losses(2) == whole.losses(1)


@pytest.mark.parametrize(
    "other", [{"sequence_length": 28}, {"lora_alpha": 64.0}, {"seed": 5}, {"warmup": 0.5}]
)
def test_other_rows_another_scale_or_another_course_of_the_rate_go_on_too(parent, bench, tmp_path, other):
    _, at = parent()
    two = bench()
    clone(two, tmp_path, at, **{**KNOBS, **other})
    two.finish()
    assert [one.step for one in two.of(e.TrialReported, 1)] == list(range(5, 11))
    assert two.of(e.TrialCompleted, 1)


def test_an_evaluation_that_was_not_whole_is_done_anew_by_other_rows(bench, tmp_path):
    one = bench(evaluate={"batch_size": 2})
    one.assign(tmp_path, **KNOBS)
    steps_done(one, 4)
    one.turn()
    at = kept(one)
    two = bench(evaluate={"batch_size": 2})
    clone(two, tmp_path, at, **{**KNOBS, "sequence_length": 28})
    assert any("the incomplete evaluation will be repeated" in note.text for note in two.of(e.StudyNoted))
    two.finish()
    assert [told.step for told in two.of(e.TrialEvaluated, 1)] == [4, 8, 10]


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({"lora_rank": 8}, "lora_rank = 8, but the checkpoint has rank 4"),
        ({"target_modules": "attention"}, "target_modules = attention does not match the checkpoint"),
    ],
)
def test_a_clone_of_another_shape_fails_with_the_reason(parent, bench, tmp_path, other, why):
    _, at = parent()
    two = bench()
    clone(two, tmp_path, at, **{**KNOBS, **other})
    (failed,) = two.of(e.TrialFailed, 1)
    assert "it cannot continue from trial 0" in failed.error and why in failed.error and not failed.again
    assert not two.of(e.TrialRunning, 1) and not len(two.pack)


def test_a_clone_never_begins_at_the_beginning(parent, bench, tmp_path):
    _, at = parent()
    damaged = tmp_path / "damaged" / at.name
    shutil.copytree(at, damaged)
    (damaged / "manifest.json").unlink()
    two = bench()
    clone(two, tmp_path, damaged)
    two.pack.do(
        worker_api.Assign(
            2, dict(two.spec.train), str(tmp_path / "2"), str(tmp_path / "2" / at.name), parent=0
        )
    )
    assert "the checkpoint cannot be used" in two.of(e.TrialFailed, 1)[0].error
    assert "has no checkpoint" in two.of(e.TrialFailed, 2)[0].error


def test_a_trial_that_patience_ended_goes_on_as_a_clone_with_other_knobs(bench, tmp_path):
    patient = {"every": 2, "patience": 2, "min_delta": 10.0}
    one = bench(evaluate=patient, resources={"checkpoint_every": 1})
    one.assign(tmp_path, **KNOBS)
    one.finish()
    assert one.of(e.TrialCompleted)[0].step == 6
    at = Path(one.of(e.TrialCheckpointed)[-1].path)
    two = bench(evaluate=patient)
    clone(two, tmp_path, at, **{**KNOBS, "learning_rate": 1e-4})
    two.finish()
    assert two.of(e.TrialCompleted, 1)[0].step == 8, "it was given as many evaluations again"


@pytest.mark.parametrize("fewer", [{"steps": 4}, {"steps": 0, "epochs": 0.1}])
def test_a_clone_with_no_step_left_is_evaluated_and_complete(parent, bench, tmp_path, fewer):
    _, at = parent()
    two = bench()
    clone(two, tmp_path, at, **{**KNOBS, **fewer})
    two.finish()
    (evaluated,), (completed,) = two.of(e.TrialEvaluated, 1), two.of(e.TrialCompleted, 1)
    assert not two.losses(1) and completed.values == (evaluated.metrics["eval/loss"],)


def test_a_checkpoint_of_an_older_trimtab_is_of_use(parent, bench, tmp_path):
    one, at = parent()
    snapshot = checkpoint_files.read(at)
    for name in ("knobs", "since", "passed_step"):
        del snapshot.numbers[name]
    del snapshot.numbers["partial"]["losses"]
    json.dumps(snapshot.numbers)
    older = checkpoint_files.write(tmp_path / "older", one.pack.parts.members[0].trial.position, snapshot)
    two = bench()
    clone(two, tmp_path, older, **KNOBS)
    one.finish(), two.finish()
    assert two.losses(1) == one.losses()[4:]
