"""Adafactor (Shazeer & Stern 2018) over a trial's factor matrix, with row and column means for each factor.

It matches transformers' Adafactor with scale_parameter=False, relative_step=False, as its Trainer uses it: a
step scaled by the weight's own size would not move LoRA's B, which starts at zero. Neighbouring factors of
equal width are stepped together, so that an adapter takes a few operations instead of a few for every layer.
"""

from __future__ import annotations

from typing import Any

import torch

from core.train.adapters.lora_factors import Factors

DECAY_RATE, FLOOR, CLIP = -0.8, 1e-30, 1.0  # the paper's: second-moment decay, ε₁, RMS of the update


class Adafactor(torch.optim.Optimizer):
    """Adafactor. ``state`` holds the mean squares for each block of equally wide factors: by rank (m, r) and
    by channel (m, width)."""

    def __init__(self, factors: Factors, rate: float, decay: float) -> None:
        super().__init__([factors.matrix], {"lr": rate, "weight_decay": decay})
        self._blocks = factors.layout.blocks()

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        """Update the matrix by its gradient."""
        group = self.param_groups[0]
        matrix = group["params"][0]
        if matrix.grad is None:
            return
        state = self.state[matrix]
        state["step"] = state.get("step", 0) + 1
        keep = 1.0 - state["step"] ** DECAY_RATE
        if group["weight_decay"]:
            matrix.mul_(1.0 - group["weight_decay"] * group["lr"])
        for index, (columns, width) in enumerate(self._blocks):
            grad = _factorize(matrix.grad, columns, width)
            update = self._scale_gradient(grad, state, index, keep)
            size = update.norm(dim=(1, 2), keepdim=True) / (update[0].numel() ** 0.5)
            update.div_((size / CLIP).clamp_(min=1.0))
            _factorize(matrix, columns, width).sub_(update, alpha=group["lr"])

    def _scale_gradient(
        self, grad: torch.Tensor, state: dict[str, Any], index: int, keep: float
    ) -> torch.Tensor:
        """The gradient divided by the root of its estimated second moment."""
        square = grad.square().add_(FLOOR)
        means = []
        for name, dimension in ((f"rank_{index}", 2), (f"channel_{index}", 1)):
            fresh = square.mean(dim=dimension)
            if name not in state:
                state[name] = torch.zeros_like(fresh)
            means.append(state[name].mul_(keep).add_(fresh, alpha=1.0 - keep))
        by_rank, by_channel = means
        rank = (by_rank / by_rank.mean(dim=-1, keepdim=True)).rsqrt_()[:, :, None]
        return (rank * by_channel.rsqrt()[:, None, :]).mul_(grad)


def _factorize(matrix: torch.Tensor, columns: slice, width: int) -> torch.Tensor:
    """A view of a block's factors (m, r, width)."""
    return matrix[:, columns].unflatten(1, (-1, width)).transpose(0, 1)
