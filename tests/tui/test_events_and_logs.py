"""The screens of events and of logs, by their keys."""

from __future__ import annotations

from msgspec.structs import replace

from core.contract.events import event_types as e
from core.contract.state import engine_state as s
from core.contract.state.event_list_lines import EventHistory, PastLine
from core.contract.wire import console_api
from tests.tui.scene import NOW, no_card, state_of, study_events
from tests.tui.test_command_line import keys
from tui.events.event_table import EventTable
from tui.events.events_screen import EventsScreen
from tui.logs.logs_screen import LogsScreen
from tui.trial.trial_screen import DetailScreen

SCENE = (study_events(), no_card())


def note(text: str) -> e.StudyNoted:
    return e.StudyNoted(at=NOW, study="tidy-7b", text=text)


async def test_events_are_followed_filtered_and_lead_to_their_trials(seat):
    async with seat(state_of(*SCENE)) as you:
        await you.press("8")
        await you.sees("› events", "15 Jan", "trial 9 queued: tpe", "following")
        you.backend.happen(note("the newest event"))
        await you.sees("the newest event")
        await you.press("up", "g")
        you.backend.happen(note("not followed"))
        await you.sees("study created: 24 trials planned", "G follows", "37 in all")
        assert "not followed" not in you.screen()
        await you.press("G")
        await you.sees("not followed", "following")
        await you.press("slash", *keys("level:loud"))
        await you.sees("^ a level is one of info, warning, error")
        await you.press("enter", *["backspace"] * 4, *keys("error"), "enter")
        await you.sees("1 of 37", "trial 3 failed")
        await you.press("enter")
        await you.until(lambda: isinstance(you.app.screen, DetailScreen), "the trial")
        await you.sees("trial 3")
        await you.press("escape")
        await you.until(lambda: isinstance(you.app.screen, EventsScreen), "the events again")
        await you.press("escape")
        await you.sees("37 in all", "not followed")


def with_many(events: int) -> s.State:
    """A study whose trials have so many events, and that has dropped some of its own."""
    state = state_of(*SCENE)
    study = state.studies["tidy-7b"]
    lines = tuple(s.Line(NOW + at, f"event {at}") for at in range(100))
    trials = {number: s.Trial(number, lines=lines) for number in range(events // 100)}
    own = tuple(s.Line(NOW + 500 + at, f"note {at}") for at in range(s.LINES))
    return s.State({"tidy-7b": replace(study, trials=trials, lines=own)}, state.machine)


async def test_ten_thousand_events_draw_only_what_is_in_sight_and_older_ones_are_asked_for(seat, monkeypatch):
    drawn: list[int] = []
    cells = EventTable.draw_cells
    monkeypatch.setattr(EventTable, "draw_cells", lambda table, key: drawn.append(key) or cells(table, key))
    older = EventHistory((PastLine(NOW - 9000, "from the journal"),), cut=True)
    async with seat(with_many(10_000)) as you:
        you.backend.answers = lambda request: older if isinstance(request, console_api.AskHistory) else None
        await you.press("end")  # Textual's own keys of a table that scrolls must not be in the way
        assert you.app.screen.find_selected_trial().number == 99, "the cursor, not only the page"
        await you.press("home", "down", *keys(":events"), "enter")
        await you.sees("10201 in all", "note 199", "older: trimtab export")
        await you.press("pageup", "up", "home")
        await you.sees("from the journal")
        assert len(set(drawn)) < 100
        assert you.backend.asked.count(console_api.AskHistory("tidy-7b")) == 1


async def test_logs_are_followed_searched_and_changed_by_tab(seat, tmp_path):
    log = tmp_path / "engine.log"
    log.write_text("".join(f"INFO line {number}\n" for number in range(50)) + "ERROR it broke\nINFO end\n")
    workers = tmp_path / "studies" / "tidy-7b" / "workers"
    workers.mkdir(parents=True)
    (workers / "gpu0-a1b2c3.log").write_text("loading the model\n")
    async with seat(state_of(*SCENE)) as you:
        await you.press("9")
        await you.until(lambda: isinstance(you.app.screen, LogsScreen), "the logs")
        await you.sees("engine", "gpu0-a1b2c3", "INFO end", "52 lines", "following")
        with log.open("a") as file:
            file.write("INFO added\n")
        await you.sees("INFO added", "53 lines")
        await you.press("slash", *keys("broke|(line"))
        await you.sees("^ missing ), unterminated subpattern")
        await you.press("enter", *["backspace"] * 6, "enter")
        await you.sees("1 match broke")
        assert "INFO" not in you.screen()
        await you.press("A", "comma")
        await you.sees("all are shown", "INFO added", "G follows")
        assert you.app.screen.find_chosen_text() == "ERROR it broke"
        await you.press("y")
        await you.sees("copied: ERROR it broke")
        await you.press("escape", "tab")
        await you.sees("loading the model", "1 lines")
        await you.press("escape")
        await you.until(lambda: not isinstance(you.app.screen, LogsScreen), "to leave")
