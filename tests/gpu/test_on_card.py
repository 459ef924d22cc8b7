"""What the tests promise on a CPU holds on a card, too: packed is alone, stopped is not stopped."""

import pytest
import torch
from safetensors.torch import load_file

from core.contract.events import event_types as e
from core.contract.wire import worker_api
from core.train import checkpoint_files
from core.train.adapters.adapter_stack import Stack
from core.train.kernels import counter_dropout
from core.train.scoring.batched_scoring import BatchedAnswers, Question
from core.train.step.compute_requests import Prompt
from core.train.step.forward_pass import Forward
from tests.gpu.packs import TrialShape

pytestmark = pytest.mark.gpu

MIXES = {
    "uniform": [TrialShape(8, 2)] * 3,
    "dropout": [TrialShape(8, 2, 0.1)] * 3,
    "mixed-batch": [TrialShape(8, 1), TrialShape(8, 2, 0.1), TrialShape(8, 3)],
    "mixed-rank": [TrialShape(4, 2), TrialShape(12, 2, 0.1), TrialShape(16, 2)],
}
CLOSE = {
    "fp32": 1e-4,
    "bf16": 2e-2,
    "nf4": 2e-2,
    "int8": 2e-2,
}  # relative; kernels of other shapes round apart
CASES = [(mix, precision) for precision in ("fp32", "bf16") for mix in MIXES]
CASES += [("mixed-batch", "nf4"), ("mixed-batch", "int8")]


@pytest.mark.parametrize(("mix", "precision"), CASES)
def test_a_trial_does_not_depend_on_its_neighbours(base_of, pack_of, mix, precision):
    base, trials = base_of(precision), MIXES[mix]
    together = pack_of(base, trials).assign_all()
    together.finish()
    assert not together.faults()
    for number in {shape: number for number, shape in enumerate(trials)}.values():  # one of each kind
        alone = pack_of(base, trials)
        alone.assign(number)
        alone.finish()
        assert alone.losses(number)
        assert together.losses(number) == pytest.approx(alone.losses(number), rel=CLOSE[precision])


def test_rows_in_a_line_give_the_losses_of_padded_rows(base_of, pack_of, where):
    if where.type == "cpu":
        pytest.skip("on a CPU rows are always padded")
    base, losses = base_of("bf16"), []
    for padding_free in (True, False):
        one = pack_of(base, MIXES["mixed-batch"], lengths=[40, 500, 64, 300]).assign_all()
        rounds = one.pack.parts.rounds
        assert rounds.padding_free, [note.text for note in one.told if isinstance(note, e.StudyNoted)]
        rounds.padding_free = padding_free
        one.finish()
        losses.append([loss for number in range(3) for loss in one.losses(number)])
    assert losses[0] == pytest.approx(losses[1], rel=CLOSE["bf16"])


@pytest.mark.parametrize("precision", ["fp32", "bf16", "nf4", "int8"])
def test_a_trial_learns(base_of, pack_of, precision):
    one = pack_of(base_of(precision), [TrialShape(16, 8)], steps=12, learning_rate=2e-2).assign_all()
    one.finish()
    assert one.losses(0)[-1] < one.losses(0)[0] - 0.03


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_pause_changes_no_loss_and_no_tensor_of_a_paused_trial_stays_on_the_device(
    base_of, pack_of, precision, where
):
    base, trials = base_of(precision), MIXES["dropout"]
    whole = pack_of(base, trials).assign_all()
    whole.finish()
    paused = pack_of(base, trials).assign_all()
    paused.turn(2)
    paused.pack.do(worker_api.Pause(1))
    assert paused.pack.parts.members[1].trial.factors.matrix.device.type == "cpu"
    paused.turn(2)
    paused.pack.do(worker_api.Resume(1))
    assert paused.pack.parts.members[1].trial.factors.matrix.device.type == where.type
    paused.finish()
    for number in range(len(trials)):
        assert paused.losses(number) == pytest.approx(whole.losses(number), rel=CLOSE[precision])


@pytest.mark.parametrize("optimizer", ["adamw", "adafactor", "sgd", "adamw-8bit", "adamw-8bit-paged"])
def test_a_trial_taken_up_from_its_checkpoint_ends_with_the_same_bits(
    base_of, pack_of, tmp_path, optimizer, where
):
    if "8bit" in optimizer:
        pytest.importorskip("bitsandbytes")
    if "paged" in optimizer and where.type == "cpu":
        pytest.skip("pages move between a card and the host")
    base, trials, knobs = base_of("bf16"), [TrialShape(8, 2, 0.1)], {"optimizer": optimizer}
    whole = pack_of(base, trials, tmp_path / "whole", **knobs).assign_all()
    whole.finish()
    first = pack_of(base, trials, tmp_path / "broken", **knobs).assign_all()
    first.turn(3)
    first.pack.checkpoint_all()
    again = pack_of(base, trials, tmp_path / "broken", **knobs)
    kept = checkpoint_files.list_checkpoints(tmp_path / "broken" / "trials" / "0")[0]
    again.assign(0, str(kept))
    again.finish()
    assert first.losses(0) + again.losses(0) == whole.losses(0)
    names = [tmp_path / run / "trials" / "0" / "adapter" for run in ("whole", "broken")]
    before, after = (load_file(name / "adapter_model.safetensors") for name in names)
    assert before and all(before[key].equal(after[key]) for key in before)
    assert again.told and not [event for event in again.told if isinstance(event, e.TrialFailed)]


@pytest.mark.parametrize("length", [64, 512])  # longer rows take attention's other way back
def test_the_same_trial_trained_twice_has_the_same_bits(base_of, pack_of, length):
    base, losses = base_of("bf16"), []
    for _ in range(2):
        one = pack_of(base, [TrialShape(8, 2, 0.1)], lengths=[length] * 4).assign_all()
        one.finish()
        losses.append(one.losses(0))
    assert losses[0] == losses[1]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_dropout_mask_has_the_same_bits_on_the_device_as_on_the_cpu(where, dtype):
    keys = [counter_dropout.make_row_key(seed, 7, row) for seed in range(3) for row in range(4)]
    words = torch.tensor(keys, dtype=torch.int32)
    limits = torch.tensor(
        [counter_dropout.compute_threshold(p) for p in (0.05, 0.1, 0.5)] * 4, dtype=torch.int32
    )
    for place, length, channels in ((0, 33, 64), (5, 100, 96), (40, 7, 130)):
        here = counter_dropout.mask(words, limits, place, length, channels, dtype)
        there = counter_dropout.mask(words.to(where), limits.to(where), place, length, channels, dtype)
        assert torch.equal(here, there.cpu())


@pytest.mark.parametrize("seed", ["", "drawn"])
def test_texts_written_together_are_those_written_alone(base_of, pack_of, seed):
    one = pack_of(base_of("fp32"), MIXES["mixed-rank"], steps=99, learning_rate=2e-2).assign_all()
    one.turn(4)
    trials = [member.trial.factors for member in one.pack.parts.members.values()]
    asked = [prompts(owner, seed) for owner in (*trials, None)]
    together = written(one, trials, [prompt for some in asked for prompt in some])
    alone = [text for some in asked for text in written(one, trials, some)]
    assert together == alone
    assert len({tuple(map(tuple, alone[at : at + 4])) for at in range(0, len(alone), 4)}) > 1


def prompts(owner, seed: str) -> list[Prompt]:
    """Four of different length."""
    ids = [list(range(5, 5 + length)) for length in (3, 9, 5, 14)]
    return [Prompt(owner, some, 10, seed and f"{seed} {place}") for place, some in enumerate(ids)]


def written(one, factors, asked: list[Prompt]) -> list[list[int]]:
    """The texts, as the worker writes them beside training."""
    stack = Stack(one.base.model.dtype, one.base.device, one.pack.parts.stack)
    stack.compose([(mine, 1) for mine in factors])
    forward = Forward(one.base, stack, one.pack.parts.survey.head)
    by = BatchedAnswers(one.base, stack, forward, alone=False)
    questions = [Question(number, prompt=prompt) for number, prompt in enumerate(asked)]
    answers = {}
    while len(answers) < len(questions):
        unit = by.unit([each for each in questions if each not in answers], 10.0)
        assert not unit.errors
        answers |= unit.answers
    return [answers[each].ids for each in questions]
