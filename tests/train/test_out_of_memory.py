"""An allocation that fails outside of torch's allocator is out of memory, and no trial's fault."""

from __future__ import annotations

from unittest.mock import Mock

import peft
import pytest
import torch

from core.contract.events import event_types as e
from core.contract.wire.worker_api import Pause, Resume
from core.train.adapters import optimizers
from core.train.scoring.batched_scoring import BatchedAnswers, Question, UnitResult
from core.train.step import oom_report
from core.train.step.compute_requests import Prompt

FULL = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    torch.AcceleratorError("CUDA error: out of memory\nCUDA kernel errors might be reported later"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
    RuntimeError("cusolver error: CUSOLVER_STATUS_ALLOC_FAILED, when calling `cusolverDnCreate(handle)`"),
    RuntimeError("CUDA driver error: out of memory"),  # with expandable segments
    RuntimeError("[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory"),
    MemoryError("Unable to allocate 2.00 GiB for an array"),
]
OTHER = [
    torch.AcceleratorError("CUDA error: unspecified launch failure"),
    RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasGemmEx`"),
    RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
    ValueError("CUDA error: out of memory"),
]
texts = pytest.mark.parametrize("error", FULL, ids=lambda error: str(error)[:40])


@texts
def test_an_allocation_that_failed_anywhere_is_out_of_memory(error):
    assert oom_report.is_out_of_memory(error) and not oom_report.is_device_failure(error)


@pytest.mark.parametrize("error", OTHER, ids=str)
def test_another_error_is_not_out_of_memory(error):
    assert not oom_report.is_out_of_memory(error)
    assert oom_report.is_device_failure(error) == isinstance(error, torch.AcceleratorError)


@pytest.mark.parametrize("error", FULL[1:4], ids=lambda error: str(error)[:40])
def test_a_pass_without_memory_for_a_library_is_halved_and_no_trial_fails(
    bench, tmp_path, monkeypatch, error
):
    plain, small = bench(), bench()
    for some, name in ((plain, "plain"), (small, "small")):
        (tmp_path / name).mkdir()
        for number in range(3):
            some.assign(tmp_path / name, number, batch_size=2, seed=number)
    plain.finish()
    forward = small.pack.parts.rounds._forward
    real = forward._run_pass

    def scarce(owners, items, *rest, **options):
        if len(items) > 3:
            raise error
        return real(owners, items, *rest, **options)

    monkeypatch.setattr(forward, "_run_pass", scarce)
    small.finish()
    for number in range(3):
        assert not small.of(e.TrialFailed, number) and small.of(e.TrialCompleted, number)
        assert small.losses(number) == pytest.approx(plain.losses(number), rel=1e-5)
    assert any(isinstance(event, e.MemoryShort) for event in small.told)


@pytest.mark.parametrize("error", FULL[1:3], ids=lambda error: str(error)[:40])
def test_a_trial_that_finds_no_memory_to_join_waits_where_others_train(bench, tmp_path, monkeypatch, error):
    one = bench()
    one.assign(tmp_path, 0)

    def full(factors, knobs):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(optimizers, "make", full)
        one.assign(tmp_path, 1)
    assert one.of(e.TrialRequeued, 1) and not one.of(e.TrialFailed, 1)
    one.finish()
    assert one.of(e.TrialCompleted, 0)


@pytest.mark.parametrize("error", FULL[1:3], ids=lambda error: str(error)[:40])
def test_a_trial_that_a_library_has_no_memory_for_even_alone_is_infeasible(
    bench, tmp_path, monkeypatch, error
):
    one = bench()

    def full(*given, **options):
        raise error

    monkeypatch.setattr(one.pack.parts.rounds._forward, "_run_pass", full)
    one.assign(tmp_path, 0)
    one.finish()
    assert one.of(e.TrialInfeasible) and not one.of(e.TrialFailed, 0)


def test_scoring_asks_fewer_questions_at_once_when_a_library_is_out_of_memory(bench, tmp_path):
    one = bench()
    parts = one.pack.parts
    answering = BatchedAnswers(one.base, parts.stack, parts.rounds._forward, False)
    taken = [Question(0, prompt=Prompt(None, [1, 2, 3], 5)) for _ in range(4)]
    unit, before = UnitResult(), answering.most
    answering._handle_failure(taken, FULL[2], unit)
    assert answering.most < before and not unit.errors
    answering._handle_failure(taken, OTHER[2], unit)
    assert list(unit.errors) == [0]


def test_a_checkpoint_is_not_set_aside_when_memory_ends_while_it_is_read(bench, tmp_path, monkeypatch):
    one = bench(resources={"checkpoint_every": 2})
    one.assign(tmp_path, 0)
    for _ in range(3):
        one.turn()
    one.pack.settle()
    kept = one.of(e.TrialCheckpointed, 0)[-1].path
    again = bench()

    def full(optimizer, tensors, numbers):
        raise FULL[2]

    with monkeypatch.context() as patch:
        patch.setattr(optimizers, "restore", full)
        again.assign(tmp_path, 0, kept)
    assert again.of(e.TrialInfeasible) and not list(tmp_path.rglob("*.damaged"))


def test_the_youngest_trial_leaves_when_a_library_has_no_memory_for_all(bench, tmp_path, monkeypatch):
    one = bench()
    for number in range(3):
        one.assign(tmp_path, number)
    forward = one.pack.parts.rounds._forward
    real = forward._run_pass

    def scarce(owners, items, *rest, **options):
        if len(one.pack) > 2:
            raise FULL[2]
        return real(owners, items, *rest, **options)

    monkeypatch.setattr(forward, "_run_pass", scarce)
    one.finish()
    assert one.of(e.TrialRequeued, 2) and not any(one.of(e.TrialFailed, number) for number in range(3))
    assert one.of(e.TrialCompleted, 0) and one.of(e.TrialCompleted, 1)


def test_an_adapter_that_there_is_no_memory_to_check_is_complete_with_a_warning(bench, tmp_path, monkeypatch):
    one = bench()
    one.assign(tmp_path, 0)

    def full(*given, **more):
        raise FULL[2]

    monkeypatch.setattr(peft.PeftModel, "from_pretrained", full)
    one.finish()
    assert one.of(e.TrialCompleted, 0) and not one.of(e.TrialFailed, 0)
    assert any("was not checked" in event.text for event in one.told if isinstance(event, e.StudyNoted))


@pytest.mark.parametrize("where", ["moved", "stacked"])
@pytest.mark.parametrize("others", [0, 2])
def test_a_paused_trial_that_finds_no_memory_to_resume_waits_and_the_others_train_on(
    bench, tmp_path, monkeypatch, where, others
):
    one = bench(train={"steps": 4})
    for number in range(others + 1):
        one.assign(tmp_path, number, seed=number)
    one.turn()
    one.pack.do(Pause(0))
    parts, trial = one.pack.parts, one.pack.parts.members[0].trial
    matrix, own = trial.factors.matrix.clone(), parts.stack.compose

    def full(active):
        if any(factors is trial.factors for factors, _ in active):
            raise FULL[0]
        own(active)

    move = Mock(side_effect=[FULL[0], None])  # to the device, and back to the host
    with monkeypatch.context() as patch:
        if where == "moved":
            patch.setattr(optimizers, "move", move)
        else:
            patch.setattr(parts.stack, "compose", full)
        one.pack.do(Resume(0))
        one.pack.settle()
        if others:
            one.turn()
    assert torch.equal(trial.factors.matrix, matrix) and not one.of(e.TrialResumed)
    if others:
        assert one.of(e.TrialRequeued)[0].why == "out of memory on cpu when it resumed next to 2 others"
        assert [event.moved for event in one.told if isinstance(event, e.MemoryShort)] == [0]
    else:
        assert one.of(e.TrialPaused)[-1].why == "out of memory on cpu when it resumed"
        one.pack.do(Resume(0))
    one.finish()
    for number in range(others + 1):
        assert bool(one.of(e.TrialCompleted, number)) == (number > 0 or not others)
