"""`:` and what is typed after it; the digits; one key, one act on every screen."""

from __future__ import annotations

import pytest

from core.contract.wire import console_api
from tests.tui.scene import no_card, state_of, study_events
from tui.boards.boards_screen import BoardsScreen
from tui.command_line.command_parser import Command, CommandTable, Parsed
from tui.compare.compare_screen import CompareScreen
from tui.keys.dialog_key_groups import (
    CHOICE,
    COMMAND_LINE,
    CONFIRM,
    DEVICE_USE,
    FIELD,
    FORM,
    HELP_PAGE,
    MESSAGE_LIST,
    PIN,
    SIGNALS,
)
from tui.keys.filter_column_keys import COLUMNS
from tui.keys.key_declarations import GROUPS
from tui.memory.memory_screen import MemoryScreen
from tui.study.study_screen import AllTrials
from tui.trial.trial_screen import DetailScreen

SCENE = (study_events(), no_card())
TABLE = CommandTable(
    (
        Command("trial", "", "a number", options=("1", "12")),
        Command("theme", "", "a theme", options=("harbour", "beacon")),
        Command("filter", "", "a filter", False, limited=False),
        Command("pause", ""),
        Command("pause-all", ""),
    )
)
TYPED = {" ": "space", ":": "colon", "-": "minus", "<": "less_than_sign", "/": "slash", ".": "full_stop"}


def keys(text: str) -> list[str]:
    return [TYPED.get(letter, letter) for letter in text]


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("trial 12", Parsed("trial", "12")),
        ("12", Parsed("trial", "12")),
        ("th har", Parsed("theme", "harbour")),
        ("pause", Parsed("pause")),
        ("filter lr<1e-4 loss<2", Parsed("filter", "lr<1e-4 loss<2")),
        ("filter", Parsed("filter")),
    ],
)
def test_a_command_is_read_and_its_beginning_is_enough(text, parsed):
    assert TABLE.parse(text) == parsed


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("t 1", "may be trial, theme"),
        ("trial 7", "no a number '7': 1, 12"),
        ("trial", "trial what? It takes a number: 1, 12"),
        ("pause now", "takes nothing more: 'now'"),
        ("quit", "no command 'quit'"),
        ("", "type a command"),
    ],
)
def test_what_is_no_command_is_answered_with_what_would_be_one(text, words):
    answer = TABLE.parse(text)
    assert isinstance(answer, str) and words in answer


def test_names_and_arguments_are_completed():
    assert TABLE.complete("fi") == "filter" and TABLE.complete("theme b") == "theme beacon"
    assert TABLE.complete("theme beacon") is None and TABLE.complete("") is None


async def test_commands_open_trials_sort_filter_and_change_the_theme(seat):
    async with seat(state_of(*SCENE)) as you:
        await you.press(*keys(":trial 6"), "enter")
        await you.until(lambda: isinstance(you.app.screen, DetailScreen), "the trial")
        await you.sees("trial 6")
        await you.press(*keys(":fil"), "tab", *keys(" state:pruned"), "enter")
        await you.until(lambda: isinstance(you.app.screen, AllTrials), "all trials")
        await you.sees("1 of 10 trials")
        await you.press(*keys(":sort nothing"), "enter")
        await you.sees("no trial has a knob or metric")
        await you.press(*keys(":theme chart-p"), "tab", "enter")
        await you.until(lambda: you.app.theme == "chart-paper", "the theme")
        await you.press(*keys(":frobnicate"), "enter")
        await you.sees("no command 'frobnicate'")
        await you.press("escape", "colon", "up")
        await you.sees("theme chart-paper")
        await you.press("escape")
        await you.press(*keys(":pause"), "enter")
        await you.until(lambda: you.backend.asked == [console_api.PauseTrial("tidy-7b", 1)], "the request")


async def test_digits_lead_to_the_screens_and_back(seat):
    async with seat(state_of(*SCENE)) as you:
        await you.press("j")
        for key, screen in (("3", BoardsScreen), ("4", MemoryScreen), ("6", CompareScreen), ("1", AllTrials)):
            await you.press(key)
            await you.until(lambda screen=screen: isinstance(you.app.screen, screen), f"{key}: {screen}")
        assert len(you.app.screen_stack) == 2, "each is opened above all trials"
        for screen in (CompareScreen, AllTrials, CompareScreen):
            await you.press("grave_accent")
            await you.until(lambda screen=screen: isinstance(you.app.screen, screen), f"back to {screen}")
        await you.press("escape", "4", "grave_accent")
        await you.until(lambda: isinstance(you.app.screen, AllTrials), "where the digit was pressed")


@pytest.mark.parametrize(("keys", "last"), [
    (("b",), AllTrials),
    (("b", "m"), BoardsScreen),
    (("enter", "i"), DetailScreen),
    (("b", "enter"), AllTrials),  # evidence belongs to the boards
    (("S",), AllTrials),
    (("b", "escape"), BoardsScreen),
    (("d", "question_mark", "escape"), AllTrials),
])  # fmt: skip
async def test_a_key_leads_back_to_the_screen_before_whatever_key_left_it(seat, keys, last):
    async with seat(state_of(*SCENE)) as you:
        await you.press(*keys)
        await you.press("grave_accent")
        await you.until(lambda: isinstance(you.app.screen, last), f"back to {last}")


async def test_messages_that_have_gone_can_be_read_again(seat):
    async with seat(state_of(*SCENE)) as you:
        you.app.say("first words")
        you.app.notify("why not\nand what to do", title="refused", severity="warning", timeout=0.01)
        await you.until(lambda: len(you.app.messages) == 2, "two messages")
        await you.press("at")
        await you.sees("messages", "refused: why not and what to do", "first words")
        text = you.screen()
        assert text.index("why not") < text.index("first words"), "the newest is on top"
        await you.press("at")
        await you.until(lambda: isinstance(you.app.screen, AllTrials), "the messages to close")


DIALOGS = {
    group.title
    for group in (
        FORM,
        CONFIRM,
        PIN,
        DEVICE_USE,
        SIGNALS,
        HELP_PAGE,
        MESSAGE_LIST,
        COLUMNS,
        COMMAND_LINE,
        FIELD,
        CHOICE,
    )
}
MOTIONS = {
    "down", "up", "left", "right", "j", "k", "h", "l", "g", "G", "home", "end", "pagedown", "pageup", "tab",
    "shift+tab", "enter", "escape", "backspace", "shift+left", "shift+right",
}  # fmt: skip


def test_one_key_is_one_act_on_every_screen():
    """But for motions, Enter and Esc, which act on what is under the cursor; a screen's own key closes it."""
    acts: dict[str, set[str]] = {}
    for group in GROUPS:
        for key in group if group.title not in DIALOGS else ():
            for name in key.keys.split(","):
                if name not in MOTIONS and not key.id.endswith(".back"):
                    acts.setdefault(name, set()).add(key.action.rpartition(".")[2])
    several = {name: sorted(actions) for name, actions in acts.items() if len(actions) > 1}
    assert not several


async def test_a_console_that_only_reads_refuses_what_changes_something_and_does_not_offer_it(seat):
    async with seat(state_of(*SCENE)) as you:
        you.app.engine.read_only = True
        await you.press("g", "j", "j", "j", "j", "j", "p")
        await you.sees("this console only reads")
        assert not you.backend.asked
        await you.until(lambda: "p pause" not in you.screen() and "x prune" not in you.screen(), "no offer")


async def test_the_footer_offers_what_the_trial_s_state_allows(seat):
    async with seat(state_of(*SCENE)) as you:
        await you.press("g")
        await you.until(lambda: "x prune" not in you.screen(), "trial 0 has ended")
        await you.press("j")
        await you.sees("u undo prune", "? help", "q detach")
        await you.press(*"jjjj")
        await you.sees("p resume", "e edit")
