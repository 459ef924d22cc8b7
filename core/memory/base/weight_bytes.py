"""Bytes of a frozen base, by precision."""

from __future__ import annotations

import math

from core.memory.base.model_shape import Linear, Model

ITEM = {"fp32": 4, "bf16": 2, "fp16": 2}
BLOCK, OUTER = 64, 256  # NF4: weights to a scale, scales to a scale of scales
CODES = 16 * 4  # the sixteen levels, float32
NESTED = 256 * 4 + 4  # levels of the scales, and their offset


def item(precision: str, device: str) -> int:
    """Bytes of a number that the base computes with; the quantised ones compute in bfloat16 on a GPU."""
    return ITEM.get(precision, 4 if device == "cpu" else 2)


def dtype(precision: str, device: str) -> str:
    """The type that a base computes in, of those that forms know: fp32, or bf16 for all of two bytes."""
    return "fp32" if item(resolved(precision, device), device) == 4 else "bf16"


def resolved(precision: str, device: str) -> str:
    """What "auto" means on a device, cpu or cuda."""
    return precision if precision != "auto" else "fp32" if device == "cpu" else "bf16"


def base_bytes(model: Model, precision: str, double_quant: bool, device: str) -> int:
    """All parameters as they lie in memory. Embeddings, output layer, norms and biases are never
    quantised."""
    each = item(precision, device)
    if precision in ITEM:
        return each * model.parameters
    one = _nf4 if precision == "nf4" else _int8
    return each * model.others + model.layers * sum(one(linear, double_quant) for linear in model.linears)


def _nf4(linear: Linear, double_quant: bool) -> int:
    packed, scales = math.ceil(linear.weights / 2), math.ceil(linear.weights / BLOCK)
    if not double_quant:
        return packed + 4 * scales + CODES
    return packed + scales + 4 * math.ceil(scales / OUTER) + CODES + NESTED


def _int8(linear: Linear, double_quant: bool) -> int:
    return linear.weights + 4 * linear.outputs  # and a float32 scale for each output


def copies(precision: str, each: int) -> float:
    """How many copies of a layer's weight a product with it makes, in bytes of the computing type: the
    dequantised one, and what it takes to make it."""
    if precision == "nf4":
        return 1.0 + 4.0 / BLOCK / each  # the scales in float32
    return 2.0 if precision == "int8" else 0.0
