"""A trial that is stopped anywhere and taken up in another process goes on as if it had not stopped."""

import random
import resource
import signal
import threading
from pathlib import Path

import pytest
from safetensors.torch import load_file

from core.contract.events import event_types as e
from core.contract.wire import worker_api
from core.errors import TrimtabError
from core.train import checkpoint_files, training_position
from core.train.pack import writer_thread
from core.train.pack.pack_checkpoints import CheckpointSchedule
from core.train.pack.writer_thread import Writer
from tests.matrix import rest_slow

KNOBS = {"steps": 10, "lora_dropout": 0.1, "gradient_accumulation": 2, "learning_rate": 5e-3}
KNOBS |= {"neftune_noise_alpha": 5.0, "prompt_dropout": 0.2, "label_smoothing": 0.1}


@pytest.fixture(scope="session")
def folder(shallow):
    return shallow


def adapter_of(folder, trial=0):
    return load_file(folder / str(trial) / "adapter" / "adapter_model.safetensors")


@pytest.mark.parametrize("optimizer", rest_slow(["adamw", "adamw-8bit", "adafactor", "sgd"], 2))
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
        known = checkpoint_files.list_checkpoints(broken_folder / "0")
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


@pytest.mark.parametrize("seed", rest_slow(range(2)))
def test_killed_at_random_points_the_result_is_the_same_bit_for_bit(bench, tmp_path, seed):
    """Nobody keeps anything at a kill: what came after the last checkpoint that was told is trained again.
    Some tellings are lost, and pauses come in between."""
    whole_folder, broken_folder = tmp_path / "whole", tmp_path / "broken"
    for folder in (whole_folder, broken_folder):
        folder.mkdir()
    one, draw, known, losses = bench(resources={"checkpoint_every": 2}), random.Random(seed), "", {}
    one.assign(whole_folder, **KNOBS)
    one.finish()
    whole = one.losses()
    one.told.clear()
    while not one.of(e.TrialCompleted):
        one.told.clear()
        one.pack = type(one.pack)(one.spec, one.base, one.data, one.told.append)
        one.assign(broken_folder, checkpoint=known, **KNOBS)
        for _ in range(draw.randint(2, 14)):
            one.turn() if one.pack.busy else one.pack.do(worker_api.Resume(0))
            if draw.random() < 0.1:
                one.pack.do(worker_api.Pause(0))
        one.pack.settle()
        told = [event.path for event in one.of(e.TrialCheckpointed)]
        known = draw.choice(told[-2:]) if told else known
        for event in one.of(e.TrialReported):
            losses.setdefault(event.step, event.metrics["train/loss"])
            assert losses[event.step] == event.metrics["train/loss"], "trained again, it is the same"
    assert [losses[step] for step in range(1, 11)] == whole
    before, after = adapter_of(whole_folder), adapter_of(broken_folder)
    assert all(before[key].equal(after[key]) for key in before)


def positions(folder):
    return [
        training_position.read(checkpoint.name) for checkpoint in checkpoint_files.list_checkpoints(folder)
    ]


def damaged(path):
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)


def test_a_damaged_checkpoint_is_told_and_the_one_before_is_used(bench, tmp_path):
    one = bench(resources={"checkpoint_every": 2})
    one.assign(tmp_path, steps=8)
    one.finish()
    newest = checkpoint_files.list_checkpoints(tmp_path / "0")[0]
    assert [place.step for place in positions(tmp_path / "0")] == [8, 6, 4]
    damaged(newest / "adapter.safetensors")
    again = bench()
    again.assign(tmp_path, steps=8, checkpoint=str(newest))
    assert again.of(e.TrialRunning)[0].step == 6
    note = again.of(e.StudyNoted)[0].text
    assert "adapter.safetensors is damaged" in note


def test_a_checkpoint_that_the_engine_never_heard_of_is_passed_over(bench, tmp_path):
    one = bench(resources={"checkpoint_every": 2})
    one.assign(tmp_path, steps=8)
    one.finish()
    newest, before, *_ = checkpoint_files.list_checkpoints(tmp_path / "0")
    again = bench()
    again.assign(tmp_path, steps=8, checkpoint=str(before))
    again.finish()
    assert again.of(e.TrialRunning)[0].step == 6 < training_position.read(newest.name).step
    assert [told.step for told in again.of(e.TrialReported)] == [7, 8]


def test_what_a_life_that_nobody_heard_of_kept_does_not_crowd_out_the_next_ones(bench, tmp_path):
    """Engine and worker were lost before any checkpoint was told: the trial begins anew."""
    one = bench(resources={"checkpoint_every": 2})
    one.assign(tmp_path, steps=8)
    one.finish()
    again = bench(resources={"checkpoint_every": 2})
    again.assign(tmp_path, steps=8)
    assert again.of(e.TrialRunning)[0].step == 0 and not positions(tmp_path / "0")
    while len(again.of(e.TrialReported)) < 4:
        again.turn()
    third = bench()
    third.assign(tmp_path, steps=8, checkpoint=again.of(e.TrialCheckpointed)[-1].path)
    assert third.of(e.TrialRunning)[0].step == 4


def test_a_checkpoint_without_its_manifest_is_refused(bench, tmp_path):
    one = bench(resources={"checkpoint_every": 4})
    one.assign(tmp_path)
    one.finish()
    folder = checkpoint_files.list_checkpoints(tmp_path / "0")[0]
    (folder / "manifest.json").unlink()
    with pytest.raises(TrimtabError, match="the checkpoint cannot be used"):
        checkpoint_files.read(folder)


def test_the_last_two_and_the_best_are_kept(bench, tmp_path):
    one = bench(resources={"checkpoint_every": 1}, evaluate={"every": 4})
    one.assign(tmp_path, steps=14, learning_rate=1e-12, scheduler="constant", warmup=0.0)  # nothing improves
    while one.pack.busy:
        one.turn()
    judged = {told.step: told.metrics["eval/loss"] for told in one.of(e.TrialEvaluated)}
    best = min(judged, key=judged.__getitem__)
    assert best == 4
    assert {place.step for place in positions(tmp_path / "0")} == {14, 13, best}


def test_the_whole_pack_is_kept_when_one_of_it_is_due(bench, tmp_path):
    one = bench(resources={"checkpoint_every": 4, "checkpoint_every_s": 0})
    one.assign(tmp_path, 0, gradient_accumulation=2)
    one.assign(tmp_path, 1)
    while not one.of(e.TrialCheckpointed, 1):
        one.turn()
    (first,), (second,) = positions(tmp_path / "0"), positions(tmp_path / "1")
    assert (first, second) == ((2, 4), (4, 4))


def test_a_pause_keeps_the_trial_on_disk_with_the_step_that_is_under_way(bench, tmp_path):
    """Nothing is trained twice: of four micro-batches two are done."""
    knobs = {**KNOBS, "gradient_accumulation": 4}
    one = bench()
    one.assign(tmp_path, **knobs)
    for _ in range(6):
        one.pack.turn()
    one.pack.do(worker_api.Pause(0))
    one.pack.settle()
    kept = Path(one.of(e.TrialCheckpointed)[0].path)
    again = bench()
    again.assign(tmp_path, checkpoint=str(kept), **knobs)
    again.pack.turn()
    assert not again.losses()
    again.pack.turn()
    assert [told.step for told in again.of(e.TrialReported)] == [2]
    one.pack.do(worker_api.Resume(0))
    for some in (one, again):
        some.finish()
    assert one.losses()[1:] == again.losses()


PACK = [
    {"steps": 9, "lora_rank": 4, "seed": 1, "gradient_accumulation": 3},
    {"steps": 12, "lora_rank": 8, "batch_size": 2, "lora_dropout": 0.2, "seed": 2},
    {"steps": 16, "lora_rank": 3, "optimizer": "sgd", "target_modules": "attention", "seed": 3},
]


@pytest.mark.parametrize("seed", rest_slow(range(2)))
def test_a_pack_that_is_stopped_and_brought_back_whole_has_the_same_bits(bench, tmp_path, seed):
    whole_folder, broken_folder = tmp_path / "whole", tmp_path / "broken"
    for folder in (whole_folder, broken_folder):
        folder.mkdir()
    whole = bench(evaluate={"batch_size": 3})
    for number, knobs in enumerate(PACK):
        whole.assign(whole_folder, number, **knobs)
    whole.finish()
    draw, losses, ended = random.Random(seed), {0: {}, 1: {}, 2: {}}, set()
    while len(ended) < len(PACK):
        one = bench(evaluate={"batch_size": 3})
        for number, knobs in enumerate(PACK):
            known = checkpoint_files.list_checkpoints(broken_folder / str(number))
            if number not in ended:
                one.assign(broken_folder, number, str(known[0]) if known else "", **knobs)
        for _ in range(draw.randint(1, 15)):
            if one.pack.busy:
                one.pack.turn()
        one.pack.checkpoint_all()
        for number in losses:
            losses[number] |= {told.step: told.metrics for told in one.of(e.TrialReported, number)}
            ended |= {number} if one.of(e.TrialCompleted, number) else set()
    for number, curve in losses.items():
        assert [curve[step]["train/loss"] for step in sorted(curve)] == whole.losses(number)
        before, after = adapter_of(whole_folder, number), adapter_of(broken_folder, number)
        assert all(before[key].equal(after[key]) for key in before)


def test_checkpoints_do_not_pile_up_before_a_slow_disk():
    slow, done, writer = threading.Event(), [], Writer()
    writer.do(slow.wait)
    for number in range(3):
        writer.do(lambda number=number: done.append(number), "of trial 0")
    writer.do(lambda: done.append("adapter"))
    slow.set()
    writer.settle()
    assert done == [2, "adapter"]


@pytest.mark.parametrize(
    ("steps", "seconds", "due"), [(4, 0, [4, 8]), (0, 3.0, [3, 6, 9]), (0, 0, []), (5, 7.0, [5, 10])]
)
def test_a_pack_is_kept_every_so_many_steps_or_seconds(steps, seconds, due):
    now = 0.0
    cadence = CheckpointSchedule(steps, seconds, lambda: now)
    cadence.join(0, 0)
    found = []
    for step in range(1, 11):
        now = float(step)
        found += [step] if cadence.due({0: step}) else []
    assert found == due


@pytest.fixture
def no_room():
    """Files of this process may not grow beyond a kilobyte, until it is called with more."""
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    yield lambda most=1024: resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


def test_a_checkpoint_that_finds_no_room_is_a_warning_and_training_goes_on(bench, tmp_path, no_room):
    one = bench(resources={"checkpoint_every": 2})
    one.assign(tmp_path, steps=8)
    while not one.of(e.TrialCheckpointed):
        one.turn()
    no_room()
    while not one.of(e.StudyNoted):
        one.turn()
    note = one.of(e.StudyNoted)[0]
    assert note.level == "warning" and "no checkpoint was written at step 4" in note.text
    assert [place.step for place in positions(tmp_path / "0")] == [2]
    assert one.pack.busy


def test_a_pause_that_found_no_room_is_kept_when_the_worker_goes(bench, tmp_path, no_room):
    one = bench()
    one.assign(tmp_path)
    one.turn()
    no_room()
    one.pack.do(worker_api.Pause(0))
    one.pack.settle()
    assert "no checkpoint was written at step 1" in one.of(e.StudyNoted)[0].text and not positions(
        tmp_path / "0"
    )
    no_room(resource.RLIM_INFINITY)
    one.pack.checkpoint_all()
    assert [place.step for place in positions(tmp_path / "0")] == [1]


def trained_on_a_full_disk(bench, folder, no_room, monkeypatch, heard):
    """A trial that has made its last step while its adapter finds no room; ``heard`` is called at that."""
    monkeypatch.setattr(writer_thread, "RETRY_S", 0.01)
    one = bench()
    one.listeners.append(lambda event: isinstance(event, e.StudyNoted) and heard())
    one.assign(folder, steps=2)
    no_room()
    while one.pack.busy:
        one.pack.turn()
    return one


def test_a_trained_trial_waits_for_room_and_is_complete_then(bench, tmp_path, no_room, monkeypatch):
    room = lambda: no_room(resource.RLIM_INFINITY)  # noqa: E731
    one = trained_on_a_full_disk(bench, tmp_path, no_room, monkeypatch, room)
    one.pack.settle()
    (note,) = one.of(e.StudyNoted)
    assert note.level == "warning" and "its adapter waits for free disk space" in note.text
    assert one.of(e.TrialCompleted) and not one.of(e.TrialFailed)
    assert adapter_of(tmp_path)


def test_a_worker_that_must_go_does_not_wait_for_room(bench, tmp_path, no_room, monkeypatch):
    told = threading.Event()
    one = trained_on_a_full_disk(bench, tmp_path, no_room, monkeypatch, told.set)
    assert told.wait(30.0), "it was not told"
    one.pack.checkpoint_all()
    assert not one.of(e.TrialCompleted) and not one.of(e.TrialFailed), "the next worker ends it again"


def test_a_trial_whose_folder_is_a_link_is_not_trained(bench, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "0").symlink_to(tmp_path / "elsewhere")
    one = bench()
    one.assign(tmp_path)
    assert "is a link" in one.of(e.TrialFailed)[0].error and not any((tmp_path / "elsewhere").iterdir())


@pytest.mark.parametrize("name", ["step-1.1.new", "adapter", "adapter.new"])
def test_no_checkpoint_and_no_adapter_is_written_through_a_link(bench, tmp_path, name):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "0").mkdir()
    (tmp_path / "0" / name).symlink_to(tmp_path / "elsewhere")
    one = bench(resources={"checkpoint_every": 1})
    one.assign(tmp_path, steps=3)
    one.finish()
    assert not any((tmp_path / "elsewhere").iterdir())
    assert one.of(e.StudyNoted) or one.of(e.TrialFailed)
