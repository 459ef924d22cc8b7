"""A trial is kept when somebody asks, when it is pruned, and when it is sent elsewhere."""

from __future__ import annotations

import resource
import threading
from pathlib import Path

from core.contract.events import event_types as e
from core.contract.wire import worker_api
from core.train import checkpoint_files
from core.train.pack import writer_thread
from tests.train.test_checkpoint import no_room as no_room
from tests.train.test_checkpoint import positions
from tests.train.test_edits import steps_done


def test_a_checkpoint_that_was_asked_for_is_told_though_there_is_one(bench, tmp_path):
    one = bench()
    one.assign(tmp_path)
    steps_done(one, 2)
    for _ in range(2):
        one.pack.do(worker_api.Keep(0))
    one.pack.do(worker_api.Pause(0))
    one.pack.do(worker_api.Keep(0))
    one.pack.do(worker_api.Keep(7))
    one.pack.settle()
    told = one.of(e.TrialCheckpointed)
    assert [kept.step for kept in told] == [2, 2, 2] and len({kept.path for kept in told}) == 1
    checkpoint_files.read(Path(told[0].path))


def test_before_its_first_step_a_trial_can_be_kept_and_taken_up(bench, tmp_path):
    one, plain = bench(), bench()
    one.assign(tmp_path, 0)
    one.pack.do(worker_api.Keep(0))
    one.pack.settle()
    (kept,) = one.of(e.TrialCheckpointed)
    assert kept.step == 0
    again = bench()
    again.assign(tmp_path, 0, checkpoint=kept.path)
    plain.assign(tmp_path, 1)
    again.finish(), plain.finish()
    assert again.losses() == plain.losses(1) and not [one for one in again.told if "damaged" in str(one)]


def test_a_trial_that_is_sent_elsewhere_is_kept_first_and_loses_nothing(bench, tmp_path):
    one, plain = bench(), bench()
    (tmp_path / "plain").mkdir()
    one.assign(tmp_path, 0, gradient_accumulation=2)
    plain.assign(tmp_path / "plain", 0, gradient_accumulation=2)
    for _ in range(5):
        one.turn()
    one.pack.do(worker_api.Leave(0, "pinned to cuda:1"))
    one.pack.do(worker_api.Leave(0, "said twice"))
    one.pack.settle()
    (gone,), kept = one.of(e.TrialRequeued), one.of(e.TrialCheckpointed)[-1]
    assert (gone.why, gone.retry) == ("pinned to cuda:1", 0)
    assert one.told.index(kept) < one.told.index(gone) and not len(one.pack)
    again = bench()
    again.assign(tmp_path, 0, checkpoint=kept.path, gradient_accumulation=2)
    again.finish(), plain.finish()
    assert one.losses() + again.losses() == plain.losses()


def test_a_prune_can_be_taken_back_without_a_step_lost(bench, tmp_path):
    one, plain = bench(), bench()
    (tmp_path / "plain").mkdir()
    one.assign(tmp_path, 0)
    plain.assign(tmp_path / "plain", 0)
    steps_done(one, 3)
    one.pack.do(worker_api.Prune(0, "worse than the median"))
    assert not len(one.pack) and not one.pack.parts.stack.groups, "its memory is given back at once"
    one.pack.settle()
    (pruned,), (kept,) = one.of(e.TrialPruned), one.of(e.TrialCheckpointed)
    assert pruned.step == kept.step == 3 and one.told.index(kept) < one.told.index(pruned)
    again = bench()
    again.assign(tmp_path, 0, checkpoint=kept.path)
    again.finish(), plain.finish()
    assert one.losses() + again.losses() == plain.losses()


def test_a_full_disk_does_not_hold_a_prune_back(bench, tmp_path, no_room, monkeypatch):
    """Nor does another trial's adapter that waits for room."""
    monkeypatch.setattr(writer_thread, "RETRY_S", 0.01)
    one = bench()
    one.assign(tmp_path, 0, steps=2)
    one.assign(tmp_path, 1, steps=50)
    no_room()
    while len(one.pack) > 1:
        one.pack.turn()
    pruned = threading.Event()
    one.listeners.append(lambda event: isinstance(event, e.TrialPruned) and pruned.set())
    one.pack.do(worker_api.Prune(1, "worse than the median"))
    assert pruned.wait(30.0), "it was not told"
    assert not positions(tmp_path / "1") and not one.of(e.TrialCompleted, 0)
    assert any("trial 1: no checkpoint" in note.text for note in one.of(e.StudyNoted))
    no_room(resource.RLIM_INFINITY)
    one.pack.settle()
    assert one.of(e.TrialCompleted, 0)
