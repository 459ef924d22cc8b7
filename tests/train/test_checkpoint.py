"""A trial that is stopped anywhere and taken up in another process goes on as if it had not stopped."""

import random
import resource
import signal

import pytest
from safetensors.torch import load_file

from core.contract import events as e
from core.errors import TrimtabError
from core.train import checkpoint

KNOBS = {"steps": 10, "lora_dropout": 0.1, "gradient_accumulation": 2, "learning_rate": 5e-3}


def adapter_of(folder):
    return load_file(folder / "0" / "adapter" / "adapter_model.safetensors")


@pytest.mark.parametrize("optimizer", ["adamw", "adafactor", "sgd", "adamw-8bit"])
def test_interrupted_at_random_points_the_result_is_the_same_bit_for_bit(bench, tmp_path, optimizer):
    knobs = {**KNOBS, "optimizer": optimizer}
    whole_folder, broken_folder = tmp_path / "whole", tmp_path / "broken"
    for folder in (whole_folder, broken_folder):
        folder.mkdir()
    whole = bench()
    whole.assign(whole_folder, **knobs)
    whole.finish()
    draw = random.Random(optimizer)
    told, losses = [], {}
    for _ in range(100):
        one = bench()
        known = checkpoint.known(broken_folder / "0")
        one.assign(broken_folder, checkpoint=str(known[0]) if known else "", **knobs)
        for _ in range(draw.randint(3, 12)):
            one.pack.turn()
        one.pack.checkpoint_all()
        losses |= {event.step: event.metrics["train/loss"] for event in one.of(e.TrialReported)}
        told += one.of(e.TrialEvaluated)
        if one.of(e.TrialCompleted):
            break
    assert [losses[step] for step in range(1, 11)] == whole.losses()
    assert {event.step: event.metrics for event in told} == {
        event.step: event.metrics for event in whole.of(e.TrialEvaluated)
    }
    before, after = adapter_of(whole_folder), adapter_of(broken_folder)
    assert all(before[key].equal(after[key]) for key in before)


def damaged(path):
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)


def test_a_damaged_checkpoint_is_told_and_the_one_before_is_used(bench, tmp_path):
    one = bench(resources={"checkpoint_every": 2})
    one.assign(tmp_path, steps=8)
    one.finish()
    newest, before = checkpoint.known(tmp_path / "0")
    assert (newest.name, before.name) == ("step-6", "step-4")
    damaged(newest / "adapter.safetensors")
    again = bench()
    again.assign(tmp_path, steps=8, checkpoint=str(newest))
    assert again.of(e.TrialRunning)[0].step == 4
    note = again.of(e.StudyNoted)[0].text
    assert "adapter.safetensors is damaged" in note


def test_a_checkpoint_that_the_engine_never_heard_of_is_passed_over(bench, tmp_path):
    one = bench(resources={"checkpoint_every": 2})
    one.assign(tmp_path, steps=8)
    one.finish()
    newest, before = checkpoint.known(tmp_path / "0")
    again = bench()
    again.assign(tmp_path, steps=8, checkpoint=str(before))
    again.finish()
    assert again.of(e.TrialRunning)[0].step == 4 < checkpoint.step_of(newest)
    assert [told.step for told in again.of(e.TrialReported)] == [5, 6, 7, 8]


def test_a_checkpoint_without_its_manifest_is_refused(bench, tmp_path):
    one = bench(resources={"checkpoint_every": 4})
    one.assign(tmp_path)
    one.finish()
    folder = checkpoint.known(tmp_path / "0")[0]
    (folder / "manifest.json").unlink()
    with pytest.raises(TrimtabError, match="the checkpoint cannot be used"):
        checkpoint.read(folder)


def test_the_last_two_are_kept(bench, tmp_path):
    one = bench(resources={"checkpoint_every": 1})
    one.assign(tmp_path)
    one.finish()
    assert [folder.name for folder in checkpoint.known(tmp_path / "0")] == ["step-7", "step-6"]


@pytest.fixture
def no_room():
    """Files of this process may not grow beyond a kilobyte."""
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1024, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


def test_a_checkpoint_that_finds_no_room_is_a_warning_and_training_goes_on(bench, tmp_path, no_room):
    one = bench(resources={"checkpoint_every": 2})
    one.assign(tmp_path, steps=8)
    while not one.of(e.TrialCheckpointed):
        one.pack.turn()
    no_room()
    while not one.of(e.StudyNoted):
        one.pack.turn()
    note = one.of(e.StudyNoted)[0]
    assert note.level == "warning" and "no checkpoint at step 4" in note.text
    assert [place.name for place in (tmp_path / "0").iterdir()] == ["step-2"]
    assert one.pack.busy
