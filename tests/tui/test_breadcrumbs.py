"""The title of a screen says the way to it, in the width that there is."""

from __future__ import annotations

import pytest

from tests.tui.scene import no_card, state_of, study_events
from tui.base.breadcrumbs import fit

WAY = ("tidy-7b", "insight", "trial 12")


@pytest.mark.parametrize(
    ("width", "shown"),
    [
        (60, "studies › tidy-7b › insight › trial 12"),
        (35, "studies › tidy-7b › … › trial 12"),
        (31, "tidy-7b › insight › trial 12"),
        (24, "tidy-7b › … › trial 12"),
        (19, "tidy-7b › trial 12"),
        (12, "trial 12"),
        (3, "trial 12"),
    ],
)
def test_the_middle_of_the_way_gives_way_and_its_end_never(width, shown):
    assert " › ".join(fit("studies", WAY, width)) == shown


def test_a_long_name_of_a_study_is_cut_and_made_harmless():
    assert fit("", ("tidy-7b", "boards"), 80) == ["tidy-7b", "boards"]
    assert fit("", ("n" * 60, "boards"), 24) == ["n" * 14 + "…", "boards"]
    assert "\x1b" not in "".join(fit("", ("a\x1b[2J", "boards"), 80))


async def test_the_title_says_the_way_that_was_taken(seat):
    async with seat(state_of(study_events(), no_card()), (120, 40)) as you:
        await you.press("i")
        await you.sees("tidy-7b › insight")
        await you.press("down", "enter")
        await you.sees("tidy-7b › insight › trial")
        await you.press("escape", "escape")
        await you.until(lambda: "›" not in you.screen().splitlines()[0], "no way from the lowest screen")
