"""Lets the attention layers of a base rotate queries and keys in one kernel, where that changes nothing.

transformers calls a function of the model's module, so that is replaced, for all models of the family in the
process. Calls that the kernel does not compute go on to transformers' own function.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from core.train.kernels.rotary_ops import Rotary

NAME = "apply_rotary_pos_emb"
WIDEST = 16_384  # numbers of a token's queries that a kernel holds at once
ROWS, HEADS, KEY_HEADS, TOKENS = 2, 3, 1, 5  # of the input that both are compared on

Pair = tuple[torch.Tensor, torch.Tensor]


def fuse(model: Any, agrees: Callable[..., bool]) -> list[str]:
    """Replace the function of the model's module if ``agrees`` (own results, fused ones) says so. Returns
    notes on what failed."""
    module = sys.modules.get(type(model).__module__)
    own = getattr(module, NAME, None)
    if own is None or isinstance(own, partial):
        return []
    fused = partial(_rotate, own)
    inputs = _make_inputs(model)
    try:
        if agrees(_compute(own, *inputs), _compute(fused, *inputs)):
            setattr(module, NAME, fused)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        return [f"rotary embeddings have no fused kernel, training is slower: {error}"]
    return []


def restore(model: Any) -> None:
    """Give the model's module its own function back."""
    module = sys.modules.get(type(model).__module__)
    fused = getattr(module, NAME, None)
    if isinstance(fused, partial):
        setattr(module, NAME, fused.args[0])


def _rotate(
    own: Callable[..., Pair], q: Any, k: Any, cos: Any, sin: Any, unsqueeze_dim: int = 1, **rest: Any
) -> Pair:
    is_known = unsqueeze_dim == 1 and not rest and _is_known(q, k, cos, sin)
    result: Pair = Rotary.apply(q, k, cos, sin) if is_known else own(q, k, cos, sin, unsqueeze_dim, **rest)
    return result


def _is_known(q: torch.Tensor, k: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> bool:
    """Whether the kernel computes it: whole heads, of the dtype and the device of the angles."""
    alike = cos.shape == sin.shape and {(x.dtype, x.device) for x in (q, k, cos, sin)} == {
        (q.dtype, q.device)
    }
    rows, heads, tokens, width = q.shape if q.dim() == 4 else (0, 0, 0, 0)
    shapes = [(batch, tokens, width) for batch in (1, rows)]
    return alike and tuple(cos.shape) in shapes and width % 2 == 0 and heads * width <= WIDEST


def _make_inputs(model: Any) -> tuple[torch.Tensor, ...]:
    """Random q, k, cos and sin, laid out as a layer does."""
    config = model.config.get_text_config()
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    draw = torch.Generator().manual_seed(1)

    def make(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=draw).to(model.device, model.dtype)

    q, k = (make(ROWS, TOKENS, heads, width).transpose(1, 2) for heads in (HEADS, KEY_HEADS))
    return q, k, make(1, TOKENS, width), make(1, TOKENS, width)


def _compute(rotate: Callable[..., Pair], q: Any, k: Any, cos: Any, sin: Any) -> list[torch.Tensor]:
    """Both outputs, and their gradients."""
    inputs = [x.clone(memory_format=torch.preserve_format).requires_grad_() for x in (q, k)]
    outs = rotate(*inputs, cos, sin)
    grads = torch.autograd.grad(sum(out.float().square().sum() for out in outs), inputs)
    return [*(out.detach() for out in outs), *grads]
