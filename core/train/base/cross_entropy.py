"""Cross-entropy of an output layer with a large vocabulary, computed in chunks of tokens.

Logits of all tokens are the memory peak of fine-tuning (Wijmans et al. 2024, arXiv 2411.09009). The head is
frozen, so only the gradient of the hidden states is needed, and it is computed in the same sweep.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from core.memory.estimate.rows_per_pass import CHUNK_BYTES
from core.train.kernels import dropout_loss_ops, fast_path


@dataclass(frozen=True)
class Head:
    """The frozen output layer: ``weight`` (V, H); logits are multiplied by ``scale``, then bounded by
    ``cap`` · tanh(logits / cap) where cap is not 0 (Gemma 2)."""

    weight: torch.Tensor
    bias: torch.Tensor | None = None
    scale: float = 1.0
    cap: float = 0.0

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Logits of hidden states: (K, H) → (K, V) float32, a new tensor."""
        return self._bound_logits(self.outputs(hidden).float())

    def outputs(self, hidden: torch.Tensor) -> torch.Tensor:
        """The output layer as it is: (K, H) → (K, V) in the base model's dtype, a new tensor."""
        return functional.linear(hidden, self.weight, self.bias)

    def few(self, hidden: torch.Tensor) -> torch.Tensor:
        """The same for the few rows of generation: W hᵀ takes 44 ms where h Wᵀ takes 74 (MKL on 2 cores, 40
        rows, SmolLM2's vocabulary)."""
        if hidden.device.type != "cpu" or self.bias is not None:
            return self.logits(hidden)
        return self._bound_logits((self.weight @ hidden.T).T.float().contiguous())

    def _bound_logits(self, logits: torch.Tensor) -> torch.Tensor:
        if self.scale != 1.0:
            logits *= self.scale
        return logits.div_(self.cap).tanh_().mul_(self.cap) if self.cap else logits

    def slope(self, logits: torch.Tensor) -> torch.Tensor | None:
        """The derivative of the logits by the layer's output if they are capped, else None."""
        if not self.cap:
            return None
        return (1.0 - (logits / self.cap).square_()).mul_(self.scale)


def compute_losses(hidden: torch.Tensor, head: Head, targets: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of each token, nats: hidden (K, H), targets (K,) int64 → (K,) float32. Differentiable in
    ``hidden``."""
    return _Chunked.apply(hidden, head, targets)


def compute_target_gaps(hidden: torch.Tensor, head: Head | None, targets: torch.Tensor) -> torch.Tensor:
    """How far the logit of each target is above the mean of all logits: (K,) float32, differentiable.

    A loss with labels smoothed by ε is the plain loss plus ε times this gap. ``hidden`` is (K, H), or the
    logits (K, V) without a head. Only a cap needs all logits: else their mean is that of the mean weight.
    """
    if head is None:
        return hidden.gather(-1, targets[:, None])[:, 0] - hidden.mean(-1)
    if head.cap:
        return _CappedGaps.apply(hidden, head, targets)
    away = head.weight[targets].float() - head.weight.mean(0, dtype=torch.float32)
    gaps = (hidden.float() * away).sum(-1)
    if head.bias is not None:
        gaps = gaps + head.bias[targets].float() - head.bias.mean(dtype=torch.float32)
    return gaps * head.scale


@torch.no_grad()
def judge(hidden: torch.Tensor, head: Head, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The loss of each token and whether the target was the first choice: (K,) float32, (K,) bool."""
    values = torch.empty(len(targets), dtype=torch.float32, device=hidden.device)
    hits = torch.empty(len(targets), dtype=torch.bool, device=hidden.device)
    fused = fast_path.choose(hidden.device, hidden.dtype).loss
    for part in _list_chunks(len(targets), head):
        if fused:
            outputs = head.outputs(hidden[part])
            values[part], firsts = dropout_loss_ops.loss_and_first(
                outputs, targets[part], head.scale, head.cap
            )
            hits[part] = firsts == targets[part]
            del outputs  # else two chunks live at once
            continue
        logits = head.logits(hidden[part])
        hits[part] = logits.argmax(-1) == targets[part]
        values[part] = functional.cross_entropy(logits, targets[part], reduction="none")
        del logits  # else two chunks live at once
    return values, hits


def _list_chunks(tokens: int, head: Head) -> list[slice]:
    """Split tokens into even parts of at most CHUNK_BYTES of logits."""
    room = max(1, CHUNK_BYTES[head.weight.device.type] // (4 * head.weight.shape[0]))
    parts = max(1, -(-tokens // room))
    chunk_tokens = -(-tokens // parts)
    return [slice(at, min(tokens, at + chunk_tokens)) for at in range(0, tokens, max(1, chunk_tokens))]


class _Swept(torch.autograd.Function):
    """Values of tokens (K,), whose gradient by the hidden states was computed with them."""

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        (grad,) = ctx.saved_tensors
        return grad * grads[0][:, None].to(grad.dtype), None, None


class _Chunked(_Swept):
    @staticmethod
    def forward(ctx: Any, hidden: torch.Tensor, head: Head, targets: torch.Tensor) -> torch.Tensor:
        values = torch.empty(len(targets), dtype=torch.float32, device=hidden.device)
        grad = torch.empty_like(hidden)
        fused = fast_path.choose(hidden.device, hidden.dtype).loss
        for part in _list_chunks(len(targets), head):
            if fused:
                outputs = head.outputs(hidden[part])
                values[part] = dropout_loss_ops.loss_and_grad(outputs, targets[part], head.scale, head.cap)
                torch.mm(outputs, head.weight, out=grad[part])
                del outputs  # else two chunks live at once
                continue
            logits, chunk_targets = head.logits(hidden[part]), targets[part, None]
            slope = head.slope(logits)
            top = logits.amax(-1, keepdim=True)
            at_target = logits.gather(-1, chunk_targets)
            logits.sub_(top).exp_()
            total = logits.sum(-1, keepdim=True)
            values[part] = (total.log() + top - at_target).squeeze(-1)
            logits.div_(total)  # the softmax
            logits.scatter_add_(-1, chunk_targets, torch.full_like(at_target, -1.0))
            if slope is not None:
                logits.mul_(slope)
            elif head.scale != 1.0:
                logits.mul_(head.scale)
            torch.mm(logits.to(head.weight.dtype), head.weight, out=grad[part])
            del logits, slope  # else two chunks live at once
        ctx.save_for_backward(grad)
        return values


class _CappedGaps(_Swept):
    @staticmethod
    def forward(ctx: Any, hidden: torch.Tensor, head: Head, targets: torch.Tensor) -> torch.Tensor:
        values = torch.empty(len(targets), dtype=torch.float32, device=hidden.device)
        grad = torch.empty_like(hidden)
        for part in _list_chunks(len(targets), head):
            logits, chunk_targets = head.logits(hidden[part]), targets[part, None]
            values[part] = logits.gather(-1, chunk_targets)[:, 0] - logits.mean(-1)
            slope = head.slope(logits)
            logits.fill_(-1.0 / logits.shape[-1]).scatter_add_(
                -1, chunk_targets, torch.ones_like(chunk_targets, dtype=logits.dtype)
            )
            torch.mm(logits.mul_(slope).to(head.weight.dtype), head.weight, out=grad[part])
            del logits, slope  # else two chunks live at once
        ctx.save_for_backward(grad)
        return values
