"""Any trial's adapter answers a prompt while it trains, and nothing of the training is changed by it."""

from itertools import pairwise

import torch

from core.contract.events import event_types as e
from core.contract.wire.worker_api import CancelSample, Pause, Sample, SamplePiece
from core.train.data.dataset import MASKED, Row
from core.train.scoring import live_samples
from tests.train.conftest import Bench

KNOBS = {"lora_dropout": 0.2, "learning_rate": 2e-2}
UNLIMITED = {"budget": 1.0}


def asked(ticket: str, trial: int, **more) -> Sample:
    return Sample(ticket, trial, **{"prompt": "join the path", "max_tokens": 20, **more})


def take_one_token_at_a_time(monkeypatch) -> None:
    monkeypatch.setattr(live_samples, "UNIT_S", 0.0)
    monkeypatch.setattr(live_samples, "ROUND_SHARE", 0.0)


def last(trainer: Bench, ticket: str) -> SamplePiece:
    return next(piece for piece in trainer.pieces if piece.ticket == ticket and piece.done)


def test_training_is_the_same_bit_for_bit_when_samples_are_asked_between(bench, tmp_path):
    results = []
    for asks in (True, False):
        trainer = bench(evaluate=UNLIMITED)
        folder = tmp_path / str(asks)
        folder.mkdir()
        for trial in (0, 1):
            trainer.assign(folder, trial, seed=trial, **KNOBS)
        while trainer.pack.busy:
            if asks and len(trainer.pieces) < 12:
                trainer.pack.do(asked("greedy", 0))
                trainer.pack.do(asked("drawn", 1, temperature=0.8, seed=3))
                trainer.pack.do(asked("base", -1))
            trainer.turn()
        assert bool(trainer.pieces) == asks
        adapters = [
            (folder / str(trial) / "adapter" / "adapter_model.safetensors").read_bytes() for trial in (0, 1)
        ]
        results.append((trainer.losses(0), trainer.losses(1), adapters))
    assert results[0] == results[1]


def test_an_answer_comes_in_pieces_of_the_adapter_as_it_was_while_it_trains_on(bench, tmp_path, monkeypatch):
    take_one_token_at_a_time(monkeypatch)
    trainer = bench(train={"steps": 60}, evaluate=UNLIMITED)
    trainer.assign(tmp_path, **KNOBS)
    for _ in range(5):
        trainer.turn()
    trainer.pack.do(asked("a", 0, max_tokens=6))
    while not trainer.pieces or not trainer.pieces[-1].done:
        trainer.turn()
    pieces = trainer.pieces
    assert all(later.text.startswith(piece.text) for piece, later in pairwise(pieces))
    assert all(later.tokens - piece.tokens <= 1 for piece, later in pairwise(pieces))
    assert {piece.step for piece in pieces} == {pieces[0].step} and pieces[0].step >= 4
    assert trainer.of(e.TrialReported)[-1].step > pieces[0].step, "it trained on meanwhile"


def test_answers_take_no_more_of_the_time_than_scoring_may(bench, tmp_path):
    """Training goes on: with a budget that a unit has spent, no other unit runs for minutes."""
    trainer = bench(train={"steps": 12}, evaluate={"budget": 1e-6})
    trainer.assign(tmp_path, **KNOBS)
    trainer.turn()
    for number in range(9):
        trainer.pack.do(asked(str(number), 0, max_tokens=30))
    while trainer.pack.trains:
        trainer.turn()
    assert len(trainer.losses()) == 12 and len(trainer.pieces) <= live_samples.AT_ONCE
    trainer.finish()
    assert len({piece.ticket for piece in trainer.pieces if piece.done}) == 9, "the rest, when nothing trains"


def test_a_pause_acts_before_the_rest_of_an_answer(bench, tmp_path, monkeypatch):
    take_one_token_at_a_time(monkeypatch)
    trainer = bench(train={"steps": 40}, evaluate=UNLIMITED)
    trainer.assign(tmp_path, **KNOBS)
    trainer.turn()
    trainer.pack.do(asked("a", 0))
    trainer.turn()
    trainer.pack.do(Pause(0))
    assert trainer.of(e.TrialPaused) and not any(piece.done for piece in trainer.pieces)


def test_the_same_seed_gives_the_same_answer_and_a_paused_trial_answers_too(bench, tmp_path):
    trainer = bench(train={"steps": 40})
    trainer.assign(tmp_path, **KNOBS)
    trainer.turn()
    trainer.pack.do(Pause(0))
    for ticket, seed in (("a", 1), ("b", 1), ("c", 2)):
        trainer.pack.do(asked(ticket, 0, temperature=1.5, seed=seed))
    trainer.finish()
    assert last(trainer, "a").text == last(trainer, "b").text != last(trainer, "c").text


def test_an_ended_trial_answers_from_its_file(bench, tmp_path):
    trainer = bench()
    trainer.assign(tmp_path, **KNOBS)
    trainer.finish()
    knobs = {**trainer.spec.train, **KNOBS}
    trainer.pack.do(asked("file", 0, folder=str(tmp_path / "0"), knobs=knobs, step=8))
    trainer.pack.do(asked("base", -1))
    trainer.pack.do(asked("none", 7))
    trainer.finish()
    assert last(trainer, "file").step == 8 and not last(trainer, "file").why
    assert last(trainer, "file").text != last(trainer, "base").text
    assert "trial 7 is not on this worker" in last(trainer, "none").why


def test_a_prompt_beyond_the_context_is_refused_and_a_cancelled_one_has_no_answer(bench):
    trainer = bench()
    trainer.pack.do(Sample("long", -1, "path " * 5000, 8))
    trainer.pack.do(asked("cancelled", -1))
    trainer.pack.do(asked("short", -1))
    trainer.pack.do(CancelSample("cancelled"))
    trainer.finish()
    assert "room for" in last(trainer, "long").why and not last(trainer, "short").why
    assert {piece.ticket for piece in trainer.pieces} == {"long", "short"}


def test_an_answer_that_is_cancelled_ends_in_the_middle_and_the_others_go_on(bench, tmp_path, monkeypatch):
    take_one_token_at_a_time(monkeypatch)
    trainer = bench(train={"steps": 200}, evaluate=UNLIMITED)
    trainer.assign(tmp_path, **KNOBS)
    for ticket in ("kept", "cancelled"):
        trainer.pack.do(asked(ticket, 0, max_tokens=6))
    while not any(piece.ticket == "cancelled" for piece in trainer.pieces):
        trainer.turn()
    before = [piece for piece in trainer.pieces if piece.ticket == "cancelled"]
    trainer.pack.do(CancelSample("cancelled"))
    while not any(piece.ticket == "kept" and piece.done for piece in trainer.pieces):
        trainer.turn()
    assert [piece for piece in trainer.pieces if piece.ticket == "cancelled"] == before and not before[
        -1
    ].done


def test_without_a_prompt_a_validation_row_is_asked_the_same_of_all(bench):
    trainer = bench()
    for ticket, seed in (("a", 1), ("b", 1), ("c", 2)):
        trainer.pack.do(asked(ticket, -1, prompt="", seed=seed))
    trainer.finish()
    first, second, third = (last(trainer, ticket).prompt for ticket in "abc")
    assert first and first == second != third
    asked_rows = [row.ids[row.labels == MASKED] for row in trainer.data.validation]
    prompts = [trainer.base.tokenizer.decode(ids, skip_special_tokens=True) for ids in asked_rows]
    assert any(first in prompt for prompt in prompts)


def test_of_a_validation_row_all_before_its_answer_is_the_prompt_and_of_plain_text_its_beginning(
    bench, monkeypatch
):
    read = []
    real = live_samples.Generation

    def generate(base, stack, head, prompts, trees):
        read.extend(list(prompt.ids) for prompt in prompts)
        return real(base, stack, head, prompts, trees)

    monkeypatch.setattr(live_samples, "Generation", generate)
    trainer = bench()
    ids = list(range(10, 50))
    for labels in ([*[MASKED] * 9, *ids[9:]], ids, [MASKED, *ids[1:]]):
        trainer.data.validation[:] = [Row(ids, labels)]
        trainer.pack.do(asked("a", -1, prompt=""))
        trainer.finish()
    assert read == [ids[:9], ids[:20], ids[:20]]


def test_what_people_are_answered_scoring_waits_for(bench, tmp_path):
    trainer = bench(train={"steps": 4})
    spent: list[float] = []
    trainer.pack.parts.budget.spend = spent.append
    trainer.assign(tmp_path, **KNOBS)
    trainer.turn()
    trainer.pack.do(asked("a", 0))
    trainer.turn()
    assert trainer.pieces and len(spent) == 1 and spent[0] > 0


def test_out_of_memory_with_several_answers_they_are_given_one_by_one(bench, monkeypatch):
    real, counts = live_samples.Generation, []

    def generate(base, stack, head, prompts, trees):
        counts.append(len(prompts))
        if len(prompts) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(base, stack, head, prompts, trees)

    monkeypatch.setattr(live_samples, "Generation", generate)
    trainer = bench()
    for ticket in "abc":
        trainer.pack.do(asked(ticket, -1))
    trainer.finish()
    assert counts == [3, 1, 1, 1] and not any(last(trainer, ticket).why for ticket in "abc")
