"""Keys may be changed in console.toml; what cannot be is said."""

from __future__ import annotations

import sys

from tests.tui.scene import no_card, state_of, study_events
from tui.console_settings import OwnCommand
from tui.keys.custom_key_map import check_key_map
from tui.keys.own_commands import check_own_commands


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


def test_own_commands_that_cannot_be_used_are_said():
    wrong = {
        "x": ("ls", "the key is trial.prune: move that first"),
        "f5": ("code {place}", "there is no placeholder {place}, only study, host, folder"),
        "f6": ("code '", "cannot be read: No closing quotation"),
        "f7": ("", "is empty"),
        "f8": ("code {trial:>{x}}", "there is no placeholder {trial:>{x}}"),
    }
    commands = [OwnCommand(key, run) for key, (run, _) in wrong.items()]
    usable, faults = check_own_commands([*commands, OwnCommand("f9", "a {{"), OwnCommand("f9", "b")], {})
    assert [command.run for command in usable] == ["a {{"]
    assert all(words in fault for fault, (_, words) in zip(faults, wrong.values(), strict=False))
    assert faults[-1] == "console.toml, command 'f9': the key is `a {{`: move that first, under [keys]"


async def test_a_key_runs_an_own_command_on_the_selected_trial_without_a_shell(seat):
    code = "import sys; print('got', sys.argv[1:])"
    commands = (
        OwnCommand(
            "ctrl+o", f'{sys.executable} -c "{code}" "{{trial}} of {{study}}; $HOME" {{trial_folder}}', "show"
        ),
        OwnCommand("f6", f'{sys.executable} -c "exit(3)"', "fails", confirm=True, reads=True),
    )
    async with seat(state_of(study_events(), no_card()), (120, 40)) as you:
        assert you.app.take_own_commands(commands) == []
        await you.press("j", "enter", "ctrl+o")
        await you.sees("got ['1 of tidy-7b; $HOME', '/s/trials/1']")
        await you.press("question_mark")
        await you.sees("your commands, of console.toml", "Ctrl+O", "show: ")
        await you.press("escape", "f6")
        await you.sees("Run fails?")
        await you.press("y")
        await you.sees("exit code 3")
        you.app.engine.read_only = True
        await you.press("ctrl+o")
        await you.sees("this console only reads, and show may change something")
        await you.press("colon", *"fails", "enter")
        await you.sees("Run fails?")
