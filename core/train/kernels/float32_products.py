"""Chooses how a GPU multiplies float32 matrices (model.tf32)."""

from __future__ import annotations

import torch

HAS_TF32 = (8, 0)  # compute capability, Ampere
WHY_EXACT = (
    "the base is in fp32, whose products are exact on this GPU and many times slower than in TF32: "
    "set model.tf32 = true to round their operands to 11 significant bits (bf16 has 8)"
)


def choose_products(device: torch.device, dtype: torch.dtype, tf32: bool) -> str:
    """Let products of a base in ``dtype`` be computed in TF32, or exactly. Returns a note for the event list,
    "" for none. Bases in other types, and CPUs, are not affected."""
    if device.type != "cuda" or dtype != torch.float32:
        return ""
    # not set_float32_matmul_precision: that also lets a CPU round, by oneDNN
    torch.backends.cuda.matmul.allow_tf32 = tf32
    return "" if tf32 or torch.cuda.get_device_capability(device) < HAS_TF32 else WHY_EXACT


def is_rounded(values: torch.Tensor) -> bool:
    """Whether products that lead to ``values`` are computed in TF32."""
    is_single = values.device.type == "cuda" and values.dtype == torch.float32
    return is_single and bool(torch.backends.cuda.matmul.allow_tf32)
