"""Memory that ends costs a trial some speed, or its place for a while; not its life while others can wait."""

from __future__ import annotations

import pytest
import torch

from core.contract.events import event_types as e
from core.contract.wire import worker_api
from core.train.adapters import optimizers
from core.train.step import device_memory

FULL = "CUDA out of memory. Tried to allocate 2.00 GiB"


@pytest.fixture(scope="session")
def folder(shallow):
    return shallow


@pytest.fixture
def scarce(monkeypatch):
    """Make a pack's passes fail for which ``too_much(items, trials in the pack)`` says so."""

    def make(one, too_much):
        forward = one.pack.parts.rounds._forward
        real = forward._run_pass

        def checked(owners, items, *rest, **options):
            if too_much(items, len(one.pack)):
                raise torch.OutOfMemoryError(FULL)
            return real(owners, items, *rest, **options)

        monkeypatch.setattr(forward, "_run_pass", checked)
        return one

    return make


def test_a_pass_that_was_halved_is_told_with_its_reason(bench, tmp_path, scarce):
    one = scarce(bench(), lambda items, trials: len(items) > 3)
    for number in range(3):
        one.assign(tmp_path, number, batch_size=2, seed=number)
    one.finish()
    told = [event for event in one.told if isinstance(event, e.MemoryShort)]
    assert told and told[0].moved == -1 and told[0].trials == (0, 1, 2)
    assert "batches and losses do not change" in told[0].text
    assert not one.of(e.TrialInfeasible)


@pytest.mark.parametrize("accumulation", [1, 3])
def test_the_youngest_leaves_kept_as_it_stands_and_the_others_lose_nothing(
    bench, tmp_path, scarce, accumulation
):
    plain, one = bench(), bench()
    for some, name in ((plain, "plain"), (one, "one")):
        (tmp_path / name).mkdir()
        for number in range(3):
            some.assign(tmp_path / name, number, seed=number, gradient_accumulation=accumulation)
    plain.finish()
    for _ in range(2 * accumulation + 1):
        one.turn()
    scarce(one, lambda items, trials: trials > 2)
    one.finish()
    (gone,) = one.of(e.TrialRequeued, 2)
    assert "out of memory on cpu with 3 trials" in gone.why
    kept = one.of(e.TrialCheckpointed, 2)[-1]
    assert kept.step == {1: 3, 3: 2}[accumulation] and one.told.index(kept) < one.told.index(gone)
    for number in (0, 1):
        assert one.losses(number) == pytest.approx(plain.losses(number), rel=1e-5)
        assert one.of(e.TrialCompleted, number)
    one.assign(tmp_path / "one", 2, kept.path, seed=2, gradient_accumulation=accumulation)
    one.finish()
    assert one.losses(2) == pytest.approx(plain.losses(2), rel=1e-5)


def test_alone_with_one_row_a_trial_that_does_not_fit_cannot_be(bench, tmp_path, scarce):
    one = scarce(bench(), lambda items, trials: True)
    one.assign(tmp_path, 0)
    one.finish()
    (ended,) = one.of(e.TrialInfeasible)
    assert "out of memory at step 1 with batch_size 4" in ended.why


def test_a_trial_that_finds_no_room_to_join_waits_where_others_are(bench, tmp_path, monkeypatch):
    one = bench()
    one.assign(tmp_path, 0)
    real = optimizers.make

    def full(factors, knobs):
        raise torch.OutOfMemoryError(FULL)

    monkeypatch.setattr(optimizers, "make", full)
    one.pack.do(worker_api.Assign(1, dict(one.spec.train), str(tmp_path), retry=1))
    monkeypatch.setattr(optimizers, "make", real)
    (told,) = one.of(e.TrialRequeued, 1)
    assert told.retry == 1 and "when it joined 1 others" in told.why
    one.finish()
    assert one.of(e.TrialCompleted, 0)


def test_an_optimizer_without_room_sends_its_trial_back_to_its_last_checkpoint(bench, tmp_path, monkeypatch):
    one = bench()
    for number in range(2):
        one.assign(tmp_path, number)
    victim = one.pack.parts.members[0].trial.optimizer
    real = optimizers.step

    def full(which, rate):
        if which is victim:
            raise torch.OutOfMemoryError(FULL)
        real(which, rate)

    monkeypatch.setattr(optimizers, "step", full)
    one.finish()
    assert one.of(e.TrialRequeued, 0) and not one.of(e.TrialInfeasible)
    assert one.of(e.TrialCompleted, 1)


def test_larger_passes_are_tried_again_after_a_while(bench, tmp_path):
    one = bench()
    rounds = one.pack.parts.rounds
    rounds.bind(512)
    rounds.most = 64
    for _ in range(3 * 200):
        rounds._raise_pass_limit()
    assert rounds.most == 512, "and never above the bound"


def test_a_bound_on_passes_leaves_the_losses_as_they_are(bench, tmp_path):
    plain, bound = bench(), bench()
    bound.pack.do(worker_api.Bound(40))
    for one in (plain, bound):
        one.assign(tmp_path, 0, batch_size=6)
        one.finish()
    assert bound.losses() == pytest.approx(plain.losses(), rel=1e-5)


def test_memory_that_a_trial_takes_alone_may_be_an_objective(bench, tmp_path):
    one = bench(study={"objectives": ["memory/alone_bytes"], "pruner": "none"})
    for number, rank in ((0, 2), (1, 64)):
        one.assign(tmp_path, number, lora_rank=rank, steps=20)
    one.finish()
    small, large = (one.of(e.TrialCompleted, number)[0].values[0] for number in (0, 1))
    assert 0 < small <= large


def test_what_was_in_use_is_told_of_the_moment_when_memory_ended_and_not_of_afterwards(
    bench, tmp_path, scarce
):
    held = []

    def full(items, trials):
        if not held:
            ballast = torch.ones(2**27)  # 512 MiB that are gone again when the failure is told of
            held.append(ballast.sum())
            return True
        return False

    one = scarce(bench(), full)
    one.assign(tmp_path, 0, batch_size=2)
    before = device_memory.read_recent_peak(torch.device("cpu"))
    one.finish()
    (told,) = [event for event in one.told if isinstance(event, e.MemoryShort)]
    assert told.used_bytes > before + 400 * 2**20
