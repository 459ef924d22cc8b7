"""Keys may be changed in console.toml; what cannot be is said."""

from __future__ import annotations

from tests.tui.scene import no_card, state_of, study_events
from tui.keys.custom_key_map import check_key_map


def test_keys_are_replaced_and_faults_are_said():
    usable, faults = check_key_map({"trial.prune": "delete", "trial.pause": "x", "no.such": "a"})
    assert usable == {"trial.prune": "delete", "trial.pause": "x"}, "x is free once prune has another key"
    assert faults == ["console.toml, keys: there is no 'no.such'"]


def test_a_key_that_another_act_of_the_screen_has_is_refused():
    usable, faults = check_key_map({"trial.pause": "x", "study.stop": "q"})
    assert not usable
    assert "x is trial.prune on the same screen" in faults[0] and "q is app.detach" in faults[1]


async def test_the_help_is_searched_and_shows_the_keys_that_are_set(seat):
    async with seat(state_of(study_events(), no_card())) as you:
        you.app.key_map = {"trial.prune": "delete"}
        you.app.set_keymap(you.app.key_map)
        await you.press("question_mark", "slash", *"prune")
        await you.sees("Del", "prune the trial", "undo a prune")
        await you.until(lambda: "scroll" not in you.screen(), "only what was searched")
        await you.press("escape", "g", "j", "j", "j", "j", "j", "delete")
        await you.sees("Prune trial 5?")
