"""Forms with hostile text in every field, in every answer, and in what people type and paste."""

from __future__ import annotations

import pytest
from textual.events import Paste

from core.contract.wire import console_api
from tests.hostile import TEXTS, THREES, hostile
from tests.tui.scene import four_cards, state_of
from tests.tui.steered import answers, steered_study
from tests.tui.test_hostile import SIZES, look
from tui.forms.form_widget import Field

FORMS = ("n", "c", "e", "N", "E")


def poisoned_spec(state):
    """Keys of a study's file may say anything, where the file's reader has not looked yet."""
    study = state.studies["tidy-7b"]
    study.spec["resources"] = {**study.spec["resources"], "memory": TEXTS[1]}
    study.spec["evaluate"] = {**study.spec["evaluate"], "limits": list(TEXTS[:4])}
    return state


@pytest.mark.parametrize("size", SIZES)
async def test_forms_of_a_poisoned_study_are_harmless(seat, size):
    async with seat(poisoned_spec(hostile(state_of(steered_study(), four_cards()))), size) as you:
        await you.press("g", *"jjjjjj")
        for key in (*FORMS, "D", "asterisk", "u"):
            await you.press(key)
            look(you)
            await you.press("tab", "tab", "escape")
        await you.press("enter")
        look(you)


@pytest.mark.parametrize("key", FORMS)
async def test_what_is_typed_and_pasted_is_harmless(seat, key):
    async with seat(state_of(steered_study(), four_cards())) as you:
        await you.press("g", *"jjjjjj", key)
        field = you.app.screen.query(Field).first()
        for text in TEXTS:
            field.value = ""
            field.post_message(Paste(text))
            await you.pilot.pause()
            look(you)
            field.value = text
            await you.pilot.pause()
            look(you)
            await you.press("enter")
            look(you)
            for one in you.backend.asked:
                assert "\x1b" not in str(one) and len(str(one)) < 10_000
            if not you.app.screen.query(Field):
                return  # sent: a note may be anything


async def test_a_refusal_and_a_preview_may_say_anything(seat):
    async with seat(state_of(steered_study(), four_cards())) as you:
        you.backend.answers = answers
        await you.press("E", "1")
        await you.press("comma", "2")
        for three in THREES:  # all of them in one form: back from a preview, it is as it was
            you.backend.refusal = console_api.Reply(0, False, *three)
            await you.press("enter")
            await you.pilot.pause(0.1)
            look(you)
            you.backend.refusal = None
            you.backend.answers = lambda request, three=three: console_api.Change(three * 3, three * 3)
            await you.press("enter")
            await you.sees("back (n)")
            look(you)
            you.backend.answers = answers
            await you.press("n")
            assert you.app.screen.query(Field)
        await you.press("escape")
        await you.sees("progress")
