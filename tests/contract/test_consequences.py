"""What the console says before it prunes or stops: what is lost, what is kept, and how to undo it."""

from __future__ import annotations

from typing import Any

from core.contract.state import engine_state as s
from core.contract.views.act_consequences import describe_prune, describe_stop, is_losing_trials

GIB = 2**30


def study(*trials: s.Trial) -> s.Study:
    return s.Study("demo", trials={trial.number: trial for trial in trials})


def running(number: int, **fields: Any) -> s.Trial:
    given = {"step": 120, "total_steps": 400, "device": "gpu0", "elapsed_s": 4320.0, **fields}
    return s.Trial(number, s.RUNNING, **given)


def test_a_prune_says_what_is_kept_how_to_undo_it_and_what_it_frees():
    trial = running(3, measured_bytes=round(1.1 * GIB))
    waiting = (s.Trial(7, priority=-1), s.Trial(8, pinned="gpu1"), s.Trial(9))
    text = describe_prune(study(trial, *waiting), trial)
    assert text == (
        "It is at step 120 of 400. A checkpoint is written, and u takes the prune back. Its curves are kept."
        " Frees 1.1 GiB on gpu0; trial 9 is next in the queue."
    )


def test_an_estimate_is_called_one_and_a_queued_trial_frees_nothing():
    trial = running(3, foretold_bytes=GIB)
    assert "Frees about 1.0 GiB on gpu0." in describe_prune(study(trial), trial)
    assert describe_prune(study(), s.Trial(4)) == "It has trained nothing yet; u takes the prune back."


def test_a_stop_says_how_much_training_ends_unfinished():
    whole = study(running(1), running(2), s.Trial(3), s.Trial(4, s.COMPLETE, step=400))
    text = describe_stop(whole)
    assert text.startswith("2 trials that have trained for 2 h 24 min end unfinished, with a checkpoint.")
    assert "1 trial not begun yet is dropped." in text and "P pauses instead" in text
    assert is_losing_trials(whole) and not is_losing_trials(study(s.Trial(3)))
