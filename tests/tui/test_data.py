"""The data screen and the rows below it, through the real line to a scripted engine."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from core.contract.spec.study_spec import DataOptions
from core.contract.wire import console_api
from core.contract.wire.answers.data_messages import (
    MIXTURE,
    AskDataReview,
    AskDataRow,
    DataFinding,
    DataReview,
    DataRow,
    DataSource,
    RowPiece,
)
from tests.hostile import TEXTS, hostile
from tests.matrix import rest_slow
from tests.tui.dataset import REVIEW, answers, mixed_study, row
from tests.tui.scene import no_card, state_of, study_events
from tests.tui.test_hostile import look
from tui.data import finding_entries
from tui.data.finding_entries import Entry
from tui.widgets.cached_static import Sheet

STATE = state_of(study_events(), no_card())
MIXED = state_of(mixed_study(), no_card())


async def open_page(you) -> None:
    you.backend.answers = answers
    await you.press("J")
    await you.sees("tidy-7b › data", "11.3k rows")


async def test_J_opens_it_and_escape_leads_back(seat):
    async with seat(STATE) as you:
        for leave in ("escape", "backspace", "J"):
            await open_page(you)
            assert you.backend.asked[-1] == AskDataReview("tidy-7b")
            await you.press(leave)
            await you.until(lambda: "›" not in you.screen().splitlines()[0], "the trials")


async def test_what_blocks_stands_first_then_what_is_allowed_then_by_severity(seat):
    async with seat(STATE, (120, 40)) as you:
        await open_page(you)
        lines = [line[:55] for line in you.screen().splitlines()[1:]]
        words = [
            word
            for line in lines
            for word in ("blocks", "allowed", "medium", "low", "ok")
            if f" {word} " in line
        ]
        assert words == ["blocks", "allowed", "medium", "low", "ok"]
        await you.sees("1 blocking · 1 allowed · 1 medium · 1 low", "checked 3m ago", "1.9 %")


async def test_a_finding_says_its_count_remedy_and_masked_examples_and_what_allows_it(seat):
    async with seat(STATE, (120, 40)) as you:
        await open_page(you)
        await you.press("down")
        await you.sees("214 of 11,267 rows, 1.9 %", 'no study starts without data.allow = ["leakage"]')
        await you.sees("→ remove the copies", "row 377: Write a haiku about j***@e***")
        await you.press("down")
        await you.sees('data.allow = ["masked"] lets the study start')
        await you.press("down")
        await you.sees("true share: 2.1 to 4.4 %", "detector: rules of trimtab")


async def test_a_source_says_how_it_is_read_and_its_lengths_with_the_cut(seat):
    async with seat(STATE, (120, 40)) as you:
        await open_page(you)
        await you.sees("chat (messages)", "id, url", "1 file, 40.0M; 11,267 rows, about 3,170,000 tokens")
        await you.sees("cut at 512 (│): 1.07 % of rows", "│512")


async def test_the_check_is_followed_while_it_runs_and_asked_for_no_longer_when_done(seat):
    async with seat(STATE) as you:
        going = iter(
            (DataReview(1, stage="reading chat.jsonl, 40 %"), msgspec.structs.replace(REVIEW, version=2))
        )
        gate = you.backend.held = asyncio.Event()
        you.backend.answers = lambda request: next(going) if isinstance(request, AskDataReview) else None
        await you.press("J")
        await you.sees("asking the engine")
        gate.set()
        await you.sees("11.3k rows")
        asked = [request for request in you.backend.asked if isinstance(request, AskDataReview)]
        assert asked == [AskDataReview("tidy-7b"), AskDataReview("tidy-7b", 1)]


async def test_rows_can_be_shown_while_the_check_still_runs(seat):
    async with seat(MIXED) as you:
        going = DataReview(1, stage="reading chat.jsonl, 40 %")
        you.backend.answers = lambda request: (
            going if isinstance(request, AskDataReview) else answers(request)
        )
        await you.press("J")
        await you.sees("reading chat.jsonl, 40 %", "data.mixture.code.source", "the check is not done yet")
        await you.press("down", "enter")
        await you.sees("‹Hold the small button")


async def test_r_checks_again_and_the_findings_stay_meanwhile(seat):
    async with seat(STATE) as you:
        await open_page(you)
        you.backend.held = asyncio.Event()
        await you.press("r")
        await you.sees("asking the engine", "11.3k rows")
        assert you.backend.asked[-1] == AskDataReview("tidy-7b", again=True)
        you.backend.held.set()


@pytest.mark.parametrize("size", rest_slow([((40, 10),), ((80, 24),), ((200, 60),)]))
async def test_a_refusal_and_a_study_that_cannot_be_checked_say_why(seat, size):
    async with seat(STATE, size) as you:
        you.backend.answers = lambda request: DataReview(1, True, why_none="the disk is gone")
        await you.press("J")
        await you.sees("the disk is gone")
        you.backend.refusal = console_api.Reply(0, False, "no such study", "study", "look again")
        await you.press("r")
        await you.sees("no such study")


async def test_the_mixture_shows_what_is_drawn_beside_what_is_wanted_of_each_trial(seat):
    async with seat(MIXED, (120, 40)) as you:
        you.backend.answers = answers
        await you.press("J")
        await you.sees("mixture of trial 0", "67.5%  67.4%", "22.5%  22.6%", "10.0%  10.0%", "│")
        await you.press("right_square_bracket")
        await you.sees("mixture of trial 1")


async def test_enter_shows_rows_with_learnt_tokens_marked_and_pages_through_them(seat):
    async with seat(STATE) as you:
        await open_page(you)
        await you.press("enter")
        await you.sees("› data › rows", "row 1 ", "64 tokens, cut at 64, 21 of them learnt")
        await you.sees("‹Hold the small button", "‹You are welcome. ›┆ cut here ┆Come back")
        await you.press("j", "shift+down")
        await you.sees("row 102 ")
        assert you.backend.asked[-1] == AskDataRow("tidy-7b", "data.mixture.chat.source", 102)
        await you.press(*["shift+down"] * 4)
        await you.sees("row 502 of 500", "the source has 500 rows")
        await you.press("k")
        await you.sees("row 500")
        await you.press("g")
        await you.sees("row 1 ")
        await you.press("escape")
        await you.sees("› data", "11.3k rows")


async def test_enter_on_a_finding_opens_its_examples(seat):
    async with seat(STATE) as you:
        await open_page(you)
        await you.press("down", "enter")
        await you.sees("row 12 ", "rows shared by training")
        await you.press("right_square_bracket")
        await you.sees("row 377 ")
        await you.press("left_square_bracket")
        await you.sees("row 12 ")


@pytest.mark.parametrize("size", rest_slow([((40, 10),), ((80, 24),), ((200, 60),)]))
async def test_hostile_names_findings_and_rows_are_harmless(seat, size):
    chat, code = hostile(REVIEW).sources
    read = (msgspec.structs.replace(chat, why_not=""), code)
    review = msgspec.structs.replace(hostile(REVIEW), why_none="", sources=read)
    pieces = tuple(RowPiece(text, kind) for text in TEXTS for kind in range(4))
    async with seat(MIXED, size) as you:
        you.backend.answers = lambda request: review
        await you.press("J")
        await you.until(lambda: "blocking" in you.screen(), "the findings")
        for _ in range(12):
            look(you)
            await you.press("down")
        rows = (
            hostile(row(1)),
            DataRow("x", 1, 0, pieces, 9, 9, True, True),
            DataRow("x", 1, why_none=TEXTS[2]),
        )
        await you.press("g", "down", "enter")
        for answer in rows:
            you.backend.answers = lambda request, answer=answer: answer
            for key in ("r", "pagedown", "j", "k"):
                await you.press(key)
                look(you)


async def test_a_source_that_was_not_checked_is_not_one_without_findings(seat):
    sources = tuple(
        msgspec.structs.replace(one, findings=(), why_not="it is a hub data set") for one in REVIEW.sources
    )
    async with seat(STATE) as you:
        you.backend.answers = lambda request: msgspec.structs.replace(REVIEW, sources=sources)
        await you.press("J")
        await you.sees("nothing checked")


async def test_nothing_is_sent_while_nothing_changes(seat):
    async with seat(MIXED) as you:
        await open_page(you)
        sheets = list(you.app.screen.query(Sheet))
        shown = [sheet._shown for sheet in sheets]
        you.app.screen.show()
        await you.pilot.pause()
        assert [sheet._shown for sheet in sheets] == shown


def test_what_is_found_in_all_sources_together_stands_below_the_mixture_and_has_no_rows_to_open():
    leak = DataFinding("validation rows that other sources train on", 3, 40, "medium")
    together = DataSource(MIXTURE, "all sources together", rows=400, findings=(leak,))
    review = DataReview(is_done=True, sources=(*REVIEW.sources, together))
    data = msgspec.convert({"mixture": [{"name": "a"}, {"name": "b"}]}, DataOptions)
    entries = finding_entries.list_entries(data, review)
    assert entries[0] == Entry() and entries[1] == Entry(together, leak)
    assert entries[2].source == REVIEW.sources[0]
    assert Entry(together) not in entries, "there is no such file"
