"""Runs the Triton kernels in Triton's interpreter, without a GPU, and prints how far they are from PyTorch:
``TRITON_INTERPRET=1 python -m tests.kernels.interpret_kernels``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import torch
from torch.nn import functional
from triton.runtime import interpreter

from core.train.base import cross_entropy
from core.train.base.cross_entropy import Head
from core.train.kernels import (
    adapter_kernel_benchmark,
    adapter_kernels,
    counter_dropout,
    dropout_loss_kernels,
    layer_kernels,
    layer_ops,
    rotary_ops,
)
from core.train.kernels.adapter_ops import ROWS as TABLES
from core.train.kernels.adapter_ops import Spots

ROWS, LENGTH, CHANNELS, PLACE, RANK = 3, 7, 300, 5, 12
TOKENS, WIDTH, VOCABULARY = 9, 16, 20_000  # more than one block of the vocabulary
HEADS = {"plain": (1.0, 0.0), "scaled": (0.5, 0.0), "capped": (2.0, 30.0)}


def main() -> None:
    """Print {check: largest error}, relative to the largest value."""
    torch.set_num_threads(1)
    torch.manual_seed(1)
    _read_loop_bounds_with_new_numpy()
    found: dict[str, float] = {}
    for dtype in (torch.float32, torch.bfloat16):
        checks = (*_dropout(dtype), *_losses(dtype), *_layers(dtype), *_rotations(dtype))
        found |= {f"{name} {dtype}": value for name, value in checks}
    for dtype in (torch.float32, torch.float16):  # the interpreter has no products of bfloat16
        found |= {f"{name} {dtype}": value for name, value in _adapters(dtype)}
    print(json.dumps(found))


def _read_loop_bounds_with_new_numpy() -> None:
    """Triton 3.6 reads a loop's bounds as numbers of arrays with one element, which NumPy 2.4 refuses."""
    own = interpreter._patch_lang_tensor

    def patch_tensor(tensor: Any, scope: Any) -> None:
        own(tensor, scope)
        scope.set_attr(tensor, "__index__", lambda self: int(self.handle.data.item()))

    interpreter._patch_lang_tensor = patch_tensor


def _dropout(dtype: torch.dtype) -> Iterator[tuple[str, float]]:
    keys = torch.tensor([counter_dropout.make_row_key(1, 2, row) for row in range(ROWS)], dtype=torch.int32)
    limits = torch.tensor([counter_dropout.compute_threshold(p) for p in (0.0, 0.1, 0.5)], dtype=torch.int32)
    starts = torch.tensor([0, LENGTH, 640], dtype=torch.int32)
    mask = counter_dropout.mask(keys, limits, PLACE, LENGTH, CHANNELS, dtype, starts).view(-1, CHANNELS)
    words = keys, limits, counter_dropout.compute_scales(limits, dtype), starts, PLACE, LENGTH
    x, total = (torch.randn(ROWS * LENGTH, CHANNELS).to(dtype) for _ in range(2))
    out, before = torch.empty_like(x), total.clone()
    dropout_loss_kernels.drop(False, x, out, *words)
    yield "drop", _error(out, x * mask)
    yield "drop keeps others", float((out == 0).ne(mask == 0).sum())
    dropout_loss_kernels.drop(True, x, total, *words)
    yield "add_dropped", _error(total, before + x * mask)


def _losses(dtype: torch.dtype) -> Iterator[tuple[str, float]]:
    for name, (scale, cap) in HEADS.items():
        head = Head(torch.randn(VOCABULARY, WIDTH).to(dtype), None, scale, cap)
        hidden = torch.randn(TOKENS, WIDTH).to(dtype).requires_grad_()
        targets = torch.randint(0, VOCABULARY, (TOKENS,))
        expected = cross_entropy.compute_losses(hidden, head, targets)
        expected.sum().backward()
        logits = functional.linear(hidden.detach(), head.weight)
        losses, firsts = torch.empty(TOKENS), torch.empty(TOKENS, dtype=torch.int64)
        dropout_loss_kernels.loss(logits, targets, losses, firsts, scale, cap)
        yield f"first choice, {name}", float((firsts != head.logits(hidden.detach()).argmax(-1)).sum())
        yield f"loss, {name}", _error(losses, expected.detach())
        dropout_loss_kernels.loss(logits, targets, losses, None, scale, cap)
        yield f"loss beside the gradient, {name}", _error(losses, expected.detach())
        yield f"gradient, {name}", _error(logits @ head.weight, hidden.grad)


def _layers(dtype: torch.dtype) -> Iterator[tuple[str, float]]:
    x, grad, other = (torch.randn(TOKENS, CHANNELS).to(dtype) for _ in range(3))
    weight = torch.rand(CHANNELS).to(dtype)
    expected, rates = layer_ops._cpu_norm(x, weight, 1e-6)
    out, found = torch.empty_like(x), torch.empty(TOKENS)
    layer_kernels.norm(x, weight, 1e-6, out, found)
    yield "norm", _error(out, expected)
    yield "rates of the norm", _error(found, rates) if dtype == torch.float32 else 0.0
    layer_kernels.norm_backward(grad, x, weight, rates, out)
    yield "gradient of the norm", _error(out, layer_ops._cpu_norm_backward(grad, x, weight, rates))
    layer_kernels.swiglu(x, other, out)
    yield "swiglu", _error(out, layer_ops._cpu_swiglu(x, other))
    grads = torch.empty_like(x), torch.empty_like(x)
    layer_kernels.swiglu_backward(grad, x, other, *grads)
    for name, mine, wanted in zip(
        ("gate", "up"), grads, layer_ops._cpu_swiglu_backward(grad, x, other), strict=True
    ):
        yield f"gradient of swiglu's {name}", _error(mine, wanted)


def _rotations(dtype: torch.dtype) -> Iterator[tuple[str, float]]:
    """Heads and widths that fill no tile, of two rows with the same angles."""
    q, k = (torch.randn(2 * TOKENS, heads, 12).to(dtype) for heads in (3, 1))
    angles = [torch.randn(TOKENS, 12).to(dtype) for _ in range(2)]
    for backward in (False, True):
        outs = torch.empty_like(q), torch.empty_like(k)
        layer_kernels.rotate(q, k, *angles, backward, *outs)
        for name, mine, wanted in zip("qk", outs, rotary_ops._cpu(q, k, *angles, backward), strict=True):
            yield f"{'gradient of ' if backward else ''}rotated {name}", _error(mine, wanted)


def _adapters(dtype: torch.dtype) -> Iterator[tuple[str, float]]:
    """Trials of one to three rows, longer than a tile; a rank that fills no tile; strided factors."""
    length = adapter_kernels.TOKENS + 5
    x, total, factors, spots = adapter_kernel_benchmark.make_inputs(
        torch.device("cpu"), dtype, length, CHANNELS
    )
    factors = factors[:, :RANK]
    wide = spots._replace(scales=spots.scales.float())
    expected = adapter_kernel_benchmark.compute(x.float(), total.float(), factors.float(), wide, length)
    launch = {"shrink": _shrink, "expand": adapter_kernels.expand, "learn": adapter_kernels.learn}
    with patch.multiple(
        adapter_kernel_benchmark.adapter_ops, **{name: _unpack(launch[name]) for name in launch}
    ):
        found = adapter_kernel_benchmark.compute(x, total, factors, spots, length)
    names = [f"{name}{how}" for how in (" after dropout", "") for name in launch]
    for name, mine, wanted in zip(names, found, expected, strict=True):
        yield name, _error(mine, wanted)
    yield "tokens as one row", _one_row(x, factors, spots)


def _one_row(x: torch.Tensor, factors: torch.Tensor, spots: Spots) -> float:
    """A single trial, whose tokens a layer sees without their rows."""
    grads = torch.empty(1, RANK, CHANNELS)
    first = spots.first._replace(ends=spots.ends[:1])
    down = _shrink(x[:40], factors[:1], first, PLACE, 40, False)
    adapter_kernels.learn(grads, down, x[:40], first, PLACE, 40, False, False)
    return _error(grads[0], (x[:40].float() @ factors[0].float().T).T @ x[:40].float())


def _shrink(x: torch.Tensor, factors: torch.Tensor, *where: Any) -> torch.Tensor:
    out = x.new_empty(len(x), factors.shape[1])
    adapter_kernels.shrink(x, factors, out, *where)
    return out


def _unpack(launch: Any) -> Any:
    """The operator that ``launch`` is behind: it takes the tensors of ``Spots`` one by one."""
    tensors = 2 if launch is _shrink else 3
    return lambda *given: launch(
        *given[:tensors], Spots(*given[tensors : tensors + TABLES]), *given[tensors + TABLES :]
    )


def _error(found: torch.Tensor, expected: torch.Tensor | None) -> float:
    assert expected is not None
    return float((found.float() - expected.float()).abs().max() / expected.float().abs().max())


if __name__ == "__main__":
    main()
