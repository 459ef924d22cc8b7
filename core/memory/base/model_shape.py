"""The shape of a base model from its configuration: widths, layers, linear layers and the rest; no
weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from core.errors import TrimtabError

WIDTHS = {  # letters of core.memory.base.step_formulas, and their names in configurations
    "h": ("hidden_size", "n_embd", "d_model"),
    "i": ("intermediate_size", "n_inner", "ffn_dim"),
    "a": ("num_attention_heads", "n_head"),
    "v": ("vocab_size",),
}
POSITIONS = ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len")
LAYERS = ("num_hidden_layers", "n_layer")
GATED, FUSED, GPT2, NEOX = "gated", "fused", "gpt2", "neox"  # how a layer's linear layers are laid out
STYLES = {"phi3": FUSED, "gpt2": GPT2, "gpt_neox": NEOX}
NORMS = {"gemma2": 4, "gemma3_text": 4, "gpt2": 4, "gpt_neox": 4}  # vectors of h in a layer; else 2
HEAD_NORMS = ("qwen3", "gemma3_text")  # a norm over the width of a head, for queries and for keys
EXPERTS = ("num_local_experts", "num_experts", "n_routed_experts")
BIASED = ("gpt2", "gpt_neox")
TIED = frozenset({"gemma", "gemma2", "gemma3_text", "gpt2", "smollm3"})  # unless config.json says otherwise


class Linear(msgspec.Struct, frozen=True):
    """A linear layer that occurs once in every layer of the model."""

    name: str
    inputs: int
    outputs: int
    bias: bool = False

    @property
    def weights(self) -> int:
        """Numbers in its weight matrix."""
        return self.inputs * self.outputs


class Model(msgspec.Struct, frozen=True):
    """The shape of a model.

    ``widths`` are named by the letters of ``step_formulas``; ``others`` counts the parameters outside the
    linear layers' matrices: embeddings, output layer, norms, biases, experts. ``forms`` are the model's own
    formulas, if its family has none; ``positions`` is the longest supported sequence, 0 if the configuration
    does not say.
    """

    family: str
    layers: int
    widths: dict[str, float]
    linears: tuple[Linear, ...]
    others: int
    forms: dict[str, Any] | None = None
    positions: int = 0

    @property
    def parameters(self) -> int:
        """The number of all parameters."""
        return self.layers * sum(linear.weights for linear in self.linears) + self.others


def describe(config: Mapping[str, Any], location: str) -> Model:
    """The model of a config.json. Raises TrimtabError if sizes are missing, naming them, or for a mixture of
    experts."""
    inner = config.get("text_config")
    if isinstance(inner, Mapping):
        config = {**inner, "tie_word_embeddings": config.get("tie_word_embeddings", True)}
    sizes = {letter: _read_number(config, names) for letter, names in WIDTHS.items()}
    layers = _read_number(config, LAYERS)
    if config.get("model_type") == "gpt2" and not sizes["i"] and sizes["h"]:
        sizes["i"] = 4 * sizes["h"]
    missing = [WIDTHS[letter][0] for letter, value in sizes.items() if not value]
    missing += [] if layers else [LAYERS[0]]
    if missing:
        raise TrimtabError.of(
            f"the configuration lacks {', '.join(missing)}, so the model's size is unknown",
            location,
            "use a model whose config.json has them; it may train anyway",
        )
    family = str(config.get("model_type", ""))
    experts = next((name for name in EXPERTS if config.get(name)), "")
    if experts:
        raise TrimtabError.of(
            f"a mixture of experts ({experts} = {config[experts]}) has no fixed memory use",
            location,
            "start the study anyway: trials are admitted by measured memory",
        )
    widths = _compute_widths({letter: int(value or 0) for letter, value in sizes.items()}, config)
    linears = _list_linears(family, widths, config)
    other_weights = _count_others(family, widths, linears, int(layers or 0), config)
    return Model(family, int(layers or 0), widths, linears, other_weights, positions=count_positions(config))


def count_positions(config: Mapping[str, Any]) -> int:
    """The longest sequence that the config.json supports; 0 if it does not say."""
    inner = config.get("text_config")
    return _read_number(inner if isinstance(inner, Mapping) else config, POSITIONS) or 0


def _read_number(config: Mapping[str, Any], names: tuple[str, ...]) -> int | None:
    values = (config.get(name) for name in names)
    return next(
        (value for value in values if isinstance(value, int) and not isinstance(value, bool) and value > 0),
        None,
    )


def _compute_widths(sizes: dict[str, int], config: Mapping[str, Any]) -> dict[str, float]:
    heads = sizes["a"]
    width = _read_number(config, ("head_dim",)) or sizes["h"] // heads or 1
    groups = _read_number(config, ("num_key_value_heads",)) or heads
    return {**sizes, "d": width, "q": heads * width, "k": groups * width}


def _list_linears(family: str, widths: Mapping[str, float], config: Mapping[str, Any]) -> tuple[Linear, ...]:
    h, i, q, k = (int(widths[letter]) for letter in "hiqk")
    style = STYLES.get(family, GATED)
    if style == FUSED:
        return (
            Linear("qkv_proj", h, q + 2 * k), Linear("o_proj", q, h),
            Linear("gate_up_proj", h, 2 * i), Linear("down_proj", i, h),
        )  # fmt: skip
    if style == GPT2:
        shapes = (
            ("attn.c_attn", h, 3 * h), ("attn.c_proj", h, h), ("mlp.c_fc", h, i), ("mlp.c_proj", i, h),
        )  # fmt: skip
        return tuple(Linear(name, inputs, outputs, True) for name, inputs, outputs in shapes)
    if style == NEOX:
        shapes = (
            ("query_key_value", h, 3 * h), ("dense", h, h), ("dense_h_to_4h", h, i), ("dense_4h_to_h", i, h),
        )  # fmt: skip
        return tuple(Linear(name, inputs, outputs, True) for name, inputs, outputs in shapes)
    attention = bool(config.get("attention_bias", family == "qwen2"))
    mlp = bool(config.get("mlp_bias", False))
    out = attention and family != "qwen2"
    return (
        Linear("q_proj", h, q, attention), Linear("k_proj", h, k, attention),
        Linear("v_proj", h, k, attention), Linear("o_proj", q, h, out),
        Linear("gate_proj", h, i, mlp), Linear("up_proj", h, i, mlp), Linear("down_proj", i, h, mlp),
    )  # fmt: skip


def _count_others(
    family: str,
    widths: Mapping[str, float],
    linears: tuple[Linear, ...],
    layers: int,
    config: Mapping[str, Any],
) -> int:
    h, d, q, k, v = (int(widths[letter]) for letter in "hdqkv")
    biases = sum(linear.outputs for linear in linears if linear.bias)
    norms = NORMS.get(family, 2) * h
    norms += 2 * d if family in HEAD_NORMS else q + k if family == "olmo2" else 0
    positions = int(config.get("n_positions", 1024)) * h if family == "gpt2" else 0
    last = 2 * h if family in BIASED else h
    tables = 1 if config.get("tie_word_embeddings", family in TIED) else 2
    return layers * (biases + norms) + last + positions + tables * v * h
