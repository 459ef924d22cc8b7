"""Tiny models of the supported families, with random sizes, so that products of widths differ."""

from __future__ import annotations

import random
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch

from core.train.base.base_model import Base, load_rest

# The model_type of each family, and its configuration class in transformers.
CONFIGS = {
    "llama": "LlamaConfig",
    "mistral": "MistralConfig",
    "qwen2": "Qwen2Config",
    "qwen3": "Qwen3Config",
    "gemma": "GemmaConfig",
    "gemma2": "Gemma2Config",
    "gemma3_text": "Gemma3TextConfig",
    "phi3": "Phi3Config",
    "smollm3": "SmolLM3Config",
    "olmo2": "Olmo2Config",
    "granite": "GraniteConfig",
    "gpt2": "GPT2Config",
    "gpt_neox": "GPTNeoXConfig",
}
SQUARE = ("phi3", "gpt2", "gpt_neox")  # the number of heads times their width is the hidden size
NO_GROUPS = ("gpt2", "gpt_neox")  # every head has its own keys and values


@dataclass(frozen=True)
class Sizes:
    """A model's widths, by the letters of the formulas (see ``step_formulas``)."""

    h: int  # hidden
    i: int  # intermediate
    q: int  # heads times their width
    k: int  # key-value heads times their width
    d: int  # width of a head
    a: int  # heads
    v: int  # vocabulary


def draw(family: str, seed: int) -> Sizes:
    """Draw random sizes that ``family`` allows."""
    dice = random.Random(seed)
    widths = [8, 16, 24] if family == "gpt_neox" else [8, 10, 12, 14, 16]  # a quarter of each head is rotary
    width, groups = dice.choice(widths), dice.choice([2, 3, 5])
    heads = groups * dice.choice([2, 3, 4])
    hidden = heads * (width if family in SQUARE else dice.choice([5, 7, 9, 11, 13]))
    keys = heads if family in NO_GROUPS else groups
    return Sizes(
        hidden, dice.randrange(40, 120), heads * width, keys * width, width, heads, dice.randrange(130, 300)
    )


def build_model(family: str, sizes: Sizes, layers: int, dtype: torch.dtype, checkpointing: bool) -> Base:
    """Build a base model with random weights on the CPU."""
    import transformers

    config = getattr(transformers, CONFIGS[family])(**_make_settings(family, sizes, layers))
    built: Any = transformers.AutoModelForCausalLM.from_config(config, dtype=dtype)
    built.requires_grad_(False)
    built.config.use_cache = False
    if checkpointing:
        built.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    load_rest(built)
    tokenizer = SimpleNamespace(pad_token_id=0, eos_token_id=0)
    return Base(built, tokenizer, "fp32", family, torch.device("cpu"))


def _make_settings(family: str, sizes: Sizes, layers: int) -> dict[str, Any]:
    common = {"vocab_size": sizes.v, "pad_token_id": 0, "bos_token_id": 0, "eos_token_id": 0}
    if family == "gpt2":
        return {
            **common, "n_embd": sizes.h, "n_inner": sizes.i, "n_head": sizes.a, "n_layer": layers,
            "n_positions": 512, "resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0,
        }  # fmt: skip
    settings = {
        **common, "hidden_size": sizes.h, "intermediate_size": sizes.i, "num_attention_heads": sizes.a,
        "num_key_value_heads": sizes.k // sizes.d, "num_hidden_layers": layers,
        "max_position_embeddings": 1024,
    }  # fmt: skip
    return settings if family in SQUARE else {**settings, "head_dim": sizes.d}


def find_layers(built: Any) -> torch.nn.ModuleList:
    """The model's stack of layers. Raises ValueError if it has none."""
    count = built.config.get_text_config().num_hidden_layers
    for module in built.modules():
        if isinstance(module, torch.nn.ModuleList) and len(module) == count:
            return module
    raise ValueError(f"{type(built).__name__} has no stack of {count} layers")
