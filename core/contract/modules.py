"""What "attention" and "mlp" mean among a model's layers, by the last part of a layer's name."""

from __future__ import annotations

from collections.abc import Sequence

ATTENTION = (
    "q_proj",
    "k_proj",
    "v_proj",
    "o_proj",
    "qkv_proj",
    "c_attn",
    "query_key_value",
    "out_proj",
    "dense",
)
MLP = (
    "gate_proj",
    "up_proj",
    "down_proj",
    "gate_up_proj",
    "fc1",
    "fc2",
    "c_fc",
    "dense_h_to_4h",
    "dense_4h_to_h",
)
ALL = "all-linear"


def meant(known: Sequence[str], wanted: object) -> list[str]:
    """The names of ``known`` that a value of ``target_modules`` means; a list is taken at its word."""
    if isinstance(wanted, list):
        return [str(name) for name in wanted]
    if wanted == ALL:
        return list(known)
    return [name for name in known if name in (ATTENTION if wanted == "attention" else MLP)]
