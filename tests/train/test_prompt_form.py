"""Boards ask in the form of the study's rows: their template, system prompt and special tokens, without
reasoning."""

import json
from types import SimpleNamespace

import pytest
from transformers import LlamaConfig

from core.train.probes.prompt_encoder import PromptEncoder, StudyForm
from tests.tiny import TEMPLATE, tiny_tokenizer

SYSTEM = "You read files and write lists."
THINKS = TEMPLATE.replace(
    "assistant\n{% endif %}",
    "assistant\n{% if enable_thinking is not defined or enable_thinking %}<think>\n"
    "{% else %}<think>\n\n</think>\n\n{% endif %}{% endif %}",
)


@pytest.fixture(scope="module")
def folder(shallow):
    return shallow


def make_encoder(form: StudyForm, template: str | None) -> PromptEncoder:
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = template
    model = SimpleNamespace(config=LlamaConfig(max_position_embeddings=512))
    return PromptEncoder(SimpleNamespace(tokenizer=tokenizer, vocabulary=len(tokenizer), model=model), form)


def read_whole(encoder: PromptEncoder, ids) -> str:
    return encoder._tokenizer.decode(ids, skip_special_tokens=False)


def test_a_template_that_makes_a_model_think_is_told_not_to():
    encoder = make_encoder(StudyForm(), THINKS)
    assert "</think>" in read_whole(encoder, encoder.request("read the file"))
    assert encoder.answer(encoder.ids("<think>close it</think>open the file")) == "open the file"


@pytest.mark.parametrize(
    ("form", "template", "told"),
    [
        (
            StudyForm(SYSTEM, "chat"), TEMPLATE,
            f"<|im_start|>system\n{SYSTEM}<|im_end|>\n<|im_start|>user\nread<|im_end|>\n<|im_start|>assistant\n",
        ),
        (StudyForm("", "chat"), TEMPLATE, "<|im_start|>user\nread<|im_end|>\n<|im_start|>assistant\n"),
        (StudyForm("", "instruction"), None, "<|im_end|>read"),
        (StudyForm("", "text"), None, "<|im_end|>read\n"),
    ],
)  # fmt: skip
def test_a_request_has_the_form_of_the_rows(form, template, told):
    encoder = make_encoder(form, template)
    assert read_whole(encoder, encoder.request("read")) == told
    assert read_whole(encoder, encoder.request("read", prefill="Sure")) == f"{told}Sure"


def test_the_boards_of_a_study_ask_with_the_system_prompt_of_most_of_its_rows(bench, tmp_path):
    place = tmp_path / "rows.jsonl"
    with place.open("w") as file:
        for number in range(40):
            turns = [{"role": "user", "content": f"read {number}"}, {"role": "assistant", "content": "close"}]
            system = [{"role": "system", "content": SYSTEM}] if number % 4 else []
            file.write(json.dumps({"messages": [*system, *turns]}) + "\n")
    one = bench(
        data={"source": str(place), "validation": 0.4, "allow": ["leakage"]},
        train={"sequence_length": 256}, evaluate={"boards": ["safety", "security"], "samples": 2},
    )  # fmt: skip
    asked = {
        probe.metrics[0]: one.base.tokenizer.decode(probe.asks[0][0].prompt, skip_special_tokens=False)
        for probe in one.pack.parts.scoring.boards.probes
        if probe.writes and probe.asks
    }
    for metric in ("safety/refusal", "safety/over_refusal_multilingual", "security/jailbreak"):
        assert asked[metric].startswith(f"<|im_start|>system\n{SYSTEM}<|im_end|>"), metric
    assert SYSTEM not in asked["security/prompt_leak"], "the one that is to be kept secret takes its place"
