"""Root mean square norm and SwiGLU of a frozen base, one CUDA kernel each way instead of a dozen.

``trimtab::rms_norm`` and ``trimtab::swiglu`` round where transformers' layers round. On a CPU they run
PyTorch's operations, for tests.
"""

from __future__ import annotations

from typing import Any

import torch

_LIBRARY = torch.library.Library("trimtab", "FRAGMENT")
_LIBRARY.define("rms_norm(Tensor x, Tensor weight, float epsilon) -> (Tensor, Tensor)")
_LIBRARY.define("rms_norm_backward(Tensor grad, Tensor x, Tensor weight, Tensor rates) -> Tensor")
_LIBRARY.define("swiglu(Tensor gate, Tensor up) -> Tensor")
_LIBRARY.define("swiglu_backward(Tensor grad, Tensor gate, Tensor up) -> (Tensor, Tensor)")
_ops: Any = torch.ops.trimtab


class RmsNorm(torch.autograd.Function):
    """weight ∘ x / √(mean(x²) + epsilon) over the last dimension; the weight is frozen."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, epsilon: float) -> torch.Tensor:
        rows = x.contiguous().view(-1, x.shape[-1])
        out, rates = _ops.rms_norm(rows, weight, epsilon)
        ctx.save_for_backward(rows, weight, rates)
        return out.view(x.shape)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        rows, weight, rates = ctx.saved_tensors
        grad = grads[0].contiguous().view(rows.shape)
        return _ops.rms_norm_backward(grad, rows, weight, rates).view(grads[0].shape), None, None


class SwiGlu(torch.autograd.Function):
    """silu(gate) ∘ up."""

    @staticmethod
    def forward(ctx: Any, gate: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
        gate, up = gate.contiguous(), up.contiguous()
        ctx.save_for_backward(gate, up)
        return _ops.swiglu(gate, up)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        gate, up = ctx.saved_tensors
        return _ops.swiglu_backward(grads[0].contiguous(), gate, up)


def _cuda_norm(x: torch.Tensor, weight: torch.Tensor, epsilon: float) -> tuple[torch.Tensor, torch.Tensor]:
    from core.train.kernels import layer_kernels

    out, rates = _meta_norm(x, weight, epsilon)
    layer_kernels.norm(x, weight, epsilon, out, rates)
    return out, rates


def _cuda_norm_backward(
    grad: torch.Tensor, x: torch.Tensor, weight: torch.Tensor, rates: torch.Tensor
) -> torch.Tensor:
    from core.train.kernels import layer_kernels

    out = torch.empty_like(x)
    layer_kernels.norm_backward(grad, x, weight, rates, out)
    return out


def _cuda_swiglu(gate: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
    from core.train.kernels import layer_kernels

    out = torch.empty_like(gate)
    layer_kernels.swiglu(gate, up, out)
    return out


def _cuda_swiglu_backward(
    grad: torch.Tensor, gate: torch.Tensor, up: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    from core.train.kernels import layer_kernels

    gate_grad, up_grad = torch.empty_like(gate), torch.empty_like(up)
    layer_kernels.swiglu_backward(grad, gate, up, gate_grad, up_grad)
    return gate_grad, up_grad


def _cpu_norm(x: torch.Tensor, weight: torch.Tensor, epsilon: float) -> tuple[torch.Tensor, torch.Tensor]:
    wide = x.float()
    rates = torch.rsqrt(wide.square().mean(-1) + epsilon)
    return weight * (wide * rates[:, None]).to(x.dtype), rates


def _cpu_norm_backward(
    grad: torch.Tensor, x: torch.Tensor, weight: torch.Tensor, rates: torch.Tensor
) -> torch.Tensor:
    normed, up = x.float() * rates[:, None], grad.float() * weight.float()
    return (rates[:, None] * (up - normed * (up * normed).mean(-1, keepdim=True))).to(x.dtype)


def _cpu_swiglu(gate: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.silu(gate) * up


def _cpu_swiglu_backward(
    grad: torch.Tensor, gate: torch.Tensor, up: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    wide, above = gate.float(), grad.float()
    share = wide.sigmoid()
    slope = share * (1.0 + wide * (1.0 - share))
    return (above * up.float() * slope).to(gate.dtype), (above * wide * share).to(gate.dtype)


def _meta_norm(x: torch.Tensor, weight: torch.Tensor, epsilon: float) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.empty_like(x), torch.empty(x.shape[0], dtype=torch.float32, device=x.device)


for _name, _cuda, _cpu, _meta in (
    ("rms_norm", _cuda_norm, _cpu_norm, _meta_norm),
    ("rms_norm_backward", _cuda_norm_backward, _cpu_norm_backward,
     lambda grad, x, *rest: torch.empty_like(x)),
    ("swiglu", _cuda_swiglu, _cpu_swiglu, lambda gate, up: torch.empty_like(gate)),
    ("swiglu_backward", _cuda_swiglu_backward, _cpu_swiglu_backward,
     lambda grad, gate, up: (torch.empty_like(gate), torch.empty_like(up))),
):  # fmt: skip
    _LIBRARY.impl(_name, _cuda, "CUDA")
    _LIBRARY.impl(_name, _cpu, "CPU")
    _LIBRARY.impl(_name, _meta, "Meta")
