"""Marks in the study table, and the compare screen, through the real line to a scripted engine."""

import pytest
from msgspec.structs import replace

from core.contract.events import event_types as e
from core.contract.metric_score import Score
from core.contract.state import best_and_counts
from core.contract.views.trial_comparison import choose_trials
from core.contract.wire import console_api
from tests.matrix import rest_slow
from tests.tui.explored import SCENES
from tests.tui.scene import NOW, no_card, state_of, study_events

ONE = state_of(*SCENES["explored"])
MARKS = ("g", "v", "j", "j", "v", "j", "v")  # 0, 2 and 3


def marked(you) -> list[int]:
    lines = [line for line in you.screen().splitlines() if line.startswith("▌")]
    return [int(line[1:5].rstrip("★ ")) for line in lines]


def row(you, name: str) -> str:
    """The line of the table that begins with ``name``."""
    return next(line for line in you.screen().splitlines() if line.startswith(f"│ {name}"))


async def test_v_marks_and_takes_the_mark_away_and_tells_nobody(seat):
    async with seat(ONE) as you:
        await you.press(*MARKS)
        assert marked(you) == [0, 2, 3]
        await you.press("v", "k", "k", "v")
        assert marked(you) == [0, 1, 2] and not you.backend.asked
        await you.press("V", "escape")
        assert marked(you) == [0, 1, 2], "the marks stay"


async def test_capital_v_compares_the_marked(seat):
    async with seat(ONE, (120, 60)) as you:
        await you.press(*MARKS, "V")
        await you.sees("› compare #0, #2, #3", "eval/loss ━● #0 1.342 ━▲ #2 1.134", "chart 1 of 6")
        await you.sees("optimizer steps", "differing knobs", "metrics   ★ best")
        assert "seed" not in you.screen(), "what is the same for all is left out"
        assert "1.134 ★" in row(you, "eval/loss") and row(you, "eval/loss").count("★") == 1
        assert "23.7 (22.5–24.9) ☆" in row(you, "quality/bleu"), "within the error bars"
        await you.press("V")
        await you.sees("progress")


async def test_fewer_than_two_marks_take_the_selected_and_the_best(seat):
    async with seat(ONE) as you:
        await you.press("g", "V")
        await you.sees("› compare #0, #26", "★ #26 is the study's best")


async def test_one_trial_alone_says_how_to_mark(seat):
    async with seat(state_of(study_events(ends=["complete"]), no_card())) as you:
        await you.press("V")
        await you.sees("select two trials with Space")


async def test_t_changes_the_axis_and_says_what_it_is(seat):
    async with seat(ONE) as you:
        await you.press(*MARKS, "V", "t")
        await you.sees("tokens trained, from speed and training time")
        await you.press("t")
        await you.sees("training time, from its total and the speed", "13m20s")
        await you.press("t")
        await you.sees("optimizer steps")


async def test_tab_changes_the_metric_L_the_scale_and_w_smooths(seat):
    async with seat(ONE) as you:
        await you.press(*MARKS, "V", "tab")
        await you.sees("train/loss ━●", "chart 2 of 6")
        await you.press("shift+tab", "shift+tab")
        await you.sees("chart 6 of 6")
        await you.press("tab", "L")
        await you.sees("chart 1 of 6 · log scale")
        await you.press("w", "w")
        await you.sees("smooth 0.8")
        await you.press("number_sign")
        await you.sees("charts 1–", "train/loss ● 1.")


async def test_a_trial_that_tells_no_speed_has_no_curve_over_tokens(seat):
    common = {"study": "tidy-7b", "trial": 40}
    quiet = [
        e.TrialQueued(at=NOW, **common, params={"lora_rank": 8}, knobs={"lora_rank": 8}),
        e.TrialStarting(at=NOW, **common, worker="w", device="cpu"),
        e.TrialRunning(at=NOW, **common, step=0, total_steps=400),
        e.TrialEvaluated(at=NOW, **common, step=20, elapsed_s=9.0, metrics={"eval/loss": 1.2}),
    ]
    async with seat(state_of(*SCENES["explored"], quiet)) as you:
        await you.press("g", "v", "G", "v", "V", "t")
        await you.sees("#40 –", "#0 1.342")


async def test_readings_that_come_are_drawn(seat):
    async with seat(state_of(study_events(), no_card())) as you:
        await you.press("slash", *"running", "enter", "g", "v", "j", "v", "V")
        await you.sees("compare #6, #7")
        told = {"eval/loss": 0.777}
        you.backend.happen(
            e.TrialEvaluated(at=NOW, study="tidy-7b", trial=6, step=395, elapsed_s=600.0, metrics=told)
        )
        await you.sees("#6 0.777")


async def test_more_marks_than_there_is_room_for_are_told(seat):
    async with seat(ONE) as you:
        await you.press("g", *["v", "j"] * 10, "V")
        await you.sees("the first 8 of 10 marked: #0", "3 more do not fit")


@pytest.mark.parametrize("size", rest_slow([((80, 24),), ((40, 12),), ((200, 60),)]))
async def test_it_stands_in_every_size(seat, size):
    async with seat(ONE, size) as you:
        await you.press(*MARKS, "V", "j", "j", "k", "pagedown")
        await you.sees("compare #0")


def paired_scene(keeps: bool) -> list[e.Event]:
    """A trial and its twin, whose evaluation rows are kept, or not."""
    created, *told = study_events(ends=["complete", "complete"])
    spec = {**created.spec, "evaluate": {**created.spec["evaluate"], "row_losses": keeps}}
    return [replace(created, spec=spec), *told]


async def test_trials_are_paired_on_the_same_rows_with_an_interval_that_says_better(seat):
    async with seat(state_of(paired_scene(True), no_card()), (120, 60)) as you:
        difference = Score(-0.0312, -0.043, -0.0194, 64)
        you.backend.answers = lambda request: (
            console_api.Paired((console_api.PairedLosses(1, 400, 400, difference),))
            if request == console_api.AskPaired("tidy-7b", 0, (1,))
            else None
        )
        await you.press("M", "V")
        await you.sees("paired with #0: mean loss on the same validation rows", "-0.0312 ±0.0118", "400, 64")


async def test_where_row_losses_are_not_kept_the_screen_says_how_to_keep_them(seat):
    async with seat(state_of(paired_scene(False), no_card()), (120, 60)) as you:
        await you.press("M", "V")
        await you.sees("not kept: evaluate.row_losses = true")
        assert not you.backend.asked


def test_a_clone_is_compared_with_its_parent():
    study = state_of(study_events(ends=["complete", "complete", "running"]), no_card()).studies["tidy-7b"]
    clone = replace(study.trials[2], parent=1)
    study = replace(study, trials={**study.trials, 2: clone})
    best = best_and_counts.find_best(study).number
    assert choose_trials(study, (), 2) == list(dict.fromkeys((2, 1, best)))
    assert choose_trials(study, (), 1) == list(dict.fromkeys((1, 2, best)))
