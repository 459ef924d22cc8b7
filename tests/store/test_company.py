"""Whether a trial had its passes to itself is read from the journal."""

from core.contract.events import event_types as e
from core.store.pack_mates import find_pack_mates


def begins(trial: int, worker: str = "w"):
    same = {"at": 1.0, "study": "s", "trial": trial}
    return [
        e.TrialStarting(**same, worker=worker, device="cpu"),
        e.TrialRunning(**same, step=0, total_steps=9),
    ]


def ends(trial: int):
    return e.TrialCompleted(at=2.0, study="s", trial=trial, step=9, values=(1.0,))


def test_one_after_the_other_each_is_alone():
    found = find_pack_mates([*begins(0), ends(0), *begins(1), ends(1)])
    assert found[0].alone and found[1].alone and found[0].devices == ("cpu",)


def test_two_at_once_on_one_worker_are_not_and_on_two_workers_are():
    together = find_pack_mates([*begins(0), *begins(1), ends(0), ends(1)])
    assert together[0].beside == (1,) and together[1].beside == (0,)
    apart = find_pack_mates([*begins(0), *begins(1, "other"), ends(0), ends(1)])
    assert apart[0].alone and apart[1].alone


def test_a_paused_trial_is_beside_nobody():
    paused = e.TrialPaused(at=1.5, study="s", trial=0, step=3)
    resumed = e.TrialResumed(at=1.9, study="s", trial=0, step=3)
    assert find_pack_mates([*begins(0), paused, *begins(1), ends(1), resumed, ends(0)])[0].alone


def test_an_interruption_and_a_change_of_knobs_are_noted():
    class TrialChanged(e.TrialEvent, frozen=True, tag="trial-changed"):
        changes: dict

    lost = e.TrialRequeued(at=1.2, study="s", trial=0, why="lost", retry=1)
    change = TrialChanged(at=1.4, study="s", trial=0, changes={"learning_rate": 0.1})
    found = find_pack_mates([*begins(0), lost, *begins(0), change, ends(0)])[0]
    assert (found.interrupted, found.changed) == (1, ("learning_rate",))
