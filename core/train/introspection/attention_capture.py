"""Captures a base's attention weights, layer by layer, in a pass of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from core.contract.text.sanitize import sanitize
from core.evaluate.metrics.attention_metrics import Heads, query_positions, summarize_heads
from core.train.kernels import pinned_transfer

EAGER = "eager"
UNREAD_BYTES = 1 << 26  # of weights on the device, beyond which they are read at once
NO_WEIGHTS = "the layers return no attention weights; state space and linear attention layers have none"


@dataclass
class RowIntrospection:
    """Introspection of one row: the loss of each target token in nats; and of each attention layer, its index
    and where its heads attend.

    ``why`` says why there are no layers, ``fault`` why there is nothing at all.
    """

    losses: Sequence[float] = ()
    layers: list[tuple[int, Heads]] = field(default_factory=list)
    why: str = ""
    fault: str = ""
    took_s: float = 0.0


class Attention:
    """Captures attention weights with forward hooks.

    SDPA does not return them, so for one pass the model uses transformers' "eager" attention, including the
    model's soft caps and sinks. Of each layer's weights (1, heads, T, T) a few queries are kept, and read
    together after the pass, so that the host does not wait for the device in each layer. Afterwards the model
    is as before; no parameter is touched.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self.why = ""  # why there are no weights

    @contextmanager
    def capture(self, special: Sequence[bool]) -> Iterator[list[tuple[int, Heads]]]:
        """Capture the passes within: one row, whose ``special`` tokens are marked."""
        layers: list[tuple[int, Heads]] = []
        found: list[
            tuple[int, torch.Tensor]
        ] = []  # (layer, weights (heads, queries, T)) that are not read yet
        at: list[torch.Tensor] = []  # the queries, on the device
        queries = query_positions(len(special))
        captured: list[torch.Tensor] = []  # a module may return the weights of one within it

        def look(module: Any, inputs: Any, output: Any) -> None:
            weights = _read_weights(output, len(special))
            if weights is None or any(weights is earlier for earlier in captured):
                return
            captured[:] = [weights]
            layer, count = getattr(module, "layer_idx", None), len(layers) + len(found)
            at[:] = at or pinned_transfer.copy_to_device(weights.device, torch.tensor(queries))
            found.append((layer if isinstance(layer, int) else count, weights[0].index_select(1, at[0])))
            if sum(kept.numel() * kept.element_size() for _, kept in found) > UNREAD_BYTES:
                read()

        def read() -> None:
            layers.extend(
                (layer, summarize_heads(weights, queries, special)) for layer, weights in _copy_to_host(found)
            )
            found.clear()

        with self._use_eager() as possible:
            modules = list(self._model.modules()) if possible else []
            handles = [module.register_forward_hook(look) for module in modules]
            try:
                yield layers
                read()
            finally:
                for handle in handles:
                    handle.remove()
        if possible and not layers:
            self.why = NO_WEIGHTS

    @contextmanager
    def _use_eager(self) -> Iterator[bool]:
        """Switch the model to eager attention, if possible."""
        before = (
            [(config, config._attn_implementation) for config in _list_configs(self._model)]
            if not self.why
            else []
        )
        if not before:
            yield False
            return
        try:
            if any(name != EAGER for _, name in before):
                self._switch()
            yield not self.why
        finally:
            for config, name in before:  # the outer ones first: they set the inner ones too
                config._attn_implementation = name

    def _switch(self) -> None:
        try:
            self._model.set_attn_implementation(EAGER)
        except (ValueError, ImportError, AttributeError) as error:
            self.why = f"the model does not support eager attention: {sanitize(str(error), 200)}"
            return
        if self._model.config._attn_implementation != EAGER:
            self.why = f"{type(self._model).__name__} cannot change its attention implementation"


def _copy_to_host(found: Sequence[tuple[int, torch.Tensor]]) -> Iterator[tuple[int, np.ndarray]]:
    """The weights of all layers as float32 arrays, in one copy."""
    if not found:
        return
    flat = torch.cat([weights.flatten() for _, weights in found]).float().cpu()
    parts = flat.split([weights.numel() for _, weights in found])
    for (layer, weights), part in zip(found, parts, strict=True):
        yield layer, part.view(weights.shape).numpy()


def _read_weights(output: Any, tokens: int) -> torch.Tensor | None:
    """The attention weights among a module's outputs."""
    for output_part in output[1:] if isinstance(output, tuple) else ():
        if (
            isinstance(output_part, torch.Tensor)
            and output_part.dim() == 4
            and output_part.is_floating_point()
        ):
            rows, _, queries, keys = output_part.shape
            if rows == 1 and queries == keys == tokens:
                return output_part
    return None


def _list_configs(model: Any) -> list[Any]:
    """All configs that name an attention, each above those within it, the model's own first."""
    configs: list[Any] = []
    waiting = [model.config, *(getattr(module, "config", None) for module in model.modules())]
    while waiting:
        config = waiting.pop(0)
        if hasattr(config, "_attn_implementation") and not any(config is listed for listed in configs):
            configs.append(config)
            waiting[:0] = [getattr(config, name, None) for name in getattr(config, "sub_configs", None) or ()]
    return configs
