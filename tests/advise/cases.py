"""Bases, rows and cards that recommendations are asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from core.advise.advice_case import Case, Wish
from core.advise.base_facts import find_base
from core.advise.row_statistics import Rows
from core.memory.estimate import device_constants
from core.memory.estimate.device_constants import Device
from core.memory.planning import memory_budget

GIB = 2**30
LLAMA = {
    "model_type": "llama", "num_hidden_layers": 16, "hidden_size": 2048, "intermediate_size": 8192,
    "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128256, "tie_word_embeddings": True,
    "max_position_embeddings": 131072,
}  # fmt: skip
BASES: dict[str, dict[str, Any]] = {
    "llama-1b": LLAMA,
    "llama-70b": {
        **LLAMA, "num_hidden_layers": 80, "hidden_size": 8192, "intermediate_size": 28672,
        "num_attention_heads": 64, "tie_word_embeddings": False,
    },
    "qwen-7b": {
        "model_type": "qwen2", "hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28,
        "num_attention_heads": 28, "num_key_value_heads": 4, "vocab_size": 152064,
        "tie_word_embeddings": False, "max_position_embeddings": 32768,
    },
    "tiny": {**LLAMA, "num_hidden_layers": 2, "hidden_size": 64, "intermediate_size": 128,
             "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 512},
    "unheard-of": {**LLAMA, "model_type": "unheard_of"},
    "nested": {"model_type": "seeing", "text_config": {
        **LLAMA, "model_type": "seeing_text", "num_experts": 64, "num_experts_per_tok": 4,
        "moe_intermediate_size": 768,
    }},
    "mixture": {**LLAMA, "model_type": "mixtral", "num_local_experts": 8, "num_experts_per_tok": 2},
}  # fmt: skip
LENGTHS = tuple(range(40, 1040, 10))  # of a hundred rows, up to 1030 tokens


def card(gib: float, name: str = "a card") -> Device:
    """A GPU with so much memory, all of it free."""
    return Device("cuda", name, round(gib * GIB), round(gib * GIB))


def cpu() -> Device:
    """A machine of 32 GiB without one."""
    return device_constants.make_cpu(32 * GIB, 30 * GIB)


def written(folder: Path, name: str) -> str:
    """The folder of a base with nothing but its configuration."""
    place = folder / name
    place.mkdir(exist_ok=True)
    (place / "config.json").write_text(json.dumps(BASES[name]))
    return str(place)


def case(
    folder: Path,
    name: str = "llama-1b",
    where: Device | None = None,
    rows: int = 8000,
    lengths: tuple[int, ...] = LENGTHS,
    **wish: Any,
) -> Case:
    """A question; by default a base of 1 B, 8000 rows and a card of 24 GiB."""
    there = where or card(24)
    known = Rows(rows, lengths, 0.6, "chat")
    limit = memory_budget.find_limit(None, there)
    return Case(find_base(written(folder, name)), known, "rows.jsonl", there, limit, Wish(**wish))
