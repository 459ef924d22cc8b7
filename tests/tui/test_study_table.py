"""Filter, columns, selection, race and queue of the study screen, through the real line to the engine."""

from core.contract.events import event_types as e
from core.contract.wire import console_api
from core.contract.wire.memory_forecast import MemoryNow, Verdict
from tests.tui.explored import SCENES
from tests.tui.scene import NOW, no_card, state_of, study_events
from tui.study_table import queue_fit_query

SCENE = (study_events(), no_card())
MANY = state_of(*SCENES["explored"])


def first_cells(you) -> list[str]:
    """The number of each row of the table."""
    lines = you.screen().splitlines()
    head = next(place for place, line in enumerate(lines) if "state" in line and "progress" in line)
    found = []
    for line in lines[head + 1 :]:
        cell = line[1:5].strip().rstrip("★")
        if not cell.isdecimal():
            break
        found.append(cell)
    return found


async def test_a_filter_says_what_it_finds_where_it_is_wrong_and_is_there_again(seat):
    async with seat(MANY, (100, 30)) as you:
        await you.press("slash", *"state:prun")
        await you.sees("state:pruned")
        await you.press("tab", *" lr<2e-5")
        await you.sees("6 of 40 trials")
        assert first_cells(you) == ["4", "14", "16", "20", "37", "39"]
        await you.press(*" los<1")
        await you.sees("no knob or metric is called 'los'; did you mean 'loss'?")
        lines = you.screen().splitlines()
        typed = next(line for line in lines if "los<1" in line and "^" not in line)
        assert lines[lines.index(typed) + 1].index("^") == typed.index("los")
        assert len(first_cells(you)) == 6, "the filter before it holds on"
        await you.press("enter", *["backspace"] * 6, "enter")
        await you.sees("6 of 40 trials", "state:pruned lr<2e-5")
        await you.press("space", "O")
        assert first_cells(you)[0] == "39"
    async with seat(MANY, (100, 30)) as you:
        await you.sees("6 of 40 trials", "▌1 selected", "by number ▼")
        await you.press("escape")
        await you.sees("40 of 40 trials", "1 selected")
        await you.press("escape", "O")
        await you.until(lambda: "of 40 trials" not in you.screen(), "nothing is chosen any more")


async def test_columns_are_chosen_moved_and_ordered_by(seat):
    async with seat(MANY, (120, 40)) as you:
        await you.press("C")
        await you.sees("columns", "the trial's number", "Space shows", "safety/toxicity, smoothed")
        await you.press(*["down"] * 4, "space")  # progress … left
        await you.press("j", "j", "o", "escape")
        await you.until(lambda: " left " not in you.screen().splitlines()[2], "the column is hidden")
        assert "best loss▲" in you.screen().splitlines()[2]
        assert first_cells(you)[0] == "26", "the best first"
        await you.pilot.click("TrialTable", offset=(you.screen().splitlines()[2].index(" lr") + 1, 0))
        await you.sees("lr▲", "by learning_rate ▲")
        lowest = min(you.app.study.trials.values(), key=lambda trial: trial.knobs["learning_rate"])
        assert first_cells(you)[0] == str(lowest.number)
        await you.press("C", "r", "escape")
        await you.until(lambda: " left " in you.screen().splitlines()[2], "as trimtab chooses")


async def test_keys_act_on_all_selected_trials_after_one_question(seat):
    async with seat(state_of(*SCENE)) as you:
        await you.press("g", "space", *"jjjjj", "space", "j", "space", "j", "v")
        await you.sees("4 selected")
        await you.press("p")
        await you.sees("Pause 2 trials?", "#6 #7", "Nothing happens to the other 2")
        await you.press("n")
        assert not you.backend.asked
        await you.press("x")
        await you.sees("Prune 3 trials?", "#5 #6 #7", "u takes the prunes back")
        await you.press("y")
        wanted = [console_api.PruneTrial("tidy-7b", number) for number in (5, 6, 7)]
        await you.until(lambda: you.backend.asked == wanted, "three requests")
        await you.press("u")
        await you.sees("nothing to unprune:")
        await you.press("slash", *"running", "enter", "x")
        await you.sees("The filter hides 2 of")
        await you.press("n", "escape", "escape", "asterisk")
        await you.until(lambda: len(you.backend.asked) == 4, "without a selection the trial under the cursor")
        await you.press("slash", *"step>100", "enter", "M", "c")
        await you.sees("clones of", "each goes on from where it stands")


async def test_a_free_part_of_the_screen_shows_the_race(seat):
    async with seat(state_of(study_events(ends=["complete"] * 7 + ["running"]), no_card()), (80, 40)) as you:
        await you.press("G")
        await you.sees("race eval/loss by steps", "#7 is", "below, judged at step 280", "●#7")
        await you.press("k")
        await you.sees("●#6")
        await you.press("t")
        await you.sees("race eval/loss by tokens")
        await you.press("R")
        await you.until(lambda: "race eval/loss" not in you.screen(), "the race is hidden")
        for shown in ((True, False), (False, True), (False, False), (True, True)):
            await you.press("underscore")
            await you.until(
                lambda shown=shown: ("─ devices" in you.screen(), "─ events" in you.screen()) == shown,
                f"devices, events: {shown}",
            )


async def test_queued_trials_say_in_the_table_when_they_fit(seat, monkeypatch):
    monkeypatch.setattr(queue_fit_query, "ASK_EVERY_S", 0.0)
    async with seat(state_of(*SCENE)) as you:
        you.backend.answers = lambda request: MemoryNow((), (Verdict(9, "fits after #8 ends", "warning"),))
        you.backend.happen(e.TrialPaused(at=NOW, study="tidy-7b", trial=7, step=268))
        await you.sees("after #8")
        assert all(isinstance(request, console_api.WeighMemory) for request in you.backend.asked)
