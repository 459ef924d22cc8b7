"""What a GPU computes in fused kernels and grouped products is what separate operations compute."""

import pytest
import torch
from transformers.models.llama.modeling_llama import LlamaMLP

from core.train.adapters.adapter_stack import Stack
from core.train.kernels import (
    adapter_kernel_benchmark,
    counter_dropout,
    dropout_loss_ops,
    fast_path,
    pinned_transfer,
)
from core.train.kernels.fast_path import EAGER, FastPath
from tests.train.test_together import TRIALS

CPU = torch.device("cpu")


@pytest.fixture
def on(monkeypatch):
    """Choose a path for the CPU, which computes the same by PyTorch's own operations."""
    yield lambda path: fast_path.use(CPU, torch.float32, path)
    fast_path.use(CPU, torch.float32, EAGER)


PATHS = [FastPath(grouped=True), FastPath(dropout=True, grouped=True), FastPath(dropout=True, adapters=True)]


@pytest.mark.parametrize("path", PATHS)
def test_batches_ranks_and_dropout_share_a_product_and_losses_stay(bench, tmp_path, on, path):
    losses = {}
    for chosen in (EAGER, path):
        on(chosen)
        pack = bench()
        for number, knobs in enumerate([*TRIALS, {"lora_rank": 2, "seed": 7, "batch_size": 4}]):
            pack.assign(tmp_path, number, **{"steps": 8, **knobs})
        pack.pack.turn()
        stack = pack.pack.parts.stack
        runs = [run for run in _plan(stack).runs if not run.even]
        shares = chosen.grouped or chosen.adapters
        assert bool(runs) == shares, "trials with different batches are one run"
        assert all(group.rank % 8 == 0 for group in stack.groups) or not chosen.grouped
        pack.finish()
        losses[chosen] = [pack.losses(number) for number in range(len(TRIALS) + 1)]
    for exact, fast in zip(losses[EAGER], losses[path], strict=True):
        assert fast == pytest.approx(exact, rel=1e-5)


def _plan(stack: Stack):
    rows = [(factors, range(factors.rank)) for group in stack.groups for factors in group.members]
    return stack.plan_pass(rows, trains=True)


@pytest.mark.parametrize("path", [EAGER, PATHS[1], PATHS[2]])
def test_dropout_in_a_layer_that_sees_all_tokens_in_one_dimension_is_each_rows_own(
    bench, tmp_path, on, monkeypatch, path
):
    """As in OPT: alone, the rows of a trial are padded to another length than in company."""
    own = LlamaMLP.forward
    monkeypatch.setattr(LlamaMLP, "forward", lambda mlp, x: own(mlp, x.flatten(0, 1)).view(x.shape))
    on(path)
    one, knobs = bench(), {"steps": 4, "batch_size": 3, "lora_dropout": 0.3, "learning_rate": 1e-2}
    for numbers in ((0, 1), (2,)):
        for number in numbers:
            one.assign(tmp_path, number, **knobs, seed=number % 2)
        one.finish()
    assert one.losses(0) == pytest.approx(one.losses(2), rel=1e-5)


def test_one_dropout_kernel_serves_trials_with_and_without_dropout(on):
    keys = torch.tensor([counter_dropout.make_row_key(3, 1, row) for row in range(3)], dtype=torch.int32)
    thresholds = torch.tensor(
        [counter_dropout.compute_threshold(p) for p in (0.0, 0.1, 0.5)], dtype=torch.int32
    )
    starts = torch.zeros(3, dtype=torch.int32)
    words = keys, thresholds, counter_dropout.compute_scales(thresholds, torch.float32), starts
    x = torch.randn(3, 5, 40)
    dropped = dropout_loss_ops.drop(x.view(-1, 40), *words, 7, 5).view(x.shape)
    assert torch.equal(dropped[0], x[0]), "without dropout nothing changes"
    assert torch.equal(dropped, x * counter_dropout.mask(keys, thresholds, 7, 5, 40, torch.float32))
    total = torch.ones(15, 40)
    dropout_loss_ops.add_dropped(total, x.view(-1, 40), *words, 7, 5)
    assert torch.equal(total, 1 + dropped.view(-1, 40))


def test_a_kernel_that_cannot_be_used_is_left_out_with_a_reason(monkeypatch):
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: None)
    monkeypatch.setattr(fast_path, "_check_dropout", lambda device, dtype: True)
    monkeypatch.setattr(fast_path, "_check_loss", lambda device, dtype: False)

    def fails(device, dtype):
        raise RuntimeError("no kernel image is available")

    def is_slow(device, dtype):
        raise adapter_kernel_benchmark.SlowerError("2.00 ms, separate operations 1.00 ms")

    monkeypatch.setattr(fast_path, "_check_grouped", fails)
    monkeypatch.setattr(adapter_kernel_benchmark, "do_adapters_pay", is_slow)
    monkeypatch.setattr(fast_path, "_check_wide", lambda device, dtype: True)
    path = fast_path._try_kernels(torch.device("cuda", 0), torch.bfloat16)
    assert path == FastPath(dropout=True, wide_gradients=True)
    assert "wrong result" in path.notes[0] and "no kernel image" in path.notes[1]
    slow = "kernels for uneven trials are not used on cuda:0, they are slower: "
    assert path.notes[2] == f"{slow}2.00 ms, separate operations 1.00 ms"


def test_kernels_for_uneven_trials_are_left_out_where_they_are_clearly_slower(monkeypatch):
    monkeypatch.setattr(adapter_kernel_benchmark, "_make_rivals", lambda given, length: ("fused", "apart"))
    times = {"fused": 1.0, "apart": 2.0}
    monkeypatch.setattr(adapter_kernel_benchmark, "_measure_ms", lambda work, device: times[work])
    assert adapter_kernel_benchmark.do_adapters_pay(CPU, torch.float32)
    times["fused"] = 3.0
    with pytest.raises(adapter_kernel_benchmark.SlowerError, match=r"3\.00 ms, separate operations 2\.00 ms"):
        adapter_kernel_benchmark.do_adapters_pay(CPU, torch.float32)


def test_kernels_for_uneven_trials_and_what_they_replace_do_the_same_work():
    length, channels = adapter_kernel_benchmark.SMALL
    given = adapter_kernel_benchmark.make_inputs(CPU, torch.float32, length, channels)
    results = []
    for work in adapter_kernel_benchmark._make_rivals(given, length):
        given[1].zero_()
        work()
        results.append(given[1].clone())
    torch.testing.assert_close(*results)


def test_copies_to_a_device_keep_types_and_shapes():
    given = [torch.arange(5), torch.ones(2, 3), torch.tensor([1, 2, 3], dtype=torch.int32)]
    for before, after in zip(given, pinned_transfer.copy_to_device(CPU, *given), strict=True):
        assert torch.equal(before, after) and before.dtype == after.dtype
