"""Bases of many makes train in a pack: tiny random models of the architectures that transformers has."""

import pytest
import torch
from peft import PeftModel
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from core.contract.events import event_types as e
from core.train.data.dataset import collate
from tests.matrix import rest_slow

COMMON = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 128,
}  # fmt: skip
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24, "num_local_experts": 4}
BASES = {
    "llama": {**COMMON, "tie_word_embeddings": True},
    "mistral": {**COMMON, "sliding_window": 8},
    "qwen2": COMMON,
    "qwen3": COMMON,
    "gemma": COMMON,
    "gemma2": {**COMMON, "query_pre_attn_scalar": 8, "sliding_window": 8},
    "gemma3_text": {**COMMON, "query_pre_attn_scalar": 8, "sliding_window": 8},
    "phi3": {**COMMON, "original_max_position_embeddings": 128},
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 128},
    "gpt_neox": {**COMMON, "rotary_pct": 0.5},
    "granite": {**COMMON, "logits_scaling": 4.0},
    "cohere": {**COMMON, "logit_scale": 0.25},
    "mixtral": {**COMMON, **EXPERTS},
    "qwen3_moe": {**COMMON, **EXPERTS},
}
PLAINEST = ("llama", "gemma3_text", "gpt2", "mixtral")  # of the makes of layers, attention and experts
TRIALS = [
    {"lora_rank": 4, "batch_size": 1, "seed": 1},
    {"lora_rank": 2, "batch_size": 2, "seed": 2, "lora_dropout": 0.1, "sequence_length": 26},
    {"lora_rank": 4, "batch_size": 2, "seed": 3, "target_modules": "attention"},
]


@pytest.fixture(params=rest_slow(sorted(BASES, key=lambda make: make not in PLAINEST), len(PLAINEST)))
def base_folder(request, folder, tmp_path):
    """A base of that make, with the tiny tokenizer."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    config = AutoConfig.for_model(
        request.param, **BASES[request.param], vocab_size=len(tokenizer),
        bos_token_id=None, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    torch.manual_seed(0)
    place = tmp_path / request.param
    AutoModelForCausalLM.from_config(config).save_pretrained(place)
    tokenizer.save_pretrained(place)
    return place


def test_a_pack_on_it_trains_as_each_trial_alone_and_peft_loads_the_results(bench, base_folder, tmp_path):
    sections = {"model": {"base": str(base_folder)}, "train": {"steps": 6, "learning_rate": 5e-3}}
    together, alone = bench(**sections), bench(**sections)
    for number, knobs in enumerate(TRIALS):
        together.assign(tmp_path, number, **knobs)
    together.finish()
    for number, knobs in enumerate(TRIALS):
        alone.assign(tmp_path, number, **knobs)
        alone.finish()
        assert not together.of(e.TrialFailed, number)
        assert together.losses(number) == pytest.approx(alone.losses(number), rel=1e-5)
        assert together.losses(number)[-1] != together.losses(number)[0]
    told = together.of(e.TrialCompleted, 0)[0]
    model = AutoModelForCausalLM.from_pretrained(base_folder, dtype=torch.float32)
    model = PeftModel.from_pretrained(model, told.adapter).eval()
    loss = count = 0.0
    for row in together.data.validation:
        batch = collate([row], 0, torch.device("cpu"))
        targets = int((batch["labels"][:, 1:] != -100).sum())
        with torch.no_grad():
            loss += model(**batch).loss.item() * targets
        count += targets
    assert loss / count == pytest.approx(told.values[0], rel=1e-5)


class Experts(torch.nn.Module):
    """Two experts, each given the tokens that are its own: rows are lost on the way."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = (torch.nn.Linear(width, width, bias=False) for _ in range(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mine = x.detach()[..., 0] > 0
        out = torch.zeros_like(x)
        out[mine] = self.first(x[mine])
        out[~mine] = self.second(x[~mine])
        return out


class Mixing(torch.nn.Module):
    """What one row gives depends on the whole batch."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x - x.mean(dim=0, keepdim=True)


def packed_on(bench, block):
    torch.manual_seed(1)
    one = bench()
    one.base.model.model.layers[0].mlp = block().requires_grad_(False)
    one.pack = type(one.pack)(one.spec, one.base, one.data, one.told.append)
    return one


def test_a_trial_on_experts_of_their_own_tokens_has_passes_of_its_own_and_says_why(bench, tmp_path):
    together, alone = (packed_on(bench, lambda: Experts(64)) for _ in range(2))
    apart = [{"target_modules": ["first", "second", "q_proj"], "seed": one} for one in range(2)]
    for number, knobs in enumerate([*apart, {"target_modules": "attention"}]):
        together.assign(tmp_path, number, lora_dropout=0.1, **knobs)
    together.finish()
    for number, knobs in enumerate([*apart, {"target_modules": "attention"}]):
        alone.assign(tmp_path, number, lora_dropout=0.1, **knobs)
        alone.finish()
        assert together.losses(number) == pytest.approx(alone.losses(number), rel=1e-5)
    notes = [note.text for note in together.of(e.StudyNoted)]
    assert len(notes) == 2
    assert notes[0] == (
        "trial 0 cannot share passes with other trials: "
        "model.layers.0.mlp.first mixes the tokens of different rows"
    )


def test_a_base_that_mixes_rows_trains_one_trial_at_a_time_and_says_why(bench, tmp_path):
    one = packed_on(bench, Mixing)
    for number in range(2):
        one.assign(tmp_path, number, steps=2)
    one.finish()
    assert len(one.of(e.TrialCompleted, 0)) == len(one.of(e.TrialCompleted, 1)) == 1
    assert "depends on the other rows" in one.of(e.StudyNoted)[0].text
