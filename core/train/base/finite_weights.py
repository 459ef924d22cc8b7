"""Whether all numbers of a base are numbers: one NaN would end every trial, and look like a learning rate."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from core.errors import TrimtabError


def check(model: Any, precision: str, where: str) -> None:
    """Raises TrimtabError naming the first tensor of ``model`` that holds NaN or infinity, and where a 4-bit
    layer's weight is not as large as the layer. The device is waited for once."""
    named = dict(_floats(model))
    ends = [torch.stack(torch.aminmax(one.detach())).float() for one in named.values() if one.numel()]
    good = torch.stack([end.isfinite().all() for end in ends]).tolist() if ends else []
    names = [name for name, one in named.items() if one.numel()]
    bad = [name for name, fine in zip(names, good, strict=True) if not fine]
    if bad:
        _refuse(named[bad[0]], bad, precision, where)
    _check_shapes(model, where)


def _floats(model: Any) -> Iterator[tuple[str, torch.Tensor]]:
    """Weights and buffers; of quantised weights their scales."""
    for name, one in (*model.named_parameters(), *model.named_buffers()):
        if one.is_floating_point() and one.element_size() > 1:
            yield name, one
        state = getattr(one, "quant_state", None)
        for scale in (state, getattr(state, "state2", None)):
            if scale is not None and scale.absmax.is_floating_point():
                yield name, scale.absmax
        if isinstance(rows := getattr(one, "SCB", None), torch.Tensor):
            yield name, rows


def _refuse(tensor: torch.Tensor, bad: list[str], precision: str, where: str) -> None:
    count = int((~tensor.isfinite()).sum())
    more = f", as {len(bad) - 1} other tensors do" if len(bad) > 1 else ""
    raise TrimtabError.of(
        f"{bad[0]} holds NaN or infinity in {count} of its {tensor.numel()} numbers in {precision}{more}: "
        "every loss would be NaN, whatever a trial's knobs are",
        where,
        "download or save the model again; where its files are right, set model.precision to bf16 or fp32",
    )


def _check_shapes(model: Any, where: str) -> None:
    for name, module in model.named_modules():
        state = getattr(getattr(module, "weight", None), "quant_state", None)
        wanted = (getattr(module, "out_features", 0), getattr(module, "in_features", 0))
        if state is not None and tuple(state.shape) != wanted:
            raise TrimtabError.of(
                f"the files' {name}.weight is {tuple(state.shape)} large, not {wanted} as config.json says",
                where,
                "download or save the model again, whole, with the config.json that belongs to it",
            )
