"""Bases of published shapes with random weights, built on the device itself: no file of their size exists."""

from __future__ import annotations

import gc
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from core.train.base import base_model
from core.train.base.base_model import DTYPES, Base
from core.train.base.packing_check_bypass import skip_packing_check
from tests.bench.sweep_shapes import SHAPES, stay_in_training
from tests.gpu.part_record import CaseSkippedError
from tests.tiny import tiny_tokenizer

LLAMA = "LlamaConfig"
# as in sweep_shapes: (configuration, hidden, layers, heads, key-value heads, intermediate, vocabulary, tied)
OWN_SHAPES: dict[str, tuple[str, int, int, int, int, int, int, bool]] = {
    "8b": (LLAMA, 4096, 32, 32, 8, 14336, 128256, False),  # Llama-3.1-8B
    "dry": (LLAMA, 64, 2, 4, 2, 128, 512, True),
}


def config(shape: str) -> Any:
    """The transformers configuration of a shape."""
    import transformers

    kind, hidden, layers, heads, kv_heads, intermediate, vocabulary, tied = {**SHAPES, **OWN_SHAPES}[shape]
    return getattr(transformers, kind)(
        vocab_size=vocabulary, hidden_size=hidden, intermediate_size=intermediate, num_hidden_layers=layers,
        num_attention_heads=heads, num_key_value_heads=kv_heads, max_position_embeddings=8192,
        tie_word_embeddings=tied, bos_token_id=None, eos_token_id=2, pad_token_id=0,
    )  # fmt: skip


def random_base(shape: str, precision: str, where: torch.device, checkpointing: bool = False) -> Base:
    """A base of ``shape`` as trimtab holds it, with random weights. Raises CaseSkippedError where
    bitsandbytes is needed and is not there."""
    import transformers

    if precision in ("nf4", "int8"):
        require_bitsandbytes()
    torch.manual_seed(0)
    dtype = DTYPES.get(precision, torch.float32 if where.type == "cpu" else torch.bfloat16)
    with where:
        model = transformers.AutoModelForCausalLM.from_config(config(shape), dtype=dtype)
    if precision in ("nf4", "int8"):
        quantise(model, precision, dtype, where)
    model.requires_grad_(False)
    model.config.use_cache = False
    if checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    skip_packing_check()
    base_model.load_rest(model)
    if where.type == "cpu":
        stay_in_training(model)
    return Base(model, tiny_tokenizer(), precision, shape, where)


def require_bitsandbytes() -> None:
    """Raises CaseSkippedError with the reason where bitsandbytes cannot be imported."""
    if find_spec("bitsandbytes") is None:
        raise CaseSkippedError("bitsandbytes is not installed: it is the second parcel")
    try:
        import bitsandbytes  # noqa: F401
    except Exception as error:  # its own library may not load on this machine
        raise CaseSkippedError(f"bitsandbytes cannot be imported: {error}") from error


@torch.no_grad()
def quantise(model: Any, precision: str, dtype: torch.dtype, where: torch.device) -> None:
    """Replace every linear layer but the output layer by bitsandbytes', one after the other."""
    head = model.get_output_embeddings()
    for name, module in list(model.named_modules()):
        if type(module) is torch.nn.Linear and module is not head:
            parent, _, last = name.rpartition(".")
            setattr(model.get_submodule(parent), last, _quantised(module, precision, dtype, where))
            module.weight = None
    model.is_loaded_in_4bit = precision == "nf4"  # by this PEFT finds its layers for them
    model.is_loaded_in_8bit = precision == "int8"
    release(where)


def _quantised(old: Any, precision: str, dtype: torch.dtype, where: torch.device) -> Any:
    from bitsandbytes import nn

    sizes, biased = (old.in_features, old.out_features), old.bias is not None
    if precision == "nf4":
        new = nn.Linear4bit(*sizes, biased, compute_dtype=dtype, quant_type="nf4", device="meta")
        new.weight = nn.Params4bit(
            old.weight.data, requires_grad=False, quant_type="nf4", compress_statistics=True, module=new
        ).to(where)
    else:
        new = nn.Linear8bitLt(*sizes, biased, has_fp16_weights=False, device="meta")
        weight = old.weight.data.cpu()  # it quantises what comes from the host alone
        new.weight = nn.Int8Params(weight, requires_grad=False, has_fp16_weights=False).to(where)
    new.bias = old.bias
    return new


def write_config(shape: str, folder: Path) -> Path:
    """Write config.json alone: what memory estimates and studies read of a base."""
    folder.mkdir(parents=True, exist_ok=True)
    config(shape).save_pretrained(folder)
    return folder


def release(where: torch.device) -> None:
    """Give back what no tensor uses."""
    gc.collect()
    if where.type == "cuda":
        torch.cuda.empty_cache()
