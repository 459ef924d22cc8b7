"""The insight screen through the real line to a scripted engine."""

import asyncio

import pytest

from core.contract.events import event_types as e
from core.contract.wire import console_api
from core.contract.wire.search_state import Importance
from tests.matrix import rest_slow
from tests.tui.explored import SCENES, answers, explored_study
from tests.tui.scene import NOW, no_card, state_of, study_events

ONE, TWO = state_of(*SCENES["explored"]), state_of(*SCENES["two"])
PAGES = ["history", "importance", "slices", "contour", "parallel", "front", "stopped", "sampler"]


def row(you, words: str) -> str:
    return next(line for line in you.screen().splitlines() if words in line)


def complete(number: int, value: float) -> list[e.Event]:
    """A trial from its proposal to its end."""
    common = {"study": "tidy-7b", "trial": number}
    params = {"learning_rate": 1e-4, "lora_rank": 8, "lora_dropout": 0.0, "batch_size": 2}
    return [
        e.TrialQueued(at=NOW, **common, params=params, knobs=params),
        e.TrialStarting(at=NOW, **common, worker="w", device="cpu"),
        e.TrialRunning(at=NOW, **common, step=0, total_steps=400),
        e.TrialCompleted(at=NOW, **common, step=400, values=(value,)),
    ]


async def test_i_opens_it_from_the_study_and_the_detail_and_escape_leads_back(seat):
    async with seat(ONE) as you:
        for leave in ("escape", "backspace", "i"):
            await you.press("i")
            await you.sees("› insight", "40 of 48 trials ended", "best so far 1.112", "× ")
            if leave == "i":
                await you.press("A")
                await you.sees("results only (A)", "best so far 1.112")
                assert you.screen().count("×") == 1, "in the legend alone"
            await you.press(leave)
            await you.sees("progress")
        await you.press("g", "enter", "i")
        await you.sees("› insight", "trial 0 ")
        await you.press("escape")
        await you.sees("› trial 0")


async def test_it_is_in_the_palette_and_in_the_help(seat):
    async with seat(ONE, (100, 160)) as you:
        await you.press("question_mark")
        await you.sees(
            "history, importance, Pareto front", "importance by PED-ANOVA or fANOVA", "compare the selected"
        )
        await you.press("escape", "ctrl+p")
        await you.press(*"insight")
        await you.sees("insight: history, importance, Pareto front … (i)")
        await you.press("enter")
        await you.sees("› insight")


@pytest.mark.parametrize("size", rest_slow([((80, 24),), ((200, 60),), ((40, 10),)]))
async def test_every_page_stands_in_every_size_and_tab_goes_round(seat, size):
    async with seat(ONE, size) as you:
        you.backend.answers = answers
        await you.press("i")
        for _ in PAGES:
            await you.press("right", "down", "tab")
            assert "insight" in you.screen()
        await you.sees("● result")
        await you.press("shift+tab", "tab", "shift+tab")
        assert "insight" in you.screen()


async def test_the_history_marks_results_early_ends_and_the_best(seat):
    async with seat(ONE) as you:
        await you.press("i")
        await you.sees("● result", "× stopped early", "━━ best so far 1.112", "in order of completion")
        await you.press("right", "right")
        await you.sees("trial 2 ✓ complete  eval/loss 1.134", "lr 1.31e-4")


async def test_importance_is_asked_of_the_engine_and_again_when_a_trial_ends(seat):
    async with seat(ONE) as you:
        you.backend.answers = answers
        await you.press("i", "tab")
        await you.sees("PED-ANOVA: shares of what sets the best 13 %", "71%", "from 38 trials, 20 of them")
        assert you.backend.asked == [console_api.AskImportance("tidy-7b", "ped-anova", 0)]
        you.backend.happen(e.StudyNoted(at=NOW, study="tidy-7b", text="something else"))
        await you.until(lambda: you.app.study.lines[-1].text == "something else", "the event")
        you.app.screen.show()
        await you.pilot.pause()
        assert len(you.backend.asked) == 1, "only trials that end make other shares"
        you.backend.happen(*complete(40, 1.0))
        await you.until(lambda: len(you.backend.asked) == 2, "asked again")
        await you.sees("41 of 48")


async def test_one_question_at_a_time_while_trials_end(seat):
    async with seat(ONE) as you:
        you.backend.answers, you.backend.held = answers, asyncio.Event()
        await you.press("i", "tab")
        await you.sees("asking the engine which knobs matter …")
        for number in range(40, 45):
            you.backend.happen(*complete(number, 1.2))
        await you.sees("45 of 48")
        assert len(you.backend.asked) == 1
        you.backend.held.set()
        await you.until(lambda: len(you.backend.asked) == 2, "the newest question")
        await you.sees("71%")


async def test_f_takes_fanova_and_says_what_it_needs(seat):
    async with seat(ONE) as you:
        you.backend.answers = answers
        await you.press("i", "f")
        await you.sees("fANOVA", "pip install scikit-learn")
        await you.press("f")
        await you.sees("PED-ANOVA", "71%")


async def test_a_refusal_is_told_and_the_page_goes_on(seat):
    async with seat(ONE) as you:
        you.backend.refusal = console_api.Reply(
            0, False, "the storage is locked", "optuna.db", "close what holds it"
        )
        await you.press("i", "tab")
        await you.sees("no answer: the storage is locked → close what holds it")


async def test_few_trials_have_a_reason_instead_of_shares(seat):
    async with seat(state_of(study_events(), no_card())) as you:
        why = "3 of at least 10 trials have a value: too few to tell it from chance"
        you.backend.answers = lambda request: Importance("ped-anova", "eval/loss", why_none=why)
        await you.press("i", "tab")
        await you.sees(why)


async def test_the_arrows_choose_the_knob_and_the_trial(seat):
    async with seat(ONE) as you:
        await you.press("i", "tab", "tab", "down")
        await you.sees("▸ eval/loss over lora_rank", "↑↓ lora_rank (2 of 4)", "32")
        await you.press("up", "right", "l")
        await you.sees("▸ eval/loss over learning_rate (log)", "trial ")
        await you.press("tab", "down")
        await you.sees("learning_rate × lora_dropout (2 of 6)", "lora_dropout (up) over learning_rate")
        await you.press("tab")
        await you.sees("best quarter by eval/loss", "lr log", "rank", "worst")


async def test_the_ranking_opens_the_trial_under_the_cursor(seat):
    async with seat(ONE) as you:
        await you.press("i", *["tab"] * 5)
        await you.sees("rank  trial")
        best = sorted((t.values[0], t.number) for t in you.app.study.trials.values() if t.values)
        order = [number for _, number in best]
        await you.press("up", "up")
        here = you.app.screen.find_selected_trial().number
        assert here == order[order.index(0) - 2], "it begins on the trial of the study screen"
        await you.press("enter")
        await you.sees(f"› trial {here}")
        await you.press("escape")
        await you.sees("› insight")


async def test_with_two_objectives_the_front_is_drawn(seat):
    async with seat(TWO) as you:
        await you.press("i", *["tab"] * 5)
        await you.sees("● on the front", "4 of 38 trials", "quality/bleu (maximize, up) against eval/loss")
        await you.press("full_stop")
        await you.sees("eval/loss (minimize, up) against quality/bleu", "quality/bleu, higher is better")


async def test_who_was_stopped_stands_with_step_and_reason_and_the_rungs_above(seat):
    async with seat(ONE, (120, 40)) as you:
        you.backend.answers = answers
        await you.press("i", "shift+tab", "shift+tab")
        await you.sees("rung 0, step 20: 30 in", "#0▲", "#8●", "#3×", "pruning saved")
        assert "80 of 400" in row(you, "#39 ×") and "not in the best 1/4 of rung 1" in row(you, "#39 ×")
        assert "the loss is nan at step 61" in row(you, "#28 !")
        assert you.backend.asked == [console_api.AskSearch("tidy-7b")]
        await you.press("tab")
        await you.sees("Tree-structured Parzen Estimator", "38 trials: 18 complete")


@pytest.mark.parametrize("groups", [(), (study_events(ends=["queued"]),), (study_events(ends=["running"]),)])
async def test_without_ended_trials_every_page_says_so(seat, groups):
    async with seat(state_of(*groups, no_card())) as you:
        await you.press("i")
        await you.sees("no trial has ended with a value yet" if groups else "no study yet")
        for _ in PAGES:
            await you.press("tab", "down", "right", "full_stop")
            assert "insight" in you.screen()


async def test_a_trial_that_ends_is_drawn_and_the_cursor_stays(seat):
    async with seat(ONE) as you:
        await you.press("i", "right")
        await you.sees("trial 1 ")
        you.backend.happen(*complete(40, 0.9))
        await you.sees("41 of 48", "best so far 0.900", "trial 1 ")


async def test_a_long_study_is_drawn(seat):
    many = explored_study(600)
    async with seat(state_of(many, no_card())) as you:
        await you.press("i")
        await you.sees("600 of 608 trials ended")
        for _ in PAGES:
            await you.press("tab", "right")
        await you.sees("best so far")
