"""Facts about a base model from its configuration: shape, active parameters, and doubts about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from core.contract.spec import layer_groups
from core.contract.text.sanitize import sanitize
from core.memory.base import config_json_lookup, step_formulas
from core.memory.base.model_shape import EXPERTS, Model, describe
from core.memory.base.model_shape import count_positions as made_for

ACTIVE = ("num_experts_per_tok", "num_experts_per_token", "moe_topk")
MOE_WIDTHS = ("moe_intermediate_size", "expert_intermediate_size", "intermediate_size", "ffn_dim")


@dataclass(frozen=True)
class Base:
    """A base model. ``active`` counts the parameters used per token; ``positions`` is the model's maximum
    sequence length, 0 if the configuration does not say."""

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
        """Parameters, in billions (1e9)."""
        return self.model.parameters / 1e9

    @property
    def size(self) -> str:
        """Parameters as text: "1.5 B", "135 M"."""
        return f"{self.billions:.3g} B" if self.billions >= 1 else f"{1e3 * self.billions:.3g} M"


def find_base(name: str, fetch: bool = True) -> Base:
    """Read the facts of ``name``, a folder or a Hub id. Raises TrimtabError if the configuration is missing
    or has no sizes."""
    config = config_json_lookup.read(name, None, fetch)
    inner = config.get("text_config")
    flat = config
    if isinstance(inner, Mapping):
        flat = {**config, **inner, "tie_word_embeddings": config.get("tie_word_embeddings", True)}
        del flat["text_config"]
    positions = made_for(flat)
    experts = next((flat[key] for key in EXPERTS if _count(flat.get(key)) > 1), 0)
    if experts:
        return _make_mixture(name, flat, int(experts), positions)
    model = config_json_lookup.read_model(name, None, fetch)
    return Base(name, model, model.parameters, positions, _list_doubts(model))


def _list_doubts(model: Model) -> tuple[str, ...]:
    if model.forms is not None or model.family in step_formulas.read_table():
        return ()
    family = sanitize(model.family, 40) or "without a name"
    doubt = f"the model family {family!r} has no memory formula yet: memory is estimated as for llama"
    return (f"{doubt}; `trimtab fit` traces the model (half a minute) for a better estimate",)


def _make_mixture(name: str, flat: Mapping[str, Any], experts: int, positions: int) -> Base:
    """Return a rough model of a mixture of experts: experts have no adapter and are not quantised; a token
    uses a few of them."""
    dense = describe({key: value for key, value in flat.items() if key not in EXPERTS}, name)
    width = next(_count(flat[key]) for key in MOE_WIDTHS if _count(flat.get(key)))
    expert_weights = dense.layers * 3 * int(dense.widths["h"]) * width
    active = next((_count(flat[key]) for key in ACTIVE if _count(flat.get(key))), 2)
    adapted = tuple(linear for linear in dense.linears if linear.name not in layer_groups.MLP)
    other_weights = dense.others + experts * expert_weights
    model = msgspec.structs.replace(dense, linears=adapted, others=other_weights)
    note = (
        f"a mixture of {experts} experts: the memory figure is rough, `trimtab fit` gives none, and "
        "placement uses measurements; only the attention layers get adapters"
    )
    return Base(name, model, model.parameters - (experts - active) * expert_weights, positions, (note,))


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
