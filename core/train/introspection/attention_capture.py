"""Has a base give its attention away, layer after layer, in a pass of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch

from core.contract.text.sanitize import plain
from core.evaluate.metrics.attention_metrics import Heads, chosen, looked

EAGER = "eager"
NO_WEIGHTS = "its layers give no attention weights, as state space and linear attention layers have none"


@dataclass
class Inside:
    """Of one row: the loss of each target token, nats; of each layer that attends, its index and where its
    heads look. ``why`` says why there are no layers, ``fault`` why there is nothing at all."""

    losses: Sequence[float] = ()
    layers: list[tuple[int, Heads]] = field(default_factory=list)
    why: str = ""
    fault: str = ""
    took_s: float = 0.0


class Attention:
    """SDPA keeps its weights to itself: for one pass the model computes its attention by the plain formula of
    transformers' "eager", its own soft caps and sinks included, and each layer's weights (1, heads, T, T) are
    taken as it returns them and forgotten. After it all is as it was before, and no weight was touched."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.why = ""  # why no weights can be had

    @contextmanager
    def seen(self, special: Sequence[bool]) -> Iterator[list[tuple[int, Heads]]]:
        """What is passed within is looked at: one row, whose ``special`` tokens are marked."""
        found: list[tuple[int, Heads]] = []
        queries = chosen(len(special))
        taken: list[torch.Tensor] = []  # a module may hand on what one within it gave

        def look(module: Any, inputs: Any, output: Any) -> None:
            weights = _weights(output, len(special))
            if weights is None or any(weights is one for one in taken):
                return
            taken[:] = [weights]
            layer = getattr(module, "layer_idx", None)
            heads = looked(weights[0, :, queries].float().cpu().numpy(), queries, special)
            found.append((layer if isinstance(layer, int) else len(found), heads))

        with self._eager() as possible:
            modules = list(self._model.modules()) if possible else []
            handles = [module.register_forward_hook(look) for module in modules]
            try:
                yield found
            finally:
                for handle in handles:
                    handle.remove()
        if possible and not found:
            self.why = NO_WEIGHTS

    @contextmanager
    def _eager(self) -> Iterator[bool]:
        """The model with its attention by the plain formula, where that can be had."""
        before = [(one, one._attn_implementation) for one in _configs(self._model)] if not self.why else []
        if not before:
            yield False
            return
        try:
            if any(name != EAGER for _, name in before):
                self._switch()
            yield not self.why
        finally:
            for config, name in before:  # the outer ones first: they set those within, too
                config._attn_implementation = name

    def _switch(self) -> None:
        try:
            self._model.set_attn_implementation(EAGER)
        except (ValueError, ImportError, AttributeError) as error:
            self.why = f"its attention cannot be computed in the plain way: {plain(str(error), 200)}"
            return
        if self._model.config._attn_implementation != EAGER:
            self.why = f"{type(self._model).__name__} cannot change how it computes its attention"


def _weights(output: Any, tokens: int) -> torch.Tensor | None:
    """The attention weights among what a module returns beside its result."""
    for one in output[1:] if isinstance(output, tuple) else ():
        if isinstance(one, torch.Tensor) and one.dim() == 4 and one.is_floating_point():
            rows, _, queries, keys = one.shape
            if rows == 1 and queries == keys == tokens:
                return one
    return None


def _configs(model: Any) -> list[Any]:
    """All configs that name an attention: each above those within it, the model's own first."""
    found: list[Any] = []
    waiting = [model.config, *(getattr(module, "config", None) for module in model.modules())]
    while waiting:
        config = waiting.pop(0)
        if hasattr(config, "_attn_implementation") and not any(config is one for one in found):
            found.append(config)
            waiting[:0] = [getattr(config, name, None) for name in getattr(config, "sub_configs", None) or ()]
    return found
