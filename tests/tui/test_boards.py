"""The boards screen and the evidence behind a number, through the real line to a scripted engine."""

import asyncio

import pytest

from core.contract.events import event_types as e
from core.contract.metric_score import Score
from core.contract.spec.metric_table import find_metric
from core.contract.views.metric_format import format_interval
from core.contract.views.metric_verdict import Reading
from core.contract.wire import console_api
from core.contract.wire.answers.evidence_answer import Evidence, Sample
from tests.matrix import rest_slow
from tests.tui.scene import NOW, four_cards, no_card, state_of, study_events
from tests.tui.scored import EVALUATE, evidence, scored_study
from tui.boards.board_cells import draw_spark, make_heads
from tui.boards.board_table import BoardTable

SCORED = state_of(scored_study(), no_card())
OPEN = ("j", "j", "b")  # the cursor on trial 2


def table(you) -> BoardTable:
    return you.app.screen.query_one(BoardTable)


def row(you, number: int) -> str:
    """The line of a trial."""
    return next(line for line in you.screen().splitlines() if line.startswith(f"{number:>4} "))


def order(you) -> list[int]:
    lines = [line[:5] for line in you.screen().splitlines() if "@" in line[6:9]]
    return [int(line) for line in lines]


async def test_b_opens_it_from_every_screen_and_escape_leads_back(seat):
    async with seat(SCORED) as you:
        for leave in ("escape", "backspace", "b"):
            await you.press("b")
            await you.sees("› boards", "8 of 10 trials scored")
            await you.press(leave)
            await you.sees("progress")
        await you.press("g", "enter", "b")
        await you.sees("› boards")
        await you.press("escape")
        await you.sees("› trial 0")
        await you.press("m")
        await you.sees("› memory")
        await you.press("b")
        await you.sees("› boards")


async def test_it_is_in_the_palette_and_in_the_help(seat):
    async with seat(SCORED, (100, 260)) as you:
        await you.press("question_mark")
        await you.sees("quality, safety and security of all trials", "the worst samples behind the number")
        await you.press("escape", "ctrl+p")
        await you.press(*"boards")
        await you.sees("quality, safety and security of all trials (b)")
        await you.press("enter")
        await you.sees("› boards")


async def test_a_cell_has_verdict_value_and_change_and_the_base_stands_on_top(seat):
    async with seat(SCORED) as you:
        await you.press(*OPEN, "tab")
        await you.sees("toxicity", "low, ≤ 8%", "refusal", "high is good")
        assert "base       ✓   2.1%" in you.screen()
        assert "✗  22.1% ▼ +20.0" in row(you, 4)
        assert "?   8.6% ▼  +6.5" in row(you, 0), "worse than the error bars explain, and no sure breach"
        await you.sees("trial 2   14.9% (9.4–20.5%, 160 samples) at step 400")
        await you.sees("base      2.1% (0–4.3%, 160 samples)  ▼ +12.8 points worse")
        await you.sees("share of continuations that are toxic; lower is better", "limit     ≤ 8%  ? unsure")


async def test_the_cursor_starts_on_the_trial_and_moves_over_cells_and_boards(seat):
    async with seat(SCORED) as you:
        await you.press(*OPEN)
        assert table(you).chosen == (2, "quality/bleu")
        await you.press("right", "l", "down", "j")
        assert table(you).chosen == (4, "quality/exact")
        await you.press("g")
        await you.sees("all trials are compared with the base")
        await you.press("G", "left", "h")
        assert table(you).chosen == (7, "quality/bleu")
        await you.press("left")
        assert table(you).chosen == (7, "quality/bleu"), "there is nothing before the first board"
        await you.press(*["right"] * 6)
        assert table(you).chosen == (7, "safety/toxicity"), "past the last column the next board begins"
        await you.press("left")
        assert table(you).chosen == (7, "quality/tokens_per_s")
        await you.press("shift+tab", "tab", "tab")
        assert table(you).chosen == (7, "security/jailbreak")


async def test_a_narrow_terminal_scrolls_its_columns_and_a_wide_one_has_intervals(seat):
    async with seat(SCORED) as you:
        await you.press(*OPEN)
        await you.sees("1–4 of 6", "bleu")
        assert "tokens_per_s" not in you.screen()
        await you.press(*["right"] * 5)
        await you.sees("3–6 of 6", "tokens_per_s")
        await you.press("I")
        await you.sees("5–6 of 6")
        await you.pilot.resize_terminal(200, 50)
        await you.sees("bleu", "tokens_per_s", "over its steps")
        assert "25.3–29.7" not in row(you, 0), "switched off where they are shown by themselves"
        await you.press("I")
        await you.sees("25.3–29.7")


async def test_o_puts_the_best_first_and_a_shows_trials_without_scores(seat):
    async with seat(SCORED) as you:
        await you.press(*OPEN, "tab")
        await you.press("o")
        await you.sees("best safety/toxicity first", "▾ toxicity")
        assert order(you) == [3, 1, 0, 5, 6, 2, 7, 4] and table(you).chosen == (2, "safety/toxicity")
        await you.press("o", "A")
        await you.until(lambda: "   9 ○" in you.screen(), "the trials that wait")
        assert order(you) == list(range(8))
        await you.press("G")
        await you.sees("not scored yet: first at step 20; metrics of generated texts at every 4th")


async def test_the_mouse_chooses_opens_and_scrolls_away_from_the_cursor(seat):
    many = state_of(scored_study(ends=["complete", "pruned"] * 20), four_cards())
    async with seat(many) as you:
        you.backend.answers = evidence
        await you.press("b")
        await you.pilot.click(BoardTable, offset=(12 + 17 + 3, 5))
        await you.until(lambda: table(you).chosen == (2, "quality/chrf"), "the cell")
        table(you).scroll_to(y=20, animate=False)
        await you.until(lambda: order(you)[0] == 20, "further down")
        you.backend.happen(e.StudyNoted(at=NOW, study="tidy-7b", text="something else"))
        await you.until(lambda: you.app.study.lines[-1].text == "something else", "the event")
        you.app.screen.show()
        await you.pilot.pause()
        assert order(you)[0] == 20, "what happens does not scroll it back"
        await you.pilot.click(BoardTable, offset=(15, 3), times=2)
        await you.sees("evidence  quality/bleu of trial 20")


async def test_the_filter_is_the_studys_and_escape_takes_it_away_first(seat):
    async with seat(SCORED) as you:
        await you.press(*OPEN, "slash", *"running")
        await you.until(lambda: order(you) == [6, 7], "the running ones")
        await you.press("enter", "down", "escape")
        await you.until(lambda: order(you) == list(range(8)), "all")
        await you.press("escape")
        await you.sees("progress")


async def test_what_cannot_be_said_is_a_dash_with_its_reason(seat):
    async with seat(SCORED) as you:
        await you.press(*OPEN, "tab", "tab", *["right"] * 4)
        assert table(you).chosen == (2, "security/exposure")
        await you.sees("no canaries were planted: set evaluate.canaries", "trial 2   – at step 400")


async def test_new_scores_are_drawn_when_they_come_and_the_cursor_stays(seat):
    async with seat(SCORED) as you:
        await you.press(*OPEN, "tab", "o")
        found = {"safety/toxicity": Score(0.01, 0.0, 0.03, 64)}
        you.backend.happen(
            e.TrialScored(at=NOW, study="tidy-7b", trial=7, step=360, elapsed_s=1.0, scores=found)
        )
        await you.until(lambda: order(you)[0] == 7, "the best first")
        assert "✓   1.0% △  -1.1" in row(you, 7) and "@360" in row(you, 7)
        assert table(you).chosen == (2, "safety/toxicity")


async def test_the_selected_trials_past_stands_below_and_large_where_there_is_room(seat):
    async with seat(SCORED, (120, 40)) as you:
        await you.press(*OPEN, "tab")
        await you.sees("#2 past", "safety/toxicity over its steps, in percent", "base 2.100", "limit 8.000")
        await you.press("g")
        await you.sees("the base is scored once")
    assert draw_spark([], 4) == "    " and draw_spark([1.0, float("nan"), 1.0], 4).strip()
    assert draw_spark([0.0, 1.0], 4) != draw_spark([1.0, 0.0], 4)


def test_an_interval_that_ends_next_to_nothing_ends_at_0():
    assert format_interval(Score(0.111, 2e-8, 0.892, 2), "fraction") == "0–89.2%"
    assert format_interval(Score(0.111, 2e-4, 0.892, 2), "fraction") == "0.02–89.2%"


SCORING_BASE = e.Preparing(
    at=NOW, study="tidy-7b", worker="w", stage="scoring the base model in the background", done=2, total=68
)


@pytest.mark.parametrize(
    ("groups", "words"),
    [
        (
            (study_events(),),
            ["no board is switched on", 'set evaluate.boards = ["quality", "safety", "security"]'],
        ),
        (
            (scored_study(trials=False, base=False, ends=["starting"]),),
            ["scored at the first evaluation (step 20)"],
        ),
        ((scored_study(trials=False),), ["evaluated trials wait for", "base", "21.4"]),
        (
            (scored_study(trials=False, base=False), [SCORING_BASE]),
            [
                "wait for scores, which are computed while others train; the",
                "base model answers first, 2 of 68",
            ],
        ),
        ((), ["no study yet", "trimtab run SPEC"]),
    ],
)
async def test_without_numbers_it_says_what_to_do(seat, groups, words):
    async with seat(state_of(*groups, no_card())) as you:
        await you.press("b")
        await you.sees(*words)
        await you.press(*["down", "right", "tab", "o", "A", "I", "p", "x", "y"])
        assert not [one for one in you.backend.asked if not isinstance(one, console_api.AskEvidence)]


async def test_p_and_x_steer_the_trial_under_the_cursor(seat):
    async with seat(SCORED) as you:
        await you.press(*("j",) * 6, "b", "p")
        await you.until(lambda: you.backend.asked == [console_api.PauseTrial("tidy-7b", 6)], "the request")
        await you.press("x")
        await you.sees("Prune trial 6?")


async def test_the_detail_screen_has_the_trials_boards_beside_the_base(seat):
    async with seat(SCORED, (120, 60)) as you:
        await you.press("j", "j", "enter")
        await you.sees("safety @400, vs the base", "? toxicity", "14.9% ▼ +12.8")
        assert "safety/toxicity" not in you.screen(), "once is enough"


# -- evidence --------------------------------------------------------------------------------------


async def on_evidence(you) -> None:
    you.backend.answers = evidence
    await you.press(*OPEN, "tab", "enter")
    await you.sees("sample 1 of 12")


async def test_enter_shows_the_worst_samples_and_escape_leads_back(seat):
    async with seat(SCORED) as you:
        await on_evidence(you)
        assert you.backend.asked == [console_api.AskEvidence("tidy-7b", 2, "safety/toxicity")]
        await you.sees(
            "evidence  safety/toxicity of trial 2", "samples of step 200", "The new neighbour came"
        )
        await you.sees("0.97", "idiot", "would not have them in")
        await you.press("down")
        await you.sees("sample 2 of 12", "- his work", "- his manners", "Well …")
        await you.press("up", "up", "k")
        await you.sees("sample 1 of 12")
        await you.press(*["down"] * 20)
        await you.sees("sample 12 of 12", "▸     0.05", "Answer 11.")
        await you.press("escape")
        await you.sees("› boards")
        assert table(you).chosen == (2, "safety/toxicity")


async def test_a_long_sample_scrolls(seat):
    long = Evidence("safety/toxicity", 40, (Sample("p", "word " * 3000 + "THE END", 1.0),))
    async with seat(SCORED) as you:
        you.backend.answers = lambda request: long
        await you.press(*OPEN, "enter")
        await you.sees("sample 1 of 1")
        await you.press(*["pagedown"] * 30)
        await you.sees("THE END")
        await you.press(*["pageup"] * 30)
        await you.sees("prompt")


async def test_no_samples_is_said_with_the_reason(seat):
    async with seat(SCORED) as you:
        you.backend.answers = evidence
        await you.press("b", "g", "enter")
        await you.sees("of the base model", "the base's samples are not kept")
        assert you.backend.asked == [console_api.AskEvidence("tidy-7b", -1, "quality/bleu")]
        you.backend.refusal = console_api.Reply(
            0, False, "trial 2 has left its worker", "study tidy-7b", "look later"
        )
        await you.press("escape", "j", "enter")
        await you.sees("trial 2 has left its worker → look later")
        you.backend.refusal = None
        await you.press("r")
        await you.sees("sample 1 of 12")


async def test_it_waits_for_the_engine_and_says_so(seat):
    async with seat(SCORED) as you:
        you.backend.answers, you.backend.held = evidence, asyncio.Event()
        await you.press(*OPEN, "enter")
        await you.sees("asking the engine …")
        await you.press("escape")
        await you.sees("› boards")
        you.backend.held.set()
        await you.press("enter")
        await you.sees("sample 1 of 12")


@pytest.mark.parametrize("size", rest_slow([((80, 24),), ((120, 40),), ((200, 50),), ((40, 10),)]))
async def test_the_cursor_is_always_in_sight(seat, size):
    many = state_of(scored_study(ends=["complete", "pruned"] * 20, **EVALUATE), four_cards())
    async with seat(many, size) as you:
        await you.press("b")
        for key in ("G", "g", "end", "tab", "right", "right", "k"):
            await you.press(key)
            number, name = table(you).chosen
            await you.sees(name.split("/")[1], "base" if number < 0 else f"{number:>4} ")


def test_the_head_of_a_slice_shows_what_tells_it_from_others():
    told = {}
    for name in ("length:12-20", "source:stack_exchange", "task:sums"):
        told[name] = make_heads(Reading(find_metric(f"quality/slice:{name}"), None, None))
    assert [head for head, _ in told.values()] == ["length:12-20", "…tack_exchange", "task:sums"]
    assert told["task:sums"][1] == "low is good"
    assert make_heads(Reading(find_metric("quality/task:arc_easy"), None, None)) == (
        "task:arc_easy",
        "high is good",
    )
