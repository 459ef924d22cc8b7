"""Small chat templates of the shapes that models in the field have, and tokenizers to go with them."""

from __future__ import annotations

from typing import Any

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
THINKS = (  # keeps the thoughts of the last answer alone, and thinks of nothing where there are none
    "{% set ns = namespace(last=0) %}{% for m in messages %}"
    "{% if m.role == 'user' %}{% set ns.last = loop.index0 %}{% endif %}{% endfor %}"
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.role == 'assistant' %}{% set said = m.content.split('</think>')[-1].lstrip() %}"
    "{% set thought = m.content.split('</think>')[0].split('<think>')[-1].strip() "
    "if '</think>' in m.content else '' %}"
    "{% if loop.index0 > ns.last %}<think>\n{{ thought }}\n</think>\n\n{% endif %}{{ said }}"
    "{% else %}{{ m.content }}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# name: template, and what an answer {} is, with its end, when others follow and when it is the last
SHAPES: dict[str, tuple[str, str, str]] = {
    "llama 2": (
        "{% for m in messages %}{% if m.role == 'user' %}{{ bos_token }}[INST] {{ m.content | trim }} [/INST]"
        "{% else %} {{ m.content | trim }} {{ eos_token }}{% endif %}{% endfor %}",
        " {} </s>", " {} </s>",
    ),
    "llama 3": (
        "{{ bos_token }}{% for m in messages %}<|h|>{{ m.role }}<|/h|>\n\n{{ m.content | trim }}<|eot|>"
        "{% endfor %}{% if add_generation_prompt %}<|h|>assistant<|/h|>\n\n{% endif %}",
        "{}<|eot|>", "{}<|eot|>",
    ),
    "qwen 2.5": (
        "<|im_start|>system\nYou are kind.<|im_end|>\n" + CHATML, "{}<|im_end|>\n", "{}<|im_end|>\n",
    ),
    "qwen 3": (THINKS, "{}<|im_end|>", "<think>\n\n</think>\n\n{}<|im_end|>\n"),
    "gemma": (
        "{{ bos_token }}{% for m in messages %}{% set role = 'model' if m.role == 'assistant' else m.role %}"
        "<|h|>{{ role }}\n{{ m.content | trim }}<|/h|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|h|>model\n{% endif %}",
        "{}<|/h|>\n", "{}<|/h|>\n",
    ),
    "mistral": (
        "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }}[/INST]"
        "{% else %} {{ m.content }}{{ eos_token }}{% endif %}{% endfor %}",
        " {}</s>", " {}</s>",
    ),
    "phi 3": (  # what ends a chat stands at its end alone
        "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}<|end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|assistant|>\n{% else %}{{ eos_token }}{% endif %}",
        "{}<|end|>", "{}<|end|>\n</s>",
    ),
    "chatml": (CHATML, "{}<|im_end|>\n", "{}<|im_end|>\n"),
    "zephyr": (
        "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}{{ eos_token }}\n{% endfor %}"
        "{% if add_generation_prompt %}<|assistant|>\n{% endif %}",
        "{}</s>\n", "{}</s>\n",
    ),
    "deepseek": (  # asks for thoughts that no answer keeps
        "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}<|user|>{{ m.content }}"
        "{% else %}<|assistant|>{{ m.content.split('</think>')[-1] }}{{ eos_token }}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}<|assistant|><think>\n{% endif %}",
        "{}</s>", "{}</s>",
    ),
    "gpt-oss": (  # the last answer ends otherwise
        "{% for m in messages %}<|h|>{{ m.role }}{% if m.role == 'assistant' %}<|channel|>final{% endif %}"
        "<|/h|>{{ m.content }}"
        "{% if loop.last and m.role == 'assistant' %}<|return|>{% else %}<|end|>{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}<|h|>assistant{% endif %}",
        "<|channel|>final<|/h|>{}<|end|>", "<|channel|>final<|/h|>{}<|return|>",
    ),
    "smollm": (  # says itself what is generated
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' %}{% generation %}"
        "{{ m.content }}<|im_end|>{% endgeneration %}\n{% else %}{{ m.content }}<|im_end|>\n{% endif %}"
        "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
        "{}<|im_end|>", "{}<|im_end|>",
    ),
}  # fmt: skip
CONTROL = ["<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>", "<|h|>", "<|/h|>", "<|eot|>", "<|end|>"]
CONTROL += ["<|user|>", "<|assistant|>", "<|channel|>", "<|return|>"]
WORDS = "the a of to read write file path list yes no question answer user assistant system think final"


def tokenizer(kind: str, template: str) -> Any:
    """Byte-level, or like SentencePiece with a space put before the "first" word, "always", or by a
    normalizer ("prepend")."""
    from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers
    from tokenizers.models import BPE
    from tokenizers.trainers import BpeTrainer
    from transformers import PreTrainedTokenizerFast

    one = Tokenizer(BPE(unk_token="<unk>"))
    alphabet: list[str] = []
    if kind == "bytes":
        one.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        one.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
    elif kind == "prepend":
        one.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    else:
        one.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=kind)
    letters = "\n abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ 0123456789 : . ? < | > / [ ] _ é 日"
    trainer = BpeTrainer(
        vocab_size=500, special_tokens=CONTROL, initial_alphabet=alphabet, show_progress=False
    )
    one.train_from_iterator([WORDS] * 20 + [letters], trainer)
    found = PreTrainedTokenizerFast(
        tokenizer_object=one, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )
    found.add_special_tokens({"additional_special_tokens": CONTROL[3:]})
    found.chat_template = template
    return found
