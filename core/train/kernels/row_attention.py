"""Causal attention within each row of a padding-free batch, whose rows are concatenated.

On CUDA it is PyTorch's flash attention for rows of any length, one kernel each way. Elsewhere each row is
computed by itself, for tests.
"""

from __future__ import annotations

import functools
import inspect
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

NAME = "trimtab_rows"  # among transformers' attention functions


@dataclass(frozen=True)
class Bounds:
    """The rows of a padding-free batch: their ``lengths``, and in ``ends`` the token after each row's last,
    beginning with 0: (rows + 1,) int32 on the device."""

    lengths: tuple[int, ...]
    ends: torch.Tensor


def attend(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, bounds: Bounds, scale: float | None, window: int
) -> torch.Tensor:
    """The output (tokens, heads, width) for queries (tokens, heads, width) and for keys and values of as many
    heads or fewer. A token sees ``window`` tokens, itself included; 0: all of its row up to itself."""
    if q.device.type == "cuda":
        return _attend_cuda(q, k, v, bounds, scale, window)
    lengths = list(bounds.lengths)
    parts = zip(q.split(lengths), k.split(lengths), v.split(lengths), strict=True)
    return torch.cat([_attend_row(*part, scale, window) for part in parts])


def _attend_cuda(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, bounds: Bounds, scale: float | None, window: int
) -> torch.Tensor:
    from torch.nn.attention.varlen import varlen_attn

    grouped = {"enable_gqa": True} if q.shape[1] != k.shape[1] and _supports_groups() else {}
    longest = max(bounds.lengths)
    out: torch.Tensor = varlen_attn(
        q, k, v, bounds.ends, bounds.ends, longest, longest, scale=scale,
        window_size=(window - 1 if window else -1, 0), **grouped,
    )  # fmt: skip
    return out


@functools.cache
def _supports_groups() -> bool:
    """Whether this version of PyTorch must be told that there are fewer keys than queries."""
    from torch.nn.attention.varlen import varlen_attn

    return "enable_gqa" in inspect.signature(varlen_attn).parameters


def _attend_row(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scale: float | None, window: int
) -> torch.Tensor:
    near = torch.ones(len(q), len(q), dtype=torch.bool, device=q.device).tril()
    visible = near.triu(1 - window) if window else near
    q, k, v = (x.transpose(0, 1)[None] for x in (q, k, v))
    grouped = q.shape[1] != k.shape[1]
    out = functional.scaled_dot_product_attention(q, k, v, visible, scale=scale, enable_gqa=grouped)
    return out[0].transpose(0, 1)


def forward(
    module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attention_mask: Any,
    bounds: Bounds, scaling: float | None = None, sliding_window: int | None = None, **options: Any,
) -> tuple[torch.Tensor, None]:  # fmt: skip
    """What transformers calls in each layer, with (1, heads, tokens, width). Raises NotImplementedError for
    what these kernels do not compute."""
    unknown = [
        name for name in ("softcap", "s_aux", "position_bias", "sinks") if options.get(name) is not None
    ]
    if unknown or attention_mask is not None or getattr(module, "is_causal", True) is False:
        raise NotImplementedError(f"attention with {', '.join(unknown) or 'a mask of its own'}")
    # squeeze, not [0], whose gradient is another tensor
    q, k, v = (x.squeeze(0).transpose(0, 1) for x in (query, key, value))
    return attend(q, k, v, bounds, scaling, sliding_window or 0).unsqueeze(0), None
