"""A tiny random Llama with a real tokenizer, made on the spot: the base model of the real tests."""

from __future__ import annotations

import json
import random
from pathlib import Path

WORDS = [
    "the", "a", "of", "to", "read", "write", "file", "path", "list", "dict",
    "value", "key", "open", "close", "join", "split", "sort", "copy", "find", "make",
]  # fmt: skip
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIAL = ["<|pad|>", "<|im_start|>", "<|im_end|>"]


def tiny_base(folder: Path, layers: int = 2, hidden: int = 64) -> Path:
    """Write the model and its tokenizer into ``folder`` as ``save_pretrained`` does."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = tiny_tokenizer()
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def tiny_tokenizer():
    """Bytes, a few words and a chat template."""
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=_bytes_tokenizer(), pad_token="<|pad|>", eos_token="<|im_end|>"
    )
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def _bytes_tokenizer():
    from tokenizers import Tokenizer, decoders, pre_tokenizers
    from tokenizers.models import BPE
    from tokenizers.trainers import BpeTrainer

    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = BpeTrainer(
        vocab_size=320, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator([" ".join(WORDS)], trainer)
    return tokenizer


def tiny_rows(path: Path, count: int = 120, seed: int = 0) -> Path:
    """Write ``count`` prompt/completion rows that a small model can learn from, as JSONL."""
    draw = random.Random(seed)
    with path.open("w") as file:
        for _ in range(count):
            first, second = draw.choice(WORDS), draw.choice(WORDS)
            row = {"prompt": f"join {first} and {second}", "completion": f"{first} {second} {first}"}
            file.write(json.dumps(row) + "\n")
    return path
