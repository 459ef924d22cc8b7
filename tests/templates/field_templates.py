"""Minimal chat templates of the same structure as those of models in the field, and tokenizers for them.

The templates are the files ``*.jinja`` of this folder, written for these tests. That of Gemma 4 follows the
published one in turns and thoughts; tools and media are left out of all of them.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

FOLDER = Path(__file__).parent
SEPARATOR = "｜"  # full width, as DeepSeek's tokens have it


class Field(NamedTuple):
    """What is known of a template: ``later`` is an answer {} with its beginning and end where other turns
    follow, ``last`` where none do; ``stop`` is the token at which generation stops."""

    bos: str
    eos: str
    stop: str
    later: str
    last: str
    control: tuple[str, ...] = ()  # more special tokens
    system: bool = True  # whether it accepts a system turn
    trims: str = ""  # which turns it strips of the spaces around them: "all" or "answers"
    strips: bool = False  # whether its control tokens swallow the spaces behind them


def _deepseek(name: str) -> str:
    return f"<{SEPARATOR}{name.replace(' ', '▁')}{SEPARATOR}>"


IM = ("<|im_start|>", "<|im_end|>")
TURN = ("<start_of_turn>", "<end_of_turn>")
HEADER = ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
INST = ("[INST]", "[/INST]")
CHANNELS = ("<|start|>", "<|end|>", "<|message|>", "<|channel|>", "<|return|>")
TAGS = ("<|user|>", "<|assistant|>", "<|system|>")
ROLES = (_deepseek("User"), _deepseek("Assistant"))
BEGIN, END = _deepseek("begin of sentence"), _deepseek("end of sentence")
THOUGHT = "<think>\n\n</think>\n\n"

_CHATML = Field("<s>", IM[1], IM[1], "{}<|im_end|>\n", "{}<|im_end|>\n", IM)
_LLAMA = Field(
    "<|begin_of_text|>", "<|eot_id|>", "<|eot_id|>", "{}<|eot_id|>", "{}<|eot_id|>", HEADER, trims="all"
)
_GEMMA = Field("<bos>", "<eos>", TURN[1], "{}<end_of_turn>\n", "{}<end_of_turn>\n", TURN, trims="all")
_MISTRAL = Field("<s>", "</s>", "</s>", "{}</s>", "{}</s>")
_DEEPSEEK = Field(BEGIN, END, END, "{}" + END, "{}" + END, ROLES)
FIELDS: dict[str, Field] = {
    "chatml": _CHATML,
    "deepseek-r1": _DEEPSEEK,
    "deepseek-v2": _DEEPSEEK._replace(later=" {}" + END, last=" {}" + END, control=()),
    "deepseek-v3": _DEEPSEEK,
    "deepseek-v3.1": _DEEPSEEK,
    "gemma-1": _GEMMA._replace(system=False),
    "gemma-2": _GEMMA._replace(system=False),
    "gemma-3": _GEMMA,
    "gemma-4": _GEMMA._replace(
        stop="<turn|>", later="{}<turn|>", last="{}<turn|>",
        control=("<|turn>", "<turn|>", "<|channel>", "<channel|>"),
    ),
    "generation-marks": _CHATML._replace(later="{}<|im_end|>", last="{}<|im_end|>"),
    "gpt-oss": Field(
        "<|startoftext|>", "<|return|>", "<|return|>", "<|channel|>final<|message|>{}<|end|>",
        "<|channel|>final<|message|>{}<|return|>", CHANNELS,
    ),
    "granite-3": Field(
        "<|end_of_text|>", "<|end_of_text|>", "<|end_of_text|>", "{}<|end_of_text|>\n",
        "{}<|end_of_text|>\n", ("<|start_of_role|>", "<|end_of_role|>"),
    ),
    "llama-2": _MISTRAL._replace(later=" {} </s>", last=" {} </s>", trims="all"),
    "llama-3": _LLAMA,
    "llama-3.1": _LLAMA,
    "mistral-v1": _MISTRAL._replace(later="{}</s> ", last="{}</s> ", system=False),
    "mistral-v3": _MISTRAL._replace(later=" {}</s>", last=" {}</s>", control=INST, trims="answers"),
    "mistral-v7-tekken": _MISTRAL._replace(control=(*INST, "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]")),
    "olmo-2": Field("<|endoftext|>", "<|endoftext|>", "<|endoftext|>", "{}<|endoftext|>", "{}<|endoftext|>"),
    "phi-3": Field(
        "<s>", "<|endoftext|>", "<|end|>", "{}<|end|>", "{}<|end|>\n<|endoftext|>", (*TAGS, "<|end|>"),
        strips=True,
    ),
    "phi-4": _CHATML._replace(later="{}<|im_end|>", last="{}<|im_end|>", control=(*IM, "<|im_sep|>")),
    "qwen-2.5": _CHATML,
    "qwen-3": _CHATML._replace(later="{}<|im_end|>", last=THOUGHT + "{}<|im_end|>\n"),
    "qwen-3-thinking": _CHATML._replace(later="{}<|im_end|>", last="\n</think>\n\n{}<|im_end|>\n"),
    "smollm2": _CHATML,
    "smollm3": _CHATML,
    "zephyr": _MISTRAL._replace(later="{}</s>\n", last="{}</s>\n"),
}  # fmt: skip
KINDS = ("bytes", "first", "always", "prepend")
WORDS = "the a of to read write file path list yes no question answer user assistant system think final model"
LETTERS = (
    "\n abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ 0123456789 : . ? < | > / [ ] _ # é 日 ｜ ▁"
)


def source(name: str) -> str:
    """The template's text."""
    return (FOLDER / f"{name}.jinja").read_text()


@cache
def _trained(kind: str) -> str:
    """A tokenizer's serialisation: byte-level, or like SentencePiece with a space put before the "first"
    word, "always", or by a normalizer ("prepend")."""
    from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers
    from tokenizers.models import BPE
    from tokenizers.trainers import BpeTrainer

    tokenizer = Tokenizer(BPE(unk_token="<unk>"))
    alphabet: list[str] = []
    if kind == "bytes":
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
    elif kind == "prepend":
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=kind)
    trainer = BpeTrainer(
        vocab_size=500, special_tokens=["<unk>"], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator([WORDS] * 20 + ["say [ say\n\n] <s>"] * 9 + [LETTERS], trainer)
    return tokenizer.to_str()


@cache
def tokenizer(kind: str, name: str) -> Any:
    """The tokenizer of a template, with its special tokens."""
    from tokenizers import AddedToken, Tokenizer
    from transformers import PreTrainedTokenizerFast

    field = FIELDS[name]
    backend = Tokenizer.from_str(_trained(kind))
    names = dict.fromkeys(("<unk>", field.bos, field.eos, *field.control))
    backend.add_special_tokens([AddedToken(name, rstrip=field.strips, normalized=False) for name in names])
    found = PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token=field.bos, eos_token=field.eos, unk_token="<unk>"
    )
    found.chat_template = source(name)
    return found


def damaged(found: Any) -> Any:
    """A copy of the tokenizer with one merge less."""
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    parts = json.loads(found.backend_tokenizer.to_str())
    parts["model"]["merges"].pop()
    backend = Tokenizer.from_str(json.dumps(parts))
    other = PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token=found.bos_token, eos_token=found.eos_token, unk_token="<unk>"
    )
    other.chat_template = found.chat_template
    return other
