"""How long a sequence a model can compute, and how long a one it was made for."""

from __future__ import annotations

from typing import Any

import torch

from core.memory.base.model_shape import POSITIONS

SPARE = 8  # rows that an embedding of positions may have before the first token's: OPT has 2
TABLED = ("mpt",)  # families whose attention has a table of places that is made as it is needed


def made_for(model: Any) -> int | None:
    """The longest sequence that the model was made for, as its configuration says."""
    config = model.config.get_text_config()
    found = (getattr(config, name, None) for name in POSITIONS)
    return next((one for one in found if isinstance(one, int) and one > 0), None)


def positions(model: Any) -> int | None:
    """The longest sequence that the model can compute; None where places are computed, as with RoPE."""
    size = made_for(model)
    if size is None:
        return None
    tables = (_rows(one) for one in model.modules() if one is not model.get_input_embeddings())
    learnt = any(size <= rows <= size + SPARE for rows in tables)
    kept = any(
        one.ndim > 1 and size in one.shape and not name.endswith(("cos", "sin", "cos_cached", "sin_cached"))
        for name, one in model.named_buffers()
    )
    return size if learnt or kept or model.config.get_text_config().model_type in TABLED else None


def _rows(module: Any) -> int:
    return module.num_embeddings if isinstance(module, torch.nn.Embedding) else 0
