"""The meaning of "attention" and "mlp" as target modules, by a layer's path and the last part of its name."""

from __future__ import annotations

from collections.abc import Sequence

ATTENTION = (
    "q_proj", "k_proj", "v_proj", "o_proj", "qkv_proj", "c_attn", "query_key_value", "out_proj", "dense",
    "Wqkv", "q_a_proj", "q_b_proj", "kv_a_proj_with_mqa", "kv_b_proj", "W_pack", "wq", "wk", "wv", "wo",
)  # fmt: skip
MLP = (
    "gate_proj", "up_proj", "down_proj", "gate_up_proj", "fc1", "fc2", "c_fc", "dense_h_to_4h",
    "dense_4h_to_h", "fc_in", "fc_out", "w1", "w2", "w3",
)  # fmt: skip
ROUTERS = ("gate", "router", "shared_expert_gate", "wg")  # they choose among experts, and are in no group
ABOVE = {  # what the module that a layer is part of is called
    "attention": ("attn", "self_attn", "attention", "self_attention", "linear_attn", "cross_attn"),
    "mlp": ("mlp", "ffn", "feed_forward", "shared_mlp", "shared_expert", "shared_experts", "experts"),
}
EITHER = ("c_proj",)  # GPT-2 has one in both; without a path it may be either
OTHERS = ("mamba", "mixer", "ssm", "conv")  # their layers belong to neither, whatever their names are
ALL = "all-linear"


def find_group(path: str) -> str:
    """Return "attention", "mlp" or "": by the innermost module whose name tells it, else by the layer's own
    name."""
    *above, last = path.split(".")
    if last in ROUTERS:
        return ""
    for name in reversed(above):
        if name in OTHERS:
            return ""
        group = next((kind for kind, names in ABOVE.items() if name in names), "")
        if group:
            return group
    return "attention" if last in ATTENTION else "mlp" if last in MLP else ""


def match_layers(layers: Sequence[str], target: object) -> list[str]:
    """Return the paths or last names in ``layers`` that a value of ``target_modules`` selects; a list is
    returned unchanged."""
    if isinstance(target, list):
        return [str(name) for name in target]
    if target == ALL:
        return list(layers)
    return [path for path in layers if find_group(path) == target or path in EITHER]


def is_named_by(path: str, name: str) -> bool:
    """Tell whether ``name`` selects the layer at ``path``, also by the end of the path, as in PEFT."""
    return path == name or path.endswith(f".{name}")


def shorten_paths(targets: Sequence[str], layers: Sequence[str]) -> list[str]:
    """Return the shortest ends of paths that select all of ``targets`` and no other layer of ``layers``."""
    target_paths = {*targets}
    ambiguous = {end for path in layers if path not in target_paths for end in _list_path_ends(path)}
    return list(
        dict.fromkeys(
            next((e for e in _list_path_ends(path) if e not in ambiguous), path) for path in targets
        )
    )


def _list_path_ends(path: str) -> list[str]:
    parts = path.split(".")
    return [".".join(parts[at:]) for at in range(len(parts) - 1, -1, -1)]
