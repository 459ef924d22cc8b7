"""How a trial's factors begin: drawn from its seed, or from an earlier adapter, ``model.adapter``."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from core.contract.spec.knob_table import Value
from core.contract.spec.study_spec import Spec
from core.train.adapters.lora_factors import Factors
from core.train.adapters.peft_config import Unfit
from core.train.base.base_model import Base
from core.train.base.linear_layers import Layout


def drawn(spec: Spec, base: Base, knobs: dict[str, Value], layout: Layout) -> Factors:
    """A trial's factors before its first step. Raises Unfit where they cannot be had."""
    rank, seed = int(knobs["lora_rank"]), int(knobs["seed"])  # type: ignore[arg-type]
    alpha, dropout = float(knobs["lora_alpha"]), float(knobs["lora_dropout"])  # type: ignore[arg-type]
    factors = Factors(layout, rank, alpha, dropout, seed, base.device)
    if spec.model.adapter:
        factors.draw("default")
        begin(factors, Path(spec.model.adapter))
        return factors
    try:
        factors.draw(str(knobs["initialisation"]))
    except ValueError as error:
        raise Unfit(f"the adapter cannot be made (rank {rank}): {error}") from error
    return factors


def begin(factors: Factors, folder: Path) -> None:
    """Have freshly drawn ``factors``, whose product is zero, compute what the adapter in ``folder`` does.

    Its rank may be smaller: the rest stays as it was drawn, and adds nothing. Another alpha is made up for in
    B, so that the trial begins where the adapter ended. Raises Unfit where the adapter is no LoRA, not whole,
    larger, or on layers that the trial leaves out.
    """
    config, tensors = _read(folder)
    rank = int(config["r"])
    if rank > factors.rank:
        raise Unfit(f"model.adapter has rank {rank}: lora_rank = {factors.rank} cannot hold it")
    alpha = float(config.get("lora_alpha") or rank)
    scale = alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)
    views = dict(factors.named())
    strange = [key for key in tensors if key not in views]
    if strange:
        raise Unfit(f"model.adapter has {_told(strange[0])}, which target_modules leaves out")
    halves = {_other(key) for key in tensors} - tensors.keys()
    if halves:
        raise Unfit(f"model.adapter is not whole: one of the two factors of {_told(min(halves))} is missing")
    for key, held in tensors.items():
        _laid(views[key], held, rank, 1.0 if ".lora_A." in key else scale / factors.scale, key)


def _other(key: str) -> str:
    """The key of the other factor of the same layer."""
    one, other = (".lora_A.", ".lora_B.") if ".lora_A." in key else (".lora_B.", ".lora_A.")
    return key.replace(one, other)


def _laid(view: torch.Tensor, held: torch.Tensor, rank: int, factor: float, key: str) -> None:
    place = view[:rank] if ".lora_A." in key else view[:, :rank]
    if place.shape != held.shape:
        raise Unfit(f"model.adapter is another base's: {_told(key)} is {tuple(held.shape)} large")
    place.copy_(held.to(place.device, torch.float32) * factor)


def _read(folder: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    try:
        config = json.loads((folder / "adapter_config.json").read_text("utf-8"))
        tensors = load_file(folder / "adapter_model.safetensors")
        if config.get("peft_type") != "LORA" or config.get("use_dora") or not int(config["r"]):
            raise ValueError(f"it is no plain LoRA, but {config.get('peft_type')}")
        if config.get("rank_pattern") or config.get("alpha_pattern"):
            raise ValueError("its layers have ranks of their own")
        if any(not key.endswith((".lora_A.weight", ".lora_B.weight")) for key in tensors):
            raise ValueError("it trains more than low-rank factors")
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise Unfit(f"model.adapter = {str(folder)!r} cannot be begun from: {error}") from None
    return config, tensors


def _told(key: str) -> str:
    return key.removeprefix("base_model.model.").rsplit(".lora_", 1)[0]
