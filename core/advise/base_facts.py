"""The base model as far as its configuration tells: its shape, how much of it a token meets, and doubts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from core.contract.spec import layer_groups
from core.contract.text.sanitize import plain
from core.memory.base import hf_config, step_formulas
from core.memory.base.model_shape import EXPERTS, Model, describe
from core.memory.base.model_shape import positions as made_for

ACTIVE = ("num_experts_per_tok", "num_experts_per_token", "moe_topk")
MOE_WIDTHS = ("moe_intermediate_size", "expert_intermediate_size", "intermediate_size", "ffn_dim")


@dataclass(frozen=True)
class Base:
    """``active`` parameters are those that one token meets; ``positions`` the longest sequence that the
    model was made for, 0 where it does not say."""

    name: str
    model: Model
    active: int
    positions: int = 0
    notes: tuple[str, ...] = ()

    @property
    def hidden(self) -> int:
        """Width of the residual stream."""
        return int(self.model.widths["h"])

    @property
    def billions(self) -> float:
        """Parameters, in thousand millions."""
        return self.model.parameters / 1e9

    @property
    def size(self) -> str:
        """Parameters in words."""
        return f"{self.billions:.3g} B" if self.billions >= 1 else f"{1e3 * self.billions:.3g} M"


def base(name: str, fetch: bool = True) -> Base:
    """What is known of ``name``, a folder or a Hub id. Raises TrimtabError where there is no configuration,
    or one without sizes."""
    found = hf_config.read(name, None, fetch)
    inner = found.get("text_config")
    flat = found
    if isinstance(inner, Mapping):
        flat = {**found, **inner, "tie_word_embeddings": found.get("tie_word_embeddings", True)}
        del flat["text_config"]
    positions = made_for(flat)
    experts = next((flat[key] for key in EXPERTS if _count(flat.get(key)) > 1), 0)
    if experts:
        return _mixture(name, flat, int(experts), positions)
    model = hf_config.model(name, None, fetch)
    return Base(name, model, model.parameters, positions, _doubts(model))


def _doubts(model: Model) -> tuple[str, ...]:
    if model.forms is not None or model.family in step_formulas.table():
        return ()
    family = plain(model.family, 40) or "without a name"
    told = f"the family {family!r} is not known by heart: memory is reckoned as llama's"
    return (f"{told}; `trimtab fit` traces it, half a minute, and is surer",)


def _mixture(name: str, flat: Mapping[str, Any], experts: int, positions: int) -> Base:
    """A mixture of experts, roughly: experts lie beside the adapted layers, unquantised; a few are met."""
    dense = describe({key: value for key, value in flat.items() if key not in EXPERTS}, name)
    width = next(_count(flat[key]) for key in MOE_WIDTHS if _count(flat.get(key)))
    each = dense.layers * 3 * int(dense.widths["h"]) * width
    met = next((_count(flat[key]) for key in ACTIVE if _count(flat.get(key))), 2)
    adapted = tuple(linear for linear in dense.linears if linear.name not in layer_groups.MLP)
    others = dense.others + experts * each
    model = msgspec.structs.replace(dense, linears=adapted, others=others)
    note = (
        f"a mixture of {experts} experts: its memory is a rough estimate, `trimtab fit` tells none, and "
        "placement goes by what is measured; adapters are on the attention layers alone"
    )
    return Base(name, model, model.parameters - (experts - met) * each, positions, (note,))


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
