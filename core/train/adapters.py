"""LoRA adapters on a shared frozen base, by PEFT's layers: put on, switched, saved, taken off."""

from __future__ import annotations

import difflib
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from core.contract.knobs import Value
from core.train.model import Base, rest

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
INITIAL: dict[str, Any] = {"default": True, "gaussian": "gaussian", "orthogonal": "orthogonal"}


class Unfit(Exception):
    """The trial's knobs cannot be had with this base or device; the text says why."""


def linear_names(model: Any) -> list[str]:
    """The last name of every linear layer that may have an adapter, in model order; not the output layer."""
    from peft.tuners.tuners_utils import BaseTunerLayer
    from transformers.pytorch_utils import Conv1D

    head = model.get_output_embeddings()
    names: dict[str, None] = {}
    for full, module in model.named_modules():
        if isinstance(module, BaseTunerLayer):
            module = module.get_base_layer()
        elif "lora_" in full or full.endswith("base_layer"):
            continue
        if isinstance(module, torch.nn.Linear | Conv1D) and module is not head:
            names.setdefault(full.rsplit(".", 1)[-1])
    return list(names)


def targets(model: Any, wanted: Value) -> list[str]:
    """The module names that ``target_modules`` means in this model. Raises Unfit for one it lacks."""
    known = linear_names(model)
    if wanted == "all-linear":
        return known
    if isinstance(wanted, str):
        group = [name for name in known if name in (ATTENTION if wanted == "attention" else MLP)]
        if not group:
            raise Unfit(
                f"target_modules = {wanted!r}: this model names its layers {', '.join(known)}; list some"
            )
        return group
    names = [str(name) for name in wanted] if isinstance(wanted, list) else []
    for name in names:
        if name.rsplit(".", 1)[-1] not in known:
            near = difflib.get_close_matches(name, known, n=3, cutoff=0.3) or known
            raise Unfit(f"target_modules: the model has no linear layer {name!r}; it has {', '.join(near)}")
    return names


def attach(base: Base, name: str, knobs: dict[str, Value]) -> Any:
    """Put a fresh adapter called ``name`` on the base; the same seed gives the same weights, whoever else
    is there. Returns its LoraConfig. Raises Unfit."""
    from peft import LoraConfig, inject_adapter_in_model

    rank = knobs["lora_rank"]
    config = LoraConfig(
        r=rank,
        lora_alpha=knobs["lora_alpha"],
        lora_dropout=knobs["lora_dropout"],
        target_modules=targets(base.model, knobs["target_modules"]),
        init_lora_weights=INITIAL[str(knobs["initialisation"])],
        task_type="CAUSAL_LM",
        base_model_name_or_path=base.name,
    )
    devices = [base.device] if base.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(int(knobs["seed"]))  # type: ignore[arg-type]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # that the base has other adapters is the point
                inject_adapter_in_model(config, base.model, adapter_name=name)
        except ValueError as error:
            detach(base, name)
            raise Unfit(f"the adapter cannot be made (rank {rank}): {error}") from error
    for parameter in parameters(base, name):
        parameter.data = parameter.data.float()  # the adapter trains in fp32 over any base
    rest(base.model)
    return config


def _layers(base: Base) -> Iterator[tuple[str, Any]]:
    from peft.tuners.lora import LoraLayer

    for name, module in base.model.named_modules():
        if isinstance(module, LoraLayer):
            yield name, module


def parameters(base: Base, name: str) -> list[torch.nn.Parameter]:
    """The adapter's weights, in model order."""
    return [weight for _, weight in named(base, name)]


def named(base: Base, name: str) -> Iterator[tuple[str, torch.nn.Parameter]]:
    """(name as PEFT saves it, weight) of the adapter, in model order."""
    for place, layer in _layers(base):
        if name in layer.lora_A:
            yield f"base_model.model.{place}.lora_A.weight", layer.lora_A[name].weight
            yield f"base_model.model.{place}.lora_B.weight", layer.lora_B[name].weight


def activate(base: Base, name: str) -> None:
    """Have the base compute with this adapter alone."""
    for _, layer in _layers(base):
        layer.set_adapter([name])


def dropouts(base: Base, name: str) -> list[torch.nn.Module]:
    """The adapter's dropout modules: all of the model that may be in train mode."""
    return [layer.lora_dropout[name] for _, layer in _layers(base) if name in layer.lora_dropout]


def detach(base: Base, name: str) -> None:
    """Take the adapter off and free its memory."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the pack says which adapter is active
        for _, layer in _layers(base):
            if name in layer.lora_A:
                layer.delete_adapter(name)
    known = getattr(base.model, "peft_config", None)
    if isinstance(known, dict):
        known.pop(name, None)


def save(base: Base, name: str, config: Any, folder: Path) -> None:
    """Write the adapter into ``folder`` as PEFT does: PeftModel.from_pretrained loads it. Written aside
    and put in place whole."""
    aside = folder.with_name(folder.name + ".new")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    tensors = {key: weight.detach().cpu().contiguous() for key, weight in named(base, name)}
    save_file(tensors, aside / "adapter_model.safetensors", metadata={"format": "pt"})
    config.inference_mode = True
    config.save_pretrained(aside)
    base.tokenizer.save_pretrained(aside)
    shutil.rmtree(folder, ignore_errors=True)
    aside.rename(folder)
