"""What would train on something else than the study file says does not begin, and says why."""

from __future__ import annotations

import json
import shutil
from types import SimpleNamespace

import pytest
import torch
import transformers as tf
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer

from core.contract.spec import spec_file
from core.errors import TrimtabError
from core.train.base import causality_check
from core.train.base.base_model import Base, load_base
from core.train.base.context_length import count_positions
from core.train.data import vocab_and_length_check
from core.train.data.dataset import Data, Row
from core.train.progress_callback import report_nothing

CPU = torch.device("cpu")


@pytest.fixture
def copy(folder, tmp_path):
    """The tiny model with its tensors changed, in a folder of its own."""

    def make(change):
        place = tmp_path / "base"
        shutil.copytree(folder, place)
        tensors = load_file(place / "model.safetensors")
        change(tensors)
        save_file(tensors, place / "model.safetensors", metadata={"format": "pt"})
        return place

    return make


@pytest.fixture
def load(study):
    return lambda place, **more: load_base(study(model={"base": str(place), **more}), CPU, report_nothing)


def poisoned(tensors):
    tensors["model.layers.1.mlp.up_proj.weight"][3, 4] = float("nan")


def large(tensors):
    tensors["model.norm.weight"][0] = 1e6


@pytest.mark.parametrize("precision", ["fp32", "nf4"])
def test_a_base_whose_files_lack_a_tensor_is_refused_by_its_name(copy, load, precision):
    place = copy(lambda tensors: tensors.pop("model.layers.1.mlp.up_proj.weight"))
    with pytest.raises(TrimtabError, match=r"lack 1 tensor \(model.layers.1.mlp.up_proj.weight\)"):
        load(place, precision=precision)


@pytest.mark.parametrize("precision", ["fp32", "nf4"])
def test_a_base_of_other_sizes_than_its_configuration_says_is_refused(copy, load, precision):
    place = copy(lambda tensors: None)
    config = json.loads((place / "config.json").read_text()) | {"intermediate_size": 96}
    (place / "config.json").write_text(json.dumps(config))
    with pytest.raises(TrimtabError, match=r"model.layers.0.mlp.\w+.weight.*\(\d+, \d+\).*config.json"):
        load(place, precision=precision)


def test_tensors_that_the_model_does_not_use_are_a_note(copy, load):
    notes = load(copy(lambda tensors: tensors.update({"vision.weight": torch.zeros(2)}))).notes
    assert len(notes) == 1 and "1 tensor (vision.weight) that the loaded model does not use" in notes[0]


@pytest.mark.parametrize(
    ("change", "precision", "told"),
    [
        (poisoned, "fp32", "up_proj.weight has 1 NaN or infinite values among 8192"),
        (poisoned, "int8", "up_proj.weight has .* NaN or infinite values"),
        (large, "fp16", "model.norm.weight has .* NaN or infinite values .* in fp16"),
    ],
)
def test_a_base_with_a_number_that_is_none_names_the_tensor(copy, load, change, precision, told):
    with pytest.raises(TrimtabError, match=told) as error:
        load(copy(change), precision=precision)
    assert "learning_rate" not in str(error.value)


def test_an_adapter_in_the_place_of_a_base_is_refused(folder, tmp_path, load):
    (tmp_path / "adapter_config.json").write_text("{}")
    shutil.copy(folder / "config.json", tmp_path)
    with pytest.raises(TrimtabError, match="this is an adapter") as error:
        load(tmp_path)
    assert "model.adapter" in str(error.value)


SMALL = {"vocab_size": 320, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}


@pytest.mark.parametrize(
    ("config", "told"),
    [
        (tf.T5Config(vocab_size=320), "t5 is an encoder-decoder model"),
        (tf.BartConfig(vocab_size=320), "bart is an encoder-decoder model"),
        (tf.BertConfig(architectures=["BertForMaskedLM"]), "saved as BertForMaskedLM"),
        (tf.LlamaConfig(architectures=["LlamaForSequenceClassification"]), "does not predict the next token"),
    ],
)
def test_models_of_another_purpose_are_refused_before_they_are_loaded(tmp_path, load, config, told):
    config.save_pretrained(tmp_path)
    with pytest.raises(TrimtabError, match=told):
        load(tmp_path)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_base_that_sees_the_future_is_refused(dtype):
    for decoder in (False, True):
        model = tf.BertLMHeadModel(tf.BertConfig(**SMALL, intermediate_size=48, is_decoder=decoder))
        base = Base(model.to(dtype).eval().requires_grad_(False), None, "auto", "bert", CPU)
        if decoder:
            causality_check.check(base, "model.base")
            continue
        with pytest.raises(TrimtabError, match="BertLMHeadModel is not causal"):
            causality_check.check(base, "model.base")


def test_rounding_by_what_else_is_there_is_no_sight_of_the_future():
    model = tf.LlamaForCausalLM(tf.LlamaConfig(**SMALL, intermediate_size=48)).eval().requires_grad_(False)
    plain = model.model.forward

    def rounded(**named):
        found = plain(**named)
        found.last_hidden_state.data += 1e-4 * named["input_ids"].sum() / 1000
        return found

    model.model.forward = rounded
    causality_check.check(Base(model, None, "fp32", "llama", CPU), "model.base")


def test_a_base_whose_activations_end_is_told_to_take_another_precision():
    model = tf.LlamaForCausalLM(tf.LlamaConfig(**SMALL, intermediate_size=48)).eval().requires_grad_(False)
    model.model.embed_tokens.weight.data[3] = float("inf")
    with pytest.raises(TrimtabError, match="outputs NaN or infinity") as error:
        causality_check.check(Base(model, None, "fp16", "llama", CPU), "model.base")
    assert "bf16" in str(error.value)


# -- tokens and places ------------------------------------------------------------------------------


def based(config, tokenizer=None):
    model = tf.AutoModelForCausalLM.from_config(config)
    return Base(model, tokenizer, "fp32", "tiny", CPU)


def asked(length=128, **space):
    raw = {"study": {"name": "s"}, "model": {"base": "x"}, "data": {"source": "x"}, "space": space}
    return spec_file.parse(raw | ({} if space else {"train": {"sequence_length": length}}))


PLACES = [
    (tf.GPT2Config(vocab_size=320, n_embd=32, n_layer=1, n_head=2, n_positions=64), 64),
    (tf.GPTJConfig(vocab_size=320, n_embd=32, n_layer=1, n_head=2, n_positions=64, rotary_dim=8), 64),
    (tf.OPTConfig(**SMALL, ffn_dim=48, word_embed_proj_dim=32, max_position_embeddings=64), 64),
    (tf.MptConfig(vocab_size=320, d_model=32, n_heads=2, n_layers=1, max_seq_len=64), 64),
    (tf.LlamaConfig(**SMALL, intermediate_size=48, max_position_embeddings=32), None),
    (tf.BloomConfig(vocab_size=320, hidden_size=32, n_layer=1, n_head=2), None),
]


@pytest.mark.parametrize(("config", "limit"), PLACES, ids=lambda one: getattr(one, "model_type", ""))
def test_how_many_places_a_model_has_is_known_without_overrunning_them(config, limit):
    model = based(config).model.eval()
    assert count_positions(model) == limit
    if limit is not None:
        model(input_ids=torch.ones(1, limit, dtype=torch.long))
        with pytest.raises((IndexError, RuntimeError)):
            model(input_ids=torch.ones(1, limit + 1, dtype=torch.long))


def rows(tokens):
    return Data([Row([1] * tokens, [1] * tokens)] * 3, [Row([1] * 9, [1] * 9)])


def test_rows_longer_than_a_model_has_places_for_are_refused_where_no_trial_cuts_them(folder):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    base, soft = based(PLACES[0][0], tokenizer), based(PLACES[4][0], tokenizer)
    with pytest.raises(TrimtabError, match="3 rows have more tokens than the 64 positions") as error:
        vocab_and_length_check.check(asked(), base, rows(100))
    assert "set sequence_length to 64 or less" in str(error.value)
    assert vocab_and_length_check.check(asked(), base, rows(64)) == []
    assert vocab_and_length_check.check(asked(sequence_length=[32, 128]), base, rows(100)) == []
    assert (
        "longer than the model's context length of 32 tokens"
        in vocab_and_length_check.check(asked(), soft, rows(100))[0]
    )


def test_tokens_that_the_embedding_lacks_are_refused_by_their_text_and_padding_is_another(folder):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    config = tf.LlamaConfig(**SMALL | {"vocab_size": len(tokenizer)}, intermediate_size=48)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|call|>"], "pad_token": "<|fill|>"})
    base = based(config, tokenizer)
    call = tokenizer.convert_tokens_to_ids("<|call|>")
    assert base.pad_id == tokenizer.eos_token_id
    assert vocab_and_length_check.check(asked(), base, rows(10)) == []
    with pytest.raises(TrimtabError, match=r"'<\|call\|>' has id \d+") as error:
        vocab_and_length_check.check(asked(), base, Data([Row([1, call], [1, call])], []))
    assert "1 rows of data.source" in str(error.value) and "resize_token_embeddings" in str(error.value)


def test_padding_is_the_tokenizers_own_where_the_model_knows_it():
    model = based(PLACES[4][0]).model
    for pad, end, expected in ((5, 3, 5), (None, 3, 3), (None, None, 0), (320, None, 0)):
        names = SimpleNamespace(pad_token_id=pad, eos_token_id=end)
        assert Base(model, names, "fp32", "tiny", CPU).pad_id == expected
