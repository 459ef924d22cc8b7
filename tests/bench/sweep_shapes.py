"""Bases of published shapes with random weights, and what the device under them can do."""

from __future__ import annotations

import contextlib
import statistics
import types
from pathlib import Path
from typing import Any

import torch

from core.contract.spec.study_spec import ModelOptions
from core.train.adapters.lora_factors import Factors
from core.train.base import factor_matrix_layout
from core.train.base.base_model import DTYPES, Base, load_section
from core.train.progress_callback import report_nothing
from tests.bench.sweep_ledger import now
from tests.tiny import tiny_tokenizer

LLAMA, QWEN = "LlamaConfig", "Qwen2Config"
# name: (configuration, hidden, layers, heads, key-value heads, intermediate, vocabulary, tied)
SHAPES: dict[str, tuple[str, int, int, int, int, int, int, bool]] = {
    "tiny": (LLAMA, 256, 4, 4, 2, 688, 8192, True),
    "135m": (LLAMA, 576, 30, 9, 3, 1536, 49152, True),  # SmolLM2-135M
    "0.5b": (QWEN, 896, 24, 14, 2, 4864, 151936, True),  # Qwen2.5-0.5B
    "1.5b": (QWEN, 1536, 28, 12, 2, 8960, 151936, True),  # Qwen2.5-1.5B
    "7b": (QWEN, 3584, 28, 28, 4, 18944, 152064, False),  # Qwen2.5-7B
}


def starting(base: Base, knobs: dict[str, Any]) -> dict[str, torch.Tensor]:
    """A trial's adapter as trimtab draws it, by PEFT's names: all rivals begin alike."""
    rank, alpha, seed = knobs["lora_rank"], knobs["lora_alpha"], knobs["seed"]
    factors = Factors(
        factor_matrix_layout.Layout(factor_matrix_layout.find(base.model)),
        rank,
        alpha,
        0.0,
        seed,
        base.device,
    )
    factors.draw("default")
    return dict(factors.named_factors())


def device() -> torch.device:
    """The first card, else the CPU."""
    return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")


def resolved(precision: str, where: torch.device) -> str:
    """What "auto" means on the device, as trimtab decides it."""
    if precision != "auto":
        return precision
    return "fp32" if where.type == "cpu" else "bf16" if torch.cuda.is_bf16_supported() else "fp16"


def write_base(shape: str, precision: str, folder: Path) -> float:
    """Write a base of ``shape`` and a small tokenizer as ``save_pretrained`` does; returns the FLOP of
    one trained token: 4 for each parameter that multiplies (2 forward, 2 for the gradient of its input)."""
    import transformers

    kind, hidden, layers, heads, kv_heads, intermediate, vocabulary, tied = SHAPES[shape]
    tokenizer = tiny_tokenizer()
    config = getattr(transformers, kind)(
        vocab_size=vocabulary, hidden_size=hidden, intermediate_size=intermediate, num_hidden_layers=layers,
        num_attention_heads=heads, num_key_value_heads=kv_heads, max_position_embeddings=8192,
        tie_word_embeddings=tied, bos_token_id=None, eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    torch.manual_seed(0)
    stored = torch.float32 if precision == "fp32" else torch.bfloat16
    with device():
        model = transformers.AutoModelForCausalLM.from_config(config, dtype=stored)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    looked_up = 0 if tied else vocabulary * hidden  # an input table of its own multiplies nothing
    return 4.0 * (sum(weight.numel() for weight in model.parameters()) - looked_up)


def load_base(base: str, precision: str, where: torch.device) -> Base:
    """The base as trimtab loads it; all rivals use this one loader."""
    loaded = load_section(ModelOptions(base=base, precision=precision), where, report_nothing)
    if where.type == "cpu":
        stay_in_training(loaded.model)
    return loaded


def stay_in_training(model: Any) -> None:
    """4-bit layers stay in train mode on a CPU, whatever the Trainer says: see ``base_model.load_rest``."""
    for module in model.modules():
        if type(module).__name__ == "Linear4bit":
            module.train = types.MethodType(lambda self, mode=True: self, module)


def half(precision: str, where: torch.device) -> bool:
    """Does one train under bfloat16 autocast here, as is usual with PEFT on a card?"""
    return where.type == "cuda" and precision in ("bf16", "nf4", "int8")


def synchronise(where: torch.device) -> None:
    """Wait until the device has done all it was given; then clocks may be read."""
    if where.type == "cuda":
        torch.cuda.synchronize(where)


def forget_peak(where: torch.device) -> int:
    """From here on the peak counts: loading may take more than training. Returns the bytes held now."""
    if where.type == "cuda":
        torch.cuda.reset_peak_memory_stats(where)
    else:
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")  # proc(5): resets VmHWM
    return peak_bytes(where)


def memory(where: torch.device, loaded_bytes: int) -> dict[str, int]:
    """The peak, and what of it came after loading."""
    peak = peak_bytes(where)
    return {"peak_bytes": peak, "more_bytes": max(0, peak - loaded_bytes)}


def peak_bytes(where: torch.device) -> int:
    """The most that this process held: the CUDA allocator's word, or the resident set's on a CPU.

    Not getrusage's: what a process inherits over exec from the one that started it counts there.
    """
    if where.type == "cuda":
        return torch.cuda.max_memory_allocated(where)
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        import psutil

        return psutil.Process().memory_info().rss


def matrix_rate(precision: str, where: torch.device, times: int = 7) -> float:
    """FLOP/s of a large square product in the dtype that the base computes in."""
    dtype = DTYPES.get(precision, torch.bfloat16 if where.type == "cuda" else torch.float32)
    size = 8192 if where.type == "cuda" else 2048
    left = torch.randn(size, size, device=where, dtype=dtype)
    spent = []
    for _ in range(times + 2):
        synchronise(where)
        began = now()
        left @ left
        synchronise(where)
        spent.append(now() - began)
    return 2.0 * size**3 / statistics.median(spent[2:])
