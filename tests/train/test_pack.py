"""Steering a pack: what is asked of one trial happens at the next micro-batch and touches no other."""

import math

import msgspec
import pytest
import torch

from core.contract.events import event_types as e
from core.contract.wire import worker_api
from core.memory.estimate import rows_per_pass
from core.train.adapters import optimizers
from core.train.pack import pack_meter


@pytest.fixture(scope="session")
def folder(shallow):
    return shallow


def test_a_pause_stops_before_the_next_micro_batch(bench, tmp_path):
    one = bench(train={"gradient_accumulation": 4})
    one.assign(tmp_path)
    one.pack.turn()  # the first of four micro-batches
    one.pack.do(worker_api.Pause(0))
    one.pack.turn()
    assert not one.pack.busy and not one.losses()
    assert one.of(e.TrialPaused)[0].step == 0
    one.pack.do(worker_api.Resume(0))
    one.finish()
    assert one.of(e.TrialResumed) and one.of(e.TrialCompleted)


def test_a_pause_changes_no_number(bench, tmp_path):
    plain, paused = bench(), bench()
    for one in (plain, paused):
        one.assign(tmp_path, lora_dropout=0.2)
        one.assign(tmp_path, 1, seed=3)
    plain.finish()
    for turn in range(9):
        paused.pack.turn()
        if turn % 3 == 0:
            paused.pack.do(worker_api.Pause(0))
            paused.pack.turn()
            paused.pack.do(worker_api.Resume(0))
    paused.finish()
    assert paused.losses() == pytest.approx(plain.losses(), rel=1e-5)
    assert paused.losses(1) == pytest.approx(plain.losses(1), rel=1e-5)


def test_pause_and_resume_are_confirmed_even_when_they_change_nothing(bench, tmp_path):
    one = bench()
    one.assign(tmp_path)
    for message in (worker_api.Resume(0), worker_api.Pause(0), worker_api.Pause(0)):
        one.pack.do(message)
    assert len(one.of(e.TrialResumed)) == 1 and len(one.of(e.TrialPaused)) == 2


def test_prune_ends_a_trial_with_its_reason_and_frees_its_place(bench, tmp_path):
    one = bench()
    one.assign(tmp_path)
    one.pack.turn()
    one.pack.do(worker_api.Prune(0, "worse than the median"))
    one.pack.settle()
    assert one.of(e.TrialPruned)[0].why == "worse than the median"
    assert len(one.pack) == 0
    one.pack.do(worker_api.Prune(0, "again"))
    assert len(one.of(e.TrialPruned)) == 1


def test_a_prune_after_the_last_step_lets_the_trial_be_evaluated_and_complete(bench, tmp_path):
    """Its last evaluation takes several rounds, and a prune may come between two of them."""
    one = bench(train={"steps": 4, "batch_size": 1}, evaluate={"rows": 8})
    one.assign(tmp_path)
    while not one.losses() or one.of(e.TrialReported)[-1].step < 4:
        one.turn()
    assert not [told for told in one.of(e.TrialEvaluated) if told.step == 4], "it is still to come"
    one.pack.do(worker_api.Prune(0, "too slow"))
    one.finish()
    (end,) = one.of(e.TrialCompleted)
    assert end.step == 4 and not one.of(e.TrialPruned)
    (note,) = [told.text for told in one.told if isinstance(told, e.StudyNoted) and "too slow" in told.text]
    assert "trial 0" in note and "all 4 steps are done: it will be complete" in note


def test_a_trial_that_diverges_fails_alone_and_says_what_may_help(bench, tmp_path):
    alone = bench()
    alone.assign(tmp_path, 1, seed=2)
    alone.finish()
    one = bench()
    wild = {"learning_rate": 9.0, "weight_decay": 10.0, "clip_norm": 0.0, "warmup": 0.0, "steps": 99}
    one.assign(tmp_path, 0, optimizer="sgd", **wild)
    one.assign(tmp_path, 1, seed=2)
    one.finish()
    error = one.of(e.TrialFailed)[0].error
    assert "the loss is" in error and "learning_rate (now 9)" in error
    assert one.losses(1) == pytest.approx(alone.losses(1), rel=1e-5)
    assert all(math.isfinite(value) for event in one.of(e.TrialReported) for value in event.metrics.values())


@pytest.mark.parametrize(
    ("knobs", "reason"),
    [
        ({"target_modules": ["q_porj"]}, "the model has no linear layer 'q_porj'; it has q_proj"),
        ({"sequence_length": 8}, "sequence_length = 8: no row has a target token"),
        ({"optimizer": "adamw-paged"}, "needs a CUDA device"),
        ({"initialisation": "orthogonal", "lora_rank": 3}, "the adapter cannot be initialised (rank 3)"),
    ],
)
def test_knobs_that_cannot_be_had_are_infeasible_with_the_reason(bench, tmp_path, knobs, reason):
    one = bench()
    one.assign(tmp_path, **knobs)
    assert reason in one.of(e.TrialInfeasible)[0].why
    assert len(one.pack) == 0
    one.assign(tmp_path, 1)
    one.finish()
    assert one.of(e.TrialCompleted, 1)


@pytest.mark.parametrize("where", ["_run_pass", "step_together"])
def test_a_device_that_fails_is_no_trials_fault(bench, tmp_path, monkeypatch, where):
    """The worker ends, and the engine gives its trials to another."""
    one = bench()
    for number in range(2):
        one.assign(tmp_path, number)
    one.pack.turn()

    def lost(*arguments, **more):
        raise torch.AcceleratorError("CUDA error: unspecified launch failure")

    monkeypatch.setattr(one.pack.parts.rounds._forward if where == "_run_pass" else optimizers, where, lost)
    with pytest.raises(torch.AcceleratorError):
        one.pack.turn()
    assert not any(one.of(e.TrialFailed, number) for number in range(2))


def test_what_nobody_foresaw_may_be_tried_again_and_a_loss_that_is_no_number_may_not(bench, tmp_path):
    one = bench(resources={"checkpoint_every": 1})
    for number in range(2):
        one.assign(tmp_path, number)
    one.pack.parts.members[0].trial.optimizer.step = lambda: 1 / 0
    one.pack.parts.members[1].trial.factors.matrix.data.fill_(math.nan)
    one.finish()
    fell, diverged = one.of(e.TrialFailed, 0)[0], one.of(e.TrialFailed, 1)[0]
    assert fell.again and "ZeroDivisionError" in fell.error and "1 / 0" in fell.traceback
    assert (
        not diverged.again and "the loss is nan at step 1, before any update: the cause is" in diverged.error
    )


@pytest.mark.parametrize("optimizer", ["adamw", "adafactor", "sgd", "adamw-8bit"])
def test_every_optimizer_of_this_device_learns(bench, tmp_path, optimizer):
    rate = 0.3 if optimizer == "sgd" else 2e-2
    one = bench(train={"steps": 12, "warmup": 0.0})
    one.assign(tmp_path, optimizer=optimizer, learning_rate=rate)
    one.finish()
    assert one.losses()[-1] < one.losses()[0] - 0.1


@pytest.mark.parametrize("initialisation", ["default", "gaussian", "orthogonal"])
def test_every_initialisation_starts_as_the_base(bench, tmp_path, initialisation):
    first = bench(train={"steps": 1})
    first.assign(tmp_path)
    first.finish()
    one = bench(train={"steps": 1})
    one.assign(tmp_path, initialisation=initialisation)
    one.finish()
    assert one.losses() == pytest.approx(first.losses(), rel=1e-5)


def test_a_trial_that_stops_getting_better_ends_by_itself(bench, tmp_path):
    one = bench(train={"steps": 400}, evaluate={"every": 2, "patience": 2, "min_delta": 10.0})
    one.assign(tmp_path)
    one.finish()
    told = one.of(e.TrialCompleted)[0]
    first = one.of(e.TrialEvaluated)[0].metrics["eval/loss"]
    assert told.step == 6
    assert told.why == f"no improvement on {first:.4g} by more than 10 for 2 evaluations"


def test_epochs_give_the_steps(bench, tmp_path):
    one = bench(train={"epochs": 2.0, "batch_size": 10})
    spec = msgspec.structs.replace(one.spec, train={**one.spec.train, "steps": None})
    one.spec = spec
    one.assign(tmp_path)
    assert one.of(e.TrialRunning)[0].total_steps == math.ceil(2 * len(one.data.train) / 10)


def test_a_pack_tells_what_it_takes_and_gives(bench, tmp_path, monkeypatch):
    monkeypatch.setattr(pack_meter, "EVERY_S", 0.0)
    one = bench(train={"steps": 12})
    for number, rank in enumerate((4, 8)):
        one.assign(tmp_path, number, lora_rank=rank)
    one.assign(tmp_path, 2)
    one.pack.do(worker_api.Pause(2))
    for _ in range(5):
        one.pack.turn()
    told = one.of(e.PackMeasured)[-1]
    assert told.trials == 2 and set(told.trial_bytes) == {0, 1, 2}
    matrix = one.pack.parts.members[1].trial.factors.matrix
    factors = matrix.numel() * matrix.element_size()
    assert told.trial_bytes[1] == pytest.approx(5 * factors, rel=0.01)  # with stack, gradient, two moments
    assert told.trial_bytes[0] == pytest.approx(told.trial_bytes[1] / 2, rel=0.01)
    assert told.base_bytes == 4 * sum(weight.numel() for weight in one.base.model.parameters())
    assert told.round_s > 0 and told.tokens > 0 and told.free_bytes < told.total_bytes
    assert told.why_alone == ""
    assert told.evaluation == 0.0 and 0.0 < told.data_wait < 1.0 and 0.0 <= told.scoring < 0.5
    trials = [one.pack.parts.members[number].trial for number in (0, 1)]
    own = padded = 0
    for step in range(3):  # the rounds before the one that reported
        lengths = [len(row.ids) for trial in trials for row in trial.course.micro_batches(step)[0]]
        own += sum(lengths)
        for rows in rows_per_pass.share_out(lengths, rows_per_pass.CPU_OVERHEAD):
            padded += len(rows) * max(lengths[row] for row in rows)
    assert told.padding == pytest.approx(1 - own / padded) and told.padding > 0.0
