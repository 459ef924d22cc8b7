"""A study is the same on SQLite and in a journal file: for every sampler, every pruner, and a reader of both.

Tests whose subject is no database rest on this: they run in a journal file, at a tenth of the time.
"""

from __future__ import annotations

import math

import pytest

from core.contract.spec.study_spec import COUNTED, PRUNERS, SAMPLERS
from core.search.process.storage_reader import Reader
from core.search.study.optuna_study import OptunaStudy
from tests.matrix import rest_slow
from tests.search import studies

PAIRS = [(sampler, PRUNERS[(at - 1) % len(PRUNERS)]) for at, sampler in enumerate(SAMPLERS)]
SPACE = {
    "learning_rate": {"low": 1e-5, "high": 1e-2, "log": True},
    "lora_dropout": {"low": 0.0, "high": 0.3, "step": 0.1},  # a third of these has no short name in binary
    "lora_rank": {"low": 2, "high": 16, "step": 2},
    "target_modules": ["attention", ["q_proj", "v_proj"]],
}
LOSSES = [
    2.0,
    1.0,
    math.nan,
    3.0,
    2.5,
    1.5,
    7.0,
    1.2,
]  # of the trials; 7.0 is worse than any pruner lets live
ENDS = {2: "infeasible", 4: "failed", 5: "aside"}
READINGS = {"patient": 5, "hyperband": 3}  # how many a trial has, where the pruner needs more than one
RESTART = 5  # the first trial of the second process


def lived(oracle, number):
    """What the search says of one trial, from its proposal to its end."""
    proposal, loss, reason = oracle.ask(number), LOSSES[number], None
    if number % 2:
        oracle.constrain(number, "memory/alone_bytes <= 1 GiB", number / 10 - 0.4)
    for step in range(10, 10 * READINGS.get(oracle.spec.study.pruner, 1) + 10, 10):
        rows = [loss + row / 10 for row in range(-8, 9)]
        reason = reason or oracle.report(number, step, {"eval/loss": loss + step / 100}, rows)
    oracle.tell(number, ENDS.get(number, "pruned" if reason else "complete"), [loss])
    return proposal, reason


def told(raw, folder):
    """Everything that comes of a study: what it said, what is stored, what a reader finds."""
    oracle = OptunaStudy(raw, str(folder))
    said = [lived(oracle, number) for number in range(RESTART)]
    again = OptunaStudy(raw, str(folder))
    said += [lived(again, number) for number in range(RESTART, len(LOSSES))]
    after = [again.ask(8), again.ask(8)]  # the first was never handed out
    cell = {"lora_rank": 4, **({"lora_alpha": 16.0} if "lora_alpha" in again.spec.space else {})}
    by_hand = again.enqueue(10, cell, True)
    reader = Reader(raw, str(folder))
    stored = [
        repr((trial.number, trial.state, trial.values, trial.params, trial.intermediate_values))
        + repr((sorted(trial.user_attrs.items()), sorted(trial.system_attrs.items())))
        for trial in reader.trials
    ]
    return said, after, by_hand, stored, reader.state()


@pytest.mark.parametrize(
    ("sampler", "pruner"), rest_slow(sorted(PAIRS, key=lambda pair: pair[0] != "tpe"), 3)
)
def test_a_study_is_the_same_on_sqlite_and_in_a_journal_file(sampler, pruner, tmp_path):
    space = studies.GRID if sampler in COUNTED else SPACE
    startup = 5 if sampler == "gp" else 3  # a fit takes a second: three of them on each
    found = []
    for storage in ("", studies.journal(tmp_path)):
        raw = studies.raw(sampler, space, pruner=pruner, storage=storage, startup_trials=startup)
        found.append(told(raw, tmp_path))
    for sqlite, journal in zip(*found, strict=True):
        assert sqlite == journal
    assert (tmp_path / "optuna.db").exists() and (tmp_path / "study.log").exists()
    reasons = [reason for _, reason in found[0][0]]
    assert any(reasons) == (pruner != "none"), "each pruner has somebody to prune"


def test_several_objectives_are_the_same_too(tmp_path):
    found = []
    for storage in ("", studies.journal(tmp_path)):
        goals = ["eval/loss", "train/tokens_per_s"]
        oracle = OptunaStudy(studies.raw("nsga2", SPACE, objectives=goals, storage=storage), str(tmp_path))
        for number, end in enumerate(("complete", "pruned", "complete")):
            oracle.ask(number)
            oracle.tell(number, end, [1.0 / (number + 3), 5.0])
        found.append([(trial.state, trial.values, trial.params) for trial in oracle.study.trials])
    assert found[0] == found[1] and found[0][2][1] == [0.2, 5.0]


def test_each_sampler_and_each_pruner_is_among_them():
    assert {one for one, _ in PAIRS} == set(SAMPLERS) and {one for _, one in PAIRS} == set(PRUNERS)
