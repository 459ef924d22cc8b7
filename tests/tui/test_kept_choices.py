"""What people chose of the table is there when the console opens again, and no file stops it."""

import json

import pytest

from tests.tui.scene import no_card, state_of, study_events
from tui.kept_state import FILE
from tui.study_table.kept_table_choices import KeptChoices
from tui.study_table.table_choice import TableChoice

CHOSEN = TableChoice("lr<1e-4", "eval/loss.smooth", True, ("number", "state"), (3, 5), False, "tokens")


def test_a_choice_is_kept_for_its_study(tmp_path):
    KeptChoices(tmp_path).keep("a", CHOSEN)
    KeptChoices(tmp_path).keep("b", TableChoice("running"))
    again = KeptChoices(tmp_path)
    assert (
        again.find_choice("a") == CHOSEN
        and again.find_choice("b").filter == "running"
        and again.find_choice("c") == TableChoice()
    )
    assert [path.name for path in tmp_path.iterdir()] == [FILE], "no temporary file is left"


def test_what_others_keep_in_the_file_stays(tmp_path):
    (tmp_path / FILE).write_text('{"theme": "beacon", "studies": {"a": {"filter": "x", "new_key": 1}}}')
    kept = KeptChoices(tmp_path)
    assert kept.find_choice("a").filter == "x"
    kept.keep("b", CHOSEN)
    whole = json.loads((tmp_path / FILE).read_text())
    assert whole["theme"] == "beacon" and set(whole["studies"]) == {"a", "b"}


@pytest.mark.parametrize(
    "content", ["", "{", "[1]", "\x00\xff", '{"studies": 3}', '{"studies": {"a": {"marks": "x"}}}']
)
def test_a_broken_file_does_not_stop_the_console(tmp_path, content):
    (tmp_path / FILE).write_text(content, encoding="latin-1")
    kept = KeptChoices(tmp_path)
    assert kept.find_choice("a") == TableChoice()
    kept.keep("a", CHOSEN)
    assert KeptChoices(tmp_path).find_choice("a") == CHOSEN, "it is written anew"


def test_a_folder_that_cannot_be_written_keeps_nothing_but_works(tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (None, tmp_path / "missing", tmp_path / "file"):
        kept = KeptChoices(folder)
        kept.keep("a", CHOSEN)
        assert kept.find_choice("a") == CHOSEN


async def test_charts_are_looked_at_as_last_time_study_by_study_and_no_broken_value_is_taken(seat, tmp_path):
    state = state_of(study_events(), no_card())
    async with seat(state, (120, 40)) as you:
        await you.press(*"jjjjjj", "enter")
        await you.sees("gradient norm")
        await you.press("w", "w", "L", "#")
        await you.sees("log scale · smooth 0.8")
    kept = json.loads((tmp_path / FILE).read_text())["trial-charts"]
    wanted = {"along": "steps", "log_x": False, "log_y": True, "smoothing": 0.8, "wanted": 1}
    assert kept == {"tidy-7b": wanted}
    async with seat(state, (120, 40)) as you:
        await you.press("j", "enter")
        await you.sees("chart 1 of 7 · log scale · smooth 0.8")
        await you.press("escape", "M", "V")
        await you.sees("compare")
        assert "log scale" not in you.screen(), "the compare screen has its own"
    (tmp_path / FILE).write_text(json.dumps({"trial-charts": {"tidy-7b": {**wanted, "smoothing": 7}}}))
    async with seat(state, (120, 40)) as you:
        await you.press("j", "enter")
        await you.sees("gradient norm", "perplexity")
        assert "smooth 7" not in you.screen()
