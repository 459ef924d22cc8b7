"""Texts that rows of many trials and the base write together are those that each writes alone."""

import pytest
import torch

from core.contract import events as e
from core.train import generation
from core.train.forward import Item
from core.train.wants import BASE, Prompt, Rate, Write

TOKENS = 12
WORDS = ["join the path", "read", "write a file of list and dict to a path", "find the value of the key"]


@pytest.fixture
def two(bench, tmp_path):
    """A bench with two trials that have learnt something, on a base, and their factors."""
    one = bench(train={"learning_rate": 2e-2, "steps": 99})
    one.assign(tmp_path, 0)
    one.assign(tmp_path, 1, lora_rank=8, seed=5)
    for _ in range(5):
        one.turn()
    return one, [one.pack._members[number].trial for number in (0, 1)]


def prompts(one, mine, seed="") -> list[Prompt]:
    ids = [one.base.tokenizer(text)["input_ids"] for text in WORDS]
    return [Prompt(mine, some, seed and f"{seed} {place}") for place, some in enumerate(ids)]


def written(one, wants) -> dict[int, list[list[int]]]:
    """Rounds until all is written."""
    done = {}
    while set(done) < set(wants):
        outcome = one.pack._rounds.do({number: pair for number, pair in wants.items() if number not in done})
        assert not outcome.errors
        done |= {number: [answer.ids for answer in result.answers] for number, result in outcome.done.items()}
    return done


@pytest.mark.parametrize("seed", ["", "drawn"])
def test_texts_together_are_those_alone(two, seed):
    one, trials = two
    wants = {
        number: (trial, Write(prompts(one, trial.factors, seed), TOKENS))
        for number, trial in enumerate(trials)
    }
    wants[BASE] = (None, Write(prompts(one, None, seed), TOKENS))
    together = written(one, wants)
    for number, pair in wants.items():
        assert (
            written(one, {number: (pair[0], Write(list(pair[1].prompts), TOKENS))})[number]
            == together[number]
        )
    assert together[0] != together[1] != together[BASE]
    mixed = written(one, {number: wants[number] for number in (0, BASE)})  # one trial beside the base
    assert mixed == {number: together[number] for number in (0, BASE)}


def test_the_base_writes_what_transformers_writes(two):
    one, _ = two
    ours = written(one, {BASE: (None, Write(prompts(one, None), TOKENS))})[BASE]
    for text, ids in zip(WORDS, ours, strict=True):
        given = torch.tensor([one.base.tokenizer(text)["input_ids"]])
        theirs = one.base.model.generate(given, max_new_tokens=TOKENS, do_sample=False, use_cache=True)
        assert [
            token
            for token in theirs[0, given.shape[1] :].tolist()
            if token != one.base.tokenizer.eos_token_id
        ] == ids


def test_an_answer_ends_at_the_end_token_and_may_be_empty(two, monkeypatch):
    one, _ = two
    everything = frozenset(range(one.base.model.config.vocab_size))
    monkeypatch.setattr(generation, "end_ids", lambda base: everything)
    assert written(one, {BASE: (None, Write(prompts(one, None), TOKENS))})[BASE] == [[]] * len(WORDS)


def test_readings_together_are_those_alone(two):
    one, trials = two
    rows = one.data.validation[:5]
    wants = {
        number: (trial, Rate([Item(trial.factors, row) for row in rows], True))
        for number, trial in enumerate(trials)
    }
    wants[BASE] = (None, Rate([Item(None, row) for row in rows], True))
    together = one.pack._rounds.do(wants).done
    for number, pair in wants.items():
        alone = one.pack._rounds.do({number: pair}).done[number].answers
        for mine, ours in zip(alone, together[number].answers, strict=True):
            assert ours.losses == pytest.approx(mine.losses, rel=1e-4)
            assert ours.means == pytest.approx(mine.means, rel=1e-4)
            assert ours.deviations == pytest.approx(mine.deviations, rel=1e-3)
    whole = one.base.model(input_ids=torch.tensor([rows[0].ids])).logits[0].log_softmax(-1)
    last = together[BASE].answers[0]
    assert last.losses[-1] == pytest.approx(-float(whole[-2, rows[0].ids[-1]]), rel=1e-4)
    assert last.means[-1] == pytest.approx(float((whole[-2].exp() * whole[-2]).sum()), rel=1e-4)


def test_where_memory_ends_fewer_are_written_at_once(two, monkeypatch):
    one, trials = two
    widest, go_on = [], generation.Generation.go_on

    def small(self, steps):
        widest.append(len(self.prompts))
        if len(self.prompts) > 3:
            raise torch.OutOfMemoryError("no room")
        return go_on(self, steps)

    want = lambda: (trials[0], Write(prompts(one, trials[0].factors), TOKENS))  # noqa: E731
    before = written(one, {0: want()})
    monkeypatch.setattr(generation.Generation, "go_on", small)
    assert written(one, {0: want()}) == before
    assert max(widest) == 4 and widest[-1] <= 3


def test_a_text_is_begun_anew_when_the_pack_changes(two, tmp_path):
    one, trials = two
    want = {
        number: (trial, Write(prompts(one, trial.factors, "d"), TOKENS))
        for number, trial in enumerate(trials)
    }
    alone = written(one, dict(want))
    assert not one.pack._rounds.do(want).done  # some tokens of it
    one.assign(tmp_path, 2, lora_rank=2)  # stands before the others
    one.pack._compose()
    assert written(one, want) == alone
    assert one.of(e.TrialRunning, 2)
