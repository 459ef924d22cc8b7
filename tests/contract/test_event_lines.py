"""The event lists tell a decision once: what was asked for gives way to what was done."""

from __future__ import annotations

from core.contract.events import event_types as e
from core.contract.state import engine_state as s
from tests.contract.test_fold import RUNNING, event, folded

WHY = "halving pruner: eval/loss 1.66 at step 5 is worse than 1.52"


def texts(state: s.State) -> list[str]:
    """The lines of the study; those of its trial are the same without its number."""
    study = state.studies["a"]
    own = [line.text[:400] for line in study.trials[0].lines]
    shown = [line.text[:408] for line in study.lines]
    assert [f"trial 0 {text}" for text in own] == [text for text in shown if text.startswith("trial 0")]
    return shown


def test_a_prune_by_the_pruner_is_told_once():
    asked = event(e.PruneAsked, by="the pruner", why=WHY)
    assert texts(folded(*RUNNING, asked))[-1] == f"trial 0 prune requested by the pruner: {WHY}"
    found = texts(folded(*RUNNING, asked, event(e.TrialPruned, why=WHY)))
    assert [text for text in found if "1.66" in text] == [f"trial 0 pruned at step 5: {WHY}"]
    long = "halving pruner: " + "x" * 600
    cut = texts(
        folded(*RUNNING, event(e.PruneAsked, by="the pruner", why=long), event(e.TrialPruned, why=long))
    )
    assert sum("halving" in text for text in cut) == 1


def test_a_prune_by_a_person_names_the_person_and_the_reason_in_one_line():
    asked = event(e.PruneAsked, by="ada", why="too slow")
    assert texts(folded(*RUNNING, asked, event(e.TrialPruned, why="too slow")))[-1] == (
        "trial 0 pruned at step 5 by ada: too slow"
    )
    plainly = event(e.PruneAsked, by="ada", why="pruned by ada")
    assert texts(folded(*RUNNING, plainly, event(e.TrialPruned, why="pruned by ada")))[-1] == (
        "trial 0 pruned at step 5: pruned by ada"
    )


def test_a_prune_for_another_reason_does_not_hide_what_was_asked():
    asked = event(e.PruneAsked, by="ada", why="too slow")
    found = texts(folded(*RUNNING, asked, event(e.TrialPruned, why="its limit is broken")))
    assert found[-2:] == [
        "trial 0 prune requested by ada: too slow", "trial 0 pruned at step 5: its limit is broken",
    ]  # fmt: skip


def test_a_request_that_came_too_late_stays_in_the_list():
    found = texts(folded(*RUNNING, event(e.PruneAsked, by="the pruner", why=WHY), e.TrialCompleted))
    assert f"trial 0 prune requested by the pruner: {WHY}" in found
    assert found[-1].startswith("trial 0 complete: ")
    assert found[-1].endswith("; the prune requested by the pruner came after its last step")


def test_an_edit_is_told_once_when_it_is_done():
    asked = event(e.EditAsked, by="ada")
    found = texts(folded(*RUNNING, asked, event(e.TrialEdited, by="ada", changes={"clip_norm": (1.0, 0.5)})))
    assert [text for text in found if "edit" in text] == [
        text for text in found if text.startswith("trial 0 edited by ada at step 5: ")
    ]
