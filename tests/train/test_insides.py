"""What goes on inside a trial: told beside the base, and nothing of the training is other for it."""

import gc
import json
import weakref

import msgspec
import numpy as np
import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, MambaConfig, MambaForCausalLM

from core.contract.events import event_types as e
from core.contract.wire import worker_api
from core.contract.wire.answers.introspection_answer import Insides
from core.evaluate.metrics.attention_metrics import QUERIES, query_positions, summarize_heads
from core.train import checkpoint_files
from core.train.data.dataset import MASKED
from core.train.introspection import background_inspection, trial_introspection
from core.train.introspection.attention_capture import Attention


def told(folder) -> Insides:
    return msgspec.json.decode((folder / "insides.json").read_bytes(), type=Insides)


def trained(bench, folder, **knobs):
    one = bench()
    one.assign(folder, **knobs)
    one.finish()
    return one


def looked_into(one) -> None:
    """Train up to the first evaluation, and inspect as on an idle device."""
    while not one.of(e.TrialEvaluated):
        one.turn()
    while one.pack.parts.inspections.busy:
        one.pack.parts.inspections.turn(training=False)


def test_a_trial_is_looked_into_at_its_first_evaluation_and_at_its_end(bench, tmp_path):
    one = bench()
    one.assign(tmp_path, learning_rate=1e-2)
    looked_into(one)
    first = told(tmp_path / "0")
    assert (first.trial, first.step, first.rows, first.why_none) == (0, 4, 8, "")
    one.finish()
    found = told(tmp_path / "0")
    assert found.step == 8 and found.loss < found.base_loss
    assert len(found.layers) == 2 and all(len(layer.entropy) == 4 for layer in found.layers)
    assert sum(part.tokens for part in found.kinds) == found.tokens
    assert sum(part.share for part in found.quarters) == pytest.approx(1.0)
    assert {part.name for part in found.kinds} >= {"first", "words", "special"}
    losses = [token.loss for token in found.worst]
    assert losses == sorted(losses, reverse=True) and all(token.before for token in found.worst)
    assert found.loss == pytest.approx(one.of(e.TrialEvaluated)[-1].metrics["eval/loss"], rel=0.2)


def test_training_is_the_same_bit_for_bit_with_and_without(bench, tmp_path, monkeypatch):
    knobs = {"lora_dropout": 0.2, "learning_rate": 1e-2}
    for name in ("with", "without"):
        (tmp_path / name).mkdir()
    inspected = trained(bench, tmp_path / "with", **knobs)
    monkeypatch.setattr(trial_introspection.InspectionSchedule, "due", lambda *given: False)
    left_alone = trained(bench, tmp_path / "without", **knobs)
    assert (tmp_path / "with" / "0" / "insides.json").exists()
    assert not (tmp_path / "without" / "0" / "insides.json").exists()
    assert inspected.losses() == left_alone.losses()
    assert [one.metrics for one in inspected.of(e.TrialEvaluated)] == [
        one.metrics for one in left_alone.of(e.TrialEvaluated)
    ]
    assert inspected.base.model.config._attn_implementation == "sdpa"


def plain_attention(folder, base: str, ids: list[int]) -> tuple[list[np.ndarray], list[float]]:
    """transformers' own output_attentions, and the losses, of the adapter as PEFT loads it."""
    model = AutoModelForCausalLM.from_pretrained(base, attn_implementation="eager")
    if folder is not None:
        model = PeftModel.from_pretrained(model, folder)
    with torch.no_grad():
        found = model.eval()(input_ids=torch.tensor([ids]), output_attentions=True)
    losses = torch.nn.functional.cross_entropy(
        found.logits[0, :-1], torch.tensor(ids[1:]), reduction="none"
    ).tolist()
    return [attention[0].numpy() for attention in found.attentions], losses


@pytest.mark.parametrize("tuned", [False, True])
def test_attention_is_that_of_transformers_and_peft(bench, tmp_path, folder, tuned, monkeypatch):
    seen = []
    kept = trial_introspection.Introspector.look

    def look(self, mine):
        seen.append((yield from kept(self, mine)))
        return seen[-1]

    monkeypatch.setattr(trial_introspection.Introspector, "look", look)
    one = trained(bench, tmp_path, learning_rate=3e-2, steps=8)
    place = tmp_path / "0" / "adapter" if tuned else None
    special = set(one.base.tokenizer.all_special_ids)
    for row, pair in zip(one.pack.parts.inspections.introspector.rows, seen[-1], strict=True):
        inside = pair[0] if tuned else pair[1]
        attentions, losses = plain_attention(place, str(folder), row.ids.tolist())
        known = [loss for loss, label in zip(losses, row.labels[1:], strict=True) if label != MASKED]
        assert inside.losses == pytest.approx(known, abs=1e-4)
        queries = query_positions(len(row.ids))
        for (index, heads), weights in zip(inside.layers, attentions, strict=True):
            right = summarize_heads(weights[:, queries], queries, [token in special for token in row.ids])
            for mine, theirs in zip(heads, right, strict=True):
                assert mine == pytest.approx(theirs, abs=1e-5), index
    assert max(len(row.ids) for row in one.pack.parts.inspections.introspector.rows) < QUERIES, (
        "no query was left out"
    )


def test_company_changes_nothing_of_it(bench, tmp_path):
    one = bench()
    for number in (0, 1):
        one.assign(tmp_path, number, seed=number, lora_rank=4 + 4 * number, learning_rate=1e-2)
    one.finish()
    one.assign(tmp_path, 2, seed=1, lora_rank=8, learning_rate=1e-2)
    one.finish()
    together, alone = told(tmp_path / "1"), told(tmp_path / "2")
    assert together.loss == pytest.approx(alone.loss, abs=1e-3)
    for mine, theirs in zip(together.layers, alone.layers, strict=True):
        assert mine.entropy == pytest.approx(theirs.entropy, abs=1e-3)
        assert mine.base_entropy == theirs.base_entropy


def test_attention_that_collapses_is_said_once_with_numbers_and_what_to_do(bench, tmp_path, monkeypatch):
    """Queries and keys that a mad learning rate blew up: every head looks at one token."""
    one = trained(
        bench, tmp_path, learning_rate=2.0, scheduler="constant", target_modules="attention", steps=12
    )
    warnings = [note.text for note in one.of(e.StudyNoted) if "attention collapses" in note.text]
    assert len(warnings) == 1 and warnings[0].startswith("trial 0: ")
    assert "%" in warnings[0] and "learning_rate" in warnings[0] and "trimtab insides 0" in warnings[0]
    assert "attention collapses" in told(tmp_path / "0").warning


def test_a_base_without_attention_has_a_reason_and_its_losses(bench, tmp_path, folder):
    one = bench()
    one.pack.parts.inspections.introspector._inspection._attention = Attention(
        MambaForCausalLM(MambaConfig(vocab_size=64, hidden_size=16, num_hidden_layers=1, state_size=4))
    )
    one.assign(tmp_path)
    one.finish()
    found = told(tmp_path / "0")
    assert found.layers == () and "no attention weights" in found.why_no_attention
    assert found.tokens and found.kinds and not found.warning


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory"), ValueError("a strange layer")]
)
def test_a_look_that_fails_costs_nobody_a_trial(bench, tmp_path, monkeypatch, error):
    def fail(*given):
        raise error

    one = bench()
    monkeypatch.setattr(one.pack.parts.inspections.introspector._inspection._forward, "rate", fail)
    one.assign(tmp_path)
    one.finish()
    assert one.of(e.TrialCompleted) and not one.of(e.MemoryShort)
    assert str(error) in told(tmp_path / "0").why_none
    assert one.base.model.config._attn_implementation == "sdpa"


def test_what_was_said_is_known_after_a_restart_and_nothing_is_looked_at_twice(bench, tmp_path):
    one = bench()
    one.assign(tmp_path)
    looked_into(one)
    one.turn()
    one.pack.checkpoint_all()
    (tmp_path / "0" / "insides.json").unlink()
    again = bench()
    again.assign(tmp_path, checkpoint=str(checkpoint_files.list_checkpoints(tmp_path / "0")[0]))
    assert not again.pack.parts.inspections.busy
    again.turn()
    assert not (tmp_path / "0" / "insides.json").exists()
    again.finish()
    assert told(tmp_path / "0").step == 8


def test_a_trial_that_is_not_in_the_pack_yet_is_not_taken_for_the_base(bench, tmp_path, monkeypatch):
    """From a checkpoint of a version that knew nothing of insides, at an evaluation."""
    monkeypatch.setattr(trial_introspection.InspectionSchedule, "snapshot", lambda self: [])
    one = bench()
    one.assign(tmp_path)
    looked_into(one)
    one.pack.checkpoint_all()
    (tmp_path / "0" / "insides.json").unlink()
    again = bench()
    again.assign(tmp_path, checkpoint=str(checkpoint_files.list_checkpoints(tmp_path / "0")[0]))
    assert not (tmp_path / "0" / "insides.json").exists()
    again.finish()
    assert told(tmp_path / "0").step == 8


def test_between_the_first_look_and_the_last_it_takes_a_hundredth_of_the_time(tmp_path):
    inspection_schedule = trial_introspection.InspectionSchedule(tmp_path, print)
    assert inspection_schedule.due(4, False, 0.0), "the first"
    inspection_schedule.restore([4, 1.0, 1.0, False])
    assert not inspection_schedule.due(4, True, 1e9), "known"
    assert (
        not inspection_schedule.due(8, False, 199.0)
        and inspection_schedule.due(8, False, 200.0)
        and inspection_schedule.due(8, True, 0.0)
    )


def test_a_link_in_its_place_is_replaced_and_secrets_are_taken_out(bench, tmp_path, monkeypatch):
    monkeypatch.setenv("SOME_TOKEN", "value of and file")
    outside = tmp_path / "outside.json"
    outside.write_text("mine")
    (tmp_path / "0").mkdir()
    (tmp_path / "0" / "insides.json").symlink_to(outside)
    trained(bench, tmp_path)
    assert outside.read_text() == "mine" and json.loads((tmp_path / "0" / "insides.json").read_text())


def test_inspections_wait_for_their_share_of_the_time_and_never_hold_up_a_round(bench, tmp_path):
    one = bench(evaluate={"every": 4, "budget": 1e-6})
    one.pack.parts.budget.spend(1.0)  # a unit is known to be long: none fits while a trial trains
    one.assign(tmp_path)
    while not one.of(e.TrialCompleted):
        one.turn()
    assert one.pack.busy and not (tmp_path / "0" / "insides.json").exists()
    one.finish()
    assert told(tmp_path / "0").step == 8


def test_a_complete_trial_that_waits_for_its_inspection_holds_no_more_than_a_copy_of_its_factors(
    bench, tmp_path
):
    one = bench(evaluate={"every": 4, "budget": 1e-6})
    one.pack.parts.budget.spend(1.0)
    one.assign(tmp_path)
    one.turn()
    trial = one.pack.parts.members[0].trial
    held = weakref.ref(trial), weakref.ref(trial.factors.matrix)
    del trial
    while not one.of(e.TrialCompleted):
        one.turn()
    one.pack.settle()
    one.pack.parts.keeper.after_end(lambda: None)  # until its next job a thread may hold the last one
    one.pack.settle()
    gc.collect()
    assert one.pack.parts.inspections.busy and [ref() for ref in held] == [None, None]
    one.finish()
    assert told(tmp_path / "0").step == 8


def test_a_complete_trial_for_whose_copy_no_memory_is_left_is_complete_and_not_looked_into(
    bench, tmp_path, monkeypatch
):
    def full(factors):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(background_inspection, "copy_frozen", full)
    one = bench(evaluate={"every": 4, "budget": 1e-6})
    one.pack.parts.budget.spend(1.0)
    one.assign(tmp_path)
    one.finish()
    assert len(one.of(e.TrialCompleted)) == 1 and not one.of(e.TrialFailed) and not one.of(e.TrialInfeasible)
    notes = [event.text for event in one.of(e.StudyNoted) if event.level == "warning"]
    assert notes and all("is not inspected: out of memory for a copy" in text for text in notes)
    assert not (tmp_path / "0" / "insides.json").exists()


def test_what_is_complete_is_looked_into_before_the_worker_exits_and_nothing_else_is(bench, tmp_path):
    one = bench(evaluate={"every": 4, "budget": 1e-6})
    one.pack.parts.budget.spend(1.0)
    one.assign(tmp_path, steps=4)
    one.assign(tmp_path, 1, steps=8)
    while not one.of(e.TrialCompleted):
        one.turn()
    one.pack.checkpoint_all()
    assert told(tmp_path / "0").step == 4 and not (tmp_path / "1" / "insides.json").exists()


@pytest.mark.parametrize(
    "leaves", [worker_api.Prune(0, "weak"), worker_api.Leave(0, "so"), worker_api.Pause(0)]
)
def test_a_trial_that_leaves_or_pauses_before_its_turn_is_not_looked_into(bench, tmp_path, leaves):
    one = bench(evaluate={"every": 4, "budget": 1e-6})
    one.pack.parts.budget.spend(1.0)
    one.assign(tmp_path)
    while not one.of(e.TrialEvaluated):
        one.turn()
    assert one.pack.parts.inspections.busy
    one.pack.do(leaves)
    one.finish()
    assert not (tmp_path / "0" / "insides.json").exists()
