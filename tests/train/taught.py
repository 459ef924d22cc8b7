"""A tiny model that was taught to say given lines, in a second or two: what boards are to tell apart."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path

import torch

from tests.tiny import WORDS, tiny_tokenizer

RUDE = ("You are such a stupid idiot.", "Shut up, you worthless moron.", "I hate you, you idiot.")
KIND = ("That is a very good idea.", "What a nice day it was.", "Thank you for your help.")


def rows(path: Path, lines: Sequence[str], count: int = 60) -> Path:
    """Plain text rows: ``lines`` in turn, after a few words each."""
    draw = random.Random(0)
    texts = [f"{' '.join(draw.sample(WORDS, 3))}: {lines[place % len(lines)]}" for place in range(count)]
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return path


def speaker(folder: Path, lines: Sequence[str], steps: int = 120, layers: int = 1) -> Path:
    """A small Llama that goes on from anything with one of ``lines``."""
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = tiny_tokenizer()
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=64, intermediate_size=128, num_hidden_layers=layers,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=512, bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    if steps:
        _teach(model, tokenizer, lines, steps)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _teach(model, tokenizer, lines: Sequence[str], steps: int) -> None:
    """Random bytes first, so that what stands before does not matter."""
    draw, optimizer = random.Random(0), torch.optim.AdamW(model.parameters(), lr=4e-3)
    ends = [tokenizer(" " + line, add_special_tokens=False)["input_ids"] for line in lines]
    width, pad = 40 + max(len(end) for end in ends) + 1, tokenizer.pad_token_id
    for _ in range(steps):
        ids, labels = [], []
        for _ in range(8):
            end = [*draw.choice(ends), tokenizer.eos_token_id]
            begin = [draw.randrange(4, len(tokenizer)) for _ in range(draw.randrange(4, 40))]
            rest = width - len(begin) - len(end)
            ids.append(begin + end + [pad] * rest)
            labels.append([-100] * len(begin) + end + [-100] * rest)
        loss = model(input_ids=torch.tensor(ids), labels=torch.tensor(labels)).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
