"""Decides which fused kernels a device uses. Each is tried on small inputs first: a kernel that fails or
computes something else is left out with a note, and the pack goes on with PyTorch's own operations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

from core.contract.text.sanitize import sanitize
from core.train.kernels import adapter_kernel_benchmark, counter_dropout, dropout_loss_ops

GROUPED = (9, 10)  # compute capabilities with a grouped product that does not wait for the device


@dataclass(frozen=True)
class FastPath:
    """What a device computes in fused kernels. ``notes``: why something is left out."""

    dropout: bool = False  # masks are made where they are applied, for all trials at once
    loss: bool = False  # cross-entropy and its gradient in one kernel
    grouped: bool = False  # trials with different batch sizes share a product
    adapters: bool = False  # products of uneven trials, with dropout inside, in kernels of our own
    wide_gradients: bool = False  # gradients of the factors are summed and kept in float32
    notes: tuple[str, ...] = field(default=(), compare=False)


EAGER = FastPath()
_chosen: dict[tuple[torch.device, torch.dtype], FastPath] = {}


def choose(device: torch.device, dtype: torch.dtype) -> FastPath:
    """The fused kernels for a base model in ``dtype``; tried once per device."""
    key = torch.device(device.type, device.index or 0), dtype
    if key not in _chosen:
        _chosen[key] = _try_kernels(*key) if device.type == "cuda" else EAGER
    return _chosen[key]


def use(device: torch.device, dtype: torch.dtype, path: FastPath) -> None:
    """Set what ``choose`` returns, for tests of a path on another device."""
    _chosen[torch.device(device.type, device.index or 0), dtype] = path


def _try_kernels(device: torch.device, dtype: torch.dtype) -> FastPath:
    trials: dict[str, tuple[str, Callable[[torch.device, torch.dtype], bool]]] = {
        "dropout": ("the dropout kernel", _check_dropout),
        "loss": ("the loss kernel", _check_loss),
        "grouped": ("grouped products", _check_grouped),
        "adapters": ("kernels for uneven trials", adapter_kernel_benchmark.do_adapters_pay),
        "wide_gradients": ("products with a float32 sum", _check_wide),
    }
    works: dict[str, Any] = {}
    notes: list[str] = []
    for name, (title, agrees) in trials.items():
        fault = ""
        try:
            works[name] = agrees(device, dtype)
            torch.cuda.synchronize(device)
        except torch.AcceleratorError:  # the device itself failed: nothing can go on
            raise
        except adapter_kernel_benchmark.SlowerError as error:
            works[name] = False
            notes.append(f"{title} are not used on {device}, they are slower: {error}")
            continue
        except Exception as error:
            works[name], fault = False, f"{type(error).__name__}: {sanitize(str(error), 160)}"
        if not works[name]:
            notes.append(f"{title} cannot be used on {device}, training is slower: {fault or 'wrong result'}")
    return FastPath(**works, notes=tuple(notes))


def _check_dropout(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether the kernel computes the same bits as PyTorch on a CPU."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(21, 300, generator=generator).to(dtype)
    keys = torch.tensor([counter_dropout.make_row_key(3, 5, row) for row in range(3)], dtype=torch.int32)
    thresholds = torch.tensor(
        [counter_dropout.compute_threshold(p) for p in (0.0, 0.1, 0.5)], dtype=torch.int32
    )
    starts = torch.tensor([0, 7, 640], dtype=torch.int32)
    words = (keys, thresholds, counter_dropout.compute_scales(thresholds, dtype), starts)
    expected, total = dropout_loss_ops.drop(x, *words, 17, 7), x.clone()
    dropout_loss_ops.add_dropped(total, x, *words, 17, 7)
    moved, on_device = x.to(device), tuple(word.to(device) for word in words)
    result, sums = dropout_loss_ops.drop(moved, *on_device, 17, 7), moved.clone()
    dropout_loss_ops.add_dropped(sums, moved, *on_device, 17, 7)
    return bool(torch.equal(result.cpu(), expected) and torch.equal(sums.cpu(), total))


def _check_loss(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether loss, first choice and gradient are those of PyTorch's cross_entropy."""
    generator = torch.Generator().manual_seed(2)
    logits = torch.randn(5, 20_000, generator=generator).to(device, dtype)
    targets = torch.randint(0, 20_000, (5,), generator=generator).to(device)
    reference = logits.float().requires_grad_()
    expected = torch.nn.functional.cross_entropy(reference, targets, reduction="none")
    expected.sum().backward()
    losses, firsts = dropout_loss_ops.loss_and_first(logits, targets, 1.0, 0.0)
    again = dropout_loss_ops.loss_and_grad(logits, targets, 1.0, 0.0)
    assert reference.grad is not None
    return bool(
        torch.allclose(losses, expected, atol=1e-4)
        and torch.equal(losses, again)
        and torch.equal(firsts, reference.argmax(-1))
        and torch.allclose(logits.float(), reference.grad, rtol=0.02, atol=1e-6)
    )


def _check_grouped(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether a grouped product takes the stack's strided views, and computes what single ones do. Older
    cards are left out: there it waits for the device at each call."""
    if torch.cuda.get_device_capability(device)[0] not in GROUPED:
        return False
    x = torch.randn(40, 64, device=device).to(dtype)
    factors = torch.randn(3, 16, 160, device=device).to(dtype)
    a, ends = factors[..., 32:96], (8, 24, 40)
    offsets = torch.tensor(ends, dtype=torch.int32, device=device)
    down = torch._grouped_mm(x, a.transpose(1, 2), offs=offsets)
    learnt = torch._grouped_mm(down.t(), x, offs=offsets)
    begins = (0, *ends[:-1])
    return all(
        torch.allclose(down[begin:end], x[begin:end] @ a[slot].T, rtol=0.02, atol=0.2)
        and torch.allclose(learnt[slot], down[begin:end].T @ x[begin:end], rtol=0.02, atol=2.0)
        for slot, (begin, end) in enumerate(zip(begins, ends, strict=True))
    )


def _check_wide(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether a product of ``dtype`` can be written in float32, into a view of a larger tensor."""
    if dtype == torch.float32:
        return False  # gradients are float32 anyway
    left, right = (torch.randn(2, 16, 16, device=device).to(dtype) for _ in range(2))
    out = torch.empty(2, 16, 40, device=device)
    torch.bmm(left, right, torch.float32, out=out[..., 8:24])
    return bool(torch.allclose(out[..., 8:24], left.float() @ right.float(), rtol=1e-2, atol=1e-2))
