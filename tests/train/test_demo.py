"""The demo's base is what transformers itself makes of the same GGUF file."""

from __future__ import annotations

import json
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from core.errors import TrimtabError
from core.train.base import smollm2_demo_base
from core.train.progress_callback import report_nothing
from tests.tiny import tiny_tokenizer

LAYERS, HEADS, GROUPS, WIDTH, INNER = 2, 4, 2, 64, 96


@pytest.fixture
def source(tmp_path, monkeypatch) -> Path:
    """A small Llama in a GGUF file, quantised as the demo's is, with a tokenizer of the same kind."""
    tokenizer = tiny_tokenizer()
    model = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    vocabulary = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().get)
    file, draw = tmp_path / "tiny.gguf", np.random.default_rng(0)
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_name("tiny")
    writer.add_vocab_size(len(vocabulary))
    writer.add_context_length(256)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(INNER)
    writer.add_block_count(LAYERS)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(GROUPS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(1e5)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(vocabulary)
    writer.add_token_types([3 if one.startswith("<|") else 1 for one in vocabulary])
    writer.add_token_merges([" ".join(one) if isinstance(one, list) else one for one in model["merges"]])
    for add, token in (
        (writer.add_bos_token_id, "<|im_start|>"),
        (writer.add_eos_token_id, "<|im_end|>"),
        (writer.add_pad_token_id, "<|pad|>"),
    ):
        add(vocabulary.index(token))
    writer.add_chat_template(tokenizer.chat_template)

    def add(name: str, *shape: int) -> None:
        values = draw.normal(0, 0.1, shape).astype(np.float32)
        if len(shape) == 1:
            writer.add_tensor(name, values)
            return
        kind = gguf.GGMLQuantizationType.Q8_0
        writer.add_tensor(name, gguf.quantize(values, kind), raw_dtype=kind)

    add("token_embd.weight", len(vocabulary), WIDTH)
    add("output_norm.weight", WIDTH)
    for layer in range(LAYERS):
        for name, *shape in (
            ("attn_norm", WIDTH), ("ffn_norm", WIDTH), ("attn_q", WIDTH, WIDTH),
            ("attn_k", WIDTH // HEADS * GROUPS, WIDTH), ("attn_v", WIDTH // HEADS * GROUPS, WIDTH),
            ("attn_output", WIDTH, WIDTH), ("ffn_gate", INNER, WIDTH), ("ffn_up", INNER, WIDTH),
            ("ffn_down", WIDTH, INNER),
        ):  # fmt: skip
            add(f"blk.{layer}.{name}.weight", *shape)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    monkeypatch.setenv("TRIMTAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(smollm2_demo_base, "_find_gguf", lambda: file)
    monkeypatch.setattr(smollm2_demo_base, "_begun", [])
    return file


@pytest.mark.parametrize("early", [True, False])
def test_the_conversion_is_that_of_transformers(source, early):
    if early:
        smollm2_demo_base.begin()
    folder = smollm2_demo_base.make_smollm2(report_nothing)
    assert [one.name for one in folder.parent.iterdir()] == [folder.name], "nothing is left beside it"
    ours, theirs = (
        AutoModelForCausalLM.from_pretrained(where, dtype=torch.float32, **more)
        for where, more in ((folder, {}), (source.parent, {"gguf_file": source.name}))
    )
    mine, other = ours.state_dict(), theirs.state_dict()
    assert mine.keys() == other.keys()
    assert all(torch.equal(mine[name], other[name]) for name in mine)
    ids = torch.tensor([[5, 9, 40, 3]])
    assert torch.equal(ours(ids).logits, theirs(ids).logits), "the configuration is the same, too"
    text = "join the path, read 12 files\n"
    one, another = (
        AutoTokenizer.from_pretrained(folder),
        AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name),
    )
    assert one(text)["input_ids"] == another(text)["input_ids"]
    assert one.special_tokens_map == another.special_tokens_map
    turns = [{"role": "user", "content": text}]
    assert one.apply_chat_template(turns, tokenize=False) == another.apply_chat_template(
        turns, tokenize=False
    )
    assert smollm2_demo_base.make_smollm2(report_nothing) == folder, "once"


def test_a_conversion_that_fails_says_why_and_leaves_nothing(source):
    source.write_bytes(source.read_bytes()[:-1000])
    with pytest.raises(TrimtabError, match="the demo model cannot be read"):
        smollm2_demo_base.make_smollm2(report_nothing)
    assert not list(smollm2_demo_base.paths.cache().iterdir())


def test_a_full_disk_is_told_with_the_place_and_what_to_do(source, tmp_path, monkeypatch):
    write = "import sys; sys.exit('OSError: [Errno 28] No space left on device')"
    popen = smollm2_demo_base.subprocess.Popen
    monkeypatch.setattr(
        smollm2_demo_base.subprocess,
        "Popen",
        lambda command, **more: popen([command[0], "-c", write], **more),
    )
    with pytest.raises(TrimtabError, match=r"cannot be cached: OSError.*No space left"):
        smollm2_demo_base.make_smollm2(report_nothing)
    assert not list(smollm2_demo_base.paths.cache().iterdir())


def test_what_killed_conversions_left_is_swept(source):
    stale = smollm2_demo_base.paths.make_private(
        smollm2_demo_base.paths.cache() / f"{smollm2_demo_base.CACHED}.999999999.new"
    )
    folder = smollm2_demo_base.make_smollm2(report_nothing)
    assert folder.is_dir() and not stale.exists()
