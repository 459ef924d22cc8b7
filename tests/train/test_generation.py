"""Texts that rows of many trials and the base write together are those that each writes alone."""

import sys
import time

import pytest
import torch

from core.train.adapters.adapter_stack import Stack
from core.train.adapters.lora_factors import copy_frozen
from core.train.data.dataset import MASKED, Row
from core.train.scoring import batched_scoring
from core.train.scoring.batched_scoring import BatchedAnswers, Question
from core.train.step import batched_generation
from core.train.step.compute_requests import BASE, Prompt, Rate, Write
from core.train.step.forward_pass import Forward, Item
from core.train.step.token_tree import TokenTree
from core.train.step.token_tree_reader import ROOM, RoomyLayer, TreeReader, can_read_trees
from tests.matrix import rest_slow

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
    return one, [one.pack.parts.members[number].trial for number in (0, 1)]


def prompts(one, mine, seed="") -> list[Prompt]:
    ids = [one.base.tokenizer(text)["input_ids"] for text in WORDS]
    return [Prompt(mine, some, TOKENS, seed and f"{seed} {place}") for place, some in enumerate(ids)]


def answering(one, factors=()) -> BatchedAnswers:
    """What answers beside the pack, with these factors in its stack."""
    stack = Stack(one.base.model.dtype, one.base.device, one.pack.parts.stack)
    stack.compose([(mine, 1) for mine in factors])
    forward = Forward(one.base, stack, one.pack.parts.rounds._forward.head)
    return BatchedAnswers(one.base, stack, forward, alone=False)


def written(one, requests, limit_s=10.0) -> dict[int, list[list[int]]]:
    """Units until all is written."""
    questions = {
        number: [Question(number, prompt=prompt) for prompt in request.prompts]
        for number, request in requests.items()
    }
    mine = {
        id(prompt.mine): prompt.mine
        for request in requests.values()
        for prompt in request.prompts
        if prompt.mine
    }
    by = answering(one, mine.values())
    answers = {}
    asked = [each for some in questions.values() for each in some]
    while len(answers) < len(asked):
        unit = by.unit([each for each in asked if each not in answers], limit_s)
        assert not unit.errors
        answers |= unit.answers
    return {number: [answers[each].ids for each in some] for number, some in questions.items()}


@pytest.mark.parametrize("limit_s", [10.0, 0.0])
@pytest.mark.parametrize("seed", rest_slow(["drawn", ""]))
def test_texts_together_are_those_alone(two, seed, limit_s):
    one, trials = two
    requests = {number: Write(prompts(one, trial.factors, seed)) for number, trial in enumerate(trials)}
    requests[BASE] = Write(prompts(one, None, seed))
    together = written(one, requests, limit_s)
    for number, request in requests.items():
        assert written(one, {number: Write(list(request.prompts))})[number] == together[number]
    assert together[0] != together[1] != together[BASE]
    mixed = written(one, {number: requests[number] for number in (0, BASE)})  # one trial beside the base
    assert mixed == {number: together[number] for number in (0, BASE)}


@pytest.mark.parametrize("limit_s", [10.0, 0.0])
def test_what_prompts_begin_with_is_read_once_and_changes_no_text(two, limit_s, monkeypatch):
    one, trials = two
    ids = [one.base.tokenizer(text)["input_ids"] for text in WORDS]
    begin = one.base.tokenizer("you read the file and say the value of the key to")["input_ids"]

    def request(mine):
        again = [Prompt(mine, [*begin, *ids[0]], TOKENS, f"again {at}") for at in range(3)]
        return Write([*(Prompt(mine, [*begin, *some], TOKENS) for some in ids), *again])

    def requests():
        return {0: request(trials[0].factors), 1: request(trials[1].factors), BASE: request(None)}

    read = []
    count = lambda kind, name, size: monkeypatch.setattr(  # noqa: E731
        kind, name, lambda self, *given: (read.append(size(self, *given)), real[name](self, *given))[1]
    )
    real = {"_run_pass": batched_generation.Generation._run_pass, "read": TreeReader.read}
    count(batched_generation.Generation, "_run_pass", lambda self, ids: ids.numel())
    count(TreeReader, "read", lambda self, tokens: 0)
    shared = written(one, requests(), limit_s)
    once = sum(read) + trees_read(one, requests())
    assert len(read) and 0 in read, "trees were read"
    read.clear()
    monkeypatch.setattr(batched_scoring, "can_read_trees", lambda base, stack: False)
    assert written(one, requests(), 10.0) == shared
    assert once < 0.5 * sum(read)


def trees_read(one, requests) -> int:
    """Tokens of the prompts' trees."""
    trees = []
    for request in requests.values():
        trees.append(TokenTree())
        for prompt in request.prompts:
            trees[-1].add(prompt.ids)
    return sum(map(len, trees))


def test_the_base_writes_what_transformers_writes(two):
    one, _ = two
    ours = written(one, {BASE: Write(prompts(one, None))})[BASE]
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
    monkeypatch.setattr(batched_generation, "list_end_ids", lambda base: everything)
    assert written(one, {BASE: Write(prompts(one, None))})[BASE] == [[]] * len(WORDS)


def test_readings_together_are_those_alone(two):
    one, trials = two
    rows = one.data.validation[:5]
    requests = {
        number: (trial, Rate([Item(trial.factors, row) for row in rows]))
        for number, trial in enumerate(trials)
    }
    requests[BASE] = (None, Rate([Item(None, row) for row in rows]))
    together = one.pack.parts.rounds.do(requests).done
    for number, pair in requests.items():
        alone = one.pack.parts.rounds.do({number: pair}).done[number].answers
        for mine, ours in zip(alone, together[number].answers, strict=True):
            assert ours.losses == pytest.approx(mine.losses, rel=1e-4)
    whole = one.base.model(input_ids=torch.tensor([rows[0].ids.tolist()])).logits[0].log_softmax(-1)
    last = together[BASE].answers[0]
    assert last.losses[-1] == pytest.approx(-float(whole[-2, rows[0].ids[-1]]), rel=1e-4)
    assert last.firsts[-1] == float(whole[-2].argmax() == rows[0].ids[-1])


def test_where_memory_ends_fewer_are_written_at_once(two, monkeypatch):
    one, trials = two
    widest, run_until = [], batched_generation.Generation.run_until

    def small(self, *given):
        widest.append(len(self.prompts))
        if len(self.prompts) > 3:
            raise torch.OutOfMemoryError("no room")
        return run_until(self, *given)

    request = lambda: Write(prompts(one, trials[0].factors))  # noqa: E731
    before = written(one, {0: request()})
    monkeypatch.setattr(batched_generation.Generation, "run_until", small)
    assert written(one, {0: request()}) == before
    assert max(widest) == 4 and widest[-1] <= 3


def test_a_fault_is_that_of_its_owner(two, monkeypatch):
    one, trials = two
    real = batched_generation.Generation._run_pass

    def faulty(self, ids):
        if any(mine is trials[0].factors for mine in self._owners):
            raise ValueError("a fault")
        return real(self, ids)

    monkeypatch.setattr(batched_generation.Generation, "_run_pass", faulty)
    by = answering(one, [trial.factors for trial in trials])
    asked = [
        Question(number, prompt=prompt)
        for number, trial in enumerate(trials)
        for prompt in prompts(one, trial.factors)
    ]
    errors, answers = {}, {}
    while len(answers) < len(WORDS):
        unit = by.unit([each for each in asked if each not in answers and each.owner not in errors])
        errors |= unit.errors
        answers |= unit.answers
    assert set(errors) == {0} and {each.owner for each in answers} == {1}


def test_what_is_timed_is_generated_alone_and_after_all_else(two, monkeypatch):
    one, _ = two
    batches, real = [], batched_scoring.Generation

    def begin(base, stack, head, prompts, trees):
        batches.append([prompt.alone for prompt in prompts])
        return real(base, stack, head, prompts, trees)

    monkeypatch.setattr(batched_scoring, "Generation", begin)
    shared = prompts(one, None)
    timed = [Prompt(None, prompt.ids, 4, alone=True) for prompt in shared[:2]]
    written(one, {BASE: Write([*timed, *shared])})
    assert batches == [[False] * len(shared), [True], [True]]


def test_the_training_stack_knows_nothing_of_what_is_scored(two):
    one, trials = two
    groups = one.pack.parts.stack.groups
    written(one, {0: Write(prompts(one, copy_frozen(trials[0].factors)))})
    assert one.pack.parts.stack.groups is groups and one.pack.parts.stack.plan is None


@pytest.mark.parametrize("limit_s", [10.0, 0.0])
def test_likelihoods_from_token_trees_are_those_of_whole_rows(two, limit_s):
    one, trials = two
    rows = [*one.data.validation[:5], *one.data.validation[:2]]
    begin = one.data.validation[0]
    rows.append(Row([*begin.ids, 5, 6], [*[MASKED] * len(begin.ids), 5, 6]))  # goes on from another
    owners = {0: trials[0].factors, 1: trials[1].factors, BASE: None}
    by = answering(one, [trial.factors for trial in trials])
    asked = [Question(number, item=Item(mine, row)) for number, mine in owners.items() for row in rows]
    answers = {}
    while len(answers) < len(asked):
        unit = by.unit([each for each in asked if each not in answers], limit_s)
        assert not unit.errors
        answers |= unit.answers
    assert by._trees
    whole = {id(item): reading for item, reading in by._forward.rate([each.item for each in asked])}
    for each in asked:
        assert answers[each].losses == pytest.approx(whole[id(each.item)].losses, rel=1e-4, abs=1e-5)
        assert answers[each].firsts == whole[id(each.item)].firsts


def test_a_base_whose_masks_are_its_own_reads_whole_rows(two, monkeypatch):
    one, _ = two
    real = type(one.base.model.base_model).forward

    def blind(self, **given):  # as a model family that builds its mask itself
        given.pop("attention_mask", None)
        return real(self, **given)

    monkeypatch.setattr(type(one.base.model.base_model), "forward", blind)
    assert not can_read_trees(one.base, one.pack.parts.stack)


def test_a_tree_has_each_common_beginning_once():
    tree = TokenTree()
    paths = [tree.add(sequence) for sequence in ([1, 2, 3], [1, 2, 4, 5], [1, 2], [7])]
    assert tree.ids == [1, 2, 3, 4, 5, 7] and paths == [[0, 1, 2], [0, 1, 3, 4], [0, 1], [5]]
    assert tree.count_new([1, 2, 4, 9]) == 1 and tree.count_new([1, 2, 3]) == 0
    assert tree.ancestors()[4].tolist() == [True, True, False, True, True, False]


def test_sampled_rows_that_end_early_leave_and_change_no_other_text(two):
    one, trials = two
    mine = trials[0].factors
    asked = [
        Prompt(mine, prompt.ids, 2 + 5 * place, prompt.seed and f"drawn {place}")
        for place, prompt in enumerate(prompts(one, mine, "drawn"))
    ]
    together = written(one, {0: Write(asked)})[0]
    assert len(together[-1]) > len(together[0])
    assert [written(one, {0: Write([prompt])})[0][0] for prompt in asked] == together


@pytest.mark.parametrize(("seed", "copies"), [("", 0), ("drawn", 1)])
def test_a_token_copies_nothing_to_the_device_and_a_sampled_one_once(two, monkeypatch, seed, copies):
    one, trials = two
    made, steps = [], []
    real, choose = torch.tensor, batched_generation.Generation._choose

    def tensor(*given, **more):
        made.append(sys._getframe(1).f_globals["__name__"])
        return real(*given, **more)

    generation = batched_generation.Generation(
        one.base, one.pack.parts.stack, None, prompts(one, trials[0].factors, seed), False
    )
    monkeypatch.setattr(generation, "_leave", lambda: None)
    monkeypatch.setattr(generation, "_choose", lambda logits: steps.append(0) or choose(generation, logits))
    monkeypatch.setattr(torch, "tensor", tensor)
    generation.run_until(time.perf_counter() + 60.0)
    assert len(steps) > 2
    assert made.count(batched_generation.__name__) == 1 + copies * len(steps)


def test_of_the_likeliest_tokens_only_those_that_hold_nine_tenths_are_drawn():
    """Whether these are few of a large vocabulary or most of it."""
    torch.manual_seed(0)
    for spread in (0.0, 0.1, 1.0, 3.0, 30.0):
        logits = spread * torch.randn(4, 20_000)
        shares = logits.softmax(-1)
        kept = batched_generation._cut_to_nucleus(shares)
        for row, kept_row in zip(shares, kept, strict=True):
            drawn = kept_row > 0
            assert kept_row[drawn].equal(row[drawn]) and float(kept_row.sum()) >= 0.9 - 1e-3
            without_least = kept_row.sum() - kept_row[drawn].min() * (kept_row == kept_row[drawn].min()).sum()
            assert float(without_least) < 0.9 + 1e-3, "fewer would do"
            assert drawn.all() or float(row[~drawn].max()) <= float(row[drawn].min())


def test_a_token_copies_nothing_of_those_before_it():
    """What a layer's cache holds is what transformers' own would, also after rows have left."""
    from transformers.cache_utils import DynamicLayer

    torch.manual_seed(0)
    plain, roomy, places = DynamicLayer(), RoomyLayer(), set()
    for tokens in (40, *[1] * (ROOM - 2), 7, 1, 1):
        new = torch.randn(2, 5, tokens, 3, 8).transpose(2, 3)
        if tokens == 7:
            plain.batch_select_indices(torch.tensor([0, 2, 4]))
            roomy.batch_select_indices(torch.tensor([0, 2, 4]))
        keys, values = new[:, : len(plain.keys) if tokens < 40 else 5]
        for one, other in zip(plain.update(keys, values), roomy.update(keys, values), strict=True):
            assert one.equal(other)
        assert roomy.get_seq_length() == plain.get_seq_length()
        places.add(roomy.keys.data_ptr())
    assert len(places) == 2, "one for all rows, one for those that stayed"


def test_masks_that_need_no_wait_for_a_gpu_change_no_text(two, monkeypatch):
    one, (trial, _) = two
    padded = prompts(one, trial.factors)
    alike = [Prompt(trial.factors, some.ids[:2], TOKENS) for some in padded]
    for some in (padded, alike):
        expected = written(one, {0: Write(some)})
        with monkeypatch.context() as patch:
            patch.setattr(batched_generation, "ASYNCHRONOUS", ("cpu",))
            assert written(one, {0: Write(some)}) == expected
