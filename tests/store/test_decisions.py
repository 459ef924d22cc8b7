"""The decisions of an exported study: when, who, what and why, for events that it knows and for others."""

from core.contract.events import event_types as e
from core.store.decision_list import list_decisions


def told(events):
    return list(list_decisions(events))


def test_a_prune_says_who_asked_and_why(events):
    found = [one for one in told(events) if one.trial == 1]
    asked = next(one for one in found if one.event == "prune-asked")
    assert asked.by == "the pruner" and asked.what == "prune requested by the pruner"
    assert asked.why.startswith("median pruner: eval/loss 1.66 at step 120") and asked.time.endswith("Z")
    assert [one.what for one in found][:2] == ["queued", "starting on gpu0"]


def test_readings_are_none_and_their_notes_are(events):
    note = e.TrialReported(
        at=1.0, study="tidy-7b", trial=4, step=3, elapsed_s=1.0, metrics={}, notes=("the loss jumps",)
    )
    before, after = told(events), told([*events, note])
    assert not any(one.event in ("trial-reported", "trial-evaluated", "trial-scored") for one in before)
    assert len(after) == len(before) + 1
    assert (after[-1].what, after[-1].level) == ("the loss jumps", "warning")


def test_what_has_no_words_is_told_by_its_tag_and_fields(events):
    class StudyRenamed(e.Event, frozen=True, tag="study-renamed"):
        by: str
        to: str

    found = told([*events, StudyRenamed(at=9.0, study="tidy-7b", by="console", to="better")])[-1]
    assert (found.by, found.what, found.fields) == ("console", "study renamed: to better", {"to": "better"})


def test_a_study_that_was_paused_names_the_person(events):
    found = told([*events, e.StudyPaused(at=9.0, study="tidy-7b", by="command line")])[-1]
    assert found.by == "command line" and found.what.startswith("paused by command line")


def test_a_secret_in_a_reason_is_hidden(events):
    why = "stopped: token=hf_abcdefghijklmnopqrstuvwx"
    found = told([*events, e.StudyStopping(at=9.0, study="tidy-7b", why=why)])[-1]
    assert "abcdefghijkl" not in repr(found) and "(redacted)" in found.why
