"""Bytes of a frozen base by precision."""

from __future__ import annotations

import math

from core.memory.base.model_shape import Linear, Model

ITEM = {"fp32": 4, "bf16": 2, "fp16": 2}
BLOCK, OUTER = 64, 256  # NF4: weights per scale, scales per second-level scale
CODES = 16 * 4  # the sixteen levels, float32
NESTED = 256 * 4 + 4  # levels of the quantised scales, and their offset


def item(precision: str, computes: str) -> int:
    """Bytes of a number in computations; quantised bases use the type in which the device ``computes``."""
    return ITEM.get(precision, ITEM[computes])


def dtype(precision: str, computes: str) -> str:
    """The computation type as formulas name it: fp32, or bf16 for every two-byte type."""
    return "fp32" if item(resolve_precision(precision, computes), computes) == 4 else "bf16"


def resolve_precision(precision: str, computes: str) -> str:
    """The precision that "auto" means on a device that ``computes`` in fp32 or bf16."""
    return precision if precision != "auto" else computes


def base_bytes(model: Model, precision: str, double_quant: bool, computes: str) -> int:
    """Bytes of all parameters in memory. Embeddings, output layer, norms and biases are never quantised."""
    each = item(precision, computes)
    if precision in ITEM:
        return each * model.parameters
    size = _nf4 if precision == "nf4" else _int8
    return each * model.others + model.layers * sum(size(linear, double_quant) for linear in model.linears)


def _nf4(linear: Linear, double_quant: bool) -> int:
    packed, scales = math.ceil(linear.weights / 2), math.ceil(linear.weights / BLOCK)
    if not double_quant:
        return packed + 4 * scales + CODES
    return packed + scales + 4 * math.ceil(scales / OUTER) + CODES + NESTED


def _int8(linear: Linear, double_quant: bool) -> int:
    return linear.weights + 4 * linear.outputs  # plus a float32 scale per output


def copies(precision: str, each: int) -> float:
    """How many copies of a layer's weight a product with it allocates, in bytes of the computation type: the
    dequantised weight and its temporaries."""
    if precision == "nf4":
        return 1.0 + 4.0 / BLOCK / each  # the scales in float32
    return 2.0 if precision == "int8" else 0.0
