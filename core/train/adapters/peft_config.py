"""Expresses an adapter in PEFT's terms: its target modules, its configuration and its files."""

from __future__ import annotations

import difflib
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from core.contract.spec import layer_groups
from core.contract.spec.knob_table import Value
from core.paths import sync_to_disk
from core.train.base.base_model import Base
from core.train.base.factor_matrix_layout import Place

INITIAL: dict[str, Any] = {"default": True, "gaussian": "gaussian", "orthogonal": "orthogonal"}


class InfeasibleError(Exception):
    """The trial's knobs are impossible with this base model or device; the text says why."""


def find_targets(places: Sequence[Place], target_names: Value) -> list[str]:
    """The module names that ``target_modules`` selects. Raises InfeasibleError for an unknown name."""
    paths = [place.name for place in places]
    known_names = list(dict.fromkeys(place.last_name for place in places))
    if not known_names:
        raise InfeasibleError("the model has no linear layer that PEFT can adapt")
    names = layer_groups.match_layers(paths, target_names)
    if isinstance(target_names, str) and not names:
        raise InfeasibleError(
            f"target_modules = {target_names!r} selects no layer of this model; list some of "
            f"{', '.join(known_names)}"
        )
    if isinstance(target_names, str):
        return layer_groups.shorten_paths(names, paths)
    for name in names:
        if not select_layers(places, [name]):
            near = difflib.get_close_matches(name, known_names, n=3, cutoff=0.3) or known_names
            raise InfeasibleError(
                f"target_modules: the model has no linear layer {name!r}; it has {', '.join(near)}"
            )
    return names


def select_layers(places: Sequence[Place], names: Sequence[str]) -> list[Place]:
    """The layers that ``names`` select, in model order; as in PEFT, a name may be the end of a path."""
    ends = tuple(f".{name}" for name in names)
    return [place for place in places if place.name in names or place.name.endswith(ends)]


def list_exact_names(model: Any, places: Sequence[Place], names: Sequence[str]) -> list[str]:
    """``names``, or longer names if those would also select other modules of the model."""
    known_names = [name for name, _ in model.named_modules() if name]
    ours = {place.name for place in places}
    ends = tuple(f".{name}" for name in names)
    if all(path in ours for path in known_names if path in names or path.endswith(ends)):
        return list(names)
    return layer_groups.shorten_paths([place.name for place in places], known_names)


def make_config(base: Base, knobs: dict[str, Value], names: Sequence[str]) -> Any:
    """Build the adapter's LoraConfig."""
    from peft import LoraConfig

    return LoraConfig(
        r=knobs["lora_rank"],
        lora_alpha=knobs["lora_alpha"],
        lora_dropout=knobs["lora_dropout"],
        target_modules=list(names),
        fan_in_fan_out=base.transposed,
        init_lora_weights=INITIAL[str(knobs["initialisation"])],
        task_type="CAUSAL_LM",
        base_model_name_or_path=base.name,
        inference_mode=True,
    )


def save(base: Base, config: Any, tensors: dict[str, torch.Tensor], folder: Path) -> None:
    """Write the adapter into ``folder`` so that PeftModel.from_pretrained can load it.

    It is written to a temporary folder, synced and renamed. Raises whatever the libraries raise.
    """
    aside = folder.with_name(folder.name + ".new")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    save_file(tensors, aside / "adapter_model.safetensors", metadata={"format": "pt"})
    config.save_pretrained(aside)
    base.tokenizer.save_pretrained(aside)
    for path in (*aside.iterdir(), aside):
        sync_to_disk(path)
    shutil.rmtree(folder, ignore_errors=True)
    aside.rename(folder)
    sync_to_disk(folder.parent)
