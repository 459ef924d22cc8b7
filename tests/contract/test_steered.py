"""What people do to a running study is in the picture: who, what, and since which step."""

import msgspec

from core.contract.events import event_types as e
from core.contract.state import engine_state as s
from core.contract.state.event_fold import apply, explain_refusal
from tests.contract.test_fold import RUNNING, SPEC, event, folded, trial_of

EDIT = e.EditAsked(at=3.0, study="a", trial=0, by="me", changes={"learning_rate": 5e-4})
EDITED = e.TrialEdited(at=4.0, study="a", trial=0, step=7, by="me", changes={"learning_rate": (1e-3, 5e-4)})


def test_an_edit_is_shown_as_asked_until_the_worker_has_made_it():
    asked = trial_of(folded(*RUNNING, EDIT))
    assert asked.editing == {"learning_rate": 5e-4} and asked.knobs == {}
    made = trial_of(folded(*RUNNING, EDIT, EDITED))
    assert made.editing == {} and made.knobs["learning_rate"] == 5e-4
    assert made.marks == (s.Mark(7, "learning_rate 0.001 → 0.0005"),)


def test_an_edited_trial_does_not_count_for_the_sampler_unless_it_is_wanted():
    assert not trial_of(folded(*RUNNING, EDIT)).counted
    wanted = msgspec.structs.replace(EDIT, counted=True)
    assert trial_of(folded(*RUNNING, wanted)).counted
    assert not trial_of(folded(*RUNNING, EDIT, wanted)).counted  # it was told a lie once already


def test_a_second_edit_that_meets_the_first_is_still_waited_for():
    again = msgspec.structs.replace(EDIT, changes={"learning_rate": 1e-4})
    assert trial_of(folded(*RUNNING, EDIT, again, EDITED)).editing == {"learning_rate": 1e-4}


def test_more_steps_move_the_end_of_a_trial():
    longer = msgspec.structs.replace(EDITED, changes={"steps": (10, 20)}, total_steps=20)
    assert trial_of(folded(*RUNNING, longer)).total_steps == 20


def test_a_trial_by_hand_comes_on_top_of_those_planned():
    by_hand = e.TrialQueued(at=2.0, study="a", trial=0, params={}, knobs={}, by="me")
    assert folded(by_hand).studies["a"].total_trials == SPEC["study"]["trials"] + 1
    assert trial_of(folded(by_hand)).by == "me" and trial_of(folded(by_hand)).counted


def test_a_clone_begins_with_its_parents_curves_up_to_where_it_leaves_them():
    readings = [event(e.TrialEvaluated, step=step, metrics={"eval/loss": 9.0 - step}) for step in (2, 4, 6)]
    clone = e.TrialQueued(
        at=5.0, study="a", trial=1, params={}, knobs={}, by="me", parent=0, step=4, checkpoint="x",
        counted=False,
    )  # fmt: skip
    trial = folded(*RUNNING, *readings, clone).studies["a"].trials[1]
    assert trial.series["eval/loss"].steps == (2, 4)
    assert (trial.parent, trial.step, trial.checkpoint, trial.counted) == (0, 4, "x", False)


def test_a_prune_can_be_taken_back_and_the_trial_goes_on_from_its_checkpoint():
    kept = event(e.TrialCheckpointed, step=3)
    readings = [event(e.TrialEvaluated, step=step) for step in (2, 4)]
    back = e.TrialReprieved(at=6.0, study="a", trial=0, by="me")
    state = folded(*RUNNING, *readings, kept, e.TrialPruned, back)
    trial = trial_of(state)
    assert (trial.state, trial.step, trial.why, trial.ended_at) == (s.QUEUED, 3, "", None)
    assert trial.series["eval/loss"].steps == (2,) and not trial.counted
    assert explain_refusal(state, back) == "trial 0 is queued"


def test_notes_and_stars_outlive_a_trial_and_leave_the_rest_alone():
    noted = e.TrialMarked(at=6.0, study="a", trial=0, by="me", note="look \x1b[31mhere", starred=True)
    state = folded(*RUNNING, e.TrialCompleted, noted)
    trial = trial_of(state)
    assert trial.starred and "\x1b" not in trial.note and trial.note.endswith("here") and trial.pinned == ""
    off = apply(state, e.TrialMarked(at=7.0, study="a", trial=0, by="me", starred=False))
    assert not trial_of(off).starred and trial_of(off).note == trial.note


def test_a_changed_study_says_what_is_other_and_who_did_it():
    spec = {"study": {**SPEC["study"], "trials": 9, "sampler": "gp"}}
    told = e.StudyChanged(at=2.0, study="a", by="me", spec=spec, changes=("study.sampler: tpe → gp",))
    study = folded(told).studies["a"]
    assert study.total_trials == 9 and study.spec == spec
    assert study.lines[-1].text == "changed by me: study.sampler: tpe → gp"
