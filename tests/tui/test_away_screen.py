"""While you were away: the page, its lines that open trials, and the mark of the last look."""

from __future__ import annotations

from textual.app import App

from core import paths
from core.contract.views.away_summary import AwayLine, AwaySummary
from tests.tui.conftest import strips_of
from tests.tui.scene import NOW, no_card, state_of, study_events
from tui.study.away_page_decision import AwayNotice
from tui.study.away_screen import AwayScreen, LastSeen, Seen, is_worth_a_page
from tui.theme_colors import Palette

SUMMARY = AwaySummary(
    "tidy-7b", 1000.0,
    (
        AwayLine("best", 5000.0, "best eval/loss 1.206 (trial 0) → 1.134 (trial 7)", 7),
        AwayLine("pruned", 3000.0, "trial 3 pruned at step 80 of 400: above the median", 3),
        AwayLine("faults", 4000.0, "gpu1 is lost", level="error"),
    ),
)  # fmt: skip


async def test_each_line_opens_its_trial_and_a_line_without_one_opens_nothing():
    opened: list[int | None] = []
    app: App[None] = App()
    async with app.run_test(size=(80, 24)) as pilot:
        look = Palette(app.get_css_variables())
        for keys in (("enter",), ("down", "enter"), ("escape",)):
            app.push_screen(AwayScreen(SUMMARY, 8200.0, look), opened.append)
            await pilot.pause()
            text = "\n".join(strip.text for strip in strips_of(app))
            assert "while you were away (2h" in text and "new best trial" in text and "gpu1 is lost" in text
            await pilot.press(*keys)
    assert opened == [7, 3, None]


async def test_a_long_line_goes_on_below_its_words():
    why = (
        "trial 3 pruned at step 80 of 400: median pruner: eval/loss 3.18 is worse than the median 2.942 of 3"
    )
    app: App[None] = App()
    async with app.run_test(size=(80, 24)) as pilot:
        page = AwaySummary("tidy-7b", 1000.0, (AwayLine("pruned", 3000.0, why, 3),))
        app.push_screen(AwayScreen(page, 8200.0, Palette(app.get_css_variables())))
        await pilot.pause()
        first, second = [
            strip.text for strip in strips_of(app) if "trial 3" in strip.text or "median 2" in strip.text
        ]
        assert first.index("trial 3") == len(second) - len(second.lstrip("│ "))


def test_the_last_look_is_kept_for_this_user_alone(tmp_path):
    home = tmp_path / "home"
    seen = LastSeen(home)
    assert seen.read() is None
    seen.mark(1000.0, 42)
    seen.mark(1003.0, 42)
    assert LastSeen(home).read() == Seen(1000.0, 42), "keys within seconds are one look"
    seen.mark(1003.0, 43, force=True)
    assert LastSeen(home).read() == Seen(1003.0, 43)
    assert (home / "console-seen.json").stat().st_mode & 0o077 == 0
    (home / "console-seen.json").write_text("{")
    assert LastSeen(home).read() is None


def test_a_short_absence_and_an_empty_page_are_not_shown():
    assert is_worth_a_page(SUMMARY, 8200.0) and not is_worth_a_page(SUMMARY, 1030.0)
    assert not is_worth_a_page(AwaySummary("s", 1000.0, ()), 8200.0)


async def test_at_attach_one_page_says_what_happened_since_the_last_key(seat, tmp_path):
    home = paths.make_private(tmp_path / "seen")
    LastSeen(home).mark(NOW - 3000, 1, force=True)
    async with seat(state_of(study_events(), no_card())) as you:
        you.app.away_notice, you.app._drawn = AwayNotice(home), (-1, 0.0)
        await you.sees("while you were away", "pruned")
        await you.press("escape")
        await you.until(lambda: "while you were away" not in you.screen(), "it is shown once")
        assert LastSeen(home).read().at >= NOW - 1, "from now on the person has looked"
