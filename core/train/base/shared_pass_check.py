"""Probes whether trials can share a pass of a base: layers keep rows apart, the head can be called alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from core.train.base.base_model import Base
from core.train.base.cross_entropy import Head
from core.train.base.factor_matrix_layout import Place
from core.train.kernels.float32_products import is_rounded

ROWS, LENGTH, SHORT = 2, 7, 5  # the second row is padded
CLOSE = {torch.float32: 1e-3}  # relative; half precisions get ROUGH
ROUGH = 5e-2
TF32 = 1e-2  # of a base in float32 whose products are rounded


@dataclass(frozen=True)
class Survey:
    """The result of a probe. ``head`` is None if only the base model can compute its logits. ``astray`` are
    the layers that see tokens without their rows, or were not called; ``idle`` those of whose kind no layer
    was called. ``why_alone`` tells the user why no trial can share a pass, else ""."""

    head: Head | None
    astray: frozenset[int]
    why_alone: str = ""
    idle: frozenset[int] = frozenset()


@torch.no_grad()
def survey(base: Base, places: Sequence[Place]) -> Survey:
    """Probe the base model with two short rows."""
    top = max(2, min(base.model.config.get_text_config().vocab_size, 1000))
    ids = (torch.arange(ROWS * LENGTH).view(ROWS, LENGTH) * 7 + 1) % top
    ids[1, SHORT:] = base.pad_id
    ids = ids.to(base.device)
    with _record_outputs(base.model.base_model) as outputs:
        astray, idle, logits = _observe_layers(base, places, ids)
    hidden = outputs[-1] if outputs else base.model.base_model(input_ids=ids, use_cache=False)[0]
    short = base.model.base_model(input_ids=ids[1:, :SHORT], use_cache=False)[0]
    why = ""
    if not close(hidden[1, :SHORT], short[0]):
        why = "in this base model a row's result depends on the other rows of its batch"
    return Survey(_find_head(base, logits, hidden), astray, why, idle)


@contextmanager
def _record_outputs(module: Any) -> Iterator[list[torch.Tensor]]:
    """Record the first output of each call of ``module``: the hidden states, if the model calls it."""
    outputs: list[torch.Tensor] = []
    handle = module.register_forward_hook(lambda module, inputs, output: outputs.append(output[0]))
    try:
        yield outputs
    finally:
        handle.remove()


def _observe_layers(
    base: Base, places: Sequence[Place], ids: torch.Tensor
) -> tuple[frozenset[int], frozenset[int], torch.Tensor]:
    """The layers that were not called with (rows, tokens, …) or with all tokens in order, those of a kind
    that was never called (a single expert may have had no token), and the logits."""
    layer_calls: dict[int, bool] = {}

    def look(index: int) -> Any:
        def hook(module: Any, inputs: tuple[torch.Tensor, ...]) -> None:
            shape = tuple(inputs[0].shape[:-1])
            layer_calls[index] = layer_calls.get(index, True) and shape in ((ROWS, LENGTH), (ROWS * LENGTH,))

        return hook

    modules = dict(base.model.named_modules())
    handles = [modules[place.name].register_forward_pre_hook(look(place.index)) for place in places]
    try:
        logits = base.model(input_ids=ids, use_cache=False).logits
    finally:
        for handle in handles:
            handle.remove()
    called = {place.kind for place in places if place.index in layer_calls}
    return (
        frozenset(place.index for place in places if not layer_calls.get(place.index, False)),
        frozenset(place.index for place in places if place.kind not in called),
        logits,
    )


def _find_head(base: Base, logits: torch.Tensor, hidden: torch.Tensor) -> Head | None:
    """The output layer, if it and the scalings in the configuration reproduce the base's own logits."""
    module, config = base.model.get_output_embeddings(), base.model.config.get_text_config()
    if type(module) is not torch.nn.Linear or module.weight.dtype != hidden.dtype:
        return None
    scale = float(getattr(config, "logit_scale", None) or 1.0)  # Cohere
    scale /= float(getattr(config, "logits_scaling", None) or 1.0)  # Granite
    cap = float(getattr(config, "final_logit_softcapping", None) or 0.0)
    head = Head(module.weight, module.bias, scale, cap)
    return head if close(head.logits(hidden.flatten(0, 1)), logits.flatten(0, 1)) else None


def close(values: torch.Tensor, expected: torch.Tensor) -> bool:
    """Whether two results are equal but for the rounding of their type."""
    allowed = TF32 if is_rounded(values) else CLOSE.get(values.dtype, ROUGH)
    values, expected = values.float(), expected.float()
    return bool((values - expected).norm() <= allowed * expected.norm())
