"""Trials of one pack draw from other mixtures, and each trains as if it were alone."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import pytest

from core.contract.events import event_types as e
from core.contract.wire import worker_api
from core.errors import TrimtabError
from core.train.data.batches.batch_schedule import BatchSchedule
from core.train.data.mixture_rows import EARLY, find_source, share_out
from core.train.step.forward_pass import count_targets
from tests.tiny import tiny_rows

KNOBS = {"gradient_accumulation": 2, "lora_dropout": 0.1, "steps": 6}
MIXES = (
    {"weight.code": 1.0, "weight.web": 1.0, "replay": 0.25},
    {"weight.web": 9.0, "replay": 0.0, "batch_size": 2},
    {"weight.code": 0.0, "replay": 0.5, "gradient_accumulation": 1},
)


@pytest.fixture(scope="session")
def folder(shallow):
    return shallow


@pytest.fixture
def mixed(bench, tmp_path):
    """A bench of a file of code, and of a file with a task in each row."""
    tiny_rows(tmp_path / "code.jsonl", 60, 1)
    with (tmp_path / "tasks.jsonl").open("w") as file:
        for number in range(60):
            row = {"prompt": f"sort {number}", "completion": f"value {number} key"}
            file.write(json.dumps(row | {"task": ("web", "old", "other")[number % 3]}) + "\n")
    mixture = [
        {"name": "code", "source": str(tmp_path / "code.jsonl")},
        {"name": "web", "where": {"task": "web"}},
        {"name": "old", "where": {"task": "old"}, "replay": True},
    ]
    data = {"source": str(tmp_path / "tasks.jsonl"), "mixture": mixture, "validation": 0.3}

    def make(**sections):
        return bench(data={**data, **sections.pop("data", {})}, **sections)

    return make


def test_a_mixture_changes_nothing_for_the_neighbours(mixed, tmp_path):
    together = mixed()
    for number, knobs in enumerate(MIXES):
        together.assign(tmp_path, number, **{**KNOBS, **knobs})
    together.finish()
    for number, knobs in enumerate(MIXES):
        alone = mixed()
        alone.assign(tmp_path, number, **{**KNOBS, **knobs})
        alone.finish()
        assert together.losses(number) == pytest.approx(alone.losses(number), rel=1e-5)
        ends = [one.of(e.TrialEvaluated, number)[-1].metrics for one in (together, alone)]
        forgotten = [end.pop("eval/forgetting") for end in ends]  # a difference of losses
        assert ends[0] == pytest.approx(ends[1], rel=1e-5)
        assert forgotten[0] == pytest.approx(forgotten[1], abs=1e-5)
        assert {"eval/loss/code", "eval/loss/web", "eval/loss/old"} <= ends[0].keys()


def test_the_shares_that_are_drawn_are_those_of_the_knobs_and_are_told(mixed, tmp_path):
    one = mixed(train={"steps": 5, "batch_size": 32})
    one.assign(tmp_path, **MIXES[0])
    one.finish()
    told = one.of(e.TrialReported)[-1].metrics
    shares = [told[f"train/row_share/{name}"] for name in ("code", "web", "old")]
    assert shares == pytest.approx([0.375, 0.375, 0.25], abs=0.015)
    wanted = [told[f"train/wanted_share/{name}"] for name in ("code", "web", "old")]
    assert wanted == pytest.approx([0.375, 0.375, 0.25])
    assert sum(told[f"train/token_share/{name}"] for name in ("code", "web", "old")) == pytest.approx(1)
    assert "train/row_share/code" not in one.of(e.TrialReported)[1].metrics, "only where it is evaluated"


def test_all_trials_are_judged_on_the_same_rows_whatever_their_weights(mixed, tmp_path):
    one, other = mixed(), mixed(train={"weight.web": 100.0})
    assert [row.ids.tolist() for row in one.data.validation] == [
        row.ids.tolist() for row in other.data.validation
    ]
    counts = Counter(map(find_source, one.data.validation))
    assert sorted(counts.values()) == [2, 3, 3] and counts.keys() == {"code", "web", "old"}
    one.assign(tmp_path, steps=1, learning_rate=0.5)
    one.assign(tmp_path, 1, steps=1, learning_rate=1e-12)
    one.finish()
    values, unchanged = (one.of(e.TrialEvaluated, number)[-1].metrics for number in (0, 1))
    forgotten = values["eval/loss/old"] - unchanged["eval/loss/old"]
    assert abs(forgotten) > 0.01 and values["eval/forgetting"] == pytest.approx(forgotten, rel=1e-4)
    counts = {name: count_targets([row for row in one.data.validation if find_source(row) == name])
              for name in ("code", "web")}  # without the rows that are only replayed  # fmt: skip
    total = sum(values[f"eval/loss/{name}"] * count for name, count in counts.items())
    assert values["eval/loss"] == pytest.approx(total / sum(counts.values()), rel=1e-5)


def test_no_source_trains_on_a_row_that_another_source_is_judged_on(mixed, tmp_path):
    shared = [{"prompt": f"sort {number}", "completion": f"value {number} key"} for number in range(40)]
    (tmp_path / "more.jsonl").write_text("".join(json.dumps(row) + "\n" for row in shared))
    mixture = [{"name": "web", "where": {"task": "web"}}, {"name": "more", "source": "more.jsonl"}]
    mixture[1]["source"] = str(tmp_path / "more.jsonl")
    one = mixed(data={"mixture": mixture}, evaluate={"rows": 20})
    held = {row.ids.tobytes(): find_source(row) for row in one.data.validation}
    trained = {row.ids.tobytes(): find_source(row) for row in one.data.train}
    assert held.keys() and not held.keys() & trained.keys()
    (note,) = [note for note in one.data.notes if "more: " in note and "left out" in note]
    assert "training rows are left out: they are validation rows of other sources" in note
    assert [row.number for row in one.data.train] == list(range(len(one.data.train)))
    assert sum(size.rows for size in one.data.mixture.sizes) == len(one.data.train)


def test_what_one_source_has_too_few_rows_for_goes_to_the_others():
    assert share_out([100, 3, 50], 60) == [28, 3, 29] and share_out([2, 2], 60) == [2, 2]
    assert share_out([0, 10], 4) == [0, 4]


@pytest.mark.parametrize("changed", [{}, {"batch_size": 3}, {"weight.web": 0.1, "replay": 0.5}])
def test_a_checkpoint_goes_on_with_the_next_rows_of_each_source(mixed, tmp_path, changed):
    one, two = mixed(), mixed()
    one.assign(tmp_path, **{**KNOBS, **MIXES[0]})
    while not one.of(e.TrialEvaluated):
        one.turn()
    one.turn()
    one.pack.do(worker_api.Keep(0))
    one.pack.settle()
    kept = Path(one.of(e.TrialCheckpointed)[-1].path)
    shutil.copytree(kept, tmp_path / "1" / kept.name)
    given = {**one.spec.train, **KNOBS, **MIXES[0], **changed}
    place = str(tmp_path / "1" / kept.name)
    two.pack.do(worker_api.Assign(1, given, str(tmp_path / "1"), place, parent=0))
    course, before = two.pack.parts.members[1].trial.course, rows_of(one, {**KNOBS, **MIXES[0]}, 0, 4)
    after = [row for step in range(4, 6) for rows in course.micro_batches(step) for row in rows]
    own = [row.number for row in [*before, *after] if find_source(row) == "web"]
    assert len(set(own[:14])) == len(own[:14]), "a row comes again only after all others of its source"
    if not changed:
        one.finish(), two.finish()
        assert two.losses(1) == one.losses()[4:]
        shares = [some.of(e.TrialReported, at)[-1].metrics for some, at in ((one, 0), (two, 1))]
        assert [told["train/token_share/web"] for told in shares] == [shares[0]["train/token_share/web"]] * 2
        ends = [some.of(e.TrialEvaluated, at)[-1].metrics for some, at in ((one, 0), (two, 1))]
        assert ends[0]["eval/forgetting"] == ends[1]["eval/forgetting"], "since the start of its parent"


def rows_of(one, knobs: dict, first: int, last: int) -> list:
    rows, knobs = one.data.shorten(32)[0], {**one.spec.train, **knobs}
    course = BatchSchedule(rows, knobs, mixture=one.data.mixture)
    return [row for step in range(first, last) for batch in course.micro_batches(step) for row in batch]


def test_canaries_are_among_the_first_rows_once_for_each_time_they_are_planted(mixed):
    one = mixed(evaluate={"canaries": 3})
    planted = [row.planted for row in rows_of(one, {"batch_size": 5}, 0, 40)]
    count = sum(len(canary.rows) for canary in one.data.canaries)
    assert [at for at, is_canary in enumerate(planted) if is_canary] == list(
        range(EARLY - 1, EARLY * count, EARLY)
    )
    trained = BatchSchedule(one.data.train, one.spec.train, mixture=one.data.mixture).rows_trained(2)
    assert trained == {row.number for row in rows_of(one, {}, 0, 2)}


def test_a_source_without_rows_is_named(mixed):
    with pytest.raises(TrimtabError, match=r"mixture: web") as error:
        mixed(data={"mixture": [{"name": "web", "where": {"task": "wbe"}}, {"name": "all"}]})
    assert "match where" in str(error.value)


def test_a_trial_without_any_rows_left_is_infeasible(mixed, tmp_path):
    one = mixed()
    one.assign(tmp_path, **{"weight.code": 0.0, "weight.web": 0.0, "weight.old": 0.0})
    assert "no source of the mixture" in one.of(e.TrialInfeasible)[0].why
