"""What a trial and a study say when all steps are done: evaluating, scoring 12/36, how many are scored."""

from __future__ import annotations

import pytest

from core.contract.events import event_types as e
from core.contract.metric_score import Score
from tests.matrix import rest_slow
from tests.tui.scene import NOW, no_card, state_of, study_events, trial_events

STUDY = "tidy-7b"
SIZES = rest_slow([((80, 24),), ((120, 40),), ((200, 60),)])


def based() -> e.Event:
    return e.BaseScored(at=NOW - 2900, study=STUDY, scores={"quality/loss": Score(3.28, 3.1, 3.4, 64)})


def pending(number: int, done: int = 0, total: int = 0, *values: float) -> list[e.Event]:
    """A trial whose training is done and whose last scores are to come."""
    told = trial_events(STUDY, number, "complete")[:-1]
    same = {"study": STUDY, "trial": number}
    told.append(e.TrialCompleted(at=NOW - 60, **same, step=400, values=values, scoring=400))
    words = [(0, NOW - 50), (done, NOW - 20)] if total else []
    return told + [e.TrialScoring(at=at, **same, step=400, done=one, total=total) for one, at in words]


def evaluated(number: int) -> list[e.Event]:
    """A trial whose steps are all done, and which is evaluated."""
    return trial_events(STUDY, number, "complete")[:-2]


def scene(*groups: list[e.Event], ends: tuple[str, ...] = ()):
    return state_of(study_events(ends=list(ends)), *groups, no_card())


@pytest.mark.parametrize("size", SIZES)
async def test_a_complete_trial_shows_its_scoring_until_its_last_scores_arrive(seat, size):
    async with seat(scene([based()], pending(0, 12, 36, 2.05)), size) as you:
        told = "1 scoring 12/36" if size[0] < 100 else "1 being scored (12 of 36 answers)"
        await you.sees("✓ complete", "scoring 12/36", told)
        await you.sees("eval/loss base 3.280 → 2.050", "4%  1/24")
        await you.press("enter")
        await you.sees("✓ complete", "400/400 steps", "scoring 12/36, 1m00s left")
        scored = e.TrialScored(
            at=NOW,
            study=STUDY,
            trial=0,
            step=400,
            elapsed_s=600.0,
            scores={"quality/loss": Score(2.1)},
            last=True,
        )
        you.backend.happen(scored)
        await you.until(lambda: "scoring 12/36" not in you.screen(), "the last scores")
        await you.press("escape")
        await you.sees("100%")
        assert "being scored" not in you.screen() and "1 scoring" not in you.screen()


async def test_many_answers_are_shown_in_percents_and_none_yet_in_words(seat):
    async with seat(scene(pending(0, 100, 1280, 2.0), pending(1))) as you:
        await you.sees("scoring   7%", "to be scored", "2 scoring 100/1280")


@pytest.mark.parametrize("size", SIZES)
async def test_a_trial_with_all_its_steps_done_is_evaluating(seat, size):
    async with seat(scene(evaluated(0)), size) as you:
        await you.sees("● running", "  evaluating", "1 evaluating")
        assert "100%" not in you.screen() and " 0s" not in you.screen()
        await you.press("enter")
        await you.sees("400/400 steps", "evaluating")
        assert "0s left" not in you.screen()


async def test_a_snapshot_that_is_scored_while_the_trial_trains_stands_in_its_detail(seat):
    live = e.TrialScoring(at=NOW, study=STUDY, trial=0, step=160, done=7, total=36)
    async with seat(scene(trial_events(STUDY, 0, "running"), [live])) as you:
        assert "scoring" not in you.screen() and "being scored" not in you.screen()
        await you.press("enter")
        await you.sees("● running", "step 160: scoring 7/36")


async def test_without_the_bases_scores_only_the_best_is_shown(seat):
    async with seat(scene(ends=("complete",))) as you:
        await you.sees("best #0 eval/loss ")
        assert "base" not in you.screen().split("\n")[1]


async def test_before_the_first_result_the_base_is_what_is_to_be_beaten(seat):
    async with seat(scene([based()], ends=("running",))) as you:
        await you.sees("no trial is complete yet; minimize eval/loss, base 3.280")


async def test_a_state_with_pending_scores_is_found_as_complete(seat):
    async with seat(scene(pending(0, 12, 36, 2.05), trial_events(STUDY, 1, "running"))) as you:
        await you.press("slash", *"complete", "enter")
        await you.until(lambda: "● running  " not in you.screen().split("\n", 3)[3], "only the complete one")
        await you.sees("✓ complete")
