"""The page of a trial's insides, through the real line to a scripted engine."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from core.contract.events import event_types as e
from core.contract.wire import console_api
from core.contract.wire.answers.introspection_answer import Insides
from tests.looked import sample
from tests.tui.scene import NOW, no_card, state_of
from tests.tui.scored import scored_study
from tui.introspection.layer_attention_table import keep_lowest
from tui.introspection.token_loss_table import join_lines

STATE = state_of(scored_study(), no_card())


def answer(request: console_api.AnyRequest) -> console_api.Answer | None:
    return sample(request.trial) if isinstance(request, console_api.AskInsides) else None


async def open_page(you) -> None:
    you.backend.answers = answer
    await you.press("j", "j", "enter", "a")
    await you.sees("inside trial 2", "at step 400, 8 rows, 428 tokens")


async def test_a_opens_it_from_a_trials_detail_and_escape_leads_back(seat):
    async with seat(STATE) as you:
        for leave in ("escape", "backspace", "a"):
            await open_page(you)
            assert you.backend.asked[-1] == console_api.AskInsides("tidy-7b", 2)
            await you.press(leave)
            await you.sees("› trial 2", "parameters")
            await you.press("escape", "g")


async def test_it_is_in_the_help(seat):
    async with seat(STATE, (100, 200)) as you:
        await you.press("question_mark")
        await you.sees("inside a trial", "loss by token, and attention")


async def test_layers_shares_kinds_and_tokens_stand_beside_the_base(seat):
    async with seat(STATE) as you:
        await open_page(you)
        await you.sees("attention collapses on few tokens", "Try a lower learning_rate")
        await you.sees("0.58→0.58", "20→ 20%", "words", "80→ 82", "2.10→ 1.60")
        await you.sees("6.90→ 6.40", "second, third) an", "line that ends↵↵and")
        await you.press(*["down"] * 40)
        await you.sees(" 31 0.", "4th quarter")
        await you.press(*["up"] * 40)
        await you.sees("  0 0.58→0.58")


async def test_a_wide_screen_has_special_tokens_counts_and_every_head(seat):
    async with seat(STATE, (200, 60)) as you:
        await open_page(you)
        await you.sees(
            "special", "tokens", "300", "4th quarter", "os.path.join(first, second, third) and so on"
        )
        assert "lowest" not in you.screen()


async def test_the_neighbour_is_asked_for_and_a_slow_answer_of_another_is_not_drawn(seat):
    async with seat(STATE) as you:
        await open_page(you)
        you.backend.held = asyncio.Event()
        await you.press("right_square_bracket")
        await you.sees("inside trial 3", "asking the engine")
        await you.press("right_square_bracket")
        await you.sees("inside trial 4", "asking the engine")
        you.backend.held.set()
        await you.sees("inside trial 4", "at step 400")
        assert you.backend.asked[-1] == console_api.AskInsides("tidy-7b", 4)


async def test_it_is_asked_again_when_the_trial_was_evaluated(seat):
    async with seat(STATE) as you:
        you.backend.answers = answer
        await you.press(*"jjjjjj", "enter", "a")
        await you.sees("inside trial 6", "at step 400")
        count = len(you.backend.asked)
        told = {"study": "tidy-7b", "trial": 6, "step": 340, "elapsed_s": 1.0}
        you.backend.happen(e.TrialEvaluated(at=NOW, metrics={"eval/loss": 0.123}, **told))
        await you.until(lambda: len(you.backend.asked) == count + 1, "another question")
        await you.pilot.pause(0.5)
        assert len(you.backend.asked) == count + 1, "once"


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (Insides(2, why_none="nothing is known of it yet"), ["nothing is known of it yet"]),
        (
            msgspec.structs.replace(sample(), layers=(), warning="", why_no_attention="its layers give none"),
            ["its layers give none", "loss 1.836 → 1.365", "29 → 41 %", "words"],
        ),
    ],
)
async def test_what_there_is_not_has_a_reason(seat, found, words):
    async with seat(STATE) as you:
        you.backend.answers = lambda request: found
        await you.press("j", "j", "enter", "a")
        await you.sees(*words)
        await you.press("down", "pagedown", "r")
        await you.sees(*words)


async def test_a_refusal_is_shown_with_what_to_do(seat):
    async with seat(STATE) as you:
        you.backend.refusal = console_api.Reply(0, False, "trial 2 does not exist", "study", "take another")
        await you.press("j", "j", "enter", "a")
        await you.sees("trial 2 does not exist", "take another")


def test_no_collapsed_head_is_hidden_where_heads_share_a_cell():
    assert keep_lowest([0.9, 0.8], 4) == [0.9, 0.8]
    assert keep_lowest([0.9, 0.05, 0.8, 0.7, 0.6, 0.5], 3) == [0.05, 0.7, 0.5]


def test_line_ends_are_signs_and_the_end_of_a_long_text_is_what_counts():
    assert join_lines("a\n\nb\tc") == "a↵↵b c"
    assert join_lines("x" * 500 + "the end").endswith("the end") and len(join_lines("x" * 500)) == 400


async def test_a_warning_that_comes_late_is_shown_to_its_last_word(seat):
    async with seat(STATE, (200, 60)) as you:
        you.backend.answers = answer
        await you.press("j", "j", "enter")
        you.backend.held = asyncio.Event()
        await you.press("a")
        await you.sees("asking the engine")
        you.backend.held.set()
        await you.sees("attention collapses on few tokens", "or more warmup")
