"""The memory screen, through the real line to a scripted engine."""

import asyncio

import msgspec
import pytest

from core.contract.events import event_types as e
from core.contract.text.byte_sizes import format_bytes
from core.contract.wire import console_api
from core.contract.wire.memory_forecast import MemoryNow, Verdict
from tests.tui.scene import NOW, cpu_pack, gpu_packs, no_card, state_of, study_events
from tests.tui.weighed import GIB, answers, forecast, on_cards, on_cpu, shared_card, weighed_study
from tui.memory.what_if_table import WhatIf

CARDS = state_of(weighed_study(), shared_card(), gpu_packs())
CPU = state_of(weighed_study(), no_card(), cpu_pack())
SIXTH = ("j",) * 6


async def open_on(you, now: MemoryNow, *keys: str) -> None:
    """The memory screen of trial 6, answered once."""
    you.backend.answers = answers(now)
    await you.press(*(keys or SIXTH), "m")
    await you.sees("› memory", "in use")
    await you.until(lambda: "fits: " in you.screen() or "not fit: " in you.screen(), "a forecast")


def foreseen(you) -> list[console_api.Foresee]:
    return [one for one in you.backend.asked if isinstance(one, console_api.Foresee)]


def weighings(you) -> int:
    return sum(isinstance(one, console_api.WeighMemory) for one in you.backend.asked)


async def test_m_opens_it_and_escape_leads_back(seat):
    async with seat(CPU) as you:
        for leave in ("escape", "backspace", "m"):
            await open_on(you, on_cpu())
            await you.press(leave)
            await you.sees("progress")
        await you.press("g", "enter")
        await you.sees("› trial 0")
        await you.press("m")
        await you.sees("what if · trial 0")
        await you.press("escape")
        await you.sees("› trial 0")


async def test_it_is_in_the_palette_and_in_the_help(seat):
    async with seat(CPU, (100, 50)) as you:
        await you.press("question_mark")
        await you.sees("memory by holder, and what would fit")
        await you.press("escape", "ctrl+p")
        await you.press(*"memory")
        await you.sees("memory by holder, and what would fit (m)")
        await you.press("enter")
        await you.sees("› memory")


async def test_a_device_shows_who_holds_it_against_the_limit(seat):
    async with seat(CARDS, (120, 60)) as you:
        await open_on(you, on_cards())
        await you.sees(
            "gpu0  56.5 GiB of 80.0 GiB in use", "limit 72.0 GiB", "#7 adapter + optimizer", "31.0 GiB",
            "allocator's reserve", "bob pid 977 jupyter-lab", "14.0 GiB", "eve pid 31337 python3", "free",
            "estimate 40.6 GiB · measured 39.8 GiB  +2 %", "activations × 1.04, from 12 measurements",
            "limit: free memory at the start",
        )  # fmt: skip


async def test_what_is_not_known_has_its_reason(seat):
    async with seat(CARDS, (200, 60)) as you:
        await open_on(you, on_cards())
        await you.sees("no estimate: the architecture 'mambaX'", "limit: the driver does not say")


async def test_the_queue_has_its_verdicts_and_the_trials_their_differences(seat):
    async with seat(CARDS, (200, 50)) as you:
        await open_on(you, on_cards())
        await you.sees("fits after #8 ends", "never fits: 93.4 GiB", "needs 13.0 GiB")
        await you.sees("+12 % ▲", "-15 % ▼", "7 measured: median 3 % off, worst 15 %")


async def test_a_long_queue_of_one_verdict_takes_one_line(seat):
    queue = tuple(Verdict(number, "fits after #8 ends", "warning", number * GIB) for number in range(10, 40))
    async with seat(CARDS, (200, 50)) as you:
        await open_on(you, msgspec.structs.replace(on_cards(), queued=(Verdict(9, "fits"), *queue)))
        await you.sees("✓ #9", "30 trials, #10 to #39: fits after", "need up to 39.0 GiB")


async def test_arrow_keys_change_a_knob_and_the_bar_answers(seat):
    async with seat(CPU) as you:
        await open_on(you, on_cpu())
        assert foreseen(you) == [console_api.Foresee("tidy-7b", 6, {}, 2)]
        before = you.screen()
        await you.press("down", "right", "right")
        await you.sees("◂ 8 ▸", "was 4")
        await you.until(lambda: foreseen(you)[-1].changes == {"batch_size": 8}, "the question")
        await you.until(lambda: you.screen().splitlines()[13] != before.splitlines()[13], "the bar")
        await you.press("left", "down", "l", "j", "j", "l")
        last = {"batch_size": 6, "sequence_length": 768, "gradient_checkpointing": True}
        await you.until(lambda: foreseen(you)[-1].changes == last, "all changes")
        await you.press("down", "down", "right")
        await you.until(lambda: foreseen(you)[-1].pack == 3, "the pack")


async def test_it_says_whether_it_fits_and_what_to_change(seat):
    async with seat(CARDS, (120, 50)) as you:
        await open_on(you, on_cards())
        await you.sees("✓ fits: 38.1 GiB of 72.0 GiB")
        await you.press("down", *["right"] * 4)
        needs = format_bytes(
            forecast(
                console_api.Foresee("", changes={"batch_size": 16}, pack=6), on_cards()
            ).foretold.device_bytes
        )
        await you.sees(
            f"⊘ does not fit: {needs} of 72.0 GiB", "→ gradient_checkpointing = on", "device 80.0 GiB"
        )


async def test_r_takes_all_changes_back(seat):
    async with seat(CPU) as you:
        await open_on(you, on_cpu())
        await you.press("down", "right", "down", "right")
        await you.sees("was 4", "was 512")
        await you.press("delete")
        await you.until(lambda: "was " not in you.screen(), "the trial's own knobs")
        await you.until(lambda: foreseen(you)[-1] == console_api.Foresee("tidy-7b", 6, {}, 2), "the question")


async def test_brackets_ask_about_another_trial(seat):
    async with seat(CPU) as you:
        await open_on(you, on_cpu())
        await you.press("right_square_bracket")
        await you.sees("what if · trial 7")
        await you.press("left_square_bracket", "left_square_bracket")
        await you.until(lambda: foreseen(you)[-1].trial == 5, "the question")


async def test_the_newest_answer_wins_and_a_stale_one_is_never_drawn(seat, monkeypatch):
    drawn = []
    take_answer = WhatIf.take_answer

    def noting(self, told, why):
        drawn.append(told)
        take_answer(self, told, why)

    monkeypatch.setattr(WhatIf, "take_answer", noting)
    async with seat(CARDS, (120, 50)) as you:
        await open_on(you, on_cards())
        drawn.clear()
        you.backend.held = asyncio.Event()
        await you.press("down", "right", "right", "right", "right")
        await you.sees("◂ 16 ▸", "fits: 38.1 GiB")
        picture = you.app.screen.query_one(WhatIf)._sheet
        await you.until(
            lambda: any(span.style == "dim" for span in picture._shown.spans), "the old one dimmed"
        )
        you.backend.held.set()
        await you.sees("does not fit: ")
        assert [one.changes for one in foreseen(you)][1:] == [{"batch_size": 6}, {"batch_size": 16}]
        assert drawn == [forecast(foreseen(you)[-1], on_cards())]
        assert not any(span.style == "dim" for span in picture._shown.spans)


async def test_a_refusal_is_said_in_the_panel_and_the_old_bar_stays(seat):
    async with seat(CPU) as you:
        await open_on(you, on_cpu())
        you.backend.refusal = console_api.Reply(0, False, "8-bit needs a GPU", "study tidy-7b", "take nf4")
        await you.press("right")
        await you.sees("unknown: 8-bit needs a GPU → take nf4", "base model", "limit 11.0 GiB")
        you.backend.refusal = None
        await you.press("left")
        await you.sees("does not fit: ")


async def test_it_weighs_again_when_something_changed_and_not_before(seat):
    async with seat(CPU) as you:
        await open_on(you, on_cpu())
        tick = you.app.screen._draw_countdown
        await you.until(lambda: you.app.screen._weighed == you.app.engine.version, "it has seen all")
        before = weighings(you)
        for _ in range(3):
            tick()
            await you.pilot.pause()
        assert weighings(you) == before
        host = on_cpu().devices[0]
        you.backend.answers = answers(MemoryNow((msgspec.structs.replace(host, limit_bytes=20 * GIB),)))
        asked = len(foreseen(you))
        you.backend.happen(e.StudyNoted(at=NOW, study="tidy-7b", text="a neighbour left"))
        await you.until(lambda: weighings(you) == before + 1, "another weighing")
        await you.sees("limit 20.0 GiB", "✓ fits: ")
        assert len(foreseen(you)) == asked + 1, "what did not fit is asked again"


async def test_one_weighing_at_a_time(seat):
    async with seat(CPU) as you:
        await open_on(you, on_cpu())
        you.backend.held = asyncio.Event()
        before = weighings(you)
        for text in "abc":
            you.backend.happen(e.StudyNoted(at=NOW, study="tidy-7b", text=text))
            await you.until(lambda text=text: you.app.study.lines[-1].text == text, "the event")
            you.app.screen._draw_countdown()
            await you.pilot.pause(0.05)
        assert weighings(you) == before + 1
        you.backend.held.set()


async def test_the_engine_away_is_said_and_the_last_picture_stays(seat):
    async with seat(CPU) as you:
        await open_on(you, on_cpu())
        await you.backend.runner.cleanup()
        await you.sees("engine away — retrying", "limit 11.0 GiB")
        await you.press("right")
        await you.sees("unknown: the engine is away")


async def test_before_an_answer_every_box_says_why_it_has_none(seat):
    async with seat(CPU, (120, 40)) as you:
        you.backend.answers = lambda request: None  # an engine of before
        await you.press(*SIXTH, "m")
        await you.sees("no estimate: the engine gave no answer", "unknown: the engine gave no answer")
        await you.sees("base model", "cpu  9.0 GiB of 24.0 GiB in use", "other processes of this machine")
    async with seat(state_of(study_events(ends=[]), no_card()), (120, 40)) as you:
        you.backend.answers = answers(MemoryNow())
        await you.press("m")
        await you.sees(
            "no trial is queued",
            "no trial has been estimated yet",
            "no correction learnt yet",
            "cpu  9.0 GiB",
        )


async def test_without_a_study_it_says_how_to_begin(seat):
    async with seat(state_of(no_card())) as you:
        await you.press("m")
        await you.sees("no study yet", "trimtab run SPEC")


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 50), (40, 10)])
async def test_all_of_it_can_be_reached_by_keys(seat, size):
    async with seat(CARDS, size) as you:
        you.backend.answers = answers(on_cards())
        await you.press(*SIXTH, "m")
        await you.sees("what if") if size[0] > 80 else await you.sees("devices")
        for title in ("queue", "estimated", "devices", "what if"):
            await you.press("tab")
            await you.sees(title)
            assert title.split()[0] in str(you.app.focused.border_title)
        await you.press("pagedown", "pageup")


async def test_another_width_lays_it_out_again_though_nothing_happens(seat):
    ended = e.StudyEnded(at=NOW, study="tidy-7b", outcome="complete", why="all trials ended")
    async with seat(state_of(weighed_study(), shared_card(), gpu_packs(), [ended]), (80, 24)) as you:
        you.backend.answers = answers(on_cards())
        await you.press(*SIXTH, "m")
        await you.sees("limit 72.0 GiB")
        await you.until(
            lambda: len(you.backend.asked) == 2 and not you.app.screen._foresee.busy, "all answers"
        )
        await you.pilot.resize_terminal(200, 50)
        await you.sees("queue", "estimated and measured", "what if · trial 6", "fits after #8 ends")
        await you.until(lambda: marks(you) == [60, 130], f"bars as wide as their boxes: {marks(you)}")
        assert "╱╲╱░░░░" in you.screen(), "two rows where there is room"


def marks(you) -> list[int]:
    """The columns of the words under the bars."""
    return sorted(line.index("╹") for line in you.screen().splitlines() if "╹" in line)
