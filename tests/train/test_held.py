"""Under the wilcoxon pruner each evaluation tells the loss of every row, the same row at the same place."""

from __future__ import annotations

import math

import msgspec
import pytest
import torch

from core.contract.events import event_types as e
from core.contract.wire import message_codec, worker_api
from core.train.data.dataset import cut, has_target
from core.train.step.compute_requests import Judge, Rate
from core.train.trial.validation import HeldOutRows


def rowwise(one):
    """The same study under the pruner that compares rows, which the file's check may not know yet."""
    section = msgspec.structs.replace(one.spec.study, pruner="wilcoxon")
    one.pack.parts.spec = one.spec = msgspec.structs.replace(one.spec, study=section)
    return one


def teaching(rows, length: int) -> int:
    return sum(has_target(cut(row, length)) for row in rows)


def test_nothing_is_told_or_asked_where_no_pruner_needs_it(bench, tmp_path):
    one = bench()
    one.assign(tmp_path)
    one.finish()
    assert all(told.rows == () for told in one.of(e.TrialEvaluated))
    held = HeldOutRows(one.spec, one.data)
    assert isinstance(held.make_request(None, held.batch(0)), Judge)  # type: ignore[arg-type]


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
    raw = message_codec.encode(worker_api.Told(1, one.of(e.TrialEvaluated)[0]))
    assert message_codec.read_from_worker(raw).event.rows == one.of(e.TrialEvaluated)[0].rows


def test_trials_of_any_sequence_length_are_judged_on_the_same_tokens(bench, tmp_path):
    """Learning nothing, they are one model: its loss and that of each row are the same, whatever is cut."""
    one = rowwise(bench(train={"sequence_length": 64, "learning_rate": 1e-12, "steps": 4}))
    some = next(most for most in range(8, 64) if 0 < teaching(one.data.train, most) < len(one.data.train))
    one.assign(tmp_path, 0, sequence_length=64)
    one.assign(tmp_path, 1, sequence_length=some)
    one.finish()
    long, short = (one.of(e.TrialEvaluated, number)[0] for number in (0, 1))
    assert long.metrics["eval/loss"] == pytest.approx(short.metrics["eval/loss"], rel=1e-6)
    assert len(long.rows) == len(one.data.validation) and not any(map(math.isnan, long.rows))
    assert short.rows == pytest.approx(long.rows, rel=1e-3)
    told = [note.text for note in one.of(e.StudyNoted) if "sequence_length" in note.text]
    assert len(told) == 1 and told[0].startswith(f"trial 1: sequence_length = {some}: ")
    assert (
        "training rows are longer and are truncated" in told[0]
        and "validation uses up to 64 tokens" in told[0]
    )
    rows = HeldOutRows(one.spec, one.data).batch(0)
    assert isinstance(HeldOutRows(one.spec, one.data).make_request(None, rows), Rate)  # type: ignore[arg-type]


def test_a_row_without_a_target_where_the_base_has_no_more_places_has_a_gap(bench):
    one = rowwise(bench(train={"sequence_length": 64}))
    short = next(most for most in range(8, 64) if 0 < teaching(one.data.validation, most) < 8)
    held = HeldOutRows(one.spec, one.data, short)
    told = held.row_losses([1.0] * len(held))
    for row, loss in zip(one.data.validation, told, strict=True):
        assert math.isnan(loss) == (not has_target(cut(row, short)))


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
