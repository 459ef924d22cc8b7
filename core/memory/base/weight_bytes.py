"""Bytes of a frozen base by precision."""

from __future__ import annotations

import math

from core.memory.base.model_shape import Linear, Model

ITEM = {"fp32": 4, "bf16": 2, "fp16": 2}
BLOCK, OUTER = 64, 256  # NF4: weights per scale, scales per second-level scale
CODES = 16 * 4  # the sixteen levels, float32
NESTED = 256 * 4 + 4  # levels of the quantised scales, and their offset


def count_item_bytes(precision: str, computes: str) -> int:
    """Bytes of a number in computations; quantised bases use the type in which the device ``computes``."""
    return ITEM.get(precision, ITEM[computes])


def find_dtype(precision: str, computes: str) -> str:
    """The computation type as formulas name it: fp32, or bf16 for every two-byte type."""
    return "fp32" if count_item_bytes(resolve_precision(precision, computes), computes) == 4 else "bf16"


def resolve_precision(precision: str, computes: str) -> str:
    """The precision that "auto" means on a device that ``computes`` in fp32 or bf16."""
    return precision if precision != "auto" else computes


def count_base_bytes(model: Model, precision: str, double_quant: bool, computes: str) -> int:
    """Bytes of all parameters in memory. Embeddings, output layer, norms and biases are never quantised."""
    item_bytes = count_item_bytes(precision, computes)
    if precision in ITEM:
        return item_bytes * model.parameters
    size = _count_nf4_bytes if precision == "nf4" else _count_int8_bytes
    return item_bytes * model.others + model.layers * sum(
        size(linear, double_quant) for linear in model.linears
    )


def _count_nf4_bytes(linear: Linear, double_quant: bool) -> int:
    packed, scales = math.ceil(linear.weights / 2), math.ceil(linear.weights / BLOCK)
    if not double_quant:
        return packed + 4 * scales + CODES
    return packed + scales + 4 * math.ceil(scales / OUTER) + CODES + NESTED


def _count_int8_bytes(linear: Linear, double_quant: bool) -> int:
    return linear.weights + 4 * linear.outputs  # plus a float32 scale per output


def count_copies(precision: str, item_bytes: int) -> float:
    """How many copies of a layer's weight a product with it allocates, in bytes of the computation type: the
    dequantised weight and its temporaries."""
    if precision == "nf4":
        return 1.0 + 4.0 / BLOCK / item_bytes  # the scales in float32
    return 2.0 if precision == "int8" else 0.0
