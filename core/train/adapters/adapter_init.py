"""Initialises a trial's factors: drawn from its seed, or from an earlier adapter, ``model.adapter``."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from core.contract.spec.knob_table import Value
from core.contract.spec.study_spec import StudySpec
from core.train.adapters.lora_factors import Factors
from core.train.adapters.peft_config import InfeasibleError, find_targets, select_layers
from core.train.base.base_model import Base
from core.train.base.factor_matrix_layout import Layout, Place


def create_factors(spec: StudySpec, base: Base, knobs: dict[str, Value], layout: Layout) -> Factors:
    """Create a trial's factors before its first step. Raises InfeasibleError if that is impossible."""
    rank, seed = int(knobs["lora_rank"]), int(knobs["seed"])  # type: ignore[arg-type]
    alpha, dropout = float(knobs["lora_alpha"]), float(knobs["lora_dropout"])  # type: ignore[arg-type]
    factors = Factors(layout, rank, alpha, dropout, seed, base.device)
    if spec.model.adapter:
        factors.draw("default")
        start_from(factors, Path(spec.model.adapter))
        return factors
    try:
        factors.draw(str(knobs["initialisation"]))
    except ValueError as error:
        raise InfeasibleError(f"the adapter cannot be initialised (rank {rank}): {error}") from error
    return factors


def load_saved(
    spec: StudySpec, base: Base, knobs: dict[str, Value], places: list[Place], folder: Path
) -> Factors:
    """The factors of a trial that has ended, from the adapter in its ``folder``. Raises OSError, KeyError,
    RuntimeError or TrimtabError if the adapter is unusable."""
    names = find_targets(places, knobs["target_modules"])
    factors = create_factors(spec, base, knobs, Layout(select_layers(places, names)))
    factors.load(load_file(folder / "adapter" / "adapter_model.safetensors"))
    return factors


def start_from(factors: Factors, folder: Path) -> None:
    """Copy the adapter in ``folder`` into newly drawn ``factors``, whose product is zero.

    Its rank may be smaller: the remaining rows stay as drawn, and add nothing. B is scaled for a different
    alpha, so that the trial starts where the adapter ended. Raises InfeasibleError if the adapter is not a
    LoRA, is incomplete, has a larger rank, or is on layers outside the trial's target modules.
    """
    config, tensors = _read(folder)
    rank = int(config["r"])
    if rank > factors.rank:
        raise InfeasibleError(f"model.adapter has rank {rank}, which is more than lora_rank = {factors.rank}")
    alpha = float(config.get("lora_alpha") or rank)
    scale = alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)
    views = dict(factors.named_factors())
    unknown = [key for key in tensors if key not in views]
    if unknown:
        raise InfeasibleError(
            f"model.adapter adapts {_name_layer(unknown[0])}, which is not in target_modules"
        )
    missing = {_name_counterpart(key) for key in tensors} - tensors.keys()
    if missing:
        raise InfeasibleError(
            f"model.adapter is incomplete: one of the two factors of {_name_layer(min(missing))} is missing"
        )
    for key, tensor in tensors.items():
        _copy(views[key], tensor, rank, 1.0 if ".lora_A." in key else scale / factors.scale, key)


def _name_counterpart(key: str) -> str:
    """The key of the other factor of the same layer."""
    own_part, other_part = (".lora_A.", ".lora_B.") if ".lora_A." in key else (".lora_B.", ".lora_A.")
    return key.replace(own_part, other_part)


def _copy(view: torch.Tensor, tensor: torch.Tensor, rank: int, factor: float, key: str) -> None:
    part = view[:rank] if ".lora_A." in key else view[:, :rank]
    if part.shape != tensor.shape:
        raise InfeasibleError(
            f"model.adapter belongs to another base model: {_name_layer(key)} has the shape "
            f"{tuple(tensor.shape)}"
        )
    part.copy_(tensor.to(part.device, torch.float32) * factor)


def _read(folder: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    try:
        config = json.loads((folder / "adapter_config.json").read_text("utf-8"))
        tensors = load_file(folder / "adapter_model.safetensors")
        if config.get("peft_type") != "LORA" or config.get("use_dora") or not int(config["r"]):
            raise ValueError(f"it is not a plain LoRA adapter (peft_type {config.get('peft_type')})")
        if config.get("rank_pattern") or config.get("alpha_pattern"):
            raise ValueError("its layers have different ranks")
        if any(not key.endswith((".lora_A.weight", ".lora_B.weight")) for key in tensors):
            raise ValueError("it trains more than low-rank factors")
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise InfeasibleError(f"cannot start from model.adapter = {str(folder)!r}: {error}") from None
    return config, tensors


def _name_layer(key: str) -> str:
    return key.removeprefix("base_model.model.").rsplit(".lora_", 1)[0]
