"""Loads the frozen base model and its tokenizer in the precision that the study sets."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from core import paths
from core.contract.spec.study_spec import ModelOptions, StudySpec
from core.contract.text import error_reports
from core.contract.text.sanitize import sanitize
from core.errors import TrimtabError
from core.memory.base.config_json_lookup import DEMO
from core.train.base import (
    causal_lm_check,
    context_length,
    finite_weights,
    fused_layers,
    missing_weights,
    smollm2_demo_base,
)
from core.train.base.packing_check_bypass import skip_packing_check
from core.train.progress_callback import Progress

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass
class Base:
    """A frozen model that adapters are put on. ``name`` is what PEFT records as the adapter's base model;
    ``notes`` are for the event list."""

    model: Any
    tokenizer: Any
    precision: str
    name: str
    device: torch.device
    notes: list[str] = field(default_factory=list)

    @property
    def transposed(self) -> bool:
        """Whether its layers are Conv1D, with weights (inputs, outputs), as in GPT-2."""
        return any(type(module).__name__ == "Conv1D" for module in self.model.modules())

    @property
    def pad_id(self) -> int:
        """The padding token, which is never a target and always right of the row. Some tokenizers have one
        that the model's vocabulary lacks: then another token is used."""
        candidates = (self.tokenizer.pad_token_id, self.tokenizer.eos_token_id)
        return next((token for token in candidates if token is not None and token < self.vocabulary), 0)

    @cached_property
    def vocabulary(self) -> int:
        """The number of tokens that both the model's embedding and its output layer have."""
        ends = (self.model.get_input_embeddings(), self.model.get_output_embeddings())
        sizes = [getattr(end, name, None) for end in ends for name in ("num_embeddings", "out_features")]
        result: int = min(
            (size for size in sizes if size), default=self.model.config.get_text_config().vocab_size
        )
        return result

    @cached_property
    def positions(self) -> int | None:
        """The longest sequence that the model can compute, tokens; None without such a limit."""
        return context_length.count_positions(self.model)


def resolve(name: str, progress: Progress) -> str:
    """Resolve ``name`` to a folder or hub id that transformers can load. Raises TrimtabError without one."""
    if name == DEMO:
        return str(smollm2_demo_base.make_smollm2(progress))
    if name.startswith("demo:"):
        raise TrimtabError.of(f"unknown demo model {name!r}", "model.base", f"use {DEMO!r}")
    folder = paths.expand_home(name)
    if folder.exists() or name.startswith(("/", ".", "~")):
        causal_lm_check.check_folder(folder, f"model.base = {name!r}")
        if not (folder / "config.json").is_file():
            raise TrimtabError.of(
                "the folder has no config.json",
                f"model.base = {name!r}",
                "give a folder written by save_pretrained, or a Hugging Face id",
            )
        return str(folder.absolute())
    return name


def load_base(spec: StudySpec, device: torch.device, progress: Progress) -> Base:
    """Load the study's base model. Raises TrimtabError with the cause if that fails."""
    return load_section(spec.model, device, progress)


def load_section(section: ModelOptions, device: torch.device, progress: Progress) -> Base:
    """Load model and tokenizer. Raises TrimtabError with the cause if that fails."""
    name = resolve(section.base, progress)
    precision = section.precision
    if precision == "auto":
        precision = compute_type(device)
    progress(f"loading {Path(name).name} in {precision}", 0, 0, "")
    location = f"model.base = {section.base!r}"
    try:
        tokenizer, model, notes = _load(name, section, precision, device, location)
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, SafetensorError) as error:
        fix = "check the id or path, the network and the Hugging Face cache, and run `trimtab doctor`"
        problem = f"the base model cannot be loaded: {sanitize(str(error), 400)}"
        raise TrimtabError.of(problem, location, error_reports.give_advice(error, fix)) from error
    if section.base != DEMO:  # a test compares the demo's conversion with transformers' own
        finite_weights.check(model, precision, location)
    skip_packing_check()
    model.requires_grad_(False)
    model.config.use_cache = False
    if section.gradient_checkpointing:
        # the base draws no random numbers; saving their state would wait for the device in each layer
        again = {"use_reentrant": False, "preserve_rng_state": False}
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs=again)
    load_rest(model)
    if device.type == "cuda":
        notes += fused_layers.fuse(model)
    return Base(model, tokenizer, precision, name, device, notes)


def compute_type(device: torch.device) -> str:
    """The type in which "auto" and quantised bases compute: bf16 where a device multiplies in it, else fp32.

    Cards before Ampere only emulate bf16, many times slower than fp32, and fp16 would need a loss scale.
    """
    if device.type == "cpu":
        return "fp32"
    return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"


def load_rest(model: Any) -> None:
    """Put the base model into eval mode, except two kinds of modules (not their children).

    4-bit layers: in eval mode bitsandbytes packs their weights for inference on CPUs with AVX512-BF16, which
    has no backward pass, and gradients would be silently wrong. And layers with gradient checkpointing, which
    transformers does in train mode only.
    """
    model.eval()
    for module in model.modules():
        if type(module).__name__ == "Linear4bit" or getattr(module, "gradient_checkpointing", False):
            module.training = True


def _load(
    name: str, section: ModelOptions, precision: str, device: torch.device, location: str
) -> tuple[Any, Any, list[str]]:
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    _refuse_pickles(Path(name))
    common: dict[str, Any] = {"revision": section.revision, "trust_remote_code": section.trust_remote_code}
    config = AutoConfig.from_pretrained(name, **common)
    causal_lm_check.check_config(config, location)
    tokenizer = AutoTokenizer.from_pretrained(name, **common)
    load_options: dict[str, Any] = {"dtype": DTYPES.get(precision, torch.float32)}
    if precision in ("nf4", "int8"):
        load_options = {
            "quantization_config": _make_quantization(precision, section, device),
            "device_map": {"": str(device)},
        }
        load_options["dtype"] = DTYPES[compute_type(device)]
    model, info = AutoModelForCausalLM.from_pretrained(
        name, config=config, use_safetensors=True, **missing_weights.ASKED, **common, **load_options
    )
    causal_lm_check.check_bare(model, location)
    notes = missing_weights.check(info, location)
    return tokenizer, model if "device_map" in load_options else model.to(device), notes


def _refuse_pickles(folder: Path) -> None:
    if folder.is_dir() and any(folder.glob("*.bin")) and not any(folder.glob("*.safetensors")):
        raise TrimtabError.of(
            "the folder has only pickled weights, which can run code and are never loaded",
            str(folder),
            "if you trust them, load the model in Python and call save_pretrained(…): it writes safetensors",
        )


def _make_quantization(precision: str, section: ModelOptions, device: torch.device) -> Any:
    from transformers import BitsAndBytesConfig

    if precision == "int8":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=section.double_quant,
        bnb_4bit_compute_dtype=DTYPES[compute_type(device)],
    )
