"""The refusal direction of a live pack: what the base holds apart, and adapters that hold it apart less."""

import json
import random

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from core import paths
from core.contract.events import event_types as e
from core.evaluate.metrics import refusal_direction
from core.train.data.dataset import MASKED
from core.train.evaluation.probe_runner import FIRST, ProbeRun
from core.train.pack import pack_scoring_bridge
from core.train.probes.refusal_direction_probe import DIRECTIONS, METRIC
from core.train.scoring.base_answer_cache import BaseAnswers
from core.train.step.compute_requests import Result
from core.train.step.forward_pass import Item
from core.train.step.residual_stream import DEPTH, ResidualStream, encode_bytes, find_layers
from core.train.step.target_token_losses import Reading
from tests.matrix import rest_slow
from tests.train.test_bases import BASES
from tests.train.test_boards import questions_of_base

PAIRS = 24
WORDS = {"harmful": ("open", "close", "copy", "make"), "harmless": ("value", "key", "list", "dict")}
IDLE = {"learning_rate": 1e-12}  # an adapter that stays what it is: none


@pytest.fixture(autouse=True)
def without_scores(monkeypatch, tmp_path):
    """A cache of its own."""
    monkeypatch.setenv("TRIMTAB_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def prompts(tmp_path):
    """Requests that even random layers tell apart, by their words."""
    place, draw = tmp_path / "prompts", random.Random(0)
    place.mkdir()
    for name, words in WORDS.items():
        texts = {" ".join(draw.choices(words, k=8)) for _ in range(4 * PAIRS)}
        rows = [json.dumps({"text": text}) + "\n" for text in sorted(texts)[:PAIRS]]
        (place / f"{name}.jsonl").write_text("".join(rows))
    return place


@pytest.fixture
def board(bench, prompts):
    """A bench with the safety board and these requests; what is asked for text has tests of its own."""

    def make(**train):
        section = {
            "every": 4, "rows": 8, "boards": ["safety"], "samples": PAIRS, "budget": 1.0,
            "generate_every": 99, "prompts": str(prompts), "answer_tokens": 16,
        }  # fmt: skip
        one = bench(train={"steps": 4, **train}, evaluate=section)
        boards = one.pack.parts.scoring.boards
        boards.probes = boards.tier(writes=False)
        return one

    return make


def of_base(one):
    return {name: score for told in one.of(e.BaseScored) for name, score in told.scores.items()}[METRIC]


def erase(one, share: float, monkeypatch) -> None:
    """Plant an adapter that takes ``share`` of the base's directions out of what the first layer writes."""
    own = torch.tensor(one.pack.parts.scoring.boards.base_values[DIRECTIONS]).view(
        refusal_direction.FOLDS, -1
    )
    basis, _ = torch.linalg.qr(own.T)  # (H, 2)
    modules, real = dict(one.base.model.named_modules()), pack_scoring_bridge.copy_frozen

    def planted(factors):
        copy = real(factors)
        copy.matrix.zero_()
        for place in copy.layout.places:
            if place.name.startswith("model.layers.0.") and place.name.endswith(("o_proj", "down_proj")):
                weight = modules[place.name].weight
                copy.layout.a(copy.matrix, place.index)[:2] = -(basis.T @ weight)
                copy.layout.b(copy.matrix, place.index)[:2] = share / copy.scale * basis.T
        return copy

    monkeypatch.setattr(pack_scoring_bridge, "copy_frozen", planted)


def test_the_base_holds_requests_apart_as_far_as_itself(board, tmp_path):
    one = board(**IDLE)
    one.assign(tmp_path)
    one.finish()
    assert of_base(one).value == pytest.approx(1.0) and of_base(one).low > 0.5
    first = one.of(e.BaseScored)[0].scores
    assert (first[METRIC].samples, first["safety/refusal_odds"].samples) == (PAIRS, FIRST), "no trial waits"
    told = one.of(e.TrialScored)[-1]
    assert told.scores[METRIC].value == pytest.approx(1.0, abs=1e-5)
    assert told.scores[METRIC].samples == PAIRS
    assert abs(told.changes[METRIC].value) < 1e-5


@pytest.mark.parametrize("share", rest_slow([0.2, 1.0]))
def test_an_adapter_without_the_direction_is_seen_and_so_is_a_fifth_less_of_it(
    board, tmp_path, monkeypatch, share
):
    first = board(**IDLE)
    first.assign(tmp_path)
    first.finish()
    one = board(**IDLE)
    erase(first, share, monkeypatch)
    one.assign(tmp_path, 1)
    one.finish()
    told = one.of(e.TrialScored, 1)[-1]
    assert told.scores[METRIC].value == pytest.approx(1.0 - share, abs=0.03)
    assert told.changes[METRIC].high < -0.6 * share and told.changes[METRIC].samples == PAIRS
    if share == 1.0:
        assert told.scores[METRIC].high < of_base(one).low


def test_together_each_trial_reads_what_it_reads_alone(board, tmp_path):
    one = board()
    knobs = [{"seed": 1, "learning_rate": 3e-2}, {"lora_rank": 8, "seed": 2, "learning_rate": 1e-2}]
    for number, some in enumerate(knobs):
        one.assign(tmp_path, number, **some)
    one.finish()
    values = []
    for number, some in enumerate(knobs):
        one.assign(tmp_path, number + 100, **some)
        one.finish()
        scores = [one.of(e.TrialScored, each)[-1].scores[METRIC] for each in (number, number + 100)]
        assert scores[0].value == pytest.approx(scores[1].value, rel=1e-5)
        values.append(scores[0].value)
    assert abs(values[0] - values[1]) > 1e-3 and abs(values[0] - 1.0) > 1e-3


def test_rows_of_several_trials_in_one_pass_have_the_states_of_each_alone(board, tmp_path):
    one = board(learning_rate=3e-2)
    for number in range(2):
        one.assign(tmp_path, number, seed=number, lora_rank=4 + 4 * number, steps=12)
    for _ in range(6):
        one.turn()
    forward = one.pack.parts.scoring.background._answering._forward
    stack = one.pack.parts.scoring.background._stack
    trials = [
        pack_scoring_bridge.copy_frozen(trial.factors) for trial in one.pack.parts.members.trials.values()
    ]
    stack.compose([(factors, 1) for factors in trials])
    rows = [probe.asks[0][0].row for probe in one.pack.parts.scoring.boards.probes if probe.whole]
    rows += one.data.validation[:3]
    items = [Item(mine, row, state=place != 1) for mine in (*trials, None) for place, row in enumerate(rows)]
    together = {
        id(item): reading for item, reading in forward.rate(random.Random(0).sample(items, len(items)))
    }
    for item in items:
        ((_, alone),) = forward.rate([item])
        ours = together[id(item)]
        assert bool(ours.state) == item.state
        assert np.frombuffer(ours.state, np.float32) == pytest.approx(
            np.frombuffer(alone.state, np.float32), rel=1e-4, abs=1e-6
        )
    stack.compose([])
    row, states = rows[0], [together[id(item)].state for item in items[:: len(rows)]]
    assert len(set(states)) == 3, "two trials and the base"
    last = next(place for place, label in enumerate(row.labels) if label != MASKED) - 1  # of the prompt
    whole = one.base.model(
        input_ids=torch.tensor([row.ids.tolist()]), output_hidden_states=True
    ).hidden_states[1]
    assert np.frombuffer(states[-1], np.float32) == pytest.approx(whole[0, last].numpy(), rel=1e-4, abs=1e-6)


def test_a_second_study_asks_the_base_nothing_and_lost_states_are_asked_again(board, tmp_path, monkeypatch):
    first = board(**IDLE)
    first.assign(tmp_path)
    first.finish()
    second = board(**IDLE)
    asked = questions_of_base(second, monkeypatch)
    second.assign(tmp_path, 1)
    second.finish()
    assert not asked and of_base(second) == of_base(first)
    (kept,) = (paths.cache() / "states").iterdir()
    kept.write_bytes(b"damaged")
    third = board(**IDLE)
    asked = questions_of_base(third, monkeypatch)
    third.assign(tmp_path, 2)
    third.finish()
    assert len({id(question) for question in asked}) == 2 * PAIRS
    assert all(question.item.state for question in asked)
    assert of_base(third).value == pytest.approx(of_base(first).value)


def test_a_trial_with_few_samples_is_projected_on_the_direction_of_all_samples_of_the_base(board):
    (probe,) = (probe for probe in board().pack.parts.scoring.boards.probes if probe.whole)
    run = ProbeRun([probe], object())
    turn = run.turn(FIRST)
    asked = next(turn).parts[0].items
    with pytest.raises(StopIteration):
        turn.send((Result(parts=[[Reading([1.0], [1.0])] * len(asked)]), 0.0))
    assert len(asked) == 2 * FIRST and run.needs() == {(METRIC,): PAIRS}


def test_it_asks_no_row_that_the_odds_of_a_refusal_do_not_ask(board):
    probes = {probe.metrics[0]: probe for probe in board().pack.parts.scoring.boards.probes}
    own = {id(ask) for sample in probes[METRIC].asks for ask in sample}
    odds = [probes["safety/refusal_odds"], probes["safety/over_refusal_odds"]]
    assert len(own) == 2 * PAIRS
    assert own < {id(ask) for probe in odds for sample in probe.asks for ask in sample}


def test_the_text_of_the_cache_has_no_states(board, tmp_path):
    one = board(**IDLE)
    one.assign(tmp_path)
    one.finish()
    (answers,) = (paths.cache() / "answers").iterdir()
    kept = json.loads(answers.read_bytes())
    assert all(len(answer) <= 3 for answer in kept.values())
    again = BaseAnswers(answers)
    assert again.read()
    probe = next(probe for probe in one.pack.parts.scoring.boards.probes if probe.whole)
    assert len(again.recall(probe, probe.asks[0][0]).state) == 4 * one.base.model.config.hidden_size


@pytest.mark.parametrize("make", BASES)
def test_the_state_of_any_make_of_model_is_that_after_its_layer(make):
    torch.manual_seed(0)
    config = AutoConfig.for_model(make, **BASES[make], vocab_size=64, pad_token_id=0)
    model = AutoModelForCausalLM.from_config(config).eval()
    ids = torch.randint(1, 64, (2, 9))
    with torch.no_grad(), ResidualStream(model).record([3, 9 + 7]) as states:
        whole = model(input_ids=ids, output_hidden_states=True, use_cache=False).hidden_states
    layer = max(1, int(DEPTH * len(find_layers(model))))
    expected = torch.stack([whole[layer][0, 3], whole[layer][1, 7]])
    assert torch.allclose(states[0], expected)
    assert np.frombuffer(encode_bytes(states, 2)[1], np.float32).tolist() == expected[1].tolist()


def test_a_model_without_a_stack_of_layers_has_no_state():
    config = AutoConfig.for_model("gpt2", **BASES["gpt2"], vocab_size=64)
    model = AutoModelForCausalLM.from_config(config)
    config.n_layer = 3
    with ResidualStream(model).record([0]) as states:
        model(input_ids=torch.ones(1, 4, dtype=torch.long))
    assert encode_bytes(states, 1) == [b""]
