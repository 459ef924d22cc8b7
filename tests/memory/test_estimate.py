"""Foretold is what a step allocates, byte for byte where torch's dispatcher sees it."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations
from types import SimpleNamespace

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from core.memory.base import config_json_lookup, step_formulas
from core.memory.base.model_shape import describe
from core.memory.estimate.device_constants import Device
from core.memory.estimate.pack_memory_estimate import Setting, estimate_memory
from core.memory.estimate.rows_per_pass import MOST
from core.memory.estimate.trial_tensor_sizes import Need
from core.train.base.base_model import Base, load_rest
from core.train.tracing import derive_formulas, tensor_storage_trace, tiny_models, trace_model, traced_step
from tests.matrix import rest_slow

HOST = Device("cpu", "cpu", workspace_bytes=0, context_bytes=0, slack=0.0)
CARD = Device("cuda", "a card")
SIZES = tiny_models.Sizes(h=128, i=344, q=128, k=64, d=32, a=4, v=1024)
QWEN7B = describe(
    {
        "model_type": "qwen2", "hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28,
        "num_attention_heads": 28, "num_key_value_heads": 4, "vocab_size": 152064,
        "tie_word_embeddings": False,
    },
    "a test",
)  # fmt: skip
PACKS = {
    "one": [Need(8, 2, 64)],
    "dropout beside none": [Need(16, 4, 96, dropout=True), Need(4, 1, 96)],
    "attention alone": [Need(8, 1, 64, targets="attention")] * 3,
}


def rested(model):
    load_rest(model)
    return model


def traced(base, needs) -> int:
    """The most that the pass allocates."""
    batch = traced_step.Batch(
        tuple(traced_step.Part(need.rank, need.rows, 0.1 if need.dropout else 0.0) for need in needs),
        needs[0].length,
    )
    return tensor_storage_trace.find_peak(traced_step.trace_step(base, batch, needs[0].targets, plain=True))


@pytest.mark.parametrize(
    ("pack", "checkpointing"), [*((pack, False) for pack in PACKS), ("dropout beside none", True)]
)
@pytest.mark.parametrize(
    ("family", "precision"), rest_slow([("llama", "bf16"), ("qwen3", "fp32"), ("gpt2", "bf16")])
)
def test_what_comes_and_goes_with_a_pass_is_foretold(family, precision, checkpointing, pack):
    needs = PACKS[pack]
    sizes = tiny_models.Sizes(128, 512, 128, 128, 32, 4, 1024) if family == "gpt2" else SIZES
    base = tiny_models.build_model(family, sizes, 4, derive_formulas.DTYPES[precision], checkpointing)
    model = describe(base.model.config.to_dict(), "a test")
    setting = Setting(precision, checkpointing=checkpointing, judged=0)
    found = estimate_memory(model, setting, needs, HOST)
    assert found.moment == "the backward pass of a step"
    assert found.passing_bytes == pytest.approx(traced(base, needs), rel=1e-3)


@pytest.mark.parametrize("family", rest_slow(["llama", "mistral", "smollm3"]))
def test_fused_layers_store_less_and_as_much_as_is_foretold(family):
    needs = PACKS["dropout beside none"]
    base = tiny_models.build_model(family, SIZES, 2, torch.bfloat16, False)
    model = describe(base.model.config.to_dict(), "a test")
    found, own = (
        estimate_memory(model, Setting("bf16", judged=0, fused=fused), needs, HOST) for fused in (True, False)
    )
    with derive_formulas.fuse_layers(base.model):
        assert found.passing_bytes == pytest.approx(traced(base, needs), rel=1e-3)
    assert found.passing_bytes < 0.9 * own.passing_bytes


def test_fused_layers_of_a_model_that_was_traced_are_foretold_as_its_own_code():
    own = {"bf16/plain/all-linear": {"layer": {"N": 1.0}, "moments": []}}
    assert step_formulas.pick("phi", own, f"bf16{step_formulas.FUSED}", "plain/all-linear")["layer"] == {
        "N": 1.0
    }


def test_the_forms_are_those_of_the_code_that_trains():
    """A change of the pack, or of transformers, that moves memory: run ``derive_formulas``."""
    kept = step_formulas.pick("qwen2", None, "bf16", "plain/all-linear")
    found = derive_formulas.derive_forms("qwen2", "bf16", False, "all-linear")
    for sides in map(step_formulas.list_symbols, derive_formulas.draw_realistic(300)):
        one, other = (
            11 * step_formulas.compute_value(each["layer"], sides)
            + max(step_formulas.compute_value(form, sides) for form in each["moments"])
            for each in (kept, found)
        )
        assert one == pytest.approx(other, rel=1e-3)


def test_a_family_that_is_not_known_by_heart_is_traced_once_without_weights_and_kept(tmp_path, monkeypatch):
    """Phi is traced from its configuration; the same step of the real model takes what was foretold."""
    import transformers

    monkeypatch.setenv("TRIMTAB_CACHE", str(tmp_path / "cache"))
    settings = transformers.PhiConfig(
        vocab_size=500, hidden_size=64, intermediate_size=256, num_hidden_layers=4, num_attention_heads=4,
        bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    settings.save_pretrained(tmp_path)
    said: list[str] = []
    model = config_json_lookup.read_model(str(tmp_path), dtype="fp32", say=said.append)
    assert len(said) == 3 and "tracing" in said[0]
    again = config_json_lookup.read_model(str(tmp_path), dtype="fp32")
    assert again == model, "kept: nothing is traced a second time"
    built = transformers.AutoModelForCausalLM.from_config(settings, dtype=torch.float32)
    assert model.parameters == sum(parameter.numel() for parameter in built.parameters())
    built.requires_grad_(False)
    built.config.use_cache = False
    tokenizer = SimpleNamespace(pad_token_id=0, eos_token_id=0)
    base = Base(rested(built), tokenizer, "fp32", "phi", torch.device("cpu"))
    for length in (64, 200):
        needs = [Need(8, 2, length), Need(4, 1, length, dropout=True)]
        found = estimate_memory(model, Setting("fp32", judged=0), needs, HOST)
        assert found.notes == ()
        assert found.passing_bytes == pytest.approx(traced(base, needs), rel=0.02)


def test_the_batches_of_a_trace_tell_all_its_letters_apart():
    """Sizes that have one ratio in all batches would be taken for each other: for other batches the formula
    would be wrong. K is C times the chunks in each."""
    nothing = tiny_models.Sizes(h=0, i=0, q=0, k=0, d=1, a=0, v=0)
    drawn = map(traced_step.draw, trace_model.SEEDS)
    known = [step_formulas.list_symbols(traced_step.compute_widths(nothing, batch)) for batch in drawn]
    same = {
        pair
        for pair in combinations(trace_model.OF_BATCH, 2)
        if len({Fraction(int(sides[pair[0]]), int(sides[pair[1]])) for sides in known}) == 1
    }
    assert same == {("K", "C")}


def test_every_family_that_can_be_derived_is_there():
    assert sorted(step_formulas.read_table()) == sorted(tiny_models.CONFIGS)


def test_a_family_that_is_not_known_has_llamas_forms_and_says_so():
    unknown = {"model_type": "xyz", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
              "num_attention_heads": 4, "vocab_size": 100}  # fmt: skip
    found = estimate_memory(describe(unknown, "a test"), Setting(), [Need(8, 1, 64)], CARD)
    assert found.notes == ("activations are estimated as for llama: there are no formulas for 'xyz'",)


needs = st.builds(
    Need,
    rank=st.integers(1, 256),
    rows=st.integers(1, 16),
    length=st.integers(8, 4096),
    optimizer=st.sampled_from(["adamw", "sgd", "adafactor", "adamw-8bit", "adamw-paged"]),
    dropout=st.booleans(),
    accumulates=st.booleans(),
)


@settings(max_examples=40, deadline=None)
@given(needs, st.sampled_from(["bf16", "nf4", "int8"]), st.booleans())
def test_more_of_anything_in_one_pass_never_takes_less(one, precision, checkpointing):
    assume((one.rows + 3) * one.length <= MOST and one.rows * (one.length + 3) <= MOST)  # else: two passes
    setting = Setting(precision, checkpointing=checkpointing)

    def peak(*needs: Need) -> int:
        return estimate_memory(QWEN7B, setting, needs, CARD).peak_bytes

    alone = peak(one)
    for name in ("rank", "rows", "length"):
        more = Need(**{**{field: getattr(one, field) for field in Need.__struct_fields__},
                       name: getattr(one, name) + 3})  # fmt: skip
        assert peak(more) >= 0.95 * alone, "the loss is cut into even chunks: one more may be smaller"
    assert peak(one, one) > alone


def test_a_7b_model_takes_what_people_know():
    held = estimate_memory(QWEN7B, Setting("bf16"), [Need(8, 1, 64)], CARD).sum_bytes("base model")
    assert held == pytest.approx(15.23e9, rel=0.01), "7.62 B parameters of two bytes"
    nf4 = estimate_memory(QWEN7B, Setting("nf4"), [Need(8, 1, 64)], CARD).sum_bytes("base model")
    assert 5.0e9 < nf4 < 6.0e9


def test_the_trace_counts_what_the_profiler_counts():
    from torch.profiler import ProfilerActivity, profile

    base = tiny_models.build_model("llama", SIZES, 2, torch.float32, False)
    batch = traced_step.Batch((traced_step.Part(8, 2),), 64)
    with traced_step.prepare(base, batch, "all-linear") as work:
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
            work()
    live = most = 0
    for event in profiler.profiler.kineto_results.events():
        if event.name() == "[memory]":
            live += event.nbytes()
            most = max(most, live)
    assert tensor_storage_trace.find_peak(
        traced_step.trace_step(base, batch, "all-linear", plain=True)
    ) == pytest.approx(most, rel=1e-3)
