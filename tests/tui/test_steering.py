"""Steering by keypress: forms that check what is typed, send what changed, and stay open on a refusal."""

from __future__ import annotations

import pytest

from core.contract.events import event_types as e
from core.contract.wire import console_api
from tests.tui.scene import NOW, four_cards, no_card, state_of, study_events
from tests.tui.steered import answers, steered_study

STUDY = "tidy-7b"
SCENE = (study_events(), no_card())


async def choose(you, number: int) -> None:
    you.backend.answers = answers
    await you.press("g", *"j" * number)


async def clear_and_type(you, text: str) -> None:
    """What stands in the field is selected when it gets the keys: typing replaces it."""
    await you.press(*[{" ": "space", "…": "…"}.get(one, one) for one in text])


async def asked(you, *wanted: console_api.AnyRequest) -> None:
    await you.until(lambda: you.backend.asked == list(wanted), f"the requests {wanted}")


# -- a new trial ----------------------------------------------------------------------------------


async def test_n_queues_a_trial_like_the_selected_one_with_what_was_changed(seat):
    async with seat(state_of(*SCENE)) as you:
        await choose(you, 0)
        await you.press("n")
        await you.sees("new trial · like trial 0", "learning_rate", "1e-05 to 0.001 log")
        await clear_and_type(you, "1e-4")
        await you.sees("was 0.000488")
        await you.press("tab", "tab")
        await clear_and_type(you, "32")
        await you.press("enter")
        knobs = {"learning_rate": 1e-4, "lora_rank": 32}
        await asked(you, console_api.EnqueueTrial(STUDY, knobs, 0))
        await you.sees("queued as trial 11", "progress")


async def test_an_emptied_row_of_the_space_is_left_to_the_sampler(seat):
    async with seat(state_of(*SCENE)) as you:
        await choose(you, 0)
        await you.press("n", "delete")
        await you.sees("the sampler's choice")
        await you.press("enter")
        await you.until(lambda: you.backend.asked, "the request")
        request, trial = you.backend.asked[0], you.app.study.trials[0]
        assert request.like is None and "learning_rate" not in request.knobs
        assert request.knobs["lora_rank"] == trial.knobs["lora_rank"]


async def test_a_value_outside_the_space_is_allowed_and_said(seat):
    async with seat(state_of(*SCENE), (120, 40)) as you:
        await choose(you, 0)
        await you.press("n")
        await clear_and_type(you, "0.1")
        await you.sees("outside the space: the sampler will not learn from it")
        await you.press("enter")
        await asked(you, console_api.EnqueueTrial(STUDY, {"learning_rate": 0.1}, 0))


async def test_without_a_trial_the_space_is_the_samplers(seat):
    async with seat(state_of(study_events(ends=[]), no_card())) as you:
        you.backend.answers = answers
        await you.press("n", "enter")
        await asked(you, console_api.EnqueueTrial(STUDY, {}))


async def test_what_is_wrong_is_said_while_it_is_typed_and_nothing_is_sent(seat):
    async with seat(state_of(*SCENE)) as you:
        await choose(you, 0)
        await you.press("n")
        await clear_and_type(you, "fast")
        await you.sees("✗ must be a number")
        await you.press("down", "enter")
        await you.sees("learning_rate: must be a number")
        assert not you.backend.asked
        await you.press("ctrl+r")
        await you.until(lambda: "must be a number" not in you.screen(), "it is taken back")


async def test_a_refusal_leaves_the_form_open_and_nothing_is_lost(seat):
    async with seat(state_of(*SCENE)) as you:
        await choose(you, 0)
        await you.press("n")
        await clear_and_type(you, "3e-4")
        you.backend.refusal = console_api.Reply(
            0, False, "the disk is full", "trial by hand", "free some of it"
        )
        await you.press("enter")
        await you.sees("the disk is full", "→ free some of it", "3e-4")
        you.backend.refusal = None
        await you.press("enter")
        await you.sees("queued as trial 11")
        assert you.backend.asked[-1] == console_api.EnqueueTrial(STUDY, {"learning_rate": 3e-4}, 0)


async def test_choices_turn_with_the_arrow_keys(seat):
    async with seat(state_of(*SCENE), (120, 40)) as you:
        await choose(you, 0)
        await you.press("n", *["down"] * 8, "right")
        await you.sees("▸ optimizer", "adafactor", "not as all trials have it")
        await you.press("left", "left", "enter")
        await asked(you, console_api.EnqueueTrial(STUDY, {"optimizer": "adamw-8bit-paged"}, 0))


# -- clones and edits -----------------------------------------------------------------------------


async def test_c_clones_with_other_knobs_and_says_what_cannot_be_other(seat):
    async with seat(state_of(*SCENE)) as you:
        await choose(you, 6)
        await you.press("c")
        await you.sees("clone of trial 6", "step 228", "its weights have this shape")
        await clear_and_type(you, "x0.5")
        await you.sees("0.000386083 × 0.5")
        await you.press("enter")
        await asked(you, console_api.CloneTrial(STUDY, 6, {"learning_rate": "x0.5"}))


async def test_c_clones_from_the_best_step_where_its_checkpoint_is_kept_and_else_says_that_none_is(seat):
    kept = e.TrialCheckpointed(at=NOW, study=STUDY, trial=6, step=220, path="/t/6/step-220.9")
    async with seat(state_of(*SCENE, [kept])) as you:
        await choose(you, 6)
        await you.press("c")
        await you.sees("from the best", "from its best evaluation, step 220")
        await clear_and_type(you, "yes")
        await you.press("enter")
        await asked(you, console_api.CloneTrial(STUDY, 6, {}, best=True))
        await you.press("j", "c")
        await you.sees("clone of trial 7", "Of its best step", "no checkpoint is kept")
        assert "from the best" not in you.screen()


async def test_c_on_a_trial_without_a_checkpoint_says_what_to_do(seat):
    async with seat(state_of(*SCENE)) as you:
        await choose(you, 9)
        await you.press("c")
        await you.sees("trial 9 has no checkpoint: n")


async def test_e_edits_what_may_change_live_and_nothing_else(seat):
    async with seat(state_of(*SCENE)) as you:
        await choose(you, 6)
        await you.press("e")
        await you.sees("edit trial 6 live", "step 228 of 400", "evaluate_every", "report to sampler")
        assert "lora_rank" not in you.screen().split("edit trial")[1].split("Esc leaves")[0]
        await you.press("enter")
        await you.sees("nothing has changed yet")
        await clear_and_type(you, "*2")
        await you.press(*["tab"] * 4)
        await clear_and_type(you, "228")
        await you.sees("must be above 228")
        await you.press("backspace", "backspace", "backspace")
        await clear_and_type(you, "500")
        await you.sees("272 to go, was 400")
        await you.press("enter")
        await asked(you, console_api.EditTrial(STUDY, 6, {"learning_rate": "x2", "steps": 500}))


async def test_the_result_of_an_edited_trial_counts_only_where_it_is_wanted(seat):
    async with seat(state_of(*SCENE)) as you:
        await choose(you, 6)
        await you.press("e")
        await clear_and_type(you, "1e-4")
        await you.press("up", "right")
        await you.sees("The edited values differ from those", "yes reports it anyway", "was no")
        await you.sees("Enter applies · Tab")  # however many lines stand above
        await you.press("enter")
        await asked(you, console_api.EditTrial(STUDY, 6, {"learning_rate": 1e-4}, counted=True))


async def test_what_an_earlier_edit_took_from_the_sampler_is_not_told_later(seat):
    async with seat(state_of(steered_study(), no_card())) as you:
        await choose(you, 6)
        await you.press("e")
        await you.sees("report to sampler", "its result is not reported")


async def test_before_a_trial_has_begun_all_of_it_may_change(seat):
    async with seat(state_of(*SCENE), (120, 40)) as you:
        await choose(you, 9)
        await you.press("e")
        await you.sees("The trial has not started", "lora_rank", "initialisation")


async def test_an_edit_is_shown_as_asked_then_as_made_and_marked_on_the_curve(seat):
    async with seat(state_of(*SCENE), (120, 40)) as you:
        await choose(you, 6)
        you.backend.happen(
            e.EditAsked(at=NOW, study=STUDY, trial=6, by="console", changes={"learning_rate": 5e-5})
        )
        await you.sees("● editing…")
        pair = {"learning_rate": (0.000386, 5e-5)}
        you.backend.happen(e.TrialEdited(at=NOW, study=STUDY, trial=6, step=120, by="console", changes=pair))
        await you.until(lambda: "editing…" not in you.screen(), "it is made")
        row = next(line for line in you.screen().splitlines() if line.strip().startswith("6 "))
        assert "✎" in row and " 5.00e-5 " in row
        await you.press("enter")
        await you.sees("✎120", "✎ learning_rate", "not reported to the sampler")


async def test_e_on_an_ended_trial_says_what_there_is_instead(seat):
    async with seat(state_of(*SCENE)) as you:
        await choose(you, 0)
        await you.press("e")
        await you.sees("trial 0 is complete: c clones it")


# -- marks ----------------------------------------------------------------------------------------


async def test_a_star_a_note_and_the_queues_order(seat):
    async with seat(state_of(*SCENE), (120, 40)) as you:
        await choose(you, 9)
        await you.press("asterisk")
        await asked(you, console_api.MarkTrial(STUDY, 9, starred=True))
        you.backend.happen(e.TrialMarked(at=NOW, study=STUDY, trial=9, by="me", starred=True, priority=2))
        await you.sees("* +2")
        await you.press("asterisk", "plus", "minus")
        await you.until(lambda: len(you.backend.asked) == 4, "three requests more")
        assert you.backend.asked[1:] == [
            console_api.MarkTrial(STUDY, 9, starred=False),
            console_api.MarkTrial(STUDY, 9, priority=3),
            console_api.MarkTrial(STUDY, 9, priority=1),
        ]
        await you.press("N")
        await you.sees("note on trial 9")
        await clear_and_type(you, "why not?")
        await you.press("enter")
        await you.until(lambda: len(you.backend.asked) == 5, "the note")
        assert you.backend.asked[-1] == console_api.MarkTrial(STUDY, 9, note="why not?")


async def test_only_the_queue_has_an_order(seat):
    async with seat(state_of(*SCENE)) as you:
        await choose(you, 6)
        await you.press("plus")
        await you.sees("trial 6 is running: only queued")
        assert not you.backend.asked


async def test_d_pins_to_a_device_and_lets_it_go(seat):
    async with seat(state_of(study_events(), four_cards()), (120, 40)) as you:
        await choose(you, 9)
        await you.press("D")
        await you.sees("pin trial 9 to", "● any", "gpu1", "Tesla K80")
        assert "gpu3" not in you.screen(), "it has fallen off"
        await you.press("down", "down", "enter")
        await asked(you, console_api.MarkTrial(STUDY, 9, device="gpu1"))
        you.backend.happen(e.TrialMarked(at=NOW, study=STUDY, trial=9, by="me", device="gpu1"))
        await you.sees("@gpu1")
        await you.press("D", "up", "up", "enter")
        await you.until(lambda: you.backend.asked[-1] == console_api.MarkTrial(STUDY, 9, device=""), "let go")


async def test_u_takes_a_prune_back_and_a_refusal_is_shown(seat):
    async with seat(state_of(*SCENE)) as you:
        await choose(you, 1)
        await you.press("u")
        await asked(you, console_api.ReprieveTrial(STUDY, 1))
        await you.press("j", "u")
        await you.sees("trial 2 is complete, not pruned")
        you.backend.refusal = console_api.Reply(
            0, False, "its checkpoint is gone", "trial 1", "n queues it anew"
        )
        await you.press("k", "u")
        await you.sees("its checkpoint is gone", "→ n queues it anew")


async def test_the_rows_say_what_people_did(seat):
    async with seat(state_of(steered_study(), no_card()), (120, 40)) as you:
        rows = {line.split()[0].rstrip("★"): line for line in you.screen().splitlines() if line.split()}
        assert "*¶" in rows["4"] and "✎" in rows["6"] and "editing…" in rows["7"]
        assert "@gpu1 +2" in rows["9"] and "←6" in rows["10"]
        await you.press("g", *"jjjj", "enter")
        await you.sees("* starred", "¶ look at this one again")


@pytest.mark.parametrize(
    ("typed", "numbers"),
    [("*", {4}), ("edited", {6}), ("editing", {7}), ("clone", {10}), ("←6", {10}), ("@gpu1", {9}),
     ("uncounted", {6, 7, 10}), ("again", {4})],
)  # fmt: skip
async def test_the_filter_finds_what_people_did(seat, typed, numbers):
    async with seat(state_of(steered_study(), no_card())) as you:
        await you.press("slash")
        you.app.screen.query_one("#filter").value = typed
        await you.pilot.pause(0.1)
        table = you.app.screen.query_one("#trials")
        assert set(table._keys) == numbers


async def test_the_same_keys_steer_from_the_detail(seat):
    async with seat(state_of(*SCENE)) as you:
        await choose(you, 6)
        await you.press("enter", "asterisk")
        await asked(you, console_api.MarkTrial(STUDY, 6, starred=True))
        for key, word in (("n", "like trial 6"), ("c", "clone of trial 6"), ("e", "edit trial 6 live")):
            await you.press(key)
            await you.sees(word)
            await you.press("escape")
        await you.sees("› trial 6")
