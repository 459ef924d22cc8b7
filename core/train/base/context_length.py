"""The context length that a model was made for, and the longest sequence that it can compute."""

from __future__ import annotations

from typing import Any

import torch

from core.memory.base.model_shape import POSITIONS

SPARE = 8  # extra rows that a position embedding may have before the first token's: OPT has 2
TABLED = ("mpt",)  # families whose attention builds its position table on demand


def read_configured_length(model: Any) -> int | None:
    """The model's context length according to its configuration, tokens; None if it has none."""
    config = model.config.get_text_config()
    sizes = (getattr(config, name, None) for name in POSITIONS)
    return next((size for size in sizes if isinstance(size, int) and size > 0), None)


def count_positions(model: Any) -> int | None:
    """The longest sequence that the model can compute; None if positions are computed, as with RoPE."""
    size = read_configured_length(model)
    if size is None:
        return None
    embedding = model.get_input_embeddings()
    tables = (_count_rows(module) for module in model.modules() if module is not embedding)
    has_embedding = any(size <= rows <= size + SPARE for rows in tables)
    rotary = ("cos", "sin", "cos_cached", "sin_cached")
    has_buffer = any(
        buffer.ndim > 1 and size in buffer.shape and not name.endswith(rotary)
        for name, buffer in model.named_buffers()
    )
    limited = has_embedding or has_buffer or model.config.get_text_config().model_type in TABLED
    return size if limited else None


def _count_rows(module: Any) -> int:
    return module.num_embeddings if isinstance(module, torch.nn.Embedding) else 0
