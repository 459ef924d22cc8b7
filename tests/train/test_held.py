"""Under the wilcoxon pruner each evaluation tells the loss of every row, the same row at the same place."""

from __future__ import annotations

import math

import pytest
import torch

from core.contract import events as e
from core.contract import wire, work
from core.train.data import cut, has_target
from core.train.held import Held
from core.train.wants import Judge, Rate


def rowwise(one):
    """The same study under the pruner that compares rows, which the file's check may not know yet."""
    section = one.spec.study.model_copy(update={"pruner": "wilcoxon"})
    one.pack._spec = one.spec = one.spec.model_copy(update={"study": section})
    return one


def teaching(rows, length: int) -> int:
    return sum(has_target(cut(row, length)) for row in rows)


def test_nothing_is_told_or_asked_where_no_pruner_needs_it(bench, tmp_path):
    one = bench()
    one.assign(tmp_path)
    one.finish()
    assert all(told.rows == () for told in one.of(e.TrialEvaluated))
    held = Held(one.spec, one.data, 32)
    assert isinstance(held.want(None, held.batch(0)), Judge)  # type: ignore[arg-type]


def test_rows_are_told_as_the_study_orders_them_and_their_mean_is_the_loss(bench, tmp_path):
    one, plain = rowwise(bench(evaluate={"batch_size": 3})), bench(evaluate={"batch_size": 3})
    for some, name in ((one, "one"), (plain, "plain")):
        (tmp_path / name).mkdir()
        some.assign(tmp_path / name)
        some.finish()
    for told, other in zip(one.of(e.TrialEvaluated), plain.of(e.TrialEvaluated), strict=True):
        assert told.metrics == pytest.approx(other.metrics, rel=1e-5)
        rows = one.data.validation
        targets = [sum(label != -100 for label in row.labels[1:]) for row in rows]
        mean = sum(loss * count for loss, count in zip(told.rows, targets, strict=True)) / sum(targets)
        assert mean == pytest.approx(told.metrics["eval/loss"], rel=1e-3)
        assert all(loss == float(f"{loss:.4g}") for loss in told.rows)
    raw = wire.encode(work.Told(1, one.of(e.TrialEvaluated)[0]))
    assert wire.read_from_worker(raw).event.rows == one.of(e.TrialEvaluated)[0].rows


def test_a_row_has_one_place_whatever_the_length_of_a_trials_sequences(bench, tmp_path):
    """With sequences so short that some rows teach nothing, those are missing; the others stay in place."""
    one = rowwise(bench(train={"sequence_length": 64}))
    lengths = [len(row.ids) for row in one.data.validation]
    short = next(most for most in range(8, 64) if 0 < teaching(one.data.validation, most) < 8)
    one.assign(tmp_path, 0, sequence_length=64)
    one.assign(tmp_path, 1, sequence_length=short)
    one.finish()
    long, few = (one.of(e.TrialEvaluated, number)[0].rows for number in (0, 1))
    assert len(long) == len(few) == len(lengths) and not any(map(math.isnan, long))
    for row, loss in zip(one.data.validation, few, strict=True):
        assert math.isnan(loss) == (not has_target(cut(row, short)))
    held = Held(one.spec, one.data, 64)
    rows = held.batch(0)
    assert isinstance(held.want(None, rows), Rate)  # type: ignore[arg-type]


def test_an_evaluation_that_was_left_tells_all_rows(bench, tmp_path):
    one = rowwise(bench(evaluate={"batch_size": 2}))
    one.assign(tmp_path)
    while len(one.of(e.TrialReported)) < 4:
        one.turn()
    one.turn()
    one.pack.checkpoint_all()
    again, whole = rowwise(bench(evaluate={"batch_size": 2})), rowwise(bench(evaluate={"batch_size": 2}))
    again.assign(tmp_path, checkpoint=one.of(e.TrialCheckpointed)[-1].path)
    again.finish()
    (tmp_path / "whole").mkdir()
    whole.assign(tmp_path / "whole")
    whole.finish()
    assert torch.tensor(again.of(e.TrialEvaluated)[0].rows).equal(
        torch.tensor(whole.of(e.TrialEvaluated)[0].rows)
    )
