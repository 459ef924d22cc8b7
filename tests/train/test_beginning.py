"""A study begins from an adapter that an earlier one made."""

from __future__ import annotations

import json

import pytest
from safetensors.torch import load_file, save_file

from core.contract.events import event_types as e


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """Where the adapter lies once the first test has had it trained; nobody writes there again."""
    return tmp_path_factory.mktemp("earlier"), {}


@pytest.fixture
def adapter(bench, kept):
    """An adapter of rank 4 after eight steps, and the loss that it ended with."""
    place, found = kept
    if not found:
        one = bench(train={"learning_rate": 1e-2})
        one.assign(place)
        one.finish()
        found["loss"] = one.of(e.TrialEvaluated)[-1].metrics["eval/loss"]
    return place / "0" / "adapter", found["loss"]


def first_loss(bench, base, tmp_path, adapter, **knobs):
    one = bench(
        model={"base": str(base), "adapter": str(adapter)},
        train={"learning_rate": 1e-12, "steps": 1, "scheduler": "constant", "warmup": 0.0, **knobs},
        evaluate={"every": 1},
    )
    one.assign(tmp_path)
    one.finish()
    told = one.of(e.TrialInfeasible)
    return told[0].why if told else one.of(e.TrialEvaluated)[0].metrics["eval/loss"]


@pytest.mark.parametrize(
    "knobs", [{}, {"lora_rank": 7}, {"lora_alpha": 5.0}, {"lora_rank": 8, "lora_alpha": 3.0}]
)
def test_a_trial_begins_where_the_adapter_ended_whatever_its_own_rank_and_alpha(
    bench, folder, tmp_path, adapter, knobs
):
    made, loss = adapter
    assert first_loss(bench, folder, tmp_path, made, **knobs) == pytest.approx(loss, abs=2e-5)


def test_an_adapter_that_does_not_fit_makes_the_trial_infeasible_and_says_why(
    bench, folder, tmp_path, adapter
):
    made, _ = adapter
    assert "model.adapter has rank 4, which is more than lora_rank = 2" in first_loss(
        bench, folder, tmp_path, made, lora_rank=2
    )
    told = first_loss(bench, folder, tmp_path, made, target_modules="attention")
    assert "which is not in target_modules" in told
    assert "cannot start from" in first_loss(bench, folder, tmp_path, tmp_path / "nothing")
    aside = tmp_path / "dora"
    aside.mkdir()
    config = json.loads((made / "adapter_config.json").read_text())
    (aside / "adapter_config.json").write_text(json.dumps({**config, "use_dora": True}))
    (aside / "adapter_model.safetensors").write_bytes((made / "adapter_model.safetensors").read_bytes())
    assert "it is not a plain LoRA" in first_loss(bench, folder, tmp_path, aside)
    tensors = load_file(made / "adapter_model.safetensors")
    lost = next(key for key in tensors if ".lora_A." in key)
    save_file(
        {key: tensor for key, tensor in tensors.items() if key != lost}, aside / "adapter_model.safetensors"
    )
    (aside / "adapter_config.json").write_text(json.dumps(config))
    assert "is incomplete: one of the two factors" in first_loss(bench, folder, tmp_path, aside)
