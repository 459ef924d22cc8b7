"""The race of all trials: which lines it gets, what it draws, how the trial under the cursor stands."""

from dataclasses import replace

import msgspec

from core.contract.views.trials.pruner_border import Border, find_border
from tests.tui.explored import explored_study
from tests.tui.scene import no_card, state_of, study_events
from tui.study_table.race_plot import (
    CURSOR,
    LEAST_LINES,
    Race,
    describe_border,
    find_race_height,
    format_ordinal,
    make_race_lines,
)
from tui.theme_colors import MEANINGS, Palette

STUDY = state_of(study_events()).studies["tidy-7b"]
EXPLORED = state_of(explored_study()).studies["tidy-7b"]
VARIABLES = dict.fromkeys(MEANINGS.values())
LOOK = Palette({variable: f"#0000{place:02x}" for place, variable in enumerate(VARIABLES)})


def race(study=STUDY, cursor=7, along="steps", numbers=None):
    return Race(study, list(study.trials) if numbers is None else numbers, cursor, along, find_border(study))


def text(shown, size=(100, 16)):
    lines = make_race_lines(shown, size, LOOK)
    assert len(lines) <= size[1] and all(line.cell_len <= size[0] for line in lines[1:])
    return "\n".join(line.plain for line in lines)


def test_the_race_stands_where_the_table_leaves_lines():
    assert find_race_height(12, 10) == 0, "the table fills its part"
    assert find_race_height(24, 10) == 13 and find_race_height(24, 10) + 10 + 1 == 24
    assert find_race_height(12, 3) == LEAST_LINES
    assert find_race_height(45, 400) == 15, "a tall screen has room for both"
    assert find_race_height(24, 400) == 0
    assert find_race_height(45, 10_000) == 0, "a filter makes it a race again"


def test_the_trial_under_the_cursor_is_named_with_its_rank_and_its_distance_from_the_border():
    shown = text(race(cursor=6))
    assert "eval/loss by steps" in shown and "#6 is 3rd of 8" in shown
    assert "below the border, judged at step 240" in shown
    assert "●#6" in shown and "●#4" in shown and "╌" in shown
    told, meaning = describe_border(race(cursor=5))
    assert "above the border" in told and meaning == "error"
    assert "the pruner's border" in describe_border(race(cursor=0))[0], "it has ended"


def test_the_cursors_curve_is_drawn_above_all_others_in_its_own_colour():
    lines = make_race_lines(race(cursor=1), (100, 20), LOOK)
    coloured = {str(span.style) for line in lines[1:-2] for span in line.spans}
    assert LOOK[CURSOR] in coloured and LOOK["good"] in coloured and LOOK["muted"] in coloured


def test_the_border_hides_neither_the_cursors_curve_nor_the_best_one():
    plain = replace(race(cursor=6), border=Border(why_none="none"))
    series = STUDY.trials[6].series["eval/loss"]
    on_it = replace(
        plain, border=Border(tuple(zip(series.steps, series.values, strict=True)), "minimize", False)
    )

    def dots(shown):
        lines = make_race_lines(shown, (100, 20), LOOK)[1:]
        return [
            line.plain[span.start : span.end]
            for line in lines
            for span in line.spans
            if str(span.style) in (LOOK[CURSOR], LOOK["good"])
            and "\u2800" < line.plain[span.start] < "\u2900"
        ]

    assert dots(plain) == dots(on_it) != []


def test_numbers_at_two_ends_do_not_cover_each_other():
    shown = text(race(EXPLORED, cursor=26), (120, 16))
    assert "●#26" in shown
    shown = text(race(EXPLORED, cursor=7), (120, 16))
    assert "●#7" in shown and "●#26" in shown


def test_without_evaluations_the_training_losses_race():
    study = state_of(study_events(ends=["running"])).studies["tidy-7b"]
    early = dict(study.trials)
    for number, trial in study.trials.items():
        series = {name: curve for name, curve in trial.series.items() if name != "eval/loss"}
        early[number] = msgspec.structs.replace(trial, series=series)
    shown = text(race(msgspec.structs.replace(study, trials=early), cursor=0))
    assert "train/loss by steps" in shown
    pruned = msgspec.structs.replace(
        STUDY.trials[1], series={"train/loss": STUDY.trials[1].series["train/loss"]}
    )
    other = msgspec.structs.replace(STUDY, trials=STUDY.trials | {1: pruned})
    ended = replace(race(numbers=[1], cursor=1), study=other)
    assert "train/loss by steps" in text(ended) and "border" not in text(ended), "it is of the other loss"
    nothing = state_of(study_events(ends=["queued"])).studies["tidy-7b"]
    assert "no trial has been evaluated twice" in text(race(nothing, cursor=0))


def test_tokens_and_time_are_other_axes_without_a_border():
    assert (
        "by tokens" in text(race(along="tokens")) and "╌" not in text(race(along="tokens")).split("\n", 1)[1]
    )
    assert "5m00s" in text(race(along="time"))


def test_places_have_their_endings():
    assert [format_ordinal(place) for place in (1, 2, 3, 4, 11, 12, 13, 21, 112)] == [
        "1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "112th",
    ]  # fmt: skip


async def test_the_race_follows_a_filter_that_matched_nothing_while_it_was_typed(seat):
    async with seat(state_of(study_events(), no_card()), (120, 50)) as you:
        await you.sees("race eval/loss")
        for typed in ("lr>9", "state:complete"):
            you.app.screen.choose(filter=typed)
            await you.pilot.pause()
        await you.sees("of 3")
        assert "no trial has been evaluated" not in you.screen()
        for typed in ("lr>9", "state:complete"):
            you.app.screen.choose(filter=typed)
        await you.sees("of 3")
        you.app.screen.choose(filter="lr>9")
        await you.sees("no trial matches")
        you.app.screen.choose(filter="state:complete")
        await you.sees("of 3")
