"""PyTorch operators with one CUDA kernel each, for what the pack would do in dozens of small launches.

``trimtab::drop`` and ``trimtab::add_dropped`` apply counter-based dropout; ``trimtab::loss_and_grad`` and
``trimtab::loss_and_first`` compute cross-entropy. On a CPU the first two run the PyTorch code that they
replace, for tests; ``core.train.kernels.fast_path`` decides where they are used.
"""

from __future__ import annotations

from typing import Any

import torch

from core.train.kernels import counter_dropout

_LIBRARY = torch.library.Library("trimtab", "DEF")
_DROPOUT = "Tensor keys, Tensor thresholds, Tensor scales, Tensor starts, int place, int length"
_LIBRARY.define(f"drop(Tensor x, {_DROPOUT}) -> Tensor")
_LIBRARY.define(f"add_dropped(Tensor(a!) total, Tensor x, {_DROPOUT}) -> ()")
_LIBRARY.define("loss_and_grad(Tensor(a!) logits, Tensor targets, float scale, float cap) -> Tensor")
_LIBRARY.define("loss_and_first(Tensor logits, Tensor targets, float scale, float cap) -> (Tensor, Tensor)")

drop: Any = torch.ops.trimtab.drop.default
add_dropped: Any = torch.ops.trimtab.add_dropped.default
loss_and_grad: Any = torch.ops.trimtab.loss_and_grad.default
loss_and_first: Any = torch.ops.trimtab.loss_and_first.default

# keys, thresholds, scales and the position of its first token, of each row: (rows,)
Words = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]


def _cuda_drop(x: torch.Tensor, *words: Any) -> torch.Tensor:
    """``x`` (tokens, channels), contiguous; ``words`` as in the operator: x ∘ mask."""
    from core.train.kernels import dropout_loss_kernels

    out = torch.empty_like(x)
    dropout_loss_kernels.drop(False, x, out, *words)
    return out


def _cuda_add_dropped(total: torch.Tensor, x: torch.Tensor, *words: Any) -> None:
    """Add x ∘ mask to ``total``, both (tokens, channels) and contiguous."""
    from core.train.kernels import dropout_loss_kernels

    dropout_loss_kernels.drop(True, x, total, *words)


def _mask(x: torch.Tensor, words: tuple[Any, ...]) -> torch.Tensor:
    keys, thresholds, _, starts, place, length = words
    mask = counter_dropout.mask(keys, thresholds, place, length, x.shape[-1], x.dtype, starts)
    return mask.view(x.shape)


def _cpu_drop(x: torch.Tensor, *words: Any) -> torch.Tensor:
    return x * _mask(x, words)


def _cpu_add_dropped(total: torch.Tensor, x: torch.Tensor, *words: Any) -> None:
    total.add_(x * _mask(x, words))


def _cuda_loss_and_grad(
    logits: torch.Tensor, targets: torch.Tensor, scale: float, cap: float
) -> torch.Tensor:
    """The loss of each token, (K,) float32; ``logits`` (K, V) become its gradient."""
    from core.train.kernels import dropout_loss_kernels

    losses = torch.empty(len(targets), dtype=torch.float32, device=logits.device)
    dropout_loss_kernels.loss(logits, targets, losses, None, scale, cap)
    return losses


def _cuda_loss_and_first(
    logits: torch.Tensor, targets: torch.Tensor, scale: float, cap: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """The loss of each token, (K,) float32, and its most likely token, (K,) int64."""
    from core.train.kernels import dropout_loss_kernels

    losses = torch.empty(len(targets), dtype=torch.float32, device=logits.device)
    firsts = torch.empty_like(targets)
    dropout_loss_kernels.loss(logits, targets, losses, firsts, scale, cap)
    return losses, firsts


def _meta_losses(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return torch.empty(targets.shape, dtype=torch.float32, device=logits.device)


for _name, _kernel in (
    ("drop", _cuda_drop), ("add_dropped", _cuda_add_dropped), ("loss_and_grad", _cuda_loss_and_grad),
    ("loss_and_first", _cuda_loss_and_first),
):  # fmt: skip
    _LIBRARY.impl(_name, _kernel, "CUDA")
_LIBRARY.impl("drop", _cpu_drop, "CPU")
_LIBRARY.impl("add_dropped", _cpu_add_dropped, "CPU")
_LIBRARY.impl("drop", lambda x, *words: torch.empty_like(x), "Meta")
_LIBRARY.impl("add_dropped", lambda total, x, *words: None, "Meta")
_LIBRARY.impl("loss_and_grad", lambda logits, targets, *rest: _meta_losses(logits, targets), "Meta")
_LIBRARY.impl(
    "loss_and_first",
    lambda logits, targets, *rest: (_meta_losses(logits, targets), torch.empty_like(targets)),
    "Meta",
)
