"""Whatever models, data, drivers and colleagues write: it is shown, and does nothing."""

from __future__ import annotations

import msgspec
import pytest

from core.contract.events import event_types as e
from core.contract.state import engine_state as s
from core.contract.wire import console_api
from core.contract.wire.answers.evidence_answer import Evidence, Sample
from core.contract.wire.answers.introspection_answer import Insides, Token
from core.contract.wire.search_state import Importance
from tests.hostile import TEXTS, THREES, harm, hostile, width
from tests.looked import sample
from tests.matrix import rest_slow
from tests.tui import explored
from tests.tui.conftest import strips_of
from tests.tui.scene import NOW, four_cards, gpu_packs, no_card, state_of, study_events
from tests.tui.scored import evidence, scored_study
from tests.tui.weighed import forecast, on_cards, on_cpu, weighed_study
from tui.number_text import GLYPHS

SIZES = rest_slow([((80, 24),), ((200, 60),)])
PREPARING = [e.Preparing(at=NOW, study="tidy-7b", worker="w", stage="loading", done=1, total=3, unit="GB")]


def poisoned(machine: list[e.Event]) -> s.State:
    """All that the screens show, with hostile text in every field that can hold any."""
    return hostile(state_of(study_events(), study_events("other"), machine, gpu_packs(), PREPARING))


def poisoned_answers(request: console_api.AnyRequest) -> console_api.Answer | None:
    """An engine whose every word on memory means harm."""
    if isinstance(request, console_api.WeighMemory):
        return hostile(on_cards())
    return hostile(forecast(request, on_cpu())) if isinstance(request, console_api.Foresee) else None


def look(you) -> None:
    """Nothing obeyed, nothing out of line."""
    strips = strips_of(you.app)
    for strip in strips:
        text = "".join(segment.text for segment in strip)
        assert not harm(text), text
        assert width(text) == strip.cell_length == you.app.size.width
        for segment in strip:
            assert segment.style is None or not (segment.style.link or "@click" in segment.style.meta)


@pytest.mark.parametrize(("size", "machine"), rest_slow([((80, 24), four_cards), ((160, 48), no_card)]))
async def test_hostile_text_is_harmless_on_every_screen(seat, size, machine):
    async with seat(poisoned(machine()), size) as you:
        for _ in range(10):
            look(you)
            await you.press("enter")
            look(you)
            await you.press("L", "w", "escape", "j")
        for keys in (["question_mark"], ["S"], ["x"], ["s"], ["ctrl+p"]):
            await you.press(*keys)
            look(you)
            await you.press("escape")
        await you.press("slash", "[", "b", "]", "escape")
        look(you)


@pytest.mark.parametrize("size", SIZES)
async def test_hostile_words_on_memory_are_harmless(seat, size):
    state = hostile(state_of(weighed_study(), four_cards(), gpu_packs()))
    async with seat(state, size) as you:
        you.backend.answers = poisoned_answers
        await you.press(*"jjj", "m")
        await you.until(lambda: len(you.backend.asked) >= 2, "both questions")
        for keys in (["down", "right"], ["r"], ["right_square_bracket"], ["tab"], ["tab"], ["pagedown"]):
            await you.press(*keys)
            look(you)
        for three in THREES:
            you.backend.refusal = console_api.Reply(0, False, *three)
            await you.press("right_square_bracket")
            look(you)


@pytest.mark.parametrize("size", SIZES)
async def test_hostile_samples_and_reasons_are_harmless(seat, size):
    state = hostile(state_of(scored_study(), four_cards(), gpu_packs()))
    samples = tuple(Sample(text, text[::-1], 0.5, text) for text in TEXTS)
    async with seat(state, size) as you:
        you.backend.answers = lambda request: hostile(evidence(request))
        await you.press("j", "enter")
        look(you)
        await you.press("b")
        for key in ("tab", "tab", "down", "down", *["right"] * 4, "o", "A", "I"):
            await you.press(key)
            look(you)
        await you.press("enter")
        await you.until(lambda: "sample 1 of 12" in you.screen(), "the samples")
        for _ in range(12):
            look(you)
            await you.press("down")
        you.backend.answers = lambda request: Evidence(TEXTS[0], 1, samples)
        await you.press("r")
        await you.until(lambda: f"of {len(samples)}" in you.screen(), "all texts")
        for key in ("up",) * len(samples) + ("pagedown", "end"):
            await you.press(key)
            look(you)
        for text, why in zip(TEXTS[::2], TEXTS[1::2], strict=True):
            you.backend.answers = lambda request, text=text, why=why: Evidence(text, why_none=why)
            await you.press("r")
            look(you)
        await you.sees("no sample")


@pytest.mark.parametrize("size", SIZES)
async def test_hostile_words_on_the_search_are_harmless(seat, size):
    async with seat(hostile(state_of(explored.explored_study(12), no_card())), size) as you:
        you.backend.answers = lambda request: hostile(explored.answers(request))
        await you.press("i")
        for _ in range(8):
            look(you)
            for key in ("right", "right", "down", "f" if size[0] == 80 else "l", "tab"):
                await you.press(key)
            look(you)
        for one, two, three in THREES:
            weights = {f"x{text[:20]}": 0.3 for text in (one, two, three)}
            you.backend.answers = lambda request, said=(one, two, weights, 3), asks=three: Importance(
                *said, asks=asks
            )
            await you.press("f")
            look(you)
            you.backend.refusal = console_api.Reply(0, False, one, two, three)
            await you.press("f")
            look(you)
            you.backend.refusal = None
        await you.press("escape", "g", "v", "j", "v", "j", "v", "V")
        for key in ("tab", "tab", "t", "t", "L", "w", "j"):
            look(you)
            await you.press(key)
        look(you)


@pytest.mark.parametrize("size", SIZES)
async def test_hostile_tokens_and_reasons_are_harmless(seat, size):
    state = hostile(state_of(scored_study(), four_cards(), gpu_packs()))
    worst = tuple(Token(text, text[::-1], text, text, 1.0, 2.0) for text in TEXTS)
    blind = msgspec.structs.replace(sample(), worst=worst, layers=(), why_no_attention=TEXTS[2])
    poisoned = msgspec.structs.replace(hostile(sample()), why_none="")
    answers = (poisoned, blind, *(Insides(2, why_none=text) for text in TEXTS))
    async with seat(state, size) as you:
        you.backend.answers = lambda request: answers[0]
        await you.press("j", "enter", "a")
        await you.until(lambda: "step 400" in you.screen(), "the insides")
        look(you)
        for answer in answers:
            you.backend.answers = lambda request, answer=answer: answer
            for key in ("r",) if answer.why_none else ("r", "down", "pagedown", "right_square_bracket"):
                await you.press(key)
                look(you)


async def test_markup_is_shown_as_it_was_written(seat):
    state = state_of(study_events(), no_card())
    async with seat(state, (160, 48)) as you:
        you.backend.happen(e.StudyNoted(at=NOW, study="tidy-7b", text=TEXTS[0]))
        await you.sees("[bold red]markup[/bold red] [/] [")


async def test_a_refusal_may_say_anything(seat):
    async with seat(state_of(study_events(), no_card()), (160, 48)) as you:
        for text in TEXTS:
            you.backend.refusal = console_api.Reply(0, False, text, text, text)
            await you.press("P")
            await you.pilot.pause(0.1)
            look(you)


def test_no_sign_of_ours_is_taken_for_harm():
    assert not harm("".join(GLYPHS.values()) + "█▉░★◆…")
    assert any(harm(text) for text in TEXTS)
    assert msgspec.msgpack.encode(poisoned(no_card()).studies["tidy-7b"].name)
