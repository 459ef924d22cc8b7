"""Checks that a base model's weights are finite: one NaN fails every trial, as a bad learning rate does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from core.errors import TrimtabError


def check(model: Any, precision: str, location: str) -> None:
    """Raise TrimtabError that names the first tensor of ``model`` with NaN or infinity, or a 4-bit weight
    whose shape is not its layer's. Waits for the device once."""
    tensors = {name: tensor for name, tensor in _list_float_weights(model) if tensor.numel()}
    ranges = [torch.stack(torch.aminmax(tensor.detach())).float() for tensor in tensors.values()]
    finite = torch.stack([ends.isfinite().all() for ends in ranges]).tolist() if ranges else []
    bad = [name for name, is_finite in zip(tensors, finite, strict=True) if not is_finite]
    if bad:
        _refuse(tensors[bad[0]], bad, precision, location)
    _check_shapes(model, location)


def _list_float_weights(model: Any) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield floating-point weights and buffers, and the scales of quantised weights."""
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if tensor.is_floating_point() and tensor.element_size() > 1:
            yield name, tensor
        state = getattr(tensor, "quant_state", None)
        for scale in (state, getattr(state, "state2", None)):
            if scale is not None and scale.absmax.is_floating_point():
                yield name, scale.absmax
        if isinstance(rows := getattr(tensor, "SCB", None), torch.Tensor):
            yield name, rows


def _refuse(tensor: torch.Tensor, bad: list[str], precision: str, location: str) -> None:
    count = int((~tensor.isfinite()).sum())
    others_text = f", as have {len(bad) - 1} other tensors" if len(bad) > 1 else ""
    raise TrimtabError.of(
        f"{bad[0]} has {count} NaN or infinite values among {tensor.numel()} in "
        f"{precision}{others_text}: the loss "
        "of every trial would be NaN",
        location,
        "download or save the model again; if its files are correct, set model.precision to bf16 or fp32",
    )


def _check_shapes(model: Any, location: str) -> None:
    for name, module in model.named_modules():
        state = getattr(getattr(module, "weight", None), "quant_state", None)
        expected_shape = (getattr(module, "out_features", 0), getattr(module, "in_features", 0))
        if state is not None and tuple(state.shape) != expected_shape:
            raise TrimtabError.of(
                f"{name}.weight has the shape {tuple(state.shape)} in the files, but {expected_shape} "
                "in config.json",
                location,
                "download or save the complete model again, with the config.json that belongs to it",
            )
