"""In company a trial's losses are those it has alone, whatever differs between the trials and the bases."""

import math

import pytest

from core.contract.events import event_types as e
from core.contract.wire import worker_api
from core.train.adapters.adapter_stack import Stack

# Everything that may differ between trials of one pack does.
TRIALS = [
    {"lora_rank": 4, "batch_size": 1, "seed": 1, "learning_rate": 3e-3, "scheduler": "linear"},
    {
        "lora_rank": 8,
        "batch_size": 3,
        "sequence_length": 26,
        "lora_dropout": 0.1,
        "seed": 2,
        "clip_norm": 0.5,
    },
    {"lora_rank": 3, "batch_size": 2, "target_modules": "attention", "gradient_accumulation": 2, "seed": 3},
    {
        "lora_rank": 8,
        "batch_size": 2,
        "lora_dropout": 0.3,
        "warmup": 0.2,
        "initialisation": "gaussian",
        "steps": 5,
    },
]
ALONE = 100  # added to the number of a trial that trains by itself
RATES = {"sgd": 3e-2, "adafactor": 2e-3, "adamw": 2e-3, "adamw-8bit": 2e-3}
# Relative: a batch of another height is summed in another order. In half precisions one rounding is 0.4 % or
# 0.05 %; weights of 8-bit states move in jumps.
STEPS = {"fp32": 12, "bf16": 7, "fp16": 7, "nf4": 7, "int8": 7}
TOLERANCE = {"fp32": 1e-5, "nf4": 1e-5, "int8": 1e-5, "bf16": 2e-2, "fp16": 3e-3}


# Each optimizer, each precision, and 8-bit states in half precision: an optimizer sees no precision but that.
PAIRS = [
    *((optimizer, "fp32") for optimizer in RATES),
    *(("adamw", precision) for precision in STEPS if precision != "fp32"),
    ("adamw-8bit", "bf16"),
]


@pytest.mark.parametrize(("optimizer", "precision"), PAIRS)
def test_losses_together_are_those_alone(bench, tmp_path, optimizer, precision):
    common = {"optimizer": optimizer, "learning_rate": RATES[optimizer], "steps": STEPS[precision]}
    one = bench(model={"precision": precision}, evaluate={"every": 5})
    for number, knobs in enumerate(TRIALS):
        one.assign(tmp_path, number, **{**common, **knobs})
    one.finish()
    tolerance = (
        1e-3 if optimizer == "adamw-8bit" and precision not in ("bf16", "fp16") else TOLERANCE[precision]
    )
    for together, knobs in enumerate(TRIALS):
        alone = together + ALONE
        one.assign(tmp_path, alone, **{**common, **knobs})
        one.finish()
        assert len(one.losses(together)) == {**common, **knobs}["steps"]
        assert one.losses(together) == pytest.approx(one.losses(alone), rel=tolerance)
        values = [one.of(e.TrialCompleted, number)[0].values for number in (together, alone)]
        assert values[0] == pytest.approx(values[1], rel=tolerance)


def test_ranks_that_are_filled_up_as_on_a_gpu_give_the_same_losses(bench, tmp_path, monkeypatch):
    kinds = {"cpu": Stack._name_kind, "gpu": lambda stack, one: (*kinds["cpu"](stack, one)[:2], 0)}
    losses = {}
    for device, kind in kinds.items():
        monkeypatch.setattr(Stack, "_name_kind", kind)
        one = bench()
        for number, knobs in enumerate([*TRIALS, {"lora_rank": 2, "seed": 7, "optimizer": "adafactor"}]):
            one.assign(tmp_path, number, **{"steps": 10, **knobs})
        one.pack.turn()
        ranks = [{member.rank for member in group.members} for group in one.pack.parts.stack.groups]
        assert any(len(some) > 1 for some in ranks) == (device == "gpu")
        one.finish()
        losses[device] = [one.losses(number) for number in range(len(TRIALS) + 1)]
    for exact, filled in zip(losses["cpu"], losses["gpu"], strict=True):
        assert filled == pytest.approx(exact, rel=1e-5)


def test_the_same_company_gives_the_same_bits(bench, tmp_path):
    first, second = bench(), bench()
    for order, one in ((1, first), (-1, second)):
        for number, knobs in list(enumerate(TRIALS))[::order]:
            one.assign(tmp_path, number, **{"steps": 8, **knobs})
        one.finish()
    for number in range(len(TRIALS)):
        assert first.losses(number) == second.losses(number)


# -- isolation: whatever happens to number 0, number 1 trains on as if it had not ------------------

WILD = {"learning_rate": 9.0, "weight_decay": 10.0, "clip_norm": 0.0, "warmup": 0.0, "optimizer": "sgd"}
QUIET = {"steps": 16, "lora_dropout": 0.1, "seed": 5, "batch_size": 2}


def nothing(one, turn, folder):
    """The company without an event."""


def pruned(one, turn, folder):
    if turn == 5:
        one.pack.do(worker_api.Prune(0, "worse than the median"))


def paused(one, turn, folder):
    if turn in (5, 10):
        one.pack.do(worker_api.Pause(0) if turn == 5 else worker_api.Resume(0))


def joined(one, turn, folder):
    if turn in (4, 8):
        one.assign(folder, turn, steps=7, lora_rank=16, batch_size=4)


def broken(one, turn, folder):
    if turn == 5:
        one.pack.parts.members[0].trial.optimizer.step = lambda: 1 / 0


@pytest.mark.parametrize("event", [nothing, pruned, paused, joined, broken, "diverged", "ends early"])
def test_what_happens_to_a_trial_stays_its_own(bench, tmp_path, event):
    one = bench()
    first = {"diverged": {**WILD, "steps": 16}, "ends early": {"steps": 6}}.get(event, {"steps": 16})
    one.assign(tmp_path, 0, lora_rank=6, lora_dropout=0.2, **first)
    one.assign(tmp_path, 1, **QUIET)
    for turn in range(200):
        if not one.pack.busy:
            break
        if callable(event):
            event(one, turn, tmp_path)
        one.pack.turn()
    one.assign(tmp_path, ALONE, **QUIET)
    one.finish()
    assert one.losses(1) == pytest.approx(one.losses(ALONE), rel=1e-5)
    if event in (broken, "diverged"):
        assert one.of(e.TrialFailed, 0)
    assert not one.of(e.TrialFailed, 1) and one.of(e.TrialCompleted, 1)


def test_an_infinite_loss_is_nobody_elses(bench, tmp_path):
    quiet, one = bench(), bench()
    for some in (quiet, one):
        some.assign(tmp_path, 1, **QUIET)
    one.assign(tmp_path, 0)
    one.pack.parts.members[0].trial.factors.matrix.data[:, :50] = math.inf
    one.finish()
    quiet.finish()
    assert "nan" in one.of(e.TrialFailed, 0)[0].error
    assert one.losses(1) == pytest.approx(quiet.losses(1), rel=1e-5)


def test_memory_that_does_not_hold_a_pass_holds_two_smaller_ones(bench, tmp_path, monkeypatch):
    import torch

    plain = bench()
    for number in range(4):
        plain.assign(tmp_path, number, batch_size=2, seed=number)
    plain.finish()
    small = bench()
    real = small.pack.parts.rounds._forward._run_pass

    def scarce(owners, items, *rest, **options):
        if len(items) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return real(owners, items, *rest, **options)

    monkeypatch.setattr(small.pack.parts.rounds._forward, "_run_pass", scarce)
    for number in range(4):
        small.assign(tmp_path, number, batch_size=2, seed=number)
    small.finish()
    for number in range(4):
        assert small.losses(number) == pytest.approx(plain.losses(number), rel=1e-5)
    assert not small.of(e.TrialInfeasible)


def test_a_paused_trials_tensors_leave_the_stack(bench, tmp_path):
    one = bench()
    for number in range(3):
        one.assign(tmp_path, number)
    one.pack.turn()
    assert sum(group.weights.shape[0] for group in one.pack.parts.stack.groups) == 3
    one.pack.do(worker_api.Pause(1))
    assert sum(group.weights.shape[0] for group in one.pack.parts.stack.groups) == 2
    one.pack.do(worker_api.Resume(1))
    one.finish()
    assert one.of(e.TrialCompleted, 1)
