"""Every key does what the help says, through the real line to the engine."""

import re
from pathlib import Path

import pytest
from rich.style import Style
from textual import events

from core.contract.events import event_types as e
from core.contract.wire import console_api
from tests.tui.conftest import strips_of
from tests.tui.scene import NOW, four_cards, no_card, state_of, study_events
from tui.app import TrimtabApp
from tui.keys.key_declarations import GROUPS
from tui.theme_colors import MEANINGS

SCENE = (study_events(), no_card())


async def choose(you, number: int) -> None:
    await you.press("g")
    for _ in range(number):
        await you.press("j")


async def test_p_asks_for_a_pause_and_the_row_changes_when_the_event_comes(seat):
    async with seat(state_of(*SCENE)) as you:
        await choose(you, 6)
        await you.press("p")
        await you.until(lambda: you.backend.asked == [console_api.PauseTrial("tidy-7b", 6)], "the request")
        assert "pausing" not in you.screen(), "the console keeps no truth"
        you.backend.happen(e.PauseAsked(at=NOW, study="tidy-7b", trial=6, by="console"))
        await you.sees("pausing…")
        you.backend.happen(e.TrialPaused(at=NOW, study="tidy-7b", trial=6, step=230))
        await you.until(lambda: "pausing…" not in you.screen(), "the confirmation")
        await you.press("p")
        await you.until(
            lambda: you.backend.asked[-1] == console_api.ResumeTrial("tidy-7b", 6), "the other request"
        )


async def test_capital_p_gives_the_gpu_back_and_takes_it_again(seat):
    async with seat(state_of(*SCENE)) as you:
        await you.press("P")
        await you.until(lambda: you.backend.asked == [console_api.PauseStudy("tidy-7b")], "the request")
        you.backend.happen(e.StudyPaused(at=NOW, study="tidy-7b", by="console"))
        await you.sees("paused by console: P resumes")
        await you.press("P")
        await you.until(
            lambda: you.backend.asked[-1] == console_api.ResumeStudy("tidy-7b"), "the other request"
        )


async def test_x_asks_first(seat):
    async with seat(state_of(*SCENE)) as you:
        await choose(you, 7)
        await you.press("x")
        await you.sees("Prune trial 7?", "A checkpoint is written")
        await you.press("enter")
        await you.until(lambda: "Prune trial" not in you.screen(), "Enter is not yes")
        await you.press("x")
        await you.press("n")
        assert not you.backend.asked
        await you.press("x", "y")
        await you.until(lambda: you.backend.asked == [console_api.PruneTrial("tidy-7b", 7)], "the request")


async def test_x_on_an_ended_trial_says_so(seat):
    async with seat(state_of(*SCENE)) as you:
        await choose(you, 0)
        await you.press("x")
        await you.sees("trial 0 is already complete")


async def test_s_asks_first_and_says_what_stays(seat):
    async with seat(state_of(*SCENE)) as you:
        await you.press("s")
        await you.sees("Stop the study tidy-7b?", "results, curves and adapters are kept")
        await you.press("y", "enter")
        await you.sees("Stop the study tidy-7b?")
        assert not you.backend.asked, "what trains is lost only once the name is typed"
        await you.press("backspace", *("minus" if letter == "-" else letter for letter in "tidy-7b"), "enter")
        await you.until(lambda: you.backend.asked == [console_api.StopStudy("tidy-7b")], "the request")


async def test_a_refusal_is_shown_with_its_reason_and_remedy(seat):
    async with seat(state_of(*SCENE)) as you:
        you.backend.refusal = console_api.Reply(
            0, False, "trial 6 is [bold]gone[/bold]", "study tidy-7b", "look again"
        )
        await choose(you, 6)
        await you.press("p")
        await you.sees("trial 6 is [bold]gone[/bold]", "→ look again")


async def test_enter_opens_the_detail_and_escape_leads_back(seat):
    async with seat(state_of(*SCENE)) as you:
        await choose(you, 3)
        await you.press("enter")
        await you.sees("› trial 3", "━━ train 2.010", "parameters", "latest", "charts 1–2 of 7")
        assert re.search(r"◆ learning_rate +\d\.\d\de-\d ", you.screen())  # as the table has it
        await you.press("right_square_bracket")
        await you.sees("› trial 4")
        await you.press("left_square_bracket")
        await you.sees("› trial 3")
        await you.press("w", "L")
        await you.sees("log scale · smooth 0.5", "━━ train 2.010")
        await you.press("enter", "right", "left", "left")
        await you.sees("chart 1 of 7", " 52 ")
        await you.press("enter", "down", "j")
        await you.sees("charts 3–4 of 7", "learning rate")
        await you.press("t", "t", "X", "z")
        await you.sees("over time · log x", "zoomed")
        await you.press("greater_than_sign", "less_than_sign", "0", "Z", "W", "L")
        await you.until(lambda: "zoomed" not in you.screen(), "the whole axis")
        await you.press("escape")
        await you.sees("progress")


async def test_text_from_outside_is_shown_as_it_is(seat):
    async with seat(state_of(*SCENE), (160, 48)) as you:
        await choose(you, 3)
        await you.press("enter")
        await you.sees("[bold]the loss is nan[/bold]", "File [red]x[/red]")
        assert "\x1b" not in you.screen() and "\x07" not in you.screen()


async def test_slash_filters_by_state_number_and_parameter(seat):
    async with seat(state_of(*SCENE)) as you:
        await you.press("slash", *"paused")
        await you.until(lambda: you.screen().count("×") == 1 and "‖ paused" in you.screen(), "one row")
        assert "● running" not in you.screen().split("devices")[0].split("progress")[1]
        await you.press("escape")
        await you.sees("○ queued")
        await you.press("slash", *"r=16", "enter")
        rows = [line for line in you.screen().splitlines() if " 16 " in line]
        assert rows
        await you.press("slash", *"zzz")
        await you.sees("no trial matches")


async def test_o_puts_the_best_first(seat):
    async with seat(state_of(*SCENE)) as you:
        best = min((t for t in you.app.study.trials.values() if t.values), key=lambda t: t.values[0])
        await you.press("o")
        await you.sees("best first")
        first = you.screen().splitlines()[3].split()[0]
        assert first == f"{best.number}★"


async def test_question_mark_lists_every_key(seat):
    async with seat(state_of(*SCENE), (100, 350)) as you:
        await you.press("question_mark")
        await you.sees(*(key.meaning for group in GROUPS for key in group if key.id != "list.filter"))
        await you.sees("leave; the study continues", "× pruned", "Ctrl+P", "within the error bars")
        await you.press("end")
        await you.sees("POPULATION-BASED TRAINING")  # the page of the manual
        await you.press("escape")
        await you.sees("progress")


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        (("b",), "the worst samples behind the number"),
        (("m",), "reset the what-if to the trial's knobs"),
        (("i",), "the next page"),
        (("enter",), "loss by token, and attention"),
    ],
)
async def test_question_mark_shows_the_keys_of_the_screen_first(seat, keys, told):
    async with seat(state_of(*SCENE), (80, 24)) as you:
        await you.press("j", *keys, "question_mark")
        await you.sees(told)


async def test_the_palette_has_the_consoles_own_commands(seat):
    async with seat(state_of(*SCENE), (80, 40)) as you:
        await you.press("ctrl+p")
        await you.sees("Clone", "Detach")
        await you.press(*"pause")
        await you.sees("Pause or resume")


async def test_q_leaves(seat):
    async with seat(state_of(*SCENE)) as you:
        await you.press("q")
        await you.until(lambda: not you.app.is_running or you.app._exit, "to be out")


async def test_another_study_can_be_chosen(seat):
    async with seat(state_of(study_events("first", ["complete"]), study_events())) as you:
        await you.sees("tidy-7b +1 (S)")
        await you.press("S")
        await you.sees("studies")
        await you.press("down", "enter")
        await you.sees("first +1 (S)  ● running")


async def test_the_mouse_chooses_and_a_double_click_opens(seat):
    async with seat(state_of(*SCENE)) as you:
        await you.pilot.click("TrialTable", offset=(10, 3))
        assert you.app.screen.find_selected_trial().number == 2
        await you.pilot.click("TrialTable", offset=(10, 3), times=2)
        await you.sees("› trial 2")


async def test_the_engine_away_and_back_is_said(seat):
    async with seat(state_of(*SCENE)) as you:
        await you.backend.runner.cleanup()
        await you.sees("engine away — retrying")
        from tests.tui.conftest import Backend

        again = Backend(you.backend.socket, state_of(study_events(ends=["complete"]), no_card()))
        await again.open()
        await you.until(
            lambda: "engine away" not in you.screen() and "1/24" in you.screen(), "the new picture"
        )
        await again.runner.cleanup()


async def test_waits_are_shown_with_their_progress(seat):
    async with seat(state_of(study_events(ends=["starting"]), no_card())) as you:
        stage = e.Preparing(
            at=NOW - 3, study="tidy-7b", worker="w",
            stage="tokenising training rows", done=512, total=1200, unit="rows",
        )  # fmt: skip
        you.backend.happen(stage)
        await you.sees("tokenising training rows", "512/1200 rows", "3s")
        you.backend.happen(e.Preparing(at=NOW, study="tidy-7b", worker="w", stage=""))
        await you.until(lambda: "tokenising" not in you.screen(), "it ends")


async def test_cards_that_say_little_are_drawn_with_dashes(seat):
    async with seat(state_of(study_events(), four_cards()), (160, 48)) as you:
        await you.sees("61.5G/80.0G", "312W/400W", "3.00G/12.0G", "GPU is lost", "4321", "ada")
        row = next(line for line in you.screen().splitlines() if "12.0G" in line)
        assert "–" in row


async def test_no_study_says_how_to_begin(seat):
    async with seat(state_of(no_card())) as you:
        await you.sees("no study yet", "trimtab run SPEC")


async def test_a_terminal_that_is_too_small_does_not_crash(seat):
    async with seat(state_of(*SCENE), (40, 10)) as you:
        await you.press("j", "enter")
        await you.sees("trial 1")


def test_every_theme_loads():
    from tui.theme_colors import DEFAULT, make_themes

    assert {theme.name for theme in make_themes()[0]} >= {DEFAULT, "chart-paper", "beacon"}
    assert TrimtabApp.TITLE == "trimtab"


def test_every_theme_that_can_be_chosen_has_a_colour_for_every_meaning():
    app = TrimtabApp(Path("no.sock"))
    for theme in app.available_themes:
        app.theme = theme
        for meaning in (*MEANINGS, "nothing"):
            Style.parse(f"{app.look[meaning]} reverse {app.look.cursor}")
        assert app.look["base"] and app.look["activations"] and not app.look["nothing"]


async def test_a_key_at_the_foot_can_be_clicked(seat):
    async with seat(state_of(*SCENE)) as you:
        foot = you.screen().splitlines()[-1]
        await you.pilot.hover("KeyBar", offset=(foot.index("?"), 0))
        await you.pilot.click("KeyBar", offset=(foot.index("?"), 0))
        await you.until(lambda: type(you.app.screen).__name__ == "Help", "the help")


async def test_the_line_of_keys_is_drawn_again_only_when_the_keys_change(seat):
    async with seat(state_of(*SCENE)) as you:
        bar = you.app.screen.query_one("KeyBar")
        before = bar.keys
        you.app.screen.refresh_bindings()
        await you.pilot.pause()
        assert bar.keys is before, "an equal row is not taken over, so nothing is drawn"
        await you.press("slash")
        await you.until(lambda: bar.keys != before, "the keys of the filter")


async def test_the_mouse_reads_zooms_and_chooses_charts(seat):
    async with seat(state_of(*SCENE), (120, 40)) as you:
        await choose(you, 0)
        await you.press("enter")
        await you.sees("━━ train 1.413")
        strip = strips_of(you.app)[6]
        assert all(segment.style and segment.style.bgcolor for segment in strip), "the theme's background"
        await you.pilot.hover("TrialCharts", offset=(20, 3))
        await you.until(lambda: "━━ train 1.413" not in you.screen(), "the value under the mouse")
        grid = you.app.screen.charts
        grid.post_message(events.MouseScrollUp(grid, 20, 3, 0, -1, 0, False, False, False))
        await you.sees("zoomed")
        await you.press("0")
        await you.pilot.mouse_down("TrialCharts", offset=(12, 3))
        await you.pilot.hover("TrialCharts", offset=(22, 9))
        await you.sees("┃", "━━━━━━")
        await you.pilot.mouse_up("TrialCharts", offset=(22, 9))
        await you.sees("zoomed")
        low, high = grid.view.window
        assert 30 < low < 80 < 150 < high < 220 and "┃" not in you.screen(), "the range that was dragged over"
        await you.pilot.click("TrialCharts", offset=(60, 3))
        await you.until(lambda: grid.chosen == 1, "the chart under the mouse")
        await you.pilot.click("TrialCharts", offset=(60, 3), times=2)
        await you.sees("chart 2 of 7")
        await you.pilot.hover("KeyBar")
        await you.until(lambda: grid.view.cursor is None, "the newest values")


async def test_a_chart_is_up_to_date_a_second_later_although_no_new_column_is_due(seat):
    """A reading in the last column of dots waits, but is never forgotten."""
    async with seat(state_of(study_events(ends=["running"]), no_card()), (120, 40)) as you:
        await you.press("enter")
        await you.sees("━━ train")
        for loss in (0.111, 0.222, 0.333):
            told = {"train/loss": loss}
            step = you.backend.state.studies["tidy-7b"].trials[0].step + 1
            you.backend.happen(
                e.TrialReported(at=NOW, study="tidy-7b", trial=0, step=step, elapsed_s=400.0, metrics=told)
            )
        await you.sees("━━ train 0.333")


async def test_the_charts_of_the_next_trial_are_drawn_at_once(seat):
    async with seat(state_of(study_events(ends=["complete", "complete"]), no_card()), (120, 40)) as you:
        await you.press("g", "enter")
        await you.sees("━━ train 1.413")
        await you.press("right_square_bracket")
        await you.sees("› trial 1", "━━ train 1.207")
