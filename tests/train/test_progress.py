"""A checkpoint's numbers keep their form on disk, and what an older or damaged one holds is clear."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from core.contract.events import event_types as e
from core.train import checkpoint_files
from core.train.data.batches.batch_schedule import BEGINNING
from core.train.trial import checkpoint_record
from core.train.trial.checkpoint_record import Partial, PendingSnapshot

RECORDED = Path(__file__).with_name("recorded") / "step-4.11"  # written before the numbers were a struct
KNOBS = {"steps": 8, "gradient_accumulation": 2, "lora_dropout": 0.1, "lora_rank": 1}
OPTIONAL = ("passed_step", "since", "knobs", "submitted", "pending", "unsaid", "inspected", "past", "why")


def numbers() -> dict:
    return json.loads((RECORDED / "numbers.json").read_text("utf-8"))


def test_a_recorded_checkpoint_is_resumed_in_the_middle_of_its_step(bench, tmp_path):
    (tmp_path / "here").mkdir()
    (tmp_path / "whole").mkdir()
    place = tmp_path / "here" / "0" / RECORDED.name
    shutil.copytree(RECORDED, place)
    resumed, whole = (bench(evaluate={"every": 2}) for _ in range(2))
    resumed.assign(tmp_path / "here", checkpoint=str(place), **KNOBS)
    whole.assign(tmp_path / "whole", **KNOBS)
    for pack in (resumed, whole):
        pack.finish()
    assert resumed.of(e.TrialRunning)[0].step == 4 and not resumed.of(e.StudyNoted)
    assert [event.step for event in resumed.of(e.TrialReported)] == [5, 6, 7, 8]
    assert [event.step for event in resumed.of(e.TrialEvaluated)] == [6, 8]
    # the first loss is partly of a row that the split of that time had elsewhere
    assert resumed.losses()[1:] == pytest.approx(whole.losses()[5:], rel=1e-3)


def test_numbers_are_written_as_they_were_recorded():
    raw = (RECORDED / "numbers.json").read_text("utf-8")
    assert json.dumps(checkpoint_record.read(json.loads(raw)).numbers()) == raw


def test_a_new_checkpoint_has_the_keys_of_the_recorded_one(bench, tmp_path):
    one = bench(resources={"checkpoint_every": 4})
    one.assign(tmp_path, **KNOBS)
    one.finish()
    new = checkpoint_files.read(checkpoint_files.list_checkpoints(tmp_path / "0")[0]).numbers
    assert list(new) == list(numbers())
    assert list(new["partial"]) == list(numbers()["partial"])


def test_what_waits_for_scoring_is_written_as_a_row():
    progress = checkpoint_record.read({**numbers(), "pending": [[4, 0.5, True, False]]})
    assert progress.pending == [PendingSnapshot(4, 0.5, True, False)]
    assert json.loads(json.dumps(progress.numbers()))["pending"] == [[4, 0.5, True, False]]


def test_an_older_checkpoint_gets_the_defaults():
    older = {name: value for name, value in numbers().items() if name not in OPTIONAL}
    progress = checkpoint_record.read({**older, "scored": [3, 2], "partial": None, "best_at": None})
    assert (progress.passed_step, progress.since, progress.knobs) == (-1, BEGINNING, {})
    assert (progress.submitted, progress.pending, progress.why) == (3, [], "")
    assert progress.partial is None and progress.best_at is None
    assert checkpoint_record.read(older).submitted == -1
    assert checkpoint_record.read({**older, "partial": {"micro_batches": 1}}).partial == Partial(1)


@pytest.mark.parametrize(
    "damage",
    [{"step": "four"}, {"elapsed_s": None}, {"since": [0, "x", 0]}, {"latest": 3}, {"partial": {"sums": 1}}],
)
def test_damaged_numbers_are_refused(damage):
    with pytest.raises(ValueError, match=next(iter(damage))):
        checkpoint_record.read({**numbers(), **damage})


@pytest.mark.parametrize("name", ["step", "done", "elapsed_s", "optimizer", "latest", "partial"])
def test_missing_numbers_are_refused(name):
    left = {key: value for key, value in numbers().items() if key != name}
    with pytest.raises(ValueError, match=name):
        checkpoint_record.read(left)


def test_a_checkpoint_with_damaged_numbers_is_set_aside(bench, tmp_path):
    snapshot = checkpoint_files.read(RECORDED)
    snapshot.numbers["waited"] = [1]
    at = checkpoint_record.read(numbers()).best_at
    place = checkpoint_files.write(tmp_path / "0", at, snapshot)
    one = bench()
    one.assign(tmp_path, checkpoint=str(place), **KNOBS)
    assert one.of(e.TrialRunning)[0].step == 0
    assert "waited" in one.of(e.StudyNoted)[0].text and not place.exists()
